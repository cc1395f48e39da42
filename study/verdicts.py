"""The words of every verdict of this study, each with its meaning, and a function for each rule.

No other module defines such a word. A word that is shown in two places means the same in both. The
rules are those of `params/verdicts.yaml`: `on_number` judges a printed number, `on_comparison` a
claim that one is better than the other, `on_gain` a printed difference, `on_all` and `on_some` a
claim that needs several comparisons.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from helpers.metrics.scores import Estimate
from helpers.runs.groups import Group
from study.plans.verdicts import Rules
from study.published import Published

# A printed number beside measured ones.
REPRODUCED = "reproduced"
COMPATIBLE = "compatible"
NOT_REPRODUCED = "not reproduced"
OURS_LOWER = "not reproduced, ours lower"
OURS_HIGHER = "not reproduced, ours higher"

# A claim that compares, or a printed difference, beside a measured one.
SHOWN = "shown"
SHOWN_REVERSED = "shown reversed"
EXCLUDED = "excluded"

# A printed number beside an exact count.
MATCH = "match"
NO_MATCH = "no match"

# A claim of several controls, or a target, beside what was measured.
IN_PART = "in part"
MET = "met"
MISSED = "missed"
BEST = "shown to be best"
NO_BEST = "none is shown to be best"

# A paper beside itself.
CONTRADICTED = "contradicted by its own numbers"
SLIP = "slip"
UNDERSPECIFIED = "underspecified"

# No answer.
INCONCLUSIVE = "inconclusive"
TOO_FEW_SEEDS = "too few seeds"
UNTESTABLE = "no test possible"
NOT_RUN = "not run"
SHORT = "not run at its budget"
OTHER_IMAGES = "other images, no verdict"
UNVERIFIED = "unverified, no verdict"
CANNOT = "cannot be checked"
NO_COMPETITOR = "no competitor"
REVIEWERS_QUESTION = "reviewer's question"
NO_VERDICT = ""

MEANING = {
    REPRODUCED: "the computation gives it within the printed digits, or the number lies in the 95 "
    "% interval of one more run of ours, which is no wider than 2 points",
    COMPATIBLE: "the number lies in the 95 % interval of one more run of ours, which is wider than "
    "2 points: these runs could not tell it from many others",
    NOT_REPRODUCED: "computed or measured, and it comes out otherwise",
    OURS_LOWER: "the 95 % interval of one more run of ours lies below the printed number",
    OURS_HIGHER: "the 95 % interval of one more run of ours lies above the printed number",
    SHOWN: "the difference has the claimed sign, significantly after correction for its family",
    SHOWN_REVERSED: "the difference has the other sign, significantly after correction",
    EXCLUDED: "the claimed sign is not shown, or another size is printed than ours can be: the 95 "
    "% interval of the difference of one more pair of runs leaves the printed size out",
    MATCH: "the count is the printed number within its digits (`sizes.matches`)",
    NO_MATCH: "the count is another number",
    IN_PART: "shown against chance, not against every control",
    MET: "the whole interval meets the target",
    MISSED: "the whole interval misses the target",
    BEST: "better than each of the others, significantly after correction",
    NO_BEST: "none is better than each of the others",
    CONTRADICTED: "what the paper prints elsewhere, or the architecture that it names, rules it "
    "out; no run of ours is needed",
    SLIP: "wrong by the paper's own numbers, and of no weight: swapped labels, a rounding, or an "
    "error to its own disadvantage",
    UNDERSPECIFIED: "what a check would need is not given, and the readings that the text allows "
    "differ in their answer",
    INCONCLUSIVE: "neither shown nor excluded: the interval leaves both answers open; the power "
    "that these runs have stands beside it",
    TOO_FEW_SEEDS: "run, with fewer seeds than the rule asks for",
    UNTESTABLE: "run, and nothing varies that a test could use",
    NOT_RUN: "there is a check, and its runs or measurements are not stored",
    SHORT: "run for fewer than a tenth of the printed epochs: no verdict, whichever way it went",
    OTHER_IMAGES: "measured on other images than the paper's, which judge neither a level nor the "
    "size of a gain",
    UNVERIFIED: "quoted from memory (marked M), and so never judged",
    NO_COMPETITOR: "most runs of one side answer one class for every test image: it has learnt "
    "nothing that could be compared",
    REVIEWERS_QUESTION: "a check that the paper does not claim; answered, and counted apart",
    CANNOT: "no check exists; the reason stands with the claim",
    NO_VERDICT: "no number is printed that could be judged",
}


# --- the rules -----------------------------------------------------------------------------------

# Verdicts that more or longer runs would replace, and the order in which they tell of a claim.
OPEN = (NOT_RUN, SHORT, TOO_FEW_SEEDS)
# Verdicts that answer: what is open, or cannot be asked of our images, does not.
DECIDED = (
    REPRODUCED,
    COMPATIBLE,
    NOT_REPRODUCED,
    SHOWN,
    SHOWN_REVERSED,
    EXCLUDED,
    INCONCLUSIVE,
    CONTRADICTED,
    SLIP,
)
# What the check of a claim may say, in the order of its tables.
OF_CLAIMS = (*DECIDED, UNDERSPECIFIED, OTHER_IMAGES, SHORT, NOT_RUN, REVIEWERS_QUESTION)


def nearest(groups: Iterable[Group], *, rules: Rules) -> Group | None:
    """Return the runs that judge a printed number, of all protocols that stand beside it.

    Those with enough seeds before others, then most epochs, then the largest image files.
    """

    def rank(group: Group) -> tuple:
        enough = len(group.seeds) >= rules.min_seeds(group.n_test)
        return enough, group.config["epochs"], group.source_size, str(group.config)

    return max(groups, key=rank, default=None)


def on_number(
    printed: Published,
    one_more: Estimate | None,
    *,
    rules: Rules,
    paper: str,
    epochs: float | None = None,
    same_images: bool = True,
) -> str:
    """Return the verdict on a printed share: an accuracy, an AUC, or a difference of two.

    Args:
        printed: the printed value.
        one_more: where one more single run of ours falls on the same test images, 0 to 1
            (`intervals.one_more_run`); None without runs.
        rules: of `params/verdicts.yaml`.
        paper: key of the paper in the published values, for its budget.
        epochs: of our runs; None where no training is meant.
        same_images: whether ours were scored on the very images that the paper names.

    Returns:
        `UNVERIFIED` (marked M), `NO_VERDICT` (no number printed), `OTHER_IMAGES`, one of `OPEN`,
        `UNTESTABLE`, `REPRODUCED`, `COMPATIBLE`, `OURS_LOWER` or `OURS_HIGHER`.
    """
    if printed.mark == "M":
        return UNVERIFIED
    if not printed.may_carry_verdict:
        return NO_VERDICT
    if one_more is not None and not same_images:
        return OTHER_IMAGES
    if waits := _open(one_more, rules=rules, paper=paper, epochs=epochs):
        return waits
    if one_more.low is None:
        return UNTESTABLE
    if one_more.high < printed.fraction:
        return OURS_LOWER
    if one_more.low > printed.fraction:
        return OURS_HIGHER
    # The hair keeps a width that is the margin from missing it by rounding.
    fine = one_more.high - one_more.low <= rules.widest + 1e-12
    return REPRODUCED if fine else COMPATIBLE


def on_comparison(
    difference: Estimate | None,
    shown: int | None,
    *,
    rules: Rules,
    paper: str = "",
    epochs: float | None = None,
    size: float | None = None,
    one_more: Estimate | None = None,
    same_images: bool = True,
    min_seeds: int | None = None,
) -> str:
    """Return the verdict on "A is better than B", or "this part helps".

    Args:
        difference: A less B, over images and seeds (`intervals.mean`); None without runs.
        shown: the sign that its test shows after correction for the family, 0 for none, None where
            no test is possible (`compare.correct`).
        rules: of `params/verdicts.yaml`.
        paper: whose claim it is, for its budget; "" where no paper's.
        epochs: of the side that has fewer; None where no training is meant.
        size: the printed difference, 0 to 1; None where none is printed.
        one_more: the difference of one more pair of single runs on the same images; needed for
            `EXCLUDED`.
        same_images: whether ours were scored on the very images that the paper names; on others no
            size is excluded.
        min_seeds: that a plan asks for, by default those of the rules.

    Returns:
        One of `OPEN`, `UNTESTABLE`, `SHOWN`, `SHOWN_REVERSED`, `EXCLUDED` or `INCONCLUSIVE`.
    """
    if waits := _open(difference, rules=rules, paper=paper, epochs=epochs, min_seeds=min_seeds):
        return waits
    if shown is None:
        return UNTESTABLE
    claimed = -1 if size is not None and size < 0 else 1
    if shown:
        return SHOWN if shown == claimed else SHOWN_REVERSED
    return EXCLUDED if same_images and excludes(one_more, size) else INCONCLUSIVE


def on_gain(
    printed: Published,
    difference: Estimate | None,
    shown: int | None,
    *,
    one_more: Estimate | None = None,
    same_images: bool = True,
    **rule: Any,
) -> str:
    """Return the verdict on a printed difference: its size must be ours, and its sign be shown.

    As `on_comparison`, which the `rule` is for, but a shown sign with another size is `EXCLUDED`;
    on other images there is no verdict (`OTHER_IMAGES`).
    """
    if printed.mark == "M":
        return UNVERIFIED
    if not printed.may_carry_verdict:
        return NO_VERDICT
    if difference is not None and not same_images:
        return OTHER_IMAGES
    size = printed.fraction
    verdict = on_comparison(difference, shown, size=size, one_more=one_more, **rule)
    return EXCLUDED if verdict == SHOWN and excludes(one_more, size) else verdict


def on_all(verdicts: Sequence[str]) -> str:
    """Return the verdict on a claim that each of several comparisons must show.

    One that is shown reversed, or excluded, decides, whatever the others say. Then what is open.
    `SHOWN` where all are, `INCONCLUSIVE` where each has a verdict and not all show it.
    """
    for word in (SHOWN_REVERSED, EXCLUDED, *OPEN):
        if word in verdicts:
            return word
    if not verdicts:
        return NOT_RUN
    return SHOWN if set(verdicts) == {SHOWN} else INCONCLUSIVE


def on_some(verdicts: Sequence[str]) -> str:
    """Return the verdict on a claim that one of several comparisons must show.

    One that is shown decides; then what is open; else it is `INCONCLUSIVE`, or what all say.
    """
    for word in (SHOWN, *OPEN):
        if word in verdicts:
            return word
    if not verdicts:
        return NOT_RUN
    return verdicts[0] if len(set(verdicts)) == 1 else INCONCLUSIVE


def excludes(interval: Estimate | None, size: float | None) -> bool:
    """Say whether an interval is there and leaves a printed size out."""
    if interval is None or interval.low is None or size is None:
        return False
    return not interval.low <= size <= interval.high


def _open(
    measured: Estimate | None,
    *,
    rules: Rules,
    paper: str,
    epochs: float | None,
    min_seeds: int | None = None,
) -> str | None:
    """Return what keeps a measured value from judging, None where it may."""
    if measured is None:
        return NOT_RUN
    if epochs is not None and not rules.at_budget(paper, epochs):
        return SHORT
    enough = rules.min_seeds(measured.n) if min_seeds is None else min_seeds
    return TOO_FEW_SEEDS if measured.seeds < enough else None
