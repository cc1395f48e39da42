"""Every protocol of the store, ranked by data set and start."""

from collections.abc import Sequence
from dataclasses import dataclass

from helpers.runs.groups import Group
from study.plans.verdicts import Rules
from study.report.forest import Cell, Chart, Line, chart
from study.report.key_figures import accuracy_cell, accuracy_line, verdict_cell
from study.table import mean_sd, percent
from study.tables.accuracy import MEDMNIST, STARTS, Row, build_rows


@dataclass(frozen=True)
class Ranking:
    """A ranking.

    Attributes:
        dataset: in words.
        start: how its networks began, in words.
        phantom: whether its images are synthetic.
        aside: whether it is no main result: from scratch, or of no set of paper B.
        chart: one line a protocol, best first.
    """

    dataset: str
    start: str
    phantom: bool
    aside: bool
    chart: Chart


def dataset_name(dataset: str) -> str:
    """Return a data set's name for people."""
    return MEDMNIST.get(dataset, dataset)


def start_name(start: str) -> str:
    """Return how a network began, for the middle of a line; names keep their capitals."""
    heading = STARTS[start]
    return heading[0].lower() + heading[1:]


def rank(groups: Sequence[Group], *, rules: Rules, judged: bool) -> list[Ranking]:
    """Return one ranking per data set and start; phantom data has rankings of its own.

    Args:
        groups: all groups of a profile.
        rules: see `plans.verdicts.load_rules`.
        judged: whether published values and verdicts stand beside; never beside phantom data.
    """
    rankings = []
    for phantom in (False, True):
        some = [group for group in groups if group.is_phantom == phantom]
        datasets = [*MEDMNIST, *sorted({g.dataset for g in some} - {*MEDMNIST})]
        rows = [row for row in build_rows(some, datasets=datasets, rules=rules) if row.group]
        for dataset in datasets:
            for start in STARTS:
                chosen = [r for r in rows if (r.dataset, r.start) == (dataset, start)]
                if chosen:
                    name = dataset_name(dataset)
                    drawn = _chart(f"{name}, {start_name(start)}", chosen, judged and not phantom)
                    aside = start == "none" or dataset not in MEDMNIST
                    rankings.append(Ranking(name, start_name(start), phantom, aside, drawn))
    return rankings


def _chart(title: str, rows: Sequence[Row], judged: bool) -> Chart:
    judged = judged and any(row.published for row in rows)
    heads = ["ours, % (95 %)", "AUC", "parameters"]
    if judged:
        heads += ["published, %", "verdict"]
    return chart(title, "accuracy, %", heads, [_line(row, judged) for row in rows])


def _line(row: Row, judged: bool) -> Line:
    cells = [
        accuracy_cell(row),
        Cell(mean_sd(row.group.values("auc"))),
        Cell(f"{row.group.record['model']['params'] / 1e6:.2f} M"),
    ]
    if judged:
        printed = row.published and row.published.fraction
        shown = Cell(percent(printed), row.system) if printed is not None else Cell("")
        cells += [shown, verdict_cell(row)]
    line = accuracy_line(row, row.model, cells, under=row.protocol, code=True)
    if judged:
        return line
    return Line(
        *(line.label, cells, line.value, line.low, line.high),
        under=line.under,
        code=True,
    )
