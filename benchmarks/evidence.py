"""What the runs at the papers' own scale cost, in hours of one processor core.

Usage: python -m benchmarks.evidence [--images 96] [--save]

One figure for each protocol of `params/evidence.yaml` whose data set is at hand. A few phantom
images are trained on as there, with one thread; the processor time of three epochs (after any
warm-up) less that of one, so that neither building nor the first batch counts, nor what else runs
on the machine, gives the time of an image, and the size of the data set the hours.
`study.tables.evidence` shows what the runs that are not stored would take.
"""

import sys
from dataclasses import replace

import torch

from benchmarks.common import cpu_seconds, main
from helpers.config import RunConfig
from helpers.data.datasets import load_dataset
from helpers.data.phantom import make_phantom
from helpers.data.splits import DataError, Splits
from helpers.runs.experiment import fit_from_config
from helpers.runs.matrix import load_matrix
from study.tables.evidence import protocols
from study.tables.speed import Speed

EXTRA = 2  # epochs of the longer of two trainings; the shorter has one, after a warm-up
FEWEST = 64  # images; two steps


def seconds(config: RunConfig, splits: Splits, epochs: int) -> float:
    """Return the processor time of a training of so many epochs."""
    config = replace(config, pretrained="none", epochs=epochs + config.warmup_epochs)
    return cpu_seconds(lambda: fit_from_config(config, splits))


def measure(*, images: int = 96) -> list[Speed]:
    """Time every network of the matrix on so many training images, at least `FEWEST`."""
    if images < FEWEST:
        raise ValueError(f"{images} images; at least {FEWEST} are needed for two steps.")
    torch.set_num_threads(1)
    phantom = make_phantom(n_train=images, n_val=16, n_test=2, image_size=64, seed=0)
    speeds, of_an_image = [], {}
    for name, (config, *_) in protocols(load_matrix("evidence")).items():
        try:
            total = len(load_dataset(config.dataset).train) * config.epochs
        except DataError as error:
            print(f"{name}: {error}")
            continue
        network = (config.recipe, config.model, config.plasticity)
        if network not in of_an_image:
            short, long = (seconds(config, phantom, epochs) for epochs in (1, 1 + EXTRA))
            of_an_image[network] = (long - short) / (EXTRA * images)
        hours = total * of_an_image[network] / 3600
        speeds.append(Speed(name=name, unit="h", values=(hours,)))
    return speeds


if __name__ == "__main__":
    sys.exit(main(measure))
