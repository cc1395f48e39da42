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
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from pydicom import Dataset, dcmread
from pydicom.filereader import read_dataset
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from helpers.data.dicom import grey, layout
from helpers.data.dicom.decode import check_syntax, stored_values
from helpers.data.dicom.header import attempt, first_of, quiet
from helpers.data.dicom.layout import Layout
from helpers.data.splits import DataError

MAX_BYTES = 2**29  # of one file's pixels, decompressed: ten times a long cine of 512 x 512

_MAGIC = slice(128, 132)
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
    """The frames of one file.

    Args:
        images: uint8 (F, H, W, C), C = 1 (grey) or 3 (RGB).
        group: pseudonym of the patient, else of the study, else of the series; None if the header
            has none of the three. Equal IDs count as one patient, whichever hospital gave them.
        view: what the greys come from, in words: "window 400 wide around 40", "no window, 16 bits
            stored, of which -900 to 1200". Of enhanced files, the first frame's.
    """

    images: np.ndarray
    group: str | None
    view: str = ""


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
        claimed = layout.read_layout(what, dataset)
        layout.check_size(what, dataset, claimed, MAX_BYTES)
        for frame in frames or ():
            if not 0 <= frame < claimed.frames:
                raise DataError(
                    f"{what}: frame {frame} is out of range; it has the frames 0 to "
                    f"{claimed.frames - 1}."
                )
        chosen = range(claimed.frames) if frames is None else frames
        images, view = _images(what, dataset, claimed, list(chosen))
        group = _group(what, dataset)
    if claimed.photometric == "MONOCHROME1":
        np.subtract(255, images, out=images)
    return DicomFrames(images, group, view)


def _images(
    what: str, dataset: Dataset, claimed: Layout, chosen: list[int]
) -> tuple[np.ndarray, str]:
    """Return uint8 (F, H, W, C) of the chosen frames, and where their scale comes from."""
    is_palette = claimed.photometric == layout.PALETTE
    if is_palette:
        colours = grey.palette(what, dataset, claimed.stored, claimed.signed)
        scale, view = None, "palette"
    else:
        greys = _greys(what, dataset, claimed)
        scale, view = _scale(what, dataset, claimed, greys)
    shape = (
        len(chosen),
        claimed.rows,
        claimed.columns,
        1 if claimed.photometric in layout.GREY else 3,
    )
    images = np.empty(shape, np.uint8)
    places: dict[int, list[int]] = {}
    for place, frame in enumerate(chosen):
        places.setdefault(frame, []).append(place)
    wanted = sorted(places)
    decoded = stored_values(what, dataset, claimed, wanted)
    for frame, values in zip(wanted, decoded, strict=True):
        if is_palette:
            image = colours[values]
        else:
            image = greys(frame).image(values, greys(frame).asked or scale)
        images[places[frame]] = image.reshape(shape[1:])
    return images, view


def _greys(what: str, dataset: Dataset, claimed: Layout) -> Callable[[int], grey.Greys]:
    """Return what gives the greys of a frame; frames with one view share them."""
    is_grey = claimed.photometric in layout.GREY

    def made(header: Dataset) -> grey.Greys:
        return grey.Greys(what, header, claimed.stored, signed=claimed.signed, grey=is_grey)

    if not is_grey or not any(keyword in dataset for keyword in _FUNCTIONAL_GROUPS):
        common = made(dataset)
        return lambda frame: common
    own = list(_own_elements(what, dataset, claimed.frames))

    # A table may take 512 kB and every frame have its own.
    @functools.lru_cache(maxsize=64)
    def of_view(view: tuple[tuple[str, object], ...]) -> grey.Greys:
        return made(attempt(lambda: _with(dataset, view), f"{what}: its header is damaged."))

    return lambda frame: of_view(own[frame])


def _with(dataset: Dataset, view: tuple[tuple[str, object], ...]) -> Dataset:
    """Return what a header says of greys, a frame's own elements in place of the common ones."""
    header = Dataset()
    for keyword in grey.ELEMENTS:
        if keyword in dataset:
            header[keyword] = dataset[keyword]
    for keyword, value in view:
        setattr(header, keyword, value)
    return header


