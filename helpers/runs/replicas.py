"""Stored runs made again elsewhere: how far they lie apart, beside how far seeds do.

The same configuration and seed on another kind of processor, thread count or version is another
draw: sums are added in another order, and training carries the last bits into other weights. So a
replica (`helpers.runs.store.replica_dir`) counts as a draw, as a seed does.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from helpers.metrics.scores import LEVEL
from helpers.runs.store import Run, load_run, replica_files, whole_runs

METRICS = {"accuracy": "accuracy", "auc": "AUC"}
FEWEST_SEEDS = 3


@dataclass(frozen=True)
class Scatter:
    """How far runs lie apart that differ in the seed, and that differ in the processor."""

    n_pairs: int  # seeds with a value on both sides
    # Standard deviation over seeds (ddof = 1), pooled over both sides; None below two pairs.
    by_seeds: float | None
    # Standard deviation of the paired differences (ddof = 1) over the root of two, that of one run
    # where the seed is kept; None likewise. It equals `by_seeds`, but for chance, where a seed
    # fixes nothing across processors, and is 0 where it fixes all.
    by_processors: float | None
    shift: float | None  # mean of the differences, replica less stored run
    largest: float | None  # largest difference, without its sign


def scatter(stored: Sequence[float | None], replicas: Sequence[float | None]) -> Scatter:
    """Compare a metric of stored runs, one value a seed, with that of their replicas.

    A pair with None, where the metric is undefined, is left out.

    Raises:
        ValueError: lists of different length.
    """
    if len(stored) != len(replicas):
        raise ValueError(
            f"each seed needs a stored value and a replica's, got {len(stored)} and "
            f"{len(replicas)} values."
        )
    pairs = [p for p in zip(stored, replicas, strict=True) if None not in p]
    if not pairs:
        return Scatter(0, None, None, None, None)
    values = np.array(pairs)
    differences = values[:, 1] - values[:, 0]
    by_seeds = by_processors = None
    if len(values) > 1:
        by_seeds = math.sqrt(values.var(axis=0, ddof=1).mean())
        by_processors = float(differences.std(ddof=1)) / math.sqrt(2)
    shift, largest = float(differences.mean()), float(np.abs(differences).max())
    return Scatter(len(values), by_seeds, by_processors, shift, largest)


def one_more(values: Sequence[float | None]) -> tuple[float, float] | None:
    """Return where one more draw is expected, with a probability of 95 %.

    The prediction interval of a normal value from the mean and deviation of n draws, those that are
    None left out; None for fewer than `FEWEST_SEEDS`, from which nothing is expected.
    """
    known = np.array([value for value in values if value is not None])
    if (n := len(known)) < FEWEST_SEEDS:
        return None
    reach = float(stats.t.ppf((1 + LEVEL) / 2, n - 1)) * math.sqrt(1 + 1 / n) * known.std(ddof=1)
    return float(known.mean() - reach), float(known.mean() + reach)


def distinct_replicas(run: Run) -> list[Run]:
    """Return the replicas of a stored run that are draws of their own.

    Two processors may compute alike: a replica whose predictions equal those of the stored run, or
    of a replica before it, to the bit is the same draw. One that cannot be read is left out and
    said on stderr.
    """
    found: list[Run] = []
    for replica in whole_runs(replica_files(run)):
        if not any(_same_answers(replica, other) for other in (run, *found)):
            found.append(replica)
    return found


def _same_answers(one: Run, other: Run) -> bool:
    return all(
        np.array_equal(one.predictions(split)[1], other.predictions(split)[1])
        for split in ("val", "test")
    )


def draws(runs: Iterable[Run]) -> list[Run]:
    """Return stored runs and their distinct replicas: each is one draw of its protocol."""
    return [draw for run in runs for draw in (run, *distinct_replicas(run))]


def pairs_of(runs: Iterable[Run]) -> list[tuple[Run, Run]]:
    """Return every distinct replica behind its stored run."""
    return [(run, replica) for run in runs for replica in distinct_replicas(run)]


def metric_of(run: Run, name: str, split: str = "test") -> float | None:
    """Return a metric of a run, None where it is undefined."""
    return run.record["metrics"][split][name]["value"]


def describe(replica: Run, seeds: Sequence[Run]) -> list[str]:
    """Say in lines how a replica differs from its stored run, and whether more than seeds do.

    `seeds` are the stored runs that differ from it in the seed alone, its own among them.
    """
    run = load_run(replica.path.parent.parent)
    distance = np.abs(replica.predictions("val")[1] - run.predictions("val")[1]).max()
    lines = [
        f"Another network than the stored one: {made_on(replica)} draws another from seed "
        f"{run.config['seed']} than {made_on(run)}.",
        f"A validation probability differs by up to {distance:.2f}.",
    ]
    for split, words in (("val", "validation"), ("test", "test")):
        for name, title in METRICS.items():
            ours, theirs = (metric_of(r, name, split) for r in (replica, run))
            expected = one_more([metric_of(r, name, split) for r in seeds])
            lines.append(
                f"{words} {title}: {_number(ours)}, stored {_number(theirs)}; "
                f"{_judged(ours, expected, len(seeds))}"
            )
    return lines


def made_on(run: Run) -> str:
    """Say on what processor, with what version of torch and how many threads a run was made."""
    env = run.record["env"]
    return (
        f"{env.get('processor') or env['device']} with torch {env['torch']} and {env['threads']} "
        "thread(s)"
    )


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"


def _judged(value: float | None, expected: tuple[float, float] | None, n: int) -> str:
    if value is None or expected is None:
        return f"{n} seed(s) are stored, too few to say how far seeds scatter"
    low, high = expected
    place = "within" if low <= value <= high else "outside"
    return f"{place} what one more seed gives ({low:.3f} to {high:.3f}, from {n} seeds)"
