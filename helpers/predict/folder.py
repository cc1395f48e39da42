"""The whole way: a folder of images and a run in, an output folder with a page out."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import pandas as pd
from pydantic import Field

from helpers.config import check_type
from helpers.data.splits import DataError
from helpers.paths import given_path
from helpers.predict.checkpoint import Checkpoint
from helpers.predict.output import check_output, prediction_table, write_output
from helpers.predict.overlays import Overlays, explain_frames
from helpers.predict.page import render
from helpers.predict.predict import BATCH_SIZE, Predictions, predict_files
from helpers.predict.reading import folder_content, list_folder

OVERLAY_COUNT = 24

# What 11_predict takes from its `parameters` cell, beside what names a run.
PARAMETERS = {
    "images": str | None,
    "output": str | None,
    "threshold": float,
    "overlays": int,
    "overwrite": bool,
}


@dataclass(frozen=True, eq=False)
class FolderReport:
    """What `predict_folder` found and wrote."""

    output: Path  # the folder that holds predictions.csv, skipped.csv, overlays/ and index.html
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
    check_output(output, images=images, overwrite=overwrite)
    predictions = predict_files(checkpoint, files, batch_size=batch_size, workers=workers)
    skipped = sorted(predictions.skipped + unread, key=lambda entry: entry.file)
    if not predictions.lines:
        raise DataError(f"{images} has no image that can be read: {folder_content([], skipped)}.")
    predictions = replace(predictions, skipped=skipped)
    explained = explain_frames(checkpoint, files, predictions, number=overlays)
    table = prediction_table(checkpoint, predictions, explained)
    page = render(checkpoint, table=table, predictions=predictions, overlays=explained)
    write_output(output, table=table, predictions=predictions, overlays=explained, page=page)
    return FolderReport(output, table, predictions, explained)
