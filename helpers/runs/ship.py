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

from helpers.data.datasets import load_dataset
from helpers.data.splits import Splits
from helpers.files import read_json, reading
from helpers.metrics.calibration import apply_temperature, fit_temperature
from helpers.metrics.scores import Estimate, evaluate, per_class
from helpers.paths import write_atomically
from helpers.runs.experiment import check_data, digest_of, save_tensors
from helpers.runs.store import (
    SHIPPED,
    Run,
    RunError,
    find_run,
    is_replica,
    kind_of,
    load_run,
    run_id,
)
from helpers.runs.weights import load_model
from helpers.terminal import command
from helpers.training.inference import as_tensor, predict

MEASURED, CARD = "shipped.json", "CARD.md"
LARGEST = 5 * 2**20  # bytes; a repository is cloned whole


def ship(run: Run, splits: Splits) -> dict[str, Any]:
    """Round a run's weights to half precision, write them, measure them, and write the card.

    Args:
        run: its weights are on this disk.
        splits: its data.

    Returns:
        What `measure` found.

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
    save_tensors(state, run.path / SHIPPED)
    measured = measure(run, splits)
    for name, text in {
        MEASURED: json.dumps(measured, indent=1) + "\n",
        CARD: card(run, measured),
    }.items():
        with write_atomically(run.path / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return measured


def measure(run: Run, splits: Splits) -> dict[str, Any]:
    """Measure the shipped weights of a run as they lie on this disk.

    The temperature is the one that predicting applies: fitted on the run's stored validation
    predictions (`helpers.predict.checkpoint.calibration_of`).

    Args:
        run: with shipped weights.
        splits: its data.

    Returns:
        `bytes` and `sha256` of the file; `temperature`; `difference`, the largest of a test
        probability to the stored one; of the test split `metrics`, with `ece_calibrated`, and
        `per_class`, as in a record.
    """
    model = load_model(run)
    images, _ = as_tensor(splits.test, torch.device("cpu"))
    config, y_true = run.config, splits.test.labels
    probabilities = predict(
        model,
        images,
        image_size=config["image_size"],
        flip_average=config["flip_average"],
        form=run.form,
    )
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
    data, config, record = run.record["data"], run.config, run.record
    metrics = {name: Estimate(**value) for name, value in measured["metrics"].items()}
    before = Estimate(**record["metrics"]["test"]["accuracy"])
    sizes = data["n"]
    rows = [
        f"| {row['class']} | {row['n']} | {Estimate(**row['sensitivity'])} "
        f"| {Estimate(**row['ppv'])} |"
        for row in measured["per_class"]
    ]
    return f"""\
# {config["model"]} on {data["name"]}

**Not for clinical use.** Research weights of a reproduction, never tested on patients.

```bash
python -m helpers.predict --run {kind_of(run)} --images my_images --output my_predictions
```

## Data

{data["source"]} (MD5 `{data["md5"]}`), {data["licence"] or "licence not recorded"}: \
{sizes["train"]:,} training, \
{sizes["val"]:,} validation and {sizes["test"]:,} test images of {data["image_size"]} px, \
{"grey" if data["in_channels"] == 1 else "colour"}. Classes: {"; ".join(data["class_names"])}.

## Protocol

{record["model"]["params"]:,} parameters, from {record["model"]["weights"] or "random weights"}; \
recipe `{config["recipe"]}`: images scaled to {config["image_size"]} px, \
{config["epochs"]} epochs, batch {config["batch_size"]}, \
{config["optimizer"]}, learning rate {config["learning_rate"]:g}, \
augmentation `{config["augmentation"]}`. Epoch {record["selection"]["epoch"]} was kept \
({record["selection"]["rule"]}); answers are \
{"the mean over image and mirror image" if config["flip_average"] else "of the image as it is"}. \
Seed {config["seed"]}: the first one, not the best. Run `{run_id(run)}`\
{", a replica of the run of that name" if is_replica(run) else ""}; code at \
`{record["git"]["sha"][:12]}`.

`{SHIPPED}`: half precision, {measured["bytes"] / 2**20:.2f} MiB, SHA-256 `{measured["sha256"]}`.

## Measured

These very weights, on the {sizes["test"]:,} test images, read once; intervals are 95 %.

| | |
| --- | --- |
| accuracy | {metrics["accuracy"]} |
| accuracy before rounding to half precision | {before} |
| AUC | {metrics["auc"]} |
| balanced accuracy | {metrics["balanced_accuracy"]} |
| calibration error (ECE) as the network answers | {metrics["ece"]} |
| ECE as it is shown, T = {measured["temperature"]:.2f} from validation images | \
{metrics["ece_calibrated"]} |

Rounding changes a test probability by at most {measured["difference"]:.4f}.

| class | test images | found (sensitivity) | right where named (PPV) |
| --- | --- | --- | --- |
{chr(10).join(rows)}

## Not to be used for

- Any decision about a person: it is no medical device, and nobody has tried it on patients.
- Images of another machine, hospital, stain, view or crop: the numbers above say nothing of them. \
It names one of its classes whatever it is shown.
- Full-size images: it learned from {data["image_size"]} px copies; a finding smaller than a pixel \
of these is lost.
- A ranking of networks: this is one seed. Comparisons are in `results/README.md`.
"""


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
