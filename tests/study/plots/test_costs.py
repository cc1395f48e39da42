"""Accuracy against cost: what is drawn, and that the names can be read."""

import numpy as np
import pytest

from helpers.plots import style
from study.costs.findings import Point
from study.plots.costs import FRONT, OTHERS, apart, plot_pareto, spread_names
from study.verdicts import NOT_RUN


def named(axes):
    return {line.get_label(): line for line in axes.lines if line.get_label()[0] != "_"}


def test_the_front_is_drawn_through_ours_alone(axes):
    ours = [
        Point("a", 1, 0.5, 0.4, 0.6),
        Point("b", 2, 0.7, 0.6, 0.8),
        Point("c", 3, 0.6, 0.5, 0.7),
        Point("d", 4, 0.65, 0.5, 0.7),
    ]
    printed = [Point("d (paper)", 1.5, 0.9, published=True)]
    plot_pareto(ours, printed, cost="params", axes=axes, focus=["b", "d"])
    drawn = {label: line.get_xydata().tolist() for label, line in named(axes).items()}
    assert drawn == {
        OTHERS: [[3, 60]],
        FRONT: [[1, 50]],
        "b": [[2, 70]],
        "d": [[4, 65]],
        "d (printed, another protocol)": [[1.5, 90]],
    }
    (front,) = [line for line in axes.lines if line.get_drawstyle() == "steps-post"]
    assert front.get_xydata().tolist() == [[1, 50], [2, 70]]
    # The focus stands in the legend, the printed too; what is off the front has no name.
    assert [text.get_text() for text in axes.texts] == ["a"]
    assert axes.get_xscale() == "log" and axes.get_xlabel() == "parameters, M"


def test_ours_and_the_printed_one_of_a_name_look_different(axes):
    ours, printed = Point("net", 1, 0.5, 0.4, 0.6), Point("net (paper)", 1, 0.5, published=True)
    plot_pareto([ours], [printed], cost="params", axes=axes, focus=["net"])
    looks = [(line.get_marker(), line.get_markerfacecolor()) for line in named(axes).values()]
    assert looks == [("s", style.COLOURS[2]), ("D", "none")]


def test_names_stand_beside_each_other_above_all_points(axes):
    ours = [Point(f"network {k}", 1 + k / 50, 0.8 + k / 1000, 0.7, 0.9) for k in range(5)]
    ours.append(Point("far network", 50, 0.9, 0.8, 1.0))
    plot_pareto(ours, [], cost="params", axes=axes)
    spread_names(axes.figure)
    assert [text.get_text() for text in axes.texts] == [point.title for point in ours]
    starts = axes.transData.transform([text.get_position() for text in axes.texts])
    # The rows of letters of slanting names are nearer to each other than their starts.
    gaps = np.diff(starts[:, 0]) / np.sqrt(2) * 72 / axes.figure.dpi
    assert (gaps > 1.1 * style.SMALL).all() and np.ptp(starts[:, 1]) < 1e-6
    assert axes.texts[0].get_position()[1] >= 100
    for text in axes.texts:
        assert text.get_window_extent().y1 <= axes.bbox.y1 + 1
        assert text.get_window_extent().x1 <= axes.bbox.x1 + 1
    assert max(axes.get_yticks()) <= 100, "no accuracy lies above"


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        ([3], [3]),
        ([1, 4, 9], [1, 4, 9]),
        ([4, 4, 4], [2, 4, 6]),
        ([0, 0], [0, 2]),
        ([9, 10], [8, 10]),
        ([1, 5, 5.5, 9], [1, 4.25, 6.25, 9]),
    ],
)
def test_places_keep_apart_and_move_little(places, expected):
    assert apart(places, step=2, low=0, high=10) == pytest.approx(expected)


def test_an_empty_picture_says_so(axes):
    plot_pareto([], [], cost="latency", axes=axes)
    spread_names(axes.figure)
    assert [text.get_text() for text in axes.texts] == [NOT_RUN]
