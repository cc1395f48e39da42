"""How a cost grows with the image, and what that tells of an image size that is not given."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

from study.claims.check import Whole, checks
from study.claims.ledger import Claim
from study.claims.outcome import OPEN_CHOICE, Outcome, verdict_of_readings
from study.claims.paper_b import counting
from study.claims.paper_b.sizes import COUNTED, RELEASED, patch_sides
from study.published import NOT_GIVEN, Published
from study.sizes import matches
from study.verdicts import NOT_REPRODUCED, REPRODUCED, UNDERSPECIFIED

MAPS = (7, 14, 28)  # sides of the backbone's map


@checks(
    "B15",
    measured=lambda claim: {
        name: {side: counting.counts(model, side).macs for side in (224, 448, 896)}
        for name, model in (("macs", "medspectralnet"), ("plain", "resnet18"))
    },
)
def linear_cost(*, macs: Mapping[int, int], plain: Mapping[int, int]) -> Outcome:
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
    return Outcome(
        verdict=REPRODUCED if ours <= 0.02 else NOT_REPRODUCED,
        evidence=f"Multiply-accumulates per pixel at {', '.join(map(str, sides))} px differ by "
        f"{100 * ours:.1f} % from those at {sides[-1]} px; a plain ResNet-18's differ by "
        f"{100 * spread(plain):.1f} %: any convolutional network is linear.",
        limits=(OPEN_CHOICE,),
        runs=(COUNTED,),
    )


def _of_maps(claim: Claim) -> dict[str, Mapping[int, int]]:
    channels = round(claim.value("channels").value)
    attention = counting.self_attention(channels, MAPS)
    return {"attention": attention, "macs": counting.spectralflow(channels, MAPS)[1]}


@checks("B16", measured=_of_maps)
def attention_cost(
    *, printed: Published, attention: Mapping[int, int], macs: Mapping[int, int]
) -> Outcome:
    """Judge "self-attention with as many parameters needs about four times the FLOPs".

    Rule: "reproduced" where the ratio rounds to the printed number on each map, "not reproduced"
    where on none, else "underspecified", since the map's size is not given.

    `printed`: how many times; `attention`: side of the map -> counted multiply-accumulates of
    self-attention; `macs`: likewise of SpectralFlow.
    """
    ratios = {side: attention[side] / own for side, own in macs.items()}
    listed = ", ".join(f"{r:.2f} on {side} x {side}" for side, r in ratios.items())
    return Outcome(
        verdict=verdict_of_readings(matches(r, printed) for r in ratios.values()),
        evidence=f"Self-attention of as many parameters takes {listed} times the "
        f"multiply-accumulates of SpectralFlow; printed: about {printed.printed}. It grows with "
        "the map, whose size is not given; the network's own at 224 px is the first.",
        limits=(OPEN_CHOICE,),
        runs=(COUNTED,),
    )


@checks(
    "B137",
    measured=lambda claim: {
        "macs": counting.self_attention(round(claim.value("channels").value), MAPS)
    },
)
def quadratic_cost(*, macs: Mapping[int, int]) -> Outcome:
    """Judge "the cost of self-attention is quadratic in the number of pixels".

    Rule: "reproduced" where the multiply-accumulates per place grow by the same amount for each
    further place (1 %), and grow; else "not reproduced".

    `macs`: side of the map, three of them -> multiply-accumulates of a self-attention.
    """
    each = [(side**2, macs[side] / side**2) for side in sorted(macs)]
    slopes = [(b - a) / (q - p) for (p, a), (q, b) in pairwise(each)]
    quadratic = min(slopes) > 0 and max(slopes) <= 1.01 * min(slopes)
    listed = ", ".join(f"{side} x {side}: {macs[side] / 1e6:.0f}" for side in sorted(macs))
    return Outcome(
        verdict=REPRODUCED if quadratic else NOT_REPRODUCED,
        evidence=f"Million multiply-accumulates of self-attention by map: {listed}. Per place "
        f"they grow by {min(slopes):.0f} to {max(slopes):.0f} for each further place.",
        runs=(COUNTED,),
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
    files: Sequence[int] = RELEASED,
) -> Outcome:
    """Judge whether the size of the images can be told: of the files, and as the network sees them.

    Rule: "reproduced" where the size of the files is given, else "underspecified": a file can be
    enlarged to any size; what is printed is compared with each.

    `costs`: side of the network's input -> its multiply-accumulates, 10^9; `stride`: pixels a
    place; `files`: sides of the files that are released, in pixels.
    """
    sides = patch_sides(patches)
    nearest = min(costs, key=lambda side: abs(costs[side] - printed.value))
    least = min(sides) * stride
    listed = ", ".join(f"{side} px {cost:.2f}" for side, cost in costs.items())
    small = [side for side in files if side < least]
    return Outcome(
        verdict=UNDERSPECIFIED if given.printed == NOT_GIVEN else REPRODUCED,
        evidence=f"Size of the files: {given.printed}; the record is {record.printed}, and there "
        f"are files of {', '.join(map(str, files))} px. A map with one patch of {min(sides)} "
        f"places takes {least} px: files of {' and '.join(map(str, small))} px must have been "
        f"enlarged ('standard resizing', section 4.5). The network takes {listed} (10^9); printed: "
        f"{printed.printed}, nearest at {nearest} px, to which files of any of these sizes can "
        "have been brought.",
        limits=(OPEN_CHOICE,),
    )
