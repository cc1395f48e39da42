"""Weights of stored runs: found, refused, or trained again and compared."""

import json
import re

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from helpers.explain.run_maps import open_maps
from helpers.models.backbones import WeightsUnavailable
from helpers.paths import results_root
from helpers.predict.checkpoint import open_checkpoint, public_name
from helpers.runs import progress, weights
from helpers.runs.run import is_replica
from helpers.runs.store import RunError, find_run, list_replicas, list_runs, load_run, run_id
from helpers.training.inference import as_tensor, prepare
from helpers.training.loop import TrainingDiverged
from tests.fabricated import fabricate_run


@pytest.fixture(autouse=True)
def phantom(monkeypatch, splits):
    monkeypatch.setattr(weights, "load_dataset", lambda name: splits)
    return splits


def test_a_run_without_weights_says_how_to_get_them(results_tree):
    run = fabricate_run("breastmnist", "resnet18")
    with pytest.raises(RunError, match=r"python -m helpers.runs.weights .*results.*_s0"):
        weights.load_model(run)


def test_weights_are_the_ones_that_were_selected(run):
    model = weights.load_model(run)
    assert not model.training
    state = load_file(run.path / weights.WEIGHTS)
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


def test_weights_of_another_network_are_refused(run):
    other = dict(run.record, config=run.record["config"] | {"model": "resnet18"})
    with pytest.raises(RunError, match="does not fit resnet18"):
        weights.load_model(type(run)(run.path, other))


def test_damaged_weights_are_named(run):
    file = run.path / weights.WEIGHTS
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(RunError, match=f"{weights.WEIGHTS} is damaged"):
        weights.load_model(run)


def test_restored_weights_are_the_lost_ones_and_the_run_stays(run):
    file = run.path / weights.WEIGHTS
    lost, record = load_file(file), (run.path / "run.json").read_bytes()
    file.unlink()
    restored, difference = weights.restore(run)
    assert difference == 0 and restored.path == run.path
    assert not (run.path / "replicas").exists()
    found = load_file(file)
    assert all(torch.equal(value, found[name]) for name, value in lost.items())
    assert (run.path / "run.json").read_bytes() == record


def made_elsewhere(run):
    """Let the stored predictions be those of another network, as another processor draws it."""
    with np.load(run.path / "predictions.npz") as arrays:
        stored = dict(arrays)
    for split in ("val", "test"):
        stored[f"{split}_probabilities"] = stored[f"{split}_probabilities"][:, ::-1]
    np.savez(run.path / "predictions.npz", **stored)
    (run.path / weights.WEIGHTS).unlink()
    return load_run(run.path)


def test_another_network_is_kept_as_a_replica(run, capsys):
    lost, before = load_file(run.path / weights.WEIGHTS), run.predictions("test")[1]
    run = made_elsewhere(run)
    files = {f.name: f.read_bytes() for f in run.path.iterdir() if f.suffix != ".lock"}
    assert weights.main([str(run.path)]) == 0
    (replica,) = list_replicas(run)
    said = capsys.readouterr().out
    assert "Another network than the stored one" in said and "too few to say" in said
    assert f"takes results/quick/runs/{run_id(replica)}" in said
    assert weights.main([str(run.path)]) == 0
    assert "the weights of its replica are here" in capsys.readouterr().out
    assert is_replica(replica) and not is_replica(run)
    assert replica.config == run.config and replica.path.parent == run.path / "replicas"
    assert np.array_equal(replica.predictions("test")[1], before)
    assert replica.record["env"]["processor"] and replica.record["env"]["instruction_set"]
    found = load_file(replica.path / weights.WEIGHTS)
    assert all(torch.equal(value, found[name]) for name, value in lost.items())
    assert {f: (run.path / f).read_bytes() for f in files} == files
    assert not (run.path / weights.WEIGHTS).exists()
    assert [r.path for r in list_runs(results_root("quick"))] == [run.path]
    assert list_replicas(replica) == []


