"""One engine of comparison: two systems are measured, a family corrected, each member judged.

Families are the planned pairs of `params/comparisons.yaml` and `params/table2.yaml`, which are
compared and counted here, and elsewhere the pairs of a ranking, one system against all others
(AutoML among them) and the controls of a map.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from helpers.config import RunConfig
from helpers.metrics.paired import (
    Difference,
    McnemarResult,
    accuracy_difference,
    auc_difference,
    holm,
    majority_mcnemar,
)
from helpers.runs.groups import Group, find_group, paired_predictions
from study.plans.comparisons import (
    GAINS,
    Family,
    Pair,
    Plan,
)
from study.plans.table2 import Cell, Table2
from study.plans.verdicts import Rules
from study.published import Published, lookup
from study.verdicts import (
    A_BETTER,
    B_BETTER,
    BEST,
    GAIN_SHOWN,
    HOLDS,
    INCONCLUSIVE,
    LOSS_SHOWN,
    NEITHER_SHOWN,
    NO_BEST,
    NO_DIFFERENCE,
    NOT_RUN,
    REPRODUCED,
    REVERSED,
    TOO_FEW_SEEDS,
    UNTESTABLE,
    beside,
    judge,
)


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


# What is compared of two systems, on the same images with the same seeds.
TESTS = {
    "auc": auc_difference,
    "accuracy": accuracy_difference,
    "mcnemar": majority_mcnemar,
}


class Tested(Protocol):
    """A difference and the p value of its test, whatever it is a difference of."""

    value: float
    p_value: float | None


# What a claim "A is better than B" says of them.
AS_CLAIM = {A_BETTER: HOLDS, B_BETTER: REVERSED}


@dataclass(frozen=True)
class Corrected:
    """A difference as a member of its family.

    Attributes:
        p_value: after Holm's correction, None where no test is possible or due.
        shown: 1 where the difference is shown to be above 0, -1 where below, else 0.
    """

    p_value: float | None
    shown: int


def measure(
    a: Group | None, b: Group | None, tests: Mapping[str, Callable[..., Any]] = TESTS
) -> dict[str, Any]:
    """Compare the runs of two systems.

    Args:
        a: A's runs, None if there are none.
        b: B's.
        tests: name -> function of labels and both sides' probabilities, for A less B.

    Returns:
        "seeds" that both sides have and what each test gives, by name; {} without a common seed.

    Raises:
        ComparisonError: the two sides saw different data or test images.
    """
    if a is None or b is None:
        return {}
    seeds, y_true, *sides = paired_predictions(a, b)
    if not seeds:
        return {}
    return {"seeds": seeds} | {name: test(y_true, *sides) for name, test in tests.items()}


def correct(
    family: Sequence[Tested | None], *, level: float, planned: int | None = None
) -> list[Corrected]:
    """Correct the tests of a family for their number (Holm), and say what they show.

    The one place where anything is corrected: planned pairs, all pairs of a ranking, one system
    against all others, and the controls of a map are families.

    Args:
        family: differences; None for one that may not be judged yet. It keeps its place in the
            correction, as does one without a p value.
        level: below which a corrected p value shows a difference.
        planned: how many there will be, by default as many as are given.

    Raises:
        ValueError: more members than planned.
    """
    planned = len(family) if planned is None else planned
    if planned < len(family):
        raise ValueError(f"a family of {len(family)} members, {planned} were planned.")
    p_values = [None if d is None else d.p_value for d in family]
    places = [1.0 if p is None else p for p in p_values]
    places += [1.0] * (planned - len(family))
    found = []
    for d, raw, p in zip(family, p_values, holm(places), strict=False):
        if raw is None:
            found.append(Corrected(None, 0))
        else:
            found.append(Corrected(float(p), int(np.sign(d.value)) if p < level else 0))
    return found


def verdict_of(corrected: Corrected, *, ran: bool, enough: bool) -> str:
    """Return what a member of a family shows of A and B.

    Args:
        corrected: see `correct`.
        ran: whether both have runs.
        enough: whether they have as many common seeds as a verdict needs.

    Returns:
        `NOT_RUN`, `TOO_FEW_SEEDS`, `UNTESTABLE`, `A_BETTER`, `B_BETTER` or `NO_DIFFERENCE`.
    """
    if not ran:
        return NOT_RUN
    if not enough:
        return TOO_FEW_SEEDS
    if corrected.p_value is None:
        return UNTESTABLE
    return {1: A_BETTER, -1: B_BETTER, 0: NO_DIFFERENCE}[corrected.shown]


def judge_gain(printed: float, measured: Difference, *, shown: int) -> str:
    """Judge a printed difference: the interval must hold it, and its sign must be shown.

    Args:
        printed: in the unit of `measured`.
        measured: ours.
        shown: sign of the difference that the test shows, 0 for none.

    Returns:
        `REPRODUCED`, `INCONCLUSIVE`, `OURS_LOWER`, `OURS_HIGHER` or `UNTESTABLE`.
    """
    if measured.low is None:
        return UNTESTABLE
    verdict = beside(printed, measured.low, measured.high)
    return INCONCLUSIVE if verdict == REPRODUCED and shown * printed <= 0 else verdict


def compare_family(family: Family, groups: Sequence[Group], *, plan: Plan) -> list[Compared]:
    """Compare all pairs of a family, by the rule of `params/comparisons.yaml`.

    Args:
        family: one of `plan.families`.
        groups: real runs (`groups.is_real`).
        plan: see `load_plan`.

    Raises:
        ComparisonError: see `find_group`; the two sides saw different data or test images.
    """
    rule = {"family_size": len(family.pairs), "level": plan.level}
    found = [(p, find_group(groups, p.a), find_group(groups, p.b)) for p in family.pairs]
    compared = [Compared(pair, a, b, **measure(a, b), **rule) for pair, a, b in found]
    enough = [len(c.seeds) >= plan.min_seeds for c in compared]
    by_auc, by_mcnemar = (
        correct(
            [getattr(c, name) if ok else None for c, ok in zip(compared, enough, strict=True)],
            level=plan.level,
        )
        for name in ("auc", "mcnemar")
    )
    return [
        replace(
            c,
            p_auc=auc.p_value,
            p_mcnemar=mcnemar.p_value,
            verdict=verdict_of(auc, ran=bool(c.a and c.b), enough=ok),
        )
        for c, ok, auc, mcnemar in zip(compared, enough, by_auc, by_mcnemar, strict=True)
    ]


@dataclass(frozen=True)
class Gain:
    """A printed gain beside the measured difference.

    Attributes:
        metric: "accuracy" or "auc".
        published: what the paper prints.
        measured: ours, None if not run.
        verdict: `REPRODUCED`, `INCONCLUSIVE`, `OURS_LOWER`, `OURS_HIGHER`, `NOT_RUN`,
            `TOO_FEW_SEEDS`, `UNTESTABLE`.
        sign: `GAIN_SHOWN`, `LOSS_SHOWN`, `NEITHER_SHOWN`, or "" without a verdict.
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
    # The sign of a gain in accuracy is tested on the majority decisions.
    p_value, test = compared.p_auc, compared.auc
    if metric == "accuracy":
        p_value, test = compared.p_mcnemar, compared.mcnemar
    shown = int(np.sign(test.value)) if p_value < compared.level else 0
    sign = {1: GAIN_SHOWN, -1: LOSS_SHOWN, 0: NEITHER_SHOWN}[shown]
    verdict = judge_gain(published.fraction, measured, shown=shown)
    return Gain(metric, published, measured, verdict, sign)


