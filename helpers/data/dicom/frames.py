"""DICOM frames as uint8 images, and a pseudonym of whose they are.

Read are single-frame and multi-frame files, classic or enhanced, grey (`MONOCHROME1`,
`MONOCHROME2`; 1, 8, 16 or 32 bits allocated, signed or not) and colour (`RGB`, `YBR_*`,
`PALETTE COLOR`), the transfer syntaxes being those of `helpers.data.dicom.decode`. Everything else
is refused with the reason: floating-point pixels, video, JPEG of 12 bits.

Grey values are windowed as `helpers.data.dicom.grey` says, and colours of more than 8 bits scaled
as greys without a window; `MONOCHROME1` is inverted last.

Of a header only the elements in `_ELEMENTS` are read. Names, dates and IDs reach no result and no
message: a group is a pseudonym, and `helpers.data.dicom.header` holds back what pydicom says.
"""

import functools
import hashlib
import io
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from pydicom import Dataset, dcmread
from pydicom.filereader import read_dataset
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from helpers.data.dicom import grey, layout
from helpers.data.dicom.decode import check_syntax, stored_values
from helpers.data.dicom.header import damage, first_of, quiet
from helpers.data.dicom.layout import Layout
from helpers.data.splits import DataError

MAX_BYTES = 2**29  # of one file's pixels, decompressed: ten times a long cine of 512 x 512

_MAGIC = slice(128, 132)
_DAMAGED = "it is unreadable: a damaged or truncated DICOM file."
_IDENTITIES = {
    "patient": "PatientID",
    "study": "StudyInstanceUID",
    "series": "SeriesInstanceUID",
}
_FUNCTIONAL_GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
_ELEMENTS = [
    *_IDENTITIES.values(),
    *layout.ELEMENTS,
    *grey.ELEMENTS,
    *_FUNCTIONAL_GROUPS,
    "PixelData",
    "FloatPixelData",
    "DoubleFloatPixelData",
]
_IN_GROUPS = {
    "FrameVOILUTSequence": (*grey.WINDOW, "VOILUTFunction"),
    "PixelValueTransformationSequence": ("RescaleIntercept", "RescaleSlope"),
}


@dataclass(frozen=True, eq=False)
class DicomFrames:
    """The frames of one file."""

    images: np.ndarray  # uint8 (F, H, W, C), C = 1 (grey) or 3 (RGB)
    # Pseudonym of the patient, else of the study, else of the series; None if the header has none
    # of the three. Equal IDs count as one patient, whichever hospital gave them.
    group: str | None
    # What the greys come from, in words: "window 400 wide around 40", "no window, 16 bits stored,
    # of which -900 to 1200". Of enhanced files, the first frame's.
    view: str


def is_dicom(head: bytes) -> bool:
    """Return whether a file that begins with these bytes (132 at least) carries DICOM's mark."""
    return head[_MAGIC] == b"DICM"


def pseudonym(kind: str, identity: str) -> str:
    """Return `<kind>-<12 hex digits>`, which does not show whose it is; equal for equal IDs.

    `kind` is "patient", "study", "series" or "file". A digest without a secret is a pseudonym, not
    anonymity: whoever has the patient IDs, or can try all of a short form (eight digits, say),
    finds the ID that a digest belongs to. It keeps IDs out of sight; it does not make data fit for
    publication.
    """
    text = f"light-medical-classifiers-reproduced\0{kind}\0{identity}"
    return f"{kind}-{hashlib.sha256(text.encode(errors='surrogatepass')).hexdigest()[:12]}"


def read_dicom(what: str, content: bytes, frames: Sequence[int] | None = None) -> DicomFrames:
    """Read the frames of a DICOM file, all or (from 0) those asked for, in that order.

    Raises:
        DataError: no DICOM, no pixels, damaged, or of a kind that is not read; names the file as
            `what` does and says what to do.
    """
    try:
        with quiet():
            return _read(content, frames)
    except DataError as error:
        reason = str(error)
    # Outside the handler, so that no traceback prints what pydicom said.
    raise DataError(f"{what}: {reason}")


def _read(content: bytes, frames: Sequence[int] | None) -> DicomFrames:
    if not is_dicom(content):
        raise DataError("it is no DICOM file (no DICM mark at byte 128).")
    dataset = _parse(content)
    claimed = layout.read_layout(dataset)
    layout.check_size(dataset, claimed, MAX_BYTES)
    chosen = np.arange(claimed.frames) if frames is None else np.array(frames)
    wrong = chosen[(chosen < 0) | (chosen >= claimed.frames)]
    if len(wrong):
        raise DataError(
            f"frame {wrong[0]} is out of range; it has the frames 0 to {claimed.frames - 1}."
        )
    images, view = _images(dataset, claimed, chosen)
    if claimed.photometric == "MONOCHROME1":
        np.subtract(255, images, out=images)
    return DicomFrames(images, _group(dataset), view)


def _images(dataset: Dataset, claimed: Layout, chosen: np.ndarray) -> tuple[np.ndarray, str]:
    """Return uint8 (F, H, W, C) of the chosen frames, and where their scale comes from."""
    is_palette = claimed.photometric == layout.PALETTE
    if is_palette:
        colours = grey.palette(dataset, claimed.stored, claimed.signed)
        view = "palette"
    else:
        greys = _greys(dataset, claimed)
        scale, view = _scale(dataset, claimed, greys)
    images = np.empty((len(chosen), *claimed.image_shape), np.uint8)
    wanted = np.unique(chosen).tolist()
    for frame, values in zip(wanted, stored_values(dataset, claimed, wanted), strict=True):
        image = colours[values] if is_palette else greys(frame).image(values, scale)
        images[chosen == frame] = image.reshape(claimed.image_shape)
    return images, view


