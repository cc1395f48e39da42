"""Weights that travel with the repository: `python -m helpers.runs.ship RUN` writes them.

Of one light network a kind of images, rounded to half precision, `shipped.safetensors` lies beside
its `run.json`; `helpers.runs.store.find_run` takes the kind's name for it ("bloodmnist"). What the
rounded network does on the test images is measured anew, kept in `shipped.json`, and said in
`CARD.md`, which is made of it and of the run's record.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save

from helpers.config import RunConfig
from helpers.data.datasets import load_dataset
from helpers.data.splits import Splits
from helpers.files import load_template, read_json, reading
from helpers.metrics.calibration import apply_temperature, fit_temperature
from helpers.metrics.scores import Estimate, evaluate, per_class
from helpers.paths import write_text
from helpers.runs.experiment import check_data, digest_of, save_tensors
from helpers.runs.run import is_replica
from helpers.runs.store import SHIPPED, Run, RunError, find_run, kind_of, load_run, lock, run_id
from helpers.runs.weights import load_model
from helpers.terminal import command
from helpers.training.inference import as_tensor, predict_as

MEASURED, CARD = "shipped.json", "CARD.md"
LARGEST = 5 * 2**20  # bytes; a repository is cloned whole


def ship(run: Run, splits: Splits) -> dict[str, Any]:
    """Round a run's weights to half precision, write them, `measure` them, and write the card.

    Raises:
        RunError: the data are not those of the run, its weights are missing, no longer finite when
            rounded, or larger than `LARGEST`.
    """
    check_data(run, splits)
    state = {
        name: value.half().contiguous() if value.is_floating_point() else value.contiguous()
        for name, value in load_model(run).state_dict().items()
    }
    if not all(value.isfinite().all() for value in state.values()):
        raise RunError(f"{run.path.name}: its weights are too large for half precision.")
    if (size := len(save(state))) > LARGEST:
        raise RunError(f"{run.path.name}: {size:,} bytes; at most {LARGEST:,} are shipped.")
    with lock(run.path):
        save_tensors(state, run.path / SHIPPED)
        measured = measure(run, splits)
        write_text(run.path / MEASURED, json.dumps(measured, indent=1) + "\n")
        write_text(run.path / CARD, card(run, measured))
    return measured


def measure(run: Run, splits: Splits) -> dict[str, Any]:
    """Measure the shipped weights of a run, on its data, as they lie on this disk.

    The temperature is the one that predicting applies: fitted on the run's stored validation
    predictions (`helpers.predict.checkpoint.open_checkpoint`).

    Returns:
        `bytes` and `sha256` of the file; `temperature`; `difference`, the largest of a test
        probability to the stored one; of the test split `metrics`, with `ece_calibrated`, and
        `per_class`, as in a record.
    """
    model = load_model(run)
    images, _ = as_tensor(splits.test, torch.device("cpu"))
    y_true = splits.test.labels
    probabilities = predict_as(RunConfig(**run.config), model, images)
    temperature = fit_temperature(*run.predictions("val")).temperature
    metrics = evaluate(y_true, probabilities)
    scaled = evaluate(y_true, apply_temperature(probabilities, temperature))
    metrics["ece_calibrated"] = scaled["ece"]
    stored = run.predictions("test")[1]
    return {
        "bytes": (run.path / SHIPPED).stat().st_size,
        "sha256": digest_of(run.path / SHIPPED),
        "temperature": temperature,
        "difference": float(np.abs(probabilities - stored).max()),
        "metrics": {name: estimate.to_dict() for name, estimate in metrics.items()},
        "per_class": per_class(y_true, probabilities, class_names=splits.class_names),
    }


def read_measured(run: Run) -> dict[str, Any]:
    """Return what `ship` stored of a run's shipped weights.

    Raises:
        RunError: the file is damaged.
    """
    file = run.path / MEASURED
    with reading(file, RunError):
        measured = read_json(file)
        if not 0 <= measured["difference"] <= 1:
            raise RunError(f"difference is {measured['difference']}, expected 0 to 1.")
    return measured


def card(run: Run, measured: dict[str, Any]) -> str:
    """Return the model card, markdown, of a run's record and of what `measure` returns."""
    text = load_template("card.md.j2", escape=False).render(
        record=run.record,
        data=run.record["data"],
        config=run.config,
        measured=measured,
        kind=kind_of(run),
        run_id=run_id(run),
        is_replica=is_replica(run),
        file=SHIPPED,
        estimate=lambda value: Estimate(**value),
        thousands="{:,}".format,
    )
    return f"{text}\n"


@command
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m helpers.runs.ship", description=__doc__.split("\n")[0]
    )
    parser.add_argument("run", nargs="+", help="a run, by its folder or name, or a kind shipped")
    options = parser.parse_args(arguments)
    for name in options.run:
        folder = Path(name)
        run = load_run(folder) if (folder / "run.json").exists() else find_run(name)
        measured = ship(run, load_dataset(run.config["dataset"]))
        accuracy = Estimate(**measured["metrics"]["accuracy"])
        print(f"{run_id(run)}: {measured['bytes']:,} bytes, test accuracy {accuracy}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
