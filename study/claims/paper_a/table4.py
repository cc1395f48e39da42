"""Paper A's Table 4 by its own numbers: counts, gains, and what 120 images can show."""

from collections.abc import Mapping

from helpers.metrics.power import best_mcnemar, most_losses, newcombe, power
from study.claims.arithmetic import difference, images
from study.claims.outcome import Outcome
from study.published import Published
from study.sizes import matches
from study.verdicts import CONTRADICTED, NOT_REPRODUCED, REPRODUCED, UNDERSPECIFIED


def above_all(
    *, ours: Mapping[str, Published], others: Mapping[str, Mapping[str, Published]]
) -> Outcome:
    """Check that ours is the highest of the table in each metric.

    Verdict: reproduced where it is, else contradicted.
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
    return Outcome(
        verdict=CONTRADICTED if behind else REPRODUCED,
        evidence=f"{listed}{'; not below: ' + ', '.join(behind) if behind else ''}.",
        figures={metric: value.value for metric, value in ours.items()},
    )


def printed_gain(*, ours: Published, theirs: Published, printed: Published) -> Outcome:
    """Check that a stated gain is the difference of the table's rows.

    Verdict: reproduced where the difference gives the printed digits, else contradicted.
    """
    found = difference(ours, theirs)
    return Outcome(
        verdict=REPRODUCED if matches(found, printed) else CONTRADICTED,
        evidence=f"{ours.printed} - {theirs.printed} = {found:g}; printed is +{printed.printed}.",
        figures={"difference": found, "published": printed.value},
    )


def whole_counts(*, printed: Mapping[str, Published], n: int) -> Outcome:
    """Check that accuracies are whole counts of the test images.

    Verdict: reproduced where all are, else contradicted.
    """
    counts = {name: images(value, n) for name, value in printed.items()}
    listed = ", ".join(f"{name} {c.images}" for name, c in counts.items())
    wrong = [name for name, c in counts.items() if not c.fits]
    evidence = f"Nearest counts of {n}: {listed}; "
    evidence += f"no whole count: {', '.join(wrong)}." if wrong else "each gives the digits."
    return Outcome(
        verdict=CONTRADICTED if wrong else REPRODUCED,
        evidence=evidence,
        figures={name: c.images for name, c in counts.items()},
    )


def shown_by_counts(*, ours: Published, theirs: Published, n: int) -> Outcome:
    """Check whether two printed accuracies on the same `n` images show which system is better.

    The paper does not say where the systems differ, which a paired test needs.

    Verdict: contradicted where ours is not higher; reproduced where Newcombe's interval, as if of
    different images, lies above 0; not reproduced where even the most favourable overlap leaves
    McNemar's p at 5 % or above; else underspecified.
    """
    a, b = images(ours, n).images, images(theirs, n).images
    gap, best, told = newcombe(a, n, b, n), best_mcnemar(a, b), power(a / n, b / n, n)
    evidence = (
        f"{a} against {b} of {n} right: {100 * gap.value:+.1f} points (95 % {100 * gap.low:+.1f} "
        f"to {100 * gap.high:+.1f} as if of different images; systems truly so far apart are told "
        f"apart in {100 * told:.0f} % of such tests); "
    )
    verdict = UNDERSPECIFIED
    if a <= b:
        verdict, evidence = CONTRADICTED, evidence + "not higher."
    elif gap.low > 0:
        verdict, evidence = REPRODUCED, evidence + "above chance."
    elif best >= 0.05:
        verdict = NOT_REPRODUCED
        evidence += f"even the most favourable overlap gives p = {best:.3f} (McNemar, exact)."
    else:
        lost = most_losses(a - b, n=n)
        evidence += (
            f"shown (McNemar, p < 5 %) only if the lower one alone is right on at most {lost} "
            f"image{'' if lost == 1 else 's'}, which is not printed."
        )
    return Outcome(
        verdict=verdict,
        evidence=evidence,
        figures={"difference": gap.value, "low": gap.low, "high": gap.high}
        | {"best p": best, "power": told},
    )
