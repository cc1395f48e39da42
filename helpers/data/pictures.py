"""One picture file, read in one way for training and for prediction.

PNG, JPEG, TIFF (all pages), BMP, GIF, WebP, JPEG 2000 and PPM; the content decides what a file is,
not its name. Grey and RGB of 8 bits stay as they are. Grey of 16 bits, and in PNG and TIFF colour
of 16 bits, stay so until `to_uint8` divides them by 2^b - 1. Palettes become RGB, one bit becomes 0
and 255, opaque alpha is dropped, grey that counts from white is inverted, and the orientation in
the EXIF data is applied. Refused, and never read in part: transparency, floating point, negative
and 32-bit values, CMYK, animations.
"""

import io
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from PIL import Image, TiffImagePlugin, UnidentifiedImageError

from helpers.data.flatness import is_nearly_flat, levels
from helpers.data.splits import DataError

# Formats with code of their own in Pillow; EPS and others would start foreign programs.
FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP", "JPEG2000", "PPM")
SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif", ".webp", ".jp2", ".j2k")
# A few kilobytes can claim any size, so a file is measured as a whole before it is decoded.
MAX_PIXELS = 2**26  # of one picture: 8,192 x 8,192
MAX_PAGES = 4096
MAX_DECODED = 2**28  # bytes of all pages of a file
MAX_FILE = 2**30  # bytes on disk
_ORIENTATION = 0x0112
# Where Pillow finds an orientation; that of a TIFF it applies itself.
_EXIF = {"exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp"}
_TURNS: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a[::-1].swapaxes(0, 1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: a[:, ::-1].swapaxes(0, 1),
}
TURNED = "turned upright as its EXIF data say"
NEARLY_FLAT = "nearly flat"
EQUAL_CHANNELS = "equal channels are grey"


@dataclass(frozen=True)
class Reading:
    """How the files of a data set were read, where files may be read in several ways.

    It is stored with a run and applied again when the run predicts.

    Attributes:
        bits: b, 8 to 16: pictures of 16 bits are divided by 2^b - 1, the smallest such number that
            holds the largest value of all the data set's files; None if none has 16 bits. A file
            read without such a data set is divided by its own.
        orientation: "exif": pictures are turned upright as their EXIF data say.
        colour: "as stored", or "equal channels are grey" where all files of the data set have
            three equal channels.
    """

    bits: int | None = None
    orientation: str = "exif"
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
            return [_page(image, file, head, number) for number in range(pages)]
    except (DataError, LargeFile, MemoryError):
        raise
    except UnidentifiedImageError:
        pass
    except Image.DecompressionBombError:
        raise DataError(f"more than {MAX_PIXELS:,} pixels") from None
    except Exception:
        # Damaged files make Pillow raise nearly every kind of error.
        raise DataError(_tiff_kind(file, head) or "damaged or truncated picture") from None
    if kind := _tiff_kind(file, head):
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
    """Say of an image that has next to no content left that it is so; None of another one.

    Args:
        pixels: uint8 (H, W, C).
        view: what its greys come from, in words, if that is known.
    """
    if not is_nearly_flat(pixels):
        return None
    shown = levels(pixels)
    greys = f"{shown} of 256 grey levels, from {pixels.min()} to {pixels.max()}"
    if shown == 1 and pixels.max() == pixels.min():
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
        pages, decoded = 1, _decoded_bytes(image, head)
    else:
        pages = decoded = 0
        while pages <= MAX_PAGES:
            try:
                image.seek(pages)
            except EOFError:
                break
            pages += 1
            decoded += _decoded_bytes(image, head, page=pages if image.is_animated else None)
        image.seek(0)
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
    bits = 16 if image.mode[0] in "IF" else _colour_bits(image, head)
    return image.width * image.height * len(image.getbands()) * (1 if bits <= 8 else 2)


