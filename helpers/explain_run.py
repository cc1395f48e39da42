"""Grad-CAM maps of a stored run's test images: `python -m helpers.explain_run`.

The command makes those of the data sets that 06_gradcam compares, where they are missing.
"""

import argparse
import sys
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from helpers.data.datasets import load_dataset
from helpers.data.splits import Split, Splits
from helpers.evaluation import check_labels
from helpers.explain import explain, stage_layers
from helpers.localisation_plan import load_plan
from helpers.results import Run, find_runs, lock
from helpers.run_maps import CLASSES, FILE, RunMaps, load_maps, save_maps
from helpers.stage_inputs import prepare
from helpers.training import as_tensor
from helpers.weights import load_model

METHOD = "gradcam"
# Of a larger test split every k-th image is explained, so that each class keeps its share.
MOST_IMAGES = 1000


def open_maps(run: Run, splits: Splits) -> RunMaps:
    """Return the maps of a run; if they are not stored they are made and stored.

    Args:
        run: a stored run.
        splits: its data.

    Raises:
        RunError: the data are not those of the run; or neither maps nor weights are here.
    """
    check_labels(run, splits)
    file = run.path / FILE
    if not file.exists():
        maps = make_maps(load_model(run), run, splits.test)
        with lock(run.path):
            save_maps(maps, run)
    return load_maps(run)


def make_maps(model: nn.Module, run: Run, test: Split) -> RunMaps:
    """Explain the true and the predicted class of test images.

    Args:
        model: the run's network.
        run: gives the predictions and the size of the network's input.
        test: the run's test split.
    """
    step = -(-len(test) // MOST_IMAGES)
    indices = np.arange(0, len(test), step)
    labels, predicted = test.labels[indices], run.predictions("test")[1].argmax(axis=1)[indices]
    layers = stage_layers(model, image_size=run.config["image_size"])
    images, _ = as_tensor(test, torch.device("cpu"))
    pixels = prepare(images[indices], run.config["image_size"], run.form)
    maps = {}
    for name, classes in zip(CLASSES, (labels, predicted), strict=True):
        found = explain(
            model, pixels, layers=list(layers.values()), classes=classes, methods=(METHOD,)
        )
        maps |= {(name, layer): values for (layer, _), values in found.items()}
    return RunMaps(indices, labels, predicted, layers, maps)


def make_focus_maps(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m helpers.explain_run", description=__doc__.split("\n")[0]
    )
    parser.parse_args(arguments)
    for focus in load_plan().focus:
        splits = load_dataset(focus.runs["dataset"])
        for run in find_runs(**focus.runs, label_noise=0.0):
            maps = open_maps(run, splits)
            print(f"{run.config['dataset']}, seed {run.config['seed']}: {len(maps.indices)} images")
    return 0


if __name__ == "__main__":
    sys.exit(make_focus_maps())
