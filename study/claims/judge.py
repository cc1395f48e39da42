"""The list of claims with what became of each: `judge_claims()`."""

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from importlib import import_module
from pkgutil import iter_modules

from study.claims import confusion, measured, paper_a, paper_b  # noqa: F401
from study.claims.check import CHECKS
from study.claims.check_result import CheckResult
from study.claims.ledger import PAPERS, QUESTION, Claim, load_claims
from study.verdicts import CANNOT, OF_CLAIMS, REVIEWERS_QUESTION

# A check registers itself where it is defined.
for package in (paper_a, paper_b):
    for module in iter_modules(package.__path__, f"{package.__name__}."):
        import_module(module.name)

# Every claim has one of these.
STATES = (*OF_CLAIMS, CANNOT)


@dataclass(frozen=True)
class CheckedClaim:
    """A claim and the result of its check."""

    claim: Claim
    result: CheckResult | None  # None where the claim cannot be checked

    @property
    def state(self) -> str:
        """One of `STATES`."""
        if self.claim.kind == QUESTION:
            return REVIEWERS_QUESTION
        return self.result.verdict if self.result else CANNOT

    @property
    def evidence(self) -> str:
        """The figures that decide, or why the claim cannot be checked."""
        if self.result is None:
            return self.claim.cannot
        evidence, answer = self.result.evidence, self.result.verdict
        # A question has an answer, but where a size alone was asked for.
        if self.claim.kind == QUESTION and answer != REVIEWERS_QUESTION:
            return f"{answer}. {evidence}"
        return evidence


def judge_claims(ids: Collection[str] = ()) -> tuple[CheckedClaim, ...]:
    """Run the check of every claim, or of those named, in the order of the list.

    Raises:
        ClaimsError: the list is not in order.
        KeyError: a claim that can be checked has no check.
    """
    return tuple(
        CheckedClaim(claim, None if claim.cannot else CHECKS[claim.id](claim))
        for claim in load_claims()
        if not ids or claim.id in ids
    )


def count_states(claims: Iterable[CheckedClaim]) -> dict[str, Counter]:
    """Return how many claims of each paper are in each state: paper -> state -> claims."""
    counts = {paper: Counter() for paper in PAPERS}
    for one in claims:
        counts[one.claim.paper][one.state] += 1
    return counts
