"""The checks every data set goes through, and the leakage report."""

import dataclasses

import numpy as np
import pytest
from sklearn.metrics.pairwise import cosine_similarity

from helpers.data import leakage
from helpers.data.datasets import load_dataset
from helpers.data.leakage import leakage_report
from helpers.data.splits import (
    DataError,
    DatasetUnavailable,
    Split,
    Splits,
    largest_against_rest,
)
from helpers.paths import data_root


def make_split(n=6, size=8, channels=1, seed=0, **changes):
    images = np.random.default_rng(seed).integers(0, 256, (n, size, size, channels), np.uint8)
    split = Split(images=images, labels=np.arange(n, dtype=np.int64) % 2)
    return dataclasses.replace(split, **changes)


def make_splits(**changes):
    parts = {name: make_split(seed=i) for i, name in enumerate(("train", "val", "test"))}
    return Splits(**{"name": "x", "class_names": ("a", "b"), "source": "x", **parts, **changes})


def nan_boxes(n=6):
    return np.full((n, 4), np.nan, dtype=np.float32)


def test_properties():
    splits = make_splits()
    assert (splits.num_classes, splits.in_channels, splits.image_size) == (2, 1, 8)
    assert not splits.is_phantom
    assert [name for name, _ in splits.items()] == ["train", "val", "test"]
    assert len(splits.train) == 6
    assert issubclass(DatasetUnavailable, DataError) and issubclass(DataError, ValueError)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": np.zeros((6, 8, 8, 1))}, r"val: images are float64"),
        ({"images": np.zeros((6, 8, 8), np.uint8)}, r"val: images are uint8 \(6, 8, 8\)"),
        ({"images": np.zeros((6, 8, 8, 2), np.uint8)}, r"C = 1 or 3"),
        ({"images": np.zeros((6, 8, 9, 1), np.uint8)}, r"9 x 8 pixels .*square"),
        ({"images": np.zeros((0, 8, 8, 1), np.uint8)}, r"val: no images"),
        ({"labels": np.zeros(6, np.int32)}, r"labels are int32"),
        ({"labels": np.zeros((6, 1), np.int64)}, r"labels are int64 \(6, 1\)"),
        ({"labels": np.zeros(5, np.int64)}, r"labels are int64 \(5,\); expected int64 \(6,\)"),
        ({"labels": np.array([0, 1, 2, 0, 1, 1])}, r"label 2 of image 2 .* expected 0 to 1"),
        ({"labels": np.array([0, 1, -1, 0, 1, 1])}, r"label -1 of image 2"),
        ({"groups": np.arange(6)}, r"groups are int64"),
        ({"boxes": np.zeros((6, 4))}, r"boxes are float64"),
    ],
)
def test_a_wrong_split_is_named(changes, message):
    with pytest.raises(DataError, match=message):
        make_splits(val=make_split(**changes))


@pytest.mark.parametrize(
    "box", [(0, 0, 0, 3), (-1, 0, 3, 3), (6, 0, 3, 3), (0, 0, 3, 9), (0, np.nan, 3, 3)]
)
def test_a_wrong_box_is_named(box):
    boxes = nan_boxes()
    boxes[2] = (1, 1, 7, 7)
    parts = {name: make_split(boxes=nan_boxes()) for name in ("train", "val")}
    make_splits(**parts, test=make_split(boxes=boxes))
    boxes[4] = box
    with pytest.raises(DataError, match=r"test: box .* of image 4; expected x, y, width, height"):
        make_splits(**parts, test=make_split(boxes=boxes))


def test_every_class_needs_a_training_image_but_no_test_image():
    all_zero = np.zeros(6, dtype=np.int64)
    make_splits(test=make_split(labels=all_zero))
    with pytest.raises(DataError, match=r"no training image of class 'b'"):
        make_splits(train=make_split(labels=all_zero))


def test_splits_must_be_alike():
    with pytest.raises(DataError, match="differ in image shape"):
        make_splits(test=make_split(channels=3))
    with pytest.raises(DataError, match=r"groups in \['train'\] only"):
        make_splits(train=make_split(groups=np.array(list("abcdef"))))
    with pytest.raises(DataError, match="at least two"):
        make_splits(class_names=("a",))
    with pytest.raises(DataError, match="class names repeat"):
        make_splits(class_names=("a", "a"))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("a", ""), "a class is called ''"),
        (("a", "  "), "a class is called '  '"),
        (("a", " b"), "a class is called ' b'"),
        (("a", "b\n"), r"a class is called 'b\\n'"),
        (("a", "b\x1b[31m"), "a class is called"),
        (("a", "b\x7f"), "a class is called"),
        (("a", "nan"), "a class is called 'nan'; .* missing value"),
        (("a", "<NA>"), "a class is called '<NA>'"),
        (("Benign", "benign"), "'Benign' and 'benign' differ in nothing but case"),
        (("\u00e9", "e\u0301"), "differ in nothing but case or coding"),
    ],
)
def test_class_names_that_nobody_could_tell_apart_are_refused(names, message):
    with pytest.raises(DataError, match=message):
        make_splits(class_names=names)


