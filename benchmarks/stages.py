"""Time training by stage and head, in images per second and as a ratio to training all layers.

Usage: python -m benchmarks.stages [--images 96] [--threads 1] [--save]

One process, one machine, phantom images at 128 px in batches of 16, ResNet-18 from scratch: what is
trained does not matter for the speed. Features of frozen layers are kept, as without augmentation,
or computed anew for every batch, as with one. Paper A's own speed stands beside its framework's.
"""

import statistics
import sys
from dataclasses import replace

import torch

from benchmarks.common import main
from helpers.config import RunConfig, make_config
from helpers.data.phantom import make_phantom
from helpers.data.splits import Splits
from helpers.models.registry import build_model
from helpers.training.loop import fit
from helpers.training.seeds import default_device
from study.published import lookup
from study.tables.speed import RATIO, Speed

HEADS = (
    "linear_resnet18",
    "brain_inspired_resnet18",
    "brain_inspired_mlp_resnet18",
    "quantum_resnet18",
    "quantum_mlp_resnet18",
)
FRAMEWORK = "brain_inspired_resnet18"
ALL_LAYERS = "all layers"
EPOCHS = 4
CASES = {
    "warm-up, features kept": {"plasticity": "head", "augmentation": "none"},
    "warm-up, features anew": {"plasticity": "head", "augmentation": "normal"},
    "fine-tuning, features kept": {"plasticity": "high", "augmentation": "none"},
    "fine-tuning, features anew": {"plasticity": "high", "augmentation": "normal"},
    ALL_LAYERS: {"plasticity": "all", "augmentation": "none"},
}


def images_per_second(config: RunConfig, splits: Splits) -> list[float]:
    """Train; return the speed of every epoch but the first, which fills the cache."""
    history = fit(
        build_model(config.model, num_classes=2, image_size=config.image_size, pretrained="none"),
        train=splits.train,
        val=splits.val,
        num_classes=2,
        config=config,
        device=default_device(),
    ).history
    return [len(splits.train) / row["seconds"] for row in history[1:]]


def measure(*, images: int = 96, threads: int = 1) -> list[Speed]:
    """Time every head in every stage on so many training images."""
    torch.set_num_threads(threads)
    splits = make_phantom(n_train=images, n_val=16, n_test=2, image_size=128, seed=0)
    base = make_config(
        recipe="brain_inspired",
        dataset="phantom",
        model=HEADS[0],
        seed=0,
        pretrained="none",
        plasticity="all",
        warmup_epochs=0,
        epochs=EPOCHS,
    )
    total = lookup(paper="A", table="recovered", row="training set", column="images").value
    epoch = lookup(paper="A", table="section 3.5", row="training", column="seconds_per_epoch")
    published = total / epoch.value
    speeds = []
    for model in HEADS:
        by_case = {
            case: images_per_second(replace(base, model=model, **changes), splits)
            for case, changes in CASES.items()
        }
        everything = statistics.median(by_case[ALL_LAYERS])
        for case, values in by_case.items():
            title, framework = f"{model}, {case}", model == FRAMEWORK and "anew" not in case
            beside = f" (the paper: {published:.0f})" if framework else ""
            speeds.append(
                Speed(
                    name=f"{title}{beside}",
                    unit="images/s",
                    values=values,
                    headline=framework,
                )
            )
            if case != ALL_LAYERS:
                relative = [value / everything for value in values]
                name = f"{title}, over all layers' speed"
                speeds.append(Speed(name=name, unit=RATIO, values=relative))
    return speeds


if __name__ == "__main__":
    sys.exit(main(measure))
