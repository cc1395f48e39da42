"""Trained weights of a stored run: `python -m helpers.runs.weights <folder>` makes them again.

`model.safetensors` lies beside `run.json` on the disk that trained the run. It is too large for the
repository, and it is not needed for tables and figures; explaining a run or predicting with it does
need it. Of a few light networks a smaller file travels along (`helpers.runs.ship`). On another kind
of processor than the run's, the same seed gives another network: it is kept as a replica of the
run, with predictions of its own.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from helpers.config import RunConfig
from helpers.data.datasets import load_dataset
from helpers.files import reading
from helpers.models.registry import build_model
from helpers.runs.checks import seeds_of
from helpers.runs.experiment import check_data, digest_of, make_run, save_weights
from helpers.runs.replicas import describe
from helpers.runs.store import (
    CHECKPOINT,
    SHIPPED,
    WEIGHTS,
    Run,
    RunError,
    list_replicas,
    load_run,
    lock,
    replica_dir,
    run_id,
    tidy,
    write_run,
)
from helpers.terminal import command, path_argument
from helpers.training.seeds import default_device, environment

# Probabilities of a restored run may differ by rounding: another processor adds in another order.
TOLERANCE = 1e-3


def untrained_model(run: Run, *, pretrained: str, seed: int) -> nn.Module:
    """Return the run's network before training, in evaluation mode; random weights by the seed.

    `pretrained` is "none" for random weights throughout, "imagenet" for a trained backbone below
    random blocks and head.
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


def weights_file(run: Run) -> Path | None:
    """Return the file of a run's weights, None if there is none on this disk.

    What was shipped goes first, so that the network is the same one everywhere.
    """
    files = (run.path / SHIPPED, run.path / WEIGHTS)
    return next((file for file in files if file.exists()), None)


def load_model(run: Run) -> nn.Module:
    """Return a run's network with its selected weights, in evaluation mode.

    Raises:
        RunError: the weights are not on this disk, damaged, or of another network.
    """
    file = weights_file(run)
    if file is None:
        near = [replica for replica in list_replicas(run) if weights_file(replica)]
        if near:
            raise RunError(
                f"the weights of {run.path.name} are not on this disk, but those of its replica "
                f"are, another network of the same configuration and seed: name it by `run`, "
                f"{_shown(near[0].path)}."
            )
        raise RunError(
            f"the weights of {run.path.name} ({run.config['dataset']}, {run.config['model']}) are "
            f"not on this disk: {WEIGHTS} is missing beside its run.json. Train them again with "
            f"`python -m helpers.runs.weights {_shown(run.path)}`; it takes as long as the run did "
            f"({run.record['timing']['train_seconds']:.0f} s)."
        )
    model = untrained_model(run, pretrained="none", seed=0)
    with reading(file, RunError, whose=run.path.name):
        tensors = _read_tensors(file, run.config["model"], model.state_dict())
    model.load_state_dict(tensors)
    return model


