"""The plan of Table 3, measured: `params/ranking.yaml`, read and checked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

from helpers.config import ConfigError, RunConfig, make_config
from helpers.files import read_yaml, reading
from helpers.models.registry import list_models
from helpers.paths import repo_root
from study.published import Published, PublishedError, comparators, load_published, lookup

Key = tuple[str, str, str]  # paper, table, row
STARTS = {"none": "Trained from scratch", "imagenet": "Started from ImageNet weights"}
START_WORDS = {
    "none": "from scratch",
    "imagenet": "from ImageNet weights",
    "not given": "start not given",
}
KEYS = (
    *("paper", "recipe", "level", "rank_seeds", "focus", "datasets", "models", "starts"),
    *("as_published", "claims", "not_rebuilt"),
)


class RankingError(ValueError):
    """The plan is not in order, or asks for something that it does not hold."""


@dataclass(frozen=True)
class PublishedAccuracy:
    """A published accuracy on one data set.

    Attributes:
        key: paper, table and row.
        published: the value.
        start: "imagenet", "none" or "not given".
    """

    key: Key
    published: Published
    start: str

    @property
    def row(self) -> str:
        """The row's name in its source."""
        return self.key[2]

    def fits(self, start: str) -> bool:
        """Say whether the value may stand in the ranking of a start."""
        return self.start in (start, "not given")


@dataclass(frozen=True)
class System:
    """A model of the comparison.

    Attributes:
        model: name in the registry.
        title: for tables.
        rows: published rows that speak of it, nearest protocol first.
    """

    model: str
    title: str
    rows: tuple[Key, ...]


@dataclass(frozen=True)
class NotRebuilt:
    """A published network that is not rebuilt."""

    title: str
    row: Key
    reason: str


@dataclass(frozen=True)
class Claim:
    """What the paper says of the focus against others, in words.

    Attributes:
        text: its words.
        section: where.
        others: models, all of `Plan.as_published`.
    """

    text: str
    section: str
    others: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """The content of `params/ranking.yaml`.

    Attributes:
        paper: whose table it is.
        recipe: the one protocol.
        level: of the corrected p values.
        rank_seeds: common seeds that tell a pair of models apart in the rank ranges.
        focus: the model that is compared with every other.
        datasets: name -> title.
        systems: by model.
        starts: "none" and "imagenet" -> the models of that ranking.
        as_published: whom the paper compares its pretrained network with, from scratch.
        claims: in words.
        not_rebuilt: published networks without runs.
    """

    paper: str
    recipe: str
    level: float
    rank_seeds: int
    focus: str
    datasets: Mapping[str, str]
    systems: Mapping[str, System]
    starts: Mapping[str, tuple[str, ...]]
    as_published: tuple[str, ...]
    claims: tuple[Claim, ...]
    not_rebuilt: tuple[NotRebuilt, ...]

    def config(self, dataset: str, model: str, start: str) -> RunConfig:
        """Return the configuration, with seed 0, of a model's runs."""
        return make_config(
            recipe=self.recipe, dataset=dataset, model=model, seed=0, pretrained=start
        )

    def check(self, dataset: str, start: str) -> None:
        """Refuse a data set or a start that the plan does not hold.

        Raises:
            RankingError: naming the known ones.
        """
        _check_known([dataset], self.datasets, "data set")
        _check_known([start], self.starts, "start")


def load_plan(path: Path | None = None) -> Plan:
    """Read the plan.

    Raises:
        RankingError: a key is missing or unknown, a model is not in the registry, stands twice or
            has no title, a published row does not exist, or the recipe is unknown.
    """
    path = path or repo_root() / "params" / "ranking.yaml"
    with reading(path, RankingError):
        content = read_yaml(path)
        try:
            return _plan(content)
        except RankingError as error:
            raise RankingError(f"{path.name}: {error}") from None


