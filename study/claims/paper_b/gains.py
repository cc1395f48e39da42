"""Paper B's comparisons, recomputed from printed accuracies: its own and its comparators'."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Annotated

from helpers.metrics.power import newcombe
from helpers.metrics.scores import Estimate
from study.claims.arithmetic import images
from study.claims.check import ByDataset, ByKey, Items, TotalByRow, Whole, checks
from study.claims.ledger import Key
from study.claims.outcome import OPEN_CHOICE, Outcome
from study.claims.paper_b import counting
from study.claims.paper_b.sizes import RECORD_SIDE
from study.published import Published
from study.sizes import matches
from study.verdicts import CONTRADICTED, NOT_REPRODUCED, REPRODUCED, UNDERSPECIFIED


def _ends(items: Items) -> dict[str, list[Published]]:
    found: dict[str, list[Published]] = {}
    for key, value in items:
        for end in value.printed.split("-"):
            one = replace(value, value=float(end), printed=end, low=float(end), high=float(end))
            found.setdefault(key.dataset, []).append(one)
    return found


# Data set -> the accuracies that the text quotes for it, of a range its ends.
Quoted = Annotated[Mapping[str, Sequence[Published]], _ends]


def gap(ours: Published, theirs: Published) -> float:
    """Return ours - theirs in percentage points.

    Raises:
        ValueError: a value is no plain number, or not verified (marked M).
    """
    for value in (ours, theirs):
        if not value.may_carry_verdict:
            raise ValueError(f"{value.printed!r} ({value.source}) may carry no verdict.")
    return round(100 * (ours.fraction - theirs.fraction), 10)


def gaps_to_quoted(ours: ByDataset, quoted: Quoted) -> dict[str, float]:
    """Return ours less each quoted accuracy, in points: "data set value" -> difference."""
    return {
        f"{d} {value.printed}": gap(ours[d], value)
        for d, values in quoted.items()
        for value in values
    }


@checks("B74", "B75", "B76", "B81", "B82", "B83", "B84")
@checks("B88", "B89", "B90", "B91", "B92", "B93")
def printed_gain(*, ours: Published, theirs: Published, gain: Published) -> Outcome:
    """Judge a printed gain in points.

    Rule: "reproduced" where the difference of the two printed accuracies is the printed gain to its
    digits, else "not reproduced" (the comparator's value is another paper's).
    """
    found = gap(ours, theirs)
    return Outcome(
        verdict=REPRODUCED if matches(found, gain) else NOT_REPRODUCED,
        evidence=f"{ours.printed} % less {100 * theirs.fraction:.1f} % is {found:+.1f} points; "
        f"printed: {gain.printed}.",
    )


@checks("B08")
def range_of_gains(
    *, ours: ByDataset, theirs: ByDataset, printed: Published, quoted: Quoted
) -> Outcome:
    """Judge "relative gains of low-high % over larger transformers".

    Rule: "reproduced" where the relative gains over the comparator on all its data sets lie in the
    printed range to its digits and no larger transformer that the paper quotes is more accurate;
    "contradicted" where they do not lie there; else "underspecified": which transformers and which
    data sets are meant is not said.

    `theirs`: MedMamba-T's, the gains over which have the printed ends.
    """
    absolute = {d: gap(ours[d], value) for d, value in theirs.items()}
    relative = [absolute[d] / value.fraction for d, value in theirs.items()]
    to_quoted = gaps_to_quoted(ours, quoted)
    higher = [name for name, value in to_quoted.items() if value < 0]
    low, high = min(relative), max(relative)
    inside = printed.low - 0.5 <= low and high <= printed.high + 0.05
    verdict = UNDERSPECIFIED if higher else REPRODUCED
    return Outcome(
        verdict=verdict if inside else CONTRADICTED,
        evidence="Which transformers are meant is not said. Over MedMamba-T, a state-space model, "
        f"whose differences section 4.6 prints, the relative gains run from {low:.1f} to "
        f"{high:.1f} % and the differences from {min(absolute.values()):.1f} to "
        f"{max(absolute.values()):.1f} points; printed: {printed.printed} % relative. Of the "
        f"transformers that the text quotes, {len(higher)} of {len(to_quoted)} are more accurate.",
    )


@checks("B73", "B80")
def higher_everywhere(*, ours: ByDataset, theirs: ByKey) -> Outcome:
    """Judge "more accurate on every data set" by the printed values alone.

    Rule: "reproduced" where every printed difference is above 0, else "contradicted".
    """
    several = len({key.row for key in theirs}) > 1
    gaps = {
        f"{key.dataset}, {key.row}" if several else key.dataset: gap(ours[key.dataset], value)
        for key, value in theirs.items()
    }
    below = [name for name, value in gaps.items() if value <= 0]
    least, most = min(gaps, key=gaps.get), max(gaps, key=gaps.get)
    return Outcome(
        verdict=CONTRADICTED if below else REPRODUCED,
        evidence=f"{len(gaps) - len(below)} of {len(gaps)} printed differences are above 0, from "
        f"{gaps[least]:+.1f} points ({least}) to {gaps[most]:+.1f} ({most}).",
    )


@checks("B77")
def resolved(*, ours: ByDataset, theirs: ByDataset, n: TotalByRow) -> Outcome:
    """Judge whether printed gains are more than the test images leave to chance.

    Rule: "reproduced" where the 95 % interval of every difference (Newcombe, as if the images were
    different ones: the paper prints no paired counts) lies above 0; "contradicted" where one
    lies below 0; else "underspecified": the paper prints neither seeds nor intervals nor a test.
    """
    gaps = {d: gap(ours[d], value) for d, value in theirs.items()}
    intervals = {d: _interval(ours[d], value, round(n[d])) for d, value in theirs.items()}
    shown = [d for d, found in intervals.items() if found.low > 0]
    reverse = [d for d, found in intervals.items() if found.high < 0]
    verdict = CONTRADICTED if reverse else REPRODUCED
    if not reverse and len(shown) < len(intervals):
        verdict = UNDERSPECIFIED
    listed = "; ".join(
        f"{d} {gaps[d]:+.1f} ({100 * e.low:+.1f} to {100 * e.high:+.1f})"
        for d, e in intervals.items()
    )
    return Outcome(
        verdict=verdict,
        evidence=f"{len(shown)} of {len(intervals)} printed differences exceed the chance of the "
        f"test images (95 %, points): {listed}.",
    )


def _interval(ours: Published, theirs: Published, n: int) -> Estimate:
    return newcombe(images(ours, n).images, n, images(theirs, n).images, n)


@checks("B95", "B97", "B98")
def comparable(*, ours: Published, theirs: Quoted, yardstick: Published, n: Whole) -> Outcome:
    """Judge "comparable or superior to" others that the paper itself quotes.

    Rule: a lead is superior. A shortfall is comparable where it is smaller than the smallest gain
    that the paper itself calls notable (its own yardstick, so that one measure serves both
    directions): "reproduced" if so for every value; else "contradicted" where the 95 % interval of
    the largest shortfall excludes 0 (Newcombe), "underspecified" where the test images are too few
    to tell.
    """
    (quoted,) = theirs.values()
    gaps = [gap(ours, other) for other in quoted]
    worst = min(gaps)
    interval = _interval(ours, quoted[gaps.index(worst)], n)
    verdict = CONTRADICTED if interval.high < 0 else UNDERSPECIFIED
    return Outcome(
        verdict=REPRODUCED if worst > -yardstick.value else verdict,
        evidence=f"{ours.printed} % is {', '.join(f'{g:+.1f}' for g in gaps)} points from the "
        f"quoted values; a gain of {yardstick.printed} is called notable. The least of them is "
        f"{abs(worst) * n / 100:.0f} of {n} test images, 95 % {100 * interval.low:+.1f} to "
        f"{100 * interval.high:+.1f} points.",
    )


@checks("B96")
def narrower(*, ours: ByDataset, reference: Quoted, others: Quoted) -> Outcome:
    """Judge "the gap narrows considerably on other data sets".

    Rule: "reproduced" where the comparators' lead is smaller in each of the others than the
    smallest lead in the reference, "contradicted" where in none, else "underspecified": it holds in
    part, and which sets are meant is not said.
    """
    start = {name: -value for name, value in gaps_to_quoted(ours, reference).items()}
    leads = {name: -value for name, value in gaps_to_quoted(ours, others).items()}
    wider = [name for name, lead in leads.items() if lead >= min(start.values())]
    listed = ", ".join(f"{name} {lead:+.1f}" for name, lead in (start | leads).items())
    some = CONTRADICTED if len(wider) == len(leads) else UNDERSPECIFIED
    return Outcome(
        verdict=some if wider else REPRODUCED,
        evidence=f"The lead of MedViT's two values in points: {listed}."
        + (f" So in part: not on {', '.join(wider)}." if 0 < len(wider) < len(leads) else ""),
    )


@checks(
    "B13",
    measured=lambda claim: {
        "public": {d: counting.higher_public(d) for d in counting.SIX},
        "on_test": counting.chosen_on_test(),
    },
)
def state_of_the_art(
    *,
    ours: ByDataset,
    quoted: Quoted,
    public: Mapping[str, Mapping[tuple[str, str], Published]],
    on_test: Collection[str],
) -> Outcome:
    """Judge "state-of-the-art accuracy".

    Rule: "contradicted" where the paper itself quotes a higher accuracy on a data set; else "not
    reproduced" where a verified public one is higher whose epoch was not chosen on the test split;
    else "reproduced".

    `public`: data set -> {(source, system): accuracy}, verified values; `on_test`: sources whose
    code chooses the epoch on the test split, which flatters their values.
    """
    own = [d for d, value in ours.items() if any(gap(value, v) < 0 for v in quoted.get(d, ()))]

    def higher(*, clean: bool) -> dict[str, tuple[float, str, str]]:
        above = {
            d: [
                (v.fraction, system, source)
                for (source, system), v in systems.items()
                if gap(ours[d], v) < 0 and not (clean and source in on_test)
            ]
            for d, systems in public.items()
        }
        return {d: max(values) for d, values in above.items() if values}

    best, fair = higher(clean=False), higher(clean=True)

    def listed(found: Mapping[str, tuple[float, str, str]]) -> str:
        values = (
            f"{d} {ours[d].printed} against {100 * value:.1f} ({system}, {source})"
            for d, (value, system, source) in found.items()
        )
        return "; ".join(values) or "none"

    chosen = [d for d, (_, _, source) in best.items() if source in on_test]
    evidence = (
        f"The text itself quotes higher accuracies on {len(own)} data sets "
        f"({', '.join(own) or 'none'}); verified public ones are higher on {len(best)} of "
        f"{len(ours)}: {listed(best)}."
    )
    if chosen:
        evidence += (
            f" {len(chosen)} of these ({', '.join(chosen)}) chose the epoch on the test split, by "
            f"their own code; of those that did not, the highest are above it on {len(fair)}: "
            f"{listed(fair)}."
        )
    verdict = CONTRADICTED if own else NOT_REPRODUCED if fair else REPRODUCED
    return Outcome(verdict=verdict, evidence=evidence)


@checks("B87")
def below_plain_backbone(*, ours: ByDataset, plain: ByKey, n: TotalByRow) -> Outcome:
    """Judge whether the gains can be the architecture's and not the pretrained backbone's.

    Rule: "not reproduced" where a plain ResNet-18 from the same ImageNet weights has a higher
    published accuracy on the images of the record that the paper names (28 px), on any data set, by
    more than the chance of the test images (Newcombe, 95 %). Values from larger files are of other
    images, which judge no level (`params/verdicts.yaml`): they are told. Else "underspecified",
    since published values of other protocols do not prove an advantage.
    """
    of_record: dict[str, tuple[float, str]] = {}
    of_larger: dict[str, tuple[float, str]] = {}
    for key, value in plain.items():
        gap(ours[key.dataset], value)
        best = of_record if _side(key.row) == RECORD_SIDE else of_larger
        best[key.dataset] = max(best.get(key.dataset, (0, "")), (value.fraction, key.row))

    def above(best: Mapping[str, tuple[float, str]]) -> list[str]:
        return [d for d, (value, _) in best.items() if value > ours[d].fraction]

    def listed(best: Mapping[str, tuple[float, str]]) -> str:
        values = (
            f"{d} {ours[d].printed} against {100 * value:.2f} ({row})"
            for d, (value, row) in best.items()
        )
        return "; ".join(values) or "none"

    resolved = [
        d for d in above(of_record) if _is_resolved(of_record[d][0], ours[d].fraction, round(n[d]))
    ]
    return Outcome(
        verdict=NOT_REPRODUCED if resolved else UNDERSPECIFIED,
        evidence=f"From the {RECORD_SIDE} px files of the record that the paper names, a plain "
        f"ResNet-18 with the same ImageNet weights is more accurate on {len(above(of_record))} of "
        f"{len(of_record)} data sets with such a value: {listed(of_record)}. From larger files, "
        f"which are other images and judge nothing here, on {len(above(of_larger))} of "
        f"{len(of_larger)}: {listed(of_larger)}. The ResNets of the paper's table started from "
        "scratch.",
        limits=(OPEN_CHOICE,),
    )


def _side(system: str) -> int | None:
    """Return the side of the files that a system's name tells ("ResNet-18 @224"), else None."""
    found = re.search(r"@(\d+)$", system)
    return int(found[1]) if found else None


