"""MedMNIST files: names, search order, MD5, format; the real files where they are."""

import dataclasses
import hashlib
import shutil

import medmnist
import numpy as np
import pytest

from helpers.data import fetch
from helpers.data import medmnist as medmnist_npz
from helpers.data.medmnist import find_npz, list_npz, load_medmnist, load_own_npz
from helpers.data.names import list_flags, parse_name
from helpers.data.rebuilt import REBUILT
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
def folder(tmp_path, monkeypatch, no_address):
    """Return REPRO_DATA/medmnist; nothing else on this machine is searched or downloaded."""
    (tmp_path / "data" / "medmnist").mkdir(parents=True)
    monkeypatch.setenv("REPRO_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(medmnist_npz, "DEFAULT_ROOT", str(tmp_path / "home"))

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
    ("name", "message"),
    [
        ("breastmnist_96", "not exist at 96 pixels; known sizes: 28, 64, 128, 224"),
        ("breastmnist_0", "not exist at 0 pixels"),
        ("chestmnist", "multi-label set.*Known MedMNIST sets: .*breastmnist"),
        ("nodulemnist3d", "3-D set"),
        ("organmnist3d_64", "3-D set"),
    ],
)
def test_refused_names(name, message):
    with pytest.raises(DataError, match=message):
        parse_name(name)


@pytest.mark.parametrize(
    ("flag", "size"), [("breastmnist", 28), ("bloodmnist", 64), ("retinamnist", 28)]
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
        # What is wrong with any file is tested with those of one's own: one reader has them all.
        (changed(test_labels=pickled), "test_labels is a pickled object array"),
        (changed(train_images=lambda x: np.stack([x] * 3, -1)), r"uint8 \('N', 28, 28, 3\)"),
        (changed(test_labels=lambda y: y + 1), "test: label 2 of image 1 is out of range"),
        (changed(train_labels=lambda y: y * 0), "no training image of class 'normal, benign'"),
    ],
)
def test_a_wrong_file_is_refused_and_kept(put, arrays, message):
    path = put(arrays)
    before = path.read_bytes()
    with pytest.raises(DataError, match=message):
        load_medmnist("breastmnist", 28)
    assert path.read_bytes() == before


def save_own(folder, arrays, name="own"):
    np.savez(folder / f"{name}.npz", **arrays)
    return folder


@pytest.mark.parametrize(("size", "channels", "num_classes"), [(28, 1, 2), (45, 3, 3), (64, 1, 14)])
def test_an_own_file_says_itself_what_it_holds(tmp_path, size, channels, num_classes):
    arrays = make_arrays(size, channels, num_classes, n=(28, 14, 15))
    splits = load_own_npz(save_own(tmp_path, arrays), "npz:own")
    assert (splits.name, splits.source) == ("npz:own", "own.npz")
    assert splits.md5 == hashlib.md5((tmp_path / "own.npz").read_bytes()).hexdigest()
    assert (splits.image_size, splits.in_channels) == (size, channels)
    assert splits.class_names == tuple(f"class {k}" for k in range(num_classes))
    for name, split in splits.items():
        images = arrays[f"{name}_images"]
        np.testing.assert_array_equal(split.images.reshape(images.shape), images)
        np.testing.assert_array_equal(split.labels, arrays[f"{name}_labels"][:, 0])
        assert split.groups is None
    assert splits.notes == () and list_npz(tmp_path) == ["npz:own"]


def test_an_own_file_may_name_classes_and_groups(tmp_path):
    arrays = make_arrays() | {"class_names": np.array(["benign", "malignant"])}
    groups = {"train": np.arange(12), "val": np.arange(20, 24), "test": np.arange(10, 16)}
    arrays |= {f"{name}_groups": members for name, members in groups.items()}
    splits = load_own_npz(save_own(tmp_path, arrays), "npz:own")
    assert splits.class_names == ("benign", "malignant")
    assert splits.test.groups.tolist() == ["10", "11", "12", "13", "14", "15"]
    # Published splits do let groups cross: said, not refused.
    assert splits.crossing_groups() == {"10": ("train", "test"), "11": ("train", "test")}
    assert splits.notes == (
        "2 of 6 test images are of a group (patient, lesion) that is also in train or val.",
    )