def _colour_bits(image: Image.Image, head: bytes) -> int:
    """Return the bits that a file has for a sample, where Pillow would not say so.

    Of colour and of grey with alpha it keeps the high byte alone.
    """
    if image.format == "PNG":
        if head[12:16] != b"IHDR":
            raise DataError("damaged or truncated picture")
        return head[24]
    if image.format == "TIFF":
        return max(image.tag_v2.get(TiffImagePlugin.BITSPERSAMPLE, (1,)))
    if image.format == "PPM":
        args = image.tile[0].args
        numbers = [n for n in (args if isinstance(args, tuple) else (args,)) if type(n) is int]
        return max(8, max(numbers, default=0).bit_length())
    if image.format == "JPEG2000":
        return _jpeg2000_bits(image.fp)
    return 8


def _jpeg2000_bits(file: BinaryIO) -> int:
    """Return the bits of the deepest component, from the codestream's SIZ segment."""
    here = file.tell()
    file.seek(0)
    content = file.read(2**20)
    file.seek(here)
    start = content.find(b"\xff\x4f\xff\x51")
    depths = content[start + 42 : start + 42 + 3 * content[start + 41] : 3]
    if start < 0 or not depths:
        raise DataError("damaged or truncated picture")
    if any(depth & 0x80 for depth in depths):
        raise DataError("signed values in JPEG 2000; save them as unsigned ones")
    return max(depths) + 1


def _page(image: Image.Image, file: BinaryIO, head: bytes, number: int) -> Picture:
    is_tiff = image.format == "TIFF"
    if is_tiff:
        image.seek(number)
        _check_tiff(image)
    # Asking for EXIF data takes as long as decoding a small picture, and most have none.
    has_exif = is_tiff or bool(_EXIF & image.info.keys())
    orientation, notes = _orientation(image) if has_exif else (1, ())
    # Pillow deletes tags once it has turned the picture.
    inverted = is_tiff and image.tag_v2.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == 0
    bits = _colour_bits(image, head) if image.mode in ("LA", "RGB", "RGBA", "RGBX") else 8
    if bits > 8 and image.format not in ("PNG", "TIFF"):
        raise DataError(f"{bits}-bit colour in {image.format}; save it with 8 bits, or as PNG")
    image.load()
    pixels = _deep_colour(image, file, head, number) if bits > 8 else _values(image, head)
    if orientation in _TURNS:
        notes += (TURNED,)
        if not is_tiff:
            pixels = np.ascontiguousarray(_TURNS[orientation](pixels))
    pixels = pixels if pixels.ndim == 3 else pixels[..., None]
    return Picture(pixels, inverted and pixels.dtype == np.uint16, notes)


def _orientation(image: Image.Image) -> tuple[int, tuple[str, ...]]:
    try:
        orientation = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # as many kinds of error as there are kinds of damage
        return 1, ("its EXIF data cannot be read, so it is not turned",)
    return (orientation if type(orientation) is int else 1), ()


def _values(image: Image.Image, head: bytes) -> np.ndarray:
    """Return uint8 (H, W) or (H, W, 3), or uint16 (H, W)."""
    transparent = image.info.get("transparency")
    if type(transparent) is int and image.mode in ("1", "L", "I", "I;16"):
        # A grey value that is meant to be seen through; where pixels have 2 or 4 bits, unscaled.
        depth = head[24] if image.format == "PNG" else 8
        if image.mode == "1":
            transparent = transparent > 0
        elif depth < 8:
            transparent = transparent * 255 // (2**depth - 1)
        if (np.asarray(image) == transparent).any():
            raise DataError("partly transparent; save it without alpha")
    elif image.has_transparency_data:
        image = image.convert("LA" if image.mode in ("LA", "La") else "RGBA")
        if image.getextrema()[-1][0] != 255:
            raise DataError("partly transparent; save it without alpha")
        image = image.convert("L" if image.mode == "LA" else "RGB")
    # Whether Pillow calls a GIF grey depends on the order of its palette, picture by picture.
    if image.mode in ("1", "P") or image.format == "GIF":
        image = image.convert("L" if image.mode == "1" else "RGB")
    if image.mode in ("L", "RGB"):
        return np.array(image)
    if image.mode != "I" and not image.mode.startswith("I;16"):
        raise DataError(f"pixel mode {image.mode}; save it as grey (8 or 16 bits) or RGB")
    values = np.asarray(image)
    low, high = values.min(), values.max()
    if low < 0:
        raise DataError(f"negative values, from {low}; save it with unsigned ones")
    if high >= 2**16:
        raise DataError(f"pixel mode {image.mode}, values up to {high}; save it with 16 bits")
    return values.astype(np.uint16)


