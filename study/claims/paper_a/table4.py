"""Paper A's Table 4 by its own numbers: counts, gains, and what 120 images can show."""

import math
from collections.abc import Sequence

from scipy import optimize, stats

from helpers.metrics.intervals import holm
from helpers.metrics.power import auc_error, best_mcnemar, newcombe, power
from helpers.metrics.scores import LEVEL
from study.claims.arithmetic import difference, images, scale_of
from study.claims.check import ByColumn, ByRow, ByRowAndColumn, InOrder, Whole, checks
from study.claims.check_result import CheckResult
from study.published import Published, rounding
from study.sizes import matches
from study.verdicts import CONTRADICTED, NOT_REPRODUCED, REPRODUCED, UNDERSPECIFIED
from study.words import p_text


@checks("A41")
def above_all(*, ours: ByColumn, others: ByRowAndColumn) -> CheckResult:
    """Check that ours is the highest of the table in each metric.

    Rule: reproduced where it is, else contradicted.
    """
    behind = [
        f"{metric} of {name}"
        for name, row in others.items()
        for metric, value in row.items()
        if value.value >= ours[metric].value
    ]
    listed = "; ".join(
        f"{metric} {value.printed} against at most "
        f"{max((row[metric] for row in others.values()), key=lambda v: v.value).printed}"
        for metric, value in ours.items()
    )
    return CheckResult(
        verdict=CONTRADICTED if behind else REPRODUCED,
        evidence=f"{listed}{'; not below: ' + ', '.join(behind) if behind else ''}.",
    )


@checks("A47", "A48", "A49", "A50", "A51")
def printed_gain(*, ours: Published, theirs: Published, printed: Published) -> CheckResult:
    """Check that a stated gain is the difference of the table's rows.

    Rule: reproduced where the difference gives the printed digits, else contradicted.
    """
    found = difference(ours, theirs)
    return CheckResult(
        verdict=REPRODUCED if matches(found, printed) else CONTRADICTED,
        evidence=f"{ours.printed} - {theirs.printed} = {found:g}; printed is +{printed.printed}.",
    )


@checks("A42")
def whole_counts(*, printed: ByRow, n: Whole) -> CheckResult:
    """Check that accuracies are whole counts of the test images.

    Rule: reproduced where all are, else contradicted.
    """
    counts = {name: images(value, n) for name, value in printed.items()}
    listed = ", ".join(f"{name} {count}" for name, count in counts.items())
    wrong = [
        name
        for name, value in printed.items()
        if not matches(scale_of(value) * counts[name] / n, value)
    ]
    found = f"no whole count: {', '.join(wrong)}" if wrong else "each gives the digits"
    return CheckResult(
        verdict=CONTRADICTED if wrong else REPRODUCED,
        evidence=f"Nearest counts of {n}: {listed}; {found}.",
    )


SIGNIFICANT = 1 - LEVEL


def corrected(p_values: Sequence[float]) -> float:
    """Return the first p value of a family after Holm's correction over it."""
    return float(holm(p_values)[0])


def apart_p(k1: int, k2: int, n: int) -> float:
    """Return the p value of two counts as if of different images: pooled z test, two-sided."""
    pooled = (k1 + k2) / (2 * n)
    error = math.sqrt(pooled * (1 - pooled) * 2 / n)
    return float(2 * stats.norm.sf(abs(k1 - k2) / n / error)) if error else 1.0


