"""All models by name: `build_model`, `list_models`.

A line says where a model is built, as text, and nothing is imported before it is asked for: names
can be listed and checked in a process without torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from numbers import Integral
from typing import TYPE_CHECKING, Any

from helpers.models.zoo.timm_table import TIMM_MODELS, TimmModel

if TYPE_CHECKING:
    from torch import nn

    from helpers.models.backbones import TorchvisionWeights
    from helpers.models.zoo.timm_models import TimmWeights

PRETRAINED = ("auto", "imagenet", "none")
_WEIGHTS = {"torchvision": "backbones:TorchvisionWeights", "timm": "zoo.timm_models:TimmWeights"}


@dataclass(frozen=True)
class ModelEntry:
    """A line of the registry.

    The builder is "module:function", the module below `helpers.models`, or the function itself. It
    takes `options`, `num_classes`, `in_channels`, `image_size` and, where there are weights,
    `pretrained`, all by name. `weights_from` names the library and the network there whose ImageNet
    weights it can start from: ("torchvision", "resnet18").
    """

    builder: str | Callable[..., nn.Module]
    description: str  # one line for tables
    weights_from: tuple[str, str] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def weights(self) -> TorchvisionWeights | TimmWeights | None:
        """The ImageNet weights that it can start from, or None."""
        if self.weights_from is None:
            return None
        library, name = self.weights_from
        return _load(_WEIGHTS[library])(name)

    def build(self, *, pretrained: str, **asked: Any) -> nn.Module:
        """Build the network from `num_classes`, `in_channels`, `image_size` and `pretrained`."""
        builder = self.builder if callable(self.builder) else _load(self.builder)
        start = {} if self.weights_from is None else {"pretrained": pretrained}
        return builder(**self.options, **asked, **start)


def _load(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(import_module(f"helpers.models.{module}"), name)


def _torchvision(builder: str, backbone: str, description: str, **options: Any) -> ModelEntry:
    """Return the line of a network on one of torchvision's backbones."""
    options = {"backbone": backbone, **options}
    return ModelEntry(builder, description, ("torchvision", backbone), options)


def _medspectralnet(backbone: str, note: str = "", **options: Any) -> ModelEntry:
    builder, about = "medspectralnet:build_medspectralnet", f"MedSpectralNet on {backbone}{note}"
    return _torchvision(builder, backbone, about, **options)


def _headed(backbone: str, head: str, note: str) -> ModelEntry:
    """Return the line of a network of paper A."""
    return _torchvision("brain_inspired:build_headed", backbone, f"{backbone}, {note}", head=head)


def _variant(name: str, note: str) -> ModelEntry:
    builder = "medspectralnet_variants:build_variant"
    return _torchvision(builder, "resnet18", f"MedSpectralNet, {note}", variant=name)


def _zoo(family: str, variant: str, title: str) -> ModelEntry:
    """Return the line of a network written anew: no weights of it can be loaded safely."""
    builder = f"zoo.{family}:build_{family}"
    return ModelEntry(builder, f"{title}, written anew", options={"variant": variant})


def _timm(name: str, model: TimmModel) -> ModelEntry:
    weights = ("timm", name) if model.tag else None
    about = f"{model.architecture}, timm's own"
    return ModelEntry("zoo.timm_models:build_timm", about, weights, {"name": name})


_VARIANTS = {
    "medspectralnet_no_spectralflow": "without any SpectralFlow",
    "medspectralnet_no_contextgate": "without ContextGate",
    "medspectralnet_no_both": "without SpectralFlow and ContextGate",
    "medspectralnet_plain": (
        "plain convolutions of equal parameters for SpectralFlow and ContextGate"
    ),
    "medspectralnet_k5": "patch side k = 5",
    "medspectralnet_gate_from_input": "gate and identity path straight from the input",
    "medspectralnet_no_depthwise": "no further depthwise convolution after fusion",
    "medspectralnet_both_readings": "gate from the input, no further depthwise convolution",
}

_REGISTRY: dict[str, ModelEntry] = {
    "medspectralnet": _medspectralnet("resnet18", ", as paper B's text says"),
    "medspectralnet_light": _medspectralnet("mobilenet_v2", ", within 8.5 M parameters"),
    "medspectralnet_resnet16": _medspectralnet(
        "resnet18", " without its last block: the paper's 8.5 M parameters", last_block=False
    ),
    **{name: _variant(name, note) for name, note in _VARIANTS.items()},
    "medspectralnet_resnet34": _medspectralnet("resnet34"),
    "medspectralnet_resnet50": _medspectralnet("resnet50"),
    **{
        name: _torchvision("backbones:build_backbone", name, f"{name}, torchvision's own")
        for name in ("resnet18", "resnet34", "resnet50", "mobilenet_v2")
    },
    **{
        f"{name}_28": ModelEntry(
            "backbones:build_resnet_28",
            f"{name} with the 28 px stem of the MedMNIST benchmark",
            options={"backbone": name},
        )
        for name in ("resnet18", "resnet34", "resnet50")
    },
    "linear_resnet18": _headed("resnet18", "linear", "one linear unit (paper A, Eq. 4)"),
    "linear_resnet50": _headed("resnet50", "linear", "one linear unit: paper A's method"),
    "brain_inspired_resnet18": _headed("resnet18", "spiking", "spiking head: paper A's results"),
    "brain_inspired_mlp_resnet18": _headed(
        "resnet18", "mlp", "the spiking head's layers with ReLU"
    ),
    "quantum_resnet18": _headed("resnet18", "quantum", "quantum circuit in the head"),
    "quantum_mlp_resnet18": _headed(
        "resnet18", "quantum_control", "the quantum head's layers with tanh"
    ),
    **{f"medmamba_{v}": _zoo("medmamba", v, f"MedMamba-{v.upper()}") for v in "tsb"},
    "vmamba_t": _zoo("vmamba", "t", "VMamba-T"),
    **{f"medvit_{v}": _zoo("medvit", v, f"MedViT-{v.upper()}") for v in "tsl"},
    **{name: _timm(name, model) for name, model in TIMM_MODELS.items()},
}


def list_models() -> tuple[str, ...]:
    """Return the names that `build_model` knows."""
    return tuple(_REGISTRY)


def model_entry(name: str) -> ModelEntry:
    """Return the registry's line of a model; a `ValueError` lists the known ones for another."""
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
    from helpers.models.backbones import WeightsUnavailable

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
        in_channels: At least 1; grey images may enter as one channel or three copies.
        image_size: Side in pixels, at least 28; decides the output stride of ours.
        pretrained: "imagenet" (an error if the weights cannot be had), "none", or "auto".

    Raises:
        ValueError: unknown model or word, no whole number, fewer than two classes, no input
            channels, an image size that the architecture cannot take.
        WeightsUnavailable: `pretrained="imagenet"` and the weights cannot be had.
        DamagedFile: the file of the weights is damaged, or holds something else.
    """
    entry = model_entry(name)
    sizes = {"num_classes": num_classes, "in_channels": in_channels, "image_size": image_size}
    for what, value in sizes.items():
        if not isinstance(value, Integral):
            raise ValueError(f"{what} must be a whole number, got {value!r}.")
    if num_classes < 2:
        raise ValueError(f"num_classes must be at least 2, got {num_classes}.")
    if in_channels < 1:
        raise ValueError(f"in_channels must be at least 1, got {in_channels}.")
    _load("backbones:check_image_size")(image_size)
    return entry.build(**sizes, pretrained=resolve_weights(name, pretrained))
