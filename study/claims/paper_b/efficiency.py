"""Paper B's statements on speed and memory, none of which it measures, against ours."""

from collections.abc import Mapping
from itertools import combinations

from helpers.metrics.scores import Estimate
from study.claims.check import checks
from study.claims.outcome import OPEN_CHOICE, Outcome, lacking
from study.claims.paper_b import stored
from study.verdicts import NOT_REPRODUCED, REPRODUCED, UNDERSPECIFIED

# Most that an exported network may differ, as a share of the scale of its logits.
EXPORT_SHARE = 1e-3


@checks("B111", "B112", measured=lambda claim: stored.time_ratios(claim.ours))
def faster(*, ratios: dict[str, Estimate | None], quiet: bool) -> Outcome:
    """Judge "faster inference than the other network".

    Rule: "not reproduced" where the 95 % interval of our time over theirs lies above 1 for one
    image or for many at a time, "not run" as long as one was not timed on a quiet machine, else
    "underspecified": the paper names no device, and the other's scan is ours, not its authors'.

    `ratios`: "1 image" and so on -> ratio of the times, None if not timed; `quiet`: whether others
    took no notable share of the processor.
    """
    known = {name: r for name, r in ratios.items() if r is not None and r.low is not None}
    if len(known) < len(ratios) or not ratios or not quiet:
        return lacking(
            f"Timed: {len(known)} of {len(ratios)} cases"
            + (", not on a quiet machine." if known and not quiet else ".")
            + " Needed: the phase `times` of `python -m study costs` for both."
        )
    listed = "; ".join(
        f"{name} {r.value:.2f} ({r.low:.2f} to {r.high:.2f})" for name, r in known.items()
    )
    return Outcome(
        verdict=NOT_REPRODUCED if any(r.low > 1 for r in known.values()) else UNDERSPECIFIED,
        evidence=f"The network's time over the other's, on a CPU: {listed}. The other's scan is "
        "ours, compiled for it; its authors' is a kernel for GPUs. No device is named.",
        limits=(OPEN_CHOICE,),
        runs=("results/efficiency",),
    )


@checks("B113", device="a GPU", measured=lambda claim: stored.peaks(claim.ours))
@checks("B139", device="a CPU", measured=lambda claim: stored.peaks(claim.ours))
def less_memory(*, ours: int | None, theirs: int | None, device: str) -> Outcome:
    """Judge "reduced memory" beside the other network.

    Rule: "not run" where one was not measured on the device, "not reproduced" where our peak is not
    lower; else "reproduced" on a GPU, "underspecified" on a CPU: there the other's scan is ours,
    not its authors', and keeps what theirs does not.

    `ours`: bytes; `theirs`: bytes; `device`: "a GPU" or "a CPU".
    """
    if ours is None or theirs is None:
        return lacking(f"Needed: the phase `memory` of `python -m study costs` on {device}.")
    lower = UNDERSPECIFIED if device == "a CPU" else REPRODUCED
    return Outcome(
        verdict=lower if ours < theirs else NOT_REPRODUCED,
        evidence=f"Peak of a forward pass on {device}: {ours / 2**20:.0f} MiB against "
        f"{theirs / 2**20:.0f} MiB"
        + (", the other's scan compiled by us." if device == "a CPU" else "."),
        limits=(OPEN_CHOICE,),
        runs=("results/efficiency",),
    )


@checks("B114", measured=lambda claim: {"row": stored.export_row()})
def exports(*, row: dict | None, at_most: float = EXPORT_SHARE) -> Outcome:
    """Judge "can be deployed" in the part that can be tried: export to a portable format.

    Rule: "not reproduced" where the exported network does not give the same logits within `at_most`
    of their scale, "not run" without an export, else "underspecified": no device is named, and
    speed and power on it are not in the check.

    `row`: the network's row of the phase `exports`.
    """
    if row is None:
        return lacking("Needed: the phase `exports`.")
    if row["difference"] is None:
        return Outcome(verdict=NOT_REPRODUCED, evidence=f"No export: {row['reason']}.")
    share = row["difference"] / row["scale"]
    return Outcome(
        verdict=UNDERSPECIFIED if share <= at_most else NOT_REPRODUCED,
        evidence=f"No device is named. Exported to ONNX, its logits differ by {share:.1e} of their "
        "scale; that it runs fast or with little power on a small device is measured neither there "
        "nor here.",
        limits=(OPEN_CHOICE,),
        runs=("results/efficiency",),
    )


