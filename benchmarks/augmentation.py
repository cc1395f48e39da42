"""Time the batch transforms against torchvision's transforms on one PIL image after another.

Usage: python -m benchmarks.augmentation [--rounds 10] [--save]

Both sides do the same steps with the same magnitudes, from uint8 arrays in memory to a normalised
float32 batch, without CutMix, on one thread. CPU time of batches of 64, by turns. Grey
images enter torchvision's chain as RGB, as medmnist's `as_rgb=True` gives them.
"""

import sys
from functools import partial

import numpy as np
import torch
from PIL import Image
from torchvision.transforms import v2

from benchmarks.common import by_turns, cpu_seconds, main, ratio
from helpers.data.transforms import MAGNITUDES, NORMALISE, Augmentation
from study.tables.speed import Speed

BATCH_SIZE = 64
CASES = ((1, 28, 28), (1, 28, 64), (1, 64, 64), (3, 28, 28), (3, 28, 64), (3, 64, 64))


def torchvision_chain(kind: str, image_size: int) -> v2.Compose:
    """Return torchvision's transforms for one PIL image, with our magnitudes."""
    m = MAGNITUDES
    bilinear = v2.InterpolationMode.BILINEAR
    to_normalised = [
        v2.ToImage(),
        v2.ToDtype(torch.float32, scale=True),
        v2.Normalize(NORMALISE.mean, NORMALISE.std),
    ]
    resize_and_flip = [v2.Resize([image_size] * 2), v2.RandomHorizontalFlip(m.flip_probability)]
    if kind == "normal":
        return v2.Compose([*resize_and_flip, *to_normalised])
    return v2.Compose(
        [
            *resize_and_flip,
            v2.RandomAffine(
                m.rotation, [m.translation] * 2, m.scale, shear=m.shear, interpolation=bilinear
            ),
            v2.RandomPerspective(m.perspective_distortion, m.perspective_probability),
            v2.ColorJitter(m.brightness, m.contrast, m.saturation, m.hue),
            v2.RandomApply([v2.GaussianBlur(m.blur_kernel, m.blur_sigma)], m.blur_probability),
            *to_normalised,
            v2.RandomErasing(m.erasing_probability, m.erasing_area, m.erasing_ratio),
        ]
    )


def measure(*, rounds: int = 10) -> list[Speed]:
    """Time so many batches of each side, for each kind and size."""
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(BATCH_SIZE) % 2
    speeds = []
    for kind in ("normal", "full"):
        for channels, size, image_size in CASES:
            shape = (BATCH_SIZE, channels, size, size)
            images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
            arrays = np.ascontiguousarray(images.permute(0, 2, 3, 1).numpy())
            arrays = arrays[..., 0] if channels == 1 else arrays
            augment = Augmentation(kind, image_size=image_size)
            chain = torchvision_chain(kind, image_size)

            def ours(augment=augment, images=images):
                return augment(images, labels, num_classes=2, generator=generator)

            def theirs(chain=chain, arrays=arrays):
                return torch.stack([chain(Image.fromarray(a).convert("RGB")) for a in arrays])

            timers = {"ours": partial(cpu_seconds, ours), "theirs": partial(cpu_seconds, theirs)}
            by_turns(timers, rounds=1)  # the first batch warms up
            times = by_turns(timers, rounds=rounds)
            an_image = [1000 * seconds / BATCH_SIZE for seconds in times["ours"]]
            colours = "grey" if channels == 1 else "colour"
            title = f"{kind} augmentation, {colours}, {size} to {image_size} px"
            speeds += [
                Speed(name=f"{title}: an image", unit="ms", values=an_image),
                ratio(
                    f"{title}: torchvision's time over ours",
                    times["theirs"],
                    times["ours"],
                    headline=channels == 1 and size == 28,
                ),
            ]
    return speeds


if __name__ == "__main__":
    sys.exit(main(measure))
