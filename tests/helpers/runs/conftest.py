"""A run that is trained in a moment, on synthetic images."""

import pytest

from helpers.config import make_config
from helpers.data.phantom import make_phantom
from helpers.runs.experiment import run_experiment


@pytest.fixture
def splits():
    return make_phantom(n_train=32, n_val=16, n_test=16)


@pytest.fixture
def run(results_tree, splits):
    config = make_config(
        recipe="quick",
        dataset="phantom",
        model="mobilenet_v2",
        seed=3,
        pretrained="none",
        profile="quick",
        image_size=28,
        epochs=1,
    )
    return run_experiment(config, splits=splits)
