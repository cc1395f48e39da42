"""Whether a saliency map lies on the lesion: measures against boxes.

A map is any non-negative picture of what matters: a class activation map or a control that knows no
network (`helpers.explain.controls`). All measures ignore the scale of a map; on a uniform map they
give what chance gives, the box's share of the image, except `half_energy_area`, which needs no box.
A box says less than an outline: it also holds background, and a large one is easily hit.

Measures take maps (N, H, W), at least 0, and masks, bool (N, H, W); what does not fit, or is out of
range, is a `LocalisationError`.
"""

from dataclasses import dataclass

import numpy as np

# For `best_threshold`: shares of a map's maximum, ascending.
THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(1, 20))
# Values this close (relative) are one value: resizing in float32 scatters equal values that much.
_ROUNDING = 1e-6


class LocalisationError(ValueError):
    """Maps, masks, boxes or scores that cannot be measured."""


@dataclass(frozen=True, eq=False)
class View:
    """The images, or one crop of each."""

    name: str  # where a lesion in the middle of the image lies in this view, or "whole"
    images: np.ndarray  # uint8 (N, h, w, C)
    boxes: np.ndarray  # float (N, 4), x, y, width, height in pixels of this view; may stick out
    # bool (N,), whether at least half of the box (what of it lies in the whole image) is visible;
    # leave the others out of the measures.
    inside: np.ndarray


def check_maps(maps: np.ndarray) -> np.ndarray:
    """Return maps (N, H, W) as float64: finite, >= 0, N >= 1, of more than one pixel.

    Check a network's map at its own resolution, before it is resized: a single value made larger is
    a uniform map, which looks like a result and is none. Anything else is a `LocalisationError`.
    """
    maps = np.asarray(maps)
    if maps.ndim != 3 or not maps.size:
        raise LocalisationError(f"maps are {maps.shape}; expected (N, H, W) with N >= 1.")
    if maps.shape[1] * maps.shape[2] == 1:
        raise LocalisationError(
            "a map of one pixel points nowhere; explain an earlier layer, or give the network "
            "larger images."
        )
    maps = maps.astype(np.float64)
    if not np.isfinite(maps).all():
        raise LocalisationError("a map holds NaN or infinity.")
    if maps.min() < 0:
        raise LocalisationError(
            f"a map holds {maps.min():.3g}; expected values >= 0, as after Grad-CAM's ReLU."
        )
    return maps


def box_masks(boxes: np.ndarray, size: int | tuple[int, int]) -> np.ndarray:
    """Return the pixels of each box, bool (N, height, width): those whose centre lies in it.

    A box thinner than a pixel, between two centres, gets the pixels around its middle line, so each
    mask holds at least one pixel.

    Args:
        boxes: float (N, 4), x, y, width, height in pixels; x = 0 is the left edge of the first
            pixel, whose centre is at 0.5. A box may stick out of the image.
        size: height and width of the image in pixels, or one number for both.

    Raises:
        LocalisationError: a box of NaN, without area, or outside the image.
    """
    height, width = (size, size) if isinstance(size, int | np.integer) else size
    x, y, right, bottom = _clipped(boxes, height, width).T
    columns, rows = _covered(x, right, width), _covered(y, bottom, height)
    return rows[:, :, None] & columns[:, None, :]


