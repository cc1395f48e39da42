"""Paper A's comparisons on other angiograms: what our stored runs say of its claims.

The paper's images are not public and many settings are not given. So a verdict hangs on other
images and on our reading of what is open.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from scipy import stats

from helpers.metrics.scores import Estimate
from study.claims.check import checks
from study.claims.outcome import OPEN_CHOICE, STAND_IN, Outcome, in_ledger, lacking
from study.claims.paper_a import stored
from study.claims.paper_a.families import Member, judge_family, sign_of, verdict_of_signs
from study.claims.paper_a.planned import compared as planned
from study.claims.paper_a.readings import Readings, said
from study.claims.paper_a.stored import Scattered
from study.claims.seeds import mean_over_seeds, with_interval
from study.compare import Compared, correct
from study.plans.verdicts import load_rules
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
from study.words import p_text, sentence

OURS = (STAND_IN, OPEN_CHOICE)
# Share of the rarer class from which a set of two classes is called even.
EVEN = 0.45
# Seeds from which anything is judged.
ENOUGH = 5


def not_run(what: str) -> Outcome:
    """Return the outcome of a check whose runs are not stored."""
    return lacking(f"Not run: {what}.")


def is_open(compared: Sequence[Compared]) -> bool:
    """Say whether there is none, or one that has no verdict yet."""
    return not compared or any(c.verdict in OPEN or c.shown.get("auc") is None for c in compared)


def told(c: Compared) -> str:
    """Say what a comparison shows, and where its interval alone would have shown more."""
    text, auc = sentence(c), c.auc
    leaves_out = auc is not None and auc.low is not None and not auc.low <= 0 <= auc.high
    if leaves_out and not c.shown.get("auc"):
        text += f" Before the correction the interval leaves 0 out ({p_text(auc.p)})."
    return text


def all_told(compared: Sequence[Compared], fewer: Sequence[Compared]) -> str:
    """Say what comparisons show, and what those on fewer images show, which do not decide."""
    text = " ".join(told(c) for c in compared)
    measured = [c for c in fewer if c.auc is not None]
    if not measured:
        return text
    sizes = sorted({c.auc.n for c in compared})
    where = f"On {', '.join(map(str, sizes))} test images: {text}"
    return f"{where} On {measured[0].auc.n}: {' '.join(told(c) for c in measured)}"


@checks("A14", "A15", "A55", "A57", "A60", "A61", "A73", measured=stored.beside)
def is_better(
    *,
    compared: Sequence[Compared],
    runs: str,
    fewer: Sequence[Compared] = (),
    readings: Readings = None,
) -> Outcome:
    """Check that A is better than B in paired comparisons (`params/comparisons.yaml`).

    Rule: not run where one of them has no verdict yet; else `verdicts.on_all`: shown where A's
    AUC is higher, after Holm's correction, in each. Where the same was compared on fewer images
    and seeds too, that is said and does not decide.
    """
    if is_open(compared):
        return not_run(runs)
    return Outcome(
        verdict=in_ledger(on_all([c.verdict for c in compared])),
        evidence=all_told(compared, fewer) + said(readings),
        limits=OURS,
        runs=(runs,),
    )


@checks("A16", measured=lambda claim: stored.beside(claim) | {"rarest": stored.rarest()})
def needs_imbalance(
    *,
    compared: Sequence[Compared],
    rarest: float | None,
    runs: str,
    fewer: Sequence[Compared] = (),
    readings: Readings = None,
) -> Outcome:
    """Check that a remedy for class imbalance helps.

    Rule: not run without a verdict of the comparison; underspecified where our training set is
    about as even as the remedy would make it (rarer class at least 45 %); else as `is_better`.

    `rarest`: share of the rarer class among our images; None without runs.
    """
    outcome = is_better(compared=compared, runs=runs, fewer=fewer, readings=readings)
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
def only_from_scratch(
    *,
    compared: Sequence[Compared],
    start: Published,
    runs: str,
    fewer: Sequence[Compared] = (),
    readings: Readings = None,
) -> Outcome:
    """Check that A is better than a network whose ImageNet weights could not be had here.

    Rule: not run without a verdict of the comparison; underspecified while the paper does not
    say how that network started, since both sides of ours are from scratch; else as `is_better`.
    """
    outcome = is_better(compared=compared, runs=runs, fewer=fewer, readings=readings)
    if outcome.verdict == NOT_RUN or start.printed != NOT_GIVEN:
        return outcome
    aucs = "; ".join("AUC {:.3f} against {:.3f}".format(*c.means["auc"]) for c in compared)
    return replace(
        outcome,
        verdict=UNDERSPECIFIED,
        evidence="From which weights the other network started is not said. From scratch, where "
        f"neither learns much ({aucs}): {outcome.evidence}",
    )


@checks("A58", measured=stored.quantum_over_plain)
def adds_to(
    *,
    added: Estimate | None,
    compared: Sequence[Compared],
    circuit: Published,
    runs: str,
    readings: Readings = None,
) -> Outcome:
    """Check that a quantum head improves the plain network.

    Only the head against another of its size was planned, all else equal. Against the plain
    network loss, sampling and staging differ as well, and no family corrects that difference: it
    is said and does not decide.

    Rule: not run where the planned comparison has no verdict yet; underspecified while the
    circuit of the head is not described, so that ours is another; else as `is_better` of the
    planned one.

    `added`: AUC with the head less that of the plain network; None without runs.
    """
    outcome = is_better(compared=compared, runs=runs, readings=readings)
    if outcome.verdict == NOT_RUN or added is None:
        return not_run(runs)
    open_ = circuit.printed == NOT_GIVEN
    return replace(
        outcome,
        verdict=UNDERSPECIFIED if open_ else outcome.verdict,
        evidence=f"The circuit of the quantum head: {circuit.printed}. With ours: "
        f"{outcome.evidence} The quantum head less plain ResNet18 under cross-entropy, which was "
        "not planned and is not corrected, since loss, sampling and staging differ too: AUC "
        f"{with_interval(added)}.",
    )


@checks("A74", "A76", measured=stored.damaged)
def keeps_its_auc(
    *,
    compared: Sequence[Compared],
    kept: Mapping[str, Estimate | None],
    runs: str,
    fewer: Sequence[Compared] = (),
    readings: Readings = None,
) -> Outcome:
    """Check that a method withstands damaged training data better than its control.

    The paper names no measure; two are taken: the AUC on damaged data (planned), and how much of
    the AUC is lost against undamaged data. Both are over images and seeds; the second is corrected
    by Holm over the damages of the claim (`families.judge_family`).

    Rule: not run without runs or with fewer than five seeds; else `families.verdict_of_signs` of
    both measures for each damage: shown where all favour the method, shown reversed where all
    favour its control, inconclusive where none is told apart, else underspecified.

    `kept`: name of the damage -> by how much more of its AUC the method keeps than its control.
    """
    outcome = is_better(compared=compared, runs=runs, fewer=fewer)
    if outcome.verdict == NOT_RUN or not_enough(kept.values()):
        return not_run(runs)
    members = judge_family(kept)
    signs = [c.sign("auc") for c in compared] + [sign_of(m.verdict) for m in members.values()]
    listed = "; ".join(f"{name} {member_text(m)}" for name, m in members.items())
    return replace(
        outcome,
        verdict=verdict_of_signs(signs),
        evidence=f"No measure is named. {outcome.evidence} Against undamaged data the method keeps "
        f"this much more of its AUC than its control: {listed}.{said(readings)}",
    )


def not_enough(differences: Sequence[Estimate | None]) -> bool:
    """Say whether there is no difference, or one of too few seeds or without an interval."""
    found = list(differences)
    return not found or any(d is None or d.low is None or (d.seeds or 0) < ENOUGH for d in found)


def member_text(member: Member, *, digits: int = 3, scale: float = 1) -> str:
    """Write a difference with its interval and corrected p value."""
    d = member.difference
    note = f"{d.seeds} seeds, {p_text(member.p)} after correction"
    return with_interval(d, digits=digits, scale=scale, note=note)


@checks("A02", measured=stored.parts)
def parts_matter(
    *,
    parts: Sequence[Compared],
    whole: Compared,
    runs: str,
    fewer: Sequence[Compared] = (),
    readings: Readings = None,
) -> Outcome:
    """Check that the mechanisms are effective: the framework, and its parts one by one.

    Rule: not run where a comparison has no verdict yet; else `verdicts.on_all` of the framework
    as a whole and of `on_some` of the parts: shown where the whole and at least one part are better
    on the AUC. Of two comparisons that ask the same, the one on more images and seeds is taken.
    """
    if is_open([*parts, whole]):
        return not_run(runs)
    better = [c for c in parts if c.verdict == SHOWN]
    largest = max(parts, key=lambda c: c.auc.value)
    part = on_some([c.verdict for c in parts])
    smaller = f" On fewer images: {' '.join(told(c) for c in fewer)}" if fewer else ""
    return Outcome(
        verdict=in_ledger(on_all([whole.verdict, part])),
        evidence=f"{told(whole)} Of {len(parts)} parts taken away, {len(better) or 'none'} "
        f"shows a gain; the largest: {told(largest)}{smaller}{said(readings)}",
        limits=OURS,
        runs=(runs,),
    )


@dataclass(frozen=True)
class LessScatter:
    """By how much less A scatters than B.

    Attributes:
        value: logarithm of B's variance over A's.
        p: of the F test, two-sided.
    """

    value: float
    p: float


def less_scatter(found: Scattered) -> LessScatter:
    """Compare two scatters by the F test; draws of one seed are no more than one to its degrees."""
    ratio = statistics.variance(found.b) / statistics.variance(found.a)
    of_a, of_b = (seeds - 1 for seeds in found.seeds)
    tail = float(stats.f.sf(ratio, of_b, of_a))
    return LessScatter(math.log(ratio), 2 * min(tail, 1 - tail))


def scatter_text(values: Mapping[str, Scattered]) -> str:
    """Write both sides' scatter in each metric, with the p value of the test alone."""
    return "; ".join(
        f"{metric} {statistics.stdev(v.a):.4f} ({len(v.a)} runs) against "
        f"{statistics.stdev(v.b):.4f} ({len(v.b)}), {p_text(less_scatter(v).p)}"
        for metric, v in values.items()
    )


