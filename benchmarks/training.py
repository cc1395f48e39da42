"""Time the training loop against the bare network's steps, and against the usual loop.

Usage: python -m benchmarks.training [--rounds 5] [--milliseconds 1000] [--threads 1] [--save]

Three loops over the same network, batch size, optimizer and recipe:

- *ours*: `helpers.training.loop.fit` from its first batch to its last line, without validation:
  gathering, augmentation, loss, optimizer, schedule, averaged weights, history, the copy of the
  best weights. What is done once before the first batch has a line of its own.
- *bare*: forward, cross-entropy, backward and optimizer step on prepared batches that lie in
  memory. Nothing can be faster; the share of its speed that is left is the loop's efficiency.
- *usual*: a DataLoader with two workers that takes each image through torchvision's transforms, one
  PIL image at a time, CutMix on the batch, schedule and averaged weights as ours. Its workers are
  started before the clock.

Ours against bare: the networks of the recipe at 64 px, and a small one (three strided convolutions)
at 28 px, where the network hides least. "normal" is without CutMix and "full" with it, as paper B
trains. Ours against usual: the small network at 28 px, where the pipeline decides, and the recipe's
light network at that size for comparison, where both loops mostly wait for the same network. Both
loops on one thread and on as many as there are processors; the faster of the two counts, for each.

A checkpoint is written every 20 seconds at most; what that takes is a line of its own, too.
"""

import math
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.common import by_turns, main, ratio, synchronise
from benchmarks.usual_loop import NUM_CLASSES, optimizer_of, usual_loader, usual_loop
from helpers.config import RunConfig, make_config
from helpers.data.splits import Split
from helpers.data.transforms import Augmentation
from helpers.models.registry import build_model
from helpers.training import loop as training
from helpers.training.loop import fit
from helpers.training.seeds import default_device
from study.costs.timing import processors
from study.tables.speed import Speed

# Of the one epoch: BreastMNIST's, the smallest set, where what comes once an epoch weighs most.
LEAST_STEPS = 17
FILE_SIZE = 28  # px of the images in memory
LEAST_OF_BARE = {"normal": 0.95, "full": 0.85}
LEAST_OF_USUAL = 3.0
SMALL = "small network"


@dataclass(frozen=True)
class Case:
    """A network and the batches it is trained on."""

    model: str  # a name of the registry, or `SMALL`
    image_size: int  # side of its input
    batch_size: int  # images a step

    @property
    def title(self) -> str:
        """For tables."""
        return f"{self.model}, {self.image_size} px"


AGAINST_BARE = (
    Case("resnet18", 64, 32),
    Case("medspectralnet", 64, 32),
    Case("medspectralnet_light", 64, 32),
    Case(SMALL, 28, 128),
)
AGAINST_USUAL = (Case(SMALL, 28, 128), Case("medspectralnet_light", 28, 32))


def small_network() -> nn.Module:
    """Build three strided convolutions (32, 64, 128 channels) and a linear layer."""
    widths = (3, 32, 64, 128)
    blocks = [
        nn.Sequential(
            nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(inplace=True),
        )
        for before, after in pairwise(widths)
    ]
    return nn.Sequential(
        *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], NUM_CLASSES)
    )


def build(case: Case) -> nn.Module:
    """Build a case's network with random weights: what it learns does not matter for speed."""
    torch.manual_seed(0)
    if case.model == SMALL:
        return small_network()
    return build_model(
        case.model, num_classes=NUM_CLASSES, image_size=case.image_size, pretrained="none"
    )


def configuration(case: Case, augmentation: str) -> RunConfig:
    """Return the common recipe with a case's size and batch; CutMix with "full" alone."""
    config = make_config(
        recipe="common",
        dataset="phantom",
        model=case.model,
        seed=0,
        pretrained="none",
        image_size=case.image_size,
        batch_size=case.batch_size,
        epochs=1,
        augmentation=augmentation,
    )
    return config if augmentation == "full" else replace(config, cutmix=0.0)


def random_split(images: int) -> Split:
    """Draw grey images with both classes."""
    pixels = np.random.default_rng(0).integers(0, 256, (images, FILE_SIZE, FILE_SIZE, 1), np.uint8)
    return Split(images=pixels, labels=np.arange(images) % NUM_CLASSES)


