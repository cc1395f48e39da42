"""Maps that know nothing of the network: what a class activation map has to beat.

Patches are cut around lesions, vessels are dark in an angiogram, and lesions lie on vessels; a map
that only says so would also point at lesions. Images are uint8 (N, H, W, C), C = 1 or 3; other
arrays, and numbers out of range, are a `LocalisationError`.
"""

import numpy as np
from skimage.filters import sato

from helpers.explain.boxes import LocalisationError, check_images, check_maps

# ITU-R 601. Torchvision's (in `helpers.data`) do not quite sum to one; white must have no darkness.
_LUMINANCE = (0.299, 0.587, 0.114)
_VESSEL_SCALES = (1 / 64, 1 / 32, 3 / 64)


def centred_gaussian(n: int, size: int | tuple[int, int], *, sigma: float = 0.25) -> np.ndarray:
    """Return the same Gaussian for each of `n` images, float32 (n, height, width).

    Its maximum is 1 at the middle; `size` is in pixels, one number for both sides or two, and
    `sigma` the standard deviation as a share of the height, and of the width.
    """
    height, width = (size, size) if isinstance(size, int | np.integer) else size
    if n < 1 or height * width < 2 or not sigma > 0:
        raise LocalisationError(
            f"n is {n}, size {height} x {width}, sigma {sigma}; expected n >= 1, more than one "
            "pixel and sigma > 0."
        )
    rows, columns = (((np.arange(s) + 0.5) / s - 0.5) / sigma for s in (height, width))
    gaussian = np.exp(-(rows[:, None] ** 2 + columns**2) / 2)
    gaussian /= gaussian.max()  # an even size has no pixel in the very middle
    return np.repeat(gaussian[None].astype(np.float32), n, axis=0)


def brightness(images: np.ndarray) -> np.ndarray:
    """Return the grey values of uint8 (N, H, W, C) images as float32 (N, H, W), 0 to 1."""
    images = check_images(images)
    if images.shape[3] not in (1, 3):
        raise LocalisationError(f"images have {images.shape[3]} channels; expected 1 or 3.")
    weights = np.array(_LUMINANCE if images.shape[3] == 3 else (1.0,), dtype=np.float32)
    return (images @ weights / np.float32(255)).clip(0, 1)


def darkness(images: np.ndarray) -> np.ndarray:
    """Return 1 - brightness: vessels filled with contrast agent are dark."""
    return 1 - brightness(images)


def vesselness(images: np.ndarray) -> np.ndarray:
    """Return how much each pixel looks like part of a dark tube.

    Filter of Sato et al., Med. Image Anal. 2:143 (1998), by scikit-image, at scales (standard
    deviations) of 1/64, 1/32 and 3/64 of the side, at least one pixel. They were chosen
    on training patches of ARCADE, whose vessels are 1/32 to 1/8 of the side wide, by eye and as
    the set that points into most boxes there, so that the control is a strong one: smaller scales
    answer to grain. Frangi's filter leaves wide vessels hollow and breaks them into spots.

    Returns:
        float32 (N, H, W), >= 0; zero where nothing is darker than its sides.
    """
    grey = brightness(images)
    sigmas = np.unique(np.maximum(np.array(_VESSEL_SCALES) * min(grey.shape[1:]), 1.0))
    maps = [sato(image, sigmas=sigmas, black_ridges=True) for image in grey]
    return np.stack(maps).astype(np.float32)


def at_resolution(maps: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return maps averaged over the cells of a coarser grid, such as that of a network's layer.

    Each cell holds the mean of the area it covers, pixels cut by its border in proportion; so
    uniform maps stay uniform, and the mean of a map stays what it is. The grid has more than one
    cell and at most one a pixel. Float32 (N, height, width).
    """
    maps = check_maps(maps)
    height, width = size
    if not (1 <= height <= maps.shape[1] and 1 <= width <= maps.shape[2]) or height * width == 1:
        raise LocalisationError(
            f"a grid of {height} x {width} from maps of {maps.shape[1]} x {maps.shape[2]}; "
            "expected more than one cell, and no more cells than pixels."
        )
    rows, columns = _cell_weights(maps.shape[1], height), _cell_weights(maps.shape[2], width)
    return (rows @ maps @ columns.T).astype(np.float32)


def _cell_weights(n_pixels: int, n_cells: int) -> np.ndarray:
    """Return the share of each pixel in each cell's mean, (cells, pixels)."""
    edges = np.linspace(0, n_pixels, n_cells + 1)
    pixels = np.arange(n_pixels)
    ends = np.minimum(edges[1:, None], pixels + 1)
    overlap = (ends - np.maximum(edges[:-1, None], pixels)).clip(0)
    return overlap / overlap.sum(axis=1, keepdims=True)
