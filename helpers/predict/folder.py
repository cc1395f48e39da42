"""The whole way: a folder of images and a run in, an output folder with a page out.

The output folder holds predictions.csv, skipped.csv, overlays/*.png and index.html, each written
whole. Nothing is overwritten unasked, and nothing is ever deleted but overlays of an earlier
prediction, known by their names.
"""

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import pandas as pd
from PIL import Image
from pydantic import Field

from helpers.config import check_type
from helpers.data.splits import DataError
from helpers.files import guarded
from helpers.paths import given_path, write_atomically, write_text
from helpers.predict.checkpoint import Checkpoint
from helpers.predict.overlays import Overlays, explain_frames
from helpers.predict.page import render
from helpers.predict.predict import BATCH_SIZE, Predictions, predict_files
from helpers.predict.reading import folder_content, list_folder

OVERLAY_COUNT = 24
PREDICTIONS, SKIPPED, PAGE, OVERLAYS = "predictions.csv", "skipped.csv", "index.html", "overlays"
NOT_CALIBRATED = "not calibrated"
_OUR_OVERLAY = re.compile(r"overlay_\d{5,}_\w*_\d{3,}\.png")

# What 11_predict takes from its `parameters` cell, beside what names a run.
PARAMETERS = {
    "images": str | None,
    "output": str | None,
    "threshold": float,
    "overlays": int,
    "overwrite": bool,
}


class OutputError(ValueError):
    """The output folder is not fit: it would be overwritten, or read as images later."""


@dataclass(frozen=True, eq=False)
class FolderReport:
    """What `predict_folder` found and wrote."""

    output: Path  # the folder
    table: pd.DataFrame  # the rows of predictions.csv, unrounded
    predictions: Predictions  # the same as arrays, and the skipped files
    overlays: Overlays  # the explained frames


def predict_folder(
    checkpoint: Checkpoint,
    images: str | Path,
    output: str | Path,
    *,
    overlays: int = OVERLAY_COUNT,
    overwrite: bool = False,
    batch_size: int = BATCH_SIZE,
    workers: int | None = None,
) -> FolderReport:
    """Predict all images of a folder and write the results. Not for clinical use.

    Args:
        checkpoint: the network.
        images: folder with pictures and DICOM files, of any size, in any subfolder.
        output: folder for the results, made if it is not there.
        overlays: how many frames get a class activation map at most; each costs a backward pass.
        overwrite: whether an output folder that is not empty may be written to. Only the files of
            an earlier prediction are replaced.
        batch_size: frames that go through the network together.
        workers: threads that read, see `predict_files`.

    Raises:
        DataError: no such folder, or no file in it that can be read.
        OutputError: the output folder is not empty or not fit.
        ValueError: a number out of range; `images` or `output` is empty.
    """
    images, output = given_path("images", images), given_path("output", output)
    check_type("overlays", overlays, Annotated[int, Field(ge=0)])
    files, unread = list_folder(images)
    if not files:
        raise DataError(f"{images} has no image: {folder_content(files, unread)}.")
    _check_output(output, images=images, overwrite=overwrite)
    predictions = predict_files(checkpoint, files, batch_size=batch_size, workers=workers)
    skipped = sorted(predictions.skipped + unread, key=lambda entry: entry.file)
    if not predictions.lines:
        raise DataError(f"{images} has no image that can be read: {folder_content([], skipped)}.")
    predictions = replace(predictions, skipped=skipped)
    explained = explain_frames(checkpoint, files, predictions, number=overlays)
    table = _prediction_table(checkpoint, predictions, explained)
    page = render(checkpoint, table=table, predictions=predictions, overlays=explained)
    report = FolderReport(output, table, predictions, explained)
    write_output(report, page)
    return report


def _check_output(output: Path, *, images: Path, overwrite: bool) -> None:
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
    if whole.is_relative_to(source):
        raise OutputError(
            f"the output folder {output.name} is the images folder or lies in it: the next "
            "prediction would read its overlays as images. Choose a folder outside."
        )
    if source.is_relative_to(inside) or inside.is_relative_to(source):
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


def _prediction_table(
    checkpoint: Checkpoint, predictions: Predictions, overlays: Overlays
) -> pd.DataFrame:
    """Lay out predictions.csv: one row a frame, in the order of file names and frames.

    Columns file, frame (from 0), p_<class name> for each class, predicted, confidence (the largest
    p), confidence_uncalibrated, calibration ("T = 1.2345" or "not calibrated"), width, height,
    overlay (file name or empty), note.
    """
    names, calibration = checkpoint.class_names, checkpoint.calibration
    lines, predicted = pd.DataFrame(predictions.lines), predictions.predicted
    pictures = {picture.row: picture.name for picture in overlays.pictures}
    answers = lines.index, predicted
    return pd.DataFrame(
        {
            "file": lines["file"],
            "frame": lines["frame"],
            **{f"p_{name}": predictions.probabilities[:, k] for k, name in enumerate(names)},
            "predicted": [names[k] for k in predicted],
            "confidence": predictions.probabilities[answers],
            "confidence_uncalibrated": predictions.uncalibrated[answers].astype(float),
            "calibration": f"T = {calibration.temperature:.4f}" if calibration else NOT_CALIBRATED,
            "width": lines["width"],
            "height": lines["height"],
            "overlay": [pictures.get(row, "") for row in lines.index],
            "note": lines["notes"].map("; ".join),
        }
    )


def write_output(report: FolderReport, page: str) -> None:
    """Write everything, the page last: where it is, the rest is there.

    In the CSV files a name that begins with = + - @ or a control character stands behind a ', so
    that a spreadsheet takes it for text (`helpers.files.text_cell`).
    """
    folder, pictures = report.output / OVERLAYS, report.overlays.pictures
    names = {picture.name for picture in pictures}
    for path in folder.glob("overlay_*.png"):
        # Of an earlier prediction: beside the new ones it would show what is no longer said.
        if _OUR_OVERLAY.fullmatch(path.name) and path.name not in names:
            path.unlink()
    for picture in pictures:
        with write_atomically(folder / picture.name) as temporary:
            Image.fromarray(picture.overlay).save(temporary, "PNG")
    skipped = pd.DataFrame(report.predictions.skipped, columns=["file", "reason"])
    for name, table in ((PREDICTIONS, report.table), (SKIPPED, skipped)):
        with write_atomically(report.output / name) as temporary:
            guarded(table).to_csv(temporary, index=False, float_format="%.6f", lineterminator="\n")
    write_text(report.output / PAGE, page)
