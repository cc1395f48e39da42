import dataclasses
import json

import numpy as np
import pytest

from helpers.config import RUN_KEYS
from helpers.metrics import scores
from helpers.metrics.operating_points import operating_points
from helpers.runs import checks
from helpers.runs.store import RunError, find_runs, list_runs, load_run
from tests import fabricated
from tests.fabricated import fabricate_run

WANTED = {
    "recipe": "common",
    "dataset": "breastmnist",
    "model": "medspectralnet",
    "seed": 0,
    "pretrained": "imagenet",
    "profile": "paper",
    "run": None,
}


@pytest.fixture
def honest(results_tree, monkeypatch):
    """Runs whose record holds what training would have written from their predictions."""
    for name in ("evaluate", "per_class"):
        function = getattr(scores, name)
        monkeypatch.setattr(
            fabricated, name, lambda *args, f=function, n_resamples=None, **kw: f(*args, **kw)
        )


def tamper(run, change):
    record = json.loads((run.path / "run.json").read_text())
    change(record)
    (run.path / "run.json").write_text(json.dumps(record))
    return load_run(run.path)


def test_the_run_that_is_meant_is_opened(results_tree):
    fabricate_run(seed=1)
    run = fabricate_run(seed=0)
    assert checks.open_run(WANTED).path == run.path


def test_two_runs_that_fit_are_told_apart(results_tree):
    fabricate_run(epochs=3)
    run = fabricate_run(epochs=5)
    with pytest.raises(RunError, match=r"2 runs .* differ in epochs \(3, 5\): name one") as error:
        checks.open_run(WANTED)
    name = str(error.value).split("for instance ")[1].strip("'.")
    assert checks.open_run(WANTED | {"run": name}).path in {r.path for r in list_runs()}
    assert checks.open_run(WANTED | {"epochs": 5}).path == run.path


def test_of_several_the_recipe_unchanged_is_meant(results_tree):
    wanted = WANTED | {"recipe": "brain_inspired", "model": "brain_inspired_resnet18"}
    common = {"recipe": "brain_inspired", "model": "brain_inspired_resnet18", "epochs": None}
    fabricate_run(**common, focal_gamma=0.0)
    run = fabricate_run(**common)
    fabricate_run(**common, sampling="shuffle")
    assert checks.open_run(wanted).path == run.path


def test_a_run_that_is_named_goes_before_the_other_values(results_tree):
    fabricate_run()
    run = fabricate_run(model="resnet18", focal_gamma=1.0, loss="focal", seed=3)
    named = WANTED | {"run": run.path.name}
    assert checks.open_run(named).path == run.path
    assert set(checks.PARAMETERS) == set(WANTED) == {*RUN_KEYS, "run"}
    without = {key: WANTED[key] for key in RUN_KEYS}
    assert checks.open_run(without).path == checks.open_run(WANTED).path != run.path


def test_the_seeds_of_a_run_are_its_own_protocol(results_tree):
    runs = [fabricate_run(seed=seed) for seed in (10, 2)]
    fabricate_run(seed=2, epochs=9)
    assert [r.path for r in checks.seeds_of(runs[0])] == [runs[1].path, runs[0].path]


def toy_run(**changes):
    """A run of the toy splits: labels as `toy_split` makes them."""
    run = fabricate_run("phantom", classes=("dark", "bright"), md5="0" * 32)
    found = {}
    for name in ("val", "test"):
        found[f"{name}_y_true"] = np.arange(24) % 2
        found[f"{name}_probabilities"] = np.full((24, 2), 0.5, np.float32)
    found |= changes
    np.savez_compressed(run.path / "predictions.npz", **found)
    sizes = {name: len(found[f"{name}_y_true"]) for name in ("val", "test")}
    return tamper(run, lambda record: record["data"]["n"].update(sizes))


def test_predictions_of_these_very_images_pass(results_tree, toy_splits):
    checks.check_labels(toy_run(), toy_splits)


def test_labels_of_other_images_are_named(results_tree, toy_splits):
    labels = np.arange(24) % 2
    labels[[7, 9]] = 0
    run = toy_run(test_y_true=labels)
    with pytest.raises(RunError, match="2 of 24 test labels differ from those of toy, the first"):
        checks.check_labels(run, toy_splits)
    with pytest.raises(RunError, match=r"index 7: 0 in the run, 1 in the data; .* MD5 0{32}"):
        checks.check_labels(run, toy_splits)


def test_predictions_of_another_number_of_images_are_named(results_tree, toy_splits):
    run = toy_run(val_y_true=np.zeros(5, int), val_probabilities=np.full((5, 2), 0.5))
    with pytest.raises(
        RunError, match=r"predicts 5 val images, toy has 24; the run saw phantom.npz"
    ):
        checks.check_labels(run, toy_splits)


def test_other_classes_and_other_files_are_named(results_tree, toy_splits):
    swapped = dataclasses.replace(toy_splits, class_names=("bright", "dark"))
    with pytest.raises(
        RunError, match=r"classes \['dark', 'bright'\], toy has \['bright', 'dark'\]"
    ):
        checks.check_labels(toy_run(), swapped)
    with pytest.raises(RunError, match=r"saw phantom.npz with MD5 0+, the data now has f+"):
        checks.check_labels(toy_run(), dataclasses.replace(toy_splits, md5="f" * 32))


