"""One picture file, read in one way for training and for prediction.

PNG, JPEG, TIFF (all pages), BMP, GIF, WebP, JPEG 2000 and PPM; the content decides what a file is,
not its name. Grey and RGB of 8 bits stay as they are. Grey of 16 bits, and in PNG and TIFF colour
of 16 bits, stay so until `to_uint8` divides them by 2^b - 1. Palettes become RGB, one bit becomes 0
and 255, opaque alpha is dropped, grey that counts from white is inverted, and the orientation in
the EXIF data is applied. Refused, and never read in part: transparency, floating point, negative
and 32-bit values, CMYK, animations.
"""

import io
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from PIL import Image, ImageSequence, TiffImagePlugin, UnidentifiedImageError

from helpers.data.picture_pixels import colour_bits, stored_pixels, tiff_kind
from helpers.data.splits import DataError

# Formats with code of their own in Pillow; EPS and others would start foreign programs.
FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP", "JPEG2000", "PPM")
SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif", ".webp", ".jp2", ".j2k")
# A few kilobytes can claim any size, so a file is measured as a whole before it is decoded.
MAX_PIXELS = 2**26  # of one picture: 8,192 x 8,192
MAX_PAGES = 4096
MAX_DECODED = 2**28  # bytes of all pages of a file
MAX_FILE = 2**30  # bytes on disk
NEARLY_FLAT = "nearly flat"
_FLAT_LEVELS, _FLAT_SHARE = 16, 0.99
EQUAL_CHANNELS = "equal channels are grey"


