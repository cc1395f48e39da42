"""The output folder: predictions.csv, skipped.csv, overlays/*.png, index.html, each written whole.

Nothing is overwritten unasked, and nothing is ever deleted but overlays of an earlier prediction,
known by their names.
"""

import os
import re
from pathlib import Path

import pandas as pd
from PIL import Image

from helpers.files import guarded
from helpers.paths import write_atomically, write_text
from helpers.predict.checkpoint import Checkpoint
from helpers.predict.overlays import Overlay, Overlays
from helpers.predict.predict import Predictions

PREDICTIONS, SKIPPED, PAGE, OVERLAYS = "predictions.csv", "skipped.csv", "index.html", "overlays"
NOT_CALIBRATED = "not calibrated"
_OUR_OVERLAY = re.compile(r"overlay_\d{5,}_\w*_\d{3,}\.png")


class OutputError(ValueError):
    """The output folder is not fit: it would be overwritten, or read as images later."""


def check_output(output: Path, *, images: Path, overwrite: bool) -> None:
    """Refuse an output folder before any work is done; make it if it is not there.

    Raises:
        OutputError: it is not empty (and `overwrite` is false), is a file or not to be written, or
            overlays in it would be found among the images by the next prediction.
    """
    output, images = output.absolute(), images.absolute()
    # Any of them may be a link, also one to itself, which `Path.resolve` does not take.
    source, whole, inside = (
        Path(os.path.realpath(path)) for path in (images, output, output / OVERLAYS)
    )
    if whole == source or source in whole.parents:
        raise OutputError(
            f"the output folder {output.name} is the images folder or lies in it: the next "
            "prediction would read its overlays as images. Choose a folder outside."
        )
    if inside in (source, *source.parents) or source in inside.parents:
        raise OutputError(
            f"the images folder is where the overlays go, {output.name}/{OVERLAYS}. Choose another "
            "output folder."
        )
    if os.path.exists(output) and not output.is_dir():
        raise OutputError(f"the output {output} is a file; expected a folder.")
    try:
        output.mkdir(parents=True, exist_ok=True)
        content = sorted(path.name for path in output.iterdir())
    except OSError as error:
        raise OutputError(f"the output folder {output}: {error.strerror}.") from error
    if content and not overwrite:
        shown = ", ".join(content[:5]) + (" and more" if len(content) > 5 else "")
        raise OutputError(
            f"the output folder {output} is not empty ({shown}); choose another, or allow it with "
            f"overwrite=True (--overwrite), which replaces {PREDICTIONS}, {SKIPPED}, {PAGE} and "
            f"{OVERLAYS}/, and leaves other files alone."
        )


def prediction_table(
    checkpoint: Checkpoint, predictions: Predictions, overlays: Overlays
) -> pd.DataFrame:
    """Lay out predictions.csv: one row a frame, in the order of file names and frames.

    Columns file, frame (from 0), p_<class name> for each class, predicted, confidence (the largest
    p), confidence_uncalibrated, calibration ("T = 1.2345" or "not calibrated"), width, height,
    overlay (file name or empty), note.
    """
    names, calibration = checkpoint.class_names, checkpoint.calibration
    lines, predicted = predictions.lines, predictions.predicted
    pictures = {picture.row: picture.name for picture in overlays.pictures}
    rows = range(len(lines))
    table = pd.DataFrame({"file": [line.file for line in lines]})
    table["frame"] = [line.frame for line in lines]
    for k, name in enumerate(names):
        table[f"p_{name}"] = predictions.probabilities[:, k]
    table["predicted"] = [names[k] for k in predicted]
    table["confidence"] = predictions.probabilities[rows, predicted]
    table["confidence_uncalibrated"] = predictions.uncalibrated[rows, predicted].astype(float)
    table["calibration"] = (
        NOT_CALIBRATED if calibration is None else f"T = {calibration.temperature:.4f}"
    )
    table["width"] = [line.width for line in lines]
    table["height"] = [line.height for line in lines]
    table["overlay"] = [pictures.get(row, "") for row in rows]
    table["note"] = ["; ".join(line.notes) for line in lines]
    return table


def write_output(
    output: Path, *, table: pd.DataFrame, predictions: Predictions, overlays: Overlays, page: str
) -> None:
    """Write everything, the page last: where it is, the rest is there.

    In the CSV files a name that begins with = + - @ or a control character stands behind a ', so
    that a spreadsheet takes it for text (`helpers.files.text_cell`).
    """
    _write_overlays(output / OVERLAYS, overlays.pictures)
    skipped = pd.DataFrame(
        [(entry.file, entry.reason) for entry in predictions.skipped], columns=["file", "reason"]
    )
    for name, frame in ((PREDICTIONS, table), (SKIPPED, skipped)):
        with write_atomically(output / name) as temporary:
            guarded(frame).to_csv(temporary, index=False, float_format="%.6f", lineterminator="\n")
    write_text(output / PAGE, page)


def _write_overlays(folder: Path, pictures: list[Overlay]) -> None:
    names = {picture.name for picture in pictures}
    for path in folder.glob("overlay_*.png"):
        # Of an earlier prediction: beside the new ones it would show what is no longer said.
        if _OUR_OVERLAY.fullmatch(path.name) and path.name not in names:
            path.unlink()
    for picture in pictures:
        with write_atomically(folder / picture.name) as temporary:
            Image.fromarray(picture.overlay).save(temporary, "PNG")