def groups_of(**changes):
    groups = {
        "train": np.array(["a"] * 12),
        "val": np.array(["b"] * 4),
        "test": np.array(["c"] * 6),
    }
    groups |= changes
    return make_arrays() | {f"{k}_groups": v for k, v in groups.items() if v is not None}


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({k: v for k, v in make_arrays().items() if k != "val_labels"}, "lacks val_labels; it has"),
        (changed(test_labels=pickled), "test_labels is a pickled object array"),
        (changed(train_images=lambda x: x / 255), "train: images are float64"),
        (changed(train_images=lambda x: x[:, :27]), r"train: images are uint8 \(12, 27, 28\)"),
        (changed(val_labels=lambda y: y[:, 0]), r"val: labels are uint8 \(4,\)"),
        (changed(val_labels=lambda y: np.repeat(y, 14, 1)), "one label an image"),
        (changed(val_labels=lambda y: y[:3]), r"val: labels are uint8 \(3, 1\)"),
        (changed(val_labels=lambda y: y.astype(float)), "val: labels are float64"),
        (changed(val_images=lambda x: x[:0], val_labels=lambda y: y[:0]), "val: no images"),
        (changed(test_images=lambda x: x[..., :20]), r"test: images are uint8 \(6, 28, 20\)"),
        (changed(test_labels=lambda y: y + 1), "no training image of class 'class 2'"),
        (changed(test_labels=lambda y: y + 7), "label 7 of image 0 is out of range"),
        (changed(test_labels=lambda y: y.astype(np.int64) - 1), "label -1 of image 0 is out of"),
        (changed(test_labels=lambda y: y + np.uint64(2**63)), "label -9223372036854775808"),
        (changed(test_images=lambda x: np.stack([x] * 3, -1)), "test: images are uint8"),
        (changed(train_images=lambda x: np.stack([x] * 4, -1)), r"expected uint8 \(N, S, S\) or"),
        (changed(train_images=lambda x: x[:, :27, :27]), "S at least 28 pixels"),
        (changed(train_images=lambda x: x[0, 0]), r"train: images are uint8 \(28,\)"),
        (make_arrays(num_classes=1), "1 class.*at least two"),
        (groups_of(val=None), "lacks val_groups"),
        (groups_of(val=np.array(["b"] * 3)), r"val: groups are <U1 \(3,\); .* \(4,\)"),
        (groups_of(val=np.array([["b"]] * 4)), r"val: groups are <U1 \(4, 1\)"),
        (groups_of(val=np.array([1.0, np.nan, 2, 3])), "val: groups are float64"),
        (groups_of(val=np.array([b"b"] * 4)), r"val: groups are \|S1"),
        (groups_of(val=np.array([None] * 4)), "val_groups is a pickled object array"),
        (groups_of(val=np.array(["b", " ", "b", ""])), r"val: image 1 has no group \(2 such"),
        (make_arrays() | {"class_names": np.array(["a"])}, "1 class"),
        (make_arrays() | {"class_names": np.array(["a", "a"])}, "class names repeat"),
        (make_arrays() | {"class_names": np.array(["a", ""])}, "class_names are <U1"),
        (make_arrays() | {"class_names": np.array([1, 2])}, "class_names are int64"),
        (make_arrays() | {"class_names": np.array(["a", "b", "c"])}, "no training image of .*'c'"),
    ],
)
def test_a_wrong_own_file_is_refused_and_kept(tmp_path, arrays, message):
    save_own(tmp_path, arrays)
    before = (tmp_path / "own.npz").read_bytes()
    with pytest.raises(DataError, match=message):
        load_own_npz(tmp_path, "npz:own")
    assert (tmp_path / "own.npz").read_bytes() == before


