"""The trained weights of a stored run: `python -m helpers.weights <run folder>` makes them again.

`model.safetensors` lies beside `run.json` on the disk that trained the run. It is too large for the
repository (but for one light network), and it is not needed for tables and figures; explaining a
run or predicting with it does need it.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from helpers.config import RunConfig
from helpers.data.datasets import load_dataset
from helpers.experiment import check_data, fit_from_config
from helpers.models.registry import build_model
from helpers.paths import write_atomically
from helpers.reproducibility import default_device
from helpers.results import Run, RunError, load_run, lock
from helpers.training import as_tensor, predict

FILE = "model.safetensors"
# Probabilities of a restored run may differ by rounding: another processor adds in another order.
TOLERANCE = 1e-3


def config_of(run: Run) -> RunConfig:
    """Return the configuration that a stored run was made from."""
    known = {field.name for field in fields(RunConfig)}
    return RunConfig(**{name: value for name, value in run.config.items() if name in known})


def untrained_model(run: Run, *, pretrained: str, seed: int) -> nn.Module:
    """Return the run's network before training, in evaluation mode.

    Args:
        run: Any run of the architecture.
        pretrained: "none" for random weights throughout, "imagenet" for a trained backbone below
            random blocks and head.
        seed: Seed of the random weights.
    """
    data, config = run.record["data"], run.config
    torch.manual_seed(seed)
    model = build_model(
        config["model"],
        num_classes=data["num_classes"],
        in_channels=run.form.in_channels(data["in_channels"]),
        image_size=config["image_size"],
        pretrained=pretrained,
    )
    return model.eval()


def load_model(run: Run) -> nn.Module:
    """Return a run's network with its selected weights, in evaluation mode.

    Raises:
        RunError: the weights are not on this disk, damaged, or of another network.
    """
    file = run.path / FILE
    if not file.exists():
        raise RunError(
            f"the weights of {run.path.name} ({run.config['dataset']}, {run.config['model']}) are "
            f"not on this disk: {FILE} is missing beside its run.json. Train them again with "
            f"`python -m helpers.weights {_shown(run.path)}`; it takes as long as the run did "
            f"({run.record['timing']['train_seconds']:.0f} s)."
        )
    try:
        state = load_file(file)
    except SafetensorError as error:
        raise RunError(f"{run.path.name}/{FILE} is damaged: {error}.") from error
    model = untrained_model(run, pretrained="none", seed=0)
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise RunError(
            f"{run.path.name}/{FILE} does not fit {run.config['model']}: {str(error)[:300]}"
        ) from error
    return model


def restore(run: Run) -> float:
    """Train a stored run again for its weights, and compare it with what is stored.

    The run itself (`run.json`, predictions) stays as it is, and the test split is not read.

    Returns:
        The largest difference of a validation probability to the stored one; 0 on the processor
        and thread count that made the run.

    Raises:
        RunError: the data are not those of the run, or the new network is another one: a
            difference above `TOLERANCE`, as on another processor or after a change of versions.
            Then nothing is written.
    """
    config = config_of(run)
    splits = load_dataset(config.dataset)
    check_data(run, splits)
    with lock(run.path):
        model, _, splits = fit_from_config(config, splits)
        images, _ = as_tensor(splits.val, default_device())
        ours = predict(
            model,
            images,
            image_size=config.image_size,
            flip_average=config.flip_average,
            form=config.form,
        )
        difference = float(np.abs(ours - run.predictions("val")[1]).max())
        if difference > TOLERANCE:
            raise RunError(
                f"{run.path.name}: trained again, its validation probabilities differ from the "
                f"stored ones by up to {difference:.3f}. The run was made on "
                f"{run.record['env']['device']} with torch {run.record['env']['torch']} and "
                f"{run.record['env']['threads']} thread(s); for weights that fit the numbers here, "
                "delete its folder and train it as a run of your own."
            )
        with write_atomically(run.path / FILE) as temporary:
            save_file({k: v.contiguous() for k, v in model.state_dict().items()}, temporary)
    return difference


def _shown(folder: Path) -> str:
    """Return a folder as a command takes it, without the machine's path where possible."""
    parts = folder.parts
    return "/".join(parts[parts.index("results") :]) if "results" in parts else str(folder)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m helpers.weights", description=__doc__.split("\n")[0]
    )
    parser.add_argument("run", type=Path, nargs="+", help="folder of a stored run")
    options = parser.parse_args(arguments)
    for folder in options.run:
        run = load_run(folder)
        if (run.path / FILE).exists():
            print(f"{folder}: its weights are here")
            continue
        print(f"{folder}: restored, largest difference {restore(run):.1e}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
