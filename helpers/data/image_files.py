"""From files to pixels: PNG, JPEG, TIFF and DICOM, checked to be alike.

8-bit images stay as they are. 16-bit grey PNG and TIFF are divided by one number for the whole
folder, the smallest 2^b - 1 that holds the largest value, so 12-bit data fills the range too. DICOM
frames are made 8 bits by their own header (see `helpers.data.dicom`). RGB files whose three
channels are equal in the whole folder are read as grey. Opaque alpha is dropped.
"""

import hashlib
import io
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from helpers.data.dicom.frames import is_dicom, pseudonym, read_dicom
from helpers.data.splits import DataError

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
DICOM_SUFFIXES = (".dcm", ".dicom")


@dataclass(frozen=True, eq=False)
class ImageFiles:
    """The pixels of a folder.

    Args:
        images: uint8 (N, H, W, C), C = 1 (grey) or 3 (RGB).
        rows: int64 (N,), which of the rows asked for an image belongs to.
        groups: str (N,), pseudonyms of patients (see `helpers.data.dicom`), a file without one
            being a group of its own; None if no file is DICOM.
        digest: of the names and bytes of the files.
    """

    images: np.ndarray
    rows: np.ndarray
    groups: np.ndarray | None
    digest: "hashlib._Hash"


def is_image(path: Path) -> bool:
    """Return whether a file is an image of a known kind, by its suffix or DICOM's mark."""
    if path.suffix.lower() in SUFFIXES + DICOM_SUFFIXES:
        return True
    with path.open("rb") as file:
        return is_dicom(file.read(132))


def read_images(folder: Path, files: list[str], frames: list[int | None]) -> ImageFiles:
    """Read images.

    Args:
        folder: where they are.
        files: names relative to `folder`, one a row; rows of one file follow each other.
        frames: the frame (from 0) that a row is about, or None for all frames of its file.

    Raises:
        DataError: a file is missing, unreadable, or unlike the others; names it.
    """
    if not files:
        raise DataError(f"{folder.name} has no images in its folders.")
    digest = hashlib.md5(usedforsecurity=False)
    contents: dict[str, bytes] = {}
    images: list[np.ndarray] = []
    rows: list[int] = []
    groups: list[str] = []
    any_dicom = False
    for file, members in groupby(range(len(files)), key=files.__getitem__):
        numbers = list(members)
        chosen = [frames[row] for row in numbers]
        content = _read_bytes(folder, file)
        contents[file] = hashlib.md5(content, usedforsecurity=False).digest()
        what = f"{folder.name}/{file}"
        group = None
        if Path(file).suffix.lower() in SUFFIXES:
            pictures = [_decode(what, content)]
            if chosen not in ([None], [0]):
                raise DataError(f"{what}: frame {max(chosen)} is out of range; it has frame 0.")
        else:
            any_dicom = True
            read = read_dicom(what, content, None if chosen == [None] else chosen)
            pictures, group = list(read.images), read.group
        images += pictures
        rows += numbers * len(pictures) if chosen == [None] else numbers
        groups += [group or pseudonym("file", file)] * len(pictures)
    for file in sorted(contents):
        digest.update(file.encode() + b"\0" + contents[file])
    return ImageFiles(
        images=_stack(folder.name, [files[row] for row in rows], images),
        rows=np.array(rows, dtype=np.int64),
        groups=np.array(groups, dtype=str) if any_dicom else None,
        digest=digest,
    )


def _read_bytes(folder: Path, file: str) -> bytes:
    path = folder / file
    if not path.is_file():
        raise DataError(f"{folder.name}/{file} is not there, or is a folder; expected an image.")
    if not is_image(path):
        raise DataError(
            f"{folder.name}/{file} is no image of a known kind; expected "
            f"{', '.join(SUFFIXES + DICOM_SUFFIXES)}, or DICOM under another name."
        )
    return path.read_bytes()


def _decode(what: str, content: bytes) -> np.ndarray:
    """Return uint8 (H, W, 1), uint8 (H, W, 3) or uint16 (H, W, 1)."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            frames = getattr(image, "n_frames", 1)
            image.load()
            if image.mode in ("P", "PA"):
                image = image.convert("RGBA" if "transparency" in image.info else "RGB")
            elif image.mode == "1":
                image = image.convert("L")
            mode, pixels = image.mode, np.asarray(image)
    except (
        OSError,
        SyntaxError,
        ValueError,
        UnidentifiedImageError,
        Image.DecompressionBombError,
    ) as error:
        # Pillow's message may hold a memory address; the file's name is what helps.
        raise DataError(f"{what} is unreadable: truncated, or no image.") from error
    if frames != 1:
        raise DataError(f"{what} has {frames} frames; expected one image a file.")
    if mode in ("LA", "RGBA"):
        if (pixels[..., -1] != 255).any():
            raise DataError(f"{what} is partly transparent; save it without alpha.")
        pixels = pixels[..., :-1]
    elif mode == "I" and pixels.min() >= 0 and pixels.max() < 2**16:
        pixels = pixels.astype(np.uint16)
    elif mode not in ("L", "RGB") and not mode.startswith("I;16"):
        raise DataError(f"{what} has pixel mode {mode}; expected grey (8 or 16 bit) or RGB.")
    if pixels.dtype.kind == "u" and pixels.dtype.itemsize == 2:
        pixels = pixels.astype(np.uint16)
    return pixels if pixels.ndim == 3 else pixels[..., None]


def _stack(folder: str, files: list[str], images: list[np.ndarray]) -> np.ndarray:
    """Return uint8 (N, H, W, C) of images that are alike."""
    _check_alike(folder, files, images)
    if images[0].shape[2] == 3 and all((im == im[..., :1]).all() for im in images):
        images = [im[..., :1] for im in images]
    stack = np.stack(images)
    if stack.dtype == np.uint16:
        bits = max(8, int(stack.max()).bit_length())
        grey = np.round(np.arange(2**bits) * (255.0 / (2**bits - 1))).astype(np.uint8)
        stack = grey[stack]
    return np.ascontiguousarray(stack)


def _check_alike(folder: str, files: list[str], images: list[np.ndarray]) -> None:
    """Raise DataError unless all images have one size, one depth and one kind of colour."""
    for file, image in zip(files, images, strict=True):
        if image.shape[:2] != images[0].shape[:2]:
            sizes = [f"{im.shape[1]} x {im.shape[0]}" for im in (images[0], image)]
            raise DataError(
                f"{folder}: mixed sizes: {files[0]} has {sizes[0]} pixels, {file} {sizes[1]}; "
                "resize or crop them to one size first."
            )
        if image.dtype != images[0].dtype:
            raise DataError(
                f"{folder}: mixed depths: {files[0]} {images[0].dtype}, {file} "
                f"{image.dtype}; save all with 8 or all with 16 bits."
            )
        if image.shape[2] != images[0].shape[2]:
            raise DataError(
                f"{folder}: mixed grey and colour: {files[0]} has {images[0].shape[2]} channel(s), "
                f"{file} {image.shape[2]}; save all as grey or all as RGB."
            )