@checks("A19", measured=stored.stability)
def more_stable(
    *,
    values: Mapping[str, Scattered],
    runs: str,
    fewer: Sequence[Mapping[str, Scattered]] = (),
) -> Outcome:
    """Check that A's results scatter less than B's; the measure is not named.

    Of each metric the variances over all stored runs are compared by the F test, two-sided, with as
    many degrees of freedom as there are seeds; the p values are corrected by Holm over the metrics.
    The runs on more images decide; those on fewer are shown.

    Rule: not run with fewer than five seeds; else `families.verdict_of_signs`: shown where A
    scatters less in each metric, shown reversed where it scatters more, inconclusive where none is
    told apart, else underspecified.

    `values`: metric -> runs of A and of B; `fewer`: the same on fewer images.
    """
    if any(min(v.seeds) < ENOUGH for v in values.values()):
        return not_run(runs)
    tested = [less_scatter(v) for v in values.values()]
    corrected = correct(tested, level=load_rules().level)
    least = min(c.p_value for c in corrected)
    seeds = min(min(v.seeds) for v in values.values())
    smaller = "".join(f" On fewer images: {scatter_text(v)}." for v in fewer)
    return Outcome(
        verdict=verdict_of_signs([c.shown for c in corrected]),
        evidence="No measure is named. Standard deviation over all runs, staged against all layers "
        f"at once, {seeds} seeds: {scatter_text(values)} (F test; the smallest after correction "
        f"{p_text(least)}).{smaller} Each side has the learning rate tuned for it.",
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
    if final is None or min(len(early_a), len(early_b)) < ENOUGH:
        return not_run(runs)
    early = mean_over_seeds([a - b for a, b in zip(early_a, early_b, strict=True)])
    verdict = REPRODUCED if early.low > 0 and final.low > 0 else NOT_REPRODUCED
    return Outcome(
        verdict=UNDERSPECIFIED if others.printed == NOT_GIVEN else verdict,
        evidence=f"The other schedules: {others.printed}. One-cycle, with torch's momentum cycle, "
        "less warm restarts, the framework under each: validation AUC after four epochs "
        f"{early.text(digits=3)}, test AUC in the end {with_interval(final)}. Peak rate and length "
        "of warm-up differ as well; the paper shows no such comparison.",
        limits=OURS,
        runs=(runs,),
    )


@checks("A75", measured=stored.minority)
def minority_sensitivity(
    *,
    differences: Mapping[str, Estimate | None],
    means: Mapping[str, tuple[float, float]],
    runs: str,
    readings: Readings = None,
) -> Outcome:
    """Check that the minority class is found more often than with cross-entropy.

    The difference of the sensitivities, paired by seed, over images and seeds; corrected by Holm
    over the imbalances (`families.judge_family`).

    Rule: not run without runs or with fewer than five seeds; else `verdicts.on_all` of the
    comparisons: shown where the method's is higher at each imbalance, shown reversed where it is
    lower at one.

    `differences`: imbalance -> the method's sensitivity less cross-entropy's; `means`: both.
    """
    if not_enough(differences.values()):
        return not_run(runs)
    members = judge_family(differences)
    listed = "; ".join(
        f"at {name}: {100 * means[name][0]:.1f} against {100 * means[name][1]:.1f} %, a difference "
        f"of {member_text(m, digits=1, scale=100)} points, power {100 * m.power:.0f} % for "
        f"{100 * load_rules().size['accuracy']:g} points"
        for name, m in members.items()
    )
    return Outcome(
        verdict=in_ledger(on_all([m.verdict for m in members.values()])),
        evidence=f"Sensitivity to the rare class at a threshold of .5, {listed}. These differences "
        f"are not among the planned ones.{said(readings)}",
        limits=OURS,
        runs=(runs,),
    )


@checks("A100", measured=stored.thinned)
def overfits_majority(
    *,
    differences: Mapping[str, Estimate | None],
    levels: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    runs: str,
) -> Outcome:
    """Check that plain cross-entropy comes to favour the commoner class of its training images.

    How far a network leans to the commoner class is its specificity less its sensitivity on even
    test images. The leaning after imbalanced training less that after even training is taken,
    paired by seed, over images and seeds; corrected by Holm over the imbalances.

    Rule: not run without runs or with fewer than five seeds; else `verdicts.on_all`: shown where
    it leans more at each imbalance, shown reversed where it leans less at one.

    `differences`: imbalance -> by how much more it leans; `levels`: imbalance, or "none" ->
    sensitivity and specificity by seed.
    """
    if not_enough(differences.values()):
        return not_run(runs)
    members = judge_family(differences)
    means = {name: [100 * statistics.fmean(v) for v in both] for name, both in levels.items()}
    even = means["none"]
    listed = "; ".join(
        f"at {name} they are {means[name][0]:.1f} and {means[name][1]:.1f} %, a leaning to the "
        f"commoner class that is greater by {member_text(m, digits=1, scale=100)} points"
        for name, m in members.items()
    )
    return Outcome(
        verdict=in_ledger(on_all([m.verdict for m in members.values()])),
        evidence="Under cross-entropy sensitivity and specificity on even test images are "
        f"{even[0]:.1f} and {even[1]:.1f} % after even training; with positives to negatives "
        f"{listed}. For this positive images are taken away, so there are fewer of them as well; "
        "the comparison is not among the planned ones.",
        limits=OURS,
        runs=(runs,),
    )


@checks("A92", "A93", "A94", "A95", measured=planned)
def matters(*, compared: Sequence[Compared], runs: str) -> Outcome:
    """Ask whether a choice that the paper leaves open, or makes silently, changes the test AUC.

    Rule: not run where a comparison has no verdict yet; shown where one of them is told apart,
    in either direction, after Holm's correction; else inconclusive.
    """
    if is_open(compared):
        return not_run(runs)
    apart = [c for c in compared if c.shown["auc"]]
    return Outcome(
        verdict=SHOWN if apart else INCONCLUSIVE,
        evidence=" ".join(told(c) for c in compared),
        limits=OURS,
        runs=(runs,),
    )
