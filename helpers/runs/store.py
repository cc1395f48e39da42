"""The run store: one folder a run, written once and whole, found by what defines the run.

`<results>/runs/<recipe>/<dataset>/<model>/<configuration hash>_s<seed>/` holds `run.json`,
`predictions.npz`, `history.csv` and, where it was asked for, `test_curve.csv`. `run.json` is
written last: where it exists, the run is done. What a former run left in a folder is set aside in
`former/`, which nothing reads, before another one is written there.

The same seed on another processor is another draw (`helpers.runs.replicas`). A stored run made
again elsewhere is a replica: a folder of the same make in `replicas/` beside its `run.json`, one
for each kind of machine. No list of runs has replicas in it.
"""

import csv
import fcntl
import hashlib
import json
import os
import re
import socket
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import SequenceMatcher
from itertools import count
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from helpers.config import RunConfig, stored_name
from helpers.paths import given_path, repo_root, results_root, write_atomically, write_text
from helpers.runs.run import (
    PREDICTIONS,
    RECORD,
    RECORD_KEYS,
    REPLICAS,
    SCHEMA,
    TEST_CURVE,
    Run,
    RunError,
    listed,
    load_run,
    nearest,
    run_id,
)

FORMER = "former"
CHECKPOINT = "checkpoint.pt"
_LOCK = "run.lock"
# What killed writes leave: those of `write_atomically` and safetensors' own.
_TEMPORARY = (".*-????????.*", ".tmp*")
WEIGHTS = "model.safetensors"
SHIPPED = "shipped.safetensors"  # see `helpers.runs.ship`
# What of a record's `env` decides which draw a seed gives.
_DRAWN_BY = ("processor", "instruction_set", "device", "torch", "threads", "portable")
# How much more than a seed or a start these say about which run was meant.
_WEIGHTS = {"dataset": 3, "model": 2}


def run_dir(config: RunConfig) -> Path:
    """Return the folder of a run, which may not exist yet."""
    dataset = config.dataset.replace(":", "_").replace("/", "_")
    leaf = f"{config.hash()}_s{config.seed}"
    root = results_root(config.profile) / "runs"
    return root / config.recipe / dataset / config.model / leaf


def is_stored(config: RunConfig) -> bool:
    """Say whether a run is done: its record is there, whole, and of this version's schema."""
    try:
        load_run(run_dir(config))
    except RunError:
        return False
    return True


@contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Hold the only right to write into a folder; a second process waits, a killed one lets go.

    The right is the system's lock (flock) on `run.lock`. The file stays, and names its last holder.

    Raises:
        RunError: the file system cannot lock.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # Opened for writing, as NFS demands, but not emptied: it names the holder.
    with open(folder / _LOCK, "a+") as handle:
        try:
            _flock(handle)
        except OSError as error:
            raise RunError(
                f"cannot lock {handle.name} ({error}), so two processes could write one run; let "
                "REPRO_RESULTS name a folder on a file system with locks (docs/scale_out.md)."
            ) from error
        handle.truncate(0)
        handle.write(f"process {os.getpid()} on {socket.gethostname()}")
        handle.flush()
        yield


def _flock(handle: TextIO) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        handle.seek(0)
        print(f"waiting for {handle.read() or 'another process'}, which holds this run", flush=True)
        fcntl.flock(handle, fcntl.LOCK_EX)


def tidy(folder: Path) -> None:
    """Ready a run's folder for training, under its lock; it may not exist.

    What killed writes left is removed. What a former run left, whose `run.json` is gone, goes into
    `former/<number>/`: its weights, maps, card and replicas would be taken for those of the next
    run. Where there is a checkpoint they are those of the run that goes on.
    """
    for killed in [file for pattern in _TEMPORARY for file in folder.glob(pattern)]:
        killed.unlink()
    left = {file.name for file in folder.glob("*")} - {_LOCK, FORMER}
    if not left or not left.isdisjoint((RECORD, CHECKPOINT)):
        return
    places = (folder / FORMER / str(number) for number in count(1))
    place = next(place for place in places if not place.exists())
    place.mkdir(parents=True)
    for name in left:
        (folder / name).rename(place / name)
    names = ", ".join(sorted(left))
    print(f"{folder}: a former run left {names}; now in {FORMER}/{place.name}", file=sys.stderr)


def replica_dir(run: Run, env: Mapping[str, Any]) -> Path:
    """Return the folder of a run's replica from a machine of this `environment`; it may not exist.

    See `helpers.training.seeds.environment`.
    """
    # Records older than a setting lack it; where it is off it counts as lacking.
    text = json.dumps({name: env.get(name) or None for name in _DRAWN_BY}, sort_keys=True)
    return run.path / REPLICAS / hashlib.sha256(text.encode()).hexdigest()[:10]


