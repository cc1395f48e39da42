"""Paper A's sentences on the course of training and on the answers, by stored runs on other images.

What the paper says of stages and of its loss in words alone: each is a comparison of two protocols,
paired by seed. Of a course the seeds vary (Student's t); of answers images and seeds do
(`intervals.mean`).
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from helpers.metrics.scores import Estimate
from study.claims.check import InOrder, Whole, checks
from study.claims.outcome import Outcome
from study.claims.paper_a import stored
from study.claims.paper_a.comparisons import OURS, not_run
from study.claims.seeds import Mean, mean_over_seeds
from study.published import NOT_GIVEN, Published
from study.verdicts import (
    INCONCLUSIVE,
    NOT_REPRODUCED,
    REPRODUCED,
    SHOWN,
    SHOWN_REVERSED,
    UNDERSPECIFIED,
)

# Seeds from which a course is judged.
ENOUGH = 5


def sign_of_measures(intervals: Sequence[Mean | Estimate]) -> str:
    """Return the verdict on "above 0" where the measure is not named.

    `SHOWN` or `SHOWN_REVERSED` where all intervals say so, `INCONCLUSIVE` where none says anything,
    else `UNDERSPECIFIED`.
    """
    above, below = [i.low > 0 for i in intervals], [i.high < 0 for i in intervals]
    if all(above):
        return SHOWN
    if all(below):
        return SHOWN_REVERSED
    return UNDERSPECIFIED if any(above) or any(below) else INCONCLUSIVE


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
    *, values: Mapping[str, tuple[Sequence[float], Sequence[float]]], what: str, runs: str
) -> Outcome:
    """Check that A has less of something than B; how it is measured is not said.

    Rule: not run with fewer than five seeds; else `sign_of_measures` of B less A, by seed.

    `values`: measure -> its values by seed, of A and of B.
    """
    if any(min(len(a), len(b)) < ENOUGH for a, b in values.values()):
        return not_run(runs)
    more = {
        name: mean_over_seeds([y - x for x, y in zip(a, b, strict=True)])
        for name, (a, b) in values.items()
    }
    listed = "; ".join(
        f"{name} {sum(a) / len(a):.3f} against {sum(b) / len(b):.3f}, {more[name].text(digits=3)}"
        for name, (a, b) in values.items()
    )
    return Outcome(
        verdict=sign_of_measures(list(more.values())),
        evidence=f"No measure is named. {what}: {listed}; the differences are the second less the "
        "first.",
        limits=OURS,
        runs=(runs,),
    )


@checks("A87", measured=stored.early_stages)
def ahead_early(
    *, early_a: Sequence[float], early_b: Sequence[float], epochs: Whole, runs: str
) -> Outcome:
    """Check that A is ahead of B after a few epochs, by the validation AUC.

    Rule: not run with fewer than five pairs; else `sign_of_measures` of the difference by seed.
    """
    if min(len(early_a), len(early_b)) < ENOUGH:
        return not_run(runs)
    gain = mean_over_seeds([a - b for a, b in zip(early_a, early_b, strict=True)])
    return Outcome(
        verdict=sign_of_measures([gain]),
        evidence=f"Trained in stages less all layers at once, validation AUC after {epochs} "
        f"epochs: {gain.text(digits=3)}. Each side has the learning rate tuned for it.",
        limits=OURS,
        runs=(runs,),
    )


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
    change = mean_over_seeds([b - a for a, b in zip(first, second, strict=True)])
    steps = [
        ", ".join(f"{b.value - a.value:+.1f}" for a, b in pairwise(row)) for row in (train, val)
    ]
    verdict = REPRODUCED if change.low <= 0 <= change.high else NOT_REPRODUCED
    open_ = NOT_GIVEN in (length.printed, criterion.printed) or criterion.unit == "text"
    return Outcome(
        verdict=UNDERSPECIFIED if open_ else verdict,
        evidence=f"The warm-up ends at {criterion.printed!r}; its length: {length.printed}. All "
        f"training has {len(train)} epochs, from one to the next of which training accuracy "
        f"changes by {steps[0]} points and validation accuracy by {steps[1]}. Ours, the head alone "
        "on other images, "
        f"changes its validation AUC in the second epoch by {change.text(digits=3)}.",
        limits=OURS,
        runs=("brain_inspired",),
    )


def _entropy(labels: np.ndarray, p: np.ndarray) -> np.ndarray:
    p = np.clip(p.astype(float), 1e-12, 1)
    return -(p * np.log2(p)).sum(axis=1)


CONFIDENCE = {
    "confidence": lambda labels, p: p.max(axis=1),
    "confidence above the share that is right": lambda labels, p: (
        p.max(axis=1) - (p.argmax(axis=1) == labels)
    ),
}


@checks(
    "A89",
    sign=-1,
    what="The framework with label smoothing less without it",
    measured=stored.answers(CONFIDENCE),
)
@checks(
    "A90",
    sign=1,
    what="The focal loss on smoothed labels less cross-entropy",
    measured=stored.answers({"entropy": _entropy}),
)
def answers_change(
    *, differences: Mapping[str, Estimate] | None, sign: int, what: str, runs: str
) -> Outcome:
    """Check that a part makes the predicted probabilities what the text says.

    Rule: not run without five seeds on both sides; else `sign_of_measures` of the claimed sign
    (95 %, images and seeds).

    `differences`: measure -> with the part less without it; None without runs; `sign`: the claimed
    one, 1 or -1.
    """
    if not differences or any(d.seeds < ENOUGH or d.low is None for d in differences.values()):
        return not_run(runs)
    claimed = [
        Mean(sign * d.value, *sorted((sign * d.low, sign * d.high)), d.seeds)
        for d in differences.values()
    ]
    listed = "; ".join(
        f"{name} {d.value:+.3f} ({d.low:+.3f} to {d.high:+.3f})" for name, d in differences.items()
    )
    seeds = min(d.seeds for d in differences.values())
    return Outcome(
        verdict=sign_of_measures(claimed),
        evidence=f"{what}, on the test images: {listed}, {seeds} seeds.",
        limits=OURS,
        runs=(runs,),
    )
