"""ImageNet backbones from torchvision: weights, input channels, stems and output strides."""

import hashlib
import pickle
import zipfile
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

import torch
import torchvision
from torch import Tensor, nn

from helpers.files import DamagedFile
from helpers.paths import may_download

SMALLEST_IMAGE = 28
SMALLEST_MAP = 4
_WEIGHTS = {
    "resnet18": torchvision.models.ResNet18_Weights.IMAGENET1K_V1,
    "resnet34": torchvision.models.ResNet34_Weights.IMAGENET1K_V1,
    "resnet50": torchvision.models.ResNet50_Weights.IMAGENET1K_V1,
    "mobilenet_v2": torchvision.models.MobileNet_V2_Weights.IMAGENET1K_V1,
}
BACKBONES = tuple(_WEIGHTS)


class WeightsUnavailable(RuntimeError):
    """ImageNet weights were asked for and can be neither found nor downloaded."""


def check_backbone(name: str) -> None:
    """Raise a `ValueError` that lists the known backbones if `name` is not one of them."""
    if name not in _WEIGHTS:
        raise ValueError(f"unknown backbone {name!r}; known: {', '.join(BACKBONES)}.")


def weights_name(backbone: str) -> str:
    """Return torchvision's name of the ImageNet weights of a backbone."""
    check_backbone(backbone)
    return str(_WEIGHTS[backbone])


def imagenet_state(backbone: str) -> dict[str, Tensor]:
    """Load ImageNet weights through torchvision's own loader and cache (`TORCH_HOME`).

    Nothing but tensors is unpickled.

    Raises:
        WeightsUnavailable: they are not in the cache and cannot be downloaded.
        DamagedFile: the file in the cache, or what was downloaded, is damaged or something else.
    """
    check_backbone(backbone)
    weights, file = _WEIGHTS[backbone], _cached_file(backbone)
    try:
        if file.is_file():
            _check_sums(file)
        elif not may_download():
            raise OSError("REPRO_OFFLINE=1 forbids to download them")
        state = weights.get_state_dict(progress=False, check_hash=True, weights_only=True)
    except OSError as error:  # URLError and time-outs are OSErrors
        raise WeightsUnavailable(
            f"ImageNet weights of {backbone} ({weights}) cannot be had: {error}. Put "
            f"{file.name} into {file.parent}, or set TORCH_HOME to a folder whose "
            "hub/checkpoints holds it, or train from scratch with pretrained='none'."
        ) from error
    except pickle.UnpicklingError as error:  # whose message says how to open it all the same
        raise _damaged(backbone, "it holds something else than tensors") from error
    except (RuntimeError, EOFError, LookupError, ValueError, zipfile.BadZipFile) as error:
        raise _damaged(backbone, error) from error
    if not isinstance(state, dict) or not all(isinstance(name, str) for name in state):
        raise _damaged(backbone, f"it holds a {type(state).__name__}, no tensors by name")
    return state


def _cached_file(backbone: str) -> Path:
    url = _WEIGHTS[backbone].url
    return Path(torch.hub.get_dir(), "checkpoints", url.rsplit("/", 1)[-1])


def _check_sums(file: Path) -> None:
    """Raise an error unless a file is the published one, or a whole archive of tensors saved anew.

    Torch compares a digest after a download alone, and never the sums within an archive.
    """
    with file.open("rb") as content:
        found = hashlib.file_digest(content, "sha256").hexdigest()
    if found.startswith(file.stem.rsplit("-", 1)[-1]):
        return
    with zipfile.ZipFile(file) as archive:
        if broken := archive.testzip():
            raise zipfile.BadZipFile(f"the sum of {broken} is wrong")


def _damaged(backbone: str, reason: object) -> DamagedFile:
    return DamagedFile(
        f"{_cached_file(backbone)} is truncated or damaged, or holds no weights of {backbone}: "
        f"{reason}; delete it, so that it is fetched anew."
    )


@dataclass(frozen=True)
class TorchvisionWeights:
    """ImageNet weights of a backbone, in torchvision's cache (`TORCH_HOME`) or downloaded."""

    backbone: str

    @property
    def label(self) -> str:
        """Torchvision's name of them."""
        return weights_name(self.backbone)

    def find(self) -> None:
        """Raise a `WeightsUnavailable` unless the weights can be had."""
        imagenet_state(self.backbone)


def check_positive(**sizes: int) -> None:
    """Raise a `ValueError` that names the first size that is not a positive integer."""
    for name, value in sizes.items():
        if not isinstance(value, int) or value < 1:
            raise ValueError(f"{name} must be a positive integer, got {value!r}.")


def check_image_size(image_size: int) -> None:
    """Raise a `ValueError` if an image is smaller than 28 px."""
    if image_size < SMALLEST_IMAGE:
        raise ValueError(
            f"image_size must be at least {SMALLEST_IMAGE} px, got {image_size}; enlarge the image."
        )


