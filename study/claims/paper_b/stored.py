"""What paper B's checks are given of stored runs and measurements."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from helpers.config import without_size
from helpers.paths import leakage_dir, results_root
from helpers.runs.groups import Group, find_group, group_runs, is_real
from helpers.runs.store import RunError, whole_runs
from study.claims.ledger import Claim
from study.claims.measured import store
from study.claims.paper_b import budget
from study.claims.paper_b.counting import SIX
from study.compare import Compared, compare_family
from study.epoch_choice import curve_rows
from study.levels import Level, judge_level, stands_beside
from study.maps.findings import (
    METHOD,
    TRAINED,
    UNTAUGHT,
    FocusFinding,
    LayerFinding,
    Measured,
    focus_findings,
    is_measured,
    layer_findings,
    load_measured,
    progression,
)
from study.maps.scores import WHOLE
from study.plans.costs import EAGER, Candidate
from study.plans.costs import load_plan as load_efficiency_plan
from study.plans.form import check_known
from study.plans.maps import load_plan as load_localisation_plan
from study.plans.ranking import load_plan as load_ranking_plan
from study.plans.table2 import load_table2
from study.plans.verdicts import load_rules
from study.published import Published
from study.ranking import compare_as_published, compare_focus, judge_claim
from study.tied import free_accuracy, read_tied

RECIPES = ("common", "ranking", "table2", "paper_b")


def groups() -> tuple[Group, ...]:
    """Return the real runs on MedMNIST of the recipes that speak of paper B."""
    return _groups(results_root())


@cache
def _groups(root: Path) -> tuple[Group, ...]:
    files = [f for recipe in RECIPES for f in (root / "runs" / recipe).glob("*mnist*/*/*/run.json")]
    runs = whole_runs(sorted(files))
    return tuple(group_runs(run for run in runs if is_real(run)))


def network_groups(dataset: str) -> list[Group]:
    """Return runs of the network that stand beside its printed accuracy."""
    chosen = [c for c in load_rules().comparisons if c.paper == "B"]
    of_set = [group for group in groups() if group.dataset == dataset]
    return [group for group in of_set if any(stands_beside(c, group) for c in chosen)]


def network_level(claim: Claim) -> Level:
    """Return the printed accuracy of a claim beside our runs."""
    (key,) = claim.given["printed"]
    of = {"paper": key.paper, "table": key.table, "row": key.row, "dataset": key.dataset}
    return judge_level(groups(), **of, rules=load_rules())


def network_accuracy(claim: Claim) -> dict[str, Any]:
    """Return `network_level`, and the accuracy of its runs without images tied to training."""
    level, tied = network_level(claim), read_tied(leakage_dir() / f"{claim.dataset}.csv")
    return {"level": level, "free": level.group and free_accuracy(level.group, tied)}


def missing() -> list[str]:
    """Return the titles of the data sets of Table 3 without a run of its protocol."""
    run = {g.dataset for g in groups() if g.config["recipe"] == "ranking"}
    return [title for name, title in load_ranking_plan().datasets.items() if name not in run]


def against(start: str, others: Mapping[str, str] | None = None) -> list[Compared]:
    """Return the network against others on all data sets run.

    Args:
        start: of both sides, "none" or "imagenet"; "as published", ours pretrained, theirs not.
        others: the networks, by default all.
    """
    found = [c for family in _against(results_root(), start).values() for c in family]
    return [c for c in found if others is None or c.other in others.values()]


@cache
def _against(root: Path, start: str) -> dict[str, tuple[Compared, ...]]:
    """Return the comparisons by data set."""
    plan, rules, runs = load_ranking_plan(), load_rules(), _groups(root)
    found, absent = {}, missing()
    for dataset in (name for name, title in plan.datasets.items() if title not in absent):
        if start == "as published":
            family = compare_as_published(runs, dataset=dataset, plan=plan, rules=rules)
        else:
            models = {
                m: find_group(runs, plan.config(dataset, m, start)) for m in plan.starts[start]
            }
            focus = models.pop(plan.focus)
            family = compare_focus(focus, models, plan=plan, rules=rules)
        found[dataset] = tuple(family)
    return found


# A family of `params/table2.yaml`: the network against plain ones from the same ImageNet weights,
# at the paper's own length or a tenth of it. In the row of a claim it names the comparison that is
# planned once more at that length.
AT_LENGTH = "at_length"


def at_length(others: Collection[str]) -> dict[str, list[Compared]]:
    """Return the network against plain ones after the longest trainings, by data set's title.

    Args:
        others: the plain networks.
    """
    plan, found = load_ranking_plan(), {}
    for c in with_runs(AT_LENGTH):
        other, dataset = c.pair.b.model, without_size(c.pair.a.dataset)
        if other in others:
            named = replace(c, name=other, title=plan.systems[other].title)
            found.setdefault(plan.datasets[dataset], []).append(named)
    return found


def same_start(claim: Claim) -> dict[str, list[Compared]]:
    """Return the network against others from the same ImageNet weights, by data set's title.

    Of two comparisons with one network on one data set that whose runs have more epochs.
    """
    plan, others = load_ranking_plan(), claim.beside.values()
    short = {
        plan.datasets[dataset]: [c for c in family if c.other in others]
        for dataset, family in _against(results_root(), "imagenet").items()
    }
    found = {}
    for families in (short, at_length(others)):
        for title, family in families.items():
            best = found.setdefault(title, {})
            for c in family:
                if c.other not in best or (c.epochs or 0) > (best[c.other].epochs or 0):
                    best[c.other] = c
    return {title: list(best.values()) for title, best in found.items()}


def claim_in_words(claim: Claim) -> dict[str, Any]:
    """Return the inputs of `results.in_words`: the words of `params/ranking.yaml` on the others."""
    others = tuple(claim.beside.values())
    words = next(words for words in load_ranking_plan().claims if words.others == others)
    return {
        "scratch": judge_claim(words, against("none")),
        "published": judge_claim(words, against("as published")),
        "missing": missing(),
        "same_start": at_length(others),
    }


def compared(family: str, *names: str) -> list[Compared]:
    """Return comparisons of `params/table2.yaml`, of one family, by name or all.

    Raises:
        PlanError: no family, or no comparison in it, has such a name.
    """
    found = {c.pair.name: c for c in _family(results_root(), family)}
    for name in names:
        check_known(name, found, f"comparison of {family}")
    return [found[name] for name in names or found]


def with_runs(family: str, *names: str) -> list[Compared]:
    """Return those of `compared` that have runs."""
    return [c for c in compared(family, *names) if c.seeds]


def compared_beside(claim: Claim) -> dict[str, list[Compared]]:
    """Return the inputs of `results.part_helps`.

    Of a claim the comparison beside it, "blocks: both", or all of a family, "cutmix", and by itself
    the one at the paper's own length ("at_length=..."), once that has runs.
    """
    places = {name: place.split(": ") for name, place in claim.beside.items()}
    longer = places.pop(AT_LENGTH, None)
    (place,) = places.values()
    return {"compared": compared(*place), AT_LENGTH: with_runs(*longer) if longer else []}


@cache
def _family(root: Path, name: str) -> tuple[Compared, ...]:
    plan = load_table2().plan
    return tuple(compare_family(plan.family(name), _groups(root), plan=plan, rules=load_rules()))


def train_gaps(figure: str) -> dict[str, Any]:
    """Return the inputs of `results.augmentation_lowers`, of the two protocols with Adam.

    The gap is by how much held-out images are better than training images in the last epoch.

    Args:
        figure: "accuracy", or "loss", of which less is better.
    """
    (pair,) = compared("cutmix", "adam")
    sign = -1 if figure == "loss" else 1

    def gaps(group: Group | None) -> list[float]:
        last = [run.record["history"][-1] for run in group.runs] if group else []
        return [sign * (row[f"val_{figure}"] - row[f"train_{figure}"]) for row in last]

    return {"with_it": gaps(pair.a), "without": gaps(pair.b), "epochs": pair.epochs}


def rarest_shares() -> dict[str, float | None]:
    """Return the share of the rarest class of each stored test split, None without a run."""
    supports = {dataset: class_supports(dataset) for dataset in SIX}
    return {d: min(n.values()) / sum(n.values()) if n else None for d, n in supports.items()}


def class_supports(dataset: str) -> dict[str, int] | None:
    """Return the test images of each class, from a stored run; None without one."""
    found = [g for g in groups() if g.dataset == dataset]
    if not found:
        return None
    rows = found[0].record["confusion_matrix"]
    return {f"class {label}": sum(row) for label, row in enumerate(rows)}


def class_areas(claim: Claim) -> dict[str, Any]:
    """Return class-wise areas of each seed of the network's nearest protocol, and its epochs.

    The printed value's column names data set and area ("organsmnist/auc"), its row one class
    ("class 10") or all. Without runs there are none, and no epochs.
    """
    (key,) = claim.given["printed"]
    found = network_groups(key.dataset)
    if not found:
        return {"areas": [], "epochs": None}
    group = max(found, key=lambda g: (g.config["epochs"], g.source_size))
    area = key.column.partition("/")[2]
    areas = [
        [
            row[area]["value"]
            for i, row in enumerate(run.record["per_class"])
            if key.row in (f"class {i}", "per class")
        ]
        for run in group.runs
    ]
    return {"areas": areas, "epochs": group.config["epochs"]}


def long_courses(
    dataset: str, figures: Mapping[str, str], *, epochs: Published
) -> dict[str, list[list[float]]]:
    """Return curves of runs as long as the paper's, by epoch and seed; none without such runs.

    Args:
        dataset: name.
        figures: title -> figure of the history.
        epochs: of the paper.
    """
    long = [g for g in network_groups(dataset) if g.config["epochs"] >= epochs.value]
    return {
        title: [[row[figure] for row in run.record["history"]] for g in long for run in g.runs]
        for title, figure in figures.items()
    }


def curves_at(
    claim: Claim, figures: Mapping[str, str], *, epoch: int | None = None, scale: float = 1
) -> dict[str, float] | None:
    """Return curves after an epoch, by default the last, mean over seeds; None without such runs.

    Args:
        claim: names the data set, and the paper's epochs.
        figures: title -> figure of the history.
        epoch: from 1.
        scale: factor.
    """
    found = long_courses(claim.dataset, figures, epochs=claim.value("epochs"))
    if not all(found.values()):
        return None
    at = -1 if epoch is None else epoch - 1
    return {
        title: scale * sum(course[at] for course in courses) / len(courses)
        for title, courses in found.items()
    }


def chosen_epochs() -> dict[str, list[float]]:
    """Return what choosing the epoch on the test curve would add, by protocol, of each seed."""
    return {
        f"{group.config['model']} on {group.dataset}": [
            row["gain"] for run in group.runs for row in curve_rows([replace(group, runs=(run,))])
        ]
        for group in groups()
        if group.config["recipe"] == "paper_b"
    }


# --- maps, times ----------------------------------------------------------------------------------


@cache
def _measured_maps(root: Path) -> Measured | None:
    """Return the maps measured on angiogram patches, None where they or their runs are missing."""
    study = load_localisation_plan().study("arcade")
    measured = load_measured(study) if is_measured(study) else None
    return measured if measured and budget.of_maps(measured) is not None else None


@cache
def _map_epochs(root: Path) -> int | None:
    measured = _measured_maps(root)
    return budget.of_maps(measured) if measured else None


@cache
def _layers(root: Path) -> dict[str, LayerFinding]:
    measured = _measured_maps(root)
    found = layer_findings(measured, load_localisation_plan()) if measured else []
    return {finding.layer: finding for finding in found}


def layer(name: str) -> dict[str, Any]:
    """Return the inputs of `interpretation.focused`, of a layer on the angiogram patches."""
    root = results_root()
    return {
        "finding": _layers(root).get(name),
        "level": load_localisation_plan().level,
        "epochs": _map_epochs(root),
    }


def map_progression() -> dict[str, Any]:
    """Return the two differences between ContextGate and the second SpectralFlow, and epochs."""
    root = results_root()
    measured = _measured_maps(root)
    found = progression(measured, load_localisation_plan()) if measured else []
    return {"findings": found, "epochs": _map_epochs(root)}


def gate_scatter(layer: str) -> dict[str, Any]:
    """Return the inputs of `interpretation.varies_within_class`; empty without maps."""
    root = results_root()
    if (measured := _measured_maps(root)) is None:
        return {"trained": [], "untaught": {}, "epochs": None}

    def scatter(network: str) -> list[float]:
        where = {"view": WHOLE, "row": layer, "method": METHOD}
        areas = measured.networks[network].of(**where, measure="half_area")
        return np.nanstd(areas, axis=1, ddof=1).tolist()

    return {
        "trained": scatter(TRAINED),
        "untaught": {name: scatter(name) for name in UNTAUGHT},
        "epochs": _map_epochs(root),
    }


@cache
def _spread(root: Path) -> tuple[list[FocusFinding], dict[str, int]]:
    """Return the findings on data sets without boxes, and the epochs of each set's runs."""
    plan = load_localisation_plan()
    try:
        return focus_findings(plan), budget.of_focus(plan)
    except RunError:
        return [], {}


