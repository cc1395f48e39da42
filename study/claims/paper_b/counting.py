"""What paper B's checks are given without any run: counts, other papers' values, released sets."""

from functools import cache

import torch
from medmnist import INFO
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models import resnet18

from helpers.models.counting import count_macs
from helpers.models.self_attention import SelfAttention
from helpers.models.spectralflow import SpectralFlow
from study.claims.ledger import Claim
from study.published import Published, comparators, load_published, lookup
from study.sizes import IMAGE_SIZE, NUM_CLASSES, Counts, count_sizes, giga_macs

SIX = ("breastmnist", "pneumoniamnist", "bloodmnist", "dermamnist", "organcmnist", "organsmnist")


def higher_public(dataset: str) -> dict[str, Published]:
    """Return the verified accuracies of other papers on a data set, by system."""
    table = comparators(dataset, "accuracy")
    table = table[(table["paper"] != "B") & (table["mark"] != "M") & table["value"].notna()]
    keys = table[["paper", "table", "row", "column"]].to_dict("records")
    return {f"{key['row']}, {key['paper']}": lookup(**key) for key in keys}


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


@cache
def spectralflow(channels: int, sides: tuple[int, ...]) -> tuple[int, dict[int, int]]:
    """Return SpectralFlow's parameters, and its multiply-accumulates by side of the map."""
    with torch.device("meta"):
        module = SpectralFlow(channels=channels).eval()
    macs = {}
    for side in sides:
        counter = FlopCounterMode(display=False)
        with torch.enable_grad(), counter:
            module(torch.zeros(1, channels, side, side, device="meta"))
        macs[side] = counter.get_total_flops() // 2
    return sum(p.numel() for p in module.parameters()), macs


@cache
def self_attention(channels: int, sides: tuple[int, ...]) -> dict[int, int]:
    """Return what self-attention with SpectralFlow's parameters takes, by side of the map."""
    with torch.device("meta"):
        module = SelfAttention.with_parameters(spectralflow(channels, sides)[0])
    width = module.attention.embed_dim
    return {side: count_macs(module, image_size=side, in_channels=width) for side in sides}
