"""DICOM frames as uint8 images, and a pseudonym of whose they are.

Read are single-frame and multi-frame grey files (`MONOCHROME1`, `MONOCHROME2`) of 8 or 16 bits
allocated, signed or not, and 8-bit `RGB`. Uncompressed, deflated and RLE files need nothing but
pydicom, 8-bit JPEG and JPEG 2000 Pillow; other compressions need a decoder that an error names.

Grey values are windowed as `helpers.data.dicom.grey` says; `MONOCHROME1` is inverted last.

Of a header only the elements in `_ELEMENTS` are read. Names, dates and IDs reach no result and no
message: a group is a pseudonym, and `helpers.data.dicom.header` holds back what pydicom says.
"""

import hashlib
import io
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydicom import Dataset, dcmread
from pydicom.filereader import read_dataset
from pydicom.pixels import get_decoder, iter_pixels
from pydicom.uid import DeflatedExplicitVRLittleEndian, RLELossless

from helpers.data.dicom import grey
from helpers.data.dicom.header import attempt, count_of, number_of, quiet, term_of
from helpers.data.splits import DataError

MAX_BYTES = 2**30  # of one file's pixels, decompressed: twenty times a long cine of 512 x 512

_MAGIC = slice(128, 132)
_IDENTITIES = {
    "patient": "PatientID",
    "study": "StudyInstanceUID",
    "series": "SeriesInstanceUID",
}
_FUNCTIONAL_GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
_ELEMENTS = [
    *_IDENTITIES.values(),
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    *grey.ELEMENTS,
    *_FUNCTIONAL_GROUPS,
    "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths",
    "PixelData",
]
_GREY = ("MONOCHROME1", "MONOCHROME2")
# Terms of the standard may be quoted in an error; anything else in a header may be a name.
_REFUSED_COLOURS = (
    "PALETTE COLOR",
    "HSV",
    "ARGB",
    "CMYK",
    "YBR_FULL",
    "YBR_FULL_422",
    "YBR_PARTIAL_422",
    "YBR_PARTIAL_420",
    "YBR_ICT",
    "YBR_RCT",
    "XYB",
)


@dataclass(frozen=True, eq=False)
class DicomFrames:
    """The frames of one file.

    Args:
        images: uint8 (F, H, W, C), C = 1 (grey) or 3 (RGB).
        group: pseudonym of the patient, else of the study, else of the series; None if the header
            has none of the three. Equal IDs count as one patient, whichever hospital gave them.
    """

    images: np.ndarray
    group: str | None


@dataclass(frozen=True)
class _Layout:
    """What the header claims of the pixels."""

    frames: int
    rows: int
    columns: int
    samples: int
    allocated: int
    stored: int
    signed: bool

    @property
    def frame_bytes(self) -> int:
        return self.rows * self.columns * self.samples * self.allocated // 8

    def __str__(self) -> str:
        return (
            f"{self.columns} x {self.rows} pixels of {self.samples} x {self.allocated} bits in "
            f"{self.frames} frame(s)"
        )


def is_dicom(head: bytes) -> bool:
    """Return whether a file that begins with these bytes (132 at least) carries DICOM's mark."""
    return head[_MAGIC] == b"DICM"


def pseudonym(kind: str, identity: str) -> str:
    """Return a name for a group that does not show whose it is.

    A digest without a secret is a pseudonym, not anonymity: whoever has the patient IDs, or can
    try all of a short form (eight digits, say), finds the ID that a digest belongs to. It keeps
    IDs out of sight; it does not make data fit for publication.

    Args:
        kind: what is named: "patient", "study", "series" or "file".
        identity: the ID.

    Returns:
        `<kind>-<12 hex digits>`, equal for equal IDs on every machine.
    """
    text = f"light-medical-classifiers-reproduced\0{kind}\0{identity}"
    return f"{kind}-{hashlib.sha256(text.encode(errors='surrogatepass')).hexdigest()[:12]}"


