"""Paper A's claims on damaged training data, imbalanced or with flipped labels, by stored runs."""

import statistics
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from helpers.metrics.intervals import auc_scores
from helpers.metrics.scores import Estimate
from study.claims.check import checks
from study.claims.check_result import CheckResult, verdict_of_measures
from study.claims.ledger import Claim
from study.claims.paper_a.comparisons import all_told
from study.claims.paper_a.differences import (
    difference,
    difference_of_differences,
    judge_family,
    leaning,
    not_enough,
    sensitivity,
)
from study.claims.paper_a.planned import Planned, not_run, on_other_images, pair, planned_beside
from study.compare import power_for
from study.plans.verdicts import load_rules
from study.verdicts import on_all


def _damages(claim: Claim) -> Planned:
    """Return the comparisons of a claim, named together: "robustness: noise_10, noise_20"."""
    planned = planned_beside(claim)
    names = ", ".join(c.pair.name for c in planned.deciding.values())
    return replace(planned, runs=f"robustness: {names}")


def _kept(claim: Claim) -> dict[str, Any]:
    planned, before = _damages(claim), pair("robustness", "undamaged")
    kept = {
        name: difference_of_differences((c.a, c.b), (before.a, before.b), auc_scores)
        for name, c in planned.deciding.items()
    }
    return {"planned": planned, "kept": kept}


@checks("A74", "A76", measured=_kept)
def keeps_its_auc(*, planned: Planned, kept: Mapping[str, Estimate | None]) -> CheckResult:
    """Check that a method withstands damaged training data better than its control.

    The paper names no measure; two are taken: the AUC on damaged data (planned), and how much of
    the AUC is lost against undamaged data. Both are over images and seeds; the second is corrected
    by Holm over the damages of the claim.

    Rule: not run without runs or with fewer than five seeds; else `verdict_of_measures` of both
    measures for each damage: shown where all favour the method, shown reversed where all favour its
    control, inconclusive where none is told apart, else underspecified.

    `kept`: name of the damage -> by how much more of its AUC the method keeps than its control.
    """
    if planned.is_open or not_enough(kept.values()):
        return not_run(planned.runs)
    members = judge_family(kept)
    signs = [c.sign("auc") for c in planned.deciding.values()]
    signs += [member.sign for member in members.values()]
    listed = "; ".join(f"{name} {member.text()}" for name, member in members.items())
    return on_other_images(
        verdict_of_measures(signs),
        f"No measure is named. {all_told(planned)} Against undamaged data the method keeps this "
        f"much more of its AUC than its control: {listed}.{planned.reading}",
        planned.runs,
    )


def _minority(claim: Claim) -> dict[str, Any]:
    planned = _damages(claim)
    return {
        "planned": planned,
        "differences": {
            name: difference(c.a, c.b, sensitivity) for name, c in planned.deciding.items()
        },
        "means": {
            name: tuple(statistics.fmean(group.values("sensitivity")) for group in (c.a, c.b))
            for name, c in planned.deciding.items()
            if c.a and c.b
        },
    }


@checks("A75", measured=_minority)
def minority_sensitivity(
    *,
    planned: Planned,
    differences: Mapping[str, Estimate | None],
    means: Mapping[str, tuple[float, float]],
) -> CheckResult:
    """Check that the minority class is found more often than with cross-entropy.

    The difference of the sensitivities, paired by seed, over images and seeds; corrected by Holm
    over the imbalances.

    Rule: not run without runs or with fewer than five seeds; else `verdicts.on_all` of the
    comparisons: shown where the method's is higher at each imbalance, shown reversed where it is
    lower at one.

    `differences`: imbalance -> the method's sensitivity less cross-entropy's; `means`: both.
    """
    if not_enough(differences.values()):
        return not_run(planned.runs)
    members = judge_family(differences)
    size = load_rules().size["accuracy"]
    listed = "; ".join(
        f"at {name}: {100 * means[name][0]:.1f} against {100 * means[name][1]:.1f} %, a difference "
        f"of {member.text(digits=1, scale=100)} points, power "
        f"{100 * power_for(member.difference, size):.0f} % for {100 * size:g} points"
        for name, member in members.items()
    )
    return on_other_images(
        on_all([member.verdict for member in members.values()]),
        f"Sensitivity to the rare class at a threshold of .5, {listed}. These differences are not "
        f"among the planned ones.{planned.reading}",
        planned.runs,
    )


def _thinned(claim: Claim) -> dict[str, Any]:
    planned = _damages(claim)
    even = pair("robustness", "undamaged").b
    thinned = {name: c.b for name, c in planned.deciding.items()}
    metrics = ("sensitivity", "specificity")
    return {
        "differences": {name: difference(group, even, leaning) for name, group in thinned.items()},
        "levels": {
            name: tuple(statistics.fmean(group.values(metric)) for metric in metrics)
            for name, group in ({"none": even} | thinned).items()
            if group
        },
        "runs": planned.runs,
    }


@checks("A100", measured=_thinned)
def overfits_majority(
    *,
    differences: Mapping[str, Estimate | None],
    levels: Mapping[str, tuple[float, float]],
    runs: str,
) -> CheckResult:
    """Check that plain cross-entropy comes to favour the commoner class of its training images.

    How far a network leans to the commoner class is its specificity less its sensitivity on even
    test images. The leaning after imbalanced training less that after even training is taken,
    paired by seed, over images and seeds; corrected by Holm over the imbalances.

    Rule: not run without runs or with fewer than five seeds; else `verdicts.on_all`: shown where
    it leans more at each imbalance, shown reversed where it leans less at one.

    `differences`: imbalance -> by how much more it leans; `levels`: imbalance, or "none" ->
    sensitivity and specificity.
    """
    if not_enough(differences.values()):
        return not_run(runs)
    members = judge_family(differences)
    shown = {name: f"{100 * a:.1f} and {100 * b:.1f} %" for name, (a, b) in levels.items()}
    listed = "; ".join(
        f"at {name} they are {shown[name]}, a leaning to the commoner class that is greater by "
        f"{member.text(digits=1, scale=100)} points"
        for name, member in members.items()
    )
    return on_other_images(
        on_all([member.verdict for member in members.values()]),
        "Under cross-entropy sensitivity and specificity on even test images are "
        f"{shown['none']} after even training; with positives to negatives {listed}. For this "
        "positive images are taken away, so there are fewer of them as well; the comparison is not "
        "among the planned ones.",
        runs,
    )
