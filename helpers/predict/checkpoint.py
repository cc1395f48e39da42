"""A stored run, opened to predict with: found by name, weights loaded, temperature fitted."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from helpers.data.pictures import Reading
from helpers.data.splits import DataError
from helpers.metrics.calibration import Calibration, fit_temperature
from helpers.paths import given_path
from helpers.predict.graph import fold_batch_norms, record_steps
from helpers.predict.reading import MIN_SIDE
from helpers.runs import store
from helpers.runs.store import Run, RunError, load_run
from helpers.runs.weights import load_model
from helpers.training.inference import class_probabilities
from helpers.training.seeds import default_device


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A run that can predict."""

    run: Run  # the stored run
    model: nn.Module  # its network with the selected weights, in evaluation mode
    # Temperature from its validation predictions; None if it has none of these.
    calibration: Calibration | None

    @property
    def class_names(self) -> tuple[str, ...]:
        """One name a class, in the order of the probabilities."""
        return tuple(self.run.record["data"]["class_names"])

    @property
    def image_size(self) -> int:
        """Side of the network's input in pixels."""
        return self.run.config["image_size"]

    @property
    def is_grey(self) -> bool:
        """Whether the run was trained on grey images."""
        return self.run.record["data"]["in_channels"] == 1

    @cached_property
    def reading(self) -> Reading:
        """How the files were read that the run was trained on."""
        return Reading.from_record(self.run.record["data"].get("reading"))

    @property
    def min_side(self) -> int:
        """The smallest side in pixels of an image that holds enough to be predicted.

        Images as small as the run's own are read whatever their size.
        """
        return min(MIN_SIDE, self.run.record["data"]["image_size"])

    @cached_property
    def graph(self) -> Callable[[Tensor], Tensor]:
        """The network as it predicts: batch norms folded, and on a CPU its steps recorded.

        From float32 (B, C, S, S) to logits (B, K), the same but for rounding.
        """
        device = next(self.model.parameters()).device
        channels = self.run.form.in_channels(1 if self.is_grey else 3)
        sample = torch.randn(
            (2, channels, self.image_size, self.image_size),
            generator=torch.Generator().manual_seed(0),
        ).to(device)
        folded = fold_batch_norms(self.model, sample)
        return record_steps(folded, sample) if device.type == "cpu" else folded

    def probabilities(self, pixels: Tensor) -> np.ndarray:
        """Return what the network says of pixels from `helpers.training.inference.prepare`.

        From float32 (B, C, S, S) to float32 (B, K), not calibrated; with `flip_average` the mean of
        image and mirror image.
        """
        pixels = pixels.to(next(self.model.parameters()).device)
        with torch.inference_mode():
            probabilities = class_probabilities(
                self.graph, pixels, flip_average=self.run.config["flip_average"]
            )
        return probabilities.cpu().numpy()


def open_checkpoint(run: Run) -> Checkpoint:
    """Load a run's weights, to the GPU if there is one, and fit its temperature.

    Nothing is unpickled: weights are safetensors, predictions are read with `allow_pickle=False`.

    Raises:
        RunError: weights that are missing, damaged or of another network; damaged predictions;
            files read in a way that is not known here.
    """
    try:
        Reading.from_record(run.record["data"].get("reading"))
    except DataError as error:
        raise RunError(f"{run.path.name}: {error}") from None
    model = load_model(run).to(default_device(), memory_format=torch.channels_last)
    calibration = None
    if (run.path / store.PREDICTIONS).exists() and run.has_predictions("val"):
        calibration = fit_temperature(*run.predictions("val"))
    checkpoint = Checkpoint(run, model, calibration)
    _ = checkpoint.graph  # before several threads ask for it at once
    return checkpoint


def find_run(name: str | Path, *, profile: str = "paper") -> Run:
    """Find a run by a folder on this disk, or else by its name in the run store of a profile.

    `name` is a folder that holds `run.json` and weights (or one of these files), as seen from here;
    or a name for `helpers.runs.store.find_run`.

    Raises:
        RunError: no such run (the message lists the nearest), or several.
    """
    path = given_path("the name of the run", name)
    if os.path.isfile(path) and path.name in ("run.json", store.WEIGHTS, store.SHIPPED):
        path = path.parent
    # A folder that merely has the name of a kind of images is no run.
    if os.path.isdir(path) and ((path / "run.json").exists() or len(Path(name).parts) > 1):
        return load_run(path.absolute())
    return store.find_run(str(name), profile=profile)


def public_name(run: Run) -> str:
    """Return a run's name in the store; of a folder elsewhere its own name, never its path."""
    name = store.run_id(run)
    above = run.path.parts[: -1 - name.count("/")]
    return name if above and above[-1] == "runs" else run.path.name