def _plan(content: dict[str, Any]) -> Plan:
    _check_keys(content, "the plan", needed=KEYS)
    if not 0 < content["level"] < 1 or content["rank_seeds"] < 2:
        raise RankingError("level must lie within 0 .. 1 and rank_seeds be at least 2.")
    if not content["datasets"]:
        raise RankingError("datasets is empty.")
    _check_known(content["models"], list_models(), "model")
    systems = {name: _system(name, entry) for name, entry in content["models"].items()}
    _check_known(content["starts"], STARTS, "start")
    _check_keys(content["starts"], "starts", needed=tuple(STARTS))
    starts = {start: tuple(content["starts"][start]) for start in STARTS}
    for start, models in starts.items():
        _check_members(models, systems, f"starts, {start}")
        if content["focus"] not in models:
            raise RankingError(f"starts, {start}: the focus {content['focus']!r} is not in it.")
    _check_members(content["as_published"], systems, "as_published")
    outside = [name for name in content["as_published"] if name not in starts["none"]]
    if outside or content["focus"] in content["as_published"]:
        raise RankingError("as_published holds others than the focus, from those of start none.")
    plan = Plan(
        paper=content["paper"],
        recipe=content["recipe"],
        level=content["level"],
        rank_seeds=content["rank_seeds"],
        focus=content["focus"],
        datasets=content["datasets"],
        systems=systems,
        starts=starts,
        as_published=tuple(content["as_published"]),
        claims=tuple(_claim(entry, content["as_published"]) for entry in content["claims"]),
        not_rebuilt=tuple(_not_rebuilt(entry) for entry in content["not_rebuilt"]),
    )
    try:
        for dataset in plan.datasets:
            plan.config(dataset, plan.focus, "none")
    except ConfigError as error:
        raise RankingError(str(error)) from None
    return plan


def _system(name: str, entry: dict[str, Any]) -> System:
    where = f"models, {name}"
    _check_keys(entry, where, needed=("title",), allowed=("published",))
    return System(name, entry["title"], tuple(_key(k, where) for k in entry.get("published", ())))


def _claim(entry: dict[str, Any], as_published: Sequence[str]) -> Claim:
    _check_keys(entry, f"claims, {entry.get('text')}", needed=("text", "section", "others"))
    _check_known(entry["others"], as_published, "model in a claim")
    return Claim(entry["text"], entry["section"], tuple(entry["others"]))


def _not_rebuilt(entry: dict[str, Any]) -> NotRebuilt:
    where = f"not_rebuilt, {entry.get('title')}"
    _check_keys(entry, where, needed=("title", "published", "reason"))
    return NotRebuilt(entry["title"], _key(entry["published"], where), entry["reason"])


def _key(entry: dict[str, str], where: str) -> Key:
    """Return the key of a published row that exists."""
    _check_keys(entry, f"{where}, published", needed=("paper", "table", "row"))
    table = load_published()
    same = (table["paper"] == entry["paper"]) & (table["table"] == entry["table"])
    rows = list(dict.fromkeys(table[same]["row"]))
    if entry["row"] not in rows:
        place = " | ".join((entry["paper"], entry["table"]))
        raise RankingError(f"{where}: {place} has no row {entry['row']!r}; known: {rows}.")
    return entry["paper"], entry["table"], entry["row"]


def _check_keys(
    entry: Mapping[str, Any], where: str, *, needed: Sequence[str], allowed: Sequence[str] = ()
) -> None:
    known = (*needed, *allowed)
    if unknown := [key for key in entry if key not in known]:
        near = get_close_matches(unknown[0], known, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise RankingError(
            f"{where} has an unknown key {', '.join(unknown)}; known: {', '.join(known)}.{hint}"
        )
    if missing := [key for key in needed if key not in entry]:
        raise RankingError(f"{where} lacks the key {', '.join(missing)}.")


def _check_known(names: Sequence[str], known: Sequence[str], what: str) -> None:
    if unknown := [name for name in names if name not in known]:
        near = get_close_matches(unknown[0], known, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise RankingError(f"unknown {what} {', '.join(unknown)}; known: {', '.join(known)}.{hint}")


def _check_members(names: Sequence[str], systems: Mapping[str, System], where: str) -> None:
    _check_known(names, tuple(systems), f"model in {where}")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise RankingError(f"{where}: {', '.join(twice)} stands twice.")


# --- published accuracies ------------------------------------------------------------------------


@cache
def _accuracies(dataset: str) -> dict[Key, PublishedAccuracy]:
    """Return every published accuracy on a data set; none where nothing is published on it."""
    try:
        table = comparators(dataset, "accuracy")
    except PublishedError:
        if (load_published()["column"] == f"{dataset}/accuracy").any():
            raise
        return {}
    found = {}
    for r in table.itertuples():
        key = (r.paper, r.table, r.row)
        value = lookup(paper=r.paper, table=r.table, row=r.row, column=r.column)
        if value.value is not None:
            found[key] = PublishedAccuracy(key, value, r.pretrained)
    return found


def published_accuracies(rows: Sequence[Key], dataset: str) -> tuple[PublishedAccuracy, ...]:
    """Return what the given rows say of a data set, in their order; rows without it are left out.

    Args:
        rows: keys of published rows.
        dataset: without a size suffix.
    """
    known = _accuracies(dataset)
    return tuple(known[key] for key in rows if key in known)
