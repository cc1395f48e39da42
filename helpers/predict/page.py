"""One page for people: what was read, what the network says of it, and what that is worth.

The page is a single file with its style and pictures inside. File names come from a user: the
template escapes them. No path of the machine and no date stands on it, so that equal predictions
make equal pages.
"""

import base64
import io
from collections.abc import Mapping
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
    """Return the page of a network's predictions, `table` being `output.prediction_table`'s."""
    data = checkpoint.run.record["data"]
    counts = np.bincount(predictions.predicted, minlength=len(checkpoint.class_names))
    frames_of = table["file"].value_counts().to_dict()
    return load_template("prediction.html.j2").render(
        phantom=data["phantom"],
        model=_model(checkpoint),
        calibration=checkpoint.calibration,
        class_names=checkpoint.class_names,
        frames=len(table),
        files=table["file"].nunique(),
        squeezed=sum(SQUEEZED in line.notes for line in predictions.lines),
        flat=sum(
            any(note.startswith(NEARLY_FLAT) for note in line.notes) for line in predictions.lines
        ),
        classes=[
            {"name": name, "count": int(n), "width": f"{100 * n / len(table):.1f}"}
            for name, n in zip(checkpoint.class_names, counts, strict=True)
        ],
        cards=[
            _card(picture, checkpoint, predictions, frames_of=frames_of)
            for picture in overlays.pictures
        ],
        layer=overlays.layer,
        no_overlays=overlays.reason,
        rows=[_row(row, frames_of=frames_of) for row in table.head(MAX_ROWS).to_dict("records")],
        skipped=predictions.skipped,
        min_side=checkpoint.min_side,
    )


def chance(value: float) -> str:
    """Write a probability with two digits, and none as certain: "0.87", "> 0.99", "< 0.01"."""
    if value >= 0.995:
        return "> 0.99"
    return "< 0.01" if value < 0.005 else f"{value:.2f}"


def title(file: str, frame: int, frames_of: Mapping[str, int]) -> str:
    """Name a frame as a reader would: by its file alone where that has no other."""
    return f"{file} · frame {frame}" if frames_of[file] > 1 else file


def _model(checkpoint: Checkpoint) -> dict[str, Any]:
    run, data = checkpoint.run, checkpoint.run.record["data"]
    accuracy = Estimate(**run.record["metrics"]["test"]["accuracy"])
    return {
        "id": public_name(run),
        "name": run.config["model"],
        "data": data["name"],
        "licence": data["licence"],
        "kind": "grey" if data["in_channels"] == 1 else "colour",
        "source_size": data["image_size"],
        "size": checkpoint.image_size,
        "trained_on": f"{data['n']['train']:,}",
        "tested_on": f"{accuracy.n:,}",
        "accuracy": _percent(accuracy.value),
        "low": _percent(accuracy.low),
        "high": _percent(accuracy.high),
        "mirrored": run.config["flip_average"],
    }


def _percent(value: float | None) -> str:
    return "unknown" if value is None else f"{100 * value:.1f}"


def _card(
    picture: Overlay,
    checkpoint: Checkpoint,
    predictions: Predictions,
    *,
    frames_of: Mapping[str, int],
) -> dict[str, Any]:
    line, probabilities = predictions.lines[picture.row], predictions.probabilities[picture.row]
    first = np.argsort(-probabilities, kind="stable")[:_BARS]
    return {
        "title": title(line.file, line.frame, frames_of),
        "predicted": checkpoint.class_names[predictions.predicted[picture.row]],
        "image": _data_uri(picture.image),
        "overlay": _data_uri(picture.overlay),
        "height": picture.image.shape[0],
        "width": picture.image.shape[1],
        "is_empty": picture.is_empty,
        "notes": line.notes,
        "bars": [
            {
                "name": checkpoint.class_names[k],
                "chance": chance(probabilities[k]),
                "width": f"{100 * probabilities[k]:.1f}",
            }
            for k in first
        ],
        "others": len(probabilities) - len(first),
    }


def _row(row: Mapping[str, Any], *, frames_of: Mapping[str, int]) -> dict[str, Any]:
    return {
        "title": title(row["file"], row["frame"], frames_of),
        "predicted": row["predicted"],
        "chance": chance(row["confidence"]),
        "width": f"{100 * row['confidence']:.1f}",
        "size": f"{row['width']} x {row['height']}",
        "note": row["note"],
    }


def _data_uri(pixels: np.ndarray) -> str:
    """Return a picture as text; JPEG, since the PNG files of the overlays lie beside the page."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=88, subsampling=0)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
