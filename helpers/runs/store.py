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
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from helpers.config import (
    InputForm,
    RunConfig,
    did_you_mean,
    field_defaults,
    load_recipes,
    make_config,
    stored_name,
)
from helpers.files import DamagedFile, open_arrays, read_csv, read_json, reading
from helpers.paths import given_path, repo_root, results_root, write_atomically, write_text
from helpers.runs.record import check_form

SCHEMA = 1
RECORD_KEYS = (
    "schema",
    "config",
    "data",
    "model",
    "selection",
    "metrics",
    "per_class",
    "confusion_matrix",
    "history",
    "timing",
    "env",
    "git",
)
PREDICTIONS = "predictions.npz"
TEST_CURVE = "test_curve.csv"
SPLITS = ("val", "test")  # whose predictions are stored
REPLICAS = "replicas"
FORMER = "former"
CHECKPOINT = "checkpoint.pt"
_LOCK = "run.lock"
# What killed writes leave: those of `write_atomically` and safetensors' own.
_TEMPORARY = (".*-????????.*", ".tmp*")
_AGAIN = "; restore it, or move the folder away and run again"
WEIGHTS = "model.safetensors"
SHIPPED = "shipped.safetensors"  # see `helpers.runs.ship`
# What of a record's `env` decides which draw a seed gives.
_DRAWN_BY = ("processor", "instruction_set", "device", "torch", "threads", "portable")
# How much more than a seed or a start these say about which run was meant.
_WEIGHTS = {"dataset": 3, "model": 2}
# What `make_config` cannot do without.
_NAMING = ("recipe", "dataset", "model", "seed", "pretrained")
_LISTED = 8


class RunError(ValueError):
    """A stored run is missing, damaged, or not the one that was asked for."""


@dataclass(frozen=True)
class Run:
    """A finished run on disk."""

    path: Path  # its folder
    record: dict[str, Any]  # the content of `run.json`

    @cached_property
    def config(self) -> dict[str, Any]:
        """The configuration that defines the run; fields newer than the run have their default."""
        return field_defaults() | self.record["config"]

    @property
    def form(self) -> InputForm:
        """Normalisation and channels of the network's input."""
        return InputForm(self.config["normalisation"], self.config["channels"])

    @cached_property
    def _arrays(self) -> dict[str, np.ndarray]:
        file, data = self.path / PREDICTIONS, self.record["data"]
        sizes = {split: data["n"][split] for split in SPLITS} | {"classes": data["num_classes"]}
        arrays = {}
        with (
            reading(file, RunError, _AGAIN, whose=self.path.name),
            open_arrays(file, **sizes) as stored,
        ):
            for split in SPLITS:
                name = f"{split}_y_true"
                if not any(key.startswith(f"{split}_") for key in stored.names):
                    continue
                arrays[name] = labels = stored.read(name, "iu", (split,))
                if not 0 <= labels.min() <= labels.max() < sizes["classes"]:
                    raise ValueError(f"{name} has labels beyond 0 .. {sizes['classes'] - 1}")
                name = f"{split}_probabilities"
                arrays[name] = stored.read(name, "f", (split, "classes"))
                if not np.isfinite(arrays[name]).all():
                    raise ValueError(f"{name} is not finite throughout")
        return arrays

    def predictions(self, split: str) -> tuple[np.ndarray, np.ndarray]:
        """Return labels, int64 (n,), and probabilities, float32 (n, K), of "val" or "test".

        Raises:
            RunError: they are missing, damaged, or not of the record's images and classes.
        """
        if split not in SPLITS:
            raise ValueError(f"split must be val or test, got {split!r}.")
        if not self.has_predictions(split):
            raise RunError(f"{self.path.name}: {PREDICTIONS} has no predictions of split {split}.")
        return self._arrays[f"{split}_y_true"], self._arrays[f"{split}_probabilities"]

    def has_predictions(self, split: str) -> bool:
        """Say whether predictions of "val" or "test" are stored; errors as for `predictions`."""
        return f"{split}_y_true" in self._arrays

    def test_curve(self) -> np.ndarray | None:
        """Return the test accuracy after each epoch, float64 (epochs,), 0 to 1; None if not kept.

        It tells what choosing the epoch on the test split would have been worth; nothing selects
        by it.

        Raises:
            RunError: the file is damaged, or not of this run's epochs.
        """
        file = self.path / TEST_CURVE
        if not file.exists():
            return None
        with reading(file, RunError, _AGAIN, whose=self.path.name):
            table = read_csv(file, {"epoch": int, "test_accuracy": float})
        epochs = len(self.record["history"])
        values = table["test_accuracy"].to_numpy()
        in_order = table["epoch"].tolist() == list(range(1, epochs + 1))
        if not (in_order and np.all((values >= 0) & (values <= 1))):
            raise RunError(
                f"{self.path.name}: {file.name} must hold one accuracy from 0 to 1 for each of "
                f"{epochs} epochs, in their order; it has {len(table)} rows."
            )
        return values


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
    if not left or not left.isdisjoint(("run.json", CHECKPOINT)):
        return
    places = (folder / FORMER / str(number) for number in count(1))
    place = next(place for place in places if not place.exists())
    place.mkdir(parents=True)
    for name in left:
        (folder / name).rename(place / name)
    names = ", ".join(sorted(left))
    print(f"{folder}: a former run left {names}; now in {FORMER}/{place.name}", file=sys.stderr)