@dataclass(frozen=True)
class Reading:
    """How the files of a data set were read: stored with a run, applied again when it predicts."""

    # b, 8 to 16: pictures of 16 bits are divided by 2^b - 1, the smallest such number that holds
    # the largest value of all the data set's files; None if none has 16 bits. A file read without
    # such a data set is divided by its own.
    bits: int | None = None
    orientation: str = "exif"  # pictures are turned upright as their EXIF data say
    # Or `EQUAL_CHANNELS`, where all files of the data set have three equal channels.
    colour: str = "as stored"

    def __post_init__(self) -> None:
        """Refuse what no file is read by."""
        good = self.bits is None or (type(self.bits) is int and 8 <= self.bits <= 16)
        good &= self.orientation == "exif"
        if not good or self.colour not in ("as stored", EQUAL_CHANNELS):
            raise DataError(
                f"{self} is no known way of reading; expected bits from 8 to 16 or None, "
                f"orientation exif, and colour 'as stored' or {EQUAL_CHANNELS!r}."
            )

    def to_dict(self) -> dict[str, Any]:
        """Return what a record keeps."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: Any) -> "Reading":
        """Return the reading in a record's data; of older runs, which have none, the default.

        Raises:
            DataError: it is damaged, or of a newer version.
        """
        if record is None:
            return cls()
        if not isinstance(record, Mapping) or set(record) != set(asdict(cls())):
            raise DataError(f"the record's reading is {record!r}; expected {asdict(cls())}, say.")
        return cls(**record)


class Picture(NamedTuple):
    """One picture, its values as stored."""

    pixels: np.ndarray  # uint8 or uint16 (H, W, C), C 1 (grey) or 3 (RGB)
    inverted: bool = False  # whether 0 is white (of uint16 alone; uint8 is inverted already)
    notes: tuple[str, ...] = ()  # what was done to it
    view: str = ""  # what its greys come from, in words, where a header says it (DICOM)

    @property
    def is_deep(self) -> bool:
        """Whether it has 16 bits."""
        return self.pixels.dtype == np.uint16


class LargeFile(Exception):
    """A file that decodes to more bytes than the caller wants now."""


def read_pictures(file: BinaryIO, *, suffix: str, at_most: int | None = None) -> list[Picture]:
    """Read the picture in a file, or all pages of a TIFF.

    Args:
        file: the open file.
        suffix: of its name, for the reason of one that is no picture.
        at_most: bytes that it may decode to without raising `LargeFile`.

    Raises:
        DataError: no picture, damaged, too large, or of a kind that is not read; says why, not
            where.
        LargeFile: see `at_most`.
    """
    if file.seek(0, io.SEEK_END) > MAX_FILE:
        raise DataError(f"more than {MAX_FILE:,} bytes; split it, or crop or shrink it")
    file.seek(0)
    head = file.read(64)
    file.seek(0)
    try:
        with Image.open(file, formats=FORMATS) as image:
            pages, decoded = _measure(image, head)
            if at_most is not None and decoded > at_most:
                raise LargeFile
            return [Picture(*stored_pixels(image, file, head, page)) for page in range(pages)]
    except (DataError, LargeFile, MemoryError):
        raise
    except UnidentifiedImageError:
        pass
    except Image.DecompressionBombError:
        raise DataError(f"more than {MAX_PIXELS:,} pixels") from None
    except Exception:
        # Damaged files make Pillow raise nearly every kind of error.
        raise DataError(tiff_kind(file, head) or "damaged or truncated picture") from None
    if kind := tiff_kind(file, head):
        raise DataError(kind)
    if suffix.lower() in SUFFIXES:
        raise DataError(f"no picture inside, though its name ends in {suffix}")
    raise DataError("no image of a known kind")


def bits_of(pictures: Iterable[Picture]) -> int | None:
    """Return the bits, 8 at least, that hold every value of the 16-bit pictures; None without."""
    largest = [int(picture.pixels.max()).bit_length() for picture in pictures if picture.is_deep]
    return max(8, *largest) if largest else None


def to_uint8(picture: Picture, bits: int | None) -> np.ndarray:
    """Return uint8 pixels: 16 bits are divided by 2^bits - 1, and what is beyond it becomes 255."""
    if not picture.is_deep:
        return picture.pixels
    top = 2**bits - 1
    table = np.round(np.arange(top + 1) * (255.0 / top)).astype(np.uint8)
    pixels = table[np.minimum(picture.pixels, np.uint16(top))]
    return 255 - pixels if picture.inverted else pixels


def flatness(pixels: np.ndarray, view: str = "") -> str | None:
    """Say of an image that has next to one grey (or colour) left that it is so; else None.

    A picture may lose its content on the way in: a window beside its values, 12 bits read as 16, an
    exposure that failed. A network answers all the same, so whoever reads pictures has to say so.
    It has lost it if every channel shows fewer than 16 of the 256 levels, wherever they lie, or has
    99 % of its pixels within 16 neighbouring levels; X-ray, ultrasound and microscopy images have
    50 levels and more.

    Args:
        pixels: uint8 (H, W, C).
        view: what its greys come from, in words, if that is known.
    """
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or not pixels.size:
        raise ValueError(f"expected a uint8 image (H, W, C), got {pixels.dtype} {pixels.shape}")
    # Four times as fast as `np.bincount`, which makes 64-bit numbers of all pixels first.
    channels = np.ascontiguousarray(np.moveaxis(pixels, -1, 0))
    counts = np.array([Image.fromarray(channel).histogram() for channel in channels])
    levels = (counts > 0).sum(axis=1)
    neighbours = np.ones(_FLAT_LEVELS, int)
    together = np.array([np.convolve(count, neighbours).max() for count in counts])
    is_flat = (levels < _FLAT_LEVELS) | (together >= _FLAT_SHARE * counts.sum(axis=1))
    if not is_flat.all():
        return None
    greys = f"{levels.max()} of 256 grey levels, from {pixels.min()} to {pixels.max()}"
    if levels.max() == 1 and pixels.max() == pixels.min():
        greys = f"all its values are {pixels.max()} of 0 to 255"
    return f"{NEARLY_FLAT}: {greys}" + (f" ({view})" if view else "")


def _measure(image: Image.Image, head: bytes) -> tuple[int, int]:
    """Return how many pictures to take from a file and the bytes that they decode to.

    Raises:
        DataError: too many, or too large, all pages looked at; or animated.
    """
    if image.format != "TIFF":
        frames = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
        if frames > 1:  # what follows the first picture of an MPO is its preview
            raise DataError(
                f"animated {image.format} of {frames} frames; save the one that is meant"
            )
        sizes = [_decoded_bytes(image, head)]
    else:
        sizes = []
        for page in islice(ImageSequence.Iterator(image), MAX_PAGES + 1):
            number = len(sizes) + 1 if page.is_animated else None
            sizes.append(_decoded_bytes(page, head, page=number))
        image.seek(0)
    pages, decoded = len(sizes), sum(sizes)
    if pages > MAX_PAGES or decoded > MAX_DECODED:
        count = f"more than {MAX_PAGES}" if pages > MAX_PAGES else str(pages)
        what = f"{count} pages of" if pages > 1 else f"{image.width} x {image.height} pixels of"
        raise DataError(
            f"{what} {decoded:,} bytes in all are too many; at most {MAX_PAGES} pages and "
            f"{MAX_DECODED:,} bytes are read: split the file"
        )
    return pages, decoded


def _decoded_bytes(image: Image.Image, head: bytes, *, page: int | None = None) -> int:
    where = f"page {page}: " if page else ""
    if image.width * image.height > MAX_PIXELS:
        raise DataError(
            f"{where}{image.width} x {image.height} pixels are more than {MAX_PIXELS:,}; crop or "
            "shrink it"
        )
    if image.format == "TIFF":
        tags = image.tag_v2
        tile = int(tags.get(TiffImagePlugin.TILEWIDTH, 1)) * int(
            tags.get(TiffImagePlugin.TILELENGTH, 1)
        )
        if tile > MAX_PIXELS:
            raise DataError(f"{where}tiles of {tile:,} pixels are more than {MAX_PIXELS:,}")
    bits = 16 if image.mode[0] in "IF" else colour_bits(image, head)
    return image.width * image.height * len(image.getbands()) * (1 if bits <= 8 else 2)
