"""Planned comparisons of two protocols: `params/comparisons.yaml`."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from helpers.config import ConfigError, RunConfig, make_config
from helpers.files import read_yaml, reading
from helpers.paths import repo_root
from helpers.runs.groups import ComparisonError
from study.published import Published, PublishedError, lookup

GAINS = {"accuracy": "accuracy", "auc": "AUC"}


@dataclass(frozen=True)
class Pair:
    """A planned comparison.

    Attributes:
        name: its `id`, once in its family.
        title: what A has and B lacks; the subject of "... changes AUC by".
        claim: what the paper says, and where.
        a: one run of A's protocol (its seed means nothing).
        b: one of B's.
        published: key of the printed gain but for the column, None if none is printed.
    """

    name: str
    title: str
    claim: str
    a: RunConfig
    b: RunConfig
    published: Mapping[str, str] | None


@dataclass(frozen=True)
class Family:
    """Comparisons that are corrected together."""

    name: str
    title: str
    pairs: tuple[Pair, ...]


@dataclass(frozen=True)
class System:
    """A row of Table 4.

    Attributes:
        title: for tables.
        config: one run of its protocol.
        published: the paper's row, None if it has none.
    """

    title: str
    config: RunConfig
    published: str | None


@dataclass(frozen=True)
class Plan:
    """The content of `params/comparisons.yaml`, or of a file of its form.

    Attributes:
        min_seeds: for a verdict.
        level: of the corrected p values.
        dataset: name for `load_dataset`; a comparison that names no other is on its test images.
        families: what is corrected together.
        systems: rows of paper A's Table 4 by their start; empty in a file that has none.
        paper: whose claims these are.
        same_images: whether the data set is the one that the paper names.
    """

    min_seeds: int
    level: float
    dataset: str
    families: tuple[Family, ...]
    systems: Mapping[str, tuple[System, ...]]
    paper: str
    same_images: bool

    def family(self, name: str) -> Family:
        """Return a family.

        Raises:
            ComparisonError: there is none of that name.
        """
        known = {family.name: family for family in self.families}
        if name not in known:
            raise ComparisonError(f"unknown family {name!r}; known: {', '.join(known)}.")
        return known[name]


def load_plan(path: Path | None = None, *, beside: Sequence[str] = ("systems",)) -> Plan:
    """Read the comparisons.

    Args:
        path: another file than `params/comparisons.yaml`.
        beside: keys that the file has beside `rule`, `dataset` and `families`; of these only
            `systems` is read here.

    Raises:
        ComparisonError: a key is missing or unknown, a name stands twice, a configuration or a
            published row does not exist, or both sides of a comparison are the same.
    """
    path = path or repo_root() / "params" / "comparisons.yaml"
    with reading(path, ComparisonError):
        content = read_yaml(path)
        check_keys(content, path.name, needed=("rule", "dataset", "families", *beside))
        rule, dataset = content["rule"], content["dataset"]
        check_keys(
            rule, f"{path.name}, rule", needed=("min_seeds", "level", "paper", "same_images")
        )
        if rule["min_seeds"] < 2 or not 0 < rule["level"] < 1:
            raise ComparisonError(
                f"{path.name}: min_seeds must be at least 2, level within 0 .. 1."
            )
        families = tuple(_family(entry, dataset) for entry in content["families"])
        _check_unique([family.name for family in families], path.name)
        systems = {}
        if "systems" in beside:
            check_keys(content["systems"], f"{path.name}, systems", needed=("imagenet", "none"))
            systems = {
                start: tuple(_system(entry, dataset, start) for entry in entries)
                for start, entries in content["systems"].items()
            }
        about = rule["paper"], rule["same_images"]
        return Plan(rule["min_seeds"], rule["level"], dataset, families, systems, *about)


def _family(entry: dict[str, Any], dataset: str) -> Family:
    check_keys(entry, "a family", needed=("name", "title", "common", "comparisons"))
    name = entry["name"]
    pairs = tuple(_pair(pair, entry["common"], dataset, name) for pair in entry["comparisons"])
    _check_unique([pair.name for pair in pairs], f"family {name}")
    return Family(name, entry["title"], pairs)


def _pair(entry: dict[str, Any], common: dict[str, Any], dataset: str, family: str) -> Pair:
    where = f"family {family}, comparison {entry.get('id')}"
    check_keys(entry, where, needed=("id", "title", "claim"), allowed=("a", "b", "published"))
    sides = [
        protocol({"dataset": dataset} | common | entry.get(side, {}), where=f"{where}, {side}")
        for side in ("a", "b")
    ]
    if sides[0] == sides[1]:
        raise ComparisonError(f"{where}: a and b are the same protocol.")
    published = entry.get("published")
    if published is not None:
        for metric in GAINS:
            published_value(published, metric, where)
    return Pair(entry["id"], entry["title"], entry["claim"], *sides, published)


def _system(entry: dict[str, Any], dataset: str, start: str) -> System:
    where = f"systems of start {start}, {entry.get('title')}"
    check_keys(entry, where, needed=("title", "runs"), allowed=("published",))
    own = {"dataset": dataset, "pretrained": start}
    config = protocol(entry["runs"] | own, where=where)
    if row := entry.get("published"):
        published_value({"paper": "A", "table": "Table 4", "row": row}, "accuracy", where)
    return System(entry["title"], config, entry.get("published"))


def published_value(key: Mapping[str, str], column: str, where: str) -> Published:
    """Look a printed value up for an entry of a plan.

    Raises:
        ComparisonError: there is none; the message names the entry.
    """
    try:
        return lookup(**key, column=column)
    except (PublishedError, TypeError) as error:
        raise ComparisonError(f"{where}: {error}") from None


def check_keys(
    entry: dict[str, Any], where: str, *, needed: Sequence[str], allowed: Sequence[str] = ()
) -> None:
    """Raise a `ComparisonError` if an entry of a plan lacks a key or has an unknown one."""
    if missing := [key for key in needed if key not in entry]:
        raise ComparisonError(f"{where} lacks the key {', '.join(missing)}.")
    if unknown := [key for key in entry if key not in (*needed, *allowed)]:
        known = ", ".join((*needed, *allowed))
        raise ComparisonError(f"{where} has an unknown key {', '.join(unknown)}; known: {known}.")


def _check_unique(names: Sequence[str], where: str) -> None:
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ComparisonError(f"{where}: {', '.join(twice)} stands twice.")


def protocol(parameters: Mapping[str, Any], *, where: str) -> RunConfig:
    """Return a configuration, with seed 0, of the named parameters.

    Args:
        parameters: for `make_config`, the data set among them.
        where: names the entry in an error.

    Raises:
        ComparisonError: the parameters make no configuration, or one of them is null.
    """
    if empty := [name for name, value in parameters.items() if value is None]:
        raise ComparisonError(
            f"{where}: {', '.join(empty)} has no value; leave it out or give one."
        )
    try:
        return make_config(**parameters, seed=0)
    except (ConfigError, TypeError) as error:
        raise ComparisonError(f"{where}: {error}") from None


def planned_configs(seeds: Iterable[int], *, plan: Plan | None = None) -> set[RunConfig]:
    """Return all runs that the comparisons need, for the given seeds."""
    plan = plan or load_plan()
    sides = {side for family in plan.families for pair in family.pairs for side in (pair.a, pair.b)}
    return {replace(side, seed=seed) for seed in seeds for side in sides}
