"""What paper A's checks are given of ours: stored runs of planned comparisons."""

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from helpers.metrics import intervals
from helpers.metrics.intervals import image_scores, less
from helpers.metrics.scores import Estimate
from helpers.metrics.seeds import aggregate_seeds
from helpers.paths import results_root
from helpers.runs.groups import Group, common_seeds, group_runs, is_real
from helpers.runs.store import Run, list_runs
from study.claims.ledger import Claim
from study.compare import Compared, Results, compare_all, measure
from study.plans.comparisons import load_plan
from study.published import PRINTED_EPOCHS

# A figure of the history -> its values by epoch.
Course = Mapping[str, list[float]]


@cache
def _results_of(root: Path) -> Results:
    return compare_all(group_runs(filter(is_real, list_runs(root))), load_plan())


def pair(family: str, name: str) -> Compared:
    """Return a comparison of `params/comparisons.yaml`."""
    found = _results_of(results_root()).compared[family]
    return next(c for c in found if c.pair.name == name)


def pairs_beside(claim: Claim) -> dict[str, Compared]:
    """Return the comparisons beside a claim, "ablation: focal", by their names in its row."""
    return {title: pair(*place.split(": ")) for title, place in claim.beside.items()}


def beside(claim: Claim) -> dict[str, Any]:
    """Return the comparisons beside a claim, and what names them."""
    return {"compared": [*pairs_beside(claim).values()], "runs": "; ".join(claim.beside.values())}


def values(group: Group | None, metric: str) -> list[float]:
    """Return a test metric by seed; none without runs."""
    return [] if group is None else group.values(metric)


def runs(group: Group | None) -> tuple[Run, ...]:
    """Return the runs of a group; none without one."""
    return () if group is None else group.runs


def at_epoch(group: Group | None, name: str, epoch: int) -> list[float]:
    """Return a figure of the history after an epoch, by seed."""
    return [run.record["history"][epoch - 1][name] for run in runs(group)]


def courses(group: Group | None, name: str) -> list[list[float]]:
    """Return a figure of the history by epoch, of each seed."""
    return [[entry[name] for entry in run.record["history"]] for run in runs(group)]


def devices(group: Group | None) -> list[str]:
    """Return where each seed was trained."""
    return [run.record["env"]["device"] for run in runs(group)]


def framework() -> Group | None:
    """Return the runs of the framework on as many images as the paper has."""
    return pair("table4", "over_resnet18").a


def one_cycle_runs() -> Group | None:
    """Return the runs under the recovered schedule, with its momentum cycle, to its end."""
    return pair("stopping_momentum", "at_target").b


def parts(claim: Claim) -> dict[str, Any]:
    """Return the comparison of the whole, and those that take the parts away one by one."""
    found = pairs_beside(claim)
    return {"whole": found.pop("whole"), "parts": [*found.values()]}


def stability(claim: Claim) -> dict[str, Any]:
    """Return the test metrics by seed, of both sides of the comparison beside a claim."""
    (c,) = pairs_beside(claim).values()
    metrics = {"AUC": "auc", "accuracy": "accuracy"}
    sides = {title: (values(c.a, m), values(c.b, m)) for title, m in metrics.items()}
    return {"values": sides, "runs": claim.ours}


def rarest() -> float | None:
    """Return the share of the rarer class among our test images; all splits are stratified."""
    group = framework()
    if group is None:
        return None
    labels, _ = group.runs[0].predictions("test")
    return float(min(labels.mean(), 1 - labels.mean()))


def quantum_over_plain(claim: Claim) -> dict[str, Any]:
    """Return the quantum head beside the plain network, and beside an MLP of its size."""
    found = pairs_beside(claim)
    quantum, plain = found["quantum"].b, found["plain"].b
    added = measure(quantum, plain).get("auc") if quantum and plain else None
    return {"added": added, "matched": [found["matched"]]}


def damaged(claim: Claim) -> dict[str, Any]:
    """Return a damage's runs: test AUCs by seed, of both sides, damaged and undamaged."""
    before, found = pair("robustness", "undamaged"), pairs_beside(claim)
    return {
        "compared": [*found.values()],
        "damaged": {
            title: [values(group, "auc") for group in (c.a, c.b, before.a, before.b)]
            for title, c in found.items()
        },
        "runs": damages(claim),
    }


def damages(claim: Claim) -> str:
    """Name the comparisons beside a claim, all of one family: "robustness: noise_10, noise_20"."""
    found = pairs_beside(claim).values()
    return f"robustness: {', '.join(c.pair.name for c in found)}"


def minority(claim: Claim) -> dict[str, Any]:
    """Return the sensitivities of the method and of cross-entropy at each imbalance."""
    found = pairs_beside(claim)
    sides = {
        name: (values(c.a, "sensitivity"), values(c.b, "sensitivity")) for name, c in found.items()
    }
    return {"pairs": sides, "runs": damages(claim)}


