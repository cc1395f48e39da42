"""Judge a published value against our runs, by the rule of `params/verdicts.yaml`."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from scipy import stats

from helpers.metrics import LEVEL, aggregate_seeds
from helpers.paths import repo_root
from helpers.published import Published

REPRODUCED = "reproduced"
OURS_LOWER = "not reproduced, ours lower"
OURS_HIGHER = "not reproduced, ours higher"
TOO_FEW_SEEDS = "too few seeds"
NOT_RUN = "not run"
UNVERIFIED = "unverified, no verdict"
NO_VERDICT = ""


class RulesError(ValueError):
    """The file of rules is not in order."""


@dataclass(frozen=True)
class SeedMean:
    """A proportion averaged over seeds.

    Attributes:
        mean: 0 to 1.
        sd: standard deviation over seeds (ddof = 1), None for one seed.
        low: lower end of the interval (see `seed_mean`).
        high: upper end.
        n_seeds: how many runs.
        n_images: how many test images each was scored on.
    """

    mean: float
    sd: float | None
    low: float
    high: float
    n_seeds: int
    n_images: int


def seed_mean(values: Sequence[float], *, n_images: int) -> SeedMean:
    """Average a proportion over seeds, with a 95 % interval for test images and seeds together.

    All seeds are scored on the same images, so more seeds do not shrink the first of the two
    parts: Wilson's interval at the mean for `n_images` (a little wide, since a mean over seeds
    varies less from image to image than a single run), and Student's t interval of the mean over
    seeds. Their distances from the mean are added in quadrature on each side (MOVER, Zou & Donner
    2008, Stat. Med. 27:1693). With one seed the second part is unknown and left out.

    Args:
        values: the proportion of each seed, 0 to 1.
        n_images: how many images each proportion is of.

    Raises:
        ValueError: no values, a value outside 0 .. 1, or no images.
    """
    if not values or not all(0 <= v <= 1 for v in values):
        raise ValueError(f"expected proportions between 0 and 1, got {list(values)}.")
    if n_images < 1:
        raise ValueError(f"n_images must be at least 1, got {n_images}.")
    seeds = aggregate_seeds(list(values))
    mean = seeds["mean"]
    low, high = _wilson(mean, n_images)
    if seeds["sd"] is not None:
        by_seeds = seeds["high"] - mean
        low = max(0.0, mean - math.hypot(mean - low, by_seeds))
        high = min(1.0, mean + math.hypot(high - mean, by_seeds))
    return SeedMean(mean, seeds["sd"], low, high, len(values), n_images)


def _wilson(p: float, n: int) -> tuple[float, float]:
    """Wilson's interval of a proportion that need not be a whole number of images."""
    z2 = float(stats.norm.ppf((1 + LEVEL) / 2)) ** 2
    centre = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = math.sqrt(z2 * (p * (1 - p) / n + z2 / (4 * n * n))) / (1 + z2 / n)
    # Rounding must not push the interval off the mean at 0 and at 1.
    return min(p, max(0.0, centre - half)), max(p, min(1.0, centre + half))


@dataclass(frozen=True)
class Comparison:
    """Which published row belongs to which runs.

    Attributes:
        paper: key of the published row, as its table and row.
        table: see `paper`.
        row: see `paper`.
        runs: values that a group of runs must have.
        states: where the paper states a setting: name -> (table, row, column).
        judged: whether a verdict is due; otherwise the value is shown for orientation.
    """

    paper: str
    table: str
    row: str
    runs: dict[str, Any]
    states: dict[str, tuple[str, str, str]]
    judged: bool


@dataclass(frozen=True)
class Rules:
    """The content of `params/verdicts.yaml`."""

    min_seeds_small: int
    min_seeds_large: int
    small_test_images: int
    comparisons: tuple[Comparison, ...]

    def min_seeds(self, n_images: int) -> int:
        """Return how many seeds a verdict needs on a test set of `n_images`."""
        small = n_images < self.small_test_images
        return self.min_seeds_small if small else self.min_seeds_large


FILTERS = ("recipe", "model", "pretrained", "source_size", "image_size")


def load_rules(path: Path | None = None) -> Rules:
    """Read the rules.

    Raises:
        RulesError: a key is missing or unknown.
    """
    path = path or repo_root() / "params" / "verdicts.yaml"
    content = yaml.safe_load(path.read_text())
    try:
        comparisons = tuple(_comparison(entry) for entry in content.pop("comparisons"))
        seeds = content.pop("min_seeds")
        rules = Rules(
            min_seeds_small=seeds.pop("small_test_set"),
            min_seeds_large=seeds.pop("large_test_set"),
            small_test_images=content.pop("small_test_images"),
            comparisons=comparisons,
        )
    except KeyError as error:
        raise RulesError(f"{path.name} lacks the key {error}.") from None
    if unknown := [*content, *seeds]:
        raise RulesError(f"{path.name} has unknown keys: {', '.join(unknown)}.")
    return rules


def _comparison(entry: dict[str, Any]) -> Comparison:
    runs = entry["runs"]
    if unknown := sorted(set(runs) - set(FILTERS)):
        raise RulesError(
            f"unknown filter {', '.join(unknown)} for runs; known: {', '.join(FILTERS)}."
        )
    if unknown := sorted(set(entry) - {"published", "runs", "states", "judged"}):
        raise RulesError(f"unknown key {', '.join(unknown)} in a comparison.")
    states = {name: tuple(key) for name, key in entry.get("states", {}).items()}
    return Comparison(**entry["published"], runs=runs, states=states, judged=entry["judged"])


def judge(published: Published, measured: SeedMean | None, *, rules: Rules) -> str:
    """Return the verdict on one published accuracy.

    Args:
        published: the printed value.
        measured: ours, None if there is no run.
        rules: see `load_rules`.

    Returns:
        One of `REPRODUCED`, `OURS_LOWER`, `OURS_HIGHER`, `TOO_FEW_SEEDS`, `NOT_RUN`, `UNVERIFIED`
        (marked M), `NO_VERDICT` (no number printed).
    """
    if published.mark == "M":
        return UNVERIFIED
    if not published.may_carry_verdict:
        return NO_VERDICT
    if measured is None:
        return NOT_RUN
    if measured.n_seeds < rules.min_seeds(measured.n_images):
        return TOO_FEW_SEEDS
    if measured.high < published.fraction:
        return OURS_LOWER
    if measured.low > published.fraction:
        return OURS_HIGHER
    return REPRODUCED
