"""From networks and images to stored measures."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from torch import nn

from helpers.data.phantom import make_phantom
from helpers.data.splits import Split
from helpers.models.registry import build_model
from helpers.runs.store import RunError
from study.maps import measure as study
from study.maps.scores import CHANCE, VIEWS, load_scores
from study.plans.maps import load_plan
from tests.fabricated import fabricate_run

PLAN = load_plan()
PHANTOM = make_phantom(n_train=8, n_val=8, n_test=12)


def network(study, name):
    """Return a network of a study by its id."""
    return next(network for network in study.networks if network.id == name)


class Dark(nn.Module):
    """A network whose class 1 is darkness: its map shows where the image is dark."""

    def __init__(self):
        super().__init__()
        self.features = nn.Conv2d(3, 1, 8, stride=8, bias=False)
        nn.init.constant_(self.features.weight, -1.0)
        self.fc = nn.Linear(1, 2)
        nn.init.constant_(self.fc.weight, 1.0)

    def forward(self, x):
        return self.fc(self.features(x).relu().mean(dim=(2, 3)))


def lesions():
    """Bright images with a dark square off centre, and its box."""
    images = np.full((6, 64, 64, 1), 255, dtype=np.uint8)
    boxes = np.full((6, 4), np.nan, dtype=np.float32)
    for i in range(6):
        x, y = 16 + 8 * (i % 3), 24
        images[i, y : y + 16, x : x + 16] = 0
        boxes[i] = x, y, 16, 16
    return Split(images=images, labels=np.ones(6, dtype=np.int64), boxes=boxes)


def at(measured, view, measure):
    return measured["values"][VIEWS.index(view), 0, 0, PLAN.measures.index(measure)]


def test_a_network_that_sees_the_lesion_scores_high_in_both_views():
    split = lesions()
    measured = study.measure_network(Dark(), val=split, test=split, image_size=64, plan=PLAN)
    for view in VIEWS:
        assert at(measured, view, "pointing").min() == 1
        assert at(measured, view, "energy").mean() > 0.6
    # The threshold chosen on the validation images, here the same, is used.
    assert at(measured, "whole", "iou_best").mean() >= at(measured, "whole", "iou").mean()
    assert measured["resolution"] == (8, 8)
    assert measured["empty"].shape == (1, len(PLAN.methods))


def test_chance_is_the_share_of_the_box_in_every_measure():
    split = lesions()
    measured = study.measure_controls(val=split, test=split, resolution=(8, 8), plan=PLAN)
    assert measured["rows"][0] == CHANCE
    share = 16 * 16 / 64**2
    for name in ("pointing", "energy", "iou"):
        assert at(measured, "whole", name) == pytest.approx(np.full(6, share))
    assert at(measured, "whole", "half_area") == pytest.approx(np.full(6, 0.5))
    dark = measured["values"][0, measured["rows"].index("darkness"), 0]
    assert dark[PLAN.measures.index("energy")].mean() > 0.6


def test_a_crop_without_the_lesion_is_left_out_of_the_average():
    split = lesions()
    boxes = split.boxes.copy()
    boxes[0] = 0, 0, 8, 8  # only the crop from the upper left corner shows it
    split = replace(split, boxes=boxes)
    measured = study.measure_controls(val=split, test=split, resolution=(8, 8), plan=PLAN)
    assert at(measured, "crops", "energy")[0] == pytest.approx(8 * 8 / 48**2)
    assert at(measured, "whole", "energy")[0] == pytest.approx(8 * 8 / 64**2)


def test_medspectralnet_is_measured_in_all_layers_with_all_methods():
    model = build_model("medspectralnet_light", num_classes=2, image_size=64, pretrained="none")
    val, test = study.with_boxes(PHANTOM.val), study.with_boxes(PHANTOM.test)
    measured = study.measure_network(model.eval(), val=val, test=test, image_size=64, plan=PLAN)
    assert measured["rows"][-1] == "spectralflow2"
    shape = (len(VIEWS), 5, len(PLAN.methods), len(PLAN.measures), len(test))
    assert measured["values"].shape == shape
    assert np.isfinite(measured["values"]).any(axis=-1).all()


def test_only_images_with_a_box_are_measured():
    assert len(study.with_boxes(PHANTOM.test)) == 6
    assert (study.with_boxes(PHANTOM.test).labels == 1).all()
    with pytest.raises(ValueError, match="no image has a lesion box"):
        study.with_boxes(replace(PHANTOM.test, boxes=None))


def test_a_missing_seed_is_named_with_the_command_that_trains_it(results_tree):
    chosen = PLAN.study("arcade")
    for seed in range(4):
        fabricate_run(chosen.dataset, "medspectralnet", recipe="common_224", epochs=20, seed=seed)
    with pytest.raises(RunError, match=r"no run with seed 4; `make sweep PROFILE=paper`"):
        study.runs_of(chosen, network(chosen, "medspectralnet"))


def test_trained_and_shuffled_runs_are_told_apart_and_shorter_ones_left_out(results_tree):
    chosen = PLAN.study("arcade")
    for epochs, noise, seed in product((20, 10), (0.0, 0.5), chosen.seeds):
        options = {"recipe": "common_224", "epochs": epochs, "label_noise": noise}
        fabricate_run(chosen.dataset, "medspectralnet", seed=seed, **options)
    for name, noise in (("medspectralnet", 0.0), ("shuffled", 0.5)):
        runs = study.runs_of(chosen, network(chosen, name))
        assert [run.config["seed"] for run in runs] == list(chosen.seeds)
        assert {run.config["label_noise"] for run in runs} == {noise}
        assert {run.config["epochs"] for run in runs} == {20}


def test_a_study_writes_each_file_once(results_tree, monkeypatch):
    whole = PLAN.study("phantom")
    chosen = whole.model_copy(update={"seeds": (0, 1), "networks": whole.networks[:1]})
    options = {"recipe": "common_224", "epochs": None, "image_size": 96, "profile": "phantom"}
    for seed in chosen.seeds:
        fabricate_run("phantom", "medspectralnet", seed=seed, **options)
    monkeypatch.setattr(study, "load_dataset", lambda name: PHANTOM)
    monkeypatch.setattr(study, "load_model", lambda run: Dark().eval())
    files = study.run_study(chosen, PLAN)
    assert [file.name for file in files] == ["phantom_medspectralnet.npz", "phantom_controls.npz"]
    assert study.run_study(chosen, PLAN) == []
    scores = load_scores(files[0])
    assert scores.values.shape[0] == 2
    assert scores.about["data"]["phantom"]
    assert len(scores.groups) == 6
