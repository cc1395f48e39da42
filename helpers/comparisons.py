"""Claims as paired comparisons of two protocols, judged: `params/comparisons.yaml` for paper A.

`params/table2.yaml` (see `helpers.table2`) plans paper B's in the same form.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from helpers.config import ConfigError, RunConfig, make_config
from helpers.groups import Group
from helpers.paired import Difference, accuracy_difference, auc_difference, majority_mcnemar
from helpers.paths import repo_root
from helpers.published import Published, PublishedError, lookup
from helpers.statistical_tests import McnemarResult, holm
from helpers.verdicts import NOT_RUN, OURS_HIGHER, OURS_LOWER, REPRODUCED, TOO_FEW_SEEDS

A_BETTER = "A better"
B_BETTER = "B better"
NO_DIFFERENCE = "no difference shown"
UNTESTABLE = "no test possible"
INCONCLUSIVE = "inconclusive"
GAINS = {"accuracy": "accuracy", "auc": "AUC"}


class ComparisonError(ValueError):
    """The file of comparisons is not in order, or runs do not form a pair."""


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
        dataset: name for `load_dataset`; all comparisons are on its test images.
        families: what is corrected together.
        systems: rows of paper A's Table 4 by their start; empty in a file that has none.
    """

    min_seeds: int
    level: float
    dataset: str
    families: tuple[Family, ...]
    systems: Mapping[str, tuple[System, ...]]

    def family(self, name: str) -> Family:
        """Return a family.

        Raises:
            ComparisonError: there is none of that name.
        """
        known = {family.name: family for family in self.families}
        if name not in known:
            raise ComparisonError(f"unknown family {name!r}; known: {', '.join(known)}.")
        return known[name]


# --- the plan ------------------------------------------------------------------------------------


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
    content = yaml.safe_load(path.read_text())
    check_keys(content, path.name, needed=("rule", "dataset", "families", *beside))
    rule, dataset = content["rule"], content["dataset"]
    check_keys(rule, f"{path.name}, rule", needed=("min_seeds", "level"))
    if rule["min_seeds"] < 2 or not 0 < rule["level"] < 1:
        raise ComparisonError(f"{path.name}: min_seeds must be at least 2 and level within 0 .. 1.")
    families = tuple(_family(entry, dataset) for entry in content["families"])
    _check_unique([family.name for family in families], path.name)
    systems = {}
    if "systems" in beside:
        check_keys(content["systems"], f"{path.name}, systems", needed=("imagenet", "none"))
        systems = {
            start: tuple(_system(entry, dataset, start) for entry in entries)
            for start, entries in content["systems"].items()
        }
    return Plan(rule["min_seeds"], rule["level"], dataset, families, systems)


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
        protocol(common | entry.get(side, {}), dataset=dataset, where=f"{where}, {side}")
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
    config = protocol(entry["runs"] | {"pretrained": start}, dataset=dataset, where=where)
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


def protocol(parameters: Mapping[str, Any], *, dataset: str, where: str) -> RunConfig:
    """Return a configuration, with seed 0, of the named parameters.

    Args:
        parameters: for `make_config`.
        dataset: name for `load_dataset`.
        where: names the entry in an error.

    Raises:
        ComparisonError: the parameters make no configuration, or one of them is null.
    """
    if empty := [name for name, value in parameters.items() if value is None]:
        raise ComparisonError(
            f"{where}: {', '.join(empty)} has no value; leave it out or give one."
        )
    try:
        return make_config(**parameters, dataset=dataset, seed=0)
    except (ConfigError, TypeError) as error:
        raise ComparisonError(f"{where}: {error}") from None


def planned_configs(seeds: Iterable[int], *, plan: Plan | None = None) -> set[RunConfig]:
    """Return all runs that the comparisons need, for the given seeds."""
    plan = plan or load_plan()
    sides = {side for family in plan.families for pair in family.pairs for side in (pair.a, pair.b)}
    return {replace(side, seed=seed) for seed in seeds for side in sides}


# --- the comparison ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Compared:
    """A comparison with its numbers; they are None where no pair of runs is stored.

    Attributes:
        pair: what was planned.
        a: A's runs, all of them.
        b: B's runs.
        seeds: those that both sides have; the numbers rest on them alone.
        auc: difference of the AUC.
        accuracy: difference of the accuracy.
        mcnemar: test of the majority decisions.
        p_auc: corrected for the family; None without a verdict.
        p_mcnemar: likewise.
        family_size: comparisons in the family.
        level: of the corrected p values.
        verdict: `A_BETTER`, `B_BETTER`, `NO_DIFFERENCE`, `NOT_RUN`, `TOO_FEW_SEEDS`, `UNTESTABLE`.
    """

    pair: Pair
    a: Group | None
    b: Group | None
    seeds: tuple[int, ...] = ()
    auc: Difference | None = None
    accuracy: Difference | None = None
    mcnemar: McnemarResult | None = None
    p_auc: float | None = None
    p_mcnemar: float | None = None
    family_size: int = 1
    level: float = 0.05
    verdict: str = NOT_RUN