def _read_tensors(file: Path, model: str, expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of a file, which are those of a network by name, shape and dtype.

    Nothing is read before the shapes are compared, so nothing is larger than the network.
    """
    try:
        with safe_open(file, framework="pt") as stored:
            shapes = {name: tuple(stored.get_slice(name).get_shape()) for name in stored.keys()}  # noqa: SIM118
            _check_fit(file, model, shapes, {name: tuple(t.shape) for name, t in expected.items()})
            _check_digest(file)
            tensors = {name: stored.get_tensor(name) for name in expected}
    except SafetensorError as error:
        raise RunError(f"{file.parent.name}/{file.name} is damaged: {error}.") from error
    if file.name == SHIPPED:  # in half precision
        half = {name for name, tensor in tensors.items() if tensor.dtype == torch.float16}
        tensors |= {name: tensors[name].float() for name in half}
    kinds = {name: tensor.dtype for name, tensor in tensors.items()}
    _check_fit(file, model, kinds, {name: tensor.dtype for name, tensor in expected.items()})
    return tensors


def _check_fit(
    file: Path, model: str, found: Mapping[str, Any], expected: Mapping[str, Any]
) -> None:
    names = sorted(found.keys() | expected.keys())
    unlike = [name for name in names if found.get(name) != expected.get(name)]
    if unlike:
        first = unlike[0]
        raise RunError(
            f"{file.parent.name}/{file.name} does not fit {model}: {len(unlike)} of {len(names)} "
            f"tensors; {first[:100]} is {found.get(first)}, expected {expected.get(first)}."
        )


def _check_digest(file: Path) -> None:
    """Compare the weights with their SHA-256 beside them, which runs of earlier versions lack."""
    beside = file.with_suffix(".sha256")
    if not beside.exists():
        return
    recorded, found = beside.read_bytes().split()[:1], digest_of(file)
    if recorded != [found.encode()]:
        raise RunError(
            f"{file.parent.name}/{file.name} is damaged: its SHA-256 is {found[:16]}..., not what "
            f"{beside.name} says; copy both again, or delete both and train the run again."
        )


def restore(run: Run) -> tuple[Run, float]:
    """Make a stored run again for its weights, and compare it with what is stored.

    Where the validation probabilities are the stored ones, up to `TOLERANCE`, the weights go beside
    the stored run. Else this processor, thread count or version draws another network from the
    same seed: it becomes a replica with its own predictions, and the stored run stays as it is. An
    interrupted training goes on where it stopped.

    Returns:
        The run whose weights are on this disk now, the stored one or its replica; the largest
        difference of a validation probability to the stored run.

    Raises:
        RunError: the data are not those of the run; or a replica of this very machine is stored
            and is another network, as after a change of the code. Then nothing is written.
    """
    config = RunConfig(**run.config)
    splits = load_dataset(config.dataset)
    check_data(run, splits)
    folder = replica_dir(run, environment(default_device()))
    checkpoint = folder / CHECKPOINT
    with lock(run.path):
        if not (folder / "run.json").exists():
            tidy(folder)
        made = make_run(config, splits, checkpoint=checkpoint)
        difference = _distance(made.predictions, run)
        if difference <= TOLERANCE:
            save_weights(made.model, run.path)
            found = run
        elif (folder / "run.json").exists():
            found = load_run(folder)
            if (distance := _distance(made.predictions, found)) > TOLERANCE:
                raise RunError(
                    f"{run_id(found)}: made again on the same kind of machine, its validation "
                    f"probabilities differ by up to {distance:.3f}, so the code has changed since "
                    f"commit {found.record['git']['sha']}; delete the folder to store a new one."
                )
            save_weights(made.model, folder)
        else:
            save_weights(made.model, folder)
            record = made.record | {"config": run.record["config"]}
            found = write_run(folder, record, made.predictions, made.test_curve)
        checkpoint.unlink(missing_ok=True)
        for empty in (folder, folder.parent):
            if empty.exists() and not any(empty.iterdir()):
                empty.rmdir()
    return found, difference


def _distance(predictions: dict[str, np.ndarray], run: Run) -> float:
    """Return the largest difference of a validation probability to a stored run's."""
    return float(np.abs(predictions["val_probabilities"] - run.predictions("val")[1]).max())


def _shown(folder: Path) -> str:
    """Return a folder as a command takes it, without the machine's path where possible."""
    parts = folder.parts
    return "/".join(parts[parts.index("results") :]) if "results" in parts else str(folder)


@command
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m helpers.runs.weights", description=__doc__.split("\n")[0]
    )
    parser.add_argument("run", type=path_argument, nargs="+", help="folder of a stored run")
    options = parser.parse_args(arguments)
    for folder in options.run:
        _make_again(folder)
    return 0


def _make_again(folder: Path) -> None:
    """Restore one run unless its weights are here; say what became of it."""
    run = load_run(folder)
    here = replica_dir(run, environment(default_device()))
    if weights_file(run):
        print(f"{folder}: its weights are here", flush=True)
        return
    if (here / "run.json").exists() and (here / WEIGHTS).exists():
        print(f"{folder}: the weights of its replica are here: {_shown(here)}", flush=True)
        return
    found, difference = restore(run)
    print(f"{folder}: made again")
    if found is run:
        print(f"  the same network, largest difference {difference:.1e}", flush=True)
        return
    for line in describe(found, seeds_of(run)):
        print(f"  {line}")
    print(f"  Kept as a replica; `run` of 06 and 11 takes {_shown(found.path)}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
