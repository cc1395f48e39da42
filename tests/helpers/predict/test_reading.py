"""A folder of anything: each file gives its frames or a reason, in a fixed order, never a crash."""

import io
import os

import numpy as np
import pytest
from PIL import Image

from helpers.data import pictures
from helpers.data.splits import DataError
from helpers.predict.reading import (
    MIN_SIDE,
    Skipped,
    folder_content,
    list_folder,
    read_file,
    to_grey,
)
from tests.helpers.data.test_dicom import make, stored_values, to_bytes


def grey(side=32, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (side, side)).astype(np.uint8)


def colour(side=32, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3)).astype(np.uint8)


def save(path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)


def read(path):
    """Return the frames of the only file of a folder, or the reason why there are none."""
    (found,), skipped = list_folder(path.parent)
    assert not skipped
    frames = read_file(found)
    return frames.reason if isinstance(frames, Skipped) else frames


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp", ".gif", ".PNG", ""])
def test_grey_pictures_come_as_they_are(tmp_path, suffix):
    save(tmp_path / f"x{suffix}", grey(), format="PNG" if suffix == "" else None)
    (frame,) = read(tmp_path / f"x{suffix}")
    assert frame.pixels.dtype == np.uint8 and frame.notes == ()
    np.testing.assert_array_equal(frame.pixels[..., 0], grey())  # GIF: palette, so three channels
    assert frame.pixels.shape == (32, 32, 3 if suffix == ".gif" else 1)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp", ".webp"])
def test_colour_pictures_come_as_they_are(tmp_path, suffix):
    save(tmp_path / f"x{suffix}", colour(), **({"lossless": True} if suffix == ".webp" else {}))
    (frame,) = read(tmp_path / f"x{suffix}")
    np.testing.assert_array_equal(frame.pixels, colour())


def test_jpeg_under_a_wrong_name_is_told_by_its_content(tmp_path):
    save(tmp_path / "x.png", np.full((20, 20), 90, np.uint8), format="JPEG")
    (frame,) = read(tmp_path / "x.png")
    assert (frame.pixels == 90).all()


def test_palette_and_one_bit(tmp_path):
    Image.fromarray(colour()).quantize(8).save(tmp_path / "p.png")
    Image.fromarray(grey() > 99).save(tmp_path / "b.png")
    bits, palette = (read_file(found)[0].pixels for found in list_folder(tmp_path)[0])
    np.testing.assert_array_equal(bits[..., 0], np.where(grey() > 99, 255, 0))
    expected = np.asarray(Image.fromarray(colour()).quantize(8).convert("RGB"))
    np.testing.assert_array_equal(palette, expected)


@pytest.mark.parametrize(("largest", "bits"), [(60_000, 16), (4095, 12), (1000, 10), (200, 8)])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bits_fill_the_range_of_the_bits_that_are_used(tmp_path, largest, bits, suffix):
    values = np.linspace(0, largest, 400).astype(np.uint16).reshape(20, 20)
    save(tmp_path / f"x{suffix}", values)
    (frame,) = read(tmp_path / f"x{suffix}")
    expected = np.round(values * (255 / (2**bits - 1)))
    np.testing.assert_array_equal(frame.pixels[..., 0], expected)
    assert frame.notes == (f"16-bit grey: 0 to {2**bits - 1} became 0 to 255",)


def test_opaque_alpha_is_dropped_and_transparency_refused(tmp_path):
    opaque = np.dstack([colour(), np.full((32, 32), 255, np.uint8)])
    save(tmp_path / "a" / "x.png", opaque)
    np.testing.assert_array_equal(read(tmp_path / "a" / "x.png")[0].pixels, colour())
    opaque[3, 3, 3] = 0
    save(tmp_path / "b" / "x.png", opaque)
    assert "partly transparent" in read(tmp_path / "b" / "x.png")
    grey_alpha = Image.merge("LA", [Image.fromarray(grey()), Image.new("L", (32, 32), 255)])
    (tmp_path / "c").mkdir()
    grey_alpha.save(tmp_path / "c" / "x.png")
    assert read(tmp_path / "c" / "x.png")[0].pixels.shape == (32, 32, 1)


