"""Nearly flat pictures against ones that are not."""

import numpy as np
import pytest

from helpers.data.flatness import is_nearly_flat, levels

RAMP = np.tile(np.arange(256, dtype=np.uint8), (64, 1))


def with_lesion(share):
    image = np.zeros((100, 100), np.uint8)
    image.reshape(-1)[: int(share * image.size)] = np.arange(int(share * image.size)) % 255 + 1
    return image


@pytest.mark.parametrize(
    ("image", "count", "flat"),
    [
        (RAMP, 256, False),
        (RAMP // 16, 16, True),  # within 16 levels
        (RAMP // 12 * 12, 22, False),
        (RAMP // 32 * 32, 8, True),  # few levels, far apart
        (RAMP // 32 + 128, 8, True),
        (np.zeros((8, 8), np.uint8), 1, True),
        (np.full((8, 8, 3), (200, 10, 30), np.uint8), 1, True),
        (np.stack([RAMP, RAMP * 0, RAMP * 0], -1), 256, False),
        (RAMP[..., None], 256, False),
        (with_lesion(0.005), 51, True),
        (with_lesion(0.05), 256, False),
    ],
)
def test_levels_and_flatness(image, count, flat):
    assert (levels(image), is_nearly_flat(image)) == (count, flat)


def test_only_uint8_pictures():
    for image in (RAMP.astype(float), RAMP[0], RAMP[:0]):
        with pytest.raises(ValueError, match="expected a uint8 image"):
            is_nearly_flat(image)
