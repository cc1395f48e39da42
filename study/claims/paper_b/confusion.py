"""Paper B's confusion matrices and class-wise areas, as far as the text quotes them.

A test set has n images of k classes.
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from study.claims.check import ByDataset, Total, TotalByRow, Whole, checks
from study.claims.check_result import CheckResult, lacking, verdict_of_readings
from study.claims.ledger import Claim
from study.claims.paper_b import budget
from study.claims.paper_b.data import ByClasses
from study.claims.paper_b.stored import class_supports, network_groups
from study.plans.verdicts import load_rules
from study.published import Published, rounding
from study.verdicts import CONTRADICTED, NOT_REPRODUCED, NOT_RUN, REPRODUCED, UNDERSPECIFIED

# A range is given for several classes at once: its low end stands for each of them.
ByClass = Annotated[
    Mapping[str, Published],
    lambda items: {f"class {c}": v for key, v in items for c in re.findall(r"\d+", key.row)},
]
# Of two shares of misranked pairs, how many times the smaller the larger may be: a small variation.
FEW_TIMES = 2


@checks("B57", "B66", measured=lambda claim: {"supports": class_supports(claim.dataset)})
def counts_fit(
    *,
    right: ByClass,
    wrong: ByClasses,
    accuracy: Published,
    n: Whole,
    supports: Mapping[str, int],
) -> CheckResult:
    """Judge quoted cells of a confusion matrix.

    Rule: "contradicted" where the quoted right or wrong decisions are more than the printed
    accuracy allows on the test set, or a quoted diagonal is more than its class has images; "not
    run" as long as no run tells the sizes of the classes; else "reproduced".

    `right`: diagonal cells, of a range its low end; `wrong`: other cells; `supports`: images by
    class, empty if no run is stored.
    """
    total, errors = _sum(right), _sum(wrong)
    # The hair keeps a count that is whole from being lost to the binary rounding of its bound.
    low, high = (end / 100 * n for end in rounding(accuracy))
    least, most = math.ceil(low - 1e-9), math.floor(high + 1e-9)
    over = any(value.low > supports.get(c, n) for c, value in right.items())
    verdict = REPRODUCED if supports else NOT_RUN
    if total > most or errors > n - least or over:
        verdict = CONTRADICTED
    needs = "" if supports else " Needed: the labels of the data set, for the sizes of its classes."
    return CheckResult(
        verdict=verdict,
        evidence=f"Quoted: {total:,.0f} right and {errors:,.0f} wrong; {accuracy.printed} % of "
        f"{n:,} test images leaves at most {most:,} right, or at most {n - least:,} wrong, by the "
        f"end of its rounding.{needs}",
        runs=("run store",) if supports else (),
    )


def _sum(cells: Mapping[Any, Published]) -> float:
    return sum(value.low for value in cells.values())


@checks("B60")
def concentrated(*, wrong: ByClasses, accuracy: Published, n: Whole, k: Whole) -> CheckResult:
    """Judge "errors are concentrated in certain pairs, not spread over all classes".

    Rule: "reproduced" where the quoted cells hold at least three times the share of all errors that
    an even spread would give them, "contradicted" where they hold no more than that share, else
    "underspecified".
    """
    quoted = _sum(wrong)
    share = quoted / ((1 - accuracy.fraction) * n)
    even = len(wrong) / (k * (k - 1))
    verdict = REPRODUCED if share >= 3 * even else UNDERSPECIFIED
    return CheckResult(
        verdict=CONTRADICTED if share <= even else verdict,
        evidence=f"The {len(wrong)} quoted cells hold {quoted:.0f} errors, {100 * share:.0f} % of "
        f"all that the accuracy leaves; spread evenly they would hold {100 * even:.0f} %.",
    )


@checks("B58", "B67")
def broadest(
    *, quoted: ByClasses, accuracy: Published, n: Whole, k: Whole, other: Total
) -> CheckResult:
    """Judge "this class has the broadest confusion" by the errors quoted for it.

    Rule: "contradicted" where the text quotes more errors for the next class (`other`), else
    "underspecified".
    """
    errors = _sum(quoted)
    mean = (1 - accuracy.fraction) * n / k
    return CheckResult(
        verdict=CONTRADICTED if other > errors else UNDERSPECIFIED,
        evidence=f"Quoted for the class: {errors:.0f} errors, for the next one {other:.0f}; at "
        f"{accuracy.printed} % the mean over {k} classes is {mean:.0f}. The other classes' errors "
        "are not quoted.",
    )


@checks("B147")
def only_exception(*, exception: TotalByRow, others: TotalByRow) -> CheckResult:
    """Judge "consistent over most classes except for one", by the errors that the text quotes.

    Rule: "underspecified" where the text quotes more errors for another class than for the
    exception ("most" may leave that class out as well), else "reproduced".
    """
    ((name, errors),) = exception.items()
    listed = ", ".join(f"{other} {count:.0f}" for other, count in others.items())
    return CheckResult(
        verdict=UNDERSPECIFIED if max(others.values()) > errors else REPRODUCED,
        evidence=f"Errors that the text quotes: {name}, the exception, {errors:.0f}; {listed}. "
        "Those of the other classes have no numbers, and by which measure the classes are "
        "consistent is not said.",
    )


@checks("B59", "B68")
def reciprocal(*, there: Published, back: Published) -> CheckResult:
    """Judge "reciprocal confusion" of two classes.

    Rule: "contradicted" where the smaller of both cells is less than half of the larger,
    "underspecified" where they are equal (one cell may be told twice), else "reproduced".
    """
    low, high = sorted((there.value, back.value))
    equal = low == high
    verdict = UNDERSPECIFIED if equal else REPRODUCED
    return CheckResult(
        verdict=CONTRADICTED if low < high / 2 else verdict,
        evidence=f"Quoted: {there.printed} one way, {back.printed} the other"
        + (", which may be one cell told twice." if equal else "."),
    )


@checks("B69")
def alike(
    *,
    first: ByClasses,
    second: ByClasses,
    diagonal: ByClasses,
    other_diagonal: Published,
    accuracies: ByDataset,
    n: TotalByRow,
) -> CheckResult:
    """Judge whether two matrices of different data sets can be told apart by what is quoted.

    Rule: "underspecified" where the largest quoted cell, of right answers, differs by less than a
    hundredth while the printed accuracies say that one has twice the errors of the other or more:
    it looks like one set twice, and the rest is in a picture alone; else "reproduced".

    `diagonal`: right answers of six classes; `other_diagonal`: the range of the same classes' in
    the other matrix; `n`: test images.
    """
    shares = {dataset: 1 - value.fraction for dataset, value in accuracies.items()}
    low, high = sorted(shares.values())
    fewer, more = sorted(share * n[dataset] for dataset, share in shares.items())
    right = [value.value for value in diagonal.values()]
    largest = max(first, key=lambda cell: first[cell].value)
    apart = abs(second[largest].value - first[largest].value) / first[largest].value
    close = apart < 0.01 and high > 2 * low
    listed = ", ".join(
        f"class {true}{'' if true == said else f' as {said}'}: {value.printed} and "
        f"{second[true, said].printed}"
        for (true, said), value in first.items()
    )
    return CheckResult(
        verdict=UNDERSPECIFIED if close else REPRODUCED,
        evidence=f"OrganC and OrganS: {listed}; right answers of classes "
        f"{', '.join(str(label) for label, _ in diagonal)}: {min(right):.0f}-{max(right):.0f} and "
        f"{other_diagonal.printed}. Yet {100 * low:.1f} and {100 * high:.1f} % of the images are "
        f"wrong: {high / low:.1f} times the rate, {more / fewer:.1f} times the number of errors.",
    )


@checks("B12", "B135", which="within")
@checks("B63", which="low")
def end_of_range(*, value: Published, band: Published, which: str) -> CheckResult:
    """Judge a single value that is said to be an end of a printed range.

    Rule: "reproduced" where it is that end ("low") or lies within ("within"), else "contradicted".
    """
    fits = value.value == band.low if which == "low" else band.low <= value.value <= band.high
    return CheckResult(
        verdict=REPRODUCED if fits else CONTRADICTED,
        evidence=f"{value.printed} beside the printed range {band.printed}.",
    )


@checks("B56")
def above(*, higher: Published, lower: Published) -> CheckResult:
    """Judge that one printed number exceeds another.

    Rule: "reproduced" where it does, else "contradicted".
    """
    return CheckResult(
        verdict=REPRODUCED if higher.low > lower.high else CONTRADICTED,
        evidence=f"{higher.printed} against {lower.printed}.",
    )


@checks("B72")
def is_no_auc(*, called: Published, accuracy: Published, band: Published) -> CheckResult:
    """Judge a number that is called an AUC.

    Rule: "reproduced" where it lies in the printed range of the classes' AUCs, which any mean of
    them must be in; else "underspecified".
    """
    inside = band.low <= called.fraction <= band.high
    same = called.value == accuracy.value
    return CheckResult(
        verdict=REPRODUCED if inside else UNDERSPECIFIED,
        evidence=f"Called an AUC: {called.printed} %; the classes' AUCs are {band.printed}"
        + (", and the accuracy is the same number." if same else ".")
        + " It may be an area under precision-recall curves, which are called AUC as well.",
    )


@checks("B146", measured=lambda claim: {"size": load_rules().size["auc"]})
def varies_little(*, band: Published, size: float) -> CheckResult:
    """Judge "a small variation between the classes" of areas under ROC curves.

    Rule: small is read as less than the difference that `params/verdicts.yaml` asks power for
    (`size`); and since areas near 1 differ little whatever they say, as less than twice the share
    of pairs that are ranked wrongly, 1 less the area. "Reproduced" where the printed range is small
    in both ways, "not reproduced" where in neither, else "underspecified".
    """
    width, times = band.high - band.low, (1 - band.low) / (1 - band.high)
    return CheckResult(
        verdict=verdict_of_readings((width < size, times < FEW_TIMES)),
        evidence=f"The classes' AUCs are {band.printed}: {width:.3f} apart, and the share of pairs "
        f"that are ranked wrongly is {times:.0f} times as large in the last class as in the first. "
        "By which of both the variation is small is not said.",
    )


def _class_areas(claim: Claim) -> dict[str, Any]:
    """Return class-wise areas of the network's nearest protocol, and its epochs.

    The printed value's column names data set and area ("organsmnist/auc"), its row one class
    ("class 10") or all.
    """
    (key,) = claim.given["printed"]
    found = network_groups(key.dataset)
    if not found:
        return {"areas": [], "epochs": None}
    nearest = max(found, key=lambda group: (group.config["epochs"], group.source_size))
    area = key.column.partition("/")[2]
    areas = [
        [
            row[area]["value"]
            for label, row in enumerate(run.record["per_class"])
            if key.row in (f"class {label}", "per class")
        ]
        for run in nearest.runs
    ]
    return {"areas": areas, "epochs": nearest.config["epochs"]}


@checks("B61", "B62", "B70", "B71", measured=_class_areas)
def class_areas(
    *, printed: Published, areas: Sequence[Sequence[float]], epochs: float | None
) -> CheckResult:
    """Judge a range of class-wise areas under a curve.

    Rule: "not run" without runs, "not run at its budget" where they had too few epochs
    (`params/verdicts.yaml`); "reproduced" where the mean over seeds of every class lies in the
    printed range to its digits, else "not reproduced".

    `areas`: of each seed, one value a class; none without runs.
    """
    if not areas:
        return lacking(f"Printed: {printed.printed}. Needed: runs on the data set.")
    means = [sum(of_class) / len(areas) for of_class in zip(*areas, strict=True)]
    low, high = min(means), max(means)
    slack = 0.0005
    fits = printed.low - slack <= low and high <= printed.high + slack
    return budget.result(
        REPRODUCED if fits else NOT_REPRODUCED,
        epochs,
        evidence=f"Ours: {low:.3f} to {high:.3f} over {len(means)} classes, mean of {len(areas)} "
        f"seed(s) after {budget.length(epochs)}; printed: {printed.printed}.",
        runs=("run store",),
    )
