"""Paper B's results and comparisons against stored runs, through the rules fixed for them."""

from collections.abc import Sequence

from study.claims.outcome import BUDGET, OPEN_CHOICE, STAND_IN, Outcome
from study.compare import Compared
from study.levels import Level
from study.published import Published
from study.ranking import Against, JudgedClaim
from study.verdicts import (
    EXCLUDED,
    INCONCLUSIVE,
    NO_COMPETITOR,
    NOT_REPRODUCED,
    NOT_RUN,
    OPEN,
    OURS_HIGHER,
    OURS_LOWER,
    REPRODUCED,
    SHOWN,
    SHOWN_REVERSED,
    UNDERSPECIFIED,
    UNTESTABLE,
)
from study.words import p_text, signed

_OPEN = OPEN
_NOT_SHOWN = (INCONCLUSIVE, EXCLUDED, UNTESTABLE, NO_COMPETITOR)


def table3(*, level: Level, epochs: Published) -> Outcome:
    """Judge a printed accuracy.

    Rule: `levels.judge_level`; until this list has the same words, what is open, too short among
    it, is "not run", and "compatible" is "underspecified".

    Args:
        level: the number beside our runs.
        epochs: of the paper.
    """
    printed, ours = level.published, level.one_more
    found = {REPRODUCED: REPRODUCED, OURS_LOWER: NOT_REPRODUCED, OURS_HIGHER: NOT_REPRODUCED}
    if ours is None or ours.low is None:
        return Outcome(
            verdict=NOT_RUN,
            evidence=f"Printed: {printed.printed} %. {level.verdict}.",
            figures={"printed": printed.value, "seeds": float(ours.seeds if ours else 0)},
        )
    config, group = level.group.config, level.group
    verdict = NOT_RUN if level.verdict in OPEN else found.get(level.verdict, UNDERSPECIFIED)
    return Outcome(
        verdict=verdict,
        evidence=f"Ours: {100 * ours.value:.1f} % (one more run: {100 * ours.low:.1f} to "
        f"{100 * ours.high:.1f}, {ours.seeds} seeds, {config['image_size']} px from "
        f"{group.source_size} px files, {config['epochs']} epochs); printed: {printed.printed} % "
        f"after {epochs.printed}: {level.verdict}.",
        figures={
            "printed": printed.value,
            "seeds": float(ours.seeds),
            "mean": 100 * ours.value,
            "low": 100 * ours.low,
            "high": 100 * ours.high,
        },
        limits=(OPEN_CHOICE, BUDGET) if config["epochs"] < epochs.value else (OPEN_CHOICE,),
        runs=(config["recipe"],),
    )


def in_words(*, scratch: JudgedClaim, published: JudgedClaim, missing: Sequence[str]) -> Outcome:
    """Judge a claim in words by the verdicts of `params/ranking.yaml`.

    Rule: as the paper compares (its network pretrained, the others not) the claim must hold, and
    must not fail with both from scratch: "reproduced" where so on every data set, "not reproduced"
    where it fails or is not shown, "not run" as long as runs are missing for either answer. A
    failure on the data sets that were run is one whatever the others say.

    Args:
        scratch: both sides from scratch.
        published: as the paper compares.
        missing: data sets without a run.
    """
    sides = (published, scratch)
    verdicts = [judged.verdict for judged in sides]
    verdict = NOT_RUN
    if SHOWN_REVERSED in verdicts or EXCLUDED in verdicts:
        verdict = NOT_REPRODUCED
    elif not missing and not any(v in OPEN for v in verdicts):
        verdict = REPRODUCED if published.verdict == SHOWN else NOT_REPRODUCED
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
        figures={"shown": float(published.shown), "contrary": float(published.contrary)},
        limits=(BUDGET,) if verdict != NOT_RUN else (),
        runs=("ranking",),
    )


def worse_somewhere(*, against: Sequence[Against], missing: Sequence[str]) -> Outcome:
    """Judge "our model is below these on some data sets".

    Rule: "reproduced" where one of them is shown to be better on one data set; "not run" as long as
    a comparison lacks seeds; else "not reproduced".
    """
    verdicts = [c.verdict for c in against]
    waiting = missing or not verdicts or any(v in _OPEN for v in verdicts)
    verdict = NOT_RUN if waiting else NOT_REPRODUCED
    if SHOWN_REVERSED in verdicts:
        verdict = REPRODUCED
    return Outcome(
        verdict=verdict,
        evidence=f"Of {len(verdicts)} comparisons on the data sets run, the other is shown to be "
        f"better in {verdicts.count(SHOWN_REVERSED)}, ours in {verdicts.count(SHOWN)}; not judged "
        f"yet: {sum(v in _OPEN for v in verdicts)}.",
        figures={"other": float(verdicts.count(SHOWN_REVERSED)), "n": float(len(verdicts))},
        runs=("ranking",),
    )


