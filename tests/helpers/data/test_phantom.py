"""The phantom: repeatable, matched, boxed, too hard for a line and easy for a small network."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from helpers.data import phantom
from helpers.data.phantom import make_phantom
from helpers.data.splits import DataError


@pytest.fixture(scope="module")
def splits():
    return make_phantom()


def test_what_it_is(splits):
    assert splits.is_phantom and splits.image_size == 64 and splits.in_channels == 1
    assert splits.class_names == ("no stenosis", "stenosis")
    assert [len(split) for _, split in splits.items()] == [480, 120, 160]
    for _, split in splits.items():
        assert np.bincount(split.labels).tolist() == [len(split) // 2] * 2
        assert split.groups is None
        np.testing.assert_array_equal(np.isfinite(split.boxes).all(1), split.labels == 1)


def test_repeatable_and_a_smaller_set_is_the_beginning_of_a_larger_one(splits):
    small = make_phantom(n_train=70, n_val=3, n_test=5)
    for (_, few), (_, many) in zip(small.items(), splits.items(), strict=True):
        np.testing.assert_array_equal(few.images, many.images[: len(few)])
        np.testing.assert_array_equal(few.boxes, many.boxes[: len(few)])
    phantom._draw_split.cache_clear()
    np.testing.assert_array_equal(make_phantom(n_train=70).train.images, small.train.images)
    other = make_phantom(n_train=70, n_val=3, n_test=5, seed=1)
    assert (other.train.images != small.train.images).any()
    assert (small.train.images[:3] != small.val.images).any()


def test_a_caller_cannot_change_the_next_ones_images():
    first = make_phantom(n_train=4, n_val=2, n_test=2)
    before = first.train.images.copy()
    first.train.images[:] = 0
    again = make_phantom(n_train=4, n_val=2, n_test=2)
    np.testing.assert_array_equal(again.train.images, before)


@pytest.mark.parametrize("size", [64, 71, 128, 224])
def test_any_size_from_64_shows_the_same_scene(size):
    sized = make_phantom(n_train=8, n_val=2, n_test=2, image_size=size)
    assert sized.train.images.shape == (8, size, size, 1)
    reference = make_phantom(n_train=8, n_val=2, n_test=2)
    np.testing.assert_allclose(
        sized.train.boxes / size, reference.train.boxes / 64, atol=1e-4, equal_nan=True
    )
    reduced, small = (
        nn.functional.adaptive_avg_pool2d(torch.from_numpy(s.train.images[..., 0]).float(), 16)
        for s in (sized, reference)
    )
    assert np.corrcoef(reduced.flatten(), small.flatten())[0, 1] > 0.97


@pytest.mark.parametrize("size", [63, 28, 0])
def test_smaller_is_refused(size):
    with pytest.raises(DataError, match=f"phantom of {size} pixels; expected at least 64"):
        make_phantom(image_size=size)


def test_the_box_is_where_the_narrowing_is():
    # The same random numbers with and without the narrowing: only the pixels in the box differ.
    indices = np.arange(40)
    narrow, boxes = phantom._draw(indices, np.ones(40, int), 64, (0, 0))
    opened, none = phantom._draw(indices, np.zeros(40, int), 64, (0, 0))
    assert np.isnan(none).all()
    change = np.abs(narrow.astype(int) - opened)[..., 0]
    row, column = np.mgrid[:64, :64] + 0.5
    x, y, width, height = boxes.T[:, :, None, None]
    inside = (column > x) & (column < x + width) & (row > y) & (row < y + height)
    assert (inside.sum((1, 2)) > 30).all() and (inside.mean((1, 2)) < 0.15).all()
    assert np.median((change * inside).max((1, 2))) > 30
    assert (change * inside).sum() / inside.sum() > 5 * (change * ~inside).sum() / (~inside).sum()


def test_classes_are_matched_in_mean_and_spread():
    many = make_phantom(n_train=1000, n_val=2, n_test=2).train
    pixels = many.images.reshape(len(many), -1)
    for statistic in (pixels.mean(1), pixels.std(1)):
        assert abs(roc_auc_score(many.labels, statistic) - 0.5) < 0.06


def test_a_linear_model_stays_under_75(splits):
    flat = {name: split.images.reshape(len(split), -1) / 255 for name, split in splits.items()}
    for strength in (1e-4, 1e-2, 1.0):
        model = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=300))
        model.fit(flat["train"], splits.train.labels)
        score = model.predict_proba(flat["test"])[:, 1]
        assert roc_auc_score(splits.test.labels, score) < 0.75


def make_network(width):
    layers = [nn.Conv2d(1, width, 3, stride=2, padding=1), nn.ReLU()]
    for inputs, outputs in ((1, 2), (2, 2), (2, 4)):
        convolution = nn.Conv2d(inputs * width, outputs * width, 3, padding=1, bias=False)
        layers += [convolution, nn.BatchNorm2d(outputs * width), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(4 * width, 2))


def test_a_small_network_passes_95(splits):
    def as_input(split):
        return torch.from_numpy(split.images).permute(0, 3, 1, 2).float() / 255 - 0.58

    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    network, epochs, size = make_network(16), 12, 32
    images, labels = as_input(splits.train), torch.from_numpy(splits.train.labels)
    optimiser = torch.optim.AdamW(network.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, 3e-3, total_steps=epochs * len(labels) // size
    )
    for _ in range(epochs):
        for batch in torch.randperm(len(labels), generator=generator).split(size):
            turns = int(torch.randint(4, (1,), generator=generator))
            logits = network(torch.rot90(images[batch], turns, (2, 3)))
            loss = nn.functional.cross_entropy(logits, labels[batch])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    network.eval()
    with torch.no_grad():
        score = network(as_input(splits.test)).softmax(1)[:, 1].numpy()
    assert roc_auc_score(splits.test.labels, score) > 0.95
