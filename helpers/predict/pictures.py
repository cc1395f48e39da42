"""Ordinary picture files, each for itself: PNG, JPEG, TIFF (all pages), BMP, GIF, WebP and others.

A folder of somebody's own images is mixed, unlike the data sets that `helpers.data.image_files`
reads: here the content decides what a file is, not its name, and no two files need be alike.

8-bit grey and RGB stay as they are. 16-bit grey is divided by the smallest 2^b - 1 (b >= 8) that
holds the file's largest value, so that 12-bit data fills the range too; the file's name is not
asked for more. An orientation in the EXIF data is applied. Opaque alpha is dropped.
"""

from typing import BinaryIO, NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from helpers.data.dicom.frames import MAX_BYTES
from helpers.data.splits import DataError

# Formats with code of their own in Pillow; EPS and others would start foreign programs.
FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP", "JPEG2000", "PPM")
SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif", ".webp", ".jp2", ".j2k")
MAX_PIXELS = 2**26  # of one picture: 8,192 x 8,192; a few kilobytes can claim any size
_ORIENTATION = 0x0112
# Where Pillow finds an orientation; that of a TIFF it applies itself.
_EXIF = {"exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp"}


class Picture(NamedTuple):
    """One picture.

    Attributes:
        pixels: uint8 (H, W, C), C 1 (grey) or 3 (RGB).
        notes: what was done to it.
    """

    pixels: np.ndarray
    notes: tuple[str, ...] = ()


def read_pictures(file: BinaryIO, *, suffix: str) -> list[Picture]:
    """Read the picture in a file, or all pages of a TIFF.

    Args:
        file: the open file.
        suffix: of its name, for the reason of one that is no picture.

    Raises:
        DataError: no picture, damaged, or of a kind that is not read; says why, not where.
    """
    try:
        with Image.open(file, formats=FORMATS) as image:
            return [_page(image, number) for number in range(_count(image))]
    except (DataError, MemoryError):
        raise
    except UnidentifiedImageError:
        pass
    except Image.DecompressionBombError:
        raise DataError(f"more than {MAX_PIXELS:,} pixels") from None
    except Exception:
        # Damaged files make Pillow raise nearly every kind of error.
        raise DataError("damaged or truncated picture") from None
    if suffix.lower() in SUFFIXES:
        raise DataError(f"no picture inside, though its name ends in {suffix}")
    raise DataError("no image of a known kind")


def _count(image: Image.Image) -> int:
    """Return how many pictures to take from a file."""
    if image.format == "MPO":
        return 1  # a photograph; what follows is its preview
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "TIFF":
        raise DataError(f"animated {image.format} of {frames} frames; save the one that is meant")
    if frames * image.width * image.height > MAX_BYTES:
        raise DataError(
            f"{frames} pages of {image.width} x {image.height} pixels are too many; split the file"
        )
    return frames


def _page(image: Image.Image, number: int) -> Picture:
    if number:
        image.seek(number)
    if image.width * image.height > MAX_PIXELS:
        raise DataError(
            f"{image.width} x {image.height} pixels are more than {MAX_PIXELS:,}; crop or shrink it"
        )
    image.load()
    notes: tuple[str, ...] = ()
    upright: Image.Image = image
    # Asking for EXIF data takes as long as decoding a small picture, and most have none.
    if _EXIF & image.info.keys() and image.getexif().get(_ORIENTATION, 1) != 1:
        upright = ImageOps.exif_transpose(image)
        notes = ("turned upright as its EXIF data say",)
    pixels = _values(upright)
    if pixels.dtype != np.uint8:
        bits = max(8, int(pixels.max()).bit_length())
        pixels = np.round(pixels * (255.0 / (2**bits - 1))).astype(np.uint8)
        notes += (f"16-bit grey: 0 to {2**bits - 1} became 0 to 255",)
    return Picture(pixels if pixels.ndim == 3 else pixels[..., None], notes)


def _values(image: Image.Image) -> np.ndarray:
    """Return uint8 (H, W) or (H, W, 3), or a 16-bit grey (H, W)."""
    if image.has_transparency_data:
        image = image.convert("LA" if image.mode in ("LA", "La") else "RGBA")
        if image.getextrema()[-1][0] != 255:
            raise DataError("partly transparent; save it without alpha")
        image = image.convert("L" if image.mode == "LA" else "RGB")
    elif image.mode in ("1", "P"):
        image = image.convert("L" if image.mode == "1" else "RGB")
    if image.mode in ("L", "RGB"):
        return np.array(image)
    values = np.asarray(image)
    grey_16 = image.mode == "I" or image.mode.startswith("I;16")
    if not grey_16 or values.min() < 0 or values.max() >= 2**16:
        raise DataError(f"pixel mode {image.mode}; save it as grey (8 or 16 bits) or RGB")
    return values.astype(np.uint16)