def spread(claim: Claim, *, breast: bool) -> dict[str, Any]:
    """Return how widely the maps of both classes are spread, on the paper's set or on others."""
    findings, epochs = _spread(results_root())
    chosen = [
        f
        for f in findings
        if f.layer in claim.beside and f.dataset.startswith("breastmnist") == breast
    ]
    return {"findings": chosen, "epochs": {f.dataset: epochs[f.dataset] for f in chosen}}


def time_ratios(device: str) -> dict:
    """Return the inputs of `efficiency.faster`, for the two networks of the plan's claim."""
    plan, found = load_efficiency_plan(), store(device)
    ratios = {}
    for batch in (plan.latency_batch, plan.throughput_batch):
        name = f"{batch} image{'s' if batch > 1 else ''}"
        pair = [Candidate(model, EAGER) for model in plan.claimed]
        ratios[name] = found and found.ratio(*pair, image_size=plan.image_size, batch_size=batch)
    return {"ratios": ratios, "quiet": bool(found and found.is_quiet)}


# Networks with a selective scan: it is ours, compiled for the CPU, and not their authors'.
SCANS = ("medmamba_", "vmamba_")


def times_by_macs(device: str) -> dict[str, Any]:
    """Return the inputs of `efficiency.cheaper_is_faster`, of all networks without a scan.

    Networks were timed in groups, and each group holds the reference: a time is so many of its.
    """
    plan, found = load_efficiency_plan(), store(device)
    sizes = found.rows("sizes") if found else []
    macs = {row["model"]: row["macs"] for row in sizes if not row["model"].startswith(SCANS)}
    times = {}
    for batch in (plan.latency_batch, plan.throughput_batch):
        place = {"image_size": plan.image_size, "batch_size": batch}
        reference = Candidate(plan.reference, EAGER)
        ratios = {m: found.ratio(Candidate(m, EAGER), reference, **place) for m in macs}
        name = f"{batch} image{'s' if batch > 1 else ''}"
        times[name] = {model: ratio for model, ratio in ratios.items() if ratio}
    return {"macs": macs, "times": times, "quiet": bool(found and found.is_quiet)}


def peaks(device: str) -> dict[str, int | None]:
    """Return the peak memory of a forward pass of both networks in bytes, None if not measured."""
    found = store(device)

    def peak(model: str) -> int | None:
        row = found and found.row("memory", model=model, step="forward")
        return row["bytes"] if row else None

    return {"ours": peak("medspectralnet"), "theirs": peak("medmamba_t")}


def export_row() -> dict | None:
    """Return the network's export, None if it was not tried."""
    found = store("cpu")
    return found and found.row("exports", model="medspectralnet")
