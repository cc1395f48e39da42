"""Claims as paired comparisons of two protocols, judged: `params/comparisons.yaml` for paper A.

`params/table2.yaml` (see `study.compare`) plans paper B's in the same form.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from helpers.config import RunConfig, without_size
from helpers.files import read_yaml, reading
from helpers.metrics.paired import (
    Difference,
    McnemarResult,
    accuracy_difference,
    auc_difference,
    holm,
    majority_mcnemar,
)
from helpers.paths import repo_root
from helpers.runs.groups import ComparisonError, Group, find_group, paired_predictions
from study.plans.comparisons import (
    GAINS,
    Family,
    Pair,
    Plan,
    check_keys,
    load_plan,
    planned_configs,
    protocol,
    published_value,
)
from study.plans.verdicts import Rules
from study.published import Published, lookup
from study.verdicts import NOT_RUN, OURS_HIGHER, OURS_LOWER, REPRODUCED, TOO_FEW_SEEDS, judge

A_BETTER = "A better"
B_BETTER = "B better"
NO_DIFFERENCE = "no difference shown"
UNTESTABLE = "no test possible"
INCONCLUSIVE = "inconclusive"


# --- the plan ------------------------------------------------------------------------------------


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


OPTIMIZERS = {"sgd": "SGD", "rmsprop": "RMSprop", "adam": "Adam"}
BEST = "shown to be best"
NO_BEST = "none is shown to be best"


@dataclass(frozen=True)
class Cell:
    """A cell of Table 2.

    Attributes:
        title: optimizer and augmentation.
        config: one run of its protocol.
        published: what the paper prints for it.
    """

    title: str
    config: RunConfig
    published: Published


@dataclass(frozen=True)
class Table2:
    """The content of `params/table2.yaml`.

    Attributes:
        plan: the comparisons.
        cells: those of Table 2.
        network: the accuracy that the paper prints for the network on this data set.
    """

    plan: Plan
    cells: tuple[Cell, ...]
    network: Published


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


def load_table2(path: Path | None = None, *, models: Collection[str] | None = None) -> Table2:
    """Read the plan.

    Args:
        path: another file than `params/table2.yaml`.
        models: the registry's names, which the plan's must be among; None leaves them unchecked,
            for a reader of stored runs that does without the registry and torch.

    Raises:
        ComparisonError: see `comparisons.load_plan`; an unknown model.
    """
    path = path or repo_root() / "params" / "table2.yaml"
    plan = load_plan(path, beside=("network", "cells"))
    with reading(path, ComparisonError):
        content = read_yaml(path)
        column = f"{without_size(plan.dataset)}/accuracy"
        cells = tuple(_cell(entry, plan.dataset, column) for entry in content["cells"])
        table = Table2(
            plan, cells, published_value(content["network"], column, f"{path.name}, network")
        )
        if models is not None:
            _check_models(table, models, path.name)
        return table


def _cell(entry: dict[str, Any], dataset: str, column: str) -> Cell:
    where = f"cell {entry.get('title')}"
    check_keys(entry, where, needed=("title", "published", "runs"))
    config = protocol(entry["runs"], dataset=dataset, where=where)
    return Cell(entry["title"], config, published_value(entry["published"], column, where))


def _check_models(table: Table2, known: Collection[str], file: str) -> None:
    planned = planned_configs([0], plan=table.plan) | {cell.config for cell in table.cells}
    if unknown := sorted({config.model for config in planned} - set(known)):
        raise ComparisonError(
            f"{file}: unknown model {', '.join(unknown)}; known: {', '.join(known)}."
        )


def judge_cells(groups: Sequence[Group], table: Table2, *, rules: Rules) -> list[JudgedCell]:
    """Put the cells beside our runs.

    Args:
        groups: real runs (`groups.is_real`), of whatever data set.
        table: see `load_table2`.
        rules: see `verdicts.load_rules`.
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
    chosen = tuple(group for group in groups if group.config["dataset"] == plan.dataset)
    compared = {f.name: compare_family(f, chosen, plan=plan) for f in plan.families}
    return Results(plan, chosen, compared)
