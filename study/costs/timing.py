"""Times that can be compared: candidates take turns on one machine, and a ratio has an interval.

A time alone depends on what else the machine did in that minute. So candidates that are compared
are measured in the same minutes, turn by turn, and compared round by round.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy import stats

from helpers.metrics.scores import LEVEL, Estimate
from study.plans.costs import FEWEST_ROUNDS

_PROCESSOR = Path("/proc/stat")


@dataclass(frozen=True)
class Times:
    """Seconds of one candidate, a round each, in the order of the rounds."""

    seconds: tuple[float, ...]

    @property
    def n(self) -> int:
        """How many rounds."""
        return len(self.seconds)

    @property
    def median(self) -> float:
        """Median in seconds."""
        return float(np.median(self.seconds))

    @property
    def quartiles(self) -> tuple[float, float]:
        """First and third quartile in seconds."""
        low, high = np.quantile(self.seconds, [0.25, 0.75])
        return float(low), float(high)


def interleave(
    candidates: Mapping[str, Callable[[], object]],
    *,
    rounds: int,
    settle: int = 1,
    budget: float | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Times]:
    """Time candidates in turns, after one untimed round.

    In each round every candidate has one timed call. A round starts one candidate later than the
    round before, and when all have been first, the order is turned round: none always has the same
    place, or always the same one before it.

    Args:
        candidates: what to call, by name; a call ends when its result is there (a GPU's too).
        rounds: timed calls of each candidate, at least three.
        settle: untimed calls before each timed one: they fill the caches anew, and the threads of
            the candidate before stop waiting for work.
        budget: seconds for the timed rounds; no round starts after them, but for the first three.
        clock: returns seconds.
    """
    if not candidates:
        raise ValueError("there is nothing to time: no candidates.")
    if rounds < FEWEST_ROUNDS:
        raise ValueError(f"rounds must be at least {FEWEST_ROUNDS}, got {rounds}.")
    for call in candidates.values():
        call()
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    begin = clock()
    for done in range(rounds):
        if done >= FEWEST_ROUNDS and budget is not None and clock() - begin > budget:
            break
        for name in _order(list(candidates), done):
            for _ in range(settle):
                candidates[name]()
            start = clock()
            candidates[name]()
            seconds[name].append(clock() - start)
    return {name: Times(tuple(values)) for name, values in seconds.items()}


def _order(names: list[str], done: int) -> list[str]:
    cycle, first = divmod(done, len(names))
    order = names[first:] + names[:first]
    return order[::-1] if cycle % 2 else order


def ratio(a: Times, b: Times) -> Estimate:
    """Return how many times as long A takes as B: the median of the ratios of the rounds.

    Both are from the same call of `interleave`. The 95 % interval is that of the sign test, between
    two of the ordered ratios: it assumes nothing about their distribution. Below six rounds there
    is none.
    """
    if a.n != b.n:
        raise ValueError(
            f"a ratio needs times of the same rounds, got {a.n} and {b.n}; time both candidates "
            "in one call of interleave."
        )
    ratios = np.sort(np.divide(a.seconds, b.seconds)).tolist()
    # Left out at each end: P(fewer than that many of n coins) must stay within half of 5 %.
    outside = int(stats.binom.ppf((1 - LEVEL) / 2, a.n, 0.5))
    low, high = (ratios[outside - 1], ratios[-outside]) if outside else (None, None)
    method = f"median of {a.n} rounds, sign-test interval"
    return Estimate(float(np.median(ratios)), low, high, a.n, method)


# --- the machine ---


def processors() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def fixed_threads(threads: int) -> Iterator[None]:
    """Let torch compute with so many threads, then with as many as before."""
    if not 1 <= threads <= processors():
        raise ValueError(
            f"threads must be 1 to {processors()} (the processors here), got {threads}; more "
            "threads than processors wait for each other, and the times say nothing."
        )
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class Disturbance:
    """What others did on the machine while this process measured."""

    # Processor time that other processes took, of all processors' time, 0 to 1; None until the
    # end, and where the system does not tell (it is read from Linux's /proc).
    share: float | None = None


@contextmanager
def watch_others() -> Iterator[Disturbance]:
    """Measure how much of the machine other processes used during the block."""
    found = Disturbance()
    start = _busy_seconds()
    begin = time.perf_counter()
    yield found
    end = _busy_seconds()
    if start is not None and end is not None:
        all_of_it = (time.perf_counter() - begin) * (os.cpu_count() or 1)
        found.share = min(max((end - start) / all_of_it, 0.0), 1.0)


def _busy_seconds() -> float | None:
    """Return the processor seconds of all other processes since the machine started."""
    if not _PROCESSOR.exists():
        return None
    names = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
    fields = _PROCESSOR.read_text().splitlines()[0].split()[1:]
    ticks = dict(zip(names, map(int, fields), strict=False))
    busy = sum(ticks.values()) - ticks["idle"] - ticks["iowait"]
    own = os.times()
    mine = own.user + own.system + own.children_user + own.children_system
    return busy / os.sysconf("SC_CLK_TCK") - mine
