"""Pictures that arrive with next to nothing in them.

A picture may lose its content on the way in: a window beside its values, 12 bits read as 16, an
exposure that failed. A network answers all the same, so whoever reads pictures has to say so.
"""

import numpy as np
from PIL import Image

LEVELS = 16  # of 256; X-ray, ultrasound and microscopy images have 50 and more
SHARE = 0.99


def levels(image: np.ndarray) -> int:
    """Return how many of the 256 levels occur, in the channel that has most.

    Args:
        image: uint8 (H, W) or (H, W, C).
    """
    return max(int((counts > 0).sum()) for counts in _counts(image))


def is_nearly_flat(image: np.ndarray) -> bool:
    """Whether a picture has next to one grey (or colour).

    It has if every channel shows fewer than 16 of the 256 levels, wherever they lie, or has 99 %
    of its pixels within 16 neighbouring levels.

    Args:
        image: uint8 (H, W) or (H, W, C).
    """
    return all(
        (counts > 0).sum() < LEVELS
        or np.convolve(counts, np.ones(LEVELS, int)).max() >= SHARE * counts.sum()
        for counts in _counts(image)
    )


def _counts(image: np.ndarray) -> list[np.ndarray]:
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or not image.size:
        raise ValueError(
            f"expected a uint8 image (H, W) or (H, W, C), got {image.dtype} {image.shape}"
        )
    channels = np.moveaxis(image.reshape(*image.shape[:2], -1), -1, 0)
    # Four times as fast as `np.bincount`, which makes 64-bit numbers of all pixels first.
    return [np.array(Image.fromarray(c).histogram()) for c in np.ascontiguousarray(channels)]
