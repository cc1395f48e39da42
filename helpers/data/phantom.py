"""Synthetic angiogram patches: a vessel tree with or without a stenosis, and its box.

Not patients: it stands in where no data can be had, and every test runs on it. Each patch shows a
dark trunk with tapering side branches and a catheter on a smooth, noisy background. Half of the
patches have a short narrowing of the trunk. Everything else is drawn alike in both halves, the
mean grey included: also a negative has a place for its stenosis, which stays open, so neither
branches nor position tell the classes apart. The place is random, so pixels do not either.
"""

from functools import lru_cache

import numpy as np
from scipy.ndimage import gaussian_filter

from helpers.data.splits import SPLIT_NAMES, DataError, Split, Splits

CLASS_NAMES = ("no stenosis", "stenosis")
MIN_SIZE = 64
_BRANCHES = 3
_POINTS = 112  # along the trunk: closer than a third of its radius, so discs merge to a tube
_CHUNK = 64  # images drawn at once; bounds the memory


def make_phantom(
    *,
    n_train: int = 480,
    n_val: int = 120,
    n_test: int = 160,
    image_size: int = 64,
    seed: int = 0,
) -> Splits:
    """Draw the phantom.

    Image i of a split depends on the seed, the split and i alone, so a smaller set is the
    beginning of a larger one.

    Args:
        n_train: training images, at least 2; classes alternate.
        n_val: validation images, at least 1.
        n_test: test images, at least 1.
        image_size: height and width in pixels, at least 64; geometry scales with it.
        seed: of everything.

    Returns:
        Grey patches with boxes (NaN for negatives), no groups.

    Raises:
        DataError: a smaller image size.
    """
    if image_size < MIN_SIZE:
        raise DataError(
            f"phantom of {image_size} pixels; expected at least {MIN_SIZE}: below, the narrowing "
            "is lost in the blur."
        )
    parts = zip(SPLIT_NAMES, (n_train, n_val, n_test), strict=True)
    splits = {}
    for place, (name, n) in enumerate(parts):
        images, labels, boxes = _draw_split(n, image_size, seed, place)
        # Copies: what a caller does to its images never reaches the cache.
        splits[name] = Split(images=images.copy(), labels=labels.copy(), boxes=boxes.copy())
    return Splits(
        name="phantom",
        **splits,
        class_names=CLASS_NAMES,
        source=f"generated, seed {seed}",
        licence="MIT",
    )


@lru_cache(maxsize=6)
def _draw_split(n: int, size: int, seed: int, place: int) -> tuple[np.ndarray, ...]:
    labels = np.arange(n) % 2
    chunks = np.split(np.arange(n), range(_CHUNK, n, _CHUNK))
    drawn = [_draw(chunk, labels[chunk], size, (seed, place)) for chunk in chunks]
    images, boxes = (np.concatenate(parts) for parts in zip(*drawn, strict=True))
    return images, labels.astype(np.int64), boxes


