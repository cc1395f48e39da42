"""The book's page of claims: each at an address of its own, with its check's source and runs."""

import inspect
import re
from collections.abc import Iterator, Sequence
from functools import cache

from helpers.runs.groups import Group, group_runs, is_real
from helpers.runs.store import list_runs, run_id
from study.claims.judge import CHECKS, CheckedClaim, judge_claims
from study.claims.ledger import PAPERS
from study.claims.paper_a.planned import pair

INTRO = (
    "Each claim of both papers, told in our words; *printed* is what the paper prints. The rule of "
    "a verdict stands in the docstring of its check, which opens below it. As one table: [all "
    "claims](../results/tables/claims.md)."
)

RUNS = (
    "The runs that the checks above read, as folders of `results/runs`; of a comparison those of "
    "both sides. Seeds of one protocol differ in the end of the folder's name."
)
# What is measured beside the runs, on pages of their own.
PAGES = {
    "results/efficiency": "efficiency",
    "results/localisation": "localisation",
    "study.sizes": "model_sizes",
}


def claims_page() -> str:
    """Return the page, in MyST markdown; `#B26` leads to claim B26."""
    claims = judge_claims()
    groups = group_runs(filter(is_real, list_runs()))
    parts = ["# Every claim", INTRO]
    for paper in PAPERS:
        parts.append(f"## Paper {paper}")
        parts += [_section(one) for one in claims if one.claim.paper == paper]
    parts += ["## The runs", RUNS]
    names = (name for one in claims if one.result for name in run_names(one.result.runs))
    parts += [_runs(name, groups) for name in sorted({*names} - {*PAGES})]
    return "\n\n".join(parts) + "\n"


def _section(one: CheckedClaim) -> str:
    claim = one.claim
    lines = [
        f'<span id="{claim.id}"></span>',
        f"### {claim.id} · {claim.place}",
        claim.claim + (f" Printed: {claim.printed}." if claim.printed else ""),
        f"**{one.state}** · {claim.kind}",
        one.evidence,
    ]
    if one.result is not None:
        if one.result.runs:
            runs = ", ".join(map(_link, run_names(one.result.runs)))
            lines.append(f"Runs: {runs}; all of them stand in [results](../results/README.md).")
        check = CHECKS[claim.id].function
        place = f"{check.__module__}.{check.__qualname__}"
        lines += [
            f"<details><summary>The check: <code>{place}</code></summary>",
            f"```python\n{_source(check)}```",
            "</details>",
        ]
    return "\n\n".join(lines)


def run_names(runs: Sequence[str]) -> Iterator[str]:
    """Yield what a result names one by one: of "ablation: a, b; table1" three names."""
    for part in (part for text in runs for part in text.split("; ")):
        family, colon, names = part.rpartition(": ")
        yield from (f"{family}{colon}{name}" for name in names.split(", "))


def _link(name: str) -> str:
    address = f"../results/tables/{PAGES[name]}.md" if name in PAGES else f"#{_address(name)}"
    return f"[`{name}`]({address})"


def _address(name: str) -> str:
    return "runs-" + re.sub(r"\W+", "-", name)


def _runs(name: str, groups: Sequence[Group]) -> str:
    """Say which folders a name stands for: a comparison, a recipe, or all that are stored."""
    if ": " in name:
        compared = pair(*name.split(": "))
        chosen = [group for group in (compared.a, compared.b) if group]
    else:
        chosen = [g for g in groups if g.config["recipe"] == name or name == "run store"]
    lines = [
        f"- `{run_id(group.runs[0]).rpartition('_s')[0]}`, seeds {', '.join(map(str, group.seeds))}"
        for group in chosen
    ]
    return f"({_address(name)})=\n`{name}`:\n\n" + ("\n".join(lines) or "- none stored")


@cache
def _source(function) -> str:
    return inspect.getsource(inspect.unwrap(function))
