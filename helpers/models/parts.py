"""A network in parts: low layers, high layers, head."""

from dataclasses import dataclass

import torchvision
from torch import nn

from helpers.models.brain_inspired import HeadedNet
from helpers.models.medspectralnet import MedSpectralNet, Neck

# MobileNetV2's features from the last stride on: 160 and 320 channels (and the last 1x1).
_MOBILENET_HIGH = 14


@dataclass(frozen=True)
class Parts:
    """A network cut in three that follow one another; they share its parameters."""

    low: nn.Sequential  # theta_low, from images to feature maps
    high: nn.Sequential  # theta_high
    head: nn.Sequential  # pooling and classifier, to logits


def split_model(model: nn.Module) -> Parts:
    """Cut a network of the registry; head(high(low(x))) is model(x).

    Raises:
        ValueError: not a network of the registry.
    """
    pool = [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    match model:
        case torchvision.models.ResNet():
            *trunk, pooling, classifier = model.children()
            low, high, head = trunk[:-1], trunk[-1:], [pooling, nn.Flatten(), classifier]
        case torchvision.models.MobileNetV2():
            low, high = _split_trunk(model.features)
            head = [*pool, model.classifier]
        case HeadedNet():
            low, high = _split_trunk(model.trunk)
            head = [*pool, model.head]
        case MedSpectralNet():
            low, high = _split_trunk(model.backbone)
            high, head = [*high, Neck(model)], [*pool, model.fc]
        case _:
            raise ValueError(
                f"cannot tell the high-level layers of {type(model).__name__}; networks of the "
                "registry (list_models()) are expected."
            )
    return Parts(nn.Sequential(*low), nn.Sequential(*high), nn.Sequential(*head))


def _split_trunk(trunk: nn.Sequential) -> tuple[list[nn.Module], list[nn.Module]]:
    blocks = list(trunk)
    cut = len(blocks) - 1 if hasattr(trunk, "layer4") else _MOBILENET_HIGH
    return blocks[:cut], blocks[cut:]
