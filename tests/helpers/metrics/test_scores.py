import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from medmnist.evaluator import getACC, getAUC
from scipy import stats
from sklearn import metrics as sk

from helpers.metrics.auc import structural_components
from helpers.metrics.scores import (
    Estimate,
    auc_interval,
    confidence_bins,
    confusion_matrix,
    evaluate,
    per_class,
    proportion,
    stratified_blocks,
    stratified_counts,
)
from helpers.metrics.variance import aggregate_seeds


def sample(n, num_classes, *, seed=0, ties=False):
    """Labels of all classes and probabilities, as multiples of 0.1 if ties are wanted."""
    rng = np.random.default_rng(seed)
    y_true = rng.permutation(np.arange(n) % num_classes)
    scores = np.exp(rng.normal(size=(n, num_classes)) + 1.5 * np.eye(num_classes)[y_true])
    probabilities = scores / scores.sum(axis=1, keepdims=True)
    return y_true, rng.multinomial(10, probabilities) / 10 if ties else probabilities


def values(estimates):
    return {name: estimate.value for name, estimate in estimates.items()}


def slow_ece(y_true, probabilities):
    confidence, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == y_true
    total = 0.0
    for k in range(15):
        inside = (confidence > k / 15) & (confidence <= (k + 1) / 15)
        if inside.any():
            total += inside.mean() * abs(correct[inside].mean() - confidence[inside].mean())
    return total


@pytest.mark.parametrize("ties", [False, True])
def test_binary_metrics_equal_scikit_learn(ties):
    y_true, probabilities = sample(151, 2, ties=ties)
    score, y_pred = probabilities[:, 1], probabilities.argmax(axis=1)
    matrix = sk.confusion_matrix(y_true, y_pred)
    assert values(evaluate(y_true, probabilities, n_resamples=0)) == pytest.approx(
        {
            "accuracy": sk.accuracy_score(y_true, y_pred),
            "auc": sk.roc_auc_score(y_true, score),
            "average_precision": sk.average_precision_score(y_true, score),
            "sensitivity": sk.recall_score(y_true, y_pred),
            "specificity": sk.recall_score(y_true, y_pred, pos_label=0),
            "ppv": sk.precision_score(y_true, y_pred),
            "npv": matrix[0, 0] / matrix[:, 0].sum(),
            "f1": sk.f1_score(y_true, y_pred),
            "balanced_accuracy": sk.balanced_accuracy_score(y_true, y_pred),
            "ece": slow_ece(y_true, probabilities),
            "brier": sk.brier_score_loss(y_true, score),
        },
        abs=1e-6,
    )


@pytest.mark.parametrize("ties", [False, True])
def test_multi_class_metrics_equal_scikit_learn(ties):
    y_true, probabilities = sample(230, 5, ties=ties)
    y_pred = probabilities.argmax(axis=1)
    tables = sk.multilabel_confusion_matrix(y_true, y_pred).astype(float)  # [[tn, fp], [fn, tp]]
    macro = {"average": "macro"}
    assert values(evaluate(y_true, probabilities, n_resamples=0)) == pytest.approx(
        {
            "accuracy": sk.accuracy_score(y_true, y_pred),
            "auc": sk.roc_auc_score(y_true, probabilities, multi_class="ovr", **macro),
            "average_precision": sk.average_precision_score(y_true, probabilities, **macro),
            "sensitivity": sk.recall_score(y_true, y_pred, **macro),
            "specificity": (tables[:, 0, 0] / tables[:, 0].sum(axis=1)).mean(),
            "ppv": sk.precision_score(y_true, y_pred, **macro),
            "npv": (tables[:, 0, 0] / tables[:, :, 0].sum(axis=1)).mean(),
            "f1": sk.f1_score(y_true, y_pred, **macro),
            "balanced_accuracy": sk.balanced_accuracy_score(y_true, y_pred),
            "ece": slow_ece(y_true, probabilities),
            "brier": sk.brier_score_loss(y_true, probabilities, labels=np.arange(5)),
        },
        abs=1e-6,
    )


@pytest.mark.parametrize(("num_classes", "task"), [(2, "binary-class"), (7, "multi-class")])
def test_auc_and_accuracy_equal_the_medmnist_evaluator(num_classes, task):
    y_true, probabilities = sample(311, num_classes)
    estimates = evaluate(y_true, probabilities, n_resamples=0)
    labels = y_true[:, None]  # as in the official files
    assert estimates["auc"].value == pytest.approx(getAUC(labels, probabilities, task), abs=1e-7)
    assert estimates["accuracy"].value == pytest.approx(getACC(labels, probabilities, task))