def read_dicom(what: str, content: bytes, frames: Sequence[int] | None = None) -> DicomFrames:
    """Read frames of a DICOM file.

    Args:
        what: name of the file in errors.
        content: the whole file.
        frames: which frames, from 0; None for all.

    Returns:
        The frames, in the order asked for.

    Raises:
        DataError: no DICOM, no pixels, damaged, or of a kind that is not read; says what to do.
    """
    if not is_dicom(content):
        raise DataError(f"{what} is no DICOM file (no DICM mark at byte 128).")
    with quiet():
        dataset = _parse(what, content)
        photometric = _photometric(what, dataset)
        layout = _layout(what, dataset, photometric)
        _check_size(what, dataset, layout)
        for frame in frames or ():
            if not 0 <= frame < layout.frames:
                raise DataError(
                    f"{what}: frame {frame} is out of range; it has the frames 0 to "
                    f"{layout.frames - 1}."
                )
        count = layout.frames if frames is None else len(frames)
        images = np.empty((count, layout.rows, layout.columns, layout.samples), np.uint8)
        table = (
            grey.grey_table(what, dataset, layout.stored, layout.signed)
            if photometric in _GREY
            else None
        )
        for image, values in zip(images, _decode(what, dataset, layout, frames), strict=True):
            if table is None:
                image[:] = values
            else:
                # Bits above BitsStored may hold an overlay: they are no part of the value.
                native = values.astype(values.dtype.newbyteorder("="), copy=False)
                bits = native.view(f"u{native.itemsize}") & (2**layout.stored - 1)
                image[..., 0] = table[bits]
        group = _group(what, dataset)
    return DicomFrames(255 - images if photometric == "MONOCHROME1" else images, group)


def _parse(what: str, content: bytes) -> Dataset:
    damaged = f"{what} is unreadable: a damaged or truncated DICOM file."
    meta = io.BytesIO(content)
    meta.seek(_MAGIC.stop)
    header = attempt(
        lambda: read_dataset(meta, False, True, stop_when=lambda tag, *_: tag >> 16 != 2), damaged
    )
    syntax = attempt(lambda: header.get("TransferSyntaxUID"), damaged)
    if not syntax:
        raise DataError(f"{what} does not say its transfer syntax; export it again.")
    if syntax == DeflatedExplicitVRLittleEndian:
        size = attempt(lambda: _inflated_size(content[meta.tell() :]), damaged)
        if size > MAX_BYTES:
            raise DataError(f"{what} inflates to more than {MAX_BYTES} bytes; it is not read.")
    dataset = attempt(lambda: dcmread(io.BytesIO(content), specific_tags=_ELEMENTS), damaged)
    pixel_data = attempt(lambda: dataset.get("PixelData"), damaged)
    if not isinstance(pixel_data, bytes) or not pixel_data:
        raise DataError(
            f"{what} has no pixel data: it is no image (a report or an index, perhaps) or is cut "
            "off before them; take it out or export it again."
        )
    return dataset


def _inflated_size(deflated: bytes) -> int:
    """Return the size when inflated, or one past the limit, without holding it in memory."""
    inflater, size = zlib.decompressobj(-zlib.MAX_WBITS), 0
    while deflated and not inflater.eof and size <= MAX_BYTES:
        size += len(inflater.decompress(deflated, 2**20))
        deflated = inflater.unconsumed_tail
    return size


def _photometric(what: str, dataset: Dataset) -> str:
    photometric = term_of(what, dataset, "PhotometricInterpretation")
    if photometric in (*_GREY, "RGB"):
        return photometric
    came = photometric if photometric in _REFUSED_COLOURS else "missing or no term of the standard"
    raise DataError(
        f"{what}: PhotometricInterpretation is {came}; expected MONOCHROME1, MONOCHROME2 or RGB. "
        "Convert it first (dcmdump shows the header, gdcmimg or dcmj2pnm convert)."
    )


