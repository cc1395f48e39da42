"""How long the runs behind a verdict were trained, against the length that paper B prints.

The rule is `budget` in `params/verdicts.yaml`, for whatever is measured on a trained network: its
accuracy, its curves, its maps.
"""

from helpers.paths import results_root
from helpers.runs.store import find_runs, load_run
from study.claims.check_result import BUDGET, OPEN_CHOICE, CheckResult
from study.maps.findings import TRAINED, Measured
from study.plans.maps import MapPlan
from study.plans.verdicts import load_rules
from study.verdicts import NOT_RUN, SHORT

# Verdicts that rest on runs of a smaller budget say so; those of no verdict need not.
NO_ANSWER = (NOT_RUN, SHORT)


def apply(verdict: str, epochs: float | None) -> str:
    """Return a verdict on runs, `SHORT` where the shortest had too few epochs.

    Without runs (None) it is `NOT_RUN`.
    """
    if epochs is None:
        return NOT_RUN
    return verdict if load_rules().at_budget("B", epochs) else SHORT


def limits(verdict: str, epochs: float, *others: str) -> tuple[str, ...]:
    """Return what a verdict hangs on: others of `check_result.LIMITS`, and a smaller budget.

    A verdict of no answer hangs on nothing.
    """
    if verdict in NO_ANSWER:
        return ()
    return (*others, BUDGET) if epochs < _printed() else others


def result(
    verdict: str,
    epochs: float,
    *,
    evidence: str,
    runs: tuple[str, ...],
    others: tuple[str, ...] = (OPEN_CHOICE,),
) -> CheckResult:
    """Return the result of a check on runs of so many epochs, see `apply` and `limits`."""
    verdict = apply(verdict, epochs)
    return CheckResult(
        verdict=verdict, evidence=evidence, limits=limits(verdict, epochs, *others), runs=runs
    )


def length(epochs: float) -> str:
    """Say for how long runs were trained, of how long the paper's were."""
    return f"{epochs:g} of the {_printed():g} printed epochs"


def _printed() -> float:
    return load_rules().budget.epochs["B"]


def of_maps(measured: Measured, network: str = TRAINED) -> int | None:
    """Return the epochs of the runs whose maps were measured, the fewest; None without runs."""
    folder = results_root(measured.study.profile) / "runs"
    names = measured.networks[network].about["runs"]
    files = [file for name in names for file in folder.glob(f"*/*/*/{name}/run.json")]
    return min((load_run(file.parent).config["epochs"] for file in files), default=None)


def of_focus(plan: MapPlan) -> dict[str, int]:
    """Return the epochs of the runs on each data set without boxes, of the shortest.

    Raises:
        RunError: a data set has none.
    """
    return {
        focus.runs["dataset"]: min(
            run.config["epochs"] for run in find_runs(**focus.runs, label_noise=0.0)
        )
        for focus in plan.focus
    }