@pytest.mark.parametrize("num_classes", [2, 4])
def test_all_intervals_are_there_and_hold_the_value(num_classes):
    estimates = evaluate(*sample(200, num_classes), n_resamples=200)
    for name, estimate in estimates.items():
        assert estimate.low < estimate.value < estimate.high, name
    wilson = {name for name, estimate in estimates.items() if estimate.method == "Wilson"}
    proportions = {"accuracy", "sensitivity", "specificity", "ppv", "npv"}
    assert wilson == (proportions if num_classes == 2 else {"accuracy"})


def test_estimates_travel_through_json():
    estimates = evaluate(*sample(60, 3), n_resamples=20)
    written = json.dumps({name: estimate.to_dict() for name, estimate in estimates.items()})
    assert {name: Estimate(**fields) for name, fields in json.loads(written).items()} == estimates


@pytest.mark.parametrize("num_classes", [2, 3])
def test_bootstrap_equals_drawing_images_and_recomputing(num_classes):
    y_true, probabilities = sample(120, num_classes, ties=True)
    estimates = evaluate(y_true, probabilities, n_resamples=100, seed=5)
    counts = stratified_counts(y_true, 100, rng=np.random.default_rng(5)).astype(int)
    redrawn = [np.repeat(np.arange(120), column) for column in counts.T]
    replayed = [values(evaluate(y_true[i], probabilities[i], n_resamples=0)) for i in redrawn]
    for name, estimate in estimates.items():
        if estimate.method.startswith("stratified"):
            drawn = np.array([replay[name] for replay in replayed], float)
            low, high = np.quantile(drawn[~np.isnan(drawn)], [0.025, 0.975])
            if name == "ece":
                low, high = max(0, 2 * estimate.value - high), 2 * estimate.value - low
            assert (estimate.low, estimate.high) == pytest.approx((low, high), abs=1e-6), name


def test_estimates_read_as_value_and_interval():
    assert str(Estimate(0.9123, 0.8611, 0.9462, 120, "")) == "0.912 (0.861 to 0.946)"
    assert str(Estimate(1.0, None, None, 120, "")) == "1.000 (no interval)"
    assert str(Estimate(None, None, None, 0, "")) == "undefined"


def test_bootstrap_follows_its_seed():
    data = sample(90, 3)
    first = evaluate(*data, n_resamples=100, seed=1)
    assert evaluate(*data, n_resamples=100, seed=1) == first
    assert evaluate(*data, n_resamples=100, seed=2)["auc"].low != first["auc"].low


def test_resamples_keep_the_class_sizes_and_have_the_right_moments():
    y_true = np.repeat([0, 2], [30, 7])
    counts = stratified_counts(y_true, 4000, rng=np.random.default_rng(0))
    assert (counts[:30].sum(axis=0) == 30).all() and (counts[30:].sum(axis=0) == 7).all()
    assert counts.mean(axis=1) == pytest.approx(np.ones(37), abs=0.1)
    # A multinomial cell has variance 1 - 1/m.
    assert counts[:30].var() == pytest.approx(1 - 1 / 30, rel=0.05)
    assert counts[30:].var() == pytest.approx(1 - 1 / 7, rel=0.05)


def slow_delong(positive, score):
    gap = score[positive][:, None] - score[~positive][None]
    kernel = (gap > 0) + 0.5 * (gap == 0)
    return kernel.mean(axis=1), kernel.mean(axis=0)


@pytest.mark.parametrize("decimals", [0, 1, 8])
def test_structural_components_equal_the_kernel_matrix(decimals):
    rng = np.random.default_rng(3)
    positive = rng.random(70) < 0.3
    scores = (positive + rng.normal(size=(2, 3, 70))).round(decimals)
    ours = structural_components(positive, scores)
    for place in np.ndindex(2, 3):
        of_positive, of_negative = slow_delong(positive, scores[place])
        assert ours[place][positive] == pytest.approx(of_positive)
        assert ours[place][~positive] == pytest.approx(of_negative)


