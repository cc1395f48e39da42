from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import roc_auc_score
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from helpers.metrics.paired import delong_test, holm, mcnemar_test
from helpers.metrics.power import auc_error, best_mcnemar, detectable_gain, newcombe, power
from helpers.metrics.scores import proportion


def slow_difference_variance(y_true, y_score_a, y_score_b):
    """Variance of AUC a - AUC b from the full kernel matrix and covariances (DeLong 1988)."""
    kernels = []
    for score in (y_score_a, y_score_b):
        gap = score[y_true == 1][:, None] - score[y_true == 0][None]
        kernels.append((gap > 0) + 0.5 * (gap == 0))
    by_positive = np.cov([kernel.mean(axis=1) for kernel in kernels])
    by_negative = np.cov([kernel.mean(axis=0) for kernel in kernels])
    m, n = kernels[0].shape
    covariance = by_positive / m + by_negative / n
    return covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]


def two_scores(n=80, *, seed=0, decimals=1):
    rng = np.random.default_rng(seed)
    y_true = (rng.random(n) < 0.4).astype(int)
    first = y_true + rng.normal(size=n)
    second = 0.5 * first + 0.5 * y_true * rng.random(n) + rng.normal(size=n)
    return y_true, first.round(decimals), second.round(decimals)  # rounding makes ties


@pytest.mark.parametrize("seed", range(4))
def test_delong_equals_the_slow_reference(seed):
    y_true, first, second = two_scores(seed=seed)
    result = delong_test(y_true, first, second)
    assert result.auc_a == pytest.approx(roc_auc_score(y_true, first))
    assert result.auc_b == pytest.approx(roc_auc_score(y_true, second))
    error = np.sqrt(slow_difference_variance(y_true, first, second))
    assert result.p_value == pytest.approx(2 * stats.norm.sf(abs(result.difference) / error))
    half_width = stats.norm.ppf(0.975) * error
    assert result.high - result.low == pytest.approx(2 * half_width)
    assert result.low + result.high == pytest.approx(2 * result.difference)


def test_delong_is_antisymmetric_and_ignores_monotone_changes_of_a_score():
    y_true, first, second = two_scores()
    result = delong_test(y_true, first, second)
    swapped = delong_test(y_true, second, first)
    assert swapped.difference == pytest.approx(-result.difference)
    assert swapped.p_value == pytest.approx(result.p_value)
    assert delong_test(y_true, np.exp(first), second).p_value == pytest.approx(result.p_value)


def test_delong_holds_its_level_under_the_null():
    rng = np.random.default_rng(0)
    rejected = 0
    for _ in range(600):
        y_true = np.repeat([0, 1], 40)
        shared = rng.normal(size=80) + y_true
        scores = shared + 0.7 * rng.normal(size=(2, 80))
        rejected += delong_test(y_true, *scores).p_value < 0.05
    assert 0.03 < rejected / 600 < 0.075


def test_delong_without_variance():
    y_true = np.array([0, 0, 1, 1])
    score = np.array([0.1, 0.2, 0.8, 0.9])
    same = delong_test(y_true, score, 2 * score)
    assert (same.difference, same.p_value) == (0, 1)
    opposite = delong_test(y_true, score, -score)
    assert opposite.difference == 1
    assert opposite.p_value is None and opposite.low is None


@pytest.mark.parametrize(
    ("y_true", "first", "second", "message"),
    [
        ([0, 1, 1], [0.1, 0.2], [0.1, 0.2, 0.3], "paired"),
        ([0, 2, 2, 0], [1, 2, 3, 4], [1, 2, 3, 4], "0 and 1 only"),
        ([0, 0, 1, 1], [1, 2, 3, np.nan], [1, 2, 3, 4], "NaN"),
        ([0, 0, 1], [1, 2, 3], [1, 2, 3], "two images of each class, got 1 of class 1"),
    ],
)
def test_delong_says_what_is_wrong(y_true, first, second, message):
    with pytest.raises(ValueError, match=message):
        delong_test(np.array(y_true), np.array(first), np.array(second))


def test_mcnemar_counts_the_images_where_one_alone_is_right():
    first = np.array([True] * 30 + [False] * 3 + [True] * 12)
    second = np.array([True] * 30 + [True] * 3 + [False] * 12)
    result = mcnemar_test(first, second)
    assert (result.only_a, result.only_b, result.n) == (12, 3, 45)
    assert result.difference == pytest.approx(first.mean() - second.mean())
    # Both tails of a fair coin: 2 P(X <= 3), X ~ Binomial(15, 1/2).
    assert result.p_value == pytest.approx(2 * stats.binom.cdf(3, 15, 0.5))


