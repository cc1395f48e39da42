"""What paper B's checks are given of stored runs: of its network, and comparisons with others.

What is read, or compared, is kept for each results tree (`root`).
"""

from collections.abc import Collection
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from helpers.config import without_size
from helpers.paths import results_root
from helpers.runs.groups import Group, find_group, group_runs, is_real
from helpers.runs.store import whole_runs
from study.claims.ledger import Claim
from study.compare import Compared, compare_family
from study.levels import Level, judge_level, stands_beside
from study.plans.form import check_known
from study.plans.ranking import load_plan
from study.plans.table2 import load_table2
from study.plans.verdicts import load_rules
from study.ranking import compare_as_published, compare_focus, judge_claim
from study.tied import free_accuracy

SIX = ("breastmnist", "pneumoniamnist", "bloodmnist", "dermamnist", "organcmnist", "organsmnist")
RECIPES = ("common", "ranking", "table2", "paper_b")
# A family of `params/table2.yaml`: the network against plain ones from the same ImageNet weights,
# at the paper's own length or a tenth of it. In the row of a claim it names the comparison that is
# planned once more at that length.
AT_LENGTH = "at_length"


# --- the network ----------------------------------------------------------------------------------


def groups() -> tuple[Group, ...]:
    """Return the real runs on MedMNIST of the recipes that speak of paper B."""
    return _groups(results_root())


@cache
def _groups(root: Path) -> tuple[Group, ...]:
    files = [f for recipe in RECIPES for f in (root / "runs" / recipe).glob("*mnist*/*/*/run.json")]
    return tuple(group_runs(run for run in whole_runs(sorted(files)) if is_real(run)))


def network_groups(dataset: str) -> list[Group]:
    """Return runs of the network that stand beside its printed accuracy."""
    chosen = [c for c in load_rules().comparisons if c.paper == "B"]
    of_set = [group for group in groups() if group.dataset == dataset]
    return [group for group in of_set if any(stands_beside(c, group) for c in chosen)]


def class_supports(dataset: str) -> dict[str, int]:
    """Return the test images of each class, from a stored run; empty without one."""
    matrices = (g.record["confusion_matrix"] for g in groups() if g.dataset == dataset)
    return {f"class {label}": sum(row) for label, row in enumerate(next(matrices, []))}


def network_level(claim: Claim) -> Level:
    """Return the printed accuracy of a claim beside our runs."""
    (key,) = claim.given["printed"]
    paper, table, row, _ = key
    return judge_level(
        groups(), paper=paper, table=table, row=row, dataset=key.dataset, rules=load_rules()
    )


def network_accuracy(claim: Claim) -> dict[str, Any]:
    """Return `network_level`, and the accuracy of its runs without images tied to training."""
    level = network_level(claim)
    return {"level": level, "free": level.group and free_accuracy(level.group)}


# --- the network against others -------------------------------------------------------------------


def missing() -> list[str]:
    """Return the titles of the data sets of Table 3 without a run of its protocol."""
    run = {g.dataset for g in groups() if g.config["recipe"] == "ranking"}
    return [title for name, title in load_plan().datasets.items() if name not in run]


def against(start: str) -> list[Compared]:
    """Return the network against all others on all data sets run.

    Both sides start from "none" or "imagenet"; "as published" ours is pretrained, theirs are not.
    """
    return [c for family in _against(results_root(), start).values() for c in family]


@cache
def _against(root: Path, start: str) -> dict[str, tuple[Compared, ...]]:
    """Return the comparisons by data set's title."""
    plan, rules, runs = load_plan(), load_rules(), _groups(root)
    found, absent = {}, missing()
    for dataset, title in plan.datasets.items():
        if title in absent:
            continue
        if start == "as published":
            family = compare_as_published(runs, dataset=dataset, plan=plan, rules=rules)
        else:
            models = {
                m: find_group(runs, plan.config(dataset, m, start)) for m in plan.starts[start]
            }
            focus = models.pop(plan.focus)
            family = compare_focus(focus, models, plan=plan, rules=rules)
        found[title] = tuple(family)
    return found


def at_length(others: Collection[str]) -> dict[str, list[Compared]]:
    """Return the network against plain others after the longest trainings, by data set's title."""
    plan, found = load_plan(), {}
    for c in compared(AT_LENGTH):
        other, dataset = c.pair.b.model, without_size(c.pair.a.dataset)
        if c.seeds and other in others:
            named = replace(c, name=other, title=plan.systems[other].title)
            found.setdefault(plan.datasets[dataset], []).append(named)
    return found


def same_start(claim: Claim) -> dict[str, list[Compared]]:
    """Return the network against others from the same ImageNet weights, by data set's title.

    Of two comparisons with one network on one data set that whose runs have more epochs.
    """
    others = claim.beside.values()
    found: dict[str, dict[str, Compared]] = {}
    for families in (_against(results_root(), "imagenet"), at_length(others)):
        for title, family in families.items():
            best = found.setdefault(title, {})
            for c in family:
                if c.name in others:
                    both = (best.get(c.name, c), c)
                    best[c.name] = max(both, key=lambda one: one.epochs or 0)
    return {title: list(best.values()) for title, best in found.items()}


def claim_in_words(claim: Claim) -> dict[str, Any]:
    """Return the inputs of `results.in_words`: the words of `params/ranking.yaml` on the others."""
    others = tuple(claim.beside.values())
    words = next(words for words in load_plan().claims if words.others == others)
    return {
        "scratch": judge_claim(words, against("none")),
        "published": judge_claim(words, against("as published")),
        "missing": missing(),
        "same_start": at_length(others),
    }


# --- its parts ------------------------------------------------------------------------------------


def compared(family: str, *names: str) -> list[Compared]:
    """Return comparisons of `params/table2.yaml`, of one family, by name or all.

    Raises:
        PlanError: no family, or no comparison in it, has such a name.
    """
    found = {c.pair.name: c for c in _family(results_root(), family)}
    for name in names:
        check_known(name, found, f"comparison of {family}")
    return [found[name] for name in names or found]


@cache
def _family(root: Path, name: str) -> tuple[Compared, ...]:
    plan = load_table2().plan
    return tuple(compare_family(plan.family(name), _groups(root), plan=plan, rules=load_rules()))


def compared_beside(claim: Claim) -> dict[str, list[Compared]]:
    """Return the inputs of `results.part_helps`.

    Of a claim the comparison beside it, "blocks: both", or all of a family, "cutmix", and by itself
    the one at the paper's own length or a tenth of it ("at_length=..."), once that has runs.
    """
    places = {name: place.split(": ") for name, place in claim.beside.items()}
    longer = compared(*places.pop(AT_LENGTH)) if AT_LENGTH in places else []
    (place,) = places.values()
    return {"compared": compared(*place), AT_LENGTH: [c for c in longer if c.seeds]}
