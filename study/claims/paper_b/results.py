"""Paper B's results and comparisons against stored runs, through the rules fixed for them."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from helpers.metrics.scores import Estimate
from helpers.runs.groups import Group
from study.claims.check import checks
from study.claims.check_result import BUDGET, OPEN_CHOICE, STAND_IN, CheckResult, in_ledger, lacking
from study.claims.ledger import Claim
from study.claims.paper_b import budget, stored
from study.claims.seeds import with_interval
from study.compare import Compared, best_optimizers
from study.levels import Level
from study.published import Published
from study.ranking import RankingClaim
from study.table import span
from study.tied import Free
from study.verdicts import (
    EXCLUDED,
    INCONCLUSIVE,
    NO_BEST,
    NOT_REPRODUCED,
    NOT_RUN,
    OPEN,
    OURS_HIGHER,
    OURS_LOWER,
    REPRODUCED,
    SHORT,
    SHOWN,
    SHOWN_REVERSED,
    UNDERSPECIFIED,
    on_all,
)
from study.words import p_text, signed


@checks("B01", "B02", "B03", "B04", "B05", "B06", measured=stored.network_accuracy)
def table3(
    *, printed: Published, level: Level, epochs: Published, free: Free | None
) -> CheckResult:
    """Judge a printed accuracy.

    Rule: `levels.judge_level`; lower or higher is "not reproduced".

    `free`: the accuracy of the same runs on the images that nothing ties to training, which judges
    nothing; None where none is known to be tied.
    """
    ours, group = level.one_more, level.group
    if ours is None or ours.low is None:
        text = f"Printed: {printed.printed} %; ours: {level.verdict}"
        if ours is not None:
            have = f"{100 * ours.value:.1f} % after {group.config['epochs']} epochs"
            text += f" ({have}, {len(group.runs)} seed(s))"
        return lacking(f"{text}.")
    config = group.config
    off = level.verdict in (OURS_LOWER, OURS_HIGHER)
    verdict = NOT_REPRODUCED if off else in_ledger(level.verdict)
    without = ""
    if free:
        without = f"; {100 * free.mean:.1f} % on the {free.images:,} images not tied to training"
    return CheckResult(
        verdict=verdict,
        evidence=f"Ours: {100 * ours.value:.1f} % (mean {_percent(level.here)}; one more run "
        f"{_percent(ours)}; {ours.seeds} seeds, {config['image_size']} px from "
        f"{group.source_size} px files, {config['epochs']} epochs{without}); printed: "
        f"{printed.printed} % after {epochs.printed}: {level.verdict}.",
        limits=budget.limits(verdict, config["epochs"], OPEN_CHOICE),
        runs=(config["recipe"],),
    )


def _percent(interval: Estimate) -> str:
    return span(interval.low, interval.high, spec=".1f", scale=100)


@checks("B78", "B85", "B99", measured=stored.claim_in_words)
def in_words(
    *,
    scratch: RankingClaim,
    published: RankingClaim,
    missing: Sequence[str],
    same_start: Mapping[str, Sequence[Compared]],
) -> CheckResult:
    """Judge a claim in words by the verdicts of `params/ranking.yaml`.

    Rule: as the paper compares (its network pretrained, the others not) the claim must be shown,
    and must not fail with both from scratch, or, at the paper's own length, with both from the same
    ImageNet weights (`params/table2.yaml`, by the AUC). A failure on the data sets that were run is
    one whatever the others say; "not run" as long as data sets are missing, "not run at its budget"
    while the runs are too short, else "shown" or "inconclusive".

    `scratch`: both sides from scratch; `published`: as the paper compares; `missing`: data sets
    without a run; `same_start`: data set -> comparisons at the paper's own length.
    """
    longest = [c for family in same_start.values() for c in family]
    verdict = in_ledger(on_all([published.verdict, scratch.verdict] + [c.verdict for c in longest]))
    if verdict not in (SHOWN_REVERSED, EXCLUDED, *budget.NO_ANSWER):
        verdict = SHOWN if published.verdict == SHOWN else INCONCLUSIVE
    if missing and verdict in (SHOWN, INCONCLUSIVE):
        verdict = NOT_RUN
    said = (
        f"as the paper compares: {published.verdict}, {_counted(published)}; "
        f"both from scratch: {scratch.verdict}, {_counted(scratch)}"
    )
    if longest:
        said += f"; both from the same ImageNet weights: {_by_data_set(same_start)}"
    needs = f" Not run: {', '.join(missing)}." if missing else ""
    return CheckResult(
        verdict=verdict,
        evidence=f"{said}.{needs}",
        limits=() if verdict in budget.NO_ANSWER else (BUDGET,),
        runs=("ranking", "paper_b") if longest else ("ranking",),
    )


def _counted(claim: RankingClaim) -> str:
    """Say which of the comparisons with a verdict go which way, if any has one."""
    if not claim.decided:
        return f"none of {claim.planned} comparisons is counted"
    return (
        f"better in {claim.shown}, worse in {claim.contrary} of the {claim.decided} comparisons "
        f"that are counted ({claim.planned} in all)"
    )


def _by_data_set(found: Mapping[str, Sequence[Compared]]) -> str:
    """Say of each data set by how many points of accuracy the network is above each other."""
    listed = []
    for title, family in found.items():
        said = [
            f"{c.title} {signed(100 * c.accuracy.value, digits=1)} points ({len(c.seeds)} seeds, "
            f"{c.epochs:g} epoch{'' if c.epochs == 1 else 's'}): {c.verdict}"
            for c in family
            if c.accuracy
        ]
        if said:
            listed.append(f"{title}: {', '.join(said)}")
    return "; ".join(listed)


def _others_ahead(claim: Claim) -> dict[str, Any]:
    others = claim.beside.values()
    found = [c for c in stored.against("as published") if c.name in others]
    return {"against": found, "missing": stored.missing()}


@checks("B79", measured=_others_ahead)
def worse_somewhere(*, against: Sequence[Compared], missing: Sequence[str]) -> CheckResult:
    """Judge "our model is below these on some data sets".

    Rule: "shown" where one of them is shown to be better on one data set; "not run" while data sets
    are missing, "not run at its budget" while the runs are too short; else "inconclusive".
    """
    verdicts = [c.verdict for c in against]
    waiting = [v for v in verdicts if v in OPEN]
    verdict = NOT_RUN if missing or waiting or not verdicts else INCONCLUSIVE
    if SHORT in waiting:
        verdict = SHORT
    if SHOWN_REVERSED in verdicts:
        verdict = SHOWN
    counted = len(verdicts) - len(waiting)
    said = "none is counted"
    if counted:
        said = (
            f"the other is shown to be better in {verdicts.count(SHOWN_REVERSED)}, ours in "
            f"{verdicts.count(SHOWN)} of the {counted} that are counted"
        )
    rest = f" (open: {', '.join(dict.fromkeys(waiting))})" if waiting else ""
    return CheckResult(
        verdict=verdict,
        evidence=f"Of {len(verdicts)} comparisons on the data sets run {said}{rest}.",
        runs=("ranking",),
    )


@checks(
    "B86",
    measured=lambda claim: {"against": stored.same_start(claim), "missing": stored.missing()},
)
def plain_as_good(
    *, against: Mapping[str, Sequence[Compared]], missing: Sequence[str]
) -> CheckResult:
    """Ask whether it leads plain networks with the same start, weights and training.

    Rule: `verdicts.on_all` over each of them on every data set that was run, by the runs with the
    most epochs (by the accuracy in `params/ranking.yaml`, by the AUC in `params/table2.yaml`, which
    has those at the paper's own length); "shown" only where no data set is missing, else "not run".

    `against`: data set -> the network against each of the plain ones.
    """
    found = [c for family in against.values() for c in family]
    verdict = in_ledger(on_all([c.verdict for c in found]))
    if missing and verdict == SHOWN:
        verdict = NOT_RUN
    needs = f" Not run: {', '.join(missing)}." if missing else ""
    return CheckResult(
        verdict=verdict,
        evidence="Ours less theirs, from the same ImageNet weights. "
        f"{_by_data_set(against) or 'Nothing is stored'}.{needs}",
        limits=budget.limits(verdict, _least_epochs(found), OPEN_CHOICE),
        runs=tuple(dict.fromkeys(c.a.config["recipe"] for c in found if c.a)),
    )


@checks("B100", "B102", "B103", "B104", "B105", measured=stored.compared_beside)
def part_helps(*, compared: Sequence[Compared], at_length: Sequence[Compared] = ()) -> CheckResult:
    """Judge "this part, or this choice, brings a gain", each by a matched control.

    Rule: `params/table2.yaml`, on the AUC with Holm's correction over the family as planned;
    `verdicts.on_all` over the comparisons. Once a comparison is stored by the paper's own recipe,
    at its length or a tenth of it, that alone decides, and the short one is told.

    `at_length`: what was planned once more by that recipe, of it what has runs.
    """
    deciding = at_length or compared
    verdict = in_ledger(on_all([c.verdict for c in deciding]))
    evidence = f"{_changes(deciding)}."
    if at_length:
        evidence += f" Shorter runs, which do not judge: {_changes(compared)}."
    return CheckResult(
        verdict=verdict,
        evidence=evidence,
        limits=budget.limits(verdict, _least_epochs(deciding), OPEN_CHOICE),
        runs=("table2", "paper_b") if at_length else ("table2",),
    )


def _least_epochs(compared: Sequence[Compared]) -> float:
    """Return the epochs of the shortest runs of some comparisons, 0 where none is stored."""
    return min((c.epochs for c in compared if c.epochs is not None), default=0)


def _changes(compared: Sequence[Compared]) -> str:
    """Say by how much each part changes the AUC."""
    listed = []
    for c in compared:
        change = ""
        if c.auc is not None and c.auc.low is not None:
            p = f", {p_text(c.p['auc'])}" if c.p.get("auc") is not None else ""
            found = with_interval(c.auc, note=f"{c.auc.seeds} seed(s){p}")
            change = f", AUC {found}"
        listed.append(f"{c.pair.title}{change}: {c.verdict}")
    return "; ".join(listed)


@checks("B101", measured=lambda claim: {"best": best_optimizers(stored.compared("optimizer"))})
def best_optimizer(*, best: Mapping[str, str]) -> CheckResult:
    """Judge whether the choice of the optimizer makes a difference.

    Rule: `compare.best_optimizers`: "shown" where one optimizer is shown to be best with each
    augmentation, what is open as long as runs are missing or too short, else "inconclusive".
    """
    verdict = INCONCLUSIVE if NO_BEST in best.values() else SHOWN
    if waiting := [v for v in best.values() if v in OPEN]:
        verdict = in_ledger(waiting[0])
    return CheckResult(
        verdict=verdict,
        evidence="; ".join(f"{name}: {v}" for name, v in best.items()) + ".",
        limits=(BUDGET,) if verdict not in budget.NO_ANSWER else (),
        runs=("table2",),
    )


def _gaps(figure: str, *, scale: float) -> dict[str, Any]:
    """Return by how much held-out images are better than training images in the last epoch.

    `scale` is below 0 where less of the figure is better.
    """
    (pair,) = stored.compared("augmentation", "flips_alone")

    def gaps(group: Group | None) -> list[float]:
        last = [run.record["history"][-1] for run in group.runs] if group else []
        return [scale * (row[f"val_{figure}"] - row[f"train_{figure}"]) for row in last]

    return {"with_it": gaps(pair.a), "without": gaps(pair.b), "epochs": pair.epochs}


@checks(
    "B131",
    what="training less validation loss",
    spec="+.2f",
    measured=lambda claim: _gaps("loss", scale=-1),
)
@checks(
    "B53",
    what="validation less training accuracy, in points,",
    spec="+.1f",
    measured=lambda claim: _gaps("accuracy", scale=100),
)
def augmentation_lowers(
    *,
    with_it: Sequence[float],
    without: Sequence[float],
    epochs: float | None,
    what: str,
    spec: str,
) -> CheckResult:
    """Judge what a gap between test and training curves is taken to say of generalisation.

    Rule: the training curve is measured on augmented images. "Reproduced" where the gap at the end
    of training is positive (better held out) with all augmentation and with flips alone, both on
    the mean over seeds, "not run" without two seeds of each, "not run at its budget" where they
    were trained for too few epochs (`params/verdicts.yaml`), else "underspecified": where the sign
    is that of the augmentation, it says nothing of generalisation.

    `with_it`: the gap in each seed's last epoch, with all augmentation; `without`: with flips
    alone; `epochs`: of the shorter of both trainings; `what`: names the gap and its unit; `spec`:
    how it is written.
    """
    if min(len(with_it), len(without)) < 2:
        return lacking("Needed: two seeds with all augmentation and two with flips alone.")
    a, b = map(statistics.fmean, (with_it, without))
    return budget.result(
        REPRODUCED if a > 0 and b > 0 else UNDERSPECIFIED,
        epochs,
        evidence=f"On BreastMNIST, after {budget.length(epochs)}, {what} in the last one: "
        f"{a:{spec}} with all augmentation ({len(with_it)} seeds), {b:{spec}} with flips alone "
        f"({len(without)} seeds), same network and data. Images that are mixed and erased are "
        "harder than those of the test; where the sign turns with them, it says nothing of "
        "generalisation.",
        others=(STAND_IN, OPEN_CHOICE),
        runs=("paper_b",),
    )
