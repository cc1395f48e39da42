"""Temperature scaling: recovers what was done to the logits, keeps the order, says what it is."""

import numpy as np
import pytest
from scipy.special import softmax

from helpers.metrics.calibration import LIMITS, apply_temperature, fit_temperature
from helpers.metrics.scores import evaluate


def draw(n=20_000, num_classes=3, seed=0):
    """Logits, and labels drawn from their softmax: calibrated as they are."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.5, (n, num_classes))
    uniform = rng.random((n, 1))
    labels = (softmax(logits, axis=1).cumsum(axis=1) < uniform).sum(axis=1)
    return np.minimum(labels, num_classes - 1), logits


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
@pytest.mark.parametrize("num_classes", [2, 11])
def test_a_known_temperature_is_recovered(temperature, num_classes):
    y_true, logits = draw(num_classes=num_classes)
    fitted = fit_temperature(y_true, softmax(logits * temperature, axis=1))
    assert fitted.temperature == pytest.approx(temperature, rel=0.05)
    assert not fitted.at_limit and fitted.n == len(y_true)


def test_scaling_probabilities_is_scaling_logits():
    _, logits = draw(50)
    scaled = apply_temperature(softmax(logits, axis=1), 1.7)
    np.testing.assert_allclose(scaled, softmax(logits / 1.7, axis=1), rtol=1e-12)


def test_one_changes_nothing_and_rows_sum_to_one():
    _, logits = draw(50)
    probabilities = softmax(logits, axis=1).astype(np.float32)
    np.testing.assert_allclose(apply_temperature(probabilities, 1.0), probabilities, atol=1e-7)
    for temperature in LIMITS:
        sums = apply_temperature(probabilities, temperature).sum(axis=1)
        np.testing.assert_allclose(sums, 1, rtol=1e-12)


@pytest.mark.parametrize("temperature", LIMITS)
def test_the_order_of_the_classes_stays(temperature):
    _, logits = draw(2000, num_classes=5)
    probabilities = softmax(8 * logits, axis=1)
    scaled = apply_temperature(probabilities, temperature)
    np.testing.assert_array_equal(scaled.argmax(axis=1), probabilities.argmax(axis=1))


def test_zeros_and_ones_stay_finite():
    scaled = apply_temperature(np.array([[1.0, 0.0], [0.5, 0.5]], np.float32), 2.0)
    assert np.isfinite(scaled).all() and scaled[0, 0] > 0.999 and scaled[1].tolist() == [0.5, 0.5]


def test_the_likelihood_gets_better_and_numbers_are_those_of_metrics():
    y_true, logits = draw(3000)
    probabilities = softmax(3 * logits, axis=1)
    fitted = fit_temperature(y_true, probabilities)
    of_truth = probabilities[np.arange(len(y_true)), y_true]
    assert fitted.nll_before == pytest.approx(-np.log(of_truth).mean())
    assert fitted.nll_after < fitted.nll_before - 0.1
    assert fitted.ece_before == evaluate(y_true, probabilities, n_resamples=0)["ece"].value
    assert fitted.ece_after < 0.03 < fitted.ece_before


def test_where_all_is_right_the_temperature_is_bounded_and_says_so():
    y_true = np.arange(40) % 2
    probabilities = np.where(np.eye(2)[y_true] == 1, 0.7, 0.3)
    fitted = fit_temperature(y_true, probabilities)
    assert fitted.at_limit and fitted.temperature == pytest.approx(LIMITS[0], rel=1e-3)
    assert str(fitted) == "T = 0.05, at the limit of 0.05 to 20, fitted on 40 validation images"
    wrong = fit_temperature(1 - y_true, probabilities)
    assert wrong.at_limit and wrong.temperature == pytest.approx(LIMITS[1], rel=1e-3)


def test_bad_input():
    with pytest.raises(ValueError, match=r"positive, got 0"):
        apply_temperature(np.full((1, 2), 0.5), 0)
    with pytest.raises(ValueError, match="2 labels for 3"):
        fit_temperature(np.array([0, 1]), np.full((3, 2), 0.5))
    with pytest.raises(ValueError, match="n >= 1"):
        fit_temperature(np.empty(0, int), np.empty((0, 2)))
