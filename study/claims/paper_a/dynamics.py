"""Paper A's sentences on the course of training and on the answers, by stored runs on other images.

What the paper says of stages and of its loss in words alone: each is a comparison of two protocols,
paired by seed. Of a course the seeds vary (Student's t): answers are stored of the selected epoch
alone. Of answers images and seeds do (`intervals.mean`).
"""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from scipy import stats

from helpers.metrics.scores import LEVEL, Estimate
from study.claims.check import InOrder, Whole, checks
from study.claims.outcome import Outcome, in_ledger
from study.claims.paper_a import stored
from study.claims.paper_a.comparisons import ENOUGH, OURS, member_text, not_enough, not_run
from study.claims.paper_a.families import judge_family, sign_of, verdict_of_signs
from study.claims.paper_a.readings import linear_said
from study.claims.paper_a.scores import by_image
from study.claims.paper_a.stored import Early
from study.claims.seeds import Mean, mean_over_seeds, with_interval
from study.published import NOT_GIVEN, Published
from study.verdicts import (
    NOT_REPRODUCED,
    REPRODUCED,
    SHOWN,
    SHOWN_REVERSED,
    UNDERSPECIFIED,
)
from study.words import p_text

Sides = tuple[Sequence[float], Sequence[float]]


def sign_of_measures(intervals: Sequence[Mean | Estimate]) -> str:
    """Return the verdict on "above 0" where the measure is not named; see `verdict_of_signs`."""
    return verdict_of_signs([(i.low > 0) - (i.high < 0) for i in intervals])


def on_fewer(fewer: Mapping[str, Any] | None, write: Callable[[Any], str]) -> str:
    """Say what runs on fewer images show, which do not decide: images -> what is written."""
    return "".join(f" With {images}: {write(found)}." for images, found in (fewer or {}).items())


STAGES = "Trained in stages, and all layers at once"
OSCILLATION = {
    "fall of the validation AUC an epoch": lambda course: float(
        np.maximum(-np.diff(course["val_auc"]), 0).mean()
    ),
    "rise of the validation loss an epoch": lambda course: float(
        np.maximum(np.diff(course["val_loss"]), 0).mean()
    ),
}
# At the end of training.
OVERFITTING = {
    "training less validation accuracy": lambda course: (
        course["train_accuracy"][-1] - course["val_accuracy"][-1]
    ),
    "validation loss above its lowest": lambda course: (
        course["val_loss"][-1] - min(course["val_loss"])
    ),
}


@checks("A20", what=STAGES, measured=stored.by_stage(OSCILLATION))
@checks("A88", what=STAGES, measured=stored.by_stage(OVERFITTING))
def less_of(
    *,
    values: Mapping[str, Sides],
    what: str,
    runs: str,
    fewer: Mapping[str, Mapping[str, Sides]] | None = None,
) -> Outcome:
    """Check that A has less of something than B; how it is measured is not said.

    Rule: not run with fewer than five seeds; else `sign_of_measures` of B less A, by seed. Runs on
    fewer images are shown and do not decide.

    `values`: measure -> its values by seed, of A and of B; `fewer`: images -> the same.
    """
    if any(min(len(a), len(b)) < ENOUGH for a, b in values.values()):
        return not_run(runs)
    smaller = on_fewer(fewer, _less_text)
    return Outcome(
        verdict=sign_of_measures([_less(a, b) for a, b in values.values()]),
        evidence=f"No measure is named. {what}: {_less_text(values)}; the differences are the "
        f"second less the first.{smaller}",
        limits=OURS,
        runs=(runs,),
    )


def _less(a: Sequence[float], b: Sequence[float]) -> Mean:
    return mean_over_seeds([y - x for x, y in zip(a, b, strict=True)])


def _less_text(values: Mapping[str, Sides]) -> str:
    return "; ".join(
        f"{name} {sum(a) / len(a):.3f} against {sum(b) / len(b):.3f}, {_less(a, b).text(digits=3)}"
        for name, (a, b) in values.items()
    )


