"""What the benchmarks share: a command line, a record, and timing by turns.

A benchmark is a module with one function `measure(**options) -> list[Speed]`; its keyword
arguments, whole numbers or flags, are the options of its command line.
"""

import argparse
import inspect
import os
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from helpers.terminal import command, count_argument
from helpers.training.seeds import default_device, environment, git_state
from study.costs.timing import processors
from study.tables.speed import RATIO, Record, Speed, save_record, speed_lines

Measure = Callable[..., list[Speed]]


def default_options(measure: Measure) -> dict[str, Any]:
    """Return the options of a benchmark with their default values."""
    return {name: p.default for name, p in inspect.signature(measure).parameters.items()}


def run(measure: Measure, options: dict[str, Any], *, save: bool = False) -> Record:
    """Take a benchmark's figures; store them where asked for."""
    threads = torch.get_num_threads()
    try:
        speeds = measure(**options)
    finally:
        torch.set_num_threads(threads)
    # How glibc was told to treat memory; the Makefile says why it matters.
    malloc = {name: value for name, value in os.environ.items() if name.startswith("MALLOC_")}
    record = Record(
        benchmark=Path(inspect.getfile(measure)).stem,
        date=datetime.now(UTC).date().isoformat(),
        settings=options,
        env=environment(default_device()) | {"processors": processors(), "malloc": malloc},
        git=git_state(),
        speeds=tuple(speeds),
    )
    if save:
        save_record(record)
    return record


@command
def main(measure: Measure, arguments: Sequence[str] | None = None) -> None:
    """Command line of one benchmark: run it, print its table."""
    summary = inspect.getmodule(measure).__doc__.splitlines()[0]
    parser = argparse.ArgumentParser(description=summary)
    for name, default in default_options(measure).items():
        flag = "--" + name.replace("_", "-")
        if isinstance(default, bool):
            parser.add_argument(flag, action="store_true")
        else:
            parser.add_argument(flag, type=count_argument, default=default)
    parser.add_argument("--save", action="store_true", help="write results/benchmarks")
    options = vars(parser.parse_args(arguments))
    save = options.pop("save")
    record = run(measure, options, save=save)
    print(f"{record.env['device']}, {record.env['processors']} processors, {options}")
    print(speed_lines(record.speeds))


def synchronise(device: torch.device) -> None:
    """Wait until the device has done what it was asked to."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def cpu_seconds(call: Callable[[], object]) -> float:
    """Return the processor time of a call."""
    start = time.process_time()
    call()
    return time.process_time() - start


def by_turns(runs: dict[str, Callable[[], float]], *, rounds: int) -> dict[str, list[float]]:
    """Call each function once a round, one after another; return its results by name.

    What slows the machine for a while slows all of them: compare results of the same round.
    """
    results = {name: [] for name in runs}
    for _ in range(rounds):
        for name, once in runs.items():
            results[name].append(once())
    return results


def ratio(
    name: str,
    above: Sequence[float],
    below: Sequence[float],
    *,
    target: float | None = None,
    headline: bool = False,
) -> Speed:
    """Return results over others of the same rounds as a figure."""
    values = [a / b for a, b in zip(above, below, strict=True)]
    return Speed(name=name, unit=RATIO, values=values, target=target, headline=headline)
