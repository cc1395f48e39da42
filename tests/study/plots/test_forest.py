"""Pictures of the comparisons: what is drawn is what the runs and the paper say."""

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex
from sklearn.metrics import roc_auc_score

from helpers.metrics.scores import Estimate
from helpers.plots import style
from helpers.runs.groups import find_group, group_runs
from helpers.runs.store import list_runs
from study.compare import Compared, compare_family
from study.plans.comparisons import load_plan
from study.plans.verdicts import load_rules
from study.plots import forest
from study.published import lookup
from tests.fabricated import fabricate_from

PLAN = load_plan()
GREEN, RED = style.COLOURS[2], style.COLOURS[1]
DAMAGE = ["whole", "1:4", "1:9", "10 %", "20 %"]


def pair_of(family, name):
    (pair,) = [pair for pair in PLAN.family(family).pairs if pair.name == name]
    return pair


def course(values):
    """The course of a training with the given validation accuracies."""
    row = {"stage": "high", "train_loss": 0.5, "val_loss": 0.5, "learning_rate": 1e-3}
    row |= {"learning_rate_end": 1e-3, "seconds": 1.0}
    return [
        row | {"epoch": e, "train_accuracy": v / 2, "val_accuracy": v, "val_auc": None}
        for e, v in enumerate(values, start=1)
    ]


