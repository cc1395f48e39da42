"""One entry to all data, and the declared stand-in."""

import hashlib
import shutil

import medmnist
import numpy as np
import pytest
from PIL import Image

from helpers.config import ConfigError
from helpers.data import medmnist as medmnist_npz
from helpers.data.datasets import list_datasets, load_dataset, stand_in
from helpers.data.names import check_name
from helpers.data.splits import DataError, DatasetUnavailable
from tests.helpers.data.test_medmnist import make_arrays


@pytest.fixture
def data(tmp_path, monkeypatch, no_address):
    """Return a REPRO_DATA with one MedMNIST file and one image folder; no network, no cache."""
    monkeypatch.setenv("REPRO_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("REPRO_STAND_IN", raising=False)
    monkeypatch.setattr(medmnist_npz, "DEFAULT_ROOT", None)

    random = np.random.default_rng(0)
    path = tmp_path / "medmnist" / "breastmnist_64.npz"
    path.parent.mkdir()
    np.savez(path, **make_arrays(64, n=(4, 4, 4)))
    md5 = hashlib.md5(path.read_bytes()).hexdigest()
    monkeypatch.setitem(medmnist.INFO["breastmnist"], "MD5_64", md5)
    for label in "ab":
        for i in range(4):
            file = tmp_path / "cag" / "mine" / label / f"{i}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(random.integers(0, 256, (20, 20), dtype=np.uint8)).save(file)
    return tmp_path


def test_an_own_npz_file(data, capsys):
    (data / "npz").mkdir()
    content = dict(np.load(data / "medmnist" / "breastmnist_64.npz"))
    content |= {f"{split}_groups": np.array(list("abcd")) for split in ("train", "val", "test")}
    content["val_labels"] = content["val_labels"] * 0
    np.savez(data / "npz" / "mine.npz", **content)
    splits = load_dataset("npz:mine")
    assert splits.name == "npz:mine" and splits.image_size == 64
    assert capsys.readouterr().out.splitlines() == [
        "npz:mine: val holds one class only, so its AUC is undefined; epochs are selected by its "
        "loss.",
        "npz:mine: 4 of 4 val images are of a group (patient, lesion) that is also in train.",
        "npz:mine: 4 of 4 test images are of a group (patient, lesion) that is also in train or "
        "val.",
    ]
    assert "npz:mine" in list_datasets() and stand_in("npz:mine") == "npz:mine"


def test_folder_is_another_word_for_cag(data):
    with_folder, with_cag = load_dataset("folder:mine"), load_dataset("cag:mine")
    assert (with_folder.name, with_folder.md5) == (with_cag.name, with_cag.md5)
    (data / "cag" / "mine").rename(data / "moved")
    (data / "folders").mkdir()
    (data / "moved").rename(data / "folders" / "mine")
    assert load_dataset("cag:mine").md5 == load_dataset("folder:mine").md5 == with_cag.md5
    assert list_datasets().count("cag:mine") == 1
    with pytest.raises(DatasetUnavailable, match="no image folder 'other'"):
        load_dataset("folder:other")
    for name in ("folder:", "folder:../cag", "folder:.x", "folder:a/b/c"):
        with pytest.raises(DataError, match="not of the form"):
            load_dataset(name)


def test_one_folder_name_in_both_places_is_refused(data):
    shutil.copytree(data / "cag" / "mine", data / "folders" / "mine")
    for name in ("folder:mine", "cag:mine", "cag:mine/split"):
        with pytest.raises(DataError, match=r"'mine' lies in .*/folders and in .*/cag; .* rename"):
            load_dataset(name)
    assert list_datasets().count("cag:mine") == 1
    shutil.rmtree(data / "folders" / "mine")
    (data / "folders" / "mine").symlink_to(data / "cag" / "mine")
    assert load_dataset("folder:mine").image_size == 20


@pytest.mark.parametrize("odd", [*"{}[]*?", "\n", "\x85", " ", "\udcff"])
@pytest.mark.parametrize("kind", ["folder", "cag", "npz"])
def test_a_name_that_other_programs_would_take_for_a_pattern(kind, odd):
    name = f"{kind}:mine{odd}"
    with pytest.raises(DataError, match=r"the name .* has a space at its end, .*: rename it"):
        load_dataset(name)
    with pytest.raises(ConfigError, match="which other programs take for patterns"):
        check_name(name)


def test_each_kind_of_name(data):
    assert load_dataset("breastmnist_64").name == "breastmnist_64"
    assert load_dataset("cag:mine").image_size == 20
    assert load_dataset("cag:mine").class_names == ("a", "b")
    assert load_dataset("phantom").image_size == 64


def test_known_names(data, monkeypatch):
    names = list_datasets()
    assert {"breastmnist", "pathmnist", "retinamnist", "cag:mine", "phantom"} <= set(names)
    assert "chestmnist" not in names and len(names) == len(set(names))
    monkeypatch.delenv("REPRO_DATA")
    assert "phantom" in list_datasets() and "cag:mine" not in list_datasets()
    with pytest.raises(DatasetUnavailable, match="REPRO_DATA"):
        load_dataset("cag:mine")


@pytest.mark.parametrize("name", ["", "brestmnist", "BreastMNIST", "breastmnist64", "cag", "mine"])
def test_an_unknown_name_is_answered_with_the_known_ones(data, name):
    message = "unknown data set .*breastmnist.*cag:mine, phantom.*_28, _64, _128, _224"
    with pytest.raises(DataError, match=message):
        load_dataset(name)


@pytest.mark.parametrize("name", ["folder:" + "x" * 200, "npz:" + "狭" * 60])
def test_a_name_too_long_for_the_files_that_are_made_of_it(name):
    with pytest.raises(DataError, match=r"the name .*\.\.\. has \d+ bytes; at most 120"):
        load_dataset(name)


def test_where_a_folder_that_is_missing_belongs(data):
    with pytest.raises(DatasetUnavailable, match=r"put it at .*/cag/other\. Known here: cag:mine"):
        load_dataset("folder:other")
    (data / "cag").rename(data / "folders")
    with pytest.raises(DatasetUnavailable, match=r"at .*/folders/other\. Known here: cag:mine"):
        load_dataset("folder:other")


def test_stand_in(data, monkeypatch, capsys):
    assert stand_in("pathmnist") == "pathmnist"  # not allowed: loading will say what is missing
    monkeypatch.setenv("REPRO_STAND_IN", "phantom")
    assert stand_in("phantom") == "phantom"
    assert stand_in("breastmnist_64") == "breastmnist_64" and stand_in("cag:mine") == "cag:mine"
    assert capsys.readouterr().out == ""
    assert stand_in("pathmnist") == "phantom" and stand_in("cag:other") == "phantom"
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 2 and "pathmnist cannot be had" in printed[0]
    for name in ("brestmnist", "chestmnist", "cag:../x"):
        with pytest.raises(DataError):
            stand_in(name)
    monkeypatch.setenv("REPRO_STAND_IN", "yes")
    with pytest.raises(DataError, match="REPRO_STAND_IN is 'yes'; expected phantom"):
        stand_in("phantom")


def test_wrong_data_is_never_replaced_by_the_phantom(data, monkeypatch):
    monkeypatch.setenv("REPRO_STAND_IN", "phantom")
    monkeypatch.setitem(medmnist.INFO["breastmnist"], "MD5_64", "0" * 32)
    with pytest.raises(DataError, match="official one is 0000"):
        load_dataset(stand_in("breastmnist_64"))
