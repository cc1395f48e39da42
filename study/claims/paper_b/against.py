"""Paper B's words on other systems ("substantial", "comparable"), by printed accuracies."""

from collections.abc import Mapping

from study.claims.outcome import Outcome
from study.claims.paper_b.gains import Pairs, gap
from study.published import Published
from study.verdicts import CONTRADICTED, REPRODUCED, UNDERSPECIFIED


def substantial_everywhere(
    *, pairs: Mapping[tuple[str, str], tuple[Published, Published]], yardstick: Published
) -> Outcome:
    """Judge "substantial improvements over these systems on all data sets".

    Rule: "contradicted" where a printed difference is not above 0; "reproduced" where each reaches
    the smallest gain that the paper calls notable; else "underspecified": what counts as
    substantial is not said.

    Args:
        pairs: (system, data set) -> (paper B's value, the system's).
        yardstick: the gain in points.
    """
    gaps = {key: gap(a, b) for key, (a, b) in pairs.items()}
    system, dataset = least = min(gaps, key=gaps.get)
    ours, theirs = pairs[least]
    small = [key for key, value in gaps.items() if value < yardstick.value]
    verdict = UNDERSPECIFIED if small else REPRODUCED
    return Outcome(
        verdict=CONTRADICTED if gaps[least] <= 0 else verdict,
        evidence=f"{len(gaps) - len(small)} of {len(gaps)} printed differences reach the "
        f"{yardstick.printed} that is called notable; the least is {gaps[least]:+.1f} points: "
        f"{dataset}, {ours.printed} against {100 * theirs.fraction:.1f} ({system}).",
        figures={"least": gaps[least], "small": float(len(small))},
    )


def exceeds_quoted(*, pairs: Pairs) -> Outcome:
    """Judge "exceeds the transformers' performance", of those whose accuracy the text quotes.

    Rule: "reproduced" where every quoted accuracy is exceeded, "contradicted" where none is, else
    "underspecified": it holds in part, and of which it is meant is not said.
    """
    gaps = {name: gap(a, b) for name, (a, b) in pairs.items()}
    above = [name for name, value in gaps.items() if value > 0]
    verdict = UNDERSPECIFIED if above else CONTRADICTED
    listed = ", ".join(f"{name} {value:+.1f}" for name, value in gaps.items())
    return Outcome(
        verdict=REPRODUCED if len(above) == len(gaps) else verdict,
        evidence=f"Above {len(above)} of the {len(gaps)} accuracies of MedViT that the text quotes "
        f"(points): {listed}.",
        figures={"above": float(len(above)), "quoted": float(len(gaps))},
    )


def comparable_and_better(*, pairs: Pairs, yardstick: Published) -> Outcome:
    """Judge "comparable performance" beside "consistently outperforms", said of the same numbers.

    Rule: "reproduced" where each printed difference is above 0 and below the smallest gain that the
    paper calls notable: then both hold; "contradicted" where neither holds on any data set; else
    "underspecified": each holds on some, and which of the two is meant is not said.

    Args:
        pairs: data set -> (paper B's value, the other's).
        yardstick: the gain in points.
    """
    gaps = {dataset: gap(a, b) for dataset, (a, b) in pairs.items()}
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
        figures={"higher": float(len(higher)), "comparable": float(len(alike))},
    )
