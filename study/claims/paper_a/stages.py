"""Paper A's sentences on training in stages, by stored runs on other images.

What the text says in words alone: each is a comparison of staged training with that of all layers
at once, paired by seed. Of the course of training the seeds vary (Student's t): answers are stored
of the selected epoch alone. Runs on fewer images are shown and do not decide.
"""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from scipy import stats

from helpers.runs.replicas import metric_of
from helpers.runs.store import Run
from study.claims.check import InOrder, Whole, checks
from study.claims.check_result import CheckResult, verdict_of_measures
from study.claims.ledger import Claim
from study.claims.paper_a.planned import framework, not_run, on_other_images, planned_beside
from study.claims.seeds import (
    ENOUGH,
    Mean,
    Score,
    Sides,
    at_epoch,
    both_scores,
    paired,
    second_less_first,
    sides_text,
    too_few,
)
from study.compare import Compared, correct
from study.plans.verdicts import load_rules
from study.published import NOT_GIVEN, Published
from study.verdicts import NOT_REPRODUCED, REPRODUCED, UNDERSPECIFIED
from study.words import p_text


def with_fewer(claim: Claim, name: str, read: Callable[[Compared], Any]) -> dict[str, Any]:
    """Return something of the comparison that decides, by a name, and of those on fewer images."""
    planned = planned_beside(claim)
    return {
        name: read(planned.one),
        "fewer": {f"{c.a.n_test} test images": read(c) for c in planned.fewer if c.a},
        "runs": planned.runs,
    }


def on_fewer(fewer: Mapping[str, Any], write: Callable[[Any], str]) -> str:
    """Say what runs on fewer images show: images -> what is written."""
    return "".join(f" With {images}: {write(found)}." for images, found in fewer.items())


# --- the end of training --------------------------------------------------------------------------


@dataclass(frozen=True)
class Scattered:
    """A test metric of every run of two sides, compared by the F test, two-sided."""

    a: Sequence[float]
    b: Sequence[float]
    seeds: tuple[int, int]  # of A and B; draws of one seed are no more than one to its degrees

    @property
    def value(self) -> float:
        """B's variance over A's, less 1: above 0 where A scatters less."""
        return statistics.variance(self.b) / statistics.variance(self.a) - 1

    @property
    def p(self) -> float:
        """The p value of the test alone."""
        of_a, of_b = (seeds - 1 for seeds in self.seeds)
        tail = float(stats.f.sf(1 + self.value, of_b, of_a))
        return 2 * min(tail, 1 - tail)

    def text(self) -> str:
        """Write both standard deviations and the p value."""
        return (
            f"{statistics.stdev(self.a):.4f} ({len(self.a)} runs) against "
            f"{statistics.stdev(self.b):.4f} ({len(self.b)}), {p_text(self.p)}"
        )


def _scatter_of(c: Compared) -> dict[str, Scattered]:
    groups = (c.a, c.b)
    seeds = tuple(len(group.seeds) if group else 0 for group in groups)
    found = {}
    for title, metric in (("AUC", "auc"), ("accuracy", "accuracy")):
        sides = ([metric_of(run, metric) for run in (g.draws if g else ())] for g in groups)
        found[title] = Scattered(*sides, seeds)
    return found


def _scatter_text(values: Mapping[str, Scattered]) -> str:
    return "; ".join(f"{metric} {both.text()}" for metric, both in values.items())


@checks("A19", measured=lambda claim: with_fewer(claim, "values", _scatter_of))
def more_stable(
    *, values: Mapping[str, Scattered], fewer: Mapping[str, Mapping[str, Scattered]], runs: str
) -> CheckResult:
    """Check that staged results scatter less than those of all layers; the measure is not named.

    Of each metric the variances over all stored runs are compared by the F test, two-sided, with as
    many degrees of freedom as there are seeds; the p values are corrected by Holm over the metrics.

    Rule: not run with fewer than five seeds; else `verdict_of_measures`: shown where A scatters
    less in each metric, shown reversed where it scatters more, inconclusive where none is told
    apart, else underspecified.

    `values`: metric -> runs of both sides; `fewer`: images -> the same.
    """
    seeds = min(min(both.seeds) for both in values.values())
    if seeds < ENOUGH:
        return not_run(runs)
    corrected = correct([*values.values()], level=load_rules().level)
    least = min(one.p_value for one in corrected)
    smaller = "".join(f" On fewer images: {_scatter_text(found)}." for found in fewer.values())
    return on_other_images(
        verdict_of_measures(one.shown for one in corrected),
        "No measure is named. Standard deviation over all runs, staged against all layers at once, "
        f"{seeds} seeds: {_scatter_text(values)} (F test; the smallest after correction "
        f"{p_text(least)}).{smaller} Each side has the learning rate tuned for it.",
        runs,
    )