def output_stride(image_size: int) -> int:
    """Return the largest stride of 32, 16 and 8 that leaves a map of at least 4 x 4.

    Both papers' backbones have stride 32, which turns a 28 px image into a 1 x 1 map, on which
    neither a patch nor a Grad-CAM exists. From 97 px up the stride is torchvision's own 32.

    Raises:
        ValueError: the image is smaller than 28 px.
    """
    check_image_size(image_size)
    return next(s for s in (32, 16, 8) if -(-image_size // s) >= SMALLEST_MAP)


def _set_output_stride(model: nn.Module, stride: int) -> None:
    """Drop the stride of the deepest stage, then an early one; the weights stay loadable.

    For 8, ResNet loses its max-pool and MobileNetV2 the stride of its second stage: the detail of a
    small image is kept from the start.
    """
    is_resnet = isinstance(model, torchvision.models.ResNet)
    if stride <= 16:
        for module in (model.layer4[0] if is_resnet else model.features[14]).modules():
            if isinstance(module, nn.Conv2d):
                module.stride = (1, 1)
    if stride <= 8 and is_resnet:
        model.maxpool = nn.Identity()
    elif stride <= 8:
        model.features[2].conv[1][0].stride = (1, 1)


def _set_in_channels(model: nn.Module, in_channels: int) -> None:
    """Make the first convolution accept `in_channels`; a grey image gives what its copies gave."""
    if in_channels == 3:
        return
    is_resnet = isinstance(model, torchvision.models.ResNet)
    old = model.conv1 if is_resnet else model.features[0][0]
    new = nn.Conv2d(
        in_channels, old.out_channels, old.kernel_size, old.stride, old.padding, bias=False
    )
    mean = old.weight.data.mean(dim=1, keepdim=True)
    new.weight.data.copy_(mean.expand_as(new.weight) * 3 / in_channels)
    if is_resnet:
        model.conv1 = new
    else:
        model.features[0][0] = new


def build_backbone(
    backbone: str,
    *,
    num_classes: int,
    in_channels: int = 3,
    image_size: int = 224,
    pretrained: str = "none",
) -> nn.Module:
    """Build one of `BACKBONES`, fitted to the image size in pixels, the channels and the classes.

    `pretrained` is "imagenet" or "none".

    Raises:
        ValueError: unknown backbone, too small an image.
        WeightsUnavailable, DamagedFile: see `imagenet_state`.
    """
    check_backbone(backbone)
    model = getattr(torchvision.models, backbone)(num_classes=num_classes)
    if pretrained == "imagenet":
        _load_trunk(model, backbone)
    _set_in_channels(model, in_channels)
    _set_output_stride(model, output_stride(image_size))
    return model


def _load_trunk(model: nn.Module, backbone: str) -> None:
    """Load all but the classifier, which stays new also where there happen to be 1000 classes."""
    classifier = ("fc.", "classifier.")
    state = imagenet_state(backbone)
    trunk = {key: value for key, value in state.items() if not key.startswith(classifier)}
    try:
        missing, unexpected = model.load_state_dict(trunk, strict=False)
    except RuntimeError as error:
        raise _damaged(backbone, error) from error
    missing = [key for key in missing if not key.startswith(classifier)]
    if missing or unexpected:
        raise _damaged(backbone, f"{missing=}, {unexpected=}")


def build_trunk(name: str, **options) -> tuple[nn.Sequential, int]:
    """Build a backbone without pooling and classifier; options as in `build_backbone`.

    Returns:
        The trunk, which maps (B, C_in, H, W) to (B, C, H/stride, W/stride), and C: 512 for
        ResNet-18 and -34, 2048 for ResNet-50, 320 for MobileNetV2, whose last 1x1 convolution
        (320 -> 1280) only serves its classifier and is left out.
    """
    model = build_backbone(name, num_classes=1, **options)
    if isinstance(model, torchvision.models.ResNet):
        layers = OrderedDict(list(model.named_children())[:-2])
        return nn.Sequential(layers), model.fc.in_features
    return model.features[:-1], model.features[-2].out_channels


def build_resnet_28(
    backbone: str, *, num_classes: int, in_channels: int = 3, image_size: int = 28
) -> nn.Module:
    """Build a ResNet with the 28 px stem of the MedMNIST v2 benchmark (Yang et al. 2023).

    A 3 x 3 convolution of stride 1 in place of the 7 x 7 one of stride 2, and no max-pool, so that
    28 px end as a 4 x 4 map. There are no ImageNet weights for this stem. Layers and parameters are
    the benchmark's; the initial weights are torchvision's, not PyTorch's defaults as there. The
    network takes any `image_size`.
    """
    del image_size  # fully convolutional
    model = getattr(torchvision.models, backbone)(num_classes=num_classes)
    model.conv1 = nn.Conv2d(in_channels, 64, kernel_size=3, padding=1, bias=False)
    nn.init.kaiming_normal_(model.conv1.weight, mode="fan_out", nonlinearity="relu")
    model.maxpool = nn.Identity()
    return model
