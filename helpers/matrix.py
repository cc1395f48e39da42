"""The matrix of runs: rows of `params/<profile>.yaml`, expanded into configurations."""

from itertools import product
from pathlib import Path
from typing import Any

import yaml

from helpers.config import ConfigError, RunConfig, make_config
from helpers.paths import repo_root


def load_matrix(profile: str) -> list[RunConfig]:
    """Read and expand the matrix of a profile.

    Returns:
        Configurations, all first seeds before all second ones, so that an unfinished sweep has
        every cell with few seeds rather than few cells with all seeds.

    Raises:
        ConfigError: the file is missing or a row is wrong; the message names the row.
    """
    file = repo_root() / "params" / f"{profile}.yaml"
    if not file.exists():
        known = sorted(path.stem for path in file.parent.glob("*.yaml") if path.stem != "recipes")
        raise ConfigError(f"no matrix {file.name}; known profiles: {', '.join(known)}.")
    return expand_matrix(yaml.safe_load(file.read_text()), file=file)


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
