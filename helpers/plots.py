"""Pictures of one run, in one style: safe for colour-blind readers, legible at half a page's width.

Every function draws into the axes it is given and returns them; draw within `style()`:

    with plots.style():
        figure, axes = plt.subplots()
        plots.plot_roc(y_true, probabilities, class_names, axes=axes)
        plt.show()
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_curve

from helpers.metrics import (
    ECE_BINS,
    LEVEL,
    auc_interval,
    check_predictions,
    confidence_bins,
    evaluate,
    proportion,
    stratified_counts,
)

# Okabe & Ito (2008), "Color universal design", without yellow, which is faint on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
GREY = "#666666"
HALF_PAGE = (3.5, 3.2)  # inches
TALL = (3.5, 5.0)  # for curves of many classes, whose legend stands below
_LINES = ("-", "--", ":")
# From so many classes on, a cell of the confusion matrix holds the count alone.
_CROWDED = 6


def style() -> AbstractContextManager:
    """Return the context in which all figures of this repository are drawn."""
    return plt.rc_context(
        {
            "figure.figsize": HALF_PAGE,
            "figure.dpi": 130,
            "figure.constrained_layout.use": True,
            "savefig.dpi": 300,
            "font.size": 8,
            "axes.titlesize": 9,
            "axes.labelsize": 8,
            "legend.fontsize": 7,
            "legend.frameon": False,
            "xtick.labelsize": 7,
            "ytick.labelsize": 7,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "lines.linewidth": 1.4,
            "lines.markersize": 4,
            "axes.prop_cycle": cycler(linestyle=_LINES) * cycler(color=COLOURS),
        }
    )


def stamp(figure: Figure, text: str) -> Text:
    """Write `text` across a figure, so that a picture of phantom data cannot pass for a result."""
    return figure.text(
        *(0.5, 0.5, text),
        ha="center",
        va="center",
        rotation=30,
        fontsize=30,
        color=GREY,
        alpha=0.35,
        zorder=100,
    )


def plot_confusion_matrix(matrix: np.ndarray, class_names: Sequence[str], *, axes: Axes) -> Axes:
    """Draw a confusion matrix: counts in the cells, the share of each true class as colour.

    Args:
        matrix: int (K, K), rows are the truth.
        class_names: K names.
        axes: where to draw.

    Returns:
        The axes. Below six classes each cell also says its share of the row. A class without images
        has an empty row.

    Raises:
        ValueError: names and matrix do not fit.
    """
    matrix = np.asarray(matrix)
    num_classes = len(class_names)
    if matrix.shape != (num_classes, num_classes):
        raise ValueError(
            f"The confusion matrix has shape {matrix.shape} for {num_classes} class names."
        )
    truth = matrix.sum(axis=1, keepdims=True)
    share = np.where(truth > 0, matrix / np.maximum(truth, 1), np.nan)
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    axes.figure.colorbar(image, ax=axes, label="share of the true class", fraction=0.046, pad=0.04)
    crowded = num_classes >= _CROWDED
    for (row, column), count in np.ndenumerate(matrix):
        if not truth[row]:
            continue
        text = f"{count}" if crowded else f"{count}\n{share[row, column]:.1%}"
        colour = "white" if share[row, column] > 0.55 else "black"
        size = 5.5 if crowded else 8
        axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=size)
    names = [_short(name) for name in class_names]
    turned = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"} if num_classes > 2 else {}
    axes.set_xticks(range(num_classes), names, **turned)
    axes.set_yticks(range(num_classes), names)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    axes.set(xlabel="predicted", ylabel="true", title=f"Confusion matrix, n = {matrix.sum():,}")
    return axes


def plot_roc(
    y_true: np.ndarray,
    probabilities: np.ndarray,
    class_names: Sequence[str],
    *,
    axes: Axes,
    n_resamples: int = 2000,
    seed: int = 0,
) -> Axes:
    """Draw the ROC: of class 1 with a band if there are two classes, else of each against the rest.

    Args:
        y_true: labels, integers (n,), in 0 .. K-1.
        probabilities: one column a class, (n, K), rows summing to one.
        class_names: K names.
        axes: where to draw.
        n_resamples: resamples of the band, see `roc_band`.
        seed: seed of the band.

    Returns:
        The axes; the legend gives the AUC, with two classes with its DeLong interval.

    Raises:
        ValueError: arrays that do not fit, or (with two classes) one class only in `y_true`.
    """
    y_true, probabilities = check_predictions(y_true, probabilities)
    axes.plot([0, 1], [0, 1], color=GREY, linestyle=":", linewidth=1)
    if len(class_names) == 2:
        score = probabilities[:, 1]
        grid, low, high = roc_band(y_true, score, n_resamples=n_resamples, seed=seed)
        label = f"{LEVEL:.0%} band (bootstrap)"
        axes.fill_between(grid, low, high, color=COLOURS[0], alpha=0.2, linewidth=0, label=label)
        auc = auc_interval(y_true == 1, score)
        axes.plot(*roc_curve(y_true, score)[:2], color=COLOURS[0], label=f"AUC {auc}")
        axes.set_title(f"ROC for {_short(class_names[1])}, n = {len(y_true):,}")
        axes.legend(loc="lower right")
    else:
        for k, name in _present(y_true, class_names):
            auc = auc_interval(y_true == k, probabilities[:, k])
            false, true, _ = roc_curve(y_true == k, probabilities[:, k])
            axes.plot(false, true, label=f"{auc.value:.3f} {_short(name)}", **_line(k))
        axes.set_title(f"ROC, each class against the rest, n = {len(y_true):,}")
        _legend_below(axes, title="AUC, class")
    axes.set(xlabel="1 - specificity", ylabel="sensitivity", xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    axes.set_aspect("equal")
    return axes


def roc_band(
    y_true: np.ndarray, y_score: np.ndarray, *, n_resamples: int = 2000, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the pointwise 95 % band of a ROC by stratified bootstrap.

    Args:
        y_true: labels 0 or 1, (n,), both present.
        y_score: float (n,), higher means more likely class 1.
        n_resamples: bootstrap resamples.
        seed: seed of the bootstrap.

    Returns:
        1 - specificity on a grid of 0 .. 1 (101,), and the lower and upper sensitivity there.

    Raises:
        ValueError: one class only.
    """
    present = np.unique(y_true).tolist()
    if present != [0, 1]:
        raise ValueError(f"A ROC needs images of classes 0 and 1, got {present}.")
    order = np.argsort(-y_score, kind="stable")
    # Equal scores are one step of the curve: it is read at the last of them.
    ends = np.flatnonzero(np.append(np.diff(y_score[order]) != 0, True))
    counts = stratified_counts(y_true, n_resamples, rng=np.random.default_rng(seed))[order]
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

    Args:
        y_true: labels, integers (n,), in 0 .. K-1.
        probabilities: one column a class, (n, K), rows summing to one.
        class_names: K names.
        axes: where to draw.

    Returns:
        The axes; the legend gives the average precision, with two classes with its interval.

    Raises:
        ValueError: arrays that do not fit.
    """
    y_true, probabilities = check_predictions(y_true, probabilities)
    shares = np.bincount(y_true, minlength=len(class_names)) / len(y_true)
    if len(class_names) == 2:
        score = probabilities[:, 1]
        estimate = evaluate(y_true, probabilities)["average_precision"]
        precision, recall, _ = precision_recall_curve(y_true, score)
        label = f"AP {estimate}"
        axes.plot(recall, precision, drawstyle="steps-post", color=COLOURS[0], label=label)
        label = f"prevalence {shares[1]:.2f}"
        axes.axhline(shares[1], color=GREY, linestyle=":", linewidth=1, label=label)
        axes.set_title(f"Precision-recall for {_short(class_names[1])}, n = {len(y_true):,}")
        axes.legend(loc="lower left")
    else:
        for k, name in _present(y_true, class_names):
            precision, recall, _ = precision_recall_curve(y_true == k, probabilities[:, k])
            ap = average_precision_score(y_true == k, probabilities[:, k])
            label = f"{ap:.3f} {_short(name)}"
            axes.plot(recall, precision, drawstyle="steps-post", label=label, **_line(k))
        low, high = shares[shares > 0].min(), shares.max()
        label = f"prevalence {low:.2f} to {high:.2f}"
        axes.axhspan(low, high, color=GREY, alpha=0.2, linewidth=0, label=label)
        axes.set_title(f"Precision-recall, each class, n = {len(y_true):,}")
        _legend_below(axes, title="AP, class")
    axes.set(
        xlabel="recall (sensitivity)",
        ylabel="precision (PPV)",
        xlim=(-0.01, 1.01),
        ylim=(-0.01, 1.01),
    )
    axes.set_aspect("equal")
    return axes


def plot_reliability(y_true: np.ndarray, probabilities: np.ndarray, *, axes: Axes) -> Axes:
    """Draw how often the predicted class is right, over how sure the model is of it.

    Args:
        y_true: labels, integers (n,), in 0 .. K-1.
        probabilities: one column a class, (n, K), rows summing to one.
        axes: where to draw.

    Returns:
        The axes: one point with its Wilson interval for each of the ECE's 15 bins that is not
        empty, the share of the images in each bin as grey bars, and ECE in the title.

    Raises:
        ValueError: arrays that do not fit.
    """
    y_true, probabilities = check_predictions(y_true, probabilities)
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == y_true
    bins = confidence_bins(confidence)
    sizes = np.bincount(bins, minlength=ECE_BINS)
    filled = np.flatnonzero(sizes)
    means = np.bincount(bins, weights=confidence)[filled] / sizes[filled]
    rates = [proportion(np.count_nonzero(right[bins == b]), sizes[b]) for b in filled]
    values = np.array([rate.value for rate in rates])
    errors = [[r.value - r.low for r in rates], [r.high - r.value for r in rates]]
    centres = (np.arange(ECE_BINS) + 0.5) / ECE_BINS
    width = 0.9 / ECE_BINS
    axes.bar(centres, sizes / len(y_true), width, color=GREY, alpha=0.3, label="share of images")
    axes.plot([0, 1], [0, 1], color=GREY, linestyle=":", linewidth=1, label="calibrated")
    # The ends of a Wilson interval can lie beyond the value by rounding alone.
    axes.errorbar(
        *(means, values),
        yerr=np.maximum(errors, 0),
        fmt="o",
        color=COLOURS[0],
        elinewidth=1,
        label=f"bin, {LEVEL:.0%} interval",
    )
    ece = evaluate(y_true, probabilities)["ece"]
    axes.set_title(f"Reliability, ECE {ece}, n = {len(y_true):,}")
    axes.set(xlabel="confidence in the predicted class", ylabel="share that is right")
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    _legend_below(axes, ncols=3)
    axes.set_aspect("equal")
    return axes


def plot_history(
    history: Sequence[Mapping[str, Any]],
    *,
    axes: Axes,
    quantity: str = "loss",
    selected: int | None = None,
) -> Axes:
    """Draw the training curves of one quantity.

    Args:
        history: one mapping an epoch, with "epoch" and "train_<quantity>", "val_<quantity>" or
            both; None leaves a gap.
        axes: where to draw.
        quantity: "loss", "accuracy", "auc", ...
        selected: the epoch that was kept, marked by a line.

    Returns:
        The axes.

    Raises:
        ValueError: the history has no such quantity.
    """
    splits = [split for split in ("train", "val") if f"{split}_{quantity}" in history[0]]
    if not splits:
        known = sorted({k.split("_", 1)[1] for k in history[0] if k.startswith(("train_", "val_"))})
        raise ValueError(f"The history has no {quantity!r}; known: {', '.join(known)}.")
    epochs = [entry["epoch"] for entry in history]
    marker = "o" if len(epochs) <= 30 else None
    for split in splits:
        values = np.array([entry[f"{split}_{quantity}"] for entry in history], dtype=float)
        colour = COLOURS[("train", "val").index(split)]
        name = {"train": "training", "val": "validation"}[split]
        axes.plot(epochs, values, marker=marker, linestyle="-", color=colour, label=name)
    if selected is not None:
        axes.axvline(selected, color=GREY, linestyle=":", linewidth=1, label="selected epoch")
    name = {"auc": "AUC"}.get(quantity, quantity)
    axes.set(xlabel="epoch", ylabel=name, title=f"{name[0].upper()}{name[1:]} by epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend()
    return axes


def _present(y_true: np.ndarray, class_names: Sequence[str]) -> list[tuple[int, str]]:
    """Return index and name of the classes that have images, and images of others beside them."""
    sizes = np.bincount(y_true, minlength=len(class_names))
    return [(k, class_names[k]) for k in np.flatnonzero((sizes > 0) & (sizes < len(y_true)))]


def _legend_below(axes: Axes, *, title: str | None = None, ncols: int = 2) -> None:
    """Put the legend under the axes, where it can hide nothing."""
    place = {"loc": "upper center", "bbox_to_anchor": (0.45, -0.14)}
    axes.set_anchor("N")  # a square in a tall figure would else leave its room above
    axes.legend(**place, ncols=ncols, title=title, columnspacing=1.2, handlelength=1.6)


def _line(k: int) -> dict[str, str]:
    """Return colour and dash of class k, so that a class looks the same in all pictures."""
    return {"color": COLOURS[k % len(COLOURS)], "linestyle": _LINES[k // len(COLOURS) % 3]}


def _short(name: str, length: int = 20) -> str:
    """Cut long class names, so that axes and legends keep their size."""
    return name if len(name) <= length else f"{name[: length - 1].rstrip()}…"
