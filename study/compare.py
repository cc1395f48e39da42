"""One engine of comparison: two systems are measured, a family corrected, each member judged.

Families are the planned pairs of `params/comparisons.yaml` and `params/table2.yaml`, which are
compared and counted here, and elsewhere the pairs of a ranking, one system against all others
(AutoML among them) and the controls of a map.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from helpers.config import RunConfig
from helpers.metrics.intervals import holm, less, mean, mean_here, one_more_run, power
from helpers.metrics.scores import Estimate
from helpers.runs.groups import MEASURES, Group, common_seeds, find_group, paired_scores
from study.plans.comparisons import GAINS, ComparisonPlan, Family, Pair
from study.plans.table2 import Cell, Table2
from study.plans.verdicts import Rules, load_rules
from study.published import Published
from study.verdicts import (
    BEST,
    NO_BEST,
    NO_COMPETITOR,
    NOT_RUN,
    OPEN,
    SHOWN,
    SHOWN_REVERSED,
    on_comparison,
    on_gain,
    on_number,
)


@dataclass(frozen=True)
class Compared:
    """A comparison with its numbers; they are None, or empty, where no pair of runs is stored.

    A measure is "auc" or "accuracy".
    """

    name: str  # once in its family; of one system against others the other's
    title: str  # what A has and B lacks, or the other's title
    a: Group | None  # all runs of A
    b: Group | None
    pair: Pair | None = None  # what was planned, None where one system is compared with others
    seeds: tuple[int, ...] = ()  # those that both sides have; the numbers rest on them alone
    auc: Estimate | None = None  # A less B, over images and seeds
    accuracy: Estimate | None = None
    # By measure: the difference of one more pair of single runs on these images.
    one_more: Mapping[str, Estimate] = field(default_factory=dict)
    means: Mapping[str, tuple[float, float]] = field(default_factory=dict)  # of A and B over seeds
    # By measure: p corrected for the family, and the sign that is shown, 0 for none. Both are None
    # where no test is due or possible.
    p: Mapping[str, float | None] = field(default_factory=dict)
    shown: Mapping[str, int | None] = field(default_factory=dict)
    family_size: int = 1
    size: float | None = None  # the printed difference in what the verdict is on
    # Power for that size, else for the one that the rules fix; None where the sign is shown.
    chance: float | None = None
    verdict: str = NOT_RUN  # on "A is better": as `on_comparison`, or `NO_COMPETITOR`

    def difference(self, measure: str) -> Estimate | None:
        """Return the difference in a measure."""
        return getattr(self, measure)

    def sign(self, measure: str) -> int:
        """Return 1 where A is shown to be better in a measure, -1 where B is, else 0."""
        return self.shown.get(measure) or 0

    @property
    def epochs(self) -> float | None:
        """Epochs of the side that has fewer, None where one is not run.

        A system that is not trained in epochs (AutoML) has none to count.
        """
        if self.a is None or self.b is None:
            return None
        sides = (self.a.config, self.b.config)
        return min((config["epochs"] for config in sides if "epochs" in config), default=None)

    @property
    def no_competitor(self) -> bool:
        """Whether most runs of one side answer one class for every test image."""
        return any(group is not None and group.is_constant for group in (self.a, self.b))


# --- measuring -----------------------------------------------------------------------------------


def measure(
    a: Group | None, b: Group | None, *, floor: tuple[float, float] | None = None
) -> dict[str, Any]:
    """Compare the runs of two systems in accuracy and AUC.

    `floor` is that of `intervals.mean`, for the accuracy. Returns `seeds`, `auc`, `accuracy`,
    `one_more` and `means` of `Compared`; {} without a common seed, as where the two sides saw
    different images.
    """
    if a is None or b is None or not (seeds := common_seeds(a, b)):
        return {}
    found: dict[str, Any] = {"seeds": seeds, "one_more": {}, "means": {}}
    for name in MEASURES:
        *sides, of_seed = paired_scores(a, b, name)
        apart = less(*sides)
        own_floor = floor if name == "accuracy" else None
        found[name] = mean(apart, groups=of_seed, floor=own_floor)
        found["one_more"][name] = one_more_run(apart, groups=of_seed)
        found["means"][name] = tuple(mean_here(side, groups=of_seed).value for side in sides)
    return found


def power_for(difference: Estimate | None, size: float) -> float | None:
    """Return the power for a size, None where the difference has no variance or no runs."""
    if difference is None or not difference.se:
        return None
    return power(size, se=difference.se, df=difference.df)


# --- families ------------------------------------------------------------------------------------


class Tested(Protocol):
    """A difference and the p value of its test, whatever it is a difference of."""

    value: float
    p: float | None


@dataclass(frozen=True)
class Corrected:
    """A difference as a member of its family."""

    p_value: float | None  # after Holm's correction, None where no test is possible or due
    shown: int  # 1 where the difference is shown to be above 0, -1 where below, else 0


def correct(
    family: Sequence[Tested | None], *, level: float, planned: int | None = None
) -> list[Corrected]:
    """Correct the tests of a family for their number (Holm), and say what they show.

    The one place where anything is corrected. A difference that may not be judged is None; it keeps
    its place in the correction, as does one without a p value. `planned` is how many there will be,
    by default as many as are given; fewer is a `ValueError`.
    """
    planned = len(family) if planned is None else planned
    if planned < len(family):
        raise ValueError(f"a family of {len(family)} members, {planned} were planned.")
    p_values = [None if difference is None else difference.p for difference in family]
    places = [1.0 if p is None else p for p in p_values]
    places += [1.0] * (planned - len(family))
    found = []
    for difference, raw, p in zip(family, p_values, holm(places), strict=False):
        if raw is None:
            found.append(Corrected(None, 0))
        else:
            found.append(Corrected(float(p), int(np.sign(difference.value)) if p < level else 0))
    return found


def judge(
    family: Sequence[Compared],
    *,
    on: str,
    rules: Rules,
    level: float,
    paper: str,
    min_seeds: int | None = None,
    same_images: bool = True,
    planned: int | None = None,
) -> list[Compared]:
    """Correct the tests of a family, run or not, and judge "A is better" on each member.

    The verdict is on one measure; both are corrected, each by itself, over the planned members, by
    default as many as are given. It needs `min_seeds`, by default what the rules ask for on so many
    images; `same_images` says whether these are the ones that the paper names.
    """
    planned = planned or len(family)

    def is_due(c: Compared) -> bool:
        if not c.seeds or c.no_competitor:
            return False
        needed = rules.min_seeds(c.difference(on).n) if min_seeds is None else min_seeds
        return len(c.seeds) >= needed

    corrected = {}
    for name in MEASURES:
        due = [c.difference(name) if is_due(c) else None for c in family]
        corrected[name] = correct(due, level=level, planned=planned)
    compared = []
    for i, c in enumerate(family):
        p, shown = {}, {}
        for name, members in corrected.items():
            p[name] = members[i].p_value
            shown[name] = None if p[name] is None else members[i].shown
        verdict = on_comparison(
            c.difference(on),
            shown[on],
            rules=rules,
            paper=paper,
            epochs=c.epochs,
            size=c.size,
            one_more=c.one_more.get(on),
            same_images=same_images,
            min_seeds=min_seeds,
        )
        if c.no_competitor and verdict not in OPEN:
            verdict = NO_COMPETITOR
        chance = None if shown[on] else power_for(c.difference(on), c.size or rules.size[on])
        compared.append(
            replace(c, p=p, shown=shown, family_size=planned, chance=chance, verdict=verdict)
        )
    return compared


def compare_family(
    family: Family, groups: Sequence[Group], *, plan: ComparisonPlan, rules: Rules
) -> list[Compared]:
    """Compare all pairs of a plan's family by real runs; the verdict on each is on the AUC."""
    compared = []
    for pair in family.pairs:
        a, b = (find_group(groups, side) for side in (pair.a, pair.b))
        size = pair.published.at("auc").fraction if pair.published else None
        compared.append(Compared(pair.name, pair.title, a, b, pair, **measure(a, b), size=size))
    return judge(compared, on="auc", rules=rules, **dict(plan.rule))