def save_run(
    config: RunConfig,
    *,
    record: dict[str, Any],
    predictions: dict[str, np.ndarray],
    test_curve: np.ndarray | None = None,
) -> Run:
    """Write a finished run; each file appears whole or not at all, `run.json` last.

    A stored run is never overwritten, not even by a process that lost its lock with its network.

    Args:
        config: What defines the run.
        record: Content of `run.json` but for `schema` and `config`, which are added.
        predictions: `val_y_true`, `val_probabilities`, `test_y_true`, `test_probabilities`.
        test_curve: Test accuracy after each epoch, float (epochs,), where it was kept.

    Raises:
        RunError: a key of the schema is missing or unknown, or the run is stored already.
    """
    record = {"config": config.to_dict()} | record
    return write_run(run_dir(config), record, predictions, test_curve)


def replica_dir(run: Run, env: Mapping[str, Any]) -> Path:
    """Return the folder of a run's replica from a machine, which may not exist yet.

    Args:
        run: the stored run.
        env: of the machine, see `helpers.training.seeds.environment`.
    """
    # Records older than a setting lack it; where it is off it counts as lacking.
    text = json.dumps({name: env.get(name) or None for name in _DRAWN_BY}, sort_keys=True)
    return run.path / REPLICAS / hashlib.sha256(text.encode()).hexdigest()[:10]


def save_replica(
    run: Run,
    *,
    record: dict[str, Any],
    predictions: dict[str, np.ndarray],
    test_curve: np.ndarray | None = None,
) -> Run:
    """Write a stored run that was made again, beside it; arguments and errors as for `save_run`."""
    record = {"config": run.record["config"]} | record
    return write_run(replica_dir(run, record["env"]), record, predictions, test_curve)


def list_replicas(run: Run) -> list[Run]:
    """Return the replicas of a stored run, by path; of a replica, none."""
    return [load_run(file.parent) for file in replica_files(run)]


def replica_files(run: Run) -> list[Path]:
    """Return the `run.json` of the replicas of a stored run, by path."""
    return sorted(run.path.glob(f"{REPLICAS}/*/run.json"))


def is_replica(run: Run) -> bool:
    """Say whether a run was made again from a stored one."""
    return run.path.parent.name == REPLICAS


def write_run(
    folder: Path,
    record: dict[str, Any],
    predictions: dict[str, np.ndarray],
    test_curve: np.ndarray | None = None,
) -> Run:
    """Write a run into a folder; its `config` is in the record, all else as for `save_run`."""
    record = {"schema": SCHEMA} | record
    if set(record) != set(RECORD_KEYS):
        raise RunError(f"record keys differ: {sorted(set(record) ^ set(RECORD_KEYS))}.")
    record = {key: record[key] for key in RECORD_KEYS}
    text = json.dumps(record, indent=1, allow_nan=False)
    if (folder / "run.json").exists():
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
    write_text(folder / "run.json", text + "\n")
    return load_run(folder)


