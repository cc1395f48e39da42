"""Paper A's own numbers beside those of our stored runs, which are on other angiograms.

The paper's are not public. So a number is never judged against ours while the source of the images
is not given.
"""

import statistics
from collections.abc import Mapping, Sequence

from helpers.metrics.scores import Estimate
from study.claims.check import Whole, checks
from study.claims.outcome import Outcome
from study.claims.paper_a import stored
from study.claims.paper_a.comparisons import OURS, not_run
from study.claims.paper_a.stored import Level
from study.claims.seeds import Mean, mean_over_seeds
from study.published import NOT_GIVEN, Published
from study.verdicts import NOT_REPRODUCED, OTHER_IMAGES, REPRODUCED, UNDERSPECIFIED


@checks(
    "A25",
    measured=lambda claim: {
        "val": stored.courses(stored.one_cycle_runs(), "val_accuracy"),
        "without": stored.courses(stored.without_cycle(), "val_accuracy"),
    },
)
def target_reached(
    *,
    val: Sequence[Sequence[float]],
    without: Sequence[Sequence[float]],
    target: Published,
    epochs: Whole,
    source: Published,
) -> Outcome:
    """Check that the target is reached in the printed epochs.

    Rule: none on other images, while the paper's are not named; else reproduced where every
    seed reaches it, not reproduced otherwise; not run without runs. The runs with torch's momentum
    cycle decide, since the paper names its schedule and no departure from it.

    `val`: validation accuracy by epoch, of each seed; `without`: without the momentum cycle;
    `target`: in %.
    """
    if not val:
        return not_run("table1_to_the_end")
    n, share = epochs, target.low / 100

    def reach(courses: Sequence[Sequence[float]]) -> str:
        soon, ever = (sum(max(course[:end]) >= share for course in courses) for end in (n, None))
        at = 100 * statistics.fmean(course[n - 1] for course in courses)
        return (
            f"{soon} of {len(courses)} seeds reach {target.low:g} % within {n} epochs and {ever} "
            f"in all {max(len(c) for c in courses)}, after {n} epochs it is {at:.1f} %"
        )

    verdict = NOT_REPRODUCED
    if all(max(course[:n]) >= share for course in val):
        verdict = REPRODUCED
    if source.printed == NOT_GIVEN:
        verdict = OTHER_IMAGES
    plain = f"; without the cycle {reach(without)}" if without else ""
    return Outcome(
        verdict=verdict,
        evidence="The images are not named. On others, under the recovered schedule with torch's "
        f"momentum cycle, {reach(val)}{plain}.",
        limits=OURS,
        runs=("table1_to_the_end",),
    )


@checks("A27", measured=lambda claim: stored.overfitting_sign())
def no_overfitting(
    *,
    train: Sequence[float],
    val: Sequence[float],
    source: Published,
    without: Mapping[str, Sequence[float]],
) -> Outcome:
    """Check the paper's sign of no overfitting: validation not below training accuracy.

    Rule: not run with fewer than two seeds; none on other images, while the paper's are not
    named; else not reproduced where training less validation accuracy lies above 0 (95 %, t
    over the seeds), reproduced otherwise. The runs with torch's momentum cycle decide.

    `without`: both accuracies without the momentum cycle.
    """
    if min(len(train), len(val)) < 2:
        return not_run("table1_to_the_end")

    def gap(train: Sequence[float], val: Sequence[float]) -> Mean:
        return mean_over_seeds([t - v for t, v in zip(train, val, strict=True)])

    found = gap(train, val)
    plain = ""
    if min(len(side) for side in without.values()) > 1:
        plain = f", without the cycle {gap(**without).text(digits=1, scale=100)}"
    verdict = NOT_REPRODUCED if found.low > 0 else REPRODUCED
    return Outcome(
        verdict=OTHER_IMAGES if source.printed == NOT_GIVEN else verdict,
        evidence="The images are not named. On others, under the recovered schedule, training less "
        "validation accuracy after as many epochs is, in points, with torch's momentum cycle "
        f"{found.text(digits=1, scale=100)}{plain}.",
        limits=OURS,
        runs=("table1_to_the_end",),
    )


@checks(
    "A39",
    measured=lambda claim: {
        name: stored.values(stored.framework(), name) for name in ("sensitivity", "specificity")
    },
)
def sensitive(
    *,
    sensitivity: Sequence[float],
    specificity: Sequence[float],
    printed_sensitivity: Published,
    printed_specificity: Published,
    source: Published,
) -> Outcome:
    """Check that the trained framework is more sensitive than specific.

    Rule: not run with fewer than two seeds; none on other images, while the paper's are not
    named; else reproduced where the difference lies above 0 (95 %, t over the seeds), not
    reproduced otherwise.
    """
    if min(len(sensitivity), len(specificity)) < 2:
        return not_run("brain_inspired")
    gap = mean_over_seeds([a - b for a, b in zip(sensitivity, specificity, strict=True)])
    means = [100 * statistics.fmean(values) for values in (sensitivity, specificity)]
    verdict = REPRODUCED if gap.low > 0 else NOT_REPRODUCED
    return Outcome(
        verdict=OTHER_IMAGES if source.printed == NOT_GIVEN else verdict,
        evidence=f"The images are not named. Printed are {printed_sensitivity.printed} and "
        f"{printed_specificity.printed} %; ours are {means[0]:.1f} and {means[1]:.1f} %, a "
        f"difference of {gap.text(digits=1, scale=100)} points, at a threshold of .5.",
        limits=OURS,
        runs=("brain_inspired",),
    )


