from itertools import pairwise
from unittest import mock

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from helpers.metrics.intervals import holm
from helpers.metrics.power import auc_error, best_mcnemar, detectable_gain, newcombe, power
from helpers.metrics.scores import proportion


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
        (lambda: newcombe(8, 7, 1, 7), "got 8 of 7"),
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


@given(p_value_lists)
@example([0.2, 0.004, 0.03, 1, 0.004, 0, 0.0311, 0.5])  # ties, and both ends
def test_holm_is_that_of_statsmodels(p_values):
    with mock.patch("gc.collect"):  # theirs collects at each call, which takes seconds
        theirs = multipletests(p_values, method="holm")[1]
    assert holm(p_values) == pytest.approx(theirs)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 40), st.integers(0, 40))
def test_the_best_overlap_has_the_p_of_statsmodels_exact_test(one, other):
    only_one = abs(one - other)
    theirs = mcnemar([[min(one, other), only_one], [0, 0]], exact=True).pvalue if only_one else 1
    assert best_mcnemar(one, other) == pytest.approx(theirs)


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
