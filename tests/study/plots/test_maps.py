"""Half-energy areas: data sets beside each other under proper names."""

from types import SimpleNamespace

import matplotlib.pyplot as plt
import pytest

from helpers.metrics.scores import Estimate
from helpers.plots import style
from study.plots import maps


@pytest.mark.parametrize(
    ("dataset", "title"),
    [
        ("breastmnist_64", "BreastMNIST, 64 px"),
        ("pneumoniamnist", "PneumoniaMNIST"),
        ("cag:arcade_patches/subset800", "ARCADE patches"),
        ("phantom", "phantom"),
    ],
)
def test_a_data_set_has_its_proper_name(dataset, title):
    assert maps.set_title(dataset) == title


def test_the_areas_of_all_sets_share_one_legend():
    area = Estimate(0.3, 0.2, 0.4, 50, "made up", seeds=5)
    findings = [
        SimpleNamespace(dataset=dataset, title="a layer", normal=area, lesion=area)
        for dataset in ("breastmnist_64", "pneumoniamnist", "breastmnist_64")
    ]
    with style.style():
        figure = maps.draw_focus(findings, size=(5, 2))
        figure.canvas.draw()
    left, right = figure.axes
    assert [axes.get_title() for axes in (left, right)] == ["BreastMNIST, 64 px", "PneumoniaMNIST"]
    assert all("share of the image" in axes.get_xlabel() for axes in (left, right))
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["normal class", "abnormal class"]
    plt.close(figure)
