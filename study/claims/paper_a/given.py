"""What paper A's checks are given: published values, counts and stored runs."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from helpers.metrics import intervals
from helpers.metrics.intervals import image_scores, less
from helpers.metrics.scores import Estimate
from helpers.paths import results_root
from helpers.runs.groups import Group, common_seeds, group_runs, is_real
from helpers.runs.store import Run, list_runs
from study.claims.confusion import Confusion
from study.claims.paper_a import results
from study.claims.paper_a import sizes as sizes_a
from study.claims.split_sizes import search_sizes
from study.compare import Compared, Results, compare_all, measure
from study.plans.comparisons import load_plan
from study.published import PRINTED_EPOCHS, Published, lookup, rounding

OURS = "Brain-Inspired Hybrid (Ours)"
RESNET18, RESNET34 = "ResNet18 (baseline)", "ResNet34"
QUANTUM = "Quantum-Enhanced ResNet18"
BASELINES = (RESNET18, RESNET34, QUANTUM)
BACKBONES = ("resnet18", "resnet50")


# --- what is published ---------------------------------------------------------------------------


def printed(table: str, row: str, column: str) -> Published:
    """Return a value that paper A prints."""
    return lookup(paper="A", table=table, row=row, column=column)


def course(column: str) -> list[Published]:
    """Return a column of Table 1."""
    return [printed("Table 1", f"epoch {e}", column) for e in range(1, PRINTED_EPOCHS + 1)]


def matrix() -> Confusion:
    """Return Table 3."""
    cells = [
        round(printed("Table 3", f"actual {actual}", f"predicted {predicted}").value)
        for actual in ("negative", "positive")
        for predicted in ("negative", "positive")
    ]
    return Confusion(*cells)


def test_images(column: str) -> int:
    """Return how many test images there are, "positive", "negative", or all, "images"."""
    return round(printed("section 3.2", "test set", column).value)


def methods(row: str, column: str) -> Published:
    """Return what the methods say of a setting."""
    return printed("methods", row, column)


def backbones() -> dict[str, sizes_a.Backbone]:
    """Return the counts of the backbones that the paper allows."""
    return {name: sizes_a.count_backbone(name) for name in BACKBONES}


def heads() -> dict[str, tuple[float, sizes_a.Backbone]]:
    """Return the heads that the paper allows: Eq. 4 on both backbones, and what 11.4 M leave."""
    known = backbones()
    found = {f"Eq. 4 on {name}": (float(b.linear(1)), b) for name, b in known.items()}
    _, most = rounding(printed("Table 4", OURS, "params"))
    small = known["resnet18"]
    found["the most within 11.4 M"] = (most * sizes_a.MILLION - small.trunk, small)
    return found


def split_sizes() -> dict[str, int | None]:
    """Return the images by split: recovered from the accuracies, and stated of the test."""
    found = {name: search_sizes(course(f"{name}_accuracy")).sizes for name in ("train", "val")}
    sizes = {name: fitting[0] if fitting else None for name, fitting in found.items()}
    return sizes | {"test": test_images("images")}


# --- what is stored ------------------------------------------------------------------------------


def all_results() -> Results:
    """Return every planned comparison with its runs."""
    return _results_of(results_root())


@cache
def _results_of(root: Path) -> Results:
    return compare_all(group_runs(filter(is_real, list_runs(root))), load_plan())


def compared(family: str, name: str) -> Compared:
    """Return a comparison of `params/comparisons.yaml`."""
    return next(c for c in all_results().compared[family] if c.pair.name == name)


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
    return compared("table4", "over_resnet18").a


def one_cycle_runs() -> Group | None:
    """Return the runs under the recovered schedule that go on to its end."""
    return compared("stopping", "at_target").b


def parts() -> dict[str, Any]:
    """Return the comparisons that take the parts away one by one, and that of the whole."""
    *taken, whole = all_results().compared["ablation"]
    # The quantum head is no part of the framework.
    return {"parts": [c for c in taken if c.pair.name != "quantum_mlp"], "whole": whole}


def stability() -> dict[str, Any]:
    """Return the test metrics by seed, staged and with all layers trained."""
    pair = compared("ablation", "plasticity")
    return {
        "values": {
            title: (values(pair.a, metric), values(pair.b, metric))
            for title, metric in (("AUC", "auc"), ("accuracy", "accuracy"))
        }
    }


def rarest() -> float | None:
    """Return the share of the rarer class among our test images; all splits are stratified."""
    group = framework()
    if group is None:
        return None
    labels, _ = group.runs[0].predictions("test")
    return float(min(labels.mean(), 1 - labels.mean()))


def quantum_over_plain() -> dict[str, Any]:
    """Return the quantum head beside the plain network, and beside an MLP of its size."""
    quantum = compared("table4", "over_quantum").b
    plain = compared("table4", "over_resnet18").b
    added = None
    if quantum and plain:
        added = measure(quantum, plain).get("auc")
    return {
        "added": added,
        "matched": [compared("ablation", "quantum_mlp")],
        "what": "The quantum head, staged, less plain ResNet18 with cross-entropy",
        "runs": "table4: over_quantum, over_resnet18; ablation: quantum_mlp",
    }


def damaged(names: dict[str, str]) -> dict[str, Any]:
    """Return a damage's runs: title -> its comparison in the family "robustness"."""
    before = compared("robustness", "undamaged")
    found = {title: compared("robustness", name) for title, name in names.items()}
    return {
        "compared": list(found.values()),
        "damaged": {
            title: results.Damaged(
                *(values(group, "auc") for group in (c.a, c.b, before.a, before.b))
            )
            for title, c in found.items()
        },
        "runs": f"robustness: {', '.join(names.values())}",
    }


