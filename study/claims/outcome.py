"""What a check says of a claim: a verdict, the evidence, and what the verdict hangs on."""

from collections.abc import Iterable
from dataclasses import dataclass

from study.verdicts import (
    INCONCLUSIVE,
    NOT_REPRODUCED,
    NOT_RUN,
    OF_CLAIMS,
    OPEN,
    REPRODUCED,
    SHOWN,
    UNDERSPECIFIED,
)

# What a verdict may hang on besides the two papers' own numbers.
STAND_IN = "other images than the paper's"
OPEN_CHOICE = "our reading of what the text leaves open"
BUDGET = "a smaller training budget than the paper's"
LIMITS = (STAND_IN, OPEN_CHOICE, BUDGET)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The outcome of a check.

    Attributes:
        verdict: one of `verdicts.OF_CLAIMS`.
        evidence: one or two sentences with the figures that decide.
        limits: what the verdict hangs on, some of `LIMITS`.
        runs: the recipes, tables or studies that measured figures come from; empty where the
            verdict is computed from printed numbers alone.

    Raises:
        ValueError: an unknown verdict or limit, or no evidence.
    """

    verdict: str
    evidence: str
    limits: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.verdict not in OF_CLAIMS:
            raise ValueError(f"unknown verdict {self.verdict!r}; known: {', '.join(OF_CLAIMS)}.")
        if unknown := [limit for limit in self.limits if limit not in LIMITS]:
            raise ValueError(f"unknown limits {unknown}; known: {', '.join(LIMITS)}.")
        if not self.evidence.strip():
            raise ValueError("an outcome needs evidence in words.")


def lacking(evidence: str) -> Outcome:
    """Return the outcome of a check whose runs or measurements are not stored."""
    return Outcome(verdict=NOT_RUN, evidence=evidence)


def in_ledger(verdict: str) -> str:
    """Return the ledger's word for a verdict on runs: what cannot be tested is inconclusive.

    Too few seeds are runs that are missing.
    """
    if verdict in OF_CLAIMS:
        return verdict
    return NOT_RUN if verdict in OPEN else INCONCLUSIVE


def verdict_of_measures(shown: Iterable[bool]) -> str:
    """Return the verdict on a comparison whose measure is not named.

    Args:
        shown: whether each measure shows it; at least one.

    Returns:
        `SHOWN` where all do, `INCONCLUSIVE` where none does, else `UNDERSPECIFIED`.
    """
    shown = list(shown)
    if all(shown):
        return SHOWN
    return UNDERSPECIFIED if any(shown) else INCONCLUSIVE


def verdict_of_readings(holds: Iterable[bool]) -> str:
    """Return the verdict where a text allows several readings or measures.

    Args:
        holds: whether the claim holds, by reading; at least one.

    Returns:
        `REPRODUCED` where it holds by all, `NOT_REPRODUCED` where by none, else `UNDERSPECIFIED`.
    """
    holds = list(holds)
    if all(holds):
        return REPRODUCED
    return UNDERSPECIFIED if any(holds) else NOT_REPRODUCED
