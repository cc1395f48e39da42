"""Verdicts, grouping of runs, generated tables, and that what is committed is not stale."""

import io
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from helpers.data.rebuilt import REBUILT
from helpers.metrics.intervals import mean_here, one_more_run
from helpers.models.registry import list_models
from helpers.paths import repo_root
from helpers.runs.groups import contradictions, group_runs, is_real
from helpers.runs.store import list_runs, list_unreadable
from study.claims.paper_b import budget
from study.levels import judge_level
from study.maps.findings import focus_findings, layer_findings, load_measured, progression
from study.plans.form import PlanError
from study.plans.maps import load_plan as load_maps_plan
from study.plans.verdicts import load_rules
from study.published import lookup
from study.tables import __main__ as command
from study.tables import accuracy, maps
from study.tables.__main__ import PAGES, linked_from, markers
from study.tables.accuracy import TablesError
from study.tables.answer import answer_block
from study.verdicts import (
    COMPATIBLE,
    INCONCLUSIVE,
    NOT_RUN,
    OTHER_IMAGES,
    OURS_LOWER,
    SHORT,
    SHOWN,
    TOO_FEW_SEEDS,
)
from tests.fabricated import fabricate_run

TEXTS = {
    page: "# Title\n\nBefore.\n\n"
    + "".join(f"{markers(name)[0]}\nold {name}\n{markers(name)[1]}\n\n" for name in names)
    for page, names in PAGES.items()
}
RESULTS = "results/README.md"
README = TEXTS[RESULTS]


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("REPRO_RESULTS", str(tmp_path))
    for name, text in TEXTS.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def real_groups(store):
    return group_runs(filter(is_real, list_runs(store)))


def page(store, name="medmnist_accuracy.md"):
    """Return one table; all of them together are generated where that is what is tested."""
    groups, rules = real_groups(store), load_rules()
    files = accuracy.medmnist_pages(groups, rules).files | accuracy.cag_files(groups, rules)
    return files[name]


def status_of(store):
    """Return the block of the accuracies on the page of results."""
    return accuracy.medmnist_pages(real_groups(store), load_rules()).block


def lines_of(text, model):
    return [line for line in text.splitlines() if f"| `{model}` |" in line]


# --- what is committed -------------------------------------------------------------------------


def test_committed_tables_and_readme_status_are_up_to_date(monkeypatch, capsys):
    monkeypatch.delenv("REPRO_RESULTS", raising=False)
    assert command.main(["--check"]) == 0, capsys.readouterr().out


# --- the rules ----------------------------------------------------------------------------------


def test_rules_name_published_rows_and_known_models():
    for comparison in load_rules().comparisons:
        assert comparison.runs["model"] in list_models()
        assert "pretrained" in comparison.runs, "a comparison must say which ranking it is for"
        paper = {"paper": comparison.published.paper}
        comparison.published.at("breastmnist/accuracy")
        for table, row, column in comparison.states.values():
            lookup(**paper, table=table, row=row, column=column)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("min_seeds:", "min_seed:"), "unknown key 'min_seed'; .*Did you mean 'min_seeds'"),
        (
            ("source_size: 64", "sourcesize: 64"),
            "comparisons.5.runs: unknown setting 'sourcesize'.*Did you mean 'source_size'",
        ),
        (("widest: 0.02", "widest: 2"), "widest: .*less than 1, got 2"),
        (("auc: 0.03", "AUC: 0.03"), "size.auc: this key is missing"),
        (("A: [section 3.5", "A: [section 3.6"), "budget.epochs: .*section 3.6.*Did you mean"),
    ],
)
def test_rules_out_of_order_are_refused(tmp_path, change, message):
    rules = (repo_root() / "params" / "verdicts.yaml").read_text()
    path = tmp_path / "verdicts.yaml"
    path.write_text(rules.replace(*change, 1))
    with pytest.raises(PlanError, match=message):
        load_rules(path)


# --- grouping ----------------------------------------------------------------------------------