@pytest.mark.parametrize(
    "name", ["None", "NA", "yes", "010", "1e3", "1:30", "-1", "\u0646\u200c\u0645"]
)
def test_odd_class_names_that_are_plain_text(name):
    assert make_splits(class_names=("a", name)).class_names == ("a", name)


def test_the_largest_class_may_be_called_as_the_rest_would_be():
    names = largest_against_rest(make_splits(class_names=("All others", "b"))).class_names
    assert names == ("the rest", "All others")


def test_a_group_in_two_splits_is_refused():
    groups = {"train": list("aabbcc"), "val": list("ddeeff"), "test": list("gghhbb")}
    groups = {name: np.array(members) for name, members in groups.items()}
    with pytest.raises(DataError, match=r"1 group\(s\) cross splits.*'b' in train and test"):
        make_splits(**{name: make_split(groups=members) for name, members in groups.items()})
    assert make_splits().crossing_groups() == {}


def test_what_splits_cannot_give_is_noted():
    assert make_splits().notes == ()
    ones = np.ones(6, dtype=np.int64)
    assert make_splits(val=make_split(labels=ones)).notes == (
        "val holds one class only, so its AUC is undefined; epochs are selected by its loss.",
    )
    assert make_splits(test=make_split(labels=ones)).notes == (
        "test holds one class only, so its AUC is undefined.",
    )
    three = {
        "class_names": ("a", "b", "c"),
        "train": make_split(labels=np.array([0, 1, 2, 0, 1, 2])),
    }
    test = make_split(labels=np.array([0, 2, 2, 0, 2, 2]))
    assert make_splits(**three, val=three["train"], test=test).notes == (
        "test holds no image of 'b', whose AUC there is undefined and left out of the mean.",
    )


def test_groups_that_cross_published_splits_are_noted():
    members = {"train": "aabbcc", "val": "ddeeaf", "test": "gghdba"}
    parts = {k: make_split(groups=np.array(list(v))) for k, v in members.items()}
    with pytest.raises(DataError, match="cross splits"):
        make_splits(**parts)
    splits = make_splits(**parts, groups_may_cross=True)
    assert splits.notes == (
        "1 of 6 val images are of a group (patient, lesion) that is also in train.",
        "3 of 6 test images are of a group (patient, lesion) that is also in train or val.",
    )


def test_copies_in_sets_of_ones_own_are_noted():
    test = make_split(seed=2)
    test.images[:2] = make_split(seed=0).images[3]
    test.images[2] = make_split(seed=1).images[5]
    assert make_splits(test=test, name="npz:x").notes == (
        "3 of 6 test images are exact copies of images in train or val.",
    )
    assert make_splits(test=test, name="bloodmnist").notes == ()


def test_leakage_finds_exact_and_near_pairs():
    splits = make_splits(
        train=make_split(20, 28), val=make_split(8, 28, seed=1), test=make_split(10, 28, seed=2)
    )
    clean = leakage_report(splits)
    assert not len(clean.exact_across) and not len(clean.near_across)
    train, val, test = (split.images for _, split in splits.items())
    test[3] = train[5]
    val[2] = val[6]
    # The same picture, darker and with less contrast: near, not exact.
    test[7] = (train[4] * 0.5 + 20).astype(np.uint8)
    report = leakage_report(splits)
    columns = ["split_a", "index_a", "split_b", "index_b", "same_label"]
    assert sorted(report.exact[columns].values.tolist()) == [
        ["train", 5, "test", 3, True],
        ["val", 2, "val", 6, True],
    ]
    assert report.exact_across[columns].values.tolist() == [["train", 5, "test", 3, True]]
    assert report.near_across[columns].values.tolist() == [["train", 4, "test", 7, False]]
    assert report.leaked("test").tolist() == [3, 7] and report.leaked("val").tolist() == []
    summary = report.summary()
    assert summary.loc["train - test"].tolist() == [1, 1, 2, 1]
    assert summary.loc["within val"].tolist() == [1, 0, 2, 0]
    assert summary["exact pairs"].sum() == 2 and summary["near pairs"].sum() == 1
    assert report.groups is None and "32 x 32" in report.method


