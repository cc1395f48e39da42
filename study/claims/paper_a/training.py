"""Paper A's loss, labels and schedules: what its formulas do, and which of them its rates follow.

Gradients are with respect to the logit of the right class, whose probability is p_t.
"""

from collections.abc import Sequence

import numpy as np
import torch

from helpers.config import READINGS
from helpers.training.losses import focal_loss
from study.claims.check import InOrder, checks
from study.claims.check_result import CheckResult
from study.claims.ledger import Claim
from study.claims.one_cycle import Fit, chance_of_fit, find_schedules
from study.claims.warm_restarts import Cycles, all_cycles, fits_from_any, fits_from_zero
from study.published import Published
from study.sizes import matches
from study.verdicts import CONTRADICTED, NOT_REPRODUCED, REPRODUCED, UNDERSPECIFIED

SURE, CONFIDENT, UNCERTAIN, HARD = 0.99, 0.9, 0.5, 0.1
GAMMAS = (0.5, 1.0, 2.0, 5.0)
ALPHAS = (0.1, 0.25, 0.5, 0.75, 0.9)
EPS = tuple(k / 100 for k in range(101))
# Gradients within this factor of each other are called about equal.
ABOUT_EQUAL = 2.0


def focal_gradient(p_t: float, gamma: float) -> float:
    """Return the size of the gradient of -(1 - p_t)^gamma log p_t (Eq. 7 without alpha)."""
    return (1 - p_t) ** gamma * (1 - p_t - gamma * p_t * np.log(p_t))


@checks("A08")
def equal_weights(*, easy: float = CONFIDENT, hard: float = HARD) -> CheckResult:
    """Check that cross-entropy (Eq. 6) gives samples of an easy and a hard p_t about equal weight.

    Rule: reproduced where the gradients are within a factor of 2; else underspecified: the
    factor before the logarithm is 1 for all, which is equal, the gradient is not.
    """
    ratio = focal_gradient(hard, 0.0) / focal_gradient(easy, 0.0)
    equal = 1 / ABOUT_EQUAL <= ratio <= ABOUT_EQUAL
    return CheckResult(
        verdict=REPRODUCED if equal else UNDERSPECIFIED,
        evidence=f"The factor before the logarithm is 1 for all; the gradient of a sample at p_t = "
        f"{hard:g} is {ratio:.3g} times that of one at {easy:g}. Which of them is meant by weight "
        "is not said.",
    )


@checks("A09")
def easy_suppressed(*, gammas: Sequence[float] = GAMMAS) -> CheckResult:
    """Check that the focal factor reduces the gradient of confident samples.

    Rule: reproduced where the gradient is below that of cross-entropy for each gamma, else not
    reproduced.
    """
    plain = focal_gradient(CONFIDENT, 0.0)
    ratios = {gamma: focal_gradient(CONFIDENT, gamma) / plain for gamma in gammas}
    listed = ", ".join(f"{100 * ratio:.2g} % (gamma {g:g})" for g, ratio in ratios.items())
    return CheckResult(
        verdict=REPRODUCED if all(r < 1 for r in ratios.values()) else NOT_REPRODUCED,
        evidence=f"At p_t = {CONFIDENT:g} the gradient is this share of cross-entropy's: {listed}; "
        "gamma itself is not given, and 0, which the text allows, changes nothing. So with hard "
        "labels; with smoothed ones it depends on how Eq. 10 is read.",
    )


@checks("A10")
def uncertain_favoured(*, gammas: Sequence[float] = GAMMAS) -> CheckResult:
    """Check that the focal factor moves the gradient from confident to uncertain samples.

    Rule: reproduced where an uncertain sample weighs more against a confident one than in
    cross-entropy, for each gamma; else not reproduced.
    """

    def weight(gamma: float) -> float:
        return focal_gradient(UNCERTAIN, gamma) / focal_gradient(CONFIDENT, gamma)

    listed = ", ".join(f"{weight(gamma):.3g} (gamma {gamma:g})" for gamma in gammas)
    favoured = all(weight(gamma) > weight(0.0) for gamma in gammas)
    return CheckResult(
        verdict=REPRODUCED if favoured else NOT_REPRODUCED,
        evidence=f"A sample at p_t = {UNCERTAIN:g} weighs {weight(0.0):.3g} times one at "
        f"{CONFIDENT:g} in cross-entropy, with the factor {listed}. It is amplified against the "
        "others only: (1 - p_t)^gamma is never above 1.",
    )


