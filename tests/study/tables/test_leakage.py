"""Second scores on the test images that nothing ties to training."""

import io

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from helpers.metrics.intervals import mean_here, one_more_run
from helpers.paths import data_root, leakage_dir
from helpers.runs.groups import group_runs
from helpers.runs.store import list_runs
from study import tied
from study.compare import judge_cells
from study.plans.table2 import load_table2
from study.plans.verdicts import load_rules
from study.tables import accuracy, table2
from study.tables.answer import answer_block, tied_sentence
from study.tables.leakage import find_tied, leakage_files
from study.tied import load_tied, score_on
from study.verdicts import COMPATIBLE
from tests.fabricated import fabricate_run


@pytest.fixture
def tied_images(tmp_path, monkeypatch):
    """Store ties of a set whose runs are made up: images 0 to 45 of 156, labels alternating."""
    monkeypatch.setattr(tied, "leakage_dir", lambda: tmp_path / "leakage")

    def put(dataset="breastmnist", n=46, **changes):
        values = {"source": "x.npz", "n_test": 156, "index": range(n), "label": np.arange(n) % 2}
        table = pd.DataFrame({name: [""] * n for name in tied.COLUMNS})
        table = table.assign(**values | changes)
        (tmp_path / "leakage").mkdir(exist_ok=True)
        table.to_csv(tmp_path / "leakage" / f"{dataset}.csv", index=False)

    return put


def second_scores(store):
    files = leakage_files(group_runs(list_runs(store)))
    return files["leakage.md"], pd.read_csv(io.StringIO(files["leakage.csv"]))


def test_scores_are_those_of_the_stored_predictions(results_tree, tied_images):
    tied_images()
    runs = [fabricate_run(seed=seed, wrong=wrong) for seed, wrong in enumerate((20, 31))]
    text, table = second_scores(results_tree)
    (row,) = table.to_dict("records")
    right = []
    for run in runs:
        y_true, probabilities = run.predictions("test")
        right.append(probabilities.argmax(1) == y_true)
    right = np.array(right)
    expected = {"all": right, "free": right[:, 46:], "tied": right[:, :46]}
    for part, values in expected.items():
        assert row[f"accuracy_{part}_mean"] == pytest.approx(values.mean(), abs=1e-4)
    assert row["accuracy_all_mean"] == pytest.approx(1 - 25.5 / 156, abs=1e-4)
    assert row["accuracy_free_sd"] == pytest.approx(right[:, 46:].mean(1).std(ddof=1), abs=1e-4)
    assert row["accuracy_free_low"] < row["accuracy_free_mean"] < row["accuracy_free_high"]
    assert (row["n_test"], row["n_free"], row["n_seeds"]) == (156, 110, 2)
    for part, count in (("all", 156), ("free", 110), ("tied", 46)):
        assert f"| {part} | {count} | 50.0 | x.npz |" in text


def test_all_recipes_models_and_starts_have_a_line(results_tree, tied_images):
    tied_images()
    fabricate_run()
    fabricate_run(pretrained="none", model="resnet18")
    fabricate_run("breastmnist_64", recipe="ranking", source_size=64)
    fabricate_run("pneumoniamnist")  # nothing is stored for it
    text, table = second_scores(results_tree)
    assert len(table) == 3
    assert set(table["dataset"]) == {"breastmnist"} and "pneumonia" not in text


def test_runs_on_other_test_images_are_left_out_and_counted(results_tree, tied_images):
    fabricate_run()
    for changes in ({"n_test": 157}, {"label": 0}):
        tied_images(**changes)
        text, table = second_scores(results_tree)
        assert table.empty and "Left out: 1 protocol(s) with other test images." in text


def test_a_stored_list_out_of_order_is_refused(tied_images, tmp_path):
    assert load_tied("breastmnist") is None
    tied_images(n_test=[156] * 45 + [157])
    with pytest.raises(ValueError, match=r"breastmnist.csv: 46 rows, .*write it anew"):
        load_tied("breastmnist")
    (tmp_path / "leakage" / "breastmnist.csv").write_text("index\n1\n")
    with pytest.raises(ValueError, match="it has the columns index; expected source, md5"):
        load_tied("breastmnist")


def test_a_score_on_a_part_is_that_of_its_predictions(results_tree):
    run = fabricate_run(wrong=20)
    assert score_on(run, np.arange(156))["accuracy"] == pytest.approx(1 - 20 / 156)
    y_true, probabilities = run.predictions("test")
    part = np.arange(30, 90)
    score = score_on(run, part)
    assert score["auc"] == pytest.approx(roc_auc_score(y_true[part], probabilities[part, 1]))
    one_class = score_on(run, np.flatnonzero(y_true == 1))
    assert one_class["auc"] is None and one_class["accuracy"] is not None


def test_a_part_of_one_class_has_no_auc(results_tree, tied_images):
    fabricate_run()
    tied_images(n=3, index=[1, 3, 5], label=1)
    text, table = second_scores(results_tree)
    assert np.isnan(table["auc_tied_mean"].item()) and table["auc_free_mean"].item() > 0.5
    assert "| undefined |" in text


def test_the_committed_lists_say_which_images_are_free():
    breast, blood, derma = (load_tied(d) for d in ("breastmnist", "bloodmnist", "dermamnist"))
    assert (len(breast.free), breast.n_test) == (110, 156)
    assert (len(blood.index), len(derma.index)) == (7, 773)
    assert len(np.intersect1d(breast.free, breast.index)) == 0


@pytest.mark.parametrize("name", ["breastmnist_64", "bloodmnist", "npz:dermamnist_rebuilt"])
def test_the_committed_lists_are_what_the_data_give(name):
    root, file = data_root(), f"{name.removeprefix('npz:')}.npz"
    if root is None or not any((root / place / file).is_file() for place in ("medmnist", "npz")):
        pytest.skip(f"{name} is not in REPRO_DATA")
    dataset, text = find_tied(name)
    assert text == (leakage_dir() / f"{dataset}.csv").read_text()


def test_a_verdict_on_a_level_stands_beside_both_intervals_and_the_second_score(
    results_tree, tied_images
):
    tied_images()
    runs = [fabricate_run(seed=seed, wrong=20 + seed, epochs=40) for seed in range(5)]
    groups, rules = group_runs(list_runs(results_tree)), load_rules()
    (group,) = groups
    here, one_more = (
        "{:.1f} to {:.1f}".format(*(100 * end for end in (found.low, found.high)))
        for found in (group.estimate("accuracy", how) for how in (mean_here, one_more_run))
    )
    free = np.mean([score_on(run, np.arange(46, 156))["accuracy"] for run in runs])
    pages = accuracy.medmnist_pages(groups, rules)
    texts = [pages.block, pages.files["medmnist_accuracy.md"], answer_block((), groups, rules)]
    for text in texts:
        (line,) = [x for x in text.splitlines() if COMPATIBLE in x and x.startswith("| ")]
        assert here in line and one_more in line and f"| {100 * free:.1f} ± " in line
        assert "(110 images) |" in line
    cells = table2.cell_table(judge_cells(groups, load_table2(), rules=rules))
    assert {column.title for column in accuracy.LEVEL} <= {*cells.head}


def test_the_answer_says_how_many_images_are_free_and_why():
    assert "110 of 156 BreastMNIST images (no near copy there)" in tied_sentence()
    assert "1,232 of 2,005 DermaMNIST images (no other image of their lesion there)" in (
        tied_sentence()
    )
