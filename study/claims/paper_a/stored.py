"""What paper A's checks are given of ours: stored runs of planned comparisons.

A seed that was trained again on another processor has several draws, and enters with their mean.
"""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from helpers.config import RunConfig
from helpers.metrics.intervals import auc_scores
from helpers.metrics.scores import Estimate
from helpers.runs.groups import Group, common_seeds
from helpers.runs.replicas import metric_of
from helpers.runs.store import Run
from study.claims.ledger import Claim
from study.claims.paper_a.planned import deciding, named, one_of, pair, pairs_beside
from study.claims.paper_a.readings import OTHERS, is_linear, others_of, sides
from study.claims.paper_a.scores import (
    Measure,
    difference,
    difference_of_differences,
    leaning,
    sensitivity,
)
from study.compare import Compared, measure
from study.published import PRINTED_EPOCHS

# A figure of the history -> its values by epoch.
Course = Mapping[str, list[float]]
Sides = tuple[list[float], list[float]]
FIGURES = ("train_accuracy", "val_accuracy", "val_auc", "val_loss")


# --- runs of one protocol -------------------------------------------------------------------------


def runs(group: Group | None) -> tuple[Run, ...]:
    """Return the runs of a group, one a seed; none without one."""
    return () if group is None else group.runs


def draws(group: Group | None) -> tuple[Run, ...]:
    """Return the runs of a group and those made again elsewhere; none without one."""
    return () if group is None else group.draws


def values(group: Group | None, metric: str) -> list[float]:
    """Return a test metric by seed; none without runs."""
    return [] if group is None else group.values(metric)


def by_seed(group: Group | None, score: Callable[[Run], float]) -> list[float]:
    """Return a score of each seed, the mean of its draws; none without runs."""
    return [] if group is None else [*group.by_seed(score).values()]


def paired(a: Group | None, b: Group | None, score: Callable[[Run], float]) -> Sides:
    """Return a score of the seeds that both sides have, in one order."""
    if a is None or b is None:
        return [], []
    seeds = common_seeds(a, b)
    first, second = (group.by_seed(score) for group in (a, b))
    return [first[seed] for seed in seeds], [second[seed] for seed in seeds]


def at_epoch(name: str, epoch: int) -> Callable[[Run], float]:
    """Return what reads a figure of the history after an epoch."""
    return lambda run: run.record["history"][epoch - 1][name]


def courses(group: Group | None, name: str) -> list[list[float]]:
    """Return a figure of the history by epoch, of each seed."""
    return [[entry[name] for entry in run.record["history"]] for run in runs(group)]


def devices(runs: Sequence[Run]) -> list[str]:
    """Return where each run was trained."""
    return [run.record["env"]["device"] for run in runs]


def framework() -> Group | None:
    """Return the runs of the framework on as many images as the paper has."""
    return pair("table4", "over_resnet18").a


def one_cycle_runs() -> Group | None:
    """Return the runs under the recovered schedule to its end, with torch's momentum cycle."""
    return pair("stopping_momentum", "at_target").b


def without_cycle() -> Group | None:
    """Return those without the momentum cycle."""
    return pair("stopping", "at_target").b


# --- comparisons ----------------------------------------------------------------------------------


def beside(claim: Claim) -> dict[str, Any]:
    """Return the comparisons beside a claim, those on fewer images, and other readings of both."""
    found, fewer = deciding(claim)
    return {
        "compared": [*found.values()],
        "fewer": fewer,
        "readings": others_of([*found.values(), *fewer]),
        "runs": named(claim),
    }


def parts(claim: Claim) -> dict[str, Any]:
    """Return the comparison of the whole, and those that take the parts away one by one."""
    found, fewer = deciding(claim)
    readings = others_of([*found.values(), *fewer])
    whole = found.pop("whole")
    return {
        **{"whole": whole, "parts": [*found.values()]},
        **{"fewer": fewer, "readings": readings, "runs": named(claim)},
    }


