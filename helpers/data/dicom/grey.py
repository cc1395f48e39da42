"""From stored DICOM values to 0..255: modality LUT, VOI LUT or window, as PS3.3 C.11 has it.

The steps are: modality LUT or rescale, then VOI LUT or window (the first one, if there are several;
a LUT before a window), then black at 0 and white at 255. The modality LUT of an angiogram whose
values are logarithmic or for display (`LOG`, `DISP`) leads back to X-ray intensity and is left out,
as PS3.4 N.2.5 has it for display.

A file without a window is shown over the full range of its `BitsStored` where that keeps what is
in it: with 8 bits or fewer, or where the values of all its frames span a quarter of that range.
Otherwise (12-bit values in 16 bits, a CT) from the smallest to the largest value of all frames,
padding (`PixelPaddingValue`) left out. Either way the frames of a file share one scale.
"""

from dataclasses import dataclass

import numpy as np
from pydicom import Dataset
from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi_lut
from pydicom.uid import XRayAngiographicImageStorage, XRayRadiofluoroscopicImageStorage

from helpers.data.dicom.header import attempt, is_given, number_of, term_of
from helpers.data.splits import DataError

WINDOW = ("WindowCenter", "WindowWidth")
_PALETTE_KINDS = ("", "Segmented")
_CHANNELS = ("Red", "Green", "Blue")
ELEMENTS = (
    "SOPClassUID",
    "PixelIntensityRelationship",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
    "ModalityLUTSequence",
    "RescaleIntercept",
    "RescaleSlope",
    "VOILUTSequence",
    "VOILUTFunction",
    *WINDOW,
    *(f"{channel}PaletteColorLookupTableDescriptor" for channel in _CHANNELS),
    *(f"{kind}{c}PaletteColorLookupTableData" for kind in _PALETTE_KINDS for c in _CHANNELS),
)
_TABLE_BITS = 16
_CHUNK = 2**20


