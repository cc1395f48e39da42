"""Time a folder of images through `helpers.prediction` against the bare network.

Usage: python -m benchmarks.prediction [--images 1000] [--rounds 3] [--threads 1]

Both in one process by turns, with one batch size, one number of threads for the network, and the
mean over image and mirror image: the bare network on prepared tensors that are in memory, and the
folder from PNG files of 128 to 512 px (phantom angiograms) to calibrated probabilities. Random
weights: what a network has learned does not matter for its speed.
"""

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from helpers.config import make_config
from helpers.data.phantom import make_phantom
from helpers.models.registry import build_model
from helpers.prediction.checkpoint import Checkpoint
from helpers.prediction.predict import BATCH_SIZE, predict_files
from helpers.prediction.reading import list_folder
from helpers.reproducibility import default_device, device_name
from helpers.results import Run

MODEL = "medspectralnet_light"
RECIPES = {64: "common", 224: "common_224"}
SIDES = (128, 192, 256, 384, 512)
EXPECTED = 0.80


def write_images(folder: Path, count: int) -> None:
    """Write PNG files of all sizes by turns."""
    source = make_phantom(n_train=8, n_val=2, n_test=2, image_size=max(SIDES), seed=0)
    pictures = [Image.fromarray(image[..., 0]) for image in source.train.images]
    for number in range(count):
        side = SIDES[number % len(SIDES)]
        picture = pictures[number // len(SIDES) % len(pictures)].resize((side, side))
        picture.save(folder / f"{number:05d}.png")


def random_checkpoint(image_size: int) -> Checkpoint:
    """Return a network with random weights as if a run had trained it on grey images."""
    config = make_config(
        recipe=RECIPES[image_size], dataset="phantom", model=MODEL, seed=0, pretrained="none"
    )
    data = {"class_names": ["negative", "positive"], "in_channels": 1}
    model = build_model(MODEL, num_classes=2, image_size=image_size, pretrained="none").eval()
    model = model.to(default_device(), memory_format=torch.channels_last)
    return Checkpoint(Run(Path(MODEL), {"config": config.to_dict(), "data": data}), model, None)


def bare_seconds(checkpoint: Checkpoint, pixels: Tensor) -> float:
    """Return the time of the network alone."""
    start = time.perf_counter()
    for batch in pixels.split(BATCH_SIZE):
        checkpoint.probabilities(batch)
    return time.perf_counter() - start


def folder_seconds(checkpoint: Checkpoint, folder: Path) -> float:
    """Return the time from a folder to probabilities."""
    start = time.perf_counter()
    found, _ = list_folder(folder)
    predictions = predict_files(checkpoint, found)
    seconds = time.perf_counter() - start
    assert len(predictions.lines) == len(found)
    return seconds


def main() -> None:
    """Print one line for each input size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1, help="of the network")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(
        f"{device_name(default_device())} of {os.cpu_count()} processors, {options.threads} "
        f"thread(s), {options.images} PNG files of {SIDES[0]} to {SIDES[-1]} px, {MODEL}, batches "
        f"of {BATCH_SIZE}"
    )
    print(f"{'input':>6}{'bare, images/s':>16}{'folder, images/s':>18}{'ratio':>8}")
    with tempfile.TemporaryDirectory() as folder:
        write_images(Path(folder), options.images)
        for size in RECIPES:
            checkpoint = random_checkpoint(size)
            pixels = torch.randn(options.images, 3, size, size, device=default_device())
            pixels = pixels.contiguous(memory_format=torch.channels_last)
            bare_seconds(checkpoint, pixels[:BATCH_SIZE])  # the first pass allocates
            pairs = [
                (bare_seconds(checkpoint, pixels), folder_seconds(checkpoint, Path(folder)))
                for _ in range(options.rounds)
            ]
            ratios = [bare / through for bare, through in pairs]
            bare, through = (
                options.images / statistics.median(s) for s in zip(*pairs, strict=True)
            )
            print(
                f"{size:>4}px{bare:>16.1f}{through:>18.1f}{statistics.median(ratios):>8.2f}"
                f"   we see {statistics.median(ratios):.2f} ({min(ratios):.2f} to "
                f"{max(ratios):.2f}), expected >= {EXPECTED:.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
