"""Paper B's sentences on training curves, and on the epoch that its numbers are of."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from study.claims.check import checks
from study.claims.ledger import Claim
from study.claims.outcome import OPEN_CHOICE, STAND_IN, Outcome, lacking
from study.claims.paper_b import stored
from study.published import Published
from study.verdicts import (
    NOT_REPRODUCED,
    OTHER_IMAGES,
    REPRODUCED,
    REVIEWERS_QUESTION,
)

# Epochs over which a curve is averaged where it is read.
WINDOW = 5
# Share of its whole fall that a curve must have done early, and may still do late.
RAPID, STEADY = 0.75, 0.1


# Curve, as the paper calls it -> figure of the history.
LOSSES = {"training loss": "train_loss", "held-out loss": "val_loss"}
ACCURACIES = {"train accuracy": "train_accuracy", "test accuracy": "val_accuracy"}


def _long(claim: Claim) -> dict[str, Any]:
    return {"courses": stored.long_courses(claim.ours, LOSSES, epochs=claim.value("epochs"))}


@checks("B128", dataset="BreastMNIST", same=False, measured=_long)
def settles(
    *,
    courses: Mapping[str, Sequence[Sequence[float]]],
    rapid: Published,
    steady: Published,
    dataset: str,
    same: bool,
) -> Outcome:
    """Judge "both losses fall rapidly in the first epochs and are stable from a later one on".

    Rule: "not run" without two runs of the printed length; on another data set no verdict ("other
    images"); else "reproduced" where each loss, on the mean over the seeds, has done three quarters
    of its fall by the first of the two epochs, and does less than a tenth of it after the second,
    "not reproduced" otherwise.

    `courses`: curve -> its values by epoch, of each seed; `same`: whether it is one that the paper
    speaks of.
    """
    if min(len(runs) for runs in courses.values()) < 2:
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
    return Outcome(
        verdict=verdict if same else OTHER_IMAGES,
        evidence=f"On {dataset}, {min(map(len, courses.values()))} seeds at the printed length: "
        f"{listed}.",
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


def _early(claim: Claim) -> dict[str, Any]:
    epoch = round(claim.value("epoch").value)
    return {"found": stored.curves_at(claim, ACCURACIES, epoch=epoch, scale=100)}


@checks("B129", "B130", measured=_early)
def reaches(*, printed: Published, epoch: Published, found: Mapping[str, float] | None) -> Outcome:
    """Judge where training curves are after a number of epochs.

    Rule: "not run" without runs of the printed length on the data set; "reproduced" where each of
    ours is in the printed range, or on the printed side of the bound, a point more or less;
    else "not reproduced".

    `found`: curve -> ours in %, mean over seeds; None without such runs.
    """
    listed = ", ".join(f"{name} {printed.printed} %" for name in ACCURACIES)
    if not found:
        return lacking(
            f"Printed for epoch {epoch.printed}: {listed}. Needed: runs of the printed "
            "length on the data set."
        )
    off = [
        value
        for value in found.values()
        if (printed.low is not None and value < printed.low - 1)
        or (printed.high is not None and value > printed.high + 1)
    ]
    return Outcome(
        verdict=NOT_REPRODUCED if off else REPRODUCED,
        evidence=f"Printed for epoch {epoch.printed}: {listed}; ours: "
        + ", ".join(f"{name} {value:.1f} %" for name, value in found.items())
        + ".",
        limits=(OPEN_CHOICE,),
        runs=("paper_b",),
    )


@checks("B132", measured=lambda claim: {"gains": stored.chosen_epochs()})
def chosen_on_test(*, gains: Mapping[str, Sequence[float]]) -> Outcome:
    """Ask what choosing the epoch on the test curve would add, which the paper does not exclude.

    Rule: "not run" without two seeds with a test curve; else a "reviewer's question" that is
    answered by a size: the best epoch of a curve is never below another one, so that no test of
    whether it is above can fail, and none is made.

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
    return Outcome(
        verdict=REVIEWERS_QUESTION,
        evidence="The paper draws test curves, names no validation split, and does not say of "
        "which epoch its numbers are. Best test epoch less the one that validation data select, "
        f"points of accuracy, mean and range over the seeds: {listed}. It cannot be negative: its "
        "size is the answer, and no test is made.",
        limits=(OPEN_CHOICE,),
        runs=("paper_b",),
    )