def list_replicas(run: Run) -> list[Run]:
    """Return the replicas of a stored run, by path; of a replica, none."""
    return [load_run(file.parent) for file in replica_files(run)]


def replica_files(run: Run) -> list[Path]:
    """Return the `run.json` of the replicas of a stored run, by path."""
    return sorted(run.path.glob(f"{REPLICAS}/*/{RECORD}"))


def write_run(
    folder: Path,
    record: dict[str, Any],
    predictions: dict[str, np.ndarray],
    test_curve: np.ndarray | None = None,
) -> Run:
    """Write a finished run; each file appears whole or not at all, `run.json` last.

    A stored run is never overwritten, not even by a process that lost its lock with its network.
    The record lacks `schema`, which is added; the predictions are `val_y_true`,
    `val_probabilities`, `test_y_true` and `test_probabilities`. The test curve, where it was kept,
    is the test accuracy after each epoch, float (epochs,).

    Raises:
        RunError: a key of the schema is missing or unknown, or the run is stored already.
    """
    record = {"schema": SCHEMA} | record
    if set(record) != set(RECORD_KEYS):
        raise RunError(f"record keys differ: {sorted(set(record) ^ set(RECORD_KEYS))}.")
    record = {key: record[key] for key in RECORD_KEYS}
    text = json.dumps(record, indent=1, allow_nan=False)
    if (folder / RECORD).exists():
        raise RunError(f"{folder} is stored already, and nothing is overwritten: load it.")
    with write_atomically(folder / PREDICTIONS) as temporary:
        np.savez_compressed(temporary, **predictions)
    _write_rows(folder / "history.csv", record["history"])
    if test_curve is not None:
        rows = [
            {"epoch": epoch, "test_accuracy": float(value)}
            for epoch, value in enumerate(test_curve, start=1)
        ]
        _write_rows(folder / TEST_CURVE, rows)
    write_text(folder / RECORD, text + "\n")
    return load_run(folder)