def test_images_that_cannot_be_had_are_none(results_tree, monkeypatch):
    monkeypatch.delenv("REPRO_DATA", raising=False)
    assert checks.load_images(fabricate_run("cag:patches")) is None


def test_the_surest_mistakes_come_first_and_equals_by_index():
    y_true = np.array([0, 0, 1, 1, 0, 0])
    first = np.array([0.9, 0.2, 0.9, 0.3, 0.2, 0.4])
    probabilities = np.stack([first, 1 - first], axis=1)
    assert checks.confident_mistakes(y_true, probabilities).tolist() == [2, 1, 4, 5]
    assert checks.confident_mistakes(y_true, probabilities, limit=2).tolist() == [2, 1]
    assert checks.confident_mistakes(y_true[:1], probabilities[:1]).tolist() == []


def test_the_selection_rule_is_applied_again(results_tree):
    run = fabricate_run(epochs=3)  # AUC rises: the last epoch is the best
    with pytest.raises(RunError, match="gives epoch 3, the record has 2"):
        checks.check_selection(run)
    right = tamper(run, lambda r: r["selection"].update(epoch=3))
    assert checks.check_selection(right) == 3


def test_an_early_stop_selects_its_own_epoch(results_tree):
    # Validation accuracies .4, .7, .8: the target is reached in epoch 2, which the record has.
    assert checks.check_selection(fabricate_run(epochs=3, stop_at_accuracy=0.65)) == 2


def test_operating_points_are_laid_out_with_what_was_held(results_tree):
    run = fabricate_run()
    points = operating_points(run.predictions("val"), run.predictions("test"), n_resamples=20)
    table = checks.operating_table(points, ("malignant", "benign"))
    assert table.index[0] == "specificity 90%" and len(table) == 4
    assert table.iloc[0]["on the test ROC"] == f"sensitivity {points[0].on_curve}"
    assert table.iloc[0]["threshold from validation"] == f"{points[0].threshold:.3f}"
    assert table.iloc[3]["specificity there"] == str(points[3].specificity)
    many = checks.operating_table(points, ("a", "b", "c"))
    assert many.index[0] == ("b", "specificity 90%")


def test_a_missing_run_is_an_error_that_names_what_there_is(results_tree, monkeypatch):
    monkeypatch.delenv("REPRO_STAND_IN", raising=False)
    fabricate_run(seed=3)
    with pytest.raises(RunError, match="seed 3"):
        checks.open_run(WANTED)


def test_a_record_that_follows_from_its_predictions_passes(honest):
    # 2 splits x 11 metrics and 2 classes x 6, each value, low, high, n; and two counts a class.
    assert checks.check_record(fabricate_run()) == (2 * 11 + 2 * 6) * 4 + 2 * 2


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (lambda r: r["metrics"]["test"]["auc"].update(value=0.5), "metrics.test.auc.value"),
        (lambda r: r["metrics"]["val"]["ppv"].update(low=None), "metrics.val.ppv.low"),
        (lambda r: r["per_class"][1]["f1"].update(method="guess"), r"per_class\[1\].f1.method"),
        (lambda r: r["metrics"]["test"].pop("ece"), r"metrics\.test\.ece: Field required"),
    ],
)
def test_a_record_that_does_not_follow_is_named(honest, change, place):
    with pytest.raises(RunError, match=place):
        checks.check_record(tamper(fabricate_run(), change))


def test_tables_show_values_with_their_intervals(honest):
    run = fabricate_run()
    table = checks.metric_table(run.record["metrics"]["test"])
    accuracy = scores.Estimate(**run.record["metrics"]["test"]["accuracy"])
    assert table.loc["accuracy"].tolist() == [str(accuracy), 156, "Wilson"]
    assert len(table) == 11
    classes = checks.class_table(run.record["per_class"])
    assert list(classes.index) == ["malignant", "normal or benign"]
    assert classes["n"].sum() == 156 and "(" in classes.loc["malignant", "auc"]


def test_seed_table_has_sample_sd_and_marks_one_seed_as_unknown(results_tree):
    runs = [fabricate_run(seed=seed, wrong=wrong) for seed, wrong in enumerate((10, 20, 30))]
    wanted = {name: value for name, value in runs[0].config.items() if name != "seed"}
    row = checks.seed_table(find_runs(**wanted)).loc["accuracy"]
    accuracies = 1 - np.array([10, 20, 30]) / 156
    assert row["mean"] == pytest.approx(accuracies.mean())
    assert row["sd"] == pytest.approx(accuracies.std(ddof=1)) and row["n"] == 3
    single = checks.seed_table(runs[:1]).loc["accuracy"]
    assert np.isnan([single["sd"], single["low"], single["high"]]).all() and single["n"] == 1


@pytest.mark.parametrize("name", ["run.json", "predictions.npz"])
def test_a_damaged_seed_leaves_the_others(results_tree, capsys, name):
    runs = [fabricate_run(seed=seed) for seed in range(3)]
    (runs[1].path / name).write_bytes(b"PK")
    assert [r.path for r in checks.seeds_of(runs[0])] == [runs[0].path, runs[2].path]
    assert f"cannot read {name}" in capsys.readouterr().err
