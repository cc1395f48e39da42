"""A run that is trained in a moment, on synthetic images."""

import pytest

from helpers.data.phantom import make_phantom
from helpers.runs.experiment import run_experiment
from tests.fabricated import phantom_config


@pytest.fixture
def splits():
    return make_phantom(n_train=32, n_val=16, n_test=16)


@pytest.fixture
def run(results_tree, splits):
    config = phantom_config(recipe="quick", seed=3, profile="quick", epochs=1)
    return run_experiment(config, splits=splits)
