"""What measured maps say: verdicts that follow the rule, tables, files."""

import numpy as np
import pytest

from helpers.runs.store import RunError
from study.maps import findings
from study.maps.scores import CHANCE, CROPS, VIEWS, WHOLE, load_scores, save_scores
from study.plans.maps import load_plan
from study.table import interval
from study.tables import maps as tables
from study.verdicts import IN_PART, INCONCLUSIVE, SHOWN, SHOWN_REVERSED

LAYERS = {
    "backbone": "Backbone",
    "spectralflow1": "First SpectralFlow",
    "contextgate.depthwise": "ContextGate, depthwise path",
    "contextgate": "ContextGate",
    "spectralflow2": "Second SpectralFlow",
}
N = 40


@pytest.fixture
def plan():
    return load_plan()


def entry(rows, energy, *, plan, methods, seed):
    """Return made-up measures: each row's energy is given, all others are .3."""
    rng = np.random.default_rng(seed)
    grid = (len(rows), len(methods))
    values = np.full((len(VIEWS), *grid, len(plan.measures), N), 0.3)
    noise = 0.05 * rng.standard_normal((len(VIEWS), *grid, N))
    for i, row in enumerate(rows):
        at = plan.measures.index("energy")
        values[:, i, :, at] = np.clip(energy.get(row, 0.3) + noise[:, i], 0, 1)
    return {
        "values": values,
        "thresholds": np.full(grid, 0.4),
        "empty": np.zeros(grid),
        "rows": list(rows),
        "titles": [LAYERS.get(row, row) for row in rows],
        "methods": list(methods),
    }


def write_study(plan, study, energies, *, phantom=False):
    """Write all files of a study: energies[network][row]."""
    about = {
        "data": {"name": study.dataset, "md5": "0" * 32, "phantom": phantom},
        "images": N,
        "runs": ["abc_s0"],
        "env": {"torch": "2.15.0"},
        "git": {"sha": "f" * 40, "dirty": False},
    }
    for name in study.names:
        if name == "controls":
            rows, methods, seeds = (CHANCE, *plan.input_controls), ["input"], [0]
        else:
            rows = ["layer4"] if name == "resnet18" else list(LAYERS)
            methods, seeds = plan.methods, study.seeds
        own, first = {"plan": plan, "methods": methods}, sum(map(ord, name))
        energy = energies.get(name, {})
        measured = [entry(rows, energy, **own, seed=first + seed) for seed in seeds]
        axes = {"measures": plan.measures, "groups": np.arange(N)}
        save_scores(study.file(name), measured, **axes, about=about)


@pytest.fixture
def study(plan, tmp_path, monkeypatch):
    monkeypatch.setenv("REPRO_RESULTS", str(tmp_path))
    return plan.study("arcade")


def verdicts(study, plan):
    measured = findings.load_measured(study)
    return {f.layer: f for f in findings.layer_findings(measured, plan)}


def test_a_layer_above_all_controls_holds_one_above_chance_holds_in_part(study, plan):
    layers = {"spectralflow2": 0.7, "contextgate": 0.5, "backbone": 0.3}
    write_study(plan, study, {"medspectralnet": layers, "random": {"contextgate": 0.6}})
    found = verdicts(study, plan)
    assert found["spectralflow2"].verdict == SHOWN
    assert found["spectralflow2"].not_beaten(plan.level) == []
    assert found["contextgate"].verdict == IN_PART
    assert found["contextgate"].not_beaten(plan.level) == ["random"]
    assert found["backbone"].verdict == INCONCLUSIVE


def test_below_chance_is_shown_reversed(study, plan):
    write_study(plan, study, {"medspectralnet": dict.fromkeys(LAYERS, 0.1)})
    found = verdicts(study, plan)
    assert {f.verdict for f in found.values()} == {SHOWN_REVERSED}
    assert found["backbone"].p_values[CHANCE] < plan.level


@pytest.mark.parametrize(
    ("gate", "last", "verdict"),
    [(0.3, 0.5, SHOWN), (0.5, 0.3, SHOWN_REVERSED), (0.4, 0.4, INCONCLUSIVE)],
)
def test_progression_has_the_sign_of_the_difference(study, plan, gate, last, verdict):
    write_study(plan, study, {"medspectralnet": {"contextgate": gate, "spectralflow2": last}})
    energy, _ = findings.progression(findings.load_measured(study), plan)
    assert energy.verdict == verdict
    assert energy.difference.value == pytest.approx(last - gate, abs=0.03)


def test_equal_maps_without_any_variance_are_no_difference(study, plan):
    write_study(plan, study, {})
    _, area = findings.progression(findings.load_measured(study), plan)
    assert area.difference.value == 0
    assert area.verdict == INCONCLUSIVE


