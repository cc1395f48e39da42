"""Recipes, configurations and notebook parameters."""

import dataclasses
import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers import config
from helpers.config import (
    FIELD_DEFAULTS,
    TRAIN_PARAMETERS,
    ConfigError,
    RunConfig,
    load_recipes,
    make_config,
    notebook_parameters,
)

BASE = {
    "recipe": "common",
    "dataset": "breastmnist",
    "model": "medspectralnet",
    "seed": 0,
    "pretrained": "none",
}


def test_every_recipe_fills_every_field():
    for recipe in load_recipes():
        assert make_config(**BASE | {"recipe": recipe}).recipe == recipe


def test_epochs_follow_the_data_set_whatever_its_size():
    epochs = load_recipes()["common"]["epochs"]
    assert make_config(**BASE | {"dataset": "breastmnist_64"}).epochs == epochs["breastmnist"]
    assert make_config(**BASE | {"dataset": "pneumoniamnist"}).epochs == epochs["pneumoniamnist"]
    assert make_config(**BASE | {"dataset": "bloodmnist_224"}).epochs == epochs["default"]
    ranking = BASE | {"recipe": "ranking", "dataset": "npz:dermamnist_rebuilt"}
    assert make_config(**ranking).epochs == load_recipes()["ranking"]["epochs"]["dermamnist"]
    assert make_config(**ranking | {"dataset": "npz:other"}).epochs == 10


@pytest.mark.parametrize(
    ("key", "instead"),
    [
        ("breastmnist_64", "breastmnist"),
        ("npz:dermamnist_rebuilt", "dermamnist"),
        ("folder:mine", "cag:mine"),
    ],
)
def test_epochs_that_no_data_set_would_get_are_refused(monkeypatch, key, instead):
    """They were ignored once, and a run had another length than its recipe said."""
    recipes = {"common": load_recipes()["common"] | {"epochs": {"default": 2, key: 1}}}
    monkeypatch.setattr(config, "_recipe_file", lambda: recipes)
    with pytest.raises(ConfigError, match=f"common: epochs has the key '{key}'.*write '{instead}'"):
        load_recipes.__wrapped__()


def test_two_words_for_an_image_folder_are_one_run():
    old, new = (make_config(**BASE | {"dataset": f"{word}:mine/x"}) for word in ("cag", "folder"))
    assert old == new and old.hash() == new.hash() and new.dataset == "cag:mine/x"


def test_paper_b_trains_its_200_epochs_and_a_tenth_on_the_larger_sets():
    def epochs(dataset):
        return make_config(**BASE | {"recipe": "paper_b", "dataset": dataset}).epochs

    long, short = ("breastmnist", "organcmnist"), ("pneumoniamnist", "bloodmnist_28", "dermamnist")
    assert [epochs(name) for name in long] == [200, 200]
    assert [epochs(name) for name in (*short, "npz:dermamnist_rebuilt")] == [20] * 4


def test_an_override_wins_and_none_leaves_the_recipe():
    assert make_config(**BASE, epochs=3, cutmix=None).epochs == 3
    assert make_config(**BASE, cutmix=None).cutmix == load_recipes()["common"]["cutmix"]


def test_hash_ignores_the_seed_and_the_profile_and_nothing_else():
    config = make_config(**BASE)
    same = {"seed": 7, "profile": "quick"}
    other = {
        "recipe": "medmnist_v2",
        "dataset": "phantom",
        "model": "resnet18",
        "image_size": 96,
        "epochs": 99,
        "batch_size": 7,
        "learning_rate": 0.5,
        "optimizer": "sgd",
        "schedule": "cosine",
        "augmentation": "normal",
        "cutmix": 0.25,
        "pretrained": "imagenet",
        "weight_decay": 0.5,
        "label_smoothing": 0.25,
        "ema_decay": None,
        "flip_average": False,
        "precision": "bf16",
        "patience": 5,
        "stop_at_accuracy": 0.9,
        "sampling": "balanced",
        "imbalance": 4.0,
        "label_noise": 0.1,
        "n_train": 100,
        "normalisation": "half",
        "test_curve": True,
    }
    together = {  # fields that only go with one another
        "loss": {"loss": "focal"},
        "focal_gamma": {"loss": "focal", "focal_gamma": 2.0},
        "focal_alpha": {"loss": "focal", "focal_alpha": "balanced"},
        "focal_reading": {"loss": "focal", "focal_reading": "hard_pt"},
        "cycle_momentum": {"schedule": "one_cycle", "cycle_momentum": True},
        "plasticity": {"plasticity": "high"},
        "warmup_epochs": {"plasticity": "staged", "warmup_epochs": 1},
        "channels": {"channels": "native", "normalisation": "half"},
    }
    every = {field.name for field in dataclasses.fields(RunConfig)}
    assert set(same) | set(other) | set(together) == every
    for name, value in same.items():
        assert dataclasses.replace(config, **{name: value}).hash() == config.hash()
    changes = [*({name: value} for name, value in other.items()), *together.values()]
    hashes = {dataclasses.replace(config, **change).hash() for change in changes}
    assert len(hashes | {config.hash()}) == len(changes) + 1


