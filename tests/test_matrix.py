"""The matrix of runs and its way to papermill."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from helpers.config import PROFILES, TRAIN_PARAMETERS, ConfigError, make_config
from helpers.matrix import expand_matrix, load_matrix, papermill_yaml
from helpers.paths import repo_root

ROW = {
    "recipe": "common",
    "dataset": ["breastmnist", "pneumoniamnist"],
    "model": ["medspectralnet", "resnet18"],
    "pretrained": "none",
    "seed": [0, 1],
}


def test_a_row_is_the_product_of_its_lists_first_seeds_first():
    configs = expand_matrix({"profile": "paper", "rows": [ROW]}, file=Path("x.yaml"))
    assert len(configs) == 8
    assert [config.seed for config in configs] == [0] * 4 + [1] * 4
    assert len(set(configs)) == 8


@pytest.mark.parametrize("profile", PROFILES)
def test_the_shipped_matrices_are_valid_and_of_their_profile(profile):
    assert {config.profile for config in load_matrix(profile)} == {profile}


def test_the_same_run_twice_is_refused():
    with pytest.raises(ConfigError, match="asks twice"):
        expand_matrix({"profile": "paper", "rows": [ROW, ROW]}, file=Path("x.yaml"))


def test_a_wrong_row_is_named():
    with pytest.raises(ConfigError, match=r"x.yaml, row 2: unknown parameter sede"):
        expand_matrix(
            {"profile": "paper", "rows": [ROW, ROW | {"seed": 5, "sede": 1}]}, file=Path("x.yaml")
        )


def test_an_unknown_profile_lists_the_known_ones():
    with pytest.raises(ConfigError, match=r"known profiles: paper, phantom, quick"):
        load_matrix("full")


def test_a_stand_in_takes_every_data_set_once():
    configs = load_matrix("paper", rename=lambda name: "phantom")
    assert {config.dataset for config in configs} == {"phantom"}
    assert len(set(configs)) == len(configs)


@pytest.mark.parametrize("learning_rate", [1e-3, 1e-4, 1e-5])
def test_papermill_reads_back_what_was_written(learning_rate):
    values = {k: v for k, v in ROW.items() if not isinstance(v, list)}
    config = make_config(
        **values, dataset="cag:x/y", model="resnet18", seed=1, learning_rate=learning_rate
    )
    read = yaml.safe_load(papermill_yaml(config, names=TRAIN_PARAMETERS))
    assert read == {name: getattr(config, name) for name in TRAIN_PARAMETERS}
    assert make_config(**read) == config


def test_every_shipped_run_reaches_papermill_whole():
    """A row may override only what 04_train takes; the rest would be lost on the way."""
    for config in load_matrix("paper"):
        read = yaml.safe_load(papermill_yaml(config, names=TRAIN_PARAMETERS))
        assert make_config(**read) == config


def test_the_dry_run_plans_every_run(tmp_path):
    done = subprocess.run(
        f"{sys.executable} -m snakemake --dry-run --cores 2 --quiet rules "
        "--config profile=quick -- quick",
        shell=True,
        cwd=repo_root(),
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "REPRO_RESULTS": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    planned = [line.split() for line in (done.stdout + done.stderr).splitlines()]
    assert ["train", str(len(load_matrix("quick")))] in planned
