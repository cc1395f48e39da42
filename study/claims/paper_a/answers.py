"""Paper A's sentences on its loss and the answers, by stored runs on other images."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from scipy import special, stats

from helpers.config import RunConfig
from helpers.metrics.scores import LEVEL, Estimate
from helpers.runs.groups import Group
from study.claims.check import checks
from study.claims.check_result import CheckResult, verdict_of_measures
from study.claims.ledger import Claim
from study.claims.paper_a.differences import by_image, difference, judge_family, not_enough
from study.claims.paper_a.planned import (
    is_linear,
    linear_said,
    not_run,
    on_other_images,
    planned_beside,
    under_other_readings,
)
from study.claims.seeds import ENOUGH, with_interval
from study.verdicts import SHOWN, SHOWN_REVERSED, UNDERSPECIFIED
from study.words import p_text

CONFIDENCE = {
    "confidence": by_image(lambda labels, p: p.max(axis=2)),
    "confidence above the share that is right": by_image(
        lambda labels, p: p.max(axis=2) - (p.argmax(axis=2) == labels)
    ),
}


def _confidence(claim: Claim) -> dict[str, Any]:
    planned = planned_beside(claim)
    c = planned.one
    return {
        "differences": {n: difference(c.a, c.b, measure) for n, measure in CONFIDENCE.items()},
        "under": {
            name: under_other_readings(c, partial(difference, measure=measure))
            for name, measure in CONFIDENCE.items()
        },
        "runs": planned.runs,
    }


@checks("A89", measured=_confidence)
def less_confident(
    *,
    differences: Mapping[str, Estimate | None],
    under: Mapping[str, Mapping[str, Estimate]],
    runs: str,
) -> CheckResult:
    """Check that label smoothing makes the predicted probabilities less confident.

    Rule: not run without five seeds on both sides; else `verdict_of_measures` of less confidence,
    over images and seeds, corrected by Holm over the measures. Other readings of the loss are shown
    beside the linear one, which decides as in the planned comparisons.

    `differences`: measure -> with label smoothing less without it; `under`: measure -> reading ->
    the same.
    """
    if not_enough(differences.values()):
        return not_run(runs)
    members = judge_family(differences)
    listed = "; ".join(f"{name} {member.text()}" for name, member in members.items())
    return on_other_images(
        verdict_of_measures(-member.sign for member in members.values()),
        f"The framework with label smoothing less without it, on the test images: {listed}."
        f"{linear_said(under)}",
        runs,
    )


# What a loss consists of; all else of a protocol is no part of it.
OF_THE_LOSS = ("loss", "focal_gamma", "focal_alpha", "focal_reading", "label_smoothing")


def besides_the_loss(a: RunConfig, b: RunConfig) -> list[str]:
    """Return the settings besides the loss in which two protocols differ."""
    one, other = a.to_dict(), b.to_dict()
    return [n for n in one if one[n] != other[n] and n not in (*OF_THE_LOSS, "seed")]


# Of the answer to each image, in bits.
ENTROPY = by_image(lambda labels, p: special.entr(p).sum(axis=2) / np.log(2))


def _whole_loss(claim: Claim) -> dict[str, Any]:
    planned = planned_beside(claim)
    entropy_less = partial(difference, measure=ENTROPY)
    whole = planned.deciding["whole"]
    return {
        "difference": entropy_less(whole.a, whole.b),
        "besides": besides_the_loss(whole.pair.a, whole.pair.b),
        "linear": is_linear(whole.pair.a),
        "parts": {
            f"{title}, {reading}": apart
            for title, part in planned.deciding.items()
            if part is not whole
            for reading, apart in under_other_readings(part, entropy_less).items()
        },
        "runs": planned.runs,
    }


@checks("A90", measured=_whole_loss)
def smoother(
    *,
    difference: Estimate | None,
    besides: Sequence[str],
    linear: bool,
    parts: Mapping[str, Estimate],
    runs: str,
) -> CheckResult:
    """Check that the joint loss makes the predicted probabilities smoother than cross-entropy.

    Smoothness has no measure in the text; the entropy of the answers is taken.

    Rule: not run without five seeds on both sides; underspecified where the two protocols differ in
    more than the loss, or the loss has the reading that the text excludes (A13): such runs do not
    isolate the loss that is meant; else `judge_family` of the one difference.

    `difference`: entropy, joint loss less cross-entropy; `besides`: settings besides the loss in
    which they differ; `linear`: whether that reading is theirs; `parts`: a part of the loss alone,
    with a reading -> entropy with it less without it.
    """
    if not_enough([difference]):
        return not_run(runs)
    evidence = (
        "No measure is named. Entropy of the answers, the joint loss less cross-entropy: "
        f"{with_interval(difference)} bits, {difference.seeds} seeds."
    )
    if besides:
        evidence += f" The two differ in {', '.join(besides)} as well."
    if linear:
        evidence += linear_said({})
    if parts:
        listed = "; ".join(f"{name} {with_interval(d)}" for name, d in parts.items())
        evidence += f" A part alone, all else equal, not among the planned comparisons: {listed}."
    verdict = judge_family({"entropy": difference})["entropy"].verdict
    return on_other_images(UNDERSPECIFIED if besides or linear else verdict, evidence, runs)


def _constant(claim: Claim) -> dict[str, Any]:
    planned = planned_beside(claim)

    def count(groups: Sequence[Group | None]) -> tuple[int, int]:
        stored = [group for group in groups if group]
        return sum(len(g.constant) for g in stored), sum(len(g.runs) for g in stored)

    return {
        "staged": count([c.a for c in planned.deciding.values()]),
        "all_layers": count([c.b for c in planned.deciding.values()]),
        "runs": planned.runs,
    }


@checks("A99", measured=_constant)
def collapses(*, staged: tuple[int, int], all_layers: tuple[int, int], runs: str) -> CheckResult:
    """Check that training all layers at once makes the features collapse, staged training not.

    The text names no measure and features of our runs are not stored; of a collapse only its
    extreme can be seen in the answers, one class for every test image.

    Rule: not run with fewer than five runs of a side; shown where significantly more of the runs
    that train all layers end so (Fisher's exact test, 5 %, two-sided), shown reversed where
    significantly fewer do; else underspecified.

    `staged`: runs that end so, and all runs; `all_layers`: likewise.
    """
    (k_staged, n_staged), (k_all, n_all) = staged, all_layers
    if min(n_staged, n_all) < ENOUGH:
        return not_run(runs)
    table = [(k_all, n_all - k_all), (k_staged, n_staged - k_staged)]
    p = float(stats.fisher_exact(table).pvalue)
    verdict = UNDERSPECIFIED
    if p < 1 - LEVEL:
        verdict = SHOWN if k_all / n_all > k_staged / n_staged else SHOWN_REVERSED
    return on_other_images(
        verdict,
        "What collapses is not measured in the paper, and features of our runs are not stored. One "
        f"class for every test image, the extreme of it, is the answer of {k_all} of {n_all} runs "
        f"that train all layers at once and of {k_staged} of {n_staged} staged ones (Fisher's "
        f"exact test, {p_text(p)}).",
        runs,
    )