# --- ours and bare -------------------------------------------------------------------------------


@dataclass
class LoopTime:
    """What `fit` took, in seconds; known when it has ended."""

    setup: float = math.nan  # before the first batch
    loop: float = math.nan  # from the first batch on, without validation


@contextmanager
def loop_clock() -> Iterator[LoopTime]:
    """Tell apart what `fit` spends before its first batch, on validation, and on the rest."""
    found, first, validation = LoopTime(), [], []
    train, validate = training._train_epoch, training._validate

    def trained(*arguments, **options):
        first.append(time.perf_counter())
        return train(*arguments, **options)

    def validated(*arguments):
        start = time.perf_counter()
        scores = validate(*arguments)
        validation.append(time.perf_counter() - start)
        return scores

    with mock.patch.multiple(training, _train_epoch=trained, _validate=validated):
        begun = time.perf_counter()
        yield found
        synchronise(default_device())
        found.setup = first[0] - begun
        found.loop = time.perf_counter() - first[0] - sum(validation)


def our_run(case: Case, config: RunConfig, *, steps: int) -> LoopTime:
    """Time `fit` over an epoch of so many steps."""
    train, val = random_split(steps * case.batch_size), random_split(2)
    model, device = build(case), default_device()
    with loop_clock() as found:
        fit(model, train=train, val=val, num_classes=NUM_CLASSES, config=config, device=device)
    return found


def our_speed(case: Case, config: RunConfig, *, steps: int) -> float:
    """Return the images a second of our loop."""
    return steps * case.batch_size / our_run(case, config, steps=steps).loop


def prepared_batches(case: Case, config: RunConfig, *, count: int) -> list[tuple[Tensor, Tensor]]:
    """Return augmented batches on the device as the network sees them: pixels, soft targets."""
    split, device = random_split(count * case.batch_size), default_device()
    augment = Augmentation(config.augmentation, image_size=config.image_size, cutmix=config.cutmix)
    images = torch.from_numpy(split.images).permute(0, 3, 1, 2).split(case.batch_size)
    labels = torch.from_numpy(split.labels).split(case.batch_size)
    generator = torch.Generator().manual_seed(0)
    batches = []
    for few, their in zip(images, labels, strict=True):
        pixels, targets = augment(few, their, num_classes=NUM_CLASSES, generator=generator)
        pixels = pixels.to(device).contiguous(memory_format=torch.channels_last)
        batches.append((pixels, targets.to(device)))
    return batches


def bare_seconds(
    model: nn.Module, batches: list[tuple[Tensor, Tensor]], config: RunConfig, *, steps: int
) -> float:
    """Return the time of forward, backward and optimizer over some steps."""
    device = batches[0][0].device
    model.train().to(device, memory_format=torch.channels_last)
    optimizer = optimizer_of(model, config)
    synchronise(device)
    start = time.perf_counter()
    for step in range(steps):
        pixels, targets = batches[step % len(batches)]
        optimizer.zero_grad(set_to_none=True)
        functional.cross_entropy(model(pixels), targets).backward()
        optimizer.step()
    synchronise(device)
    return time.perf_counter() - start


def steps_for(case: Case, config: RunConfig, *, seconds: float) -> int:
    """Return how many bare steps take about that long, at least `LEAST_STEPS`."""
    model, batches = build(case), prepared_batches(case, config, count=1)
    bare_seconds(model, batches, config, steps=2)  # the first steps allocate
    return max(LEAST_STEPS, round(seconds * 3 / bare_seconds(model, batches, config, steps=3)))


def against_bare(case: Case, *, rounds: int, seconds: float) -> list[Speed]:
    """Compare ours with bare for one network, by turns: bare, normal, full, bare, ..."""
    configs = {kind: configuration(case, kind) for kind in LEAST_OF_BARE}
    steps = steps_for(case, configs["normal"], seconds=seconds)
    batches = prepared_batches(case, configs["normal"], count=min(steps, 8))

    def bare() -> float:
        spent = bare_seconds(build(case), batches, configs["normal"], steps=steps)
        return steps * case.batch_size / spent

    runs = {kind: partial(our_speed, case, config, steps=steps) for kind, config in configs.items()}
    for config in configs.values():
        our_speed(case, config, steps=2)  # the first steps allocate
    speeds = by_turns({"bare": bare} | runs, rounds=rounds)
    return [
        Speed(name=f"{case.title}: bare steps", unit="images/s", values=speeds["bare"]),
        *(
            ratio(
                f"{case.title}: our loop, {kind} augmentation, of the bare steps' speed",
                speeds[kind],
                speeds["bare"],
                target=least,
                headline=True,
            )
            for kind, least in LEAST_OF_BARE.items()
        ),
    ]