def test_auc_interval_is_delong_on_the_logit_scale():
    rng = np.random.default_rng(4)
    positive = rng.random(80) < 0.5
    score = positive + rng.normal(size=80)
    estimate = auc_interval(positive, score)
    by_positive, by_negative = slow_delong(positive, score)
    variance = (
        by_positive.var(ddof=1) / positive.sum() + by_negative.var(ddof=1) / (~positive).sum()
    )
    logits = stats.logistic.ppf([estimate.low, estimate.high])
    error = np.sqrt(variance) / (estimate.value * (1 - estimate.value))
    assert logits[1] - logits[0] == pytest.approx(2 * stats.norm.ppf(0.975) * error)
    assert logits.mean() == pytest.approx(stats.logistic.ppf(estimate.value))


scores = st.lists(st.tuples(st.booleans(), st.integers(0, 20)), min_size=2, max_size=40)


@given(scores)
def test_auc_of_reversed_scores_is_the_complement_and_no_interval_has_zero_width(pairs):
    positive, score = np.array([p for p, _ in pairs]), np.array([s for _, s in pairs]) / 20
    ours, reversed_ = auc_interval(positive, score), auc_interval(positive, 1 - score)
    if positive.all() or not positive.any():
        assert ours.value is None and ours.low is None
        return
    assert reversed_.value == pytest.approx(1 - ours.value)
    mirrored = 1 - reversed_.high, 1 - reversed_.low
    assert (ours.low, ours.high) == pytest.approx(mirrored, abs=2e-5)
    assert 0 <= ours.low <= ours.value <= ours.high <= 1
    assert ours.low < ours.high


def test_perfect_separation_leaves_doubt_that_shrinks_with_the_set():
    lows = []
    for half in (5, 50, 500):
        positive = np.arange(2 * half) < half
        estimate = auc_interval(positive, positive.astype(float))
        assert (estimate.value, estimate.high) == (1, 1)
        assert "Newcombe" in estimate.method
        lows.append(estimate.low)
    assert lows[0] < 0.8 < lows[1] < 0.97 < lows[2] < 1


def test_newcombe_interval_solves_the_score_equation():
    estimate = auc_interval(np.arange(20) < 8, (np.arange(20) < 8).astype(float))
    t, inner = estimate.low, 9
    variance = t * (1 - t) * (1 + inner * ((1 - t) / (2 - t) + t / (1 + t))) / (8 * 12)
    assert (1 - t) ** 2 == pytest.approx(stats.norm.ppf(0.975) ** 2 * variance, rel=1e-3)


def test_auc_interval_covers_the_true_auc():
    rng = np.random.default_rng(0)
    positive = np.arange(60) < 20
    truth = stats.norm.cdf(1.5 / np.sqrt(2))
    hits = 0
    for _ in range(500):
        estimate = auc_interval(positive, rng.normal(size=60) + 1.5 * positive)
        hits += estimate.low <= truth <= estimate.high
    assert 0.92 < hits / 500 < 0.98


def test_bootstrap_covers_the_true_f1_and_brier():
    rng = np.random.default_rng(1)

    def draw(n):
        y_true = np.arange(n) % 2
        positive = 1 / (1 + np.exp(-(2 * y_true - 1 + rng.normal(size=n))))
        return y_true, np.stack([1 - positive, positive], axis=1)

    truth = values(evaluate(*draw(400_000), n_resamples=0))
    hits = {"f1": 0, "brier": 0}
    for seed in range(200):
        estimates = evaluate(*draw(120), n_resamples=200, seed=seed)
        for name in hits:
            hits[name] += estimates[name].low <= truth[name] <= estimates[name].high
    for name, count in hits.items():
        assert 0.88 < count / 200 < 0.99, name


@given(st.integers(1, 400), st.data())
def test_wilson_ends_are_where_the_score_test_just_rejects(n, data):
    successes = data.draw(st.integers(0, n))
    estimate = proportion(successes, n)
    z = stats.norm.ppf(0.975)
    for end in (estimate.low, estimate.high):
        distance = abs(successes / n - end)
        assert distance == pytest.approx(z * np.sqrt(end * (1 - end) / n), abs=1e-6)
    assert estimate.low <= estimate.value + 1e-9 and estimate.value <= estimate.high + 1e-9
    assert (estimate.value, estimate.n) == (successes / n, n)


def test_wilson_of_the_brain_inspired_paper():
    # Paper A, Table 2: 102 of 120. By hand: (102 + 1.92 -+ 1.96 sqrt(15.3 + 0.96)) / 123.84.
    estimate = proportion(102, 120)
    assert (estimate.low, estimate.high) == pytest.approx((0.7753, 0.9030), abs=5e-4)


