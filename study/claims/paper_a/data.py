"""Paper A's images: how many, how balanced, how split, from its printed numbers alone."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from helpers.metrics.power import auc_error, newcombe
from study.claims.arithmetic import images
from study.claims.check import InOrder, Whole, checks
from study.claims.outcome import OPEN_CHOICE, Outcome
from study.claims.split_sizes import LARGEST, search_sizes
from study.published import NOT_GIVEN, Published, last_digit
from study.verdicts import CONTRADICTED, REPRODUCED, UNDERSPECIFIED

# Positives to negatives, or the reverse, from which an imbalance is called severe.
SEVERE = 4


@dataclass(frozen=True)
class AucSplits:
    """Which class sizes a set can have, from AUCs that were printed for it.

    Attributes:
        smaller: sizes of the smaller class with which all AUCs are possible without ties.
        tried: sizes of the smaller class that were tried.
        chance: how likely the evenest split fits AUCs that have nothing to do with it.
    """

    smaller: tuple[int, ...]
    tried: int
    chance: float


def auc_splits(printed: Sequence[Published], *, n: int) -> AucSplits:
    """Find the class sizes with which printed AUCs are whole counts of pairs.

    Without tied scores, an AUC is the number of (positive, negative) pairs in the right order over
    the number of pairs.
    """
    values = np.array([value.value for value in printed])
    half = np.array([last_digit(value) / 2 for value in printed])
    smaller = np.arange(1, n // 2 + 1)
    pairs = (smaller * (n - smaller))[:, None]
    fits = np.abs(np.rint(values * pairs) / pairs - values) <= half * (1 + 1e-6)
    reached = np.minimum((pairs[-1, 0] + 1) / (1 / (2 * half) + 1), 1.0)
    return AucSplits(tuple(smaller[fits.all(axis=1)].tolist()), len(smaller), float(reached.prod()))


def smallest_size(printed: Sequence[Published]) -> int | None:
    """Return the smallest size of a set that has all its printed shares, None where none has."""
    return next(iter(search_sizes(printed).sizes), None)


@checks("A01")
def imbalance(
    *, positive: Whole, negative: Whole, val_accuracies: InOrder, val_aucs: InOrder
) -> Outcome:
    """Check "severe class imbalance" against the sets that the numbers come from.

    It is said of angiography in general, so images of one study cannot contradict it.

    Rule: reproduced where the test set has at least 4 images of one class to 1 of the other;
    else underspecified, with what the printed numbers say of the paper's own sets.
    """
    n = smallest_size(val_accuracies)
    splits = auc_splits(val_aucs, n=n) if n else None
    even = splits is not None and splits.smaller == (n // 2,)
    ratio = max(positive, negative) / max(1, min(positive, negative))
    evidence = "Said of angiography in general, without numbers. The paper's own test set has "
    evidence += f"{positive} positive and {negative} negative images"
    if even:
        evidence += (
            f"; of {splits.tried} ways to split the {n} validation images, only {n // 2} : "
            f"{n - n // 2} makes all {len(val_aucs)} validation AUCs whole counts of pairs (that "
            f"this one fits by accident: {100 * splits.chance:.1f} %). Of the training images' "
            "classes nothing is printed"
        )
    return Outcome(
        verdict=REPRODUCED if ratio >= SEVERE else UNDERSPECIFIED, evidence=f"{evidence}."
    )


@checks("A28")
def balanced_test(
    *, total: Whole, positive: Whole, negative: Whole, tn: Whole, fp: Whole, fn: Whole, tp: Whole
) -> Outcome:
    """Check the stated test set against the confusion matrix.

    Rule: reproduced where the matrix has the stated total and class sizes, and these are equal;
    else contradicted.
    """
    rows = (tp + fn, tn + fp)
    holds = rows == (positive, negative) and sum(rows) == total and rows[0] == rows[1]
    return Outcome(
        verdict=REPRODUCED if holds else CONTRADICTED,
        evidence=f"The matrix has {rows[0]} positive and {rows[1]} negative images, {sum(rows)} "
        f"in all; stated are {positive}, {negative} and {total}.",
    )


@checks("A29")
def independence(
    *, source: Published, by_patient: Published, train: InOrder, val: InOrder, n_test: Whole
) -> Outcome:
    """Check whether the paper says enough to call the test set independent.

    Rule: underspecified where the source of the images or the split by patient is not given;
    else reproduced.

    `train`: accuracies of the training images, from which their number is recovered; `val`: of the
    validation images, likewise.
    """
    fitting = [search_sizes(shares).sizes for shares in (train, val)]
    missing = [
        name
        for name, value in (("the source", source), ("a split by patient", by_patient))
        if value.printed == NOT_GIVEN
    ]
    evidence = f"Not given: {', '.join(missing)}." if missing else "Source and split are given."
    if all(fitting):
        evidence += f" {_recovered(*fitting, n_test)}"
    return Outcome(
        verdict=UNDERSPECIFIED if missing else REPRODUCED,
        evidence=evidence,
        limits=(OPEN_CHOICE,) if missing else (),
    )


def _recovered(train: Sequence[int], val: Sequence[int], n_test: int) -> str:
    """Say how many images there are in all, by the sizes of sets that fit the accuracies."""
    parts = [
        f"the {name} accuracies fit a set of {sizes[0]} images"
        + (f", the smallest of {len(sizes)} sizes" if len(sizes) > 1 else ", the only size")
        for name, sizes in (("training", train), ("validation", val))
    ]
    totals = {a + b + n_test: (a, b) for a in train for b in val}
    round_ = [total for total in totals if total % 100 == 0]
    smallest = min(totals)
    text = (
        f"Below {LARGEST:,} {', and '.join(parts)}. With the {n_test} test images the smallest add "
        f"up to {smallest}"
    )
    if smallest in round_:
        text += (
            ", a round number, as a random split by image gives and one by patient seldom would; "
            f"of the {len(totals)} totals possible {len(round_)} "
            f"{'is a whole hundred' if len(round_) == 1 else 'are whole hundreds'}. That it was "
            f"{smallest} hangs on the smallest size being the right one"
        )
    return f"{text}."


@checks("A22", what="training")
@checks("A23", what="validation")
def rising_accuracy(*, printed: InOrder, what: str) -> Outcome:
    """Check that accuracies rise from the first to the last, and are those of one set.

    Rule: contradicted where the last is not above the first, or one is below that before it;
    reproduced where they rise and some set of fewer than 1,000 images has all of them; else
    underspecified.
    """
    values = [value.value for value in printed]
    rising = values[-1] > values[0] and all(np.diff(values) >= 0)
    found = search_sizes(printed)
    evidence = f"From {printed[0].printed} to {printed[-1].printed} %. "
    if found.sizes:
        more = len(found.sizes) - 1
        others = f"the smallest of {more + 1}" if more else "the only one"
        evidence += (
            f"A {what} set of {found.sizes[0]} images ({', '.join(map(str, found.counts))} right) "
            f"gives all {found.n_shares} different values, {others} below {LARGEST:,}; chance of "
            f"an accidental fit up to there: {100 * found.chance:.2g} %."
        )
    else:
        evidence += f"No {what} set below {LARGEST:,} images gives all values."
    verdict = UNDERSPECIFIED
    if not rising:
        verdict = CONTRADICTED
    elif found.sizes:
        verdict = REPRODUCED
    return Outcome(verdict=verdict, evidence=evidence)


@checks("A24")
def rising_auc(*, printed: InOrder, accuracies: InOrder) -> Outcome:
    """Check that the AUC improves in every epoch, and is possible on the recovered set.

    Rule: contradicted where it does not rise every time, or no split of the set that fits the
    accuracies fits the AUCs; else reproduced.
    """
    values = [value.value for value in printed]
    rising = all(np.diff(values) > 0)
    n = smallest_size(accuracies)
    splits = auc_splits(printed, n=n) if n else None
    possible = splits is None or bool(splits.smaller)
    evidence = f"{', '.join(v.printed for v in printed)}: {'rising' if rising else 'not rising'}"
    if splits:
        held = ", ".join(f"{p} : {n - p}" for p in splits.smaller) or "none"
        evidence += f"; splits of {n} images on which all are whole counts of pairs: {held}"
    return Outcome(
        verdict=REPRODUCED if rising and possible else CONTRADICTED, evidence=f"{evidence}."
    )


@checks("A26")
def above_training(*, train: InOrder, val: InOrder) -> Outcome:
    """Check that validation accuracy is above training accuracy after the first epoch.

    Rule: reproduced where it is in each of them, else contradicted.
    """
    gaps = [v.value - t.value for t, v in zip(train, val, strict=True)]
    listed = ", ".join(f"{gap:+.2f}" for gap in gaps)
    return Outcome(
        verdict=REPRODUCED if all(gap > 0 for gap in gaps[1:]) else CONTRADICTED,
        evidence=f"Validation less training accuracy by epoch, points: {listed}.",
    )


@checks("A36")
def auc_possible(
    *,
    auc: Published,
    positive: Whole,
    negative: Whole,
    sensitivity: Published,
    specificity: Published,
) -> Outcome:
    """Check an AUC against the class sizes and the one printed point of its ROC curve.

    A curve through that point has an area between sensitivity x specificity and
    1 - (1 - sensitivity) (1 - specificity).

    Rule: reproduced where the AUC lies within these bounds and is a whole count of half pairs
    (ties count half) to the printed digits; else contradicted.
    """
    se, sp = sensitivity.fraction, specificity.fraction
    low, high = se * sp, 1 - (1 - se) * (1 - sp)
    pairs = positive * negative
    nearest = round(2 * auc.value * pairs) / (2 * pairs)
    whole = abs(nearest - auc.value) <= last_digit(auc) / 2 * (1 + 1e-6)
    error = auc_error(auc.value, positive, negative)
    return Outcome(
        verdict=REPRODUCED if whole and low <= auc.value <= high else CONTRADICTED,
        evidence=f"{auc.printed} is {nearest * pairs:g} of {pairs:,} pairs, and lies within "
        f"{low:.3f} .. {high:.3f}, which the printed sensitivity and specificity allow; standard "
        f"error {error:.3f} (Hanley and McNeil)."
        if whole and low <= auc.value <= high
        else f"{auc.printed} is not possible: bounds {low:.3f} .. {high:.3f}, {pairs:,} pairs.",
    )


@checks("A84")
def generalises(*, val: Published, earlier: InOrder, test: Published, n_test: Whole) -> Outcome:
    """Check that the accuracy carries over from the validation to the test images.

    Rule: contradicted where the drop is more than chance (Newcombe, 95 %), reproduced where the
    test accuracy is not lower; else underspecified: a drop of the printed size would need more
    images to be told from none.

    `val`: accuracy of the validation images in the epoch that they ended; `earlier`: in the epochs
    before, which with it tell how many images there are.
    """
    n_val = smallest_size([*earlier, val])
    a, b = images(val, n_val).images, images(test, n_test).images
    drop = newcombe(a, n_val, b, n_test)
    verdict = REPRODUCED if drop.value <= 0 else UNDERSPECIFIED
    return Outcome(
        verdict=CONTRADICTED if drop.low > 0 else verdict,
        evidence=f"{a} of {n_val} on the validation images, in the epoch that they ended, and {b} "
        f"of {n_test} on the test images: a drop of {100 * drop.value:.1f} points (95 % "
        f"{100 * drop.low:+.1f} to {100 * drop.high:+.1f}).",
    )