# --- printed gains -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Gain:
    """A printed gain beside the measured difference."""

    metric: str  # "accuracy" or "auc"
    published: Published
    measured: Estimate | None  # None if not run
    verdict: str  # as `on_gain`
    sign: str  # on the sign alone, as `on_comparison`
    power: float | None  # for the printed size, None if unverified, or nothing is measured


def judge_gain(compared: Compared, published: Published, *, metric: str, **rule: Any) -> Gain:
    """Judge a printed gain in "accuracy" or "auc"; `rule` as for `verdicts.on_gain`."""
    measured, shown = compared.difference(metric), compared.shown.get(metric)
    given = {"epochs": compared.epochs, "one_more": compared.one_more.get(metric)} | rule
    verdict = on_gain(published, measured, shown, **given)
    sign = on_comparison(measured, shown, size=published.fraction, **given)
    if compared.no_competitor and compared.verdict not in OPEN:
        verdict = sign = NO_COMPETITOR
    chance = power_for(measured, published.fraction) if published.may_carry_verdict else None
    return Gain(metric, published, measured, verdict, sign, chance)


# --- all comparisons of a plan -------------------------------------------------------------------


@dataclass(frozen=True)
class Results:
    """Everything that the tables of a plan show, compared once."""

    plan: ComparisonPlan
    rules: Rules
    groups: tuple[Group, ...]  # real runs on the plan's data sets
    compared: dict[str, list[Compared]]  # by the name of their family

    def gains(self, compared: Compared) -> list[Gain]:
        """Judge the gains that the paper prints for a comparison; none if it prints none."""
        if (row := compared.pair.published) is None:
            return []
        rule = {"rules": self.rules} | self.plan.rule.model_dump(exclude={"level"})
        return [judge_gain(compared, row.at(metric), metric=metric, **rule) for metric in GAINS]

    def used(self, configs: Iterable[RunConfig]) -> list[Group]:
        """Return the groups of runs of the given protocols, each once."""
        found = [find_group(self.groups, config) for config in configs]
        return list({id(group): group for group in found if group}.values())

    def of_families(self, *names: str) -> list[Group]:
        """Return the groups of runs that enter some families."""
        pairs = [c.pair for name in names for c in self.compared[name]]
        return self.used(side for pair in pairs for side in (pair.a, pair.b))


