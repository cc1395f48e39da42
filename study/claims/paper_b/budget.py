"""How long the runs behind a verdict were trained, against the length that paper B prints.

The rule is `budget` in `params/verdicts.yaml`, for whatever is measured on a trained network: its
accuracy, its curves, its maps.
"""

from study.claims.outcome import BUDGET
from study.plans.verdicts import load_rules
from study.verdicts import NOT_RUN, SHORT

_PAPER = "B"
# Verdicts that rest on runs of a smaller budget say so; those of no verdict need not.
NO_ANSWER = (NOT_RUN, SHORT)


def judged(verdict: str, epochs: float) -> str:
    """Return a verdict on runs of so many epochs, `SHORT` where they are too few.

    Args:
        verdict: as the runs came out.
        epochs: of the runs; of several those of the shortest.
    """
    return verdict if load_rules().at_budget(_PAPER, epochs) else SHORT


def limits(verdict: str, epochs: float, *others: str) -> tuple[str, ...]:
    """Return what a verdict hangs on: a smaller budget than the printed one, and others.

    Args:
        verdict: one of no answer hangs on nothing.
        epochs: see `judged`.
        others: some of `outcome.LIMITS`.
    """
    if verdict in NO_ANSWER:
        return ()
    return (*others, BUDGET) if epochs < _printed() else others


def length(epochs: float) -> str:
    """Say for how long runs were trained, of how long the paper's were."""
    return f"{epochs:g} of the {_printed():g} printed epochs"


def _printed() -> float:
    return load_rules().budget.epochs[_PAPER]
