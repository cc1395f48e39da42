"""The paired difference of two protocols over images and seeds."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from helpers.metrics.paired import (
    accuracy_difference,
    auc_difference,
    delong_test,
    majority_mcnemar,
    mean_auc,
)


def fabricate(n_seeds=5, n=60, *, num_classes=2, seed=0, signal=1.0, scatter=0.5):
    """Probabilities of one protocol whose seeds share most of their mistakes."""
    y_true = np.arange(n) % num_classes
    shared = np.random.default_rng(99).normal(size=(n, num_classes))
    rng = np.random.default_rng(seed)
    logits = signal * np.eye(num_classes)[y_true] + shared
    logits = logits + scatter * rng.normal(size=(n_seeds, n, num_classes))
    exponentials = np.exp(logits)
    return y_true, exponentials / exponentials.sum(axis=2, keepdims=True)


def test_with_one_seed_it_is_delongs_test():
    y_true, a = fabricate(1)
    _, b = fabricate(1, seed=1, signal=0.5)
    ours, delong = auc_difference(y_true, a, b), delong_test(y_true, a[0, :, 1], b[0, :, 1])
    assert (ours.a, ours.b) == pytest.approx((delong.auc_a, delong.auc_b))
    assert (ours.value, ours.low, ours.high) == pytest.approx(
        (delong.difference, delong.low, delong.high)
    )
    assert ours.p_value == pytest.approx(delong.p_value)
    assert (ours.sd, ours.n_seeds, ours.n_images) == (None, 1, 60)


def test_equal_seeds_add_nothing_to_delongs_test():
    y_true, a = fabricate(1)
    _, b = fabricate(1, seed=1, signal=0.5)
    delong = delong_test(y_true, a[0, :, 1], b[0, :, 1])
    ours = auc_difference(y_true, np.repeat(a, 5, axis=0), np.repeat(b, 5, axis=0))
    assert (ours.low, ours.p_value) == pytest.approx((delong.low, delong.p_value))
    assert ours.sd == pytest.approx(0, abs=1e-12)


def test_both_parts_against_a_direct_computation():
    y_true, a = fabricate()
    _, b = fabricate(seed=1, signal=0.4)
    ours = auc_difference(y_true, a, b)
    by_seed = [
        roc_auc_score(y_true, p[:, 1]) - roc_auc_score(y_true, q[:, 1])
        for p, q in zip(a, b, strict=True)
    ]
    assert ours.value == pytest.approx(np.mean(by_seed))
    assert ours.sd == pytest.approx(np.std(by_seed, ddof=1))
    # The images: covariances of all ten runs' components, with weights +-1/5 (DeLong 1988).
    kernels = [
        (p[y_true == 1, 1][:, None] > p[y_true == 0, 1][None]).astype(float) for p in (*a, *b)
    ]
    weights = np.repeat([0.2, -0.2], 5)
    by_positive = np.cov([kernel.mean(axis=1) for kernel in kernels]) / 30
    by_negative = np.cov([kernel.mean(axis=0) for kernel in kernels]) / 30
    by_images = weights @ (by_positive + by_negative) @ weights
    by_seeds = np.var(by_seed, ddof=1) / 5
    error = np.sqrt(by_images + by_seeds)
    df = (by_images + by_seeds) ** 2 / (by_seeds**2 / 4)
    assert ours.p_value == pytest.approx(2 * stats.t.sf(abs(ours.value) / error, df))
    assert ours.high - ours.value == pytest.approx(stats.t.ppf(0.975, df) * error)


def test_without_variation_over_images_it_is_students_paired_test():
    """B errs on all images with two of five seeds, so that all images are alike on average."""
    y_true = np.arange(8) % 2
    a = np.repeat(np.eye(2)[y_true][None], 5, axis=0)
    b = a.copy()
    b[:2] = 1 - b[:2]
    ours = accuracy_difference(y_true, a, b)
    student = stats.ttest_rel([1] * 5, [0, 0, 1, 1, 1])
    assert ours.value == pytest.approx(0.4)
    assert ours.p_value == pytest.approx(student.pvalue)
    interval = student.confidence_interval(0.95)
    assert (ours.low, ours.high) == pytest.approx((interval.low, interval.high))


@pytest.mark.parametrize("compare", [auc_difference, accuracy_difference])
@pytest.mark.parametrize("num_classes", [2, 3])
def test_swapping_the_sides_turns_the_sign(compare, num_classes):
    y_true, a = fabricate(num_classes=num_classes)
    _, b = fabricate(num_classes=num_classes, seed=1, signal=0.3)
    there, back = compare(y_true, a, b), compare(y_true, b, a)
    assert there.value > 0
    assert back.value == pytest.approx(-there.value)
    assert (back.low, back.high) == pytest.approx((-there.high, -there.low))
    assert back.p_value == pytest.approx(there.p_value)


@pytest.mark.parametrize("compare", [auc_difference, accuracy_difference])
def test_a_protocol_does_not_differ_from_itself(compare):
    y_true, a = fabricate()
    ours = compare(y_true, a, a)
    assert (ours.value, ours.low, ours.high, ours.p_value, ours.sd) == (0, 0, 0, 1, 0)
    assert majority_mcnemar(y_true, a, a).p_value == 1


def test_certainty_without_variance_is_not_claimed():
    y_true = np.arange(10) % 2
    perfect = np.repeat(np.eye(2)[y_true][None], 5, axis=0)
    ours = auc_difference(y_true, perfect, 1 - perfect)
    assert ours.value == 1
    assert (ours.low, ours.high, ours.p_value) == (None, None, None)


def test_several_classes_are_the_mean_of_one_against_the_rest():
    y_true, a = fabricate(num_classes=4)
    _, b = fabricate(num_classes=4, seed=1, signal=0.3)
    ours = auc_difference(y_true, a, b)
    macro = [
        np.mean([roc_auc_score(y_true, p, multi_class="ovr", average="macro") for p in side])
        for side in (a, b)
    ]
    assert (ours.a, ours.b) == pytest.approx(tuple(macro))


def test_two_classes_given_as_a_mean_over_both_have_the_same_interval():
    """A third class that no image has turns the binary problem into a mean over two."""
    y_true, a = fabricate()
    _, b = fabricate(seed=1, signal=0.3)
    padded = [np.concatenate([p, np.zeros((*p.shape[:2], 1))], axis=2) for p in (a, b)]
    two, three = auc_difference(y_true, a, b), auc_difference(y_true, *padded)
    assert (two.value, two.low, two.high) == pytest.approx((three.value, three.low, three.high))


def test_accuracy_part_of_the_images_and_majority_decision():
    y_true, a = fabricate(3, 30)
    _, b = fabricate(3, 30, seed=1, signal=0.2)
    ours = accuracy_difference(y_true, a, b)
    right = [(p.argmax(axis=2) == y_true).astype(float) for p in (a, b)]
    by_seed = right[0].mean(axis=1) - right[1].mean(axis=1)
    by_image = (right[0] - right[1]).mean(axis=0)
    error2 = by_image.var(ddof=1) / 30 + by_seed.var(ddof=1) / 3
    df = error2**2 / ((by_seed.var(ddof=1) / 3) ** 2 / 2)
    assert ours.value == pytest.approx(by_seed.mean())
    assert ours.high - ours.value == pytest.approx(stats.t.ppf(0.975, df) * error2**0.5)
    mcnemar = majority_mcnemar(y_true, a, b)
    decided = [p.mean(axis=0)[:, 1] > 0.5 for p in (a, b)]
    only_a = ((decided[0] == y_true) & (decided[1] != y_true)).sum()
    assert mcnemar.only_a == only_a


def test_mean_auc_is_the_difference_to_a_coin():
    y_true, a = fabricate(signal=0.3)
    ours, coin = mean_auc(y_true, a), auc_difference(y_true, a, np.full_like(a, 0.5))
    assert (ours.mean - 0.5, ours.sd) == pytest.approx((coin.value, coin.sd))
    assert (ours.low - 0.5, ours.high - 0.5) == pytest.approx((coin.low, coin.high))
    _, certain = fabricate(signal=9)
    assert mean_auc(y_true, certain).high == 1


def test_the_level_is_held_where_seeds_and_images_scatter():
    """No difference in truth: at most about 5 % of the tests say otherwise."""
    rng = np.random.default_rng(0)
    y_true, trials, rejected = np.arange(60) % 2, 300, 0
    for _ in range(trials):
        image = rng.normal(size=(2, 1, 60))  # what each protocol makes of each image
        quality = 1 + rng.normal(scale=0.4, size=(2, 5, 1))  # how well each seed turns out
        logits = quality * y_true + image + 0.5 * rng.normal(size=(2, 5, 60))
        positive = 1 / (1 + np.exp(-logits))
        a, b = np.stack([1 - positive, positive], axis=3)
        rejected += auc_difference(y_true, a, b).p_value < 0.05
    assert 0 < rejected / trials < 0.075


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda y, a, b: (y, a, b[:4]), r"\(5, 60, 2\) and \(4, 60, 2\)"),
        (lambda y, a, b: (y, a[0], b[0]), r"\(seeds, images, classes\)"),
        (lambda y, a, b: (y[:50], a, b), "50 labels for 60 probabilities"),
        (lambda y, a, b: (y, a * 2, b), "rows summing to 1"),
        (lambda y, a, b: (y * 0, a, b), "two classes"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(change, message):
    y_true, a = fabricate()
    with pytest.raises(ValueError, match=message):
        auc_difference(*change(y_true, a, a))
