"""A setting chosen on validation data: `python -m helpers.runs.tuning params/tuning_<recipe>.yaml`.

A tuning matrix has the rows of any other matrix. Each configuration is trained and the validation
scores of its selected epoch go into a table; the test split is never predicted. The setting with
the highest mean validation AUC over the models of a recipe is what `params/recipes.yaml` should
hold (where the file says `each_model`, that of each model is what the matrix of its runs should
hold); a test compares the two. With `validation: corrupted` it is the mean AUC on the validation
images blurred, noisy, with less contrast and resampled: for a test split that comes from elsewhere.

A row is told by the hash of its configuration: what another protocol or data set gave stays in the
table and is left out. A finished row is in the table at once, and a command that was stopped goes
on where it was. Several of them may work on one file at a time: each takes a row that nobody has
taken yet.
"""

import argparse
import fcntl
import hashlib
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from torch import nn

from helpers.config import ConfigError, RunConfig, check_type, did_you_mean
from helpers.data.corruptions import CORRUPTIONS, corrupt
from helpers.data.datasets import load_dataset
from helpers.data.splits import Split
from helpers.files import guarded, read_csv, read_yaml, reading
from helpers.metrics.scores import evaluate
from helpers.paths import results_root, write_atomically
from helpers.runs.experiment import fit_from_config
from helpers.runs.matrix import expand_matrix
from helpers.terminal import command, path_argument
from helpers.training.inference import as_tensor, predict_as
from helpers.training.seeds import default_device

KEYS = ("profile", "parameter", "rows", "each_model", "validation")
VALIDATION = {"plain": "val_auc", "corrupted": "corrupted_auc"}  # images -> column that chooses
NAME = ("recipe", "dataset", "model", "pretrained", "setting", "seed")


class Tuning(NamedTuple):
    """A tuning matrix."""

    parameter: str  # name of what is tuned
    configs: list[RunConfig]  # one configuration a setting and seed
    each_model: bool = False  # whether each model has a setting of its own
    validation: str = "plain"  # one of `VALIDATION`

    def key(self, config: RunConfig) -> dict[str, Any]:
        """Return a configuration's row in the table as far as it is known before training."""
        value = getattr(config, self.parameter)
        setting = value if isinstance(value, str) else float(value)
        names = {name: getattr(config, name) for name in NAME if name != "setting"}
        return names | {"setting": setting, "run": config.hash()}

    @property
    def columns(self) -> dict[str, type]:
        """Return the columns of the table and their types."""
        textual = isinstance(getattr(self.configs[0], self.parameter), str)
        columns = dict.fromkeys(NAME, str) | {"setting": str if textual else float, "seed": int}
        columns |= {"run": str, "epoch": int}
        scores = ["val_auc", "val_accuracy", "val_loss", "seconds"]
        if self.validation == "corrupted":
            scores.insert(3, "corrupted_auc")
        return columns | dict.fromkeys(scores, float)


def load_tuning(file: Path) -> Tuning:
    """Read a tuning matrix.

    Raises:
        ConfigError: the file lacks `parameter`, a row does not give values for it, or two rows of
            the table would have the same name.
    """
    with reading(file, ConfigError):
        content = read_yaml(file)
        for key in content:
            if key not in KEYS:
                raise ConfigError(f"unknown key {key!r}; {did_you_mean(str(key), KEYS)}")
        parameter = content.get("parameter")
        if parameter is None:
            raise ConfigError(f"{file.name} lacks the key 'parameter', the name of what is tuned.")
        for number, row in enumerate(content["rows"], start=1):
            if not isinstance(row.get(parameter), list):
                where = f"{file.name}, row {number}"
                raise ConfigError(f"{where}: {parameter} must be a list of values.")
        each_model = check_type("each_model", content.get("each_model", False), bool)
        validation = check_type("validation", content.get("validation", "plain"), str)
        if validation not in VALIDATION:
            known = did_you_mean(validation, tuple(VALIDATION))
            raise ConfigError(f"unknown validation {validation!r}; {known}")
        tuning = Tuning(parameter, expand_matrix(content, file=file), each_model, validation)
        names = Counter(tuple(tuning.key(run)[name] for name in NAME) for run in tuning.configs)
        if twice := [name for name, count in names.items() if count > 1]:
            raise ConfigError(
                f"{len(twice)} rows of the table would have one name, for instance "
                f"{dict(zip(NAME, twice[0], strict=True))}, and be averaged as one; put what else "
                "differs in files of its own."
            )
        return tuning


def tune(file: Path, *, table: Path) -> pd.DataFrame:
    """Train what the table does not hold yet and no other process is training.

    Returns the table's rows of this matrix, with `Tuning.columns`: one a configuration done.
    """
    tuning = load_tuning(file)
    for config in tuning.configs:
        key = tuning.key(config)
        with _claimed(table, key) as mine:
            if not mine or not rows_of(_read(table, tuning), [config]).empty:
                continue
            splits = load_dataset(config.dataset)
            model, result, _ = fit_from_config(config, splits)
            best = result.history[result.epoch - 1]
            scores = {name: best[name] for name in ("val_auc", "val_accuracy", "val_loss")}
            if tuning.validation == "corrupted":
                scores["corrupted_auc"] = corrupted_auc(config, model, splits.val)
            # None: undefined, where a split has one class
            row = {name: None if x is None else round(x, 6) for name, x in scores.items()}
            done = {"epoch": result.epoch, "seconds": round(result.seconds, 1)}
            _add(table, tuning, key | done | row)
        score = row[VALIDATION[tuning.validation]]
        auc = "undefined (one class)" if score is None else f"{score:.3f}"
        setting = key["setting"]
        shown = setting if isinstance(setting, str) else f"{setting:g}"
        print(f"{config.model} {tuning.parameter} {shown} seed {config.seed}: {auc}", flush=True)
    return rows_of(_read(table, tuning), tuning.configs)


