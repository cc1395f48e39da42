"""The layers of a network that are worth a map, and how a pass is watched without a trace.

Paper B shows Grad-CAM of MedSpectralNet on BreastMNIST (section 4.4): of the ContextGate's
depthwise path (Fig. 12) and of the second SpectralFlow (Fig. 13).
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial

import torch
from torch import Tensor, nn

from helpers.models.contextgate import ContextGate
from helpers.models.counting import evaluation_mode
from helpers.models.medspectralnet import MedSpectralNet
from helpers.models.spectralflow import SpectralFlow

_MEDSPECTRALNET = {
    "Backbone": "backbone",
    "First SpectralFlow": "spectralflow1",
    "ContextGate, depthwise path": "contextgate.depthwise",
    "ContextGate": "contextgate",
    "Second SpectralFlow": "spectralflow2",
}


class ExplainError(ValueError):
    """What was asked cannot be explained: unknown layer, class out of range, no map, bad pixels."""


def stage_layers(model: nn.Module, *, image_size: int) -> dict[str, str]:
    """Name the layers worth a map, in order of data flow: title -> dotted module name.

    Of MedSpectralNet the stages of paper B, section 4.4; of any other network on images (B, C, S,
    S) "Last feature map", the outermost module that gives the last map of more than one pixel:
    `layer4` of a ResNet, `features` of MobileNetV2, `trunk` of a `HeadedNet`. What a block computes
    inside (attention over tokens, say) is no such map unless there is no other. A network may be
    built for one size S, in pixels, and a layer gives a single pixel where images are smaller.

    Raises:
        ExplainError: no module gives a map, or the network cannot take images of this size.
    """
    if isinstance(model, MedSpectralNet):
        modules = dict(model.named_modules())  # in an ablation some are missing or others
        blocks = (SpectralFlow, ContextGate)
        return {
            title: name
            for title, name in _MEDSPECTRALNET.items()
            if name == "backbone" or isinstance(modules.get(name.split(".")[0]), blocks)
        }
    maps = []  # an outer module ends after its inner ones, so the last name is the outermost
    blocks = set()  # a chain of modules is none: each of its links hands its map to the next

    def note(name: str, module: nn.Module, inputs: tuple, output: object) -> None:
        if isinstance(output, Tensor) and output.ndim > 2:
            if not isinstance(module, nn.Sequential):
                blocks.add(name)
            if is_map(output) and math.prod(sides(output.shape)) > 1:
                maps.append(name)

    names = [name for name, _ in model.named_modules() if name]
    probe = torch.zeros(1, channels_in(model), image_size, image_size, device=device_of(model))
    try:
        with undisturbed(model), hooks(model, names, note):
            model(probe)
    except (RuntimeError, ValueError, AssertionError) as error:
        raise ExplainError(
            f"{type(model).__name__} cannot take an image of {image_size} px: {first_line(error)}"
        ) from error
    if not maps:
        raise ExplainError(
            f"no module of {type(model).__name__} gives a (B, C, h, w) map for an image of "
            f"{image_size} px; a network without feature maps cannot be explained this way."
        )
    inside = tuple(f"{block}." for block in blocks)
    between = [name for name in maps if not name.startswith(inside)]
    return {"Last feature map": (between or maps)[-1]}


def first_line(error: Exception) -> str:
    """Return the first line of an error's message; its kind where it has none."""
    return next(iter(str(error).splitlines()), type(error).__name__)


@contextmanager
def undisturbed(model: nn.Module) -> Iterator[None]:
    """Evaluation mode and frozen parameters; both as before afterwards."""
    required = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    try:
        model.requires_grad_(False)  # no graph before the first layer of interest
        with evaluation_mode(model):
            yield
    finally:
        for parameter, flag in required:
            parameter.requires_grad_(flag)


@contextmanager
def hooks(
    model: nn.Module, names: Sequence[str], see: Callable[..., Tensor | None]
) -> Iterator[None]:
    """Call `see(name, module, inputs, output)` after each; what it returns replaces the output."""
    with ExitStack() as handles:
        for name in names:
            hook = partial(see, name)
            handles.enter_context(model.get_submodule(name).register_forward_hook(hook))
        yield


def device_of(model: nn.Module) -> torch.device:
    """Return where a network's parameters are; an `ExplainError` where it has none."""
    parameter = next(model.parameters(), None)
    if parameter is None:
        raise ExplainError(f"{type(model).__name__} has no parameters: there is nothing learned.")
    return parameter.device


def channels_in(model: nn.Module) -> int:
    """Return 1 for a network whose first convolution takes grey images as they are, else 3."""
    convolutions = (module for module in model.modules() if isinstance(module, nn.Conv2d))
    first = next(convolutions, None)
    return 1 if first is not None and first.in_channels == 1 else 3


def is_map(output: object) -> bool:
    """Say whether a module's output may be a map: float (B, C, h, w), or (B, h, w, C)."""
    return isinstance(output, Tensor) and output.ndim == 4 and output.is_floating_point()


def channels_last(shape: Sequence[int]) -> bool:
    """Say whether a map is (B, h, w, C), as windowed attention and scans keep it.

    Images are square, so maps are: the equal sides tell the layout.
    """
    return shape[2] != shape[3] and shape[1] == shape[2]


def sides(shape: Sequence[int]) -> tuple[int, int]:
    """Return h and w of a map in either layout."""
    return tuple(shape[1:3]) if channels_last(shape) else tuple(shape[2:4])