def test_no_positive_predictions_is_undefined_not_zero():
    y_true = np.array([0, 0, 1, 1])
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4]])
    estimates = evaluate(y_true, probabilities, n_resamples=50)
    assert estimates["ppv"] == Estimate(None, None, None, 0, estimates["ppv"].method)
    assert estimates["sensitivity"].value == 0 and estimates["f1"].value == 0
    assert estimates["npv"].value == 0.5


def test_one_class_only_leaves_auc_undefined():
    y_true, probabilities = sample(20, 2)
    estimates = evaluate(np.zeros_like(y_true), probabilities, n_resamples=20)
    for name in ("auc", "sensitivity", "average_precision"):
        assert estimates[name].value is None and estimates[name].low is None, name
    assert estimates["specificity"].value == estimates["accuracy"].value


def test_absent_class_is_left_out_of_the_means():
    y_true, probabilities = sample(90, 4)
    kept = y_true != 2
    y_true, probabilities = y_true[kept], probabilities[kept]
    estimates = evaluate(y_true, probabilities, n_resamples=50)
    present = [0, 1, 3]
    aucs = [sk.roc_auc_score(y_true == k, probabilities[:, k]) for k in present]
    assert estimates["auc"].value == pytest.approx(np.mean(aucs))
    recalls = sk.recall_score(y_true, probabilities.argmax(axis=1), labels=present, average="macro")
    assert estimates["sensitivity"].value == pytest.approx(recalls)
    row = per_class(y_true, probabilities, n_resamples=0)[2]
    assert row["n"] == 0 and row["auc"]["value"] is None and row["sensitivity"]["value"] is None


def test_class_never_predicted_leaves_the_mean_ppv_undefined():
    y_true = np.array([0, 1, 2, 0, 1, 2])
    probabilities = np.eye(3)[[0, 1, 1, 0, 1, 0]]
    estimates = evaluate(y_true, probabilities, n_resamples=50)
    assert estimates["ppv"].value is None
    assert estimates["f1"].value == pytest.approx(
        sk.f1_score(y_true, probabilities.argmax(axis=1), average="macro")
    )


def test_perfect_predictions_claim_no_certainty():
    y_true = np.arange(30) % 3
    estimates = evaluate(y_true, np.eye(3)[y_true], n_resamples=50)
    for name, estimate in estimates.items():
        assert estimate.value == (0 if name in ("ece", "brier") else 1), name
        assert estimate.low != estimate.high or estimate.low is None, name
    assert estimates["f1"].low is None and "no spread" in estimates["f1"].method


def test_partly_defined_resamples_are_counted_in_the_method():
    # Class 2 is predicted once: a third of the resamples and more have no such prediction.
    y_true = np.arange(30) % 3
    predicted = np.where(y_true == 2, 0, y_true)
    predicted[2] = 2
    estimates = evaluate(y_true, np.eye(3)[predicted], n_resamples=400)
    drawn = int(estimates["ppv"].method.split()[2])
    assert 0.55 < drawn / 400 < 0.75  # 1 - (9/10)^10 = 0.65


def test_per_class_rows_equal_scikit_learn():
    y_true, probabilities = sample(160, 3)
    y_pred = probabilities.argmax(axis=1)
    rows = per_class(y_true, probabilities, ("a", "b", "c"), n_resamples=50)
    assert [row["class"] for row in rows] == ["a", "b", "c"]
    for k, row in enumerate(rows):
        truth, guess, score = y_true == k, y_pred == k, probabilities[:, k]
        assert (row["n"], row["predicted"]) == (truth.sum(), guess.sum())
        expected = {
            "sensitivity": sk.recall_score(truth, guess),
            "specificity": sk.recall_score(~truth, ~guess),
            "ppv": sk.precision_score(truth, guess),
            "f1": sk.f1_score(truth, guess),
            "auc": sk.roc_auc_score(truth, score),
            "average_precision": sk.average_precision_score(truth, score),
        }
        for name, value in expected.items():
            assert row[name]["value"] == pytest.approx(value, abs=1e-6), name
            assert row[name]["low"] < value < row[name]["high"], name
    json.dumps(rows)


def test_per_class_of_two_classes_agrees_with_evaluate():
    data = sample(100, 2)
    estimates, row = evaluate(*data), per_class(*data)[1]
    for name in ("sensitivity", "specificity", "ppv", "f1", "auc", "average_precision"):
        assert row[name] == estimates[name].to_dict(), name


