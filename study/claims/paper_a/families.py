"""Comparisons that no plan names, judged as planned ones are: Holm's correction, both signs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from helpers.metrics.scores import Estimate
from study.compare import correct, power_for
from study.plans.comparisons import load_plan
from study.plans.verdicts import load_rules
from study.verdicts import (
    INCONCLUSIVE,
    SHOWN,
    SHOWN_REVERSED,
    UNDERSPECIFIED,
    on_comparison,
)


@dataclass(frozen=True)
class Member:
    """A difference as a member of its family.

    Attributes:
        difference: over images and seeds.
        p: after Holm's correction, None where no test is possible.
        verdict: on "above 0", see `verdicts.on_comparison`.
        power: for the size that the rules fix for a share, None where nothing varies.
    """

    difference: Estimate
    p: float | None
    verdict: str
    power: float | None


def judge_family(differences: Mapping[str, Estimate]) -> dict[str, Member]:
    """Judge differences on other images than the paper's, corrected for their number.

    A difference of fewer seeds than the plan asks for keeps its place, and is not tested.
    """
    plan, rules = load_plan(), load_rules()
    least, size = plan.rule.min_seeds, rules.size["accuracy"]
    tested = [d if (d.seeds or 0) >= least else None for d in differences.values()]
    found = {}
    for (name, d), one in zip(differences.items(), correct(tested, level=rules.level), strict=True):
        verdict = on_comparison(
            *(d, None if one.p_value is None else one.shown),
            **{"rules": rules, "paper": plan.rule.paper, "min_seeds": least},
            same_images=plan.rule.same_images,
        )
        found[name] = Member(d, one.p_value, verdict, power_for(d, size))
    return found


def sign_of(verdict: str) -> int:
    """Return 1 for "shown", -1 for "shown reversed", else 0."""
    return {SHOWN: 1, SHOWN_REVERSED: -1}.get(verdict, 0)


def verdict_of_signs(signs: Sequence[int]) -> str:
    """Return the verdict on "above 0" where the measure is not named.

    Args:
        signs: that each measure shows, 0 for none; at least one.

    Returns:
        `SHOWN` or `SHOWN_REVERSED` where all measures say so, `INCONCLUSIVE` where none says
        anything, else `UNDERSPECIFIED`.
    """
    if all(sign > 0 for sign in signs):
        return SHOWN
    if all(sign < 0 for sign in signs):
        return SHOWN_REVERSED
    return UNDERSPECIFIED if any(signs) else INCONCLUSIVE
