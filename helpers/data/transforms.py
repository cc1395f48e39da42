"""From uint8 batches to network input: resize, augment, normalise, mix.

Paper B, section 4.1 (full augmentation, CutMix) and section 4.5 (the "normal" one of its
ablation); "dihedral" is ours. Everything runs on the whole batch, on the device of the images, with
parameters of its own for every sample and all randomness from one given generator.

Order: resize, flip + affine + perspective, colour jitter, blur, normalise, erasing, CutMix.
What differs from a chain of torchvision transforms:

- Flip, affine and perspective are composed and sampled once: an image is interpolated once, not
  twice (less blur), and what the affine step moves over the border can come back with the
  perspective step. Outside the image is 0 before normalisation (black), torchvision's default.
- Offsets and corners are drawn on a continuous scale, torchvision rounds them to whole pixels.
- Colour jitter has a fixed order (brightness, contrast, saturation, hue), not a random one.
- Grey images stay one channel until they are normalised; saturation and hue cannot change them.
- Erasing sets 0 after normalisation, torchvision's default: the mean colour of ImageNet.
- CutMix is decided, and its box drawn, for each sample, not once for the batch.

Every kind takes the same numbers from the generator, with or without CutMix: the arms of an
ablation with one seed flip the same images and paste the same boxes.
"""

import math
from dataclasses import KW_ONLY, dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from helpers.config import AUGMENTATIONS, IMAGENET_RGB, InputForm
from helpers.data import batch_operators as ops

_STEP_DRAWS = 26  # uniform numbers a sample needs in the full augmentation, before CutMix
_CUTMIX_DRAWS = 4
_CACHED_VALUES = 2**17  # of float32, half a megabyte: with its temporaries, about a core's cache