@dataclass(frozen=True)
class Scale:
    """What becomes 0 and 255, and where the two come from, in words."""

    low: float
    high: float
    origin: str

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Return uint8 of any values."""
        grey = np.round((values - self.low) * (255.0 / (self.high - self.low)))
        return np.clip(grey, 0, 255).astype(np.uint8)


class Greys:
    """The greys of stored values as one header has them, `MONOCHROME1` not yet inverted.

    They depend on the stored value alone, so with up to 16 bits they are worked out once a header
    and not once a pixel.

    Args:
        what: name of the file in errors.
        dataset: header with the elements of `ELEMENTS`, as far as it has them; LUTs are changed.
        bits: BitsStored.
        signed: whether the bits are a two's complement.
        grey: False for colour samples, which have neither a modality nor a window.

    Raises:
        DataError: a window or a LUT is wrong; names the element.
    """

    def __init__(
        self, what: str, dataset: Dataset, bits: int, *, signed: bool, grey: bool = True
    ) -> None:
        self._what, self._dataset = what, dataset
        self._bits, self._signed = bits, signed
        # () is a rescale, two inputs are the ends of a LUT, None is neither.
        self._modality: tuple[int, ...] | None = None
        self._lut: tuple[int, int, int] | None = None
        self._window: Dataset | None = None
        depth = None
        if grey:
            self._modality, depth = _modality(what, dataset)
            if is_given(what, dataset, "VOILUTSequence"):
                self._lut = _widen_lut(what, dataset, "VOILUTSequence")
            elif any(is_given(what, dataset, keyword) for keyword in WINDOW):
                self._window = _window(what, dataset)
        ends = np.array([0, 2 ** (bits - 1) - 1, 2 ** (bits - 1), 2**bits - 1])
        self._table = self._shown(np.arange(2**bits)) if bits <= _TABLE_BITS else None
        shown = self._shown(ends) if self._table is None else self._table
        self._padding = self._padded()
        low, high = float(shown.min()), float(shown.max())
        if not low < high:
            blamed = "window outside of them" if self._window else "LUT or RescaleSlope 0"
            raise DataError(f"{what}: all its values become one grey ({blamed}?).")
        #: The range of all values that the bits can hold.
        self.full = (low, high) if depth is None else (0.0, 2.0**depth - 1)
        #: The scale that the header asks for; None without a window or a VOI LUT.
        self.asked: Scale | None = None
        if self._lut:
            self.asked = Scale(0.0, self._lut_high(high), "VOI LUT")
        elif self._window:
            center, width = self._window.WindowCenter, self._window.WindowWidth
            self.asked = Scale(0.0, 255.0, f"window {width:g} wide around {center:g}")

    def span(self, patterns: np.ndarray) -> tuple[float, float] | None:
        """Return the smallest and the largest shown value of a frame; None if all is padding."""
        if self._table is not None:
            there = np.zeros(2**self._bits, bool)
            there[patterns] = True
            if self._padding is not None:
                there[self._padding] = False
            shown = self._table[there]
            return (float(shown.min()), float(shown.max())) if shown.size else None
        ends = [
            (float(shown.min()), float(shown.max()))
            for chunk in _chunks(patterns)
            for shown in (self._shown(chunk),)
        ]
        return min(low for low, _ in ends), max(high for _, high in ends)

    def image(self, patterns: np.ndarray, scale: Scale) -> np.ndarray:
        """Return uint8 of stored values (any shape)."""
        if self._table is not None:
            return scale(self._table)[patterns]
        image = np.empty(patterns.shape, np.uint8)
        for part, chunk in zip(_chunks(image), _chunks(patterns), strict=True):
            part[:] = scale(self._shown(chunk))
        return image

    def _signed_values(self, patterns: np.ndarray) -> np.ndarray:
        values = patterns.astype(np.int64)
        if self._signed:
            values = np.where(values < 2 ** (self._bits - 1), values, values - 2**self._bits)
        return values

    def _shown(self, patterns: np.ndarray) -> np.ndarray:
        """Return the values of bit patterns after modality and window, unscaled."""
        what, dataset, values = self._what, self._dataset, self._signed_values(patterns)
        if self._modality is not None:
            if self._modality:
                values = np.clip(values, *self._modality)
            values = attempt(
                lambda: apply_modality_lut(values, dataset),
                f"{what}: its modality LUT cannot be applied.",
            )
        if self._lut:
            values = np.clip(np.rint(values), *self._lut[:2]).astype(np.int64)
            return attempt(
                lambda: apply_voi_lut(values, dataset), f"{what}: VOILUTSequence cannot be applied."
            )
        if self._window:
            return attempt(
                lambda: apply_voi_lut(values, self._window),
                f"{what}: its window cannot be applied.",
            )
        return values

    def _lut_high(self, largest: float) -> float:
        """Return the LUT's white: some say 16 bits and hold 8 or 12."""
        depth = self._lut[2]
        if largest < 2 ** (depth - 2):
            depth = max(8, int(largest).bit_length())
        return 2.0**depth - 1

    def _padded(self) -> np.ndarray | None:
        """Return the bit patterns that are padding."""
        what, dataset = self._what, self._dataset
        if self._table is None or not is_given(what, dataset, "PixelPaddingValue"):
            return None
        first = int(number_of(what, dataset, "PixelPaddingValue"))
        last = int(number_of(what, dataset, "PixelPaddingRangeLimit", first))
        values = self._signed_values(np.arange(2**self._bits))
        # Some write a signed value without its sign.
        ends = sorted(
            end - 2**self._bits if self._signed and end >= 2 ** (self._bits - 1) else end
            for end in (first, last)
        )
        return (values >= ends[0]) & (values <= ends[1])


def common_scale(full: tuple[float, float], spans: list[tuple[float, float]], bits: int) -> Scale:
    """Return the scale of a file without a window (see the module's text).

    Args:
        full: the range of all the values that the bits can hold.
        spans: the ranges of the values of its frames.
        bits: BitsStored.
    """
    width = full[1] - full[0]
    if bits > 8 and spans:
        low, high = min(span[0] for span in spans), max(span[1] for span in spans)
        if 0 < high - low < width / 4:
            return Scale(low, high, f"no window, {bits} bits stored, of which {low:g} to {high:g}")
    return Scale(*full, f"no window, {bits} bits stored")


