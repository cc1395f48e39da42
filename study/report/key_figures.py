"""Both papers' numbers beside ours, as forest charts and pictures."""

from collections.abc import Iterable, Sequence

import matplotlib.pyplot as plt

from helpers.metrics.scores import Estimate
from helpers.plots import style
from helpers.runs.groups import find_group
from study.compare import Compared, Gain, Results
from study.plans.comparisons import GAINS, System
from study.plots.forest import plot_dynamics
from study.published import PRINTED_EPOCHS, lookup
from study.report.forest import Cell, Chart, Line, chart
from study.report.pictures import Picture, picture
from study.table import as_percent, mean_sd, percent
from study.tables.accuracy import MEDMNIST, Row
from study.tables.angiograms import HEADINGS, TABLE4_FAMILIES
from study.tables.comparisons import SHORT
from study.verdicts import NOT_RUN
from study.words import interval_text, p_text

_SHORT = dict(SHORT)
_COURSE = {
    "train_accuracy": "training accuracy",
    "val_accuracy": "validation accuracy",
    "val_auc": "validation AUC",
}
# Twice as far as Table 1 goes.
COURSE_EPOCHS = 2 * PRINTED_EPOCHS


def accuracy_cell(row: Row) -> Cell:
    """Return our accuracy in percent, its interval and seeds beneath; empty where none ran."""
    if row.group is None:
        return Cell("")  # the verdict says it
    mean = mean_sd(row.group.values("accuracy"), scale=100, digits=1)
    return Cell(mean, f"{_range(row.group.accuracy)}, {_seeds(len(row.group.seeds))}")


def _range(mean: Estimate) -> str:
    return _whole(f"{percent(mean.low)} to {percent(mean.high)}")


def _seeds(count: int) -> str:
    return _whole(f"n = {count}")


def _whole(text: str) -> str:
    """Keep a text in one piece, wherever the line breaks."""
    return text.replace(" ", "\N{NO-BREAK SPACE}")


def accuracy_line(row: Row, label: str, cells: Sequence[Cell], *, under: str, code: bool) -> Line:
    """Return a line whose scale is accuracy in percent."""
    ours = {}
    if row.group:
        mean = row.group.accuracy
        ours = {"value": 100 * mean.value, "low": 100 * mean.low, "high": 100 * mean.high}
    printed = row.published and row.published.fraction
    printed = None if printed is None else 100 * printed
    return Line(label, cells, **ours, printed=printed, under=under, code=code)


def verdict_cell(row: Row) -> Cell:
    """Return the verdict of a row, what departs from the paper beneath."""
    text = row.verdict
    return Cell(text, "; ".join(row.departures), verdict=bool(text))


def medspectralnet_chart(rows: Sequence[Row]) -> Chart:
    """Draw paper B's accuracies beside ours, a line for each protocol of ours.

    Args:
        rows: those of paper B alone, with or without runs.
    """
    lines = []
    for row in rows:
        cells = (Cell(as_percent(row.published)), accuracy_cell(row), verdict_cell(row))
        lines.append(
            accuracy_line(row, MEDMNIST[row.dataset], cells, under=row.protocol, code=False)
        )
    heads = ("published, %", "ours, % (95 %)", "verdict")
    return chart("MedSpectralNet: published accuracy beside ours", "accuracy, %", heads, lines)


# --- paper A -------------------------------------------------------------------------------------


def system_charts(results: Results) -> list[tuple[str, Chart]]:
    """Draw Table 4 beside ours, a chart for each start of ours."""
    heads = ("AUC, ours (95 %)", "AUC, paper", "accuracy, ours, %", "accuracy, paper, %")
    return [
        (
            heading,
            chart(
                f"Table 4 beside ours, {heading[0].lower()}{heading[1:]}",
                "test AUC",
                heads,
                [_system_line(results, system) for system in results.plan.systems[start]],
            ),
        )
        for start, heading in HEADINGS.items()
    ]


