"""Paper A's own numbers beside those of our stored runs, which are on other angiograms.

The paper's are not public. So a number is never judged against ours while the source of the images
is not given.
"""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from helpers.metrics.scores import Estimate
from helpers.runs.groups import Group
from helpers.runs.replicas import metric_of
from helpers.runs.store import Run
from study.claims.check import Whole, checks
from study.claims.check_result import OPEN_CHOICE, STAND_IN, CheckResult, if_given
from study.claims.ledger import Claim
from study.claims.paper_a.planned import framework, not_run, on_other_images, one_cycle_runs, pair
from study.claims.seeds import Sides, at_epoch, both_scores, second_less_first, too_few
from study.published import NOT_GIVEN, PRINTED_EPOCHS, Published
from study.verdicts import OTHER_IMAGES, UNDERSPECIFIED


def _with_and_without_cycle(
    name: str, read: Callable[[Group | None], Any]
) -> Callable[[Claim], dict[str, Any]]:
    """Return what reads something of the runs with torch's momentum cycle, and of those without."""
    return lambda claim: {
        name: read(one_cycle_runs()),
        "without": read(pair("stopping", "at_target").b),
    }


def _val_accuracies(group: Group | None) -> list[list[float]]:
    runs = group.runs if group else ()
    return [[epoch["val_accuracy"] for epoch in run.record["history"]] for run in runs]


@checks("A25", measured=_with_and_without_cycle("val", _val_accuracies))
def target_reached(
    *,
    val: Sequence[Sequence[float]],
    without: Sequence[Sequence[float]],
    target: Published,
    epochs: Whole,
    source: Published,
) -> CheckResult:
    """Check that the target is reached in the printed epochs.

    Rule: none on other images, while the paper's are not named; else reproduced where every
    seed reaches it, not reproduced otherwise; not run without runs. The runs with torch's momentum
    cycle decide, since the paper names its schedule and no departure from it.

    `val`: validation accuracy by epoch, of each seed; `without`: without the momentum cycle;
    `target`: in %.
    """
    runs = "table1_to_the_end"
    if not val:
        return not_run(runs)
    share = target.low / 100

    def reach(courses: Sequence[Sequence[float]]) -> str:
        soon = sum(max(course[:epochs]) >= share for course in courses)
        ever = sum(max(course) >= share for course in courses)
        longest = max(len(course) for course in courses)
        at = 100 * statistics.fmean(course[epochs - 1] for course in courses)
        return (
            f"{soon} of {len(courses)} seeds reach {target.low:g} % within {epochs} epochs and "
            f"{ever} in all {longest}, after {epochs} epochs it is {at:.1f} %"
        )

    reached = all(max(course[:epochs]) >= share for course in val)
    plain = f"; without the cycle {reach(without)}" if without else ""
    return on_other_images(
        if_given(source, reached, otherwise=OTHER_IMAGES),
        "The images are not named. On others, under the recovered schedule with torch's momentum "
        f"cycle, {reach(val)}{plain}.",
        runs,
    )


def _val_and_train(group: Group | None) -> Sides:
    names = ("val_accuracy", "train_accuracy")
    return both_scores(group, *(at_epoch(name, PRINTED_EPOCHS) for name in names))


@checks("A27", measured=_with_and_without_cycle("accuracies", _val_and_train))
def no_overfitting(*, accuracies: Sides, without: Sides, source: Published) -> CheckResult:
    """Check the paper's sign of no overfitting: validation not below training accuracy.

    Rule: not run with fewer than two seeds; none on other images, while the paper's are not
    named; else not reproduced where training less validation accuracy lies above 0 (95 %, t
    over the seeds), reproduced otherwise. The runs with torch's momentum cycle decide.

    `accuracies`: of validation and of training, by seed; `without`: without the momentum cycle.
    """
    runs = "table1_to_the_end"
    if too_few(accuracies, least=2):
        return not_run(runs)
    gap = second_less_first(accuracies)
    plain = ""
    if not too_few(without, least=2):
        plain = f", without the cycle {second_less_first(without).text(digits=1, scale=100)}"
    return on_other_images(
        if_given(source, gap.low <= 0, otherwise=OTHER_IMAGES),
        "The images are not named. On others, under the recovered schedule, training less "
        "validation accuracy after as many epochs is, in points, with torch's momentum cycle "
        f"{gap.text(digits=1, scale=100)}{plain}.",
        runs,
    )


