"""From files to pixels: every file is read in one way, and those of a data set are made alike.

A picture is read as `helpers.data.pictures` says, DICOM (under any name) as `helpers.data.dicom`
says: its frames are made 8 bits by their own header. `read_file` is what training and prediction
both read with.

A folder of training images has one depth: 16-bit pictures of all its files, of all splits, are
divided by one number, the smallest 2^b - 1 (b from 8) that holds the largest value of all, so that
12-bit data fills the range too. RGB files whose three channels are equal in the whole folder are
read as grey. A run records both (`helpers.data.pictures.Reading`), and prediction reads by that
record.
"""

import hashlib
import io
import os
import threading
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import BinaryIO

import numpy as np

from helpers.data.dicom.frames import MAX_BYTES, is_dicom, pseudonym, read_dicom
from helpers.data.picture_pixels import TURNED
from helpers.data.pictures import (
    EQUAL_CHANNELS,
    SUFFIXES,
    LargeFile,
    Picture,
    Reading,
    bits_of,
    flatness,
    read_pictures,
    to_uint8,
)
from helpers.data.splits import DataError

DICOM_SUFFIXES = (".dcm", ".dicom")
_LISTED = 5  # files that a note names
# What all images of a folder have in common.
_ALIKE: tuple[tuple[str, Callable[[np.ndarray], str], str], ...] = (
    (
        "sizes",
        lambda image: f"{image.shape[1]} x {image.shape[0]} pixels",
        "resize or crop them to one size first",
    ),
    ("depths", lambda image: str(image.dtype), "save all with 8 or all with 16 bits"),
    (
        "grey and colour",
        lambda image: f"{image.shape[2]} channel(s)",
        "save all as grey or all as RGB",
    ),
)
# Reading a header changes Python's list of warnings for a moment, for all threads at once.
_ONE_DICOM_AT_A_TIME = threading.Lock()


@dataclass(frozen=True, eq=False)
class OneFile:
    """What a file holds."""

    pictures: list[Picture]  # its frames or pages
    # Pseudonym of whose they are, of DICOM files that say so (see `helpers.data.dicom`).
    group: str | None = None
    is_dicom: bool = False  # whether it is a DICOM file


@dataclass(frozen=True, eq=False)
class ImageFiles:
    """The pixels of a folder."""

    images: np.ndarray  # uint8 (N, H, W, C), C = 1 (grey) or 3 (RGB)
    rows: np.ndarray  # int64 (N,), which of the rows asked for an image belongs to
    # str (N,), pseudonyms of patients (see `helpers.data.dicom`), a file without one being a group
    # of its own; None if no file is DICOM.
    groups: np.ndarray | None
    digest: "hashlib._Hash"  # of the names and bytes of the files
    reading: Reading  # how they were read
    notes: tuple[str, ...]  # what a reader should know of single files


def is_image(path: Path) -> bool:
    """Return whether a file is an image of a known kind, by its suffix or DICOM's mark."""
    if path.suffix.lower() in SUFFIXES + DICOM_SUFFIXES:
        return True
    with path.open("rb") as file:
        return is_dicom(file.read(132))


def read_file(
    file: BinaryIO,
    *,
    what: str,
    suffix: str,
    frames: Sequence[int] | None = None,
    at_most: int | None = None,
) -> OneFile:
    """Read one file, whatever its name says.

    Args:
        file: the open file.
        what: its name in errors.
        suffix: of its name; of a file that is neither, it tells which of the two was expected.
        frames: which frames of a DICOM file, from 0; None for all.
        at_most: bytes that it may decode to without raising `LargeFile`.

    Raises:
        DataError: it cannot be read; names it and says why.
        LargeFile: it decodes to more bytes than `at_most`.
    """
    head = file.read(132)
    if not head:
        raise DataError(f"{what}: empty file")
    file.seek(0)
    if not is_dicom(head) and suffix.lower() not in DICOM_SUFFIXES:
        try:
            return OneFile(read_pictures(file, suffix=suffix, at_most=at_most))
        except DataError as error:
            raise DataError(f"{what}: {error}") from None
    size = file.seek(0, io.SEEK_END)
    if size > MAX_BYTES:
        raise DataError(f"{what}: DICOM file of more than {MAX_BYTES:,} bytes; split it into parts")
    if at_most is not None and size > at_most:
        raise LargeFile
    file.seek(0)
    with _ONE_DICOM_AT_A_TIME:
        read = read_dicom(what, file.read(), frames)
    if at_most is not None and read.images.nbytes > at_most:
        raise LargeFile  # compressed; to be read again in its turn
    return OneFile(
        [Picture(image, view=read.view) for image in read.images], read.group, is_dicom=True
    )