ONE_ALPHA = "one for both classes"


@checks("A11")
def alpha_balances(*, by_class: Published) -> CheckResult:
    """Check that alpha of Eq. 7 can weigh one class against the other.

    Rule: underspecified where the formula as printed has one alpha for both classes, so that a
    positive and a negative sample weigh the same whatever it is; else reproduced.
    """
    if by_class.printed == ONE_ALPHA:
        return CheckResult(
            verdict=UNDERSPECIFIED,
            evidence="As printed, one alpha multiplies both classes: a positive sample weighs 1 "
            "times a negative one whatever alpha is, and the loss is scaled, not balanced. With "
            "alpha for positives and 1 - alpha for negatives, as in the focal loss of Lin et al. "
            "(2017), it would balance; the text does not say so.",
        )
    ratios = [alpha / (1 - alpha) for alpha in ALPHAS]
    return CheckResult(
        verdict=REPRODUCED,
        evidence=f"A positive sample weighs {min(ratios):.2g} to {max(ratios):.2g} times a "
        "negative one, as alpha is chosen.",
    )


@checks("A12")
def smoothed_labels(*, eps: Sequence[float] = EPS) -> CheckResult:
    """Check that labels smoothed by Eq. 9 stay strictly between 0 and 1.

    Rule: reproduced where they do for each eps, the end 0 (no smoothing) aside, and one above 0
    was tried; else not reproduced.
    """
    labels = [label for e in eps if e > 0 for label in (e / 2, (1 - e) + e / 2)]
    inside = bool(labels) and all(0 < label < 1 for label in labels)
    tried = f": within {min(labels):.3g} .. {max(labels):.3g} for the eps tried" if inside else ""
    return CheckResult(
        verdict=REPRODUCED if inside else NOT_REPRODUCED,
        evidence=f"Eq. 9 turns 0 and 1 into eps / 2 and 1 - eps / 2{tried}. eps is not given; of "
        "the printed range, 0 leaves hard labels and 1 leaves no label at all (1/2 for both).",
    )


@checks("A13")
def joint_loss(
    *, probability: float = CONFIDENT, gamma: float = 2.0, eps: float = 0.1
) -> CheckResult:
    """Check that Eq. 10 defines one loss: its p_t (Eq. 8) is defined for labels 0 and 1 only.

    The readings of `losses` are compared on one positive sample. Each is also asked for what the
    text after Eq. 8 wants of the focal loss: less for a sure right answer than for a guess.

    Rule: reproduced where all readings agree within 1 %, else underspecified.

    `probability`: predicted for the sample.
    """
    grid = np.arange(1, 1000) / 1000
    p = torch.tensor([probability, SURE, UNCERTAIN, *grid], dtype=torch.float64)
    at, lowest, dearer = {}, [], []
    for reading in READINGS:
        losses = focal_loss(
            torch.logit(p),
            torch.ones_like(p),
            gamma=gamma,
            smoothing=eps,
            reading=reading,
            reduction="none",
        ).numpy()
        at[reading], of_sure, of_guess = losses[:3]
        lowest.append(f"{grid[losses[3:].argmin()]:.3g}")
        if of_sure >= of_guess:
            dearer.append(reading)
    same = max(at.values()) - min(at.values()) <= 0.01 * max(at.values())
    listed = ", ".join(f"{value:.3g} ({reading})" for reading, value in at.items())
    exceptions = f" but {', '.join(dearer)}" if dearer else ""
    return CheckResult(
        verdict=REPRODUCED if same else UNDERSPECIFIED,
        evidence=f"p_t is defined for hard labels only. At a probability of {probability:g}, gamma "
        f"{gamma:g} and eps {eps:g} the readings of Eq. 10 give {listed}; they are lowest at "
        f"{', '.join(lowest)}. That a sure right answer ({SURE:g}) costs less than a guess "
        f"({UNCERTAIN:g}), as the text after Eq. 8 wants, holds in all{exceptions}.",
    )


# --- schedules -----------------------------------------------------------------------------------


# Batches of an epoch up to which all cycles are tried, and the longest first cycle, epochs.
MOST_BATCHES, LONGEST = 108, 50