@pytest.fixture(scope="module")
def groups(tmp_path_factory):
    """Five seeds where the framework beats ResNet18, fewer of a part, of damages, of a course."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REPRO_RESULTS", str(tmp_path_factory.mktemp("store")))
        whole, focal = pair_of("ablation", "all_parts"), pair_of("ablation", "focal")
        for seed in range(5):
            fabricate_from(replace(whole.a, seed=seed), wrong=15 + seed)
            fabricate_from(replace(whole.b, seed=seed), wrong=50 + seed)
        for seed in range(2):
            fabricate_from(replace(focal.b, seed=seed), wrong=16 + seed)
        fabricate_from(replace(pair_of("robustness", "imbalance_4").a, seed=0), wrong=20)
        fabricate_from(replace(pair_of("robustness", "noise_20").b, seed=0), wrong=40)
        stop = pair_of("stopping", "at_target")
        for seed, values in enumerate([(0.3, 0.6, 0.9), (0.5, 0.7, 0.8, 0.95)]):
            config = replace(stop.b, seed=seed)
            fabricate_from(config, wrong=30, history=course(values))
        yield group_runs(list_runs())


@pytest.fixture
def axes():
    with style.style():
        figure, axes = plt.subplots(figsize=(7, 3))
        yield axes
        figure.canvas.draw()  # a picture that cannot be drawn fails its test
        drawn = figure.get_tightbbox()
        assert drawn.width < 7.5 and drawn.height < 4, "something stands far outside the picture"
        plt.close(figure)


def marks_of(axes):
    """Return what is written in the picture: (text, height) -> colour."""
    return {
        (text.get_text().strip(), float(text.get_position()[1])): to_hex(text.get_color()).upper()
        for text in axes.texts
    }


def points_of(axes, marker):
    return [
        (float(line.get_xdata()[0]), float(line.get_ydata()[0]), line.get_color())
        for line in axes.lines
        if line.get_marker() == marker
    ]


def intervals_of(axes):
    """Return the horizontal intervals: height -> (low, high, colour)."""
    found = {}
    for lines in axes.collections:
        ((low, y), (high, _)) = lines.get_segments()[0]
        found[float(y)] = (low, high, to_hex(lines.get_color()[0]).upper())
    return found


def labels_of(axis):
    return [label.get_text() for label in axis.get_ticklabels()]


def by_sklearn(group):
    """Return the test AUC of each seed."""
    aucs = []
    for run in group.runs:
        y_true, probabilities = run.predictions("test")
        aucs.append(roc_auc_score(y_true, probabilities[:, 1]))
    return aucs


def made_up(verdict, value=0.02, *, low=-0.01, high=0.05):
    """A comparison with a given outcome; without a value it has not been run."""
    pair = pair_of("ablation", "focal")
    if value is None:
        return Compared(pair.name, pair.title, None, None, pair, verdict=verdict)
    auc = Estimate(value, low, high, 120, "made up", seeds=5, p=0.2)
    return Compared(pair.name, pair.title, None, None, pair, auc=auc, verdict=verdict)


# --- differences ---------------------------------------------------------------------------------


def test_differences_are_those_of_the_runs_first_on_top(groups, axes):
    family = PLAN.family("ablation")
    compared = compare_family(family, groups, plan=PLAN, rules=load_rules())
    assert forest.plot_differences(compared, axes=axes) is axes
    assert labels_of(axes.yaxis) == [pair.title for pair in family.pairs]
    assert axes.get_ylim() == (7.5, -0.5)
    names = [pair.name for pair in family.pairs]
    focal, whole = names.index("focal"), names.index("all_parts")
    points = {y: (x, colour) for x, y, colour in points_of(axes, "o")}
    assert set(points) == {focal, whole}
    a, b = (find_group(groups, side) for side in (family.pairs[whole].a, family.pairs[whole].b))
    by_hand = np.mean(by_sklearn(a)) - np.mean(by_sklearn(b))
    assert points[whole] == (pytest.approx(by_hand), GREEN)
    difference = compared[whole].auc
    assert intervals_of(axes)[whole] == (difference.low, difference.high, GREEN)
    marks = marks_of(axes)
    assert marks["shown", whole] == GREEN
    assert marks["too few seeds", focal] == points[focal][1].upper() == style.GREY
    assert {("not run", y) for y in range(8) if y not in (focal, whole)} < set(marks)


def test_colour_and_words_follow_the_verdict(axes):
    verdicts = {
        "shown": GREEN,
        "shown reversed": RED,
        "inconclusive": style.GREY,
        "too few seeds": style.GREY,
    }
    compared = [made_up(verdict) for verdict in verdicts]
    forest.plot_differences(compared, axes=axes)
    expected = list(verdicts.values())
    assert [colour for *_, colour in points_of(axes, "o")] == expected
    assert [intervals_of(axes)[y] for y in range(4)] == [(-0.01, 0.05, c) for c in expected]
    assert marks_of(axes) == {(v, y): c for y, (v, c) in enumerate(verdicts.items())}


def test_a_difference_without_an_interval_is_a_point(axes):
    compared = [made_up("no test possible", 0.3, low=None, high=None)]
    forest.plot_differences(compared, axes=axes)
    assert points_of(axes, "o") == [(0.3, 0, style.GREY)]
    assert not intervals_of(axes)
    assert ("no test possible", 0) in marks_of(axes)


def test_a_verdict_that_all_lines_share_stands_once_below(axes):
    forest.plot_differences([made_up("inconclusive")] * 3, axes=axes)
    assert not axes.texts and axes.get_xlabel().endswith("\nevery line: inconclusive")
    assert axes.get_xlabel().startswith("AUC of A less AUC of B")


@pytest.mark.parametrize("notes", [[], ["shown"], ["", ""], ["shown", "not run"]])
def test_what_is_not_shared_by_several_lines_stays_on_them(notes):
    lines = [forest.ForestLine("a part", note=note) for note in notes]
    assert forest.once(lines) == (lines, "")


@pytest.mark.parametrize("value", [0.02, -0.02, None])
def test_zero_is_always_in_view(axes, value):
    shift = {} if value is None else {"low": value - 0.01, "high": value + 0.01}
    forest.plot_differences([made_up("not run", value, **shift)], axes=axes)
    zero = axes.lines[-1]
    low, high = axes.get_xlim()
    assert set(zero.get_xdata()) == {0} and low <= 0 <= high


# --- systems -------------------------------------------------------------------------------------


def test_systems_have_their_seeds_their_mean_and_the_paper(groups, axes):
    systems = PLAN.systems["imagenet"]
    assert forest.plot_systems(systems, groups, axes=axes) is axes
    assert labels_of(axes.yaxis) == [system.title for system in systems]
    ran = {"Brain-Inspired Hybrid", "ResNet18"}
    rows = {y: s for y, s in enumerate(systems) if s.title in ran}
    means = {y: x for x, y, _ in points_of(axes, "o")}
    assert set(means) == set(intervals_of(axes)) == set(rows)
    ticks = [line for line in axes.lines if line.get_marker() == "|"]
    for (y, system), line in zip(rows.items(), ticks, strict=True):
        group = find_group(groups, system.config)
        aucs = by_sklearn(group)
        assert means[y] == pytest.approx(np.mean(aucs))
        assert list(line.get_xdata()) == pytest.approx(aucs)
        assert set(line.get_ydata()) == {y + 0.2}
        mean = group.auc
        assert intervals_of(axes)[y][:2] == (mean.low, mean.high)
    not_run = {("not run", y) for y in range(len(systems)) if y not in rows}
    assert set(marks_of(axes)) == not_run
    legend = [text.get_text() for text in axes.get_legend().get_texts()]
    assert legend == ["ours, mean", "ours, each seed", "paper, other images"]


def test_the_papers_values_stand_at_their_systems(groups, axes):
    systems = PLAN.systems["imagenet"]
    forest.plot_systems(systems, groups, axes=axes)
    printed = {y: x for x, y, _ in points_of(axes, "D")}
    expected = {
        y: lookup(paper="A", table="Table 4", row=s.published.row, column="auc").value
        for y, s in enumerate(systems)
        if s.published
    }
    assert printed == expected and printed[0] == 0.9372
    assert systems[-1].published is None and len(systems) - 1 not in printed


# --- robustness ----------------------------------------------------------------------------------


def test_damage_shows_what_ran_of_each_side_and_marks_the_rest(groups, axes):
    compared = compare_family(PLAN.family("robustness"), groups, plan=PLAN, rules=load_rules())
    assert forest.plot_damage(compared, DAMAGE, axes=axes) is axes
    assert labels_of(axes.yaxis) == DAMAGE
    for marker, y, group in (("o", 0.9, compared[1].a), ("s", 4.1, compared[4].b)):
        ((x, place, _),) = points_of(axes, marker)
        assert ([x], place) == (pytest.approx(by_sklearn(group)), pytest.approx(y))
        assert intervals_of(axes)[y][:2] == (group.auc.low, group.auc.high)
    assert {text for text, _ in marks_of(axes)} == {
        "not run",
        "cross-entropy not run",
        "focal, smoothed, balanced not run",
    }
    assert len(axes.texts) == len(DAMAGE)


def test_each_damage_needs_its_name(groups, axes):
    compared = compare_family(PLAN.family("robustness"), groups, plan=PLAN, rules=load_rules())
    with pytest.raises(ValueError, match="longer than"):
        forest.plot_damage(compared, DAMAGE[:4], axes=axes)


# --- Table 1 -------------------------------------------------------------------------------------


def test_dynamics_have_a_line_a_seed_and_the_papers_points(groups, axes):
    group = find_group(groups, pair_of("stopping", "at_target").b)
    forest.plot_dynamics(group, "val_accuracy", epochs=3, axes=axes)
    *ours, paper = axes.lines
    assert [list(line.get_xdata()) for line in ours] == [[1, 2, 3]] * 2, "three epochs shown"
    assert [list(line.get_ydata()) for line in ours] == [[0.3, 0.6, 0.9], [0.5, 0.7, 0.8]]
    assert {line.get_linestyle() for line in ours} == {"-"}
    assert list(paper.get_xdata()) == [1, 2, 3, 4]
    assert list(paper.get_ydata()) == pytest.approx([0.5041, 0.8182, 0.8182, 0.9008])
    assert axes.get_ylim()[0] < 0.3, "no value is cut off"
    assert axes.get_legend_handles_labels()[1] == ["ours, each seed", "paper, other images"]
    assert not axes.texts


def test_dynamics_take_the_column_asked_for_and_leave_gaps(groups, axes):
    group = find_group(groups, pair_of("stopping", "at_target").b)
    forest.plot_dynamics(group, "val_auc", epochs=9, axes=axes)
    assert np.isnan(np.asarray(axes.lines[0].get_ydata(), dtype=float)).all()
    assert list(axes.lines[-1].get_ydata()) == [0.7697, 0.9134, 0.9153, 0.9374]
    assert axes.get_title() == "validation AUC"


def test_the_rule_that_stops_a_training_is_a_named_line(groups, axes):
    group = find_group(groups, pair_of("stopping", "at_target").b)
    forest.plot_dynamics(group, "val_accuracy", epochs=3, axes=axes, stop=0.9)
    assert [text.get_text() for text in axes.texts] == ["stop at 90 %"]
    assert list(axes.lines[-1].get_ydata()) == [0.9, 0.9]
    assert axes.get_title() == "validation accuracy"


# --- nothing ran ---------------------------------------------------------------------------------


def test_where_nothing_ran_the_differences_say_so_once(axes):
    compared = compare_family(PLAN.family("ablation"), [], plan=PLAN, rules=load_rules())
    forest.plot_differences(compared, axes=axes)
    assert axes.get_xlabel().endswith("every line: not run") and not axes.texts
    assert len(axes.lines) == 1 and not axes.collections, "the line at zero alone"


def test_where_nothing_ran_the_paper_stands_alone(axes):
    forest.plot_systems(PLAN.systems["none"], [], axes=axes)
    assert set(marks_of(axes)) == {("not run", y) for y in range(5)}
    assert len(points_of(axes, "D")) == len(axes.lines) == 4
    low, high = axes.get_xlim()
    assert 0.8 < low < high < 1, "the marks do not widen the scale"


def test_where_nothing_ran_damage_is_marked_on_both_sides(axes):
    compared = compare_family(PLAN.family("robustness"), [], plan=PLAN, rules=load_rules())
    forest.plot_damage(compared, DAMAGE, axes=axes)
    assert marks_of(axes) == {("not run", y): style.GREY for y in range(len(DAMAGE))}
    assert not points_of(axes, "o") and not points_of(axes, "s")


def test_where_nothing_ran_the_papers_course_is_marked(axes):
    forest.plot_dynamics(None, "train_accuracy", epochs=20, axes=axes)
    (paper,) = axes.lines
    assert list(paper.get_ydata()) == pytest.approx([0.5081, 0.6780, 0.7710, 0.8354])
    assert [text.get_text() for text in axes.texts] == ["ours not run"]
    assert all(tick == int(tick) for tick in axes.get_xticks()), "epochs are whole"
