"""Tuning on validation data, and that the recipes hold what it found."""

import pandas as pd
import pytest

from helpers import experiment
from helpers.config import ConfigError, load_recipes
from helpers.matrix import load_matrix
from helpers.paths import repo_root
from helpers.tuning import load_tuning, summary, tune

FILES = sorted((repo_root() / "params").glob("tuning_*.yaml"))
ROWS = """
profile: paper
parameter: learning_rate
rows:
  - recipe: brain_inspired
    dataset: phantom
    model: linear_resnet18
    pretrained: none
    image_size: 28
    epochs: 2
    warmup_epochs: 1
    learning_rate: [0.001, 0.01]
    seed: 100
"""


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_setting_with_the_highest_validation_auc_is_used(file):
    parameter, configs = load_tuning(file)
    frame = pd.read_csv(repo_root() / "results" / "tuning" / f"{file.stem}.csv")
    assert len(frame) == len(configs)
    best = summary(frame).iloc[0]
    recipe, optimizer = best["recipe"], configs[0].optimizer
    used = load_recipes()[recipe][parameter]
    if optimizer != load_recipes()[recipe]["optimizer"]:  # then the rate stands in the matrix
        runs = [run for run in load_matrix("paper") if run.recipe == recipe]
        (used,) = {getattr(run, parameter) for run in runs if run.optimizer == optimizer}
    assert used == best["setting"]


def test_it_trains_what_is_missing_and_never_predicts_the_test_split(tmp_path, monkeypatch):
    def refuse(*arguments, **options):
        raise AssertionError("tuning must not predict")

    monkeypatch.setattr(experiment, "predict", refuse)
    file, table = tmp_path / "t.yaml", tmp_path / "t.csv"
    file.write_text(ROWS)
    frame = tune(file, table=table)
    assert frame["setting"].tolist() == [0.001, 0.01]
    assert frame["val_auc"].between(0, 1).all()
    before = table.read_bytes()
    monkeypatch.setattr("helpers.tuning.fit_from_config", refuse)
    tune(file, table=table)
    assert table.read_bytes() == before


def test_a_file_that_tunes_nothing_is_refused(tmp_path):
    file = tmp_path / "t.yaml"
    file.write_text(ROWS.replace("parameter: learning_rate", ""))
    with pytest.raises(ConfigError, match="parameter"):
        load_tuning(file)
    file.write_text(ROWS.replace("[0.001, 0.01]", "0.001"))
    with pytest.raises(ConfigError, match="row 1: learning_rate must be a list"):
        load_tuning(file)
