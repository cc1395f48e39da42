"""Pictures of a data set: samples, class balance, grey levels, look-alikes, augmentation.

Drawn in the style of `helpers.plots.run`. Functions of many small images make a figure of their own
and return it; those of one panel draw into the axes they are given.
"""

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from sklearn.metrics import roc_auc_score

from helpers.data.splits import Split, Splits
from helpers.data.transforms import NORMALISE, Augmentation
from helpers.plots.style import COLOURS, class_line, image_grid, plain, show_image

BOX_COLOUR = "#56B4E9"  # visible on grey and on stained tissue
_COLUMNS = 8  # images in a row at most
_CELL = 0.95  # inches of a small image
_LABEL = 1.5  # inches for the words beside a row
_BATCH = 4096  # images turned into float at once


def plot_samples(split: Split, class_names: Sequence[str], *, title: str) -> Figure:
    """Draw a row of images for each class, taken evenly over the split, with their boxes."""
    figure, grid = _grid(len(class_names), _COLUMNS, title)
    for label, (name, row) in enumerate(zip(class_names, grid, strict=True)):
        members = np.flatnonzero(split.labels == label)
        chosen = members[_evenly(len(members))]
        _row_label(row[0], f"{plain(name)}\n(n = {len(members)})")
        for axes, index in zip(row, chosen, strict=False):
            show_image(axes, split.images[index])
            if split.boxes is not None and np.isfinite(split.boxes[index]).all():
                x, y, *size = split.boxes[index]
                corner = (x - 0.5, y - 0.5)
                axes.add_patch(Rectangle(corner, *size, fill=False, ec=BOX_COLOUR, lw=1.2))
    return figure


def plot_class_balance(splits: Splits, *, axes: Axes) -> Axes:
    """Draw each class's share of each split as bars, with the counts on them."""
    height = 0.26
    for place, (name, split) in enumerate(splits.items()):
        counts = np.bincount(split.labels, minlength=splits.num_classes)
        bars = axes.barh(
            np.arange(splits.num_classes) + (place - 1) * height,
            100 * counts / counts.sum(),
            height=0.9 * height,
            color=COLOURS[place],
            label=f"{name} (n = {counts.sum()})",
        )
        axes.bar_label(bars, counts, padding=2, fontsize=6)
    names = [textwrap.fill(plain(name), 22) for name in splits.class_names]
    axes.set_yticks(range(splits.num_classes), names)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set(xlabel="share of the split (%); on the bars: images", title="Class balance")
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return axes


def plot_grey_levels(split: Split, class_names: Sequence[str], *, axes: Axes) -> Axes:
    """Draw how often each grey level occurs in the images of each class (colour: mean of RGB)."""
    edges = np.linspace(0, 256, 33)
    for label, name in enumerate(class_names):
        pixels = split.images[split.labels == label].mean(axis=3)
        share, _ = np.histogram(pixels, bins=edges)
        percent = 100 * share / max(share.sum(), 1)
        shown = plain(textwrap.shorten(name, 28, placeholder=" ..."))
        axes.stairs(percent, edges, linewidth=1.4, label=shown, **class_line(label))
    axes.set(xlabel="grey level (0 black, 255 white)", ylabel="share of pixels (%)", xlim=(0, 256))
    axes.set_title("Grey levels by class, training split")
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return axes


def grey_table(split: Split, class_names: Sequence[str]) -> pd.DataFrame:
    """Describe the grey levels of each class, and how far brightness alone tells it.

    Returns:
        A row a class: images, mean and standard deviation of the images' mean grey, mean of their
        contrast (standard deviation of grey), share of pixels at 0 and at 255 in percent, and the
        AUC of the mean grey for this class against the rest (0.5: brightness tells nothing).
    """
    space, described = (1, 2, 3), []
    for start in range(0, len(split), _BATCH):
        part = split.images[start : start + _BATCH]
        ends = (100 * (part == grey).mean(space) for grey in (0, 255))
        described.append((part.mean(space), part.std(space), *ends))
    names = ["mean grey", "contrast", "black %", "white %"]
    images = pd.DataFrame(np.concatenate(described, axis=1).T, columns=names)
    of_class = images.groupby(pd.Categorical(split.labels, range(len(class_names))), observed=False)
    table = of_class.mean()
    table.insert(0, "images", of_class.size())
    table.insert(2, "sd of mean", of_class["mean grey"].std())
    table["AUC of mean grey"] = [
        roc_auc_score(split.labels == label, images["mean grey"]) for label in table.index
    ]
    return table.set_axis(class_names, axis="index")


