"""Training splits made worse on purpose: fewer images, fewer positives, wrong labels.

The last two are of paper A's abstract.
"""

from dataclasses import replace

import numpy as np

from helpers.data.splits import DataError, Split


def stratified_subset(split: Split, *, num_classes: int, n: int) -> Split:
    """Return n images of a training split, each class in its share and with one image at least.

    The images are the first n of one fixed order, which knows no seed of a run: all seeds train on
    the same subset, and a smaller subset is part of every larger one, as a learning curve wants it.

    Args:
        split: a training split.
        num_classes: K.
        n: from K to the number of images; in the result they stand in the split's order.

    Raises:
        DataError: n is out of range.
    """
    if not num_classes <= n <= len(split.labels):
        raise DataError(
            f"n_train must lie between {num_classes} (one image a class) and {len(split.labels)} "
            f"(the training split), got {n}."
        )
    rng = np.random.default_rng(17_19)
    place = np.empty(len(split.labels))  # 0 to 1 within its class, below 0 for the first of it
    for label in range(num_classes):
        members = rng.permutation(np.flatnonzero(split.labels == label))
        place[members] = (np.arange(len(members)) + 0.5) / max(len(members), 1)
        place[members[:1]] -= 1
    return split.take(np.sort(np.argsort(place, kind="stable")[:n]))


def damage_training_split(
    split: Split, *, num_classes: int, imbalance: float | None, label_noise: float, seed: int
) -> Split:
    """Return a thinned and mislabelled copy of a training split; the first step is the thinning.

    The damage follows from the seed alone, so two systems of one seed see the same images.

    Args:
        split: a training split.
        num_classes: K.
        imbalance: r keeps all images of class 0 and n_0 / r of class 1 (1:r); None keeps all.
        label_noise: share of the images of each class that get another class's label.
        seed: of the choice of images and labels.

    Raises:
        DataError: a thinning of a set that has not two classes, or that would leave no positive.
    """
    rng = np.random.default_rng([seed, 16_17])
    kept = np.arange(len(split.labels))
    if imbalance is not None:
        kept = _thin(split.labels, num_classes, imbalance, rng)
    labels = split.labels[kept].copy()
    for label in range(num_classes if label_noise else 0):
        members = np.flatnonzero(split.labels[kept] == label)
        flipped = rng.choice(members, round(label_noise * len(members)), replace=False)
        labels[flipped] = (label + rng.integers(1, num_classes, len(flipped))) % num_classes
    return replace(split.take(kept), labels=labels)


def _thin(
    labels: np.ndarray, num_classes: int, imbalance: float, rng: np.random.Generator
) -> np.ndarray:
    """Return the indices that stay, in their order."""
    if num_classes != 2:
        raise DataError(f"imbalance thins sets of two classes, this one has {num_classes}.")
    positives = np.flatnonzero(labels == 1)
    wanted = round((labels == 0).sum() / imbalance)
    if not 1 <= wanted <= len(positives):
        raise DataError(
            f"1:{imbalance:g} needs {wanted} positives beside {(labels == 0).sum()} negatives; "
            f"there are {len(positives)}, and at least 1 must stay."
        )
    chosen = rng.choice(positives, wanted, replace=False)
    return np.sort(np.concatenate([np.flatnonzero(labels == 0), chosen]))
