"""The ledger as tables: `results/tables/claims.md`, `claims.csv` and the README's summary.

`study.tables` writes them and checks that they are not stale.
"""

from collections import Counter
from collections.abc import Sequence
from itertools import chain

from study.claims.check_result import LIMITS, OPEN_CHOICE, STAND_IN, CheckResult
from study.claims.judge import STATES, CheckedClaim, count_states
from study.claims.ledger import KINDS, PAPERS
from study.published import load_published
from study.table import COMMAND, MADE, Table, column, folded, joined
from study.verdicts import CONTRADICTED, MEANING, NOT_RUN, REPRODUCED

# A verdict as a heading has room for: the whole one stands in the text.
SHORT = {CONTRADICTED: "contradicted"}
RULES = (
    "The rule of each verdict stands in the docstring of its check (`study/claims`), and each "
    "check is shown to come out otherwise on altered inputs (`tests/study/claims`). Claims are "
    "told in our words; *printed* is what the paper prints."
)
HANGS_ON = {
    STAND_IN: "paper A's angiograms are not public; these verdicts come from ARCADE patches",
    OPEN_CHOICE: "another reading of what the paper leaves open could give another verdict",
}


def claims_files(claims: Sequence[CheckedClaim]) -> dict[str, str]:
    """Return the generated files: name -> content."""
    sections: list[str | Table] = []
    for paper in PAPERS:
        own = [one for one in claims if one.claim.paper == paper]
        sections += [f"## Paper {paper}", claim_table(own)]
    text = joined(
        MADE,
        "# The claims of both papers",
        f"{len(claims)} claims, each with a verdict or the reason why there is none. {RULES}",
        "## How many",
        count_table(claims),
        "\n".join(f"- *{state}*: {MEANING[state]}." for state in there(claims)),
        consistency_sentence(claims),
        kind_table(claims),
        *sections,
        "## What the verdicts hang on",
        limits_text(claims),
    )
    return {"claims.md": text + "\n", "claims.csv": claim_table(claims).csv()}


def readme_claims(claims: Sequence[CheckedClaim]) -> str:
    """Return the README's block: counts, and what the papers' own numbers rule out."""
    against = [one for one in claims if one.state == CONTRADICTED]
    listed = claim_table(against, columns=("id", "place", "claim", "evidence")).markdown()
    return joined(
        f"{len(claims)} claims of both papers, the favourable ones too, each with a check or the "
        f"reason why it cannot have one; {sum(one.result is not None for one in claims)} checks.",
        count_table(claims),
        consistency_sentence(claims),
        folded(f"The {len(against)} that the papers' own numbers rule out", listed),
        limits_text(claims, named=False),
        "Told in [10_claims](notebooks/10_claims.ipynb); in full: [all claims]"
        f"(results/tables/claims.md). Made by `{COMMAND}`.",
    )


def short(state: str) -> str:
    """Return a state as it stands in a table's head or a picture's legend."""
    return SHORT.get(state, state)


def count_table(claims: Sequence[CheckedClaim]) -> Table:
    """Return how many claims of each paper have which verdict, and how many runs decide."""
    counts = count_states(claims)
    measured = Counter(one.state for one in claims if one.result and is_measured(one.result))
    rows = []
    for state in there(claims):
        of_papers = {paper: counts[paper][state] for paper in PAPERS}
        both = sum(of_papers.values())
        rows.append({"verdict": state, **of_papers, "both": both, "measured": measured[state]})
    totals = {name: sum(row[name] for row in rows) for name in (*PAPERS, "both", "measured")}
    rows.append({"verdict": "all", **totals})
    of_papers = [column(f"paper {paper}", paper) for paper in PAPERS]
    columns = ("verdict", *of_papers, "both", column("of them measured", "measured"))
    return Table.of(rows, columns)


def there(claims: Sequence[CheckedClaim]) -> list[str]:
    """Return the states that occur, in their order."""
    found = {one.state for one in claims}
    return [state for state in STATES if state in found]


def kind_table(claims: Sequence[CheckedClaim]) -> Table:
    """Return how many claims of each kind have which verdict, both papers together."""
    rows = []
    for kind in KINDS:
        states = [one.state for one in claims if one.claim.kind == kind]
        rows.append(Counter(states) | {"kind": kind, "all": len(states)})
    shown = [column(short(state), state, missing="0") for state in there(claims)]
    return Table.of(rows, ("kind", *shown, "all"))


def claim_table(
    claims: Sequence[CheckedClaim],
    *,
    columns: Sequence[str] = ("id", "place", "claim", "printed", "verdict", "evidence"),
) -> Table:
    """Return claims as a table, in their order."""
    return Table.of(map(_cells, claims), columns)


def _cells(one: CheckedClaim) -> dict[str, str]:
    claim, result = one.claim, one.result
    told = ("id", "paper", "place", "kind", "claim", "printed")
    return {name: getattr(claim, name) for name in told} | {
        "verdict": one.state,
        "evidence": one.evidence,
        "check": claim.check,
        "limits": "; ".join(result.limits) if result else "",
        "runs": "; ".join(result.runs) if result else "",
        "sources": " ;; ".join(" | ".join(key) for key in claim.sources),
    }


def consistency_sentence(claims: Sequence[CheckedClaim]) -> str:
    """Say how many of the reproduced claims no run stands behind."""
    results = [one.result for one in claims if one.state == REPRODUCED]
    alone = sum(not is_measured(result) for result in results)
    return (
        f"Of the {len(results)} reproduced claims, {alone} compare what is printed with other "
        "printed numbers, with formulas or with a count: the paper agrees with itself, and nothing "
        "was trained for them."
    )


def limits_text(claims: Sequence[CheckedClaim], *, named: bool = True) -> str:
    """Say on what verdicts hang beside the papers' own numbers, how many, and (`named`) which."""
    results = {one.claim.id: one.result for one in claims if one.result}
    free = [
        name
        for name, result in results.items()
        if result.verdict != NOT_RUN and not result.limits and not is_measured(result)
    ]
    lines = []
    for limit in LIMITS:
        on_it = [name for name, result in results.items() if limit in result.limits]
        why = f" ({HANGS_ON[limit]})" if limit in HANGS_ON else ""
        lines.append(f"On {limit}{why}: {len(on_it)} verdicts{_listed(on_it, named)}.")
    lines.append(f"On printed numbers, formulas and counting alone: {len(free)} verdicts.")
    unverified = {
        (row.paper, row.table, row.row, row.column)
        for row in load_published().itertuples()
        if row.mark == "M"
    }
    used = [
        one.claim.id
        for one in claims
        if unverified & {*one.claim.sources, *chain.from_iterable(one.claim.given.values())}
    ]
    lines.append(
        f"On values that could not be verified (mark M, {len(unverified)} of them in "
        f"`results/published`): {len(used)} verdicts{_listed(used, named)}."
    )
    return "\n".join(f"- {line}" for line in lines)


def is_measured(result: CheckResult) -> bool:
    """Say whether runs or measurements are behind a verdict; counting a network is neither."""
    if result.verdict == NOT_RUN:
        return False
    return any(not name.startswith(("helpers.", "study.")) for name in result.runs)


def _listed(names: Sequence[str], named: bool) -> str:
    return f": {', '.join(names)}" if names and named else ""
