"""Temperature scaling (Guo et al., ICML 2017): one number that makes confidence mean frequency.

Probabilities become softmax(log p / T). A network that is too sure gets T > 1, one that is not sure
enough T < 1; the order of the classes, and so the predicted class, stays. What is stored of a run
are probabilities, not logits; log p is the logits but for a constant in each row, which softmax
ignores. Where a run averages over the image and its mirror image, the logarithm of the mean is
scaled.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar

from helpers.metrics.scores import check_predictions, evaluate

# Where every validation image is right, the likelihood grows without end as T falls. Networks of
# smoothed labels and averaged weights do need a T of 0.2, so the limits lie well beyond.
LIMITS = (0.05, 20.0)
_TINY = float(np.finfo(np.float32).tiny)  # a probability that float32 rounded to 0


@dataclass(frozen=True)
class Calibration:
    """A fitted temperature and what it does on the images that it was fitted on."""

    temperature: float  # T
    n: int  # how many validation images it was fitted on
    nll_before: float  # mean negative log-likelihood of the true class with T = 1
    nll_after: float  # the same with T
    ece_before: float  # expected calibration error with T = 1
    ece_after: float  # the same with T; on the very images of the fit, so a little too good
    at_limit: bool  # whether T stands at an end of `LIMITS`: it is then a bound, not an estimate

    def __str__(self) -> str:
        """Return one line: "T = 0.84, fitted on 78 validation images"."""
        limit = f", at the limit of {LIMITS[0]:g} to {LIMITS[1]:g}" if self.at_limit else ""
        return f"T = {self.temperature:.2f}{limit}, fitted on {self.n:,} validation images"


def apply_temperature(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Return softmax(log p / T).

    Args:
        probabilities: (N, K), rows summing to one.
        temperature: T > 0.

    Returns:
        float64 (N, K), rows summing to one; a row with NaN stays NaN.

    Raises:
        ValueError: T is not positive.
    """
    if not temperature > 0:
        raise ValueError(f"temperature must be positive, got {temperature!r}.")
    logits = np.log(np.maximum(np.asarray(probabilities, dtype=np.float64), _TINY)) / temperature
    scaled = np.exp(logits - logits.max(axis=1, keepdims=True))
    return scaled / scaled.sum(axis=1, keepdims=True)


def fit_temperature(y_true: np.ndarray, probabilities: np.ndarray) -> Calibration:
    """Choose the temperature with the smallest negative log-likelihood on validation images.

    The likelihood is concave in 1/T, so there is one minimum.

    Args:
        y_true: labels, integers (N,), in 0 .. K-1.
        probabilities: (N, K), rows summing to one.

    Raises:
        ValueError: arrays that do not fit, or no images.
    """
    y_true, probabilities = check_predictions(y_true, probabilities)
    low, high = np.log(LIMITS)
    found = minimize_scalar(
        lambda log_t: _likelihood_loss(y_true, apply_temperature(probabilities, np.exp(log_t))),
        bounds=(low, high),
        method="bounded",
        options={"xatol": 1e-6},
    )
    at_limit = min(found.x - low, high - found.x) < 1e-4
    temperature = float(np.exp(found.x))
    scaled = apply_temperature(probabilities, temperature)
    return Calibration(
        temperature=temperature,
        n=len(y_true),
        nll_before=_likelihood_loss(y_true, apply_temperature(probabilities, 1)),
        nll_after=_likelihood_loss(y_true, scaled),
        ece_before=expected_calibration_error(y_true, probabilities),
        ece_after=expected_calibration_error(y_true, scaled),
        at_limit=bool(at_limit),
    )


def _likelihood_loss(y_true: np.ndarray, probabilities: np.ndarray) -> float:
    """Return the mean of -log p of the true class; no p of `apply_temperature` is zero."""
    return float(-np.log(probabilities[np.arange(len(y_true)), y_true]).mean())


def expected_calibration_error(y_true: np.ndarray, probabilities: np.ndarray) -> float:
    """Return ECE, the point estimate of `helpers.metrics.scores.evaluate`."""
    return evaluate(y_true, probabilities, n_resamples=0)["ece"].value
