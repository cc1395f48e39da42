"""Comparators from timm (Apache-2.0), under the names of the registry.

The networks are timm's own; what is ours is their fit to a size: those with a fixed grid of windows
or positions are built for the size that is asked for. Not every size is possible; the error then
names the nearest ones that are. ImageNet weights are those trained on ImageNet-1k alone.
"""

import warnings
from dataclasses import dataclass
from functools import cache
from types import ModuleType

import torch
from safetensors import SafetensorError
from torch import nn

from helpers.files import DamagedFile
from helpers.models.backbones import SMALLEST_IMAGE, WeightsUnavailable
from helpers.models.zoo.timm_table import TIMM_MODELS

# Where the nearest possible sizes are looked for, in pixels above and below the asked one.
_SEARCH = 64
_FILE = "model.safetensors"  # of weights, in their repository


@dataclass(frozen=True)
class TimmWeights:
    """ImageNet-1k weights of a network, on the Hugging Face hub and in its cache (`HF_HOME`)."""

    name: str  # key of `TIMM_MODELS`, whose tag is not None

    @property
    def label(self) -> str:
        """Name of the weights in timm."""
        return f"timm {TIMM_MODELS[self.name].architecture}.{TIMM_MODELS[self.name].tag}"

    @property
    def repository(self) -> str:
        """Where the hub has them."""
        return f"timm/{self.label.removeprefix('timm ')}"

    def cached(self) -> str | None:
        """Return the path of their file in the cache, None if it is not there."""
        import huggingface_hub

        found = huggingface_hub.try_to_load_from_cache(self.repository, _FILE)
        return found if isinstance(found, str) else None

    def find(self) -> None:
        """Raise a `WeightsUnavailable` unless the weights are in the cache or can be downloaded."""
        import huggingface_hub
        from huggingface_hub.errors import HTTPError

        if self.cached():
            return
        try:
            if huggingface_hub.file_exists(self.repository, _FILE):
                return
            reason = f"{self.repository} has no {_FILE}"
        except (OSError, HTTPError) as error:
            reason = str(error)
        raise WeightsUnavailable(
            f"ImageNet weights of {self.name} ({self.label}) cannot be had: {reason}. Download "
            f"{self.repository} where there is a network (`hf download {self.repository}`) and set "
            "HF_HOME to the folder of that cache, or train from scratch with pretrained='none'."
        )


@cache
def _takes(name: str, image_size: int) -> str | None:
    """Return why a network cannot take an image size, None if it can; nothing is computed."""
    weights = _timm().get_pretrained_cfg(TIMM_MODELS[name].architecture)
    if weights is not None and (3, image_size, image_size) == weights.input_size:
        return None  # its own size, no need to try
    try:
        with torch.device("meta"), torch.no_grad():
            model = _create(name, image_size, num_classes=2).eval()
            model(torch.zeros(1, 3, image_size, image_size))
    except (RuntimeError, ValueError, AssertionError) as error:
        return str(error).split(". ")[0].strip() or type(error).__name__
    return None


def _timm() -> ModuleType:
    """Import timm, which takes seconds: only where one of its networks is built."""
    with warnings.catch_warnings():
        # In a notebook, tqdm warns on import where ipywidgets is missing.
        warnings.filterwarnings("ignore", message="IProgress not found")
        import timm
    return timm


def _create(name: str, image_size: int, **options) -> nn.Module:
    model = TIMM_MODELS[name]
    if model.fixed_size:
        options["img_size"] = image_size
    architecture = model.architecture
    if options.get("pretrained"):
        architecture = f"{architecture}.{model.tag}"
    return _timm().create_model(architecture, **options)


def check_timm_size(name: str, image_size: int) -> None:
    """Raise a `ValueError` with the nearest possible sizes if a network cannot take this one."""
    reason = _takes(name, image_size)
    if reason is None:
        return
    below = range(image_size - 1, max(SMALLEST_IMAGE, image_size - _SEARCH) - 1, -1)
    above = range(image_size + 1, image_size + _SEARCH + 1)
    near = [next((s for s in sizes if _takes(name, s) is None), None) for sizes in (below, above)]
    possible = " and ".join(f"{size} px" for size in near if size is not None)
    raise ValueError(
        f"{name} cannot take images of {image_size} px ({reason}); the nearest sizes that it "
        f"takes: {possible or f'none within {_SEARCH} px'}. Set image_size."
    )


def build_timm(
    name: str,
    *,
    num_classes: int,
    in_channels: int = 3,
    image_size: int = 224,
    pretrained: str = "none",
) -> nn.Module:
    """Build one of `TIMM_MODELS`; it maps (B, in_channels, H, W) float32 to (B, num_classes).

    `pretrained` is "imagenet", weights that timm adapts to the channels, or "none".

    Raises:
        ValueError: the architecture cannot take this size in pixels.
        WeightsUnavailable: the weights cannot be had.
        DamagedFile: the file of weights is damaged, or does not fit the network.
    """
    check_timm_size(name, image_size)
    options = {"num_classes": num_classes, "in_chans": in_channels}
    if pretrained != "imagenet":
        return _create(name, image_size, **options)
    weights = TimmWeights(name)
    weights.find()
    try:
        return _create(name, image_size, pretrained=True, **options)
    except OSError as error:
        raise WeightsUnavailable(f"{weights.label} cannot be loaded: {error}") from error
    except (RuntimeError, KeyError, SafetensorError) as error:
        raise DamagedFile(
            f"{weights.cached() or weights.repository} does not hold the weights {weights.label} "
            f"of {name}: {error}; delete it, so that it is fetched anew."
        ) from error
