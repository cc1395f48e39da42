"""A setting chosen on validation data: `python -m helpers.tuning params/tuning_<recipe>.yaml`.

A tuning matrix has the rows of any other matrix. Each configuration is trained and the validation
scores of its selected epoch go into a table; the test split is never predicted. The setting with
the highest mean validation AUC over the models of a recipe is what `params/recipes.yaml` should
hold; a test compares the two.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import yaml

from helpers.config import ConfigError, RunConfig
from helpers.data.datasets import load_dataset
from helpers.experiment import fit_from_config
from helpers.matrix import expand_matrix
from helpers.paths import results_root, write_atomically

COLUMNS = (
    "recipe",
    "model",
    "pretrained",
    "setting",
    "seed",
    "epoch",
    "val_auc",
    "val_accuracy",
    "val_loss",
    "seconds",
)
KEY = ("recipe", "model", "pretrained", "setting", "seed")


def load_tuning(file: Path) -> tuple[str, list[RunConfig]]:
    """Read a tuning matrix.

    Returns:
        The name of the tuned parameter and the configurations.

    Raises:
        ConfigError: the file lacks `parameter`, or a row does not give values for it.
    """
    content = yaml.safe_load(file.read_text())
    parameter = content.get("parameter")
    if parameter is None:
        raise ConfigError(f"{file.name} lacks the key 'parameter', the name of what is tuned.")
    for number, row in enumerate(content["rows"], start=1):
        if not isinstance(row.get(parameter), list):
            raise ConfigError(f"{file.name}, row {number}: {parameter} must be a list of values.")
    return parameter, expand_matrix(content, file=file)


def tune(file: Path, *, table: Path) -> pd.DataFrame:
    """Train what the table does not hold yet; it is written anew after each run.

    Returns:
        One row a configuration and seed, with the columns `COLUMNS`.
    """
    parameter, configs = load_tuning(file)
    rows = pd.read_csv(table).to_dict("records") if table.exists() else []
    done = {tuple(row[key] for key in KEY) for row in rows}
    for config in configs:
        key = {
            "recipe": config.recipe,
            "model": config.model,
            "pretrained": config.pretrained,
            "setting": float(getattr(config, parameter)),
            "seed": config.seed,
        }
        if tuple(key[name] for name in KEY) in done:
            continue
        _, result, _ = fit_from_config(config, load_dataset(config.dataset))
        best = result.history[result.epoch - 1]
        scores = {name: round(best[name], 6) for name in ("val_auc", "val_accuracy", "val_loss")}
        rows.append(key | {"epoch": result.epoch, "seconds": round(result.seconds, 1)} | scores)
        print(f"{config.model} {parameter} {key['setting']:g}: {best['val_auc']:.3f}", flush=True)
        frame = pd.DataFrame(rows, columns=COLUMNS).sort_values(list(KEY))
        with write_atomically(table) as temporary:
            frame.to_csv(temporary, index=False)
    return pd.DataFrame(rows, columns=COLUMNS)


def summary(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the mean validation AUC of each recipe, start and setting, best setting first."""
    means = frame.groupby(["recipe", "pretrained", "setting"]).agg(
        val_auc=("val_auc", "mean"), val_loss=("val_loss", "mean"), runs=("seed", "count")
    )
    order = ["recipe", "pretrained", "val_auc"]
    return means.reset_index().sort_values(order, ascending=[True, True, False])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m helpers.tuning", description=__doc__)
    parser.add_argument("file", type=Path, help="a tuning matrix, params/tuning_<recipe>.yaml")
    options = parser.parse_args(arguments)
    table = results_root() / "tuning" / f"{options.file.stem}.csv"
    print(summary(tune(options.file, table=table)).to_string(index=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
