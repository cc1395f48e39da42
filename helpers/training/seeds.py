"""Seeds and the record of the software and hardware that a run used."""

import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import torch

from helpers.files import reading
from helpers.paths import is_on, repo_root

PORTABLE = "REPRO_PORTABLE"


def default_device() -> torch.device:
    """Return the GPU if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def epoch_generator(seed: int, epoch: int) -> torch.Generator:
    """Seed everything that one epoch draws, and return the generator for order and augmentation.

    Each epoch (from 1; 0 is for the initial weights) depends on (seed, epoch) alone, so an
    interrupted run need not save generator states to continue as if it had never stopped.
    """
    mixed = int(np.random.SeedSequence([seed, epoch]).generate_state(1, np.uint64)[0] >> 1)
    torch.manual_seed(mixed)  # dropout, initial weights
    return torch.Generator().manual_seed(mixed)


def processor_name() -> str:
    """Return the processor's model as the system names it; the architecture where it does not.

    With family and model number: a virtual machine's processor often hides its name.
    """
    try:
        lines = Path("/proc/cpuinfo").read_text().partition("\n\n")[0].splitlines()
    except OSError:
        lines = []
    facts = {key.strip(): value.strip() for key, _, value in (x.partition(":") for x in lines)}
    if "model name" not in facts:
        return platform.processor() or platform.machine()
    numbers = [f"{key.split()[-1]} {facts[key]}" for key in ("cpu family", "model") if key in facts]
    return facts["model name"] + (f" ({', '.join(numbers)})" if numbers else "")


def instruction_set() -> str:
    """Return the processor's vector and matrix instructions, by which kernels are chosen."""
    kinds = ("avx", "fma", "amx", "neon", "sve", "sme", "bf16", "i8mm")
    found = torch.cpu.get_capabilities()
    return " ".join(sorted(n for n, has in found.items() if has is True and n.startswith(kinds)))


def portable_settings() -> dict[str, str]:
    """Return the environment variables of `params/portable.env`.

    Raises:
        ValueError: a line is neither a comment nor `NAME=value`, or `REPRO_PORTABLE` is missing.
    """
    path = repo_root() / "params" / "portable.env"
    with reading(path, ValueError):
        lines = path.read_text(encoding="utf-8").splitlines()
        pairs = [line.partition("=") for line in lines if line and not line.startswith("#")]
        if odd := [name for name, _, value in pairs if not (name.isidentifier() and value)]:
            raise ValueError(f"{odd[0]!r:.80} begins no line NAME=value.")
        settings = {name: value for name, _, value in pairs}
        if PORTABLE not in settings:
            raise ValueError(f"{PORTABLE} is missing.")
        return settings


def is_portable() -> bool:
    """Say whether this process computes with the one instruction set of `params/portable.env`.

    Raises:
        ValueError: `REPRO_PORTABLE` asks for it, but torch was loaded without the settings;
            or it says neither yes nor no.
    """
    settings = portable_settings()
    in_force = {name: os.environ.get(name) for name in settings if name != PORTABLE}
    # torch read its variable when it was loaded: one that was set later has no effect.
    in_force["ATEN_CPU_CAPABILITY"] = torch.backends.cpu.get_cpu_capability().lower()
    in_force["OMP_NUM_THREADS"] = str(torch.get_num_threads())
    missing = [f"{k}={settings[k]}" for k, value in in_force.items() if value != settings[k]]
    if is_on(PORTABLE) and missing:
        raise ValueError(
            f"{PORTABLE}={settings[PORTABLE]}, but {', '.join(missing)} was not in force when "
            "torch was loaded: start with `set -a; . params/portable.env`, or by make."
        )
    return not missing


def environment(device: torch.device) -> dict[str, Any]:
    """Return versions, processor, device and thread count.

    All of these change the last bits of a sum, and with them where training ends: the same seed on
    another processor or with another thread count is another draw.

    Raises:
        ValueError: `REPRO_PORTABLE` is set, but not in force: see `is_portable`.
    """
    import torchvision  # seconds, and only its version is wanted

    name = f"CPU {platform.machine()} ({torch.backends.cpu.get_cpu_capability()})"
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "numpy": np.__version__,
        "platform": platform.system(),
        "device": name,
        "processor": processor_name(),
        "instruction_set": instruction_set(),
        "threads": torch.get_num_threads(),
        "portable": is_portable(),
    }


def git_state() -> dict[str, Any]:
    """Return the commit and whether tracked files differ from it; None where there is no git.

    Stored results and the README made from them do not count: a second run is not made by other
    code because the first one was stored.
    """

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", "-C", str(repo_root()), *arguments],
                capture_output=True,
                text=True,
                check=True,
            )
        except (OSError, subprocess.CalledProcessError):
            return None
        return done.stdout.strip()

    made = (":(top,exclude)results", ":(top,exclude)docs/pictures", ":(top,exclude)README.md")
    status = git("status", "--porcelain", "--untracked-files=no", "--", ":/", *made)
    return {"sha": git("rev-parse", "HEAD"), "dirty": None if status is None else bool(status)}