def test_seeds_of_one_protocol_are_averaged(store):
    wrongs = (20, 23, 26, 18, 21)
    for seed, wrong in enumerate(wrongs):
        fabricate_run(seed=seed, wrong=wrong)
    (group,) = real_groups(store)
    accuracies = [1 - w / 156 for w in wrongs]
    assert group.seeds == [0, 1, 2, 3, 4]
    assert group.accuracy.value == pytest.approx(np.mean(accuracies))
    (line,) = lines_of(page(store).split("### Trained from scratch")[0], "medspectralnet")
    mean, sd = 100 * np.mean(accuracies), 100 * np.std(accuracies, ddof=1)
    assert f"| {mean:.1f} ± {sd:.1f} |" in line
    assert "| n = 5 |" in line
    assert "| 86.5 (MedSpectralNet) |" in line
    for how in (mean_here, one_more_run):
        found = group.estimate("accuracy", how)
        assert f"| {100 * found.low:.1f} to {100 * found.high:.1f} |" in line


def test_one_seed_is_never_given_a_deviation(store):
    fabricate_run(seed=3, epochs=20)
    line = lines_of(page(store), "medspectralnet")[0]
    assert "| n = 1 |" in line
    assert "±" not in line
    assert TOO_FEW_SEEDS in line


@pytest.mark.parametrize(
    ("other", "difference"),
    [
        ({"learning_rate": 0.01}, "learning_rate 0.01"),
        ({"epochs": 7}, "7 epochs"),
        ({"image_size": 28}, "common, 28 px, "),
        ({"md5": "1" * 32}, f"md5 {'1' * 32}"),
        ({"dataset": "breastmnist_64", "source_size": 64}, "common, 64 px, "),
        ({"recipe": "medmnist_v2"}, "medmnist_v2, "),
        ({"weight_decay": 0.5}, "weight_decay 0.5"),
    ],
)
def test_runs_of_another_protocol_have_a_row_of_their_own(store, other, difference):
    fabricate_run(seed=0)
    run = fabricate_run(**({"seed": 1} | other))
    groups = real_groups(store)
    assert [group.seeds for group in groups].count([0, 1]) == 0
    assert len(groups) == 2
    labels = accuracy.protocol_labels(groups)
    assert len(set(labels)) == 2
    mine = [g.seeds[0] for g in groups].index(run.config["seed"])
    assert difference in labels[mine]


def test_a_seed_that_stands_twice_counts_once(store, capsys):
    run = fabricate_run(seed=0)
    copy = replace(run, path=run.path.with_name(f"{run.path.name} copy"))
    shutil.copytree(run.path, copy.path)
    (group,) = group_runs([copy, run])
    assert group.runs == (run,)
    (name,) = contradictions([run, copy])
    assert name.endswith(" copy") and "seed 0 stands twice" in contradictions([run, copy])[name]
    assert "left out" in capsys.readouterr().err


@pytest.mark.parametrize("n_other", [1, 2])
def test_runs_on_another_test_split_are_left_out_and_block_no_other(store, n_other, capsys):
    """The split of most runs stays; where nothing decides, the protocol is left out."""
    other_model = fabricate_run(model="resnet18", seed=0)
    three = ("a", "b", "c")
    runs = [fabricate_run(seed=s, classes=three) for s in range(n_other)]
    runs += [fabricate_run(seed=s) for s in range(n_other, 4)]
    groups = group_runs([*runs, other_model])
    assert [g.config["model"] for g in groups] == ["medspectralnet", "resnet18"]
    assert groups[0].runs == tuple(runs[n_other:])
    reasons = contradictions([*runs, other_model])
    assert len(reasons) == n_other
    assert all("(52, 52, 52 by" in r and "(78, 78 by" in r for r in reasons.values())
    assert capsys.readouterr().err.count("left out") == n_other
    tied = group_runs(runs[: 2 * n_other])
    assert tied == [] and len(contradictions(runs[: 2 * n_other])) == 2 * n_other


def _cut(file):
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def _other_images(folder):
    file = folder / "predictions.npz"
    arrays = dict(np.load(file))
    np.savez_compressed(file, **arrays | {"test_y_true": arrays["test_y_true"][::-1]})


BAD = {
    "record cut off": lambda folder: _cut(folder / "run.json"),
    "another schema": lambda folder: (folder / "run.json").write_text('{"schema": 0}'),
    "predictions gone": lambda folder: (folder / "predictions.npz").unlink(),
    "other test labels": _other_images,
    "seed twice": None,
}


