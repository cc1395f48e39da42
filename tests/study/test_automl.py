"""AutoML runs: the plan, one search, what it stores, and the rows of the tables."""

import json
import sys
import time
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
import yaml
from sklearn.metrics import log_loss

from helpers.data.splits import Split, Splits
from helpers.metrics.scores import evaluate
from helpers.models.backbones import WeightsUnavailable
from helpers.paths import repo_root
from helpers.runs import experiment
from helpers.runs.store import RECORD_KEYS, RunError
from study.automl import search as automl
from study.automl.rows import automl_rows
from study.automl.search import (
    AutoMLError,
    Features,
    SearchResult,
    list_automl_runs,
    main,
    pixel_features,
    run_automl,
    search,
)
from study.plans.automl import automl_root, load_plan
from study.plans.form import PlanError
from tests.conftest import toy_split

PLAN = load_plan()


def config_of(dataset="toy", system="flaml_pixels", seed=0, **options):
    """A search of a few trials with the quick estimators."""
    plan = PLAN.model_copy(update={"estimators": ("lgbm", "rf", "extra_tree")})
    options = options or {"max_trials": 6}
    return plan.config(dataset, system, seed, **options)


def features_of(splits):
    return Features(splits, config_of())


@pytest.fixture
def found(monkeypatch):
    """Replace the search by one that finds the class from the brightness; count its calls."""
    calls = []

    def predict(x):
        bright = np.clip(x.mean(axis=1), 0.01, 0.99)
        return np.stack([1 - bright, bright], axis=1)

    def fake(config, train, val, *, num_classes):
        calls.append(config)
        history = [{"trial": 1, "estimator": "rf", "val_log_loss": 0.5, "cpu_seconds": 0.1}]
        return SearchResult(predict, "rf", {"trees": 4}, 0.5, {"rf": 3}, history, 1.0, 0.9)

    monkeypatch.setattr(automl, "search", fake)
    few_resamples(monkeypatch)
    return calls


def few_resamples(monkeypatch):
    """Intervals by the bootstrap are not what most of these tests are about."""
    for name in ("evaluate", "per_class"):
        few = partial(getattr(experiment, name), n_resamples=20)
        monkeypatch.setattr(experiment, name, few)


# --- plan ----------------------------------------------------------------------------------------


def test_the_plan_covers_both_systems_and_states_one_budget():
    configs = PLAN.configs()
    assert len({config.folder for config in configs}) == len(configs)
    assert {config.model for config in configs} == {"flaml_pixels", "flaml_resnet18"}
    assert all((c.time_budget_seconds is None) != (c.max_trials is None) for c in configs)
    assert all(entry.reason and entry.checked for entry in PLAN.not_run)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sytems": {}}, "unknown key 'sytems'; known: .*Did you mean 'systems'"),
        ({"systems": None}, "systems: .*dictionary, got None"),
        ({"systems": {"auto_sklearn": {"image_size": 28}}}, "known: flaml_pixels, flaml_resnet18"),
        ({"seeds": [0, 0]}, "seeds: 0 stands twice"),
        ({"seeds": []}, "seeds: .*at least 1 item"),
        ({"time_budget_seconds": 0}, "time_budget_seconds: .*greater than 0, got 0"),
        ({"time_budget_seconds": None}, "one budget"),
        ({"seeds": ["0"]}, r"seeds\.0: .*valid integer, got '0'"),
    ],
)
def test_a_plan_that_is_wrong_says_where(tmp_path, change, message):
    content = yaml.safe_load((repo_root() / "params" / "automl.yaml").read_text())
    file = tmp_path / "automl.yaml"
    file.write_text(yaml.safe_dump(content | change))
    with pytest.raises(PlanError, match=message) as error:
        load_plan(file)
    assert "automl.yaml" in str(error.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"time_budget_seconds": 0.0}, "time_budget_seconds: .*greater than 0, got 0.0"),
        ({"time_budget_seconds": "60"}, "time_budget_seconds: .*valid number, got '60'"),
        ({"time_budget_seconds": float("inf")}, "time_budget_seconds: .*finite number, got inf"),
        ({"max_trials": 1}, "max_trials: .*equal to 2, got 1"),
        ({"max_trials": 3, "time_budget_seconds": 3.0}, "one budget"),
        ({"seed": -1}, "seed: .*equal to 0, got -1"),
        ({"system": "autokeras"}, "'autokeras'; known: flaml_pixels, flaml_resnet18"),
        ({"profile": "fast"}, "profile: Input should be 'paper', .* got 'fast'"),
    ],
)
def test_a_search_that_cannot_be_is_refused(options, message):
    with pytest.raises(PlanError, match=message):
        config_of(**options)


