"""Time a folder of images through `helpers.predict` against the bare network.

Usage: python -m benchmarks.prediction [--images 500] [--rounds 3] [--save]

Both in one process by turns, with one batch size, one number of threads for the network, and the
mean over image and mirror image: the bare network, as it was trained, on prepared tensors that are
in memory, and the folder from PNG files of 128 to 512 px (phantom angiograms) to calibrated
probabilities, by the network as it predicts: batch norms folded, its steps recorded. Random
weights: what a network has learned does not matter for its speed. At 64 px also with the network on
all processors, which it then shares with reading; at 224 px with a fifth of the images.
"""

import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from benchmarks.common import by_turns, main, ratio, synchronise
from helpers.config import make_config
from helpers.data.phantom import make_phantom
from helpers.models.registry import build_model
from helpers.predict.checkpoint import Checkpoint
from helpers.predict.predict import BATCH_SIZE, predict_files
from helpers.predict.reading import list_folder
from helpers.runs.store import Run
from helpers.training.inference import class_probabilities
from helpers.training.seeds import default_device
from study.costs.timing import processors
from study.tables.speed import Speed

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
    data = {"class_names": ["negative", "positive"], "in_channels": 1, "image_size": max(SIDES)}
    model = build_model(MODEL, num_classes=2, image_size=image_size, pretrained="none").eval()
    model = model.to(default_device(), memory_format=torch.channels_last)
    run = Run(Path(MODEL), {"config": config.to_dict(), "data": data})
    checkpoint = Checkpoint(run, model, None)
    _ = checkpoint.graph  # made when a run is opened
    return checkpoint


def bare_seconds(checkpoint: Checkpoint, pixels: Tensor) -> float:
    """Return the time of the network alone, as it was trained."""
    flip = checkpoint.run.config["flip_average"]
    start = time.perf_counter()
    with torch.inference_mode():
        for batch in pixels.split(BATCH_SIZE):
            class_probabilities(checkpoint.model, batch, flip_average=flip)
    synchronise(pixels.device)
    return time.perf_counter() - start


def folder_seconds(checkpoint: Checkpoint, folder: Path) -> float:
    """Return the time from a folder to probabilities."""
    start = time.perf_counter()
    found, _ = list_folder(folder)
    predictions = predict_files(checkpoint, found)
    seconds = time.perf_counter() - start
    assert len(predictions.lines) == len(found)
    return seconds


def compare(folder: Path, size: int, *, images: int, rounds: int, threads: int) -> list[Speed]:
    """Time both for one input size, by turns."""
    torch.set_num_threads(threads)
    checkpoint = random_checkpoint(size)
    pixels = torch.randn(images, 3, size, size, device=default_device())
    pixels = pixels.contiguous(memory_format=torch.channels_last)
    bare_seconds(checkpoint, pixels[:BATCH_SIZE])  # the first pass allocates
    runs = {
        "bare": partial(bare_seconds, checkpoint, pixels),
        "folder": partial(folder_seconds, checkpoint, folder),
    }
    times = by_turns(runs, rounds=rounds)
    speeds = {name: [images / spent for spent in each] for name, each in times.items()}
    title = f"{images:,} PNG files at {size} px, network on {threads} thread(s)"
    return [
        *(
            Speed(name=f"{title}: {name}", unit="images/s", values=each)
            for name, each in speeds.items()
        ),
        ratio(
            f"{title}: folder, of the bare network's speed",
            times["bare"],
            times["folder"],
            target=EXPECTED,
            headline=True,
        ),
    ]


def measure(*, images: int = 500, rounds: int = 3) -> list[Speed]:
    """Time both input sizes: so many files at 64 px, a fifth of them at 224 px."""
    cases = [(64, threads, images) for threads in sorted({1, processors()})]
    speeds = []
    for size, threads, count in [*cases, (224, 1, -(-images // 5))]:
        with tempfile.TemporaryDirectory() as folder:
            write_images(Path(folder), count)
            speeds += compare(Path(folder), size, images=count, rounds=rounds, threads=threads)
    return speeds


if __name__ == "__main__":
    sys.exit(main(measure))
