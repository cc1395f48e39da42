"""Paper B's sizes: what is printed against what its text describes, counted."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

from study.claims.arithmetic import percent_saved, saved_range
from study.claims.check import ByRow, Whole, checks
from study.claims.check_result import OPEN_CHOICE, CheckResult, verdict_of_readings
from study.claims.ledger import Claim
from study.claims.paper_b import counting
from study.published import Published, lookup
from study.sizes import IMAGE_SIZE, NUM_CLASSES, matches
from study.verdicts import CONTRADICTED, NOT_REPRODUCED, REPRODUCED, SLIP, UNDERSPECIFIED

# Up to this share of the other's, a number is substantially less.
SUBSTANTIALLY = 0.9
MPARAMS, GMACS = "million parameters", "10^9 multiply-accumulates"
RELEASED = (28, 64, 128, 224)  # sides of the released files, pixels
RECORD_SIDE = 28  # of those in the record that the paper's Data Availability names
WITH_CLASSES = f"with {NUM_CLASSES} classes"


@checks("B21", measured=counting.size_beside, open_choice=True)
@checks("B11", "B23", "B24", "B25", "B31", "B32", measured=counting.size_beside)
def stated_size(
    *, printed: Published, counted: float, up_to: float | None = None, open_choice: bool = False
) -> CheckResult:
    """Judge a printed size of a network.

    Rule: "reproduced" where our count is the printed one by `sizes.matches`; else "not reproduced".

    `counted`: ours, in the unit of `printed`; `up_to`: with normalisation, where whether it was
    counted is not said; `open_choice`: whether the network is our reading of a text with gaps.
    """
    normed = "" if up_to is None else f", with normalisation {up_to:.2f} {printed.unit}"
    same = matches(counted, printed, up_to=up_to)
    return CheckResult(
        verdict=REPRODUCED if same else NOT_REPRODUCED,
        evidence=f"Printed: {printed.printed} {printed.unit}; counted {WITH_CLASSES}: "
        f"{counted:.2f} {printed.unit}{normed}.",
        limits=(OPEN_CHOICE,) if open_choice else (),
        runs=(counting.COUNTED,),
    )


@checks(
    "B09",
    measured=lambda claim: {
        "trunk": counting.backbone()[0],
        "built": counting.millions("medspectralnet"),
        "light": counting.millions("medspectralnet_resnet16"),
    },
)
def stated_total(*, printed: Published, trunk: float, built: float, light: float) -> CheckResult:
    """Judge the total of parameters, in millions, beside the backbone that the text names.

    Rule: "contradicted" where the backbone without its classifier alone exceeds the printed total;
    else "reproduced" where the network built from the text rounds to it, else "not reproduced".

    `trunk`: of the backbone without its classifier; `built`: of our build of the text; `light`: of
    the nearest build that keeps to the total, with a shortened backbone.
    """
    verdict = REPRODUCED if matches(built, printed) else NOT_REPRODUCED
    return CheckResult(
        verdict=CONTRADICTED if trunk > printed.value else verdict,
        evidence=f"The named backbone alone has {trunk:.2f} M without its classifier, the network "
        f"of the text {built:.2f} M {WITH_CLASSES}; printed: {printed.printed} M. With a "
        f"shortened backbone {light:.2f} M can be had.",
        runs=(counting.COUNTED,),
    )


@checks("B10", "B26", "B27")
def saving(*, printed: Published, ours: Published, theirs: Published) -> CheckResult:
    """Judge a printed saving in percent.

    Rule: "reproduced" where two sizes that round to the printed ones save a share that rounds to
    the printed percentage; "slip" where less than a point is missing; else "contradicted".
    """
    low, high = saved_range(ours, theirs)
    found = percent_saved(ours.value, theirs.value)
    wrong = SLIP if abs(found - printed.value) < 1 else CONTRADICTED
    return CheckResult(
        verdict=REPRODUCED if matches(low, printed, up_to=high) else wrong,
        evidence=f"{ours.printed} is {found:.1f} % less than {theirs.printed} ({low:.1f} to "
        f"{high:.1f} % with all roundings), and {100 - found:.1f} % of it; printed: "
        f"{printed.printed} %.",
    )


@checks("B33")
def saving_range(*, printed: Published, ours: Published, others: ByRow) -> CheckResult:
    """Judge a printed range of savings over several systems.

    Rule: "reproduced" where the saving over each system lies in the printed range to its digits;
    "slip" where those that do not lie above it, to the paper's own disadvantage; else
    "contradicted".
    """
    saved, listed = _savings(ours, others)
    outside = [share for share in saved if not matches(round(share), printed)]
    wrong = SLIP if all(share > printed.high for share in outside) else CONTRADICTED
    return CheckResult(
        verdict=wrong if outside else REPRODUCED,
        evidence=f"Saved against {listed}; printed: {printed.printed} %.",
    )


@checks("B34")
def saving_over_unnamed(*, printed: Published, ours: Published, others: ByRow) -> CheckResult:
    """Judge a saving against "large state-of-the-art models" that are not named.

    Rule: "reproduced" where it is reached against every system whose size the paper prints,
    "contradicted" where against none, else "underspecified".
    """
    saved, listed = _savings(ours, others)
    reached = [round(share) >= printed.value for share in saved]
    some = UNDERSPECIFIED if any(reached) else CONTRADICTED
    return CheckResult(
        verdict=REPRODUCED if all(reached) else some,
        evidence=f"Which models are meant is not said; saved against {listed}; printed: "
        f"{printed.printed} %.",
    )


def _savings(ours: Published, others: ByRow) -> tuple[list[float], str]:
    """Return what is saved against each of the others, in percent, and the same in words."""
    saved = {name: percent_saved(ours.value, size.value) for name, size in others.items()}
    return list(saved.values()), ", ".join(f"{name} {s:.1f} %" for name, s in saved.items())


def _counted(claim: Claim, *, count: Callable[[str], float]) -> dict[str, Any]:
    others = {title: count(model) for title, model in claim.beside.items()}
    return {"ours": count("medspectralnet"), "others": others}


def _counted_beside_medvit(claim: Claim) -> dict[str, Any]:
    printed = {
        system: lookup(paper="medvit", table="sizes", row=system, column="params")
        for system in claim.beside
    }
    return _counted(claim, count=counting.millions) | {"printed": printed}


@checks("B28", unit=GMACS, times=2.0, measured=partial(_counted, count=counting.gmacs))
@checks("B134", unit=GMACS, measured=partial(_counted, count=counting.gmacs))
@checks("B35", unit=MPARAMS, measured=partial(_counted, count=counting.millions))
@checks("B36", unit=MPARAMS, measured=_counted_beside_medvit)
def smaller_than(
    *,
    ours: float,
    others: Mapping[str, float],
    unit: str,
    times: float = 1.0,
    printed: ByRow = MappingProxyType({}),
) -> CheckResult:
    """Judge "fewer parameters" or "less computation" than others by our counts.

    Rule: "reproduced" where each of the others has more than `times` ours, else "not reproduced";
    "underspecified" where our counts say so and a size that its authors print does not. One that is
    quoted from memory (mark M) is told and never decides.

    `times`: how much more is claimed; `printed`: what the authors of some of the others print.
    """
    below = [name for name, size in others.items() if not size > times * ours]
    otherwise = {n: p for n, p in printed.items() if not p.value > times * ours}
    listed = ", ".join(f"{name} {size:.2f}" for name, size in others.items())
    said = "".join(
        f" But {name} has {p.printed} by its authors, which is less."
        if p.may_carry_verdict
        else f" {name}'s {p.printed} in its authors' paper, which would be less, is quoted from "
        f"memory (mark {p.mark}): unverified, it decides nothing. Ours counts their public code."
        for name, p in otherwise.items()
    )
    verified = any(p.may_carry_verdict for p in otherwise.values())
    verdict = UNDERSPECIFIED if verified else REPRODUCED
    return counting.result(
        NOT_REPRODUCED if below else verdict,
        f"Counted in {unit}, {WITH_CLASSES}: MedSpectralNet as the text builds it "
        f"{ours:.2f}, {listed}." + said,
    )


@checks("B18")
def whole_channels(*, channels: Published, share: Published) -> CheckResult:
    """Judge a width of C/3 channels.

    Rule: "reproduced" where the printed C divides by it, else "underspecified".
    """
    divisor = int(share.printed.rpartition("/")[2])
    return CheckResult(
        verdict=UNDERSPECIFIED if int(channels.value) % divisor else REPRODUCED,
        evidence=f"C is {channels.printed}; {share.printed} is {channels.value / divisor:.2f} "
        "channels, and how that is rounded is not said.",
    )


@checks("B19")
def gate_fits(*, gate: Published, gated: Published) -> CheckResult:
    """Judge an elementwise product of a gate and what it gates.

    Rule: "reproduced" where both have the same printed width, else "underspecified".
    """
    return CheckResult(
        verdict=REPRODUCED if gate.printed == gated.printed else UNDERSPECIFIED,
        evidence=f"The gate has {gate.printed} channels, what it modulates {gated.printed}: it "
        "fits only if one gate serves both halves, which is not said.",
    )


def patch_sides(patches: Published) -> list[int]:
    """Return the sides of a patch that are printed as a choice, "3 or 5"."""
    return [int(side) for side in patches.printed.split(" or ")]


@checks("B20")
def whole_patches(
    *, patches: Published, stride: Published, sizes: Sequence[int] = RELEASED
) -> CheckResult:
    """Judge non-overlapping k x k patches on the backbone's map.

    Rule: "reproduced" where at one of the sizes that the data sets come in a k divides the map
    into whole patches; else "underspecified": how the rest is padded is not said.
    """
    sides = patch_sides(patches)
    maps = {size: -(-size // int(stride.value)) for size in sizes}
    fitting = [(size, k) for size, side in maps.items() for k in sides if side % k == 0]
    listed = ", ".join(f"{side} x {side} at {size} px" for size, side in maps.items())
    return CheckResult(
        verdict=REPRODUCED if fitting else UNDERSPECIFIED,
        evidence=f"The map is {listed}; k = {' or '.join(map(str, sides))} divides "
        f"{len(fitting)} of them, and no padding is described.",
    )


@checks("B17", measured=lambda claim: {"shape": counting.backbone()[1]})
def backbone_map(*, channels: Whole, stride: Whole, shape: Sequence[int]) -> CheckResult:
    """Judge the shape of the backbone's map.

    Rule: "reproduced" where the network that is named gives the printed channels at the printed
    stride, else "not reproduced".

    `shape`: (C, H, W) of the map for an image of `IMAGE_SIZE`.
    """
    side = IMAGE_SIZE // stride
    wanted = (channels, side, side)
    return CheckResult(
        verdict=REPRODUCED if tuple(shape) == wanted else NOT_REPRODUCED,
        evidence=f"A ResNet-18 maps {IMAGE_SIZE} px to {' x '.join(map(str, shape))}; printed: "
        f"{' x '.join(map(str, wanted))}.",
        runs=(counting.COUNTED,),
    )


@checks("B29")
def tool_gives(*, printed: Published, by_tool: Published) -> CheckResult:
    """Judge that a printed cost was counted with the tool that is named.

    Rule: "reproduced" where the named tool gives the printed number (`sizes.matches`), else
    "underspecified": what a tool sees depends on the code of the network, which is not named.
    """
    return CheckResult(
        verdict=REPRODUCED if matches(by_tool.value, printed) else UNDERSPECIFIED,
        evidence=f"The named tool gives {by_tool.printed} {by_tool.unit} for torchvision's network "
        f"({by_tool.note}); printed: {printed.printed}. Whose code was counted is not said.",
    )


@checks(
    "B30",
    measured=lambda claim: {
        "counted": {t: counting.both_gmacs(m) for t, m in claim.beside.items()}
    },
)
def operations(*, printed: ByRow, counted: Mapping[str, tuple[float, float]]) -> CheckResult:
    """Judge "FLOPs: the total number of arithmetic operations".

    Rule: a multiply-accumulate is two operations. "Reproduced" where the printed numbers are twice
    our counts of multiply-accumulates by `sizes.matches`, else "not reproduced".

    `counted`: our multiply-accumulates in that unit, without normalisation and with it.
    """
    fits = all(matches(2 * counted[n][0], v, up_to=2 * counted[n][1]) for n, v in printed.items())
    listed = ", ".join(f"{n} {value.value / counted[n][0]:.2f}" for n, value in printed.items())
    return CheckResult(
        verdict=REPRODUCED if fits else NOT_REPRODUCED,
        evidence=f"Printed FLOPs are, in times our multiply-accumulates: {listed}; counted "
        "operation by operation they would be 2.",
        runs=(counting.COUNTED,),
    )


@checks("B124", measured=lambda claim: {n: counting.gmacs(m) for n, m in claim.beside.items()})
def needs_less(
    *, ours: Published, theirs: Published, counted_ours: float, counted_theirs: float
) -> CheckResult:
    """Judge "substantially less computation than the other network", in G.

    Rule: "substantially" is read as a tenth. "Reproduced" where both the printed numbers and our
    counts of the first are at least a tenth lower, "not reproduced" where neither are, else
    "underspecified": whose count is meant is not said.
    """
    pairs = ((ours.value, theirs.value), (counted_ours, counted_theirs))
    lower = [a <= SUBSTANTIALLY * b for a, b in pairs]
    return counting.result(
        verdict_of_readings(lower),
        f"Printed: {ours.printed} G against {theirs.printed} G in the other's paper. By "
        f"one tool, {WITH_CLASSES}: {counted_ours:.2f} against {counted_theirs:.2f} G, the other's "
        "released sizes.",
    )


@checks(
    "B22",
    measured=lambda claim: {
        "trunk": counting.gmacs("resnet18"),
        "shortened": counting.gmacs("medspectralnet_resnet16"),
    },
)
def no_better_by_adding(*, printed: Published, trunk: float, shortened: float) -> CheckResult:
    """Judge the printed cost and total together.

    Rule: "reproduced" where one network can have both: the backbone that leaves room for the
    printed total (`shortened`, in the unit of `printed`) costs no less than the printed number;
    else "not reproduced", with what each alone would take.
    """
    return counting.result(
        REPRODUCED if matches(shortened, printed) else NOT_REPRODUCED,
        "The build of the described network that keeps to the printed parameters, on a "
        f"shortened backbone, costs {shortened:.2f} {printed.unit} at 224 px, {WITH_CLASSES}; "
        f"printed: {printed.printed}. The full backbone alone costs {trunk:.2f}.",
    )