# --- the usual loop ------------------------------------------------------------------------------


def usual_speed(case: Case, config: RunConfig, *, steps: int) -> float:
    """Return the images a second of the usual loop over an epoch of so many steps."""
    split = random_split(steps * case.batch_size)
    return len(split) / usual_loop(build(case), usual_loader(split, config), config)


def against_usual(case: Case, *, rounds: int, seconds: float) -> list[Speed]:
    """Compare ours with the usual loop, each with the number of threads that suits it."""
    config = configuration(case, "full")
    steps = steps_for(case, config, seconds=seconds)
    counts = sorted({1, processors()})

    def with_threads(threads: int, speed, steps: int) -> float:
        torch.set_num_threads(threads)
        return speed(case, config, steps=steps)

    loops = {"ours": our_speed, "usual": usual_speed}
    runs = {
        f"{name} {threads}": partial(with_threads, threads, speed, steps)
        for name, speed in loops.items()
        for threads in counts
    }
    for threads in counts:
        with_threads(threads, our_speed, 4)  # the first steps allocate
    speeds = by_turns(runs, rounds=rounds)
    best = {
        name: max((speeds[f"{name} {threads}"] for threads in counts), key=np.median)
        for name in loops
    }
    judged = case.model == SMALL
    title = f"{case.title}, full augmentation"
    return [
        Speed(name=f"{title}: our loop", unit="images/s", values=best["ours"]),
        Speed(name=f"{title}: the usual loop", unit="images/s", values=best["usual"]),
        ratio(
            f"{title}: our loop over the usual one",
            best["ours"],
            best["usual"],
            target=LEAST_OF_USUAL if judged else None,
            headline=True,
        ),
    ]


# --- all -----------------------------------------------------------------------------------------


def setup_time(case: Case, *, rounds: int) -> Speed:
    """Time what is done before the first batch."""
    config = configuration(case, "full")
    spent = [our_run(case, config, steps=1).setup for _ in range(rounds)]
    return Speed(name=f"{case.title}: set-up, once a run", unit="s", values=spent)


def checkpoint_time(case: Case, *, rounds: int) -> Speed:
    """Time the writing of a checkpoint in short trainings."""
    config, split = configuration(case, "normal"), random_split(2)
    save, spent = training._State.save, []

    def timed(*arguments, **options):
        start = time.perf_counter()
        save(*arguments, **options)
        spent.append(time.perf_counter() - start)

    for _ in range(rounds):
        with (
            tempfile.TemporaryDirectory() as folder,
            mock.patch.object(training._State, "save", timed),
        ):
            fit(
                build(case),
                train=split,
                val=split,
                num_classes=NUM_CLASSES,
                config=config,
                device=default_device(),
                checkpoint=Path(folder) / "checkpoint.pt",
            )
    name = f"{case.title}: a checkpoint, at most one in 20 s"
    return Speed(name=name, unit="s", values=spent)


def measure(*, rounds: int = 5, milliseconds: int = 1000, threads: int = 1) -> list[Speed]:
    """Take all figures: so many rounds of each comparison, threads for ours and bare.

    A round of bare steps takes about so many milliseconds, but an epoch of BreastMNIST at least.
    """
    seconds = milliseconds / 1000
    speeds = []
    for case in AGAINST_BARE:
        torch.set_num_threads(threads)
        speeds += against_bare(case, rounds=rounds, seconds=seconds)
    largest = AGAINST_BARE[0]
    speeds += [setup_time(largest, rounds=rounds), checkpoint_time(largest, rounds=rounds)]
    for case in AGAINST_USUAL:
        speeds += against_usual(case, rounds=rounds, seconds=seconds / 3)
    return speeds


if __name__ == "__main__":
    sys.exit(main(measure))
