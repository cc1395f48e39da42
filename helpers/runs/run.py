"""A finished run as it lies on disk: its record, predictions and test curve, read and checked.

And in words, for messages about one that was not found or stands twice.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from helpers.config import (
    FIELD_DEFAULTS,
    RUN_KEYS,
    InputForm,
    did_you_mean,
    load_recipes,
    make_config,
)
from helpers.files import DamagedFile, open_arrays, read_csv, read_json, reading
from helpers.runs.record import RECORD_KEYS, check_form

SCHEMA = 1
RECORD = "run.json"
PREDICTIONS = "predictions.npz"
TEST_CURVE = "test_curve.csv"
REPLICAS = "replicas"
SPLITS = ("val", "test")  # whose predictions are stored
_AGAIN = "; restore it, or move the folder away and run again"
_LISTED = 8  # runs that a message lists


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
        return FIELD_DEFAULTS | self.record["config"]

    @property
    def protocol(self) -> dict[str, Any]:
        """The configuration but for the seed."""
        return {name: value for name, value in self.config.items() if name != "seed"}

    @property
    def form(self) -> InputForm:
        """Normalisation and channels of the network's input."""
        return InputForm(self.config["normalisation"], self.config["channels"])

    @cached_property
    def _arrays(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        file, data = self.path / PREDICTIONS, self.record["data"]
        sizes = {split: data["n"][split] for split in SPLITS} | {"classes": data["num_classes"]}
        arrays = {}
        with (
            reading(file, RunError, _AGAIN, whose=self.path.name),
            open_arrays(file, **sizes) as stored,
        ):
            for split in SPLITS:
                if not any(key.startswith(f"{split}_") for key in stored.names):
                    continue
                labels = stored.read(f"{split}_y_true", "iu", (split,))
                if not 0 <= labels.min() <= labels.max() < sizes["classes"]:
                    raise ValueError(f"{split}_y_true is not within 0 .. {sizes['classes'] - 1}")
                probabilities = stored.read(f"{split}_probabilities", "f", (split, "classes"))
                if not np.isfinite(probabilities).all():
                    raise ValueError(f"{split}_probabilities is not finite throughout")
                arrays[split] = labels, probabilities
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
        return self._arrays[split]

    def has_predictions(self, split: str) -> bool:
        """Say whether predictions of "val" or "test" are stored; errors as for `predictions`."""
        return split in self._arrays

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


def load_run(folder: Path) -> Run:
    """Read a run.

    Raises:
        RunError: there is none, it is damaged, or of another schema version.
    """
    file = Path(folder) / RECORD
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


def is_replica(run: Run) -> bool:
    """Say whether a run was made again from a stored one."""
    return run.path.parent.name == REPLICAS


def run_id(run: Run) -> str:
    """Return `<recipe>/<dataset>/<model>/<hash>_s<seed>`, which names a run in its tree.

    A replica's name goes on with `/replicas/<machine>`.
    """
    return "/".join(run.path.parts[-6 if is_replica(run) else -4 :])


def nearest(runs: list[Run], likeness: Callable[[Run], float]) -> str:
    """List the nearest runs, the highest `likeness` first."""
    if not runs:
        return "there is no finished run in this results tree."
    # Of equally near ones, a recipe's own protocol first.
    ordered = sorted(runs, key=lambda run: (-likeness(run), len(changes_of_recipe(run.config))))
    return f"the nearest: {listed(ordered)}."


def listed(runs: list[Run]) -> str:
    """List the first runs, those that differ in the seed alone as one."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(run_id(run).rsplit("_s", 1)[0], []).append(run)
    lines = []
    for name, group in list(groups.items())[:_LISTED]:
        seeds = ", ".join(str(seed) for seed in sorted(run.config["seed"] for run in group))
        config = group[0].config
        words = [config["pretrained"], *changes_of_recipe(config)]
        lines.append(f"{name} ({', '.join(words)}, seed{'s' if len(group) > 1 else ''} {seeds})")
    more = f"; and {len(groups) - _LISTED} more" if len(groups) > _LISTED else ""
    return "; ".join(lines) + more


def changes_of_recipe(config: Mapping[str, Any]) -> list[str]:
    """Return what differs from the recipe, as "name value"; nothing for a recipe that is gone."""
    if config["recipe"] not in load_recipes():
        return []
    recipe = make_config(**{name: config[name] for name in RUN_KEYS}).to_dict()
    return [f"{key} {value}" for key, value in config.items() if value != recipe.get(key)]