@checks("A40", measured=lambda claim: stored.headline())
def headline(
    *,
    accuracy: Estimate | None,
    auc: Estimate | None,
    printed_accuracy: Published,
    printed_auc: Published,
    source: Published,
) -> Outcome:
    """Check accuracy and AUC of the framework.

    Rule: not run without runs; none on other images, while the paper's are not named; else
    reproduced where both printed values lie in our 95 % intervals (images and seeds), not
    reproduced otherwise.
    """
    if accuracy is None or auc is None:
        return not_run("brain_inspired")
    pairs = ((accuracy, printed_accuracy), (auc, printed_auc))
    inside = all(ours.low <= value.fraction <= ours.high for ours, value in pairs)
    verdict = REPRODUCED if inside else NOT_REPRODUCED
    if source.printed == NOT_GIVEN:
        verdict = OTHER_IMAGES
    return Outcome(
        verdict=verdict,
        evidence="The images are not named. On as many others ours is "
        f"{100 * accuracy.value:.1f} % (95 % {100 * accuracy.low:.1f} to "
        f"{100 * accuracy.high:.1f}), AUC {auc.value:.3f} ({auc.low:.3f} to {auc.high:.3f}), "
        f"n = {accuracy.seeds}.",
        limits=OURS,
        runs=("brain_inspired",),
    )


@checks("A66", measured=lambda claim: stored.epoch_times())
def epoch_seconds(
    *, seconds: Sequence[float], devices: Sequence[str], printed: Published, image_size: Published
) -> Outcome:
    """Check the seconds an epoch takes on a CPU.

    Rule: not run without runs; underspecified while the image size is not given; else reproduced
    where ours take no longer on a CPU, not reproduced otherwise.
    """
    if not seconds:
        return not_run("table1")
    mean, on_cpu = statistics.fmean(seconds), all(d.startswith("CPU") for d in devices)
    verdict = REPRODUCED if on_cpu and mean <= printed.value else NOT_REPRODUCED
    if image_size.printed == NOT_GIVEN:
        verdict = UNDERSPECIFIED
    return Outcome(
        verdict=verdict,
        evidence=f"Image size and processor: {image_size.printed}. Ours take {mean:.1f} s an epoch "
        f"for as many images of 128 px ({', '.join(sorted(set(devices)))}); printed are "
        f"{printed.printed} s.",
        limits=OURS,
        runs=("table1",),
    )


@checks("A71", measured=lambda claim: stored.training_times())
def trains_on_a_cpu(
    *,
    seconds: Sequence[float],
    devices: Sequence[str],
    total: Published,
    image_size: Published,
) -> Outcome:
    """Check that the framework trains without high-performance computing.

    The text gives no bound; the only time in it is that of its own training, on a CPU.

    Rule: not run without runs; underspecified while the image size, on which every time hangs, is
    not given; else reproduced where all runs were trained on a CPU in no longer than the printed
    minutes, not reproduced otherwise.
    """
    if not seconds:
        return not_run("brain_inspired")
    on_cpu = all(d.startswith("CPU") for d in devices)
    shortest, longest = min(seconds) / 60, max(seconds) / 60
    verdict = REPRODUCED if on_cpu and longest <= total.value else NOT_REPRODUCED
    if image_size.printed == NOT_GIVEN:
        verdict = UNDERSPECIFIED
    return Outcome(
        verdict=verdict,
        evidence=f"What counts as such is not said; image size: {image_size.printed}; printed are "
        f"{total.printed} min. {len(seconds)} runs of the framework on as many images of 128 px, "
        f"device {', '.join(sorted(set(devices)))}, took {shortest:.1f} to {longest:.1f} min.",
        limits=OURS,
        runs=("brain_inspired",),
    )


@checks("A78", measured=lambda claim: stored.scatter())
def reliable(*, seeds: Published, levels: Mapping[str, Level]) -> Outcome:
    """Check that the performance is stable.

    Rule: underspecified while the paper gives no seeds; not run without runs; else reproduced
    where on each set of images the scatter of our runs is below what the images alone leave open
    (half the interval's width), not reproduced otherwise.

    `levels`: test images -> our accuracy and how it scatters over all runs.
    """
    runs = "full_set: full_plasticity; brain_inspired"
    listed = "; ".join(
        f"{100 * level.sd:.1f} over {level.n_runs} runs of {level.accuracy.seeds} seeds ({images})"
        for images, level in levels.items()
    )
    if seeds.printed == NOT_GIVEN:
        said = f" Our accuracy scatters by, in points: {listed}." if listed else ""
        return Outcome(
            verdict=UNDERSPECIFIED,
            evidence=f"One number of one run is printed, without seeds or intervals.{said}",
            limits=OURS,
            runs=(runs,) if listed else (),
        )
    if not listed:
        return not_run(runs)
    stable = all(x.sd < (x.accuracy.high - x.accuracy.low) / 2 for x in levels.values())
    return Outcome(
        verdict=REPRODUCED if stable else NOT_REPRODUCED,
        evidence=f"Our accuracy scatters by, in points: {listed}.",
        limits=OURS,
        runs=(runs,),
    )
