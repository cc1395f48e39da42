"""The form of 11_predict: without a front end its values are the parameters."""

import pytest

from helpers.predict import form
from helpers.predict.form import Choice, PredictionForm
from helpers.runs.store import RunError, list_shipped
from tests.fabricated import fabricate_run


@pytest.fixture
def run(results_tree, monkeypatch):
    for name in form.FRONT_ENDS:
        monkeypatch.delenv(name, raising=False)
    return fabricate_run("breastmnist", "resnet18")


def test_without_a_front_end_it_prints_and_changes_nothing(run, capsys):
    made = PredictionForm(run, images=None, threshold=0.7)
    made.show()
    assert made.choice == Choice(run, None, 0.7)
    said = capsys.readouterr().out
    assert "breastmnist/resnet18" in said and "an example is made" in said and "0.7" in said


@pytest.mark.parametrize("threshold", [-0.1, 1.5, float("nan")])
def test_a_threshold_is_a_confidence(run, threshold):
    with pytest.raises(ValueError, match="from 0 to 1"):
        PredictionForm(run, images=None, threshold=threshold)


def test_what_is_chosen_goes_before_the_parameters(run, monkeypatch):
    pytest.importorskip("ipywidgets", reason="make setup brings ipywidgets")
    other = fabricate_run("pneumoniamnist", "resnet18")
    made = PredictionForm(run, images="~/before", threshold=0.5)
    name, images, threshold = made.build().children
    assert (images.value, threshold.value) == ("~/before", 0.5)
    assert set(list_shipped()) <= set(name.options)
    name.value, images.value, threshold.value = "pneumoniamnist/resnet18", " ", 0.9
    assert made.choice == Choice(other, None, 0.9)
    name.value = "nothing of the kind"
    with pytest.raises(RunError, match="no run is called"):
        _ = made.choice


def test_a_front_end_sees_the_fields(run, monkeypatch, capsys):
    pytest.importorskip("ipywidgets", reason="make setup brings ipywidgets")
    monkeypatch.setenv("JPY_SESSION_NAME", "11_predict.ipynb")
    PredictionForm(run, images=None, threshold=0.5).show()
    assert "VBox" in capsys.readouterr().out
