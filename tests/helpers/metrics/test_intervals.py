"""Intervals of means and differences over images and seeds."""

import json
import math
from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import roc_auc_score

from helpers.metrics.auc import structural_components
from helpers.metrics.intervals import (
    accuracy_scores,
    auc_scores,
    contrast_scores,
    image_scores,
    less,
    mean,
    mean_here,
    one_more_run,
    population,
    power,
    ranking_scores,
)
from helpers.metrics.scores import auc_interval, proportion
from helpers.metrics.variance import _image_covariances, welch_critical


def fabricate(draws=5, n=60, *, num_classes=2, seed=0, signal=1.0, scatter=0.5):
    """Probabilities of one system whose seeds share most of their mistakes."""
    y_true = np.arange(n) % num_classes
    shared = np.random.default_rng(99).normal(size=(n, num_classes))
    rng = np.random.default_rng(seed)
    logits = signal * np.eye(num_classes)[y_true] + shared
    logits = logits + scatter * rng.normal(size=(draws, n, num_classes))
    exponentials = np.exp(logits)
    return y_true, exponentials / exponentials.sum(axis=2, keepdims=True)


def ends(estimate):
    return estimate.low, estimate.high


# --- the parts of the variance -------------------------------------------------------------------


def test_an_accuracys_variance_is_that_of_the_two_way_analysis():
    """MS by images, by seeds and the rest, as in any table of analysis of variance."""
    right = np.random.default_rng(0).random((4, 50)) < np.linspace(0.3, 1, 50)
    x = right.astype(float)
    draws, n = x.shape
    by_image, by_seed = x.mean(axis=0), x.mean(axis=1)
    ms_images = draws * by_image.var(ddof=1)
    ms_seeds = n * by_seed.var(ddof=1)
    rest = x - by_image - by_seed[:, None] + x.mean()
    ms_rest = (rest**2).sum() / ((draws - 1) * (n - 1))
    between, within = _image_covariances(image_scores(right))
    assert between == pytest.approx((ms_images - ms_rest) / (draws * n))
    assert within == pytest.approx(x.var(axis=1, ddof=1).mean() / n)
    ours = mean(image_scores(x, bounded=False))
    assert ours.se**2 == pytest.approx((ms_images + ms_seeds - ms_rest) / (draws * n))


@pytest.mark.parametrize("num_classes", [2, 4])
def test_an_aucs_covariances_are_delongs(num_classes):
    y_true, p = fabricate(3, num_classes=num_classes)
    scores = auc_scores(y_true, p)
    macro = [
        roc_auc_score(y_true, q[:, 1] if num_classes == 2 else q, multi_class="ovr") for q in p
    ]
    assert scores.values == pytest.approx(macro)
    columns = [1] if num_classes == 2 else range(num_classes)
    # Per image its sum over the problems, then the covariance of the draws class by class.
    share = np.zeros(p.shape[:2])
    for k in columns:
        positive = y_true == k
        sizes = np.where(positive, positive.sum(), (~positive).sum())
        share += structural_components(positive, p[:, :, k]) / sizes / len(columns)
    matrix = sum((y_true == k).sum() * np.cov(share[:, y_true == k]) for k in range(num_classes))
    between, within = _image_covariances(scores)
    assert within == pytest.approx(np.trace(matrix) / 3)
    assert between == pytest.approx((matrix.sum() - np.trace(matrix)) / 6)


def test_no_more_seeds_take_the_images_part_away():
    y_true, p = fabricate(40)
    few, many = (mean(accuracy_scores(y_true, p[:s])) for s in (5, 40))
    alone = mean(accuracy_scores(y_true, p[:1]))
    assert many.se < few.se < 1.2 * alone.se
    assert many.se > 0.5 * alone.se


def test_the_critical_value_is_welchs():
    """First terms of Welch's series (1947); Student's value where all is estimated."""
    z, share = stats.norm.ppf(0.975), np.linspace(0, 1, 21)
    series = z * (1 + (1 + z**2) * share**2 / (4 * 200))
    assert welch_critical(share, 200.0) == pytest.approx(series, abs=2e-4)
    for df in (1, 2, 4.5, 9):
        found = welch_critical(share, df)
        assert found[[0, -1]] == pytest.approx([z, stats.t.ppf(0.975, df)])
        assert (np.diff(found) >= 0).all()


