"""What the runs of a protocol reached: the cells of a row, and the columns that show them."""

from collections.abc import Sequence
from typing import Any

from helpers.metrics.intervals import mean_here, one_more_run
from helpers.runs.groups import Group
from helpers.runs.replicas import metric_of
from study.table import Column, column, deviation, number, seeds, span
from study.verdicts import NOT_RUN

PERCENT = {"spec": ".1f", "scale": 100}


def score_cells(
    group: Group | None, metrics: Sequence[str] = ("accuracy", "auc")
) -> dict[str, Any]:
    """Return what is measured of a protocol, shares from 0 to 1.

    Args:
        group: its runs; without any `n_seeds` is 0 and all else missing.
        metrics: test metrics, each with `_mean` over the seeds and `_sd` over all draws.

    Returns:
        Beside them `accuracy` and `auc`, `_low` and `_high`: of the mean on other images; `here`:
        of the mean accuracy on these, `one_more`: where the accuracy of one more run falls.
    """
    cells = {"seeds": None, "n_seeds": 0}
    cells |= dict.fromkeys(("n_test_images", "n_constant", "params", "macs"))
    cells |= {f"{metric}_{part}": None for metric in metrics for part in ("mean", "sd")}
    ends = {"accuracy": None, "auc": None, "here": None, "one_more": None}
    if group:
        model = group.record["model"]
        cells |= {"seeds": " ".join(map(str, group.seeds)), "n_seeds": len(group.seeds)}
        cells |= {"n_test_images": group.n_test, "n_constant": len(group.constant)}
        cells |= {"params": model["params"], "macs": model["macs"]}
        for metric in metrics:
            found = group.mean_and_sd(lambda run, name=metric: metric_of(run, name))
            cells[f"{metric}_mean"], cells[f"{metric}_sd"] = found
        ends = {"accuracy": group.accuracy, "auc": group.auc}
        ends["here"] = group.estimate("accuracy", mean_here)
        ends["one_more"] = group.estimate("accuracy", one_more_run)
    for name, found in ends.items():
        cells |= {f"{name}_low": found and found.low, f"{name}_high": found and found.high}
    return cells


SEEDS = column("seeds", "n_seeds", write=seeds)
SEEDS_OR_NOT_RUN = column("seeds", "n_seeds", write=lambda count: seeds(count) or NOT_RUN)


def constant_text(constant: int, count: int) -> str:
    """Flag seeds that answer one class for every test image; nothing where none does."""
    return f"{constant} of {count} constant" if constant else ""


def accuracy_column(title: str = "accuracy, %", *, missing: str = NOT_RUN) -> Column:
    """Return mean ± sd in percent, with the number of constant seeds."""

    def write(mean: float, sd: float | None, constant: int, count: int) -> str:
        return deviation(mean, sd, constant_text(constant, count), **PERCENT)

    sources = ("accuracy_mean", "accuracy_sd", "n_constant", "n_seeds")
    return column(title, *sources, write=write, missing=missing)


def metric_column(title: str, metric: str, **form: Any) -> Column:
    """Return mean ± sd of a metric."""
    return column(title, f"{metric}_mean", f"{metric}_sd", write=deviation, **form)


def range_column(title: str, name: str = "accuracy", **form: Any) -> Column:
    """Return an interval alone, in percent unless told otherwise."""
    return column(title, f"{name}_low", f"{name}_high", write=span, **(form or PERCENT))


def count_column(title: str, name: str, *, scale: float = 1e-6, spec: str = ".1f") -> Column:
    """Return a count of parameters or multiply-accumulates, in millions."""
    return column(title, name, write=number, scale=scale, spec=spec)
