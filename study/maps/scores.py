"""Measured maps on disk: one file a network under `results/localisation`, written whole."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from helpers.runs.store import RunError
from study.measurements import open_array_file, save_arrays

WHOLE, CROPS = "whole", "crops"
VIEWS = (WHOLE, CROPS)
CHANCE = "chance"
_AXES = ("views", "rows", "titles", "methods", "measures")


@dataclass(frozen=True)
class MapScores:
    """Measured maps of one network, or of the controls of the input."""

    # float32 (seeds, views, rows, methods, measures, images); rows are layers, or the controls; NaN
    # where a view left an image out.
    values: np.ndarray
    thresholds: np.ndarray  # float32 (seeds, rows, methods), best on the validation images
    empty: np.ndarray  # float32 (seeds, rows, methods), share of maps without a positive value
    groups: np.ndarray  # int64 (images,), images of one patient or cluster share a number
    axes: dict[str, list[str]]  # names along the axes, and the rows' titles
    about: dict[str, Any]  # data, runs, code and machine

    def of(self, *, view: str, row: str, method: str, measure: str) -> np.ndarray:
        """Return the scores (seeds, images) of one cell."""
        asked = {"views": view, "rows": row, "methods": method, "measures": measure}
        place = tuple(self.axes[axis].index(name) for axis, name in asked.items())
        return self.values[:, *place].astype(float)


def save_scores(
    path: Path,
    measured: Sequence[dict[str, Any]],
    *,
    measures: Sequence[str],
    groups: np.ndarray,
    about: dict[str, Any],
) -> None:
    """Write measured maps, see `MapScores`.

    There is one entry a seed: `values`, `thresholds`, `empty`, `rows`, `titles` and `methods`.
    """
    axes = {"views": list(VIEWS), "measures": list(measures)}
    axes |= {name: measured[0][name] for name in ("rows", "titles", "methods")}
    # Four decimals are finer than any interval here and take half of the room.
    arrays = {
        name: np.stack([m[name] for m in measured]).round(4).astype(np.float32)
        for name in ("values", "thresholds", "empty")
    }
    save_arrays(path, arrays | {"groups": groups}, {"axes": axes, "about": about})


def load_scores(path: Path) -> MapScores:
    """Read what `save_scores` wrote; a `RunError` for a missing or damaged file says how."""
    advice = f" ({path.parent.name}); `python -m study maps` makes it."
    with open_array_file(path, RunError, advice) as (arrays, text):
        axes, about = text["axes"], text["about"]
        if sorted(axes) != sorted(_AXES) or not isinstance(about, dict):
            raise ValueError(f"axes are {', '.join(axes)}; expected {', '.join(_AXES)}")
        for names in axes.values():
            if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
                raise ValueError(f"an axis is {names!r:.80}, expected names")
        arrays.sizes |= {name: len(axes[name]) for name in _AXES if name != "titles"}
        shape = ("seeds", "views", "rows", "methods", "measures", "images")
        values = arrays.read("values", "f", shape)
        thresholds, empty = (
            arrays.read(name, "f", ("seeds", "rows", "methods")) for name in ("thresholds", "empty")
        )
        groups = arrays.read("groups", "iu", ("images",))
        return MapScores(values, thresholds, empty, groups, axes, about)
