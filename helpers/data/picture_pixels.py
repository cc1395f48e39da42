"""The pixels of one picture, as a file stores them: decoded whole, or refused with the reason.

Pillow reads the files, and OpenCV colour of 16 bits, of which Pillow would keep 8.
"""

from collections.abc import Callable
from typing import BinaryIO

import numpy as np
from PIL import Image, TiffImagePlugin

from helpers.data.splits import DataError

TURNED = "turned upright as its EXIF data say"
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


def stored_pixels(
    image: Image.Image, file: BinaryIO, head: bytes, number: int
) -> tuple[np.ndarray, bool, tuple[str, ...]]:
    """Decode a picture.

    Args:
        image: the file, opened by Pillow.
        file: the file.
        head: its first 64 bytes.
        number: of the page of a TIFF, from 0.

    Returns:
        uint8 or uint16 (H, W, C), C 1 (grey) or 3 (RGB); whether 0 is white in it (of uint16
        alone); notes of what was done to it.

    Raises:
        DataError: of a kind that is not read; any other error: damaged.
    """
    is_tiff = image.format == "TIFF"
    if is_tiff:
        image.seek(number)
        _check_tiff(image)
    # Asking for EXIF data takes as long as decoding a small picture, and most have none.
    has_exif = is_tiff or bool(_EXIF & image.info.keys())
    orientation, notes = _orientation(image) if has_exif else (1, ())
    # Pillow deletes tags once it has turned the picture.
    inverted = is_tiff and image.tag_v2.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == 0
    bits = colour_bits(image, head) if image.mode in ("LA", "RGB", "RGBA", "RGBX") else 8
    if bits > 8 and image.format not in ("PNG", "TIFF"):
        raise DataError(f"{bits}-bit colour in {image.format}; save it with 8 bits, or as PNG")
    image.load()
    pixels = _deep_colour(image, file, head, number) if bits > 8 else _values(image, head)
    if orientation in _TURNS:
        notes += (TURNED,)
        if not is_tiff:
            pixels = np.ascontiguousarray(_TURNS[orientation](pixels))
    pixels = pixels if pixels.ndim == 3 else pixels[..., None]
    return pixels, inverted and pixels.dtype == np.uint16, notes


def colour_bits(image: Image.Image, head: bytes) -> int:
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


def tiff_kind(file: BinaryIO, head: bytes) -> str | None:
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
