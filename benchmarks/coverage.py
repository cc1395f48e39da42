"""Measure how often the 95 % intervals of `helpers.metrics.intervals` hold the true value.

Usage: python -m benchmarks.coverage [--replicates 1000] [--quick] [--save]

Test sets and seeds are simulated, each replicate with new images and new seeds, and the true value
is known exactly.

The model: image i of class y under seed s has for class k the score

    m (1 + q_s) [k = y] + b_sk + sqrt(r) D_ik + sqrt(1 - r) E_sik,

D and E standard normal, q_s and b_sk normal with standard deviations `spread` and `BIAS`. D, an
image's own difficulty, is common to all seeds. m sets the true value. Class sizes are those of
BreastMNIST and, nearly, of BloodMNIST. For the type I error a second system has another D, which
correlates with the first's by `ALIKE`: the two err on other images, equally often.

With --save the figures go to `results/benchmarks/coverage.json` and into `docs/methods.md`. One
process; cells come in order of their cost, and with --save a run that was stopped goes on where it
was (raise `VERSION` where what is measured changes).
--quick takes few cells.
"""

import argparse
import json
import math
import sys
import time
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from itertools import product
from pathlib import Path

import numpy as np
from scipy import integrate, optimize, stats

from helpers.metrics.intervals import (
    Scores,
    _ends,
    here_variance,
    image_scores,
    less,
    next_run_ends,
    population,
    ranking_scores,
)
from helpers.paths import repo_root, results_root, write_atomically
from helpers.terminal import command, count_argument
from helpers.training.seeds import git_state
from study.table import markdown_table

N_IMAGES = (156, 624, 3421)
N_SEEDS = (3, 5, 10)
# How the seeds of a system are related: share of an image's own difficulty, spread of the signal.
RELATIONS = {"alike": (0.9, 0.05), "unlike": (0.5, 0.05), "far apart": (0.7, 0.12)}
LEVELS = {"accuracy": (0.75, 0.85, 0.95, 0.98), "auc": (0.8, 0.92, 0.99)}
SHARES = {2: (0.27, 0.73), 8: (0.07, 0.18, 0.09, 0.17, 0.07, 0.08, 0.20, 0.14)}
BIAS = 0.15
ALIKE = 0.7
# What is measured, and between what it should be.
FIGURES = {name: (0.935, 0.965) for name in ("coverage", "same_images", "one_more_run")}
FIGURES["type_1"] = (0.04, 0.06)
MARKERS = ("<!-- coverage: begin -->", "<!-- coverage: end -->")

# Raised when the simulation or the intervals change, so that figures of both never mix.
VERSION = 3

# One block of scores holds at most this many numbers.
_BLOCK = 1_500_000
# Runs on one set of images.
RUNS = 1320


