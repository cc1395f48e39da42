"""Pictures of comparisons: differences with intervals; systems and cells; robustness, Table 1.

As in `plots`, every function draws into the axes it is given, within `plots.style()`. What is not
run leaves its line in the picture, marked so.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from helpers.plots.style import COLOURS, GREY
from helpers.runs.groups import Group, find_group, group_auc
from study.compare import A_BETTER, B_BETTER, Compared, JudgedCell
from study.plans.comparisons import System
from study.published import Published, lookup
from study.verdicts import NOT_RUN

_VERDICT_COLOURS = {A_BETTER: COLOURS[2], B_BETTER: COLOURS[1]}


def plot_differences(compared: Sequence[Compared], *, axes: Axes) -> Axes:
    """Draw the AUC differences of a family, one line a comparison, with 95 % intervals.

    The verdict stands at the end of its line, in its colour.

    Args:
        compared: comparisons of a family.
        axes: to draw into; about .35 inch of height a comparison.
    """
    for y, c in enumerate(compared):
        colour = _VERDICT_COLOURS.get(c.verdict, GREY)
        _mark_line(axes, y, c.verdict, colour=colour)
        if c.auc is None:
            continue
        if c.auc.low is not None:
            axes.hlines(y, c.auc.low, c.auc.high, color=colour, linewidth=2)
        axes.plot(c.auc.value, y, "o", color=colour, markersize=5)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set(
        xlabel="AUC with less AUC without (95 % interval: images and seeds)",
        yticks=range(len(compared)),
        yticklabels=[c.pair.title for c in compared],
        ylim=(len(compared) - 0.5, -0.5),
    )
    return axes


def _mark_line(axes: Axes, y: float, text: str, *, colour: str) -> None:
    """Write at the right end of a line, outside the axes, whatever their limits become."""
    place = axes.get_yaxis_transform()
    axes.text(1.01, y, text, transform=place, va="center", color=colour, fontsize=7)


def plot_systems(systems: Sequence[System], groups: Sequence[Group], *, axes: Axes) -> Axes:
    """Draw each system's test AUC: every seed, the mean with its 95 % interval, the paper's value.

    Args:
        systems: rows of Table 4.
        groups: stored runs.
        axes: to draw into.
    """
    for y, system in enumerate(systems):
        group = find_group(groups, system.config)
        if group is None:
            _mark_line(axes, y, NOT_RUN, colour=GREY)
        else:
            mean = group_auc(group)
            axes.hlines(y, mean.low, mean.high, color=COLOURS[0], linewidth=2)
            axes.plot(mean.mean, y, "o", color=COLOURS[0], markersize=6, label="ours, mean")
            values = group.values("auc")
            axes.plot(values, [y + 0.2] * len(values), "|", color=GREY, label="ours, each seed")
        if system.published:
            printed = lookup(paper="A", table="Table 4", row=system.published, column="auc").value
            axes.plot(printed, y, "D", color=COLOURS[1], markersize=5, label="paper, other images")
    axes.set(
        xlabel="test AUC (95 % interval: images and seeds)",
        yticks=range(len(systems)),
        yticklabels=[system.title for system in systems],
        ylim=(len(systems) - 0.5, -0.5),
    )
    _legend_below(axes)
    return axes


def plot_cells(cells: Sequence[JudgedCell], network: Published, *, axes: Axes) -> Axes:
    """Draw the test accuracy of Table 2's cells: seeds, mean with its 95 % interval, the paper's.

    A cell's own printed number is drawn where there is one, the network's as a line across all.

    Args:
        cells: see `table2.judge_cells`.
        network: the accuracy that the paper prints for the network on this set.
        axes: to draw into; about .35 inch of height a cell.
    """
    for y, judged in enumerate(cells):
        if judged.group is None:
            _mark_line(axes, y, NOT_RUN, colour=GREY)
        else:
            mean = judged.group.accuracy
            axes.hlines(y, 100 * mean.low, 100 * mean.high, color=COLOURS[0], linewidth=2)
            axes.plot(100 * mean.mean, y, "o", color=COLOURS[0], markersize=6, label="ours, mean")
            values = [100 * value for value in judged.group.values("accuracy")]
            axes.plot(values, [y + 0.2] * len(values), "|", color=GREY, label="ours, each seed")
        if judged.cell.published.value is not None:
            printed = 100 * judged.cell.published.fraction
            axes.plot(printed, y, "D", color=COLOURS[1], markersize=5, label="paper, Table 2")
    line = {"color": COLOURS[1], "linestyle": "--", "linewidth": 1}
    axes.axvline(100 * network.fraction, **line, label="paper, the network (section 4.6)")
    axes.set(
        xlabel="test accuracy, % (95 % interval: images and seeds)",
        yticks=range(len(cells)),
        yticklabels=[judged.cell.title for judged in cells],
        ylim=(len(cells) - 0.5, -0.5),
    )
    _legend_below(axes)
    return axes


def _legend_below(axes: Axes) -> None:
    """Explain each kind of mark once, under the axes."""
    handles, names = axes.get_legend_handles_labels()
    labels = dict(zip(names, handles, strict=True))
    axes.legend(labels.values(), labels, loc="upper center", bbox_to_anchor=(0.4, -0.2), ncols=3)


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
        means = [(x, group_auc(group)) for x, group in found if group is not None]
        for x in (x for x, group in found if group is None):
            # From the line at .5, which is always in view; the space keeps it off the line.
            place = {"rotation": 90, "ha": "center", "va": "bottom"}
            axes.text(x + shift, 0.5, f" {NOT_RUN}", **place, color=COLOURS[k], fontsize=6)
        axes.errorbar(
            [x + shift for x, _ in means],
            [m.mean for _, m in means],
            yerr=np.array([[m.mean - m.low, m.high - m.mean] for _, m in means]).reshape(-1, 2).T,
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
