"""Each protocol by itself: all its metrics, and pictures of its first seed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from helpers.plots import figures
from helpers.runs.groups import Group, find_group
from helpers.runs.store import Run
from study.plans.comparisons import Plan
from study.plans.verdicts import Rules
from study.report.pictures import Picture, picture
from study.report.rankings import dataset_name, start_name
from study.report.status import of_paper_b
from study.table import mean_sd
from study.tables.accuracy import Row, protocol_labels

METRICS = {
    "accuracy": "accuracy",
    "auc": "AUC",
    "average_precision": "average precision",
    "balanced_accuracy": "balanced accuracy",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "ppv": "positive predictive value",
    "npv": "negative predictive value",
    "f1": "F1",
    "ece": "calibration error (ECE)",
    "brier": "Brier score",
}
# More protocols than this with pictures make a heavy page.
MOST_PICTURED = 16


@dataclass(frozen=True)
class Detail:
    """One protocol.

    Attributes:
        model: name in the registry.
        dataset: in words.
        start: in words.
        phantom: whether its images are synthetic.
        protocol: what tells it from others of the same model.
        seeds: how many, as "n = 5".
        first_seed: whose intervals and pictures are shown.
        metrics: lines of (name, mean ± sd, value, interval, images, method).
        pictures: of the first seed, none for a protocol that no paper speaks of.
        selection: which epoch was kept, and why.
    """

    model: str
    dataset: str
    start: str
    phantom: bool
    protocol: str
    seeds: str
    first_seed: int
    metrics: list[tuple[str, str, str, str, str, str]]
    pictures: list[Picture]
    selection: str


def featured(groups: Sequence[Group], rows: Sequence[Row], *, plan: Plan, rules: Rules) -> list:
    """Return the groups that stand beside a number of either paper.

    Args:
        groups: real groups of the paper profile.
        rows: of `build_rows`.
        plan: see `plans.comparisons.load_plan`.
        rules: see `plans.verdicts.load_rules`.
    """
    found = [row.group for row in of_paper_b(rows, rules)]
    found += [find_group(groups, system.config) for system in plan.systems["imagenet"]]
    return list({id(group): group for group in found if group}.values())


def describe(groups: Sequence[Group], *, pictured: Sequence[Group]) -> list[Detail]:
    """Return the details of all groups.

    Args:
        groups: all groups of a profile.
        pictured: those that get pictures, of which the first `MOST_PICTURED` do.
    """
    labels = protocol_labels(groups)
    chosen = {id(group) for group in pictured[:MOST_PICTURED]}
    return [
        _detail(group, label, pictures=id(group) in chosen)
        for group, label in zip(groups, labels, strict=True)
    ]


def _detail(group: Group, protocol: str, *, pictures: bool) -> Detail:
    selection = group.record["selection"]
    metric = selection["metric"].replace("val_", "validation ").replace("auc", "AUC")
    return Detail(
        model=group.config["model"],
        dataset=dataset_name(group.dataset),
        start=start_name(group.config["pretrained"]),
        phantom=group.is_phantom,
        protocol=protocol,
        seeds=f"n = {len(group.runs)}",
        first_seed=group.seeds[0],
        metrics=_metrics(group),
        pictures=run_pictures(group.runs[0]) if pictures else [],
        selection=(
            f"Seed {group.seeds[0]}: epoch {selection['epoch']} of {group.config['epochs']} was "
            f"selected, {metric} {_three_digits(selection['value'])}."
        ),
    )


def _metrics(group: Group) -> list[tuple[str, str, str, str, str, str]]:
    lines = []
    for key, name in METRICS.items():
        estimate = group.record["metrics"]["test"][key]
        value, low, high = (
            "" if estimate[part] is None else f"{estimate[part]:.3f}"
            for part in ("value", "low", "high")
        )
        interval = f"{low} to {high}" if low and high else ""
        shown = (value or "undefined", interval, f"{estimate['n']}", estimate["method"])
        lines.append((name, mean_sd(group.values(key)), *shown))
    return lines


def run_pictures(run: Run) -> list[Picture]:
    """Draw a run: ROC, confusion matrix, reliability, and the course of its training."""
    record, test = run.record, run.record["metrics"]["test"]
    matrix = np.array(record["confusion_matrix"])
    images = f"{matrix.sum()} test images"
    shown = {name: _three_digits(test[name]["value"]) for name in ("auc", "ece")}
    described = {
        "roc": f"ROC on {images}, AUC {shown['auc']}",
        "confusion_matrix": f"Confusion matrix: {np.trace(matrix)} of {images} right",
        "reliability": f"Reliability on {images}, calibration error {shown['ece']}",
        "training": (
            f"Loss, accuracy, AUC and learning rate by epoch, {len(record['history'])} epochs, "
            f"epoch {record['selection']['epoch']} selected"
        ),
    }
    phantom = ", phantom data" if record["data"]["phantom"] else ""
    return [
        picture(f"{text}{phantom}", figures.draw(name, run)) for name, text in described.items()
    ]


def _three_digits(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"