@pytest.mark.parametrize("kind", BAD)
def test_one_bad_run_never_blocks_the_others(store, kind, capsys):
    """It is said once, by name, and all tables are those of the other runs."""
    rules = load_rules()

    def tables():
        groups = real_groups(store)
        return accuracy.medmnist_pages(groups, rules)

    for seed in range(3):
        fabricate_run(seed=seed)
    other = fabricate_run(model="resnet18", seed=0)
    expected = tables()
    capsys.readouterr()
    if kind == "seed twice":
        name = f"{other.path.name} copy"
        shutil.copytree(other.path, other.path.with_name(name))
    else:
        bad = fabricate_run(seed=3).path
        name = bad.name
        BAD[kind](bad)
    left_out = list_unreadable() | contradictions(list_runs())
    assert [key.split("/")[-1] for key in left_out] == [name]
    capsys.readouterr()
    assert tables() == expected
    said = capsys.readouterr().err
    assert said.count("left out: ") == 1 and name in said


# --- tables ------------------------------------------------------------------------------------


def test_rankings_never_mix_the_starts(store):
    for seed in (0, 1):
        fabricate_run(seed=seed, pretrained="imagenet", wrong=30)
        fabricate_run(seed=seed, pretrained="none", wrong=20)
        fabricate_run(model="resnet18", seed=seed, pretrained="imagenet", wrong=25)
    rows = accuracy.build_rows(real_groups(store), datasets=["breastmnist"], rules=load_rules())
    runs = [(row.start, row.model) for row in rows if row.group]
    assert runs == [
        ("imagenet", "resnet18"),
        ("imagenet", "medspectralnet"),
        ("none", "medspectralnet"),
    ]
    breast = page(store).split("## PneumoniaMNIST")[0]
    pretrained, scratch = breast.split("### Trained from scratch")
    assert len(lines_of(pretrained, "medspectralnet")) == 1
    assert "78.8" not in pretrained  # ReScience and ours from scratch stand below
    assert "87.2 ± 0.0" in scratch
    assert "Doerrich" in pretrained
    assert "Doerrich" not in scratch


def test_phantom_and_quick_runs_never_enter(store):
    fabricate_run("phantom")
    empty = page(store)
    assert "No run of the paper profile on real images" in empty
    assert "phantom" not in empty
    quick = fabricate_run(profile="quick")
    assert quick.path.is_relative_to(store / "quick")
    # Even one that strayed into the tree of paper runs.
    target = store / "runs" / "common" / "breastmnist" / "medspectralnet" / quick.path.name
    target.parent.mkdir(parents=True)
    quick.path.rename(target)
    assert page(store) == empty


def test_what_is_held_against_a_paper_stays_open_and_the_rest_is_folded(store):
    for seed in range(3):
        fabricate_run(seed=seed, pretrained="none")
        fabricate_run(seed=seed)
    status = status_of(store)
    opened, folded = status.split("<details><summary>Trained from scratch</summary>")
    assert "**Started from ImageNet weights**" in opened and "86.5 (MedSpectralNet)" in opened
    folded = folded.split("</details>")[0]
    assert "| BreastMNIST |" in folded and "86.5" not in folded


def test_sets_without_runs_are_shown_as_not_run(store):
    fabricate_run()
    status = status_of(store)
    for name in ("PneumoniaMNIST", "BloodMNIST", "DermaMNIST", "OrganCMNIST", "OrganSMNIST"):
        (line,) = [line for line in status.splitlines() if line.startswith(f"| {name} |")]
        assert "not run" in line
    assert "98.0 (MedSpectralNet)" in status


def test_departures_from_the_paper_stand_beside_the_verdict(store):
    for seed in range(5):
        fabricate_run(seed=seed, epochs=20, wrong=18 + seed)
    line = lines_of(page(store), "medspectralnet")[0]
    assert f"{COMPATIBLE} (epochs 20, published 200)" in line
    for run in list_runs(store):
        assert run.config["cutmix"] == 0.5  # as published, hence not named
    assert "cutmix" not in line


