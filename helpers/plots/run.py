"""Pictures of one run, in one style: safe for colour-blind readers, legible at half a page's width.

Every function draws into the axes it is given and returns them; draw within `style.style()`.
`y_true` are the labels of the images, integers (n,) in 0 .. K-1, `probabilities` (n, K), rows
summing to one. Arrays that do not fit are a `ValueError`.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import seaborn
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import ScaledTranslation
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_curve

from helpers.metrics import scores
from helpers.metrics.operating_points import OperatingPoint
from helpers.metrics.scores import LEVEL, auc_interval, check_predictions, evaluate
from helpers.plots.style import (
    COLOURS,
    GREY,
    HALF_PAGE,
    HALF_WIDTH,
    SMALL,
    class_line,
    plain,
    short_names,
    shortened,
)

# From so many classes on, a cell of the confusion matrix has room for one number.
CROWDED = 6
CELLS = ("counts", "shares", "both")
# If all areas under the curves are larger, they crowd a corner, which is enlarged.
_NEAR_PERFECT = 0.85
_PERFECT = 0.9995
_SPLITS = (("train", "training", COLOURS[0]), ("val", "validation", COLOURS[1]))  # of a history


def curve_size(num_classes: int) -> tuple[float, float]:
    """Return the size of a figure of one curve a class; above two classes a legend stands below."""
    if num_classes == 2:
        return HALF_PAGE
    # A line of the legend for two classes, and its title; the prevalence is an entry more.
    return HALF_WIDTH, 3.7 + 0.155 * (num_classes // 2 + 1)


def plot_confusion_matrix(
    matrix: np.ndarray, class_names: Sequence[str], *, axes: Axes, cells: str | None = None
) -> Axes:
    """Draw a confusion matrix, int (K, K), rows are the truth; the share is the colour.

    In the cells stand "counts", "shares" (percent of the true class) or "both"; None is both below
    six classes, and counts from there on, where a cell has room for one number; the columns then
    have the numbers that stand with the names of the rows. A class without images has an empty row.
    """
    matrix = np.asarray(matrix)
    num_classes = len(class_names)
    if matrix.shape != (num_classes, num_classes):
        raise ValueError(
            f"The confusion matrix has shape {matrix.shape} for {num_classes} class names."
        )
    crowded = num_classes >= CROWDED
    cells = cells or ("counts" if crowded else "both")
    if cells not in CELLS:
        raise ValueError(f"cells must be one of {', '.join(CELLS)}, got {cells!r}.")
    truth = matrix.sum(axis=1, keepdims=True)
    share = np.where(truth > 0, matrix / np.maximum(truth, 1), np.nan)
    percent = "{1:.0f}" if crowded else "{1:.1f}%"
    cell = {"counts": "{0}", "shares": percent, "both": "{0}\n" + percent}[cells]
    texts = np.vectorize(cell.format, otypes=[str])(matrix, 100 * share)
    seaborn.heatmap(
        share,
        mask=np.isnan(share),
        annot=texts,
        fmt="",
        annot_kws={"fontsize": SMALL if crowded else 8},
        cmap="Blues",
        vmin=0,
        vmax=1,
        cbar=False,
        square=True,
        ax=axes,
    )
    _name_cells(class_names, crowded, axes=axes)
    content = "% of the true class" if cells == "shares" else f"{matrix.sum():,} images"
    # Long names leave the axes narrow: from their right end the title has room.
    axes.set_title(f"Confusion matrix, {content}", loc="right" if crowded else "center")
    axes.set_ylabel("true")
    return axes


def _name_cells(class_names: Sequence[str], crowded: bool, *, axes: Axes) -> None:
    """Label rows and columns of a confusion matrix with the class names."""
    names = short_names(class_names)
    ticks = np.arange(len(names)) + 0.5  # the middle of a cell
    if crowded:
        numbered = [f"{plain(shortened(name, 20))}  {k}" for k, name in enumerate(class_names)]
        axes.set_xticks(ticks, range(len(names)))
        axes.set_yticks(ticks, numbered, rotation=0)
        axes.set_xlabel("predicted (number of the class)")
    else:
        axes.set_xticks(ticks, names)
        if len(names) > 2:  # only two names of twenty letters stand side by side
            axes.set_xticks(ticks, names, rotation=30, ha="right", rotation_mode="anchor")
        axes.set_yticks(ticks, names, rotation=0)
        axes.set_xlabel("predicted")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)


def plot_roc(
    y_true: np.ndarray, probabilities: np.ndarray, class_names: Sequence[str], *, axes: Axes
) -> Axes:
    """Draw the ROC: of class 1 with a band if there are two classes, else of each against the rest.

    The legend gives the AUC, with two classes with its DeLong interval; the band is `roc_band`. Of
    two classes both need images.
    """
    y_true, probabilities = check_predictions(y_true, probabilities)
    axes.plot([0, 1], [0, 1], color=GREY, linestyle=":", linewidth=1)
    if len(class_names) == 2:
        score = probabilities[:, 1]
        grid, low, high = roc_band(y_true, score)
        label = f"{LEVEL:.0%} band (bootstrap)"
        axes.fill_between(grid, low, high, color=COLOURS[0], alpha=0.2, linewidth=0, label=label)
        auc = auc_interval(y_true == 1, score)
        axes.plot(*roc_curve(y_true, score)[:2], color=COLOURS[0], label=f"AUC {auc}")
        axes.set_title(f"ROC for {short_names(class_names)[1]}, n = {len(y_true):,}")
        axes.legend(loc="lower right")
    else:
        lowest = 1.0
        for k, name in _present(y_true, class_names):
            own, score = y_true == k, probabilities[:, k]
            auc = auc_interval(own, score)
            axes.plot(*roc_curve(own, score)[:2], label=f"{auc.value:.3f} {name}", **class_line(k))
            lowest = min(lowest, auc.value)
        axes.set_title(f"ROC, each class against the rest, n = {len(y_true):,}")
        if _NEAR_PERFECT < lowest < _PERFECT:
            _enlarge(axes, at=(0.42, 0.06), x=(0, 0.2), y=(0.8, 1))
        _legend_below(axes, title="AUC, class")
    return _unit_square(axes, "1 - specificity", "sensitivity")


def roc_band(
    y_true: np.ndarray, y_score: np.ndarray, *, n_resamples: int = 2000, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the pointwise 95 % band of a ROC by stratified bootstrap.

    Labels are 0 or 1, both present; a higher score, float (n,), means more likely class 1.

    Returns:
        1 - specificity on a grid of 0 .. 1 (101,), and the lower and upper sensitivity there.
    """
    present = np.unique(y_true).tolist()
    if present != [0, 1]:
        raise ValueError(f"A ROC needs images of classes 0 and 1, got {present}.")
    order = np.argsort(-y_score, kind="stable")
    # Equal scores are one step of the curve: it is read at the last of them.
    ends = np.flatnonzero(np.append(np.diff(y_score[order]) != 0, True))
    counts = scores.stratified_counts(y_true, n_resamples, rng=np.random.default_rng(seed))[order]
    positive = (y_true[order] == 1)[:, None]
    hits = np.cumsum(counts * positive, axis=0)[ends] / positive.sum()
    alarms = np.cumsum(counts * ~positive, axis=0)[ends] / (~positive).sum()
    grid = np.linspace(0, 1, 101)
    curves = [
        np.interp(grid, np.append(0, alarms[:, r]), np.append(0, hits[:, r]))
        for r in range(n_resamples)
    ]
    low, high = np.quantile(curves, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return grid, low, high


def plot_precision_recall(
    y_true: np.ndarray, probabilities: np.ndarray, class_names: Sequence[str], *, axes: Axes
) -> Axes:
    """Draw precision over recall, with the prevalence that a guess would reach.

    The legend gives the average precision, with two classes with its interval.
    """
    y_true, probabilities = check_predictions(y_true, probabilities)
    shares = np.bincount(y_true, minlength=len(class_names)) / len(y_true)
    if len(class_names) == 2:
        score = probabilities[:, 1]
        estimate = evaluate(y_true, probabilities)["average_precision"]
        _plot_steps(y_true, score, axes=axes, label=f"AP {estimate}", color=COLOURS[0])
        label = f"prevalence {shares[1]:.2f}"
        axes.axhline(shares[1], color=GREY, linestyle=":", linewidth=1, label=label)
        axes.set_title(f"Precision-recall for {short_names(class_names)[1]}, n = {len(y_true):,}")
        axes.legend(loc="lower left")
    else:
        lowest = 1.0
        for k, name in _present(y_true, class_names):
            own, score = y_true == k, probabilities[:, k]
            ap = average_precision_score(own, score)
            _plot_steps(own, score, axes=axes, label=f"{ap:.3f} {name}", **class_line(k))
            lowest = min(lowest, ap)
        low, high = shares[shares > 0].min(), shares.max()
        label = f"prevalence {low:.2f} to {high:.2f}"
        axes.axhspan(low, high, color=GREY, alpha=0.2, linewidth=0, label=label)
        axes.set_title(f"Precision-recall, each class, n = {len(y_true):,}")
        if _NEAR_PERFECT < lowest < _PERFECT:
            _enlarge(axes, at=(0.1, 0.22), x=(0.8, 1), y=(0.8, 1))
        _legend_below(axes, title="AP, class")
    return _unit_square(axes, "recall (sensitivity)", "precision (PPV)")


def _plot_steps(y_true: np.ndarray, score: np.ndarray, *, axes: Axes, **line: str) -> None:
    precision, recall, _ = precision_recall_curve(y_true, score)
    axes.plot(recall, precision, drawstyle="steps-post", **line)


def plot_operating_points(
    points: Sequence[OperatingPoint], y_true: np.ndarray, probabilities: np.ndarray, *, axes: Axes
) -> Axes:
    """Draw where thresholds chosen on validation images land on the test ROC of class 1 of two.

    Beside the ROC stand a line for each target, and on the curve each threshold with the Wilson
    intervals of its sensitivity and specificity; a mark on its line has met its target.
    """
    y_true, probabilities = check_predictions(y_true, probabilities)
    if {point.label for point in points} != {1}:
        raise ValueError("Operating points are drawn for class 1 of two classes only.")
    if len(np.unique(y_true)) < 2:
        raise ValueError(f"A ROC needs images of classes 0 and 1, got {np.unique(y_true)}.")
    axes.plot(*roc_curve(y_true, probabilities[:, 1])[:2], color=GREY, linewidth=1)
    # Two targets may have one threshold: every second mark is large and hollow.
    marks = (("o", 8, "none"), ("s", 4, None), ("^", 9, "none"), ("D", 4, None))
    for point, colour, (marker, size, face) in zip(points, COLOURS, marks, strict=False):
        sensitivity, specificity = point.sensitivity, point.specificity
        if point.held == "sensitivity":
            axes.axhline(point.target, color=colour, linestyle=":", linewidth=1)
        else:
            axes.axvline(1 - point.target, color=colour, linestyle=":", linewidth=1)
        label = f"{point.held} {point.target:.0%}"
        if point.threshold is None:
            axes.plot([], [], color=colour, linestyle=":", label=f"{label}: no threshold")
            continue
        axes.errorbar(
            1 - specificity.value,
            sensitivity.value,
            xerr=_lengths(1 - specificity.value, 1 - specificity.high, 1 - specificity.low),
            yerr=_lengths(sensitivity.value, sensitivity.low, sensitivity.high),
            fmt=marker,
            color=colour,
            markersize=size,
            markerfacecolor=face or colour,
            elinewidth=1,
            label=label,
        )
    axes.set_title(f"Thresholds chosen beforehand, n = {len(y_true):,}")
    _legend_below(axes, title="chosen on validation images for")
    return _unit_square(axes, "1 - specificity", "sensitivity")


def _unit_square(axes: Axes, xlabel: str, ylabel: str) -> Axes:
    """Give axes of two shares, 0 to 1, their names and limits; return them."""
    axes.set(xlabel=xlabel, ylabel=ylabel, xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    axes.set_aspect("equal")
    return axes


def _lengths(value: float, low: float, high: float) -> list[list[float]]:
    """Return an interval as lengths from its value; by rounding alone an end may lie beyond it."""
    return [[max(0.0, value - low)], [max(0.0, high - value)]]


def plot_reliability(y_true: np.ndarray, probabilities: np.ndarray, *, axes: Axes) -> Axes:
    """Draw how often the predicted class is right, over how sure the model is of it.

    One point with its Wilson interval for each of the ECE's 15 bins that is not empty, the share of
    the images in each bin as grey bars, and ECE in the title.
    """
    y_true, probabilities = check_predictions(y_true, probabilities)
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == y_true
    bins = scores.confidence_bins(confidence)
    sizes = np.bincount(bins, minlength=scores.ECE_BINS)
    filled = np.flatnonzero(sizes)
    means = np.bincount(bins, weights=confidence)[filled] / sizes[filled]
    rates = [scores.proportion(np.count_nonzero(right[bins == b]), sizes[b]) for b in filled]
    values = [rate.value for rate in rates]
    lengths = np.concatenate([_lengths(r.value, r.low, r.high) for r in rates], axis=1)
    centres = (np.arange(scores.ECE_BINS) + 0.5) / scores.ECE_BINS
    width = 0.9 / scores.ECE_BINS
    axes.bar(centres, sizes / len(y_true), width, color=GREY, alpha=0.3, label="share of images")
    axes.plot([0, 1], [0, 1], color=GREY, linestyle=":", linewidth=1, label="calibrated")
    label = f"bin, {LEVEL:.0%} interval"
    axes.errorbar(means, values, yerr=lengths, fmt="o", color=COLOURS[0], elinewidth=1, label=label)
    ece = evaluate(y_true, probabilities)["ece"]
    axes.set_title(f"Reliability, ECE {ece}, n = {len(y_true):,}")
    _legend_below(axes, ncols=3)
    return _unit_square(axes, "confidence in the predicted class", "share that is right")


def plot_history(
    history: Sequence[Mapping[str, Any]],
    *,
    axes: Axes,
    quantity: str = "loss",
    selected: int | None = None,
    legend: bool = True,
) -> Axes:
    """Draw the training curves of one quantity: "loss", "accuracy", "auc", or "learning_rate".

    The history has one mapping an epoch, with "epoch" and "train_<quantity>", "val_<quantity>" or
    both, where None leaves a gap; "learning_rate" is that at the start of the epoch. Lines mark the
    `selected` epoch, and where a "stage" begins. A `ValueError` lists the quantities that it has.
    """
    known = {k.split("_", 1)[1] for k in history[0] if k.startswith(("train_", "val_"))}
    known |= {"learning_rate"} & set(history[0])
    if quantity not in known:
        raise ValueError(f"The history has no {quantity!r}; known: {', '.join(sorted(known))}.")
    epochs = np.array([entry["epoch"] for entry in history])
    if quantity == "learning_rate":
        # A point for each epoch's start, unjoined: a schedule may restart between two of them.
        rates = [entry["learning_rate"] for entry in history]
        axes.plot(epochs - 1, rates, "o", color=COLOURS[2], markersize=3, label="at epoch's start")
        axes.set_ylim(0, 1.1 * max(rates))
        axes.ticklabel_format(axis="y", scilimits=(-2, 3))
    for split, name, colour in _SPLITS:
        if f"{split}_{quantity}" in history[0]:
            values = np.array([entry[f"{split}_{quantity}"] for entry in history], dtype=float)
            marker = "o" if len(epochs) <= 30 else None
            axes.plot(epochs, values, marker=marker, linestyle="-", color=colour, label=name)
    for before, after in pairwise(history):
        if after.get("stage") != before.get("stage"):
            label = f"{after['stage']} begins"
            axes.axvline(
                before["epoch"], color=COLOURS[3], linestyle="--", linewidth=1, label=label
            )
    if selected is not None:
        axes.axvline(selected, color=GREY, linestyle=":", linewidth=1, label="selected epoch")
    name = {"auc": "AUC", "learning_rate": "learning rate"}.get(quantity, quantity)
    axes.set(xlabel="epoch", ylabel=name, title=f"{name[0].upper()}{name[1:]} by epoch")
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    if legend:
        axes.legend()
    return axes


def _present(y_true: np.ndarray, class_names: Sequence[str]) -> list[tuple[int, str]]:
    """Return index and name of the classes that have images, and images of others beside them."""
    sizes = np.bincount(y_true, minlength=len(class_names))
    names = short_names(class_names, 17)  # two of them side by side in a legend
    return [(k, names[k]) for k in np.flatnonzero((sizes > 0) & (sizes < len(y_true)))]


def _enlarge(
    axes: Axes, *, at: tuple[float, float], x: tuple[float, float], y: tuple[float, float]
) -> None:
    """Draw the curves of `axes` once more, a corner of them enlarged, with its lower left `at`."""
    inset = axes.inset_axes((*at, 0.52, 0.52))
    for line in axes.lines:
        inset.plot(
            *line.get_data(),
            color=line.get_color(),
            linestyle=line.get_linestyle(),
            drawstyle=line.get_drawstyle(),
            linewidth=line.get_linewidth(),
        )
    inset.set(xlim=x, ylim=y, xticks=x, yticks=y)
    inset.tick_params(labelsize=SMALL, pad=2, length=2)
    inset.spines[:].set_visible(True)
    inset.spines[:].set_color(GREY)
    axes.indicate_inset_zoom(inset, edgecolor=GREY)


def _legend_below(axes: Axes, *, title: str | None = None, ncols: int = 2) -> None:
    """Put the legend under the axes and their labels, where it can hide nothing."""
    below = ScaledTranslation(0, -28 / 72, axes.figure.dpi_scale_trans)
    axes.set_anchor("N")  # a square in a tall figure would else leave its room above
    axes.legend(
        loc="upper center",
        bbox_to_anchor=(0.45, 0),
        bbox_transform=axes.transAxes + below,
        ncols=ncols,
        title=title,
        columnspacing=1.2,
        handlelength=1.6,
    )
