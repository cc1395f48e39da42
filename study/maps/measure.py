"""Grad-CAM as a measurement: `python -m study maps` fills `results/localisation`.

What is measured, against which controls and by which rule stands in `params/localisation.yaml`. One
file a network and one for the controls that know no network; tables, figures and verdicts are made
from these files alone (`study.tables.maps`). Making them needs the images and the weights of the
runs, reading them neither.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from helpers.config import IMAGENET_RGB, InputForm
from helpers.data.datasets import load_dataset
from helpers.data.splits import Split
from helpers.explain import boxes
from helpers.explain import controls as saliency_controls
from helpers.explain.cam import explain, stage_layers, upsample
from helpers.explain.run_maps import open_maps
from helpers.runs.store import Run, RunError, find_runs
from helpers.runs.weights import load_model, untrained_model
from helpers.terminal import command
from helpers.training.inference import prepare
from helpers.training.seeds import environment, git_state
from study.maps.scores import CHANCE, CROPS, VIEWS, WHOLE, save_scores
from study.plans.maps import CONTROLS, MapPlan, Network, Study, load_plan

# (row, method) -> maps (N, h, w).
_Maps = dict[tuple[str, str], np.ndarray]


# --- measuring ---


def with_boxes(split: Split) -> Split:
    """Return the images of a split that have a lesion box; a `ValueError` where none has."""
    if split.boxes is None or not (has_box := np.isfinite(split.boxes).all(axis=1)).any():
        raise ValueError("no image has a lesion box; localisation cannot be measured here.")
    return split.take(np.flatnonzero(has_box))


def _measured(view: boxes.View, maps: np.ndarray, plan: MapPlan, best: float) -> np.ndarray:
    """Return measures (measures, N) of coarse maps of a view, NaN where it left an image out."""
    inside, size = view.inside, view.images.shape[1:3]
    scores = np.full((len(plan.measures), len(inside)), np.nan)
    if inside.any():
        large, masks = upsample(maps[inside], size), boxes.box_masks(view.boxes[inside], size[0])
        scores[:, inside] = (
            boxes.pointing(large, masks),
            boxes.energy_inside(large, masks),
            boxes.iou(large, masks, threshold=plan.threshold),
            boxes.iou(large, masks, threshold=best),
            boxes.half_energy_area(large),
        )
    return scores


def measure_network(
    model: nn.Module,
    *,
    val: Split,
    test: Split,
    image_size: int,
    plan: MapPlan,
    form: InputForm = IMAGENET_RGB,
) -> dict[str, Any]:
    """Measure the maps of one network on test images with boxes.

    Validation images with boxes choose the threshold of `iou_best`; the image size, in pixels, and
    the form are those of the network's input.

    Returns:
        values (views, layers, methods, measures, N), thresholds and empty (layers, methods), the
        layers' names and titles, the methods, and the resolution (h, w) of the last layer's maps.
    """
    titles = {name: title for title, name in stage_layers(model, image_size=image_size).items()}

    def maps_of(images: np.ndarray, labels: np.ndarray) -> _Maps:
        pixels = torch.from_numpy(images).permute(0, 3, 1, 2)
        inputs = prepare(pixels, image_size, form)
        return explain(model, inputs, layers=list(titles), classes=labels, methods=plan.methods)

    return _measure_all(titles, plan.methods, maps_of, val=val, test=test, plan=plan)


def measure_controls(
    *, val: Split, test: Split, resolution: tuple[int, int], plan: MapPlan
) -> dict[str, Any]:
    """Measure what knows no network, at the resolution of a network's map; see `measure_network`.

    The first row is chance: a map that is the same everywhere.
    """
    rows = (CHANCE, *plan.input_controls)

    def map_of(row: str, images: np.ndarray) -> np.ndarray:
        if row == CHANCE:
            return np.ones((len(images), *resolution), dtype=np.float32)
        if row == "gaussian":
            maps = saliency_controls.centred_gaussian(len(images), images.shape[1])
        else:
            maps = getattr(saliency_controls, row)(images)
        return saliency_controls.at_resolution(maps, resolution)

    def maps_of(images: np.ndarray, labels: np.ndarray) -> _Maps:
        return {(row, "input"): map_of(row, images) for row in rows}

    titles = dict(zip(rows, rows, strict=True))
    found = _measure_all(titles, ["input"], maps_of, val=val, test=test, plan=plan)
    return found | {"empty": np.zeros((len(rows), 1))}


def _measure_all(
    titles: Mapping[str, str],
    methods: Sequence[str],
    maps_of: Callable[[np.ndarray, np.ndarray], _Maps],
    *,
    val: Split,
    test: Split,
    plan: MapPlan,
) -> dict[str, Any]:
    """Measure the maps that a function makes of images and labels, by titled row and by method."""
    cells = [(row, method) for row in titles for method in methods]
    size = val.images.shape[1:3]
    val_maps, val_masks = maps_of(val.images, val.labels), boxes.box_masks(val.boxes, size[0])
    best = {
        cell: boxes.best_threshold(upsample(val_maps[cell], size), val_masks)[0] for cell in cells
    }
    values, empty = [], []
    whole, *crops = boxes.shifted_crops(test.images, test.boxes, crop=plan.crop)
    for name, views in ((WHOLE, [whole]), (CROPS, crops)):
        maps = [maps_of(view.images, test.labels) for view in views]
        for cell in cells:
            pairs = zip(views, maps, strict=True)
            scores = np.stack([_measured(v, m[cell], plan, best[cell]) for v, m in pairs])
            # Of each image the mean over the views that keep its lesion.
            values.append(np.ma.masked_invalid(scores).mean(axis=0).filled(np.nan))
            if name == WHOLE:
                empty.append(float((maps[0][cell].max(axis=(1, 2)) <= 0).mean()))
    grid = (len(titles), len(methods))
    return {
        "values": np.stack(values).reshape(len(VIEWS), *grid, len(plan.measures), len(test)),
        "thresholds": np.array([best[cell] for cell in cells]).reshape(grid),
        "empty": np.array(empty).reshape(grid),
        "rows": list(titles),
        "titles": list(titles.values()),
        "methods": list(methods),
        "resolution": val_maps[cells[-1]].shape[1:],
    }


# --- files ---


def runs_of(study: Study, network: Network) -> list[Run]:
    """Return the stored runs of a network, one a seed of the study; a `RunError` if one lacks."""
    stored = find_runs(profile=study.profile, **network.runs)
    found = {run.config["seed"]: run for run in stored}
    if missing := [seed for seed in study.seeds if seed not in found]:
        raise RunError(
            f"{study.name}, {network.title}: no run with seed {', '.join(map(str, missing))}; "
            f"`make sweep PROFILE={study.profile}` trains it."
        )
    return [found[seed] for seed in study.seeds]


def run_study(study: Study, plan: MapPlan, *, anew: bool = False) -> list[Path]:
    """Measure what a study's folder does not hold yet, or `anew` all; return the files written.

    A `RunError` where runs of a network are missing; the others were measured all the same.
    """
    splits = load_dataset(study.dataset)
    val, test = with_boxes(splits.val), with_boxes(splits.test)
    given = {"val": val, "test": test, "plan": plan}
    # Each image is its own group where none are known.
    groups = np.arange(len(test)) if test.groups is None else test.groups
    groups = np.unique(groups, return_inverse=True)[1]
    written, failed = [], []

    def save(name: str, measured: Sequence[dict[str, Any]], runs: Sequence[Run]) -> None:
        about = {
            "data": {"name": splits.name, "md5": splits.md5, "phantom": splits.is_phantom},
            "images": len(test),
            "runs": [run.path.name for run in runs],
            "env": environment(torch.device("cpu")),
            "git": git_state(),
        }
        written.append(study.file(name))
        save_scores(written[-1], measured, measures=plan.measures, groups=groups, about=about)

    for network in study.networks:
        if study.file(network.id).exists() and not anew:
            continue
        try:
            runs = runs_of(study, network)
        except RunError as error:  # the others are measured first
            failed.append(str(error))
            continue
        measured = []
        for run in runs:
            seed, side = run.config["seed"], run.config["image_size"]
            if network.start is None:
                model = load_model(run)
            else:
                model = untrained_model(run, pretrained=network.start, seed=seed)
            measured.append(measure_network(model, image_size=side, form=run.form, **given))
            print(f"{study.name}, {network.title}, seed {seed}: measured", flush=True)
        save(network.id, measured, runs)
        if network.id == study.networks[0].id:
            controls = measure_controls(resolution=measured[0]["resolution"], **given)
            save(CONTROLS, [controls], runs)
    if failed:
        raise RunError(" ".join(failed))
    return written


def map_runs(plan: MapPlan) -> None:
    """Make the maps of the stored runs whose focus the plan asks for, where they are missing."""
    for focus in plan.focus:
        splits = load_dataset(focus.runs["dataset"])
        for run in find_runs(**focus.runs, label_noise=0.0):
            maps = open_maps(run, splits)
            print(f"{run.config['dataset']}, seed {run.config['seed']}: {len(maps.indices)} images")


@command
def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    plan, about = load_plan(), __doc__.split("\n")[0]
    parser = argparse.ArgumentParser(prog="python -m study maps", description=about)
    parser.add_argument("--study", choices=[study.name for study in plan.studies], action="append")
    parser.add_argument("--anew", action="store_true", help="measure also what is stored")
    parser.add_argument("--runs", action="store_true", help="only make the maps of stored runs")
    options = parser.parse_args(arguments)
    if options.runs:
        return map_runs(plan)
    for study in plan.studies:
        if not options.study or study.name in options.study:
            written = run_study(study, plan, anew=options.anew)
            print(f"{study.name}: {len(written)} files written")