def read_images(folder: Path, files: list[str], frames: list[int | None]) -> ImageFiles:
    """Read images.

    Args:
        folder: where they are.
        files: names relative to `folder`, one a row; rows of one file follow each other.
        frames: the frame (from 0) that a row is about, or None for all frames of its file.

    Raises:
        DataError: a file is missing, unreadable, or unlike the others, or all of them are more
            than this machine's memory holds; names it.
    """
    if not files:
        raise DataError(f"{folder.name} has no images in its folders.")
    digest = hashlib.md5(usedforsecurity=False)
    contents: dict[str, bytes] = {}
    pictures: list[Picture] = []
    rows: list[int] = []
    groups: list[str] = []
    any_dicom = False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, of files that it reads or refuses anyway
        for file, members in groupby(range(len(files)), key=files.__getitem__):
            numbers = list(members)
            chosen = [frames[row] for row in numbers]
            one, contents[file] = _read_one(folder, file, chosen)
            any_dicom |= one.is_dicom
            pictures += one.pictures
            rows += numbers * len(one.pictures) if chosen == [None] else numbers
            groups += [one.group or pseudonym("file", file)] * len(one.pictures)
            _check_memory(folder.name, pictures, left=len(files) - numbers[-1] - 1)
    for file in sorted(contents):
        digest.update(file.encode() + b"\0" + contents[file])
    names = [files[row] for row in rows]
    images, reading = _stack(folder.name, names, pictures)
    return ImageFiles(
        images=images,
        rows=np.array(rows, dtype=np.int64),
        groups=np.array(groups, dtype=str) if any_dicom else None,
        digest=digest,
        reading=reading,
        notes=_notes(names, images),
    )


def _read_one(folder: Path, file: str, chosen: list[int | None]) -> tuple[OneFile, bytes]:
    """Read a file of a folder; return it with the digest of its bytes."""
    what, path = f"{folder.name}/{file}", folder / file
    if not os.path.isfile(path):  # also of a name that no file can have
        raise DataError(f"{what} is not there, or is a folder; expected an image.")
    if not is_image(path):
        raise DataError(
            f"{what} is no image of a known kind; expected "
            f"{', '.join(SUFFIXES + DICOM_SUFFIXES)}, or DICOM under another name."
        )
    with path.open("rb") as opened:
        digest = hashlib.file_digest(opened, lambda: hashlib.md5(usedforsecurity=False))
        opened.seek(0)
        wanted = None if chosen == [None] else chosen
        one = read_file(opened, what=what, suffix=path.suffix, frames=wanted)
    if one.is_dicom:
        return one, digest.digest()
    if len(one.pictures) != 1:
        raise DataError(f"{what} has {len(one.pictures)} frames; expected one image a file.")
    if chosen not in ([None], [0]):
        raise DataError(f"{what}: frame {max(chosen)} is out of range; it has frame 0.")
    (picture,) = one.pictures
    deep_colour = picture.is_deep and picture.pixels.shape[2] == 3
    if TURNED in picture.notes or picture.inverted or deep_colour:
        # Earlier versions read the same bytes as other pixels: a run of theirs saw other data.
        digest.update(b"turned, inverted, or 16 bits of colour")
    return one, digest.digest()


def _check_memory(folder: str, pictures: list[Picture], *, left: int) -> None:
    """Refuse a folder as soon as it is known to hold more than the machine does."""
    one = pictures[-1].pixels
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if (len(pictures) + left) * one.nbytes > memory:
        raise DataError(
            f"{folder}: {len(pictures) + left:,} images of {one.shape[1]} x {one.shape[0]} pixels "
            f"and {one.nbytes:,} bytes are more than the memory of this machine, {memory:,} bytes; "
            "shrink the images or take fewer."
        )


def _stack(folder: str, files: list[str], pictures: list[Picture]) -> tuple[np.ndarray, Reading]:
    """Return uint8 (N, H, W, C) of pictures that are alike, and how they were read."""
    _check_alike(folder, files, [picture.pixels for picture in pictures])
    first = pictures[0].pixels
    equal = first.shape[2] == 3 and all(
        (picture.pixels == picture.pixels[..., :1]).all() for picture in pictures
    )
    bits = bits_of(pictures)
    stack = np.empty((len(pictures), *first.shape[:2], 1 if equal else first.shape[2]), np.uint8)
    for row, picture in enumerate(pictures):
        stack[row] = to_uint8(picture, bits)[..., : stack.shape[3]]
        pictures[row] = None  # its memory is wanted for the next ones
    return stack, Reading(bits=bits, colour=EQUAL_CHANNELS if equal else "as stored")


def _notes(files: list[str], images: np.ndarray) -> tuple[str, ...]:
    said = [(file, flatness(image)) for file, image in zip(files, images, strict=True)]
    flat = [f"{file} ({why})" for file, why in said if why]
    if not flat:
        return ()
    more = f" and {len(flat) - _LISTED} more" if len(flat) > _LISTED else ""
    shown = "; ".join(flat[:_LISTED])
    return (f"{len(flat)} of {len(files)} images hold next to nothing: {shown}{more}.",)


def _check_alike(folder: str, files: list[str], images: list[np.ndarray]) -> None:
    """Raise DataError unless all images have one size, one depth and one kind of colour."""
    for file, image in zip(files, images, strict=True):
        for mixed, kind, advice in _ALIKE:
            expected, came = kind(images[0]), kind(image)
            if came != expected:
                raise DataError(
                    f"{folder}: mixed {mixed}: {files[0]} has {expected}, {file} {came}; {advice}."
                )
