"""The measured order of a ranking against the published one."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from study.ranking import Ranking, primary

# Up to so many models every order is tried for Kendall's tau; above, this many drawn ones.
_EXACT_UP_TO = 7
_DRAWN = 9_999


@dataclass(frozen=True)
class Agreement:
    """The measured order of a ranking against the published one."""

    models: tuple[str, ...]  # those with both a published value and runs
    tau: float | None  # Kendall's tau-b of the means and the published values, None if undefined
    # Share of orders of the published values that agree or disagree at least as much (two-sided).
    p_value: float | None
    smallest_p: float | None  # that so many models could give
    same: int  # pairs in the published order that are shown to be so
    reversed: int  # pairs shown to be the other way round
    undecided: int  # pairs with different published values and no difference shown


def order_agreement(ranking: Ranking, *, verified_only: bool = True) -> Agreement:
    """Compare the measured order of a ranking with the published one.

    Values marked M may be shown, never judged: they stay out unless asked for.
    """
    values = {}
    for place in ranking.ranked:
        accuracy = primary(place.system, ranking.dataset, ranking.start)
        if accuracy and not (verified_only and accuracy.published.mark == "M"):
            values[place.system.model] = accuracy.published.fraction
    models = tuple(values)
    told_apart = [
        c.sign("accuracy") * np.sign(values[a] - values[b])
        for (a, b), c in ranking.pairs.items()
        if a in values and b in values and values[a] != values[b]
    ]
    measured = [ranking.place(model).accuracy.value for model in models]
    tau, p_value, smallest_p = kendall(measured, list(values.values()))
    counts = (told_apart.count(sign) for sign in (1, -1, 0))
    return Agreement(models, tau, p_value, smallest_p, *counts)


def kendall(
    measured: Sequence[float], published: Sequence[float]
) -> tuple[float | None, float | None, float | None]:
    """Return Kendall's tau-b of two lists, its permutation p value, and the least possible one.

    Every order of the published values is tried up to seven models; above that 9,999 are drawn,
    and the observed one is counted in, so that p is never 0 (Phipson & Smyth 2010). Three times
    None for fewer than three models or where all values of a list are equal.
    """
    measured, published = np.asarray(measured, float), np.asarray(published, float)
    # Means of equal counts may differ in the last digit: that is no order.
    measured = measured.round(12)
    n = len(measured)
    if n < 3 or len(set(measured)) == 1 or len(set(published)) == 1:
        return None, None, None
    rows, columns = np.triu_indices(n, k=1)
    signs = np.sign(measured[rows] - measured[columns])
    norm = math.sqrt((signs != 0).sum() * (published[rows] != published[columns]).sum())

    def tau(orders: np.ndarray) -> np.ndarray:
        return (np.sign(orders[:, rows] - orders[:, columns]) @ signs) / norm

    observed = float(tau(published[None])[0])
    if n <= _EXACT_UP_TO:
        taus = tau(np.array(list(itertools.permutations(published))))
    else:
        rng = np.random.default_rng(0)
        drawn = rng.permuted(np.tile(published, (_DRAWN, 1)), axis=1)
        taus = np.append(tau(drawn), observed)
    extreme = np.abs(taus) >= abs(observed) - 1e-9
    smallest = max(2 / math.factorial(n), 1 / len(taus))
    if n <= _EXACT_UP_TO:
        # Ties make several orders one: the most extreme tau is reached by more of them.
        smallest = float(np.mean(np.abs(taus) >= np.abs(taus).max() - 1e-9))
    return observed, float(extreme.mean()), smallest