@checks("A87", measured=stored.early_stages)
def ahead_early(
    *,
    early: Early,
    epochs: Whole,
    runs: str,
    fewer: Mapping[str, Early] | None = None,
) -> Outcome:
    """Check that A is ahead of B after a few epochs, by the validation AUC.

    The variance of the mean difference is that of the seeds and, since other images would give
    another one, that of the images (`stored.Early`); Student's t, its degrees of freedom those of
    the seeds.

    Rule: not run with fewer than five pairs; else `sign_of_measures` of the difference. Runs on
    fewer images are shown and do not decide.
    """
    if min(len(early.a), len(early.b)) < ENOUGH:
        return not_run(runs)
    smaller = on_fewer(fewer, lambda found: lead(found).text(digits=3))
    return Outcome(
        verdict=sign_of_measures([lead(early)]),
        evidence=f"Trained in stages less all layers at once, validation AUC after {epochs} "
        f"epochs, over images and seeds: {lead(early).text(digits=3)}; over the seeds alone "
        f"{_less(early.b, early.a).text(digits=3)}.{smaller} Each side has the learning rate tuned "
        "for it.",
        limits=OURS,
        runs=(runs,),
    )


def lead(early: Early) -> Mean:
    """Return A's lead over B with its 95 % interval for images and seeds."""
    apart = [a - b for a, b in zip(early.a, early.b, strict=True)]
    value, n = statistics.fmean(apart), len(apart)
    error = math.sqrt(statistics.variance(apart) / n + early.by_images)
    half = float(stats.t.ppf((1 + LEVEL) / 2, n - 1)) * error
    return Mean(value, value - half, value + half, n)


@checks("A86", measured=lambda claim: stored.warm_up_epochs())
def steady_warm_up(
    *,
    train: InOrder,
    val: InOrder,
    length: Published,
    criterion: Published,
    second: Sequence[float],
    first: Sequence[float],
) -> Outcome:
    """Check that the warm-up has converged before the next stage begins, in the printed epochs.

    Rule: not run with fewer than five seeds; underspecified while the length of the stage is not
    given, or its end has no number; else reproduced where our head alone changes its validation
    AUC no further in the second epoch (95 %, t over the seeds), not reproduced otherwise.

    `second`: our validation AUC after the second epoch of the head alone, by seed; `first`: after
    the first.
    """
    if min(len(first), len(second)) < ENOUGH:
        return not_run("brain_inspired")
    change = _less(first, second)
    steps = [
        ", ".join(f"{b.value - a.value:+.1f}" for a, b in pairwise(row)) for row in (train, val)
    ]
    verdict = REPRODUCED if change.low <= 0 <= change.high else NOT_REPRODUCED
    return Outcome(
        verdict=UNDERSPECIFIED if is_without_end(length, criterion) else verdict,
        evidence=f"The warm-up ends at {criterion.printed!r}; its length: {length.printed}. All "
        f"training has {len(train)} epochs, from one to the next of which training accuracy "
        f"changes by {steps[0]} points and validation accuracy by {steps[1]}. Ours, the head alone "
        "on other images, "
        f"changes its validation AUC in the second epoch by {change.text(digits=3)}.",
        limits=OURS,
        runs=("brain_inspired",),
    )


def is_without_end(length: Published, criterion: Published) -> bool:
    """Say whether a stage has no length, or ends by words alone."""
    return NOT_GIVEN in (length.printed, criterion.printed) or criterion.unit == "text"


@checks("A98", measured=stored.fine_tuned)
def fine_tuning_adds(
    *,
    warm: Sequence[float],
    tuned: Sequence[float],
    length: Published,
    criterion: Published,
    runs: str,
    fewer: Mapping[str, Sides] | None = None,
) -> Outcome:
    """Check that unfreezing the high layers gains on the head alone.

    Rule: not run with fewer than five seeds; underspecified while the length of the warm-up is not
    given, or its end has no number: what the head alone would have gained in as many epochs hangs
    on it, and no run of ours trains it alone to the end; else `sign_of_measures` of the gain in
    validation AUC from the end of the warm-up to that of training, by seed.

    `warm`: validation AUC at the end of the warm-up, by seed; `tuned`: at the end of training.
    """
    if min(len(warm), len(tuned)) < ENOUGH:
        return not_run(runs)
    gain = _less(warm, tuned)
    smaller = on_fewer(fewer, lambda ends: _less(*ends).text(digits=3))
    open_ = is_without_end(length, criterion)
    return Outcome(
        verdict=UNDERSPECIFIED if open_ else sign_of_measures([gain]),
        evidence=f"The warm-up ends at {criterion.printed!r}; its length: {length.printed}. In our "
        "runs the validation AUC changes from the end of the warm-up to that of fine-tuning by "
        f"{gain.text(digits=3)}.{smaller} How much of it the head alone would have gained by going "
        "on as long was not run.",
        limits=OURS,
        runs=(runs,),
    )


