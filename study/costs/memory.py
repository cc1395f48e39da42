"""Peak memory of a network: one forward pass, or one training step.

On a CPU it is what a process of its own needs above what it needed before the network was built:
weights, activations, gradients, optimizer states and the libraries' work space. On a GPU it is
`torch.cuda.max_memory_allocated`: the same but for the work space outside torch.
"""

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from helpers.models.registry import build_model

FORWARD, TRAINING = "forward", "training step"
STEPS = (FORWARD, TRAINING)
# Linux alone tells a process its peak, and lets it start anew.
_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_RESET_PEAK = "5"


class MemoryUnknown(RuntimeError):
    """Peak memory cannot be measured here, or the process did not survive."""


def peak_memory(
    name: str,
    *,
    image_size: int,
    batch_size: int,
    step: str,
    threads: int = 1,
    device: str = "cpu",
    num_classes: int = 2,
) -> int:
    """Return the peak memory in bytes that a network of the registry adds to a process.

    The step is "forward" (no gradients) or "training step" (forward, backward and a step of AdamW)
    on so many images of a side in pixels, on "cpu" or "cuda". Each of torch's threads on the CPU
    has work space of its own.

    Raises:
        ValueError: unknown step; or the network cannot be built so.
        MemoryUnknown: not on this system, or the measuring process was killed.
    """
    if step not in STEPS:
        raise ValueError(f"unknown step {step!r}; known: {', '.join(STEPS)}.")
    size = {"num_classes": num_classes, "image_size": image_size}
    if device == "cuda":
        return _cuda_peak(name, size, batch_size, step)
    if not (_STATUS.exists() and _CLEAR.exists()):
        raise MemoryUnknown("peak memory on the CPU is read from Linux's /proc, which is not here.")
    ended = MemoryUnknown(
        f"{name}: the process for its {step} was killed, most likely for want of memory."
    )
    return run_apart(_cpu_peak, name, size, batch_size, step, threads, ended=ended)


def run_apart(function: Callable[..., Any], *arguments: Any, ended: Exception) -> Any:
    """Call a function in a process of its own; raise `ended` where the system ends that."""
    context = multiprocessing.get_context("forkserver")
    # Imported once, before the processes part: each child starts in a moment.
    context.set_forkserver_preload([__name__, "study.costs.forms"])
    with ProcessPoolExecutor(max_workers=1, mp_context=context) as child:
        try:
            return child.submit(function, *arguments).result()
        except BrokenProcessPool as error:
            raise ended from error


def _prepared(
    name: str, size: dict[str, int], batch_size: int, step: str, device: str
) -> Callable[[], None]:
    """Build network and images, and return the step as a function."""
    torch.manual_seed(0)
    model = build_model(name, **size, pretrained="none").to(device)
    images = torch.randn(batch_size, 3, size["image_size"], size["image_size"], device=device)
    labels = torch.zeros(batch_size, dtype=torch.int64, device=device)

    def forward() -> None:
        with torch.inference_mode():
            model.eval()(images)

    def training_step() -> None:
        optimizer = torch.optim.AdamW(model.train().parameters())
        functional.cross_entropy(model(images), labels).backward()
        optimizer.step()

    return forward if step == FORWARD else training_step


def _cpu_peak(name: str, size: dict[str, int], batch_size: int, step: str, threads: int) -> int:
    torch.set_num_threads(threads)
    # What the libraries set up once for any network is no network's own.
    functional.conv2d(torch.zeros(1, 3, 32, 32), torch.zeros(8, 3, 3, 3, requires_grad=True))
    with torch.device("meta"):  # what a network's builder imports is no network's own either
        build_model(name, **size, pretrained="none")
    before = _memory("VmRSS")
    run = _prepared(name, size, batch_size, step, "cpu")
    _CLEAR.write_text(_RESET_PEAK)
    run()
    return _memory("VmHWM") - before


def _memory(field: str) -> int:
    """Return a field of the process's status in bytes."""
    lines = _STATUS.read_text().splitlines()
    (value,) = [line.split()[1] for line in lines if line.startswith(f"{field}:")]
    return int(value) * 1024


def _cuda_peak(name: str, size: dict[str, int], batch_size: int, step: str) -> int:
    torch.cuda.empty_cache()
    before = torch.cuda.memory_allocated()
    run = _prepared(name, size, batch_size, step, "cuda")
    torch.cuda.reset_peak_memory_stats()
    run()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() - before
