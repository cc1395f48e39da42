"""Stored values of DICOM frames, whatever their transfer syntax.

Uncompressed, deflated and RLE frames are read by pydicom, JPEG and JPEG 2000 of 8 bits and grey
JPEG 2000 of up to 16 by Pillow, lossless JPEG, JPEG-LS and the rest of JPEG 2000 by GDCM. JPEG of
12 bits (the Extended process, as some angiograms have it) has no decoder here: GDCM's is not
offered to pydicom, and the other one is under the GPL.

Before a frame is decoded its own header is compared with the file's: a decoder takes memory for
what the frame claims. GDCM runs in a process of its own (see `helpers.data.dicom.gdcm_process`).
"""

import atexit
import importlib.util
import json
import os
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from pydicom import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.pixels import get_decoder
from pydicom.pixels.decoders.gdcm import DECODER_DEPENDENCIES as GDCM_SYNTAXES
from pydicom.uid import (
    JPEG2000TransferSyntaxes,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLSTransferSyntaxes,
    RLELossless,
)

from helpers.data.dicom.header import damage
from helpers.data.dicom.layout import Layout
from helpers.data.splits import DataError

SECONDS = 120  # for one frame

_DCT = (JPEGBaseline8Bit, JPEGExtended12Bit)
# What compressed frames are, by their transfer syntax (else lossless JPEG) ...
_EXPECTED = dict.fromkeys(_DCT, "JPEG")
_EXPECTED |= dict.fromkeys(JPEGLSTransferSyntaxes, "JPEG-LS")
_EXPECTED |= dict.fromkeys(JPEG2000TransferSyntaxes, "JPEG 2000")
# ... and by the SOF marker of JPEG (ISO/IEC 10918-1) or JPEG-LS in them.
_MARKERS = {0xC0: "JPEG", 0xC1: "JPEG", 0xC2: "JPEG", 0xC3: "lossless JPEG", 0xF7: "JPEG-LS"}
_SCRIPT = Path(__file__).with_name("gdcm_process.py")


class _Codestream(NamedTuple):
    """What a compressed frame says of itself."""

    kind: str
    columns: int
    rows: int
    samples: int
    precision: int


def check_syntax(syntax: Any) -> None:
    """Raise DataError unless there is a decoder for a transfer syntax; names it."""
    with damage(_unsupported(syntax)):
        decoder = get_decoder(syntax)
    if syntax in GDCM_SYNTAXES and syntax not in (*_DCT, *JPEG2000TransferSyntaxes):
        _check_gdcm(syntax)
    elif not decoder.is_available:
        missing = "; ".join(decoder.missing_dependencies)
        raise DataError(_unsupported(syntax, f"install a decoder ({missing})"))


def _has_gdcm() -> bool:
    return importlib.util.find_spec("gdcm") is not None


def _check_gdcm(syntax: Any) -> None:
    if not _has_gdcm():
        raise DataError(_unsupported(syntax, "install python-gdcm, which brings the decoder"))


def stored_values(dataset: Dataset, layout: Layout, frames: Sequence[int]) -> Iterator[np.ndarray]:
    """Yield the stored values of frames, as numbers of `layout.stored` bits, sign not applied.

    They are uint8, uint16 or uint32 (H, W), or (H, W, 3) with YBR turned into RGB. The transfer
    syntax and the size of the file have been checked, and the numbers of the frames rise.

    Raises:
        DataError: a frame cannot be decoded; says why.
    """
    syntax = dataset.file_meta.TransferSyntaxUID
    decode = _compressed if syntax.is_compressed else _native
    # JPEG, JPEG-LS and JPEG 2000 know no high bit: their values are at the low end.
    is_plain = syntax == RLELossless or not syntax.is_compressed
    shift = layout.high + 1 - layout.stored if is_plain else 0
    mask = 2**layout.stored - 1
    for values in decode(dataset, layout, frames):
        if values.shape != layout.shape or values.dtype.kind not in "iu":
            raise DataError(
                f"the header claims {layout}, but a frame decodes to {values.shape} of "
                f"{values.dtype}; export it again."
            )
        values = values.astype(values.dtype.newbyteorder("="), copy=False)
        if layout.photometric == "YBR_PARTIAL_422":
            values = _partial_to_rgb(values)
        # Bits above HighBit may hold an overlay: they are no part of the value.
        yield (np.ascontiguousarray(values).view(f"u{values.itemsize}") >> shift) & mask


