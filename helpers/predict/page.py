"""One page for people: what was read, what the network says of it, and what that is worth.

The page is a single file with its style and pictures inside. File names come from a user: the
template escapes them. No path of the machine and no date stands on it, so that equal predictions
make equal pages.
"""

import base64
import io
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from helpers.data.pictures import NEARLY_FLAT
from helpers.files import load_template
from helpers.metrics.scores import Estimate
from helpers.predict.checkpoint import Checkpoint, public_name
from helpers.predict.overlays import Overlay, Overlays
from helpers.predict.predict import Predictions
from helpers.predict.reading import SQUEEZED

MAX_ROWS = 2000  # of the table; predictions.csv holds all
_BARS = 4  # classes whose probability stands beside a picture


def render(
    checkpoint: Checkpoint, *, table: pd.DataFrame, predictions: Predictions, overlays: Overlays
) -> str:
    """Return the page of a network's predictions, `table` being that of `predictions.csv`."""
    run, names = checkpoint.run, checkpoint.class_names
    frames_of = table["file"].value_counts().to_dict()
    counts = np.bincount(predictions.predicted, minlength=len(names))
    return load_template("prediction.html.j2").render(
        run_id=public_name(run),
        config=run.config,
        data=run.record["data"],
        accuracy=Estimate(**run.record["metrics"]["test"]["accuracy"]),
        calibration=checkpoint.calibration,
        class_names=names,
        frames=len(table),
        files=len(frames_of),
        squeezed=sum(SQUEEZED in line.notes for line in predictions.lines),
        flat=sum(
            any(note.startswith(NEARLY_FLAT) for note in line.notes) for line in predictions.lines
        ),
        counts=list(zip(names, counts, strict=True)),
        cards=[_card(picture, names, predictions) for picture in overlays.pictures],
        layer=overlays.layer,
        no_overlays=overlays.reason,
        rows=table.head(MAX_ROWS).to_dict("records"),
        skipped=predictions.skipped,
        min_side=checkpoint.min_side,
        title=partial(title, frames_of=frames_of),
        chance=chance,
        percent=lambda value: "unknown" if value is None else f"{100 * value:.1f}",
        thousands="{:,}".format,
        data_uri=_data_uri,
    )


def chance(value: float) -> str:
    """Write a probability with two digits, and none as certain: "0.87", "> 0.99", "< 0.01"."""
    if value >= 0.995:
        return "> 0.99"
    return "< 0.01" if value < 0.005 else f"{value:.2f}"


def title(file: str, frame: int, frames_of: Mapping[str, int]) -> str:
    """Name a frame as a reader would: by its file alone where that has no other."""
    return f"{file} · frame {frame}" if frames_of[file] > 1 else file


def _card(picture: Overlay, names: Sequence[str], predictions: Predictions) -> dict[str, Any]:
    probabilities = predictions.probabilities[picture.row]
    first = np.argsort(-probabilities, kind="stable")[:_BARS]
    return {
        "picture": picture,
        "line": predictions.lines[picture.row],
        "predicted": names[predictions.predicted[picture.row]],
        "bars": [(names[k], probabilities[k]) for k in first],
    }


def _data_uri(pixels: np.ndarray) -> str:
    """Return a picture as text; JPEG, since the PNG files of the overlays lie beside the page."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=88, subsampling=0)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
