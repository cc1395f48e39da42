"""Pictures of the measured Table 3: rankings, the focus against others, every pair."""

from collections.abc import Callable, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from helpers.plots.style import COLOURS, GREY
from study.compare import Compared
from study.plans.ranking import PublishedAccuracy, RankingPlan
from study.plots.forest import ForestLine, Mark, difference_marks, mean_mark, once, plot_forest
from study.ranking import Place, Ranking, primary
from study.tables.scores import constant_text
from study.verdicts import NOT_RUN

# Where a published value leaves a mean of ours in view, in lines.
_ABOVE = -0.3
# What is shown of a pair, and its colour: safe for colour-blind readers, distinct in grey.
WORSE, LEVEL_WITH, BETTER, NOT_TESTED = range(4)
_PAIRS = {
    "row worse": COLOURS[1],
    "not told apart": "#FFFFFF",
    "row better": COLOURS[0],
    "not tested (too few seeds)": "#DDDDDD",
}


def plot_ranking(ranking: Ranking, *, plan: RankingPlan, axes: Axes) -> Axes:
    """Draw a ranking: mean accuracy with its 95 % interval, every seed, the published value.

    The focus and its variants are blue. At the end of a line, of about .17 inch of height, stand
    the possible ranks and the number of seeds. A published value is a diamond above the line,
    hollow where it is unverified or of another start. Models without runs and without a published
    value are left out.
    """
    lines = []
    for place in ranking.places:
        published = primary(place.system, ranking.dataset, ranking.start)
        if place.group or published:
            lines.append(_ranked_line(place, published, ranking.start, plan))
    plot_forest(lines, axes=axes, xlabel="test accuracy, %")
    axes.set_title(ranking.heading, pad=14)  # above the head of the notes
    axes.text(1.02, 1, "ranks, seeds", transform=axes.transAxes, va="bottom", fontsize=6)
    return axes


def _ranked_line(
    place: Place, published: PublishedAccuracy | None, start: str, plan: RankingPlan
) -> ForestLine:
    marks, note = [], NOT_RUN
    if place.group:
        colour, label = "black", "ours, mean and 95 %"
        if place.system.model.startswith(plan.focus):
            colour = COLOURS[0]
            label = f"{plan.systems[plan.focus].title} and its variants, likewise"
        seeds = place.group.values("accuracy")
        marks.append(mean_mark(place.accuracy, seeds, scale=100, colour=colour, label=label))
        note = constant_text(len(place.group.constant), len(place.group.seeds))
        if place.rank:
            note = f"{place.best}-{place.worst}, n = {place.accuracy.seeds}"
    if published:
        full = published.published.mark != "M" and published.fits(start)
        marks.append(
            Mark(
                100 * published.published.fraction,
                label="published" if full else "published, unverified or of another start",
                colour=COLOURS[1],
                marker="D",
                hollow=not full,
                shift=_ABOVE,
            )
        )
    return ForestLine(place.system.title, marks, note=note)


def plot_against(against: Sequence[Compared], *, focus: str, axes: Axes) -> Axes:
    """Draw the focus's accuracy less every other's, with 95 % intervals, in the verdict's colour.

    The strongest other is drawn first, those not run last; a verdict that all share stands below.
    """
    lines, shared = once(
        [
            ForestLine(c.title, difference_marks(c.accuracy, c.verdict, scale=100), c.verdict)
            for c in sorted(against, key=lambda c: c.accuracy.value if c.accuracy else np.inf)
        ]
    )
    xlabel = f"accuracy of {focus} less the other's, points{shared}"
    return plot_forest(lines, axes=axes, xlabel=xlabel, zero=True)


def pair_matrix(ranking: Ranking) -> np.ndarray:
    """Return what is shown of every pair, int (n, n) in the order of the ranking.

    `BETTER`, `WORSE` (row against column), `LEVEL_WITH`, or `NOT_TESTED` with fewer common seeds
    than the plan's `rank_seeds` and on the diagonal.
    """
    order = {place.system.model: i for i, place in enumerate(ranking.ranked)}
    matrix = np.full((len(order), len(order)), NOT_TESTED)
    for (a, b), c in ranking.pairs.items():
        if (sign := c.shown["accuracy"]) is not None:
            i, j = order[a], order[b]
            matrix[i, j], matrix[j, i] = LEVEL_WITH + sign, LEVEL_WITH - sign
    return matrix


def plot_pairs(ranking: Ranking, *, axes: Axes) -> Axes:
    """Draw which models are told apart: a cell is the row's model against the column's."""
    matrix = pair_matrix(ranking)
    axes.imshow(
        matrix, cmap=ListedColormap(list(_PAIRS.values())), norm=BoundaryNorm(np.arange(-0.5, 4), 4)
    )
    titles = [place.system.title for place in ranking.ranked]
    axes.set_xticks(range(len(titles)), titles, rotation=90, fontsize=6)
    axes.set_yticks(range(len(titles)), titles, fontsize=6)
    axes.set_xticks(np.arange(-0.5, len(titles)), minor=True)
    axes.set_yticks(np.arange(-0.5, len(titles)), minor=True)
    axes.grid(which="minor", color="#CCCCCC", linewidth=0.4)
    axes.tick_params(which="minor", length=0)
    axes.set_title(ranking.heading)
    return axes


def pair_legend() -> list[Patch]:
    """Return the handles of a legend for `plot_pairs`."""
    return [Patch(facecolor=colour, edgecolor=GREY, label=name) for name, colour in _PAIRS.items()]


def side_by_side(
    rankings: Sequence[Ranking],
    draw: Callable[[Ranking, Axes], object],
    *,
    size: tuple[float, float],
) -> tuple[Figure, list[Axes]]:
    """Draw rankings with runs beside each other in a figure of a size; "not run" where none are."""
    figure, axes = plt.subplots(1, max(len(rankings), 1), figsize=size, squeeze=False)
    # Notes at the end of a line keep clear of the next picture's labels.
    figure.get_layout_engine().set(wspace=0.06)
    for ranking, one in zip(rankings, axes.flat, strict=False):
        draw(ranking, one)
    if not rankings:
        axes[0, 0].text(0.5, 0.5, NOT_RUN, ha="center", color=GREY)
        axes[0, 0].set_axis_off()
    return figure, list(axes.flat)
