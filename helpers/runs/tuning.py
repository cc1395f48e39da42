"""A setting chosen on validation data: `python -m helpers.runs.tuning params/tuning_<recipe>.yaml`.

A tuning matrix has the rows of any other matrix. Each configuration is trained and the validation
scores of its selected epoch go into a table; the test split is never predicted. The setting with
the highest mean validation AUC over the models of a recipe is what `params/recipes.yaml` should
hold (where the file says `each_model`, that of each model is what the matrix of its runs should
hold); a test compares the two.

A finished row is in the table at once, and a command that was stopped goes on where it was. Several
of them may work on one file at a time: each takes a row that nobody has taken yet.
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

import pandas as pd

from helpers.config import ConfigError, RunConfig, check_type
from helpers.data.datasets import load_dataset
from helpers.files import guarded, read_csv, read_yaml, reading
from helpers.paths import results_root, write_atomically
from helpers.runs.experiment import fit_from_config
from helpers.runs.matrix import expand_matrix
from helpers.terminal import command, path_argument

COLUMNS = {
    "recipe": str,
    "model": str,
    "pretrained": str,
    "setting": float,
    "seed": int,
    "epoch": int,
    "val_auc": float,
    "val_accuracy": float,
    "val_loss": float,
    "seconds": float,
}
KEY = ("recipe", "model", "pretrained", "setting", "seed")


class Tuning(NamedTuple):
    """A tuning matrix."""

    parameter: str  # name of what is tuned
    configs: list[RunConfig]  # one configuration a setting and seed
    each_model: bool = False  # whether each model has a setting of its own

    def key(self, config: RunConfig) -> dict[str, Any]:
        """Return what names a configuration's row in the table, with the keys `KEY`."""
        values = {name: getattr(config, name) for name in KEY if name != "setting"}
        return values | {"setting": float(getattr(config, self.parameter))}


def load_tuning(file: Path) -> Tuning:
    """Read a tuning matrix.

    Raises:
        ConfigError: the file lacks `parameter`, a row does not give values for it, or two rows of
            the table would have the same name.
    """
    with reading(file, ConfigError):
        return _tuning(read_yaml(file), file)


def _tuning(content: dict[str, Any], file: Path) -> Tuning:
    parameter = content.get("parameter")
    if parameter is None:
        raise ConfigError(f"{file.name} lacks the key 'parameter', the name of what is tuned.")
    for number, row in enumerate(content["rows"], start=1):
        if not isinstance(row.get(parameter), list):
            raise ConfigError(f"{file.name}, row {number}: {parameter} must be a list of values.")
    each_model = check_type("each_model", content.get("each_model", False), bool)
    tuning = Tuning(parameter, expand_matrix(content, file=file), each_model)
    names = Counter(tuple(tuning.key(config).values()) for config in tuning.configs)
    if twice := [name for name, count in names.items() if count > 1]:
        raise ConfigError(
            f"{file.name}: {len(twice)} rows of the table would have one name, for instance "
            f"{dict(zip(tuning.key(tuning.configs[0]), twice[0], strict=True))}: the table tells "
            f"rows apart by {', '.join(KEY)} alone; put what else differs in files of its own."
        )
    return tuning


def tune(file: Path, *, table: Path) -> pd.DataFrame:
    """Train what the table does not hold yet and no other process is training.

    Returns:
        The table, with the columns `COLUMNS`: one row a configuration and seed that is done.
    """
    tuning = load_tuning(file)
    for config in tuning.configs:
        key = tuning.key(config)
        with _claimed(table, key) as mine:
            if not mine or _holds(_read(table), key):
                continue
            _, result, _ = fit_from_config(config, load_dataset(config.dataset))
            best = result.history[result.epoch - 1]
            row = {
                name: None if best[name] is None else round(best[name], 6)  # None: undefined
                for name in ("val_auc", "val_accuracy", "val_loss")
            }
            _add(table, key | {"epoch": result.epoch, "seconds": round(result.seconds, 1)} | row)
        auc = "undefined (one class)" if best["val_auc"] is None else f"{best['val_auc']:.3f}"
        print(
            f"{config.model} {tuning.parameter} {key['setting']:g} seed {config.seed}: {auc}",
            flush=True,
        )
    return _read(table)


def _read(table: Path) -> pd.DataFrame:
    if not table.exists():
        return pd.DataFrame(columns=list(COLUMNS))
    with reading(table, ConfigError, "; restore it, or move it away to tune anew"):
        return read_csv(table, COLUMNS)


def _holds(frame: pd.DataFrame, key: dict[str, Any]) -> bool:
    return any(all(row[name] == key[name] for name in KEY) for row in frame.to_dict("records"))


def _add(table: Path, row: dict[str, Any]) -> None:
    """Add a row to the table as it is now, whoever wrote to it in the meantime."""
    table.parent.mkdir(parents=True, exist_ok=True)
    with open(table.with_suffix(".lock"), "a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        rows = [*_read(table).to_dict("records"), row]
        frame = pd.DataFrame(rows, columns=list(COLUMNS)).sort_values(list(KEY))
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


def summary(frame: pd.DataFrame, *, each_model: bool = False) -> pd.DataFrame:
    """Return the mean validation AUC of each recipe, start and setting, best setting first.

    Args:
        frame: from `tune`.
        each_model: whether models are kept apart, or their mean is taken.
    """
    group = ["recipe", *(["model"] if each_model else []), "pretrained"]
    means = frame.groupby([*group, "setting"]).agg(
        val_auc=("val_auc", "mean"), val_loss=("val_loss", "mean"), runs=("seed", "count")
    )
    order = [True] * len(group) + [False]
    return means.reset_index().sort_values([*group, "val_auc"], ascending=order)


def best_settings(frame: pd.DataFrame, *, each_model: bool = False) -> pd.DataFrame:
    """Return the best setting of each group of `summary`, and whether it is at its grid's edge.

    Returns:
        The first row of each group with the column `at_edge`: the lowest or the highest setting of
        its group won, so the grid does not bracket the best one.
    """
    means = summary(frame, each_model=each_model)
    groups = means.groupby([name for name in ("recipe", "model", "pretrained") if name in means])
    edges = groups["setting"].agg(["min", "max"])
    best = groups.head(1).set_index(edges.index.names)
    at_edge = (best["setting"] == edges["min"]) | (best["setting"] == edges["max"])
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
    print(summary(frame, each_model=tuning.each_model).to_string(index=False))
    for row in best_settings(frame, each_model=tuning.each_model).to_dict("records"):
        if row["at_edge"]:
            who = row.get("model", row["recipe"])
            print(
                f"{who}: the best {tuning.parameter}, {row['setting']:g}, lies at the edge of its "
                "grid: add a value beyond it and call this again."
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
