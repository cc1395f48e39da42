"""MedMNIST files: names, search order, MD5, format; the real files where they are."""

import hashlib
import shutil
from urllib.error import URLError

import medmnist
import numpy as np
import pytest

from helpers.data import medmnist_npz
from helpers.data.medmnist_npz import find_npz, list_flags, load_medmnist, parse_name, read_npz
from helpers.data.splits import DataError, DatasetUnavailable
from helpers.paths import data_root


def make_arrays(size=28, channels=1, num_classes=2, n=(12, 4, 6)):
    random = np.random.default_rng(0)
    frame = (size, size) if channels == 1 else (size, size, channels)
    arrays = {}
    for split, count in zip(("train", "val", "test"), n, strict=True):
        arrays[f"{split}_images"] = random.integers(0, 256, (count, *frame), dtype=np.uint8)
        arrays[f"{split}_labels"] = (np.arange(count) % num_classes).astype(np.uint8)[:, None]
    return arrays


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Return REPRO_DATA/medmnist; nothing else on this machine is searched or downloaded."""
    (tmp_path / "data" / "medmnist").mkdir(parents=True)
    monkeypatch.setenv("REPRO_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(medmnist_npz, "DEFAULT_ROOT", str(tmp_path / "home"))

    def offline(url, **_):
        raise URLError("offline")

    monkeypatch.setattr(medmnist_npz, "download_url", offline)
    return tmp_path / "data" / "medmnist"


@pytest.fixture
def put(folder, monkeypatch):
    """Return a function that writes a file under an official name and makes its MD5 official."""

    def write(arrays, flag="breastmnist", size=28, into=folder):
        path = into / medmnist_npz.npz_name(flag, size)
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, **arrays)
        key = "MD5" if size == 28 else f"MD5_{size}"
        monkeypatch.setitem(medmnist.INFO[flag], key, hashlib.md5(path.read_bytes()).hexdigest())
        return path

    return write


def test_names():
    assert parse_name("breastmnist") == ("breastmnist", 28)
    assert parse_name("breastmnist_28") == ("breastmnist", 28)
    assert parse_name("breastmnist_64") == ("breastmnist", 64)
    assert parse_name("breastmnist", image_size=64) == ("breastmnist", 64)
    assert parse_name("breastmnist_64", image_size=64) == ("breastmnist", 64)
    assert parse_name("phantom") is None and parse_name("foomnist") is None
    for size in (28, 64, 128, 224):
        for flag in list_flags():
            assert medmnist_npz.official_md5(flag, size) in medmnist.INFO[flag].values()


def test_all_single_label_2d_sets_are_known():
    expected = {
        flag
        for flag, info in medmnist.INFO.items()
        if not flag.endswith("3d") and "multi-label" not in info["task"]
    }
    assert set(list_flags()) == expected and len(expected) == 11


@pytest.mark.parametrize(
    ("name", "size", "message"),
    [
        ("breastmnist_64", 128, "says 64 pixels but image_size says 128"),
        ("breastmnist_96", None, "not exist at 96 pixels; known sizes: 28, 64, 128, 224"),
        ("breastmnist_0", None, "not exist at 0 pixels"),
        ("breastmnist", 32, "not exist at 32 pixels"),
        ("chestmnist", None, "multi-label set.*Known MedMNIST sets: .*breastmnist"),
        ("nodulemnist3d", None, "3-D set"),
        ("organmnist3d_64", None, "3-D set"),
    ],
)
def test_refused_names(name, size, message):
    with pytest.raises(DataError, match=message):
        parse_name(name, image_size=size)


@pytest.mark.parametrize(
    ("flag", "size"),
    [
        ("breastmnist", 28),
        ("breastmnist", 64),
        ("retinamnist", 28),
        ("organsmnist", 28),
        ("bloodmnist", 64),
        ("pathmnist", 28),
    ],
)
def test_loads_the_format(put, flag, size):
    info = medmnist.INFO[flag]
    arrays = make_arrays(size, info["n_channels"], len(info["label"]))
    put(arrays, flag, size)
    splits = load_medmnist(flag, size)
    assert splits.num_classes == len(info["label"]) and splits.licence == info["license"]
    assert splits.in_channels == info["n_channels"] and splits.image_size == size
    assert splits.source == f"{splits.name}.npz" and splits.md5 in info.values()
    for name, split in splits.items():
        images = arrays[f"{name}_images"]
        np.testing.assert_array_equal(split.images.reshape(images.shape), images)
        np.testing.assert_array_equal(split.labels, arrays[f"{name}_labels"][:, 0])
        assert split.labels.dtype == np.int64 and split.groups is None and split.boxes is None


def test_a_split_of_one_image_keeps_its_axes(put):
    put(make_arrays(n=(4, 1, 1)))
    assert load_medmnist("breastmnist", 28).val.images.shape == (1, 28, 28, 1)


def changed(**changes):
    arrays = make_arrays()
    for key, change in changes.items():
        arrays[key] = change(arrays[key])
    return arrays


def pickled(labels):
    return np.array([[{"label": 1}]] * len(labels), dtype=object)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({k: v for k, v in make_arrays().items() if k != "val_labels"}, "lacks val_labels; it has"),
        (changed(test_labels=pickled), "test_labels is a pickled object array"),
        (changed(train_images=lambda x: x / 255), "train: images are float64"),
        (changed(train_images=lambda x: x[:, :27]), r"train: images are uint8 \(12, 27, 28\)"),
        (changed(train_images=lambda x: np.stack([x] * 3, -1)), r"expected uint8 \('N', 28, 28\)"),
        (changed(val_labels=lambda y: y[:, 0]), r"val: labels are uint8 \(4,\)"),
        (changed(val_labels=lambda y: np.repeat(y, 14, 1)), "one label an image"),
        (changed(val_labels=lambda y: y[:3]), r"val: labels are uint8 \(3, 1\)"),
        (changed(val_labels=lambda y: y.astype(float)), "val: labels are float64"),
        (changed(test_labels=lambda y: y + 1), "test: label 2 of image 1 is out of range"),
        (changed(train_labels=lambda y: y * 0), "no training image of class 'normal, benign'"),
        (changed(val_images=lambda x: x[:0], val_labels=lambda y: y[:0]), "val: no images"),
    ],
)
def test_a_wrong_file_is_refused_and_kept(put, arrays, message):
    path = put(arrays)
    before = path.read_bytes()
    with pytest.raises(DataError, match=message):
        load_medmnist("breastmnist", 28)
    assert path.read_bytes() == before


@pytest.mark.parametrize("cut", [0.3, 0.98])
def test_truncated(put, folder, cut):
    whole = put(make_arrays())
    official = medmnist.INFO["breastmnist"]["MD5"]
    whole.write_bytes(whole.read_bytes()[: int(cut * whole.stat().st_size)])
    with pytest.raises(DataError, match=f"truncated or no npz.*MD5 .*{official}"):
        load_medmnist("breastmnist", 28)
    with pytest.raises(DataError, match="truncated or no npz"):
        read_npz(whole, image_size=28, in_channels=1)
    whole.write_bytes(b"")
    with pytest.raises(DataError, match="truncated or no npz"):
        read_npz(whole, image_size=28, in_channels=1)


def test_an_altered_byte_inside_is_seen_without_the_md5_too(put):
    path = put(make_arrays())
    content = bytearray(path.read_bytes())
    content[1000] ^= 255
    path.write_bytes(content)
    with pytest.raises(DataError):
        read_npz(path, image_size=28, in_channels=1)


def test_wrong_md5_names_both_sums_and_keeps_the_file(put, monkeypatch):
    path = put(make_arrays())
    came = medmnist.INFO["breastmnist"]["MD5"]
    monkeypatch.setitem(medmnist.INFO["breastmnist"], "MD5", "0" * 32)
    with pytest.raises(
        DataError, match=f"breastmnist.npz .*MD5 {came}, the official .* {'0' * 32}"
    ):
        load_medmnist("breastmnist", 28)
    assert path.is_file()


def test_search_order(put, folder, tmp_path):
    cache = tmp_path / "cache" / "light-medical-classifiers" / "medmnist"
    home = put(make_arrays(), into=tmp_path / "home")
    assert find_npz("breastmnist", 28) == home
    cached = put(make_arrays(), into=cache)
    assert find_npz("breastmnist", 28) == cached
    given = put(make_arrays())
    assert find_npz("breastmnist", 28) == given


def test_offline_says_what_is_missing_and_leaves_nothing(folder, tmp_path):
    md5 = medmnist.INFO["octmnist"]["MD5_64"]
    with pytest.raises(DatasetUnavailable, match=f"octmnist_64.npz .*{md5}.*offline.*REPRO_DATA"):
        load_medmnist("octmnist", 64)
    assert [path.name for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []
    assert list((tmp_path / "cache").rglob(".download-*")) == []


def test_download_arrives_whole_or_not_at_all(put, folder, tmp_path, monkeypatch):
    source = put(make_arrays(), into=tmp_path / "server")
    calls = []

    def fetch(url, *, root, filename, md5):
        calls.append((url, md5))
        shutil.copy(source, f"{root}/{filename}")
        if len(calls) == 1:
            raise RuntimeError("File not found or corrupted.")

    monkeypatch.setattr(medmnist_npz, "download_url", fetch)
    cache = tmp_path / "cache" / "light-medical-classifiers" / "medmnist"
    with pytest.raises(DatasetUnavailable, match="corrupted"):
        load_medmnist("breastmnist", 28)
    assert list(cache.iterdir()) == []
    assert load_medmnist("breastmnist", 28).image_size == 28
    assert [path.name for path in cache.iterdir()] == ["breastmnist.npz"]
    info = medmnist.INFO["breastmnist"]
    assert calls == [(info["url"], info["MD5"])] * 2
    load_medmnist("breastmnist", 28)
    assert len(calls) == 2


@pytest.mark.parametrize(
    ("flag", "size"), [("breastmnist", 28), ("breastmnist", 64), ("pneumoniamnist", 28)]
)
def test_real_files_have_the_published_sizes_and_equal_medmnist(flag, size):
    root = data_root()
    name = medmnist_npz.npz_name(flag, size)
    if root is None or not (root / "medmnist" / name).is_file():
        pytest.skip(f"{name} is not in REPRO_DATA/medmnist")
    splits = load_medmnist(flag, size)
    info = medmnist.INFO[flag]
    assert {k: len(v) for k, v in splits.items()} == info["n_samples"]
    dataset = getattr(medmnist, info["python_class"])(
        split="test", root=str(root / "medmnist"), size=size
    )
    np.testing.assert_array_equal(splits.test.images[..., 0], dataset.imgs)
    np.testing.assert_array_equal(splits.test.labels, dataset.labels[:, 0])