def test_a_replica_explains_and_predicts_where_its_run_cannot(run, phantom):
    run = made_elsewhere(run)
    replica, _ = weights.restore(run)
    with pytest.raises(RunError, match=f"name it by `run`, .*{replica.path.name}"):
        weights.load_model(run)
    found = find_run(run_id(replica), profile="quick")
    checkpoint = open_checkpoint(found)
    assert checkpoint.calibration and public_name(found) == run_id(replica)
    images, _ = as_tensor(phantom.test, torch.device("cpu"))
    ours = checkpoint.probabilities(prepare(images, 28))
    assert np.allclose(ours, replica.predictions("test")[1], atol=1e-5)
    maps = open_maps(found, phantom)
    assert (maps.predicted == replica.predictions("test")[1].argmax(axis=1)).all()
    assert (replica.path / "maps.npz").exists() and not (run.path / "maps.npz").exists()


def test_a_replica_without_weights_gets_them_again(run):
    run = made_elsewhere(run)
    first, _ = weights.restore(run)
    record = (first.path / "run.json").read_bytes()
    (first.path / weights.WEIGHTS).unlink()
    again, _ = weights.restore(run)
    assert again.path == first.path and (first.path / weights.WEIGHTS).exists()
    assert (first.path / "run.json").read_bytes() == record


def test_a_replica_that_does_not_come_back_is_not_overwritten(run):
    run = made_elsewhere(run)
    replica = made_elsewhere(weights.restore(run)[0])
    record = (replica.path / "run.json").read_bytes()
    with pytest.raises(RunError, match="the code has changed since commit"):
        weights.restore(run)
    assert (replica.path / "run.json").read_bytes() == record
    assert not (replica.path / weights.WEIGHTS).exists()


def test_other_data_are_refused(run, capsys):
    other = dict(run.record, data=run.record["data"] | {"md5": "1" * 32})
    with pytest.raises(RunError, match="restore the data"):
        weights.restore(type(run)(run.path, other))
    (run.path / weights.WEIGHTS).unlink()
    (run.path / "run.json").write_text(json.dumps(other))
    assert weights.main([str(run.path)]) == 1
    assert "error: the stored run" in capsys.readouterr().err


def test_untrained_networks_follow_their_seed(run):
    a, b, c = (weights.untrained_model(run, pretrained="none", seed=s) for s in (0, 0, 1))
    first, again, other = (m.state_dict()["features.0.0.weight"] for m in (a, b, c))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_the_command_leaves_weights_that_are_there(run, capsys):
    before = (run.path / weights.WEIGHTS).stat().st_mtime_ns
    assert weights.main([str(run.path)]) == 0
    assert "its weights are here" in capsys.readouterr().out
    assert (run.path / weights.WEIGHTS).stat().st_mtime_ns == before


@pytest.mark.parametrize("error", [TrainingDiverged, WeightsUnavailable, RunError])
def test_an_error_of_our_own_is_the_last_line_of_a_command(run, monkeypatch, capsys, error):
    def fail(*_, **__):
        raise error("what came,\nand what to do")

    (run.path / weights.WEIGHTS).unlink()
    monkeypatch.setattr(weights, "make_run", fail)
    assert weights.main([str(run.path)]) == 1
    assert capsys.readouterr().err == "error: what came,\\nand what to do\n"
    monkeypatch.setattr(weights, "make_run", lambda *_, **__: {}["a fault of the code"])
    with pytest.raises(KeyError):
        weights.main([str(run.path)])


def test_the_line_of_a_sweep_is_a_command_too(run, tmp_path, capsys):
    assert progress.main([str(run.path), str(tmp_path)]) == 0
    assert capsys.readouterr().out.startswith("PHANTOM phantom mobilenet_v2")
    for arguments in ([str(tmp_path), str(tmp_path)], []):
        assert progress.main(arguments) == 1
        assert re.fullmatch("error: .*\n", capsys.readouterr().err)


def test_what_a_former_replica_left_is_not_read_as_the_next_one_s(run, capsys):
    run = made_elsewhere(run)
    folder = weights.restore(run)[0].path
    for name in ("run.json", "maps.npz", "shipped.safetensors"):
        (folder / name).write_text("old")
    (folder / "run.json").unlink()
    assert weights.restore(run)[0].path == folder
    assert {f.name for f in (folder / "former" / "1").iterdir()} > {"maps.npz", weights.WEIGHTS}
    assert not (folder / "maps.npz").exists()
    assert weights.load_model(load_run(folder)) is not None