@dataclass(frozen=True)
class Scattered:
    """A test metric of every run of two sides, those made again elsewhere among them.

    Attributes:
        a: of A.
        b: of B.
        seeds: how many seeds A and B have.
    """

    a: Sequence[float]
    b: Sequence[float]
    seeds: tuple[int, int]


def stability(claim: Claim) -> dict[str, Any]:
    """Return the test metrics of every run, of both sides of the comparisons beside a claim."""

    def of(c: Compared) -> dict[str, Scattered]:
        groups, metrics = (c.a, c.b), {"AUC": "auc", "accuracy": "accuracy"}
        seeds = tuple(len(group.seeds) if group else 0 for group in groups)
        return {
            title: Scattered(*([metric_of(r, m) for r in draws(g)] for g in groups), seeds)
            for title, m in metrics.items()
        }

    _, fewer = deciding(claim)
    return {"values": of(one_of(claim)), "fewer": [of(c) for c in fewer], "runs": named(claim)}


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
    compared = [found["matched"]]
    return {
        "added": measure(quantum, plain).get("auc"),
        **{"compared": compared, "readings": others_of(compared), "runs": named(claim)},
    }


def damaged(claim: Claim) -> dict[str, Any]:
    """Return the comparisons of a damage, and how they differ from that without damage."""
    before, found = pair("robustness", "undamaged"), pairs_beside(claim)
    kept = {
        title: difference_of_differences((c.a, c.b), (before.a, before.b), auc_scores)
        for title, c in found.items()
    }
    return beside(claim) | {"kept": kept, "runs": damages(claim)}


def damages(claim: Claim) -> str:
    """Name the comparisons beside a claim, all of one family: "robustness: noise_10, noise_20"."""
    found = pairs_beside(claim).values()
    return f"robustness: {', '.join(c.pair.name for c in found)}"


def minority(claim: Claim) -> dict[str, Any]:
    """Return the sensitivities of the method and of cross-entropy at each imbalance."""
    found = pairs_beside(claim)
    means = {
        name: tuple(statistics.fmean(values(g, "sensitivity") or [0]) for g in (c.a, c.b))
        for name, c in found.items()
    }
    return {
        "means": means,
        "differences": {n: difference(c.a, c.b, sensitivity) for n, c in found.items()},
        **{"readings": others_of([*found.values()]), "runs": damages(claim)},
    }


def thinned(claim: Claim) -> dict[str, Any]:
    """Return how cross-entropy answers at each imbalance, and how that differs from none.

    Sensitivity and specificity by seed, and how much more it leans to the commoner class.
    """
    even = pair("robustness", "undamaged").b
    groups = {"none": even} | {name: c.b for name, c in pairs_beside(claim).items()}
    found = {name: group for name, group in groups.items() if name != "none"}
    return {
        "levels": {
            name: tuple(values(group, metric) for metric in ("sensitivity", "specificity"))
            for name, group in groups.items()
        },
        "differences": {name: difference(group, even, leaning) for name, group in found.items()},
        "runs": damages(claim),
    }


# --- levels and times -----------------------------------------------------------------------------


def overfitting_sign() -> dict[str, Any]:
    """Return training and validation accuracy after as many epochs as are printed, by seed."""

    def of(group: Group | None) -> dict[str, list[float]]:
        reads = {name: at_epoch(f"{name}_accuracy", PRINTED_EPOCHS) for name in ("train", "val")}
        return {name: by_seed(group, read) for name, read in reads.items()}

    return of(one_cycle_runs()) | {"without": of(without_cycle())}


def headline() -> dict[str, Estimate | None]:
    """Return accuracy and AUC of the framework."""
    group = framework()
    return {"accuracy": group and group.accuracy, "auc": group and group.auc}


