"""Paper A's results and comparisons on other angiograms: what our stored runs say of its claims.

The images are not public and many settings are not given. So a number of its own is never judged
against ours while the source is not given; a comparison is, and hangs on other images and on our
reading of what is open.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace

from scipy import stats

from helpers.metrics.scores import LEVEL, Estimate
from study.claims.check import Whole, checks
from study.claims.outcome import (
    OPEN_CHOICE,
    STAND_IN,
    Outcome,
    in_ledger,
    sign_of,
    verdict_of_measures,
)
from study.claims.paper_a import stored
from study.claims.seeds import mean_over_seeds
from study.compare import Compared
from study.published import NOT_GIVEN, Published
from study.verdicts import (
    INCONCLUSIVE,
    NOT_REPRODUCED,
    NOT_RUN,
    OPEN,
    OTHER_IMAGES,
    REPRODUCED,
    SHOWN,
    UNDERSPECIFIED,
    on_all,
    on_some,
)
from study.words import sentence

OURS = (STAND_IN, OPEN_CHOICE)
HOUR = 3600.0
# Share of the rarer class from which a set of two classes is called even.
EVEN = 0.45


def not_run(what: str) -> Outcome:
    """Return the outcome of a check whose runs are not stored."""
    return Outcome(verdict=NOT_RUN, evidence=f"Not run: {what}.")


@checks("A14", "A15", "A55", "A57", "A60", "A61", "A73", measured=stored.beside)
def is_better(*, compared: Sequence[Compared], runs: str) -> Outcome:
    """Check that A is better than B in paired comparisons (`params/comparisons.yaml`).

    Rule: not run where one of them has no verdict yet; else `verdicts.on_all`: shown where A's
    AUC is higher, after Holm's correction, in each.

    Args:
        compared: the comparisons that belong to the claim.
        runs: names them.
    """
    if not compared or any(c.verdict in OPEN or c.shown.get("auc") is None for c in compared):
        return not_run(runs)
    return Outcome(
        verdict=in_ledger(on_all([c.verdict for c in compared])),
        evidence=" ".join(sentence(c) for c in compared),
        limits=OURS,
        runs=(runs,),
    )


@checks("A16", measured=lambda claim: stored.beside(claim) | {"rarest": stored.rarest()})
def needs_imbalance(*, compared: Sequence[Compared], rarest: float | None, runs: str) -> Outcome:
    """Check that a remedy for class imbalance helps.

    Rule: not run without a verdict of the comparison; underspecified where our training set is
    about as even as the remedy would make it (rarer class at least 45 %); else as `is_better`.

    Args:
        compared: with and without the remedy.
        rarest: share of the rarer class among our images; None without runs.
        runs: names the runs.
    """
    outcome = is_better(compared=compared, runs=runs)
    if outcome.verdict == NOT_RUN or rarest is None or rarest < EVEN:
        return outcome
    return replace(
        outcome,
        verdict=UNDERSPECIFIED,
        evidence=f"{outcome.evidence} But {100 * rarest:.0f} % of our images are of the rarer "
        "class, which leaves the sampling nothing to correct; how imbalanced the paper's training "
        "images were is not printed.",
    )


@checks("A56", measured=stored.beside)
def only_from_scratch(*, compared: Sequence[Compared], start: Published, runs: str) -> Outcome:
    """Check that A is better than a network whose ImageNet weights could not be had here.

    Rule: not run without a verdict of the comparison; underspecified while the paper does not
    say how that network started, since both sides of ours are from scratch; else as `is_better`.
    """
    outcome = is_better(compared=compared, runs=runs)
    if outcome.verdict == NOT_RUN or start.printed != NOT_GIVEN:
        return outcome
    aucs = "; ".join("AUC {:.3f} against {:.3f}".format(*c.means["auc"]) for c in compared)
    return replace(
        outcome,
        verdict=UNDERSPECIFIED,
        evidence="From which weights the other network started is not said. From scratch, where "
        f"neither learns much ({aucs}): {outcome.evidence}",
    )


@checks(
    "A58",
    what="The quantum head, staged, less plain ResNet18 with cross-entropy",
    runs="table4: over_quantum, over_resnet18; ablation: quantum_mlp",
    measured=stored.quantum_over_plain,
)
def adds_to(
    *, added: Estimate | None, matched: Sequence[Compared], what: str, runs: str
) -> Outcome:
    """Check that a head improves the plain network.

    Rule: not run without both; else the sign that the difference of the AUCs shows (95 %, images
    and seeds). Said beside it: the head against another of its size.

    Args:
        added: with the head less the plain network.
        matched: the head against a multilayer one of its size.
        what: names the difference.
        runs: names the runs.
    """
    if added is None or added.low is None:
        return not_run(runs)
    beside = " ".join(sentence(c) for c in matched)
    return Outcome(
        verdict=sign_of(added.low, added.high),
        evidence=f"{what}: AUC {added.value:+.3f} ({added.low:+.3f} to {added.high:+.3f}). "
        f"{beside}".strip(),
        limits=OURS,
        runs=(runs,),
    )


@checks("A74", "A76", measured=stored.damaged)
def keeps_its_auc(
    *, compared: Sequence[Compared], damaged: Mapping[str, Sequence[Sequence[float]]], runs: str
) -> Outcome:
    """Check that a method withstands damaged training data better than its control.

    The paper names no measure; two are taken: the AUC on damaged data (paired, Holm), and how much
    of the AUC is lost against undamaged data (t over the seeds).

    Rule: not run without runs; shown where both measures favour the method for each damage,
    inconclusive where neither does for any; else underspecified.

    Args:
        compared: method and control on damaged data.
        damaged: name of the damage -> AUCs by seed: of the method, of its control, of both on
            undamaged data.
        runs: names the runs.
    """
    outcome = is_better(compared=compared, runs=runs)
    if outcome.verdict == NOT_RUN or any(len(method) < 5 for method, *_ in damaged.values()):
        return not_run(runs)
    kept = {
        name: mean_over_seeds(
            [(a - old_a) - (b - old_b) for a, b, old_a, old_b in zip(*aucs, strict=True)]
        )
        for name, aucs in damaged.items()
    }
    signs = [c.verdict == SHOWN for c in compared] + [k.low > 0 for k in kept.values()]
    listed = "; ".join(f"{name} {k.text(digits=3)}" for name, k in kept.items())
    return replace(
        outcome,
        verdict=verdict_of_measures(signs),
        evidence=f"No measure is named. {outcome.evidence} Against undamaged data the method keeps "
        f"this much more of its AUC than its control: {listed}.",
    )


@checks("A02", measured=stored.parts)
def parts_matter(*, parts: Sequence[Compared], whole: Compared) -> Outcome:
    """Check that the mechanisms are effective: the framework, and its parts one by one.

    Rule: not run where a comparison has no verdict yet; shown where the framework as a whole
    (`verdicts.on_all`) and at least one part (`on_some`) are better on the AUC.
    """
    if any(c.verdict in OPEN or c.shown.get("auc") is None for c in (*parts, whole)):
        return not_run("ablation")
    better = [c for c in parts if c.verdict == SHOWN]
    largest = max(parts, key=lambda c: c.auc.value)
    part = on_some([c.verdict for c in parts])
    return Outcome(
        verdict=in_ledger(on_all([whole.verdict, part])),
        evidence=f"{sentence(whole)} Of {len(parts)} parts taken away, {len(better) or 'none'} "
        f"shows a gain; the largest: {sentence(largest)}",
        limits=OURS,
        runs=("ablation",),
    )


@checks("A19", measured=stored.stability)
def more_stable(
    *, values: Mapping[str, tuple[Sequence[float], Sequence[float]]], runs: str
) -> Outcome:
    """Check that A's results scatter less over the seeds than B's; the measure is not named.

    Rule: not run with fewer than five seeds; shown where for each metric the F test of the two
    variances, two-sided, has p below 5 % and A's is the smaller; inconclusive where for none; else
    underspecified.

    Args:
        values: metric -> its values by seed, of A and of B.
        runs: names the runs.
    """
    if any(min(len(a), len(b)) < 5 for a, b in values.values()):
        return not_run(runs)
    shown, parts = [], []
    for metric, (a, b) in values.items():
        sd_a, sd_b = statistics.stdev(a), statistics.stdev(b)
        tail = float(stats.f.cdf(sd_a**2 / sd_b**2, len(a) - 1, len(b) - 1))
        p_value = 2 * min(tail, 1 - tail)
        shown.append(p_value < 1 - LEVEL and sd_a < sd_b)
        parts.append(f"{metric} {sd_a:.3f} against {sd_b:.3f} (p = {p_value:.3f})")
    return Outcome(
        verdict=verdict_of_measures(shown),
        evidence=f"No measure is named. Scatter over {len(a)} seeds: {'; '.join(parts)}, F test. "
        "Each side has the learning rate tuned for it.",
        limits=OURS,
        runs=(runs,),
    )


@checks(
    "A25",
    measured=lambda claim: {"val": stored.courses(stored.one_cycle_runs(), "val_accuracy")},
)
def target_reached(
    *, val: Sequence[Sequence[float]], target: Published, epochs: Whole, source: Published
) -> Outcome:
    """Check that the target is reached in the printed epochs.

    Rule: none on other images, while the paper's are not named; else reproduced where every
    seed reaches it, not reproduced otherwise; not run without runs.

    Args:
        val: validation accuracy by epoch, of each seed.
        target: in %.
        epochs: the printed number.
        source: of the images.
    """
    if not val:
        return not_run("table1_to_the_end")
    n, share = epochs, target.low / 100
    soon = sum(max(course[:n]) >= share for course in val)
    ever = sum(max(course) >= share for course in val)
    at = [course[n - 1] for course in val]
    verdict = REPRODUCED if soon == len(val) else NOT_REPRODUCED
    if source.printed == NOT_GIVEN:
        verdict = OTHER_IMAGES
    return Outcome(
        verdict=verdict,
        evidence=f"The images are not named. On others, with the recovered schedule, {soon} of "
        f"{len(val)} seeds reach {target.low:g} % within {n} epochs and {ever} in all "
        f"{max(len(c) for c in val)}; after {n} epochs it is {100 * statistics.fmean(at):.1f} %.",
        limits=OURS,
        runs=("table1_to_the_end",),
    )


@checks("A27", measured=lambda claim: stored.overfitting_sign())
def no_overfitting(*, train: Sequence[float], val: Sequence[float], source: Published) -> Outcome:
    """Check the paper's sign of no overfitting: validation not below training accuracy.

    Rule: not run with fewer than two seeds; none on other images, while the paper's are not
    named; else not reproduced where training less validation accuracy lies above 0 (95 %, t
    over the seeds), reproduced otherwise.
    """
    if min(len(train), len(val)) < 2:
        return not_run("table1_to_the_end")
    gap = mean_over_seeds([t - v for t, v in zip(train, val, strict=True)])
    verdict = NOT_REPRODUCED if gap.low > 0 else REPRODUCED
    return Outcome(
        verdict=OTHER_IMAGES if source.printed == NOT_GIVEN else verdict,
        evidence="The images are not named. On others, with the recovered schedule, training less "
        f"validation accuracy after as many epochs is {gap.text(digits=1, scale=100)} points.",
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


@checks("A68", measured=lambda claim: stored.schedules())
def faster(
    *,
    early_a: Sequence[float],
    early_b: Sequence[float],
    final: Estimate | None,
    others: Published,
) -> Outcome:
    """Check that one-cycle is ahead of warm restarts, early and in the end.

    Rule: not run with fewer than five pairs; underspecified while the schedules that the paper
    compares with are not named; else reproduced where both differences, of the
    validation AUC after the printed epochs (t over the seeds) and of the test AUC in the end, lie
    above 0 (95 %), not reproduced otherwise.

    Args:
        early_a: validation AUC of one-cycle after the printed epochs, of each seed.
        early_b: of warm restarts, same seeds.
        final: test AUC, one-cycle less warm restarts.
        others: what the paper compares with.
    """
    runs = "table1_to_the_end, brain_inspired"
    if final is None or min(len(early_a), len(early_b)) < 5:
        return not_run(runs)
    early = mean_over_seeds([a - b for a, b in zip(early_a, early_b, strict=True)])
    verdict = REPRODUCED if early.low > 0 and final.low > 0 else NOT_REPRODUCED
    return Outcome(
        verdict=UNDERSPECIFIED if others.printed == NOT_GIVEN else verdict,
        evidence=f"The other schedules: {others.printed}. One-cycle less warm restarts, the "
        f"framework under each: validation AUC after four epochs {early.text(digits=3)}, test AUC "
        f"in the end {final.value:+.3f} ({final.low:+.3f} to {final.high:+.3f}). Peak rate and "
        "length of warm-up differ as well; the paper shows no such comparison.",
        limits=OURS,
        runs=(runs,),
    )


@checks("A75", measured=stored.minority)
def minority_sensitivity(
    *, pairs: Mapping[str, tuple[Sequence[float], Sequence[float]]], runs: str
) -> Outcome:
    """Check that the minority class is found more often than with cross-entropy.

    Rule: not run with fewer than five seeds; shown where the difference of the sensitivities
    lies above 0 (95 %, t over the seeds) at each imbalance, else inconclusive: the seeds alone,
    without the images, show no contrary.

    Args:
        pairs: sensitivities of the method and of cross-entropy, by seed, for each imbalance.
        runs: names the runs.
    """
    if not pairs or any(min(len(a), len(b)) < 5 for a, b in pairs.values()):
        return not_run(runs)
    gaps = {
        name: mean_over_seeds([x - y for x, y in zip(a, b, strict=True)])
        for name, (a, b) in pairs.items()
    }
    listed = "; ".join(
        f"at {name}: {100 * statistics.fmean(pairs[name][0]):.1f} against "
        f"{100 * statistics.fmean(pairs[name][1]):.1f} %, {gap.text(digits=1, scale=100)} points"
        for name, gap in gaps.items()
    )
    return Outcome(
        verdict=SHOWN if all(g.low > 0 for g in gaps.values()) else INCONCLUSIVE,
        evidence=f"Sensitivity to the rare class at a threshold of .5, {listed}.",
        limits=OURS,
        runs=(runs,),
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
def trains_on_a_cpu(*, seconds: Sequence[float], devices: Sequence[str]) -> Outcome:
    """Check that the framework trains without high-performance computing.

    Rule: not run without runs; reproduced where all runs were trained on a CPU within an hour
    each, else not reproduced.
    """
    if not seconds:
        return not_run("brain_inspired")
    on_cpu, longest = all(d.startswith("CPU") for d in devices), max(seconds)
    return Outcome(
        verdict=REPRODUCED if on_cpu and longest <= HOUR else NOT_REPRODUCED,
        evidence=f"{len(seconds)} runs of the framework on as many images of 128 px, device "
        f"{', '.join(sorted(set(devices)))}: the longest took {longest / 60:.1f} min.",
        limits=OURS,
        runs=("brain_inspired",),
    )


@checks("A78", measured=lambda claim: stored.scatter())
def reliable(*, seeds: Published, accuracy: Estimate | None, sd: float | None) -> Outcome:
    """Check that the performance is stable.

    Rule: underspecified while the paper gives no seeds; not run without runs; else reproduced
    where our scatter over the seeds is below what the test images alone leave open (half the
    interval's width), not reproduced otherwise.
    """
    ours = "" if accuracy is None or sd is None else f"{100 * sd:.1f}"
    if seeds.printed == NOT_GIVEN:
        said = f" Our accuracy scatters by {ours} points." if ours else ""
        return Outcome(
            verdict=UNDERSPECIFIED,
            evidence=f"One number of one run is printed, without seeds or intervals.{said}",
            limits=OURS,
            runs=("brain_inspired",) if ours else (),
        )
    if not ours:
        return not_run("brain_inspired")
    stable = sd < (accuracy.high - accuracy.low) / 2
    return Outcome(
        verdict=REPRODUCED if stable else NOT_REPRODUCED,
        evidence=f"Our accuracy scatters by {ours} points over {accuracy.seeds} seeds.",
        limits=OURS,
        runs=("brain_inspired",),
    )
