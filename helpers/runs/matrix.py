"""The matrix of runs: rows of `params/<profile>.yaml`, expanded into configurations."""

import os
from collections.abc import Callable, Iterable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import yaml

from helpers.config import (
    RUN_KEYS,
    TRAIN_PARAMETERS,
    ConfigError,
    RunConfig,
    did_you_mean,
    make_config,
    stored_name,
)
from helpers.data.names import check_name
from helpers.files import read_yaml, reading
from helpers.models.registry import list_models
from helpers.paths import given_path, repo_root
from helpers.runs.run import changes_of_recipe

# What a matrix consists of; a file in params/ with other keys is something else.
MATRIX_KEYS = ("profile", "rows")
# What every row says.
ROW_KEYS = tuple(name for name in RUN_KEYS if name != "profile")


def load_matrix(profile: str, *, rename: Callable[[str], str] | None = None) -> list[RunConfig]:
    """Read, check and expand a matrix.

    Args:
        profile: Name of a file in `params/`, or the path of a YAML file.
        rename: Maps the name of each data set, for instance to a stand-in.

    Returns:
        Configurations, all first seeds before all second ones, so that an unfinished sweep has
        every cell with few seeds rather than few cells with all seeds.

    Raises:
        ConfigError: the file is missing, no YAML or no matrix, a row is wrong, or a run stands
            there twice; the message names file and row.
    """
    file = _find(profile)
    content = _read(file)
    _check_keys(content, file=file)
    for number, row in enumerate(content["rows"], start=1):
        try:
            _check_row(row)
        except ConfigError as error:
            raise ConfigError(f"{file.name}, row {number}: {error}") from error
    configs = expand_matrix(content, file=file)
    if rename is None:
        return configs
    # One set may stand in for several, so the same run may now come several times.
    for row in content["rows"]:
        row["dataset"] = [rename(stored_name(name)) for name in _values(row["dataset"])]
    return _by_seed(config for _, config in _expand(content, file=file))


def expand_matrix(content: dict[str, Any], *, file: Path) -> list[RunConfig]:
    """Expand each row's lists into their product; the same run twice is an error."""
    rows: dict[RunConfig, int] = {}
    for number, config in _expand(content, file=file):
        if config in rows:
            raise ConfigError(
                f"{file.name} asks twice for {_described(config)}: in "
                + (f"rows {rows[config]} and" if rows[config] != number else "row")
                + f" {number}; take it out of one place."
            )
        rows[config] = number
    return _by_seed(rows)


def _expand(content: dict[str, Any], *, file: Path) -> Iterator[tuple[int, RunConfig]]:
    """Yield each run of each row with the row's number, counted from 1."""
    for number, row in enumerate(content["rows"], start=1):
        for values in product(*(_values(value) for value in row.values())):
            try:
                config = make_config(
                    **dict(zip(row, values, strict=True)), profile=content["profile"]
                )
            except (ConfigError, TypeError) as error:
                raise ConfigError(f"{file.name}, row {number}: {error}") from error
            yield number, config


def _by_seed(configs: Iterable[RunConfig]) -> list[RunConfig]:
    return sorted(dict.fromkeys(configs), key=lambda config: config.seed)


def papermill_yaml(config: RunConfig, *, names: Iterable[str]) -> str:
    """Return the named values of a configuration as parameters for `papermill --parameters_yaml`.

    Papermill hands YAML's types on; so 0.0001 is written with a dot, which YAML reads as a number.
    """
    values = {name: getattr(config, name) for name in names}
    return yaml.safe_dump(values, default_flow_style=True, width=10_000).strip()


def _find(profile: str) -> Path:
    """Return the file of a profile: a name in `params/`, or a path."""
    if Path(profile).suffix in (".yaml", ".yml"):
        file = given_path("the profile", profile).absolute()
    else:
        file = repo_root() / "params" / f"{profile}.yaml"
    if not os.path.isfile(file):  # also of a name that no file can have
        raise ConfigError(f"no matrix {file.name}; known profiles: {', '.join(_profiles())}.")
    return file


def _profiles() -> list[str]:
    """Return the names of the matrices among the files in `params/`."""
    return [
        file.stem
        for file in sorted((repo_root() / "params").glob("*.yaml"))
        if set(_read(file)) == set(MATRIX_KEYS)
    ]


def _read(file: Path) -> dict[str, Any]:
    with reading(file, ConfigError):
        return read_yaml(file)


def _check_keys(content: dict[str, Any], *, file: Path) -> None:
    """Refuse another file of `params/`, a misspelt key, and rows that are none."""
    for key in content:
        if key not in MATRIX_KEYS:
            raise ConfigError(
                f"{file.name}: unknown key {key!r}; {did_you_mean(str(key), MATRIX_KEYS)} If it "
                f"is meant for something else than a sweep: matrices are {', '.join(_profiles())}."
            )
    for key in MATRIX_KEYS:
        if key not in content:
            raise ConfigError(f"{file.name} lacks the key {key!r}.")
    rows = content["rows"]
    if not isinstance(rows, list) or not rows:
        got = "an empty one" if rows == [] else f"{type(rows).__name__} {rows!r}"
        raise ConfigError(f"{file.name}: rows must be a list of runs, got {got}.")


def _check_row(row: Any) -> None:
    """Refuse what is no row, a key that 04_train does not take, a list of nothing, wrong names."""
    if not isinstance(row, dict):
        raise ConfigError(f"a row must be a mapping, got {type(row).__name__} {row!r}.")
    known = tuple(name for name in TRAIN_PARAMETERS if name != "profile")
    for key, value in row.items():
        if key == "profile":
            raise ConfigError("profile belongs at the top of the file, once for all rows.")
        if key not in known:
            raise ConfigError(f"unknown key {key!r}; {did_you_mean(str(key), known)}")
        if value == []:
            raise ConfigError(f"{key} is an empty list, so the row asks for no run.")
    if missing := [key for key in ROW_KEYS if row.get(key) is None]:
        raise ConfigError(f"{', '.join(missing)} missing; every row says {', '.join(ROW_KEYS)}.")
    for key in ("dataset", "model"):
        for value in _values(row[key]):
            if not isinstance(value, str):
                raise ConfigError(f"{key} must be str, got {type(value).__name__} {value!r}.")
            if key == "dataset":
                check_name(value)
            elif value not in list_models():
                known = did_you_mean(value, list_models())
                raise ConfigError(f"unknown model {value!r}; {known}")


def _values(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _described(config: RunConfig) -> str:
    """Return a run in a line: its names, and what differs from its recipe."""
    changed = changes_of_recipe(config.to_dict())
    words = [config.recipe, config.dataset, config.model, config.pretrained, f"seed {config.seed}"]
    return " ".join(words) + (f" ({', '.join(changed)})" if changed else "")
