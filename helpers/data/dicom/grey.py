"""The grey of a stored DICOM value: modality LUT, VOI LUT or window, as DICOM PS3.3 C.11 has it.

The steps are: modality LUT or rescale, then VOI LUT or window (the first one, if there are several;
a LUT before a window), then black at 0 and white at 255. A file without a window is shown over the
full range of its `BitsStored`, never from its own minimum to its maximum: frames and files stay
comparable. The modality LUT of an angiogram whose values are logarithmic or for display (`LOG`,
`DISP`) leads back to X-ray intensity and is left out, as PS3.4 N.2.5 has it for display.
"""

import numpy as np
from pydicom import Dataset
from pydicom.pixels import apply_modality_lut, apply_voi_lut
from pydicom.uid import XRayAngiographicImageStorage, XRayRadiofluoroscopicImageStorage

from helpers.data.dicom.header import attempt, is_given, number_of, term_of
from helpers.data.splits import DataError

WINDOW = ("WindowCenter", "WindowWidth")
ELEMENTS = (
    "SOPClassUID",
    "PixelIntensityRelationship",
    "ModalityLUTSequence",
    "RescaleIntercept",
    "RescaleSlope",
    "VOILUTSequence",
    "VOILUTFunction",
    *WINDOW,
)


def grey_table(what: str, dataset: Dataset, bits: int, signed: bool) -> np.ndarray:
    """Return the grey of every stored bit pattern, `MONOCHROME1` not yet inverted.

    Window and LUTs depend on the stored value alone, so they are worked out once a file and not
    once a pixel.

    Args:
        what: name of the file in errors.
        dataset: header with the elements of `ELEMENTS`, as far as it has them; LUTs are changed.
        bits: BitsStored.
        signed: whether the bits are a two's complement.

    Returns:
        uint8 (2^bits,).

    Raises:
        DataError: a window or a LUT is wrong; names the element.
    """
    values = np.arange(2**bits)
    if signed:
        values = np.where(values < 2 ** (bits - 1), values, values - 2**bits)
    values, depth = _modality_values(what, dataset, values)
    if is_given(what, dataset, "VOILUTSequence"):
        first, last, depth = _widen_lut(what, dataset, "VOILUTSequence")
        values = np.clip(np.rint(values), first, last).astype(np.int64)
        values = attempt(
            lambda: apply_voi_lut(values, dataset), f"{what}: VOILUTSequence cannot be applied."
        )
    elif any(is_given(what, dataset, keyword) for keyword in WINDOW):
        view = _window(what, dataset)
        values = attempt(
            lambda: apply_voi_lut(values, view), f"{what}: its window cannot be applied."
        )
        depth = view.BitsStored
    # Without a LUT or a window, the table's own ends are those of the full range.
    low, high = (values.min(), values.max()) if depth is None else (0, 2**depth - 1)
    if not low < high:
        raise DataError(f"{what}: all its values become one grey (RescaleSlope 0?).")
    grey = np.round((values - float(low)) * (255.0 / (float(high) - float(low))))
    return np.clip(grey, 0, 255).astype(np.uint8)


def _modality_values(
    what: str, dataset: Dataset, values: np.ndarray
) -> tuple[np.ndarray, int | None]:
    """Apply the modality LUT (returns its bits, too) or the rescale, where it is for display."""
    x_ray = (XRayAngiographicImageStorage, XRayRadiofluoroscopicImageStorage)
    if term_of(what, dataset, "SOPClassUID") in x_ray and term_of(
        what, dataset, "PixelIntensityRelationship"
    ) in ("LOG", "DISP"):
        return values, None
    depth = None
    if is_given(what, dataset, "ModalityLUTSequence"):
        first, last, depth = _widen_lut(what, dataset, "ModalityLUTSequence")
        values = np.clip(values, first, last)
    else:
        for keyword, default in (("RescaleSlope", 1), ("RescaleIntercept", 0)):
            setattr(dataset, keyword, number_of(what, dataset, keyword, default))
    values = attempt(
        lambda: apply_modality_lut(values, dataset), f"{what}: its modality LUT cannot be applied."
    )
    return values, depth


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
