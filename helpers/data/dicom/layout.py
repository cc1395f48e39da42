"""What a DICOM header says of its pixels, checked against the length of the file.

An element that the standard gives a value to, or that follows from the others, may be missing:
`NumberOfFrames` (1), `SamplesPerPixel` (by the photometric interpretation), `PlanarConfiguration`
(0), `PixelRepresentation` (0, unsigned), `BitsStored` (`BitsAllocated`), `HighBit` (one less than
`BitsStored`), and `PhotometricInterpretation` where `PresentationLUTShape` or a palette decides it.
Nothing else tells a picture from its negative, so without them it is named. So is `BitsAllocated`.
"""

import math
from dataclasses import dataclass

from pydicom import Dataset
from pydicom.encaps import parse_basic_offsets, parse_fragments
from pydicom.uid import JPEG2000TransferSyntaxes, JPEGTransferSyntaxes, RLELossless

from helpers.data.dicom.header import count_of, damage, is_given, number_of, term_of
from helpers.data.splits import DataError

MAX_FRAME_BYTES = 2**27  # 8192 x 8192 pixels of 16 bits: what a frame needs while it is decoded
MAX_FRAMES = 2**16

ELEMENTS = (
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PresentationLUTShape",
    "PlanarConfiguration",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths",
)
GREY = ("MONOCHROME1", "MONOCHROME2")
PALETTE = "PALETTE COLOR"
COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_422", "YBR_ICT", "YBR_RCT")
_HALF_CHROMA = ("YBR_FULL_422", "YBR_PARTIAL_422")
# Terms of the standard may be quoted in an error; anything else in a header may be a name.
_OTHER_TERMS = ("HSV", "ARGB", "CMYK", "YBR_PARTIAL_420", "XYB")
_SHAPES = {"IDENTITY": "MONOCHROME2", "INVERSE": "MONOCHROME1"}
# Samples that one byte can stand for at most: two bytes for 128 in RLE; a bit for a sample in
# lossless JPEG, for a block of 64 (in colour half of it not stored) in the others.
_MOST_SAMPLES = {RLELossless: 64}
_MOST_SAMPLES |= dict.fromkeys(JPEGTransferSyntaxes[2:4], 8)
_MOST_SAMPLES |= dict.fromkeys(JPEGTransferSyntaxes[:2], 1024)


@dataclass(frozen=True)
class Layout:
    """What the header claims of the pixels; `samples` are those stored, 1 for a palette."""

    photometric: str
    frames: int
    rows: int
    columns: int
    samples: int
    planar: int
    allocated: int
    stored: int
    high: int
    signed: bool

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a decoded frame: (H, W) or (H, W, 3)."""
        return (self.rows, self.columns) + (3,) * (self.samples == 3)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Of the uint8 image that a frame becomes: (H, W, 1) or (H, W, 3)."""
        return self.rows, self.columns, 1 if self.photometric in GREY else 3

    def __str__(self) -> str:
        return (
            f"{self.columns} x {self.rows} pixels of {self.samples} x {self.allocated} bits in "
            f"{self.frames} frame(s)"
        )


def read_layout(dataset: Dataset) -> Layout:
    """Return what the header claims.

    Raises:
        DataError: an element is missing, damaged, or of a kind that is not read; names it.
    """
    photometric = _photometric(dataset)
    colour = photometric in COLOURS
    samples = 3 if colour else 1
    allocated = count_of(dataset, "BitsAllocated")
    stored = count_of(dataset, "BitsStored", allocated)
    layout = Layout(
        photometric=photometric,
        frames=count_of(dataset, "NumberOfFrames", 1),
        rows=count_of(dataset, "Rows"),
        columns=count_of(dataset, "Columns"),
        samples=count_of(dataset, "SamplesPerPixel", samples),
        planar=int(number_of(dataset, "PlanarConfiguration", 0)),
        allocated=allocated,
        stored=stored,
        high=int(number_of(dataset, "HighBit", stored - 1)),
        signed=number_of(dataset, "PixelRepresentation", 0) != 0,
    )
    bits = f"BitsAllocated {allocated}, BitsStored {stored}"
    if layout.samples != samples:
        raise DataError(
            f"{photometric} with SamplesPerPixel {layout.samples}; expected {samples}. Export it "
            "again."
        )
    if allocated not in ((8, 16, 32) if colour else (1, 8, 16, 32)) or stored > allocated:
        raise DataError(
            f"{photometric} with {bits}; expected {'' if colour else '1, '}8, 16 or 32 bits "
            "allocated, no more stored."
        )
    if photometric == PALETTE and allocated > 16:
        raise DataError(f"{photometric} with BitsAllocated {allocated}; expected 8 or 16.")
    if colour and layout.signed:
        raise DataError(f"{photometric} with signed samples; expected unsigned ones.")
    if photometric in COLOURS[1:4] and allocated != 8:
        raise DataError(
            f"{photometric} with BitsAllocated {allocated}; expected 8. Convert it to RGB."
        )
    if not stored - 1 <= layout.high < allocated:
        raise DataError(f"HighBit is {layout.high} with {bits}; expected {stored - 1}.")
    if layout.planar not in (0, 1):
        raise DataError(f"PlanarConfiguration is {layout.planar}; expected 0 or 1.")
    if max(layout.rows, layout.columns) > 2**16 - 1:
        raise DataError(f"{layout}; Rows and Columns end at 65535.")
    return layout