def _greys(dataset: Dataset, claimed: Layout) -> Callable[[int], grey.Greys]:
    """Return what gives the greys of a frame; frames with one view share them."""
    is_grey = claimed.photometric in layout.GREY

    def made(header: Dataset) -> grey.Greys:
        return grey.Greys(header, claimed.stored, signed=claimed.signed, grey=is_grey)

    if not is_grey or not any(keyword in dataset for keyword in _FUNCTIONAL_GROUPS):
        common = made(dataset)
        return lambda frame: common
    own = _own_elements(dataset, claimed.frames)

    # A table may take 512 kB and every frame have its own.
    @functools.lru_cache(maxsize=64)
    def of_view(view: tuple[tuple[str, object], ...]) -> grey.Greys:
        with damage("its header is damaged."):
            header = Dataset()
            for keyword in grey.ELEMENTS:
                if keyword in dataset:
                    header[keyword] = dataset[keyword]
            for keyword, value in view:
                setattr(header, keyword, value)
        return made(header)

    return lambda frame: of_view(own[frame])


def _own_elements(dataset: Dataset, frames: int) -> list[tuple[tuple[str, object], ...]]:
    """Return the window and the rescale of each frame of an enhanced file."""

    def of(group: Dataset) -> dict[str, object]:
        return {
            keyword: first_of(item[keyword].value)
            for sequence, keywords in _IN_GROUPS.items()
            for item in (group.get(sequence) or [])[:1]
            for keyword in keywords
            if keyword in item
        }

    with damage("its functional groups are damaged or fewer than its frames; export it again."):
        shared, own = (list(dataset.get(keyword) or []) for keyword in _FUNCTIONAL_GROUPS)
        common = of(shared[0]) if shared else {}
        own = [of(own[frame]) if own else {} for frame in range(frames)]
        return [tuple((common | elements).items()) for elements in own]


def _scale(
    dataset: Dataset, claimed: Layout, greys: Callable[[int], grey.Greys]
) -> tuple[grey.Scale | None, str]:
    """Return the scale of frames without a window (see `helpers.data.dicom.grey`), and its origin.

    The origin is what the greys of the first frame come from, in words.
    """
    bare = [frame for frame in range(claimed.frames) if greys(frame).asked is None]
    if not bare:
        return None, greys(0).asked.origin
    full = np.array([greys(frame).full for frame in bare])
    low, high = full[:, 0].min(), full[:, 1].max()
    origin = f"no window, {claimed.stored} bits stored"
    if claimed.stored > 8:
        stored = stored_values(dataset, claimed, bare)
        pairs = zip(bare, stored, strict=True)
        spans = np.array([greys(frame).span(values) for frame, values in pairs])
        least, most = spans[:, 0].min(), spans[:, 1].max()
        if 0 < most - least < (high - low) / 4:
            low, high = least, most
            origin += f", of which {low:g} to {high:g}"
    scale = grey.Scale(low, high, origin)
    return scale, (greys(0).asked or scale).origin


def _parse(content: bytes) -> Dataset:
    meta = io.BytesIO(content)
    meta.seek(_MAGIC.stop)
    with damage(_DAMAGED):
        header = read_dataset(meta, False, True, stop_when=lambda tag, *_: tag >> 16 != 2)
        syntax = header.get("TransferSyntaxUID")
    if not syntax:
        raise DataError("it does not say its transfer syntax (TransferSyntaxUID); export it again.")
    check_syntax(syntax)
    if syntax == DeflatedExplicitVRLittleEndian:
        with damage(_DAMAGED):
            size = _inflated_size(content[meta.tell() :])
        if size > MAX_BYTES:
            raise DataError(f"it inflates to more than {MAX_BYTES} bytes; it is not read.")
    with damage(_DAMAGED):
        dataset = dcmread(io.BytesIO(content), specific_tags=_ELEMENTS)
        pixel_data = dataset.get("PixelData")
    if not isinstance(pixel_data, bytes) or not pixel_data:
        raise DataError(_no_pixels(dataset))
    return dataset


def _no_pixels(dataset: Dataset) -> str:
    if "FloatPixelData" in dataset or "DoubleFloatPixelData" in dataset:
        return (
            "its pixels are floating-point numbers (FloatPixelData), which are no greys; convert "
            "it to whole numbers with a window."
        )
    with damage("SOPClassUID is damaged."):
        kind = UID(str(dataset.get("SOPClassUID") or ""))
    # pydicom answers an unknown UID with itself, and that could be any text.
    name = f" (its kind: {kind.name!r})" if kind.name != str(kind) else ""
    return (
        f"it has no pixel data{name}: it is no image (a report or an index, perhaps) or is cut off "
        "before or within them; take it out or export it again."
    )


def _inflated_size(deflated: bytes) -> int:
    """Return the size when inflated, or one past the limit, without holding it in memory."""
    inflater, size = zlib.decompressobj(-zlib.MAX_WBITS), 0
    while deflated and not inflater.eof and size <= MAX_BYTES:
        size += len(inflater.decompress(deflated, 2**20))
        deflated = inflater.unconsumed_tail
    return size


def _group(dataset: Dataset) -> str | None:
    for kind, keyword in _IDENTITIES.items():
        with damage(f"{keyword} is damaged."):
            identity = str(dataset.get(keyword) or "").strip(" \0")
        if identity:
            return pseudonym(kind, identity)
    return None