def test_a_rebuilt_set_is_held_against_the_official_one_and_marked(store):
    rebuilt = REBUILT["npz:dermamnist_rebuilt"]
    for seed in range(5):
        fabricate_run("npz:dermamnist_rebuilt", seed=seed, wrong=22, md5=rebuilt.md5)
    (group,) = real_groups(store)
    assert group.dataset == "dermamnist" and group.rebuilt == rebuilt
    line = lines_of(page(store).split("## DermaMNIST")[1], "medspectralnet")[0]
    assert "epochs, DermaMNIST, rebuilt | 78.4 (MedSpectralNet)" in line
    assert f"{OTHER_IMAGES} (DermaMNIST, rebuilt; epochs" in line
    status = accuracy.medmnist_pages([group], load_rules()).block
    assert "| DermaMNIST, rebuilt |" in status and "| DermaMNIST |" not in status


def test_a_file_of_a_rebuilt_sets_name_and_other_bytes_is_a_set_of_its_own(store):
    fabricate_run("npz:dermamnist_rebuilt", md5="1" * 32)
    (group,) = real_groups(store)
    assert group.dataset == "npz:dermamnist_rebuilt" and group.rebuilt is None
    assert "## npz:dermamnist_rebuilt" in page(store)


def test_values_for_orientation_are_not_judged(store):
    for seed in range(5):
        fabricate_run("breastmnist_64", "resnet18", seed=seed, source_size=64, wrong=80)
    line = lines_of(page(store), "resnet18")[0]
    assert "83.33 (ResNet-18 @64)" in line
    assert line.endswith("|  |")


def test_unverified_values_are_marked_in_the_table(store):
    text = page(store)
    for line in text.splitlines():
        if line.startswith("| MedViT-") or line.startswith("| MedMamba-B"):
            assert line.endswith("| M (unverified) |")
    assert "| MedViT-S |" in text


def test_csv_holds_the_same_numbers(store):
    for seed, wrong in enumerate((20, 24)):
        fabricate_run(seed=seed, wrong=wrong)
    table = pd.read_csv(io.StringIO(page(store, "medmnist_accuracy.csv")))
    (row,) = table[table["n_seeds"] > 0].to_dict("records")
    assert row["accuracy_mean"] == pytest.approx(1 - 22 / 156, abs=1e-4)
    assert row["published_accuracy"] == 0.865
    assert (row["verdict"], row["n_constant"]) == (SHORT, 0)
    assert row["one_more_low"] < row["here_low"] < row["accuracy_mean"] < row["here_high"]
    assert (row["n_test_images"], row["params"], row["seeds"]) == (156, 12_345_678, "0 1")
    not_run = table[table["n_seeds"] == 0]
    assert set(not_run["verdict"]) == {NOT_RUN}
    assert not_run["accuracy_mean"].isna().all()


def test_angiograms_show_paper_a_without_a_verdict(store):
    fabricate_run("cag:patches", "mobilenet_v2", classes=("negative", "positive"))
    text = page(store, "cag_accuracy.md")
    assert "## patches" in text
    assert "| Brain-Inspired Hybrid (Ours) | 85.00 |" in text
    assert "verdict |" not in text
    assert "cag" not in page(store).lower().replace("breastmnist", "")


def test_a_set_beyond_the_six_has_its_own_section(store):
    fabricate_run("pathmnist", classes=tuple("abcdefghi"))
    assert "## pathmnist" in page(store)


# --- README and command line ---------------------------------------------------------------------


def test_the_status_replaces_what_stands_between_the_markers():
    changed = command.with_block(README, "new", name="status")
    assert changed == README.replace("\nold status\n", "\n\nnew\n\n")
    assert command.with_block(changed, "new", name="status") == changed


@pytest.mark.parametrize(
    "readme", ["# no markers", README + README, " ".join(reversed(markers("status")))]
)
def test_a_readme_without_a_place_for_the_status_is_refused(readme):
    with pytest.raises(TablesError, match="status:begin"):
        command.with_block(readme, "new", name="status")


def test_links_of_a_block_fit_the_page():
    block = "[a](results/tables/a.md) [b](notebooks/b.ipynb) [c](https://x.org/y) [d](#here)"
    assert linked_from("README.md", block) == block
    assert linked_from(RESULTS, block) == (
        "[a](tables/a.md) [b](../notebooks/b.ipynb) [c](https://x.org/y) [d](#here)"
    )


