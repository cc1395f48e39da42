"""Paper B's Table 2, planned: `params/table2.yaml`, the form of `params/comparisons.yaml`."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from helpers.config import RunConfig, without_size
from helpers.files import read_yaml, reading
from helpers.paths import repo_root
from helpers.runs.groups import ComparisonError
from study.plans.comparisons import (
    Plan,
    check_keys,
    load_plan,
    planned_configs,
    protocol,
    published_value,
)
from study.published import Published


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


def load_table2(path: Path | None = None, *, models: Collection[str] | None = None) -> Table2:
    """Read the plan.

    Args:
        path: another file than `params/table2.yaml`.
        models: the registry's names, which the plan's must be among; None leaves them unchecked,
            for a reader of stored runs that does without the registry and torch.

    Raises:
        ComparisonError: see `plans.comparisons.load_plan`; an unknown model.
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
    config = protocol({"dataset": dataset} | entry["runs"], where=where)
    return Cell(entry["title"], config, published_value(entry["published"], column, where))


def _check_models(table: Table2, known: Collection[str], file: str) -> None:
    planned = planned_configs([0], plan=table.plan) | {cell.config for cell in table.cells}
    if unknown := sorted({config.model for config in planned} - set(known)):
        raise ComparisonError(
            f"{file}: unknown model {', '.join(unknown)}; known: {', '.join(known)}."
        )
