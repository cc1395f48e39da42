"""Balanced sampling, thinned and mislabelled training splits."""

import dataclasses

import numpy as np
import pytest
import torch

from helpers.data.damage import damage_training_split, stratified_subset
from helpers.data.splits import DataError, Split
from helpers.training.sampling import batches, epoch_order, num_batches
from tests.conftest import toy_split

LABELS = torch.tensor([0] * 900 + [1] * 100)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_shuffle_shows_each_image_once():
    order = epoch_order("shuffle", LABELS, generator=generator())
    assert sorted(order.tolist()) == list(range(1000))


@pytest.mark.parametrize("num_classes", [2, 4])
def test_balanced_shows_each_class_equally_often(num_classes):
    labels = torch.cat([torch.full((10 * 4**k,), k) for k in range(num_classes)])
    drawn = torch.cat(
        [epoch_order("balanced", labels, generator=generator(seed)) for seed in range(40)]
    )
    assert len(drawn) == 40 * len(labels)
    shares = torch.bincount(labels[drawn]) / len(drawn)
    torch.testing.assert_close(
        shares, torch.full((num_classes,), 1 / num_classes), atol=0.03, rtol=0
    )


@pytest.mark.parametrize("sampling", ["shuffle", "balanced"])
def test_the_same_generator_gives_the_same_order(sampling):
    one, two, other = (
        epoch_order(sampling, LABELS, generator=generator(seed)) for seed in (0, 0, 1)
    )
    assert torch.equal(one, two) and not torch.equal(one, other)


@pytest.mark.parametrize(
    ("images", "batch_size", "sizes"),
    [
        (33, 16, [16, 17]),
        (34, 16, [16, 16, 2]),
        (32, 16, [16, 16]),
        (1, 16, [1]),
        (3, 1, [1, 1, 1]),
    ],
)
def test_no_image_is_left_alone_in_the_last_batch(images, batch_size, sizes):
    order = torch.randperm(images)
    pieces = batches(order, batch_size)
    assert [len(piece) for piece in pieces] == sizes
    assert torch.equal(torch.cat(pieces), order)
    assert num_batches(images, batch_size) == len(sizes)


def test_an_unknown_sampling_is_answered_with_the_known_ones():
    with pytest.raises(ValueError, match="shuffle, balanced"):
        epoch_order("weighted", LABELS, generator=generator())


def test_a_subset_has_every_class_in_its_share_and_lies_in_the_larger_ones():
    split = with_index(200)
    split = dataclasses.replace(split, labels=np.repeat([0, 1, 2], [147, 50, 3]))
    shares = np.bincount(split.labels) / len(split)
    smaller = set()
    for n in (3, 4, 10, 57, 199, 200):
        kept = stratified_subset(split, num_classes=3, n=n)
        assert len(kept) == n
        counts = np.bincount(kept.labels, minlength=3)
        assert counts.min() >= 1
        assert np.abs(counts - n * shares).max() <= 2  # one image a class is owed at least
        indices = [int(group[1:]) for group in kept.groups]
        assert indices == sorted(indices)
        assert (kept.images[:, 0, 0, 0] == indices).all()
        assert (split.labels[indices] == kept.labels).all()
        assert smaller <= set(indices)
        smaller = set(indices)


@pytest.mark.parametrize("n", [1, 201])
def test_a_subset_out_of_range_is_refused(n):
    with pytest.raises(DataError, match=f"n_train must lie between 2 .* and 200 .*, got {n}"):
        stratified_subset(with_index(200), num_classes=2, n=n)


def damage(split, *, num_classes=2, imbalance=None, label_noise=0.0, seed=0):
    return damage_training_split(
        split, num_classes=num_classes, imbalance=imbalance, label_noise=label_noise, seed=seed
    )


def with_index(n, num_classes=2):
    """A split whose images and groups say which image they were."""
    split = toy_split(n, num_classes=num_classes)
    return Split(
        images=np.arange(n, dtype=np.uint8)[:, None, None, None] * np.ones((1, 4, 4, 1), np.uint8),
        labels=split.labels,
        groups=np.array([f"g{i}" for i in range(n)]),
        boxes=np.arange(4 * n, dtype=np.float32).reshape(n, 4),
    )


def test_without_damage_nothing_changes():
    split = with_index(20)
    same = damage(split)
    assert np.array_equal(same.images, split.images) and np.array_equal(same.labels, split.labels)


@pytest.mark.parametrize("ratio", [4.0, 9.0])
def test_thinning_leaves_one_positive_for_r_negatives(ratio):
    split = with_index(200)
    thin = damage(split, imbalance=ratio)
    counts = np.bincount(thin.labels)
    assert counts.tolist() == [100, round(100 / ratio)]
    which = thin.images[:, 0, 0, 0]
    assert np.array_equal(thin.labels, split.labels[which])
    assert np.array_equal(thin.groups, split.groups[which])
    assert np.array_equal(thin.boxes, split.boxes[which])


@pytest.mark.parametrize(("share", "num_classes"), [(0.1, 2), (0.2, 2), (0.2, 5)])
def test_noise_gives_a_share_of_each_class_another_label(share, num_classes):
    split = with_index(200, num_classes)
    noisy = damage(split, num_classes=num_classes, label_noise=share)
    wrong = noisy.labels != split.labels
    for label in range(num_classes):
        members = split.labels == label
        assert wrong[members].sum() == round(share * members.sum())
    assert set(noisy.labels) == set(range(num_classes))
    assert np.array_equal(noisy.images, split.images)
    assert not (split.labels != np.arange(200) % num_classes).any()  # the original is untouched


def test_the_damage_follows_from_the_seed():
    split = with_index(200)
    one, two, other = (damage(split, imbalance=4, label_noise=0.1, seed=s) for s in (0, 0, 1))
    assert np.array_equal(one.images, two.images) and np.array_equal(one.labels, two.labels)
    assert not np.array_equal(one.images, other.images)


def test_thinning_that_cannot_be_is_refused():
    with pytest.raises(DataError, match="has 3"):
        damage(with_index(30, 3), num_classes=3, imbalance=4)
    with pytest.raises(DataError, match="at least 1 must stay"):
        damage(with_index(4), imbalance=9)