def test_degrees_of_freedom_fit_the_interval_and_the_p_value():
    """Wherever p is 5 % the interval ends at zero, whatever part the seeds have."""
    rng = np.random.default_rng(5)
    for part in (0, 0.02, 0.1, 1):
        scores = rng.standard_normal((1, 60)) + part * rng.standard_normal((4, 1))
        scores += 0.1 * rng.standard_normal((4, 60))
        found = mean(image_scores(scores, bounded=False))
        assert found.df is None or found.df >= 3 - 1e-6
        at_the_end = image_scores(scores - found.low, bounded=False)
        assert mean(at_the_end).p == pytest.approx(0.05)


# --- one system ----------------------------------------------------------------------------------


def test_with_one_seed_it_is_the_interval_of_the_images():
    y_true, p = fabricate(1, n=400)
    accuracy, auc = mean(accuracy_scores(y_true, p)), mean(auc_scores(y_true, p))
    k = round(accuracy.value * 400)
    assert ends(accuracy) == pytest.approx(ends(proportion(k, 400)), abs=2e-3)
    assert ends(auc) == pytest.approx(ends(auc_interval(y_true == 1, p[0, :, 1])), abs=2e-3)
    for estimate in (accuracy, auc):
        assert estimate.method.startswith("n = 1: images alone") and estimate.df is None
    assert ends(mean_here(accuracy_scores(y_true, p))) == (None, None)
    assert "n = 1" in one_more_run(auc_scores(y_true, p)).method


def test_no_image_wrong_is_wilson():
    right = np.ones((5, 80))
    ours = mean(image_scores(right))
    assert ends(ours) == pytest.approx(ends(proportion(80, 80)))
    wrong = mean(image_scores(1 - right))
    assert ends(wrong) == pytest.approx((1 - ours.high, 1 - ours.low))
    y_true = np.arange(80) % 2
    perfect = np.repeat(np.eye(2)[y_true][None], 5, axis=0)
    auc = mean(auc_scores(y_true, perfect))
    assert 0.9 < auc.low < 0.99 and auc.high == 1 and "Wilson" in auc.method


def test_equal_seeds_are_one_seed():
    """Wilson's interval, near enough: nothing but the images varies."""
    right = np.repeat(np.random.default_rng(1).random(300) < 0.9, 5).reshape(300, 5).T
    ours = mean(image_scores(right.astype(float)))
    assert ends(ours) == pytest.approx(ends(proportion(int(right[0].sum()), 300)), abs=3e-3)
    assert ours.df is None
    here = one_more_run(image_scores(right.astype(float)))
    assert ends(here) == (None, None) and "alike" in here.method


def test_seeds_that_agree_by_chance_alone_do_not_count_as_certain():
    right = np.ones((3, 40))
    right[0, :2] = right[1, 2:4] = right[2, 4:6] = 0
    here = one_more_run(image_scores(right))
    assert here.value == pytest.approx(38 / 40)
    assert here.low < 0.93 and here.high > 0.97


def test_a_share_that_never_varies_is_certain_and_counts_are_not():
    half = mean(image_scores(np.full((3, 40), 0.5)))
    assert (half.low, half.high) == (0.5, 0.5)
    right = np.tile(np.arange(40) < 20, (3, 1)).astype(float)
    assert mean(image_scores(right)).low < 0.4


def test_on_the_same_images_it_is_students_t():
    y_true, p = fabricate(5)
    scores = accuracy_scores(y_true, p)
    interval = stats.ttest_1samp(scores.values, 0).confidence_interval(0.95)
    here, more = mean_here(scores), one_more_run(scores)
    # On the logit scale: as far from the value, there, as the slope there makes of Student's ends.
    logits = [math.log(v / (1 - v)) for v in (here.low, here.value, here.high)]
    spread = here.value * (1 - here.value)
    assert np.diff(logits) * spread == pytest.approx((interval.high - interval.low) / 2)
    odds = log_odds(scores.values, 60)
    half = stats.t.ppf(0.975, 4) * odds.std(ddof=1) * math.sqrt(1 + 1 / 5)
    assert log_odds(ends(more), 60) == pytest.approx(odds.mean() + half * np.array([-1, 1]))
    assert more.se == pytest.approx(scores.values.std(ddof=1) * math.sqrt(1 + 1 / 5))
    assert more.df == here.df == 4


def log_odds(values, n):
    """Of so many images, with half a right and half a wrong one added."""
    right = n * np.asarray(values)
    return np.log((right + 0.5) / (n - right + 0.5))