def _photometric(dataset: Dataset) -> str:
    term = term_of(dataset, "PhotometricInterpretation")
    if not term and is_given(dataset, "RedPaletteColorLookupTableDescriptor"):
        term = PALETTE
    if not term and number_of(dataset, "SamplesPerPixel", 1) == 1:
        term = _SHAPES.get(term_of(dataset, "PresentationLUTShape"), "")
    if term in (*GREY, *COLOURS, PALETTE):
        return term
    if not term:
        raise DataError(
            "it does not say its PhotometricInterpretation, without which its greys or colours are "
            "unknown; add it (with dcmodify, say) or export it again."
        )
    came = term if term in _OTHER_TERMS else "no term of the standard"
    raise DataError(
        f"PhotometricInterpretation is {came}; expected one of "
        f"{', '.join((*GREY, PALETTE, *COLOURS))}. Convert it first (with dcmj2pnm or gdcmimg)."
    )


def check_size(dataset: Dataset, layout: Layout, limit: int) -> None:
    """Compare what the header claims with the bytes there are, before any memory is taken.

    `limit` is the most bytes of all frames, decoded.

    Raises:
        DataError: the pixel data is too short or too long for it, or there are too many bytes.
    """
    syntax = dataset.file_meta.TransferSyntaxUID
    native = not syntax.is_compressed
    bits = layout.frames * layout.rows * layout.columns * layout.samples * layout.allocated
    if native and layout.photometric in _HALF_CHROMA:
        bits = bits // 3 * 2
    there, claimed = len(dataset.PixelData), -(-bits // 8)
    one_frame = claimed // layout.frames
    wrong = f"the header claims {layout}, {claimed} bytes"
    if layout.photometric in ("YBR_ICT", "YBR_RCT") and syntax not in JPEG2000TransferSyntaxes:
        raise DataError(f"{layout.photometric} is defined for JPEG 2000 alone.")
    if not native:
        _check_fragments(dataset.PixelData, layout.frames)
    most = there if native else there * _MOST_SAMPLES.get(syntax, limit) * layout.allocated // 8
    if claimed > most:
        raise DataError(
            f"{wrong}; its pixel data is {there} bytes long. It is truncated or damaged; export it "
            "again."
        )
    if max(claimed, layout.frames * math.prod(layout.image_shape)) > limit:
        raise DataError(f"{layout} are more than {limit} bytes; split it into parts.")
    if layout.frames > MAX_FRAMES:
        raise DataError(f"{layout.frames} frames; more than {MAX_FRAMES} are not read.")
    if one_frame > MAX_FRAME_BYTES:
        raise DataError(
            f"one frame of {layout} is more than {MAX_FRAME_BYTES} bytes; make it smaller or cut "
            "it into tiles."
        )
    if native and there >= claimed + one_frame:
        raise DataError(
            f"{wrong}, but its pixel data is {there} bytes long; NumberOfFrames, Rows, Columns or "
            "SamplesPerPixel are wrong. Export it again."
        )


def _check_fragments(pixel_data: bytes, frames: int) -> None:
    """Raise DataError unless there is a fragment for every frame."""
    with damage("the pixel data is cut off or damaged (its fragments); export it again."):
        offsets = parse_basic_offsets(pixel_data)
        found = parse_fragments(pixel_data[8 + 4 * len(offsets) :])[0]
    if not found:
        raise DataError(
            "its pixel data has no fragments: nothing was stored, or it was cut off. Export it "
            "again."
        )
    if found < frames:
        raise DataError(
            f"NumberOfFrames is {frames}, but its pixel data has {found} fragments, one a frame at "
            "least; it is truncated or damaged. Export it again."
        )
