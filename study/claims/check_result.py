"""What a check says of a claim: a verdict, the evidence, and what the verdict hangs on."""

from collections.abc import Iterable
from dataclasses import dataclass

from study.published import NOT_GIVEN, Published
from study.verdicts import (
    INCONCLUSIVE,
    NOT_REPRODUCED,
    NOT_RUN,
    OF_CLAIMS,
    OPEN,
    REPRODUCED,
    SHOWN,
    SHOWN_REVERSED,
    UNDERSPECIFIED,
)

# What a verdict may hang on besides the two papers' own numbers.
STAND_IN = "other images than the paper's"
OPEN_CHOICE = "our reading of what the text leaves open"
BUDGET = "a smaller training budget than the paper's"
LIMITS = (STAND_IN, OPEN_CHOICE, BUDGET)


@dataclass(frozen=True, kw_only=True)
class CheckResult:
    """The result of a check; a `ValueError` for an unknown verdict or limit, or no evidence."""

    verdict: str  # one of `verdicts.OF_CLAIMS`
    evidence: str  # one or two sentences with the figures that decide
    limits: tuple[str, ...] = ()  # what the verdict hangs on, some of `LIMITS`
    # The recipes, tables or studies that measured figures come from; empty where the verdict is
    # computed from printed numbers alone.
    runs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.verdict not in OF_CLAIMS:
            raise ValueError(f"unknown verdict {self.verdict!r}; known: {', '.join(OF_CLAIMS)}.")
        if unknown := [limit for limit in self.limits if limit not in LIMITS]:
            raise ValueError(f"unknown limits {unknown}; known: {', '.join(LIMITS)}.")
        if not self.evidence.strip():
            raise ValueError("a result needs evidence in words.")


def lacking(evidence: str) -> CheckResult:
    """Return the result of a check whose runs or measurements are not stored."""
    return CheckResult(verdict=NOT_RUN, evidence=evidence)


def in_ledger(verdict: str) -> str:
    """Return the ledger's word for a verdict on runs: what cannot be tested is inconclusive.

    Too few seeds are runs that are missing.
    """
    if verdict in OF_CLAIMS:
        return verdict
    return NOT_RUN if verdict in OPEN else INCONCLUSIVE


def if_given(given: Published, holds: bool, *, otherwise: str) -> str:
    """Return `REPRODUCED` where a claim holds, else `NOT_REPRODUCED`.

    Or the verdict `otherwise` while what the claim hangs on is not given.
    """
    if given.printed == NOT_GIVEN:
        return otherwise
    return REPRODUCED if holds else NOT_REPRODUCED


def verdict_of_measures(signs: Iterable[int]) -> str:
    """Return the verdict on a comparison whose measure is not named, from the sign of each measure.

    `SHOWN` or `SHOWN_REVERSED` where all say so, `INCONCLUSIVE` where none says anything (0 or
    False), else `UNDERSPECIFIED`. At least one measure.
    """
    signs = list(signs)
    if all(sign > 0 for sign in signs):
        return SHOWN
    if all(sign < 0 for sign in signs):
        return SHOWN_REVERSED
    return UNDERSPECIFIED if any(signs) else INCONCLUSIVE


def verdict_of_readings(holds: Iterable[bool]) -> str:
    """Return the verdict where a text allows several readings, from whether each holds.

    `REPRODUCED` where all do, `NOT_REPRODUCED` where none does, else `UNDERSPECIFIED`.
    """
    holds = list(holds)
    if all(holds):
        return REPRODUCED
    return UNDERSPECIFIED if any(holds) else NOT_REPRODUCED
