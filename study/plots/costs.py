"""Pictures of the efficiency study: accuracy against cost (paper B's Fig. 14), latency by form."""

from collections.abc import Sequence
from itertools import cycle

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter
from sklearn.isotonic import isotonic_regression

from helpers.plots.style import COLOURS, GREY, SMALL
from study.costs.findings import COSTS, Point, pareto_front
from study.costs.store import Store
from study.plans.costs import Candidate, CostPlan
from study.tables.costs import FORMS
from study.verdicts import NOT_RUN

FRONT = "ours, on the front, named above"
OTHERS = "ours, others, not named"
_FOCUS_LOOKS = (("s", COLOURS[2]), ("^", COLOURS[3]), ("v", COLOURS[4]), ("P", COLOURS[6]))
_PRINTED_MARKERS = "Dp8hHX*"
_SLOPE = 45  # of the names, degrees


def plot_pareto(
    ours: Sequence[Point], printed: Sequence[Point], *, cost: str, axes: Axes, focus: tuple = ()
) -> Axes:
    """Draw accuracy against a cost (`COSTS`): ours with intervals, the published ones, our front.

    The legend names the published systems and those of ours (`focus`, by title) that have a marker
    of their own wherever they lie. What else lies on our front, which is drawn through ours alone,
    has its name in the picture, once `spread_names` has seen the finished figure.
    """
    front = pareto_front(ours)
    rest = [point for point in ours if point.title not in focus]
    _scatter([p for p in rest if p not in front], axes, marker="o", colour=GREY, label=OTHERS)
    named = [p for p in rest if p in front]
    _scatter(named, axes, marker="o", colour=COLOURS[0], label=FRONT)
    for title, (marker, colour) in zip(focus, cycle(_FOCUS_LOOKS), strict=False):
        own = [p for p in ours if p.title == title]
        _scatter(own, axes, marker=marker, colour=colour, label=title)
    for point, marker in zip(printed, cycle(_PRINTED_MARKERS), strict=False):
        label = f"{point.title.removesuffix(' (paper)')} (printed, another protocol)"
        _scatter([point], axes, marker=marker, colour=COLOURS[1], label=label, hollow=True)
    axes.step(
        [p.cost for p in front],
        [100 * p.accuracy for p in front],
        where="post",
        color=COLOURS[0],
        linewidth=0.8,
        linestyle=":",
    )
    for p in named:
        axes.text(
            p.cost,
            100 * (p.high or p.accuracy),
            p.title,
            rotation=_SLOPE,
            rotation_mode="anchor",
            fontsize=SMALL,
            color=COLOURS[0],
            in_layout=False,
        )
    if not (ours or printed):
        axes.text(0.5, 0.5, NOT_RUN, transform=axes.transAxes, ha="center", color=GREY)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.margins(x=0.08)
    axes.set(xlabel=COSTS[cost], ylabel="test accuracy, %")
    return axes


def _scatter(
    points: Sequence[Point], axes: Axes, *, colour: str, hollow: bool = False, **looks: str
) -> None:
    """Draw points, each with its interval where it has one, under one label and marker."""
    if not points:
        return
    axes.plot(
        [p.cost for p in points],
        [100 * p.accuracy for p in points],
        color=colour,
        linestyle="none",
        markersize=7 if hollow else 4.5,
        markerfacecolor="none" if hollow else colour,
        **looks,
    )
    for p in points:
        if p.low is not None:
            low, high = 100 * p.low, 100 * p.high
            axes.vlines(p.cost, low, high, color=colour, alpha=0.35, linewidth=1, zorder=1)


def spread_names(figure: Figure) -> None:
    """Move the names of a finished figure above its points, beside each other, with lines down.

    The names of all axes begin at one height, the upper end of what is drawn, and keep their order
    along the cost, so neither they nor their lines meet.
    """
    figure.draw_without_rendering()  # the layout decides how large the axes are
    several = [axes for axes in figure.axes if axes.lines]
    texts = [text for axes in several for text in axes.texts]
    if not texts:
        return
    tallest = max(text.get_window_extent().height for text in texts)
    limits = [axes.get_ylim() for axes in several]
    low, high = min(low for low, _ in limits), min(100, max(high for _, high in limits))
    height = min(axes.bbox.height for axes in several)
    for axes in several:
        ticks = [tick for tick in axes.get_yticks() if low <= tick <= high]
        axes.set_ylim(low, low + (high - low) * height / (height - tallest - SMALL))
        axes.set_yticks(ticks)
        axes.spines["left"].set_bounds(low, high)
    for axes in several:
        _spread(axes, at=high)


def _spread(axes: Axes, *, at: float) -> None:
    """Put the names of one picture side by side at a height, with lines to their points."""
    texts = sorted(axes.texts, key=lambda text: text.get_position()[0])
    if not texts:
        return
    ends = [text.get_position() for text in texts]
    pixels = axes.transData.transform(ends)[:, 0]
    step = 1.25 * SMALL / np.sin(np.radians(_SLOPE)) * axes.figure.dpi / 72
    last = axes.bbox.x1 - texts[-1].get_window_extent().width
    along = apart(pixels, step=step, low=axes.bbox.x0, high=max(last, pixels[0]))
    places = axes.transData.inverted().transform([(x, axes.bbox.y0) for x in along])[:, 0]
    for text, x, (cost, top) in zip(texts, places, ends, strict=True):
        text.set_position((x, at))
        bend = max(top, at - 0.1 * (at - axes.get_ylim()[0]))
        axes.plot(
            [cost, cost, x],
            [top, bend, at],
            color=COLOURS[0],
            linewidth=0.4,
            linestyle="-",
            zorder=0,
        )


def apart(places: Sequence[float], *, step: float, low: float, high: float) -> np.ndarray:
    """Return ascending places, moved as little as keeps them a step from each other.

    The first may not lie below `low`, nor the last above `high` where there is room for all.
    """
    steps = step * np.arange(len(places))
    level = isotonic_regression(np.asarray(places) - steps)
    return np.clip(level, low, max(low, high - steps[-1])) + steps


def plot_forms(store: Store, plan: CostPlan, *, batch_size: int, axes: Axes) -> Axes:
    """Draw the time of an image of the main networks in every form on a device, with quartiles.

    The line is the reference's eager time.
    """
    place = {"image_size": plan.image_size, "batch_size": batch_size}
    width, scale = 0.8 / len(FORMS), 1000 / batch_size
    for k, (form, title) in enumerate(FORMS.items()):
        timed = {}
        for x, model in enumerate(plan.main):
            if times := store.times(Candidate(model, form), **place):
                timed[x + (k - 1.5) * width] = times
        if not timed:
            continue
        middles = scale * np.array([times.median for times in timed.values()])
        ends = scale * np.array([times.quartiles for times in timed.values()]).T
        axes.bar(
            list(timed),
            middles,
            width,
            yerr=abs(ends - middles),
            color=COLOURS[k],
            error_kw={"linewidth": 1},
            label=title,
        )
    axes.set_xticks(range(len(plan.main)), [plan.titles[model] for model in plan.main])
    axes.set_ylabel("ms an image")
    axes.tick_params(axis="x", rotation=15)
    reference = store.times(Candidate(plan.reference, "eager"), **place)
    if reference is None:
        axes.text(0.5, 0.5, NOT_RUN, transform=axes.transAxes, ha="center", color=GREY)
    else:
        axes.axhline(scale * reference.median, color=GREY, linestyle=":", linewidth=1)
        axes.set_ylim(top=1.3 * axes.get_ylim()[1])  # room for the legend
        axes.legend(ncols=2)
    return axes