def test_one_more_run_of_an_auc_counts_its_images_in_pairs():
    """30 and 30 images: 4 / (1 / 30 + 1 / 30) = 60; a difference stays as it is."""
    y_true, p = fabricate(4)
    scores = auc_scores(y_true, p)
    more, odds = one_more_run(scores), log_odds(scores.values, 60)
    half = stats.t.ppf(0.975, 3) * odds.std(ddof=1) * math.sqrt(1 + 1 / 4)
    assert log_odds(ends(more), 60) == pytest.approx(odds.mean() + half * np.array([-1, 1]))
    apart = less(scores, auc_scores(y_true, p[::-1]))
    half = stats.t.ppf(0.975, 3) * apart.values.std(ddof=1) * math.sqrt(1 + 1 / 4)
    assert ends(one_more_run(apart)) == pytest.approx((-half, half))


def test_a_run_without_errors_leaves_room_for_one_with_some():
    right = np.ones((3, 200))
    right[0, :4] = right[1, :1] = 0
    more = one_more_run(image_scores(right))
    assert more.low < 0.9 and 0.999 < more.high <= 1


def test_a_population_of_images_is_wider_than_these_images():
    y_true, p = fabricate(10, scatter=0.1)
    scores = auc_scores(y_true, p)
    assert np.ptp(ends(mean(scores))) > np.ptp(ends(mean_here(scores)))


def test_a_measure_without_bounds_is_on_its_own_scale():
    losses = np.random.default_rng(0).exponential(2, size=(4, 100))
    ours = mean(image_scores(losses, bounded=False))
    assert ours.high - ours.value == pytest.approx(ours.value - ours.low)
    constant = mean(image_scores(np.full((3, 10), 2.5), bounded=False))
    assert (constant.value, constant.low) == (2.5, None) and "no spread" in constant.method


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 4),
    st.integers(2, 12),
    st.floats(0, 1),
    st.integers(0, 10**6),
)
def test_every_interval_of_an_accuracy_is_in_order_and_within_bounds(draws, n, p, seed):
    right = np.random.default_rng(seed).random((draws, n)) < p
    scores = image_scores(right.astype(float))
    for estimate in (mean(scores), mean_here(scores), one_more_run(scores)):
        if estimate.low is not None:
            assert 0 <= estimate.low <= estimate.value + 1e-12
            assert estimate.value - 1e-12 <= estimate.high <= 1
    # Certainty is claimed for no population.
    assert mean(scores).high - mean(scores).low > 0.01


# --- groups --------------------------------------------------------------------------------------


def test_replicas_of_a_seed_count_as_one():
    y_true, p = fabricate(4)
    once = mean(accuracy_scores(y_true, p))
    twice = mean(accuracy_scores(y_true, np.repeat(p, 2, axis=0)), groups=list("aabbccdd"))
    assert ends(twice) == pytest.approx(ends(once))
    assert twice.seeds == 4
    here = mean_here(accuracy_scores(y_true, np.repeat(p, 2, axis=0)), groups=list("aabbccdd"))
    assert ends(here) == pytest.approx(ends(mean_here(accuracy_scores(y_true, p))))


def test_one_more_run_holds_what_replicas_of_a_seed_differ_by():
    values = np.array([0.80, 0.84, 0.86, 0.90, 0.78, 0.82])
    right = (np.arange(100) < 100 * values[:, None]).astype(float)
    ours = one_more_run(image_scores(right), groups=[1, 1, 2, 2, 3, 3])
    groups = values.reshape(3, 2)
    between = groups.mean(axis=1).var(ddof=1)
    within = groups.var(axis=1, ddof=1).mean()
    # A run's own variance is that of seeds, between - within / 2, and that of replicas.
    assert ours.se**2 == pytest.approx(between - within / 2 + within + between / 3)
    odds = log_odds(groups, 100)
    between, within = odds.mean(axis=1).var(ddof=1), odds.var(axis=1, ddof=1).mean()
    half = stats.t.ppf(0.975, 2) * math.sqrt(between * (1 + 1 / 3) + within / 2)
    assert log_odds(ends(ours), 100) == pytest.approx(odds.mean() + half * np.array([-1, 1]))
    with pytest.raises(ValueError, match="2 labels for 6 draws"):
        mean(image_scores(right), groups=[1, 2])


# --- differences ---------------------------------------------------------------------------------


def kernel_variance(y_true, *scores):
    """Variance of the difference of two AUCs from the full kernel matrices (DeLong 1988)."""
    kernels = []
    for score in scores:
        gap = score[y_true == 1][:, None] - score[y_true == 0][None]
        kernels.append((gap > 0) + 0.5 * (gap == 0))
    difference = kernels[0] - kernels[1]
    m, n = difference.shape
    return difference.mean(axis=1).var(ddof=1) / m + difference.mean(axis=0).var(ddof=1) / n


