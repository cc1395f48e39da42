"""AutoML systems as table rows: published values and why not run, or what ours reached."""

from dataclasses import dataclass, field

from helpers.runs.groups import Group, group_runs
from study.automl.search import list_automl_runs
from study.plans.automl import SYSTEMS, load_plan
from study.plans.form import Row
from study.published import Published, load_published

PAPER, TABLE = "medmnist_v2", "Table 3"


@dataclass(frozen=True)
class AutoMLRow:
    """One system: a published one and why it is not run, or ours and what it was given."""

    name: str  # for readers: the benchmark's of a published system, FLAML's of ours
    system: str | None  # our name of it (`SYSTEMS`), None for a published one
    # By data set ("breastmnist"), then by metric ("accuracy", "auc").
    published: dict[str, dict[str, Published]] = field(default_factory=dict)
    measured: dict[str, Group] = field(default_factory=dict)  # by data set
    budget: str = ""
    reason: str = ""


def automl_rows() -> list[AutoMLRow]:
    """Return the published systems that are not run, in the plan's order, and then ours."""
    plan = load_plan()
    runs = list_automl_runs(plan)
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
    key, table = Row(PAPER, TABLE, row), load_published()
    found: dict[str, dict[str, Published]] = {}
    for column in table[(table[["paper", "table", "row"]] == list(key)).all(axis=1)]["column"]:
        dataset, slash, metric = column.partition("/")
        if slash:
            found.setdefault(dataset, {})[metric] = key.at(column)
    return found
