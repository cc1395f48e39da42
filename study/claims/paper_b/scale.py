"""How a cost grows with the image, and what that tells of an image size that is not given."""

from collections.abc import Mapping
from inspect import signature
from itertools import pairwise
from typing import Any

import torch

from helpers.models.counting import count_macs, count_parameters
from helpers.models.self_attention import SelfAttention
from helpers.models.spectralflow import SpectralFlow
from study.claims.check import Whole, checks
from study.claims.check_result import OPEN_CHOICE, CheckResult, verdict_of_readings
from study.claims.ledger import Claim
from study.claims.paper_b import counting
from study.claims.paper_b.sizes import RELEASED, patch_sides
from study.published import NOT_GIVEN, Published
from study.sizes import matches
from study.verdicts import NOT_REPRODUCED, REPRODUCED, UNDERSPECIFIED

MAPS = (7, 14, 28)  # sides of the backbone's map
REDUCTIONS = (1, 2, 4, 8, 16)  # by which SpectralFlow may reduce its channels; not given


def reduction() -> int:
    """Return by how much our SpectralFlow reduces its channels."""
    return signature(SpectralFlow).parameters["reduction"].default


def _macs(claim: Claim, reduction: int) -> tuple[dict[int, int], dict[int, int]]:
    """Return what SpectralFlow takes by side of the map, and self-attention of as many parameters.

    In multiply-accumulates, for the channels beside a claim.
    """
    channels = round(claim.value("channels").value)
    with torch.device("meta"):
        flow = SpectralFlow(channels=channels, reduction=reduction)
        attention = SelfAttention.with_parameters(count_parameters(flow))
    width = attention.attention.embed_dim
    return (
        {side: count_macs(flow, image_size=side, in_channels=channels) for side in MAPS},
        {side: count_macs(attention, image_size=side, in_channels=width) for side in MAPS},
    )


@checks(
    "B15",
    measured=lambda claim: {
        name: {side: counting.counts(model, side).macs for side in (224, 448, 896)}
        for name, model in (("macs", "medspectralnet"), ("plain", "resnet18"))
    },
)
def linear_cost(*, macs: Mapping[int, int], plain: Mapping[int, int]) -> CheckResult:
    """Judge a cost that is linear in H x W.

    Rule: "reproduced" where the multiply-accumulates per pixel of every image side are within 2 %
    of those of the largest one, else "not reproduced".

    `macs`: image side -> multiply-accumulates of the network; `plain`: likewise of the plain
    backbone.
    """
    sides = sorted(macs)

    def spread(counts: Mapping[int, int]) -> float:
        per_pixel = [counts[side] / side**2 for side in sides]
        return max(abs(value / per_pixel[-1] - 1) for value in per_pixel)

    ours = spread(macs)
    return counting.result(
        REPRODUCED if ours <= 0.02 else NOT_REPRODUCED,
        f"Multiply-accumulates per pixel at {', '.join(map(str, sides))} px differ by "
        f"{100 * ours:.1f} % from those at {sides[-1]} px; a plain ResNet-18's differ by "
        f"{100 * spread(plain):.1f} %: any convolutional network is linear.",
    )


def _ratios(claim: Claim) -> dict[str, Any]:
    ratios = {}
    for r in REDUCTIONS:
        flow, attention = _macs(claim, r)
        ratios[r] = {side: attention[side] / flow[side] for side in MAPS}
    return {"ratios": ratios, "ours": reduction()}


@checks("B16", measured=_ratios)
def attention_cost(
    *, printed: Published, ratios: Mapping[int, Mapping[int, float]], ours: int
) -> CheckResult:
    """Judge "self-attention with as many parameters needs about four times the FLOPs".

    SpectralFlow reduces its channels by r. Rule: "reproduced" where the ratio rounds to the printed
    number for each r and on each map, "not reproduced" where on none, else "underspecified".

    `printed`: how many times; `ratios`: r -> side of the map -> counted multiply-accumulates of
    self-attention in those of SpectralFlow; `ours`: the r of our build.
    """
    listed = ", ".join(
        f"{min(by_r.values()):.2f} to {max(by_r.values()):.2f} on {side} x {side}"
        for side in ratios[ours]
        if (by_r := {r: of_map[side] for r, of_map in ratios.items()})
    )
    own = next(iter(ratios[ours].values()))
    return counting.result(
        verdict_of_readings(
            matches(value, printed) for of_map in ratios.values() for value in of_map.values()
        ),
        "Self-attention of as many parameters takes these times the "
        f"multiply-accumulates of SpectralFlow, for r = {max(ratios)} to {min(ratios)}, by which "
        f"that reduces its channels: {listed}; printed: about {printed.printed}. Neither r nor the "
        f"map is given; the network's own map at 224 px is the first, and with our r = {ours} it "
        f"is {own:.2f} there.",
    )


@checks("B137", measured=lambda claim: {"macs": _macs(claim, reduction())[1]})
def quadratic_cost(*, macs: Mapping[int, int]) -> CheckResult:
    """Judge "the cost of self-attention is quadratic in the number of pixels".

    Rule: "reproduced" where the multiply-accumulates per place grow by the same amount for each
    further place (1 %), and grow; else "not reproduced".

    `macs`: side of the map, three of them -> multiply-accumulates of a self-attention.
    """
    each = [(side**2, macs[side] / side**2) for side in sorted(macs)]
    slopes = [(b - a) / (q - p) for (p, a), (q, b) in pairwise(each)]
    quadratic = min(slopes) > 0 and max(slopes) <= 1.01 * min(slopes)
    listed = ", ".join(f"{side} x {side}: {macs[side] / 1e6:.0f}" for side in sorted(macs))
    return CheckResult(
        verdict=REPRODUCED if quadratic else NOT_REPRODUCED,
        evidence=f"Million multiply-accumulates of self-attention by map: {listed}. Per place "
        f"they grow by {min(slopes):.0f} to {max(slopes):.0f} for each further place.",
        runs=(counting.COUNTED,),
    )


@checks(
    "B133",
    measured=lambda claim: {
        "costs": {side: counting.counts("medspectralnet", side).macs / 1e9 for side in RELEASED}
    },
)
def file_size(
    *,
    given: Published,
    costs: Mapping[int, float],
    printed: Published,
    record: Published,
    patches: Published,
    stride: Whole,
) -> CheckResult:
    """Judge whether the size of the images can be told: of the files, and as the network sees them.

    Rule: "reproduced" where the size of the files is given, else "underspecified": a file can be
    enlarged to any size; what is printed is compared with each.

    `costs`: side of the network's input -> its multiply-accumulates, 10^9; `stride`: pixels a
    place.
    """
    sides = patch_sides(patches)
    nearest = min(costs, key=lambda side: abs(costs[side] - printed.value))
    least = min(sides) * stride
    listed = ", ".join(f"{side} px {cost:.2f}" for side, cost in costs.items())
    small = [side for side in RELEASED if side < least]
    return CheckResult(
        verdict=UNDERSPECIFIED if given.printed == NOT_GIVEN else REPRODUCED,
        evidence=f"Size of the files: {given.printed}; the record is {record.printed}, and there "
        f"are files of {', '.join(map(str, RELEASED))} px. A map with one patch of {min(sides)} "
        f"places takes {least} px: files of {' and '.join(map(str, small))} px must have been "
        f"enlarged ('standard resizing', section 4.5). The network takes {listed} (10^9); printed: "
        f"{printed.printed}, nearest at {nearest} px, to which files of any of these sizes can "
        "have been brought.",
        limits=(OPEN_CHOICE,),
    )
