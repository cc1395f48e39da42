"""The forest plot, one for all comparisons; pictures of paper A's and B's comparisons by it.

What is not run leaves its line in the picture, marked so.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from helpers.metrics import intervals
from helpers.metrics.scores import Estimate
from helpers.plots.style import COLOURS, GREY
from helpers.runs.groups import Group, find_group
from study.compare import CellResult, Compared
from study.plans.comparisons import Table4Row
from study.published import Published, lookup
from study.verdicts import NOT_RUN, SHOWN, SHOWN_REVERSED

# What is shown has a colour; whatever is open is grey.
VERDICT_COLOURS = {SHOWN: COLOURS[2], SHOWN_REVERSED: COLOURS[1]}
QUANTITIES = {
    "train_accuracy": "training accuracy",
    "val_accuracy": "validation accuracy",
    "val_auc": "validation AUC",
}


@dataclass(frozen=True)
class Mark:
    """A number on a line of a forest plot, with what it scatters, in the unit of the axis."""

    value: float
    low: float | None = None  # of its interval, None for a point alone
    high: float | None = None
    seeds: Sequence[float] = ()  # values of single seeds, drawn as strokes below
    label: str | None = None  # for the legend, where it stands once
    colour: str = COLOURS[0]
    marker: str = "o"  # the published ones are diamonds, "D"
    hollow: bool = False
    shift: float = 0.0  # how far below the middle of its line, in lines


@dataclass(frozen=True)
class ForestLine:
    """A line of a forest plot."""

    label: str  # whose numbers these are
    marks: Sequence[Mark] = ()  # ours, published ones, controls; none where nothing is known
    note: str = ""  # verdict or other words at its end
    colour: str = GREY  # of the note


def plot_forest(
    lines: Sequence[ForestLine], *, axes: Axes, xlabel: str, zero: bool = False
) -> Axes:
    """Draw numbers with their intervals, from the top down, in .2 to .35 inch of height a line.

    With `zero` they are differences, around a line at zero.
    """
    for y, line in enumerate(lines):
        if line.note:
            note_line(line.note, y, axes=axes, colour=line.colour)
        for mark in line.marks:
            _draw(mark, y + mark.shift, axes)
    if zero:
        axes.axvline(0, color="black", linewidth=0.8)
    axes.set_yticks(range(len(lines)), [line.label for line in lines])
    axes.set(xlabel=xlabel, ylim=(len(lines) - 0.5, -0.5))
    return axes


def note_line(note: str, y: float, *, axes: Axes, colour: str) -> None:
    """Write words at the end of a line, outside the axes, whatever their limits become."""
    place = axes.get_yaxis_transform()
    axes.text(1.02, y, note, transform=place, va="center", color=colour, fontsize=6)


def _draw(mark: Mark, y: float, axes: Axes) -> None:
    if mark.low is not None and mark.high is not None:
        axes.hlines(y, mark.low, mark.high, color=mark.colour, linewidth=1.5)
    axes.plot(
        mark.value,
        y,
        mark.marker,
        color=mark.colour,
        markerfacecolor="none" if mark.hollow else mark.colour,
        markersize=5,
        label=_new(mark.label, axes),
    )
    if len(mark.seeds):
        strokes = [y + 0.2] * len(mark.seeds)
        axes.plot(mark.seeds, strokes, "|", color=GREY, label=_new("ours, each seed", axes))


def _new(label: str | None, axes: Axes) -> str | None:
    """Return a label that the axes do not have yet, else none: a legend says each once."""
    return None if label in axes.get_legend_handles_labels()[1] else label


def once(lines: Sequence[ForestLine]) -> tuple[Sequence[ForestLine], str]:
    """Take a note that all lines share off them; return it as a line to stand below the axis."""
    notes = {line.note for line in lines}
    if len(lines) < 2 or len(notes) > 1 or notes == {""}:
        return lines, ""
    return [replace(line, note="") for line in lines], f"\nevery line: {lines[0].note}"


def mean_mark(mean: Estimate, seeds: Sequence[float] = (), *, scale: float = 1, **looks) -> Mark:
    """Return the mark of a mean, or of a difference; `looks` are other attributes of `Mark`."""
    ends = [None if v is None else scale * v for v in (mean.value, mean.low, mean.high)]
    return Mark(*ends, [scale * v for v in seeds], **looks)


def difference_marks(
    difference: Estimate | None, verdict: str, *, scale: float = 1
) -> tuple[Mark, ...]:
    """Return the mark of a difference in the colour of its verdict, none where it is None."""
    if difference is None:
        return ()
    return (mean_mark(difference, scale=scale, colour=VERDICT_COLOURS.get(verdict, GREY)),)


def legend_below(axes: Axes, *, at: float = 0.4, drop: float = 0.2, ncols: int = 3) -> None:
    """Explain the marks under the axes."""
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(handles, labels, loc="upper center", bbox_to_anchor=(at, -drop), ncols=ncols)


def share_legend(axes: Sequence[Axes], *, ncols: int = 2) -> None:
    """Put one legend of all axes below their figure, each label once."""
    found: dict = {}
    for one in axes:
        handles, labels = one.get_legend_handles_labels()
        found = dict(zip(labels, handles, strict=True)) | found
    if found:
        axes[0].figure.legend(found.values(), found, loc="outside lower center", ncols=ncols)


def plot_differences(compared: Sequence[Compared], *, axes: Axes) -> Axes:
    """Draw the AUC differences of a family; a verdict ends each line, or stands once below all."""
    lines = []
    for c in compared:
        colour = VERDICT_COLOURS.get(c.verdict, GREY)
        lines.append(ForestLine(c.title, difference_marks(c.auc, c.verdict), c.verdict, colour))
    lines, shared = once(lines)
    xlabel = "AUC of A less AUC of B (95 % interval: images and seeds)"
    sides = "\nA has what the line names, or names first; B has not, or has the other"
    return plot_forest(lines, axes=axes, xlabel=f"{xlabel}{sides}{shared}", zero=True)


def plot_systems(systems: Sequence[Table4Row], groups: Sequence[Group], *, axes: Axes) -> Axes:
    """Draw each system's test AUC: every seed, the mean with its 95 % interval, the paper's."""
    lines = []
    for system in systems:
        group = find_group(groups, system.config)
        printed = system.published and system.published.at("auc").value
        lines.append(beside_printed(system.title, group, "auc", printed, "paper, other images"))
    plot_forest(lines, axes=axes, xlabel="test AUC (95 % interval: images and seeds)")
    legend_below(axes)
    return axes


def plot_cells(cells: Sequence[CellResult], network: Published, *, axes: Axes) -> Axes:
    """Draw the test accuracy of Table 2's cells: seeds, mean with its 95 % interval, the paper's.

    A cell's own printed number is drawn where there is one, the network's as a line across all.
    """
    lines = []
    for result in cells:
        title, printed = result.cell.title, result.cell.published.fraction
        lines.append(
            beside_printed(title, result.group, "accuracy", printed, "paper, Table 2", scale=100)
        )
    plot_forest(lines, axes=axes, xlabel="test accuracy, % (95 % interval: images and seeds)")
    axes.axvline(
        100 * network.fraction,
        color=COLOURS[1],
        linestyle="--",
        linewidth=1,
        label="paper, the network (section 4.6)",
    )
    legend_below(axes)
    return axes


def beside_printed(
    title: str,
    group: Group | None,
    measure: str,
    printed: float | None,
    label: str,
    *,
    scale: float = 1,
    seeds: bool = True,
    ours: str = "ours, mean",
    how: Callable[..., Estimate] = intervals.mean,
) -> ForestLine:
    """Return the line of a protocol: its mean in "accuracy" or "auc", each seed, what is printed.

    Printed values are shares, and `label` is theirs in a legend, `ours` that of the mean, whose
    interval is `intervals.mean`, `mean_here` or `one_more_run`.
    """
    marks = []
    if group:
        each = group.values(measure) if seeds else ()
        marks.append(mean_mark(group.estimate(measure, how), each, scale=scale, label=ours))
    if printed is not None:
        marks.append(Mark(scale * printed, label=label, colour=COLOURS[1], marker="D"))
    return ForestLine(title, marks, note="" if group else NOT_RUN)


def plot_damage(compared: Sequence[Compared], names: Sequence[str], *, axes: Axes) -> Axes:
    """Draw the test AUC of both sides of the robustness comparisons, with 95 % intervals.

    Each of the comparisons has one of the short names.
    """
    sides = {"a": ("focal, smoothed, balanced", "o"), "b": ("cross-entropy", "s")}
    lines = []
    for name, c in zip(names, compared, strict=True):
        marks, missing = [], []
        for k, (side, (label, marker)) in enumerate(sides.items()):
            if group := getattr(c, side):
                shift = 0.2 * k - 0.1
                marks.append(
                    mean_mark(group.auc, label=label, colour=COLOURS[k], marker=marker, shift=shift)
                )
            else:
                missing.append(label)
        note = f"{', '.join(missing)} {NOT_RUN}" if len(missing) == 1 else NOT_RUN
        lines.append(ForestLine(name, marks, note=note if missing else ""))
    plot_forest(lines, axes=axes, xlabel="test AUC (95 % interval: images and seeds)")
    axes.axvline(0.5, color=GREY, linewidth=0.8, linestyle=":")
    legend_below(axes, ncols=2)
    return axes


def plot_dynamics(
    group: Group | None, quantity: str, *, epochs: int, axes: Axes, stop: float | None = None
) -> Axes:
    """Draw a column of Table 1 over the epochs: each seed of ours, and the paper's four points.

    The runs are those of the recipe without the stop, none for the paper alone; the quantity is one
    of `QUANTITIES`. A line stands where the paper's rule would stop the training, a share.
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
    words = {"ha": "right", "va": "bottom", "color": GREY, "fontsize": 7}
    if stop is not None:
        axes.axhline(stop, color=GREY, linestyle=":", linewidth=0.8)
        text, place = f"stop at {100 * stop:.0f} %", axes.get_yaxis_transform()
        axes.text(0.98, stop, text, transform=place, **words)
    if group is None:
        axes.text(0.98, 0.02, f"ours {NOT_RUN}", transform=axes.transAxes, **words)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel="epoch", title=QUANTITIES[quantity])
    return axes
