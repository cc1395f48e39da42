"""The shares that images have in an AUC, from which its variance follows."""

import numpy as np
from scipy import stats


def structural_components(positive: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Return DeLong's components of one or more AUCs, in the order of the images.

    DeLong, DeLong & Clarke-Pearson (1988), Biometrics 44:837-845, by midranks as in Sun & Xu
    (2014), IEEE Signal Process. Lett. 21(11):1389-1393.

    Args:
        positive: bool (n,), True for images of the positive class.
        scores: float (..., n), higher means more likely positive.

    Returns:
        float (..., n): for a positive image the share of negatives scored lower, for a negative one
        the share of positives scored higher; ties count half. Either mean is the AUC.

    Raises:
        ValueError: arrays that do not fit, one class only, or NaN.
    """
    positive, scores = np.asarray(positive), np.asarray(scores)
    if positive.dtype != bool or positive.ndim != 1 or scores.shape[-1:] != positive.shape:
        raise ValueError(
            "An AUC needs positive as bool (n,) and scores as (..., n), got "
            f"{positive.dtype} {positive.shape} and {scores.shape}."
        )
    if positive.all() or not positive.any():
        raise ValueError(
            f"An AUC needs images of both classes, got {positive.sum()} positive ones of "
            f"{positive.size}."
        )
    if scores.dtype.kind == "f" and np.isnan(scores).any():
        raise ValueError("A score is NaN; an AUC needs a score for each image.")
    ranks = stats.rankdata(scores, axis=-1)
    components = np.empty(scores.shape)
    for members in (positive, ~positive):
        own_ranks = stats.rankdata(scores[..., members], axis=-1)
        lower = ranks[..., members] - own_ranks  # images of the other class, ties as halves
        share = lower / np.count_nonzero(~members)
        components[..., members] = share if members is positive else 1 - share
    return components