def _test_scores(claim: Claim) -> dict[str, Sides]:
    metrics = (partial(metric_of, name=name) for name in ("specificity", "sensitivity"))
    return {"scores": both_scores(framework(), *metrics)}


@checks("A39", measured=_test_scores)
def sensitive(
    *,
    scores: Sides,
    printed_sensitivity: Published,
    printed_specificity: Published,
    source: Published,
) -> CheckResult:
    """Check that the trained framework is more sensitive than specific.

    Rule: not run with fewer than two seeds; none on other images, while the paper's are not
    named; else reproduced where the difference lies above 0 (95 %, t over the seeds), not
    reproduced otherwise.

    `scores`: specificity and sensitivity by seed.
    """
    runs = "brain_inspired"
    if too_few(scores, least=2):
        return not_run(runs)
    gap = second_less_first(scores)
    specificity, sensitivity = (100 * statistics.fmean(values) for values in scores)
    return on_other_images(
        if_given(source, gap.low > 0, otherwise=OTHER_IMAGES),
        f"The images are not named. Printed are {printed_sensitivity.printed} and "
        f"{printed_specificity.printed} %; ours are {sensitivity:.1f} and {specificity:.1f} %, a "
        f"difference of {gap.text(digits=1, scale=100)} points, at a threshold of .5.",
        runs,
    )


def _headline(claim: Claim) -> dict[str, Estimate | None]:
    group = framework()
    return {"accuracy": group and group.accuracy, "auc": group and group.auc}


@checks("A40", measured=_headline)
def headline(
    *,
    accuracy: Estimate | None,
    auc: Estimate | None,
    printed_accuracy: Published,
    printed_auc: Published,
    source: Published,
) -> CheckResult:
    """Check accuracy and AUC of the framework.

    Rule: not run without runs; none on other images, while the paper's are not named; else
    reproduced where both printed values lie in our 95 % intervals (images and seeds), not
    reproduced otherwise.
    """
    runs = "brain_inspired"
    if accuracy is None or auc is None:
        return not_run(runs)
    pairs = ((accuracy, printed_accuracy), (auc, printed_auc))
    inside = all(ours.low <= value.fraction <= ours.high for ours, value in pairs)
    return on_other_images(
        if_given(source, inside, otherwise=OTHER_IMAGES),
        f"The images are not named. On as many others ours is {100 * accuracy.value:.1f} % (95 % "
        f"{100 * accuracy.low:.1f} to {100 * accuracy.high:.1f}), AUC {auc.value:.3f} "
        f"({auc.low:.3f} to {auc.high:.3f}), n = {accuracy.seeds}.",
        runs,
    )


def _times(runs: Sequence[Run], seconds: Callable[[Run], float]) -> dict[str, Any]:
    """Return the seconds of each run, and where they were spent, "CPU ..." on a CPU."""
    return {
        "seconds": [seconds(run) for run in runs],
        "devices": [run.record["env"]["device"] for run in runs],
    }


def _epoch_times(claim: Claim) -> dict[str, Any]:
    group = pair("stopping", "at_target").a
    return _times(
        group.runs if group else (),
        lambda run: statistics.fmean(epoch["seconds"] for epoch in run.record["history"]),
    )


