"""Time the selective scan's compiled loops, and the networks that are made of it beside paper B's.

Usage: python -m benchmarks.scan [--rounds 5] [--steps 3] [--batch-size 32] [--threads 1] [--save]

- The scan alone, forward and backward, at the sizes of MedMamba-T's first stage at 64 px: the
  compiled loops against the same in PyTorch's operations, by turns.
- Bare training steps (forward, cross-entropy, backward, optimizer on batches in memory) of
  MedMamba-T and VMamba-T at 64 px against MedSpectralNet's, by turns.
"""

import sys
import time
from collections.abc import Callable
from unittest import mock

import torch

from benchmarks.common import by_turns, main, ratio
from benchmarks.training import Case, bare_seconds, build, configuration, prepared_batches
from helpers.models.zoo import selective_scan as module
from study.tables.speed import Speed

IMAGE_SIZE = 64
PATHS, STATES = 4, 16
TOKENS, CHANNELS = 256, 96  # of MedMamba-T's first stage
LEAST_OF_REFERENCE = 4.0
YARDSTICK = "medspectralnet"
LEAST_OF_YARDSTICK = {"medmamba_t": 1 / 2, "vmamba_t": 1 / 3}


def scan_timer(*, batch_size: int) -> Callable[[], float]:
    """Return a function that takes the seconds of one scan, forward and backward."""
    torch.manual_seed(0)
    tokens = (batch_size, TOKENS, PATHS)
    inputs = [
        torch.randn(*tokens, CHANNELS),
        0.1 * torch.rand(*tokens, CHANNELS),
        -torch.arange(1.0, STATES + 1).expand(PATHS, CHANNELS, STATES),
        torch.randn(*tokens, STATES),
        torch.randn(*tokens, STATES),
        torch.ones(PATHS, CHANNELS),
    ]
    inputs = [x.clone().requires_grad_() for x in inputs]

    def timed() -> float:
        start = time.perf_counter()
        torch.autograd.grad(module.selective_scan(*inputs).sum(), inputs)
        return time.perf_counter() - start

    timed()  # compiles
    return timed


def scan_alone(*, rounds: int, batch_size: int) -> list[Speed]:
    """Compare the two ways to compute a scan."""
    compiled = scan_timer(batch_size=batch_size)

    def reference() -> float:
        with mock.patch.object(module, "_has_kernels", lambda _: False):
            return compiled()

    times = by_turns({"compiled": compiled, "reference": reference}, rounds=rounds)
    name = f"a scan of {batch_size} images, {TOKENS} tokens, forward and backward"
    return [
        Speed(name=name, unit="ms", values=[1000 * t for t in times["compiled"]]),
        ratio(
            f"{name}: compiled loops, of the speed of PyTorch's operations",
            times["reference"],
            times["compiled"],
            target=LEAST_OF_REFERENCE,
            headline=True,
        ),
    ]


def whole_networks(*, rounds: int, steps: int, batch_size: int) -> list[Speed]:
    """Compare bare training steps."""
    cases = [Case(name, IMAGE_SIZE, batch_size) for name in (YARDSTICK, *LEAST_OF_YARDSTICK)]
    config = configuration(cases[0], "normal")
    batches = prepared_batches(cases[0], config, count=steps)
    models = {case.model: build(case) for case in cases}

    def timer(name: str) -> Callable[[], float]:
        return lambda: steps * batch_size / bare_seconds(models[name], batches, config, steps=steps)

    timers = {name: timer(name) for name in models}
    by_turns(timers, rounds=1)  # the first steps allocate
    speeds = by_turns(timers, rounds=rounds)
    return [
        *(
            Speed(name=f"{case.title}: bare steps", unit="images/s", values=speeds[case.model])
            for case in cases
        ),
        *(
            ratio(
                f"{name}, {IMAGE_SIZE} px: bare steps, of {YARDSTICK}'s speed",
                speeds[name],
                speeds[YARDSTICK],
                target=round(least, 2),
                headline=True,
            )
            for name, least in LEAST_OF_YARDSTICK.items()
        ),
    ]


def measure(
    *, rounds: int = 5, steps: int = 3, batch_size: int = 32, threads: int = 1
) -> list[Speed]:
    """Take all figures: rounds of each comparison, steps of a network in a round."""
    torch.set_num_threads(threads)
    return [
        *scan_alone(rounds=rounds, batch_size=batch_size),
        *whole_networks(rounds=rounds, steps=steps, batch_size=batch_size),
    ]


if __name__ == "__main__":
    sys.exit(main(measure))
