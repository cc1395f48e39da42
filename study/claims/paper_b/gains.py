"""Paper B's comparisons, recomputed from printed accuracies: its own and its comparators'."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any

from helpers.metrics.power import newcombe
from helpers.metrics.scores import Estimate
from study.claims.arithmetic import images
from study.claims.check import ByDataset, ByKey, Items, TotalByRow, checks
from study.claims.check_result import OPEN_CHOICE, CheckResult
from study.claims.ledger import Claim, Key
from study.claims.paper_b.sizes import RECORD_SIDE
from study.claims.paper_b.stored import SIX
from study.published import Published, comparators, load_published
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


def gaps(ours: ByDataset, theirs: ByKey) -> dict[Key, float]:
    """Return ours less each of theirs on the same data set, in points."""
    return {key: gap(ours[key.dataset], value) for key, value in theirs.items()}


def gaps_to_quoted(ours: ByDataset, quoted: Quoted) -> dict[str, float]:
    """Return ours less each quoted accuracy, in points: "data set value" -> difference."""
    return {
        f"{dataset} {value.printed}": gap(ours[dataset], value)
        for dataset, values in quoted.items()
        for value in values
    }


def interval(ours: Published, theirs: Published, n: int) -> Estimate:
    """Return ours - theirs with the 95 % interval of Newcombe, as if the n images were others."""
    return newcombe(images(ours, n), n, images(theirs, n), n)


@checks("B74", "B75", "B76", "B81", "B82", "B83", "B84")
@checks("B88", "B89", "B90", "B91", "B92", "B93")
def printed_gain(*, ours: Published, theirs: Published, gain: Published) -> CheckResult:
    """Judge a printed gain in points.

    Rule: "reproduced" where the difference of the two printed accuracies is the printed gain to its
    digits, else "not reproduced" (the comparator's value is another paper's).
    """
    found = gap(ours, theirs)
    return CheckResult(
        verdict=REPRODUCED if matches(found, gain) else NOT_REPRODUCED,
        evidence=f"{ours.printed} % less {100 * theirs.fraction:.1f} % is {found:+.1f} points; "
        f"printed: {gain.printed}.",
    )


@checks("B08")
def range_of_gains(
    *, ours: ByDataset, theirs: ByKey, printed: Published, quoted: Quoted
) -> CheckResult:
    """Judge "relative gains of low-high % over larger transformers".

    Rule: "reproduced" where the relative gains over the comparator on all its data sets lie in the
    printed range to its digits and no larger transformer that the paper quotes is more accurate;
    "contradicted" where they do not lie there; else "underspecified".

    `theirs`: MedMamba-T's, the gains over which have the printed ends.
    """
    absolute = gaps(ours, theirs)
    relative = [absolute[key] / value.fraction for key, value in theirs.items()]
    to_quoted = gaps_to_quoted(ours, quoted)
    higher = sum(value < 0 for value in to_quoted.values())
    low, high = min(relative), max(relative)
    inside = printed.low - 0.5 <= low and high <= printed.high + 0.05
    verdict = UNDERSPECIFIED if higher else REPRODUCED
    return CheckResult(
        verdict=verdict if inside else CONTRADICTED,
        evidence="Which transformers are meant is not said. Over MedMamba-T, a state-space model, "
        f"whose differences section 4.6 prints, the relative gains run from {low:.1f} to "
        f"{high:.1f} % and the differences from {min(absolute.values()):.1f} to "
        f"{max(absolute.values()):.1f} points; printed: {printed.printed} % relative. Of the "
        f"transformers that the text quotes, {higher} of {len(to_quoted)} are more accurate.",
    )


@checks("B73", "B80")
def higher_everywhere(*, ours: ByDataset, theirs: ByKey) -> CheckResult:
    """Judge "more accurate on every data set" by the printed values alone.

    Rule: "reproduced" where every printed difference is above 0, else "contradicted".
    """
    several = len({key.row for key in theirs}) > 1
    found = {
        f"{key.dataset}, {key.row}" if several else key.dataset: value
        for key, value in gaps(ours, theirs).items()
    }
    above = sum(value > 0 for value in found.values())
    least, most = min(found, key=found.get), max(found, key=found.get)
    return CheckResult(
        verdict=REPRODUCED if above == len(found) else CONTRADICTED,
        evidence=f"{above} of {len(found)} printed differences are above 0, from "
        f"{found[least]:+.1f} points ({least}) to {found[most]:+.1f} ({most}).",
    )


@checks("B77")
def resolved(*, ours: ByDataset, theirs: ByKey, n: TotalByRow) -> CheckResult:
    """Judge whether printed gains are more than the test images leave to chance.

    Rule: "reproduced" where the 95 % interval of every difference (see `interval`: the paper prints
    no paired counts) lies above 0; "contradicted" where one lies below 0; else "underspecified":
    the paper prints neither seeds nor intervals nor a test.
    """
    found = gaps(ours, theirs)
    intervals = {
        key: interval(ours[key.dataset], value, round(n[key.dataset]))
        for key, value in theirs.items()
    }
    shown = sum(e.low > 0 for e in intervals.values())
    verdict = REPRODUCED if shown == len(intervals) else UNDERSPECIFIED
    if any(e.high < 0 for e in intervals.values()):
        verdict = CONTRADICTED
    listed = "; ".join(
        f"{key.dataset} {found[key]:+.1f} ({100 * e.low:+.1f} to {100 * e.high:+.1f})"
        for key, e in intervals.items()
    )
    return CheckResult(
        verdict=verdict,
        evidence=f"{shown} of {len(intervals)} printed differences exceed the chance of the "
        f"test images (95 %, points): {listed}.",
    )


def _public(claim: Claim) -> dict[str, Any]:
    """Return other papers' verified accuracies, and the papers that chose on the test split."""
    public = {}
    for dataset in SIX:
        table = comparators(dataset, "accuracy")
        table = table[(table["paper"] != "B") & (table["mark"] != "M") & table["value"].notna()]
        keys = [Key(*row) for row in table[list(Key._fields)].itertuples(index=False)]
        public |= {key: key.value() for key in keys}
    table = load_published()
    on_test = (table["column"] == "selection") & table["value"].str.contains("on the test split")
    return {"public": public, "on_test": set(table["paper"][on_test])}


