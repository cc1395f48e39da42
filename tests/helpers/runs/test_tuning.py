"""Tuning on validation data, and that the recipes hold what it found."""

import multiprocessing
import os
import signal
import time
from dataclasses import asdict
from types import SimpleNamespace

import pandas as pd
import pytest

from helpers.config import ConfigError, load_recipes
from helpers.data.phantom import make_phantom
from helpers.paths import repo_root
from helpers.runs import experiment
from helpers.runs.matrix import load_matrix
from helpers.runs.tuning import VALIDATION, best_settings, load_tuning, rows_of, summary, tune

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
    n_train: 64
    learning_rate: [0.001, 0.01]
    seed: 100
"""


@pytest.fixture
def few_images(monkeypatch):
    splits = make_phantom(n_train=64, n_val=24, n_test=2)
    monkeypatch.setattr("helpers.runs.tuning.load_dataset", lambda name: splits)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_setting_with_the_highest_validation_auc_is_used(file):
    tuning = load_tuning(file)
    parameter, configs = tuning.parameter, tuning.configs
    table = repo_root() / "results" / "tuning" / f"{file.stem}.csv"
    frame = rows_of(pd.read_csv(table), configs) if table.exists() else pd.DataFrame()
    if len(frame) < len(configs):
        pytest.skip(f"being tuned: {len(frame)} of {len(configs)} rows")
    assert len(frame) == len(configs)
    assert dict(zip(frame["run"], frame["dataset"], strict=True)) == {
        config.hash(): config.dataset for config in configs
    }
    if file.stem.endswith("_fp32"):
        return  # no search: it checks what bfloat16 costs
    if tuning.each_model:  # then the settings stand in the matrix of the runs
        for best in best_settings(frame, each_model=True).to_dict("records"):
            assert not best["at_edge"], best
            group = {name: best[name] for name in ("recipe", "model", "pretrained")}
            runs = [run for run in load_matrix("evidence") if group.items() <= asdict(run).items()]
            assert {getattr(run, parameter) for run in runs} == {best["setting"]}, group
        return
    best = summary(frame, measure=VALIDATION[tuning.validation]).iloc[0]
    recipe, optimizer = best["recipe"], configs[0].optimizer
    used = load_recipes()[recipe][parameter]
    if optimizer != load_recipes()[recipe]["optimizer"]:  # then the rate stands in the matrix
        runs = [run for run in load_matrix("paper") if run.recipe == recipe]
        (used,) = {getattr(run, parameter) for run in runs if run.optimizer == optimizer}
    if tuning.validation == "corrupted":  # a choice for one set: its last rows in the matrix
        runs = [run for run in load_matrix("paper") if run.recipe == recipe]
        assert best["setting"] in {
            getattr(run, parameter) for run in runs if run.dataset == best["dataset"]
        }
        return
    assert used == best["setting"]


def test_it_trains_what_is_missing_and_never_predicts_the_test_split(
    tmp_path, monkeypatch, few_images
):
    def refuse(*arguments, **options):
        raise AssertionError("tuning must not predict")

    monkeypatch.setattr(experiment, "predict_as", refuse)
    file, table = tmp_path / "t.yaml", tmp_path / "t.csv"
    file.write_text(ROWS)
    frame = tune(file, table=table)
    assert frame["setting"].tolist() == [0.001, 0.01]
    assert frame["val_auc"].between(0, 1).all()
    before = table.read_bytes()
    monkeypatch.setattr("helpers.runs.tuning.fit_from_config", refuse)
    tune(file, table=table)
    assert table.read_bytes() == before


def outcome(auc):
    """Return what `fit_from_config` would, of a training that reached this."""
    row = {"val_auc": auc, "val_accuracy": 0.5, "val_loss": 1.0}
    return None, SimpleNamespace(history=[row], epoch=1, seconds=0.5), None


def work(file, table, results):
    """Tune in a process of its own; a row takes half a second, and says who trained it."""
    from helpers.runs import tuning

    def slow(config, splits):
        time.sleep(0.5)
        results.put((config.learning_rate, os.getpid()))
        return outcome(0.5)

    tuning.fit_from_config = slow
    tuning.load_dataset = lambda name: None
    tuning.tune(file, table=table)


def test_two_processes_share_the_rows_and_lose_none(tmp_path):
    file, table = tmp_path / "t.yaml", tmp_path / "tuning" / "t.csv"
    rates = [0.001, 0.002, 0.003, 0.004, 0.005, 0.006, 0.007, 0.008]
    file.write_text(ROWS.replace("[0.001, 0.01]", str(rates)))
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    processes = [context.Process(target=work, args=(file, table, results)) for _ in range(2)]
    for process in processes:
        process.start()
    trained = [results.get(timeout=120) for _ in rates]
    for process in processes:
        process.join(120)
        assert process.exitcode == 0
    assert results.empty()
    assert sorted(rate for rate, _ in trained) == rates  # each once
    assert len({process for _, process in trained}) == 2  # neither waited for the other
    assert pd.read_csv(table)["setting"].tolist() == rates


def test_a_killed_process_leaves_its_row_to_the_next(tmp_path, monkeypatch):
    file, table = tmp_path / "t.yaml", tmp_path / "t.csv"
    file.write_text(ROWS)
    context = multiprocessing.get_context("fork")

    def die():
        from helpers.runs import tuning

        tuning.fit_from_config = lambda *a: os.kill(os.getpid(), signal.SIGKILL)
        tuning.tune(file, table=table)

    process = context.Process(target=die)
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    assert not table.exists()
    results = context.Queue()
    work_here = context.Process(target=work, args=(file, table, results))
    work_here.start()
    work_here.join(120)
    assert pd.read_csv(table)["setting"].tolist() == [0.001, 0.01]


def test_the_best_setting_of_each_model_and_the_edge_of_a_grid():
    def rows(model, aucs):
        return [
            {"recipe": "r", "dataset": "d", "model": model, "pretrained": "none"}
            | {"setting": setting, "seed": seed}
            | {"val_auc": auc + offset, "val_loss": 1.0}
            for setting, auc in aucs.items()
            for seed, offset in ((0, 0.01), (1, -0.01))
        ]

    frame = pd.DataFrame(
        rows("inner", {0.1: 0.7, 0.3: 0.8, 1.0: 0.6}) + rows("edge", {0.1: 0.7, 0.3: 0.8, 1.0: 0.9})
    )
    best = best_settings(frame, each_model=True).set_index("model")
    assert best["setting"].to_dict() == {"inner": 0.3, "edge": 1.0}
    assert best["at_edge"].to_dict() == {"inner": False, "edge": True}
    (together,) = best_settings(frame).to_dict("records")
    assert (together["setting"], together["at_edge"], together["runs"]) == (0.3, False, 4)


def test_rows_that_the_table_cannot_tell_apart_are_refused(tmp_path):
    file = tmp_path / "t.yaml"
    second = ROWS[ROWS.index("  - recipe") :].replace("epochs: 2", "epochs: 3")
    file.write_text(ROWS + second)
    with pytest.raises(ConfigError, match=r"2 rows of the table would have one name.*'seed': 100"):
        load_tuning(file)


def test_what_another_protocol_gave_is_not_taken_for_a_row(tmp_path, monkeypatch):
    """Before, a table knew neither data nor protocol: another number of epochs changed nothing."""
    file, table = tmp_path / "t.yaml", tmp_path / "t.csv"
    epochs = []

    def quick(config, splits):
        epochs.append(config.epochs)
        return outcome(config.epochs / 10)

    monkeypatch.setattr("helpers.runs.tuning.fit_from_config", quick)
    for number in (2, 3):
        file.write_text(ROWS.replace("epochs: 2", f"epochs: {number}"))
        assert tune(file, table=table)["val_auc"].tolist() == [number / 10] * 2
    assert epochs == [2, 2, 3, 3]
    assert len(pd.read_csv(table)) == 4  # nothing is lost


def test_names_are_tuned_on_corrupted_images(tmp_path, few_images):
    file, table = tmp_path / "t.yaml", tmp_path / "t.csv"
    rows = ROWS.replace("learning_rate: [0.001, 0.01]", "augmentation: [none, normal]")
    file.write_text(rows.replace("parameter: learning_rate", "parameter: augmentation"))
    with open(file, "a") as handle:
        handle.write("validation: corrupted\n")
    frame = tune(file, table=table)
    assert frame["setting"].tolist() == ["none", "normal"]
    assert frame["corrupted_auc"].between(0, 1).all()
    assert (frame["corrupted_auc"] != frame["val_auc"]).all()
    assert tune(file, table=table).equals(frame)  # read back, nothing trained
    (best,) = best_settings(frame, measure="corrupted_auc").to_dict("records")
    assert best["corrupted_auc"] == frame["corrupted_auc"].max() and not best["at_edge"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("seeds: 3", "unknown key 'seeds'; .*Known: profile, parameter, rows"),
        ("validation: blurred", "unknown validation 'blurred'; .*Known: plain, corrupted"),
    ],
)
def test_a_key_that_nobody_reads_is_refused(tmp_path, line, message):
    file = tmp_path / "t.yaml"
    file.write_text(f"{ROWS}\n{line}\n")
    with pytest.raises(ConfigError, match=message):
        load_tuning(file)


def test_a_file_that_tunes_nothing_is_refused(tmp_path):
    file = tmp_path / "t.yaml"
    file.write_text(ROWS.replace("parameter: learning_rate", ""))
    with pytest.raises(ConfigError, match="parameter"):
        load_tuning(file)
    file.write_text(ROWS.replace("[0.001, 0.01]", "0.001"))
    with pytest.raises(ConfigError, match="row 1: learning_rate must be a list"):
        load_tuning(file)
