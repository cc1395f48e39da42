"""Class activation maps beside their run, `maps.npz`: who has no weights can still look at them.

`helpers.explain_run` makes them. Maps are a few places wide, so all of them are kept.
"""

import json
from dataclasses import dataclass
from zipfile import BadZipFile

import numpy as np

from helpers.paths import write_atomically
from helpers.results import Run, RunError

FILE = "maps.npz"
CLASSES = ("true", "predicted")


@dataclass(frozen=True)
class RunMaps:
    """Grad-CAM maps of test images.

    Attributes:
        indices: int64 (n,), places in the test split.
        labels: int64 (n,), true classes.
        predicted: int64 (n,), predicted classes.
        layers: title -> module name, in order of data flow.
        maps: (class, module name) -> float32 (n, h, w), raw; class is "true" or "predicted",
            whose logit is explained.
    """

    indices: np.ndarray
    labels: np.ndarray
    predicted: np.ndarray
    layers: dict[str, str]
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
    """Read the maps beside a run.

    Raises:
        RunError: there are none, or the file is damaged.
    """
    file = run.path / FILE
    try:
        with np.load(file, allow_pickle=False) as arrays:
            layers = json.loads(str(arrays["layers"]))
            maps = {
                (name, layer): arrays[f"{name}/{layer}"].astype(np.float32)
                * arrays[f"{name}/{layer}/peak"]
                for name in CLASSES
                for layer in layers.values()
            }
            labels, predicted = arrays["labels"], arrays["predicted"]
            return RunMaps(arrays["indices"], labels, predicted, layers, maps)
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise RunError(f"{run.path.name}: cannot read {file.name}: {error}.") from error
