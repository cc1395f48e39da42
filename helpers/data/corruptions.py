"""Images made worse on purpose: what another device, operator or reader of files does to them.

For choices that plain validation images cannot make: where the test images come from elsewhere, a
network must be chosen by how it does on images that differ from those it has seen. The strengths
are shares of the range and of the side, so that they mean the same at every size.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
import torchvision.transforms.v2.functional as tv
from torch import Tensor

BLUR = 1 / 28  # standard deviation of the Gaussian, of the side: one pixel of a 28 px image
NOISE = 0.1  # standard deviation, of the range of the values
CONTRAST = 0.5  # factor about the image's mean
RESAMPLING = 0.5  # side of the smaller image that it is shrunk to, and enlarged from


def corrupt(images: Tensor, kind: str) -> Tensor:
    """Return the images with one of `CORRUPTIONS`; the same noise in each call.

    Args:
        images: uint8 (N, C, H, W), C 1 or 3.
        kind: name of the corruption.

    Returns:
        uint8, of the same shape.

    Raises:
        ValueError: unknown kind.
    """
    if kind not in CORRUPTIONS:
        raise ValueError(f"unknown corruption {kind!r}; known: {', '.join(CORRUPTIONS)}")
    pixels = CORRUPTIONS[kind](images.float() / 255)
    return (pixels * 255).round_().clamp_(0, 255).to(torch.uint8)


def _blur(pixels: Tensor) -> Tensor:
    sigma = BLUR * min(pixels.shape[-2:])
    return tv.gaussian_blur(pixels, [2 * round(3 * sigma) + 1] * 2, [sigma] * 2)


def _noise(pixels: Tensor) -> Tensor:
    drawn = torch.randn(pixels.shape, generator=torch.Generator().manual_seed(0))
    return pixels + NOISE * drawn.to(pixels.device)


def _contrast(pixels: Tensor) -> Tensor:
    return tv.adjust_contrast(pixels, CONTRAST)


def _resampling(pixels: Tensor) -> Tensor:
    height, width = pixels.shape[-2:]
    small = [max(1, round(RESAMPLING * side)) for side in (height, width)]
    shrunk = F.interpolate(pixels, size=small, mode="bilinear", antialias=True)
    return F.interpolate(shrunk, size=(height, width), mode="bilinear")


CORRUPTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "blur": _blur,
    "noise": _noise,
    "contrast": _contrast,
    "resampling": _resampling,
}