def _cycles(claim: Claim) -> dict[str, Cycles]:
    epochs = len(claim.given["printed"])
    return {"cycles": all_cycles(most_batches=MOST_BATCHES, longest=LONGEST, epochs=epochs)}


@checks("A17", measured=_cycles)
def warm_restarts(*, printed: InOrder, cycles: Cycles, named: Published) -> CheckResult:
    """Check that the rates can come from cosine annealing with warm restarts.

    Rule: reproduced where a schedule that falls to zero, as the formula's defaults do, has all
    rates to the printed digits; else underspecified where one with another lowest rate has and the
    results name no other schedule; else contradicted.

    `printed`: rates at the end of each epoch.
    """
    plain, free = fits_from_zero(printed, cycles), fits_from_any(printed, cycles)
    evidence = (
        f"{', '.join(value.printed for value in printed)}: of {len(cycles):,} schedules, of whole "
        f"epochs and of whole batches up to {MOST_BATCHES} an epoch, {plain.sum()} fall to zero "
        "and have these rates after each epoch."
    )
    if plain.any():
        return CheckResult(verdict=REPRODUCED, evidence=evidence)
    if free.any():
        longest = (cycles.first[free] / cycles.batches[free]).max()
        evidence += (
            f" With a lowest rate above zero, which is not mentioned, {free.sum()} do: cycles of "
            f"{longest:.2g} epochs and less, met at an earlier place after each epoch."
        )
    return CheckResult(
        verdict=UNDERSPECIFIED if free.any() and "restart" in named.printed else CONTRADICTED,
        evidence=f"{evidence} The results name {named.printed}, whose rates they are. A warm-up "
        "before the first cycle, which is not mentioned, was not tried.",
    )


def _fits(claim: Claim) -> dict[str, list[Fit]]:
    return {"fits": find_schedules([value for _, value in claim.items("printed")])}


@checks("A18", measured=_fits)
def one_cycle(*, printed: InOrder, fits: Sequence[Fit]) -> CheckResult:
    """Check that the rates are those of a one-cycle schedule.

    Rule: reproduced where a schedule of the grid gives all of them to the printed digits; else
    not reproduced.

    `printed`: rates at the end of each epoch.
    """
    if not fits:
        return CheckResult(
            verdict=NOT_REPRODUCED,
            evidence="No one-cycle schedule of the grid gives the printed rates.",
        )
    best = fits[0]
    chance = chance_of_fit(epochs=len(printed))
    only = "the only one of the grid" if len(fits) == 1 else f"one of {len(fits)} on the grid"
    return CheckResult(
        verdict=REPRODUCED,
        evidence=f"All {len(printed)} rates follow from a peak of {best.max_lr:g}, a first rate of "
        f"1/{best.div_factor:g} of it and a rise over {best.rise_epochs:g} epochs of "
        f"{best.steps[0]} to {best.steps[1]} batches, {only}. Of one-cycle schedules drawn off "
        f"the grid, {100 * chance:.2g} % are fitted by some schedule on it.",
    )


@checks("A67", measured=_fits)
def highest_rate(*, stated: Published, printed: InOrder, fits: Sequence[Fit]) -> CheckResult:
    """Check the highest rate that the text states against the table.

    Rule: reproduced where it is the highest of the table, else contradicted.
    """
    highest = max(value.value for value in printed)
    holds = matches(highest, stated)
    evidence = f"The highest rate of Table 1 is {highest:g}."
    if fits:
        evidence += (
            f" The schedule found goes on to {fits[0].max_lr:g} after {fits[0].rise_epochs:g} "
            f"epochs; Table 1 ends after {len(printed)}, while the rate was rising."
        )
    return CheckResult(verdict=REPRODUCED if holds else CONTRADICTED, evidence=evidence)


@checks("A65")
def total_time(*, total: Published, epochs: Published, seconds: Published) -> CheckResult:
    """Check that the total time is that of the epochs.

    Rule: reproduced where epochs x seconds gives the printed minutes, else contradicted.
    """
    minutes = epochs.value * seconds.value / 60
    return CheckResult(
        verdict=REPRODUCED if matches(minutes, total) else CONTRADICTED,
        evidence=f"{epochs.printed} x {seconds.printed} s = {minutes:.2f} min; printed is "
        f"{total.printed}. It is the time up to the first epoch at the target, in which the "
        "rate was still rising.",
    )