def pointing(maps: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Return whether each map's maximum lies in the mask: the pointing game.

    Zhang et al., "Top-down neural attention by excitation backprop", ECCV 2016 / IJCV 126:1084
    (2018). They also count a hit within 15 pixels of the object; here the margin is zero, since
    lesion boxes have one already.

    Returns:
        float (N,), 1 for a hit, 0 for a miss; with several equal maxima the share of them that
        hits, so that a uniform map scores the mask's share of the image.
    """
    maps, masks = _check_pair(maps, masks)
    maxima = _at_least(maps, 1.0)
    return (maxima & masks).sum(axis=1) / maxima.sum(axis=1)


def energy_inside(maps: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Return the share of each map's sum that lies in the mask: the energy-based pointing game.

    Wang et al., "Score-CAM", CVPR workshops 2020, section 4.3. Float (N,), 0 to 1; a map of zeros
    counts as uniform.
    """
    maps, masks = _check_pair(maps, masks)
    maps = _uniform_for_zero(maps)
    return np.minimum((maps * masks).sum(axis=1) / maps.sum(axis=1), 1.0)


def iou(maps: np.ndarray, masks: np.ndarray, *, threshold: float) -> np.ndarray:
    """Return intersection over union of the mask and the map's pixels above a threshold.

    Zhou et al., "Learning deep features for discriminative localization", CVPR 2016, take 0.2; they
    compare the box around the largest connected part, here the pixels themselves are compared. The
    threshold is a share of the map's own maximum, above 0, at most 1; all of a map of zeros counts
    as above. Float (N,), 0 to 1.
    """
    if not 0 < threshold <= 1:
        raise LocalisationError(
            f"threshold is {threshold}; expected a share of the maximum, above 0, at most 1."
        )
    return _iou(*_check_pair(maps, masks), threshold)


def best_threshold(maps: np.ndarray, masks: np.ndarray) -> tuple[float, float]:
    """Return which of `THRESHOLDS` has the highest mean IoU, and that IoU; the lowest of equals.

    For validation images only: chosen on the images that are measured, it flatters.
    """
    pair = _check_pair(maps, masks)
    means = [float(_iou(*pair, threshold).mean()) for threshold in THRESHOLDS]
    best = int(np.argmax(means))
    return THRESHOLDS[best], means[best]


def half_energy_area(maps: np.ndarray) -> np.ndarray:
    """Return the smallest share of the image that holds half of each map's sum.

    Small is "focused", 0.5 is a uniform map, "distributed" in the words of paper B, section 4.4.
    Without a box it says nothing about the right place. Float (N,), above 0, at most 0.5; within
    the last pixel in proportion. A map of zeros counts as uniform.
    """
    maps = check_maps(maps)
    maps = _uniform_for_zero(maps.reshape(len(maps), -1))
    values = -np.sort(-maps / maps.max(axis=1, keepdims=True), axis=1)
    sums = values.cumsum(axis=1)
    half = sums[:, -1:] / 2
    last = (sums < half).sum(axis=1)  # the pixel that reaches the half
    each = np.arange(len(maps))
    missing = half[:, 0] - (sums[each, last] - values[each, last])
    return np.minimum((last + missing / values[each, last]) / maps.shape[1], 0.5)


def check_images(images: np.ndarray) -> np.ndarray:
    """Return images as an array, uint8 (N, H, W, C) with N >= 1, else raise."""
    images = np.asarray(images)
    if images.ndim != 4 or images.dtype != np.uint8 or not images.size:
        raise LocalisationError(
            f"images are {images.dtype} {images.shape}; expected uint8 (N, H, W, C) with N >= 1."
        )
    return images


def shifted_crops(images: np.ndarray, boxes: np.ndarray, *, crop: float = 0.75) -> tuple[View, ...]:
    """Return the whole images, and four square crops in which a lesion in the middle is not.

    Patches cut around their lesions reward a map that always points to the middle. The crop of the
    upper left corner has that middle at its lower right, and so on: a map that knows the lesion
    follows it, one that stays in the middle does not. (Of a longer image, its middle square is
    cropped.)

    Args:
        images: uint8 (N, H, W, C).
        boxes: float (N, 4), x, y, width, height in pixels of `images`.
        crop: side of a crop as a share of the shorter side of the image, above 0.5, below 1. A
            lesion in the middle of a square comes to lie at 0.5 / crop of the crop.
    """
    images, boxes = check_images(images), np.asarray(boxes)
    if len(boxes) != len(images):
        raise LocalisationError(f"{len(boxes)} boxes for {len(images)} images.")
    if not 0.5 < crop < 1:
        raise LocalisationError(f"crop is {crop}; expected a share above 0.5 and below 1.")
    height, width = images.shape[1:3]
    shorter = min(height, width)
    side = round(crop * shorter)
    if side < 2 or side == shorter:
        raise LocalisationError(
            f"a crop of {side} pixels from images of {width} x {height}: too small to shift."
        )
    left, top = (width - shorter) // 2, (height - shorter) // 2
    far_left, far_top = left + shorter - side, top + shorter - side
    corners = {
        "lesion lower right": (left, top),
        "lesion lower left": (far_left, top),
        "lesion upper right": (left, far_top),
        "lesion upper left": (far_left, far_top),
    }
    visible = _clipped(boxes, height, width)
    views = [View("whole", images, boxes, np.ones(len(images), dtype=bool))]
    for name, (left, top) in corners.items():
        window = np.array([left, top, left + side, top + side])
        cut = images[:, top : top + side, left : left + side]
        moved = boxes - np.array([left, top, 0, 0], dtype=boxes.dtype)
        inside = _area_inside(visible, window) >= _area_inside(visible, visible) / 2
        views.append(View(name, cut, moved, inside))
    return tuple(views)


def _clipped(boxes: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return left, top, right and bottom of what of each box lies in the image, float64 (N, 4)."""
    boxes = np.asarray(boxes, dtype=np.float64)
    if boxes.ndim != 2 or boxes.shape[1] != 4 or not len(boxes):
        raise LocalisationError(f"boxes are {boxes.shape}; expected (N, 4) with N >= 1.")
    limits = np.array([width, height], dtype=np.float64)
    start = np.clip(boxes[:, :2], 0, limits)
    end = np.clip(boxes[:, :2] + boxes[:, 2:], 0, limits)
    for wrong, what in (
        (~np.isfinite(boxes).all(axis=1), "is no lesion box; leave images without a lesion out"),
        ((boxes[:, 2:] <= 0).any(axis=1), "has no area"),
        ((end <= start).any(axis=1), f"lies outside the image of {width} x {height} pixels"),
    ):
        if wrong.any():
            first = int(wrong.argmax())
            raise LocalisationError(f"box {boxes[first].tolist()} of image {first} {what}.")
    return np.concatenate([start, end], axis=1)


def _area_inside(corners: np.ndarray, window: np.ndarray) -> np.ndarray:
    """Return the area that each box, (N, 4) as left, top, right, bottom, shares with a window."""
    start = np.maximum(corners[:, :2], window[..., :2])
    end = np.minimum(corners[:, 2:], window[..., 2:])
    return (end - start).clip(0).prod(axis=1)


def _covered(start: np.ndarray, end: np.ndarray, size: int) -> np.ndarray:
    """Return which pixels of a row have their centre in [start, end), bool (N, size)."""
    centres = np.arange(size) + 0.5
    covered = (centres >= start[:, None]) & (centres < end[:, None])
    middle = np.minimum(((start + end) / 2).astype(int), size - 1)
    none = ~covered.any(axis=1)
    covered[none, middle[none]] = True
    return covered


def _check_pair(maps: np.ndarray, masks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return both as (N, pixels)."""
    maps, masks = check_maps(maps), np.asarray(masks)
    if masks.dtype != bool or masks.shape != maps.shape:
        raise LocalisationError(
            f"masks are {masks.dtype} {masks.shape}; expected bool {maps.shape} as the maps "
            "(box_masks makes them)."
        )
    maps, masks = maps.reshape(len(maps), -1), masks.reshape(len(maps), -1)
    if not masks.any(axis=1).all():
        raise LocalisationError(f"the mask of image {int(masks.any(axis=1).argmin())} is empty.")
    return maps, masks


def _uniform_for_zero(maps: np.ndarray) -> np.ndarray:
    """Return (N, pixels) maps where a map of zeros is one of ones."""
    return np.where(maps.any(axis=1, keepdims=True), maps, 1.0)


def _at_least(maps: np.ndarray, threshold: float) -> np.ndarray:
    """Return which pixels reach a share of their map's maximum, bool (N, pixels)."""
    return maps >= threshold * (1 - _ROUNDING) * maps.max(axis=1, keepdims=True)


def _iou(maps: np.ndarray, masks: np.ndarray, threshold: float) -> np.ndarray:
    above = _at_least(maps, threshold)
    return (above & masks).sum(axis=1) / (above | masks).sum(axis=1)
