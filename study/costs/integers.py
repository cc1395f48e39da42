"""What 8-bit integers change: the decisions of stored runs on test images, in both forms."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from helpers.data.datasets import load_dataset
from helpers.runs.experiment import check_data
from helpers.runs.store import Run, list_runs
from helpers.runs.weights import load_model, weights_file
from helpers.training.inference import as_tensor, predict, prepare
from study.costs.forms import Runner, export_onnx, onnx_runner, quantise
from study.costs.store import Store
from study.plans.costs import EAGER, INT8, CostPlan


class _Form(nn.Module):
    """A runner in the place of a network, for `predict`."""

    def __init__(self, run: Runner) -> None:
        super().__init__()
        self.run = run

    def forward(self, images: Tensor) -> Tensor:
        return self.run(images.contiguous())


def judged_runs(plan: CostPlan) -> list[Run]:
    """Return the stored runs of the plan whose weights are on this disk."""
    runs = list_runs()
    asked = [wanted | {"model": model} for wanted in plan.int8_runs for model in plan.main]
    found = [run for match in asked for run in runs if match.items() <= run.config.items()]
    return [run for run in found if weights_file(run)]


def measure_accuracy(store: Store, plan: CostPlan, *, threads: int) -> None:
    """Compare the decisions of 8-bit integers on test images with the eager network's."""
    done = {row["run"] for row in store.rows("accuracy")}
    for run in (run for run in judged_runs(plan) if run.path.name not in done):
        store.add("accuracy", **int8_accuracy(run, plan, threads=threads))


def int8_accuracy(run: Run, plan: CostPlan, *, threads: int) -> dict[str, Any]:
    """Quantise a stored run's network, calibrated on its validation images; score both forms.

    The row says what the run is, how many test images each form gets right (`eager`, `int8`), and
    how many the integers lose and gain.
    """
    splits = load_dataset(run.config["dataset"])
    check_data(run, splits)
    image_size = run.config["image_size"]
    model = load_model(run)
    device = torch.device("cpu")
    chosen = np.random.default_rng(0).permutation(len(splits.val.labels))
    chosen = np.sort(chosen[: plan.calibration_images])
    validation = prepare(as_tensor(splits.val, device)[0][chosen], image_size, run.form)
    images, labels = as_tensor(splits.test, device)

    def is_right(network: nn.Module) -> np.ndarray:
        probabilities = predict(
            network,
            images,
            image_size=image_size,
            form=run.form,
            flip_average=run.config["flip_average"],
        )
        return probabilities.argmax(axis=1) == labels.numpy()

    with tempfile.TemporaryDirectory() as folder:
        graph, target = Path(folder) / "run.onnx", Path(folder) / "run_int8.onnx"
        channels = validation.shape[1]
        export = export_onnx(model, graph, image_size=image_size, in_channels=channels)
        quantise(graph, target, images=validation.contiguous().numpy())
        eager = is_right(model)
        int8 = is_right(_Form(onnx_runner(target, threads=threads)))
    return {
        **{key: run.config[key] for key in ("recipe", "dataset", "model", "pretrained", "seed")},
        "run": run.path.name,
        "image_size": image_size,
        "n": len(labels),
        "calibration_images": len(chosen),
        "export_difference": export.difference,
        EAGER: int(eager.sum()),
        INT8: int(int8.sum()),
        "lost": int((eager & ~int8).sum()),
        "gained": int((int8 & ~eager).sum()),
    }
