"""What paper B's checks are given of stored runs and measurements."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from helpers.paths import results_root
from helpers.runs.groups import Group, find_group, group_runs, is_real
from helpers.runs.store import RunError, load_run
from study.claims.ledger import Claim
from study.claims.measured import store
from study.claims.paper_b.counting import SIX
from study.compare import Compared, compare_family
from study.epoch_choice import curve_rows
from study.levels import Level, judge_level, stands_beside
from study.maps.findings import (
    METHOD,
    TRAINED,
    UNTAUGHT,
    focus_findings,
    is_measured,
    layer_findings,
    load_measured,
    progression,
)
from study.maps.scores import WHOLE
from study.plans.costs import Candidate
from study.plans.costs import load_plan as load_efficiency_plan
from study.plans.maps import load_plan as load_localisation_plan
from study.plans.ranking import load_plan as load_ranking_plan
from study.plans.table2 import load_table2
from study.plans.verdicts import load_rules
from study.published import Published
from study.ranking import compare_as_published, compare_focus, judge_claim

RECIPES = ("common", "ranking", "table2", "paper_b")


def groups() -> tuple[Group, ...]:
    """Return the real runs on MedMNIST of the recipes that speak of paper B."""
    return _groups(results_root())


@cache
def _groups(root: Path) -> tuple[Group, ...]:
    files = [f for recipe in RECIPES for f in (root / "runs" / recipe).glob("*mnist*/*/*/run.json")]
    runs = [load_run(file.parent) for file in sorted(files)]
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
    found = _against(results_root(), start)
    return [c for c in found if others is None or c.other in others.values()]


@cache
def _against(root: Path, start: str) -> tuple[Compared, ...]:
    plan, rules, runs = load_ranking_plan(), load_rules(), _groups(root)
    found, absent = [], missing()
    for dataset in (name for name, title in plan.datasets.items() if title not in absent):
        if start == "as published":
            found += compare_as_published(runs, dataset=dataset, plan=plan, rules=rules)
            continue
        models = {m: find_group(runs, plan.config(dataset, m, start)) for m in plan.starts[start]}
        focus = models.pop(plan.focus)
        found += compare_focus(focus, models, plan=plan, rules=rules)
    return tuple(found)


def claim_in_words(claim: Claim) -> dict[str, Any]:
    """Return the inputs of `results.in_words`: the words of `params/ranking.yaml` on the others."""
    others = tuple(claim.beside.values())
    words = next(words for words in load_ranking_plan().claims if words.others == others)
    return {
        "scratch": judge_claim(words, against("none")),
        "published": judge_claim(words, against("as published")),
        "missing": missing(),
    }


def compared(family: str, *names: str) -> list[Compared]:
    """Return comparisons of `params/table2.yaml`, of one family, by name or all."""
    found = _family(results_root(), family)
    return [c for c in found if not names or c.pair.name in names]


def compared_beside(claim: Claim) -> list[Compared]:
    """Return the comparison beside a claim, "blocks: both", or all of a family, "cutmix"."""
    return compared(*claim.ours.split(": "))


@cache
def _family(root: Path, name: str) -> tuple[Compared, ...]:
    plan = load_table2().plan
    return tuple(compare_family(plan.family(name), _groups(root), plan=plan, rules=load_rules()))


def train_gaps(figure: str, *, cutmix: bool) -> list[float]:
    """Return by how much held-out images are better than training images in the last epoch.

    Args:
        figure: "accuracy", or "loss", of which less is better.
        cutmix: which of the two protocols with Adam.
    """
    (pair,) = compared("cutmix", "adam")
    group = pair.a if cutmix else pair.b
    last = [run.record["history"][-1] for run in group.runs] if group else []
    sign = -1 if figure == "loss" else 1
    return [sign * (row[f"val_{figure}"] - row[f"train_{figure}"]) for row in last]


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


def class_areas(claim: Claim) -> list[list[float]]:
    """Return class-wise areas of each seed of the network's nearest protocol; none without runs.

    The printed value's column names data set and area ("organsmnist/auc"), its row one class
    ("class 10") or all.
    """
    (key,) = claim.given["printed"]
    found = network_groups(key.dataset)
    if not found:
        return []
    group = max(found, key=lambda g: (g.config["epochs"], g.source_size))
    area = key.column.partition("/")[2]
    return [
        [
            row[area]["value"]
            for i, row in enumerate(run.record["per_class"])
            if key.row in (f"class {i}", "per class")
        ]
        for run in group.runs
    ]


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


def chosen_epochs() -> list[dict]:
    """Return what choosing the epoch on the test curve would add, of each protocol that has one."""
    return curve_rows(g for g in groups() if g.config["recipe"] == "paper_b")


# --- maps, times ----------------------------------------------------------------------------------


@cache
def _maps(root: Path) -> tuple[dict, list]:
    plan = load_localisation_plan()
    study = plan.study("arcade")
    if not is_measured(study):
        return {}, []
    measured = load_measured(study)
    layers = {finding.layer: finding for finding in layer_findings(measured, plan)}
    return layers, progression(measured, plan)


def layer(name: str) -> dict[str, Any]:
    """Return a layer's finding on the angiogram patches, and the level of its p values."""
    return {"finding": _maps(results_root())[0].get(name), "level": load_localisation_plan().level}


def map_progression() -> list:
    """Return the two differences between ContextGate and the second SpectralFlow."""
    return _maps(results_root())[1]


def gate_scatter(layer: str) -> dict[str, Any]:
    """Return the inputs of `interpretation.varies_within_class`; empty without maps."""
    study = load_localisation_plan().study("arcade")
    if not is_measured(study):
        return {"trained": [], "untaught": {}}
    measured = load_measured(study)

    def scatter(network: str) -> list[float]:
        where = {"view": WHOLE, "row": layer, "method": METHOD}
        areas = measured.networks[network].of(**where, measure="half_area")
        return np.nanstd(areas, axis=1, ddof=1).tolist()

    return {"trained": scatter(TRAINED), "untaught": {name: scatter(name) for name in UNTAUGHT}}


@cache
def _spread(root: Path) -> list:
    try:
        return focus_findings(load_localisation_plan())
    except RunError:
        return []


def spread(claim: Claim, *, breast: bool) -> list:
    """Return how widely the maps of both classes are spread, on the paper's set or on others."""
    return [
        f
        for f in _spread(results_root())
        if f.layer in claim.beside and f.dataset.startswith("breastmnist") == breast
    ]


def time_ratios(device: str) -> dict:
    """Return the inputs of `efficiency.faster`, for the two networks of the plan's claim."""
    plan, found = load_efficiency_plan(), store(device)
    ratios = {}
    for batch in (plan.latency_batch, plan.throughput_batch):
        name = f"{batch} image{'s' if batch > 1 else ''}"
        pair = [Candidate(model, "eager") for model in plan.claimed]
        ratios[name] = found and found.ratio(*pair, image_size=plan.image_size, batch_size=batch)
    return {"ratios": ratios, "quiet": bool(found and found.is_quiet)}


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