def plain_as_good(*, against: Sequence[Against], missing: Sequence[str]) -> Outcome:
    """Judge an advantage over plain networks with the same start, weights and training.

    Rule: "reproduced" where the network is shown to be better than each of them on every data set
    that was run and none is missing; "not run" as long as a comparison lacks seeds; else "not
    reproduced". Where one is shown to be better, or one comparison with enough seeds shows no
    difference, more data sets cannot change the answer.
    """
    verdicts = [c.verdict for c in against]
    failed = [v for v in verdicts if v in (SHOWN_REVERSED, *_NOT_SHOWN)]
    waiting = missing or not verdicts or any(v in _OPEN for v in verdicts)
    verdict = NOT_REPRODUCED if failed else NOT_RUN if waiting else REPRODUCED
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
        figures={"failed": float(len(failed)), "n": float(len(verdicts))},
        limits=(BUDGET, OPEN_CHOICE) if verdict != NOT_RUN else (),
        runs=("ranking",),
    )


def part_helps(*, compared: Sequence[Compared]) -> Outcome:
    """Judge "this part, or this choice, brings a gain", each by a matched control.

    Rule: `params/table2.yaml`, on the AUC with Holm's correction over the family as planned.
    "Reproduced" where the gain is shown in every comparison; "not run" as long as one lacks the
    seeds and none has failed; else "not reproduced".
    """
    verdicts = [c.verdict for c in compared]
    failed = [v for v in verdicts if v in (SHOWN_REVERSED, *_NOT_SHOWN)]
    verdict = NOT_RUN
    if failed:
        verdict = NOT_REPRODUCED
    elif verdicts and set(verdicts) == {SHOWN}:
        verdict = REPRODUCED
    return Outcome(
        verdict=verdict,
        evidence="; ".join(_said(c) for c in compared) + ".",
        figures={c.pair.name: c.auc.value if c.auc else None for c in compared},
        limits=(OPEN_CHOICE, BUDGET) if verdict != NOT_RUN else (),
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


def best_optimizer(*, best: dict[str, str]) -> Outcome:
    """Judge whether the choice of the optimizer makes a difference.

    Rule: `compare.best_optimizers`: "reproduced" where one optimizer is shown to be best with each
    augmentation, "not run" as long as runs are missing, else "not reproduced".
    """
    waiting = any(v in _OPEN for v in best.values())
    shown = all(v.endswith("best") and not v.startswith("none") for v in best.values())
    verdict = NOT_RUN if waiting else REPRODUCED if shown else NOT_REPRODUCED
    return Outcome(
        verdict=verdict,
        evidence="; ".join(f"{name}: {v}" for name, v in best.items()) + ".",
        figures={"judged": float(sum(v not in _OPEN for v in best.values()))},
        limits=(BUDGET,) if verdict != NOT_RUN else (),
        runs=("table2",),
    )


def augmentation_lowers(*, with_it: Sequence[float], without: Sequence[float]) -> Outcome:
    """Judge "a test accuracy above the training accuracy suggests strong generalisation".

    Rule: the training accuracy is measured on augmented images. "Reproduced" where held-out less
    training accuracy at the end of training is positive with CutMix and without it, both on the
    mean over seeds, "not run" without two seeds of each, else "underspecified": where the sign is
    that of the augmentation, it says nothing of generalisation.

    Args:
        with_it: held-out less training accuracy of each seed's last epoch, with CutMix.
        without: likewise without.
    """
    if min(len(with_it), len(without)) < 2:
        return Outcome(
            verdict=NOT_RUN, evidence="Needed: two seeds with CutMix and two without it."
        )
    a, b = (sum(values) / len(values) for values in (with_it, without))
    return Outcome(
        verdict=REPRODUCED if a > 0 and b > 0 else UNDERSPECIFIED,
        evidence="On BreastMNIST, validation less training accuracy in the last epoch, points: "
        f"{100 * a:+.1f} with CutMix ({len(with_it)} seeds), {100 * b:+.1f} without "
        f"({len(without)} seeds), same network and data: images that are mixed and erased are "
        "harder than those of the test. So the sign alone says nothing of generalisation.",
        figures={"with": 100 * a, "without": 100 * b},
        limits=(STAND_IN, OPEN_CHOICE, BUDGET),
        runs=("table2",),
    )