# --- the course of training -----------------------------------------------------------------------


def _history(run: Run, name: str) -> np.ndarray:
    return np.array([epoch[name] for epoch in run.record["history"]])


OSCILLATION = {
    "fall of the validation AUC an epoch": lambda run: np.maximum(
        -np.diff(_history(run, "val_auc")), 0
    ).mean(),
    "rise of the validation loss an epoch": lambda run: np.maximum(
        np.diff(_history(run, "val_loss")), 0
    ).mean(),
}
# At the end of training.
OVERFITTING = {
    "training less validation accuracy": lambda run: (
        _history(run, "train_accuracy")[-1] - _history(run, "val_accuracy")[-1]
    ),
    "validation loss above its lowest": lambda run: (
        _history(run, "val_loss")[-1] - _history(run, "val_loss").min()
    ),
}


def _by_stage(measures: Mapping[str, Score]) -> Callable[[Claim], dict[str, Any]]:
    """Return what reads measures of a course by seed, staged and of all layers."""

    def read(c: Compared) -> dict[str, Sides]:
        return {name: paired(c.a, c.b, score) for name, score in measures.items()}

    return lambda claim: with_fewer(claim, "values", read)


@checks("A20", measured=_by_stage(OSCILLATION))
@checks("A88", measured=_by_stage(OVERFITTING))
def less_of(
    *, values: Mapping[str, Sides], fewer: Mapping[str, Mapping[str, Sides]], runs: str
) -> CheckResult:
    """Check that staged training has less of something; how it is measured is not said.

    Rule: not run with fewer than five seeds; else `verdict_of_measures` of what training of all
    layers has more than staged training, by seed.

    `values`: measure -> staged, and all layers; `fewer`: images -> the same.
    """
    if too_few(*values.values()):
        return not_run(runs)

    def write(found: Mapping[str, Sides]) -> str:
        return "; ".join(f"{name} {sides_text(sides)}" for name, sides in found.items())

    return on_other_images(
        verdict_of_measures(second_less_first(sides).sign for sides in values.values()),
        f"No measure is named. Trained in stages, and all layers at once: {write(values)}; the "
        f"differences are the second less the first.{on_fewer(fewer, write)}",
        runs,
    )


@dataclass(frozen=True)
class Early:
    """The validation AUC after a few epochs."""

    sides: Sides  # of all layers at once and of staged training, by seed
    by_images: float  # variance of their difference by the validation images

    @property
    def lead(self) -> Mean:
        """By how much staged training is ahead, with its 95 % interval for images and seeds."""
        return second_less_first(self.sides, by_images=self.by_images)


def _early(claim: Claim) -> dict[str, Any]:
    score = at_epoch("val_auc", round(claim.value("epochs").value))
    return with_fewer(claim, "early", lambda c: Early(paired(c.b, c.a, score), _by_images(c)))


def _by_images(c: Compared) -> float:
    """Return the variance by the validation images of a difference of validation AUCs.

    Answers on them are stored of the selected epoch alone, so that of the test AUC is taken, less
    what the seeds add to it, and brought to as many images.
    """
    if c.auc is None or not c.auc.se:
        return 0.0
    apart = np.subtract(*paired(c.a, c.b, partial(metric_of, name="auc")))
    of_images = c.auc.se**2 - apart.var(ddof=1) / len(apart)
    sizes = c.a.record["data"]["n"]
    return max(of_images, 0.0) * sizes["test"] / sizes["val"]


