"""Paper B's Table 2, planned: `params/table2.yaml`, the form of `params/comparisons.yaml`."""

from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, InstanceOf, model_validator

from helpers.config import without_size
from study.plans.comparisons import ComparisonPlan, planned_configs
from study.plans.form import Form, Protocol, Several, check_known, params_file, read_plan
from study.published import Published, lookup

Printed = Annotated[InstanceOf[Published], BeforeValidator(lambda key: lookup(**key))]


class Cell(Form):
    """A cell of Table 2: optimizer and augmentation, our protocol, what the paper prints."""

    title: str
    config: Protocol = Field(alias="runs")
    published: Printed


class Table2(Form):
    """The content of `params/table2.yaml`."""

    plan: ComparisonPlan  # all keys but the next two
    cells: Several[Cell]
    network: Printed  # the accuracy that the paper prints for the network on this data set

    @model_validator(mode="before")
    @classmethod
    def _on_its_images(cls, content: dict[str, Any]) -> dict[str, Any]:
        """Give the cells the data set, and what is printed its column."""
        own = {"dataset": content["dataset"]}
        column = {"column": f"{without_size(content['dataset'])}/accuracy"}
        cells = [
            cell | {"published": cell["published"] | column, "runs": own | cell["runs"]}
            for cell in content["cells"]
        ]
        plan = {key: content[key] for key in ComparisonPlan.model_fields}
        others = {key: content[key] for key in content if key not in plan}
        network = content["network"] | column
        return others | {"plan": plan, "cells": cells, "network": network}


def load_table2(path: Path | None = None, *, models: Collection[str] | None = None) -> Table2:
    """Read the plan; errors as of `read_plan`.

    Its models must be among `models`, the registry's names; None leaves them unchecked, for a
    reader of stored runs that does without the registry and torch.
    """
    table = read_plan(Table2, path or params_file("table2.yaml"))
    if models is not None:
        planned = planned_configs([0], plan=table.plan) | {cell.config for cell in table.cells}
        for model in sorted({config.model for config in planned}):
            check_known(model, models, "model")
    return table