def corrupted_auc(config: RunConfig, model: nn.Module, split: Split) -> float | None:
    """Return the AUC on a split's images, mean over `CORRUPTIONS`; None where it is undefined."""
    images, _ = as_tensor(split, default_device())
    aucs = []
    for kind in CORRUPTIONS:
        probabilities = predict_as(config, model, corrupt(images, kind))
        aucs.append(evaluate(split.labels, probabilities, n_resamples=0)["auc"].value)
    return None if None in aucs else float(np.mean(aucs))


def rows_of(frame: pd.DataFrame, configs: Sequence[RunConfig]) -> pd.DataFrame:
    """Return the rows of a table that are of these configurations and seeds."""
    wanted = {(config.hash(), config.seed) for config in configs}
    mine = [one in wanted for one in zip(frame["run"], frame["seed"], strict=True)]
    return frame[np.array(mine, bool)].reset_index(drop=True)


def _read(table: Path, tuning: Tuning) -> pd.DataFrame:
    if not table.exists():
        return pd.DataFrame(columns=list(tuning.columns))
    with reading(table, ConfigError, "; restore it, or move it away to tune anew"):
        return read_csv(table, tuning.columns)


def _add(table: Path, tuning: Tuning, row: dict[str, Any]) -> None:
    """Add a row to the table as it is now, whoever wrote to it in the meantime."""
    table.parent.mkdir(parents=True, exist_ok=True)
    with open(table.with_suffix(".lock"), "a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        rows = [*_read(table, tuning).to_dict("records"), row]
        frame = pd.DataFrame(rows, columns=list(tuning.columns)).sort_values([*NAME, "run"])
        with write_atomically(table) as temporary:
            guarded(frame).to_csv(temporary, index=False)


@contextmanager
def _claimed(table: Path, key: dict[str, Any]) -> Iterator[bool]:
    """Try to become the only process that trains a row; say whether that worked.

    A claim is the system's lock of one byte of a file, so a killed process lets go of it. The file
    must be opened nowhere else: when a process closes it, all its claims are gone.
    """
    table.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(repr(sorted(key.items())).encode()).digest()
    with open(table.with_suffix(".claims.lock"), "a") as handle:
        try:
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, int.from_bytes(digest[:7]))
        except BlockingIOError:
            yield False
        else:
            yield True


def summary(
    frame: pd.DataFrame, *, each_model: bool = False, measure: str = "val_auc"
) -> pd.DataFrame:
    """Return the mean score of each recipe, data set, start and setting, best setting first.

    `each_model` keeps models apart, else their mean is taken; `measure` is the column that chooses.
    """
    group = ["recipe", "dataset", *(["model"] if each_model else []), "pretrained"]
    columns = {name: (name, "mean") for name in dict.fromkeys((measure, "val_auc", "val_loss"))}
    means = frame.groupby([*group, "setting"]).agg(**columns, runs=("seed", "count"))
    order = [True] * len(group) + [False]
    return means.reset_index().sort_values([*group, measure], ascending=order)


def best_settings(
    frame: pd.DataFrame, *, each_model: bool = False, measure: str = "val_auc"
) -> pd.DataFrame:
    """Return the first row of each group of `summary`, with the column `at_edge`.

    It is true where the lowest or the highest of the group's numbers won, so that the grid does not
    bracket the best one.
    """
    means = summary(frame, each_model=each_model, measure=measure)
    group = [name for name in ("recipe", "dataset", "model", "pretrained") if name in means]
    edges = means.groupby(group)["setting"].agg(["min", "max"])
    best = means.groupby(group).head(1).set_index(group)
    at_edge = (best["setting"] == edges["min"]) | (best["setting"] == edges["max"])
    if not pd.api.types.is_numeric_dtype(best["setting"]):
        at_edge[:] = False  # names have no order
    return best.assign(at_edge=at_edge).reset_index()


@command
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m helpers.runs.tuning", description=__doc__)
    parser.add_argument("file", type=path_argument, help="a matrix, params/tuning_<recipe>.yaml")
    options = parser.parse_args(arguments)
    table = results_root() / "tuning" / f"{options.file.stem}.csv"
    tuning = load_tuning(options.file)
    frame = tune(options.file, table=table)
    if missing := len(tuning.configs) - len(frame):
        print(f"{missing} of {len(tuning.configs)} rows are still being trained by others.")
    if frame.empty:
        return 0
    if others := len(_read(table, tuning)) - len(frame):
        print(f"{others} rows of {table.name} are of other settings or protocols and left out.")
    each_model, measure = tuning.each_model, VALIDATION[tuning.validation]
    print(summary(frame, each_model=each_model, measure=measure).to_string(index=False))
    best = best_settings(frame, each_model=each_model, measure=measure)
    for row in best.to_dict("records"):
        if row["at_edge"]:
            who = row.get("model", row["recipe"])
            print(
                f"{who}: the best {tuning.parameter}, {row['setting']:g}, lies at the edge of its "
                "grid: add a value beyond it and call this again."
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