def _draw(
    indices: np.ndarray, labels: np.ndarray, size: int, key: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Return uint8 (B, S, S, 1) images and float32 (B, 4) boxes.

    Lengths below are shares of the image size; positions run from -0.5 to 0.5.
    """
    randoms = [np.random.default_rng([*key, int(index)]) for index in indices]
    uniforms = iter(np.stack([random.random(64) for random in randoms], axis=1))

    def between(low: float, high: float) -> np.ndarray:
        return (low + (high - low) * next(uniforms))[:, None]

    # Trunk: a sine-shaped line that leaves the patch on both sides.
    along = np.linspace(-0.8, 0.8, _POINTS)[None]
    angle = between(0, 2 * np.pi)
    centre_x, centre_y = between(-0.12, 0.12), between(-0.12, 0.12)
    swing, wave, phase = between(0.02, 0.08), between(3.0, 7.0), between(0, 2 * np.pi)
    across = swing * (np.sin(wave * along + phase) - np.sin(phase))
    x = centre_x + along * np.cos(angle) - across * np.sin(angle)
    y = centre_y + along * np.sin(angle) + across * np.cos(angle)
    calibre = between(0.050, 0.072)
    ripple = 1 + 0.06 * np.sin(between(8.0, 14.0) * along + between(0, 2 * np.pi))
    radius = calibre * (1 - 0.20 * (along + 0.5)) * ripple

    # The place of the stenosis; in a negative it is drawn too and stays open.
    place = between(-0.24, 0.24)
    length, left_open = between(0.08, 0.12), between(0.25, 0.40)
    left_open = np.where(labels[:, None] == 1, left_open, 1.0)
    dip = np.exp(-0.5 * ((along - place) / (0.5 * length)) ** 2)
    trunk_radius = radius * (1 - (1 - left_open) * dip)
    lines = [(x, y, trunk_radius)]

    # Branches leave the trunk, on one side or the other, away from that place.
    steps = np.linspace(0, 1, _POINTS // 2)[None]
    for _ in range(_BRANCHES):
        side = np.where(between(0, 1) < 0.5, -1.0, 1.0)
        offset = between(0.16, 0.45) * np.where(between(0, 1) < 0.5, -1.0, 1.0)
        origin = np.abs(along - place - offset).argmin(axis=1)[:, None]
        heading = angle + side * between(0.5, 1.2) + side * between(-0.8, 0.8) * steps
        reach = between(0.25, 0.55)
        step = reach / steps.shape[1]
        branch_x = np.take_along_axis(x, origin, 1) + np.cumsum(step * np.cos(heading), axis=1)
        branch_y = np.take_along_axis(y, origin, 1) + np.cumsum(step * np.sin(heading), axis=1)
        width = np.take_along_axis(radius, origin, 1) * between(0.40, 0.65)
        lines.append((branch_x, branch_y, width * (1 - 0.55 * steps)))

    # Catheter: thin, of one width, along one side of the patch.
    side = np.where(between(0, 1) < 0.5, -1.0, 1.0)
    bend, distance = between(-0.5, 0.5), between(0.30, 0.42)
    catheter = side * (distance + bend * along**2)
    catheter_x = along * np.cos(angle) - catheter * np.sin(angle)
    catheter_y = along * np.sin(angle) + catheter * np.cos(angle)
    lines.append((catheter_x, catheter_y, between(0.016, 0.022) + 0 * along))

    depth = _thickness(lines, size) / calibre[:, :, None]
    opacity = between(0.9, 1.3)[:, :, None]
    vessels = 100 * (1 - np.exp(-opacity * depth))
    background = np.stack([random.standard_normal((6, 6)) for random in randoms])
    grain = np.stack([random.standard_normal((size, size)) for random in randoms])
    scale = size / MIN_SIZE
    image = _smooth_field(background, size) * between(8, 14)[:, :, None] - vessels
    image = gaussian_filter(image, (0, 0.7 * scale, 0.7 * scale))
    # The grain too is of one size in the scene, whatever the sampling.
    grain = gaussian_filter(grain, (0, 0.5 * scale, 0.5 * scale))
    image += grain / grain.std(axis=(1, 2), keepdims=True) * between(4, 6)[:, :, None]
    # Mean and spread are drawn, never a by-product: a narrowing leaves less vessel to darken them.
    image -= image.mean(axis=(1, 2), keepdims=True)
    image *= between(24, 30)[:, :, None] / image.std(axis=(1, 2), keepdims=True)
    image += between(140, 165)[:, :, None]
    images = np.clip(np.round(image), 0, 255).astype(np.uint8)[..., None]

    boxes = _boxes(x, y, radius, np.abs(along - place) < 0.8 * length, size)
    boxes[labels == 0] = np.nan
    return images, boxes


def _thickness(lines: list[tuple[np.ndarray, np.ndarray, np.ndarray]], size: int) -> np.ndarray:
    """Return float (B, S, S): how much vessel a ray crosses, in shares of the image size.

    A vessel is the union of balls along its line: each adds 2 sqrt(r^2 - d^2) within its radius.
    """
    x, y, radius = (np.concatenate(parts, axis=1) for parts in zip(*lines, strict=True))
    n = len(x)
    column, row = (x + 0.5) * size - 0.5, (y + 0.5) * size - 0.5  # pixel centres are whole numbers
    radius = radius * size
    thickness = np.zeros((n, size, size))
    image = np.broadcast_to(np.arange(n)[:, None], x.shape)
    # Few window sizes: thin vessels do not pay for the trunk's.
    reach = np.ceil(radius).astype(int)
    for window in np.unique(reach):
        chosen = reach == window
        c, r, squared = column[chosen], row[chosen], radius[chosen] ** 2
        shift = np.arange(-window, window + 1)
        columns = np.rint(c).astype(int)[:, None, None] + shift[None, None, :]
        rows = np.rint(r).astype(int)[:, None, None] + shift[None, :, None]
        left = squared[:, None, None] - (columns - c[:, None, None]) ** 2
        left = left - (rows - r[:, None, None]) ** 2
        inside = (left > 0) & (columns >= 0) & (columns < size) & (rows >= 0) & (rows < size)
        flat = (image[chosen][:, None, None] * size + rows) * size + columns
        np.maximum.at(thickness.reshape(-1), flat[inside], 2 * np.sqrt(left[inside]))
    return thickness / size


def _smooth_field(coarse: np.ndarray, size: int) -> np.ndarray:
    """Interpolate (B, K, K) values to (B, S, S) by cosines, smooth and free of borders."""
    k = coarse.shape[1]
    position = (np.arange(size) + 0.5) / size
    basis = np.cos(np.pi * np.arange(k)[None] * position[:, None]) / (1 + np.arange(k)[None])
    return basis @ coarse @ basis.T


def _boxes(
    x: np.ndarray, y: np.ndarray, radius: np.ndarray, narrowed: np.ndarray, size: int
) -> np.ndarray:
    """Return float32 (B, 4) boxes around the narrowed stretch with the vessel's open width."""
    bounds = []
    for line in (x, y):
        low = np.where(narrowed, line - radius, np.inf).min(axis=1)
        high = np.where(narrowed, line + radius, -np.inf).max(axis=1)
        bounds.append((np.clip(low + 0.5, 0, 1) * size, np.clip(high + 0.5, 0, 1) * size))
    (left, right), (top, bottom) = bounds
    # float32 before the difference, so that x + width never exceeds the image by rounding.
    left, top, right, bottom = (v.astype(np.float32) for v in (left, top, right, bottom))
    return np.stack([left, top, right - left, bottom - top], axis=1)
