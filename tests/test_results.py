"""The run store and the life of a run."""

import dataclasses
import errno
import json
import multiprocessing
import os
import signal
import subprocess
import time

import numpy as np
import pytest
import torch

from helpers import experiment, reproducibility, results
from helpers.config import make_config
from helpers.data.splits import Split, Splits
from helpers.experiment import config_from_parameters, run_experiment
from helpers.metrics import evaluate
from helpers.paths import write_atomically
from helpers.results import (
    RECORD_KEYS,
    RunError,
    find_run,
    find_runs,
    is_stored,
    list_runs,
    load_run,
    lock,
    run_dir,
    run_id,
    save_run,
    summary_line,
)
from tests.fabricated import fabricate_run

CONFIG = make_config(
    recipe="common",
    dataset="phantom",
    model="mobilenet_v2",
    seed=0,
    pretrained="none",
    image_size=28,
    epochs=1,
    batch_size=16,
)


@pytest.fixture
def run(results_tree, toy_splits):
    return run_experiment(CONFIG, splits=toy_splits)


def test_the_folder_names_what_defines_the_run(results_tree):
    config = dataclasses.replace(CONFIG, dataset="cag:arcade_patches/subset800", seed=4)
    expected = results_tree / "runs/common/cag_arcade_patches_subset800/mobilenet_v2"
    assert run_dir(config) == expected / f"{config.hash()}_s4"
    quick = dataclasses.replace(CONFIG, profile="quick")
    assert run_dir(quick).is_relative_to(results_tree / "quick" / "runs")
    assert not run_dir(CONFIG).is_relative_to(results_tree / "quick")


def test_a_record_holds_what_the_schema_promises(run, toy_splits):
    record = run.record
    assert tuple(record) == RECORD_KEYS
    assert record["config"] == CONFIG.to_dict()
    assert record["data"]["n"] == {"train": 48, "val": 24, "test": 24}
    assert record["model"]["params"] > 2e6
    assert record["model"]["weights"] is None
    assert record["selection"]["epoch"] == 1
    assert len(record["per_class"]) == 2
    assert np.sum(record["confusion_matrix"]) == 24
    assert record["env"]["torch"] == torch.__version__
    assert set(record["git"]) == {"sha", "dirty"}
    y_true, probabilities = run.predictions("test")
    assert (y_true == toy_splits.test.labels).all()
    again = {name: value.to_dict() for name, value in evaluate(y_true, probabilities).items()}
    assert again == record["metrics"]["test"]


def test_a_stored_run_is_loaded_not_trained(run, toy_splits, monkeypatch):
    monkeypatch.setattr(experiment, "fit", lambda *a, **k: pytest.fail("trained again"))
    assert run_experiment(CONFIG, splits=toy_splits).record == run.record


def test_another_seed_is_another_run(run, toy_splits):
    other = run_experiment(dataclasses.replace(CONFIG, seed=1), splits=toy_splits)
    assert other.path != run.path
    assert len(list_runs()) == 2


def test_a_stored_run_on_other_data_is_refused(run, toy_splits):
    changed = dataclasses.replace(toy_splits, md5="f" * 32)
    with pytest.raises(RunError, match=r"saw toy with MD5 0+, the data now has f+; restore"):
        run_experiment(CONFIG, splits=changed)


def test_nothing_is_left_but_the_finished_run(run):
    assert {file.name for file in run.path.iterdir()} == {
        "run.json",
        "predictions.npz",
        "history.csv",
        "model.safetensors",
        "run.lock",
    }


def _train_in_process(results, splits, started, trained):
    os.environ["REPRO_RESULTS"] = results
    torch.set_num_threads(1)
    train = experiment._train

    def counted(*arguments):
        with trained.get_lock():
            trained.value += 1
        return train(*arguments)

    experiment._train = counted
    started.wait()
    run_experiment(CONFIG, splits=splits)


