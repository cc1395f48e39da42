import json

import numpy as np
import pytest

from helpers import evaluation, metrics
from helpers.results import RunError, find_runs, load_run
from tests import fabricated
from tests.fabricated import fabricate_run

WANTED = {
    "recipe": "common",
    "dataset": "breastmnist",
    "model": "medspectralnet",
    "seed": 0,
    "pretrained": "imagenet",
    "profile": "paper",
}


@pytest.fixture
def honest(results_tree, monkeypatch):
    """Runs whose record holds what training would have written from their predictions."""
    for name in ("evaluate", "per_class"):
        function = getattr(metrics, name)
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
    assert evaluation.open_run(WANTED).path == run.path


def test_two_runs_that_fit_are_told_apart(results_tree):
    fabricate_run(epochs=3)
    run = fabricate_run(epochs=5)
    with pytest.raises(RunError, match=r"2 runs .* differ in epochs \(3, 5\)"):
        evaluation.open_run(WANTED)
    assert evaluation.open_run(WANTED | {"epochs": 5}).path == run.path


def test_of_several_the_recipe_unchanged_is_meant(results_tree):
    wanted = WANTED | {"recipe": "brain_inspired", "model": "brain_inspired_resnet18"}
    common = {"recipe": "brain_inspired", "model": "brain_inspired_resnet18", "epochs": None}
    fabricate_run(**common, focal_gamma=0.0)
    run = fabricate_run(**common)
    fabricate_run(**common, sampling="shuffle")
    assert evaluation.open_run(wanted).path == run.path


def test_a_missing_run_is_an_error_that_names_what_there_is(results_tree, monkeypatch):
    monkeypatch.delenv("REPRO_STAND_IN", raising=False)
    fabricate_run(seed=3)
    with pytest.raises(RunError, match="seed 3"):
        evaluation.open_run(WANTED)


def test_a_record_that_follows_from_its_predictions_passes(honest):
    # 2 splits x 11 metrics and 2 classes x 6, each value, low, high, n; and two counts a class.
    assert evaluation.check_record(fabricate_run()) == (2 * 11 + 2 * 6) * 4 + 2 * 2


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (lambda r: r["metrics"]["test"]["auc"].update(value=0.5), "metrics.test.auc.value"),
        (lambda r: r["metrics"]["val"]["ppv"].update(low=None), "metrics.val.ppv.low"),
        (lambda r: r["per_class"][1]["f1"].update(method="guess"), r"per_class\[1\].f1.method"),
        (lambda r: r["metrics"]["test"].pop("ece"), "metrics.test: "),
    ],
)
def test_a_record_that_does_not_follow_is_named(honest, change, place):
    with pytest.raises(RunError, match=f"disagree at {place}"):
        evaluation.check_record(tamper(fabricate_run(), change))


def test_tables_show_values_with_their_intervals(honest):
    run = fabricate_run()
    table = evaluation.metric_table(run.record["metrics"]["test"])
    accuracy = metrics.Estimate(**run.record["metrics"]["test"]["accuracy"])
    assert table.loc["accuracy"].tolist() == [str(accuracy), 156, "Wilson"]
    assert len(table) == 11
    classes = evaluation.class_table(run.record["per_class"])
    assert list(classes.index) == ["malignant", "normal or benign"]
    assert classes["n"].sum() == 156 and "(" in classes.loc["malignant", "auc"]


def test_seed_table_has_sample_sd_and_marks_one_seed_as_unknown(results_tree):
    runs = [fabricate_run(seed=seed, wrong=wrong) for seed, wrong in enumerate((10, 20, 30))]
    wanted = {name: value for name, value in runs[0].config.items() if name != "seed"}
    row = evaluation.seed_table(find_runs(**wanted)).loc["accuracy"]
    accuracies = 1 - np.array([10, 20, 30]) / 156
    assert row["mean"] == pytest.approx(accuracies.mean())
    assert row["sd"] == pytest.approx(accuracies.std(ddof=1)) and row["n"] == 3
    single = evaluation.seed_table(runs[:1]).loc["accuracy"]
    assert np.isnan([single["sd"], single["low"], single["high"]]).all() and single["n"] == 1