@dataclass(frozen=True)
class Level:
    """An accuracy and its scatter.

    Attributes:
        accuracy: over images and seeds.
        sd: over all runs, those made again elsewhere among them (ddof = 1).
        n_runs: how many.
    """

    accuracy: Estimate
    sd: float
    n_runs: int


def scatter() -> dict[str, dict[str, Level]]:
    """Return the framework's accuracy on both sets of images, and how it scatters over its runs."""
    groups = (pair("full_set", "full_plasticity").a, framework())
    found = {}
    for group in groups:
        if group is None:
            continue
        accuracies = [metric_of(run, "accuracy") for run in group.draws]
        if len(accuracies) > 1:
            level = Level(group.accuracy, statistics.stdev(accuracies), len(accuracies))
            found[f"{group.n_test} test images"] = level
    return {"levels": found}


def schedules() -> dict[str, Any]:
    """Return one-cycle and warm restarts: validation AUC early, test AUC in the end."""
    a, b = one_cycle_runs(), framework()
    early_a, early_b = paired(a, b, at_epoch("val_auc", PRINTED_EPOCHS))
    return {"early_a": early_a, "early_b": early_b, "final": measure(a, b).get("auc")}


def epoch_times() -> dict[str, Any]:
    """Return the seconds of an epoch, and where they were spent."""
    group = pair("stopping", "at_target").a
    seconds = [sum(c) / len(c) for c in courses(group, "seconds")]
    return {"seconds": seconds, "devices": devices(runs(group))}


def training_times() -> dict[str, Any]:
    """Return the seconds of each run of the framework, and where they were spent."""
    found = draws(framework())
    seconds = [run.record["timing"]["train_seconds"] for run in found]
    return {"seconds": seconds, "devices": devices(found)}


# --- courses and answers of two protocols ---------------------------------------------------------


def with_fewer(claim: Claim, name: str, of: Callable[[Compared], Any]) -> dict[str, Any]:
    """Return something of the comparison that decides, by a name, and of those on fewer images."""
    _, fewer = deciding(claim)
    return {
        name: of(one_of(claim)),
        "fewer": {f"{c.a.n_test} test images": of(c) for c in fewer if c.a},
        "runs": named(claim),
    }


def by_stage(measures: Mapping[str, Callable[[Course], float]]) -> Callable[[Claim], dict]:
    """Return what reads measures of a course by seed, of both sides of the comparisons of a claim.

    Args:
        measures: name -> of a course its measure.
    """

    def of(c: Compared) -> dict[str, Sides]:
        return {
            name: paired(c.a, c.b, lambda run, m=measure: m(_course(run)))
            for name, measure in measures.items()
        }

    return lambda claim: with_fewer(claim, "values", of)


def _course(run: Run) -> dict[str, list[float]]:
    return {name: [epoch[name] for epoch in run.record["history"]] for name in FIGURES}


@dataclass(frozen=True)
class Early:
    """The validation AUC after a few epochs.

    Attributes:
        a: of A, by seed.
        b: of B, same seeds.
        by_images: variance of the difference by the validation images.
    """

    a: Sequence[float]
    b: Sequence[float]
    by_images: float


def early_stages(claim: Claim) -> dict[str, Any]:
    """Return the validation AUC after the printed epochs, of both sides of the comparisons."""
    read = at_epoch("val_auc", round(claim.value("epochs").value))

    def of(c: Compared) -> Early:
        return Early(*paired(c.a, c.b, read), _by_images(c))

    return with_fewer(claim, "early", of)


def _by_images(c: Compared) -> float:
    """Return the variance by the validation images of a difference of validation AUCs.

    Answers on them are stored of the selected epoch alone, so that of the test AUC is taken, less
    what the seeds add to it, and brought to as many images.
    """
    if c.auc is None or not c.auc.se:
        return 0.0
    apart = [x - y for x, y in zip(*paired(c.a, c.b, _test_auc), strict=True)]
    by_seeds = statistics.variance(apart) / len(apart)
    sizes = c.a.record["data"]["n"]
    return max(c.auc.se**2 - by_seeds, 0.0) * sizes["test"] / sizes["val"]


