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

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from pydicom import Dataset
from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi, apply_windowing
from pydicom.uid import XRayAngiographicImageStorage, XRayRadiofluoroscopicImageStorage

from helpers.data.dicom.header import damage, is_given, number_of, term_of
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
_Step = Callable[[np.ndarray], np.ndarray]  # values of any shape to others


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
        dataset: header with the elements of `ELEMENTS`, as far as it has them; LUTs are changed.
        bits: BitsStored.
        signed: whether the bits are a two's complement.
        grey: False for colour samples, which have neither a modality nor a window.

    Attributes:
        full: the smallest and the largest value that the bits can hold.
        asked: the scale that the header asks for; None without a window or a VOI LUT.

    Raises:
        DataError: a window or a LUT is wrong; names the element.
    """

    def __init__(self, dataset: Dataset, bits: int, *, signed: bool, grey: bool) -> None:
        self._bits, self._signed = bits, signed
        self.asked: Scale | None = None
        modality = voi = None
        if grey:
            modality = _modality(dataset)
            if is_given(dataset, "VOILUTSequence"):
                voi = _Lut(dataset, "VOILUTSequence", apply_voi)
            elif any(is_given(dataset, keyword) for keyword in WINDOW):
                voi, self.asked = _window(dataset)
        self._steps: list[_Step] = [step for step in (modality, voi) if step]
        self._table = self._padding = None
        if bits <= _TABLE_BITS:
            shown = self._table = self._shown(np.arange(2**bits))
            self._padding = _padding(dataset, bits, signed)
        else:
            ends = np.array([0, 2 ** (bits - 1) - 1, 2 ** (bits - 1), 2**bits - 1])
            shown = self._shown(ends)
        low, high = float(shown.min()), float(shown.max())
        if not low < high:
            blamed = "window outside of them" if self.asked else "LUT or RescaleSlope 0"
            raise DataError(f"all its values become one grey ({blamed}?).")
        self.full = (0.0, modality.white) if isinstance(modality, _Lut) else (low, high)
        if isinstance(voi, _Lut):
            # Some say 16 bits and hold 8 or 12.
            too_deep = high < (voi.white + 1) / 4
            white = 2.0 ** max(8, int(high).bit_length()) - 1 if too_deep else voi.white
            self.asked = Scale(0.0, white, "VOI LUT")

    def span(self, patterns: np.ndarray) -> tuple[float, float]:
        """Return the smallest and the largest shown value; (inf, -inf) if all is padding."""
        if self._table is not None:
            there = np.zeros(2**self._bits, bool)
            there[patterns] = True
            shown = self._table[there & ~self._padding]
            return shown.min(initial=np.inf), shown.max(initial=-np.inf)
        ends = [(shown.min(), shown.max()) for shown in map(self._shown, patterns)]
        return np.min(ends), np.max(ends)

    def image(self, patterns: np.ndarray, scale: Scale | None) -> np.ndarray:
        """Return uint8 of stored values (H, W) or (H, W, 3), by `scale` where none is asked for."""
        scale = self.asked or scale
        if self._table is not None:
            return scale(self._table)[patterns]
        # Row by row, as the numbers in between take twice the memory of the values.
        return np.stack([scale(self._shown(row)) for row in patterns])

    def _shown(self, patterns: np.ndarray) -> np.ndarray:
        """Return the values of bit patterns after modality and window, unscaled."""
        values = _signed_values(patterns, self._bits, self._signed)
        for step in self._steps:
            values = step(values)
        return values.astype(np.float64)


def palette(dataset: Dataset, bits: int, signed: bool) -> np.ndarray:
    """Return the colour of every stored bit pattern, uint8 (2^bits, 3).

    Raises:
        DataError: the palette is missing or damaged.
    """
    table = "PaletteColorLookupTable"
    for channel in _CHANNELS:
        if not is_given(dataset, f"{channel}{table}Descriptor"):
            raise DataError(f"it does not say its {channel}{table}Descriptor; export it again.")
        if not any(is_given(dataset, f"{kind}{channel}{table}Data") for kind in _PALETTE_KINDS):
            raise DataError(f"it does not say its {channel}{table}Data; export it again.")
    with damage("its palette is damaged."):
        values = _signed_values(np.arange(2**bits), bits, signed)
        colours = apply_color_lut(values, dataset)[..., :3]
    # Some say 16 bits and hold 8.
    high = 255 if colours.max() < 256 else 65535
    return Scale(0, high, "palette")(colours.astype(np.float64))


def _signed_values(patterns: np.ndarray, bits: int, signed: bool) -> np.ndarray:
    values = patterns.astype(np.int64)
    if signed:
        values = np.where(values < 2 ** (bits - 1), values, values - 2**bits)
    return values


def _padding(dataset: Dataset, bits: int, signed: bool) -> np.ndarray:
    """Return which bit patterns are padding, bool (2^bits,)."""
    if not is_given(dataset, "PixelPaddingValue"):
        return np.zeros(2**bits, bool)
    first = int(number_of(dataset, "PixelPaddingValue"))
    last = int(number_of(dataset, "PixelPaddingRangeLimit", first))
    # Some write a signed value without its sign.
    low, high = sorted(
        end - 2**bits if signed and end >= 2 ** (bits - 1) else end for end in (first, last)
    )
    values = _signed_values(np.arange(2**bits), bits, signed)
    return (values >= low) & (values <= high)


def _modality(dataset: Dataset) -> _Step | None:
    x_ray = (XRayAngiographicImageStorage, XRayRadiofluoroscopicImageStorage)
    relationship = term_of(dataset, "PixelIntensityRelationship")
    if term_of(dataset, "SOPClassUID") in x_ray and relationship in ("LOG", "DISP"):
        return None
    if is_given(dataset, "ModalityLUTSequence"):
        return _Lut(dataset, "ModalityLUTSequence", apply_modality_lut)
    slope = number_of(dataset, "RescaleSlope", 1.0)
    intercept = number_of(dataset, "RescaleIntercept", 0.0)
    return lambda values: values * slope + intercept


class _Lut:
    """A look-up table of the header; `white` is the largest value that its depth can hold."""

    def __init__(
        self, dataset: Dataset, keyword: str, apply: Callable[[np.ndarray, Dataset], np.ndarray]
    ) -> None:
        self._dataset, self._keyword, self._apply = dataset, keyword, apply
        with damage(f"{keyword} is damaged, empty, or not of 8 to 16 bits."):
            item = dataset[keyword].value[0]
            entries, first, depth = (int(number) for number in item.LUTDescriptor)
            if not 8 <= depth <= 16 or not is_given(item, "LUTData"):
                raise ValueError
            # pydicom looks up with as many bits as the output has, so that in a LUT of 8 bits the
            # entries beyond 256 would be folded back to the first ones.
            item.LUTDescriptor = [entries, first, 16]
        self._first, self._last = first, first + (entries or 2**16) - 1
        self.white = 2.0**depth - 1

    def __call__(self, values: np.ndarray) -> np.ndarray:
        inputs = np.clip(np.rint(values), self._first, self._last).astype(np.int64)
        with damage(f"{self._keyword} cannot be applied."):
            return self._apply(inputs, self._dataset)


def _window(dataset: Dataset) -> tuple[_Step, Scale]:
    """Return the first window as a step to 0..255, unrounded, and the scale that goes with it."""
    function = term_of(dataset, "VOILUTFunction") or "LINEAR"
    if function not in ("LINEAR", "LINEAR_EXACT", "SIGMOID"):
        raise DataError("VOILUTFunction is none of LINEAR, LINEAR_EXACT, SIGMOID; correct it.")
    center, width = (number_of(dataset, keyword) for keyword in WINDOW)
    if width <= 0 or (function == "LINEAR" and width < 1):
        expected = "1 or more" if function == "LINEAR" else "more than 0"
        raise DataError(
            f"WindowWidth is {width:g}; {function} needs {expected}. Correct or remove the window."
        )
    view = Dataset()
    view.PhotometricInterpretation = "MONOCHROME2"
    view.BitsStored, view.PixelRepresentation = 8, 0
    view.VOILUTFunction = function
    view.WindowCenter, view.WindowWidth = center, width
    scale = Scale(0.0, 255.0, f"window {width:g} wide around {center:g}")
    return lambda values: apply_windowing(values, view), scale
