"""The measurements of times and memory, and the claim on them that both papers make.

Both call their network fast enough for real time, and print no time.
"""

from collections.abc import Mapping
from typing import Any

from study.claims.check import checks
from study.claims.check_result import OPEN_CHOICE, CheckResult, lacking
from study.claims.ledger import Claim
from study.costs.store import Store, store_path
from study.plans.costs import Candidate, load_plan
from study.verdicts import NOT_REPRODUCED, UNDERSPECIFIED


def store(device: str) -> Store | None:
    """Return the measurements of a device, None if there are none."""
    path = store_path(device, load_plan().threads)
    return Store.read(path) if path.exists() else None


def _one_image(claim: Claim) -> dict[str, Any]:
    plan, found = load_plan(), store("cpu")

    def median(model: str) -> float | None:
        size, batch = plan.image_size, plan.latency_batch
        times = found and found.times(Candidate(model, "eager"), image_size=size, batch_size=batch)
        return times.median if times else None

    return {
        "seconds": {title: median(model) for title, model in claim.beside.items()},
        "device": f"CPU, {plan.threads} threads, {plan.image_size} px",
        "quiet": bool(found and found.is_quiet),
    }


# Coronary angiograms are recorded at 7.5 to 30 frames a second, mostly 15.
FRAMES = 15.0


@checks("A03", "B140", measured=_one_image)
def fast_enough(*, seconds: Mapping[str, float | None], device: str, quiet: bool) -> CheckResult:
    """Judge "suited to real-time use" by the time that one image takes on our processor.

    Rule: "not run" as long as a network was not timed on a quiet machine; "not
    reproduced" where one takes longer than a frame, at 15 a second; else "underspecified": neither
    paper says what real time asks for, on which device, at which image size.

    `seconds`: what was timed -> median of one image, None if not timed; `device`: and the threads;
    `quiet`: whether others took no notable share of the processor.
    """
    if not seconds or None in seconds.values() or not quiet:
        return lacking("Needed: the phase `times` of `python -m study costs` on a quiet machine.")
    slow = [name for name, value in seconds.items() if value > 1 / FRAMES]
    listed = ", ".join(f"{name} {1000 * value:.0f} ms" for name, value in seconds.items())
    return CheckResult(
        verdict=NOT_REPRODUCED if slow else UNDERSPECIFIED,
        evidence=f"No time, image size, memory or bound is printed. One image takes ({device}): "
        f"{listed}; an angiogram of {FRAMES:g} frames a second leaves {1000 / FRAMES:.0f} ms.",
        limits=(OPEN_CHOICE,),
        runs=("results/efficiency",),
    )
