"""The comparisons of `params/comparisons.yaml` beside a claim.

Where one question was asked of two sets of images, the one with more images and seeds decides, and
the other is shown: in the row of a claim its name ends with "on fewer".
"""

from functools import cache
from pathlib import Path
from typing import Any

from helpers.paths import results_root
from helpers.runs.groups import group_runs, is_real
from helpers.runs.store import list_runs
from study.claims.ledger import Claim
from study.compare import Compared, Results, compare_all
from study.plans.comparisons import load_plan

# The end of the name of what is shown and does not decide.
FEWER = "on fewer"


def results() -> Results:
    """Return all comparisons, of the runs that are stored."""
    return _results_of(results_root())


@cache
def _results_of(root: Path) -> Results:
    return compare_all(group_runs(filter(is_real, list_runs(root))), load_plan())


def pair(family: str, name: str) -> Compared:
    """Return a comparison of `params/comparisons.yaml`."""
    return next(c for c in results().compared[family] if c.pair.name == name)


def pairs_beside(claim: Claim) -> dict[str, Compared]:
    """Return the comparisons beside a claim, "ablation: focal", by their names in its row."""
    return {title: pair(*place.split(": ")) for title, place in claim.beside.items()}


def deciding(claim: Claim) -> tuple[dict[str, Compared], list[Compared]]:
    """Return the comparisons beside a claim that decide, by name, and those that are shown."""
    found = pairs_beside(claim)
    fewer = [found.pop(name) for name in [*found] if name.endswith(FEWER)]
    return found, fewer


def one_of(claim: Claim) -> Compared:
    """Return the one comparison beside a claim that decides."""
    (found,) = deciding(claim)[0].values()
    return found


def named(claim: Claim) -> str:
    """Name the comparisons beside a claim."""
    return "; ".join(claim.beside.values())


def compared(claim: Claim) -> dict[str, Any]:
    """Return the comparisons beside a claim, and what names them."""
    return {"compared": [*pairs_beside(claim).values()], "runs": named(claim)}