def test_one_number_is_judged_by_one_protocol_the_nearest(store):
    for seed in range(5):
        fabricate_run(seed=seed, epochs=30, wrong=80 + seed)
        fabricate_run(seed=seed, epochs=3, wrong=20 + seed)
        fabricate_run("breastmnist_64", seed=seed, epochs=30, wrong=20 + seed, source_size=64)
    fabricate_run(seed=0, epochs=200)
    groups, rules = real_groups(store), load_rules()
    key = {"paper": "B", "table": "Table 3", "row": "MedSpectralNet"}
    level = judge_level(groups, **key, dataset="breastmnist", rules=rules)
    # Enough seeds, then epochs, then the larger files.
    assert level.group.source_size == 64 and level.verdict == COMPATIBLE
    lines = lines_of(page(store).split("### Trained from scratch")[0], "medspectralnet")
    assert sum(COMPATIBLE in line for line in lines) == 1
    assert not any(word in line for line in lines for word in (SHORT, TOO_FEW_SEEDS, OURS_LOWER))
    answer = answer_block((), real_groups(store), load_rules())
    (breast,) = [line for line in answer.splitlines() if line.startswith("| BreastMNIST |")]
    assert breast.endswith(f"| {COMPATIBLE} |") and "64 px, 30 epochs, n = 5" in breast
    (organ,) = [line for line in answer.splitlines() if line.startswith("| OrganSMNIST |")]
    assert organ.endswith("| not run |  |  | not run |")


def test_check_shows_a_diff_and_writes_nothing(store, capsys):
    """Of results kept elsewhere; the README is of the repository's, and is left alone."""
    readme = repo_root() / "README.md"
    before = readme.read_bytes()
    fabricate_run(seed=0)
    assert command.main([]) == 0
    assert "README" not in capsys.readouterr().out
    assert command.main(["--check"]) == 0
    fabricate_run(seed=1)
    written = {path: path.read_bytes() for path in (store / "tables").iterdir()}
    capsys.readouterr()
    assert command.main(["--check"]) == 1
    assert {path: path.read_bytes() for path in (store / "tables").iterdir()} == written
    assert readme.read_bytes() == before
    out = capsys.readouterr().out
    assert "-| `medspectralnet` |" in out
    assert "+| `medspectralnet` |" in out
    assert "Stale; run `python -m study tables`" in out


def test_a_stale_table_and_a_stale_block_are_seen(store):
    files = command.generate(root=store, pages=store)
    command.write(files)
    assert command.stale(files) == ""
    page = store / RESULTS
    page.write_text(page.read_text().replace("The focal term", "The focal loss"))
    table = store / "tables" / "cag_ablation.md"
    table.write_text(table.read_text().replace(NOT_RUN, SHOWN))
    stale = [line for line in command.stale(files).splitlines() if line.startswith("---")]
    assert stale == ["--- cag_ablation.md (on disk)", "--- README.md (on disk)"]


# --- maps ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("epochs", "expected"), [(19, {SHORT}), (20, {SHOWN, INCONCLUSIVE}), (None, {NOT_RUN})]
)
def test_maps_of_a_brief_training_have_no_verdict(epochs, expected, monkeypatch):
    plan = load_maps_plan()
    monkeypatch.setattr(budget, "of_maps", lambda measured: epochs)
    measured = load_measured(plan.study("arcade"))
    layers, signs = layer_findings(measured, plan), progression(measured, plan)
    assert {*maps.verdict_table(layers, measured, plan).frame["verdict"]} == expected
    expected = expected - {SHOWN}
    assert {*maps.sign_table(signs, measured).frame["verdict"]} == expected
    # The phantom tests the measurement: what it shows is no claim of the paper.
    phantom = load_measured(plan.study("phantom"))
    found = maps.verdict_table(layer_findings(phantom, plan), phantom, plan).frame["verdict"]
    assert SHOWN in {*found}


def test_of_a_set_without_boxes_its_own_training_counts(monkeypatch):
    plan = load_maps_plan()
    focus = focus_findings(plan)
    epochs = {f.dataset: 20 for f in focus} | {"pneumoniamnist": 19}
    monkeypatch.setattr(budget, "of_focus", lambda plan: epochs)
    frame = maps.focus_table(focus, plan).frame
    brief = frame["data set"] == "pneumoniamnist"
    assert {*frame["verdict"][brief]} == {SHORT} and SHORT not in {*frame["verdict"][~brief]}
