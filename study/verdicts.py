"""Judge a published value against our runs, by the rule of `params/verdicts.yaml`."""

from helpers.metrics.seeds import SeedMean
from study.plans.verdicts import Rules
from study.published import Published

REPRODUCED = "reproduced"
OURS_LOWER = "not reproduced, ours lower"
OURS_HIGHER = "not reproduced, ours higher"
TOO_FEW_SEEDS = "too few seeds"
NOT_RUN = "not run"
UNVERIFIED = "unverified, no verdict"
NO_VERDICT = ""
MATCH = "match"
NO_MATCH = "no match"


def judge(published: Published, measured: SeedMean | None, *, rules: Rules) -> str:
    """Return the verdict on one published accuracy.

    Args:
        published: the printed value.
        measured: ours, None if there is no run.
        rules: see `load_rules`.

    Returns:
        One of `REPRODUCED`, `OURS_LOWER`, `OURS_HIGHER`, `TOO_FEW_SEEDS`, `NOT_RUN`, `UNVERIFIED`
        (marked M), `NO_VERDICT` (no number printed).
    """
    if published.mark == "M":
        return UNVERIFIED
    if not published.may_carry_verdict:
        return NO_VERDICT
    if measured is None:
        return NOT_RUN
    if measured.n_seeds < rules.min_seeds(measured.n_images):
        return TOO_FEW_SEEDS
    if measured.high < published.fraction:
        return OURS_LOWER
    if measured.low > published.fraction:
        return OURS_HIGHER
    return REPRODUCED
