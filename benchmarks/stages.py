"""Time training by stage and head, in images per second and as a ratio to training all layers.

Usage: python -m benchmarks.stages [--images 96] [--threads 1]

One process, one machine, phantom images at 128 px in batches of 16, ResNet-18 from scratch: what is
trained does not matter for the speed. Features of frozen layers are kept, as without augmentation,
or computed anew for every batch, as with one. Paper A's own speed is printed last.
"""

import argparse
from dataclasses import replace

import torch

from helpers.config import RunConfig, make_config
from helpers.data.phantom import make_phantom
from helpers.data.splits import Splits
from helpers.models.registry import build_model
from helpers.published import lookup
from helpers.reproducibility import default_device, device_name
from helpers.training import fit

HEADS = (
    "linear_resnet18",
    "brain_inspired_resnet18",
    "brain_inspired_mlp_resnet18",
    "quantum_resnet18",
    "quantum_mlp_resnet18",
)
CASES = {
    "warm-up, features kept": {"plasticity": "head", "augmentation": "none"},
    "warm-up, features anew": {"plasticity": "head", "augmentation": "normal"},
    "fine-tuning, features kept": {"plasticity": "high", "augmentation": "none"},
    "fine-tuning, features anew": {"plasticity": "high", "augmentation": "normal"},
    "all layers": {"plasticity": "all", "augmentation": "none"},
}


def images_per_second(model: str, config: RunConfig, splits: Splits) -> float:
    """Train three epochs; return the speed of the fastest but the first, which fills the cache."""
    network = build_model(model, num_classes=2, image_size=config.image_size, pretrained="none")
    history = fit(
        network,
        train=splits.train,
        val=splits.val,
        num_classes=2,
        config=config,
        device=default_device(),
    ).history
    return len(splits.train) / min(row["seconds"] for row in history[1:])


def main() -> None:
    """Print one line for each head and stage."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=96)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    splits = make_phantom(n_train=options.images, n_val=16, n_test=2, image_size=128, seed=0)
    base = make_config(
        recipe="brain_inspired",
        dataset="phantom",
        model=HEADS[0],
        seed=0,
        pretrained="none",
        plasticity="all",
        warmup_epochs=0,
        epochs=3,
    )
    print(f"{device_name(default_device())}, {options.threads} thread(s), {base.precision}")
    print(f"{'head':28s} {'stage':28s} {'images/s':>9s} {'x all layers':>13s}")
    for model in HEADS:
        speeds = {
            case: images_per_second(model, replace(base, model=model, **changes), splits)
            for case, changes in CASES.items()
        }
        for case, speed in speeds.items():
            ratio = speed / speeds["all layers"]
            print(f"{model:28s} {case:28s} {speed:9.0f} {ratio:12.1f}x", flush=True)
    images = lookup(paper="A", table="recovered", row="training set", column="images").value
    key = {"paper": "A", "table": "section 3.5", "row": "training"}
    seconds = lookup(**key, column="seconds_per_epoch").value
    print(f"paper A: {images:.0f} images in about {seconds:.0f} s, {images / seconds:.0f} images/s")


if __name__ == "__main__":
    main()