def test_an_own_file_that_is_damaged_or_not_there(tmp_path):
    save_own(tmp_path, make_arrays())
    content = (tmp_path / "own.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(content[:3000])
    (tmp_path / "text.npz").write_text("no zip")
    np.save(tmp_path / "array.npy", np.zeros(3))
    (tmp_path / "array.npy").rename(tmp_path / "array.npz")
    (tmp_path / "flipped.npz").write_bytes(content[:900] + b"\0\1\2" * 9 + content[927:])
    encrypted = bytearray(content)
    for signature, place in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        start = -1
        while (start := content.find(signature, start + 1)) >= 0:
            encrypted[start + place] |= 1
    (tmp_path / "encrypted.npz").write_bytes(encrypted)
    (tmp_path / "empty.npz").write_bytes(b"")
    for name in ("cut", "text", "array", "flipped", "encrypted", "empty"):
        with pytest.raises(DataError, match=f"{name}.npz is truncated or no npz file"):
            load_own_npz(tmp_path, f"npz:{name}")
    with pytest.raises(DatasetUnavailable, match=r"no file owm.npz: put it at .*npz:own"):
        load_own_npz(tmp_path, "npz:owm")
    for name in ("npz:", "npz:../own", "npz:.own", "npz:a/b", "npz:a\\b"):
        with pytest.raises(DataError, match="not of the form npz:<file>"):
            load_own_npz(tmp_path, name)


def test_a_rebuilt_set_is_known_by_its_bytes_not_by_its_name(tmp_path, monkeypatch):
    save_own(tmp_path, make_arrays(28, 3, 7, n=(14, 7, 7)), "dermamnist_rebuilt")
    name = "npz:dermamnist_rebuilt"
    assert load_own_npz(tmp_path, name).class_names[0] == "class 0"
    md5 = hashlib.md5((tmp_path / "dermamnist_rebuilt.npz").read_bytes()).hexdigest()
    monkeypatch.setitem(REBUILT, name, dataclasses.replace(REBUILT[name], md5=md5))
    splits = load_own_npz(tmp_path, name)
    assert list(splits.class_names) == list(medmnist.INFO["dermamnist"]["label"].values())
    assert splits.name == name and splits.licence == medmnist.INFO["dermamnist"]["license"]


def test_the_rebuilt_dermamnist_has_the_official_sizes():
    root = data_root()
    if root is None or not (root / "npz" / "dermamnist_rebuilt.npz").is_file():
        pytest.skip("dermamnist_rebuilt.npz is not in REPRO_DATA/npz")
    splits = load_own_npz(root / "npz", "npz:dermamnist_rebuilt")
    info = medmnist.INFO["dermamnist"]
    assert {k: len(v) for k, v in splits.items()} == info["n_samples"]
    assert splits.md5 == REBUILT[splits.name].md5 and splits.md5 not in info.values()
    assert splits.class_names[5] == "melanocytic nevi"
    assert splits.test.labels.tolist().count(5) == 1341


@pytest.mark.parametrize("cut", [0, 0.3, 0.98])
def test_truncated(put, cut):
    whole = put(make_arrays())
    official = medmnist.INFO["breastmnist"]["MD5"]
    whole.write_bytes(whole.read_bytes()[: int(cut * whole.stat().st_size)])
    with pytest.raises(DataError, match=f"truncated or no npz.*MD5 .*{official}"):
        load_medmnist("breastmnist", 28)


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


def test_a_file_that_is_nowhere_is_fetched_from_its_address(put, tmp_path, monkeypatch):
    source = put(make_arrays(64), size=64, into=tmp_path / "server")
    cache = tmp_path / "cache" / "light-medical-classifiers" / "medmnist"
    info = medmnist.INFO["breastmnist"]
    message = f"breastmnist_64.npz .*{info['MD5_64']}.*offline.*REPRO_DATA"
    with pytest.raises(DatasetUnavailable, match=message):
        load_medmnist("breastmnist", 64)
    calls = []

    def answer(url, *, root, filename, md5):
        calls.append((url, md5))
        shutil.copy(source, f"{root}/{filename}")
        if len(calls) == 1:
            raise RuntimeError("File not found or corrupted.")

    monkeypatch.setattr(fetch, "download_url", answer)
    with pytest.raises(DatasetUnavailable, match="corrupted"):
        load_medmnist("breastmnist", 64)
    assert [path.name for path in cache.iterdir()] == [".breastmnist_64.npz.lock"]
    assert load_medmnist("breastmnist", 64).image_size == 64
    assert [path.name for path in cache.glob("[!.]*")] == ["breastmnist_64.npz"]
    assert calls == [(info["url_64"], info["MD5_64"])] * 2
    load_medmnist("breastmnist", 64)
    assert len(calls) == 2


@pytest.mark.parametrize(
    ("flag", "size"),
    [("breastmnist", 28), ("breastmnist", 64), ("pneumoniamnist", 28), ("bloodmnist", 28)],
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
    np.testing.assert_array_equal(splits.test.images.squeeze(), dataset.imgs)
    np.testing.assert_array_equal(splits.test.labels, dataset.labels[:, 0])