def _is_resolved(above: float, below: float, n: int) -> bool:
    return newcombe(round(above * n), n, round(below * n), n).low > 0


@checks("B94")
def competitive(*, ours: ByDataset, theirs: ByKey, yardstick: Published) -> Outcome:
    """Judge "competitive with these systems" over all data sets.

    Rule: as `comparable`: "reproduced" where no printed shortfall reaches the smallest gain that
    the paper calls notable, else "not reproduced": the others' values are not in the paper's text.
    """
    gaps = {key: gap(ours[key.dataset], value) for key, value in theirs.items()}
    least = min(gaps, key=gaps.get)
    ahead = sum(value > 0 for value in gaps.values())
    return Outcome(
        verdict=REPRODUCED if gaps[least] > -yardstick.value else NOT_REPRODUCED,
        evidence=f"Ahead in {ahead} of {len(gaps)} printed comparisons; the least is "
        f"{gaps[least]:+.1f} points ({least.row}, {least.dataset}). A gain of {yardstick.printed} "
        f"is called notable. {sources_of(theirs)}",
    )


def sources_of(theirs: Mapping[Key, Published]) -> str:
    """Say whose numbers are compared, where the others' stand in another paper."""
    named = ", ".join(dict.fromkeys(value.source for value in theirs.values()))
    return (
        "Its own accuracies are those of Table 3, which section 4.6 repeats; the others' are of "
        f"{named}, and not in the text of the paper."
    )
