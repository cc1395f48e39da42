"""The matrix of runs: rows of `params/<profile>.yaml`, expanded into configurations."""

from collections.abc import Callable, Iterable
from itertools import product
from pathlib import Path
from typing import Any

import yaml

from helpers.config import ConfigError, RunConfig, make_config
from helpers.paths import repo_root

# What else lies in params/.
NOT_MATRICES = {"comparisons", "localisation", "recipes", "verdicts"}
# What names a run to a reader; 05_evaluate finds a stored run by these.
RUN_KEYS = ("recipe", "dataset", "model", "seed", "pretrained", "profile")


def load_matrix(
    profile: str, *, rename: Callable[[str], str] = lambda dataset: dataset
) -> list[RunConfig]:
    """Read and expand the matrix of a profile.

    Args:
        profile: One of `config.PROFILES`, or any other file in `params/`.
        rename: Maps the name of each data set, for instance to a stand-in.

    Returns:
        Configurations, all first seeds before all second ones, so that an unfinished sweep has
        every cell with few seeds rather than few cells with all seeds.

    Raises:
        ConfigError: the file is missing or a row is wrong; the message names the row.
    """
    file = repo_root() / "params" / f"{profile}.yaml"
    if not file.exists():
        known = sorted(
            name
            for name in {path.stem for path in file.parent.glob("*.yaml")} - NOT_MATRICES
            if not name.startswith("tuning_")
        )
        raise ConfigError(f"no matrix {file.name}; known profiles: {', '.join(known)}.")
    content = yaml.safe_load(file.read_text())
    for row in content["rows"]:
        names = row["dataset"] if isinstance(row["dataset"], list) else [row["dataset"]]
        row["dataset"] = list(dict.fromkeys(rename(name) for name in names))
    return expand_matrix(content, file=file)


def expand_matrix(content: dict[str, Any], *, file: Path) -> list[RunConfig]:
    """Expand each row's lists into their product; the same run twice is an error."""
    configs: list[RunConfig] = []
    for number, row in enumerate(content["rows"], start=1):
        lists = [value if isinstance(value, list) else [value] for value in row.values()]
        try:
            configs += [
                make_config(**dict(zip(row, values, strict=True)), profile=content["profile"])
                for values in product(*lists)
            ]
        except (ConfigError, TypeError) as error:
            raise ConfigError(f"{file.name}, row {number}: {error}") from error
    if len(set(configs)) != len(configs):
        twice = next(config for config in configs if configs.count(config) > 1)
        raise ConfigError(f"{file.name} asks twice for {twice}.")
    return sorted(configs, key=lambda config: config.seed)


def papermill_yaml(config: RunConfig, *, names: Iterable[str]) -> str:
    """Return the named values of a configuration as parameters for `papermill --parameters_yaml`.

    Papermill hands YAML's types on; so 0.0001 is written with a dot, which YAML reads as a number.
    """
    return yaml.safe_dump({name: getattr(config, name) for name in names}, default_flow_style=True)