def _partial_to_rgb(values: np.ndarray) -> np.ndarray:
    """Return RGB of luma 16 to 235 and chroma 16 to 240 (ITU-R BT.601)."""
    rgb = np.empty_like(values, np.uint8)
    for row, out in zip(values, rgb, strict=True):
        luma, blue, red = row.T.astype(np.float32)
        luma, blue, red = (luma - 16) / 219, (blue - 128) / 224, (red - 128) / 224
        green = luma - (0.114 * 1.772 * blue + 0.299 * 1.402 * red) / 0.587
        parts = np.stack([luma + 1.402 * red, green, luma + 1.772 * blue], -1)
        out[:] = np.clip(np.round(parts * 255), 0, 255)
    return rgb


def _options(layout: Layout) -> dict[str, Any]:
    """Return what pydicom's decoders need to know of a file."""
    partial = layout.photometric == "YBR_PARTIAL_422"
    return {
        "rows": layout.rows,
        "columns": layout.columns,
        "samples_per_pixel": layout.samples,
        "bits_allocated": layout.allocated,
        "bits_stored": layout.stored,
        "pixel_representation": int(layout.signed),
        "photometric_interpretation": "YBR_FULL_422" if partial else layout.photometric,
        "planar_configuration": layout.planar,
        "number_of_frames": layout.frames,
        "pixel_keyword": "PixelData",
        "correct_unused_bits": False,
        # YBR_PARTIAL_422 is laid out as YBR_FULL_422 and has its own way to RGB.
        "raw": partial or layout.samples == 1,
    }


def _native(dataset: Dataset, layout: Layout, frames: Sequence[int]) -> Iterator[np.ndarray]:
    decoder = get_decoder(dataset.file_meta.TransferSyntaxUID)
    data, options = dataset.PixelData, _options(layout) | {"pixel_vr": dataset["PixelData"].VR}
    for frame in frames:
        with damage(f"frame {frame} cannot be read; its header or its pixel data is damaged."):
            if layout.allocated == 1:
                values = _unpacked(data, layout, frame)
            else:
                values, _ = decoder.as_array(data, index=frame, **options)
        yield values