@checks("B13", measured=_public)
def state_of_the_art(
    *, ours: ByDataset, quoted: Quoted, public: ByKey, on_test: Collection[str]
) -> CheckResult:
    """Judge "state-of-the-art accuracy".

    Rule: "contradicted" where the paper itself quotes a higher accuracy on a data set; else "not
    reproduced" where a verified public one is higher whose epoch was not chosen on the test split;
    else "reproduced".

    `public`: verified values of other papers; `on_test`: those papers whose code chooses the epoch
    on the test split, which flatters their values.
    """
    own = [d for d, value in ours.items() if any(gap(value, v) < 0 for v in quoted.get(d, ()))]
    above = {key: public[key] for key, value in gaps(ours, public).items() if value < 0}
    best = _highest(above)
    fair = _highest({key: value for key, value in above.items() if key.paper not in on_test})

    def listed(found: Mapping[str, Key]) -> str:
        values = (
            f"{d} {ours[d].printed} against {100 * public[key].fraction:.1f} ({key.row}, "
            f"{key.paper})"
            for d, key in found.items()
        )
        return "; ".join(values) or "none"

    evidence = (
        f"The text itself quotes higher accuracies on {len(own)} data sets "
        f"({', '.join(own) or 'none'}); verified public ones are higher on {len(best)} of "
        f"{len(ours)}: {listed(best)}."
    )
    if chosen := [d for d, key in best.items() if key.paper in on_test]:
        evidence += (
            f" {len(chosen)} of these ({', '.join(chosen)}) chose the epoch on the test split, by "
            f"their own code; of those that did not, the highest are above it on {len(fair)}: "
            f"{listed(fair)}."
        )
    verdict = NOT_REPRODUCED if fair else REPRODUCED
    return CheckResult(verdict=CONTRADICTED if own else verdict, evidence=evidence)


def _highest(values: ByKey) -> dict[str, Key]:
    """Return where the highest value of each data set stands, in the order of the data sets."""
    found: dict[str, Key] = {}
    for key in values:
        places = (found.get(key.dataset, key), key)
        found[key.dataset] = max(places, key=lambda k: (values[k].fraction, k.row, k.paper))
    return found


@checks("B87")
def below_plain_backbone(*, ours: ByDataset, plain: ByKey, n: TotalByRow) -> CheckResult:
    """Judge whether the gains can be the architecture's and not the pretrained backbone's.

    Rule: "not reproduced" where a plain ResNet-18 from the same ImageNet weights has a higher
    published accuracy on the images of the record that the paper names (28 px), on any data set, by
    more than the chance of the test images (Newcombe, 95 %). Values from larger files are of other
    images, which judge no level (`params/verdicts.yaml`): they are told. Else "underspecified",
    since published values of other protocols do not prove an advantage.
    """
    ours_less = gaps(ours, plain)
    # A system's name ends with the side of its files ("ResNet-18 @28").
    side = f"@{RECORD_SIDE}"
    of_record = _highest({key: v for key, v in plain.items() if key.row.endswith(side)})
    of_larger = _highest({key: v for key, v in plain.items() if not key.row.endswith(side)})

    def above(best: Mapping[str, Key]) -> str:
        return f"{sum(ours_less[key] < 0 for key in best.values())} of {len(best)}"

    def listed(best: Mapping[str, Key]) -> str:
        values = (
            f"{d} {ours[d].printed} against {100 * plain[key].fraction:.2f} ({key.row})"
            for d, key in best.items()
        )
        return "; ".join(values) or "none"

    beyond_chance = any(
        interval(plain[key], ours[d], round(n[d])).low > 0 for d, key in of_record.items()
    )
    return CheckResult(
        verdict=NOT_REPRODUCED if beyond_chance else UNDERSPECIFIED,
        evidence=f"From the {RECORD_SIDE} px files of the record that the paper names, a plain "
        f"ResNet-18 with the same ImageNet weights is more accurate on {above(of_record)} data "
        f"sets with such a value: {listed(of_record)}. From larger files, which are other images "
        f"and judge nothing here, on {above(of_larger)}: {listed(of_larger)}. The ResNets of the "
        "paper's table started from scratch.",
        limits=(OPEN_CHOICE,),
    )