def overfitting_sign() -> dict[str, list[float]]:
    """Return training and validation accuracy after as many epochs as are printed, by seed."""
    group = one_cycle_runs()
    return {n: at_epoch(group, f"{n}_accuracy", PRINTED_EPOCHS) for n in ("train", "val")}


def headline() -> dict[str, Estimate | None]:
    """Return accuracy and AUC of the framework."""
    group = framework()
    return {"accuracy": group and group.accuracy, "auc": group and group.auc}


def scatter() -> dict[str, Any]:
    """Return the framework's accuracy, and how it scatters over the seeds."""
    group = framework()
    if group is None:
        return {"accuracy": None, "sd": None}
    return {"accuracy": group.accuracy, "sd": aggregate_seeds(group.values("accuracy"))["sd"]}


def schedules() -> dict[str, Any]:
    """Return one-cycle and warm restarts: validation AUC early, test AUC in the end."""
    a, b = one_cycle_runs(), framework()
    if a is None or b is None:
        return {"early_a": [], "early_b": [], "final": None}
    seeds = common_seeds(a, b)

    def early(group: Group) -> list[float]:
        found = zip(group.seeds, at_epoch(group, "val_auc", PRINTED_EPOCHS), strict=True)
        return [value for seed, value in found if seed in seeds]

    return {"early_a": early(a), "early_b": early(b), "final": measure(a, b).get("auc")}


def epoch_times() -> dict[str, Any]:
    """Return the seconds of an epoch, and where they were spent."""
    group = pair("stopping", "at_target").a
    seconds = [sum(c) / len(c) for c in courses(group, "seconds")]
    return {"seconds": seconds, "devices": devices(group)}


def training_times() -> dict[str, Any]:
    """Return the seconds of each run of the framework, and where they were spent."""
    group = framework()
    seconds = [run.record["timing"]["train_seconds"] for run in runs(group)]
    return {"seconds": seconds, "devices": devices(group)}


# --- courses and answers of two protocols ---------------------------------------------------------


def by_stage(measures: Mapping[str, Callable[[Course], float]]) -> Callable[[Claim], dict]:
    """Return what reads measures of a course by seed, of both sides of the comparison of a claim.

    Args:
        measures: name -> of a course its measure.
    """

    def read(claim: Claim) -> dict[str, Any]:
        (c,) = pairs_beside(claim).values()
        sides = (_histories(c.a), _histories(c.b))
        found = {
            name: tuple([measure(course) for course in side] for side in sides)
            for name, measure in measures.items()
        }
        return {"values": found, "runs": claim.ours}

    return read


def _histories(group: Group | None) -> list[dict[str, list[float]]]:
    figures = ("train_accuracy", "val_accuracy", "val_auc", "val_loss")
    return [
        {name: [epoch[name] for epoch in run.record["history"]] for name in figures}
        for run in runs(group)
    ]


def early_stages(claim: Claim) -> dict[str, Any]:
    """Return the validation AUC after the printed epochs, of both sides of the comparison."""
    (c,) = pairs_beside(claim).values()
    epochs = round(claim.value("epochs").value)
    early_a, early_b = (at_epoch(group, "val_auc", epochs) for group in (c.a, c.b))
    return {"early_a": early_a, "early_b": early_b, "runs": claim.ours}


def warm_up_epochs() -> dict[str, list[float]]:
    """Return the validation AUC after the first and the second epoch of the head alone, by seed."""
    group = framework()
    if any(run.record["history"][1]["stage"] != "warm-up" for run in runs(group)):
        return {"first": [], "second": []}
    return {name: at_epoch(group, "val_auc", e) for name, e in (("first", 1), ("second", 2))}


def answers(
    measures: Mapping[str, Callable[[np.ndarray, np.ndarray], np.ndarray]],
) -> Callable[[Claim], dict]:
    """Return what reads how much more A has than B, of the comparison of a claim, over the answers.

    Args:
        measures: name -> function of labels, int (n,), and probabilities, float (n, 2), to
            float (n,).

    Returns:
        A function of a claim to differences over images and seeds, None without runs of both sides.
    """

    def read(claim: Claim) -> dict[str, Any]:
        (c,) = pairs_beside(claim).values()
        differences = None
        if c.a is not None and c.b is not None:
            differences = {title: _difference(c.a, c.b, m) for title, m in measures.items()}
        return {"differences": differences, "runs": claim.ours}

    return read


def _difference(a: Group, b: Group, measure: Callable) -> Estimate:
    seeds = common_seeds(a, b)

    def scores(group: Group) -> intervals.Scores:
        chosen = [run for run in group.runs if run.config["seed"] in seeds]
        return image_scores(
            np.stack([measure(*r.predictions("test")) for r in chosen]), bounded=False
        )

    return intervals.mean(less(scores(a), scores(b)))