def _write_rows(file: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    with write_atomically(file) as temporary, open(temporary, "w", newline="") as handle:
        writer = csv.DictWriter(handle, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def load_run(folder: Path) -> Run:
    """Read a run.

    Raises:
        RunError: there is none, it is damaged, or of another schema version.
    """
    file = Path(folder) / "run.json"
    with reading(file, RunError, _AGAIN, whose=str(folder)):
        if not file.exists():
            raise RunError(f"no run in {folder}: {file.name} is missing.")
        record = read_json(file)
        if not isinstance(record, dict):
            raise DamagedFile(f"{file.name}: it holds no record")
        if record.get("schema") != SCHEMA:
            raise RunError(
                f"{file} has schema {record.get('schema')!r}, this version reads {SCHEMA}; it is "
                "left as it is: read it with the version that wrote it, or move the folder away to "
                "train the run again."
            )
        if missing := [key for key in RECORD_KEYS if key not in record]:
            raise DamagedFile(f"{file.name}: it lacks {', '.join(missing)}")
        if unknown := [key for key in record if key not in RECORD_KEYS]:
            known = did_you_mean(unknown[0], RECORD_KEYS)
            raise DamagedFile(f"{file.name}: {unknown[0]} is unknown; {known}")
        check_form(record)
    return Run(Path(folder), record)


def list_runs(root: Path | None = None) -> list[Run]:
    """Return all finished runs of a results tree (default: the paper profile's), by path.

    A run that cannot be read is left out and said on stderr, see `list_unreadable`.
    """
    return whole_runs(_tree(root))


def list_unreadable(root: Path | None = None) -> dict[str, str]:
    """Return the runs of a tree, and replicas, whose record or predictions are damaged.

    Returns:
        Their name -> the reason.
    """
    return _sorted_out(_tree(root) + _tree(root, f"{REPLICAS}/*/"))[1]


def _tree(root: Path | None, inside: str = "") -> list[Path]:
    root = results_root() if root is None else Path(root)
    return sorted((root / "runs").glob(f"*/*/*/*/{inside}run.json"))


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
_WHOLE: set[tuple[str, int, int, int]] = set()


def _check_predictions(run: Run) -> None:
    keys = [(str(f), s.st_mtime_ns, s.st_size, s.st_ino) for f, s in _stats(run)]
    if len(keys) < 2 or not _WHOLE.issuperset(keys):
        # Another object reads, so that the listed runs do not keep their arrays.
        Run(run.path, run.record).predictions("test")
        _WHOLE.update(keys)


def _stats(run: Run) -> Iterator[tuple[Path, os.stat_result]]:
    for file in (run.path / "run.json", run.path / PREDICTIONS):
        with suppress(FileNotFoundError):
            yield file, file.stat()


def find_runs(*, profile: str = "paper", **wanted: Any) -> list[Run]:
    """Return the finished runs whose configuration has the wanted values.

    Raises:
        RunError: there is none; the message lists the nearest ones.
    """
    if isinstance(wanted.get("dataset"), str):
        wanted["dataset"] = stored_name(wanted["dataset"])
    runs = list_runs(results_root(profile))
    found = [run for run in runs if all(run.config.get(k) == v for k, v in wanted.items())]
    if found:
        return found

    def likeness(run: Run) -> float:
        return sum(
            _WEIGHTS.get(key, 1) * _likeness(value, run.config.get(key))
            for key, value in wanted.items()
        )

    asked = ", ".join(f"{key}={value}" for key, value in wanted.items())
    raise RunError(f"no run with {asked}; {_nearest(runs, likeness)}")


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
    if (folder / "run.json").exists():
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
        raise RunError(f"{name!r} is part of {len(found)} runs: {_listed(found)}.")
    nearest = _nearest(runs, lambda run: SequenceMatcher(None, part, run_id(run)).ratio())
    raise RunError(f"no run is called {name!r}; {nearest}")


def list_shipped(profile: str = "paper") -> dict[str, Run]:
    """Return the runs whose weights travel with the repository, by their kind of images.

    The kind is the data set's name as it stands in a path, without its size: "breastmnist".
    """
    # What travels with the repository is there wherever results are kept; of two for one kind that
    # of the results in use is taken.
    own = [repo_root() / "results"] if profile == "paper" else []
    roots = dict.fromkeys([*own, results_root(profile)])
    shipped = {}
    found = [
        file
        for root in roots
        for file in sorted((root / "runs").glob(f"**/{SHIPPED}"))
        if FORMER not in file.relative_to(root).parts
    ]
    for file in found:
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


def run_id(run: Run) -> str:
    """Return `<recipe>/<dataset>/<model>/<hash>_s<seed>`, which names a run in its tree.

    A replica's name goes on with `/replicas/<machine>`.
    """
    return "/".join(run.path.parts[-6 if is_replica(run) else -4 :])


def _likeness(wanted: Any, value: Any) -> float:
    """Say how near a value is to the wanted one, 0 to 1; near names count in part."""
    if isinstance(wanted, str) and isinstance(value, str):
        return SequenceMatcher(None, wanted, value).ratio()
    return float(wanted == value)


def _nearest(runs: list[Run], likeness: Callable[[Run], float]) -> str:
    if not runs:
        return "there is no finished run in this results tree."
    # Of equally near ones, a recipe's own protocol first.
    ordered = sorted(runs, key=lambda run: (-likeness(run), len(_changes(run))))
    return f"the nearest: {_listed(ordered)}."


def _listed(runs: list[Run]) -> str:
    """List the first runs, those that differ in the seed alone as one."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(run_id(run).rsplit("_s", 1)[0], []).append(run)
    lines = [_line(name, group) for name, group in list(groups.items())[:_LISTED]]
    more = len(groups) - len(lines)
    return "; ".join(lines) + (f"; and {more} more" if more else "")


def _line(name: str, group: list[Run]) -> str:
    """Describe runs that differ in the seed alone."""
    seeds = ", ".join(str(seed) for seed in sorted(run.config["seed"] for run in group))
    words = [group[0].config["pretrained"], *_changes(group[0])]
    return f"{name} ({', '.join(words)}, seed{'s' if len(group) > 1 else ''} {seeds})"


def _changes(run: Run) -> list[str]:
    """Return what differs from the recipe, as "name value"; nothing for a recipe that is gone."""
    config = run.config
    if config["recipe"] not in load_recipes():
        return []
    recipe = make_config(**{key: config[key] for key in (*_NAMING, "profile")}).to_dict()
    return [f"{key} {value}" for key, value in config.items() if value != recipe.get(key)]


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