def plot_pairs(splits: Splits, pairs: pd.DataFrame, *, title: str) -> Figure:
    """Draw pairs of a leakage report, `report.near_across` say, with split, index and class.

    They are taken evenly over all of them; the words are orange where the two labels differ.
    """
    chosen = pairs.iloc[_evenly(len(pairs))]
    figure, grid = _grid(2, max(len(chosen), 1), title, label=0.0, caption=0.34)
    for column, pair in zip(grid.T, chosen.itertuples(), strict=False):
        members = ((pair.split_a, pair.index_a), (pair.split_b, pair.index_b))
        for axes, (name, index) in zip(column, members, strict=True):
            split = getattr(splits, name)
            show_image(axes, split.images[index])
            label = textwrap.shorten(splits.class_names[split.labels[index]], 18, placeholder="...")
            colour = "black" if pair.same_label else COLOURS[1]
            axes.set_xlabel(f"{name} {index}\n{plain(label)}", fontsize=6, labelpad=1, color=colour)
        column[0].set_title(f"r = {pair.correlation:.4f}", fontsize=7)
    return figure


def plot_augmentations(
    split: Split, augmentations: Mapping[str, Augmentation], *, num_classes: int, title: str
) -> Figure:
    """Draw the same images under each augmentation, a row each, with their boxes carried along.

    Images are taken evenly over the split, with boxes over those that have one; every row starts
    from the same seed.
    """
    boxes = split.boxes
    pool = np.arange(len(split)) if boxes is None else np.flatnonzero(np.isfinite(boxes[:, 0]))
    chosen = pool[_evenly(len(pool))]
    figure, grid = _grid(len(augmentations), len(chosen), title)
    for row, (name, augmentation) in zip(grid, augmentations.items(), strict=True):
        _row_label(row[0], name)
        labels = split.labels[chosen]
        shown = _augmented(augmentation, split.images[chosen], labels, num_classes)
        masks = None
        if boxes is not None:
            masks = _augmented(augmentation, _box_masks(split, chosen), labels, num_classes)
        for place, axes in enumerate(row):
            show_image(axes, shown[place])
            if masks is not None:
                # Jitter leaves at least .51 of white, erasing puts .45: between lies the outline.
                outline = masks[place].mean(axis=2)
                if outline.min() < 0.48 < outline.max():  # the box may be gone
                    axes.contour(outline, levels=[0.48], colors=BOX_COLOUR, linewidths=1.2)
    return figure


def plot_batch(
    images: np.ndarray, pixels: torch.Tensor, captions: Sequence[str], *, title: str
) -> Figure:
    """Draw images as they are stored, and below them as they enter the network, with captions.

    From uint8 (N, H, W, C), and the same augmented and normalised, float (N, C', S, S).
    """
    figure, grid = _grid(2, len(images), title, caption=0.2)
    _row_label(grid[0, 0], "as stored")
    _row_label(grid[1, 0], "as it enters the network")
    shown = pixels.float().permute(0, 2, 3, 1).numpy()
    low, high = shown.min(axis=(1, 2, 3), keepdims=True), shown.max(axis=(1, 2, 3), keepdims=True)
    shown = (shown - low) / np.maximum(high - low, 1e-6)
    for place, caption in enumerate(captions):
        show_image(grid[0, place], images[place])
        show_image(grid[1, place], 255 * shown[place] if shown.shape[3] == 1 else shown[place])
        grid[1, place].set_xlabel(plain(caption), fontsize=6, labelpad=2)
    return figure


def _evenly(n: int) -> np.ndarray:
    """Return the places of at most `_COLUMNS` of n things in a row, evenly over all of them."""
    return np.linspace(0, n - 1, min(_COLUMNS, n)).astype(int)


def _box_masks(split: Split, chosen: np.ndarray) -> np.ndarray:
    """Return uint8 images, white in the box, that any augmentation moves like the image itself."""
    masks = np.zeros_like(split.images[chosen])
    for mask, box in zip(masks, split.boxes[chosen], strict=True):
        left, top = np.floor(box[:2]).astype(int)
        right, bottom = np.ceil(box[:2] + box[2:]).astype(int)
        mask[top:bottom, left:right] = 255
    return masks


def _augmented(
    augmentation: Augmentation, images: np.ndarray, labels: np.ndarray, num_classes: int
) -> np.ndarray:
    """Return float (N, S, S, 3) in [0, 1]: augmented, with the normalisation undone."""
    inputs = torch.from_numpy(images).permute(0, 3, 1, 2), torch.from_numpy(labels)
    generator = torch.Generator().manual_seed(0)
    batch, _ = augmentation(*inputs, num_classes=num_classes, generator=generator)
    pixels = batch.permute(0, 2, 3, 1).numpy() * np.array(NORMALISE.std) + np.array(NORMALISE.mean)
    return pixels.clip(0, 1)


def _grid(
    rows: int, columns: int, title: str, *, label: float = _LABEL, caption: float = 0.0
) -> tuple[Figure, np.ndarray]:
    """Return a figure of small square axes without ticks, and the axes (rows, columns)."""
    size = (label + columns * _CELL, 0.45 + rows * (_CELL + caption))
    figure, grid = image_grid(rows, columns, size=size)
    figure.suptitle(plain(title), fontsize=9)
    return figure, grid


def _row_label(axes: Axes, text: str) -> None:
    lines = [textwrap.fill(line, 20) for line in text.split("\n")]
    axes.set_ylabel("\n".join(lines), rotation=0, ha="right", va="center", fontsize=7)
