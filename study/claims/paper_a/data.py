"""Paper A's images: how many, how balanced, how split, from its printed numbers alone."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from helpers.metrics.power import auc_error, newcombe
from study.claims.arithmetic import fits, images
from study.claims.check import InOrder, Whole, checks
from study.claims.check_result import OPEN_CHOICE, CheckResult
from study.claims.split_sizes import LARGEST, search_sizes
from study.published import NOT_GIVEN, Published, last_digit
from study.sizes import matches
from study.verdicts import CONTRADICTED, REPRODUCED, UNDERSPECIFIED

# Positives to negatives, or the reverse, from which an imbalance is called severe.
SEVERE = 4


@dataclass(frozen=True)
class AucSplits:
    """Which class sizes a set can have, from AUCs that were printed for it."""

    smaller: tuple[int, ...]  # sizes of the smaller class with which all AUCs are possible
    tried: int  # sizes of the smaller class that were tried
    chance: float  # how likely the evenest split fits AUCs that have nothing to do with it


def auc_splits(printed: Sequence[Published], *, n: int) -> AucSplits:
    """Find the class sizes with which printed AUCs are whole counts of pairs.

    Without tied scores, an AUC is the number of (positive, negative) pairs in the right order over
    the number of pairs.
    """
    smaller = np.arange(1, n // 2 + 1)
    pairs = smaller * (n - smaller)
    possible = np.all([fits(np.rint(v.value * pairs) / pairs, v) for v in printed], axis=0)
    # Of all values that can be printed, the evenest split reaches this share.
    reached = [min((pairs[-1] + 1) / (1 / last_digit(v) + 1), 1.0) for v in printed]
    chance = float(math.prod(reached))
    return AucSplits(tuple(smaller[possible].tolist()), len(smaller), chance)


def smallest_size(printed: Sequence[Published]) -> int | None:
    """Return the smallest size of a set that has all its printed shares, None where none has."""
    return next(iter(search_sizes(printed).sizes), None)


@checks("A01")
def imbalance(
    *, positive: Whole, negative: Whole, val_accuracies: InOrder, val_aucs: InOrder
) -> CheckResult:
    """Check "severe class imbalance" against the sets that the numbers come from.

    It is said of angiography in general, so images of one study cannot contradict it.

    Rule: reproduced where the test set has at least 4 images of one class to 1 of the other;
    else underspecified, with what the printed numbers say of the paper's own sets.
    """
    n = smallest_size(val_accuracies)
    splits = auc_splits(val_aucs, n=n) if n else None
    ratio = max(positive, negative) / max(1, min(positive, negative))
    validation = ""
    if splits and splits.smaller == (n // 2,):
        validation = (
            f"; of {splits.tried} ways to split the {n} validation images, only {n // 2} : "
            f"{n - n // 2} makes all {len(val_aucs)} validation AUCs whole counts of pairs (that "
            f"this one fits by accident: {100 * splits.chance:.1f} %). Of the training images' "
            "classes nothing is printed"
        )
    return CheckResult(
        verdict=REPRODUCED if ratio >= SEVERE else UNDERSPECIFIED,
        evidence="Said of angiography in general, without numbers. The paper's own test set has "
        f"{positive} positive and {negative} negative images{validation}.",
    )


@checks("A28")
def balanced_test(
    *, total: Whole, positive: Whole, negative: Whole, tn: Whole, fp: Whole, fn: Whole, tp: Whole
) -> CheckResult:
    """Check the stated test set against the confusion matrix.

    Rule: reproduced where the matrix has the stated total and class sizes, and these are equal;
    else contradicted.
    """
    first, second = tp + fn, tn + fp
    stated = (first, second, first + second) == (positive, negative, total)
    return CheckResult(
        verdict=REPRODUCED if stated and first == second else CONTRADICTED,
        evidence=f"The matrix has {first} positive and {second} negative images, {first + second} "
        f"in all; stated are {positive}, {negative} and {total}.",
    )


@checks("A29")
def independence(
    *, source: Published, by_patient: Published, train: InOrder, val: InOrder, n_test: Whole
) -> CheckResult:
    """Check whether the paper says enough to call the test set independent.

    Rule: underspecified where the source of the images or the split by patient is not given;
    else reproduced.

    `train`: accuracies of the training images, from which their number is recovered; `val`: of the
    validation images, likewise.
    """
    needed = {"the source": source, "a split by patient": by_patient}
    missing = [name for name, value in needed.items() if value.printed == NOT_GIVEN]
    evidence = f"Not given: {', '.join(missing)}." if missing else "Source and split are given."
    sizes_train, sizes_val = (search_sizes(shares).sizes for shares in (train, val))
    if sizes_train and sizes_val:
        evidence += f" {_recovered(sizes_train, sizes_val, n_test)}"
    return CheckResult(
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
    totals = {a + b + n_test for a in train for b in val}
    hundreds = sum(total % 100 == 0 for total in totals)
    smallest = min(totals)
    text = (
        f"Below {LARGEST:,} {', and '.join(parts)}. With the {n_test} test images the smallest add "
        f"up to {smallest}"
    )
    if smallest % 100 == 0:
        text += (
            ", a round number, as a random split by image gives and one by patient seldom would; "
            f"of the {len(totals)} totals possible {hundreds} "
            f"{'is a whole hundred' if hundreds == 1 else 'are whole hundreds'}. That it was "
            f"{smallest} hangs on the smallest size being the right one"
        )
    return f"{text}."


@checks("A22", what="training")
@checks("A23", what="validation")
def rising_accuracy(*, printed: InOrder, what: str) -> CheckResult:
    """Check that accuracies rise from the first to the last, and are those of one set.

    Rule: contradicted where the last is not above the first, or one is below that before it;
    reproduced where they rise and some set of fewer than 1,000 images has all of them; else
    underspecified.
    """
    values = [value.value for value in printed]
    rising = values[-1] > values[0] and all(np.diff(values) >= 0)
    found = search_sizes(printed)
    verdict, size = UNDERSPECIFIED, f"No {what} set below {LARGEST:,} images gives all values."
    if found.sizes:
        n_sizes = len(found.sizes)
        others = f"the smallest of {n_sizes}" if n_sizes > 1 else "the only one"
        verdict = REPRODUCED
        size = (
            f"A {what} set of {found.sizes[0]} images ({', '.join(map(str, found.counts))} right) "
            f"gives all {found.n_shares} different values, {others} below {LARGEST:,}; chance of "
            f"an accidental fit up to there: {100 * found.chance:.2g} %."
        )
    return CheckResult(
        verdict=verdict if rising else CONTRADICTED,
        evidence=f"From {printed[0].printed} to {printed[-1].printed} %. {size}",
    )


@checks("A24")
def rising_auc(*, printed: InOrder, accuracies: InOrder) -> CheckResult:
    """Check that the AUC improves in every epoch, and is possible on the recovered set.

    Rule: contradicted where it does not rise every time, or no split of the set that fits the
    accuracies fits the AUCs; else reproduced.
    """
    rising = all(np.diff([value.value for value in printed]) > 0)
    n = smallest_size(accuracies)
    splits = auc_splits(printed, n=n) if n else None
    possible = splits is None or bool(splits.smaller)
    evidence = f"{', '.join(v.printed for v in printed)}: {'rising' if rising else 'not rising'}"
    if splits:
        held = ", ".join(f"{p} : {n - p}" for p in splits.smaller) or "none"
        evidence += f"; splits of {n} images on which all are whole counts of pairs: {held}"
    return CheckResult(
        verdict=REPRODUCED if rising and possible else CONTRADICTED, evidence=f"{evidence}."
    )


@checks("A26")
def above_training(*, train: InOrder, val: InOrder) -> CheckResult:
    """Check that validation accuracy is above training accuracy after the first epoch.

    Rule: reproduced where it is in each of them, else contradicted.
    """
    gaps = [v.value - t.value for t, v in zip(train, val, strict=True)]
    listed = ", ".join(f"{gap:+.2f}" for gap in gaps)
    return CheckResult(
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
) -> CheckResult:
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
    if not (matches(nearest, auc) and low <= auc.value <= high):
        return CheckResult(
            verdict=CONTRADICTED,
            evidence=f"{auc.printed} is not possible: bounds {low:.3f} .. {high:.3f}, {pairs:,} "
            "pairs.",
        )
    return CheckResult(
        verdict=REPRODUCED,
        evidence=f"{auc.printed} is {nearest * pairs:g} of {pairs:,} pairs, and lies within "
        f"{low:.3f} .. {high:.3f}, which the printed sensitivity and specificity allow; standard "
        f"error {auc_error(auc.value, positive, negative):.3f} (Hanley and McNeil).",
    )


@checks("A84")
def generalises(*, val: Published, earlier: InOrder, test: Published, n_test: Whole) -> CheckResult:
    """Check that the accuracy carries over from the validation to the test images.

    Rule: contradicted where the drop is more than chance (Newcombe, 95 %), reproduced where the
    test accuracy is not lower; else underspecified: a drop of the printed size would need more
    images to be told from none.

    `val`: accuracy of the validation images in the epoch that they ended; `earlier`: in the epochs
    before, which with it tell how many images there are.
    """
    n_val = smallest_size([*earlier, val])
    a, b = images(val, n_val), images(test, n_test)
    drop = newcombe(a, n_val, b, n_test)
    verdict = REPRODUCED if drop.value <= 0 else UNDERSPECIFIED
    return CheckResult(
        verdict=CONTRADICTED if drop.low > 0 else verdict,
        evidence=f"{a} of {n_val} on the validation images, in the epoch that they ended, and {b} "
        f"of {n_test} on the test images: a drop of {100 * drop.value:.1f} points (95 % "
        f"{100 * drop.low:+.1f} to {100 * drop.high:+.1f}).",
    )