def test_a_field_at_its_default_leaves_the_hash_of_older_runs_alone():
    config = make_config(**BASE)
    identity = {k: v for k, v in config.to_dict().items() if k not in ("seed", "profile")}
    older = {k: v for k, v in identity.items() if k not in FIELD_DEFAULTS}
    text = json.dumps(older, sort_keys=True, separators=(",", ":"))
    assert config.hash() == hashlib.sha256(text.encode()).hexdigest()[:10]


def test_an_int_for_a_float_gives_the_same_run():
    config = make_config(**BASE)
    assert make_config(**BASE, cutmix=1).hash() == dataclasses.replace(config, cutmix=1.0).hash()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ({"learning_rate": "1e-4"}, "write 1.0e-4"),
        ({"learning_rate": float("nan")}, "learning_rate must be a finite number, got nan"),
        ({"epochs": 2.5}, "epochs must be int, got 2.5"),
        ({"epochs": True}, "epochs must be int, got True"),
        ({"epochs": 0}, "epochs must be at least 1"),
        ({"focal_reading": "hard_pt"}, "focal_reading belongs to loss='focal'"),
        ({"loss": "focal", "focal_reading": "soft"}, "one of hard_pt, soft_pt, linear, exp_ce"),
        ({"schedule": "cosine", "cycle_momentum": True}, "belongs to schedule='one_cycle'"),
        ({"seed": -1}, "seed must be at least 0"),
        ({"image_size": 27}, "image_size must be at least 28"),
        ({"optimizer": "lion"}, "optimizer must be one of adamw, adam, sgd, rmsprop"),
        ({"schedule": "linear"}, "schedule must be one of one_cycle"),
        ({"pretrained": "auto"}, "pretrained must be one of imagenet, none"),
        ({"cutmix": 1.5}, "cutmix must be at most 1, got 1.5"),
        ({"recipe": "comon"}, "unknown recipe 'comon'; known: common"),
        ({"n_train": 1}, "n_train must be at least 2, got 1"),
        ({"normalisation": "none"}, "normalisation must be one of imagenet, half"),
        ({"channels": "native"}, "channels='native' goes with normalisation='half'"),
        ({"test_curve": 1}, "test_curve must be bool, got 1"),
        ({"sede": 3}, "unknown parameter sede; known: .*seed"),
        ({"model": None}, "model must be str, got None"),
        ({"optimizer": False}, "optimizer must be str, got False. YAML reads yes, no, on and off"),
    ],
)
def test_what_is_wrong_is_named(override, message):
    with pytest.raises(ConfigError, match=message):
        make_config(**BASE | override)


def test_notebook_parameters_are_returned_checked():
    values = dict.fromkeys(TRAIN_PARAMETERS) | BASE | {"profile": "paper", "_hidden": 1, "In": []}
    read = notebook_parameters(values, expected=TRAIN_PARAMETERS)
    assert read["dataset"] == "breastmnist"
    assert "_hidden" not in read


def test_a_misspelt_notebook_parameter_fails_and_lists_the_known_ones():
    values = dict.fromkeys(TRAIN_PARAMETERS) | BASE | {"profile": "paper", "sede": 3}
    with pytest.raises(ConfigError, match=r"unknown parameter sede; known: recipe, dataset, model"):
        notebook_parameters(values, expected=TRAIN_PARAMETERS)


def test_a_missing_or_ill_typed_notebook_parameter_fails():
    values = dict.fromkeys(TRAIN_PARAMETERS) | BASE | {"profile": "paper"}
    with pytest.raises(ConfigError, match="missing parameter cutmix"):
        notebook_parameters(
            {k: v for k, v in values.items() if k != "cutmix"}, expected=TRAIN_PARAMETERS
        )
    with pytest.raises(ConfigError, match="seed must be int, got '3'"):
        notebook_parameters(values | {"seed": "3"}, expected=TRAIN_PARAMETERS)


@given(st.text(min_size=1))
def test_no_unknown_recipe_gets_through(name):
    if name not in load_recipes():
        with pytest.raises(ConfigError):
            make_config(**BASE | {"recipe": name})