@checks("A66", measured=_epoch_times)
def epoch_seconds(
    *, seconds: Sequence[float], devices: Sequence[str], printed: Published, image_size: Published
) -> CheckResult:
    """Check the seconds an epoch takes on a CPU.

    Rule: not run without runs; underspecified while the image size is not given; else reproduced
    where ours take no longer on a CPU, not reproduced otherwise.
    """
    runs = "table1"
    if not seconds:
        return not_run(runs)
    mean, on_cpu = statistics.fmean(seconds), all(d.startswith("CPU") for d in devices)
    return on_other_images(
        if_given(image_size, on_cpu and mean <= printed.value, otherwise=UNDERSPECIFIED),
        f"Image size and processor: {image_size.printed}. Ours take {mean:.1f} s an epoch for as "
        f"many images of 128 px ({', '.join(sorted(set(devices)))}); printed are "
        f"{printed.printed} s.",
        runs,
    )


def _training_times(claim: Claim) -> dict[str, Any]:
    group = framework()
    return _times(group.draws if group else (), lambda run: run.record["timing"]["train_seconds"])


@checks("A71", measured=_training_times)
def trains_on_a_cpu(
    *, seconds: Sequence[float], devices: Sequence[str], total: Published, image_size: Published
) -> CheckResult:
    """Check that the framework trains without high-performance computing.

    The text gives no bound; the only time in it is that of its own training, on a CPU.

    Rule: not run without runs; underspecified while the image size, on which every time hangs, is
    not given; else reproduced where all runs were trained on a CPU in no longer than the printed
    minutes, not reproduced otherwise.
    """
    runs = "brain_inspired"
    if not seconds:
        return not_run(runs)
    on_cpu = all(d.startswith("CPU") for d in devices)
    shortest, longest = min(seconds) / 60, max(seconds) / 60
    return on_other_images(
        if_given(image_size, on_cpu and longest <= total.value, otherwise=UNDERSPECIFIED),
        f"What counts as such is not said; image size: {image_size.printed}; printed are "
        f"{total.printed} min. {len(seconds)} runs of the framework on as many images of 128 px, "
        f"device {', '.join(sorted(set(devices)))}, took {shortest:.1f} to {longest:.1f} min.",
        runs,
    )


@dataclass(frozen=True)
class Level:
    """An accuracy and its scatter."""

    accuracy: Estimate  # over images and seeds
    sd: float  # over all runs, those made again elsewhere among them (ddof = 1)
    n_runs: int


def _levels(claim: Claim) -> dict[str, dict[str, Level]]:
    levels = {}
    for group in (pair("full_set", "full_plasticity").a, framework()):
        if group and len(group.draws) > 1:
            sd = statistics.stdev(metric_of(run, "accuracy") for run in group.draws)
            levels[f"{group.n_test} test images"] = Level(group.accuracy, sd, len(group.draws))
    return {"levels": levels}


@checks("A78", measured=_levels)
def reliable(*, seeds: Published, levels: Mapping[str, Level]) -> CheckResult:
    """Check that the performance is stable.

    Rule: underspecified while the paper gives no seeds; not run without runs; else reproduced
    where on each set of images the scatter of our runs is below what the images alone leave open
    (half the interval's width), not reproduced otherwise.

    `levels`: test images -> our accuracy and how it scatters over all runs.
    """
    runs = "full_set: full_plasticity; brain_inspired"
    single = "One number of one run is printed, without seeds or intervals."
    limits = (STAND_IN, OPEN_CHOICE)
    if not levels:
        if seeds.printed == NOT_GIVEN:
            return CheckResult(verdict=UNDERSPECIFIED, evidence=single, limits=limits)
        return not_run(runs)
    listed = "; ".join(
        f"{100 * level.sd:.1f} over {level.n_runs} runs of {level.accuracy.seeds} seeds ({images})"
        for images, level in levels.items()
    )
    stable = all(x.sd < (x.accuracy.high - x.accuracy.low) / 2 for x in levels.values())
    evidence = f"Our accuracy scatters by, in points: {listed}."
    return on_other_images(
        if_given(seeds, stable, otherwise=UNDERSPECIFIED),
        f"{single} {evidence}" if seeds.printed == NOT_GIVEN else evidence,
        runs,
    )
