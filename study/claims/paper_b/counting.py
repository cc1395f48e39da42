"""What paper B's checks are given without any run: counts, other papers' values, released sets."""

from collections.abc import Iterable
from functools import cache
from inspect import signature

import torch
from medmnist import INFO
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models import resnet18

from helpers.models.counting import count_macs
from helpers.models.medspectralnet import MedSpectralNet
from helpers.models.self_attention import SelfAttention
from helpers.models.spectralflow import SpectralFlow
from study.claims.ledger import Claim
from study.published import Published, comparators, load_published, lookup
from study.sizes import IMAGE_SIZE, NUM_CLASSES, Counts, count_sizes, giga_macs

SIX = ("breastmnist", "pneumoniamnist", "bloodmnist", "dermamnist", "organcmnist", "organsmnist")


def higher_public(dataset: str) -> dict[tuple[str, str], Published]:
    """Return the verified accuracies of other papers on a data set, by source and system."""
    table = comparators(dataset, "accuracy")
    table = table[(table["paper"] != "B") & (table["mark"] != "M") & table["value"].notna()]
    keys = table[["paper", "table", "row", "column"]].to_dict("records")
    return {(key["paper"], key["row"]): lookup(**key) for key in keys}


def medvit_sizes(systems: Iterable[str]) -> dict[str, Published]:
    """Return the parameters that MedViT's paper has, quoted from memory: told, never the ground."""
    return {
        system: lookup(paper="medvit", table="sizes", row=system, column="params")
        for system in systems
    }


def chosen_on_test() -> set[str]:
    """Return the sources whose code chooses the epoch on the test split."""
    table = load_published()
    chosen = (table["column"] == "selection") & table["value"].str.contains("on the test split")
    return set(table["paper"][chosen])


def timed() -> int:
    """Return how many latencies, throughputs or memory sizes paper B prints."""
    table = load_published()
    return int(((table["paper"] == "B") & table["unit"].isin(["s", "min"])).sum())


def description(dataset: str) -> str:
    """Return what the released set is said to be."""
    return INFO[dataset]["description"]


def class_names(dataset: str) -> dict[str, str]:
    """Return the names of a released set's classes."""
    return dict(INFO[dataset]["label"])


def counts(model: str, image_size: int = IMAGE_SIZE) -> Counts:
    """Count a network of the registry."""
    return count_sizes(model, num_classes=NUM_CLASSES, image_size=image_size)


def millions(model: str) -> float:
    """Return a network's parameters in millions."""
    return counts(model).parameters / 1e6


def gmacs(model: str) -> float:
    """Return a network's multiply-accumulates at 224 px, in units of 10^9."""
    return both_gmacs(model)[0]


def both_gmacs(model: str) -> tuple[float, float]:
    """Return them without normalisation and with it, see `sizes.giga_macs`."""
    return giga_macs(model, num_classes=NUM_CLASSES, image_size=IMAGE_SIZE)


def size_beside(claim: Claim) -> dict[str, float | None]:
    """Return our count of the network beside a printed size, in the unit of that."""
    if claim.value("printed").unit == "M":
        return {"counted": millions(claim.ours), "up_to": None}
    counted, up_to = both_gmacs(claim.ours)
    return {"counted": counted, "up_to": up_to}


@cache
def backbone() -> tuple[float, tuple[int, ...]]:
    """Return a ResNet-18's parameters without classifier, in millions, and its map's shape."""
    with torch.device("meta"):
        network = resnet18()
        trunk = nn.Sequential(*list(network.children())[:-2])
        shape = trunk(torch.zeros(1, 3, IMAGE_SIZE, IMAGE_SIZE)).shape[1:]
    return sum(p.numel() for p in trunk.parameters()) / 1e6, tuple(shape)


# By how much SpectralFlow reduces its channels; not given.
REDUCTIONS = (1, 2, 4, 8, 16)


def reduction() -> int:
    """Return by how much our SpectralFlow reduces its channels."""
    return signature(SpectralFlow).parameters["reduction"].default


@cache
def spectralflow(
    channels: int, sides: tuple[int, ...], *, reduction: int
) -> tuple[int, dict[int, int]]:
    """Return SpectralFlow's parameters, and its multiply-accumulates by side of the map."""
    with torch.device("meta"):
        module = SpectralFlow(channels=channels, reduction=reduction).eval()
    macs = {}
    for side in sides:
        counter = FlopCounterMode(display=False)
        with torch.enable_grad(), counter:
            module(torch.zeros(1, channels, side, side, device="meta"))
        macs[side] = counter.get_total_flops() // 2
    return sum(p.numel() for p in module.parameters()), macs


@cache
def self_attention(channels: int, sides: tuple[int, ...], *, reduction: int) -> dict[int, int]:
    """Return what self-attention with SpectralFlow's parameters takes, by side of the map."""
    parameters, _ = spectralflow(channels, sides, reduction=reduction)
    with torch.device("meta"):
        module = SelfAttention.with_parameters(parameters)
    width = module.attention.embed_dim
    return {side: count_macs(module, image_size=side, in_channels=width) for side in sides}


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