def schedules() -> dict[str, Any]:
    """Return one-cycle and warm restarts: validation AUC early, test AUC in the end."""
    a, b = one_cycle_runs(), framework()
    if a is None or b is None:
        return {"early_a": [], "early_b": [], "final": None}
    seeds = common_seeds(a, b)
    early = [
        [
            v
            for s, v in zip(g.seeds, at_epoch(g, "val_auc", PRINTED_EPOCHS), strict=True)
            if s in seeds
        ]
        for g in (a, b)
    ]
    final = measure(a, b).get("auc")
    return {"early_a": early[0], "early_b": early[1], "final": final}


def minority() -> dict[str, tuple[list[float], list[float]]]:
    """Return the sensitivities of the method and of cross-entropy at each imbalance."""
    pairs = {"1 : 4": "imbalance_4", "1 : 9": "imbalance_9"}
    found = {name: compared("robustness", key) for name, key in pairs.items()}
    return {
        name: (values(c.a, "sensitivity"), values(c.b, "sensitivity")) for name, c in found.items()
    }


def epoch_times() -> dict[str, Any]:
    """Return the seconds of an epoch, and what is printed of them."""
    group = compared("stopping", "at_target").a
    return {
        "seconds": [sum(c) / len(c) for c in courses(group, "seconds")],
        "devices": devices(group),
        "printed": printed("section 3.5", "training", "seconds_per_epoch"),
        "image_size": methods("training", "image_size"),
    }


# --- courses and answers of two protocols ---------------------------------------------------------


def by_stage(measures: dict[str, Callable[[dict[str, list[float]]], float]]) -> dict[str, Any]:
    """Return measures of a course by seed, staged and with all layers trained.

    Args:
        measures: name -> of a course (figure of the history -> values by epoch) its measure.
    """
    pair = compared("ablation", "plasticity")
    return {
        "values": {
            name: tuple([measure(course) for course in _histories(g)] for g in (pair.a, pair.b))
            for name, measure in measures.items()
        },
        "what": "Trained in stages, and all layers at once",
        "runs": "ablation: plasticity",
    }


def _histories(group: Group | None) -> list[dict[str, list[float]]]:
    figures = ("train_accuracy", "val_accuracy", "val_auc", "val_loss")
    return [
        {name: [epoch[name] for epoch in run.record["history"]] for name in figures}
        for run in runs(group)
    ]


def overfitting() -> dict[str, Any]:
    """Return two measures of overfitting at the end of training, of both ways to train."""
    return by_stage(
        {
            "training less validation accuracy": lambda c: (
                c["train_accuracy"][-1] - c["val_accuracy"][-1]
            ),
            "validation loss above its lowest": lambda c: c["val_loss"][-1] - min(c["val_loss"]),
        }
    )


def oscillations() -> dict[str, Any]:
    """Return two measures of oscillation over the epochs, of both ways to train."""
    return by_stage(
        {
            "fall of the validation AUC an epoch": lambda c: float(
                np.maximum(-np.diff(c["val_auc"]), 0).mean()
            ),
            "rise of the validation loss an epoch": lambda c: float(
                np.maximum(np.diff(c["val_loss"]), 0).mean()
            ),
        }
    )


def early_stages() -> dict[str, Any]:
    """Return the validation AUC after the printed epochs, staged and with all layers trained."""
    pair = compared("ablation", "plasticity")
    early = [at_epoch(g, "val_auc", PRINTED_EPOCHS) for g in (pair.a, pair.b)]
    return {"early_a": early[0], "early_b": early[1], "epochs": PRINTED_EPOCHS}


def warm_up_epochs() -> dict[str, list[float]]:
    """Return the validation AUC after the first and the second epoch of the head alone, by seed."""
    group = framework()
    if any(run.record["history"][1]["stage"] != "warm-up" for run in runs(group)):
        return {"first": [], "second": []}
    return {name: at_epoch(group, "val_auc", e) for name, e in (("first", 1), ("second", 2))}


def answers(
    family: str, name: str, measures: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]]
) -> dict[str, Estimate] | None:
    """Return what a comparison's A has more than B of measures of single answers.

    Args:
        family: of `params/comparisons.yaml`.
        name: the comparison.
        measures: name -> function of labels, int (n,), and probabilities, float (n, 2), to
            float (n,).

    Returns:
        Differences over images and seeds, None without runs of both sides.
    """
    pair = compared(family, name)
    if pair.a is None or pair.b is None:
        return None
    seeds = common_seeds(pair.a, pair.b)

    def scores(group: Group, measure: Callable) -> intervals.Scores:
        chosen = [run for run in group.runs if run.config["seed"] in seeds]
        found = [measure(*run.predictions("test")) for run in chosen]
        return image_scores(np.stack(found), bounded=False)

    return {
        title: intervals.mean(less(scores(pair.a, measure), scores(pair.b, measure)))
        for title, measure in measures.items()
    }


def smoothing_answers() -> dict[str, Estimate] | None:
    """Return how label smoothing changes the confidence, alone and above the share right."""
    return answers(
        "ablation",
        "smoothing",
        {
            "confidence": lambda y, p: p.max(axis=1),
            "confidence above the share that is right": lambda y, p: (
                p.max(axis=1) - (p.argmax(axis=1) == y)
            ),
        },
    )


def loss_answers() -> dict[str, Estimate] | None:
    """Return how the joint loss changes the entropy of an answer, in bits."""

    def entropy(labels: np.ndarray, p: np.ndarray) -> np.ndarray:
        p = np.clip(p.astype(float), 1e-12, 1)
        return -(p * np.log2(p)).sum(axis=1)

    return answers("robustness", "undamaged", {"entropy": entropy})