def test_two_processes_at_once_train_once(results_tree, toy_splits):
    context = multiprocessing.get_context("spawn")
    started, trained = context.Barrier(2), context.Value("i", 0)
    arguments = (str(results_tree), toy_splits, started, trained)
    both = [context.Process(target=_train_in_process, args=arguments) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join(timeout=600)
    assert [process.exitcode for process in both] == [0, 0]
    assert trained.value == 1
    assert len(list_runs()) == 1


def _hold(folder, held):
    with lock(folder):
        held.set()
        time.sleep(600)


def test_a_killed_holder_lets_go_and_a_living_one_is_named(tmp_path, capsys, monkeypatch):
    context = multiprocessing.get_context("fork")
    held = context.Event()
    holder = context.Process(target=_hold, args=(tmp_path, held))
    holder.start()
    assert held.wait(timeout=60)
    # The one that waits is told for whom; that is the moment to kill it.
    monkeypatch.setattr(
        results, "print", lambda line, **_: (lines.append(line), holder.kill()), False
    )
    lines = []
    with lock(tmp_path):
        holder.join(timeout=60)
    assert holder.exitcode == -signal.SIGKILL
    assert lines[0].startswith(f"waiting for process {holder.pid} on ")
    assert (tmp_path / "run.lock").read_text().startswith(f"process {os.getpid()} on ")


def test_a_file_system_without_locks_is_refused(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(results.fcntl, "flock", refuse)
    message = r"cannot lock .*No locks available.*REPRO_RESULTS"
    with pytest.raises(RunError, match=message), lock(tmp_path):
        pytest.fail("went on without a lock")


def test_a_stored_run_is_never_overwritten(run):
    before = {path: path.read_bytes() for path in run.path.iterdir()}
    record = {k: v for k, v in run.record.items() if k not in ("schema", "config")}
    with pytest.raises(RunError, match="is stored already, and nothing is overwritten"):
        save_run(CONFIG, record=record, predictions={})
    assert {path: path.read_bytes() for path in run.path.iterdir()} == before


def test_damaged_or_foreign_runs_have_their_errors(run, tmp_path):
    file = run.path / "run.json"
    whole = file.read_text()
    file.write_text(whole[:100])
    with pytest.raises(RunError, match="is not valid JSON"):
        load_run(run.path)
    file.write_text(json.dumps(run.record | {"schema": 99}))
    with pytest.raises(RunError, match="has schema 99, this version reads 1"):
        load_run(run.path)
    file.write_text(json.dumps({"schema": 1}))
    with pytest.raises(RunError, match="lacks config, data"):
        load_run(run.path)
    assert not is_stored(CONFIG)
    file.write_text("[]")
    with pytest.raises(RunError, match="holds no record"):
        load_run(run.path)
    file.write_text(whole)
    assert is_stored(CONFIG)
    with pytest.raises(RunError, match="no run in"):
        load_run(tmp_path)


def test_damaged_predictions_have_their_error(run):
    whole = (run.path / "predictions.npz").read_bytes()
    (run.path / "predictions.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(RunError, match=r"cannot read predictions.npz"):
        load_run(run.path).predictions("test")
    with pytest.raises(ValueError, match="split must be val or test, got 'train'"):
        run.predictions("train")


def test_a_record_off_the_schema_is_not_written(results_tree):
    with pytest.raises(RunError, match="record keys differ"):
        save_run(CONFIG, record={"data": {}}, predictions={})
    assert not (run_dir(CONFIG) / "run.json").exists()


def test_undefined_is_null_and_nan_is_refused(run):
    record = {k: v for k, v in run.record.items() if k not in ("schema", "config")}
    record["timing"] = {"train_seconds": float("nan")}
    with pytest.raises(ValueError, match="not JSON compliant"):
        save_run(CONFIG, record=record, predictions={})
    assert load_run(run.path).record == run.record


def test_find_runs_lists_the_nearest(run):
    assert [found.path for found in find_runs(dataset="phantom", seed=0)] == [run.path]
    with pytest.raises(RunError, match=r"no run with model=resnet18; .*mobilenet_v2"):
        find_runs(model="resnet18")


@pytest.fixture
def store(results_tree):
    """Seeds of one experiment, a variant of it, another model and another start."""
    for seed in (0, 1, 10):
        fabricate_run(seed=seed, epochs=None)
    fabricate_run(label_smoothing=0.2, epochs=None)
    fabricate_run(model="resnet18", epochs=None)
    fabricate_run(pretrained="none", epochs=None)
    return list_runs()


def test_a_missing_seed_is_answered_with_the_seeds_there_are(store):
    wanted = {"dataset": "breastmnist", "model": "medspectralnet", "pretrained": "imagenet"}
    with pytest.raises(RunError) as error:
        find_runs(**wanted, seed=7)
    nearest = str(error.value).split("the nearest: ")[1].split("; ")
    assert nearest[0].startswith("common/breastmnist/medspectralnet/")
    # Seeds of one experiment are one line; what a variant has changed is said.
    assert nearest[0].endswith("(imagenet, seeds 0, 1, 10)")
    assert nearest[1].endswith("(imagenet, label_smoothing 0.2, seed 0)")
    assert len(nearest) == 4


def test_a_misspelt_model_is_answered_with_its_neighbour(store):
    with pytest.raises(RunError, match=r"the nearest: common/breastmnist/resnet18/"):
        find_runs(model="resnet81", seed=0)


def test_at_most_eight_neighbours_are_listed(results_tree):
    for size in range(28, 38):
        fabricate_run(image_size=size)
    with pytest.raises(RunError, match=r"; and 2 more\.") as error:
        find_runs(model="resnet18")
    assert str(error.value).count("image_size") == 8


def test_an_empty_tree_says_so(results_tree):
    with pytest.raises(RunError, match="no finished run in this results tree"):
        find_runs(model="resnet18")
    with pytest.raises(RunError, match="no finished run in this results tree"):
        find_run("anything")


def test_a_run_is_found_by_name_by_part_and_by_folder(store):
    run = next(r for r in store if r.config["seed"] == 1)
    folder = str(run.path)
    for name in (run_id(run), run.path.name, "medspectralnet/" + run.path.name, folder):
        assert find_run(name).path == run.path
    # "_s1" is a piece of "_s10" too; the run of that very name is meant.
    assert find_run(run.path.name.replace("_s1", "_s10")).config["seed"] == 10


def test_a_run_on_an_image_folder_is_found_by_both_words(results_tree):
    run = fabricate_run("folder:patches")
    assert run.path.parts[-3] == "cag_patches" and run.config["dataset"] == "cag:patches"
    for word in ("folder", "cag"):
        assert find_run(f"common/{word}:patches").path == run.path
        assert [r.path for r in find_runs(dataset=f"{word}:patches")] == [run.path]


def test_a_part_of_several_runs_is_an_error_that_lists_them(store):
    with pytest.raises(RunError, match=r"is part of 6 runs: .*resnet18"):
        find_run("breastmnist")
    with pytest.raises(RunError, match="no run is called ''"):
        find_run("")


def test_a_wrong_name_is_answered_with_the_nearest(store):
    run = next(r for r in store if r.config["model"] == "resnet18")
    wrong = run_id(run).replace("resnet18", "resnet19")
    with pytest.raises(RunError, match=f"no run is called '{wrong}'; the nearest: .*") as error:
        find_run(wrong)
    assert str(error.value).split("the nearest: ")[1].startswith("common/breastmnist/resnet18/")


def test_the_line_of_a_recipe_that_is_gone_still_names_the_run(store, monkeypatch):
    monkeypatch.setattr(results, "load_recipes", dict)
    with pytest.raises(RunError, match=r"resnet18/\w+ \(imagenet, seed 0\)"):
        find_runs(model="resnet1")


def test_the_progress_line_stamps_phantom_data(run):
    assert summary_line(run).startswith("phantom mobilenet_v2 none seed 0: test accuracy 0.")
    run.record["data"]["phantom"] = True
    assert summary_line(run).startswith("PHANTOM ")


def test_an_interrupted_write_leaves_the_old_file(tmp_path):
    file = tmp_path / "a.txt"
    file.write_text("old")
    with pytest.raises(KeyError), write_atomically(file) as temporary:
        temporary.write_text("half")
        raise KeyError
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]
    with write_atomically(file) as temporary:
        temporary.write_text("new")
    assert file.read_text() == "new"


PARAMETERS = {
    "recipe": "common",
    "dataset": "phantom",
    "model": "mobilenet_v2",
    "seed": 0,
    "pretrained": "auto",
    "profile": "paper",
    "epochs": None,
}


def test_auto_means_imagenet_only_where_it_can_be_had(results_tree, monkeypatch):
    monkeypatch.setattr(experiment, "resolve_weights", lambda model, word: "none")
    assert config_from_parameters(PARAMETERS).pretrained == "none"
    monkeypatch.setattr(experiment, "resolve_weights", lambda model, word: "imagenet")
    assert config_from_parameters(PARAMETERS).pretrained == "imagenet"


def test_auto_takes_a_stored_run_without_asking_for_its_weights(results_tree, monkeypatch):
    stored = config_from_parameters(PARAMETERS | {"pretrained": "imagenet"})
    run_dir(stored).mkdir(parents=True)
    (run_dir(stored) / "run.json").write_text("{}")
    monkeypatch.setattr(experiment, "resolve_weights", lambda *a: pytest.fail("asked"))
    assert config_from_parameters(PARAMETERS) == stored


def test_a_stand_in_never_enters_the_paper_tree(results_tree, monkeypatch):
    monkeypatch.setattr(experiment, "stand_in", lambda name: "phantom")
    config = config_from_parameters(PARAMETERS | {"dataset": "breastmnist"})
    assert (config.dataset, config.profile, config.pretrained) == ("phantom", "quick", "none")


def test_grey_colour_and_many_classes_go_the_whole_way(results_tree):
    """Eleven classes in colour, one of them missing from the test split."""
    generator = np.random.default_rng(0)

    def split(labels):
        images = generator.integers(0, 256, (len(labels), 32, 32, 3), dtype=np.uint8)
        return Split(images=images, labels=np.array(labels, dtype=np.int64))

    splits = Splits(
        name="toy",
        train=split(list(range(11)) * 3),
        val=split(list(range(11))),
        test=split(list(range(10)) * 2),
        class_names=tuple(f"class {k}" for k in range(11)),
        source="toy",
    )
    record = run_experiment(CONFIG, splits=splits).record
    assert np.shape(record["confusion_matrix"]) == (11, 11)
    assert record["per_class"][10]["sensitivity"]["value"] is None
    assert record["metrics"]["test"]["auc"]["value"] is not None


# --- the commit ----------------------------------------------------------------------------------


def test_changed_code_is_told_and_stored_results_do_not_count_as_such(tmp_path, monkeypatch):
    def git(*arguments):
        who = ("-c", "user.name=A", "-c", "user.email=a@example.org")
        subprocess.run(["git", "-C", str(tmp_path), *who, *arguments], check=True)

    for name in ("results/benchmarks/a.json", "README.md", "helpers/a.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1")
    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "--message", "all")
    monkeypatch.setattr(reproducibility, "repo_root", lambda: tmp_path)
    (tmp_path / "results/benchmarks/a.json").write_text("2")
    (tmp_path / "README.md").write_text("2")
    assert reproducibility.git_state()["dirty"] is False
    (tmp_path / "helpers/a.py").write_text("2")
    assert reproducibility.git_state()["dirty"] is True