def test_the_hash_knows_the_budget_but_not_the_seed():
    base = config_of(max_trials=6)
    assert config_of(max_trials=6, seed=3).hash() == base.hash()
    others = [config_of(max_trials=7), config_of(time_budget_seconds=6.0), config_of("breastmnist")]
    assert len({base.hash(), *(config.hash() for config in others)}) == 4


# --- features ------------------------------------------------------------------------------------


def test_pixels_are_all_values_from_0_to_1():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)
    split = Split(images=images, labels=np.zeros(5, np.int64))
    same = pixel_features(split, image_size=8)
    assert same.dtype == np.float32
    np.testing.assert_allclose(same, images.transpose(0, 3, 1, 2).reshape(5, -1) / 255, rtol=1e-6)
    small = pixel_features(split, image_size=4)
    assert small.shape == (5, 48) and small.min() >= 0 and small.max() <= 1
    # An average over pixels keeps the mean, but for the weights at the border.
    np.testing.assert_allclose(small.mean(), same.mean(), atol=0.02)


def test_a_frozen_backbone_gives_pooled_features(toy_splits, monkeypatch):
    trunk = torch.nn.Conv2d(3, 7, 3, stride=2)
    asked = {}

    def build(name, **options):
        asked.update(options, name=name)
        return trunk, 7

    monkeypatch.setattr(automl, "build_trunk", build)
    config = config_of(system="flaml_resnet18")
    features = Features(toy_splits, config)
    of_val = features.of("val")
    assert of_val.shape == (24, 7) and of_val.dtype == np.float32
    assert asked["name"] == "resnet18" and asked["pretrained"] == "imagenet"
    assert asked["image_size"] == config.image_size == 128
    assert features.of("val") is of_val and features.seconds > 0


def test_weights_that_cannot_be_had_are_named(toy_splits, monkeypatch, results_tree):
    def missing(*_, **__):
        raise WeightsUnavailable("resnet18-f37072fd.pth is not here")

    monkeypatch.setattr(automl, "build_trunk", missing)
    config = config_of(system="flaml_resnet18")
    with pytest.raises(AutoMLError, match=r"TORCH_HOME.*flaml_pixels.*resnet18-f37072fd"):
        run_automl(config, features=Features(toy_splits, config))
    assert not list(results_tree.rglob("*.json"))


# --- search --------------------------------------------------------------------------------------


def searched(splits, config):
    features = Features(splits, config)
    return search(
        config,
        (features.of("train"), splits.train.labels),
        (features.of("val"), splits.val.labels),
        num_classes=splits.num_classes,
    )


def noisy(splits):
    """A harder task, on which settings matter: some labels are wrong."""
    labels = splits.train.labels.copy()
    labels[::5] = 1 - labels[::5]
    return replace(splits, train=replace(splits.train, labels=labels))


def test_validation_selects_and_trials_repeat_exactly(toy_splits):
    splits = noisy(toy_splits)
    config = config_of(max_trials=9)
    first, second = searched(splits, config), searched(splits, config)
    assert sum(first.trials.values()) == 9
    assert set(first.trials) == {"lgbm", "rf", "extra_tree"}
    losses = [row["val_log_loss"] for row in first.history]
    assert losses == sorted(losses, reverse=True) and losses[-1] == first.value
    val = pixel_features(splits.val, image_size=28)
    probabilities = first.predict(val)
    # The selected model is the one that was scored: it was not trained again with validation data.
    assert log_loss(splits.val.labels, probabilities) == pytest.approx(first.value, rel=1e-9)
    np.testing.assert_array_equal(probabilities, second.predict(val))
    assert (first.estimator, first.settings) == (second.estimator, second.settings)


