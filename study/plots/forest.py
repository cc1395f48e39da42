"""The forest plot, one for all comparisons; pictures of paper A's and B's comparisons by it.

As in `helpers.plots`, every function draws into the axes it is given, within `style.style()`. What
is not run leaves its line in the picture, marked so.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from helpers.metrics.scores import Estimate
from helpers.plots.style import COLOURS, GREY
from helpers.runs.groups import Group, find_group
from study.compare import Compared, JudgedCell
from study.plans.comparisons import System
from study.published import Published, lookup
from study.verdicts import NOT_RUN, SHOWN, SHOWN_REVERSED

# What is shown has a colour; whatever is open is grey.
VERDICT_COLOURS = {
    SHOWN: COLOURS[2],
    SHOWN_REVERSED: COLOURS[1],
}


@dataclass(frozen=True)
class Mark:
    """A number on a line of a forest plot, with what it scatters.

    Attributes:
        value: the number, in the unit of the axis.
        low: lower end of its interval, None for a point alone.
        high: upper end.
        seeds: values of single seeds, drawn as strokes below.
        label: for the legend, where it stands once.
        colour: of all this.
        marker: of the number; the published ones are diamonds, "D".
        hollow: leaves the marker empty.
        shift: how far below the middle of its line, in lines.
    """

    value: float
    low: float | None = None
    high: float | None = None
    seeds: Sequence[float] = ()
    label: str | None = None
    colour: str = COLOURS[0]
    marker: str = "o"
    hollow: bool = False
    shift: float = 0.0


@dataclass(frozen=True)
class Line:
    """A line of a forest plot.

    Attributes:
        label: whose numbers these are.
        marks: ours, published ones, controls; none where nothing is known.
        note: verdict or other words at its end.
        colour: of the note.
    """

    label: str
    marks: Sequence[Mark] = ()
    note: str = ""
    colour: str = GREY


def plot_forest(lines: Sequence[Line], *, axes: Axes, xlabel: str, zero: bool = False) -> Axes:
    """Draw numbers with their intervals, one line under the other.

    Args:
        lines: from the top down.
        axes: to draw into; about .2 to .35 inch of height a line.
        xlabel: what the numbers are, with their unit.
        zero: whether they are differences, around a line at zero.
    """
    for y, line in enumerate(lines):
        if line.note:
            # Outside the axes, whatever their limits become.
            place = axes.get_yaxis_transform()
            words = {"va": "center", "color": line.colour, "fontsize": 6}
            axes.text(1.02, y, line.note, transform=place, **words)
        for mark in line.marks:
            _draw(mark, y + mark.shift, axes)
    if zero:
        axes.axvline(0, color="black", linewidth=0.8)
    axes.set(
        xlabel=xlabel,
        yticks=range(len(lines)),
        yticklabels=[line.label for line in lines],
        ylim=(len(lines) - 0.5, -0.5),
    )
    return axes


def _draw(mark: Mark, y: float, axes: Axes) -> None:
    if mark.low is not None and mark.high is not None:
        axes.hlines(y, mark.low, mark.high, color=mark.colour, linewidth=1.5)
    face = "none" if mark.hollow else mark.colour
    axes.plot(
        *(mark.value, y, mark.marker),
        color=mark.colour,
        markerfacecolor=face,
        markersize=5,
        label=mark.label,
    )
    if len(mark.seeds):
        strokes = [y + 0.2] * len(mark.seeds)
        axes.plot(mark.seeds, strokes, "|", color=GREY, label="ours, each seed")


def mean_mark(mean: Estimate, seeds: Sequence[float], *, scale: float = 1, **looks) -> Mark:
    """Return the mark of a mean over seeds; `looks` are other attributes of `Mark`."""
    value, low, high = (scale * v for v in (mean.value, mean.low, mean.high))
    return Mark(value, low, high, [scale * v for v in seeds], **{"label": "ours, mean"} | looks)


def difference_marks(
    difference: Estimate | None, verdict: str, *, scale: float = 1
) -> tuple[Mark, ...]:
    """Return the mark of a difference in the colour of its verdict, none where it is None."""
    if difference is None:
        return ()
    ends = (difference.value, difference.low, difference.high)
    ends = (None if end is None else scale * end for end in ends)
    return (Mark(*ends, colour=VERDICT_COLOURS.get(verdict, GREY)),)


def legend_below(axes: Axes, *, at: float = 0.4, ncols: int = 3) -> None:
    """Explain each kind of mark once, under the axes."""
    handles, names = axes.get_legend_handles_labels()
    labels = dict(zip(names, handles, strict=True))
    axes.legend(labels.values(), labels, loc="upper center", bbox_to_anchor=(at, -0.2), ncols=ncols)


def plot_differences(compared: Sequence[Compared], *, axes: Axes) -> Axes:
    """Draw the AUC differences of a family, with the verdict at the end of each line.

    Args:
        compared: comparisons of a family.
        axes: to draw into; about .35 inch of height a comparison.
    """
    lines = [
        Line(
            c.title,
            difference_marks(c.auc, c.verdict),
            note=c.verdict,
            colour=VERDICT_COLOURS.get(c.verdict, GREY),
        )
        for c in compared
    ]
    xlabel = "AUC with less AUC without (95 % interval: images and seeds)"
    return plot_forest(lines, axes=axes, xlabel=xlabel, zero=True)


def plot_systems(systems: Sequence[System], groups: Sequence[Group], *, axes: Axes) -> Axes:
    """Draw each system's test AUC: every seed, the mean with its 95 % interval, the paper's value.

    Args:
        systems: rows of Table 4.
        groups: stored runs.
        axes: to draw into.
    """
    lines = []
    for system in systems:
        group, marks = find_group(groups, system.config), []
        if group:
            marks.append(mean_mark(group.auc, group.values("auc")))
        if system.published:
            printed = lookup(paper="A", table="Table 4", row=system.published, column="auc").value
            marks.append(_printed(printed, "paper, other images"))
        lines.append(Line(system.title, marks, note="" if group else NOT_RUN))
    plot_forest(lines, axes=axes, xlabel="test AUC (95 % interval: images and seeds)")
    legend_below(axes)
    return axes


def plot_cells(cells: Sequence[JudgedCell], network: Published, *, axes: Axes) -> Axes:
    """Draw the test accuracy of Table 2's cells: seeds, mean with its 95 % interval, the paper's.

    A cell's own printed number is drawn where there is one, the network's as a line across all.

    Args:
        cells: see `compare.judge_cells`.
        network: the accuracy that the paper prints for the network on this set.
        axes: to draw into; about .35 inch of height a cell.
    """
    lines = []
    for judged in cells:
        group, marks = judged.group, []
        if group:
            marks.append(mean_mark(group.accuracy, group.values("accuracy"), scale=100))
        if judged.cell.published.value is not None:
            marks.append(_printed(100 * judged.cell.published.fraction, "paper, Table 2"))
        lines.append(Line(judged.cell.title, marks, note="" if group else NOT_RUN))
    across = {"color": COLOURS[1], "linestyle": "--", "linewidth": 1}
    plot_forest(lines, axes=axes, xlabel="test accuracy, % (95 % interval: images and seeds)")
    axes.axvline(100 * network.fraction, **across, label="paper, the network (section 4.6)")
    legend_below(axes)
    return axes


def _printed(value: float, label: str) -> Mark:
    return Mark(value, label=label, colour=COLOURS[1], marker="D")


def plot_damage(compared: Sequence[Compared], names: Sequence[str], *, axes: Axes) -> Axes:
    """Draw the test AUC of both sides of the robustness comparisons, with 95 % intervals.

    Args:
        compared: comparisons of the family "robustness".
        names: a short label for each.
        axes: to draw into.

    Raises:
        ValueError: more or fewer names than comparisons.
    """
    sides = (("a", "focal, smoothed, balanced", -0.1, "o"), ("b", "cross-entropy", 0.1, "s"))
    for k, (side, label, shift, marker) in enumerate(sides):
        found = [(x, getattr(c, side)) for x, c in enumerate(compared)]
        means = [(x, group.auc) for x, group in found if group is not None]
        for x in (x for x, group in found if group is None):
            # From the line at .5, which is always in view; the space keeps it off the line.
            place = {"rotation": 90, "ha": "center", "va": "bottom"}
            axes.text(x + shift, 0.5, f" {NOT_RUN}", **place, color=COLOURS[k], fontsize=6)
        axes.errorbar(
            [x + shift for x, _ in means],
            [m.value for _, m in means],
            yerr=np.array([[m.value - m.low, m.high - m.value] for _, m in means]).reshape(-1, 2).T,
            fmt=marker,
            color=COLOURS[k],
            label=label,
        )
    axes.axhline(0.5, color=GREY, linewidth=0.8, linestyle=":")
    axes.set(
        ylabel="test AUC (95 % interval)",
        xticks=range(len(compared)),
        xticklabels=names,
        xlim=(-0.5, len(compared) - 0.5),
    )
    axes.legend(loc="lower left")
    return axes


def plot_dynamics(group: Group | None, quantity: str, *, epochs: int, axes: Axes) -> Axes:
    """Draw a column of Table 1 over the epochs: each seed of ours, and the paper's four points.

    Args:
        group: runs of the recipe without the stop; None draws the paper alone.
        quantity: "train_accuracy", "val_accuracy" or "val_auc".
        epochs: of ours to show.
        axes: to draw into.
    """
    for i, run in enumerate(group.runs if group else ()):
        history = run.record["history"][:epochs]
        values = np.array([row[quantity] for row in history], float)  # None leaves a gap
        label = "ours, each seed" if i == 0 else None
        axes.plot(range(1, len(values) + 1), values, "-", color=COLOURS[0], alpha=0.6, label=label)
    printed = [
        lookup(paper="A", table="Table 1", row=f"epoch {e}", column=quantity).fraction
        for e in range(1, 5)
    ]
    axes.plot(range(1, 5), printed, "o", color=COLOURS[1], label="paper, other images")
    if group is None:
        corner = {"transform": axes.transAxes, "ha": "right", "va": "bottom"}
        axes.text(0.98, 0.02, f"ours {NOT_RUN}", **corner, color=GREY, fontsize=7)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel="epoch", title=quantity.replace("_", " "))
    return axes