def find_group(groups: Iterable[Group], config: RunConfig) -> Group | None:
    """Return the runs of a protocol, None if there are none.

    Raises:
        ComparisonError: runs of the protocol were made on different data.
    """
    wanted = {name: value for name, value in config.to_dict().items() if name != "seed"}
    found = [group for group in groups if group.config == wanted]
    if len(found) > 1:
        listed = "; ".join(f"md5 {g.md5}, seeds {g.seeds}" for g in found)
        raise ComparisonError(
            f"{_name(wanted)}: runs on {len(found)} versions of the data ({listed}); delete those "
            "that are not meant."
        )
    return found[0] if found else None


def _name(config: Mapping[str, Any]) -> str:
    return "/".join(config[key] for key in ("recipe", "model", "pretrained"))


def compare_family(family: Family, groups: Sequence[Group], *, plan: Plan) -> list[Compared]:
    """Compare all pairs of a family, by the rule of `params/comparisons.yaml`.

    Args:
        family: one of `plan.families`.
        groups: real runs (`groups.is_real`).
        plan: see `load_plan`.

    Raises:
        ComparisonError: see `find_group`; the two sides saw different data or test images.
    """
    compared = [_compare(pair, groups) for pair in family.pairs]
    enough = [len(c.seeds) >= plan.min_seeds for c in compared]
    # What has no p value yet holds its place in the correction.
    by_auc = [c.auc.p_value if ok else None for c, ok in zip(compared, enough, strict=True)]
    by_mcnemar = [c.mcnemar.p_value if ok else None for c, ok in zip(compared, enough, strict=True)]
    corrected = zip(_holm(by_auc), _holm(by_mcnemar), strict=True)
    judged = []
    for c, ok, (p_auc, p_mcnemar) in zip(compared, enough, corrected, strict=True):
        verdict = _verdict(c, p_auc, enough=ok, level=plan.level)
        p_values = {"p_auc": p_auc, "p_mcnemar": p_mcnemar}
        rule = {"family_size": len(family.pairs), "level": plan.level}
        judged.append(replace(c, **p_values, **rule, verdict=verdict))
    return judged


def _holm(p_values: Sequence[float | None]) -> list[float | None]:
    corrected = holm([1.0 if p is None else p for p in p_values])
    return [None if p is None else float(c) for p, c in zip(p_values, corrected, strict=True)]


def _compare(pair: Pair, groups: Sequence[Group]) -> Compared:
    a, b = find_group(groups, pair.a), find_group(groups, pair.b)
    compared = Compared(pair, a, b)
    if a is None or b is None:
        return compared
    seeds, y_true, *sides = paired_predictions(a, b)
    if not seeds:
        return compared
    numbers = {
        "auc": auc_difference(y_true, *sides),
        "accuracy": accuracy_difference(y_true, *sides),
        "mcnemar": majority_mcnemar(y_true, *sides),
    }
    return replace(compared, seeds=seeds, **numbers)


def paired_predictions(
    a: Group, b: Group
) -> tuple[tuple[int, ...], np.ndarray, np.ndarray, np.ndarray]:
    """Return what two groups of runs say of the same test images, for the seeds that both have.

    Returns:
        The seeds; labels, int (n,); probabilities of a and of b, float (seeds, n, K). The arrays
        are empty without a common seed.

    Raises:
        ComparisonError: the runs saw different data or test images.
    """
    names = f"{_name(a.config)} and {_name(b.config)}"
    if a.md5 != b.md5:
        raise ComparisonError(
            f"{names} saw different data, md5 {a.md5} and {b.md5}; only runs on the same images "
            "make a pair."
        )
    seeds = tuple(seed for seed in a.seeds if seed in b.seeds)
    sides = [
        [run.predictions("test") for run in group.runs if run.config["seed"] in seeds]
        for group in (a, b)
    ]
    if not seeds:
        return seeds, *[np.empty(0)] * 3
    y_true = sides[0][0][0]
    if not all(np.array_equal(labels, y_true) for side in sides for labels, _ in side):
        raise ComparisonError(
            f"{names}: the test labels differ between runs; only runs on the same images in the "
            "same order make a pair."
        )
    return seeds, y_true, *(np.stack([p for _, p in side]) for side in sides)