@checks("B138", measured=lambda claim: stored.time_ratios(claim.ours))
def batches_better(*, ratios: dict[str, Estimate | None], quiet: bool) -> Outcome:
    """Judge "more efficient batch processing, and so enhanced throughput" beside the other network.

    Rule: "not run" as long as one was not timed on a quiet machine; "not reproduced" where our time
    over theirs is longer for many images at a time than for one, beyond both 95 % intervals;
    else "underspecified": no device is named, and the other's scan is ours, not its authors'.

    `ratios`: of one image, then of many: our time over theirs; `quiet`: whether others took no
    notable share of the processor.
    """
    known = [r for r in ratios.values() if r is not None and r.low is not None]
    if len(known) < 2 or not quiet:
        return lacking("Needed: the phase `times` of `python -m study costs` for both networks.")
    one, many = known
    listed = "; ".join(
        f"{name} {1 / r.value:.1f} times ({1 / r.high:.1f} to {1 / r.low:.1f})"
        for name, r in ratios.items()
    )
    return Outcome(
        verdict=NOT_REPRODUCED if many.low > one.high else UNDERSPECIFIED,
        evidence=f"As many images in the same time as the other, on a CPU: {listed}. The other's "
        "scan is ours, compiled; a GPU, which section 4.7.2 speaks of, was not at hand.",
        limits=(OPEN_CHOICE,),
        runs=("results/efficiency",),
    )


@checks("B145", measured=lambda claim: stored.times_by_macs(claim.ours))
def cheaper_is_faster(
    *, macs: Mapping[str, int], times: Mapping[str, Mapping[str, Estimate]], quiet: bool
) -> Outcome:
    """Judge "fewer FLOPs enable faster inference", over all pairs of networks that were timed.

    A pair is told apart where the 95 % intervals of both times do not meet. Rule: "not run" without
    times on a quiet machine; "reproduced" where the network with fewer multiply-accumulates is the
    faster one in each pair that is told apart, "not reproduced" where in no more than half of them,
    else "underspecified": it holds of most, and neither device nor networks are named.

    `macs`: network -> multiply-accumulates of an image; `times`: "1 image" and so on -> network ->
    its time, in those of one reference; `quiet`: whether others took no notable share of the
    processor.
    """
    pairs = {name: _told_apart(macs, of_batch) for name, of_batch in times.items()}
    known = [right for found in pairs.values() for right in found.values()]
    if not known or not quiet:
        return lacking("Needed: the phase `times` of `python -m study costs`.")
    listed = "; ".join(
        f"{name}: {sum(found.values())} of {len(found)}" for name, found in pairs.items()
    )
    wrong = [
        (macs[cheap] / macs[dear], name, cheap, dear)
        for name, found in pairs.items()
        for (cheap, dear), right in found.items()
        if not right
    ]
    example = ""
    if wrong:
        share, name, cheap, dear = min(wrong)
        longer = times[name][cheap].value / times[name][dear].value
        example = (
            f" {cheap} needs {share:.2f} times the multiply-accumulates of {dear} and {longer:.1f} "
            f"times its time ({name})."
        )
    verdict = UNDERSPECIFIED if 2 * sum(known) > len(known) else NOT_REPRODUCED
    return Outcome(
        verdict=REPRODUCED if all(known) else verdict,
        evidence=f"On a CPU, {len(macs)} networks (those with a scan are left out: theirs is ours, "
        "compiled for the CPU). Pairs that are told apart in which the one with fewer "
        f"multiply-accumulates is faster: {listed}.{example}",
        limits=(OPEN_CHOICE,),
        runs=("results/efficiency",),
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
