"""The run store and the life of a run."""

import dataclasses
import errno
import json
import multiprocessing
import os
import shutil
import signal
import stat
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file

from helpers import files
from helpers.data.splits import Split, Splits
from helpers.explain.run_maps import make_maps
from helpers.metrics.scores import evaluate
from helpers.paths import DiskFull, write_atomically, write_text
from helpers.predict.checkpoint import open_checkpoint
from helpers.predict.predict import prepare_frame
from helpers.predict.reading import Frame
from helpers.runs import experiment
from helpers.runs import store as results
from helpers.runs.experiment import config_from_parameters, run_experiment
from helpers.runs.store import (
    RECORD_KEYS,
    RunError,
    find_run,
    find_runs,
    is_constant,
    is_stored,
    list_replicas,
    list_runs,
    list_shipped,
    list_unreadable,
    load_run,
    lock,
    run_dir,
    run_id,
    summary_line,
    write_run,
)
from helpers.runs.weights import load_model
from helpers.training import loop, seeds
from tests.conftest import make_toy_splits
from tests.fabricated import fabricate_run, phantom_config

CONFIG = phantom_config(epochs=1, batch_size=16)


@pytest.fixture(scope="module")
def train_once(tmp_path_factory):
    """Return a function that puts a trained run into a results tree, each trained but once."""
    trees = {}

    def put(config, tree):
        if config not in trees:
            trees[config] = tmp_path_factory.mktemp("trained")
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("REPRO_RESULTS", str(trees[config]))
                run_experiment(config, splits=make_toy_splits())
        shutil.copytree(trees[config], tree)
        return load_run(run_dir(config))

    return put


@pytest.fixture
def run(results_tree, train_once):
    return train_once(CONFIG, results_tree)


def rewrite(run, **changes):
    (run.path / "run.json").write_text(json.dumps(run.record | changes))


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
    assert record["env"]["processor"]
    assert isinstance(record["env"]["instruction_set"], str)
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


@pytest.mark.parametrize(("name", "value"), [("seed", 7), ("model", "resnet18")])
def test_a_record_of_another_run_is_not_taken_for_this_one(name, value, run, toy_splits):
    rewrite(run, config=run.config | {name: value})
    with pytest.raises(RunError, match=rf"is of another run: its {name} is {value!r}, expected"):
        run_experiment(CONFIG, splits=toy_splits)


def test_nothing_is_left_but_the_finished_run(run):
    assert {file.name for file in run.path.iterdir()} == {
        "run.json",
        "predictions.npz",
        "history.csv",
        "model.safetensors",
        "model.sha256",
        "run.lock",
    }


# --- the test curve ------------------------------------------------------------------------------

CURVE = dataclasses.replace(CONFIG, epochs=4, learning_rate=0.01, test_curve=True)


@pytest.fixture
def curved(results_tree, train_once):
    return train_once(CURVE, results_tree)


def test_the_curve_at_the_selected_epoch_is_the_stored_test_accuracy(curved):
    curve, epoch = curved.test_curve(), curved.record["selection"]["epoch"]
    assert curve.shape == (4,)
    assert curve[epoch - 1] == curved.record["metrics"]["test"]["accuracy"]["value"]
    assert set(curve * 24) <= set(range(25))  # 24 test images


def test_a_run_is_the_same_with_its_curve_and_without(curved, toy_splits):
    plain = run_experiment(dataclasses.replace(CURVE, test_curve=False), splits=toy_splits)
    assert plain.path != curved.path
    assert plain.test_curve() is None
    assert plain.record["selection"] == curved.record["selection"]
    for split in ("val", "test"):
        pairs = zip(plain.predictions(split), curved.predictions(split), strict=True)
        assert all((left == right).all() for left, right in pairs)
    left, right = (load_file(run.path / "model.safetensors") for run in (plain, curved))
    assert left.keys() == right.keys()
    assert all(torch.equal(left[name], right[name]) for name in left)


def test_training_by_itself_keeps_no_curve(toy_splits, monkeypatch):
    """Tuning and restoring train by `fit_from_config`; the test split is none of theirs."""
    monkeypatch.setattr(loop, "_predicted", lambda *a: pytest.fail("predicted"))
    _, result, _ = experiment.fit_from_config(CURVE, toy_splits)
    assert result.watched is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "epoch,test_accuracy\n1,0.5\n",  # a run of four epochs
        "epoch,test_accuracy\n1,.5\n2,.5\n4,.5\n3,.5\n",
        "epoch,test_accuracy\n1,.5\n2,.5\n3,.5\n4,50\n",
        "epoch,test_accuracy\n1,.5\n2,.5\n3,.5\n4,nan\n",
        "epoch,test_accuracy\n1,.5\n2,.5\n3,.5\n4\n",
        "epoch,accuracy\n1,.5\n2,.5\n3,.5\n4,.5\n",
        "\0\0",
    ],
)
def test_a_damaged_curve_has_its_error(text, curved):
    (curved.path / "test_curve.csv").write_text(text)
    with pytest.raises(RunError, match=r"test_curve.csv"):
        curved.test_curve()


