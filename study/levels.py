"""The one verdict on a printed accuracy, from all our runs that stand beside it.

Which runs those are is said in `params/verdicts.yaml`; tables, README and the list of claims all
ask here.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from helpers.metrics.intervals import mean_here, one_more_run
from helpers.metrics.scores import Estimate
from helpers.runs.groups import Group
from study.plans.verdicts import Comparison, Rules
from study.published import Published, find
from study.verdicts import nearest, on_number


@dataclass(frozen=True)
class Level:
    """A printed number beside the runs that judge it, None without runs."""

    key: tuple[str, str, str, str]  # paper, table, row and column of the number
    published: Published
    group: Group | None
    here: Estimate | None  # our mean on these images, with its interval over seeds
    one_more: Estimate | None  # where one more single run falls on these images
    verdict: str  # as `on_number`


def stands_beside(comparison: Comparison, group: Group) -> bool:
    """Say whether runs stand beside a printed row, whatever their data set."""
    have = group.config | {"source_size": group.source_size}
    return all(have[name] == wanted for name, wanted in comparison.runs.items())


def judge_level(
    groups: Iterable[Group], *, paper: str, table: str, row: str, dataset: str, rules: Rules
) -> Level | None:
    """Judge a printed accuracy on a MedMNIST test split by the nearest of our protocols.

    Of all stored real runs, on a data set (name without a size); paper, table and row are those of
    the print. None where no comparison of the rules speaks of the number, or none is printed.
    """
    key = (paper, table, row, f"{dataset}/accuracy")
    comparisons = [c for c in rules.comparisons if c.judged and c.published == key[:3]]
    printed = find(*key)
    if not comparisons or printed is None:
        return None
    there = [
        g for g in groups if g.dataset == dataset and any(stands_beside(c, g) for c in comparisons)
    ]
    group = nearest(there, rules=rules)
    here, one_more = (
        group and group.estimate("accuracy", how) for how in (mean_here, one_more_run)
    )
    verdict = on_number(
        printed,
        one_more,
        rules=rules,
        paper=paper,
        epochs=group and group.config["epochs"],
        same_images=not (group and group.rebuilt),
    )
    return Level(key, printed, group, here, one_more, verdict)


def judge_levels(groups: Sequence[Group], *, datasets: Iterable[str], rules: Rules) -> list[Level]:
    """Judge every printed accuracy that the rules speak of, data set by data set."""
    rows = dict.fromkeys(c.published for c in rules.comparisons if c.judged)
    found = [
        judge_level(groups, **row._asdict(), dataset=dataset, rules=rules)
        for dataset in datasets
        for row in rows
    ]
    return [level for level in found if level]
