"""Paper B's results and comparisons against stored runs, through the rules fixed for them."""

from collections.abc import Sequence

from helpers.runs.groups import Group
from study.claims.outcome import BUDGET, OPEN_CHOICE, STAND_IN, Outcome
from study.compare import Compared
from study.plans.verdicts import Rules
from study.published import Published
from study.ranking import Against, JudgedClaim
from study.verdicts import (
    A_BETTER,
    B_BETTER,
    DOES_NOT_HOLD,
    HOLDS,
    NO_DIFFERENCE,
    NOT_REPRODUCED,
    NOT_RUN,
    NOT_SHOWN,
    OURS_HIGHER,
    OURS_LOWER,
    REPRODUCED,
    REVERSED,
    TOO_FEW_SEEDS,
    UNDERSPECIFIED,
    UNTESTABLE,
    judge,
)
from study.words import p_text, signed

# Share of the paper's epochs from which on a lower accuracy counts against the printed one.
ENOUGH = 0.1
_OPEN = (TOO_FEW_SEEDS, NOT_RUN)


def table3(
    *, printed: Published, groups: Sequence[Group], rules: Rules, epochs: Published
) -> Outcome:
    """Judge a printed accuracy.

    Rule: that of `params/verdicts.yaml`. Of several protocols within what the paper says, the one
    with enough seeds that is nearest to it counts: most epochs, then the largest image files.
    "Reproduced" where its 95 % interval holds the printed value, "not run" without one. Below the
    printed value after less than a tenth of the paper's epochs is no refutation: also "not run".

    Args:
        printed: accuracy.
        groups: runs of the network from ImageNet weights on the data set.
        rules: see `plans.verdicts.load_rules`.
        epochs: of the paper.
    """
    judged = [(g, judge(printed, g.accuracy, rules=rules)) for g in groups]
    enough = [(g, v) for g, v in judged if v in (REPRODUCED, OURS_LOWER, OURS_HIGHER)]
    if not enough:
        most = max((len(g.seeds) for g in groups), default=0)
        return Outcome(
            verdict=NOT_RUN,
            evidence=f"Printed: {printed.printed} %. Runs of one protocol so far: {most}; a "
            "verdict needs as many seeds as params/verdicts.yaml asks for.",
            figures={"printed": printed.value, "seeds": float(most)},
        )
    group, verdict = max(enough, key=lambda p: (p[0].config["epochs"], p[0].source_size))
    mean, config = group.accuracy, group.config
    short = config["epochs"] < epochs.value
    found = REPRODUCED if verdict == REPRODUCED else NOT_REPRODUCED
    early = config["epochs"] < ENOUGH * epochs.value and verdict == OURS_LOWER
    return Outcome(
        verdict=NOT_RUN if early else found,
        evidence=f"Ours: {100 * mean.mean:.1f} % ({100 * mean.low:.1f} to {100 * mean.high:.1f}, "
        f"{mean.n_seeds} seeds, {config['image_size']} px from {group.source_size} px files, "
        f"{config['epochs']} epochs); printed: {printed.printed} % after {epochs.printed}."
        + (" So few epochs refute nothing." if early else ""),
        figures={
            "printed": printed.value,
            "seeds": float(mean.n_seeds),
            "mean": 100 * mean.mean,
            "low": 100 * mean.low,
            "high": 100 * mean.high,
        },
        limits=(OPEN_CHOICE, BUDGET) if short else (OPEN_CHOICE,),
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
    open_ones = missing or any(
        judged.judged < judged.planned or not judged.planned for judged in sides
    )
    verdict = NOT_RUN
    if DOES_NOT_HOLD in verdicts:
        verdict = NOT_REPRODUCED
    elif not open_ones:
        verdict = REPRODUCED if published.verdict == HOLDS else NOT_REPRODUCED
    elif NOT_SHOWN in verdicts and any(judged.judged > judged.shown for judged in sides):
        # One comparison with enough seeds does not show it: "on all" cannot hold any more.
        verdict = NOT_REPRODUCED
    named = ("as the paper compares", "both from scratch")
    said = "; ".join(
        f"{name}: {judged.verdict}, better in {judged.shown}, worse in {judged.contrary} of "
        f"{judged.planned} comparisons ({judged.judged} with enough seeds)"
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
    if REVERSED in verdicts:
        verdict = REPRODUCED
    return Outcome(
        verdict=verdict,
        evidence=f"Of {len(verdicts)} comparisons on the data sets run, the other is shown to be "
        f"better in {verdicts.count(REVERSED)}, ours in {verdicts.count(HOLDS)}; not judged "
        f"yet: {sum(v in _OPEN for v in verdicts)}.",
        figures={"other": float(verdicts.count(REVERSED)), "n": float(len(verdicts))},
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
    failed = [v for v in verdicts if v in (REVERSED, NO_DIFFERENCE, UNTESTABLE)]
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
    failed = [v for v in verdicts if v in (B_BETTER, NO_DIFFERENCE, UNTESTABLE)]
    verdict = NOT_RUN
    if failed:
        verdict = NOT_REPRODUCED
    elif verdicts and set(verdicts) == {A_BETTER}:
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
    p = f", {p_text(c.p_auc)}" if c.p_auc is not None else ""
    return (
        f"{c.pair.title} changes the AUC by {signed(c.auc.value)} ({low} to {high}, "
        f"{c.auc.n_seeds} seed(s){p}): {c.verdict}"
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
