"""Pictures of the ledger: how many claims, numbers side by side, the two searches."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from helpers.plots.style import COLOURS, FULL_WIDTH, GREY
from study import verdicts as v
from study.claims.judge import CheckedClaim
from study.claims.ledger import KINDS, PAPERS
from study.claims.one_cycle import Grid
from study.claims.side_by_side import SideBySide
from study.plots.forest import ForestLine, Mark, legend_below, note_line, plot_forest, share_legend
from study.published import Published
from study.sizes import matches
from study.tables.claims import short

# Every state of a claim in one group, and how a picture fills it: colour, hatch.
GROUPS = {
    "holds": (v.REPRODUCED, v.COMPATIBLE, v.SHOWN),
    "fails": (v.NOT_REPRODUCED, v.SHOWN_REVERSED, v.EXCLUDED, v.CONTRADICTED, v.SLIP),
    "open": (v.INCONCLUSIVE, v.UNDERSPECIFIED),
    "not run": (v.NOT_RUN, v.SHORT),
    "not checkable": (v.CANNOT, v.OTHER_IMAGES),
    "no claim": (v.REVIEWERS_QUESTION,),
}
_FILLS = {
    "holds": (COLOURS[2], ""),
    "fails": (COLOURS[1], ""),
    "open": (COLOURS[5], ""),
    "not run": ("#BBBBBB", ""),
    "not checkable": ("#FFFFFF", "////"),
    "no claim": ("#FFFFFF", ""),
}
# What a number of each kind looks like; its values come from a row.
_PRINTED = Mark(
    0, label="published, 95 % for its test images", colour=COLOURS[1], marker="D", shift=-0.15
)
_OURS = {
    "A": Mark(0, label="ours, paper A: mean, 95 % for images and seeds", shift=0.15),
    "B": Mark(
        0, label="ours, paper B: mean, and where one more run falls in 95 %", marker="s", shift=0.15
    ),
}


def draw_counts(claims: Sequence[CheckedClaim]) -> Figure:
    """Draw how the claims of each paper come out, beside each other on one scale."""
    figure, axes = plt.subplots(1, len(PAPERS), figsize=(FULL_WIDTH, 3.4), sharex=True, sharey=True)
    for one, paper in zip(axes, PAPERS, strict=True):
        mine = [found for found in claims if found.claim.paper == paper]
        plot_counts(mine, axes=one).set_title(f"Paper {paper}, {len(mine)} claims")
    share_legend(axes, ncols=1)
    return figure


def plot_counts(claims: Sequence[CheckedClaim], *, axes: Axes) -> Axes:
    """Draw how many claims of each kind are in which of `GROUPS`, as stacked bars."""
    left = np.zeros(len(KINDS))
    for group, states in GROUPS.items():
        kinds = [one.claim.kind for one in claims if one.state in states]
        widths = np.array([kinds.count(kind) for kind in KINDS])
        colour, hatch = _FILLS[group]
        axes.barh(
            KINDS,
            widths,
            left=left,
            color=colour,
            hatch=hatch,
            edgecolor=GREY,
            linewidth=0.4,
            label=f"{group}: {', '.join(map(short, states))}",
        )
        left += widths
    right = max(axes.get_xlim()[1], 1.05 * left.max())  # of axes that share their scale
    axes.set(xlabel="claims", xlim=(0, right), ylim=(len(KINDS) - 0.5, -0.5))
    return axes


def plot_side_by_side(rows: Sequence[SideBySide], *, axes: Axes) -> Axes:
    """Draw printed numbers and ours from the top down, one line (.25 inch) each, with intervals.

    Ours of paper A are means, of paper B one more run.
    """
    lines = []
    for row in rows:
        marks = []
        for share, kind in ((row.published, _PRINTED), (row.ours, _OURS[row.label[0]])):
            if share:
                value, low, high = (100 * end for end in share)
                marks.append(replace(kind, value=value, low=low, high=high))
        lines.append(ForestLine(row.label, marks, note=short(row.state)))
    plot_forest(lines, axes=axes, xlabel="test accuracy, sensitivity or specificity, %")
    legend_below(axes, at=0.5, drop=0.15, ncols=1)
    return axes


def plot_size_search(misfit: np.ndarray, fitting: Sequence[int], *, axes: Axes) -> Axes:
    """Draw how badly printed shares fit each size of a set; what rounding explains is marked.

    The misfit, float (n,), is that of the sizes 1 .. n, in halves of the last digit.
    """
    sizes = np.arange(1, len(misfit) + 1)
    axes.plot(sizes, misfit, ".", color=GREY, markersize=1.5, rasterized=True)
    axes.axhline(1, color="black", linewidth=0.6, linestyle=":")
    axes.plot(fitting, misfit[np.array(fitting, dtype=int) - 1], "o", color=COLOURS[1])
    for size in fitting[:1]:  # the others are its multiples, or crowd the line
        at = (size, misfit[size - 1])
        axes.annotate(str(size), at, xytext=(-6, 6), textcoords="offset points")
    axes.set(yscale="log", xlabel="images in the set", ylabel="misfit, half digits")
    return axes


def plot_schedule_search(misfit: np.ndarray, *, grid: Grid, axes: Axes) -> QuadMesh:
    """Draw how badly printed rates fit the schedules of a grid; what rounding explains is ringed.

    The misfit is that of `one_cycle.misfit` on the grid. Returns the colours, for a colour bar.
    """
    peaks, rises = np.array(grid.max_lr), np.array(grid.rise_epochs)
    mesh = axes.pcolormesh(
        rises, 1000 * peaks, misfit, norm=LogNorm(), cmap="viridis_r", shading="nearest"
    )
    for i, j in np.argwhere(misfit <= 1 + 1e-6):
        axes.plot(rises[j], 1000 * peaks[i], "o", color=COLOURS[1], fillstyle="none", markersize=9)
    axes.set(xlabel="rise, epochs", ylabel="peak learning rate, thousandths")
    return mesh


def plot_possible_f1(
    possible: Mapping[str, np.ndarray], printed: Mapping[str, Published], *, axes: Axes
) -> Axes:
    """Draw which F1 a printed accuracy leaves possible, and the F1 that is printed, by system.

    Possible is that of each confusion matrix with the accuracy, float (matrices,); shown is what
    lies near the printed values.
    """
    for y, (system, values) in enumerate(possible.items()):
        f1 = printed[system]
        fits = any(matches(value, f1) for value in values)
        colour = COLOURS[2] if fits else COLOURS[1]
        axes.plot(values, np.full(len(values), y), "|", color="black", markersize=9)
        axes.plot(f1.value, y - 0.3, "v", color=colour)
        note_line("possible" if fits else "impossible", y, axes=axes, colour=colour)
    shown = [f1.value for f1 in printed.values()]
    axes.set(
        yticks=range(len(possible)),
        yticklabels=list(possible),
        ylim=(len(possible) - 0.5, -0.6),
        xlim=(min(shown) - 0.012, max(shown) + 0.012),
        xlabel="F1 of the positive class",
    )
    return axes