def test_a_budget_in_seconds_ends_the_search(toy_splits):
    found = searched(noisy(toy_splits), config_of(time_budget_seconds=1.0))
    # Processor time, so it holds on a busy machine; a trial that has begun may end later.
    assert 0.9 < found.cpu_seconds < 3 and found.history[-1]["cpu_seconds"] < 3
    assert sum(found.trials.values()) >= 1
    # The clock is the wall's again.
    assert time.time() > 1e9


def test_colour_and_a_class_without_validation_image():
    def split(n, classes, seed):
        grey = toy_split(n, num_classes=3, seed=seed)
        keep = np.isin(grey.labels, classes)
        return Split(images=np.repeat(grey.images[keep], 3, axis=3), labels=grey.labels[keep])

    splits = Splits(
        name="toy",
        train=split(45, (0, 1, 2), 0),
        val=split(30, (0, 2), 1),
        test=split(30, (0, 1, 2), 2),
        class_names=("a", "b", "c"),
        source="toy",
    )
    found = searched(splits, config_of(max_trials=4))
    probabilities = found.predict(pixel_features(splits.test, image_size=28))
    assert probabilities.shape == (30, 3)
    assert (probabilities.argmax(axis=1) == splits.test.labels).mean() > 0.6


def test_validation_images_of_one_class_cannot_select(toy_splits):
    val = Split(images=toy_splits.val.images, labels=np.zeros_like(toy_splits.val.labels))
    with pytest.raises(AutoMLError, match="one class only"):
        searched(replace(toy_splits, val=val), config_of())


def test_no_usable_model_is_an_error(toy_splits, monkeypatch):
    monkeypatch.setattr(automl, "log_loss", lambda *_, **__: float("inf"))
    with pytest.raises(AutoMLError, match=r"no trial of flaml_pixels on toy.*6 trials"):
        searched(toy_splits, config_of())


def test_without_flaml_the_packages_are_named(toy_splits, monkeypatch, results_tree):
    monkeypatch.setitem(sys.modules, "flaml.automl.automl", None)
    with pytest.raises(AutoMLError, match="packages flaml, lightgbm and xgboost"):
        run_automl(config_of(), features=features_of(toy_splits))
    assert not list(results_tree.rglob("*.json")) + list(results_tree.rglob("*.npz"))


# --- the stored run ------------------------------------------------------------------------------


def test_a_run_on_the_phantom_is_stored_whole_and_apart(results_tree):
    config = config_of("phantom", profile="phantom", max_trials=4)
    run = run_automl(config)
    assert run.path == config.folder
    assert run.path.relative_to(results_tree).parts[:6] == (
        *("phantom", "automl", "runs", "automl", "phantom", "flaml_pixels"),
    )
    record = json.loads((run.path / "run.json").read_text())
    assert tuple(record) == RECORD_KEYS
    assert record["data"]["phantom"] and record["data"]["image_size"] == 64
    assert record["model"]["features"] == 28 * 28
    for split in ("val", "test"):
        y_true, probabilities = run.predictions(split)
        assert probabilities.dtype == np.float32 and len(y_true) == record["data"]["n"][split]
        fresh = {k: v.to_dict() for k, v in evaluate(y_true, probabilities).items()}
        assert fresh == record["metrics"][split]
    assert record["selection"]["trials"] == 4
    loss = log_loss(*run.predictions("val"))
    assert record["selection"]["value"] == pytest.approx(loss, rel=1e-5)
    assert np.sum(record["confusion_matrix"]) == record["data"]["n"]["test"]
    assert record["env"]["flaml"] and record["env"]["xgboost"] and record["timing"]["cpu_seconds"]
    assert list_automl_runs(PLAN) == []
    assert not (results_tree / "runs").exists()


def test_synthetic_images_stay_out_of_the_paper_profile(toy_splits, results_tree, found):
    splits = replace(toy_splits, name="phantom")
    with pytest.raises(AutoMLError, match="never enter the paper profile"):
        run_automl(config_of("phantom"), features=features_of(splits))
    assert not found


def test_a_stored_run_is_loaded(toy_splits, results_tree, found):
    config = config_of()
    first = run_automl(config, features=features_of(toy_splits))
    again = run_automl(config)  # no data needed
    assert again.record == first.record and len(found) == 1
    with pytest.raises(RunError, match="restore the data"):
        run_automl(config, features=features_of(replace(toy_splits, md5="1" * 32)))


