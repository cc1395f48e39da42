"""A folder of somebody's images: what is in it, and the frames of each file or why it is skipped.

Nothing is left out silently: each file of the folder and of its subfolders either gives all its
frames or is skipped with a reason. Files are read as for training (`helpers.data.image_files`), and
16-bit pictures are scaled as those were that the run was trained on, where it was trained on such.
"""

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from helpers.data.image_files import read_file as read_one
from helpers.data.pictures import LargeFile, Picture, Reading, bits_of, flatness, to_uint8
from helpers.data.splits import DataError

# Below this a picture holds next to nothing; MedMNIST's smallest, on which runs train, has 28.
MIN_SIDE = 16
SQUEEZED = "squeezed to a square"
_LISTED = 5  # entries of a folder that an error names


@dataclass(frozen=True)
class ImageFile:
    """A file that may hold images."""

    # Path within the folder, with / between its parts; what does not print or would not be seen,
    # and backslashes, are written as escapes, so that no two look alike.
    name: str
    path: Path
    size: int  # bytes on disk


@dataclass(frozen=True, eq=False)
class Frame:
    """One image."""

    file: str  # name of its file, as in `ImageFile`
    frame: int  # its number in the file, from 0
    pixels: np.ndarray  # uint8 (H, W, C), C 1 or 3
    notes: tuple[str, ...] = ()  # what a reader should know of it


@dataclass(frozen=True)
class Skipped:
    """A file (or a folder of files) that gives no image, and why."""

    file: str
    reason: str


def list_folder(folder: Path) -> tuple[list[ImageFile], list[Skipped]]:
    """Return the files to read of a folder and its subfolders by name, and what is skipped unread.

    Hidden files and folders are skipped, links to folders are not followed. A `DataError` where
    there is no such folder, or it cannot be listed.
    """
    if not os.path.exists(folder):  # also of a name that no file can have
        raise DataError(f"there is no folder {folder}; expected one with images.")
    if not folder.is_dir():
        raise DataError(f"{folder} is a file; expected a folder with images.")
    found: list[ImageFile] = []
    skipped: list[Skipped] = []

    def name_of(path: Path) -> str:
        return _printable(path.relative_to(folder).as_posix())

    def refuse(error: OSError) -> None:
        if Path(error.filename) == folder:
            raise DataError(f"the folder {folder} cannot be listed: {error.strerror}.") from error
        reason = f"folder cannot be listed: {error.strerror}"
        skipped.append(Skipped(name_of(Path(error.filename)), reason))

    for parent, subfolders, files in os.walk(folder, onerror=refuse):
        here = Path(parent)
        for name in list(subfolders):
            reason = "hidden folder" if name.startswith(".") else None
            if (here / name).is_symlink():
                reason = "link to a folder, not followed"
            if reason:
                subfolders.remove(name)
                skipped.append(Skipped(name_of(here / name), reason))
        for name in files:
            path = here / name
            size = "hidden file" if name.startswith(".") else _size(path)
            if isinstance(size, str):
                skipped.append(Skipped(name_of(path), size))
            else:
                found.append(ImageFile(name_of(path), path, size))
    return sorted(found, key=lambda f: f.name), sorted(skipped, key=lambda s: s.file)


def read_file(
    found: ImageFile,
    reading: Reading | None = None,
    *,
    min_side: int = MIN_SIDE,
    at_most: int | None = None,
) -> list[Frame] | Skipped:
    """Read all frames of a file; whatever is wrong with it becomes a reason.

    Args:
        found: from `list_folder`.
        reading: how the files were read that the run was trained on.
        min_side: of an image, in pixels; smaller ones are skipped.
        at_most: bytes that it may decode to; for more a `LargeFile` is raised.
    """
    try:
        with found.path.open("rb") as file:
            one = read_one(file, what="the file", suffix=found.path.suffix, at_most=at_most)
        pictures = one.pictures
        for number, picture in enumerate(pictures):
            height, width = picture.pixels.shape[:2]
            if min(height, width) < min_side:
                where = f"frame {number}: " if len(pictures) > 1 else ""
                raise DataError(
                    f"{where}{width} x {height} pixels; at least {min_side} x {min_side} are needed"
                )
        return _frames(found.name, pictures, reading or Reading())
    except DataError as error:
        # Most messages begin with the file, which stands beside the reason anyway.
        return Skipped(found.name, str(error).removeprefix("the file: ").rstrip("."))
    except LargeFile:
        raise
    except OSError as error:
        return Skipped(found.name, f"cannot be opened: {error.strerror or 'input error'}")
    except MemoryError:
        return Skipped(found.name, "needs more memory than there is")


def to_grey(pixels: np.ndarray) -> np.ndarray:
    """Return the luma of an RGB image (ITU-R BT.601), uint8 (H, W, 1); equal channels stay."""
    return np.array(Image.fromarray(pixels).convert("L"))[..., None]


def folder_content(found: list[ImageFile], skipped: list[Skipped]) -> str:
    """Say in a few words what a folder without images holds."""
    reasons = [f"{s.file} ({s.reason})" for s in skipped] + [f.name for f in found]
    if not reasons:
        return "it is empty"
    more = f" and {len(reasons) - _LISTED} more" if len(reasons) > _LISTED else ""
    return f"it holds {', '.join(reasons[:_LISTED])}{more}"


def _frames(name: str, pictures: list[Picture], reading: Reading) -> list[Frame]:
    """Make 8 bits of all pictures of a file by one number: the run's, or else the file's own."""
    bits = reading.bits or bits_of(pictures)
    frames = []
    for number, picture in enumerate(pictures):
        pixels = to_uint8(picture, bits)
        notes = picture.notes + _scaled(picture, bits)
        sides = pixels.shape[:2]
        if max(sides) > 1.1 * min(sides):
            notes += (SQUEEZED,)
        if flat := flatness(pixels, picture.view):
            notes += (flat,)
        frames.append(Frame(name, number, pixels, notes))
        pictures[number] = None  # its memory is wanted for the next ones
    return frames


def _scaled(picture: Picture, bits: int | None) -> tuple[str, ...]:
    if not picture.is_deep:
        return ()
    kind = "grey" if picture.pixels.shape[2] == 1 else "colour"
    top, largest = 2**bits - 1, int(picture.pixels.max())
    note = f"16-bit {kind}: 0 to {top} became 0 to 255"
    if largest <= top:
        return (note,)
    beyond = f"values up to {largest} are beyond the {bits} bits of the training images"
    return note, f"{beyond} and became 255"


def _size(path: Path) -> int | str:
    """Return a file's bytes, or why it is not even opened: reading a pipe would never end."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return "link to nothing"
    except OSError as error:
        return f"cannot be opened: {error.strerror}"
    return status.st_size if stat.S_ISREG(status.st_mode) else "no regular file"


def _printable(name: str) -> str:
    """Write what does not print as escapes: line ends, terminal codes, bytes that are no UTF-8.

    So are spaces that a page does not show, at an end or after another one, and a ' in front, which
    in a table marks what looks like a formula. A backslash is doubled, so that no two names become
    or look like one.
    """
    name = name.replace("\\", 2 * "\\")
    name = re.sub(r"^[ ']| \Z|(?<= ) ", lambda found: rf"\x{ord(found[0]):x}", name)
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)
