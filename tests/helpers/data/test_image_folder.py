"""Image folders: layouts, splits, pixels, boxes, and each kind of bad input."""

import os
import shutil

import numpy as np
import pytest
from PIL import Image

from helpers.data import image_files
from helpers.data.image_folder import assign_splits, list_image_folders, load_image_folder
from helpers.data.splits import DataError, DatasetUnavailable
from helpers.paths import data_root

SPLITS = ("train", "val", "test")


def grey(seed=0, size=(16, 16), dtype=np.uint8, high=256):
    return np.random.default_rng(seed).integers(0, high, size).astype(dtype)


def save(path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)


@pytest.fixture
def classes(tmp_path):
    """Return a folder `set` of two classes with 20 and 10 grey PNG images, and no splits."""
    for name, n, seed in (("benign", 20, 0), ("malignant", 10, 100)):
        for i in range(n):
            save(tmp_path / "set" / name / f"{i:02d}.png", grey(seed + i))
    return tmp_path / "set"


@pytest.fixture
def table(tmp_path):
    """Return a function that writes labels.csv, and images for its rows, into `set`."""

    def write(text, images=12):
        for i in range(images):
            save(tmp_path / "set" / "images" / f"{i}.png", grey(i))
        (tmp_path / "set" / "labels.csv").write_text(text)
        return tmp_path / "set"

    return write


