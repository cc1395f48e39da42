"""Do two processors compute the same? `python -m helpers.runs.portable` compares a digest.

Twenty training steps of two networks, once as this process would compute them and once with the
settings of `params/portable.env` (one instruction set, one thread). The digests of all machines
stand in `results/benchmarks/portable.json`; `--save` adds this one's. Equal digests mean that the
same seed gives the same weights on both machines; otherwise it gives another draw.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from helpers.data.transforms import Augmentation
from helpers.files import DamagedFile, read_json, reading
from helpers.models.registry import build_model
from helpers.paths import repo_root, results_root, write_text
from helpers.terminal import command
from helpers.training.loop import training_step
from helpers.training.schedules import make_optimizer
from helpers.training.seeds import default_device, environment, git_state, portable_settings

SCHEMA = 1
MODELS = ("resnet18", "medspectralnet")
MODES = ("default", "portable")
# In the order of computation: the first one that differs says where two machines part.
STAGES = ("initial weights", "batch", "logits", "gradients", "losses", "weights")
STEPS, BATCH, IMAGE_SIZE = 20, 16, 64


def digest(tensors: Sequence[Tensor]) -> str:
    """Return sixteen hexadecimal digits of the SHA-256 of the tensors' bytes, in their order."""
    found = hashlib.sha256()
    for tensor in tensors:
        found.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()[:16]


def train_case(
    model_name: str, *, steps: int = STEPS, batch_size: int = BATCH, image_size: int = IMAGE_SIZE
) -> tuple[dict[str, str], float]:
    """Train a network from scratch on fixed noise, float32, on the CPU.

    Full augmentation, CutMix and AdamW, as the runs have them; nothing is read from a recipe, so
    that a digest outlives changes of the recipes. Returns a digest for each of `STAGES`, and the
    processor time of the steps, in seconds.
    """
    rng = np.random.Generator(np.random.PCG64(0))  # whole numbers, the same on every machine
    shape = (4 * batch_size, 1, image_size, image_size)
    images = torch.from_numpy(rng.integers(0, 256, shape, dtype=np.uint8))
    labels = torch.from_numpy(rng.integers(0, 2, len(images)))
    torch.manual_seed(0)
    model = build_model(
        model_name, num_classes=2, in_channels=3, image_size=image_size, pretrained="none"
    )
    found = {"initial weights": digest(list(model.state_dict().values()))}
    model.to(memory_format=torch.channels_last)
    parameters = list(model.parameters())
    optimizer = make_optimizer("adamw", parameters, learning_rate=1e-3, weight_decay=0.01)
    augment = Augmentation("full", image_size=image_size, cutmix=0.5)
    generator = torch.Generator().manual_seed(0)
    losses = []
    start = time.process_time()
    for step in range(steps):
        chosen = torch.arange(step * batch_size, (step + 1) * batch_size) % len(images)
        pixels, targets = augment(
            images[chosen], labels[chosen], num_classes=2, generator=generator
        )
        pixels = pixels.contiguous(memory_format=torch.channels_last)
        loss, logits = training_step(
            model,
            pixels,
            targets,
            optimizer=optimizer,
            loss_function=functional.cross_entropy,
            precision="fp32",
        )
        losses.append(loss)
        if step == 0:
            gradients = [p.grad for p in parameters if p.grad is not None]
            first = {"batch": [pixels], "logits": [logits], "gradients": gradients}
            found |= {name: digest(tensors) for name, tensors in first.items()}
    seconds = time.process_time() - start
    found["losses"] = digest(losses)
    found["weights"] = digest(list(model.state_dict().values()))
    return found, seconds


def measure_here() -> dict[str, Any]:
    """Return environment, digests and seconds of this process, by network."""
    torch.set_num_threads(1)
    results = {name: train_case(name) for name in MODELS}
    return {
        "env": environment(default_device()),
        "digests": {name: found for name, (found, _) in results.items()},
        "seconds": {name: seconds for name, (_, seconds) in results.items()},
    }


def measure() -> dict[str, Any]:
    """Measure in two new processes, without and with the settings of `params/portable.env`.

    Returns a row of the record: date, git, and by mode what `measure_here` returns.
    """
    settings = portable_settings()
    plain = {name: value for name, value in os.environ.items() if name not in settings}
    row = {"date": datetime.now(UTC).date().isoformat(), "git": git_state()}
    for mode, extra in zip(MODES, ({"OMP_NUM_THREADS": "1"}, settings), strict=True):
        done = subprocess.run(
            [sys.executable, "-m", "helpers.runs.portable", "--here"],
            env=plain | extra,
            cwd=repo_root(),
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        row[mode] = json.loads(done.stdout.splitlines()[-1])
    return row


def record_path() -> Path:
    """Return the file of all machines' digests."""
    return results_root() / "benchmarks" / "portable.json"


def load_rows() -> list[dict[str, Any]]:
    """Return the stored rows, one a machine.

    Raises:
        ValueError: the file is no such record.
    """
    file = record_path()
    if not file.exists():
        return []
    advice = ": it is not a record of digests; restore it from git."
    with reading(file, ValueError, advice):
        record = read_json(file)
        if record["schema"] != SCHEMA:
            raise DamagedFile(f"{file.name}: schema {record['schema']!r}, expected {SCHEMA}")
        for row in record["machines"]:
            machine(row), [row[mode]["digests"] for mode in MODES]
        return record["machines"]


def save_row(row: dict[str, Any]) -> None:
    """Add a machine's row to the record; an older one of the same machine is replaced."""
    rows = [other for other in load_rows() if machine(other) != machine(row)] + [row]
    text = json.dumps({"schema": SCHEMA, "machines": rows}, indent=1) + "\n"
    write_text(record_path(), text)


def machine(row: dict[str, Any]) -> tuple[str, ...]:
    """Return what tells a row's machine from others: processor, instructions, torch."""
    env = row[MODES[0]]["env"]
    return env["processor"], env["instruction_set"], env["torch"]


def cost(row: dict[str, Any]) -> dict[str, float]:
    """Return by network how many times longer the portable settings take, in processor time."""
    default, portable = (row[mode]["seconds"] for mode in MODES)
    return {name: portable[name] / default[name] for name in default}


def compare(row: dict[str, Any], others: Sequence[dict[str, Any]]) -> list[str]:
    """Say in a line for each machine, mode and network whether this row's digest is the same."""
    lines = []
    for other in others:
        processor, _, version = machine(other)
        for mode in MODES:
            for name in MODELS:
                ours, theirs = (each[mode]["digests"][name] for each in (row, other))
                parted = next((stage for stage in STAGES if ours[stage] != theirs[stage]), None)
                words = "the same" if parted is None else f"another, from the {parted} on"
                lines.append(f"{processor}, torch {version}, {mode}, {name}: {words}")
    return lines


@command
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m helpers.runs.portable", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--save", action="store_true", help=f"add this machine to {record_path()}")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.here:
        print(json.dumps(measure_here()))
        return 0
    stored = load_rows()
    row = measure()
    print(f"this machine: {machine(row)[0]}, torch {machine(row)[2]}")
    for name, ratio in cost(row).items():
        digests = ", ".join(f"{mode} {row[mode]['digests'][name]['weights']}" for mode in MODES)
        print(f"{name}: weights after {STEPS} steps {digests}; portable takes {ratio:.2f} times")
    print("\n".join(compare(row, stored) or ["no machine is stored to compare with"]))
    if options.save:
        save_row(row)
    return 0


if __name__ == "__main__":
    sys.exit(main())
