"""Pictures of a data set: they draw for any kind of set, and their numbers are right."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from helpers.data.leakage import leakage_report
from helpers.data.phantom import make_phantom
from helpers.data.splits import Split, Splits
from helpers.data.transforms import Augmentation
from helpers.plots import data


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def make_splits(num_classes, channels, n=None):
    n = n or 2 * num_classes
    random = np.random.default_rng(0)
    parts = {}
    for name in ("train", "val", "test"):
        images = random.integers(0, 256, (n, 28, 28, channels), dtype=np.uint8)
        parts[name] = Split(images, np.arange(n, dtype=np.int64) % num_classes)
    names = tuple(f"class of a long name, number {k}" for k in range(num_classes))
    return Splits(name="x", **parts, class_names=names, source="x")


@pytest.mark.parametrize("splits", [make_splits(2, 1), make_splits(14, 3), make_phantom(n_train=8)])
def test_every_picture_draws_for_every_kind_of_set(splits, monkeypatch):
    monkeypatch.setattr(data, "_COLUMNS", 3)
    kinds = {kind: Augmentation(kind, image_size=splits.image_size) for kind in ("none", "full")}
    figures = [
        data.plot_samples(splits.train, splits.class_names, title="t"),
        data.plot_augmentations(splits.train, kinds, num_classes=splits.num_classes, title="t"),
        data.plot_class_balance(splits, axes=plt.subplots()[1]).figure,
        data.plot_grey_levels(splits.train, splits.class_names, axes=plt.subplots()[1]).figure,
    ]
    pixels = torch.rand(2, splits.in_channels, 8, 8)
    figures.append(data.plot_batch(splits.train.images[:2], pixels, ["1", "$_2"], title="t"))
    splits.test.images[0] = splits.train.images[1]
    figures.append(data.plot_pairs(splits, leakage_report(splits).exact, title="t"))
    for figure in figures:
        figure.canvas.draw()
    assert len(figures[0].axes) == 3 * splits.num_classes
    assert "train 1" in figures[-1].axes[0].get_xlabel()
    assert "test 0" in figures[-1].axes[1].get_xlabel()


def test_grey_table():
    splits = make_splits(2, 1, n=6)
    for image, label in zip(splits.train.images, splits.train.labels, strict=True):
        image[:] = 200 if label else 100
        image[0] = 255 if label else 0
    table = data.grey_table(splits.train, ("dark", "bright"))
    assert table["images"].tolist() == [3, 3]
    np.testing.assert_allclose(table["mean grey"], [100 * 27 / 28, (200 * 27 + 255) / 28])
    np.testing.assert_allclose(table["black %"], [100 / 28, 0])
    np.testing.assert_allclose(table["white %"], [0, 100 / 28])
    np.testing.assert_allclose(table["sd of mean"], 0, atol=1e-9)
    assert table["AUC of mean grey"].tolist() == [0, 1]


def test_a_box_moves_with_its_image():
    # A white square on black and its box: after any augmentation the mask lies on the square.
    images = np.zeros((16, 64, 64, 1), dtype=np.uint8)
    images[:, 10:26, 30:50] = 255
    boxes = np.tile(np.float32([30, 10, 20, 16]), (16, 1))
    split = Split(images, np.arange(16) % 2, boxes=boxes)
    masks = data._box_masks(split, np.arange(16))
    np.testing.assert_array_equal(masks, images)
    augmentation = Augmentation("full", image_size=64)
    moved = data._augmented(augmentation, masks, split.labels, 2)
    shown = data._augmented(augmentation, images, split.labels, 2)
    np.testing.assert_array_equal(moved, shown)
    assert (np.abs(moved[..., 0] * 255 - images[..., 0]).max((1, 2)) > 100).all()
