"""The words of every verdict of this study, each with its meaning, and the rule for one accuracy.

No other module defines such a word. A word that is shown in two places means the same in both.
`judge` is the rule of `params/verdicts.yaml`.
"""

from helpers.metrics.seeds import SeedMean
from study.plans.verdicts import Rules
from study.published import Published

# A printed number beside measured ones.
REPRODUCED = "reproduced"
NOT_REPRODUCED = "not reproduced"
OURS_LOWER = "not reproduced, ours lower"
OURS_HIGHER = "not reproduced, ours higher"
DIFFERS = "differs between protocols"

# A printed number beside an exact count.
MATCH = "match"
NO_MATCH = "no match"

# Two systems compared, A and B.
A_BETTER = "A better"
B_BETTER = "B better"
NO_DIFFERENCE = "no difference shown"

# A claim in words, or a target, beside what was measured.
HOLDS = "holds"
IN_PART = "in part"
DOES_NOT_HOLD = "does not hold"
REVERSED = "reversed"
NOT_SHOWN = "not shown"
MET = "met"
MISSED = "missed"
BEST = "shown to be best"
NO_BEST = "none is shown to be best"

# The sign of a printed gain.
GAIN_SHOWN = "gain shown"
LOSS_SHOWN = "loss shown"
NEITHER_SHOWN = "neither shown"

# A paper beside itself.
CONTRADICTED = "contradicted by the paper's own numbers"
UNDERSPECIFIED = "underspecified"

# No answer.
INCONCLUSIVE = "inconclusive"
TOO_FEW_SEEDS = "too few seeds"
UNTESTABLE = "no test possible"
NOT_RUN = "not run"
NOT_JUDGED = "not judged"
OTHER_START = "other start, not judged"
UNVERIFIED = "unverified, no verdict"
CANNOT = "cannot be checked"
NO_VERDICT = ""

MEANING = {
    REPRODUCED: "the computation gives it within the printed digits, or our runs show it: a number "
    "lies in our 95 % interval, a difference is significant after correction",
    NOT_REPRODUCED: "computed or measured, and it comes out otherwise or is not shown; for a "
    "difference, *not shown* does not mean *absent*: the evidence has the interval",
    OURS_LOWER: "our 95 % interval lies below the printed number",
    OURS_HIGHER: "our 95 % interval lies above the printed number",
    DIFFERS: "several protocols of ours speak to the number, and their verdicts differ",
    MATCH: "the count is the printed number within its digits (`sizes.matches`)",
    NO_MATCH: "the count is another number",
    A_BETTER: "A is better, significantly after correction for the family",
    B_BETTER: "B is better, significantly after correction for the family",
    NO_DIFFERENCE: "neither is significantly better after correction; not that they are equal",
    HOLDS: "shown: every comparison that the claim needs has the claimed sign, after correction",
    IN_PART: "shown against chance, not against every control",
    DOES_NOT_HOLD: "what the claim needs is not there, or a comparison shows the contrary",
    REVERSED: "a difference of the other sign than the claimed one is shown, after correction",
    NOT_SHOWN: "of the claim's comparisons none shows the contrary, and not all show it",
    MET: "the whole interval meets the target",
    MISSED: "the whole interval misses the target",
    BEST: "better than each of the others, significantly after correction",
    NO_BEST: "none is better than each of the others",
    GAIN_SHOWN: "our difference is above 0, significantly after correction",
    LOSS_SHOWN: "our difference is below 0, significantly after correction",
    NEITHER_SHOWN: "our difference is not significant after correction",
    CONTRADICTED: "what the paper prints elsewhere, or the architecture that it names, rules it "
    "out; no run of ours is needed",
    UNDERSPECIFIED: "what a check would need is not given, and the readings that the text allows "
    "differ in their answer",
    INCONCLUSIVE: "the interval leaves both answers open",
    TOO_FEW_SEEDS: "run, with fewer seeds than the rule asks for",
    UNTESTABLE: "run, and nothing varies that a test could use",
    NOT_RUN: "there is a check, and its runs or measurements are not stored, or too short to count "
    "against the paper",
    NOT_JUDGED: "stands beside a number of ours that may not judge it",
    OTHER_START: "the printed number is of a network that started otherwise (weights)",
    UNVERIFIED: "quoted from memory (marked M), and so never judged",
    CANNOT: "no check exists; the reason stands with the claim",
    NO_VERDICT: "no number is printed that could be judged",
}


def judge(published: Published, measured: SeedMean | None, *, rules: Rules) -> str:
    """Return the verdict on one published accuracy.

    Args:
        published: the printed value.
        measured: ours, None if there is no run.
        rules: see `load_rules`.

    Returns:
        One of `REPRODUCED`, `OURS_LOWER`, `OURS_HIGHER`, `TOO_FEW_SEEDS`, `NOT_RUN`, `UNVERIFIED`
        (marked M), `NO_VERDICT` (no number printed).
    """
    if published.mark == "M":
        return UNVERIFIED
    if not published.may_carry_verdict:
        return NO_VERDICT
    if measured is None:
        return NOT_RUN
    if measured.n_seeds < rules.min_seeds(measured.n_images):
        return TOO_FEW_SEEDS
    return beside(published.fraction, measured.low, measured.high)


def beside(printed: float, low: float, high: float) -> str:
    """Return on which side of a printed number our interval lies, `REPRODUCED` where it holds it.

    Args:
        printed: the number.
        low: lower end of our interval, in the same unit.
        high: upper end.
    """
    if high < printed:
        return OURS_LOWER
    return OURS_HIGHER if low > printed else REPRODUCED