def test_images_of_a_patient_count_once_and_those_left_out_not_at_all():
    scores = np.random.default_rng(0).random((5, 20))
    patients = np.repeat(np.arange(20), 3)
    repeated = np.repeat(scores, 3, axis=1)
    alone, grouped = findings._mean(scores), findings._mean(repeated, patients)
    assert (grouped.low, grouped.high) == pytest.approx((alone.low, alone.high))
    assert grouped.n == 20
    holes = np.where(np.arange(20) % 3, scores, np.nan)
    kept = scores[:, np.arange(20) % 3 > 0]
    assert findings._mean(holes) == findings._mean(kept)
    control = holes[0] / 2
    assert findings._difference(scores, control, np.arange(20)) == findings._difference(
        kept, kept[0] / 2, np.arange(kept.shape[1])
    )
    # A patient with many images weighs no more than one with few.
    assert findings._mean(np.array([0, 0, 0, 1.0]), np.array([0, 0, 0, 1])).value == 0.5


@pytest.mark.parametrize(
    ("a", "b", "groups", "message"),
    [
        (np.ones((5, 4)), np.ones((1, 4)), 4, r"\(5, 4\) and \(1, 4\)"),
        (np.ones((5, 4)), np.ones((5, 3)), 4, r"\(5, 4\) and \(5, 3\)"),
        (np.ones((5, 4)), np.ones(3), 4, r"\(5, 4\) and \(3,\)"),
        (np.ones((2, 4)), np.array([[1, 1, 1, np.nan], [1] * 4]), 4, "in some seeds only"),
        (np.ones((5, 4)), np.ones(4), 3, r"\(3,\) groups for scores of 4 images"),
        (np.ones((2, 4)), np.full((2, 4), np.nan), 4, "expected"),
    ],
)
def test_scores_that_do_not_belong_together_are_refused(a, b, groups, message):
    with pytest.raises(ValueError, match=message):
        findings._difference(a, b, np.arange(groups))


def test_the_tables_hold_what_was_measured(study, plan):
    write_study(plan, study, {"medspectralnet": {"spectralflow2": 0.7}})
    measured = findings.load_measured(study)
    page = tables.localisation_page(measured, plan, focus=[])
    frame = tables.localisation_table(measured, plan).frame
    assert "PHANTOM" not in page
    mean = measured.mean("medspectralnet", "spectralflow2", view=CROPS, measure="energy")
    assert mean.value == pytest.approx(0.7, abs=0.02)
    assert interval(mean.value, mean.low, mean.high) in page
    line = frame.query(
        "network == 'MedSpectralNet' and view == 'crops' and map == 'spectralflow2' and "
        "method == 'gradcam' and measure == 'energy'"
    )
    assert line["mean"].item() == mean.value
    assert set(frame["view"]) == {WHOLE, CROPS}


def test_a_page_of_the_phantom_says_so(plan, tmp_path, monkeypatch):
    monkeypatch.setenv("REPRO_RESULTS", str(tmp_path))
    study = plan.study("phantom")
    assert study.file("random").parent == tmp_path / "phantom" / "localisation"
    write_study(plan, study, {}, phantom=True)
    page = tables.localisation_page(findings.load_measured(study), plan, focus=[])
    assert "PHANTOM" in page


def test_what_is_not_measured_makes_no_table_and_says_how(study, plan):
    assert tables.localisation_files(study, plan) == {}
    assert "python -m study maps" in tables.localisation_block(plan)
    with pytest.raises(RunError, match=r"arcade_medspectralnet.npz.*python -m study maps"):
        findings.load_measured(study)


def test_a_damaged_file_is_named(study, plan):
    write_study(plan, study, {})
    path = study.file("random")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(RunError, match=r"arcade_random.npz"):
        load_scores(path)


def test_a_rule_with_an_unknown_key_is_refused(tmp_path):
    from helpers.paths import repo_root

    text = (repo_root() / "params" / "localisation.yaml").read_text()
    path = tmp_path / "localisation.yaml"
    path.write_text(text + "levle: 0.01\n")
    with pytest.raises(ValueError, match=r"unknown key 'levle'.*Did you mean 'level'"):
        load_plan(path)
    path.write_text(text.replace("crop: 0.75\n", ""))
    with pytest.raises(ValueError, match=r"localisation\.yaml, crop: this key is missing"):
        load_plan(path)


def test_an_unknown_study_lists_the_known_ones(plan):
    with pytest.raises(ValueError, match="arcade, phantom"):
        plan.study("arcad")


def test_a_stricter_level_can_turn_a_verdict(study, plan):
    write_study(plan, study, {"medspectralnet": {"spectralflow2": 0.33}})
    strict = plan.model_copy(update={"level": 1e-30})
    assert verdicts(study, plan)["spectralflow2"].against[CHANCE].value > 0
    assert verdicts(study, strict)["spectralflow2"].verdict == INCONCLUSIVE


def test_scores_survive_the_disk(study, plan):
    write_study(plan, study, {"medspectralnet": {"backbone": 0.6}})
    scores = load_scores(study.file("medspectralnet"))
    assert scores.values.shape == (5, 2, 5, len(plan.methods), len(plan.measures), N)
    cell = scores.of(view=WHOLE, row="backbone", method="gradcam", measure="energy")
    assert cell.shape == (5, N)
    assert cell.mean() == pytest.approx(0.6, abs=0.02)
    assert scores.about["images"] == N