def _deep_colour(image: Image.Image, file: BinaryIO, head: bytes, number: int) -> np.ndarray:
    """Return uint16 (H, W, 3), or (H, W) of grey with alpha, of a picture that Pillow found whole.

    OpenCV keeps all 16 bits.
    """
    import cv2  # here: few files need it

    # It writes to the terminal what it finds wrong with a file, and raises as well.
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    height, width = image.height, image.width
    file.seek(0)
    content = np.frombuffer(file.read(), np.uint8)
    if image.format == "TIFF":
        found, pages = cv2.imdecodemulti(content, cv2.IMREAD_UNCHANGED, range=(number, number + 1))
        values = pages[0] if found and len(pages) == 1 else None
    else:
        values = cv2.imdecode(content, cv2.IMREAD_UNCHANGED)
    if (
        values is None
        or values.dtype != np.uint16
        or values.shape[:2] != (height, width)
        or values.shape[2:] not in ((3,), (4,))
    ):
        raise DataError("16-bit colour that cannot be decoded; save it with 8 bits")
    if values.shape[2] == 4 and values[..., 3].min() != 2**16 - 1:
        raise DataError("partly transparent; save it without alpha")
    if image.format == "PNG" and head[25] == 4:
        return np.ascontiguousarray(values[..., 0])
    return np.ascontiguousarray(values[..., 2::-1])


def _check_tiff(image: TiffImagePlugin.TiffImageFile) -> None:
    """Refuse what Pillow would read as something else than it is."""
    tags = image.tag_v2
    bits = tags.get(TiffImagePlugin.BITSPERSAMPLE, (1,))
    formats = tags.get(TiffImagePlugin.SAMPLEFORMAT, (1,))
    bands = len(bits)
    if bands > len(image.getbands()):  # Pillow takes the first, and of the others nothing is known
        raise DataError(f"a TIFF of {bands} samples a pixel; save it as grey (8 or 16 bits) or RGB")
    if 2 in formats and (max(bits) <= 8 or bands > 1):
        raise DataError(f"signed values of {max(bits)} bits; save it with unsigned ones")
    if max(bits) <= 8 or bands == 1:
        return
    if image.mode not in ("RGB", "RGBA", "RGBX"):
        raise DataError(f"pixel mode {image.mode} of {max(bits)} bits; save it as RGB or grey")
    if set(bits) != {16} or set(formats) != {1}:
        raise DataError("colour that is not of 16 unsigned bits throughout; save it with 8 bits")
    if tags.get(TiffImagePlugin.PLANAR_CONFIGURATION, 1) != 1:
        raise DataError("16-bit colour in separate planes; save it with 8 bits")


def _tiff_kind(file: BinaryIO, head: bytes) -> str | None:
    """Return the reason of a whole TIFF of a kind that Pillow does not know; None of others."""
    try:
        size = 16 if head[2:4] in (b"\x2b\0", b"\0\x2b") else 8
        directory = TiffImagePlugin.ImageFileDirectory_v2(head[:size])
        file.seek(directory.next)
        directory.load(file)
        bits = directory[TiffImagePlugin.BITSPERSAMPLE]
        samples = directory.get(TiffImagePlugin.SAMPLESPERPIXEL, 1)
        formats = directory.get(TiffImagePlugin.SAMPLEFORMAT, (1,))
        kind = {1: "unsigned", 2: "signed", 3: "floating-point"}[formats[0]]
        known = (samples, max(bits), formats[0]) in {(s, b, 1) for s in (1, 3, 4) for b in (8, 16)}
        if known or max(bits) not in range(1, 129) or samples not in range(1, 256):
            return None
    except Exception:
        return None
    return (
        f"a TIFF of {samples} {kind} sample(s) of {max(bits)} bits a pixel; save it as grey (8 or "
        "16 bits) or RGB"
    )
