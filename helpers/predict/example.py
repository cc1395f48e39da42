"""An example folder, such as a user might have: test images as files, a cine, and two bad files."""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from pydicom import Dataset, dcmwrite
from pydicom.uid import (
    MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    MultiFrameTrueColorSecondaryCaptureImageStorage,
    generate_uid,
)

from helpers.data.splits import Splits

PICTURES, FRAMES = 10, 6
CINE, TOO_SMALL, TRUNCATED = "cine.dcm", "too_small.png", "truncated.png"


@dataclass(frozen=True)
class Example:
    """What an example folder holds."""

    folder: Path  # where it is
    # (file, frame) -> index in the test split of the image that it shows.
    test_images: dict[tuple[str, int], int]


def write_example_folder(folder: Path, splits: Splits) -> Example:
    """Write ten PNG files, a DICOM cine of six frames, a PNG of 5 x 5 pixels and half a PNG.

    The images, grey or colour, are drawn from the test split, the classes taking turns, each image
    once as far as there are enough. The cine's header names no person; its frames are test images
    in a row, no film. A `FileExistsError` where the folder holds something already.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise FileExistsError(f"the example folder {folder.name} is not empty; choose another.")
    images, labels = splits.test.images, splits.test.labels
    order = np.random.default_rng(0).permutation(len(labels))
    turn = pd.Series(order).groupby(labels[order]).cumcount()
    chosen = np.resize(order[np.argsort(turn, kind="stable")], PICTURES + FRAMES)
    shown = {}
    for number, index in enumerate(chosen[:PICTURES]):
        name = f"image_{number:02d}.png"
        (folder / name).write_bytes(_png(images[index]))
        shown[name, 0] = int(index)
    (folder / CINE).write_bytes(_cine(images[chosen[PICTURES:]]))
    shown |= {(CINE, frame): int(index) for frame, index in enumerate(chosen[PICTURES:])}
    (folder / TOO_SMALL).write_bytes(_png(images[chosen[0]][:5, :5]))
    whole = _png(images[chosen[0]])
    (folder / TRUNCATED).write_bytes(whole[: len(whole) // 2])
    return Example(folder, shown)


def _png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(file, "PNG")
    return file.getvalue()


def _cine(frames: np.ndarray) -> bytes:
    """Return a multi-frame DICOM file of uint8 (F, H, W, C)."""
    colour = frames.shape[3] == 3
    dataset = Dataset()
    dataset.SOPClassUID = MultiFrameGrayscaleByteSecondaryCaptureImageStorage
    if colour:
        dataset.SOPClassUID = MultiFrameTrueColorSecondaryCaptureImageStorage
    # Of the content: equal images make equal files.
    entropy = [str(frames.shape), frames.tobytes().hex()]
    dataset.StudyInstanceUID = generate_uid(entropy_srcs=["study", *entropy])
    dataset.SeriesInstanceUID = generate_uid(entropy_srcs=["series", *entropy])
    dataset.SOPInstanceUID = generate_uid(entropy_srcs=["instance", *entropy])
    dataset.PatientName, dataset.PatientID = "EXAMPLE^NOT A PATIENT", "EXAMPLE-NOT-A-PATIENT"
    dataset.PatientIdentityRemoved = "YES"
    dataset.DeidentificationMethod = "Made by a program from public images"
    dataset.Modality, dataset.ConversionType = "OT", "SYN"
    dataset.ImageComments = "Example: single public test images in a row, no film of a patient"
    pixels, kind = (frames, "RGB") if colour else (frames[..., 0], "MONOCHROME2")
    dataset.set_pixel_data(pixels, kind, 8, generate_instance_uid=False)
    file = io.BytesIO()
    dcmwrite(file, dataset, enforce_file_format=True)
    return file.getvalue()
