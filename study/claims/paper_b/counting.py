"""Counts of networks, and the result of checks that rest on counts."""

from functools import cache

import torch

from helpers.models.backbones import build_trunk
from helpers.models.counting import count_parameters
from study.claims.check_result import OPEN_CHOICE, CheckResult
from study.claims.ledger import Claim
from study.sizes import IMAGE_SIZE, NUM_CLASSES, Counts, count_sizes, giga_macs

COUNTED = "study.sizes"


def result(verdict: str, evidence: str) -> CheckResult:
    """Return the result of a check by counts of what the text leaves open in part."""
    return CheckResult(verdict=verdict, evidence=evidence, limits=(OPEN_CHOICE,), runs=(COUNTED,))


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


def size_beside(claim: Claim) -> dict[str, float]:
    """Return our count of the network beside a printed size, in the unit of that."""
    if claim.value("printed").unit == "M":
        return {"counted": millions(claim.ours)}
    counted, up_to = both_gmacs(claim.ours)
    return {"counted": counted, "up_to": up_to}


@cache
def backbone() -> tuple[float, tuple[int, ...]]:
    """Return a ResNet-18's parameters without classifier, in millions, and its map's shape."""
    with torch.device("meta"):
        trunk, _ = build_trunk("resnet18")
        shape = trunk(torch.zeros(1, 3, IMAGE_SIZE, IMAGE_SIZE)).shape[1:]
    return count_parameters(trunk) / 1e6, tuple(shape)
