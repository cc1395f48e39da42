"""AutoML systems as table rows: published values and why not run, or what ours reached."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from helpers.runs.groups import Group, group_runs
from helpers.runs.store import Run
from study.automl.search import list_automl_runs
from study.plans.automl import SYSTEMS, AutoMLPlan, load_plan
from study.published import Published, load_published, lookup

PAPER, TABLE = "medmnist_v2", "Table 3"


@dataclass(frozen=True)
class AutoMLRow:
    """One system.

    Attributes:
        name: For readers: the benchmark's name of a published system, or FLAML's of ours.
        system: Our name of it (`SYSTEMS`), None for a published one.
        published: By data set ("breastmnist"), then by metric ("accuracy", "auc").
        measured: By data set: the seeds' runs; intervals as for any other group of runs.
        budget: What each run was given, "" for a published system.
        reason: Why it is not run, "" for ours.
    """

    name: str
    system: str | None
    published: dict[str, dict[str, Published]] = field(default_factory=dict)
    measured: dict[str, Group] = field(default_factory=dict)
    budget: str = ""
    reason: str = ""


def automl_rows(
    runs: Sequence[Run] | None = None, plan: AutoMLPlan | None = None
) -> list[AutoMLRow]:
    """Return the published systems that are not run, in the plan's order, and then ours.

    Args:
        runs: By default `list_automl_runs`.
        plan: By default `load_plan`.
    """
    plan = plan or load_plan()
    runs = list_automl_runs(plan) if runs is None else runs
    rows = [
        AutoMLRow(entry.name, None, published=_published(entry.name), reason=entry.reason)
        for entry in plan.not_run
    ]
    for system in plan.systems:
        groups = group_runs(run for run in runs if run.config["model"] == system)
        budget = plan.config(plan.datasets[0], system, plan.seeds[0]).budget
        measured = {group.dataset: group for group in groups}
        rows.append(AutoMLRow(SYSTEMS[system].title, system, measured=measured, budget=budget))
    return rows


def _published(row: str) -> dict[str, dict[str, Published]]:
    """Return what the benchmark prints of a system, by data set and metric."""
    table = load_published()
    of_row = (table["paper"] == PAPER) & (table["table"] == TABLE) & (table["row"] == row)
    found: dict[str, dict[str, Published]] = {}
    for column in table.loc[of_row, "column"]:
        dataset, slash, metric = column.partition("/")
        if slash:
            value = lookup(paper=PAPER, table=TABLE, row=row, column=column)
            found.setdefault(dataset, {})[metric] = value
    return found
