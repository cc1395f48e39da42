"""Paper B's statements on speed and memory, none of which it measures, against ours.

"Underspecified" where ours agree: the paper names no device, and the other network's scan is ours,
compiled for a CPU, where its authors' is a kernel for GPUs. Of all that follows: `quiet` says
whether others took no notable share of the processor while the times were measured.
"""

from collections.abc import Mapping
from itertools import combinations
from typing import Any

from helpers.metrics.scores import Estimate
from study.claims.check import checks
from study.claims.check_result import OPEN_CHOICE, CheckResult, lacking
from study.claims.ledger import Claim
from study.claims.measured import store
from study.costs.store import Store
from study.plans.costs import EAGER, Candidate, load_plan
from study.verdicts import NOT_REPRODUCED, REPRODUCED, UNDERSPECIFIED

# Most that an exported network may differ, as a share of the scale of its logits.
EXPORT_SHARE = 1e-3
# Networks with a selective scan: it is ours, compiled for the CPU, and not their authors'.
SCANS = ("medmamba_", "vmamba_")
DEVICES = {"cpu": "a CPU", "cuda": "a GPU"}
NEEDS_TIMES = "Needed: the phase `times` of `python -m study costs`"


def _result(verdict: str, evidence: str) -> CheckResult:
    return CheckResult(
        verdict=verdict, evidence=evidence, limits=(OPEN_CHOICE,), runs=("results/efficiency",)
    )


# --- what is stored -------------------------------------------------------------------------------


def _places() -> dict[str, dict[str, int]]:
    """Return what was timed, as `Store.ratio` takes it: "1 image" at a time, and many."""
    plan = load_plan()
    return {"1 image": plan.latency, f"{plan.throughput_batch} images": plan.throughput}


def _ratio(found: Store | None, model: str, other: str, place: dict[str, int]) -> Estimate | None:
    """Return a network's time in that of another, None if not timed."""
    return found and found.ratio(Candidate(model, EAGER), Candidate(other, EAGER), **place)


def _ratios(claim: Claim) -> dict[str, Any]:
    found, (ours, theirs) = store(claim.ours), load_plan().claimed
    ratios = {images: _ratio(found, ours, theirs, at) for images, at in _places().items()}
    return {"ratios": ratios, "quiet": bool(found and found.is_quiet)}


def _times_by_macs(claim: Claim) -> dict[str, Any]:
    # Networks were timed in groups, and each group holds the reference: times are in its.
    found, reference = store(claim.ours), load_plan().reference
    sizes = found.rows("sizes") if found else []
    macs = {row["model"]: row["macs"] for row in sizes if not row["model"].startswith(SCANS)}
    times = {}
    for images, place in _places().items():
        ratios = {model: _ratio(found, model, reference, place) for model in macs}
        times[images] = {model: ratio for model, ratio in ratios.items() if ratio}
    return {"macs": macs, "times": times, "quiet": bool(found and found.is_quiet)}


def _peaks(claim: Claim) -> dict[str, Any]:
    found = store(claim.ours)

    def peak(model: str) -> int | None:
        row = found and found.row("memory", model=model, step="forward")
        return row["bytes"] if row else None

    peaks = {"ours": peak("medspectralnet"), "theirs": peak("medmamba_t")}
    return peaks | {"device": DEVICES[claim.ours]}


def _export(claim: Claim) -> dict[str, Any]:
    found = store("cpu")
    return {"row": found and found.row("exports", model="medspectralnet")}


# --- checks ---------------------------------------------------------------------------------------


@checks("B111", "B112", measured=_ratios)
def faster(*, ratios: Mapping[str, Estimate | None], quiet: bool) -> CheckResult:
    """Judge "faster inference than the other network".

    Rule: "not run" as long as one was not timed on a quiet machine; "not reproduced" where the 95 %
    interval of our time over theirs lies above 1 for one image or for many at a time; else
    "underspecified".

    `ratios`: "1 image" and so on -> ratio of the times, None if not timed.
    """
    known = {name: r for name, r in ratios.items() if r is not None and r.low is not None}
    if len(known) < len(ratios) or not quiet:
        where = ", not on a quiet machine" if known and not quiet else ""
        timed = f"Timed: {len(known)} of {len(ratios)} cases{where}."
        return lacking(f"{timed} {NEEDS_TIMES} for both.")
    listed = "; ".join(
        f"{name} {r.value:.2f} ({r.low:.2f} to {r.high:.2f})" for name, r in known.items()
    )
    return _result(
        NOT_REPRODUCED if any(r.low > 1 for r in known.values()) else UNDERSPECIFIED,
        f"The network's time over the other's, on a CPU: {listed}. The other's scan is ours, "
        "compiled for it; its authors' is a kernel for GPUs. No device is named.",
    )


