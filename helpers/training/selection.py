"""Which epoch of a training is kept: chosen by its validation columns alone."""

import math
from typing import Any

from helpers.config import RunConfig

SELECTION_RULE = "highest validation AUC, then lowest validation loss, then earliest epoch"


def select_epoch(history: list[dict[str, Any]], stop_at_accuracy: float | None = None) -> int:
    """Apply the selection rule to a history; return the number of an epoch, from 1.

    Only its validation columns are read. The first epoch that reaches the accuracy goes before all.
    """
    for record in history:
        if reaches(record, stop_at_accuracy):
            return record["epoch"]
    return max(history, key=_rank)["epoch"]  # the earliest of equals


def reaches(record: dict[str, Any], target: float | None) -> bool:
    """Say whether an epoch has the validation accuracy at which training ends at once."""
    return target is not None and record["val_accuracy"] >= target


def _rank(record: dict[str, Any]) -> tuple[float, float]:
    """Order epochs by `SELECTION_RULE`; an undefined AUC ranks below any."""
    auc = record["val_auc"]
    return (-math.inf if auc is None else auc, -record["val_loss"])


def selection_rule(config: RunConfig) -> str:
    """Say in words how a run's epoch is selected."""
    if config.stop_at_accuracy is None:
        return SELECTION_RULE
    return (
        f"first epoch with a validation accuracy of {config.stop_at_accuracy:g}, where training "
        f"stops; if there is none: {SELECTION_RULE}"
    )
