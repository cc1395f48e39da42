"""Whether cosine annealing with warm restarts can have printed learning rates: all short cycles.

Within a cycle the rate falls from its peak along half a cosine; at a restart it is at the peak
again (Loshchilov & Hutter 2017). Rates are those after each epoch, the schedule going on by batch,
as torch's `CosineAnnealingWarmRestarts` does when it is stepped so. A cycle that is no whole number
of epochs is elsewhere at the end of each, so that rates can rise from epoch to epoch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from study.published import Published, rounding

FACTORS = (1, 2, 3)  # by which a cycle is longer than the last
# Rounding of the printed ends is no misfit.
_HAIR = 1e-9


@dataclass(frozen=True)
class Cycles:
    """Schedules, and their rates after each epoch."""

    batches: np.ndarray  # int (m,), of an epoch
    first: np.ndarray  # int (m,), batches of the first cycle
    factor: np.ndarray  # int (m,), how many times as long the next cycle is
    heights: np.ndarray  # float (m, epochs), of the rate: 1 at a restart, 0 at the end of a cycle

    def __len__(self) -> int:
        return len(self.batches)


def all_cycles(*, most_batches: int, longest: int, epochs: int) -> Cycles:
    """Return every schedule whose first cycle is of whole batches, or of whole epochs.

    Of 1 to `most_batches` batches an epoch, all first cycles that end within the epochs are taken;
    of whole epochs, those of 1 to `longest`.
    """
    settings = [
        (n, first, factor)
        for n in range(1, most_batches + 1)
        for first in range(1, epochs * n + 1)
        for factor in FACTORS
    ]
    settings += [(1, first, f) for first in range(epochs + 1, longest + 1) for f in FACTORS]
    batches, first, factor = np.array(settings).T
    done = batches[:, None] * np.arange(1, epochs + 1)
    length = np.repeat(first[:, None], epochs, axis=1)
    same = (factor == 1)[:, None]
    done = np.where(same, done % length, done)
    while (over := done >= length).any():
        done, length = (
            np.where(over, done - length, done),
            np.where(over, length * factor[:, None], length),
        )
    return Cycles(batches, first, factor, (1 + np.cos(np.pi * done / length)) / 2)


def fits_from_zero(printed: Sequence[Published], cycles: Cycles) -> np.ndarray:
    """Say which schedules have all printed rates with some peak, falling to 0; bool (m,)."""
    low, high = np.array([rounding(value) for value in printed]).T
    with np.errstate(divide="ignore"):
        least, most = (low / cycles.heights).max(axis=1), (high / cycles.heights).min(axis=1)
    return least <= most * (1 + _HAIR)


def fits_from_any(printed: Sequence[Published], cycles: Cycles) -> np.ndarray:
    """Say which have them with some peak and some lowest rate, 0 or above; bool (m,).

    Rate = lowest + fall x height. Of the falls that fit, an outermost one lies where the upper end
    of one printed rate and the lower end of another are met at once; all such falls are tried.
    """
    low, high = np.array([rounding(value) for value in printed]).T
    fitting = np.zeros(len(cycles), dtype=bool)
    slack = _HAIR * high.max()
    for i, j in permutations(range(len(low)), 2):
        with np.errstate(divide="ignore", invalid="ignore"):
            fall = (high[j] - low[i]) / (cycles.heights[:, j] - cycles.heights[:, i])
            least = (low - fall[:, None] * cycles.heights).max(axis=1)
            most = (high - fall[:, None] * cycles.heights).min(axis=1)
        fitting |= (fall > 0) & np.isfinite(fall) & (least <= most + slack) & (most >= -slack)
    return fitting