def compare_all(
    groups: Sequence[Group], plan: ComparisonPlan, rules: Rules | None = None
) -> Results:
    """Compare what a plan asks for, by real runs of whatever data set."""
    rules = rules or load_rules()
    sides = [side for f in plan.families for pair in f.pairs for side in (pair.a, pair.b)]
    datasets = {plan.dataset, *(side.dataset for side in sides)}
    chosen = tuple(group for group in groups if group.config["dataset"] in datasets)
    compared = {f.name: compare_family(f, chosen, plan=plan, rules=rules) for f in plan.families}
    return Results(plan, rules, chosen, compared)


# --- paper B's Table 2 ---------------------------------------------------------------------------

OPTIMIZERS = {"sgd": "SGD", "rmsprop": "RMSprop", "adam": "Adam"}


@dataclass(frozen=True)
class CellResult:
    """A cell of Table 2 beside our runs."""

    cell: Cell
    group: Group | None
    verdict: str  # on the cell's own number, as `on_number`


def judge_cells(groups: Sequence[Group], table: Table2, *, rules: Rules) -> list[CellResult]:
    """Put the cells beside our real runs, of whatever data set."""
    results = []
    for cell in table.cells:
        group = find_group(groups, cell.config)
        one_more = group.estimate("accuracy", one_more_run) if group else None
        paper, epochs = table.plan.rule.paper, cell.config.epochs
        verdict = on_number(cell.published, one_more, rules=rules, paper=paper, epochs=epochs)
        results.append(CellResult(cell, group, verdict))
    return results


def best_optimizers(compared: Sequence[Compared]) -> dict[str, str]:
    """Say which optimizer is best, for each augmentation: shown better than each of the others.

    Of the comparisons of the family "optimizer". Returns "normal" or "normal + CutMix" -> "Adam is
    shown to be best", `NO_BEST`, or one of `OPEN` (as long as one comparison lacks what the others
    have).
    """
    chosen: dict[str, list[Compared]] = {}
    for c in compared:
        augmentation = c.pair.a.augmentation + (" + CutMix" if c.pair.a.cutmix else "")
        chosen.setdefault(augmentation, []).append(c)
    return {augmentation: _best(members) for augmentation, members in chosen.items()}


def _best(compared: Sequence[Compared]) -> str:
    verdicts = {c.verdict for c in compared}
    for missing in OPEN:
        if missing in verdicts:
            return missing
    sides = [(c.pair.a.optimizer, c.pair.b.optimizer, c.verdict) for c in compared]
    wins = [a if v == SHOWN else b for a, b, v in sides if v in (SHOWN, SHOWN_REVERSED)]
    others = len({name for a, b, _ in sides for name in (a, b)}) - 1
    best = [name for name in dict.fromkeys(wins) if wins.count(name) == others]
    return f"{OPTIMIZERS[best[0]]} is {BEST}" if best else NO_BEST
