"""Maps beside a run: what is kept, what is refused."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from helpers.config import make_config
from helpers.data.phantom import make_phantom
from helpers.explain import run_maps
from helpers.explain.cam import explain
from helpers.runs.experiment import run_experiment
from helpers.runs.store import RunError, load_run
from helpers.runs.weights import load_model
from helpers.training.inference import as_tensor, prepare

SPLITS = make_phantom(n_train=16, n_val=8, n_test=10)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run, trained once, in a tree of its own."""
    config = make_config(
        recipe="quick",
        dataset="phantom",
        model="medspectralnet_light",
        seed=0,
        pretrained="none",
        profile="quick",
        image_size=64,
        epochs=1,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REPRO_RESULTS", str(tmp_path_factory.mktemp("trained")))
        return run_experiment(config, splits=SPLITS)


@pytest.fixture
def run(trained, tmp_path):
    """A copy of it for a test to change."""
    return load_run(shutil.copytree(trained.path, tmp_path / trained.path.name))


def test_maps_are_those_of_the_network_and_survive_without_its_weights(run):
    maps = run_maps.open_maps(run, SPLITS)
    assert list(maps.layers) == list(run_maps.open_maps(run, SPLITS).layers)
    assert maps.layers["Second SpectralFlow"] == "spectralflow2"
    images, _ = as_tensor(SPLITS.test, "cpu")
    pixels = prepare(images, 64)
    for name, classes in (("true", maps.labels), ("predicted", maps.predicted)):
        wanted = explain(load_model(run), pixels, layers=["spectralflow2"], classes=classes)
        wanted = wanted["spectralflow2", "gradcam"]
        scale = max(wanted.max(), 1e-12)
        assert np.allclose(maps.maps[name, "spectralflow2"] / scale, wanted / scale, atol=1e-3)
    (run.path / "model.safetensors").unlink()
    again = run_maps.open_maps(run, SPLITS)
    assert all(np.array_equal(again.maps[key], value) for key, value in maps.maps.items())


def test_without_maps_and_weights_the_error_says_what_to_do(run):
    (run.path / "model.safetensors").unlink()
    with pytest.raises(RunError, match=r"helpers.runs.weights"):
        run_maps.open_maps(run, SPLITS)


def test_other_labels_than_those_of_the_run_are_refused(run):
    labels = SPLITS.test.labels.copy()
    labels[3] = 1 - labels[3]
    other = replace(SPLITS, test=replace(SPLITS.test, labels=labels))
    with pytest.raises(RunError):
        run_maps.open_maps(run, other)


def test_of_a_large_split_every_kth_image_is_explained(run, monkeypatch):
    monkeypatch.setattr(run_maps, "MOST_IMAGES", 4)
    maps = run_maps.make_maps(load_model(run), run, SPLITS.test)
    assert maps.indices.tolist() == [0, 3, 6, 9]
    assert maps.labels.tolist() == SPLITS.test.labels[[0, 3, 6, 9]].tolist()


def test_small_values_keep_their_precision(run):
    maps = run_maps.open_maps(run, SPLITS)
    tiny = {key: value * 1e-9 for key, value in maps.maps.items()}
    run_maps.save_maps(replace(maps, maps=tiny), run)
    stored = run_maps.load_maps(run)
    for key, value in tiny.items():
        assert np.allclose(stored.maps[key], value, rtol=2e-3, atol=1e-3 * value.max())


def test_a_damaged_file_is_named(run):
    run_maps.open_maps(run, SPLITS)
    file = run.path / run_maps.FILE
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(RunError, match=r"maps.npz"):
        run_maps.load_maps(run)
