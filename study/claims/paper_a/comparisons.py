"""Paper A's claims that the framework, or a part of it, is better, by our planned comparisons."""

from dataclasses import replace
from typing import Any

from helpers.metrics.scores import Estimate
from study.claims.check import checks
from study.claims.check_result import CheckResult, if_given
from study.claims.ledger import Claim
from study.claims.paper_a.planned import (
    Planned,
    auc_less,
    beside,
    framework,
    not_run,
    on_other_images,
    one_cycle_runs,
    planned_beside,
)
from study.claims.seeds import Sides, at_epoch, paired, second_less_first, too_few, with_interval
from study.compare import Compared
from study.published import NOT_GIVEN, PRINTED_EPOCHS, Published
from study.verdicts import INCONCLUSIVE, NOT_RUN, SHOWN, UNDERSPECIFIED, on_all, on_some
from study.words import p_text, sentence

# Share of the rarer class from which a set of two classes is called even.
EVEN = 0.45


def told(c: Compared) -> str:
    """Say what a comparison shows, and where its interval alone would have shown more."""
    text, auc = sentence(c), c.auc
    leaves_out = auc is not None and auc.low is not None and not auc.low <= 0 <= auc.high
    if leaves_out and not c.shown.get("auc"):
        text += f" Before the correction the interval leaves 0 out ({p_text(auc.p)})."
    return text


def all_told(planned: Planned) -> str:
    """Say what comparisons show, and what those on fewer images show, which do not decide."""
    compared = planned.deciding.values()
    text = " ".join(told(c) for c in compared)
    fewer = [c for c in planned.fewer if c.auc is not None]
    if not fewer:
        return text
    sizes = ", ".join(map(str, sorted({c.auc.n for c in compared})))
    smaller = " ".join(told(c) for c in fewer)
    return f"On {sizes} test images: {text} On {fewer[0].auc.n}: {smaller}"


@checks("A14", "A15", "A55", "A57", "A60", "A61", "A73", measured=beside)
def is_better(*, planned: Planned) -> CheckResult:
    """Check that A is better than B in paired comparisons (`params/comparisons.yaml`).

    Rule: not run where one of them has no verdict yet; else `verdicts.on_all`: shown where A's
    AUC is higher, after Holm's correction, in each. Where the same was compared on fewer images
    and seeds too, that is said and does not decide.
    """
    if planned.is_open:
        return not_run(planned.runs)
    verdict = on_all([c.verdict for c in planned.deciding.values()])
    return on_other_images(verdict, all_told(planned) + planned.reading, planned.runs)


def _rarest(claim: Claim) -> dict[str, Any]:
    """Return also the share of the rarer class among our test images; all splits are stratified."""
    rarest = None
    if group := framework():
        positive = group.runs[0].predictions("test")[0].mean()
        rarest = float(min(positive, 1 - positive))
    return beside(claim) | {"rarest": rarest}


@checks("A16", measured=_rarest)
def needs_imbalance(*, planned: Planned, rarest: float | None) -> CheckResult:
    """Check that a remedy for class imbalance helps.

    Rule: not run without a verdict of the comparison; underspecified where our training set is
    about as even as the remedy would make it (rarer class at least 45 %); else as `is_better`.

    `rarest`: share of the rarer class among our images; None without runs.
    """
    result = is_better(planned=planned)
    if result.verdict == NOT_RUN or rarest is None or rarest < EVEN:
        return result
    return replace(
        result,
        verdict=UNDERSPECIFIED,
        evidence=f"{result.evidence} But {100 * rarest:.0f} % of our images are of the rarer "
        "class, which leaves the sampling nothing to correct; how imbalanced the paper's training "
        "images were is not printed.",
    )


@checks("A56", measured=beside)
def only_from_scratch(*, planned: Planned, start: Published) -> CheckResult:
    """Check that A is better than a network whose ImageNet weights could not be had here.

    Rule: not run without a verdict of the comparison; underspecified while the paper does not
    say how that network started, since both sides of ours are from scratch; else as `is_better`.
    """
    result = is_better(planned=planned)
    if result.verdict == NOT_RUN or start.printed != NOT_GIVEN:
        return result
    ours, theirs = planned.one.means["auc"]
    return replace(
        result,
        verdict=UNDERSPECIFIED,
        evidence="From which weights the other network started is not said. From scratch, where "
        f"neither learns much (AUC {ours:.3f} against {theirs:.3f}): {result.evidence}",
    )