def _system_line(results: Results, system: System) -> Line:
    group = find_group(results.groups, system.config)
    printed = {}
    if system.published:
        key = {"paper": "A", "table": "Table 4", "row": system.published}
        printed = {name: lookup(**key, column=name) for name in GAINS}
    paper = {name: Cell(value.printed) for name, value in printed.items()}
    ours, cells = {}, [Cell(NOT_RUN, verdict=True), Cell("")]
    if group:
        auc = group.auc
        ours = {"value": auc.value, "low": auc.low, "high": auc.high}
        interval = _whole(f"{auc.low:.3f} to {auc.high:.3f}")
        accuracy = mean_sd(group.values("accuracy"), scale=100, digits=1)
        cells = [
            Cell(mean_sd(group.values("auc")), f"{interval}, {_seeds(len(group.seeds))}"),
            Cell(accuracy, _range(group.accuracy)),
        ]
    return Line(
        system.title,
        (cells[0], paper.get("auc", Cell("")), cells[1], paper.get("accuracy", Cell(""))),
        **ours,
        printed=printed["auc"].value if printed else None,
    )


def gain_charts(results: Results) -> list[tuple[str, Chart]]:
    """Draw the printed gains beside the measured differences, a chart for each metric."""
    found: dict[str, list[Line]] = {metric: [] for metric in GAINS}
    for start, family in TABLE4_FAMILIES.items():
        for compared in results.compared[family]:
            for gain in results.gains(compared):
                found[gain.metric].append(_gain_line(compared, gain, HEADINGS[start]))
    titles = {"accuracy": "Gain in accuracy, points", "auc": "Gain in AUC"}
    heads = ("printed", "ours (95 %)", "verdict")
    return [
        (titles[metric], chart(titles[metric], "with less without", heads, lines, zero=True))
        for metric, lines in found.items()
        if lines
    ]


def _gain_line(compared: Compared, gain: Gain, start: str) -> Line:
    in_points = gain.metric == "accuracy"
    text = {"scale": 100, "digits": 1} if in_points else {}
    return Line(
        compared.pair.title,
        (
            Cell(f"+{gain.published.printed}"),
            _difference_cell(gain.measured, **text),
            Cell(gain.verdict, f"sign {gain.sign}", verdict=True),
        ),
        **_difference(gain.measured, scale=100 if in_points else 1),
        printed=gain.published.fraction * (100 if in_points else 1),
        under=start,
    )


def _difference_cell(
    difference: Estimate | None, *more: str, scale: float = 1, digits: int = 3
) -> Cell:
    """Return a difference with its interval beneath, and what else is to be said."""
    value, _, interval = interval_text(difference, scale=scale, digits=digits).partition(" (")
    under = (_whole(text) for text in (interval.rstrip(")"), *more) if text)
    return Cell(value, ", ".join(under))


def _difference(difference: Estimate | None, *, scale: float = 1) -> dict[str, float | None]:
    if difference is None:
        return {}
    ends = {"value": difference.value, "low": difference.low, "high": difference.high}
    return {name: None if end is None else scale * end for name, end in ends.items()}


def difference_chart(title: str, compared: Iterable[Compared]) -> Chart:
    """Draw the AUC differences of a family of comparisons, with their intervals and verdicts."""
    lines = []
    for c in compared:
        p_value = "" if c.p.get("auc") is None else f"{p_text(c.p['auc'])}, corrected"
        cells = (
            _difference_cell(c.auc, _SHORT["seeds"](c)),
            Cell(_SHORT["accuracy, A - B, points (95 %)"](c)),
            Cell(_SHORT["AUC change excluded"](c)),
            Cell(c.verdict, p_value, verdict=True),
        )
        claim = f"Claim: {c.pair.claim}"
        lines.append(Line(c.pair.title, cells, **_difference(c.auc), under=claim))
    heads = ("AUC (95 %)", "accuracy, points", "AUC change excluded", "verdict")
    return chart(title, "test AUC, with less without", heads, lines, zero=True)


def course_pictures(results: Results) -> list[Picture]:
    """Draw Table 1's course of training beside ours; nothing if it was not run."""
    group = results.compared["stopping"][0].b
    if group is None:
        return []
    drawn = []
    for quantity, name in _COURSE.items():
        with style.style():
            figure, axes = plt.subplots(figsize=(style.HALF_WIDTH, 2.4))
            plot_dynamics(group, quantity, epochs=COURSE_EPOCHS, axes=axes)
            axes.set_title(name)
            axes.legend()
        alt = (
            f"{name} by epoch: {len(group.seeds)} seeds of ours, and the paper's {PRINTED_EPOCHS} "
            "epochs"
        )
        drawn.append(picture(alt, figure))
    return drawn