def _write_rows(file: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    with write_atomically(file) as temporary, open(temporary, "w", newline="") as handle:
        writer = csv.DictWriter(handle, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def list_runs(root: Path | None = None) -> list[Run]:
    """Return all finished runs of a results tree (default: the paper profile's), by path.

    A run that cannot be read is left out and said on stderr, see `list_unreadable`.
    """
    return whole_runs(_tree(root, RECORD))


def list_unreadable(root: Path | None = None) -> dict[str, str]:
    """Return the runs and replicas with a damaged record or predictions, name -> the reason."""
    return _sorted_out(_tree(root, RECORD) + _tree(root, f"{REPLICAS}/*/{RECORD}"))[1]


def _tree(root: Path | None, name: str) -> list[Path]:
    """Return the files of this name in the folders of all runs of a tree, by path."""
    root = results_root() if root is None else Path(root)
    return sorted((root / "runs").glob(f"*/*/*/*/{name}"))


def whole_runs(files: Iterable[Path]) -> list[Run]:
    """Load runs by their `run.json`; one that cannot be read is left out and said on stderr."""
    runs, unreadable = _sorted_out(files)
    for name, reason in unreadable.items():
        print(f"left out: {name}: {reason}", file=sys.stderr)
    return runs


def _sorted_out(files: Iterable[Path]) -> tuple[list[Run], dict[str, str]]:
    runs, unreadable = [], {}
    for file in files:
        try:
            run = load_run(file.parent)
            _check_predictions(run)
        except RunError as error:
            unreadable[run_id(Run(file.parent, {}))] = str(error)
        else:
            runs.append(run)
    return runs, unreadable


# Files that were read without an error, as they were: a process lists the runs many times.
_WHOLE: set[tuple[tuple[str, int, int, int], ...]] = set()


def _check_predictions(run: Run) -> None:
    try:
        stats = [(str(f), f.stat()) for f in (run.path / RECORD, run.path / PREDICTIONS)]
    except FileNotFoundError:
        stats = []
    files = tuple((name, s.st_mtime_ns, s.st_size, s.st_ino) for name, s in stats)
    if not files or files not in _WHOLE:
        # Another object reads, so that the listed runs do not keep their arrays.
        Run(run.path, run.record).predictions("test")
        _WHOLE.add(files)


def find_runs(*, profile: str = "paper", **wanted: Any) -> list[Run]:
    """Return the finished runs whose configuration has the wanted values.

    Raises:
        RunError: there is none; the message lists the nearest ones.
    """
    if isinstance(wanted.get("dataset"), str):
        wanted["dataset"] = stored_name(wanted["dataset"])
    root = results_root(profile)

    def may_be_meant(file: Path) -> bool:
        recipe, _, model = file.parts[-5:-2]
        return wanted.get("recipe", recipe) == recipe and wanted.get("model", model) == model

    runs = whole_runs(filter(may_be_meant, _tree(root, RECORD)))
    found = [run for run in runs if all(run.config.get(k) == v for k, v in wanted.items())]
    if found:
        return found

    def likeness(run: Run) -> float:
        near = 0.0
        for key, value in wanted.items():
            found = run.config.get(key)
            equal = float(value == found)
            if isinstance(value, str) and isinstance(found, str):  # near names count in part
                equal = SequenceMatcher(None, value, found).ratio()
            near += _WEIGHTS.get(key, 1) * equal
        return near

    asked = ", ".join(f"{key}={value}" for key, value in wanted.items())
    raise RunError(f"no run with {asked}; {nearest(list_runs(root), likeness)}")


def find_run(name: str, *, profile: str = "paper") -> Run:
    """Return the finished run of this name.

    Args:
        name: `<recipe>/<dataset>/<model>/<hash>_s<seed>`, any part of that which one run alone
            has, or the run's folder (a relative one is taken from the repository's root); or a
            kind of images, for the network shipped for it (`list_shipped`).
        profile: Whose results tree is searched.

    Raises:
        RunError: no run has this name, or several have; the message lists them or the nearest.
    """
    folder = repo_root() / given_path("the name of the run", name)
    if (folder / RECORD).exists():
        return load_run(folder)
    # "folder:x" is cag_x in a path; a whole part ("..._s1") goes before a piece ("..._s10").
    part = name.replace("folder:", "cag:").replace(":", "_").strip("/")
    if kind := list_shipped(profile).get(part.replace("/", "_")):
        return kind
    runs = list_runs(results_root(profile))
    stored, _, machine = part.partition(f"/{REPLICAS}/")
    if machine:
        return load_run(find_run(stored, profile=profile).path / REPLICAS / machine)
    whole = [run for run in runs if f"/{part}/" in f"/{run_id(run)}/"]
    found = whole or [run for run in runs if part and part in run_id(run)]
    if len(found) == 1:
        return found[0]
    if found:
        raise RunError(f"{name!r} is part of {len(found)} runs: {listed(found)}.")
    near = nearest(runs, lambda run: SequenceMatcher(None, part, run_id(run)).ratio())
    raise RunError(f"no run is called {name!r}; {near}")


def list_shipped(profile: str = "paper") -> dict[str, Run]:
    """Return the runs whose weights travel with the repository, by their kind of images.

    The kind is the data set's name as it stands in a path, without its size: "breastmnist".
    """
    # What travels with the repository is there wherever results are kept; of two for one kind that
    # of the results in use is taken.
    own = [repo_root() / "results"] if profile == "paper" else []
    files = []
    for root in dict.fromkeys([*own, results_root(profile)]):
        files += sorted(_tree(root, SHIPPED) + _tree(root, f"{REPLICAS}/*/{SHIPPED}"))
    shipped = {}
    for file in files:
        try:
            run = load_run(file.parent)
        except RunError as error:
            print(f"left out: {error}", file=sys.stderr)
        else:
            shipped[kind_of(run)] = run
    return shipped


def kind_of(run: Run) -> str:
    """Return what kind of images a run is for, see `list_shipped`."""
    return re.sub(r"_\d+$", "", run_id(run).split("/")[1])


def is_constant(run: Run) -> bool:
    """Say whether a run predicts one and the same class for every test image."""
    return np.count_nonzero(np.sum(run.record["confusion_matrix"], axis=0)) == 1


def summary_line(run: Run) -> str:
    """Return a run's progress line: what it was, what it reached, how long it took."""
    config, test = run.config, run.record["metrics"]["test"]

    def text(name: str) -> str:
        value = test[name]["value"]
        return "undefined" if value is None else f"{value:.3f}"

    constant = ", one class for every test image" if is_constant(run) else ""
    stamp = "PHANTOM " if run.record["data"]["phantom"] else ""
    return (
        f"{stamp}{config['dataset']} {config['model']} {config['pretrained']} seed "
        f"{config['seed']}: test accuracy {text('accuracy')}, AUC {text('auc')}{constant} "
        f"({run.record['timing']['train_seconds']:.0f} s)"
    )
