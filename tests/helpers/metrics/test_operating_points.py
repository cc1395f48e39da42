import numpy as np
import pytest
from sklearn.metrics import roc_curve

from helpers.metrics import operating_points
from helpers.metrics.operating_points import (
    TARGETS,
    at_threshold,
    choose_threshold,
    points_on_curve,
)
from helpers.metrics.scores import proportion


def sample(n, *, seed=0, digits=6):
    """Scores that tell the classes in part; few digits make ties."""
    rng = np.random.default_rng(seed)
    positive = rng.random(n) < 0.4
    score = 1 / (1 + np.exp(-(rng.normal(size=n) + 1.2 * positive)))
    return positive, np.round(score, digits)


def split(n, num_classes, *, seed=0):
    rng = np.random.default_rng(seed)
    y_true = np.arange(n) % num_classes
    scores = np.exp(rng.normal(size=(n, num_classes)) + np.eye(num_classes)[y_true])
    return y_true, scores / scores.sum(axis=1, keepdims=True)


def by_sklearn(positive, score, held, target):
    """The best of the other metric over the thresholds of scikit-learn's ROC, and where it is."""
    false, true, thresholds = roc_curve(positive, score, drop_intermediate=False)
    specificity = 1 - false
    have, read = (specificity, true) if held == "specificity" else (true, specificity)
    inner = np.arange(1, len(thresholds) - 1)  # the ends call all images alike
    possible = inner[have[inner] >= target - 1e-9]
    if not len(possible):
        return None, None
    best = max(possible, key=lambda i: (round(read[i], 9), round(have[i], 9)))
    return read[best], thresholds[best]


@pytest.mark.parametrize(("held", "target"), TARGETS)
@pytest.mark.parametrize("digits", [6, 1])
@pytest.mark.parametrize("seed", range(5))
def test_thresholds_and_values_are_those_of_scikit_learns_roc(held, target, digits, seed):
    positive, score = sample(90, seed=seed, digits=digits)
    value, threshold = by_sklearn(positive, score, held, target)
    assert choose_threshold(positive, score, held=held, target=target) == threshold
    estimate = points_on_curve(positive, score, n_resamples=0)[TARGETS.index((held, target))]
    if value is None:
        assert estimate.value is None
        return
    assert estimate.value == pytest.approx(value)
    # What is read off the curve is what the threshold does.
    both = dict(
        zip(("sensitivity", "specificity"), at_threshold(positive, score, threshold), strict=True)
    )
    assert both.pop(held).value >= target
    ((_, other),) = both.items()
    assert other.value == pytest.approx(estimate.value) and other.n == estimate.n


def test_tied_scores_are_called_alike():
    positive = np.array([True, True, False, False, False])
    score = np.array([0.9, 0.5, 0.5, 0.2, 0.1])
    assert choose_threshold(positive, score, held="sensitivity", target=0.95) == 0.5
    assert choose_threshold(positive, score, held="specificity", target=0.95) == 0.9
    sensitivity, specificity = at_threshold(positive, score, 0.5)
    assert sensitivity == proportion(2, 2) and specificity == proportion(2, 3)


def test_nine_of_ten_are_ninety_percent():
    """The product 0.9 x 10 may lie above or below 9 by its last bit."""
    for n in (10, 20, 30, 70, 190):
        score = np.linspace(1, 0, n + 2)
        positive = np.arange(n + 2) % 12 == 0
        negatives = int((~positive).sum())
        for target in (0.9, 0.95, 0.7):
            threshold = choose_threshold(positive, score, held="specificity", target=target)
            if threshold is not None:
                right = at_threshold(positive, score, threshold)[1].value
                assert right >= target - 1e-12
    assert operating_points._allowed(10, 0.9) == 1 and operating_points._allowed(20, 0.95) == 1
    assert operating_points._allowed(10, 0.7) == 3 and negatives > 0


@pytest.mark.parametrize("score", [[0.5] * 4, [0.1, 0.2, 0.8, 0.9]])
def test_a_target_reached_only_by_calling_all_alike_is_undefined(score):
    positive = np.array([True, True, False, False])
    for held, target in TARGETS:
        assert choose_threshold(positive, np.array(score), held=held, target=target) is None
    for estimate in points_on_curve(positive, np.array(score), n_resamples=20):
        assert (estimate.value, estimate.low) == (None, None)
    for estimate in at_threshold(positive, np.array(score), None):
        assert estimate.value is None and "no threshold" in estimate.method