def test_the_test_split_is_not_seen_before_the_search_ends(toy_splits, results_tree, monkeypatch):
    few_resamples(monkeypatch)
    seen = []
    real_of, real_search = Features.of, automl.search

    def of(self, name):
        seen.append(name)
        return real_of(self, name)

    def spied(*arguments, **options):
        assert "test" not in seen
        result = real_search(*arguments, **options)
        seen.append("searched")
        return result

    monkeypatch.setattr(Features, "of", of)
    monkeypatch.setattr(automl, "search", spied)
    other = replace(toy_splits, test=toy_split(24, seed=9))
    runs = [
        run_automl(config_of(dataset, max_trials=3), features=features_of(splits))
        for dataset, splits in (("toy", toy_splits), ("other", other))
        if not seen.clear()
    ]
    assert seen[:4] == ["train", "val", "searched", "val"] and "test" in seen[4:]
    # Another test split changes nothing of what was selected.
    np.testing.assert_array_equal(*(run.predictions("val")[1] for run in runs))


def test_a_search_that_breaks_leaves_nothing(toy_splits, results_tree, monkeypatch):
    def broken(*_, **__):
        raise MemoryError("too many trees")

    monkeypatch.setattr(automl, "search", broken)
    with pytest.raises(MemoryError):
        run_automl(config_of(), features=features_of(toy_splits))
    assert not list(results_tree.rglob("*.json")) + list(results_tree.rglob("*.npz"))


# --- tables --------------------------------------------------------------------------------------


def planned(dataset, system="flaml_pixels", seed=0, **options):
    return PLAN.config(dataset, system, seed, **options)


def test_only_runs_of_the_protocol_on_real_images_are_listed(toy_splits, results_tree, found):
    features = features_of(toy_splits)
    stored = [run_automl(planned("toy", seed=seed), features=features) for seed in (0, 1)]
    run_automl(planned("toy", max_trials=5), features=features)
    run_automl(planned("toy", profile="quick"), features=features)
    assert [run.path for run in list_automl_runs(PLAN)] == [run.path for run in stored]
    assert automl_root() == results_tree / "automl"


def test_rows_hold_published_values_with_a_reason_and_ours(toy_splits, results_tree, found):
    for seed in (0, 1):
        run_automl(planned("breastmnist", seed=seed), features=features_of(toy_splits))
    rows = {row.name: row for row in automl_rows()}
    assert list(rows)[:3] == ["auto-sklearn", "AutoKeras", "Google AutoML Vision"]
    for name in list(rows)[:3]:
        row = rows[name]
        assert row.reason and not row.measured and row.system is None
        for dataset in ("breastmnist", "pneumoniamnist"):
            assert {"accuracy", "auc"} <= set(row.published[dataset])
    assert rows["auto-sklearn"].published["breastmnist"]["accuracy"].fraction == 0.803
    ours = rows["FLAML on pixels"]
    assert ours.system == "flaml_pixels" and not ours.published and not ours.reason
    assert ours.measured["breastmnist"].seeds == [0, 1]
    assert ours.measured["breastmnist"].accuracy.seeds == 2
    assert "60 s" in ours.budget
    assert not rows["FLAML on features of a frozen ResNet-18"].measured


def test_no_row_of_ours_bears_a_benchmark_name(results_tree):
    rows = automl_rows()
    ours = [row.name.lower() for row in rows if row.system]
    names = [row.name.lower() for row in rows if row.system is None]
    assert ours and all(name.startswith("flaml") for name in ours)
    assert not any(name in own for name in names for own in ours)


# --- command line --------------------------------------------------------------------------------


def test_the_command_runs_what_is_asked_and_stops_at_what_is_wrong(results_tree, found, capsys):
    assert main(["--system", "autokeras"]) == 1
    assert "known: flaml_pixels" in capsys.readouterr().err
    assert main(["--dataset", "phantom", "--seconds", "0"]) == 1
    assert "time_budget_seconds: Input should be greater than 0, got 0.0" in capsys.readouterr().err
    assert not found
    asked = ["--dataset", "phantom", "--system", "flaml_pixels", "--profile", "phantom"]
    assert main([*asked, "--seed", "3", "4", "--trials", "5"]) == 0
    assert [(config.seed, config.max_trials) for config in found] == [(3, 5), (4, 5)]
    assert "PHANTOM phantom flaml_pixels none seed 3" in capsys.readouterr().out
