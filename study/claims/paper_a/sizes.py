"""Paper A's sizes: what the backbones that it names hold, against what it states."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import torch
import torchvision
from torch.utils.flop_counter import FlopCounterMode

from study.claims.arithmetic import percent_saved
from study.claims.check import ByRow, checks
from study.claims.check_result import OPEN_CHOICE, CheckResult, verdict_of_readings
from study.claims.ledger import Claim
from study.published import NOT_GIVEN, Published, rounding
from study.sizes import matches
from study.verdicts import CONTRADICTED, NOT_REPRODUCED, REPRODUCED, UNDERSPECIFIED

MILLION = 1e6
# What the paper names, and what its sizes allow.
BACKBONES = ("resnet18", "resnet50")
# "Far fewer": below this share of the backbone's parameters.
FAR_FEWER = 0.1
# "A small subset": below this share of all parameters.
SMALL_SUBSET = 0.5


@dataclass(frozen=True)
class Backbone:
    """Parameters of a ResNet of torchvision without its classifier."""

    trunk: int  # all of them
    last_stage: int  # of layer4
    last_block: int  # of the last residual block
    features: int  # width of the pooled features

    def linear(self, outputs: int) -> int:
        """Return the parameters of a linear head with bias."""
        return (self.features + 1) * outputs

    def with_linear(self, outputs: int) -> int:
        """Return the parameters with such a head."""
        return self.trunk + self.linear(outputs)


@lru_cache
def count_backbone(name: str) -> Backbone:
    """Count "resnet18", "resnet34" or "resnet50"; no memory is taken for the weights."""
    with torch.device("meta"):
        network = torchvision.models.get_model(name)

    def count(module: torch.nn.Module) -> int:
        return sum(p.numel() for p in module.parameters())

    classifier = network.fc
    return Backbone(
        trunk=count(network) - count(classifier),
        last_stage=count(network.layer4),
        last_block=count(network.layer4[-1]),
        features=classifier.in_features,
    )


def backbones(claim: Claim) -> dict[str, dict[str, Backbone]]:
    """Count the backbones that the paper allows."""
    return {"backbones": {name: count_backbone(name) for name in BACKBONES}}


def _heads(claim: Claim) -> dict[str, dict[str, tuple[float, Backbone]]]:
    """Return the heads that the paper allows: Eq. 4 on both backbones, and what 11.4 M leave."""
    known = backbones(claim)["backbones"]
    heads = {f"Eq. 4 on {name}": (float(b.linear(1)), b) for name, b in known.items()}
    size, small = claim.value("size"), known["resnet18"]
    most = rounding(size)[1] * MILLION - small.trunk
    return {"heads": heads | {f"the most within {size.printed} M": (most, small)}}


@checks("A04", measured=_heads)
def warm_up(*, heads: Mapping[str, tuple[float, Backbone]]) -> CheckResult:
    """Check that the head has far fewer parameters than the backbone.

    Rule: reproduced where each head that the paper allows has less than a tenth, else not
    reproduced.

    `heads`: name -> parameters of the head, and the backbone that it is on.
    """
    shares = {name: 100 * head / backbone.trunk for name, (head, backbone) in heads.items()}
    listed = ", ".join(f"{name} {share:.2g} %" for name, share in shares.items())
    holds = all(share < 100 * FAR_FEWER for share in shares.values())
    return CheckResult(
        verdict=REPRODUCED if holds else NOT_REPRODUCED,
        evidence=f"Head over its backbone: {listed}.",
    )


@checks("A05", measured=backbones)
def small_subset(*, backbones: Mapping[str, Backbone]) -> CheckResult:
    """Check that fine-tuning trains a small subset of the parameters.

    The layers are not named; the last stage and the last block are tried. Small is read as less
    than half.

    Rule: reproduced where each reading trains less than half, not reproduced where each trains
    half or more, else underspecified.
    """
    shares = {}
    for name, backbone in backbones.items():
        shares[f"last stage of {name}"] = 100 * backbone.last_stage / backbone.trunk
        shares[f"last block of {name}"] = 100 * backbone.last_block / backbone.trunk
    small = [share < 100 * SMALL_SUBSET for share in shares.values()]
    listed = ", ".join(f"{name} {share:.0f} %" for name, share in shares.items())
    return CheckResult(
        verdict=verdict_of_readings(small),
        evidence=f"The layers are not named; of the backbone's parameters they hold: {listed}. "
        "Less than half is counted as small.",
        limits=(OPEN_CHOICE,),
    )


@checks("A06", measured=backbones)
def backbone_size(
    *, named: Published, backbones: Mapping[str, Backbone], printed: Published
) -> CheckResult:
    """Check that the backbone named in the methods has the size of Table 4.

    Rule: reproduced where the backbone with a linear head has the printed size; contradicted
    where the backbone alone has more; else underspecified (a head could fill the rest).
    """
    backbone = backbones[named.printed.lower()]
    alone, low, high = backbone.trunk / MILLION, *rounding(printed)
    verdict = UNDERSPECIFIED
    if matches(backbone.with_linear(1) / MILLION, printed):
        verdict = REPRODUCED
    elif alone > high:
        verdict = CONTRADICTED
    counted = ", ".join(f"{name} {b.trunk / MILLION:.2f} M" for name, b in backbones.items())
    return CheckResult(
        verdict=verdict,
        evidence=f"Without classifier: {counted}; Table 4 prints {printed.printed} M "
        f"({low:.2f} to {high:.2f}).",
    )


@checks("A07", measured=backbones)
def linear_head(*, backbones: Mapping[str, Backbone], printed: Published) -> CheckResult:
    """Check that some backbone with the linear head of Eq. 4 has the size of Table 4.

    Rule: reproduced where one has, else contradicted.
    """
    totals = {name: b.with_linear(1) / MILLION for name, b in backbones.items()}
    listed = ", ".join(f"{name} {total:.2f} M" for name, total in totals.items())
    holds = any(matches(total, printed) for total in totals.values())
    low, high = rounding(printed)
    alone = {name: b.trunk / MILLION for name, b in backbones.items()}
    rooms = [
        f"{low - size:.2f} to {high - size:.2f} M on {name}"
        for name, size in alone.items()
        if size < low
    ]
    room = f", which leaves a head of {', '.join(rooms)}" if rooms else ""
    return CheckResult(
        verdict=REPRODUCED if holds else CONTRADICTED,
        evidence=f"With one linear unit: {listed}; printed are {printed.printed} M{room}.",
    )


def _with_classifier(claim: Claim) -> dict[str, float]:
    backbone = count_backbone(claim.ours)
    return {"count": backbone.with_linear(2) / MILLION}


@checks("A62", "A63", measured=_with_classifier)
def counted_size(*, count: float, printed: Published) -> CheckResult:
    """Check a printed size against a count, both in millions.

    Rule: reproduced where the count rounds to the printed digits, else contradicted.
    """
    return CheckResult(
        verdict=REPRODUCED if matches(count, printed) else CONTRADICTED,
        evidence=f"Counted {count:.3f} M with a classifier of two classes; printed "
        f"{printed.printed} M.",
    )


@checks("A64", measured=lambda claim: {"backbone": count_backbone("resnet18")})
def undescribed_head(
    *, printed: Published, backbone: Backbone, described: Published
) -> CheckResult:
    """Check the size of a network whose head is not described.

    Rule: contradicted where the backbone alone has more than is printed; underspecified while
    the head is not described; else reproduced.
    """
    low, high = (end - backbone.trunk / MILLION for end in rounding(printed))
    verdict = REPRODUCED
    if high < 0:
        verdict = CONTRADICTED
    elif described.printed == NOT_GIVEN:
        verdict = UNDERSPECIFIED
    return CheckResult(
        verdict=verdict,
        evidence=f"{printed.printed} M leave {low:.2f} to {high:.2f} M for a head on ResNet-18 "
        f"({backbone.trunk / MILLION:.2f} M); the circuit and its layers: {described.printed}.",
    )


@checks("A70")
def lighter_in_use(*, ours: Published, others: ByRow) -> CheckResult:
    """Check that the model has fewer parameters in use than conventional networks.

    Freezing saves memory in training; in use every parameter counts.

    Rule: reproduced where it has fewer than each network of the table, contradicted where it has
    fewer than none, else underspecified: which network is meant is not said.
    """
    saved = {name: percent_saved(ours.value, value.value) for name, value in others.items()}
    verdict = UNDERSPECIFIED
    if all(share > 0 for share in saved.values()):
        verdict = REPRODUCED
    elif all(share <= 0 for share in saved.values()):
        verdict = CONTRADICTED
    listed = ", ".join(
        f"{abs(share):.1f} % {'fewer' if share > 0 else 'more'} parameters than {name}"
        for name, share in saved.items()
    )
    return CheckResult(
        verdict=verdict,
        evidence=f"Against which network is not said: {listed}. Freezing saves nothing in use.",
    )


@checks("A59")
def same_head(*, methods: Published, results: Published, discussion: Published) -> CheckResult:
    """Check that methods and results speak of the same head.

    Rule: underspecified where they name different ones, since no number rules either out; else
    reproduced.
    """
    same = methods.printed == results.printed
    return CheckResult(
        verdict=REPRODUCED if same else UNDERSPECIFIED,
        evidence=f"The methods describe a {methods.printed} head (Eq. 4), the results name a "
        f"{results.printed} one, and the discussion calls the brain-inspired mechanisms "
        f"{discussion.printed}.",
    )


# The side of the images at which a training step is counted, in pixels.
STEP_SIDE = 224
# What is trained in a stage: parameters whose names begin so. The last stage of the backbone counts
# as its high-level modules.
STAGES = {"warm-up": ("fc.",), "selective fine-tuning": ("layer4.", "fc."), "all layers": ("",)}


def _by_stage(
    name: str, count: Callable[[torch.nn.Module, torch.Tensor], float]
) -> dict[str, float]:
    """Count something of a backbone with one unit on one image, set up for each stage."""
    found = {}
    for stage, trained in STAGES.items():
        with torch.device("meta"):  # no memory is taken
            network = torchvision.models.get_model(name, num_classes=1).eval()
            image = torch.zeros(1, 3, STEP_SIDE, STEP_SIDE)
        for key, parameter in network.named_parameters():
            parameter.requires_grad_(key.startswith(trained))
        found[stage] = count(network, image)
    return found


def training_step(name: str) -> dict[str, float]:
    """Count a training step of one image by stage, forward and backward: 10^9 accumulates."""

    def count(network: torch.nn.Module, image: torch.Tensor) -> float:
        with FlopCounterMode(display=False) as counter:
            network(image).sum().backward()
        return counter.get_total_flops() / 2 / 1e9

    return _by_stage(name, count)


def step_memory(name: str) -> dict[str, float]:
    """Count what a training step of one image holds by stage, in MB.

    All weights, the gradients of those that are trained, and what the forward pass keeps for the
    backward pass, each tensor once. What an optimizer keeps is left out, since none is named.
    """

    def count(network: torch.nn.Module, image: torch.Tensor) -> float:
        kept = {}

        def keep(tensor: torch.Tensor) -> torch.Tensor:
            storage = tensor.untyped_storage()
            kept[storage._cdata] = storage.nbytes()
            return tensor

        for weights in (*network.parameters(), *network.buffers()):
            keep(weights)
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            network(image).sum()
        gradients = sum(p.nbytes for p in network.parameters() if p.requires_grad)
        return (sum(kept.values()) + gradients) / 1e6

    return _by_stage(name, count)


@checks(
    "A85",
    what="Multiply-accumulates of a training step, forward and backward",
    measured=lambda claim: {"steps": {name: training_step(name) for name in BACKBONES}},
)
@checks(
    "A96",
    what="Weights, gradients and what the forward pass of one image keeps for the backward pass",
    measured=lambda claim: {"steps": {name: step_memory(name) for name in BACKBONES}},
)
def lighter_training(*, steps: Mapping[str, Mapping[str, float]], what: str) -> CheckResult:
    """Check that freezing layers makes training cheaper, in computation or in memory.

    Rule: reproduced where, on each backbone, a step of either stage takes less than one that
    trains all layers; else not reproduced.

    `steps`: backbone -> see `training_step` and `step_memory`.
    """
    *stages, whole = STAGES
    shares = {
        name: {stage: step[stage] / step[whole] for stage in stages} for name, step in steps.items()
    }
    cheaper = all(share < 1 for by_stage in shares.values() for share in by_stage.values())
    listed = "; ".join(
        f"{name} {', '.join(f'{stage} {100 * share:.0f} %' for stage, share in by_stage.items())}"
        for name, by_stage in shares.items()
    )
    return CheckResult(
        verdict=REPRODUCED if cheaper else NOT_REPRODUCED,
        evidence=f"{what}, over those with all layers trained: {listed}. In use nothing is saved "
        "(A70).",
    )