def two_scores(n=80, *, seed=0, decimals=1):
    rng = np.random.default_rng(seed)
    y_true = (rng.random(n) < 0.4).astype(int)
    first = y_true + rng.normal(size=n)
    second = 0.5 * first + 0.5 * y_true * rng.random(n) + rng.normal(size=n)
    return y_true, first.round(decimals), second.round(decimals)  # rounding makes ties


def one_run_each(y_true, first, second):
    """The difference of the AUCs of two systems with one run each."""
    return mean(less(*(ranking_scores(y_true, {1: score[None]}) for score in (first, second))))


@pytest.mark.parametrize("seed", range(4))
def test_with_one_seed_a_difference_is_delongs_test(seed):
    y_true, first, second = two_scores(seed=seed)
    ours = one_run_each(y_true, first, second)
    aucs = [roc_auc_score(y_true, score) for score in (first, second)]
    assert ours.value == pytest.approx(aucs[0] - aucs[1])
    error = np.sqrt(kernel_variance(y_true, first, second))
    assert ours.p == pytest.approx(2 * stats.norm.sf(abs(ours.value) / error))
    half = stats.norm.ppf(0.975) * error
    assert ends(ours) == pytest.approx((ours.value - half, ours.value + half))
    # Ranks alone count.
    assert one_run_each(y_true, np.exp(first), second).p == pytest.approx(ours.p)


def test_delongs_test_holds_its_level_under_the_null():
    rng = np.random.default_rng(0)
    y_true = np.repeat([0, 1], 40)
    rejected = 0
    for _ in range(600):
        shared = rng.normal(size=80) + y_true
        rejected += one_run_each(y_true, *(shared + 0.7 * rng.normal(size=(2, 80)))).p < 0.05
    assert 0.03 < rejected / 600 < 0.075


def right_of_two(*, signal=0.4):
    """Whether each image is right, float (5, n), of two systems that were trained five times."""
    y_true, a = fabricate(5)
    _, b = fabricate(5, seed=1, signal=signal)
    return [(p.argmax(axis=2) == y_true).astype(float) for p in (a, b)]


@pytest.mark.parametrize("estimate", [mean, mean_here, one_more_run])
def test_paired_seeds_are_one_system_of_differences(estimate):
    """Exactly where a score implies no variance; accuracies' scatter is weighed in `mean` alone."""
    right = right_of_two()
    ours = estimate(less(*(image_scores(side) for side in right)))
    alone = estimate(image_scores(right[0] - right[1], bounded=False))
    near = 2e-3 if estimate is mean else 1e-12
    assert (ours.value, *ends(ours)) == pytest.approx((alone.value, *ends(alone)), abs=near)
    halves = [image_scores(side / 2) for side in right]
    assert ends(estimate(less(*halves))) == pytest.approx(
        [end / 2 for end in ends(alone)], abs=1e-12
    )


def test_a_difference_has_the_scatter_of_the_angles():
    """By hand: deviations of either side times its slope, and the ratio of both differences."""
    right = right_of_two(signal=0.7)
    n = right[0].shape[1]
    shifted = [(n * side.mean() + 0.375) / (n + 0.75) for side in right]
    angles = [2 * math.asin(math.sqrt(p)) for p in shifted]
    slopes = [n / (n + 0.75) / math.sqrt(p * (1 - p)) for p in shifted]
    gap = right[0].mean() - right[1].mean()
    ratio = (angles[0] - angles[1]) / gap
    scores = (slopes[0] * right[0] - slopes[1] * right[1]) / ratio
    by_hand = mean(image_scores(scores - scores.mean() + gap, bounded=False))
    ours = mean(less(*(image_scores(side) for side in right)))
    assert (ours.value, *ends(ours), ours.p) == pytest.approx(
        (gap, *ends(by_hand), by_hand.p), rel=1e-9
    )


def test_two_systems_near_one_are_told_apart_by_those_that_one_gets_wrong():
    """Twelve of 150 images against none, all seeds alike: plainly another, and seen as such."""
    first = np.ones((3, 150))
    second = first.copy()
    second[:, :12] = 0
    found = mean(less(image_scores(first), image_scores(second)))
    assert found.p < 0.001 and found.low > 0
    assert mean(less(image_scores(first), image_scores(first))).p == 1


