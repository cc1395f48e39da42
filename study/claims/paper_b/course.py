"""Paper B's sentences on training curves, and on the epoch that its numbers are of."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any

import numpy as np

from study.claims.check import checks
from study.claims.check_result import OPEN_CHOICE, STAND_IN, CheckResult, lacking
from study.claims.ledger import Claim
from study.claims.paper_b.stored import groups, network_groups
from study.epoch_choice import curve_rows, longest
from study.published import Published
from study.sizes import matches
from study.verdicts import (
    NOT_REPRODUCED,
    OTHER_IMAGES,
    REPRODUCED,
    REVIEWERS_QUESTION,
    UNDERSPECIFIED,
)

# Curves by the names of three sentences -> figure of the history. Our test curve is that of the
# validation split.
LOSSES = {"training loss": "train_loss", "held-out loss": "val_loss"}
PRINTED_LOSSES = {"train loss": "train_loss", "test loss": "val_loss"}
ACCURACIES = {"train accuracy": "train_accuracy", "test accuracy": "val_accuracy"}
# Epochs over which a curve is averaged where it is read.
WINDOW = 5
# Share of its whole fall that a curve must have done early, and may still do late.
RAPID, STEADY = 0.75, 0.1

# Curve -> its values by epoch, of each seed.
Courses = Mapping[str, Sequence[Sequence[float]]]


ByCurve = Annotated[
    Mapping[str, Published],
    lambda items: {key.column.partition("/")[2].replace("_", " "): v for key, v in items},
]


def _courses(dataset: str, figures: Mapping[str, str], *, epochs: Published) -> Courses:
    """Return curves of the runs that are as long as the paper's; no seeds without such runs."""
    long = [g for g in network_groups(dataset) if g.config["epochs"] >= epochs.value]
    return {
        title: [[row[figure] for row in run.record["history"]] for g in long for run in g.runs]
        for title, figure in figures.items()
    }


def _means(
    claim: Claim, figures: Mapping[str, str], *, epoch: int, scale: float = 1
) -> dict[str, float]:
    """Return curves in one epoch, counted as a list's places, mean over seeds; none without any."""
    found = _courses(claim.dataset, figures, epochs=claim.value("epochs"))
    return {
        title: scale * statistics.fmean(course[epoch] for course in courses)
        for title, courses in found.items()
        if courses
    }


@checks("B51", "B54", measured=lambda claim: {"found": _means(claim, PRINTED_LOSSES, epoch=-1)})
def course(*, printed: ByCurve, epochs: Published, found: Mapping[str, float]) -> CheckResult:
    """Judge where training curves end, after as many epochs as the paper trained.

    Rule: "not run" without runs of that length; "reproduced" where each of our final values is
    within a tenth of the printed one (which are "approximate") or in its range, else "not
    reproduced".

    `found`: curve -> ours at the end, mean over seeds; empty without such runs.
    """
    listed = ", ".join(f"{name} {value.printed}" for name, value in printed.items())
    if not found:
        return lacking(
            f"Printed: {listed}. Needed: runs of {epochs.printed} epochs on the data set."
        )
    near = all(0.9 * v.low <= found[name] <= 1.1 * v.high for name, v in printed.items())
    ours = ", ".join(f"{name} {found[name]:.2f}" for name in printed)
    return CheckResult(
        verdict=REPRODUCED if near else NOT_REPRODUCED,
        evidence=f"Printed: {listed}; ours: {ours}.",
        limits=(OPEN_CHOICE,),
        runs=("run store",),
    )


def _early(claim: Claim) -> dict[str, Any]:
    epoch = round(claim.value("epoch").value)
    return {"found": _means(claim, ACCURACIES, epoch=epoch - 1, scale=100)}


@checks("B129", "B130", measured=_early)
def reaches(*, printed: Published, epoch: Published, found: Mapping[str, float]) -> CheckResult:
    """Judge where training curves are after a number of epochs.

    Rule: "not run" without runs of the printed length on the data set; "reproduced" where each of
    ours is in the printed range, or on the printed side of the bound, a point more or less;
    else "not reproduced".

    `found`: curve -> ours in %, mean over seeds; empty without such runs.
    """
    listed = ", ".join(f"{name} {printed.printed} %" for name in ACCURACIES)
    said = f"Printed for epoch {epoch.printed}: {listed}"
    if not found:
        return lacking(f"{said}. Needed: runs of the printed length on the data set.")
    low, high = printed.low or 0, printed.high or 100  # of a bound the other end is open
    near = all(low - 1 <= value <= high + 1 for value in found.values())
    ours = ", ".join(f"{name} {value:.1f} %" for name, value in found.items())
    return CheckResult(
        verdict=REPRODUCED if near else NOT_REPRODUCED,
        evidence=f"{said}; ours: {ours}.",
        limits=(OPEN_CHOICE,),
        runs=("paper_b",),
    )


