"""Paper A's sizes: what the backbones that it names hold, against what it states."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import torch
import torchvision
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from helpers.models.counting import blank_image, count_parameters
from study.claims.arithmetic import percent_saved
from study.claims.check import ByRow, checks
from study.claims.check_result import OPEN_CHOICE, CheckResult, verdict_of_readings
from study.claims.ledger import Claim
from study.published import NOT_GIVEN, Published, rounding
from study.sizes import matches
from study.verdicts import CONTRADICTED, NOT_REPRODUCED, REPRODUCED, UNDERSPECIFIED

# What the paper names, and what its sizes allow.
BACKBONES = ("resnet18", "resnet50")
# "Far fewer": below this share of the backbone's parameters.
FAR_FEWER = 0.1
# "A small subset": below this share of all parameters.
SMALL_SUBSET = 0.5


@dataclass(frozen=True)
class Backbone:
    """Parameters of a ResNet of torchvision without its classifier, in millions."""

    trunk: float  # all of them
    last_stage: float  # of layer4
    last_block: float  # of the last residual block
    features: int  # width of the pooled features

    def linear(self, outputs: int) -> float:
        """Return the parameters of a linear head with bias."""
        return (self.features + 1) * outputs / 1e6

    def with_linear(self, outputs: int) -> float:
        """Return the parameters with such a head."""
        return self.trunk + self.linear(outputs)


@lru_cache
def count_backbone(name: str) -> Backbone:
    """Count "resnet18", "resnet34" or "resnet50"; no memory is taken for the weights."""
    with torch.device("meta"):
        network = torchvision.models.get_model(name)
    last_stage, classifier = network.layer4, network.fc
    return Backbone(
        trunk=(count_parameters(network) - count_parameters(classifier)) / 1e6,
        last_stage=count_parameters(last_stage) / 1e6,
        last_block=count_parameters(last_stage[-1]) / 1e6,
        features=classifier.in_features,
    )


def backbones(claim: Claim) -> dict[str, dict[str, Backbone]]:
    """Count the backbones that the paper allows."""
    return {"backbones": {name: count_backbone(name) for name in BACKBONES}}


def _heads(claim: Claim) -> dict[str, dict[str, tuple[float, Backbone]]]:
    """Return the heads that the paper allows: Eq. 4 on both backbones, and what 11.4 M leave."""
    known = backbones(claim)["backbones"]
    size, small = claim.value("size"), known["resnet18"]
    heads = {f"Eq. 4 on {name}": (b.linear(1), b) for name, b in known.items()}
    heads[f"the most within {size.printed} M"] = (rounding(size)[1] - small.trunk, small)
    return {"heads": heads}


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
    low, high = rounding(printed)
    verdict = CONTRADICTED if backbone.trunk > high else UNDERSPECIFIED
    if matches(backbone.with_linear(1), printed):
        verdict = REPRODUCED
    counted = ", ".join(f"{name} {b.trunk:.2f} M" for name, b in backbones.items())
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
    totals = {name: b.with_linear(1) for name, b in backbones.items()}
    listed = ", ".join(f"{name} {total:.2f} M" for name, total in totals.items())
    holds = any(matches(total, printed) for total in totals.values())
    low, high = rounding(printed)
    rooms = [
        f"{low - b.trunk:.2f} to {high - b.trunk:.2f} M on {name}"
        for name, b in backbones.items()
        if b.trunk < low
    ]
    room = f", which leaves a head of {', '.join(rooms)}" if rooms else ""
    return CheckResult(
        verdict=REPRODUCED if holds else CONTRADICTED,
        evidence=f"With one linear unit: {listed}; printed are {printed.printed} M{room}.",
    )


@checks(
    "A62",
    "A63",
    measured=lambda claim: {"count": count_backbone(claim.ours).with_linear(2)},
)
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
    low, high = (end - backbone.trunk for end in rounding(printed))
    verdict = UNDERSPECIFIED if described.printed == NOT_GIVEN else REPRODUCED
    return CheckResult(
        verdict=CONTRADICTED if high < 0 else verdict,
        evidence=f"{printed.printed} M leave {low:.2f} to {high:.2f} M for a head on ResNet-18 "
        f"({backbone.trunk:.2f} M); the circuit and its layers: {described.printed}.",
    )


@checks("A70")
def lighter_in_use(*, ours: Published, others: ByRow) -> CheckResult:
    """Check that the model has fewer parameters in use than conventional networks.

    Freezing saves memory in training; in use every parameter counts.

    Rule: reproduced where it has fewer than each network of the table, contradicted where it has
    fewer than none, else underspecified: which network is meant is not said.
    """
    saved = {name: percent_saved(ours.value, value.value) for name, value in others.items()}
    fewer = [share > 0 for share in saved.values()]
    some = UNDERSPECIFIED if any(fewer) else CONTRADICTED
    listed = ", ".join(
        f"{abs(share):.1f} % {'fewer' if share > 0 else 'more'} parameters than {name}"
        for name, share in saved.items()
    )
    return CheckResult(
        verdict=REPRODUCED if all(fewer) else some,
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


def by_stage(name: str, count: Callable[[nn.Module], float]) -> dict[str, float]:
    """Count something of a backbone with one unit, set up for each stage."""
    found = {}
    for stage, trained in STAGES.items():
        with torch.device("meta"):  # no memory is taken
            network = torchvision.models.get_model(name, num_classes=1).eval()
        for key, parameter in network.named_parameters():
            parameter.requires_grad_(key.startswith(trained))
        found[stage] = count(network)
    return found


def step_cost(network: nn.Module) -> float:
    """Count a training step of one image, forward and backward: 10^9 multiply-accumulates."""
    with FlopCounterMode(display=False) as counter:
        network(blank_image(network, STEP_SIDE)).sum().backward()
    return counter.get_total_flops() / 2 / 1e9


def step_memory(network: nn.Module) -> float:
    """Count what a training step of one image holds, in MB.

    All weights, the gradients of those that are trained, and what the forward pass keeps for the
    backward pass, each tensor once. What an optimizer keeps is left out, since none is named.
    """
    kept = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        kept[storage._cdata] = storage.nbytes()
        return tensor

    for weights in (*network.parameters(), *network.buffers()):
        keep(weights)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        network(blank_image(network, STEP_SIDE)).sum()
    gradients = sum(p.nbytes for p in network.parameters() if p.requires_grad)
    return (sum(kept.values()) + gradients) / 1e6


@checks(
    "A85",
    what="Multiply-accumulates of a training step, forward and backward",
    measured=lambda claim: {"steps": {name: by_stage(name, step_cost) for name in BACKBONES}},
)
@checks(
    "A96",
    what="Weights, gradients and what the forward pass of one image keeps for the backward pass",
    measured=lambda claim: {"steps": {name: by_stage(name, step_memory) for name in BACKBONES}},
)
def lighter_training(*, steps: Mapping[str, Mapping[str, float]], what: str) -> CheckResult:
    """Check that freezing layers makes training cheaper, in computation or in memory.

    Rule: reproduced where, on each backbone, a step of either stage takes less than one that
    trains all layers; else not reproduced.

    `steps`: backbone -> stage -> see `step_cost` and `step_memory`.
    """
    *stages, whole = STAGES
    shares = {
        name: {stage: step[stage] / step[whole] for stage in stages} for name, step in steps.items()
    }
    cheaper = all(share < 1 for found in shares.values() for share in found.values())
    listed = "; ".join(
        f"{name} {', '.join(f'{stage} {100 * share:.0f} %' for stage, share in found.items())}"
        for name, found in shares.items()
    )
    return CheckResult(
        verdict=REPRODUCED if cheaper else NOT_REPRODUCED,
        evidence=f"{what}, over those with all layers trained: {listed}. In use nothing is saved "
        "(A70).",
    )
