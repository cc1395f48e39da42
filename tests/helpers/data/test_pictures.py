"""Picture files of every kind: read whole, or refused with the true reason, never a crash."""

import io
import struct
import tracemalloc
import warnings
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image

from helpers.data import pictures
from helpers.data.image_files import read_file
from helpers.data.picture_pixels import TURNED
from helpers.data.pictures import (
    NEARLY_FLAT,
    LargeFile,
    Reading,
    bits_of,
    flatness,
    read_pictures,
    to_uint8,
)
from helpers.data.splits import DataError

YY, XX = np.mgrid[:40, :40]
TWELVE = (16 * np.clip(128 + 80 * np.sin(XX / 9) + 40 * np.cos(YY / 7), 0, 255)).astype(np.uint16)
EIGHT = (TWELVE >> 4).astype(np.uint8)
COLOUR = np.stack([TWELVE, TWELVE[::-1], TWELVE.T], axis=-1)
OPAQUE = np.full_like(TWELVE, 2**16 - 1)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def raw_png(colour_type, depth, rows, *, side=40, more=b""):
    header = struct.pack(">IIBBBBB", side, side, depth, colour_type, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row for row in rows))
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + more
        + chunk(b"IDAT", data)
        + chunk(b"IEND", b"")
    )


def png_16(colour_type, *planes, more=b""):
    """A PNG of 16 bits a sample, which Pillow cannot write in colour."""
    rows = (np.stack([p[y] for p in planes], axis=-1).astype(">u2").tobytes() for y in range(40))
    return raw_png(colour_type, 16, rows, more=more)


def png_bits(depth, values, *, colour_type=0, more=b""):
    """A PNG of fewer than 8 bits a pixel."""
    bits = np.unpackbits(values.astype(np.uint8)[..., None], axis=-1)[..., -depth:]
    return raw_png(
        colour_type, depth, (np.packbits(row.reshape(-1)).tobytes() for row in bits), more=more
    )


def tiff(values, **options):
    file = io.BytesIO()
    tifffile.imwrite(file, values, **options)
    return file.getvalue()


def saved(values, kind, **options):
    file = io.BytesIO()
    image = values if isinstance(values, Image.Image) else Image.fromarray(values)
    image.save(file, kind, **options)
    return file.getvalue()


def read(content, suffix=""):
    return read_pictures(io.BytesIO(content), suffix=suffix)


def read_one(content):
    """Return a file's only picture as uint8 and its notes."""
    (picture,) = read(content)
    return to_uint8(picture, bits_of([picture])), picture.notes


