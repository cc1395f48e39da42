"""Simulated test sets and seeds of which the true value is known, for `benchmarks.coverage`.

Each replicate has new images and new seeds. Image i of class y under seed s has for class k the
score

    m (1 + q_s) [k = y] + b_sk + sqrt(r) D_ik + sqrt(1 - r) E_sik,

D and E standard normal, q_s and b_sk normal with standard deviations `spread` and `BIAS`. D, an
image's own difficulty, is common to all seeds. m sets the true value. Class sizes are those of
BreastMNIST and, nearly, of BloodMNIST. For the type I error a second system has another D, which
correlates with the first's by `ALIKE`: the two err on other images, equally often.
"""

import math
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from itertools import product

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

N_IMAGES = (156, 624, 3421)
N_SEEDS = (3, 5, 10)
# How the seeds of a system are related: share of an image's own difficulty, spread of the signal.
RELATIONS = {"alike": (0.9, 0.05), "unlike": (0.5, 0.05), "far apart": (0.7, 0.12)}
LEVELS = {"accuracy": (0.75, 0.85, 0.95, 0.98), "auc": (0.8, 0.92, 0.99)}
SHARES = {2: (0.27, 0.73), 8: (0.07, 0.18, 0.09, 0.17, 0.07, 0.08, 0.20, 0.14)}
BIAS = 0.15
ALIKE = 0.7

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
        return max(1, min(4, 20_000 // (self.columns * self.images)))

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