def rows(header="file,label,split", **columns):
    """Return the text of a labels.csv of 12 rows; a column is a function of the row's number."""
    defaults = {
        "file": lambda i: f"images/{i}.png",
        "label": lambda i: i % 2,
        "split": lambda i: SPLITS[i // 4],
    }
    columns = {**defaults, **columns}
    lines = [",".join(str(columns[c](i)) for c in header.split(",")) for i in range(12)]
    return "\n".join([header, *lines]) + "\n"


def load(folder, suffix=""):
    return load_image_folder(folder.parent, f"cag:{folder.name}{suffix}")


def test_class_folders_get_a_stratified_repeatable_split(classes):
    splits = load(classes)
    assert splits.class_names == ("benign", "malignant") and splits.name == "cag:set"
    assert splits.source == "set" and splits.in_channels == 1 and splits.image_size == 16
    counts = {k: np.bincount(v.labels).tolist() for k, v in splits.items()}
    assert counts == {"train": [14, 7], "val": [3, 2], "test": [3, 1]}
    again = load(classes)
    for name, split in splits.items():
        np.testing.assert_array_equal(split.images, getattr(again, name).images)
    seen = {image.tobytes() for _, split in splits.items() for image in split.images}
    assert len(seen) == 30


def test_split_folders(tmp_path):
    for s, split in enumerate(SPLITS):
        for c, name in enumerate(("b", "a")):
            for i in range(3):
                save(tmp_path / "set" / split / name / f"{i}.jpg", grey(100 * s + 10 * c + i))
    (tmp_path / "set" / ".DS_Store").write_text("")
    (tmp_path / "set" / "train" / "a" / "Thumbs.db").write_text("")
    (tmp_path / "set" / "README.txt").write_text("about")
    splits = load(tmp_path / "set")
    assert splits.class_names == ("a", "b")
    assert [np.bincount(split.labels).tolist() for _, split in splits.items()] == [[3, 3]] * 3
    assert splits.train.groups is None and splits.train.boxes is None


@pytest.mark.parametrize("n_classes", [2, 14])
def test_colour_and_many_classes(tmp_path, n_classes):
    for c in range(n_classes):
        for i in range(4):
            save(tmp_path / "set" / f"c{c:02d}" / f"{i}.png", grey(10 * c + i, (12, 12, 3)))
    splits = load(tmp_path / "set")
    assert splits.in_channels == 3 and splits.num_classes == n_classes
    for _, split in splits.items():
        assert set(split.labels) == set(range(n_classes))


def test_csv_with_groups_names_and_boxes(table):
    header = "file,label,class,split,group,box"
    folder = table(
        rows(
            header,
            **{
                "class": lambda i: ("no stenosis", "stenosis")[i % 2],
                "group": lambda i: f"p{i // 2}",
                "box": lambda i: f"{i} 2 4 5.5" if i % 2 else "",
            },
        )
    )
    splits = load(folder)
    assert splits.class_names == ("no stenosis", "stenosis")
    assert [len(split) for _, split in splits.items()] == [4, 4, 4]
    assert splits.train.boxes.dtype == np.float32
    for _, split in splits.items():
        for image, label, group, box in zip(
            split.images, split.labels, split.groups, split.boxes, strict=True
        ):
            i = next(i for i in range(12) if (grey(i) == image[..., 0]).all())
            assert label == i % 2 and group == f"p{i // 2}"
            assert box.tolist() == [i, 2, 4, 5.5] if i % 2 else np.isnan(box).all()


def test_csv_labels_may_be_names(table):
    assert load(table(rows(label=lambda i: "yx"[i % 2]))).class_names == ("x", "y")
    assert load(table(rows())).class_names == ("class 0", "class 1")


def test_named_splits(table):
    header = "file,label,split_full,in_small,split_small"
    folder = table(
        rows(
            header,
            split_full=lambda i: SPLITS[i // 4],
            in_small=lambda i: int(i % 4 < 2),
            split_small=lambda i: SPLITS[2 - i // 4] if i % 4 < 2 else "",
        )
    )
    full, small = load(folder), load(folder, "/small")
    assert [len(split) for _, split in full.items()] == [4, 4, 4]
    assert [len(split) for _, split in small.items()] == [2, 2, 2]
    np.testing.assert_array_equal(small.test.images, full.train.images[:2])
    assert small.name == "cag:set/small" and small.md5 != full.md5
    assert load(folder, "/full").md5 == full.md5
    assert list_image_folders(folder.parent) == ["cag:set", "cag:set/full", "cag:set/small"]
    (folder.parent / "damaged").mkdir()
    (folder.parent / "damaged" / "labels.csv").write_bytes(b"")
    assert list_image_folders(folder.parent)[0] == "cag:damaged", "it hides no other"
    with pytest.raises(DataError, match="no split named 'big'; known: cag:set/full, cag:set/small"):
        load(folder, "/big")


def test_csv_without_a_split_keeps_groups_whole(table):
    text = rows("file,label,group", group=lambda i: f"p{i // 2}")
    splits = load(table(text))
    assert sum(len(split) for _, split in splits.items()) == 12
    with pytest.raises(DataError, match=r"no default split.*use cag:set/x"):
        load(table(rows("file,label,split_x", split_x=lambda i: SPLITS[i // 4])))


def test_arcade_boxes_are_moved_to_the_patch_and_clipped(table):
    header = "file,label,split,center_x,center_y,stenosis_box_xywh"
    folder = table(
        rows(
            header,
            center_x=lambda i: 100,
            center_y=lambda i: 50,
            stenosis_box_xywh=lambda i: {1: "98 46.5 4 3", 3: "60 45 200 6"}.get(i, ""),
        )
    )
    boxes = load(folder).train.boxes
    assert boxes[1].tolist() == [6, 4.5, 4, 3] and boxes[3].tolist() == [0, 3, 16, 6]
    assert np.isnan(boxes[[0, 2]]).all()


def test_assign_splits_is_stratified_and_grouped():
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, 1000)
    splits = assign_splits(labels)
    for label in range(3):
        shares = [(splits[labels == label] == s).mean() for s in SPLITS]
        np.testing.assert_allclose(shares, [0.70, 0.15, 0.15], atol=0.01)
    groups = random.integers(0, 120, 1000).astype(str)
    grouped = assign_splits(labels, groups)
    assert all(len(set(grouped[groups == g])) == 1 for g in np.unique(groups))
    np.testing.assert_allclose(
        [(grouped == s).mean() for s in SPLITS], [0.7, 0.15, 0.15], atol=0.03
    )


@pytest.mark.parametrize(
    ("n", "expected"),
    [
        (1, [1, 0, 0]),
        (2, [2, 0, 0]),
        (3, [1, 1, 1]),
        (4, [2, 1, 1]),
        (7, [5, 1, 1]),
        (100, [70, 15, 15]),
    ],
)
def test_assign_splits_of_few_images(n, expected):
    splits = assign_splits(np.zeros(n, dtype=np.int64))
    assert [(splits == s).sum() for s in SPLITS] == expected


@pytest.mark.parametrize("sizes", [[4, 4, 4, 4], [30, 2, 1], [9, 9, 9, 1, 1], [80, 80, 80]])
def test_a_class_of_three_groups_is_in_every_split(sizes):
    groups = np.repeat(np.arange(len(sizes)).astype(str), sizes)
    splits = assign_splits(np.zeros(len(groups), dtype=np.int64), groups)
    assert set(splits) == set(SPLITS)
    assert all(len(set(splits[groups == g])) == 1 for g in groups)


def all_images(splits):
    return np.concatenate([split.images for _, split in splits.items()])


def test_grey_saved_as_rgb_rgba_or_tiff_is_grey(classes):
    save(classes / "benign" / "x.png", np.stack([grey(7)] * 3, -1))
    with pytest.raises(DataError, match=r"mixed grey and colour: .*00.png has 1 .*x.png 3"):
        load(classes)
    for path in sorted(classes.rglob("*.png")):
        pixels = np.asarray(Image.open(path))
        rgb = pixels if pixels.ndim == 3 else np.stack([pixels] * 3, -1)
        path.unlink()
        opaque = np.full((*rgb.shape[:2], 1), 255, np.uint8)
        suffix = ".tif" if path.stem == "03" else ".png"
        save(path.with_suffix(suffix), np.concatenate([rgb, opaque], -1))
    splits = load(classes)
    assert splits.in_channels == 1
    assert grey(7).tobytes() in {image.tobytes() for image in all_images(splits)}


def test_16_bit_grey_is_scaled_by_one_number_for_all(tmp_path):
    for c in range(2):
        for i in range(6):
            pixels = grey(10 * c + i, dtype=np.uint16, high=1000)
            if c == i == 0:
                pixels[0, 0] = 4095  # a 12-bit file
            save(tmp_path / "set" / str(c) / f"{i}.{('png', 'tif')[c]}", pixels)
    images = all_images(load(tmp_path / "set"))
    originals = [grey(10 * c + i, dtype=np.uint16, high=1000) for c in range(2) for i in range(6)]
    originals[0][0, 0] = 4095
    expected = np.round(np.stack(originals) * (255 / 4095)).astype(np.uint8)
    assert images.max() == 255 and images.dtype == np.uint8
    assert {i.tobytes() for i in images} == {e.tobytes() for e in expected}
    save(tmp_path / "set" / "0" / "8.png", grey(3))
    with pytest.raises(DataError, match=r"mixed depths: .*uint16, 0/8.png uint8"):
        load(tmp_path / "set")


def test_md5_depends_on_names_pixels_and_labels(table, classes):
    first = load(classes).md5
    assert first == load(classes).md5
    path = classes / "benign" / "00.png"
    path.rename(classes / "benign" / "zz.png")
    renamed = load(classes).md5
    save(classes / "benign" / "zz.png", grey(999))
    assert len({first, renamed, load(classes).md5}) == 3
    with_table = load(table(rows())).md5
    assert load(table(rows(label=lambda i: (i + 1) % 2))).md5 != with_table


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (rows("file,split"), "lacks the column label; it has file, split"),
        ("file,label,split\n", "has no rows"),
        ("", "not a readable table"),
        (
            rows(split=lambda i: "valid" if i == 5 else SPLITS[i // 4]),
            "split is 'valid' for images/5.png; expected train, val, test",
        ),
        (rows(split=lambda i: "train" if i < 6 else "test"), "val: no images"),
        (rows(label=lambda i: 0 if i < 4 else i % 2), "no training image of class 'class 1'"),
        (
            rows(label=lambda i: i % 2 * 2),
            "label is '2' for images/1.png; expected 0 to 1, as there",
        ),
        (rows(label=lambda i: i % 2 - 1), "label is '-1' for images/0.png; expected 0 to 1"),
        (rows(label=lambda i: ""), "label is '' for images/0.png; expected a class index or"),
        (rows(label=lambda i: "a" if i % 2 else 1), "mixes class indices and class names"),
        (
            rows(label=lambda i: i % 11 if i else "010"),
            "class names, '1' for images/1.png and '010' for images/0.png",
        ),
        (
            rows("file,label,split,group", group=lambda i: f'"p{i}'),
            "group is .*, with a line break; close its",
        ),
        (rows("file,label", label=lambda i: i % 6), "no class has three images"),
        (rows(label=lambda i: ("a\0", "a", "b")[i % 3]), r"a class is called 'a\\x00'"),
        (rows(label=lambda i: ("nan", "benign")[i % 2]), "a class is called 'nan'"),
        (rows(label=lambda i: ("Benign", "benign")[i % 2]), "differ in nothing but case"),
        (rows(label=lambda i: ('"a\nb"', "c")[i % 2]), r"label is 'a\\nb', with a line"),
        (rows(file=lambda i: "images/0.png"), "lists images/0.png twice"),
        (
            rows(file=lambda i: "images/./0.png" if i else "images/0.png"),
            "lists images/0.png twice",
        ),
        (rows(file=lambda i: f"../set/images/{i}.png"), r"file '../set/images/0.png'; expected"),
        (rows(file=lambda i: f"/etc/{i}.png"), "expected a path inside the folder"),
        (rows(file=lambda i: f"images\\{i}.png"), "expected a path inside the folder"),
        (rows(file=lambda i: f"images/{i + 6}.png"), "images/12.png is not there"),
        (rows(file=lambda i: "images" if i == 3 else f"images/{i}.png"), "images is not there"),
        (
            rows("file,label,split,group", group=lambda i: f"p{i % 3}"),
            r"3 group\(s\) cross splits.*'p0' in train and val and test",
        ),
        (rows("file,label,split,group", group=lambda i: ""), "group is '' for images/0.png"),
        (
            rows("file,label,split,class", **{"class": lambda i: "ab"[i // 6]}),
            "label and class disagree",
        ),
        (rows("file,label,split,box", box=lambda i: "1 2 3"), "box is '1 2 3' for images/0.png"),
        (rows("file,label,split,box", box=lambda i: "1 2 x 3"), "expected four numbers"),
        (rows("file,label,split,box", box=lambda i: "1 2 90 3"), "box .* inside the image"),
        (
            rows("file,label,split,stenosis_box_xywh", stenosis_box_xywh=lambda i: "1 2 3 4"),
            "needs center_x",
        ),
        (
            rows("file,label,in_s,split_s", in_s=lambda i: "yes", split_s=lambda i: "train"),
            "no default split",
        ),
        (rows("file,label,split,split"), "has the column split twice"),
        (rows(label=lambda i: (0, 10**30)[i % 2]), "mixes class indices and class names"),
        (rows().replace(",", ";"), "it has file;label;split. Commas are expected between"),
        ("\n".join(rows().splitlines()[1:]), "and their names in the first line"),
        (rows() + '"', "is not a readable table .*; expected text in UTF-8 with commas"),
        # One cell more in all rows than in the header, which pandas takes for an index.
        (
            rows().replace("train\n", "train,\n").replace("val\n", "val,\n"),
            "is not a readable table",
        ),
        (rows(file=lambda i: f"{i}" + "x" * 3000), "x is not there"),
    ],
)
def test_a_wrong_table_is_named(table, text, message):
    with pytest.raises(DataError, match=message):
        load(table(text))


def test_a_wrong_flag_column_is_named(table):
    header = "file,label,in_s,split_s"
    folder = table(rows(header, in_s=lambda i: "yes", split_s=lambda i: SPLITS[i // 4]))
    with pytest.raises(DataError, match=r"in_s is 'yes' for images/0.png; expected 0 or 1"):
        load(folder, "/s")


def test_a_wrong_folder_is_named(tmp_path, classes):
    root = tmp_path
    for name in ("cag:", "cag:.", "cag:..", "cag:../set", "cag:set/a/b", "cag:..\\set"):
        with pytest.raises(DataError, match=r"not of the form|no split named"):
            load_image_folder(root, name)
    with pytest.raises(DatasetUnavailable, match=r"'other': put it at .*Known here: cag:set"):
        load_image_folder(root, "cag:other")
    with pytest.raises(DataError, match=r"no labels.csv, so there is no split named 'x'"):
        load(classes, "/x")
    (root / "void").mkdir()
    with pytest.raises(DataError, match="void is empty; expected <class>"):
        load(root / "void")
    for split in SPLITS:
        (root / "hollow" / split).mkdir(parents=True)
    with pytest.raises(DataError, match="hollow has no images"):
        load(root / "hollow")
    save(root / "loose" / "a.png", grey())
    with pytest.raises(DataError, match="loose is 1 images but no class folders"):
        load(root / "loose")
    (classes / "normal").mkdir()
    with pytest.raises(DataError, match="the folder normal is empty"):
        load(classes)
    (classes / "normal").rmdir()
    save(classes / "x.png", grey())
    with pytest.raises(DataError, match=r"x\.png lies beside the class folders"):
        load(classes)
    (classes / "x.png").unlink()
    (classes / "train").mkdir()
    with pytest.raises(DataError, match="folders benign, malignant, train; expected train, val"):
        load(classes)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.png", b"no image", r"set/benign/x\.png: no picture inside"),
        ("x.png", b"", "x.png: empty file"),
        ("x.dcm", b"DICM", "x.dcm: it is no DICOM file"),
        ("x.txt", b"text", r"no image of a known kind; expected \.png, \.jpg"),
        ("x", b"text", "no image of a known kind"),
    ],
)
def test_a_wrong_file_is_named(classes, name, content, message):
    (classes / "benign" / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        load(classes)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_a_truncated_image_is_named(classes, suffix):
    path = classes / "benign" / f"x{suffix}"
    save(path, grey(size=(64, 64)))
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with pytest.raises(DataError, match=rf"x{suffix}: damaged or truncated picture"):
        load(classes)


def test_wrong_pixels_are_named(classes):
    def refused(message, pixels, name="x.png", **options):
        save(classes / "benign" / name, pixels, **options)
        with pytest.raises(DataError, match=message):
            load(classes)
        (classes / "benign" / name).unlink()

    refused("mixed sizes: .*00.png has 16 x 16 pixels, .*x.png 12 x 20", grey(size=(20, 12)))
    refused("x.png: partly transparent", grey(size=(16, 16, 4)))
    refused("x.tif: pixel mode F", grey().astype(np.float32), "x.tif")
    pages = [Image.fromarray(grey(1))]
    refused("x.tif has 2 frames", grey(), "x.tif", save_all=True, append_images=pages)
    (classes / "benign" / "deeper").mkdir()
    with pytest.raises(DataError, match="benign/deeper is not there, or is a folder"):
        load(classes)


def test_real_arcade_patches():
    root = data_root()
    if root is None or not (root / "cag" / "arcade_patches").is_dir():
        pytest.skip("cag/arcade_patches is not in REPRO_DATA")
    small = load_image_folder(root / "cag", "cag:arcade_patches/subset800")
    assert [len(split) for _, split in small.items()] == [559, 121, 120]
    assert np.bincount(small.test.labels).tolist() == [60, 60]
    assert (small.image_size, small.class_names) == (128, ("negative", "positive"))
    for _, split in small.items():
        np.testing.assert_array_equal(np.isfinite(split.boxes[:, 0]), split.labels == 1)
        assert len(np.unique(split.groups)) == len(split)
        # Positives are centred on a point inside their box.
        x, y, width, height = split.boxes[split.labels == 1].T
        assert ((x <= 64) & (y <= 64) & (x + width >= 64) & (y + height >= 64)).all()


# --- how files were read -----------------------------------------------------------------------


def test_the_reading_is_kept_and_what_holds_nothing_is_noted(tmp_path, capsys):
    for c in range(2):
        for i in range(6):
            pixels = grey(10 * c + i, dtype=np.uint16, high=1000)
            save(
                tmp_path / "set" / str(c) / f"{i}.png", np.zeros_like(pixels) if i == 4 else pixels
            )
    splits = load(tmp_path / "set")
    assert splits.reading == {"bits": 10, "orientation": "exif", "colour": "as stored"}
    (note,) = splits.notes
    assert note.startswith("2 of 12 images hold next to nothing: 0/4.png (nearly flat: all its")
    for path in (tmp_path / "set").rglob("*.png"):
        save(path, np.stack([grey(10 * int(path.parent.name) + int(path.stem))] * 3, -1))
    splits = load(tmp_path / "set")
    assert splits.reading == {
        "bits": None, "orientation": "exif", "colour": "equal channels are grey",
    }  # fmt: skip
    assert splits.notes == ()


def test_training_turns_pictures_upright_too(classes):
    before = load(classes)
    for path in classes.rglob("*.png"):
        pixels = np.asarray(Image.open(path))
        exif = Image.Exif()
        exif[0x0112] = 6
        save(path, np.ascontiguousarray(np.rot90(pixels)), exif=exif)
    after = load(classes)
    for name, split in after.items():
        np.testing.assert_array_equal(split.images, getattr(before, name).images)


def test_content_decides_what_a_file_is(classes):
    """As prediction has it: a JPEG called .png, and formats that are read but seldom used."""
    for number, kind in enumerate(("BMP", "GIF", "PPM", "JPEG2000")):
        path = classes / "benign" / f"{number:02d}.png"
        image = Image.open(path).copy()
        image.save(path, kind)
        if kind == "GIF":
            path.unlink()
            image.save(path, "TIFF")
    assert load(classes).in_channels == 1


@pytest.mark.parametrize("name", [b"benign\xff", b"benign/00\xff.png"])
def test_a_name_that_is_no_text_is_refused(classes, name):
    folder = os.fsencode(classes)
    os.rename(folder + b"/" + name.replace(b"\xff", b""), folder + b"/" + name)
    with pytest.raises(
        DataError, match=r"the name b'(benign|00)\\xff(\.png)?' is no UTF-8; rename"
    ):
        load(classes)


def test_split_folders_in_another_spelling_are_no_classes(classes):
    for name in ("Train", "Val", "Test"):
        save(classes / name / "a" / "0.png", grey())
    for name in ("benign", "malignant"):
        shutil.rmtree(classes / name)
    with pytest.raises(DataError, match=r"has the folders Test, Train, Val; expected train, val"):
        load(classes)


@pytest.mark.parametrize(
    "labels", [("010", "011"), ("1:30", "1e3"), ("None", "no"), ("0.0", "1.0"), ("٠", "١")]
)
def test_what_looks_like_a_number_or_nothing_is_a_name(table, labels):
    splits = load(table(rows(label=lambda i: labels[i % 2])))
    assert splits.class_names == labels and splits.train.labels.tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo, lambda p: p.symlink_to("nowhere")])
def test_labels_that_are_no_file_are_an_error_and_not_absent(classes, make):
    make(classes / "labels.csv")
    with pytest.raises(DataError, match=r"labels\.csv: it is not a readable table"):
        load(classes)


def test_a_link_to_nothing_is_no_class_less(classes):
    for target in ("nowhere", "normal"):  # the second is a loop
        (classes / "normal").symlink_to(target)
        with pytest.raises(DataError, match="set/normal is a link to nothing"):
            load(classes)
        (classes / "normal").unlink()


def test_a_file_that_cannot_be_opened_is_named(classes, monkeypatch):
    def refuse(*arguments, **options):
        raise PermissionError(13, "Permission denied", str(classes / "benign" / "00.png"))

    monkeypatch.setattr(image_files, "read_file", refuse)
    with pytest.raises(DataError, match=r"set: cannot read .*00\.png: Permission denied"):
        load(classes)


def test_grey_gifs_are_grey_whatever_their_palettes(tmp_path):
    """Pillow calls a GIF grey or indexed by the order of its palette, picture by picture."""
    folder, modes = tmp_path / "set", set()
    for number in range(12):
        pixels = np.full((16, 16), number, np.uint8)
        pixels[:8] = np.arange(16, dtype=np.uint8) * (1 + number % 2)
        path = folder / "ab"[number % 2] / f"{number}.gif"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
        modes.add(Image.open(path).mode)
    assert modes == {"L", "P"}
    assert load(folder).in_channels == 1


def test_a_folder_larger_than_memory_is_refused_before_it_fills_it(classes, monkeypatch):
    monkeypatch.setattr("os.sysconf", lambda name: {"SC_PAGE_SIZE": 4096}.get(name, 1))
    with pytest.raises(DataError, match=r"30 images of 16 x 16 pixels .* more than the memory"):
        load(classes)


def test_five_thousand_files(tmp_path):
    folder = tmp_path / "set"
    for c, name in enumerate(("a", "b")):
        save(folder / name / "0.png", grey(c))
        for number in range(1, 2500):
            (folder / name / f"{number}.png").hardlink_to(folder / name / "0.png")
    splits = load(folder)
    assert sum(len(split) for _, split in splits.items()) == 5000
    assert (splits.train.images[splits.train.labels == 1][..., 0] == grey(1)).all()
