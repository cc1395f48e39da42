"""Paper B's results and comparisons against stored runs, through the rules fixed for them."""

from collections.abc import Sequence

from study.claims.check import checks
from study.claims.ledger import Claim
from study.claims.outcome import BUDGET, OPEN_CHOICE, STAND_IN, Outcome, in_ledger
from study.claims.paper_b import stored
from study.compare import Compared, best_optimizers
from study.levels import Level
from study.published import Published
from study.ranking import JudgedClaim
from study.verdicts import (
    EXCLUDED,
    INCONCLUSIVE,
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

_SIDES = {OURS_LOWER: NOT_REPRODUCED, OURS_HIGHER: NOT_REPRODUCED}
# Verdicts that rest on runs of a smaller budget say so; those of no verdict need not.
_NO_ANSWER = (NOT_RUN, SHORT)


@checks(
    *("B01", "B02", "B03", "B04", "B05", "B06"),
    measured=lambda claim: {"level": stored.network_level(claim)},
)
def table3(*, printed: Published, level: Level, epochs: Published) -> Outcome:
    """Judge a printed accuracy.

    Rule: `levels.judge_level`; lower or higher is "not reproduced".
    """
    ours = level.one_more
    if ours is None or ours.low is None:
        return Outcome(verdict=NOT_RUN, evidence=f"Printed: {printed.printed} %. {level.verdict}.")
    config, group = level.group.config, level.group
    verdict = in_ledger(_SIDES.get(level.verdict, level.verdict))
    return Outcome(
        verdict=verdict,
        evidence=f"Ours: {100 * ours.value:.1f} % (one more run: {100 * ours.low:.1f} to "
        f"{100 * ours.high:.1f}, {ours.seeds} seeds, {config['image_size']} px from "
        f"{group.source_size} px files, {config['epochs']} epochs); printed: {printed.printed} % "
        f"after {epochs.printed}: {level.verdict}.",
        limits=(OPEN_CHOICE, BUDGET) if config["epochs"] < epochs.value else (OPEN_CHOICE,),
        runs=(config["recipe"],),
    )


@checks("B78", "B85", "B99", measured=stored.claim_in_words)
def in_words(*, scratch: JudgedClaim, published: JudgedClaim, missing: Sequence[str]) -> Outcome:
    """Judge a claim in words by the verdicts of `params/ranking.yaml`.

    Rule: as the paper compares (its network pretrained, the others not) the claim must be shown,
    and must not fail with both from scratch. A failure on the data sets that were run is one
    whatever the others say; "not run" as long as data sets are missing, "not run at its budget"
    while the runs are too short, else "shown" or "inconclusive".

    `scratch`: both sides from scratch; `published`: as the paper compares; `missing`: data sets
    without a run.
    """
    sides = (published, scratch)
    verdicts = [judged.verdict for judged in sides]
    verdict = in_ledger(on_all(verdicts))
    if verdict not in (SHOWN_REVERSED, EXCLUDED, *_NO_ANSWER):
        verdict = SHOWN if published.verdict == SHOWN else INCONCLUSIVE
    if missing and verdict in (SHOWN, INCONCLUSIVE):
        verdict = NOT_RUN
    named = ("as the paper compares", "both from scratch")
    said = "; ".join(
        f"{name}: {judged.verdict}, better in {judged.shown}, worse in {judged.contrary} of "
        f"{judged.planned} comparisons ({judged.judged} with a verdict)"
        for name, judged in zip(named, sides, strict=True)
    )
    needs = f" Not run: {', '.join(missing)}." if missing else ""
    return Outcome(
        verdict=verdict,
        evidence=f"{said}.{needs}",
        limits=(BUDGET,) if verdict not in _NO_ANSWER else (),
        runs=("ranking",),
    )


@checks(
    "B79",
    measured=lambda claim: {
        "against": stored.against("as published", claim.beside),
        "missing": stored.missing(),
    },
)
def worse_somewhere(*, against: Sequence[Compared], missing: Sequence[str]) -> Outcome:
    """Judge "our model is below these on some data sets".

    Rule: "shown" where one of them is shown to be better on one data set; "not run" while data sets
    are missing, "not run at its budget" while the runs are too short; else "inconclusive".
    """
    verdicts = [c.verdict for c in against]
    verdict = NOT_RUN if missing or not verdicts else INCONCLUSIVE
    if SHORT in verdicts:
        verdict = SHORT
    elif any(v in OPEN for v in verdicts):
        verdict = NOT_RUN
    if SHOWN_REVERSED in verdicts:
        verdict = SHOWN
    return Outcome(
        verdict=verdict,
        evidence=f"Of {len(verdicts)} comparisons on the data sets run, the other is shown to be "
        f"better in {verdicts.count(SHOWN_REVERSED)}, ours in {verdicts.count(SHOWN)}; not judged "
        f"yet: {sum(v in OPEN for v in verdicts)}.",
        runs=("ranking",),
    )


@checks(
    "B86",
    measured=lambda claim: {
        "against": stored.against("imagenet", claim.beside),
        "missing": stored.missing(),
    },
)
def plain_as_good(*, against: Sequence[Compared], missing: Sequence[str]) -> Outcome:
    """Judge an advantage over plain networks with the same start, weights and training.

    Rule: `verdicts.on_all` over each of them on every data set that was run; "shown" only where no
    data set is missing, else "not run".
    """
    verdicts = [c.verdict for c in against]
    verdict = in_ledger(on_all(verdicts))
    if missing and verdict == SHOWN:
        verdict = NOT_RUN
    listed = "; ".join(
        f"{c.title} {signed(100 * c.accuracy.value, digits=1)} points ({len(c.seeds)} seeds): "
        f"{c.verdict}"
        for c in against
        if c.accuracy
    )
    return Outcome(
        verdict=verdict,
        evidence=f"Ours less theirs: {listed or 'nothing stored'}."
        + (f" Not run: {', '.join(missing)}." if missing else ""),
        limits=(BUDGET, OPEN_CHOICE) if verdict not in _NO_ANSWER else (),
        runs=("ranking",),
    )


@checks(
    *("B100", "B102", "B103", "B104", "B105"),
    measured=lambda claim: {"compared": stored.compared_beside(claim)},
)
def part_helps(*, compared: Sequence[Compared]) -> Outcome:
    """Judge "this part, or this choice, brings a gain", each by a matched control.

    Rule: `params/table2.yaml`, on the AUC with Holm's correction over the family as planned;
    `verdicts.on_all` over the comparisons.
    """
    verdict = in_ledger(on_all([c.verdict for c in compared]))
    return Outcome(
        verdict=verdict,
        evidence="; ".join(_said(c) for c in compared) + ".",
        limits=(OPEN_CHOICE, BUDGET) if verdict not in _NO_ANSWER else (),
        runs=("table2",),
    )


def _said(c: Compared) -> str:
    if c.auc is None or c.auc.low is None:
        return f"{c.pair.title}: {c.verdict}"
    low, high = signed(c.auc.low), signed(c.auc.high)
    p = f", {p_text(c.p['auc'])}" if c.p.get("auc") is not None else ""
    return (
        f"{c.pair.title} changes the AUC by {signed(c.auc.value)} ({low} to {high}, "
        f"{c.auc.seeds} seed(s){p}): {c.verdict}"
    )


@checks("B101", measured=lambda claim: {"best": best_optimizers(stored.compared("optimizer"))})
def best_optimizer(*, best: dict[str, str]) -> Outcome:
    """Judge whether the choice of the optimizer makes a difference.

    Rule: `compare.best_optimizers`: "shown" where one optimizer is shown to be best with each
    augmentation, what is open as long as runs are missing or too short, else "inconclusive".
    """
    open_ = [v for v in best.values() if v in OPEN]
    shown = all(v.endswith("best") and not v.startswith("none") for v in best.values())
    verdict = in_ledger(open_[0]) if open_ else SHOWN if shown else INCONCLUSIVE
    return Outcome(
        verdict=verdict,
        evidence="; ".join(f"{name}: {v}" for name, v in best.items()) + ".",
        limits=(BUDGET,) if verdict not in _NO_ANSWER else (),
        runs=("table2",),
    )


def _gaps(figure: str):
    def measured(claim: Claim) -> dict[str, list[float]]:
        gaps = {cutmix: stored.train_gaps(figure, cutmix=cutmix) for cutmix in (True, False)}
        return {"with_it": gaps[True], "without": gaps[False]}

    return measured


@checks("B131", what="training less validation loss", scale=1, spec="+.2f", measured=_gaps("loss"))
@checks(
    "B53",
    what="validation less training accuracy, in points,",
    scale=100,
    spec="+.1f",
    measured=_gaps("accuracy"),
)
def augmentation_lowers(
    *, with_it: Sequence[float], without: Sequence[float], what: str, scale: float, spec: str
) -> Outcome:
    """Judge what a gap between test and training curves is taken to say of generalisation.

    Rule: the training curve is measured on augmented images. "Reproduced" where the gap at the end
    of training is positive (better held out) with CutMix and without it, both on the mean over
    seeds, "not run" without two seeds of each, else "underspecified": where the sign is that of the
    augmentation, it says nothing of generalisation.

    `with_it`: the gap in each seed's last epoch, with CutMix; `without`: likewise without; `what`:
    names the gap and its unit; `scale`: from the gap to that unit; `spec`: how it is written.
    """
    if min(len(with_it), len(without)) < 2:
        return Outcome(
            verdict=NOT_RUN, evidence="Needed: two seeds with CutMix and two without it."
        )
    a, b = (scale * sum(values) / len(values) for values in (with_it, without))
    return Outcome(
        verdict=REPRODUCED if a > 0 and b > 0 else UNDERSPECIFIED,
        evidence=f"On BreastMNIST, {what} in the last epoch: {a:{spec}} with CutMix "
        f"({len(with_it)} seeds), {b:{spec}} without ({len(without)} seeds), same network and "
        "data: images that are mixed and erased are harder than those of the test. So the sign "
        "alone says nothing of generalisation.",
        limits=(STAND_IN, OPEN_CHOICE, BUDGET),
        runs=("table2",),
    )