def _own_elements(
    what: str, dataset: Dataset, frames: int
) -> Iterator[tuple[tuple[str, object], ...]]:
    """Yield the window and the rescale of each frame of an enhanced file."""
    damaged = (
        f"{what}: its functional groups are damaged or fewer than its frames; export it again."
    )

    def of(group: Dataset) -> dict[str, object]:
        return {
            keyword: first_of(item[keyword].value)
            for sequence, keywords in _IN_GROUPS.items()
            for item in (group.get(sequence) or [])[:1]
            for keyword in keywords
            if keyword in item
        }

    shared, own = (
        attempt(lambda k=k: list(dataset.get(k) or []), damaged) for k in _FUNCTIONAL_GROUPS
    )
    for frame in range(frames):
        yield attempt(
            lambda frame=frame: tuple(
                ((of(shared[0]) if shared else {}) | (of(own[frame]) if own else {})).items()
            ),
            damaged,
        )


def _scale(
    what: str, dataset: Dataset, claimed: Layout, greys: Callable[[int], grey.Greys]
) -> tuple[grey.Scale | None, str]:
    """Return the scale of frames without a window, and what the greys come from, in words."""
    bare = [frame for frame in range(claimed.frames) if greys(frame).asked is None]
    if not bare:
        return None, greys(0).asked.origin
    spans: list[tuple[float, float]] = []
    if claimed.stored > 8:
        values = stored_values(what, dataset, claimed, bare)
        spans = [s for f, v in zip(bare, values, strict=True) if (s := greys(f).span(v))]
    full = tuple(end(greys(f).full[i] for f in bare) for i, end in enumerate((min, max)))
    scale = grey.common_scale(full, spans, claimed.stored)
    return scale, (greys(0).asked or scale).origin


def _parse(what: str, content: bytes) -> Dataset:
    damaged = f"{what} is unreadable: a damaged or truncated DICOM file."
    meta = io.BytesIO(content)
    meta.seek(_MAGIC.stop)
    header = attempt(
        lambda: read_dataset(meta, False, True, stop_when=lambda tag, *_: tag >> 16 != 2), damaged
    )
    syntax = attempt(lambda: header.get("TransferSyntaxUID"), damaged)
    if not syntax:
        raise DataError(
            f"{what} does not say its transfer syntax (TransferSyntaxUID); export it again."
        )
    check_syntax(what, syntax)
    if syntax == DeflatedExplicitVRLittleEndian:
        size = attempt(lambda: _inflated_size(content[meta.tell() :]), damaged)
        if size > MAX_BYTES:
            raise DataError(f"{what} inflates to more than {MAX_BYTES} bytes; it is not read.")
    dataset = attempt(lambda: dcmread(io.BytesIO(content), specific_tags=_ELEMENTS), damaged)
    pixel_data = attempt(lambda: dataset.get("PixelData"), damaged)
    if not isinstance(pixel_data, bytes) or not pixel_data:
        raise DataError(_no_pixels(what, dataset))
    return dataset


def _no_pixels(what: str, dataset: Dataset) -> str:
    if "FloatPixelData" in dataset or "DoubleFloatPixelData" in dataset:
        return (
            f"{what}: its pixels are floating-point numbers (FloatPixelData), which are no greys; "
            "convert it to whole numbers with a window."
        )
    kind = attempt(
        lambda: UID(str(dataset.get("SOPClassUID") or "")), f"{what}: SOPClassUID damaged."
    )
    # pydicom answers an unknown UID with itself, and that could be any text.
    name = f" (its kind: {kind.name!r})" if kind.name != str(kind) else ""
    return (
        f"{what} has no pixel data{name}: it is no image (a report or an index, perhaps) or is cut "
        "off before or within them; take it out or export it again."
    )


def _inflated_size(deflated: bytes) -> int:
    """Return the size when inflated, or one past the limit, without holding it in memory."""
    inflater, size = zlib.decompressobj(-zlib.MAX_WBITS), 0
    while deflated and not inflater.eof and size <= MAX_BYTES:
        size += len(inflater.decompress(deflated, 2**20))
        deflated = inflater.unconsumed_tail
    return size


def _group(what: str, dataset: Dataset) -> str | None:
    for kind, keyword in _IDENTITIES.items():
        identity = attempt(
            lambda keyword=keyword: str(dataset.get(keyword) or "").strip(" \0"),
            f"{what}: {keyword} is damaged.",
        )
        if identity:
            return pseudonym(kind, identity)
    return None
