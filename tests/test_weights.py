"""Weights of stored runs: found, refused, or trained again and compared."""

import pytest
import torch
from safetensors.torch import load_file

from helpers import weights
from helpers.config import make_config
from helpers.data.phantom import make_phantom
from helpers.experiment import run_experiment
from helpers.results import RunError
from tests.fabricated import fabricate_run


@pytest.fixture
def phantom(monkeypatch):
    splits = make_phantom(n_train=32, n_val=16, n_test=16)
    monkeypatch.setattr(weights, "load_dataset", lambda name: splits)
    return splits


@pytest.fixture
def run(results_tree, phantom):
    config = make_config(
        recipe="quick",
        dataset="phantom",
        model="mobilenet_v2",
        seed=3,
        pretrained="none",
        profile="quick",
        image_size=28,
        epochs=1,
    )
    return run_experiment(config, splits=phantom)


def test_a_run_without_weights_says_how_to_get_them(results_tree):
    run = fabricate_run("breastmnist", "resnet18")
    with pytest.raises(RunError, match=r"python -m helpers.weights .*results.*_s0"):
        weights.load_model(run)


def test_weights_are_the_ones_that_were_selected(run):
    model = weights.load_model(run)
    assert not model.training
    state = load_file(run.path / weights.FILE)
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


def test_weights_of_another_network_are_refused(run):
    other = dict(run.record, config=run.record["config"] | {"model": "resnet18"})
    with pytest.raises(RunError, match="does not fit resnet18"):
        weights.load_model(type(run)(run.path, other))


def test_damaged_weights_are_named(run):
    file = run.path / weights.FILE
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(RunError, match=f"{weights.FILE} is damaged"):
        weights.load_model(run)


def test_restored_weights_are_the_lost_ones_and_the_run_stays(run):
    file = run.path / weights.FILE
    lost, record = load_file(file), (run.path / "run.json").read_bytes()
    file.unlink()
    assert weights.restore(run) == 0
    found = load_file(file)
    assert all(torch.equal(value, found[name]) for name, value in lost.items())
    assert (run.path / "run.json").read_bytes() == record


def test_a_run_that_does_not_come_back_writes_nothing(run, monkeypatch):
    (run.path / weights.FILE).unlink()
    monkeypatch.setattr(
        weights, "predict", lambda *args, **options: run.predictions("val")[1] + 0.1
    )
    with pytest.raises(RunError, match=r"differ from the stored ones by up to 0.100"):
        weights.restore(run)
    assert not (run.path / weights.FILE).exists()


def test_other_data_are_refused(run, monkeypatch):
    other = dict(run.record, data=run.record["data"] | {"md5": "1" * 32})
    with pytest.raises(RunError, match="restore the data"):
        weights.restore(type(run)(run.path, other))


def test_untrained_networks_follow_their_seed(run):
    a, b, c = (weights.untrained_model(run, pretrained="none", seed=s) for s in (0, 0, 1))
    first, again, other = (m.state_dict()["features.0.0.weight"] for m in (a, b, c))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_the_command_leaves_weights_that_are_there(run, capsys):
    before = (run.path / weights.FILE).stat().st_mtime_ns
    assert weights.main([str(run.path)]) == 0
    assert "its weights are here" in capsys.readouterr().out
    assert (run.path / weights.FILE).stat().st_mtime_ns == before
