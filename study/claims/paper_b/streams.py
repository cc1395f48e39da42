"""Paper B's sentences on its streams and pathways: what follows from its equations, built."""

from collections.abc import Mapping
from functools import cache

import torch
from torch import Tensor, nn

from helpers.models.medspectralnet import MedSpectralNet
from helpers.models.spectralflow import SpectralFlow
from study.claims.check import checks
from study.claims.check_result import CheckResult, verdict_of_readings
from study.claims.ledger import Claim
from study.claims.paper_b import counting

# A stream leaves out what it holds less than this share of, of its power: a filter's usual edge.
EDGE = 0.5


@cache
def stream_shares(channels: int) -> dict[str, tuple[float, float]]:
    """Return what each stream of a SpectralFlow holds of the other's frequencies.

    Its weights are those that it starts from, and some that Eq. (1) and the softmax allow, set by
    hand: a mean over each patch, of which as many channels come back as the reduction lets through;
    and a softmax with all its weight on one place. The map has as many channels, or no more than
    the reduction lets through.

    Returns:
        Weights and map -> the share of a constant map's power that is in the high stream, and the
        share of the power of the fastest wave, of two places both ways, that is in the low one.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        drawn, few, one_place = (SpectralFlow(channels=channels).eval() for _ in range(3))
        at_random = torch.randn(channels)
    kept = drawn.reduce.out_channels
    everywhere = torch.ones(channels)
    narrow = everywhere * (torch.arange(channels) < kept)
    with torch.no_grad():
        for module in (drawn, few, one_place):
            module.reduce.bias.zero_()  # a constant of its own is no frequency of the map
            module.project.bias.zero_()
        for module in (few, one_place):
            module.reduce.weight.copy_(torch.eye(kept, channels)[..., None, None])
            module.project.weight.copy_(torch.eye(channels, kept)[..., None, None])
            module.low_pass.to_filter.weight.zero_()
            module.low_pass.to_filter.bias.zero_()
        one_place.low_pass.to_filter.bias[0] = 100.0
        return {
            "as it starts": _shares(drawn, at_random),
            f"patches averaged, a map in the {kept} channels that pass": _shares(few, narrow),
            f"patches averaged, a map in all {channels} channels": _shares(few, everywhere),
            "all weight on one place of a patch": _shares(one_place, narrow),
        }


def _shares(module: SpectralFlow, channels: Tensor) -> tuple[float, float]:
    side = 2 * module.low_pass.kernel_size
    sign = (-1.0) ** torch.arange(side)
    constant = channels[None, :, None, None].expand(1, -1, side, side)
    wave = constant * (sign[:, None] * sign)
    _, high = module.split(constant)
    low, _ = module.split(wave)
    pairs = ((high, constant), (low, wave))
    power = [(part.square().sum() / whole.square().sum()).item() for part, whole in pairs]
    return power[0], power[1]


def _streams(claim: Claim) -> dict[str, Mapping]:
    return {"shares": stream_shares(round(claim.value("channels").value))}


@checks("B143", measured=_streams)
def splits(*, shares: Mapping[str, tuple[float, float]]) -> CheckResult:
    """Judge "divides the features into a high-frequency and a low-frequency stream".

    Equation 1 takes the low stream from the map and calls the rest high. Rule: the streams are
    split where the high one holds less than half of a constant map's power and the low one less
    than half of the fastest wave's. "Reproduced" where that is so with all weights that are tried,
    "not reproduced" where with none, else "underspecified": the equations allow both.

    `shares`: weights and map -> these two shares.
    """
    split = {name: max(both) < EDGE for name, both in shares.items()}
    listed = "; ".join(
        f"{name}: {100 * constant:.0f} and {100 * wave:.0f} %"
        for name, (constant, wave) in shares.items()
    )
    return counting.result(
        verdict_of_readings(split.values()),
        "SpectralFlow as the text builds it; share of a constant map's power in the high "
        f"stream, and of the fastest wave's in the low one: {listed}. What Eq. 1 calls high keeps "
        "all that the reduced channels cannot give back, the mean too; whether the low stream is "
        "slow hangs on the learnt weights of a patch, which are not public.",
    )


@cache
def waiting() -> dict[str, bool]:
    """Return of parts of the network, and of SpectralFlow, whether one needs the other's result."""
    channels, side = 12, 6  # whatever is larger has the same order
    network = MedSpectralNet(trunk=nn.Identity(), channels=channels, num_classes=2).eval()
    parts = ("spectralflow1", "contextgate", "spectralflow2")
    outputs: dict[str, Tensor] = {}
    for name in parts:
        network.get_submodule(name).register_forward_hook(
            lambda module, inputs, output, name=name: outputs.update({name: output})
        )
    base = torch.zeros(1, channels, side, side)
    network(base)
    flow, gate = network.spectralflow1, network.contextgate
    _, high = flow.split(base)
    return {
        "SpectralFlow beside ContextGate": _needs(outputs["spectralflow1"], gate)
        or _needs(outputs["contextgate"], flow),
        "the second SpectralFlow after ContextGate": _needs(outputs["spectralflow2"], gate),
        "the high stream of a SpectralFlow after its low one": _needs(high, flow.reduce),
    }


def _needs(output: Tensor, module: nn.Module) -> bool:
    """Say whether an output is computed from what a module gives."""
    gradients = torch.autograd.grad(
        output.sum(), list(module.parameters()), retain_graph=True, allow_unused=True
    )
    return any(gradient is not None for gradient in gradients)


@checks("B144", measured=lambda claim: {"waits": waiting()})
def parallel(*, waits: Mapping[str, bool]) -> CheckResult:
    """Judge "in parallel, without sequential dependencies".

    Rule: by what of the network is meant, built from the text. "Reproduced" where no part needs
    another's result, "not reproduced" where each does, else "underspecified".

    `waits`: two parts -> whether one needs what the other gives.
    """
    free, bound = ([name for name, needs in waits.items() if needs is so] for so in (False, True))
    return counting.result(
        verdict_of_readings(not needs for needs in waits.values()),
        f"Independent: {', '.join(free) or 'none'}. One needs the other's result: "
        f"{', '.join(bound) or 'none'}. Section 3.1 says it of the first pair; section 4.4.2 puts "
        "the second SpectralFlow after ContextGate, and Eq. 1 subtracts the low stream to get the "
        "high one.",
    )
