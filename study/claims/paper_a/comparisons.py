"""Paper A's comparisons on other angiograms: what our stored runs say of its claims.

The paper's images are not public and many settings are not given. So a verdict hangs on other
images and on our reading of what is open.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace

from scipy import stats

from helpers.metrics.scores import LEVEL, Estimate
from study.claims.check import checks
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
    REPRODUCED,
    SHOWN,
    UNDERSPECIFIED,
    on_all,
    on_some,
)
from study.words import sentence

OURS = (STAND_IN, OPEN_CHOICE)
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

    `rarest`: share of the rarer class among our images; None without runs.
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

    `added`: with the head less the plain network; `matched`: the head against a multilayer one of
    its size.
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

    `damaged`: name of the damage -> AUCs by seed: of the method, of its control, of both on
    undamaged data.
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

    `values`: metric -> its values by seed, of A and of B.
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


@checks("A68", measured=lambda claim: stored.schedules())
def faster(
    *, early_a: Sequence[float], early_b: Sequence[float], final: Estimate | None, others: Published
) -> Outcome:
    """Check that one-cycle is ahead of warm restarts, early and in the end.

    Rule: not run with fewer than five pairs; underspecified while the schedules that the paper
    compares with are not named; else reproduced where both differences, of the
    validation AUC after the printed epochs (t over the seeds) and of the test AUC in the end, lie
    above 0 (95 %), not reproduced otherwise.

    `early_a`: validation AUC of one-cycle after the printed epochs, of each seed; `early_b`: of
    warm restarts, same seeds; `final`: test AUC, one-cycle less warm restarts.
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

    `pairs`: sensitivities of the method and of cross-entropy, by seed, for each imbalance.
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


@checks("A92", "A93", "A94", "A95", measured=stored.beside)
def matters(*, compared: Sequence[Compared], runs: str) -> Outcome:
    """Ask whether a choice that the paper leaves open, or makes silently, changes the test AUC.

    Rule: not run where a comparison has no verdict yet; shown where one of them is told apart,
    in either direction, after Holm's correction; else inconclusive.
    """
    if not compared or any(c.verdict in OPEN or c.shown.get("auc") is None for c in compared):
        return not_run(runs)
    told = [c for c in compared if c.shown["auc"]]
    return Outcome(
        verdict=SHOWN if told else INCONCLUSIVE,
        evidence=" ".join(sentence(c) for c in compared),
        limits=OURS,
        runs=(runs,),
    )
