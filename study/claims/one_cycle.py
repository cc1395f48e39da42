"""Which one-cycle schedule printed learning rates come from: a search on a grid.

torch's `OneCycleLR` rises from max_lr / div_factor to max_lr along half a cosine that ends one step
before `pct_start` of all steps. The four rates that are printed lie in that rise.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from study.published import Published, last_digit


@dataclass(frozen=True)
class Grid:
    """What is tried."""

    max_lr: tuple[float, ...] = tuple(k / 2000 for k in range(1, 41))  # peaks
    div_factor: tuple[float, ...] = (10, 25, 100)  # peak over first rate
    rise_epochs: tuple[float, ...] = tuple(k / 2 for k in range(8, 61))  # pct_start x epochs
    steps: tuple[int, ...] = tuple(range(10, 71))  # batches an epoch


GRID = Grid()


@dataclass(frozen=True)
class Fit:
    """Settings of `Grid` that give all printed rates, but for the number of steps."""

    max_lr: float
    div_factor: float
    rise_epochs: float
    steps: tuple[int, int]  # fewest and most batches an epoch with which they do


def rates(
    max_lr: np.ndarray,
    div_factor: np.ndarray,
    rise_epochs: np.ndarray,
    steps: np.ndarray,
    *,
    epochs: int,
) -> np.ndarray:
    """Return the learning rates after each epoch, float (..., epochs); arguments broadcast."""
    peak, start, rise, steps = (
        np.asarray(x, dtype=float)[..., None]
        for x in (max_lr, np.asarray(max_lr) / div_factor, rise_epochs, steps)
    )
    done = steps * np.arange(1, epochs + 1)
    share = np.minimum(done / (rise * steps - 1), 1.0)
    return start + (peak - start) * (1 - np.cos(np.pi * share)) / 2


@lru_cache(maxsize=2)
def _schedules(grid: Grid, epochs: int) -> tuple[np.ndarray, np.ndarray]:
    """Return all settings of a grid (n, 4) and their rates (n, epochs), by ascending first rate."""
    axes = np.meshgrid(grid.max_lr, grid.div_factor, grid.rise_epochs, grid.steps, indexing="ij")
    settings = np.stack([axis.ravel() for axis in axes], axis=1)
    # A rise that ends within the printed epochs is left out: the rates would not rise.
    settings = settings[settings[:, 2] > epochs]
    values = rates(*settings.T, epochs=epochs)
    order = np.argsort(values[:, 0], kind="stable")
    return settings[order], values[order]


def _hits(grid: Grid, wanted: np.ndarray, half_digits: np.ndarray) -> np.ndarray:
    """Return the settings (n, 4) whose rates are all within half a digit of the wanted."""
    settings, values = _schedules(grid, len(wanted))
    slack = half_digits * (1 + 1e-6)
    ends = [wanted[0] - slack[0], wanted[0] + slack[0]]
    near = slice(*np.searchsorted(values[:, 0], ends))
    fits = np.abs(values[near] - wanted) <= slack
    return settings[near][fits.all(axis=1)]


def _wanted(printed: Sequence[Published]) -> tuple[np.ndarray, np.ndarray]:
    """Return printed rates and half of their last digits."""
    values = np.array([value.value for value in printed])
    return values, np.array([last_digit(value) / 2 for value in printed])


def find_schedules(printed: Sequence[Published], *, grid: Grid = GRID) -> list[Fit]:
    """Return the schedules that have all printed rates, those after epochs 1, 2, and so on."""
    found: dict[tuple[float, ...], list[int]] = {}
    for *setting, steps in _hits(grid, *_wanted(printed)).tolist():
        found.setdefault(tuple(setting), []).append(round(steps))
    return [Fit(*setting, (min(n), max(n))) for setting, n in sorted(found.items())]


def misfit(printed: Sequence[Published], *, grid: Grid = GRID) -> np.ndarray:
    """Return how far each schedule of a grid is from the printed rates.

    The unit is half the last printed digit: up to 1, rounding explains it. The printed rates are
    those after epochs 1, 2, ... It is that of the worst epoch, float (peaks, rises), with the best
    of all first rates and numbers of steps; nan where the rise ends before the last epoch.
    """
    wanted, halves = _wanted(printed)
    peak, rise = np.array(grid.max_lr), np.array(grid.rise_epochs)
    best = np.full((len(peak), len(rise)), np.inf)
    for steps in grid.steps:
        for div in grid.div_factor:
            values = rates(peak[:, None], np.array(div), rise, np.array(steps), epochs=len(wanted))
            best = np.minimum(best, (np.abs(values - wanted) / halves).max(axis=-1))
    best[:, rise <= len(wanted)] = np.nan
    return best


def chance_of_fit(*, epochs: int, grid: Grid = GRID, draws: int = 1000) -> float:
    """Return how often one-cycle rates that are off the grid fit a schedule on it.

    Peaks, first rates, rises and steps are drawn evenly within the grid's ends, and the rates
    rounded to three digits, as printed.
    """
    rng = np.random.default_rng(0)
    axes = (grid.max_lr, grid.div_factor, grid.rise_epochs, grid.steps)
    drawn = [rng.uniform(min(axis), max(axis), size=draws) for axis in axes]
    drawn[2] = np.maximum(drawn[2], epochs + 0.5)
    values = rates(*drawn, epochs=epochs)
    digits = 10.0 ** (np.floor(np.log10(values)) - 2)
    rounded = np.rint(values / digits) * digits
    pairs = zip(rounded, digits / 2, strict=True)
    return float(np.mean([len(_hits(grid, *pair)) > 0 for pair in pairs]))