def palette(what: str, dataset: Dataset, bits: int, signed: bool) -> np.ndarray:
    """Return the colour of every stored bit pattern, uint8 (2^bits, 3).

    Raises:
        DataError: the palette is missing or damaged.
    """
    values = np.arange(2**bits)
    if signed:
        values = np.where(values < 2 ** (bits - 1), values, values - 2**bits)
    for channel in _CHANNELS:
        if not is_given(what, dataset, f"{channel}PaletteColorLookupTableDescriptor"):
            raise DataError(
                f"{what} does not say its {channel}PaletteColorLookupTableDescriptor; export it "
                "again."
            )
        if not any(
            is_given(what, dataset, f"{kind}{channel}PaletteColorLookupTableData")
            for kind in _PALETTE_KINDS
        ):
            raise DataError(
                f"{what} does not say its {channel}PaletteColorLookupTableData; export it again."
            )
    colours = attempt(lambda: apply_color_lut(values, dataset), f"{what}: its palette is damaged.")[
        ..., :3
    ]
    # Some say 16 bits and hold 8.
    high = 255 if colours.max() < 256 else 65535
    return Scale(0, high, "palette")(colours.astype(np.float64))


def _chunks(values: np.ndarray) -> list[np.ndarray]:
    flat = values.reshape(-1)
    return [flat[i : i + _CHUNK] for i in range(0, flat.size, _CHUNK)]


def _modality(what: str, dataset: Dataset) -> tuple[tuple[int, int] | tuple[()] | None, int | None]:
    """Return the inputs and the bits of the modality LUT; () for a rescale, None for neither."""
    x_ray = (XRayAngiographicImageStorage, XRayRadiofluoroscopicImageStorage)
    if term_of(what, dataset, "SOPClassUID") in x_ray and term_of(
        what, dataset, "PixelIntensityRelationship"
    ) in ("LOG", "DISP"):
        return None, None
    if is_given(what, dataset, "ModalityLUTSequence"):
        first, last, depth = _widen_lut(what, dataset, "ModalityLUTSequence")
        return (first, last), depth
    for keyword, default in (("RescaleSlope", 1), ("RescaleIntercept", 0)):
        setattr(dataset, keyword, number_of(what, dataset, keyword, default))
    return (), None


def _widen_lut(what: str, dataset: Dataset, keyword: str) -> tuple[int, int, int]:
    """Return the first and the last input of a LUT and the bits of its output.

    Its depth is then set to 16: pydicom looks up with as many bits as the output has, so that in
    a LUT of 8 bits the entries beyond 256 would be folded back to the first ones.
    """

    def widen() -> tuple[int, int, int]:
        item = dataset[keyword].value[0]
        entries, first, depth = (int(number) for number in item.LUTDescriptor)
        if not 8 <= depth <= 16 or not is_given(what, item, "LUTData"):
            raise ValueError
        item.LUTDescriptor = [entries, first, 16]
        return first, first + (entries or 2**16) - 1, depth

    return attempt(widen, f"{what}: {keyword} is damaged, empty, or not of 8 to 16 bits.")


def _window(what: str, dataset: Dataset) -> Dataset:
    """Return the first window alone, over a nominal output of 8 bits: 0 to 255, unrounded."""
    function = term_of(what, dataset, "VOILUTFunction") or "LINEAR"
    if function not in ("LINEAR", "LINEAR_EXACT", "SIGMOID"):
        raise DataError(
            f"{what}: VOILUTFunction is none of LINEAR, LINEAR_EXACT, SIGMOID; correct it."
        )
    center, width = (number_of(what, dataset, keyword) for keyword in WINDOW)
    if width <= 0 or (function == "LINEAR" and width < 1):
        expected = "1 or more" if function == "LINEAR" else "more than 0"
        raise DataError(
            f"{what}: WindowWidth is {width:g}; {function} needs {expected}. Correct or remove the "
            "window."
        )
    view = Dataset()
    view.PhotometricInterpretation = "MONOCHROME2"
    view.BitsStored, view.PixelRepresentation = 8, 0
    view.VOILUTFunction = function
    view.WindowCenter, view.WindowWidth = center, width
    return view