@checks("A87", measured=_early)
def ahead_early(
    *, early: Early, epochs: Whole, fewer: Mapping[str, Early], runs: str
) -> CheckResult:
    """Check that staged training is ahead after a few epochs, by the validation AUC.

    The variance of the mean difference is that of the seeds and, since other images would give
    another one, that of the images; Student's t, its degrees of freedom those of the seeds.

    Rule: not run with fewer than five pairs; else shown where the difference lies above 0 (95 %),
    shown reversed where it lies below, inconclusive otherwise.
    """
    if too_few(early.sides):
        return not_run(runs)
    smaller = on_fewer(fewer, lambda found: found.lead.text())
    return on_other_images(
        verdict_of_measures([early.lead.sign]),
        f"Trained in stages less all layers at once, validation AUC after {epochs} epochs, over "
        f"images and seeds: {early.lead.text()}; over the seeds alone "
        f"{second_less_first(early.sides).text()}."
        f"{smaller} Each side has the learning rate tuned for it.",
        runs,
    )


# --- the warm-up ----------------------------------------------------------------------------------


def is_without_end(length: Published, criterion: Published) -> bool:
    """Say whether a stage has no length, or ends by words alone."""
    return NOT_GIVEN in (length.printed, criterion.printed) or criterion.unit == "text"


def _warm_up_epochs(claim: Claim) -> dict[str, Sides]:
    group = framework()
    if group and any(run.record["history"][1]["stage"] != "warm-up" for run in group.runs):
        group = None
    return {"epochs": both_scores(group, at_epoch("val_auc", 1), at_epoch("val_auc", 2))}


@checks("A86", measured=_warm_up_epochs)
def steady_warm_up(
    *, train: InOrder, val: InOrder, length: Published, criterion: Published, epochs: Sides
) -> CheckResult:
    """Check that the warm-up has converged before the next stage begins, in the printed epochs.

    Rule: not run with fewer than five seeds; underspecified while the length of the stage is not
    given, or its end has no number; else reproduced where our head alone changes its validation
    AUC no further in the second epoch (95 %, t over the seeds), not reproduced otherwise.

    `epochs`: our validation AUC after the first and the second epoch of the head alone, by seed.
    """
    runs = "brain_inspired"
    if too_few(epochs):
        return not_run(runs)
    change = second_less_first(epochs)
    of_train, of_val = (
        ", ".join(f"{b.value - a.value:+.1f}" for a, b in pairwise(row)) for row in (train, val)
    )
    verdict = NOT_REPRODUCED if change.sign else REPRODUCED
    return on_other_images(
        UNDERSPECIFIED if is_without_end(length, criterion) else verdict,
        f"The warm-up ends at {criterion.printed!r}; its length: {length.printed}. All training "
        f"has {len(train)} epochs, from one to the next of which training accuracy changes by "
        f"{of_train} points and validation accuracy by {of_val}. Ours, the head alone on other "
        f"images, changes its validation AUC in the second epoch by {change.text()}.",
        runs,
    )


def _warm_and_tuned(c: Compared) -> Sides:
    def warm(run: Run) -> float:
        return [e["val_auc"] for e in run.record["history"] if e["stage"] == "warm-up"][-1]

    return both_scores(c.a, warm, lambda run: run.record["history"][-1]["val_auc"])


@checks("A98", measured=lambda claim: with_fewer(claim, "ends", _warm_and_tuned))
def fine_tuning_adds(
    *, ends: Sides, length: Published, criterion: Published, fewer: Mapping[str, Sides], runs: str
) -> CheckResult:
    """Check that unfreezing the high layers gains on the head alone.

    Rule: not run with fewer than five seeds; underspecified while the length of the warm-up is not
    given, or its end has no number: what the head alone would have gained in as many epochs hangs
    on it, and no run of ours trains it alone to the end; else `verdict_of_measures` of the gain in
    validation AUC from the end of the warm-up to that of training, by seed.

    `ends`: validation AUC at the end of the warm-up, and of training.
    """
    if too_few(ends):
        return not_run(runs)
    gain = second_less_first(ends)
    smaller = on_fewer(fewer, lambda found: second_less_first(found).text())
    verdict = verdict_of_measures([gain.sign])
    return on_other_images(
        UNDERSPECIFIED if is_without_end(length, criterion) else verdict,
        f"The warm-up ends at {criterion.printed!r}; its length: {length.printed}. In our runs the "
        "validation AUC changes from the end of the warm-up to that of fine-tuning by "
        f"{gain.text()}.{smaller} How much of it the head alone would have gained by going "
        "on as long was not run.",
        runs,
    )
