"""Paper B's words on other systems ("substantial", "comparable"), by printed accuracies."""

from study.claims.check import ByDataset, ByKey, checks
from study.claims.outcome import Outcome
from study.claims.paper_b.gains import Quoted, gap, gaps_to_quoted, sources_of
from study.published import Published
from study.verdicts import CONTRADICTED, NOT_REPRODUCED, REPRODUCED, UNDERSPECIFIED


@checks("B125")
def substantial_everywhere(*, ours: ByDataset, theirs: ByKey, yardstick: Published) -> Outcome:
    """Judge "substantial improvements over these systems on all data sets".

    Rule: "not reproduced" where a printed difference is not above 0 (the others' values are not in
    the paper's text); "reproduced" where each reaches the smallest gain that the paper calls
    notable; else "underspecified": what counts as substantial is not said.
    """
    gaps = {key: gap(ours[key.dataset], value) for key, value in theirs.items()}
    least = min(gaps, key=gaps.get)
    small = [key for key, value in gaps.items() if value < yardstick.value]
    verdict = UNDERSPECIFIED if small else REPRODUCED
    return Outcome(
        verdict=NOT_REPRODUCED if gaps[least] <= 0 else verdict,
        evidence=f"{len(gaps) - len(small)} of {len(gaps)} printed differences reach the "
        f"{yardstick.printed} that is called notable; the least is {gaps[least]:+.1f} points: "
        f"{least.dataset}, {ours[least.dataset].printed} against "
        f"{100 * theirs[least].fraction:.1f} ({least.row}). {sources_of(theirs)}",
    )


@checks("B126")
def exceeds_quoted(*, ours: ByDataset, quoted: Quoted) -> Outcome:
    """Judge "exceeds the transformers' performance", of those whose accuracy the text quotes.

    Rule: "reproduced" where every quoted accuracy is exceeded, "contradicted" where none is, else
    "underspecified": it holds in part, and of which it is meant is not said.
    """
    gaps = gaps_to_quoted(ours, quoted)
    above = [name for name, value in gaps.items() if value > 0]
    verdict = UNDERSPECIFIED if above else CONTRADICTED
    listed = ", ".join(f"{name} {value:+.1f}" for name, value in gaps.items())
    return Outcome(
        verdict=REPRODUCED if len(above) == len(gaps) else verdict,
        evidence=f"Above {len(above)} of the {len(gaps)} accuracies of MedViT that the text quotes "
        f"(points): {listed}.",
    )


@checks("B127")
def comparable_and_better(*, ours: ByDataset, theirs: ByDataset, yardstick: Published) -> Outcome:
    """Judge "comparable performance" beside "consistently outperforms", said of the same numbers.

    Rule: "reproduced" where each printed difference is above 0 and below the smallest gain that the
    paper calls notable: then both hold; "contradicted" where neither holds on any data set; else
    "underspecified": each holds on some, and which of the two is meant is not said.
    """
    gaps = {dataset: gap(ours[dataset], value) for dataset, value in theirs.items()}
    higher = [d for d, value in gaps.items() if value > 0]
    alike = [d for d, value in gaps.items() if abs(value) < yardstick.value]
    verdict = UNDERSPECIFIED if higher or alike else CONTRADICTED
    if len(higher) == len(alike) == len(gaps):
        verdict = REPRODUCED
    return Outcome(
        verdict=verdict,
        evidence=f"Higher on {len(higher)} of {len(gaps)} data sets; comparable, by less than the "
        f"{yardstick.printed} points that are called a notable gain, on {len(alike)} "
        f"({', '.join(alike) or 'none'}).",
    )
