"""Class activation maps beside their run, `maps.npz`: who has no weights can still look at them.

`open_maps` makes them. Maps are a few places wide, so all of them are kept.
"""

import json
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from helpers.data.splits import Split, Splits
from helpers.explain.cam import explain, stage_layers
from helpers.files import open_arrays, reading
from helpers.paths import write_atomically
from helpers.runs.checks import check_labels
from helpers.runs.store import Run, RunError, lock
from helpers.runs.weights import load_model
from helpers.training.inference import as_tensor, prepare

FILE = "maps.npz"
CLASSES = ("true", "predicted")
METHOD = "gradcam"
# Of a larger test split every k-th image is explained, so that each class keeps its share.
MOST_IMAGES = 1000


@dataclass(frozen=True)
class RunMaps:
    """Grad-CAM maps of test images."""

    indices: np.ndarray  # int64 (n,), places in the test split
    labels: np.ndarray  # int64 (n,), true classes
    predicted: np.ndarray  # int64 (n,), predicted classes
    layers: dict[str, str]  # title -> module name, in order of data flow
    # (class, module name) -> float32 (n, h, w), raw; class is "true" or "predicted", whose logit
    # is explained.
    maps: dict[tuple[str, str], np.ndarray]


def save_maps(maps: RunMaps, run: Run) -> None:
    """Write maps beside their run, each as float16 shares of its maximum."""
    arrays = {"indices": maps.indices, "labels": maps.labels, "predicted": maps.predicted}
    for (name, layer), values in maps.maps.items():
        peaks = values.max(axis=(1, 2), keepdims=True)
        shares = np.divide(values, peaks, out=np.zeros_like(values), where=peaks > 0)
        arrays[f"{name}/{layer}"] = shares.astype(np.float16)
        arrays[f"{name}/{layer}/peak"] = peaks.astype(np.float32)
    with write_atomically(run.path / FILE) as temporary:
        np.savez_compressed(temporary, **arrays, layers=np.array(json.dumps(maps.layers)))


def load_maps(run: Run) -> RunMaps:
    """Read the maps beside a run; a `RunError` where there are none, or the file is damaged."""
    file, data = run.path / FILE, run.record["data"]
    side, images = run.config["image_size"], data["n"]["test"]
    anew = "; delete it, it is made anew"
    with reading(file, RunError, anew, whose=run.path.name), open_arrays(file) as arrays:
        layers = json.loads(str(arrays.read("layers", "U", ())))
        if not isinstance(layers, dict) or not all(isinstance(v, str) for v in layers.values()):
            raise ValueError(f"layers is {layers!r:.80}, expected titles with names")
        ends = {"indices": images, "labels": data["num_classes"], "predicted": data["num_classes"]}
        found = {name: arrays.read(name, "iu", ("maps",), most=images) for name in ends}
        for name, end in ends.items():
            if not np.all((found[name] >= 0) & (found[name] < end)):
                raise ValueError(f"{name} go beyond 0 .. {end - 1}")
        maps = {
            (name, layer): arrays.read(
                f"{name}/{layer}", "f", ("maps", f"{layer} height", f"{layer} width"), most=side
            ).astype(np.float32)
            * arrays.read(f"{name}/{layer}/peak", "f", ("maps", 1, 1))
            for name in CLASSES
            for layer in layers.values()
        }
    return RunMaps(found["indices"], found["labels"], found["predicted"], layers, maps)


def open_maps(run: Run, splits: Splits) -> RunMaps:
    """Return the maps of a run; if they are not stored they are made and stored.

    A `RunError` where the data are not those of the run, or neither maps nor weights are here.
    """
    check_labels(run, splits)
    file = run.path / FILE
    if not file.exists():
        maps = make_maps(load_model(run), run, splits.test)
        with lock(run.path):
            save_maps(maps, run)
    return load_maps(run)


def make_maps(model: nn.Module, run: Run, test: Split) -> RunMaps:
    """Explain the true and the predicted class of the test images of a run by its network."""
    step = -(-len(test) // MOST_IMAGES)
    indices = np.arange(0, len(test), step)
    labels, predicted = test.labels[indices], run.predictions("test")[1].argmax(axis=1)[indices]
    layers = stage_layers(model, image_size=run.config["image_size"])
    images, _ = as_tensor(test, torch.device("cpu"))
    pixels = prepare(images[indices], run.config["image_size"], run.form)
    maps = {}
    for name, classes in (("true", labels), ("predicted", predicted)):
        found = explain(
            model, pixels, layers=list(layers.values()), classes=classes, methods=[METHOD]
        )
        maps |= {(name, layer): values for (layer, _), values in found.items()}
    return RunMaps(indices, labels, predicted, layers, maps)