def _settling(claim: Claim) -> dict[str, Any]:
    return {"courses": _courses(claim.ours, LOSSES, epochs=claim.value("epochs"))}


@checks("B128", dataset="BreastMNIST", same=False, measured=_settling)
def settles(
    *, courses: Courses, rapid: Published, steady: Published, dataset: str, same: bool
) -> CheckResult:
    """Judge "both losses fall rapidly in the first epochs and are stable from a later one on".

    Rule: "not run" without two runs of the printed length; on another data set no verdict ("other
    images"); else "reproduced" where each loss, on the mean over the seeds, has done three quarters
    of its fall by the first of the two epochs, and does less than a tenth of it after the second,
    "not reproduced" otherwise.

    `same`: whether the data set is one that the paper speaks of.
    """
    seeds = min(map(len, courses.values()))
    if seeds < 2:
        return lacking("Needed: two runs of the printed length.")
    done, after = {}, {}
    for name, runs in courses.items():
        shares = [_shares(np.asarray(run), int(rapid.value), int(steady.value)) for run in runs]
        done[name], after[name] = np.mean(shares, axis=0).tolist()
    early, late = min(done.values()), max(map(abs, after.values()))
    listed = "; ".join(
        f"{name} {100 * done[name]:.0f} % of its change by epoch {rapid.printed}, "
        f"{100 * after[name]:.0f} % after epoch {steady.printed}"
        for name in courses
    )
    verdict = REPRODUCED if early >= RAPID and late < STEADY else NOT_REPRODUCED
    return CheckResult(
        verdict=verdict if same else OTHER_IMAGES,
        evidence=f"On {dataset}, {seeds} seeds at the printed length: {listed}.",
        limits=(OPEN_CHOICE,) if same else (STAND_IN, OPEN_CHOICE),
        runs=("paper_b",),
    )


def _shares(course: np.ndarray, rapid: int, steady: int) -> tuple[float, float]:
    """Return the shares of a curve's whole change by one epoch and after another."""

    def around(epoch: int) -> float:
        return float(course[max(0, epoch - WINDOW) : epoch].mean())

    first, last = float(course[0]), around(len(course))
    if first == last:
        return 0.0, 0.0
    return (first - around(rapid)) / (first - last), (around(steady) - last) / (first - last)


@checks("B52", "B55")
def plateau(*, printed: Published, accuracy: Published) -> CheckResult:
    """Judge a plateau of the test curve, "around" a value or a range, against the table.

    Rule: "reproduced" where the table's accuracy is the plateau's within its printed digits, or in
    its range, else "underspecified". No tolerance of ours decides.
    """
    off = max(printed.low - accuracy.value, accuracy.value - printed.high)
    where = f"{off:.1f} points off" if off > 0 else "which is within it"
    return CheckResult(
        verdict=REPRODUCED if matches(accuracy.value, printed) else UNDERSPECIFIED,
        evidence=f"The curve levels off around {printed.printed} %, the table prints "
        f"{accuracy.printed} %, {where}. How far 'around' reaches, and of which epoch the table's "
        "number is, is not said.",
    )


def _gains(claim: Claim) -> dict[str, Any]:
    found = {}
    for group in longest(g for g in groups() if g.config["recipe"] == "paper_b"):
        rows = curve_rows([replace(group, runs=(run,)) for run in group.runs])
        scratch = "" if group.config["pretrained"] == "imagenet" else " from scratch"
        name = f"{group.config['model']}{scratch} on {group.dataset}"
        found[name] = [row["gain"] for row in rows]
    return {"gains": found}


@checks("B132", measured=_gains)
def chosen_on_test(*, gains: Mapping[str, Sequence[float]]) -> CheckResult:
    """Ask what choosing the epoch on the test curve would add, which the paper does not exclude.

    Rule: "not run" without two seeds with a test curve; else a "reviewer's question" that is
    answered by a size: no test of whether the best epoch is above another one can fail.

    `gains`: network and data set -> what it adds to the accuracy, by seed.
    """
    gains = {name: values for name, values in gains.items() if len(values) > 1}
    if not gains:
        return lacking("Needed: two runs with a test curve.")
    listed = "; ".join(
        f"{name} {100 * statistics.fmean(values):.1f} ({100 * min(values):.1f} to "
        f"{100 * max(values):.1f}, {len(values)} seeds)"
        for name, values in gains.items()
    )
    return CheckResult(
        verdict=REVIEWERS_QUESTION,
        evidence="The paper draws test curves, names no validation split, and does not say of "
        "which epoch its numbers are. Best test epoch less the one that validation data select, "
        f"points of accuracy, mean and range over the seeds: {listed}. It cannot be negative: its "
        "size is the answer, and no test is made.",
        limits=(OPEN_CHOICE,),
        runs=("paper_b",),
    )
