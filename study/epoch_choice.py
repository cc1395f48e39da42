"""What choosing the epoch on the test split is worth, by stored test curves."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from scipy import stats

from helpers.metrics.scores import LEVEL
from helpers.runs.groups import Group


def longest(groups: Iterable[Group]) -> list[Group]:
    """Return of each network, data set and start the protocol that is nearest to the paper's.

    That with the most epochs; of equals that with CutMix, which the paper has.
    """
    best: dict[tuple[str, ...], Group] = {}
    for group in groups:
        key = tuple(group.config[name] for name in ("dataset", "model", "pretrained"))
        best[key] = max(best.get(key, group), group, key=_nearness)
    return list(best.values())


def _nearness(group: Group) -> tuple[float, float]:
    return group.config["epochs"], group.config["cutmix"]


def curve_rows(groups: Iterable[Group]) -> list[dict[str, Any]]:
    """Return, of each protocol with test curves, the best test epoch less the selected one."""
    rows = []
    for group in groups:
        curves = [(run, run.test_curve()) for run in group.runs]
        gains = [
            curve.max() - curve[run.record["selection"]["epoch"] - 1]
            for run, curve in curves
            if curve is not None
        ]
        if gains:
            rows.append(
                {key: group.config[key] for key in ("dataset", "model", "pretrained", "epochs")}
                | {"seeds": len(gains)}
                | _student(gains)
            )
    return rows


def _student(values: Sequence[float]) -> dict[str, float | None]:
    mean, low, high = float(np.mean(values)), None, None
    if len(values) > 1 and np.ptp(values) > 0:  # seeds that all agree say nothing of their scatter
        half = stats.t.ppf(0.5 + LEVEL / 2, len(values) - 1)
        half *= np.std(values, ddof=1) / math.sqrt(len(values))
        low, high = mean - half, mean + half
    return {"gain": mean, "gain_low": low, "gain_high": high}
