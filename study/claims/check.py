"""Which function checks which claim, and what it is given.

A check is a small pure function, the rule of its verdict in its docstring: values in, a
`CheckResult` out. `@checks("B26", "B27")` says which claims it checks. The row of a claim names the
printed values that it is given: `ours=B | Table 4 | MedSpectralNet | flops` is its argument `ours`.
Where a row names several for one argument, the argument's type says how they come: `others: ByRow`
is a mapping from the rows of their table. What is counted, or measured by stored runs, is said
apart (`measured`), so that a test can give something else and see the check come out otherwise.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from inspect import signature
from typing import Annotated, Any, get_type_hints

from study.claims.check_result import CheckResult
from study.claims.ledger import Claim, ClaimsError, Key
from study.published import Published

Items = Sequence[tuple[Key, Published]]


def _only(items: Items) -> Published:
    ((_, value),) = items
    return value


# How the values of one argument are arranged; of an argument of another type there is only one.
InOrder = Annotated[Sequence[Published], lambda items: [value for _, value in items]]
ByKey = Annotated[Mapping[Key, Published], dict]
ByRow = Annotated[Mapping[str, Published], lambda items: {k.row: v for k, v in items}]
ByColumn = Annotated[Mapping[str, Published], lambda items: {k.column: v for k, v in items}]
ByDataset = Annotated[Mapping[str, Published], lambda items: {k.dataset: v for k, v in items}]
ByRowAndColumn = Annotated[
    Mapping[str, Mapping[str, Published]],
    lambda items: {
        key.row: {k.column: v for k, v in items if k.row == key.row} for key, _ in items
    },
]
Whole = Annotated[int, lambda items: round(_only(items).value)]
Total = Annotated[float, lambda items: sum(value.value for _, value in items)]
TotalByRow = Annotated[
    Mapping[str, float],
    lambda items: {key.row: sum(v.value for k, v in items if k.row == key.row) for key, _ in items},
]


@dataclass(frozen=True)
class Check:
    """The check of a claim."""

    function: Callable[..., CheckResult]  # pure; keyword arguments in
    measured: Callable[[Claim], Mapping[str, Any]] | None  # arguments counted or read from runs
    constants: Mapping[str, Any]  # arguments that are the same for each claim it checks

    def inputs(self, claim: Claim) -> dict[str, Any]:
        """Return what the function is given for a claim.

        A role that is no argument of the function is for what is measured.

        Raises:
            ClaimsError: the row names several values for an argument that takes one, or none for
                one that needs it.
        """
        types = get_type_hints(self.function, include_extras=True)
        found = dict(self.constants)
        for role in claim.given.keys() & types.keys():
            arrange, *_ = getattr(types[role], "__metadata__", (_only,))
            items = claim.items(role)
            if arrange is _only and len(items) > 1:
                raise ClaimsError(
                    f"{claim.id} names {len(items)} values for {role!r}, of which "
                    f"{self.function.__name__} takes one; annotate it, for instance as ByRow."
                )
            found[role] = arrange(items)
        found |= self.measured(claim) if self.measured else {}
        needed = [
            p.name for p in signature(self.function).parameters.values() if p.default is p.empty
        ]
        if lacking := [name for name in needed if name not in found]:
            raise ClaimsError(
                f"{claim.id} lacks {', '.join(lacking)} for {self.function.__name__}; it has "
                f"{', '.join(found) or 'nothing'}. Name its published values in the row with that "
                f"role ({lacking[0]}=paper | table | row | column), or give it by `measured`."
            )
        return found

    def __call__(self, claim: Claim) -> CheckResult:
        """Run the check on what is published and stored."""
        return self.function(**self.inputs(claim))


# Filled as the modules of checks are imported; `judge` imports them all.
CHECKS: dict[str, Check] = {}


def checks(
    *ids: str, measured: Callable[[Claim], Mapping[str, Any]] | None = None, **constants: Any
) -> Callable[[Callable[..., CheckResult]], Callable[..., CheckResult]]:
    """Say which claims a function checks, by their ids; the rest as in `Check`.

    Raises:
        ClaimsError: a claim that has a check already.
    """

    def register(function: Callable[..., CheckResult]) -> Callable[..., CheckResult]:
        if twice := [name for name in ids if name in CHECKS]:
            raise ClaimsError(f"these claims have two checks: {', '.join(twice)}.")
        CHECKS.update(dict.fromkeys(ids, Check(function, measured, constants)))
        return function

    return register