LEVELS = TWELVE // 1024  # 0 to 3
PALETTE = chunk(b"PLTE", bytes([0, 0, 0, 90, 10, 10, 10, 90, 10, 250, 250, 250]))
COLOURS = np.frombuffer(PALETTE[8:20], np.uint8).reshape(4, 3)
GREY_12 = np.round(TWELVE * (255 / 4095)).astype(np.uint8)
RGB_12 = np.round(COLOUR * (255 / 4095)).astype(np.uint8)
RGB_8 = (COLOUR >> 4).astype(np.uint8)
INDEXED = Image.fromarray(RGB_8).quantize(64)
# Every kind that is read, and the pixels that it must give.
READ = {
    "png grey 16": (png_16(0, TWELVE), GREY_12),
    "png grey 16, alpha": (png_16(4, TWELVE, OPAQUE), GREY_12),
    "png grey 16, unused transparent value": (
        png_16(0, TWELVE, more=chunk(b"tRNS", struct.pack(">H", 77))), GREY_12,
    ),
    "png rgb 16": (png_16(2, *COLOUR.transpose(2, 0, 1)), RGB_12),
    "png rgb 16, equal channels": (png_16(2, *[TWELVE] * 3), np.stack([GREY_12] * 3, -1)),
    "png rgb 16, alpha": (png_16(6, *COLOUR.transpose(2, 0, 1), OPAQUE), RGB_12),
    "png rgb 16, unused transparent colour": (
        png_16(2, *COLOUR.transpose(2, 0, 1), more=chunk(b"tRNS", struct.pack(">HHH", 7, 7, 7))),
        RGB_12,
    ),
    "png rgb 16, gamma": (
        png_16(2, *COLOUR.transpose(2, 0, 1), more=chunk(b"gAMA", struct.pack(">I", 45455))),
        RGB_12,
    ),
    "png grey 8": (saved(EIGHT, "PNG"), EIGHT),
    "png grey 8, gamma": (
        raw_png(0, 8, (r.tobytes() for r in EIGHT), more=chunk(b"gAMA", struct.pack(">I", 45455))),
        EIGHT,
    ),
    "png grey 8, alpha": (
        saved(Image.merge("LA", [Image.fromarray(EIGHT), Image.new("L", (40, 40), 255)]), "PNG"),
        EIGHT,
    ),
    "png grey 4": (png_bits(4, TWELVE // 256), (TWELVE // 256 * 17).astype(np.uint8)),
    "png grey 2": (png_bits(2, LEVELS), (LEVELS * 85).astype(np.uint8)),
    "png grey 1": (png_bits(1, TWELVE // 2048), (TWELVE // 2048 * 255).astype(np.uint8)),
    "png palette 2": (png_bits(2, LEVELS, colour_type=3, more=PALETTE), COLOURS[LEVELS]),
    "png palette 4": (png_bits(4, LEVELS, colour_type=3, more=PALETTE), COLOURS[LEVELS]),
    "png palette 4, opaque": (
        png_bits(4, LEVELS, colour_type=3, more=PALETTE + chunk(b"tRNS", b"\xff" * 4)),
        COLOURS[LEVELS],
    ),
    "tiff grey 16": (tiff(TWELVE), GREY_12),
    "tiff grey 16, big-endian": (tiff(TWELVE, byteorder=">"), GREY_12),
    "tiff grey 16, big": (tiff(TWELVE, bigtiff=True), GREY_12),
    "tiff grey 16, white is 0": (tiff(TWELVE, photometric="miniswhite"), 255 - GREY_12),
    "tiff grey 16, tiles, predictor": (
        tiff(TWELVE, tile=(16, 16), compression="zlib", predictor=True), GREY_12,
    ),
    "tiff grey 16, signed but positive": (tiff(TWELVE.astype(np.int16)), GREY_12),
    "tiff grey 32 that 16 bits hold": (tiff(TWELVE.astype(np.uint32)), GREY_12),
    "tiff grey 8, white is 0": (tiff(EIGHT, photometric="miniswhite"), 255 - EIGHT),
    "tiff grey 1": (saved(Image.fromarray(EIGHT > 99), "TIFF"), ((EIGHT > 99) * 255)),
    "tiff lzw": (saved(EIGHT, "TIFF", compression="tiff_lzw"), EIGHT),
    "tiff palette": (saved(INDEXED, "TIFF"), np.array(INDEXED.convert("RGB"))),
    "tiff rgb 8": (tiff(RGB_8, photometric="rgb"), RGB_8),
    "tiff rgb 8, planes": (
        tiff(RGB_8.transpose(2, 0, 1).copy(), photometric="rgb", planarconfig="separate"), RGB_8,
    ),
    "tiff rgb 16": (tiff(COLOUR, photometric="rgb"), RGB_12),
    "tiff rgb 16, big-endian": (tiff(COLOUR, photometric="rgb", byteorder=">"), RGB_12),
    "tiff rgb 16, predictor": (
        tiff(COLOUR, photometric="rgb", compression="zlib", predictor=True), RGB_12,
    ),
    "tiff rgb 16, tiles": (tiff(COLOUR, photometric="rgb", tile=(16, 16)), RGB_12),
    "tiff rgb 16, alpha": (
        tiff(np.dstack([COLOUR, OPAQUE]), photometric="rgb", extrasamples=["unassalpha"]), RGB_12,
    ),
    "jpeg progressive": (saved(EIGHT, "JPEG", progressive=True, quality=100), None),
    "jpeg rgb": (saved(RGB_8, "JPEG"), None),
    "gif": (saved(EIGHT, "GIF"), np.stack([EIGHT] * 3, -1)),
    "webp": (saved(RGB_8, "WEBP", lossless=True), RGB_8),
    "bmp": (saved(RGB_8, "BMP"), RGB_8),
    "bmp palette": (saved(INDEXED, "BMP"), np.array(INDEXED.convert("RGB"))),
    "jpeg 2000": (saved(EIGHT, "JPEG2000"), EIGHT),
    "jpeg 2000, 16 bits": (saved(TWELVE, "JPEG2000"), None),
    "pgm": (saved(EIGHT, "PPM"), EIGHT),
    "pgm 16": (saved(TWELVE, "PPM"), GREY_12),
}  # fmt: skip
CMYK = Image.merge("CMYK", [Image.fromarray(EIGHT)] * 4)
SEE_THROUGH = np.dstack([RGB_8, np.where(EIGHT > 99, 255, 254)]).astype(np.uint8)
# Every kind that is refused, and the reason.
REFUSED = {
    "png grey 16, seen through": (
        png_16(0, TWELVE, more=chunk(b"tRNS", struct.pack(">H", TWELVE[3, 3]))), "transparent",
    ),
    "png grey 16, half alpha": (png_16(4, TWELVE, OPAQUE // 2), "transparent"),
    "png rgb 16, half alpha": (png_16(6, *[TWELVE] * 3, OPAQUE - (XX == 3)), "transparent"),
    "png rgb 16, seen through": (
        png_16(
            2, *[TWELVE] * 3, more=chunk(b"tRNS", struct.pack(">HHH", *[TWELVE[3, 3]] * 3))
        ),
        "transparent",
    ),
    "png rgba 8": (saved(SEE_THROUGH, "PNG"), "transparent"),
    "png grey 2, seen through": (
        png_bits(2, LEVELS, more=chunk(b"tRNS", struct.pack(">H", 2))), "transparent",
    ),
    "png grey 1, seen through": (
        png_bits(1, TWELVE // 2048, more=chunk(b"tRNS", struct.pack(">H", 1))), "transparent",
    ),
    "png palette, seen through": (
        png_bits(2, LEVELS, colour_type=3, more=PALETTE + chunk(b"tRNS", b"\xff\xff\x10")),
        "transparent",
    ),
    "webp rgba": (saved(SEE_THROUGH, "WEBP", lossless=True), "transparent"),
    "tiff rgba 16, half": (
        tiff(np.dstack([COLOUR, OPAQUE // 2]), photometric="rgb", extrasamples=["unassalpha"]),
        "transparent",
    ),
    "tiff signed": (tiff(TWELVE.astype(np.int16) - 1000), "negative values, from -"),
    "tiff signed 8": (tiff((EIGHT // 2).astype(np.int8)), "signed values of 8 bits"),
    "tiff float": (tiff(TWELVE.astype(np.float32)), "pixel mode F"),
    "tiff half float": (tiff(TWELVE.astype(np.float16)), "floating-point sample(s) of 16 bits"),
    "tiff double": (tiff(TWELVE.astype(np.float64)), "1 floating-point sample(s) of 64 bits"),
    "tiff grey 32": (tiff(TWELVE.astype(np.uint32) * 99), "values up to"),
    "tiff grey 64": (tiff(TWELVE.astype(np.uint64)), "1 unsigned sample(s) of 64 bits"),
    "tiff rgb 32": (tiff(COLOUR.astype(np.uint32), photometric="rgb"), "3 unsigned sample"),
    "tiff rgb float": (tiff(COLOUR.astype(np.float32), photometric="rgb"), "floating-point"),
    "tiff grey 16, alpha": (
        tiff(np.dstack([TWELVE, OPAQUE]), photometric="minisblack", planarconfig="contig",
             extrasamples=["unassalpha"]),
        "2 unsigned sample(s) of 16 bits",
    ),
    "tiff of two samples": (
        tiff(np.dstack([EIGHT, EIGHT.T]), photometric="minisblack", planarconfig="contig"),
        "a TIFF of 2 samples",
    ),
    "tiff rgb 16, planes": (
        tiff(COLOUR.transpose(2, 0, 1).copy(), photometric="rgb", planarconfig="separate"),
        "16-bit colour in separate planes",
    ),
    "tiff cmyk 8": (saved(CMYK, "TIFF"), "pixel mode CMYK"),
    "tiff cmyk 16": (tiff(np.dstack([COLOUR, OPAQUE]), photometric="separated"), "CMYK of 16 bits"),
    "jpeg cmyk": (saved(CMYK, "JPEG"), "pixel mode CMYK"),
    "ppm rgb 16": (b"P6 40 40 65535\n" + COLOUR.astype(">u2").tobytes(), "16-bit colour in PPM"),
    "ppm rgb 12": (b"P6 40 40 4095\n" + COLOUR.astype(">u2").tobytes(), "12-bit colour in PPM"),
    "animated gif": (
        saved(EIGHT, "GIF", save_all=True, append_images=[Image.fromarray(EIGHT.T)]),
        "animated GIF of 2 frames",
    ),
    "animated png": (
        saved(EIGHT, "PNG", save_all=True, append_images=[Image.fromarray(EIGHT.T)]),
        "animated PNG of 2 frames",
    ),
    "animated webp": (
        saved(RGB_8, "WEBP", save_all=True, append_images=[Image.fromarray(RGB_8[::-1])]),
        "animated WEBP of 2 frames",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", READ)
def test_a_kind_that_is_read_loses_nothing(kind):
    content, expected = READ[kind]
    pixels, notes = read_one(content)
    assert pixels.dtype == np.uint8 and notes == ()
    assert np.ptp(pixels) > 180
    if expected is None:  # lossy
        grey = EIGHT if pixels.shape[2] == 1 else RGB_8.mean(axis=2)
        assert np.corrcoef(pixels.mean(axis=2).ravel(), grey.ravel())[0, 1] > 0.97
    else:
        np.testing.assert_array_equal(np.squeeze(pixels), expected)


@pytest.mark.parametrize("kind", REFUSED)
def test_a_kind_that_is_not_read_says_why(kind):
    content, reason = REFUSED[kind]
    with pytest.raises(DataError) as error:
        read(content, ".x")
    assert reason in str(error.value)


def exif(orientation):
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


UPRIGHT = np.vstack([EIGHT[:20], EIGHT[:12] // 2])  # no side and no corner like another


def stored_as(orientation):
    """Return UPRIGHT as a camera held in this way stores it."""
    turn = Image.Transpose
    back = {
        2: turn.FLIP_LEFT_RIGHT, 3: turn.ROTATE_180, 4: turn.FLIP_TOP_BOTTOM, 5: turn.TRANSPOSE,
        6: turn.ROTATE_90, 7: turn.TRANSVERSE, 8: turn.ROTATE_270,
    }  # fmt: skip
    image = Image.fromarray(UPRIGHT)
    return image.transpose(back[orientation]) if orientation in back else image


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG", "WEBP"])
@pytest.mark.parametrize("orientation", range(10))
def test_a_picture_is_turned_upright_and_says_so_only_then(kind, orientation):
    stored = stored_as(orientation)
    options = {"quality": 100} if kind == "JPEG" else {}
    options |= {"lossless": True} if kind == "WEBP" else {}
    pixels, notes = read_one(saved(stored, kind, exif=exif(orientation), **options))
    assert pixels.shape[:2] == UPRIGHT.shape
    assert np.abs(pixels[..., 0].astype(int) - UPRIGHT).max() <= 4
    assert notes == ((TURNED,) if 2 <= orientation <= 8 else ())


@pytest.mark.parametrize("orientation", range(1, 9))
def test_deep_colour_is_turned_as_well(orientation):
    upright = COLOUR[:32]
    turned = {
        1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1],
        5: upright.swapaxes(0, 1), 6: np.rot90(upright), 7: upright[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90(upright, -1),
    }[orientation]  # fmt: skip
    content = tiff(
        np.ascontiguousarray(turned), photometric="rgb", extratags=[(274, 3, 1, orientation, True)]
    )
    pixels, notes = read_one(content)
    np.testing.assert_array_equal(pixels, RGB_12[:32])
    assert bool(notes) == (orientation > 1)


def test_damaged_exif_is_no_damaged_picture():
    content = saved(EIGHT, "PNG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x05nonsense")
    pixels, _ = read_one(content)
    np.testing.assert_array_equal(pixels[..., 0], EIGHT)


# --- limits ------------------------------------------------------------------------------------


def paged(sizes):
    """A TIFF of black pages."""
    first, *more = (Image.new("L", size) for size in sizes)
    return saved(first, "TIFF", save_all=True, append_images=more, compression="tiff_deflate")


def test_all_pages_count(monkeypatch):
    """The first page is small, so a look at it alone would let the others in."""
    content = paged([(20, 20)] + [(4096, 4096)] * 16)
    tracemalloc.start()
    with pytest.raises(DataError, match=r"17 pages of 268,435,856 bytes .*: split the"):
        read(content)
    assert tracemalloc.get_traced_memory()[1] < 2**22
    tracemalloc.stop()
    with pytest.raises(DataError, match="page 3: 8192 x 8193 pixels are more than 67,108,864"):
        read(paged([(20, 20), (20, 20), (8192, 8193)]))
    monkeypatch.setattr(pictures, "MAX_PAGES", 5)
    assert len(read(paged([(20, 20)] * 5))) == 5
    with pytest.raises(DataError, match=r"more than 5 pages .* too many"):
        read(paged([(20, 20)] * 6))


def test_deep_pictures_count_their_bytes(monkeypatch):
    monkeypatch.setattr(pictures, "MAX_DECODED", 40 * 40 * 3)
    read(saved(RGB_8, "PNG"))
    for content in (READ["png rgb 16"][0], READ["tiff rgb 16"][0]):
        with pytest.raises(DataError, match="40 x 40 pixels of 9,600 bytes in all are too many"):
            read(content)
    monkeypatch.setattr(pictures, "MAX_FILE", 100)
    with pytest.raises(DataError, match="more than 100 bytes"):
        read(saved(RGB_8, "PNG"))


def test_a_tile_larger_than_its_picture_is_not_decoded():
    content = bytearray(tiff(EIGHT, tile=(64, 64), compression="zlib"))
    for tag in (322, 323):  # TileWidth, TileLength
        at = content.index(struct.pack("<HHI", tag, 4, 1))
        content[at : at + 12] = struct.pack("<HHII", tag, 4, 1, 2**16)
    with pytest.raises(DataError, match="tiles of 4,294,967,296 pixels"):
        read(bytes(content))


def test_a_file_may_be_put_off_by_what_it_decodes_to():
    content = saved(np.zeros((400, 400), np.uint8), "PNG")
    assert read_pictures(io.BytesIO(content), suffix="", at_most=160_000)
    with pytest.raises(LargeFile):
        read_pictures(io.BytesIO(content), suffix="", at_most=159_999)


# --- what is left of a picture -----------------------------------------------------------------


RAMP = np.tile(np.arange(256, dtype=np.uint8), (64, 1))


def with_lesion(share):
    """Black, but for a share of the pixels that has all levels in turn."""
    image = np.zeros((100, 100), np.uint8)
    lesion = image.reshape(-1)[: int(share * image.size)]
    lesion[:] = np.arange(lesion.size) % 255 + 1
    return image


@pytest.mark.parametrize(
    ("pixels", "expected"),
    [
        (np.zeros((30, 30), np.uint8), "all its values are 0 of 0 to 255"),
        (np.full((30, 30, 3), 255, np.uint8), "all its values are 255 of 0 to 255"),
        (np.full((8, 8, 3), (200, 10, 30), np.uint8), "1 of 256 grey levels, from 10 to 200"),
        (EIGHT >> 4, "16 of 256 grey levels, from 0 to 15"),
        (RAMP // 16, "16 of 256 grey levels, from 0 to 15"),  # within 16 levels
        (RAMP // 32 + 128, "8 of 256 grey levels, from 128 to 135"),
        (RAMP // 32 * 32, "8 of 256"),  # few levels, far apart
        (RAMP // 12 * 12, None),
        ((EIGHT > 99) * np.uint8(255), "2 of 256"),
        (with_lesion(0.005), "51 of 256"),
        (with_lesion(0.05), None),
        (np.stack([RAMP, RAMP * 0, RAMP * 0], -1), None),
        (EIGHT, None),
        (RGB_8, None),
    ],
)
def test_what_is_nearly_flat_is_said(pixels, expected):
    said = flatness(pixels if pixels.ndim == 3 else pixels[..., None])
    assert said is None if expected is None else said.startswith(NEARLY_FLAT) and expected in said


def test_only_uint8_pictures_may_be_flat():
    for image in (RAMP[..., None].astype(float), RAMP, RAMP[:0, :, None]):
        with pytest.raises(ValueError, match="expected a uint8 image"):
            flatness(image)


def test_bits_are_those_of_all_pictures_and_values_beyond_are_cut():
    dark, bright = read(tiff(TWELVE // 16))[0], read(tiff(TWELVE))[0]
    assert (bits_of([dark]), bits_of([bright]), bits_of([dark, bright])) == (8, 12, 12)
    assert bits_of(read(saved(EIGHT, "PNG"))) is None
    assert to_uint8(dark, 12).max() < 20 and (to_uint8(bright, 8) == 255).mean() > 0.5
    with pytest.raises(ValueError, match="no known way of reading"):
        Reading(bits=17)
    assert Reading.from_record(None) == Reading()
    assert Reading.from_record(Reading(bits=12).to_dict()) == Reading(bits=12)
    for damaged in ({}, [], {"bits": 12}, Reading().to_dict() | {"bits": "12"}, 3,
                    Reading().to_dict() | {"orientation": "mirror"}):  # fmt: skip
        with pytest.raises(DataError, match="reading"):
            Reading.from_record(damaged)


# --- damage ------------------------------------------------------------------------------------


def mutated(content, rng):
    """Return a file with bytes changed, cut or repeated, more of them in its header."""
    data = bytearray(content)
    for _ in range(rng.integers(1, 3)):
        end = len(data) if rng.random() < 0.7 else min(len(data), 96)
        at = int(rng.integers(end))
        kind = rng.integers(5)
        if kind == 0:
            data[at] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            data[at : at + 4] = rng.bytes(4)
        elif kind == 2:
            extreme = (0, 1, 255, 2**31 - 1, 2**32 - 1)[rng.integers(5)]
            data[at : at + 4] = extreme.to_bytes(4, "big")
        elif kind == 3:
            del data[at : at + int(rng.integers(1, 40))]
        else:
            data[at:at] = data[at // 2 : at // 2 + 20]
    return bytes(data)


@pytest.mark.filterwarnings("ignore")
def test_five_thousand_damaged_files_are_read_or_refused():
    """Whatever a decoder makes of them: pixels, or one line that says why not."""
    small = {
        kind: content for kind, (content, _) in (READ | REFUSED).items() if len(content) < 40_000
    }
    small["pages"] = paged([(20, 20)] * 3)
    rng = np.random.default_rng(19)
    kinds = sorted(small)
    outcomes = {"read": 0, "refused": 0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number in range(5000):
            content = mutated(small[kinds[number % len(kinds)]], rng)
            try:
                one = read_file(io.BytesIO(content), what="x", suffix=".png")
            except DataError as error:
                assert "\n" not in str(error)
                outcomes["refused"] += 1
            else:
                bits = bits_of(one.pictures)
                for picture in one.pictures:
                    pixels = to_uint8(picture, bits)
                    assert pixels.dtype == np.uint8 and pixels.shape[2] in (1, 3)
                    flatness(pixels)
                outcomes["read"] += 1
    assert min(outcomes.values()) > 500