def test_the_orientation_of_a_photograph_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate by 90 degrees clockwise
    pixels = np.zeros((40, 20), np.uint8)
    pixels[:20] = 200
    save(tmp_path / "x.jpg", pixels, exif=exif)
    (frame,) = read(tmp_path / "x.jpg")
    assert frame.pixels.shape == (20, 40, 1)
    assert frame.pixels[:, 30:].mean() > 150 > 50 > frame.pixels[:, :10].mean()
    assert frame.notes[0].startswith("turned upright")


def test_the_pages_of_a_tiff_are_frames(tmp_path):
    pages = [Image.fromarray(grey(seed=k)) for k in range(3)]
    pages[0].save(tmp_path / "x.tif", save_all=True, append_images=pages[1:])
    frames = read(tmp_path / "x.tif")
    assert [frame.frame for frame in frames] == [0, 1, 2]
    for k, frame in enumerate(frames):
        np.testing.assert_array_equal(frame.pixels[..., 0], grey(seed=k))


def test_dicom_under_any_name_gives_all_frames(tmp_path):
    values = stored_values(8, frames=4, size=32)
    (tmp_path / "IM0001").write_bytes(to_bytes(make(values)))
    frames = read(tmp_path / "IM0001")
    assert [frame.frame for frame in frames] == [0, 1, 2, 3]
    np.testing.assert_array_equal([frame.pixels[..., 0] for frame in frames], values)


def test_a_picture_that_is_no_square_is_marked(tmp_path):
    save(tmp_path / "a" / "x.png", grey()[:28])
    save(tmp_path / "b" / "x.png", grey()[:30])
    (frame,) = read(tmp_path / "a" / "x.png")
    assert frame.notes == ("squeezed to a square",)
    assert read(tmp_path / "b" / "x.png")[0].notes == ()  # within 10 %


