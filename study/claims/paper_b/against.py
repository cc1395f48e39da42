"""Paper B's words on other systems ("substantial", "comparable"), by printed accuracies.

Two measures are the paper's own: what it quotes of others, and the smallest gain that it calls
notable (`yardstick`), which serves in both directions.
"""

from study.claims.check import ByDataset, ByKey, Whole, checks
from study.claims.check_result import CheckResult
from study.claims.paper_b.gains import Quoted, gap, gaps, gaps_to_quoted, interval
from study.published import Published
from study.verdicts import CONTRADICTED, NOT_REPRODUCED, REPRODUCED, UNDERSPECIFIED


@checks("B94")
def competitive(*, ours: ByDataset, theirs: ByKey, yardstick: Published) -> CheckResult:
    """Judge "competitive with these systems" over all data sets.

    Rule: as `comparable`: "reproduced" where no printed shortfall reaches the yardstick, else "not
    reproduced": the others' values are not in the paper's text.
    """
    found = gaps(ours, theirs)
    least = min(found, key=found.get)
    ahead = sum(value > 0 for value in found.values())
    return CheckResult(
        verdict=REPRODUCED if found[least] > -yardstick.value else NOT_REPRODUCED,
        evidence=f"Ahead in {ahead} of {len(found)} printed comparisons; the least is "
        f"{found[least]:+.1f} points ({least.row}, {least.dataset}). A gain of {yardstick.printed} "
        f"is called notable. {_sources(theirs)}",
    )


@checks("B125")
def substantial_everywhere(*, ours: ByDataset, theirs: ByKey, yardstick: Published) -> CheckResult:
    """Judge "substantial improvements over these systems on all data sets".

    Rule: "not reproduced" where a printed difference is not above 0 (the others' values are not in
    the paper's text); "reproduced" where each reaches the yardstick; else "underspecified": what
    counts as substantial is not said.
    """
    found = gaps(ours, theirs)
    least = min(found, key=found.get)
    reached = sum(value >= yardstick.value for value in found.values())
    verdict = REPRODUCED if reached == len(found) else UNDERSPECIFIED
    return CheckResult(
        verdict=NOT_REPRODUCED if found[least] <= 0 else verdict,
        evidence=f"{reached} of {len(found)} printed differences reach the "
        f"{yardstick.printed} that is called notable; the least is {found[least]:+.1f} points: "
        f"{least.dataset}, {ours[least.dataset].printed} against "
        f"{100 * theirs[least].fraction:.1f} ({least.row}). {_sources(theirs)}",
    )


def _sources(theirs: ByKey) -> str:
    named = ", ".join(dict.fromkeys(value.source for value in theirs.values()))
    return (
        "Its own accuracies are those of Table 3, which section 4.6 repeats; the others' are of "
        f"{named}, and not in the text of the paper."
    )


@checks("B127")
def comparable_and_better(*, ours: ByDataset, theirs: ByKey, yardstick: Published) -> CheckResult:
    """Judge "comparable performance" beside "consistently outperforms", said of the same numbers.

    Rule: "reproduced" where each printed difference is above 0 and below the yardstick: then both
    hold; "contradicted" where neither holds on any data set; else "underspecified": each holds on
    some, and which of the two is meant is not said.
    """
    found = gaps(ours, theirs)
    higher = sum(value > 0 for value in found.values())
    alike = [key.dataset for key, value in found.items() if abs(value) < yardstick.value]
    verdict = UNDERSPECIFIED if higher or alike else CONTRADICTED
    return CheckResult(
        verdict=REPRODUCED if higher == len(alike) == len(found) else verdict,
        evidence=f"Higher on {higher} of {len(found)} data sets; comparable, by less than the "
        f"{yardstick.printed} points that are called a notable gain, on {len(alike)} "
        f"({', '.join(alike) or 'none'}).",
    )


@checks("B95", "B97", "B98")
def comparable(*, ours: Published, theirs: Quoted, yardstick: Published, n: Whole) -> CheckResult:
    """Judge "comparable or superior to" others that the paper itself quotes.

    Rule: a lead is superior, a shortfall is comparable where it is smaller than the yardstick:
    "reproduced" if so for every value; else "contradicted" where the 95 % interval of the largest
    shortfall excludes 0 (Newcombe), "underspecified" where the test images are too few to tell.
    """
    (quoted,) = theirs.values()
    found = [gap(ours, other) for other in quoted]
    worst = min(found)
    chance = interval(ours, quoted[found.index(worst)], n)
    verdict = CONTRADICTED if chance.high < 0 else UNDERSPECIFIED
    return CheckResult(
        verdict=REPRODUCED if worst > -yardstick.value else verdict,
        evidence=f"{ours.printed} % is {', '.join(f'{g:+.1f}' for g in found)} points from the "
        f"quoted values; a gain of {yardstick.printed} is called notable. The least of them is "
        f"{abs(worst) * n / 100:.0f} of {n} test images, 95 % {100 * chance.low:+.1f} to "
        f"{100 * chance.high:+.1f} points.",
    )


@checks("B96")
def narrower(*, ours: ByDataset, reference: Quoted, others: Quoted) -> CheckResult:
    """Judge "the gap narrows considerably on other data sets".

    Rule: "reproduced" where the comparators' lead is smaller in each of the others than the
    smallest lead in the reference, "contradicted" where in none, else "underspecified": it holds in
    part, and which sets are meant is not said.
    """
    start, elsewhere = gaps_to_quoted(ours, reference), gaps_to_quoted(ours, others)
    wider = [name for name, value in elsewhere.items() if value <= max(start.values())]
    listed = ", ".join(f"{name} {-value:+.1f}" for name, value in (start | elsewhere).items())
    in_part = 0 < len(wider) < len(elsewhere)
    verdict = UNDERSPECIFIED if in_part else CONTRADICTED
    return CheckResult(
        verdict=verdict if wider else REPRODUCED,
        evidence=f"The lead of MedViT's two values in points: {listed}."
        + (f" So in part: not on {', '.join(wider)}." if in_part else ""),
    )


@checks("B126")
def exceeds_quoted(*, ours: ByDataset, quoted: Quoted) -> CheckResult:
    """Judge "exceeds the transformers' performance", of those whose accuracy the text quotes.

    Rule: "reproduced" where every quoted accuracy is exceeded, "contradicted" where none is, else
    "underspecified": it holds in part, and of which it is meant is not said.
    """
    found = gaps_to_quoted(ours, quoted)
    above = sum(value > 0 for value in found.values())
    verdict = UNDERSPECIFIED if above else CONTRADICTED
    listed = ", ".join(f"{name} {value:+.1f}" for name, value in found.items())
    return CheckResult(
        verdict=REPRODUCED if above == len(found) else verdict,
        evidence=f"Above {above} of the {len(found)} accuracies of MedViT that the text quotes "
        f"(points): {listed}.",
    )
