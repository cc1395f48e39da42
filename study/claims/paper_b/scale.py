"""How a cost grows with the image, and what that tells of an image size that is not given."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

from study.claims.check import Whole, checks
from study.claims.outcome import OPEN_CHOICE, Outcome
from study.claims.paper_b import stored
from study.claims.paper_b.sizes import COUNTED, MAPS, RELEASED, patch_sides
from study.published import NOT_GIVEN, Published
from study.verdicts import NOT_REPRODUCED, REPRODUCED, UNDERSPECIFIED


@checks(
    "B137",
    measured=lambda claim: {
        "macs": stored.self_attention(round(claim.value("channels").value), MAPS)
    },
)
def quadratic_cost(*, macs: Mapping[int, int]) -> Outcome:
    """Judge "the cost of self-attention is quadratic in the number of pixels".

    Rule: "reproduced" where the multiply-accumulates per place grow by the same amount for each
    further place (1 %), and grow; else "not reproduced".

    Args:
        macs: side of the map, three of them -> multiply-accumulates of a self-attention.
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
        "costs": {side: stored.counts("medspectralnet", side).macs / 1e9 for side in RELEASED}
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

    Args:
        given: size of the files.
        costs: side of the network's input -> its multiply-accumulates, 10^9.
        printed: the printed cost, 10^9.
        record: where the data are said to be from.
        patches: their sides, in places of the map.
        stride: pixels a place.
        files: sides of the files that are released, in pixels.
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