def test_leakage_counts_shared_groups_and_what_they_tie():
    members = {"train": "aabbcc", "val": "ddeeaf", "test": "gghdba"}
    parts = {
        name: make_split(seed=i, groups=np.array(list(groups)))
        for i, (name, groups) in enumerate(members.items())
    }
    parts["test"].images[0] = parts["train"].images[3]
    report = leakage_report(make_splits(**parts, groups_may_cross=True))
    assert set(report.groups) == {"a", "b", "d"} and report.groups["a"] == ("train", "val", "test")
    assert report.in_earlier_group["val"].tolist() == [4]
    assert report.in_earlier_group["test"].tolist() == [3, 4, 5]
    assert report.tied("test").tolist() == [0, 3, 4, 5] and report.leaked("test").tolist() == [0]
    shared = report.summary()["shared groups"]
    assert shared[["train - val", "train - test", "val - test"]].tolist() == [1, 2, 2]
    assert shared[["within train", "within val", "within test"]].tolist() == [3, 2, 1]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # equal images across splits, of which in test, with two labels; tied test images
        ("bloodmnist", (9, 6, 1, 7)),
        ("npz:dermamnist_rebuilt", (0, 0, 0, 773)),
        ("breastmnist_64", (1, 1, 1, 46)),
    ],
)
def test_leakage_of_the_real_sets(name, expected):
    root = data_root()
    folder = "npz" if name.startswith("npz:") else "medmnist"
    if root is None or not (root / folder / f"{name.removeprefix('npz:')}.npz").is_file():
        pytest.skip(f"{name} is not in REPRO_DATA")
    report = leakage_report(load_dataset(name))
    exact = report.exact_across
    found = (len(exact), (exact["split_b"] == "test").sum(), (~exact["same_label"]).sum())
    assert (*found, len(report.tied("test"))) == expected


def test_leakage_correlations_agree_with_scikit_learn(monkeypatch):
    random = np.random.default_rng(0)
    base = random.integers(0, 256, (1, 28, 28, 1))
    noisy = np.clip(base + random.normal(0, 12, (30, 28, 28, 1)), 0, 255).astype(np.uint8)
    labels = np.arange(10, dtype=np.int64) % 2
    parts = {
        name: Split(noisy[10 * i : 10 * i + 10], labels)
        for i, name in enumerate(("train", "val", "test"))
    }
    monkeypatch.setattr(leakage, "NEAR_CORRELATION", 0.9)
    report = leakage_report(make_splits(**parts))
    flat = noisy.reshape(30, -1).astype(float)
    expected = cosine_similarity(flat - flat.mean(1, keepdims=True))
    offset = {"train": 0, "val": 10, "test": 20}
    rows = report.near["split_a"].map(offset) + report.near["index_a"]
    columns = report.near["split_b"].map(offset) + report.near["index_b"]
    assert len(report.near) == 30 * 29 / 2
    np.testing.assert_allclose(report.near["correlation"], expected[rows, columns], atol=1e-5)
    assert report.near["correlation"].is_monotonic_decreasing


def with_copies(n, size, share):
    """Splits of n images each: noise, and a share of copies of five images.

    Two of them are alike but for their brightness; two have one grey each, so no correlation.
    """
    rng = np.random.default_rng(n)
    base = rng.integers(100, 256, (2, size, size, 1), np.uint8)
    variants = np.stack([base[0], base[0] // 2, base[1], 0 * base[0], 0 * base[0] + 90])
    parts = {}
    for seed, name in enumerate(("train", "val", "test")):
        parts[name] = make_split(n, size, seed=seed)
        chosen = rng.random(n) < share
        parts[name].images[chosen] = variants[rng.integers(0, len(variants), chosen.sum())]
    return make_splits(**parts)


def all_pairs(splits):
    """Each pair of images, compared one by one: equal ones, and nearly equal ones."""
    found = [
        (name, k, image[..., 0]) for name, s in splits.items() for k, image in enumerate(s.images)
    ]
    exact, near = [], []
    for i, (*a, first) in enumerate(found):
        for *b, second in found[i + 1 :]:
            if (first == second).all():
                exact.append((*a, *b))
            elif first.std() and second.std():
                r = np.corrcoef(first.ravel(), second.ravel())[0, 1]
                near += [(*a, *b)] * int(r >= leakage.NEAR_CORRELATION)
    return exact, near


def rows_of(table):
    return list(table.iloc[:, :4].itertuples(index=False, name=None))


def test_leakage_agrees_with_the_search_of_all_pairs(monkeypatch):
    splits = with_copies(40, 28, share=0.5)
    exact, near = all_pairs(splits)
    full = leakage_report(splits)
    assert rows_of(full.exact) == exact and sorted(rows_of(full.near)) == sorted(near)
    # Of many equal images fewer pairs are listed, and all that follows of them stays.
    monkeypatch.setattr(leakage, "_MOST", 5)
    short = leakage_report(splits)
    assert "more than 5 equal images" in short.method and full.method in short.method
    assert len(short.exact) < len(exact)
    for ours, pairs in ((short.exact, exact), (short.near, near)):
        assert set(rows_of(ours)) <= set(pairs) and len(set(rows_of(ours))) == len(ours)
    for name in ("val", "test"):
        assert short.leaked(name).tolist() == full.leaked(name).tolist()
    assert short.summary()["images"].tolist() == full.summary()["images"].tolist()


def test_leakage_of_thousands_of_equal_images_lists_few_pairs():
    splits = with_copies(4000, 8, share=0.9)
    report = leakage_report(splits)
    assert len(report.exact) < 3 * 12_000 and len(report.near) < 6 * 12_000
    seen = {*splits.train.digests(), *splits.val.digests()}
    copies = [k for k, digest in enumerate(splits.test.digests()) if digest in seen]
    assert report.leaked("test").tolist() == copies and len(copies) > 3000