def test_confusion_matrix_has_the_truth_in_its_rows():
    matrix = confusion_matrix(np.array([0, 0, 2]), np.array([1, 0, 1]), num_classes=3)
    assert matrix.tolist() == [[1, 1, 0], [0, 0, 0], [0, 1, 0]]
    assert matrix.dtype == np.int64


two = np.array([[0.5, 0.5], [0.2, 0.8]])


@pytest.mark.parametrize(
    ("y_true", "probabilities", "message"),
    [
        ([0, 1], [0.5, 0.5], r"shape \(2,\); expected \(n, K\)"),
        ([0, 1], [[0.5], [0.5]], r"shape \(2, 1\)"),
        ([[0], [1]], two, r"take \[:, 0\]"),
        ([], np.empty((0, 2)), "n >= 1"),
        ([0.0, 1.0], two, "expected integer labels"),
        ([0, 2], two, "labels from 0 to 2; expected 0 to 1"),
        ([0, -1], two, "labels from -1"),
        ([0, 1, 1], two, "3 labels for 2"),
        ([0, 1], [[0.5, 0.5], [np.nan, 0.8]], "NaN or infinity, first in row 1"),
        ([0, 1], [[0.5, 0.5], [2.0, -1.0]], "row 1 is .* logits"),
        ([0, 1], [[0.5, 0.4], [0.2, 0.8]], "row 0 is"),
    ],
)
def test_bad_predictions_are_refused_with_a_reason(y_true, probabilities, message):
    with pytest.raises(ValueError, match=message):
        evaluate(np.asarray(y_true, int if y_true == [] else None), probabilities)


def test_other_bad_input_is_refused_with_a_reason():
    with pytest.raises(ValueError, match="1 names for 2 classes"):
        per_class(np.array([0, 1]), two, ("a",))
    with pytest.raises(ValueError, match="y_pred has labels from 0 to 3"):
        confusion_matrix(np.array([0, 1]), np.array([0, 3]), num_classes=3)
    with pytest.raises(ValueError, match="n_resamples is -1"):
        evaluate(np.array([0, 1]), two, n_resamples=-1)


@pytest.mark.parametrize(
    ("successes", "n"),
    [(3.7, 10), (3, 10.5), (11, 10), (-1, 10), (0, -1), (np.nan, 10), (3, np.nan)],
)
def test_a_proportion_is_of_whole_numbers(successes, n):
    with pytest.raises(ValueError, match=f"whole numbers, .* got {successes} of {n}"):
        proportion(successes, n)
    assert proportion(np.int64(3), np.int64(10)) == proportion(3.0, 10.0) == proportion(3, 10)


two_classes = np.array([True, False, True])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: structural_components(np.ones(3, bool), np.ones((2, 3))), "both classes, got 3"),
        (lambda: structural_components(np.zeros(3, bool), np.ones((2, 3))), "classes, got 0"),
        (lambda: structural_components(np.ones(0, bool), np.ones((2, 0))), "classes, got 0"),
        (lambda: auc_interval(two_classes, np.array([0.1, np.nan, 0.3])), "score is NaN"),
        (lambda: auc_interval(two_classes, np.ones(2)), r"got bool \(3,\) and \(1, 2\)"),
        (lambda: structural_components(np.array([0, 1, 1]), np.ones((1, 3))), "as bool"),
        (lambda: confidence_bins(np.array([0.5, np.nan])), "confidence has NaN"),
        (lambda: [*stratified_blocks(np.array([], int), 5, seed=0)], "no image"),
    ],
)
def test_one_class_nan_and_nothing_are_refused_with_a_reason(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_seeds_have_a_sample_sd_and_a_t_interval():
    summary = aggregate_seeds([0.86, 0.84, 0.88, 0.85, 0.87])
    assert summary["mean"] == pytest.approx(0.86)
    assert summary["sd"] == pytest.approx(np.std([0.86, 0.84, 0.88, 0.85, 0.87], ddof=1))
    interval = stats.t.interval(0.95, 4, loc=summary["mean"], scale=summary["sd"] / np.sqrt(5))
    assert (summary["low"], summary["high"]) == pytest.approx(interval)


def test_one_seed_has_no_sd():
    expected = {"mean": 0.9, "sd": None, "n": 1, "low": None, "high": None}
    assert aggregate_seeds([0.9]) == expected


def test_undefined_in_one_seed_is_undefined_over_the_seeds():
    expected = {"mean": None, "sd": None, "n": 2, "low": None, "high": None}
    assert aggregate_seeds([0.9, None]) == expected
    with pytest.raises(ValueError, match="at least one seed"):
        aggregate_seeds([])
