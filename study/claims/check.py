"""Which check belongs to which claim.

A check is a small pure function: published or measured values in, an `Outcome` out, the rule of
its verdict in its docstring. What it is given stands apart from it, so that a test can give it
something else and see it come out otherwise.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from study.claims.ledger import ClaimsError
from study.claims.outcome import Outcome


@dataclass(frozen=True)
class Check:
    """A claim's check.

    Attributes:
        function: Pure; returns an `Outcome`.
        inputs: Reads what the function is given: from the published values, from stored results,
            or by counting; keyword arguments of `function`.
    """

    function: Callable[..., Outcome]
    inputs: Callable[[], dict[str, Any]]

    def __call__(self) -> Outcome:
        """Run the check on what is published and stored."""
        return self.function(**self.inputs())


def joined(*tables: dict[str, Check]) -> dict[str, Check]:
    """Join tables of checks by claim id.

    Raises:
        ClaimsError: an id in two tables.
    """
    checks: dict[str, Check] = {}
    for table in tables:
        if twice := sorted(checks.keys() & table.keys()):
            raise ClaimsError(f"these claims have two checks: {', '.join(twice)}.")
        checks |= table
    return checks