def test_mcnemar_of_equal_classifiers_is_one():
    correct = np.array([True, False, True])
    assert mcnemar_test(correct, correct).p_value == 1


def test_mcnemar_says_what_is_wrong():
    with pytest.raises(ValueError, match="as bool"):
        mcnemar_test(np.array([1, 0]), np.array([1, 1]))
    with pytest.raises(ValueError, match="paired"):
        mcnemar_test(np.array([True]), np.array([True, False]))


def test_holm_on_a_worked_example():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


p_value_lists = st.lists(st.floats(0, 1), min_size=1, max_size=12)


@given(p_value_lists, st.floats(0.001, 0.5))
def test_holm_rejects_what_the_step_down_procedure_rejects(p_values, level):
    rejected = np.zeros(len(p_values), bool)
    for step, index in enumerate(np.argsort(p_values, kind="stable")):
        # The same product as in the adjustment, so that rounding cannot decide.
        if p_values[index] * (len(p_values) - step) > level:
            break
        rejected[index] = True
    assert ((holm(p_values) <= level) == rejected).all()


@given(p_value_lists)
def test_holm_lies_between_the_raw_and_the_bonferroni_value_and_keeps_the_order(p_values):
    adjusted = holm(p_values)
    assert (adjusted >= p_values).all()
    assert (adjusted <= np.minimum(1, len(p_values) * np.array(p_values))).all()
    ascending = adjusted[np.argsort(p_values, kind="stable")]
    assert all(low <= high for low, high in pairwise(ascending))


def test_holm_refuses_what_is_no_p_value():
    with pytest.raises(ValueError, match=r"within 0 \.\. 1"):
        holm([0.2, np.nan])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: auc_error(0.9, 0, 5), "from 1 in both classes, got 0.9, 0 and 5"),
        (lambda: auc_error(0.9, 5, 2.5), "whole numbers of images"),
        (lambda: auc_error(np.nan, 5, 5), "AUC within 0 .. 1"),
        (lambda: newcombe(3.7, 10, 3, 10), "whole numbers, .* got 3.7 of 10"),
        (lambda: newcombe(np.nan, 10, 3, 10), "got nan of 10"),
        (lambda: power(0.8, 0.9, 10.5), "whole n >= 1"),
        (lambda: power(0.8, np.nan, 10), "accuracies within 0 .. 1"),
        (lambda: detectable_gain(1.2, 50), "accuracies within 0 .. 1"),
        (lambda: detectable_gain(np.nan, 50), "accuracies within 0 .. 1"),
        (lambda: detectable_gain(0.8, 0), "n >= 1"),
        (lambda: best_mcnemar(97.5, 100), "whole numbers from 0, got 97.5"),
        (lambda: best_mcnemar(-1, 100), "whole numbers from 0, got -1"),
    ],
)
def test_what_a_test_set_resolves_takes_counts_alone(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_the_smallest_groups_have_an_error():
    assert auc_error(0.8, 1, 1) == pytest.approx(0.4)  # of one pair: sqrt(.8 x .2)
    assert auc_error(1, 3, 2) == 0


# --- against statsmodels -------------------------------------------------------------------------


@settings(max_examples=5, deadline=None)  # theirs collects garbage at each call
@given(p_value_lists)
def test_holm_is_that_of_statsmodels(p_values):
    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1])


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 40), st.integers(0, 40))
def test_mcnemars_exact_test_is_that_of_statsmodels(only_a, only_b):
    first = np.array([True] * only_a + [False] * only_b + [True])
    second = np.array([False] * only_a + [True] * only_b + [True])
    theirs = mcnemar([[1, only_a], [only_b, 0]], exact=True).pvalue
    assert mcnemar_test(first, second).p_value == pytest.approx(theirs)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 500), st.floats(0, 1))
def test_wilsons_interval_is_that_of_statsmodels(n, share):
    k = round(n * share)
    ours = proportion(k, n)
    theirs = proportion_confint(k, n, method="wilson")
    assert (ours.low, ours.high) == pytest.approx(theirs, abs=1e-9)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 300), st.integers(1, 300), st.floats(0, 1), st.floats(0, 1))
def test_newcombes_interval_is_that_of_statsmodels(n1, n2, share1, share2):
    k1, k2 = round(n1 * share1), round(n2 * share2)
    ours = newcombe(k1, n1, k2, n2)
    theirs = confint_proportions_2indep(k1, n1, k2, n2, method="newcomb", compare="diff")
    assert (ours.low, ours.high) == pytest.approx(theirs, abs=1e-9)