OPTIMIZERS = {"sgd": "SGD", "rmsprop": "RMSprop", "adam": "Adam"}


@dataclass(frozen=True)
class JudgedCell:
    """A cell beside our runs.

    Attributes:
        cell: what was planned.
        group: its runs, None if there are none.
        verdict: on the cell's number, see `verdicts.judge`; `NO_VERDICT` where none is printed.
        verdict_network: on the network's printed accuracy, by the same rule.
    """

    cell: Cell
    group: Group | None
    verdict: str
    verdict_network: str


def judge_cells(groups: Sequence[Group], table: Table2, *, rules: Rules) -> list[JudgedCell]:
    """Put the cells beside our runs.

    Args:
        groups: real runs (`groups.is_real`), of whatever data set.
        table: see `plans.table2.load_table2`.
        rules: see `plans.verdicts.load_rules`.
    """
    judged = []
    for cell in table.cells:
        group = find_group(groups, cell.config)
        ours = group.accuracy if group else None
        verdicts = [
            judge(printed, ours, rules=rules) for printed in (cell.published, table.network)
        ]
        judged.append(JudgedCell(cell, group, *verdicts))
    return judged


def best_optimizers(compared: Sequence[Compared]) -> dict[str, str]:
    """Say which optimizer is best, for each augmentation: shown better than each of the others.

    Args:
        compared: the family "optimizer".

    Returns:
        "normal" or "normal + CutMix" -> verdict: "Adam is shown to be best", `NO_BEST`,
        `TOO_FEW_SEEDS` or `NOT_RUN` (as long as one comparison lacks what the others have).
    """
    found = {}
    for augmentation in dict.fromkeys(_augmentation(c) for c in compared):
        chosen = [c for c in compared if _augmentation(c) == augmentation]
        found[augmentation] = _best(chosen)
    return found


