"""Shipped weights: rounded, measured as they lie on the disk, found by their kind of images."""

import hashlib

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from helpers.data.datasets import load_dataset
from helpers.data.splits import DatasetUnavailable
from helpers.metrics.scores import evaluate
from helpers.predict.checkpoint import find_run, open_checkpoint
from helpers.runs import ship, store, weights
from helpers.runs.store import SHIPPED, WEIGHTS, RunError, list_shipped
from helpers.training.inference import as_tensor, predict

COMMITTED = list_shipped()


def test_what_is_measured_is_what_is_shipped(run, splits):
    exact = weights.load_model(run).state_dict()
    measured = ship.ship(run, splits)
    kept = load_file(run.path / SHIPPED)
    assert all(torch.equal(kept[name], value.to(kept[name].dtype)) for name, value in exact.items())
    assert {value.dtype for value in kept.values()} == {torch.float16, torch.int64}
    assert (run.path / SHIPPED).stat().st_size < 0.55 * (run.path / WEIGHTS).stat().st_size
    (run.path / WEIGHTS).unlink()  # as on everybody else's disk

    answers = predict(
        open_checkpoint(run).model.cpu(),
        as_tensor(splits.test, torch.device("cpu"))[0],
        image_size=28,
        flip_average=run.config["flip_average"],
        form=run.form,
    )
    expected = evaluate(splits.test.labels, answers)
    assert measured["metrics"]["accuracy"] == expected["accuracy"].to_dict()
    difference = np.abs(answers - run.predictions("test")[1]).max()
    assert measured["difference"] == pytest.approx(difference) and 0 < difference < 0.01
    assert ship.read_measured(run) == measured
    text = (run.path / ship.CARD).read_text()
    assert str(expected["accuracy"]) in text and "Not for clinical use" in text


def test_a_kind_of_images_names_its_network(run, splits, monkeypatch):
    with pytest.raises(RunError):
        find_run("phantom_9", profile="quick")
    ship.ship(run, splits)
    assert find_run("phantom", profile="quick").path == run.path
    assert list_shipped("quick").keys() == {"phantom"}
    # What travels with the repository is found wherever results are kept.
    assert list_shipped() == COMMITTED
    folder = "fitting/breastmnist_64/light/0123456789_s0"
    assert store.kind_of(store.Run(run.path.parents[3] / folder, run.record)) == "breastmnist"


def test_weights_that_are_too_large_are_refused(run, splits, monkeypatch):
    monkeypatch.setattr(ship, "LARGEST", 1000)
    with pytest.raises(RunError, match="at most 1,000 are shipped"):
        ship.ship(run, splits)
    assert not (run.path / SHIPPED).exists()


@pytest.mark.parametrize("kind", COMMITTED)
def test_the_cards_of_this_repository_are_those_of_their_files(kind):
    run = COMMITTED[kind]
    measured, content = ship.read_measured(run), (run.path / SHIPPED).read_bytes()
    assert measured["sha256"] == hashlib.sha256(content).hexdigest()
    assert (run.path / ship.CARD).read_text(encoding="utf-8") == ship.card(run, measured)
    assert len(content) <= ship.LARGEST
    assert run.config["seed"] == 0  # fixed beforehand


@pytest.mark.skipif("breastmnist" not in COMMITTED, reason="no network for BreastMNIST")
def test_the_measured_numbers_come_out_again():
    run = COMMITTED["breastmnist"]
    try:
        data = load_dataset(run.config["dataset"])
    except DatasetUnavailable as error:
        pytest.skip(str(error))
    again, kept = ship.measure(run, data), ship.read_measured(run)
    assert again["metrics"]["accuracy"]["value"] == kept["metrics"]["accuracy"]["value"]
    assert again["metrics"]["auc"]["value"] == pytest.approx(kept["metrics"]["auc"]["value"], 1e-3)