def _layout(what: str, dataset: Dataset, photometric: str) -> _Layout:
    if any(keyword in dataset for keyword in _FUNCTIONAL_GROUPS):
        raise DataError(
            f"{what} is an enhanced multi-frame file (functional groups), whose windows may differ "
            "from frame to frame; convert it to the classic form, with dcm4che's emf2sf, say."
        )
    layout = _Layout(
        frames=count_of(what, dataset, "NumberOfFrames", 1),
        rows=count_of(what, dataset, "Rows"),
        columns=count_of(what, dataset, "Columns"),
        samples=count_of(what, dataset, "SamplesPerPixel", 1),
        allocated=count_of(what, dataset, "BitsAllocated"),
        stored=count_of(what, dataset, "BitsStored"),
        signed=number_of(what, dataset, "PixelRepresentation", 0) != 0,
    )
    bits = f"BitsAllocated {layout.allocated}, BitsStored {layout.stored}"
    if photometric in _GREY:
        good = layout.allocated in (8, 16) and layout.stored <= layout.allocated
        good &= layout.samples == 1
        expected = "one sample of 8 or 16 bits allocated, no more stored"
    else:
        good = (layout.samples, layout.allocated, layout.stored) == (3, 8, 8) and not layout.signed
        expected = "three unsigned samples of 8 bits"
    if not good:
        raise DataError(
            f"{what}: {photometric} with SamplesPerPixel {layout.samples}, {bits}; expected "
            f"{expected}."
        )
    high = number_of(what, dataset, "HighBit", layout.stored - 1)
    if high != layout.stored - 1:
        raise DataError(f"{what}: HighBit is {high:g} with {bits}; expected {layout.stored - 1}.")
    return layout


def _check_size(what: str, dataset: Dataset, layout: _Layout) -> None:
    """Compare what the header claims with the bytes there are, before any memory is taken."""
    claimed, there = layout.frames * layout.frame_bytes, len(dataset.PixelData)
    syntax = dataset.file_meta.TransferSyntaxUID
    compressed = attempt(lambda: syntax.is_compressed, _unsupported(what, syntax, []))
    if not compressed:
        possible = there
    elif syntax == RLELossless:
        possible = 64 * there  # two bytes stand for 128 at most
    else:
        possible = MAX_BYTES
    if claimed > possible:
        raise DataError(
            f"{what}: the header claims {layout}, {claimed} bytes; its pixel data is {there} bytes "
            "long. It is truncated or damaged; export it again."
        )
    if claimed > MAX_BYTES:
        raise DataError(f"{what}: {layout} are more than {MAX_BYTES} bytes; split it into parts.")
    if not compressed and there - claimed >= layout.frame_bytes:
        raise DataError(
            f"{what}: the header claims {layout}, {claimed} bytes, but its pixel data is {there} "
            "bytes long; NumberOfFrames, Rows or Columns are wrong. Export it again."
        )


def _unsupported(what: str, syntax: Any, missing: list[str]) -> str:
    name = getattr(syntax, "name", "")
    # pydicom answers an unknown UID with itself, and that could be any text.
    named = f"{name!r}" if name and name != str(syntax) else "unknown to pydicom"
    plugins = f" or install a decoder ({'; '.join(missing)})" if missing else ""
    return (
        f"{what}: its transfer syntax is {named}, which cannot be decoded here; decompress it "
        f"with `gdcmconv --raw` or `dcmdjpeg`{plugins}."
    )


def _decode(
    what: str, dataset: Dataset, layout: _Layout, frames: Sequence[int] | None
) -> Iterator[np.ndarray]:
    """Yield the stored values of each frame, (H, W) or (H, W, 3)."""
    syntax = dataset.file_meta.TransferSyntaxUID
    decoder = attempt(lambda: get_decoder(syntax), _unsupported(what, syntax, []))
    if not decoder.is_available:
        raise DataError(_unsupported(what, syntax, decoder.missing_dependencies))
    decoded = iter_pixels(dataset, raw=True, indices=frames)
    failed = f"{what}: the pixel data cannot be decoded: truncated or damaged; export it again."
    shape = (layout.rows, layout.columns) + (3,) * (layout.samples == 3)
    for _ in range(layout.frames) if frames is None else frames:
        values = attempt(lambda: next(decoded), failed)
        if values.shape != shape or values.itemsize * 8 != layout.allocated:
            raise DataError(
                f"{what}: the header claims {layout}, but a frame decodes to {values.shape} of "
                f"{values.dtype}; export it again."
            )
        yield values
    if attempt(lambda: next(decoded, None), failed) is not None:
        raise DataError(
            f"{what}: NumberOfFrames is {layout.frames}, but the pixel data has more; export it "
            "again."
        )


def _group(what: str, dataset: Dataset) -> str | None:
    for kind, keyword in _IDENTITIES.items():
        identity = attempt(
            lambda keyword=keyword: str(dataset.get(keyword) or "").strip(" \0"),
            f"{what}: {keyword} is damaged.",
        )
        if identity:
            return pseudonym(kind, identity)
    return None