def _test_auc(run: Run) -> float:
    return metric_of(run, "auc")


def fine_tuned(claim: Claim) -> dict[str, Any]:
    """Return the validation AUC at the end of the warm-up and of all training, by seed."""
    found = with_fewer(claim, "ends", lambda c: _warm_and_tuned(c.a))
    return dict(zip(("warm", "tuned"), found.pop("ends"), strict=True)) | found


def _warm_and_tuned(group: Group | None) -> Sides:
    def warm(run: Run) -> float:
        stage = [epoch for epoch in run.record["history"] if epoch["stage"] == "warm-up"]
        return stage[-1]["val_auc"]

    ends = (warm, lambda run: run.record["history"][-1]["val_auc"])
    return tuple(by_seed(group, read) for read in ends)


def warm_up_epochs() -> dict[str, list[float]]:
    """Return the validation AUC after the first and the second epoch of the head alone, by seed."""
    group = framework()
    if any(run.record["history"][1]["stage"] != "warm-up" for run in runs(group)):
        return {"first": [], "second": []}
    reads = {"first": at_epoch("val_auc", 1), "second": at_epoch("val_auc", 2)}
    return {name: by_seed(group, read) for name, read in reads.items()}


def constant_answers(claim: Claim) -> dict[str, Any]:
    """Return runs that answer one class for all test images, and all runs: staged, and all layers.

    Those of all comparisons beside the claim together.
    """
    found = pairs_beside(claim).values()
    counts = {}
    for title, side in (("staged", "a"), ("all_layers", "b")):
        groups = [group for c in found if (group := getattr(c, side))]
        collapsed = sum(len(group.constant) for group in groups)
        counts[title] = (collapsed, sum(len(group.runs) for group in groups))
    return counts | {"runs": named(claim)}


# What a loss consists of; all else of a protocol is no part of it.
OF_THE_LOSS = ("loss", "focal_gamma", "focal_alpha", "focal_reading", "label_smoothing")


def besides_the_loss(a: RunConfig, b: RunConfig) -> list[str]:
    """Return the settings besides the loss in which two protocols differ."""
    one, other = a.to_dict(), b.to_dict()
    return [n for n in one if one[n] != other[n] and n not in (*OF_THE_LOSS, "seed")]


def answers(measures: Mapping[str, Measure]) -> Callable[[Claim], dict]:
    """Return what reads how much more A has than B, of the comparison of a claim, over the answers.

    Args:
        measures: name of what is measured -> see `scores.Measure`.
    """

    def read(claim: Claim) -> dict[str, Any]:
        c = one_of(claim)
        under = {
            title: {
                name: found
                for name in OTHERS
                if (found := difference(*sides(c, name), measure)) is not None
            }
            for title, measure in measures.items()
        }
        differences = {title: difference(c.a, c.b, measure) for title, measure in measures.items()}
        return {
            "differences": None if None in differences.values() else differences,
            "under": {title: found for title, found in under.items() if found},
            "runs": named(claim),
        }

    return read


def whole_loss(measure: Measure) -> Callable[[Claim], dict]:
    """Return what reads how much more of a measure the joint loss has than cross-entropy.

    With what else the two protocols differ in, and the same of each part of the loss alone under
    other readings than the linear one.
    """

    def read(claim: Claim) -> dict[str, Any]:
        found = pairs_beside(claim)
        c = found.pop("whole")
        alone = {
            f"{title}, {name}": difference(*sides(part, name), measure)
            for title, part in found.items()
            for name in OTHERS
        }
        return {
            "difference": difference(c.a, c.b, measure),
            "besides": besides_the_loss(c.pair.a, c.pair.b),
            "linear": is_linear(c.pair.a),
            "parts": {title: one for title, one in alone.items() if one is not None},
            "runs": named(claim),
        }

    return read