def _augmentation(compared: Compared) -> str:
    a = compared.pair.a
    return a.augmentation + (" + CutMix" if a.cutmix else "")


def _best(compared: Sequence[Compared]) -> str:
    verdicts = {c.verdict for c in compared}
    for missing in (NOT_RUN, TOO_FEW_SEEDS):
        if missing in verdicts:
            return missing
    sides = [(c.pair.a.optimizer, c.pair.b.optimizer, c.verdict) for c in compared]
    wins = [a if v == A_BETTER else b for a, b, v in sides if v in (A_BETTER, B_BETTER)]
    others = len({name for a, b, _ in sides for name in (a, b)}) - 1
    best = [name for name in dict.fromkeys(wins) if wins.count(name) == others]
    return f"{OPTIMIZERS[best[0]]} is {BEST}" if best else NO_BEST


@dataclass(frozen=True)
class Results:
    """Everything that the tables show, compared once.

    Attributes:
        plan: see `load_plan`.
        groups: real runs on the plan's data set.
        compared: comparisons by the name of their family.
    """

    plan: Plan
    groups: tuple[Group, ...]
    compared: dict[str, list[Compared]]

    def used(self, configs: Iterable[RunConfig]) -> list[Group]:
        """Return the groups of runs of the given protocols, each once."""
        found = [find_group(self.groups, config) for config in configs]
        return list({id(group): group for group in found if group}.values())

    def of_families(self, *names: str) -> list[Group]:
        """Return the groups of runs that enter some families."""
        pairs = [c.pair for name in names for c in self.compared[name]]
        return self.used(side for pair in pairs for side in (pair.a, pair.b))


def compare_all(groups: Sequence[Group], plan: Plan) -> Results:
    """Compare what the plan asks for.

    Args:
        groups: real runs (`groups.is_real`), of whatever data set.
        plan: see `load_plan`.
    """
    sides = [side for f in plan.families for pair in f.pairs for side in (pair.a, pair.b)]
    datasets = {plan.dataset, *(side.dataset for side in sides)}
    chosen = tuple(group for group in groups if group.config["dataset"] in datasets)
    compared = {f.name: compare_family(f, chosen, plan=plan) for f in plan.families}
    return Results(plan, chosen, compared)