def test_one_class_alone_has_no_operating_point():
    positive, score = np.ones(5, bool), np.linspace(0, 1, 5)
    assert choose_threshold(positive, score, held="sensitivity", target=0.9) is None
    assert {e.value for e in points_on_curve(positive, score)} == {None}
    sensitivity, specificity = at_threshold(positive, score, 0.5)
    assert sensitivity.n == 5 and specificity.value is None


def test_intervals_equal_drawing_images_and_reading_their_curves():
    positive, score = sample(60, seed=3, digits=1)
    (block,) = operating_points.stratified_blocks(positive, 80, seed=4)
    for (held, target), estimate in zip(
        TARGETS, points_on_curve(positive, score, n_resamples=80, seed=4), strict=True
    ):
        values = []
        for column in block.astype(int).T:
            images = np.repeat(np.arange(60), column)
            false, true, _ = roc_curve(positive[images], score[images], drop_intermediate=False)
            have, read = (1 - false, true) if held == "specificity" else (true, 1 - false)
            values.append(read[have >= target - 1e-9].max())
        low, high = np.quantile(values, [0.025, 0.975])
        assert (estimate.low, estimate.high) == pytest.approx((low, high))
        assert estimate.low <= estimate.value <= estimate.high


def test_two_classes_have_the_points_of_class_one():
    val, test = split(80, 2), split(120, 2, seed=1)
    points = operating_points.operating_points(val, test, n_resamples=50)
    assert [(p.label, p.held, p.target) for p in points] == [(1, *t) for t in TARGETS]
    for point in points:
        threshold = choose_threshold(
            val[0] == 1, val[1][:, 1], held=point.held, target=point.target
        )
        assert point.threshold == threshold
        assert point.sensitivity.n == 60 and point.specificity.n == 60
        called = test[1][:, 1] >= threshold
        assert point.sensitivity.value == pytest.approx(called[test[0] == 1].mean())
        assert (
            point.read == {"specificity": "sensitivity", "sensitivity": "specificity"}[point.held]
        )


def test_many_classes_have_the_points_of_each_against_the_rest():
    val, test = split(90, 3), split(90, 3, seed=1)
    kept = test[0] != 2
    test = test[0][kept], test[1][kept]
    points = operating_points.operating_points(val, test, n_resamples=10)
    assert [p.label for p in points] == [0] * 4 + [1] * 4 + [2] * 4
    first = points_on_curve(test[0] == 0, test[1][:, 0], n_resamples=10)[0]
    assert points[0].on_curve == first
    # Class 2 has no test image: its threshold stands, its sensitivity is undefined.
    assert points[-1].threshold is not None and points[-1].sensitivity.value is None
    assert points[-1].specificity.n == 60 and points[-1].on_curve.value is None


def test_predictions_of_two_runs_do_not_mix():
    with pytest.raises(ValueError, match="3 classes, those of the test split 2"):
        operating_points.operating_points(split(30, 3), split(30, 2))


@pytest.mark.parametrize(("held", "target"), [("accuracy", 0.9), ("sensitivity", 95)])
def test_a_wrong_target_is_named(held, target):
    with pytest.raises(ValueError, match=f"expected a target .* got '{held}', {target}"):
        choose_threshold(*sample(20), held=held, target=target)


@pytest.mark.parametrize(
    ("positive", "score", "message"),
    [
        (np.ones(0, bool), np.ones(0), "There is no image"),
        (np.array([True, False]), np.array([0.1, np.nan]), "score is NaN"),
        (np.array([True, False]), np.array([0.1]), "and a score each"),
        (np.array([1, 0]), np.array([0.1, 0.2]), "positive as bool"),
    ],
)
def test_bad_scores_are_refused_with_a_reason(positive, score, message):
    for call in (
        lambda: choose_threshold(positive, score, held="sensitivity", target=0.9),
        lambda: at_threshold(positive, score, 0.5),
        lambda: points_on_curve(positive, score),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    with pytest.raises(ValueError, match="threshold is NaN"):
        at_threshold(np.array([True, False]), np.array([0.1, 0.2]), np.nan)