@checks("A99", measured=stored.constant_answers)
def collapses(*, staged: tuple[int, int], all_layers: tuple[int, int], runs: str) -> Outcome:
    """Check that training all layers at once makes the features collapse, staged training not.

    The text names no measure and features of our runs are not stored; of a collapse only its
    extreme can be seen in the answers, one class for every test image.

    Rule: not run with fewer than five runs of a side; shown where significantly more of the runs
    that train all layers end so (Fisher's exact test, 5 %, two-sided), shown reversed where
    significantly fewer do; else underspecified.

    `staged`: runs that end so, and all runs; `all_layers`: likewise.
    """
    if min(staged[1], all_layers[1]) < ENOUGH:
        return not_run(runs)
    table = [(k, n - k) for k, n in (all_layers, staged)]
    p = float(stats.fisher_exact(table).pvalue)
    more = all_layers[0] / all_layers[1] - staged[0] / staged[1]
    verdict = UNDERSPECIFIED
    if p < 1 - LEVEL:
        verdict = SHOWN if more > 0 else SHOWN_REVERSED
    return Outcome(
        verdict=verdict,
        evidence="What collapses is not measured in the paper, and features of our runs are not "
        f"stored. One class for every test image, the extreme of it, is the answer of "
        f"{all_layers[0]} of {all_layers[1]} runs that train all layers at once and of {staged[0]} "
        f"of {staged[1]} staged ones (Fisher's exact test, {p_text(p)}).",
        limits=OURS,
        runs=(runs,),
    )


CONFIDENCE = {
    "confidence": by_image(lambda labels, p: p.max(axis=2)),
    "confidence above the share that is right": by_image(
        lambda labels, p: p.max(axis=2) - (p.argmax(axis=2) == labels)
    ),
}


@checks(
    "A89",
    sign=-1,
    what="The framework with label smoothing less without it",
    measured=stored.answers(CONFIDENCE),
)
def answers_change(
    *,
    differences: Mapping[str, Estimate] | None,
    sign: int,
    what: str,
    runs: str,
    under: Mapping[str, Mapping[str, Estimate]] | None = None,
) -> Outcome:
    """Check that a part makes the predicted probabilities what the text says.

    Rule: not run without five seeds on both sides; else `families.verdict_of_signs` of the claimed
    sign, over images and seeds, corrected by Holm over the measures. Other readings of the loss are
    shown beside the linear one, which decides as in the planned comparisons.

    `differences`: measure -> with the part less without it; None without runs; `under`: measure ->
    reading -> the same; `sign`: the claimed one, 1 or -1.
    """
    if not_enough((differences or {}).values()):
        return not_run(runs)
    members = judge_family(differences)
    listed = "; ".join(f"{name} {member_text(m)}" for name, m in members.items())
    return Outcome(
        verdict=verdict_of_signs([sign * sign_of(m.verdict) for m in members.values()]),
        evidence=f"{what}, on the test images: {listed}.{linear_said(under or {})}",
        limits=OURS,
        runs=(runs,),
    )


def _entropy(labels: np.ndarray, p: np.ndarray) -> np.ndarray:
    p = np.clip(p, 1e-12, 1)
    return -(p * np.log2(p)).sum(axis=2)


@checks("A90", measured=stored.whole_loss(by_image(_entropy)))
def smoother(
    *,
    difference: Estimate | None,
    besides: Sequence[str],
    linear: bool,
    parts: Mapping[str, Estimate],
    runs: str,
) -> Outcome:
    """Check that the joint loss makes the predicted probabilities smoother than cross-entropy.

    Smoothness has no measure in the text; the entropy of the answers is taken.

    Rule: not run without five seeds on both sides; underspecified where the two protocols differ in
    more than the loss, or the loss has the reading that the text excludes (A13): such runs do not
    isolate the loss that is meant; else `families.judge_family` of the one difference.

    `difference`: entropy, joint loss less cross-entropy; `besides`: settings besides the loss in
    which they differ; `linear`: whether that reading is theirs; `parts`: a part of the loss alone,
    with a reading -> entropy with it less without it.
    """
    if not_enough([difference]):
        return not_run(runs)
    ((_, found),) = judge_family({"entropy": difference}).items()
    mixed = bool(besides) or linear
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
    return Outcome(
        verdict=UNDERSPECIFIED if mixed else in_ledger(found.verdict),
        evidence=evidence,
        limits=OURS,
        runs=(runs,),
    )
