"""Paper B's Table 2 and the ablation it leaves out: `params/table2.yaml`, its cells judged.

The comparisons are planned, paired and judged by `helpers.comparisons`; this adds the cells of the
table and the verdict on "which optimizer is best".
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from helpers.comparisons import (
    A_BETTER,
    B_BETTER,
    Compared,
    ComparisonError,
    Plan,
    check_keys,
    find_group,
    load_plan,
    planned_configs,
    protocol,
    published_value,
)
from helpers.config import RunConfig, without_size
from helpers.groups import Group
from helpers.paths import repo_root
from helpers.published import Published
from helpers.verdicts import NOT_RUN, TOO_FEW_SEEDS, Rules, judge

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
    content = yaml.safe_load(path.read_text())
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