class Normalisation(NamedTuple):
    """Mean and standard deviation of red, green and blue, for values in [0, 1]."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


NORMALISE = Normalisation(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
"""ImageNet statistics, paper B section 4.1."""
_HALF = 0.5  # mean and deviation of every channel in the MedMNIST benchmark's own code


@dataclass(frozen=True)
class Magnitudes:
    """How strong each step of the "full" augmentation is.

    Paper B gives two of these numbers (marked "paper"). The rest are our choices, mild enough
    that a lesion of a few pixels stays visible and inside the image.
    """

    flip_probability: float = 0.5  # torchvision's default
    rotation: float = 10.0  # degrees either way: how a patient or a probe is tilted
    translation: float = 0.1  # of the side, either way: paper
    scale: tuple[float, float] = (0.9, 1.1)  # as much as the translation moves the border
    shear: float = 5.0  # degrees along x: half the rotation
    perspective_probability: float = 0.5  # torchvision's default
    perspective_distortion: float = 0.2  # corners move <= 10 % of the side; torchvision's .5: 25 %
    brightness: float = 0.2  # factor 0.8 to 1.2: exposure, without saturating the image
    contrast: float = 0.2  # likewise
    saturation: float = 0.2  # likewise; staining and skin tone
    hue: float = 0.05  # of the colour circle: the stain's colour is evidence and must stay
    blur_probability: float = 0.5  # half the images stay as sharp as in evaluation
    blur_kernel: int = 3  # pixels: "minor smoothing"
    blur_sigma: tuple[float, float] = (0.1, 1.0)  # pixels; torchvision's .1 to 2 is not minor
    erasing_probability: float = 0.5  # paper
    erasing_area: tuple[float, float] = (0.02, 0.2)  # torchvision's .33 may hide a whole lesion
    erasing_ratio: tuple[float, float] = (0.3, 3.3)  # height / width, torchvision's default


MAGNITUDES = Magnitudes()


def preprocess(images: Tensor, *, image_size: int, form: InputForm = IMAGENET_RGB) -> Tensor:
    """Prepare a batch for evaluation: resize, normalise, and grey to three channels if so asked.

    Args:
        images: uint8 (B, C, H, W), C 1 or 3.
        image_size: side S of the output in pixels; bilinear, with antialias when shrinking.
        form: normalisation and channels, by default ImageNet's and three.

    Returns:
        float32 (B, 3, S, S), or (B, C, S, S) with native channels.

    Raises:
        ValueError: `images` or `image_size` is not as said.
    """
    return _normalise(_resize(images, image_size=image_size), form)


@dataclass(frozen=True)
class Augmentation:
    """Training transform of a batch; a `ValueError` for an unknown kind or an impossible number."""

    # "none" (resize and normalise), "normal" (and random horizontal flip, paper B section 4.5),
    # "full" (paper B section 4.1, with the numbers of `Magnitudes`) or "dihedral" (ours: flip and
    # quarter turns, for images without an upper side).
    kind: str
    _: KW_ONLY
    image_size: int  # side S of the output in pixels
    cutmix: float = 0.0  # probability that a sample gets a box of another one; paper B: 0.5
    form: InputForm = IMAGENET_RGB  # normalisation and channels, as for `preprocess`

    def __post_init__(self):
        """Refuse unknown kinds and impossible numbers."""
        if self.kind not in AUGMENTATIONS:
            known = ", ".join(AUGMENTATIONS)
            raise ValueError(f"unknown augmentation {self.kind!r}; known: {known}")
        _check_image_size(self.image_size)
        if not 0 <= self.cutmix <= 1:
            raise ValueError(f"cutmix is a probability in [0, 1], got {self.cutmix!r}")

    def __call__(
        self, images: Tensor, labels: Tensor, *, num_classes: int, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Transform one batch.

        Args:
            images: uint8 (B, C, H, W), C 1 or 3.
            labels: int64 (B,), in [0, num_classes), on the device of the images.
            num_classes: K.
            generator: source of all randomness. It may live on another device than the images:
                a CPU generator draws the same parameters for every device.

        Returns:
            float32 (B, 3, S, S), or (B, C, S, S) with native channels, normalised, and soft targets
            float32 (B, K), rows sum to 1 (one-hot without CutMix).

        Raises:
            ValueError: images or labels are not as said.
        """
        _check_labels(labels, images, num_classes=num_classes)
        size = (len(images), _STEP_DRAWS + _CUTMIX_DRAWS)
        numbers = torch.rand(size, generator=generator, device=generator.device)
        partner = torch.randperm(len(images), generator=generator, device=generator.device)
        numbers, partner = numbers.to(images.device), partner.to(images.device)
        own, mixing = numbers.split((_STEP_DRAWS, _CUTMIX_DRAWS), dim=1)

        targets = F.one_hot(labels, num_classes).float()
        count = self._samples_at_once(images)
        pieces = zip(images.split(count), own.split(count), strict=True)
        augmented = [self._augment(piece, _Draws(rows)) for piece, rows in pieces]
        result = augmented[0] if len(augmented) == 1 else torch.cat(augmented)
        if self.cutmix > 0:
            boxes = _draw_cutmix(_Draws(mixing), self.image_size, probability=self.cutmix)
            result, targets = ops.cutmix(result, targets, boxes, partner)
        return result, targets

    def _augment(self, images: Tensor, draws: "_Draws") -> Tensor:
        """Do every step before CutMix."""
        m, size = MAGNITUDES, self.image_size
        pixels = _resize(images, image_size=size)
        if self.kind == "none":
            return _normalise(pixels, self.form)
        flip = draws.chance(m.flip_probability)
        if self.kind in ("normal", "dihedral"):
            pixels = ops.horizontal_flip(pixels, flip)
            if self.kind == "dihedral":
                pixels = ops.quarter_turns(pixels, draws.uniform(0, 4).long())
            return _normalise(pixels, self.form)
        pixels = ops.warp(pixels, _draw_homography(draws, size, flip=flip))
        pixels = ops.adjust_brightness(pixels, 1 + draws.symmetric(m.brightness))
        pixels = ops.adjust_contrast(pixels, 1 + draws.symmetric(m.contrast))
        pixels = ops.adjust_saturation(pixels, 1 + draws.symmetric(m.saturation))
        pixels = ops.adjust_hue(pixels, draws.symmetric(m.hue))
        sigma = draws.uniform(*m.blur_sigma) * draws.chance(m.blur_probability)
        pixels = ops.gaussian_blur(pixels, sigma, kernel_size=m.blur_kernel)
        return ops.erase_(_normalise(pixels, self.form), _draw_erasing(draws, size))

    def _samples_at_once(self, images: Tensor) -> int:
        """Return how many samples to take through the steps together."""
        if images.device.type != "cpu":
            return len(images)
        # Each step reads what the last one wrote: several times faster while that is in the cache.
        return max(1, _CACHED_VALUES // (images.shape[1] * self.image_size**2))


class _Draws:
    """Uniform numbers (B, n) handed out column by column; row i is sample i's own."""

    def __init__(self, numbers: Tensor):
        self._columns = iter(numbers.unbind(1))

    def uniform(self, low: float, high: float) -> Tensor:
        """Return (B,) numbers in [low, high)."""
        return low + (high - low) * next(self._columns)

    def symmetric(self, largest: float) -> Tensor:
        """Return (B,) numbers in [-largest, largest)."""
        return self.uniform(-largest, largest)

    def chance(self, probability: float) -> Tensor:
        """Return (B,) booleans, each true with the given probability."""
        return next(self._columns) < probability


def _draw_homography(draws: _Draws, size: int, *, flip: Tensor) -> Tensor:
    """Draw affine and perspective and compose them with the flip: output point to input point."""
    m = MAGNITUDES
    mirror = ops.flip_homography(flip, width=size)
    angle = draws.symmetric(m.rotation)
    scale = draws.uniform(*m.scale)
    shear_x = draws.symmetric(m.shear)
    translate = torch.stack([draws.symmetric(m.translation * size) for _ in range(2)], dim=1)
    shear = torch.stack([shear_x, torch.zeros_like(shear_x)], dim=1)
    affine = ops.affine_homography(angle, translate, scale, shear, height=size, width=size)
    # As RandomPerspective: every corner moves inwards, by at most distortion * half the side.
    distorted = draws.chance(m.perspective_probability)
    inwards = [draws.uniform(0, m.perspective_distortion * size / 2) for _ in range(8)]
    inwards = torch.stack(inwards, dim=1).view(-1, 4, 2) * distorted.view(-1, 1, 1)
    corners = inwards.new_tensor([[0, 0], [1, 0], [1, 1], [0, 1]])
    start = (corners * size).expand_as(inwards)
    perspective = ops.perspective_homography(start, start + inwards * (1 - 2 * corners))
    # The last step comes first on the way back from the output to the input.
    return mirror @ affine @ perspective


def _draw_erasing(draws: _Draws, size: int) -> Tensor:
    """Draw boxes (B, 4) as RandomErasing does; height 0 where a sample is not erased."""
    m = MAGNITUDES
    erased = draws.chance(m.erasing_probability)
    area = draws.uniform(*m.erasing_area) * size**2
    ratio = torch.exp(draws.uniform(*map(math.log, m.erasing_ratio)))
    # The largest area at the longest ratio still fits (0.2 * 3.3 < 1): nothing is drawn again.
    height = torch.round(torch.sqrt(area * ratio)) * erased
    width = torch.round(torch.sqrt(area / ratio))
    top = torch.floor((size - height + 1) * draws.uniform(0, 1))
    left = torch.floor((size - width + 1) * draws.uniform(0, 1))
    return torch.stack([top, left, height, width], dim=1).long()


def _draw_cutmix(draws: _Draws, size: int, *, probability: float) -> Tensor:
    """Draw boxes (B, 4) as in Yun et al.; height 0 where a sample keeps its image."""
    mixed = draws.chance(probability)
    # A Beta(1, 1) share is uniform; the box has that share of the area and any centre.
    half = torch.floor(torch.sqrt(draws.uniform(0, 1)) * size / 2)
    centre_y, centre_x = (torch.floor(draws.uniform(0, size)) for _ in range(2))
    top, bottom = (centre_y - half).clamp(min=0), (centre_y + half).clamp(max=size)
    left, right = (centre_x - half).clamp(min=0), (centre_x + half).clamp(max=size)
    return torch.stack([top, left, (bottom - top) * mixed, right - left], dim=1).long()


def _resize(images: Tensor, *, image_size: int) -> Tensor:
    """Check a uint8 batch and return it as float32 in [0, 1], resized to a square."""
    _check_images(images)
    _check_image_size(image_size)
    pixels = images.float().div_(255)
    size = (image_size, image_size)
    if pixels.shape[-2:] == size:
        return pixels
    # Antialias changes nothing when enlarging; its separable code is then twice as fast on a CPU.
    return F.interpolate(pixels, size=size, mode="bilinear", antialias=True)


def _normalise(pixels: Tensor, form: InputForm) -> Tensor:
    """Normalise (B, C, H, W) in [0, 1]; grey becomes three channels unless `form` says native."""
    if form.normalisation == "half":
        pixels = (pixels - _HALF) / _HALF
        copies = form.in_channels(pixels.shape[1]) // pixels.shape[1]
        return pixels if copies == 1 else pixels.repeat(1, copies, 1, 1)
    mean = pixels.new_tensor(NORMALISE.mean).view(1, 3, 1, 1)
    std = pixels.new_tensor(NORMALISE.std).view(1, 3, 1, 1)
    return (pixels - mean).div_(std)


def _check_images(images: Tensor) -> None:
    if not isinstance(images, Tensor) or images.dtype != torch.uint8:
        found = images.dtype if isinstance(images, Tensor) else type(images).__name__
        raise ValueError(f"images must be a uint8 tensor in [0, 255], got {found}")
    if images.ndim != 4 or images.shape[1] not in (1, 3) or 0 in images.shape:
        raise ValueError(
            f"images must be (B, C, H, W) with C 1 or 3 and no empty side, got "
            f"{tuple(images.shape)}; (B, H, W, C) arrays need .permute(0, 3, 1, 2)"
        )


def _check_labels(labels: Tensor, images: Tensor, *, num_classes: int) -> None:
    _check_images(images)
    if labels.device != images.device:
        raise ValueError(f"labels are on {labels.device} but images are on {images.device}")
    if labels.dtype != torch.int64 or labels.shape != images.shape[:1]:
        raise ValueError(
            f"labels must be int64 ({len(images)},), one per image, got {labels.dtype} "
            f"{tuple(labels.shape)}"
        )
    if labels.device.type != "cpu":
        return  # one_hot checks the range there without making the host wait for the device
    low, high = torch.stack(torch.aminmax(labels)).tolist()
    if low < 0 or high >= num_classes:
        raise ValueError(f"labels must lie in [0, {num_classes}), got {low} to {high}")


def _check_image_size(image_size: int) -> None:
    if not isinstance(image_size, int) or image_size < 2:
        raise ValueError(f"image_size must be a whole number of pixels >= 2, got {image_size!r}")
