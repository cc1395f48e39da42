"""The measurements of times and memory that the checks of both papers read."""

from typing import Any

from study.claims.ledger import Claim
from study.costs.store import Store, store_path
from study.plans.costs import Candidate, load_plan


def store(device: str) -> Store | None:
    """Return the measurements of a device, None if there are none."""
    path = store_path(device, load_plan().threads)
    return Store.read(path) if path.exists() else None


def one_image(claim: Claim) -> dict[str, Any]:
    """Return the inputs of `real_time.fast_enough` on our CPU, of the networks beside a claim."""
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
