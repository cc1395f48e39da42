"""What paper B's checks are given of ours: counts, stored runs and measurements."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from helpers.models.counting import count_macs
from helpers.models.self_attention import SelfAttention
from helpers.models.spectralflow import SpectralFlow
from helpers.paths import results_root
from helpers.runs.groups import Group, find_group, group_runs, is_real
from helpers.runs.store import load_run
from study.claims.ledger import Claim
from study.claims.measured import store
from study.compare import Compared, best_optimizers, compare_family
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
from study.plans.ranking import Plan
from study.plans.ranking import load_plan as load_ranking_plan
from study.plans.table2 import load_table2
from study.plans.verdicts import load_rules
from study.published import Published, comparators, load_published, lookup
from study.ranking import compare_as_published, compare_focus, judge_claim
from study.sizes import IMAGE_SIZE, NUM_CLASSES, Counts, count_sizes, giga_macs

SIX = ("breastmnist", "pneumoniamnist", "bloodmnist", "dermamnist", "organcmnist", "organsmnist")
RECIPES = ("common", "ranking", "table2", "paper_b")


# --- other papers, released sets -----------------------------------------------------------------


def higher_public(dataset: str) -> dict[str, Published]:
    """Return the verified accuracies of other papers on a data set, by system."""
    table = comparators(dataset, "accuracy")
    table = table[(table["paper"] != "B") & (table["mark"] != "M") & table["value"].notna()]
    keys = table[["paper", "table", "row", "column"]].to_dict("records")
    return {f"{key['row']}, {key['paper']}": lookup(**key) for key in keys}


def timed() -> int:
    """Return how many latencies, throughputs or memory sizes paper B prints."""
    table = load_published()
    return int(((table["paper"] == "B") & table["unit"].isin(["s", "min"])).sum())


def description(dataset: str) -> str:
    """Return what the released set is said to be."""
    import medmnist

    return medmnist.INFO[dataset]["description"]


def class_names(dataset: str) -> dict[str, str]:
    """Return the names of a released set's classes."""
    import medmnist

    return dict(medmnist.INFO[dataset]["label"])


# --- counts ---------------------------------------------------------------------------------------


def counts(model: str, image_size: int = IMAGE_SIZE) -> Counts:
    """Count a network of the registry."""
    return count_sizes(model, num_classes=NUM_CLASSES, image_size=image_size)


def millions(model: str) -> float:
    """Return a network's parameters in millions."""
    return counts(model).parameters / 1e6


def gmacs(model: str) -> float:
    """Return a network's multiply-accumulates at 224 px, in units of 10^9."""
    return both_gmacs(model)[0]


def both_gmacs(model: str) -> tuple[float, float]:
    """Return them without normalisation and with it, see `sizes.giga_macs`."""
    return giga_macs(model, num_classes=NUM_CLASSES, image_size=IMAGE_SIZE)


def size_beside(claim: Claim) -> dict[str, float | None]:
    """Return our count of the network beside a printed size, in the unit of that."""
    if claim.value("printed").unit == "M":
        return {"counted": millions(claim.ours), "up_to": None}
    counted, up_to = both_gmacs(claim.ours)
    return {"counted": counted, "up_to": up_to}


@cache
def backbone() -> tuple[float, tuple[int, ...]]:
    """Return a ResNet-18's parameters without classifier, in millions, and its map's shape."""
    from torchvision.models import resnet18

    with torch.device("meta"):
        network = resnet18()
        trunk = nn.Sequential(*list(network.children())[:-2])
        shape = trunk(torch.zeros(1, 3, IMAGE_SIZE, IMAGE_SIZE)).shape[1:]
    return sum(p.numel() for p in trunk.parameters()) / 1e6, tuple(shape)


@cache
def spectralflow(channels: int, sides: tuple[int, ...]) -> tuple[int, dict[int, int]]:
    """Return SpectralFlow's parameters, and its multiply-accumulates by side of the map."""
    with torch.device("meta"):
        module = SpectralFlow(channels=channels).eval()
    macs = {}
    for side in sides:
        counter = FlopCounterMode(display=False)
        with torch.enable_grad(), counter:
            module(torch.zeros(1, channels, side, side, device="meta"))
        macs[side] = counter.get_total_flops() // 2
    return sum(p.numel() for p in module.parameters()), macs


