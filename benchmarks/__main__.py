"""Run all benchmarks with their defaults and print one table: make bench [FLAGS=--save].

Some minutes on two processors that do nothing else. With --save the figures go to
`results/benchmarks`, from which `python -m study tables` makes the README's. `make bench` sets
glibc's memory as `make sweep` does; `python -m benchmarks` leaves it as it is.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from importlib import import_module

from benchmarks.common import default_options, run
from helpers.terminal import command
from study.tables.speed import BENCHMARKS, speed_lines


@command
def main(arguments: Sequence[str] | None = None) -> None:
    """Run them one after another; print how long each takes, and all figures at the end."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--save", action="store_true", help="write results/benchmarks")
    save = parser.parse_args(arguments).save
    records = []
    for name in BENCHMARKS:
        start = time.perf_counter()
        measure = import_module(f"benchmarks.{name}").measure
        records.append(run(measure, default_options(measure), save=save))
        print(f"{name}: {time.perf_counter() - start:.0f} s", flush=True)
    env = records[0].env
    print(f"\n{env['device']}, {env['processors']} processors, torch {env['torch']}")
    print(speed_lines(speed for record in records for speed in record.speeds))
    aimed = [speed for record in records for speed in record.speeds if speed.met is not None]
    print(f"\n{sum(speed.met for speed in aimed)} of {len(aimed)} targets met")


if __name__ == "__main__":
    sys.exit(main())