@dataclass(frozen=True)
class Cell:
    """One setting of the simulation."""

    measure: str
    classes: int
    images: int
    level: float
    relation: str

    @property
    def is_heavy(self) -> bool:
        """Whether one system over new images is all that there is time for."""
        return self.columns * self.images > 20_000

    @property
    def columns(self) -> int:
        """Return how many scores an image has: the classes, or their one difference."""
        return 1 if self.classes == 2 else self.classes

    @property
    def repeats(self) -> int:
        """How often the replicates asked for are made: what costs little is measured more often."""
        return max(1, min(4, 5000 // (self.columns * self.images)))

    @cached_property
    def signal(self) -> float:
        """m, for which the measure's true value is `level`."""
        spread = RELATIONS[self.relation][1]
        true = true_auc if self.measure == "auc" else true_accuracy
        return optimize.brentq(lambda m: true(m, spread, self.classes) - self.level, 0.01, 20)


def true_auc(signal: float, spread: float, classes: int) -> float:
    """Return the AUC of an average seed: two images' scores for a class are compared."""
    # The seed's q and b are common to both images; b drops out. With two classes the score is the
    # difference of both classes': twice the signal, and twice the variance.
    noise = 1 if classes == 2 else 2
    return float(stats.norm.cdf(signal / math.sqrt(noise + (signal * spread) ** 2)))


def true_accuracy(signal: float, spread: float, classes: int) -> float:
    """Return the accuracy of an average seed: the true class has the highest score."""
    noise = math.sqrt(1 + BIAS**2)
    own = math.hypot(noise, signal * spread)

    def right(x: float) -> float:
        return stats.norm.pdf(x) * stats.norm.cdf((signal + own * x) / noise) ** (classes - 1)

    return integrate.quad(right, -9, 9, epsabs=1e-10)[0]


def cells(*, quick: bool = False) -> Iterator[Cell]:
    """Yield all settings, or the corners alone."""
    for measure, classes, images, relation in product(LEVELS, SHARES, N_IMAGES, RELATIONS):
        for level in LEVELS[measure]:
            cell = Cell(measure, classes, images, level, relation)
            corner = level in (LEVELS[measure][0], LEVELS[measure][-1])
            if (corner and images == N_IMAGES[0]) if quick else (corner or not cell.is_heavy):
                yield cell


# --- the simulation ------------------------------------------------------------------------------


def labels_of(images: int, classes: int) -> np.ndarray:
    """Return labels, int (n,), in order, with the class sizes of `SHARES`."""
    ends = np.round(np.cumsum(SHARES[classes]) * images).astype(int)
    return np.searchsorted(ends, np.arange(images), side="right")


def simulate(
    cell: Cell, y_true: np.ndarray, difficulty: np.ndarray, seeds: int, rng: np.random.Generator
) -> np.ndarray:
    """Return scores, float32 (R, S, C, n), of images whose difficulty is (R, C, n).

    C is the number of classes, and 1 for two: there it is class 1's score less class 0's.
    """
    r, spread = RELATIONS[cell.relation]
    replicates, columns, n = difficulty.shape
    noise = math.sqrt(2) if columns == 1 else 1.0
    draws = (replicates, seeds)
    signal = cell.signal * (1 + spread * rng.standard_normal((*draws, 1, 1)))
    bias = noise * BIAS * rng.standard_normal((*draws, columns, 1))
    scores = rng.standard_normal((*draws, columns, n), dtype=np.float32)
    scores *= np.float32(noise * math.sqrt(1 - r))
    scores += np.float32(noise * math.sqrt(r)) * difficulty[:, None]
    scores += bias.astype(np.float32)
    if columns == 1:
        scores += signal.astype(np.float32) * (2 * y_true - 1).astype(np.float32)
    else:
        ends = np.searchsorted(y_true, np.arange(columns + 1))
        for k in range(columns):
            scores[:, :, k, ends[k] : ends[k + 1]] += signal[..., 0].astype(np.float32)
    return scores


def measured(cell: Cell, y_true: np.ndarray, scores: np.ndarray) -> Scores:
    """Return what `helpers.metrics.intervals` works on."""
    columns = scores.shape[2]
    if cell.measure == "accuracy":
        answers = scores[:, :, 0] > 0 if columns == 1 else scores.argmax(axis=2)
        return image_scores((answers == y_true).astype(float))
    # Whole numbers in the same order are sorted three times as fast.
    bits = scores.view(np.int32)
    keys = bits ^ ((bits >> 31) & 0x7FFFFFFF)
    return ranking_scores(y_true, {1 if columns == 1 else k: keys[:, :, k] for k in range(columns)})


def first_seeds(scores: Scores, seeds: int) -> Scores:
    """Return the scores of the first seeds alone."""
    return replace(
        scores,
        values=scores.values[..., :seeds],
        shares=scores.shares[..., :seeds, :],
        reference=scores.reference[..., :seeds],
    )


def blocks(total: int, numbers: int) -> Iterator[int]:
    """Yield sizes of blocks that sum to `total`, for so many numbers each."""
    size = max(1, min(total, _BLOCK // numbers))
    for start in range(0, total, size):
        yield min(size, total - start)


def across_images(cell: Cell, replicates: int, rng: np.random.Generator) -> list[dict]:
    """Return coverage and type I error over new images and new seeds, a row a number of seeds."""
    y_true = labels_of(cell.images, cell.classes)
    most = max(N_SEEDS)
    found = {seeds: [] for seeds in N_SEEDS}
    for size in blocks(replicates, most * cell.columns * cell.images):
        own = rng.standard_normal((2, size, cell.columns, cell.images), dtype=np.float32)
        own[1] = math.sqrt(ALIKE) * own[0] + math.sqrt(1 - ALIKE) * own[1]
        systems = [
            measured(cell, y_true, simulate(cell, y_true, difficulty, most, rng))
            for difficulty in (own[:1] if cell.is_heavy else own)
        ]
        for seeds in N_SEEDS:
            found[seeds].append(_compare(cell, *(first_seeds(s, seeds) for s in systems)))
    rows = []
    for seeds, parts in found.items():
        joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        rows.append({"seeds": seeds} | {name: float(v.mean()) for name, v in joined.items()})
    return rows


def _compare(cell: Cell, a: Scores, b: Scores | None = None) -> dict[str, np.ndarray]:
    """Return, for each replicate, what holds the true value and what is rejected."""
    _, _, _, low, high, _ = population(a)
    found = {
        "coverage": (low <= cell.level) & (cell.level <= high),
        "width": high - low,
        "seed_sd": a.values.std(axis=-1, ddof=1),
    }
    if b is not None:
        found["type_1"] = population(less(a, b))[-1] < 0.05
    return found


def on_these_images(cell: Cell, rng: np.random.Generator, *, image_sets: int) -> dict[int, dict]:
    """Return coverage over new seeds on the same images, by number of seeds.

    The true mean on a set of images is that of all runs simulated there.
    """
    y_true = labels_of(cell.images, cell.classes)
    hits = {seeds: {"same_images": [], "one_more_run": []} for seeds in N_SEEDS}
    for _ in range(image_sets):
        difficulty = rng.standard_normal((1, cell.columns, cell.images), dtype=np.float32)
        parts = [
            measured(cell, y_true, simulate(cell, y_true, difficulty, size, rng))
            for size in blocks(RUNS, cell.columns * cell.images)
        ]
        values = np.concatenate([part.values[0] for part in parts])
        shares = np.concatenate([part.shares[0] for part in parts])
        for seeds in N_SEEDS:
            groups = np.arange(RUNS // (seeds + 1) * (seeds + 1)).reshape(-1, seeds + 1)
            ours, next_run = groups[:, :-1], values[groups[:, -1]]
            scores = replace(parts[0], values=values[ours], shares=shares[ours])
            spread, means = here_variance(scores), values[ours].mean(axis=-1)
            of_mean = _ends(means, np.sqrt(spread / seeds), seeds - 1, logit=True)
            for name, (low, high), true in (
                ("same_images", of_mean, values.mean()),
                ("one_more_run", next_run_ends(scores, spread), next_run),
            ):
                # An end and a run on the same rung of a grid are equal but for rounding.
                held = (low - 1e-9 <= true) & (true <= high + 1e-9)
                # Of a mean no interval is claimed where all runs are perfect.
                perfect = (means >= 1) & (name == "same_images")
                hits[seeds][name].append(held | perfect)
    return {
        seeds: {name: float(np.concatenate(part).mean()) for name, part in found.items()}
        for seeds, found in hits.items()
    }


def simulate_cell(cell: Cell, replicates: int) -> list[dict]:
    """Return one row for each number of seeds."""
    rng = np.random.default_rng([17, zlib.crc32(repr(cell).encode())])
    here = {seeds: {} for seeds in N_SEEDS}
    if not cell.is_heavy:
        here = on_these_images(cell, rng, image_sets=image_sets(replicates))
    rows = across_images(cell, replicates, rng)
    made = asdict(cell) | {"replicates": replicates}
    return [made | row | here[row["seeds"]] for row in rows]


def image_sets(replicates: int) -> int:
    """Return on how many sets of images new seeds are simulated."""
    return max(2, replicates // 100)


# --- the record and its table --------------------------------------------------------------------


def record_path() -> Path:
    """Return the file of the figures."""
    return results_root() / "benchmarks" / "coverage.json"


def load_rows(path: Path | None = None, *, replicates: int | None = None) -> list[dict]:
    """Return the stored figures; none where nothing is stored.

    Args:
        path: another file than `record_path`.
        replicates: if given, figures of another number, or of another version, count as none.
    """
    path = path or record_path()
    if not path.exists():
        return []
    record = json.loads(path.read_text())
    if replicates not in (None, record["replicates"]) or record["version"] != VERSION:
        return []
    return record["cells"]


def save_rows(rows: Sequence[dict], replicates: int) -> None:
    """Write the figures over those before."""
    record = {
        "date": datetime.now(UTC).date().isoformat(),
        "version": VERSION,
        "replicates": replicates,
        "numpy": np.__version__,
        "git": git_state(),
        "cells": [
            {k: round(v, 5) if isinstance(v, float) else v for k, v in row.items()} for row in rows
        ],
    }
    with write_atomically(record_path()) as temporary:
        temporary.write_text(json.dumps(record, indent=1) + "\n")


HEAD = (
    "measure",
    "true value",
    "images",
    "mean: coverage",
    "width",
    "same images: mean",
    "one more run",
    "difference: type I error",
)


def table(rows: Sequence[dict]) -> str:
    """Return the ranges over seeds, their relations and classes, as a markdown table.

    Beside a range stands how many of its figures miss their goal by more than two standard errors.
    """
    groups = {}
    for row in rows:
        key = (row["measure"], row["level"], row["images"])
        groups.setdefault(key, []).append(row)
    lines = []
    for (measure, level, images), members in sorted(groups.items()):
        lines.append(
            [
                "AUC" if measure == "auc" else measure,
                f"{level:g}",
                f"{images:,}",
                _range(members, "coverage"),
                _range(members, "width"),
                _range(members, "same_images"),
                _range(members, "one_more_run"),
                _range(members, "type_1"),
            ]
        )
    return markdown_table(HEAD, lines)


def _range(rows: Sequence[dict], name: str) -> str:
    found = [100 * row[name] for row in rows if name in row]
    if not found:
        return ""
    out = sum(figure == name for figure, *_ in outside(rows))
    return f"{min(found):.1f} to {max(found):.1f}" + (f"; {out} of {len(found)} out" if out else "")


def df_coverage(exponent: float, seeds: int, share: float) -> float:
    """Return the coverage of value +- t sqrt(variance) under normal theory, by quadrature.

    The images' part of the variance is known; that of the seeds, `share` of the whole, is estimated
    with seeds - 1 degrees of freedom.
    """
    df, points = seeds - 1, 20_000
    estimated = stats.chi2.ppf((np.arange(points) + 0.5) / points, df) / df * share
    variance = 1 - share + estimated
    t = stats.t.ppf(0.975, df / (estimated / variance) ** exponent)
    return float(np.mean(2 * stats.norm.cdf(t * np.sqrt(variance)) - 1))


def df_table(exponents: Sequence[float] = (2, 1.25)) -> str:
    """Return the coverage of several exponents of the degrees of freedom, as a markdown table."""
    shares = (0.1, 0.3, 0.5, 0.7, 0.85, 0.95, 1)
    lines = [
        [
            str(seeds),
            f"{exponent:g}",
            *(f"{100 * df_coverage(exponent, seeds, s):.1f}" for s in shares),
        ]
        for seeds in N_SEEDS
        for exponent in exponents
    ]
    return markdown_table(("seeds", "exponent", *(f"share {s:g}" for s in shares)), lines)


def verdict_table(rows: Sequence[dict]) -> str:
    """Return how many of each figure lie in their goal, and how clearly the others miss it."""
    lines = []
    for name, (low, high) in FIGURES.items():
        measured = sum(name in row for row in rows)
        every, clear = (
            [value for figure, value, _ in outside(rows, errors=errors) if figure == name]
            for errors in (0, 2)
        )
        too_low = sum(value < low for value in clear)
        counts = (measured - len(every), len(every) - len(clear), too_low, len(clear) - too_low)
        goal = f"{100 * low:g} to {100 * high:g}"
        lines.append([name.replace("_", " "), goal, *map(str, (measured, *counts))])
    head = ("figure", "goal", "measured", "in", "outside, within two errors", "too low", "too high")
    return markdown_table(head, lines)


def misses(rows: Sequence[dict], *, most: int = 12) -> str:
    """Return what misses its goal furthest as a markdown table."""
    lines = [
        [
            name.replace("_", " "),
            f"{100 * value:.1f}",
            f"{100 * _error(name, row):.1f}",
            "AUC" if row["measure"] == "auc" else row["measure"],
            f"{row['level']:g}",
            f"{row['images']:,}",
            *(str(row[k]) for k in ("classes", "seeds", "relation")),
        ]
        for name, value, row in outside(rows)[:most]
    ]
    head = (
        "figure",
        "%",
        "error",
        "measure",
        "true value",
        "images",
        "classes",
        "seeds",
        "relation",
    )
    return markdown_table(head, lines)


def methods_block(rows: Sequence[dict], replicates: int) -> str:
    """Return what stands between the markers in `docs/methods.md`."""
    rows = [{"replicates": replicates} | row for row in rows]
    settings = {tuple(row[k] for k in Cell.__dataclass_fields__) for row in rows}
    planned = len(list(cells()))
    figures = sum(name in row for row in rows for name in FIGURES)
    return "\n\n".join(
        [
            MARKERS[0],
            f"{len(settings)} of {planned} settings measured, {replicates:,} replicates or more of "
            f"each; a cell holds the lowest and highest of its settings, in percent, and how many "
            'miss their goal by more than two standard errors ("out"). With '
            f"{max(N_IMAGES):,} images and {max(SHARES)} classes, the dearest, only the lowest and "
            "highest true values were measured, and of them the interval of the mean alone.",
            table(rows),
            verdict_table(rows),
            f"Chance alone would put {by_chance(rows):.0f} of {figures:,} figures outside, were "
            "each true figure in the middle of its goal. The furthest of those that lie more than "
            "two standard errors outside:",
            misses(rows),
            "Coverage by exponent of the degrees of freedom, under normal theory, by the seeds' "
            "true share of the variance:",
            df_table(),
            MARKERS[1],
        ]
    )


def write_methods(rows: Sequence[dict], replicates: int) -> None:
    """Put the figures into `docs/methods.md`."""
    path = repo_root() / "docs" / "methods.md"
    before, rest = path.read_text().split(MARKERS[0])
    after = rest.split(MARKERS[1])[1]
    with write_atomically(path) as temporary:
        temporary.write_text(before + methods_block(rows, replicates) + after)


def outside(rows: Sequence[dict], *, errors: float = 2) -> list[tuple[str, float, dict]]:
    """Return what misses its goal by more than some standard errors, the furthest first.

    Returns:
        Figure, value and row of each.
    """
    found = []
    for row, name in product(rows, FIGURES):
        if name not in row:
            continue
        low, high = FIGURES[name]
        if (miss := max(low - row[name], row[name] - high)) > errors * _error(name, row):
            found.append((miss, name, row))
    return [(name, row[name], row) for _, name, row in sorted(found, key=lambda entry: -entry[0])]


def by_chance(rows: Sequence[dict]) -> float:
    """Return how many figures would lie outside, were each true one in the middle of its goal."""
    return sum(
        2 * stats.norm.sf((high - low) / 2 / _error(name, row))
        for row, (name, (low, high)) in product(rows, FIGURES.items())
        if name in row
    )


def _error(name: str, row: dict) -> float:
    """Return the standard error of a figure at its goal's middle."""
    middle, trials = sum(FIGURES[name]) / 2, row["replicates"]
    if name in ("same_images", "one_more_run"):
        trials = image_sets(trials) * (RUNS // (row["seeds"] + 1))
    return math.sqrt(middle * (1 - middle) / trials)


@command
def main(arguments: Sequence[str] | None = None) -> None:
    """Simulate, print the table; store it where asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--replicates", type=count_argument, default=1000)
    parser.add_argument("--quick", action="store_true", help="few cells")
    parser.add_argument("--save", action="store_true", help="write results/benchmarks; go on there")
    options = parser.parse_args(arguments)
    rows = load_rows(replicates=options.replicates) if options.save else []
    for cell in sorted(cells(quick=options.quick), key=lambda c: c.images * c.columns):
        wanted = options.replicates * cell.repeats
        stored = [row for row in rows if asdict(cell).items() <= row.items()]
        if any(row.get("replicates", options.replicates) >= wanted for row in stored):
            continue
        start = time.process_time()
        rows = [row for row in rows if row not in stored] + simulate_cell(cell, wanted)
        print(f"{cell}: {time.process_time() - start:.1f} s", flush=True)
        if options.save:
            save_rows(rows, options.replicates)
            write_methods(load_rows(), options.replicates)  # rounded, as they are stored
    print(methods_block(rows, options.replicates))


if __name__ == "__main__":
    sys.exit(main())
