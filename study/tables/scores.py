"""What the runs of a protocol reached: the cells of a row, and the columns that show them."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from helpers.metrics.intervals import mean_here, one_more_run
from helpers.runs.groups import Group
from helpers.runs.replicas import metric_of
from study.table import Column, column, deviation, number, seeds, span
from study.tied import free_accuracy
from study.verdicts import NOT_RUN

PERCENT = {"spec": ".1f", "scale": 100}


def score_cells(
    group: Group | None, metrics: Sequence[str] = ("accuracy", "auc")
) -> dict[str, Any]:
    """Return what is measured of a protocol, shares from 0 to 1; without runs all is missing.

    Of each test metric there is `_mean` over the seeds and `_sd` over all draws. `_low` and `_high`
    are, of `accuracy` and `auc`, those of the mean on other images; of `here` those of the mean
    accuracy on these, of `one_more` where the accuracy of one more run falls.
    """
    model = group.record["model"] if group else {}
    cells = {
        "seeds": group and " ".join(map(str, group.seeds)),
        "n_seeds": len(group.seeds) if group else 0,
        "n_test_images": group and group.n_test,
        "n_constant": group and len(group.constant),
        "params": model.get("params"),
        "macs": model.get("macs"),
    }
    for metric in metrics:
        mean, sd = group.mean_and_sd(partial(metric_of, name=metric)) if group else (None, None)
        cells |= {f"{metric}_mean": mean, f"{metric}_sd": sd}
    intervals = {
        "accuracy": group and group.accuracy,
        "auc": group and group.auc,
        "here": group and group.estimate("accuracy", mean_here),
        "one_more": group and group.estimate("accuracy", one_more_run),
    }
    for name, found in intervals.items():
        cells |= {f"{name}_low": found and found.low, f"{name}_high": found and found.high}
    return cells


def free_cells(group: Group | None) -> dict[str, Any]:
    """Return the accuracy on the images that nothing ties to training: `FREE` shows it."""
    found = group and free_accuracy(group)
    return {f"free_{name}": found and getattr(found, name) for name in ("mean", "sd", "images")}


def _free_text(mean: float, sd: float | None, images: int) -> str:
    return deviation(mean, sd, f"{images:,.0f} images", **PERCENT)


FREE = column(
    "on images not tied to training", "free_mean", "free_sd", "free_images", write=_free_text
)
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


AUC = metric_column("AUC", "auc")


def range_column(title: str, name: str = "accuracy", **form: Any) -> Column:
    """Return an interval alone, in percent unless told otherwise."""
    return column(title, f"{name}_low", f"{name}_high", write=span, **(form or PERCENT))


def count_column(title: str, name: str, **form: Any) -> Column:
    """Return a count of parameters or multiply-accumulates, in millions unless told otherwise."""
    return column(title, name, write=number, **({"scale": 1e-6, "spec": ".1f"} | form))
