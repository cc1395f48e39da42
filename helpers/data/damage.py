"""Training splits made worse on purpose: fewer positives, wrong labels (paper A's abstract)."""

from dataclasses import replace

import numpy as np

from helpers.data.splits import DataError, Split


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
    return replace(
        split,
        images=split.images[kept],
        labels=labels,
        groups=None if split.groups is None else split.groups[kept],
        boxes=None if split.boxes is None else split.boxes[kept],
    )


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