def _verdict(compared: Compared, p_auc: float | None, *, enough: bool, level: float) -> str:
    if compared.a is None or compared.b is None:
        return NOT_RUN
    if not enough:
        return TOO_FEW_SEEDS
    if p_auc is None:
        return UNTESTABLE
    if p_auc >= level:
        return NO_DIFFERENCE
    return A_BETTER if compared.auc.value > 0 else B_BETTER


# --- in words ------------------------------------------------------------------------------------


def signed(value: float, *, digits: int = 3) -> str:
    """Write a difference with its sign; what rounds to zero has none."""
    text = f"{value:+.{digits}f}"
    return text[1:] if float(text) == 0 else text


def sentence(compared: Compared) -> str:
    """Say in one sentence what a comparison shows; the numbers are A less B."""
    title, auc, verdict = compared.pair.title, compared.auc, compared.verdict
    if auc is None:
        return f"{title}: {verdict}."
    if auc.low is None:
        return f"{title} changes AUC by {signed(auc.value)}: {verdict}, nothing varies."
    if auc.low == auc.high:
        return f"{title} leaves the AUC of each seed as it is: {verdict}."
    seeds = f"{auc.n_seeds} seed{'s' if auc.n_seeds > 1 else ''}"
    found = f"{title} changes AUC by {signed(auc.value)} ({signed(auc.low)} to {signed(auc.high)})"
    if verdict == TOO_FEW_SEEDS:
        return f"{found}: {verdict} for a verdict ({auc.n_seeds})."
    if verdict != NO_DIFFERENCE:
        shown = "a gain" if verdict == A_BETTER else "a loss"
        return f"{found}: {shown} is shown ({seeds}, {p_text(compared.p_auc)} after correction)."
    if auc.low > 0 or auc.high < 0:
        verdict = f"{verdict} once corrected for {compared.family_size} comparisons"
    bound = excluded_effect(auc)
    return f"{found}: {verdict}; a change of more than {bound:.2f} either way is excluded."


def excluded_effect(difference: Difference) -> float:
    """Return the smallest size, in whole hundredths, that the 95 % interval excludes both ways."""
    # The hair keeps an end that is a whole hundredth from being rounded up to the next.
    return math.ceil(100 * max(-difference.low, difference.high) - 1e-9) / 100


def p_text(p_value: float | None) -> str:
    """Write a p value: "p = 0.012", "p < 0.001"."""
    if p_value is None:
        return "no p"
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.3f}"


@dataclass(frozen=True)
class Gain:
    """A printed gain beside the measured difference.

    Attributes:
        metric: "accuracy" or "auc".
        published: what the paper prints.
        measured: ours, None if not run.
        verdict: `REPRODUCED`, `INCONCLUSIVE`, `OURS_LOWER`, `OURS_HIGHER`, `NOT_RUN`,
            `TOO_FEW_SEEDS`, `UNTESTABLE`.
        sign: "gain shown", "loss shown", "neither shown", or "" without a verdict.
    """

    metric: str
    published: Published
    measured: Difference | None
    verdict: str
    sign: str


def judge_gains(compared: Compared) -> list[Gain]:
    """Judge the gains that the paper prints for a comparison; none if it prints none."""
    if compared.pair.published is None:
        return []
    return [_judge_gain(compared, metric) for metric in GAINS]


def _judge_gain(compared: Compared, metric: str) -> Gain:
    published = lookup(**compared.pair.published, column=metric)
    measured = compared.auc if metric == "auc" else compared.accuracy
    if compared.verdict in (NOT_RUN, TOO_FEW_SEEDS):
        return Gain(metric, published, measured, compared.verdict, "")
    if measured.low is None:
        return Gain(metric, published, measured, UNTESTABLE, "")
    p_value, direction = compared.p_auc, measured.value
    if metric == "accuracy":
        p_value, direction = compared.p_mcnemar, compared.mcnemar.difference
    shown = p_value < compared.level
    sign = "neither shown"
    if shown:
        sign = "gain shown" if direction > 0 else "loss shown"
    if measured.high < published.fraction:
        verdict = OURS_LOWER
    elif measured.low > published.fraction:
        verdict = OURS_HIGHER
    else:
        # All printed gains are positive.
        verdict = REPRODUCED if sign == "gain shown" else INCONCLUSIVE
    return Gain(metric, published, measured, verdict, sign)


def gain_sentence(compared: Compared) -> str:
    """Say in one sentence what became of the printed gains; "" if there are none or no runs."""
    gains = judge_gains(compared)
    if not gains or compared.verdict == NOT_RUN:
        return ""
    units = {"points": " points", "fraction": ""}
    said = [
        f"{GAINS[g.metric]} +{g.published.printed}{units[g.published.unit]}, {g.verdict}"
        for g in gains
    ]
    return f"Printed gains: {'; '.join(said)}."