def _unpacked(data: bytes, layout: Layout, frame: int) -> np.ndarray:
    """Return a frame of single bits, which may begin within a byte; pydicom loses its end then."""
    pixels = layout.rows * layout.columns
    start = frame * pixels
    part = np.frombuffer(data[start // 8 : -(-(start + pixels) // 8)], np.uint8)
    bits = np.unpackbits(part, bitorder="little")[start % 8 :][:pixels]
    return bits.reshape(layout.shape)


def _compressed(dataset: Dataset, layout: Layout, frames: Sequence[int]) -> Iterator[np.ndarray]:
    table = [dataset.get(f"ExtendedOffsetTable{end}") for end in ("", "Lengths")]
    encoded = generate_frames(
        dataset.PixelData,
        number_of_frames=layout.frames,
        extended_offsets=tuple(table) if all(table) else None,
    )
    wanted = set(frames)
    damaged = "the pixel data cannot be decoded: truncated or damaged; export it again."
    for frame in range(layout.frames):
        with damage(damaged):
            content = next(encoded)
        if frame in wanted:
            yield _decode(dataset.file_meta.TransferSyntaxUID, layout, frame, content)
    with damage(damaged):
        more = next(encoded, None)
    if more is not None:
        raise DataError(
            f"NumberOfFrames is {layout.frames}, but the pixel data has more; export it again."
        )


def _decode(syntax: Any, layout: Layout, frame: int, content: bytes) -> np.ndarray:
    plugin = _plugin(syntax, layout, frame, content)
    options = _options(layout) | {"number_of_frames": 1, "allow_excess_frames": False}
    if syntax in _DCT:
        options |= {"bits_allocated": 8, "bits_stored": 8}
    if syntax != RLELossless:
        options["planar_configuration"] = 0  # of what the decoders give, whatever the header has
    if plugin == "gdcm":
        options["correct_unused_bits"] = True
    data = encapsulate([content], has_bot=False)
    with damage(
        f"frame {frame} cannot be decoded ({syntax.name}): truncated or damaged, or of a kind that "
        f"{plugin or 'pydicom'} does not know; try `gdcmconv --raw`, or export it again."
    ):
        if plugin != "gdcm":
            try:
                return get_decoder(syntax).as_array(data, decoding_plugin=plugin, **options)[0]
            except Exception:
                # GDCM reads some that Pillow does not.
                if syntax not in JPEG2000TransferSyntaxes or not _has_gdcm():
                    raise
        return _GDCM.decode(str(syntax), options, data)


def _plugin(syntax: Any, layout: Layout, frame: int, content: bytes) -> str:
    """Return pydicom's name for who decodes a frame, "" for pydicom itself; checks its header."""
    if syntax not in GDCM_SYNTAXES:
        return ""
    with damage(
        f"frame {frame} does not begin as {syntax.name!r} does; it is damaged, or its transfer "
        "syntax is wrong. Export it again."
    ):
        stream = _codestream(content)
    _check_codestream(syntax, layout, frame, stream)
    deepest = 16 if stream.samples == 1 else 8
    if syntax in _DCT or (syntax in JPEG2000TransferSyntaxes and stream.precision <= deepest):
        return "pillow"
    _check_gdcm(syntax)
    return "gdcm"


def _codestream(content: bytes) -> _Codestream:
    """Read the size of a JPEG, JPEG-LS or JPEG 2000 frame from its own header."""
    if content[4:8] == b"jP  ":  # JPEG 2000 in a file of boxes
        content = content[content.index(b"jp2c") + 4 :]
    if content[:4] == b"\xff\x4f\xff\x51":  # ISO/IEC 15444-1 A.5.1
        right, bottom, left, top = struct.unpack_from(">4I", content, 8)
        samples, depth = struct.unpack_from(">HB", content, 40)
        return _Codestream("JPEG 2000", right - left, bottom - top, samples, (depth & 127) + 1)
    if content[:2] != b"\xff\xd8":
        raise ValueError
    place = 2
    while True:  # ISO/IEC 10918-1 B.2.2
        if content[place] != 0xFF:
            raise ValueError
        marker = content[place + 1]
        if marker == 0xFF:
            place += 1
        elif marker == 0xF7 or (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)):
            precision, rows, columns, samples = struct.unpack_from(">BHHB", content, place + 4)
            kind = _MARKERS.get(marker, "another JPEG")
            return _Codestream(kind, columns, rows, samples, precision)
        else:
            place += 2 + int.from_bytes(content[place + 2 : place + 4], "big")


def _check_codestream(syntax: Any, layout: Layout, frame: int, stream: _Codestream) -> None:
    expected = _EXPECTED.get(syntax, "lossless JPEG")
    if expected == stream.kind == "JPEG" and stream.precision != 8:
        raise DataError(
            f"its frames are JPEG of {stream.precision} bits (the Extended process), for which "
            "there is no decoder here (Pillow and GDCM read 8 bits); decompress it with DCMTK's "
            "`dcmdjpeg`."
        )
    if stream.kind != expected:
        raise DataError(
            f"its transfer syntax is {syntax.name!r}, but frame {frame} is {stream.kind}; correct "
            "the transfer syntax or export it again."
        )
    claims = f"the header claims {layout}, but frame {frame}"
    size = (layout.columns, layout.rows, layout.samples)
    if size != (stream.columns, stream.rows, stream.samples):
        raise DataError(
            f"{claims} is {stream.columns} x {stream.rows} pixels of {stream.samples} samples; "
            "export it again."
        )
    if not 1 <= stream.precision <= layout.allocated:
        raise DataError(f"{claims} has {stream.precision} bits; export it again.")


def _unsupported(syntax: Any, remedy: str = "") -> str:
    name = getattr(syntax, "name", "")
    # pydicom answers an unknown UID with itself, and that could be any text.
    named = f"{name!r}" if name and name != str(syntax) else "unknown to pydicom"
    return (
        f"its transfer syntax is {named}, which cannot be decoded here; decompress it with "
        f"`gdcmconv --raw` or `dcmdjpeg`{' or ' if remedy else ''}{remedy}."
    )


class _Gdcm:
    """The process that decodes with GDCM; begun when first needed, and anew after it has died."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen | None = None
        self._owner = 0

    def decode(self, syntax: str, options: dict[str, Any], data: bytes) -> np.ndarray:
        """Return a decoded frame; raises ValueError if GDCM fails, dies or takes too long."""
        with self._lock:
            process = self._start()
            timer = threading.Timer(SECONDS, process.kill)
            timer.start()
            try:
                request = {"syntax": syntax, "options": options, "bytes": len(data)}
                process.stdin.write(json.dumps(request).encode() + b"\n" + data)
                process.stdin.flush()
                answer = json.loads(process.stdout.readline())
                if "error" in answer:
                    raise ValueError(answer["error"])
                content = process.stdout.read(answer["bytes"])
            except (OSError, json.JSONDecodeError):
                self.stop()
                raise ValueError("GDCM has ended") from None
            finally:
                timer.cancel()
        return np.frombuffer(content, answer["dtype"]).reshape(answer["shape"])

    def _start(self) -> subprocess.Popen:
        # A forked process must not write into its parent's pipe.
        if self._process is None or self._owner != os.getpid() or self._process.poll() is not None:
            environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(_SCRIPT)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment,
            )
            self._owner = os.getpid()
        return self._process

    def stop(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is not None and self._owner == os.getpid():
            process.kill()
            process.wait()
            process.stdin.close()
            process.stdout.close()


_GDCM = _Gdcm()
atexit.register(_GDCM.stop)
