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
    """Measured maps of one network, or of the controls of the input.

    Attributes:
        values: float32 (seeds, views, rows, methods, measures, images); rows are layers, or the
            controls; NaN where a view left an image out.
        thresholds: float32 (seeds, rows, methods), best on the validation images.
        empty: float32 (seeds, rows, methods), share of maps without any positive value.
        groups: int64 (images,), images of one patient or cluster share a number.
        axes: names along the axes "views", "rows", "titles", "methods", "measures".
        about: data, runs, code and machine.
    """

    values: np.ndarray
    thresholds: np.ndarray
    empty: np.ndarray
    groups: np.ndarray
    axes: dict[str, list[str]]
    about: dict[str, Any]

    def of(self, *, view: str, row: str, method: str, measure: str) -> np.ndarray:
        """Return the scores (seeds, images) of one cell."""
        place = (
            self.axes["views"].index(view),
            self.axes["rows"].index(row),
            self.axes["methods"].index(method),
            self.axes["measures"].index(measure),
        )
        return self.values[:, place[0], place[1], place[2], place[3]].astype(float)


def save_scores(
    path: Path,
    measured: Sequence[dict[str, Any]],
    *,
    methods: Sequence[str],
    measures: Sequence[str],
    groups: np.ndarray,
    about: dict[str, Any],
) -> None:
    """Write measured maps.

    Args:
        path: the file.
        measured: one entry a seed: `values`, `thresholds`, `empty`, `rows` and `titles`.
        methods: names along the axis of methods.
        measures: names along the axis of measures.
        groups: see `MapScores`.
        about: data, runs, code and machine, JSON-ready.
    """
    axes = {
        "views": list(VIEWS),
        "rows": measured[0]["rows"],
        "titles": measured[0]["titles"],
        "methods": list(methods),
        "measures": list(measures),
    }
    # Four decimals are finer than any interval here and take half of the room.
    arrays = {
        name: np.stack([m[name] for m in measured]).round(4).astype(np.float32)
        for name in ("values", "thresholds", "empty")
    }
    save_arrays(path, arrays | {"groups": groups}, {"axes": axes, "about": about})


def load_scores(path: Path) -> MapScores:
    """Read what `save_scores` wrote.

    Raises:
        RunError: no such file, or a damaged one; the message says how to make it.
    """
    advice = f" ({path.parent.name}); `python -m study maps` makes it."
    with open_array_file(path, RunError, advice) as (arrays, text):
        axes, about = text["axes"], text["about"]
        if sorted(axes) != sorted(_AXES) or not isinstance(about, dict):
            raise ValueError(f"axes are {', '.join(axes)}; expected {', '.join(_AXES)}")
        for names in axes.values():
            if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
                raise ValueError(f"an axis is {names!r:.80}, expected names")
        arrays.sizes |= {name: len(axes[name]) for name in _AXES if name != "titles"}
        return MapScores(
            values=arrays.read(
                "values", "f", ("seeds", "views", "rows", "methods", "measures", "images")
            ),
            thresholds=arrays.read("thresholds", "f", ("seeds", "rows", "methods")),
            empty=arrays.read("empty", "f", ("seeds", "rows", "methods")),
            groups=arrays.read("groups", "iu", ("images",)),
            axes=axes,
            about=about,
        )