def _quantum(claim: Claim) -> dict[str, Any]:
    planned = planned_beside(claim)
    found = planned.deciding
    return {
        "added": auc_less(found["quantum"].b, found["plain"].b),
        "planned": replace(planned, deciding={"matched": found["matched"]}),
    }


@checks("A58", measured=_quantum)
def adds_to(*, added: Estimate | None, planned: Planned, circuit: Published) -> CheckResult:
    """Check that a quantum head improves the plain network.

    Only the head against another of its size was planned, all else equal. Against the plain
    network loss, sampling and staging differ as well, and no family corrects that difference: it
    is said and does not decide.

    Rule: not run where the planned comparison has no verdict yet; underspecified while the
    circuit of the head is not described, so that ours is another; else as `is_better` of the
    planned one.

    `added`: AUC with the head less that of the plain network; None without runs.
    """
    result = is_better(planned=planned)
    if result.verdict == NOT_RUN or added is None:
        return not_run(planned.runs)
    return replace(
        result,
        verdict=UNDERSPECIFIED if circuit.printed == NOT_GIVEN else result.verdict,
        evidence=f"The circuit of the quantum head: {circuit.printed}. With ours: "
        f"{result.evidence} The quantum head less plain ResNet18 under cross-entropy, which was "
        "not planned and is not corrected, since loss, sampling and staging differ too: AUC "
        f"{with_interval(added)}.",
    )


@checks("A02", measured=beside)
def parts_matter(*, planned: Planned) -> CheckResult:
    """Check that the mechanisms are effective: the framework, and its parts one by one.

    Rule: not run where a comparison has no verdict yet; else `verdicts.on_all` of the framework
    as a whole and of `on_some` of the parts: shown where the whole and at least one part are better
    on the AUC. Of two comparisons that ask the same, the one on more images and seeds is taken.
    """
    if planned.is_open:
        return not_run(planned.runs)
    whole = planned.deciding["whole"]
    parts = [c for c in planned.deciding.values() if c is not whole]
    better = sum(c.verdict == SHOWN for c in parts)
    largest = max(parts, key=lambda c: c.auc.value)
    smaller = " ".join(told(c) for c in planned.fewer)
    return on_other_images(
        on_all([whole.verdict, on_some([c.verdict for c in parts])]),
        f"{told(whole)} Of {len(parts)} parts taken away, {better or 'none'} shows a gain; the "
        f"largest: {told(largest)} On fewer images: {smaller}{planned.reading}",
        planned.runs,
    )


@checks("A92", "A93", "A94", "A95", measured=beside)
def matters(*, planned: Planned) -> CheckResult:
    """Ask whether a choice that the paper leaves open, or makes silently, changes the test AUC.

    Rule: not run where a comparison has no verdict yet; shown where one of them is told apart,
    in either direction, after Holm's correction; else inconclusive.
    """
    if planned.is_open:
        return not_run(planned.runs)
    apart = any(c.shown["auc"] for c in planned.deciding.values())
    verdict = SHOWN if apart else INCONCLUSIVE
    return on_other_images(verdict, all_told(planned), planned.runs)


def _schedules(claim: Claim) -> dict[str, Any]:
    restarts, one_cycle = framework(), one_cycle_runs()
    return {
        "early": paired(restarts, one_cycle, at_epoch("val_auc", PRINTED_EPOCHS)),
        "final": auc_less(one_cycle, restarts),
    }


@checks("A68", measured=_schedules)
def faster(*, early: Sides, final: Estimate | None, others: Published) -> CheckResult:
    """Check that one-cycle is ahead of warm restarts, early and in the end.

    Rule: not run with fewer than five pairs; underspecified while the schedules that the paper
    compares with are not named; else reproduced where both differences, of the
    validation AUC after the printed epochs (t over the seeds) and of the test AUC in the end, lie
    above 0 (95 %), not reproduced otherwise.

    `early`: validation AUC after the printed epochs of warm restarts and of one-cycle; `final`:
    test AUC, one-cycle less warm restarts.
    """
    runs = "table1_to_the_end, brain_inspired"
    if final is None or too_few(early):
        return not_run(runs)
    ahead = second_less_first(early)
    return on_other_images(
        if_given(others, ahead.low > 0 and final.low > 0, otherwise=UNDERSPECIFIED),
        f"The other schedules: {others.printed}. One-cycle, with torch's momentum cycle, less warm "
        "restarts, the framework under each: validation AUC after four epochs "
        f"{ahead.text()}, test AUC in the end {with_interval(final)}. Peak rate and length "
        "of warm-up differ as well; the paper shows no such comparison.",
        runs,
    )