@pytest.mark.parametrize("estimate", [mean, mean_here, one_more_run])
def test_swapping_the_sides_turns_the_sign(estimate):
    y_true, a = fabricate(num_classes=3)
    _, b = fabricate(num_classes=3, seed=1, signal=0.3)
    a, b = auc_scores(y_true, a), auc_scores(y_true, b)
    there, back = estimate(less(a, b)), estimate(less(b, a))
    assert ends(back) == pytest.approx((-there.high, -there.low))
    assert back.p == (None if estimate is one_more_run else pytest.approx(there.p))


def test_on_the_same_images_a_difference_is_students_test():
    y_true, a = fabricate(5)
    _, b = fabricate(5, seed=1, signal=0.3)
    a, b = accuracy_scores(y_true, a), accuracy_scores(y_true, b)
    students = stats.ttest_rel(a.values, b.values)
    ours = mean_here(less(a, b))
    assert ours.p == pytest.approx(students.pvalue)
    assert ends(ours) == pytest.approx(tuple(students.confidence_interval(0.95)))


def test_certainty_without_variance_is_not_claimed():
    y_true = np.arange(10) % 2
    perfect = np.repeat(np.eye(2)[y_true][None], 5, axis=0)
    a, b = (auc_scores(y_true, p) for p in (perfect, 1 - perfect))
    apart, same = mean(less(a, b)), mean(less(a, a))
    assert (apart.value, apart.low, apart.p) == (1, None, None)
    assert (same.value, same.low, same.p) == (0, None, 1)
    assert "no spread" in same.method


def crossed(shape=(5, 60), *, images=0.1, seeds=0.05, rest=0.1, mean=0.5, seed=0):
    """Scores with an effect of each image and of each seed."""
    *replicates, draws, n = shape
    rng = np.random.default_rng(seed)
    return (
        mean
        + images * rng.normal(size=(*replicates, 1, n))
        + seeds * rng.normal(size=(*replicates, draws, 1))
        + rest * rng.normal(size=shape)
    )


def contrast(a, b):
    """A's images less B's, under the same seeds."""
    first = np.arange(a.shape[-1] + b.shape[-1]) < a.shape[-1]
    return contrast_scores(np.concatenate([a, b], axis=-1), first)


def test_with_one_seed_a_contrast_has_the_variance_of_both_sets_of_images():
    a, b = crossed((1, 60)), crossed((1, 40), seed=1, mean=0.45, images=0.2)
    ours = mean(contrast(a, b))
    error = np.sqrt(a.var(ddof=1) / 60 + b.var(ddof=1) / 40)
    assert ours.value == pytest.approx(a.mean() - b.mean())
    assert ours.se == pytest.approx(error)
    assert ours.p == pytest.approx(2 * stats.norm.sf(abs(ours.value) / error))


def test_what_a_seed_adds_to_both_sets_drops_out_of_a_contrast():
    a, b = crossed((5, 60), seeds=0), crossed((5, 40), seed=1, seeds=0)
    tilt = np.array([-0.1, -0.05, 0, 0.05, 0.1])[:, None]
    even, tilted = mean(contrast(a, b)), mean(contrast(a + tilt, b))
    assert tilted.value == pytest.approx(even.value)
    assert tilted.high - tilted.low > 1.3 * (even.high - even.low)
    assert mean(contrast(a + tilt, b + tilt)).low == pytest.approx(even.low)


@pytest.mark.parametrize(("images", "seeds"), [(0.1, 0.03), (0.1, 0.0), (0.02, 0.05)])
def test_a_contrast_errs_as_often_as_it_says(images, seeds):
    """New seeds and new images each time, also where one of the two hardly scatters."""
    a = crossed((2000, 5, 60), images=images, seeds=seeds, rest=0.05)
    b = crossed((2000, 5, 30), images=images, seeds=seeds, rest=0.05, seed=1)
    *_, p = population(contrast(a, b))
    assert 0.03 < np.mean(p < 0.05) < 0.07


def test_other_images_are_refused():
    y_true, p = fabricate()
    with pytest.raises(ValueError, match="same images"):
        less(auc_scores(y_true, p), auc_scores(y_true[::-1].copy(), p))
    with pytest.raises(ValueError, match="same images"):
        less(image_scores(np.eye(3)), image_scores(np.eye(4)))
    with pytest.raises(ValueError, match="as many draws of both sides, got 5 and 3"):
        less(auc_scores(y_true, p), auc_scores(y_true, p[:3]))


# --- power ---------------------------------------------------------------------------------------