def most_lost(gain: int, n: int, others: Sequence[float]) -> int | None:
    """Return how many images the lower system alone may have right for its loss to be shown.

    It is the most with which McNemar's exact p, corrected by Holm, is below 5 %; None where no
    overlap is favourable enough.

    Args:
        gain: images by which the other is ahead, at least 1.
        n: images of the test set.
        others: the smallest p values that the other comparisons of the family can have.
    """
    shown = None
    for lost in range((n - gain) // 2 + 1):
        p = float(stats.binomtest(gain + lost, gain + 2 * lost).pvalue)
        if corrected([p, *others]) >= SIGNIFICANT:
            break
        shown = lost
    return shown


@checks("A52", "A53", "A54")
def shown_by_counts(
    *, ours: Published, theirs: Published, others: InOrder, n: Whole
) -> CheckResult:
    """Check whether two printed accuracies on the same `n` images show which system is better.

    The paper does not say where the systems differ, which a paired test needs. The comparisons with
    the three baselines of Table 4 are a family: every p value is corrected by Holm over the three.

    Rule: contradicted where ours is not higher; reproduced where the two differ as if of different
    images (pooled z test, corrected p below 5 %); not reproduced where even the most favourable
    overlaps leave McNemar's corrected p at 5 % or above; else underspecified.

    `others`: accuracies of the other baselines.
    """
    a, b, *rest = (images(value, n) for value in (ours, theirs, *others))
    apart = corrected([apart_p(a, k, n) for k in (b, *rest)])
    best_p, *best_of_rest = (best_mcnemar(a, k) for k in (b, *rest))
    best = corrected([best_p, *best_of_rest])
    gap, told = newcombe(a, n, b, n), power(a / n, b / n, n)
    family = f"corrected for the {len(rest) + 1} baselines"
    if a <= b:
        verdict, reason = CONTRADICTED, "not higher"
    elif apart < SIGNIFICANT:
        verdict, reason = REPRODUCED, "above chance"
    elif best >= SIGNIFICANT:
        verdict = NOT_REPRODUCED
        reason = f"even the most favourable overlap gives {p_text(best)} (McNemar, exact, {family})"
    else:
        verdict, lost = UNDERSPECIFIED, most_lost(a - b, n, best_of_rest)
        reason = (
            "shown (McNemar, p < 5 % after the correction) only if the lower one alone is right on "
            f"{f'at most {lost}' if lost else 'no'} image{'' if lost in (0, 1) else 's'}, which is "
            "not printed"
        )
    return CheckResult(
        verdict=verdict,
        evidence=f"{a} against {b} of {n} right: {100 * gap.value:+.1f} points (95 % "
        f"{100 * gap.low:+.1f} to {100 * gap.high:+.1f} as if of different images, {p_text(apart)} "
        f"{family}; systems truly so far apart are told apart in {100 * told:.0f} % of such "
        f"tests); {reason}.",
    )


@checks("A79")
def auc_counts(*, printed: ByRow, positive: Whole, negative: Whole) -> CheckResult:
    """Check that AUCs are counts of (positive, negative) pairs; a tied pair counts half.

    A half count takes an odd number of tied pairs. A score that p positives and q negatives share
    ties p q pairs, so at least one score must be shared by an odd number of both.

    Rule: reproduced where the digits of each hold a whole count; contradicted where one holds
    not even a half count; else underspecified: the scores are not printed.
    """
    pairs = positive * negative
    halves = {name: _half_counts(value, pairs) for name, value in printed.items()}
    impossible = [name for name, found in halves.items() if not found]
    tied = [name for name, found in halves.items() if found and found[0] % 2]
    listed = ", ".join(
        f"{name} {printed[name].printed} "
        f"{' or '.join(f'{half / 2:,g}' for half in found) or 'no count'}"
        for name, found in halves.items()
    )
    verdict = UNDERSPECIFIED if tied else REPRODUCED
    evidence = f"Of {pairs:,} pairs: {listed}."
    if tied:
        evidence += (
            f" The half counts ({', '.join(tied)}) need an odd number of tied pairs: at least one "
            "score that an odd number of positive images and an odd number of negative ones have "
            "in common to the last digit. Ties are not mentioned."
        )
    return CheckResult(verdict=CONTRADICTED if impossible else verdict, evidence=evidence)


def _half_counts(value: Published, pairs: int) -> list[int]:
    """Return the counts, in halves, that have the printed digits: whole ones, if there are any."""
    low, high = (2 * pairs * end for end in rounding(value))
    found = range(math.ceil(low - 1e-6), math.floor(high + 1e-6) + 1)
    return [half for half in found if half % 2 == 0] or list(found)


# Most that two AUCs on the same images can be taken to be correlated.
CLOSEST = 0.9
Z = stats.norm.ppf((1 + LEVEL) / 2)


def auc_p(ours: Published, theirs: Published, positive: int, negative: int, r: float) -> float:
    """Return the p value of a difference of two AUCs that are correlated by r; normal theory."""
    a, b = (auc_error(value.fraction, positive, negative) for value in (ours, theirs))
    error = math.sqrt(a**2 + b**2 - 2 * r * a * b)
    return float(2 * stats.norm.sf(abs(difference(ours, theirs)) / error))


def needed_correlation(
    ours: Published, theirs: Published, others: Sequence[Published], positive: int, negative: int
) -> float | None:
    """Return the correlation of the AUCs from which a difference is significant in its family.

    Ours is taken to be as far correlated with each of the family; p is corrected by Holm. It is 0
    where none is needed, None where even `CLOSEST` is not enough.
    """

    def above(r: float) -> float:
        p_values = [auc_p(ours, value, positive, negative, r) for value in (theirs, *others)]
        return corrected(p_values) - SIGNIFICANT

    if above(0.0) < 0:
        return 0.0
    return None if above(CLOSEST) >= 0 else float(optimize.brentq(above, 0.0, CLOSEST))


@checks("A80", "A81", "A82")
def auc_shown(
    *, ours: Published, theirs: Published, others: InOrder, positive: Whole, negative: Whole
) -> CheckResult:
    """Check whether two printed AUCs on the same images show which system is better.

    Standard errors by Hanley & McNeil; how far the two are correlated by the common images is not
    printed. The comparisons with the three baselines of Table 4 are a family: every p value is
    corrected by Holm over the three.

    Rule: contradicted where ours is not higher; reproduced where the difference is significant
    (corrected p below 5 %) without any correlation; not reproduced where it is not even at one of
    .9; else underspecified.

    `others`: AUCs of the other baselines.
    """
    sizes = (positive, negative)
    gap, needed = difference(ours, theirs), needed_correlation(ours, theirs, others, *sizes)
    error = math.hypot(*(auc_error(v.fraction, *sizes) for v in (ours, theirs)))
    p_values = [auc_p(ours, value, *sizes, 0.0) for value in (theirs, *others)]
    if gap <= 0:
        verdict, reason = CONTRADICTED, "not higher"
    elif needed is None:
        verdict = NOT_REPRODUCED
        reason = f"not even a correlation of {CLOSEST:g} between the two would show it"
    elif needed <= 0:
        verdict, reason = REPRODUCED, "above chance"
    else:
        verdict = UNDERSPECIFIED
        reason = (
            f"shown only if the AUCs, by their common images, are correlated by {needed:.2f} or "
            "more, which is not printed"
        )
    return CheckResult(
        verdict=verdict,
        evidence=f"{ours.printed} against {theirs.printed} on {positive} and {negative} images: "
        f"{gap:+.4f} (95 % {gap - Z * error:+.3f} to {gap + Z * error:+.3f} as if of different "
        f"images, {p_text(p_values[0])}, {p_text(corrected(p_values))} corrected for the "
        f"{len(p_values)} baselines); {reason}.",
    )


@checks("A83")
def same_twice(*, first: ByColumn, second: ByColumn) -> CheckResult:
    """Check that two tables give one system the same numbers.

    Rule: reproduced where every number is printed alike, else contradicted.
    """
    wrong = [name for name, value in first.items() if value.printed != second[name].printed]
    listed = ", ".join(
        f"{name} {value.printed} and {second[name].printed}" for name, value in first.items()
    )
    return CheckResult(verdict=CONTRADICTED if wrong else REPRODUCED, evidence=f"{listed}.")