# --- two processes -------------------------------------------------------------------------------


def _train_together(results, splits, started, trained):
    train = experiment._train

    def counted(*arguments):
        with trained.get_lock():
            trained.value += 1
        return train(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REPRO_RESULTS", results)
        patch.setattr(experiment, "_train", counted)
        torch.set_num_threads(1)
        started.wait(timeout=600)
        run_experiment(CONFIG, splits=splits)


def test_two_processes_at_once_train_once(results_tree, toy_splits):
    """This process and another one."""
    context = multiprocessing.get_context("spawn")
    started, trained = context.Barrier(2), context.Value("i", 0)
    arguments = (str(results_tree), toy_splits, started, trained)
    other = context.Process(target=_train_together, args=arguments)
    other.start()
    _train_together(*arguments)
    other.join(timeout=600)
    assert other.exitcode == 0
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


# --- a folder that was another run's -----------------------------------------------------------


def test_what_a_former_run_left_is_not_read_as_the_next_one_s(run, toy_splits, capsys):
    """Whoever deletes `run.json` to train again gets the new run alone; nothing is lost."""
    finished = {file.name for file in run.path.iterdir()}
    left = ["shipped.safetensors", "shipped.json", "CARD.md", "maps.npz", "test_curve.csv"]
    for name in left:
        (run.path / name).write_text("old")
    replica = run.path / "replicas" / "0123456789"
    replica.mkdir(parents=True)
    (replica / "run.json").write_text("old")
    (replica / "shipped.safetensors").write_text("old")
    for number in ("1", "2"):
        (run.path / "run.json").unlink()
        again = run_experiment(CONFIG, splits=toy_splits)
        assert {file.name for file in again.path.iterdir()} == finished | {"former"}
        assert f"now in former/{number}" in capsys.readouterr().err
    former = run.path / "former" / "1"
    assert {(former / name).read_text() for name in left} == {"old"}
    assert (former / "replicas" / replica.name / "run.json").read_text() == "old"
    assert (former / "predictions.npz").exists() and (former / "model.safetensors").exists()
    load_model(again)
    assert again.test_curve() is None and list_replicas(again) == list(list_unreadable()) == []
    assert not capsys.readouterr().err and list_runs()[0].record == again.record
    list_shipped()
    assert not capsys.readouterr().err


def test_an_interrupted_run_keeps_what_it_wrote_but_for_broken_writes(tmp_path, capsys):
    own = {"checkpoint.pt", "model.safetensors", ".DS_Store"}
    for name in (*own, ".predictions-a1b2c3_4.npz", ".checkpoint-0123abcd.pt", ".tmpAb3dEf"):
        (tmp_path / name).touch()
    results.tidy(tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == own
    assert not capsys.readouterr().err


def test_a_lock_alone_moves_nothing(tmp_path):
    """Measurements and trials are written under the same kind of lock, and have no `run.json`."""
    (tmp_path / "cpu_1_thread.json").touch()
    with lock(tmp_path):
        assert {file.name for file in tmp_path.iterdir()} == {"cpu_1_thread.json", "run.lock"}


def test_a_stored_run_is_never_overwritten(run):
    before = {path: path.read_bytes() for path in run.path.iterdir()}
    with pytest.raises(RunError, match="is stored already, and nothing is overwritten"):
        write_run(run.path, run.record, {})
    assert {path: path.read_bytes() for path in run.path.iterdir()} == before


def test_damaged_or_foreign_runs_have_their_errors(run, tmp_path):
    file = run.path / "run.json"
    whole = file.read_text()
    file.write_text(whole[:100])
    with pytest.raises(RunError, match="is not valid JSON"):
        load_run(run.path)
    rewrite(run, schema=99)
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


@pytest.mark.parametrize(
    ("name", "value", "known"),
    [
        ("normalisation", "zscore", "must be one of imagenet, half"),
        ("precision", "fp8", "must be one of fp32, bf16"),
        ("augmentation", "heavy", "must be one of none, normal, full, dihedral"),
        ("loss", "hinge", "must be one of cross_entropy, focal"),
        ("cutmix", 1.5, "less than or equal to 1"),
        ("normalization", "half", "did you mean normalisation\\? Known: recipe, dataset,"),
    ],
)
def test_values_that_this_version_does_not_know_are_refused(run, name, value, known):
    rewrite(run, config=run.config | {name: value})
    message = rf"run\.json: config\.{name}.*{known}.*move the folder away"
    with pytest.raises(RunError, match=message):
        load_run(run.path)
    rewrite(run, **{name: value})
    with pytest.raises(RunError, match=rf"run\.json: {name} is unknown; .*Known: schema, config,"):
        load_run(run.path)


def test_a_run_of_a_recipe_that_is_gone_is_read(run):
    rewrite(run, config=run.config | {"recipe": "gone"})
    assert load_run(run.path).config["recipe"] == "gone"


@pytest.mark.parametrize("fault", [errno.EACCES, errno.EIO, errno.ESTALE])
def test_nobody_is_told_to_remove_what_could_merely_not_be_read(run, monkeypatch, fault):
    def refuse(*_):
        raise OSError(fault, os.strerror(fault))

    whole = rf"{os.strerror(fault)} \(.*\); it may be whole: see to its permissions and its disk"
    with monkeypatch.context() as patch, pytest.raises(RunError, match=whole) as found:
        patch.setattr(Path, "read_bytes", refuse)
        load_run(run.path)
    assert "JSON" not in str(found.value) and "away" not in str(found.value)
    with monkeypatch.context() as patch, pytest.raises(RunError, match=whole) as found:
        patch.setattr(files.zipfile, "ZipFile", refuse)
        run.predictions("test")
    assert "away" not in str(found.value)
    (run.path / "predictions.npz").write_bytes(b"PK")
    with pytest.raises(RunError, match=r"predictions\.npz.*; restore it, or move the folder away"):
        run.predictions("test")


def test_damaged_predictions_have_their_error(run):
    whole = (run.path / "predictions.npz").read_bytes()
    (run.path / "predictions.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(RunError, match=r"cannot read predictions.npz"):
        load_run(run.path).predictions("test")
    with pytest.raises(ValueError, match="split must be val or test, got 'train'"):
        run.predictions("train")


def test_a_record_off_the_schema_is_not_written(results_tree):
    with pytest.raises(RunError, match="record keys differ"):
        write_run(run_dir(CONFIG), {"data": {}}, {})
    assert not (run_dir(CONFIG) / "run.json").exists()


def test_undefined_is_null_and_nan_is_refused(run):
    record = run.record | {"timing": {"train_seconds": float("nan")}}
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_run(run.path, record, {})
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
        find_run("common")
    with pytest.raises(ValueError, match="the name of the run is empty"):
        find_run("")


def test_a_wrong_name_is_answered_with_the_nearest(store):
    run = next(r for r in store if r.config["model"] == "resnet18")
    wrong = run_id(run).replace("resnet18", "resnet19")
    with pytest.raises(RunError, match=f"no run is called '{wrong}'; the nearest: .*") as error:
        find_run(wrong)
    assert str(error.value).split("the nearest: ")[1].startswith("common/breastmnist/resnet18/")


def test_the_line_of_a_recipe_that_is_gone_still_names_the_run(store, monkeypatch):
    monkeypatch.setattr("helpers.runs.run.load_recipes", dict)
    with pytest.raises(RunError, match=r"resnet18/\w+ \(imagenet, seed 0\)"):
        find_runs(model="resnet1")


def test_a_run_that_knows_one_answer_is_flagged(store, results_tree):
    assert not any(is_constant(run) for run in store)
    assert "one class" not in summary_line(store[0])
    constant = fabricate_run(model="resnet34", wrong=0)
    matrix = np.array(constant.record["confusion_matrix"])
    constant.record["confusion_matrix"] = [[int(n), 0] for n in matrix.sum(axis=1)]
    assert is_constant(constant)
    assert ", one class for every test image (" in summary_line(constant)


def test_the_progress_line_stamps_phantom_data(run):
    assert summary_line(run).startswith("phantom mobilenet_v2 none seed 0: test accuracy 0.")
    run.record["data"]["phantom"] = True
    assert summary_line(run).startswith("PHANTOM ")


@pytest.mark.parametrize("mask", [0o022, 0o002, 0o077])
def test_files_have_the_permissions_that_open_gives(tmp_path, mask):
    before = os.umask(mask)
    try:
        write_text(tmp_path / "a.txt", "text")
        experiment.save_tensors({"a": torch.zeros(1)}, tmp_path / "w.safetensors")
    finally:
        os.umask(before)
    modes = {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
    assert modes == {0o666 & ~mask}


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


@pytest.mark.parametrize(
    "write",
    [
        lambda path: path.write_bytes(bytes(2**20)),
        lambda path: np.savez(path, zeros=np.zeros(2**16)),
        lambda path: torch.save({"zeros": torch.zeros(2**16)}, path),
        lambda path: Image.new("RGB", (400, 400)).save(path, "PNG"),
    ],
)
def test_a_full_disk_is_called_that(tmp_path, write):
    """Whatever the writer makes of it: torch says "inline_container: unexpected pos"."""
    file = tmp_path / "a.npz"
    file.write_text("old")
    full = pytest.raises(DiskFull, match=r"the disk is full: no room for a\.npz")
    with full, write_atomically(file) as temporary:
        temporary.unlink()
        temporary.symlink_to("/dev/full")
        write(temporary)
        pytest.fail("it was written")
    # Safetensors writes to a file of its own, which it then renames.
    with full, write_atomically(file):
        raise SafetensorError("I/O error: No space left on device (os error 28)")
    assert file.read_text() == "old" and list(tmp_path.iterdir()) == [file]
    with pytest.raises(RuntimeError, match="another"), write_atomically(file):
        raise RuntimeError("another")


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


@pytest.mark.parametrize("channels", [1, 3])
def test_half_normalised_native_channels_go_the_whole_way(channels, results_tree):
    """The benchmark's recipe: trained, stored, restored, explained, predicted as it was trained."""
    generator = np.random.default_rng(0)

    def split(n):
        shape = (n, 28, 28, channels)
        labels = np.arange(n) % 2
        return Split(
            images=generator.integers(0, 256, shape, dtype=np.uint8), labels=labels.astype(np.int64)
        )

    splits = Splits("toy", split(16), split(8), split(8), ("a", "b"), "toy", "0" * 32)
    config = phantom_config(recipe="medmnist_v2", model="resnet18_28", epochs=1)
    run = run_experiment(config, splits=splits)
    model = load_model(run)
    assert model.conv1.in_channels == channels
    assert run.form == ("half", "native")
    expected = run.predictions("test")[1]

    pixels = torch.from_numpy(splits.test.images).permute(0, 3, 1, 2).float() / 255
    with torch.inference_mode():
        by_hand = model((pixels - 0.5) / 0.5).softmax(dim=1).numpy()
    np.testing.assert_allclose(by_hand, expected, atol=1e-5)

    checkpoint = open_checkpoint(run)
    for image, probabilities in zip(splits.test.images, expected, strict=True):
        _, prepared = prepare_frame(Frame("x", 0, image), checkpoint)
        np.testing.assert_allclose(checkpoint.probabilities(prepared)[0], probabilities, atol=1e-5)
    other = splits.test.images[:1].mean(axis=3, keepdims=True).astype(np.uint8)
    other = other[0] if channels == 3 else np.repeat(other[0], 3, axis=2)
    _, prepared = prepare_frame(Frame("x", 0, other), checkpoint)
    assert prepared.shape == (1, channels, 28, 28)

    maps = make_maps(model, run, splits.test)
    (layer,) = maps.layers.values()
    assert maps.maps["true", layer].shape[0] == 8


# --- the machine ---------------------------------------------------------------------------------

CPUINFO = """processor\t: 0
vendor_id\t: GenuineIntel
cpu family\t: 6
model\t\t: 143
model name\t: Intel(R) Xeon(R) Processor

processor\t: 1
model name\t: another
"""


def test_the_processor_is_named_with_its_numbers_as_a_virtual_machine_hides_its_name(monkeypatch):
    monkeypatch.setattr(seeds.Path, "read_text", lambda path: CPUINFO)
    name = seeds.processor_name()
    assert name == "Intel(R) Xeon(R) Processor (family 6, model 143)"


def test_a_system_without_that_file_gives_what_it_has(monkeypatch):
    def missing(path):
        raise FileNotFoundError(path)

    monkeypatch.setattr(seeds.Path, "read_text", missing)
    monkeypatch.setattr(seeds.platform, "processor", lambda: "arm")
    assert seeds.processor_name() == "arm"


def test_of_the_instruction_set_what_is_there_is_listed(monkeypatch):
    there = {"avx2": True, "amx_bf16": True, "avx512_f": False, "sse4_1": True, "architecture": "x"}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: there)
    assert seeds.instruction_set() == "amx_bf16 avx2"


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
    monkeypatch.setattr(seeds, "repo_root", lambda: tmp_path)
    (tmp_path / "results/benchmarks/a.json").write_text("2")
    (tmp_path / "README.md").write_text("2")
    assert seeds.git_state()["dirty"] is False
    (tmp_path / "helpers/a.py").write_text("2")
    assert seeds.git_state()["dirty"] is True