def test_power_is_the_level_without_an_effect_and_grows_with_it():
    found = [power(effect, se=0.01, df=8.0) for effect in (0, 0.01, 0.03, 0.1)]
    assert found[0] == pytest.approx(0.05)
    assert found == sorted(found) and found[-1] > 0.99
    assert power(-0.03, se=0.01, df=8.0) == pytest.approx(found[2])
    # Known variance: a normal test.
    z = stats.norm.ppf(0.975)
    assert power(0.02, se=0.01, df=None) == pytest.approx(
        stats.norm.sf(z - 2) + stats.norm.cdf(-z - 2), abs=1e-6
    )


def test_power_is_that_of_the_noncentral_t_and_has_a_value_far_out():
    for se, df in product((0.005, 0.01, 0.03), (2.0, 4.0, 8.0, 30.5)):
        critical, shift = stats.t.ppf(0.975, df), 0.03 / se
        tails = stats.nct.sf(critical, df, shift) + stats.nct.cdf(-critical, df, shift)
        assert power(0.03, se=se, df=df) == pytest.approx(tails, abs=1e-7)
    for se in (0.0001, 0.001, 0.002, 0.003):  # where scipy's answers nan, in some processes
        assert 0.99999 < power(0.03, se=se, df=4.0) <= 1 + 1e-9


@pytest.mark.parametrize("bad", [{"se": 0.0, "df": 3.0}, {"se": 0.1, "df": 0.0}])
def test_power_needs_a_variance(bad):
    with pytest.raises(ValueError, match="se and df"):
        power(0.1, **bad)


# --- results and messages ------------------------------------------------------------------------


def test_an_estimate_is_ready_for_json_and_frames():
    y_true, p = fabricate()
    a, b = accuracy_scores(y_true, p), accuracy_scores(y_true, p[::-1])
    rows = [mean(less(a, b)), mean(a), mean_here(a), one_more_run(a)]
    rows = [row.to_dict() for row in rows]
    assert json.loads(json.dumps(rows)) == rows
    assert list(pd.DataFrame(rows)) == [
        "value", "low", "high", "n", "method", "seeds", "p", "se", "df",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: accuracy_scores(np.array([0, 1]), np.eye(2)),
            r"expected \(draws, images, classes",
        ),
        (lambda: image_scores(np.ones((3, 1))), r"shape \(3, 1\); expected \(draws, images\)"),
        (lambda: image_scores(np.full((2, 3), np.nan)), "NaN or infinity"),
        (lambda: contrast_scores(np.ones((2, 3)), [1, 1, 0]), "contrast of 2 and 1 images"),
        (lambda: contrast_scores(np.ones((2, 3)), [1, 0]), "scores for 3"),
        (lambda: image_scores(np.full((2, 3), 1.5)), r"expected 0 \.\. 1, or bounded=False"),
        (
            lambda: auc_scores(np.array([0, 0, 1]), np.full((1, 3, 2), 0.5)),
            "two classes with two test images each",
        ),
        (
            lambda: ranking_scores(np.array([0, 0, 1, 1]), {2: np.ones((1, 4))}),
            r"classes \[2\]; expected one or more of \[0, 1\]",
        ),
        (lambda: ranking_scores(np.array([0, 0, 1, 1]), {}), r"the classes \[\]"),
        (
            lambda: ranking_scores(
                np.array([0, 0, 1, 1]), {1: np.array([[0.1, np.nan, 0.2, 0.3]])}
            ),
            "score is NaN",
        ),
        (lambda: mean(image_scores(np.eye(3)), groups=[1, np.nan, np.nan]), "None or NaN"),
        (lambda: one_more_run(image_scores(np.eye(3)), groups=["a", None, "a"]), "None or NaN"),
        (lambda: mean(image_scores(np.eye(3)), groups=[]), "0 labels for 3 draws"),
        (lambda: mean(image_scores(np.eye(3)), floor=(math.nan, 4)), "floor is .nan, 4."),
        (lambda: mean(image_scores(np.eye(3)), floor=(0.1, 0)), "degrees of freedom above 0"),
        (lambda: image_scores(np.ones((0, 5))), r"shape \(0, 5\)"),
        (lambda: image_scores(np.ones((2, 0))), r"shape \(2, 0\)"),
        (lambda: power(math.nan, se=0.1, df=3.0), "finite effect"),
    ],
)
def test_bad_input_says_what_is_wrong(call, message):
    with pytest.raises(ValueError, match=message):
        call()
