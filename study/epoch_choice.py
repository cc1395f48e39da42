"""What choosing the epoch on the test split is worth, by stored test curves."""

from collections.abc import Iterable
from typing import Any

from helpers.metrics.variance import aggregate_seeds
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
        if not gains:
            continue
        found = aggregate_seeds(gains)
        if len(set(gains)) == 1:  # seeds that all agree say nothing of their scatter
            found |= {"low": None, "high": None}
        row = {key: group.config[key] for key in ("dataset", "model", "pretrained", "epochs")}
        row |= {"seeds": found["n"], "gain": found["mean"]}
        rows.append(row | {"gain_low": found["low"], "gain_high": found["high"]})
    return rows
