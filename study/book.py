"""The book's page of claims: each at an address of its own, with its check's source and runs."""

import inspect
from functools import cache

from study.claims.judge import CHECKS, Judged, judge_claims
from study.claims.ledger import PAPERS

INTRO = (
    "Each claim of both papers, told in our words; *printed* is what the paper prints. The rule of "
    "a verdict stands in the docstring of its check, which opens below it. As one table: [all "
    "claims](../results/tables/claims.md)."
)


def claims_page() -> str:
    """Return the page, in MyST markdown; `#B26` leads to claim B26."""
    judged = judge_claims()
    parts = ["# Every claim", INTRO]
    for paper in PAPERS:
        parts.append(f"## Paper {paper}")
        parts += [_section(one) for one in judged if one.claim.paper == paper]
    return "\n\n".join(parts) + "\n"


def _section(one: Judged) -> str:
    claim = one.claim
    lines = [
        f'<span id="{claim.id}"></span>',
        f"### {claim.id} · {claim.place}",
        claim.claim + (f" Printed: {claim.printed}." if claim.printed else ""),
        f"**{one.state}** · {claim.kind}",
        one.evidence,
    ]
    if one.outcome is not None:
        if one.outcome.runs:
            runs = ", ".join(f"`{name}`" for name in one.outcome.runs)
            lines.append(f"Runs: {runs}; all of them stand in [results](../results/README.md).")
        lines += _check(claim.id)
    return "\n\n".join(lines)


def _check(name: str) -> list[str]:
    check = CHECKS[name]
    place = f"{check.function.__module__}.{check.function.__qualname__}"
    source = _source(check.function)
    return [
        f"<details><summary>The check: <code>{place}</code></summary>",
        f"```python\n{source}```",
        "</details>",
    ]


@cache
def _source(function) -> str:
    return inspect.getsource(inspect.unwrap(function))
