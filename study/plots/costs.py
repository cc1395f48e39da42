"""Pictures of the efficiency study: accuracy against cost (paper B's Fig. 14), latency by form.

As in `helpers.plots`, every function draws into the axes it is given, within `style.style()`.
"""

from collections.abc import Sequence

import numpy as np
from adjustText import adjust_text
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from helpers.plots.style import COLOURS, GREY, SMALL
from study.costs.findings import COSTS, Point, pareto_front
from study.costs.store import Store
from study.plans.costs import Candidate, CostPlan
from study.tables.costs import FORMS
from study.verdicts import NOT_RUN


def plot_pareto(
    ours: Sequence[Point],
    printed: Sequence[Point],
    *,
    cost: str,
    axes: Axes,
    always: Sequence[str] = (),
) -> Axes:
    """Draw accuracy against cost: our networks with intervals, the published ones, our front.

    The systems of our front and the published ones are named; once all of a figure is drawn,
    `spread_names` moves the names apart.

    Args:
        ours: measured; the front is drawn through them alone.
        printed: as the papers print them.
        cost: key of `COSTS`.
        axes: to draw into; the cost is drawn on a logarithmic axis.
        always: titles of our networks that are named wherever they lie.
    """
    front = pareto_front(ours)
    others = [point for point in ours if point not in front]
    for points, marker, colour, label in (
        (others, "o", GREY, "ours"),
        (front, "o", COLOURS[0], "ours, on the Pareto front"),
        (printed, "D", COLOURS[1], "published, other protocols"),
    ):
        if points:
            place = [p.cost for p in points], [100 * p.accuracy for p in points]
            axes.plot(*place, marker, color=colour, markersize=4, label=label)
        for p in (p for p in points if p.low is not None):
            ends = (100 * p.low, 100 * p.high)
            axes.vlines(p.cost, *ends, color=colour, alpha=0.35, linewidth=1)
    if front:
        steps = [p.cost for p in front], [100 * p.accuracy for p in front]
        axes.step(*steps, where="post", color=COLOURS[0], linewidth=0.8, linestyle=":")
    named = [p for p in others if p.title in always]
    for points, colour in ((front, COLOURS[0]), (named, GREY), (printed, COLOURS[1])):
        for p in points:
            title = p.title.removesuffix(" (paper)")
            axes.text(p.cost, 100 * p.accuracy, title, fontsize=SMALL, color=colour)
    if not (ours or printed):
        axes.text(0.5, 0.5, NOT_RUN, transform=axes.transAxes, ha="center", color=GREY)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.margins(x=0.15, y=0.15)
    axes.set(xlabel=COSTS[cost], ylabel="test accuracy, %")
    return axes


def spread_names(figure: Figure) -> None:
    """Move the names in a finished figure off the points and off each other, with lines back."""
    figure.draw_without_rendering()  # the layout decides how large the axes are
    for axes in figure.axes:
        if not axes.lines:
            continue
        points = np.concatenate([line.get_xydata() for line in axes.lines])
        adjust_text(
            axes.texts,
            *points.T,
            ax=axes,
            expand=(1.1, 1.4),
            force_text=(0.3, 0.8),
            iter_lim=500,  # a time limit, the default, would place them anew at every run
            arrowprops={"arrowstyle": "-", "color": GREY, "linewidth": 0.5},
        )


def plot_forms(store: Store, plan: CostPlan, *, batch_size: int, axes: Axes) -> Axes:
    """Draw the time of an image of the main networks in every form, with quartiles.

    Args:
        store: measurements of one device.
        plan: what was measured.
        batch_size: images at a time.
        axes: to draw into; the line is the reference's eager time.
    """
    place = {"image_size": plan.image_size, "batch_size": batch_size}
    width, scale = 0.8 / len(FORMS), 1000 / batch_size
    for k, (form, title) in enumerate(FORMS.items()):
        timed = {x: store.times(Candidate(m, form), **place) for x, m in enumerate(plan.main)}
        timed = {x + (k - 1.5) * width: times for x, times in timed.items() if times}
        middles = scale * np.array([times.median for times in timed.values()])
        ends = scale * np.array([times.quartiles for times in timed.values()]).reshape(-1, 2).T
        looks = {"color": COLOURS[k], "error_kw": {"linewidth": 1}, "label": title}
        if timed:
            axes.bar(list(timed), middles, width, yerr=abs(ends - middles), **looks)
    reference = store.times(Candidate(plan.reference, "eager"), **place)
    if reference is not None:
        axes.axhline(scale * reference.median, color=GREY, linestyle=":", linewidth=1)
    axes.set(
        ylabel="ms an image",
        xticks=range(len(plan.main)),
        xticklabels=[plan.titles[model] for model in plan.main],
    )
    axes.tick_params(axis="x", rotation=15)
    if reference is None:
        axes.text(0.5, 0.5, NOT_RUN, transform=axes.transAxes, ha="center", color=GREY)
    else:
        axes.set_ylim(top=1.3 * axes.get_ylim()[1])  # room for the legend
        axes.legend(ncols=2)
    return axes
