import importlib

import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.metrics import roc_curve

from helpers.metrics.operating_points import operating_points
from helpers.metrics.scores import confusion_matrix, evaluate, per_class
from helpers.plots import run, style

TWO = ("malignant", "benign")
MANY = ("liver", "spleen", "heart", "pancreas")


def sample(n, num_classes, *, seed=0):
    rng = np.random.default_rng(seed)
    y_true = np.arange(n) % num_classes
    scores = np.exp(rng.normal(size=(n, num_classes)) + np.eye(num_classes)[y_true])
    return y_true, scores / scores.sum(axis=1, keepdims=True)


def legend_of(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def line_of(axes, label):
    (line,) = [line for line in axes.lines if line.get_label().startswith(label)]
    return line


def test_neither_import_nor_style_changes_the_style_of_others():
    before = dict(plt.rcParams)
    importlib.reload(run)
    with style.style():
        assert plt.rcParams["figure.figsize"] == list(style.HALF_PAGE)
    assert dict(plt.rcParams) == before


def test_confusion_matrix_shows_counts_and_row_shares(axes):
    run.plot_confusion_matrix(np.array([[3, 1], [0, 8]]), TWO, axes=axes)
    cells = [text.get_text() for text in axes.texts]
    assert cells == ["3\n75.0%", "1\n25.0%", "0\n0.0%", "8\n100.0%"]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == list(TWO)
    assert axes.collections[0].get_array().tolist() == [[0.75, 0.25], [0, 1]]
    assert (axes.get_ylabel(), axes.get_xlabel()) == ("true", "predicted")
    assert "12 images" in axes.get_title()


def test_confusion_matrix_of_many_classes_shows_counts_and_leaves_empty_rows_empty(axes):
    y_true, probabilities = sample(90, 7)
    kept = y_true != 3
    y_pred = probabilities.argmax(axis=1)
    matrix = confusion_matrix(y_true[kept], y_pred[kept], num_classes=7)
    run.plot_confusion_matrix(matrix, list("abcdefg"), axes=axes)
    assert [int(text.get_text()) for text in axes.texts] == np.delete(matrix, 3, 0).ravel().tolist()
    assert np.ma.getmaskarray(axes.collections[0].get_array())[3].all()
    # Columns have the numbers that stand beside the names.
    assert [tick.get_text() for tick in axes.get_xticklabels()] == list("0123456")
    assert axes.get_yticklabels()[6].get_text() == "g  6"


def test_confusion_matrix_of_shares_shows_percent_of_the_row(axes):
    matrix = np.diag([3, 5, 7, 2, 2, 8])
    matrix[0, 1] = 1
    run.plot_confusion_matrix(matrix, list("abcdef"), axes=axes, cells="shares")
    assert [text.get_text() for text in axes.texts[:3]] == ["75", "25", "0"]
    assert axes.get_title(loc="right") == "Confusion matrix, % of the true class"
    with pytest.raises(ValueError, match="one of counts, shares, both, got 'percent'"):
        run.plot_confusion_matrix(matrix, list("abcdef"), axes=axes, cells="percent")


def test_confusion_matrix_refuses_the_wrong_number_of_names(axes):
    with pytest.raises(ValueError, match=r"\(2, 2\) for 4 class names"):
        run.plot_confusion_matrix(np.eye(2, dtype=int), MANY, axes=axes)


def test_binary_roc_has_the_curve_its_band_and_the_auc_with_interval(axes):
    y_true, probabilities = sample(80, 2)
    run.plot_roc(y_true, probabilities, TWO, axes=axes)
    line = line_of(axes, "AUC")
    false, true, _ = roc_curve(y_true, probabilities[:, 1])
    assert line.get_xdata() == pytest.approx(false) and line.get_ydata() == pytest.approx(true)
    auc = evaluate(y_true, probabilities, n_resamples=0)["auc"]
    assert line.get_label() == f"AUC {auc.value:.3f} ({auc.low:.3f} to {auc.high:.3f})"
    assert len(axes.collections) == 1 and "95% band (bootstrap)" in legend_of(axes)
    assert "benign" in axes.get_title()


def test_roc_band_holds_the_curve_and_grows_narrow():
    widths = []
    for n in (60, 600):
        y_true, probabilities = sample(n, 2)
        grid, low, high = run.roc_band(y_true, probabilities[:, 1], n_resamples=200)
        false, true, _ = roc_curve(y_true, probabilities[:, 1], drop_intermediate=False)
        inside = np.interp(grid, false, true)
        assert ((low <= inside + 1e-9) & (inside <= high + 1e-9)).all()
        assert (np.diff(low) >= -1e-9).all() and high[-1] == low[-1] == 1
        widths.append((high - low).mean())
    assert widths[1] < widths[0] / 2


def test_roc_band_equals_drawing_images_and_recomputing():
    rng = np.random.default_rng(2)
    y_true, score = np.arange(40) % 2, rng.integers(0, 6, 40) / 6  # with ties
    grid, low, high = run.roc_band(y_true, score, n_resamples=60, seed=3)
    counts = run.scores.stratified_counts(y_true, 60, rng=np.random.default_rng(3)).astype(int)
    curves = []
    for column in counts.T:
        images = np.repeat(np.arange(40), column)
        false, true, _ = roc_curve(y_true[images], score[images], drop_intermediate=False)
        curves.append(np.interp(grid, false, true))
    expected = np.quantile(curves, [0.025, 0.975], axis=0)
    assert low == pytest.approx(expected[0]) and high == pytest.approx(expected[1])


def test_roc_of_one_class_is_refused(axes):
    with pytest.raises(ValueError, match=r"classes 0 and 1, got \[0\]"):
        run.plot_roc(np.zeros(4, int), sample(4, 2)[1], TWO, axes=axes)


def test_multi_class_roc_has_one_curve_a_class_present(axes):
    y_true, probabilities = sample(120, 4)
    kept = y_true != 2
    y_true, probabilities = y_true[kept], probabilities[kept]
    run.plot_roc(y_true, probabilities, MANY, axes=axes)
    rows = per_class(y_true, probabilities, MANY, n_resamples=0)
    expected = [f"{row['auc']['value']:.3f} {row['class']}" for row in rows if row["n"]]
    assert legend_of(axes) == expected
    line = line_of(axes, expected[-1])
    false, true, _ = roc_curve(y_true == 3, probabilities[:, 3])
    assert line.get_xdata() == pytest.approx(false) and line.get_ydata() == pytest.approx(true)


def test_eleven_classes_have_eleven_looks(axes):
    names = [f"class {k}" for k in range(11)]
    run.plot_roc(*sample(220, 11), names, axes=axes)
    looks = {(line.get_color(), line.get_linestyle()) for line in axes.lines[1:]}
    assert len(looks) == 11


def test_a_crowded_corner_is_enlarged_and_no_other(axes):
    y_true, probabilities = sample(220, 11)
    good = 0.1 * probabilities + 0.9 * np.eye(11)[y_true]
    flipped = np.arange(220) % 20 == 0
    good[flipped] = good[flipped][:, ::-1]
    names = [f"class {k}" for k in range(11)]
    run.plot_roc(y_true, probabilities, names, axes=axes)
    run.plot_roc(y_true, np.eye(11)[y_true], names, axes=axes)
    assert not axes.child_axes  # far from the corner, and nothing to see in it
    axes.clear()
    run.plot_roc(y_true, good, names, axes=axes)
    (inset,) = axes.child_axes
    assert (inset.get_xlim(), inset.get_ylim()) == ((0, 0.2), (0.8, 1))
    assert len(inset.lines) == 12 and len(axes.lines) == 12  # eleven classes and the diagonal
    for curve, enlarged in zip(axes.lines, inset.lines, strict=True):
        assert (curve.get_xydata() == enlarged.get_xydata()).all()
        assert curve.get_color() == enlarged.get_color()


def test_curves_of_more_classes_are_taller_for_their_legend():
    assert run.curve_size(2) == style.HALF_PAGE
    heights = [run.curve_size(k)[1] for k in (3, 11, 20)]
    assert heights == sorted(heights) and len(set(heights)) == 3
    assert {run.curve_size(k)[0] for k in (2, 3, 20)} == {style.HALF_WIDTH}


def test_thresholds_stand_where_they_land_on_the_test_curve(axes):
    val, test = sample(120, 2, seed=1), sample(90, 2)
    points = operating_points(val, test, n_resamples=0)
    run.plot_operating_points(points, *test, axes=axes)
    marks = [container.lines[0] for container in axes.containers]
    for point, mark in zip(points, marks, strict=True):
        expected = (1 - point.specificity.value, point.sensitivity.value)
        assert (mark.get_xdata()[0], mark.get_ydata()[0]) == pytest.approx(expected)
    curve = axes.lines[0]
    assert np.interp(expected[0], *curve.get_data()) == pytest.approx(expected[1], abs=0.05)
    assert legend_of(axes) == [f"{p.held} {p.target:.0%}" for p in points]


def test_a_target_without_threshold_is_named_not_drawn(axes):
    y_true, probabilities = np.arange(20) % 2, np.full((20, 2), 0.5)
    points = operating_points((y_true, probabilities), sample(40, 2), n_resamples=0)
    run.plot_operating_points(points, *sample(40, 2), axes=axes)
    assert not axes.containers
    assert legend_of(axes)[0] == "specificity 90%: no threshold"


def test_operating_points_of_many_classes_are_not_drawn(axes):
    val = test = sample(60, 3)
    points = operating_points(val, test, n_resamples=0)
    with pytest.raises(ValueError, match="class 1 of two classes only"):
        run.plot_operating_points(points, *test, axes=axes)


def test_binary_precision_recall_has_average_precision_and_prevalence(axes):
    y_true, probabilities = sample(90, 2)
    y_true[:15] = 1
    run.plot_precision_recall(y_true, probabilities, TWO, axes=axes)
    ap = evaluate(y_true, probabilities)["average_precision"]
    assert legend_of(axes)[0] == f"AP {ap.value:.3f} ({ap.low:.3f} to {ap.high:.3f})"
    prevalence = line_of(axes, "prevalence")
    assert set(prevalence.get_ydata()) == {y_true.mean()}
    curve = line_of(axes, "AP")
    # At full recall everything is called positive: precision is the prevalence.
    assert curve.get_xdata()[0] == 1 and curve.get_ydata()[0] == pytest.approx(y_true.mean())


def test_multi_class_precision_recall_lists_each_class_and_the_range_of_prevalence(axes):
    y_true, probabilities = sample(100, 4)
    y_true[:20] = 0
    run.plot_precision_recall(y_true, probabilities, MANY, axes=axes)
    rows = per_class(y_true, probabilities, MANY, n_resamples=0)
    expected = [f"{row['average_precision']['value']:.3f} {row['class']}" for row in rows]
    assert legend_of(axes) == [*expected, "prevalence 0.20 to 0.40"]


def test_reliability_points_carry_the_ece(axes):
    y_true, probabilities = sample(300, 3)
    run.plot_reliability(y_true, probabilities, axes=axes)
    ece = evaluate(y_true, probabilities)["ece"]
    assert f"ECE {ece.value:.3f} ({ece.low:.3f} to {ece.high:.3f})" in axes.get_title()
    shares = np.array([bar.get_height() for bar in axes.patches])
    assert shares.sum() == pytest.approx(1) and len(shares) == 15
    points = axes.containers[1].lines[0]
    gaps = np.abs(points.get_ydata() - points.get_xdata())
    assert (shares[shares > 0] * gaps).sum() == pytest.approx(ece.value)


HISTORY = [
    {"epoch": 1, "train_loss": 1.0, "val_loss": 1.2, "train_accuracy": None, "val_auc": 0.6},
    {"epoch": 2, "train_loss": 0.7, "val_loss": 0.9, "train_accuracy": 0.8, "val_auc": 0.7},
]


def test_history_draws_both_splits_and_the_selected_epoch(axes):
    run.plot_history(HISTORY, axes=axes, selected=2)
    assert line_of(axes, "training").get_ydata().tolist() == [1.0, 0.7]
    assert line_of(axes, "validation").get_ydata().tolist() == [1.2, 0.9]
    assert set(line_of(axes, "selected epoch").get_xdata()) == {2}
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("epoch", "loss")


def test_history_leaves_gaps_and_absent_splits_out(axes):
    run.plot_history(HISTORY, axes=axes, quantity="accuracy")
    assert np.isnan(line_of(axes, "training").get_ydata()[0])
    assert legend_of(axes) == ["training"]


def test_history_lists_what_it_knows(axes):
    with pytest.raises(ValueError, match="no 'f1'; known: accuracy, auc, loss"):
        run.plot_history(HISTORY, axes=axes, quantity="f1")
    with pytest.raises(ValueError, match="no 'learning_rate'; known: accuracy, auc, loss"):
        run.plot_history(HISTORY, axes=axes, quantity="learning_rate")


def staged(stages):
    return [{"epoch": e, "stage": s, "val_loss": 1.0} for e, s in enumerate(stages, start=1)]


def test_history_marks_where_another_stage_begins(axes):
    run.plot_history(staged(["warm-up", "warm-up", "fine-tuning"]), axes=axes)
    assert set(line_of(axes, "fine-tuning begins").get_xdata()) == {2}
    axes.clear()
    run.plot_history(staged(["all", "all"]), axes=axes)
    assert legend_of(axes) == ["validation"]


def test_learning_rates_stand_at_the_starts_of_their_epochs(axes):
    history = [{"epoch": e, "val_loss": 1.0, "learning_rate": e / 100} for e in (1, 2, 3)]
    run.plot_history(history, axes=axes, quantity="learning_rate", legend=False)
    (points,) = axes.lines
    assert points.get_xydata().tolist() == [[0, 0.01], [1, 0.02], [2, 0.03]]
    assert points.get_linestyle() == "None" and axes.get_legend() is None


def test_names_that_would_look_alike_are_numbered():
    names = ("a long name of a class, the first", "a long name of a class, the second", "b")
    assert style.short_names(names, 10) == ["0 a long…", "1 a long…", "2 b"]
    assert style.short_names(names[1:], 10) == ["a long na…", "b"]


def test_long_class_names_are_cut(axes):
    names = ("actinic keratoses and intraepithelial carcinoma", "melanoma", "nevi")
    run.plot_roc(*sample(60, 3), names, axes=axes)
    assert legend_of(axes)[0].endswith("actinic keratose…")