@cache
def self_attention(channels: int, sides: tuple[int, ...]) -> dict[int, int]:
    """Return what self-attention with SpectralFlow's parameters takes, by side of the map."""
    with torch.device("meta"):
        module = SelfAttention.with_parameters(spectralflow(channels, sides)[0])
    width = module.attention.embed_dim
    return {side: count_macs(module, image_size=side, in_channels=width) for side in sides}


# --- runs -----------------------------------------------------------------------------------------


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


@cache
def ranking_plan() -> Plan:
    """Return `params/ranking.yaml`, read once."""
    return load_ranking_plan()


def missing() -> list[str]:
    """Return the titles of the data sets of Table 3 without a run of its protocol."""
    run = {g.dataset for g in groups() if g.config["recipe"] == "ranking"}
    return [title for name, title in ranking_plan().datasets.items() if name not in run]


def run_datasets() -> list[str]:
    """Return the data sets with a run of the protocol of Table 3."""
    titles = missing()
    return [name for name, title in ranking_plan().datasets.items() if title not in titles]


def as_published(others: tuple[str, ...] | None = None) -> list[Compared]:
    """Return the paper's comparisons, pretrained against scratch, on all data sets run."""
    return [
        c
        for dataset in run_datasets()
        for c in _as_published(results_root(), dataset)
        if others is None or c.other in others
    ]


@cache
def _as_published(root: Path, dataset: str) -> tuple[Compared, ...]:
    plan, rules = ranking_plan(), load_rules()
    return tuple(compare_as_published(_groups(root), dataset=dataset, plan=plan, rules=rules))


@cache
def _same_start(root: Path, dataset: str, start: str) -> tuple[Compared, ...]:
    plan, rules = ranking_plan(), load_rules()
    found = {
        model: find_group(_groups(root), plan.config(dataset, model, start))
        for model in plan.starts[start]
    }
    focus = found.pop(plan.focus)
    return tuple(compare_focus(focus, found, plan=plan, rules=rules))


def same_start(start: str, others: tuple[str, ...] | None = None) -> list[Compared]:
    """Return the network against others of the same start, on all data sets run."""
    return [
        c
        for dataset in run_datasets()
        for c in _same_start(results_root(), dataset, start)
        if others is None or c.other in others
    ]


def claim_in_words(claim: Claim) -> dict[str, Any]:
    """Return the inputs of `results.in_words`: the words of `params/ranking.yaml` on the others."""
    others = tuple(claim.beside.values())
    words = next(words for words in ranking_plan().claims if words.others == others)
    return {
        "scratch": judge_claim(words, same_start("none")),
        "published": judge_claim(words, as_published()),
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


def optimizers() -> dict[str, str]:
    """Return which optimizer is best, by augmentation."""
    return best_optimizers(compared("optimizer"))


def train_gaps(figure: str, *, cutmix: bool) -> list[float]:
    """Return by how much held-out images are better than training images in the last epoch.

    Args:
        figure: "accuracy", or "loss", of which less is better.
        cutmix: which of the two protocols with Adam.
    """
    (pair,) = [c for c in compared("cutmix", "adam")]
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


def level() -> float:
    """Return the level of the corrected p values of the maps."""
    return load_localisation_plan().level


@cache
def _maps(root: Path) -> tuple[dict, list]:
    plan = load_localisation_plan()
    study = plan.study("arcade")
    if not is_measured(study):
        return {}, []
    measured = load_measured(study)
    layers = {finding.layer: finding for finding in layer_findings(measured, plan)}
    return layers, progression(measured, plan)


def layer(name: str):
    """Return a layer's finding on the angiogram patches, None without maps."""
    return _maps(results_root())[0].get(name)


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
        areas = measured.networks[network].of(
            view=WHOLE, row=layer, method=METHOD, measure="half_area"
        )
        return np.nanstd(areas, axis=1, ddof=1).tolist()

    return {"trained": scatter(TRAINED), "untaught": {name: scatter(name) for name in UNTAUGHT}}


@cache
def _spread(root: Path) -> list:
    from helpers.runs.store import RunError

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


def peak(device: str, model: str) -> int | None:
    """Return the peak memory of a forward pass in bytes, None if not measured."""
    found = store(device)
    row = found and found.row("memory", model=model, step="forward")
    return row["bytes"] if row else None


def export_row() -> dict | None:
    """Return the network's export, None if it was not tried."""
    found = store("cpu")
    return found and found.row("exports", model="medspectralnet")