@checks("B113", "B139", measured=_peaks)
def less_memory(*, ours: int | None, theirs: int | None, device: str) -> CheckResult:
    """Judge "reduced memory" beside the other network.

    Rule: "not run" where one was not measured on the device, "not reproduced" where our peak is not
    lower; else "reproduced" on a GPU, "underspecified" on a CPU, where the other's scan keeps what
    its authors' does not.

    `ours`, `theirs`: bytes; `device`: one of `DEVICES`.
    """
    if ours is None or theirs is None:
        return lacking(f"Needed: the phase `memory` of `python -m study costs` on {device}.")
    on_cpu = device == DEVICES["cpu"]
    lower = UNDERSPECIFIED if on_cpu else REPRODUCED
    return _result(
        lower if ours < theirs else NOT_REPRODUCED,
        f"Peak of a forward pass on {device}: {ours / 2**20:.0f} MiB against "
        f"{theirs / 2**20:.0f} MiB" + (", the other's scan compiled by us." if on_cpu else "."),
    )


@checks("B114", measured=_export)
def exports(*, row: Mapping[str, Any] | None) -> CheckResult:
    """Judge "can be deployed" in the part that can be tried: export to a portable format.

    Rule: "not run" without an export; "not reproduced" where the exported network does not give the
    same logits within `EXPORT_SHARE` of their scale; else "underspecified".

    `row`: the network's row of the phase `exports`.
    """
    if row is None:
        return lacking("Needed: the phase `exports`.")
    if row["difference"] is None:
        return CheckResult(verdict=NOT_REPRODUCED, evidence=f"No export: {row['reason']}.")
    share = row["difference"] / row["scale"]
    return _result(
        UNDERSPECIFIED if share <= EXPORT_SHARE else NOT_REPRODUCED,
        f"No device is named. Exported to ONNX, its logits differ by {share:.1e} of their scale; "
        "that it runs fast or with little power on a small device is measured neither there nor "
        "here.",
    )


@checks("B138", measured=_ratios)
def batches_better(*, ratios: Mapping[str, Estimate | None], quiet: bool) -> CheckResult:
    """Judge "more efficient batch processing, and so enhanced throughput" beside the other network.

    Rule: "not run" as long as one was not timed on a quiet machine; "not reproduced" where our time
    over theirs is longer for many images at a time than for one, beyond both 95 % intervals; else
    "underspecified".

    `ratios`: of one image, then of many: our time over theirs.
    """
    known = [r for r in ratios.values() if r is not None and r.low is not None]
    if len(known) < 2 or not quiet:
        return lacking(f"{NEEDS_TIMES} for both networks.")
    one, many = known
    listed = "; ".join(
        f"{name} {1 / r.value:.1f} times ({1 / r.high:.1f} to {1 / r.low:.1f})"
        for name, r in ratios.items()
    )
    return _result(
        NOT_REPRODUCED if many.low > one.high else UNDERSPECIFIED,
        f"As many images in the same time as the other, on a CPU: {listed}. The other's scan is "
        "ours, compiled; a GPU, which section 4.7.2 speaks of, was not at hand.",
    )


@checks("B145", measured=_times_by_macs)
def cheaper_is_faster(
    *, macs: Mapping[str, int], times: Mapping[str, Mapping[str, Estimate]], quiet: bool
) -> CheckResult:
    """Judge "fewer FLOPs enable faster inference", over all pairs of networks that were timed.

    A pair is told apart where the 95 % intervals of both times do not meet. Rule: "not run" without
    times on a quiet machine; "reproduced" where the network with fewer multiply-accumulates is the
    faster one in each pair that is told apart, "not reproduced" where in no more than half of them,
    else "underspecified": it holds of most, and neither device nor networks are named.

    `macs`: network -> multiply-accumulates of an image; `times`: "1 image" and so on -> network ->
    its time, in those of one reference.
    """
    pairs = {images: _told_apart(macs, of_models) for images, of_models in times.items()}
    known = [right for found in pairs.values() for right in found.values()]
    if not known or not quiet:
        return lacking(f"{NEEDS_TIMES}.")
    listed = "; ".join(
        f"{images}: {sum(found.values())} of {len(found)}" for images, found in pairs.items()
    )
    wrong = [
        (macs[cheap] / macs[dear], images, cheap, dear)
        for images, found in pairs.items()
        for (cheap, dear), right in found.items()
        if not right
    ]
    example = ""
    if wrong:
        share, images, cheap, dear = min(wrong)
        longer = times[images][cheap].value / times[images][dear].value
        example = (
            f" {cheap} needs {share:.2f} times the multiply-accumulates of {dear} and {longer:.1f} "
            f"times its time ({images})."
        )
    verdict = UNDERSPECIFIED if 2 * sum(known) > len(known) else NOT_REPRODUCED
    return _result(
        REPRODUCED if all(known) else verdict,
        f"On a CPU, {len(macs)} networks (those with a scan are left out: theirs is ours, compiled "
        "for the CPU). Pairs that are told apart in which the one with fewer multiply-accumulates "
        f"is faster: {listed}.{example}",
    )


def _told_apart(
    macs: Mapping[str, int], times: Mapping[str, Estimate]
) -> dict[tuple[str, str], bool]:
    """Return, of pairs (cheaper, dearer) that are told apart, whether the cheaper is faster."""
    known = [model for model, time in times.items() if time.low is not None]
    found = {}
    for pair in combinations(known, 2):
        cheap, dear = sorted(pair, key=macs.get)
        a, b = times[cheap], times[dear]
        if macs[cheap] < macs[dear] and (a.high < b.low or b.high < a.low):
            found[cheap, dear] = a.high < b.low
    return found
