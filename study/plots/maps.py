"""Pictures of class activation maps and of what was measured on them."""

from collections.abc import Sequence
from textwrap import shorten

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from helpers.explain.boxes import View
from helpers.explain.cam import overlay, unit_range, upsample
from helpers.explain.run_maps import RunMaps
from helpers.plots import style
from helpers.plots.style import COLOURS, GREY, plain
from study.maps.findings import CONTROL_TITLES, PLAIN, TRAINED, FocusFinding, Measured
from study.maps.scores import CHANCE
from study.plans.maps import MapPlan
from study.plots.forest import ForestLine, mean_mark, plot_forest, share_legend
from study.tables.accuracy import MEDMNIST

# Short name and colour of each network whose layers are compared.
_NETWORKS = {
    TRAINED: ("trained", COLOURS[0]),
    "shuffled": ("labels shuffled", COLOURS[1]),
    "backbone_only": ("not trained, ImageNet backbone", COLOURS[4]),
    "random": ("not trained, random weights", COLOURS[3]),
}


def draw_boxes(axes: Axes, box: np.ndarray) -> None:
    """Draw a lesion box (x, y, width, height) into a picture; NaN draws nothing."""
    if np.isfinite(box).all():
        axes.add_patch(Rectangle(box[:2], *box[2:], fill=False, edgecolor="white", linewidth=1.0))


def show_image(axes: Axes, image: np.ndarray) -> None:
    """Draw a uint8 image (H, W, C), grey as grey, on pixel edges from 0."""
    height, width = image.shape[:2]
    style.show_image(axes, image, extent=(0, width, height, 0))
    axes.set(xticks=[], yticks=[], xlim=(0, width), ylim=(height, 0))
    axes.spines[:].set_visible(False)


def pick_examples(
    maps: RunMaps, probabilities: np.ndarray, *, per_class: int, right: bool
) -> np.ndarray:
    """Return places in a run's maps of the most confident right, or wrong, images of each class.

    The probabilities (N, K) are those of the whole test split.
    """
    confidence = probabilities[maps.indices].max(axis=1)
    order = np.argsort(-confidence, kind="stable")
    order = order[(maps.predicted == maps.labels)[order] == right]
    classes = np.unique(maps.labels)
    picked = [order[maps.labels[order] == k][:per_class] for k in classes]
    return np.concatenate(picked)


def plot_stages(
    maps: RunMaps,
    places: np.ndarray,
    *,
    images: np.ndarray,
    boxes: np.ndarray | None,
    class_names: Sequence[str],
) -> Figure:
    """Draw an image a row: itself, then each layer's map of the predicted class, by data flow.

    The rows are places in a run's maps; images, uint8 (N, H, W, C), and lesion boxes those of the
    whole test split.
    """
    rows, columns = len(places), len(maps.layers) + 1
    size = (1.12 * columns + 1.3, 1.2 * rows + 0.35)
    # Photographs of a hundred pixels: a higher resolution shows nothing more and takes megabytes.
    figure, grid = plt.subplots(rows, columns, figsize=size, squeeze=False, dpi=85)
    for line, place in zip(grid, places, strict=True):
        index = maps.indices[place]
        image = images[index]
        known = (class_names[k] for k in (maps.labels[place], maps.predicted[place]))
        true, said = (plain(shorten(name, 24, placeholder=" …")) for name in known)
        show_image(line[0], image)
        words = f"test image {index}\ntrue: {true}\npredicted:\n{said}"
        line[0].set_ylabel(words, fontsize=8, rotation=0, ha="right", va="center")
        for axes, layer in zip(line[1:], maps.layers.values(), strict=True):
            coarse = maps.maps["predicted", layer][place][None]
            map_ = unit_range(upsample(coarse, image.shape[:2]))
            show_image(axes, overlay(image[None], map_)[0])
            if coarse.max() <= 0:
                axes.set_xlabel("empty map", fontsize=8, labelpad=1)
        if boxes is not None:
            for axes in line:
                draw_boxes(axes, boxes[index])
    for axes, title in zip(grid[0], ["image", *maps.layers], strict=True):
        axes.set_title(title.replace(", ", ",\n"), fontsize=8)
    return figure


def plot_views(views: Sequence[View], place: int) -> Figure:
    """Draw one image whole and in its crops, with the lesion's box."""
    figure, row = plt.subplots(1, len(views), figsize=(1.4 * len(views), 1.7))
    for axes, view in zip(row, views, strict=True):
        show_image(axes, view.images[place])
        draw_boxes(axes, view.boxes[place])
        note = "" if view.inside[place] else "\n(left out)"
        axes.set_title(f"{view.name}{note}", fontsize=7)
    return figure


def plot_layers(measured: Measured, plan: MapPlan, *, view: str, measure: str, axes: Axes) -> Axes:
    """Draw a measure of each layer: trained and untaught networks, and the input's controls.

    The view is "whole" or "crops".
    """
    lines, where = [], {"view": view, "measure": measure}
    for layer, title in measured.layers.items():
        marks = []
        for place, (network, (label, colour)) in enumerate(_NETWORKS.items()):
            mean, shift = measured.mean(network, layer, **where), 0.17 * (place - 1.5)
            marker = "o" if network == TRAINED else "s"
            marks.append(mean_mark(mean, label=label, colour=colour, marker=marker, shift=shift))
        lines.append(ForestLine(title, marks))
    mean = measured.mean(PLAIN, measured.last_plain, **where)
    mark = mean_mark(mean, label="trained, plain ResNet-18", colour="black", marker="D")
    lines.append(ForestLine("ResNet-18, last map", [mark]))
    for row in (CHANCE, *plan.input_controls):
        mean = measured.control_mean(row, **where)
        mark = mean_mark(mean, label="control that knows no network", colour=GREY, marker="^")
        lines.append(ForestLine(CONTROL_TITLES[row], [mark]))
    plot_forest(lines, axes=axes, xlabel="")
    chance = measured.control_mean(CHANCE, **where).value
    axes.axvline(chance, color=GREY, linewidth=0.8, linestyle=":", label=CONTROL_TITLES[CHANCE])
    return axes


def draw_focus(findings: Sequence[FocusFinding], *, size: tuple[float, float]) -> Figure:
    """Draw the half-energy areas of both classes, data sets side by side; .5 is an even spread."""
    sides = (("normal", "normal class", COLOURS[2]), ("lesion", "abnormal class", COLOURS[1]))
    names = list(dict.fromkeys(finding.dataset for finding in findings))
    figure, row = plt.subplots(1, len(names), figsize=size, sharey=True, squeeze=False)
    for axes, name in zip(row.flat, names, strict=True):
        lines = []
        for finding in (one for one in findings if one.dataset == name):
            marks = []
            for place, (side, label, colour) in enumerate(sides):
                area, shift = getattr(finding, side), 0.2 * (place - 0.5)
                marks.append(mean_mark(area, label=label, colour=colour, shift=shift))
            lines.append(ForestLine(finding.title, marks))
        plot_forest(lines, axes=axes, xlabel="half-energy area\n(share of the image)")
        axes.set(title=set_title(name), xlim=(0, 0.6))
    share_legend(row.flat)
    return figure


def set_title(dataset: str) -> str:
    """Return a data set's name as a picture has room for: "BreastMNIST, 64 px"."""
    name, _, pixels = dataset.partition("_")
    if name in MEDMNIST:
        return f"{MEDMNIST[name]}, {pixels} px" if pixels else MEDMNIST[name]
    return "ARCADE patches" if "arcade_patches" in dataset else dataset