def half(content):
    return content[: len(content) // 2]


def encoded(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def png(pixels):
    return encoded(Image.fromarray(pixels), "PNG")


def animation(kind):
    first, *others = [Image.fromarray(grey(seed=k)) for k in range(3)]
    return encoded(first, kind, save_all=True, append_images=others)


BAD = {
    "empty.png": (b"", "empty file"),
    "half.png": (half(png(grey())), "damaged or truncated picture"),
    "half.dcm": (half(to_bytes(make(stored_values(size=32)))), "truncated"),
    "notes.txt": (b"a note about the images", "no image of a known kind"),
    "table.csv": (b"file,label\nx.png,1\n", "no image of a known kind"),
    "text.png": (b"a note about the images", "no picture inside, though its name ends in .png"),
    "text.dcm": (b"a note about the images" * 9, "no DICM mark"),
    "page.ps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\n", "no image of a known"),
    "small.png": (png(grey(5)), "5 x 5 pixels; at least 16 x 16 are needed"),
    "flat.png": (png(grey(40)[: MIN_SIDE - 1]), "40 x 15 pixels"),
    "film.gif": (animation("GIF"), "animated GIF of 3 frames"),
    "film.png": (animation("PNG"), "animated PNG of 3 frames"),
    "cmyk.tif": (encoded(Image.new("CMYK", (30, 30)), "TIFF"), "pixel mode CMYK"),
    "float.tif": (encoded(Image.new("F", (30, 30), 1), "TIFF"), "pixel mode F"),
    "deep.tif": (encoded(Image.new("I", (30, 30), 2**20), "TIFF"), "pixel mode I"),
    "report.dcm": (to_bytes(make(PixelData=None)), "no pixel data"),
    "zip.jpg": (b"PK\x03\x04" + bytes(100), "no picture inside"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_read_is_skipped_with_a_reason(tmp_path, name):
    content, reason = BAD[name]
    (tmp_path / name).write_bytes(content)
    found = read(tmp_path / name)
    assert isinstance(found, str) and reason in found
    assert str(tmp_path) not in found and "\n" not in found


@pytest.mark.filterwarnings("ignore:Truncated File Read")
def test_every_truncation_of_a_file_is_read_or_skipped(tmp_path):
    """Whatever a decoder raises, it does not come out."""
    for kind in ("PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP"):
        content = encoded(Image.fromarray(colour(20)), kind)
        for end in range(1, len(content), max(1, len(content) // 25)):
            (tmp_path / "x.bin").write_bytes(content[:end])
            assert read(tmp_path / "x.bin")


def test_an_enormous_picture_is_not_decoded(tmp_path, monkeypatch):
    save(tmp_path / "x.png", grey())
    monkeypatch.setattr(pictures, "MAX_PIXELS", 1000)
    assert "32 x 32 pixels are more than 1,000" in read(tmp_path / "x.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # Pillow's own guard, at twice that
    assert "more than 1,000 pixels" in read(tmp_path / "x.png")


def test_one_bad_page_and_the_whole_file_is_skipped(tmp_path):
    pages = [Image.fromarray(grey()), Image.fromarray(grey(8))]
    pages[0].save(tmp_path / "x.tif", save_all=True, append_images=pages[1:])
    assert "frame 1: 8 x 8 pixels" in read(tmp_path / "x.tif")


def test_a_folder_is_listed_in_order_with_nothing_left_out(tmp_path):
    for name in ("b/2.png", "b/10.png", "a.png", "c/d/e.png"):
        save(tmp_path / name, grey())
    (tmp_path / ".hidden").write_text("x")
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache" / "x.png").write_bytes(png(grey()))
    (tmp_path / "link").symlink_to(tmp_path / "b")
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere.png")
    os.mkfifo(tmp_path / "pipe")
    found, skipped = list_folder(tmp_path)
    assert [f.name for f in found] == ["a.png", "b/10.png", "b/2.png", "c/d/e.png"]
    assert skipped == [
        Skipped(".cache", "hidden folder"),
        Skipped(".hidden", "hidden file"),
        Skipped("gone.png", "link to nothing"),
        Skipped("link", "link to a folder, not followed"),
        Skipped("pipe", "no regular file"),
    ]


def test_names_that_do_not_print_are_escaped(tmp_path):
    odd = os.fsencode(tmp_path) + b"/bad\xff\n\x1b[31m.png"
    with open(odd, "wb") as file:
        file.write(png(grey()))
    (tmp_path / r"bad\n.png").write_bytes(png(grey()))
    (tmp_path / "bad\n.png").write_bytes(png(grey(30)))
    found, _ = list_folder(tmp_path)
    assert [f.name for f in found] == [r"bad\\n.png", r"bad\n.png", r"bad\udcff\n\x1b[31m.png"]
    assert [read_file(f)[0].pixels.shape for f in found] == [(32, 32, 1), (30, 30, 1), (32, 32, 1)]


def test_folders_that_are_none(tmp_path):
    with pytest.raises(DataError, match="there is no folder"):
        list_folder(tmp_path / "nowhere")
    (tmp_path / "x.png").write_bytes(png(grey()))
    with pytest.raises(DataError, match="is a file; expected a folder"):
        list_folder(tmp_path / "x.png")


def test_a_file_that_vanishes_is_skipped(tmp_path):
    (tmp_path / "x.png").write_bytes(png(grey()))
    (found,), _ = list_folder(tmp_path)
    found.path.unlink()
    assert read_file(found) == Skipped("x.png", "cannot be opened: No such file or directory")


def test_the_content_of_a_folder_in_words():
    assert folder_content([], []) == "it is empty"
    many = [Skipped(f"{k}.txt", "no image of a known kind") for k in range(8)]
    text = folder_content([], many)
    assert text.startswith("it holds 0.txt (no image of a known kind), 1.txt") and "3 more" in text


def test_grey_of_colour_is_luma_and_equal_channels_stay():
    equal = np.repeat(grey()[..., None], 3, axis=2)
    np.testing.assert_array_equal(to_grey(equal)[..., 0], grey())
    luma = colour() @ np.array([0.299, 0.587, 0.114])
    assert np.abs(to_grey(colour())[..., 0] - luma).max() <= 1
