"""Settings chosen on validation data: `python -m helpers.tuning params/tuning.yaml`.

A tuning matrix has the rows of any other matrix. Each configuration is trained and its best
validation AUC goes into a table; the test split is never predicted. The table says which setting of
each group has the highest mean, and a person writes it into `params/recipes.yaml`.
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
    "group",
    "setting",
    "seed",
    "epoch",
    "val_auc",
    "val_accuracy",
    "val_loss",
    "seconds",
)


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


def group_name(config: RunConfig) -> str:
    """Return what shares a setting: recipe, model and start."""
    return f"{config.recipe}/{config.model}/{config.pretrained}"


def tune(file: Path, *, table: Path) -> pd.DataFrame:
    """Train what the table does not hold yet; it is written anew after each run.

    Returns:
        One row a configuration and seed, with the columns `COLUMNS`.
    """
    parameter, configs = load_tuning(file)
    rows = pd.read_csv(table).to_dict("records") if table.exists() else []
    done = {(row["group"], float(row["setting"]), row["seed"]) for row in rows}
    for config in configs:
        setting = float(getattr(config, parameter))
        if (group_name(config), setting, config.seed) in done:
            continue
        _, result, _ = fit_from_config(config, load_dataset(config.dataset))
        best = result.history[result.epoch - 1]
        rows.append(
            {
                "group": group_name(config),
                "setting": setting,
                "seed": config.seed,
                "epoch": result.epoch,
                **{key: round(best[key], 6) for key in ("val_auc", "val_accuracy", "val_loss")},
                "seconds": round(result.seconds, 1),
            }
        )
        print(f"{group_name(config)} {parameter} {setting:g}: {rows[-1]['val_auc']:.3f}")
        frame = pd.DataFrame(rows, columns=COLUMNS).sort_values(["group", "setting", "seed"])
        with write_atomically(table) as temporary:
            frame.to_csv(temporary, index=False)
    return pd.DataFrame(rows, columns=COLUMNS)


def summary(frame: pd.DataFrame) -> pd.DataFrame:
    """Return mean validation AUC and loss over seeds of each group and setting, best first."""
    means = frame.groupby(["group", "setting"]).agg(
        val_auc=("val_auc", "mean"), val_loss=("val_loss", "mean"), seeds=("seed", "count")
    )
    return means.reset_index().sort_values(["group", "val_auc"], ascending=[True, False])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m helpers.tuning", description=__doc__)
    parser.add_argument("file", type=Path, help="a tuning matrix, params/tuning*.yaml")
    options = parser.parse_args(arguments)
    table = results_root() / "tuning" / f"{options.file.stem}.csv"
    print(summary(tune(options.file, table=table)).to_string(index=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
