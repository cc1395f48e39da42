"""All models by name: `build_model`, `list_models`."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from torch import nn

from helpers.models.backbones import (
    TorchvisionWeights,
    WeightsUnavailable,
    build_backbone,
    build_resnet_28,
    build_trunk,
    check_image_size,
)
from helpers.models.brain_inspired import HeadedNet
from helpers.models.heads import build_head
from helpers.models.medspectralnet import MedSpectralNet
from helpers.models.medspectralnet_variants import VARIANTS
from helpers.models.zoo.medmamba import build_medmamba
from helpers.models.zoo.medvit import build_medvit
from helpers.models.zoo.timm_models import TIMM_MODELS, TimmWeights, build_timm
from helpers.models.zoo.vmamba import build_vmamba

PRETRAINED = ("auto", "imagenet", "none")


@dataclass(frozen=True)
class ModelEntry:
    """A line of the registry.

    Attributes:
        build: Builds the network from `num_classes`, `in_channels`, `image_size`, `pretrained`.
        weights: The ImageNet weights that it can start from, or None.
        description: One line for tables.
    """

    build: Callable[..., nn.Module]
    weights: TorchvisionWeights | TimmWeights | None
    description: str


def _plain(backbone: str) -> ModelEntry:
    return ModelEntry(
        partial(build_backbone, backbone),
        TorchvisionWeights(backbone),
        f"{backbone}, torchvision's own",
    )


def _plain_28(backbone: str) -> ModelEntry:
    def build(*, num_classes: int, in_channels: int, image_size: int, pretrained: str):
        del image_size, pretrained  # fully convolutional; no weights exist for this stem
        return build_resnet_28(backbone, num_classes=num_classes, in_channels=in_channels)

    return ModelEntry(build, None, f"{backbone} with the 28 px stem of the MedMNIST benchmark")


def _medspectralnet(backbone: str, note: str) -> ModelEntry:
    def build(*, num_classes: int, in_channels: int, image_size: int, pretrained: str):
        trunk, channels = build_trunk(
            backbone, in_channels=in_channels, image_size=image_size, pretrained=pretrained
        )
        return MedSpectralNet(trunk=trunk, channels=channels, num_classes=num_classes)

    return ModelEntry(build, TorchvisionWeights(backbone), f"MedSpectralNet on {backbone}{note}")


def _medspectralnet_resnet16() -> ModelEntry:
    def build(*, num_classes: int, in_channels: int, image_size: int, pretrained: str):
        trunk, channels = build_trunk(
            "resnet18", in_channels=in_channels, image_size=image_size, pretrained=pretrained
        )
        trunk.layer4 = trunk.layer4[:1]
        return MedSpectralNet(trunk=trunk, channels=channels, num_classes=num_classes)

    return ModelEntry(
        build,
        TorchvisionWeights("resnet18"),
        "MedSpectralNet on resnet18 without its last block: the paper's 8.5 M parameters",
    )


def _variant(name: str) -> ModelEntry:
    assemble, note = VARIANTS[name]

    def build(*, num_classes: int, in_channels: int, image_size: int, pretrained: str):
        trunk, channels = build_trunk(
            "resnet18", in_channels=in_channels, image_size=image_size, pretrained=pretrained
        )
        return assemble(trunk, channels, num_classes)

    return ModelEntry(build, TorchvisionWeights("resnet18"), f"MedSpectralNet, {note}")


def _zoo(build: Callable[..., nn.Module], variant: str, description: str) -> ModelEntry:
    def from_scratch(*, pretrained: str, **options):
        del pretrained  # no weights are published in a form that can be loaded safely
        return build(variant, **options)

    return ModelEntry(from_scratch, None, description)


def _headed(backbone: str, head: str, description: str) -> ModelEntry:
    def build(*, num_classes: int, in_channels: int, image_size: int, pretrained: str):
        trunk, channels = build_trunk(
            backbone, in_channels=in_channels, image_size=image_size, pretrained=pretrained
        )
        return HeadedNet(
            trunk=trunk, head=build_head(head, in_features=channels, num_classes=num_classes)
        )

    return ModelEntry(build, TorchvisionWeights(backbone), description)


def _timm(name: str) -> ModelEntry:
    model = TIMM_MODELS[name]
    weights = None if model.tag is None else TimmWeights(name)
    return ModelEntry(partial(build_timm, name), weights, f"{model.architecture}, timm's own")


_REGISTRY: dict[str, ModelEntry] = {
    "medspectralnet": _medspectralnet("resnet18", ", as paper B's text says"),
    "medspectralnet_light": _medspectralnet("mobilenet_v2", ", within 8.5 M parameters"),
    "medspectralnet_resnet16": _medspectralnet_resnet16(),
    **{name: _variant(name) for name in VARIANTS},
    "medspectralnet_resnet34": _medspectralnet("resnet34", ""),
    "medspectralnet_resnet50": _medspectralnet("resnet50", ""),
    **{name: _plain(name) for name in ("resnet18", "resnet34", "resnet50", "mobilenet_v2")},
    **{f"{name}_28": _plain_28(name) for name in ("resnet18", "resnet34", "resnet50")},
    "linear_resnet18": _headed("resnet18", "linear", "resnet18, one linear unit (paper A, Eq. 4)"),
    "linear_resnet50": _headed("resnet50", "linear", "resnet50, one linear unit: paper A's method"),
    "brain_inspired_resnet18": _headed(
        "resnet18", "spiking", "resnet18, spiking head: paper A's results"
    ),
    "brain_inspired_mlp_resnet18": _headed(
        "resnet18", "mlp", "resnet18, the spiking head's layers with ReLU"
    ),
    "quantum_resnet18": _headed("resnet18", "quantum", "resnet18, quantum circuit in the head"),
    "quantum_mlp_resnet18": _headed(
        "resnet18", "quantum_control", "resnet18, the quantum head's layers with tanh"
    ),
    **{
        f"medmamba_{v}": _zoo(build_medmamba, v, f"MedMamba-{v.upper()}, written anew")
        for v in "tsb"
    },
    "vmamba_t": _zoo(build_vmamba, "t", "VMamba-T, written anew"),
    **{f"medvit_{v}": _zoo(build_medvit, v, f"MedViT-{v.upper()}, written anew") for v in "tsl"},
    **{name: _timm(name) for name in TIMM_MODELS},
}


def list_models() -> tuple[str, ...]:
    """Return the names that `build_model` knows."""
    return tuple(_REGISTRY)


def model_entry(name: str) -> ModelEntry:
    """Return the registry's line of a model.

    Raises:
        ValueError: unknown name; the message lists the known ones.
    """
    if name not in _REGISTRY:
        raise ValueError(f"unknown model {name!r}; known: {', '.join(_REGISTRY)}.")
    return _REGISTRY[name]


def resolve_weights(name: str, pretrained: str) -> str:
    """Say what "auto", "imagenet" or "none" means for a model: "imagenet" or "none".

    Raises:
        ValueError: unknown model or word, or "imagenet" for a model that has no such weights.
    """
    weights = model_entry(name).weights
    if pretrained not in PRETRAINED:
        raise ValueError(f"pretrained must be one of {', '.join(PRETRAINED)}, got {pretrained!r}.")
    if weights is None and pretrained == "imagenet":
        raise ValueError(
            f"{name} has no ImageNet weights: none are published for it; use pretrained='none'."
        )
    if pretrained != "auto":
        return pretrained
    if weights is None:
        return "none"
    try:
        weights.find()
    except WeightsUnavailable:
        return "none"
    return "imagenet"


def weights_label(name: str, pretrained: str) -> str | None:
    """Return the library's name of the weights that a run started from, None from scratch."""
    weights = model_entry(name).weights
    return weights.label if weights is not None and pretrained == "imagenet" else None


def build_model(
    name: str,
    *,
    num_classes: int,
    in_channels: int = 3,
    image_size: int = 224,
    pretrained: str = "auto",
) -> nn.Module:
    """Build a model that maps images (B, in_channels, H, W) float32 to logits (B, num_classes).

    Args:
        name: One of `list_models()`.
        num_classes: At least 2.
        in_channels: Channels of the input; grey images may enter as one channel or three copies.
        image_size: Side of the input in pixels, at least 28; decides the output stride of ours.
        pretrained: "imagenet" (an error if the weights cannot be had), "none", or "auto".

    Raises:
        ValueError: unknown model or word, fewer than two classes, no input channels, an image
            size that the architecture cannot take.
        WeightsUnavailable: `pretrained="imagenet"` and the weights cannot be had.
    """
    entry = model_entry(name)
    if num_classes < 2:
        raise ValueError(f"num_classes must be at least 2, got {num_classes}.")
    check_image_size(image_size)
    return entry.build(
        num_classes=num_classes,
        in_channels=in_channels,
        image_size=image_size,
        pretrained=resolve_weights(name, pretrained),
    )
