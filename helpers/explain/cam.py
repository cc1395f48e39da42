"""Class activation maps: which places of an image speak for a class, layer by layer.

Paper B shows Grad-CAM of MedSpectralNet on BreastMNIST (section 4.4): of the ContextGate's
depthwise path (Fig. 12) and of the second SpectralFlow (Fig. 13). `explain` computes such maps for
any layer, `stage_layers` names those of the paper.

The formulae are those of the `grad-cam` package (Gildenblat et al.), of which four are offered:

    gradcam     ReLU(sum_k mean(dy/dA_k) A_k), Selvaraju et al., ICCV 2017
    gradcam++   the same with a weighted mean of the positive gradients, Chattopadhyay et al.,
                WACV 2018
    eigencam    first principal component of A, no class involved, Muhammad & Yeasin, IJCNN 2020
    layercam    ReLU(sum_k ReLU(dy/dA_k) A_k), Jiang et al., IEEE TIP 2021

where A_k is channel k of the layer's output and y the logit of the class. How we differ from the
package's own way of running them:

    - One forward and one backward pass serve all layers and methods; layers are told apart by
      name, so their order is free. The package would pair maps and gradients by order of call.
    - The map stays raw: its layer's own resolution and the method's own scale. The package
      stretches every map to 0..1 from its own minimum, which turns a map of nothing into one like
      any other.
    - A ReLU that overwrites its input does not overwrite the map.
    - Eigen-CAM's component has no sign of its own, and the package keeps what the numerical library
      gives. Here its larger extreme is positive, as in Seg-Eigen-CAM (Chung & Ying, Applied
      Sciences 2025, Eq. 13). Of MedSpectralNet's maps on BreastMNIST 95 % then keep their sign
      when the image is mirrored, 86 % with the library's.

Kept as it is: the package adds 1e-6 to the denominator of Grad-CAM++'s weights. Squared gradients
of our maps lie far below (1e-7 to 1e-12), where it turns the weights into sums of cubed gradients.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches

import matplotlib
import numpy as np
import torch
from pytorch_grad_cam import EigenCAM, GradCAM, GradCAMPlusPlus, LayerCAM
from pytorch_grad_cam.base_cam import BaseCAM
from torch import Tensor, nn
from torch.nn import functional

from helpers.models.contextgate import ContextGate
from helpers.models.heads import Head
from helpers.models.medspectralnet import MedSpectralNet
from helpers.models.spectralflow import SpectralFlow

COLOUR_MAP = "viridis"  # perceptually uniform, safe for colour-blind readers
OPACITY = 0.6  # of an overlay where a map is 1

_PACKAGE = {
    "gradcam": GradCAM,
    "gradcam++": GradCAMPlusPlus,
    "eigencam": EigenCAM,
    "layercam": LayerCAM,
}
METHODS = tuple(_PACKAGE)

_MEDSPECTRALNET = {
    "Backbone": "backbone",
    "First SpectralFlow": "spectralflow1",
    "ContextGate, depthwise path": "contextgate.depthwise",
    "ContextGate": "contextgate",
    "Second SpectralFlow": "spectralflow2",
}
_BLOCKS = (SpectralFlow, ContextGate)


class ExplainError(ValueError):
    """What was asked cannot be explained: unknown layer, class out of range, no map, bad pixels."""


def stage_layers(model: nn.Module, *, image_size: int) -> dict[str, str]:
    """Name the layers worth a map, in order of data flow.

    Args:
        model: any network on images (B, C, S, S); left as it was.
        image_size: S, the side in pixels of the images that are explained. A network may be built
            for one size alone, and the same layer gives a single pixel where images are smaller.

    Returns:
        Title -> dotted module name. Of MedSpectralNet the stages of paper B, section 4.4; of any
        other network "Last feature map", the outermost module that gives the last map of more than
        one pixel: `layer4` of a ResNet, `features` of MobileNetV2, `trunk` of a `HeadedNet`. What a
        block computes inside (attention over tokens, say) is no such map unless there is no other.

    Raises:
        ExplainError: no module gives a map, or the network cannot take images of this size.
    """
    if isinstance(model, MedSpectralNet):
        modules = dict(model.named_modules())  # in an ablation some are missing or others
        return {
            title: name
            for title, name in _MEDSPECTRALNET.items()
            if name == "backbone" or isinstance(modules.get(name.split(".")[0]), _BLOCKS)
        }
    maps = []  # an outer module ends after its inner ones, so the last name is the outermost
    blocks = set()  # a chain of modules is none: each of its links hands its map to the next

    def note(name: str, output: object) -> None:
        if isinstance(output, Tensor) and output.ndim > 2:
            if not isinstance(model.get_submodule(name), nn.Sequential):
                blocks.add(name)
            if _is_map(output) and math.prod(_sides(output.shape)) > 1:
                maps.append(name)

    names = [name for name, _ in model.named_modules() if name]
    probe = torch.zeros(1, _in_channels(model), image_size, image_size, device=_device(model))
    try:
        with _undisturbed(model), _hooks(model, names, note):
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
    between = [name for name in maps if blocks.isdisjoint(_parents(name))]
    return {"Last feature map": (between or maps)[-1]}


def explain(
    model: nn.Module,
    pixels: Tensor,
    *,
    layers: Sequence[str],
    classes: int | np.ndarray,
    methods: Sequence[str] = ("gradcam",),
    batch_size: int = 32,
) -> dict[tuple[str, str], np.ndarray]:
    """Compute the class activation maps of images.

    The network runs in evaluation mode and float32; training mode, `requires_grad` flags, gradients
    and hooks are as before afterwards, also after an error. No random numbers are drawn.

    Args:
        model: maps images (B, 3, H, W) to logits (B, K), or to one logit, (B, 1) or (B,).
        pixels: float32 (N, C, S, S), as `helpers.data.transforms.preprocess` gives them; C is 1
            where a network takes grey images as they are, else 3.
        layers: dotted module names, such as those of `stage_layers`. A module that is called
            several times counts with its last call.
        classes: the class whose logit is explained, int64 (N,) or one for all. Where a network has
            one output unit for two classes, class 1 is the unit and class 0 its negative; this
            holds for the heads of paper A too, whose logits are (0, s).
        methods: some of `METHODS`.
        batch_size: images at once; does not change the maps.

    Returns:
        (layer, method) -> float32 (N, h, w), at least 0, neither resized nor rescaled.

    Raises:
        ExplainError: unknown layer or method, class out of range, pixels of another shape or type
            or not finite, a layer without a map of more than one pixel or without influence on the
            logit, activations or gradients that are not finite.
    """
    layers, methods = _names("layers", layers), _names("methods", methods)
    _check_methods(methods)
    _check_pixels(pixels, batch_size, channels=_in_channels(model))
    _check_layers(model, layers, image_size=pixels.shape[-1])
    classes = _check_classes(classes, len(pixels))
    parts: dict[tuple[str, str], list[np.ndarray]] = {
        (layer, method): [] for layer in layers for method in methods
    }
    with _undisturbed(model):
        package = {method: _PACKAGE[method](model, []) for method in methods}
        for start in range(0, len(pixels), batch_size):
            chosen = slice(start, start + batch_size)
            captured = _capture(
                model,
                pixels[chosen],
                classes[chosen],
                layers=layers,
                with_gradients=any(cam.uses_gradients for cam in package.values()),
            )
            for layer, method in parts:
                maps = _formula(package[method], *captured[layer])
                if not np.isfinite(maps).all():
                    raise ExplainError(f"{method} of layer {layer!r} is not finite: it overflows.")
                if method == "eigencam":
                    maps = _orient(maps)
                parts[layer, method].append(np.maximum(maps, 0).astype(np.float32))
    return {key: np.concatenate(maps) for key, maps in parts.items()}


def first_line(error: Exception) -> str:
    """Return the first line of an error's message; its kind where it has none."""
    return next(iter(str(error).splitlines()), type(error).__name__)


def upsample(maps: np.ndarray, size: int | tuple[int, int]) -> np.ndarray:
    """Resize maps as images are resized: bilinear, pixels as areas ("half-pixel centres").

    Args:
        maps: float (N, h, w).
        size: side, or (height, width), in pixels.

    Returns:
        float32 (N, height, width).

    Raises:
        ExplainError: another shape, or a size below one pixel.
    """
    maps = _check_maps(maps)
    height, width = (size, size) if np.ndim(size) == 0 else size
    if min(height, width) < 1:
        raise ExplainError(f"size must be at least one pixel, got {size}.")
    resized = functional.interpolate(
        torch.from_numpy(maps)[:, None], (height, width), mode="bilinear", align_corners=False
    )
    return resized[:, 0].numpy()


def unit_range(maps: np.ndarray) -> np.ndarray:
    """Divide each map by its maximum; one without a positive value stays zero.

    Args:
        maps: float (N, h, w), at least 0.

    Returns:
        float32 (N, h, w) in 0..1.

    Raises:
        ExplainError: another shape, or values that are negative or not finite.
    """
    maps = _check_maps(maps)
    if not (np.isfinite(maps).all() and (maps >= 0).all()):
        raise ExplainError("maps must be finite and at least 0; give them as `explain` does.")
    largest = maps.max(axis=(1, 2), keepdims=True)
    return np.divide(maps, largest, out=np.zeros_like(maps), where=largest > 0)


def overlay(images: np.ndarray, maps: np.ndarray) -> np.ndarray:
    """Lay maps over images; the anatomy stays visible where a map is low.

    A pixel's opacity is `OPACITY` times its value, its colour that of `COLOUR_MAP`.

    Args:
        images: uint8 (N, H, W, C), C 1 (shown as grey) or 3.
        maps: float (N, H, W) in 0..1.

    Returns:
        uint8 (N, H, W, 3).

    Raises:
        ExplainError: shapes, types or values are not as said.
    """
    images, maps = np.asarray(images), _check_maps(maps)
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] not in (1, 3):
        raise ExplainError(
            f"images must be uint8 (N, H, W, C) with C 1 or 3, got {images.dtype} {images.shape}."
        )
    if maps.shape != images.shape[:3]:
        raise ExplainError(
            f"maps {maps.shape} do not cover images {images.shape}; `upsample` them to "
            f"{images.shape[1:3]}."
        )
    if not ((maps >= 0) & (maps <= 1)).all():
        raise ExplainError("maps must lie in 0..1; use `unit_range`.")
    colours = 255 * matplotlib.colormaps[COLOUR_MAP](maps)[..., :3]
    opacity = OPACITY * maps[..., None]
    return np.rint((1 - opacity) * images + opacity * colours).astype(np.uint8)


@contextmanager
def _undisturbed(model: nn.Module) -> Iterator[None]:
    """Evaluation mode and frozen parameters; both as before afterwards."""
    training = [(module, module.training) for module in model.modules()]
    required = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    try:
        model.eval()
        model.requires_grad_(False)  # no graph before the first layer of interest
        yield
    finally:
        for module, flag in training:
            module.training = flag
        for parameter, flag in required:
            parameter.requires_grad_(flag)


@contextmanager
def _hooks(
    model: nn.Module, names: Sequence[str], see: Callable[[str, object], Tensor | None]
) -> Iterator[None]:
    """Call `see(name, output)` after each of the modules; what it returns replaces the output."""
    handles = []
    try:
        for name in names:

            def hook(module: nn.Module, inputs: tuple, output: object, name: str = name):
                return see(name, output)

            handles.append(model.get_submodule(name).register_forward_hook(hook))
        yield
    finally:
        for handle in handles:
            handle.remove()


def _capture(
    model: nn.Module,
    pixels: Tensor,
    classes: np.ndarray,
    *,
    layers: Sequence[str],
    with_gradients: bool,
) -> dict[str, tuple[np.ndarray, np.ndarray | None]]:
    """Return output and gradient, each (B, C, h, w), of every layer from one pass."""
    outputs: dict[str, object] = {}

    def keep(name: str, output: object) -> Tensor | None:
        if not _is_map(output):
            outputs[name] = output
            return None
        outputs[name] = output.clone().requires_grad_()  # starts the graph if nothing before did
        return outputs[name].clone()  # what follows may overwrite it, as nn.ReLU(inplace=True) does

    device = _device(model)
    with (
        torch.inference_mode(False),
        torch.set_grad_enabled(with_gradients),
        torch.autocast(device.type, enabled=False),
    ):
        with _hooks(model, layers, keep):
            logits = model(pixels.to(device, copy=True))
        for name in layers:
            _check_output(name, outputs, batch=len(pixels))
        score = _score(model, logits, classes)
        gradients = [None] * len(layers)
        if with_gradients and score.requires_grad:
            gradients = torch.autograd.grad(
                score, [outputs[name] for name in layers], allow_unused=True
            )
    captured = {}
    for name, gradient in zip(layers, gradients, strict=True):
        if with_gradients and gradient is None:
            raise ExplainError(
                f"layer {name!r} has no gradient: the logits do not depend on its output; name a "
                "layer on the way to them."
            )
        arrays = [
            None if t is None else t.detach().cpu().numpy() for t in (outputs[name], gradient)
        ]
        if _channels_last(outputs[name].shape):
            arrays = [None if a is None else np.moveaxis(a, 3, 1) for a in arrays]
        if not all(a is None or np.isfinite(a).all() for a in arrays):
            raise ExplainError(
                f"layer {name!r} has activations or gradients that are not finite; has the "
                "training diverged?"
            )
        captured[name] = tuple(arrays)
    return captured


def _score(model: nn.Module, logits: Tensor, classes: np.ndarray) -> Tensor:
    """Return the sum of the explained logits; images do not meet in evaluation mode."""
    if logits.ndim == 1:
        logits = logits[:, None]
    if logits.shape[:1] != classes.shape or logits.ndim != 2:
        raise ExplainError(
            f"the model must give logits (B, K), got {tuple(logits.shape)} for {len(classes)} "
            "images."
        )
    # A head of one unit may write its two logits as (0, s): the first has no gradient.
    one_unit = logits.shape[1] == 1 or any(
        isinstance(module, Head) and module.num_units == 1 for module in model.modules()
    )
    _check_range(classes, 2 if one_unit else logits.shape[1])
    index = torch.from_numpy(classes).to(logits.device)
    if one_unit:
        return (logits[:, -1] * (2 * index - 1)).sum()
    return logits.gather(1, index[:, None]).sum()


def _formula(cam: BaseCAM, activations: np.ndarray, gradients: np.ndarray | None) -> np.ndarray:
    """Return the package's maps (B, h, w) of captured arrays (B, C, h, w), signs as they come."""
    if isinstance(cam, EigenCAM):
        # As `svd_on_activations.get_2d_projection`, which decomposes in full: five times slower.
        places = activations.reshape(*activations.shape[:2], -1).transpose(0, 2, 1)
        centred = places - places.mean(axis=1, keepdims=True)
        left, sizes, _ = np.linalg.svd(centred, full_matrices=False)
        return (left[..., 0] * sizes[:, :1]).reshape(len(activations), *activations.shape[2:])
    return cam.get_cam_image(None, None, None, activations, gradients, False)


def _orient(maps: np.ndarray) -> np.ndarray:
    """Give each component (B, h, w) the sign that makes its larger extreme positive."""
    lowest, highest = (extreme(maps, axis=(1, 2), keepdims=True) for extreme in (np.min, np.max))
    return np.where(-lowest > highest, -maps, maps)


def _device(model: nn.Module) -> torch.device:
    parameter = next(model.parameters(), None)
    if parameter is None:
        raise ExplainError(f"{type(model).__name__} has no parameters: there is nothing learned.")
    return parameter.device


def _in_channels(model: nn.Module) -> int:
    """Return 1 for a network whose first convolution takes grey images as they are, else 3."""
    convolutions = (module for module in model.modules() if isinstance(module, nn.Conv2d))
    first = next(convolutions, None)
    return 1 if first is not None and first.in_channels == 1 else 3


def _parents(name: str) -> list[str]:
    """Return the names of the modules that hold a module: "a" and "a.b" of "a.b.c"."""
    parts = name.split(".")
    return [".".join(parts[:depth]) for depth in range(1, len(parts))]


def _is_map(output: object) -> bool:
    return isinstance(output, Tensor) and output.ndim == 4 and output.is_floating_point()


def _channels_last(shape: Sequence[int]) -> bool:
    """Whether a map is (B, h, w, C), as windowed attention and scans keep it.

    Images are square, so maps are: the equal sides tell the layout.
    """
    return shape[2] != shape[3] and shape[1] == shape[2]


def _sides(shape: Sequence[int]) -> tuple[int, int]:
    """Return h and w of a map in either layout."""
    return tuple(shape[1:3]) if _channels_last(shape) else tuple(shape[2:4])


def _names(what: str, names: Sequence[str]) -> tuple[str, ...]:
    if isinstance(names, str):
        raise ExplainError(
            f"{what} must be a sequence of names, got {names!r}; write ({names!r},)."
        )
    if not (names := tuple(names)):
        raise ExplainError(f"{what} is empty; name at least one.")
    return names


def _check_methods(methods: Sequence[str]) -> None:
    if unknown := [name for name in methods if name not in METHODS]:
        raise ExplainError(f"unknown method {unknown[0]!r}; known: {', '.join(METHODS)}.")


def _check_layers(model: nn.Module, layers: Sequence[str], *, image_size: int) -> None:
    known = [name for name, _ in model.named_modules(remove_duplicate=False)]
    for name in layers:
        if name in known:
            continue
        near = get_close_matches(str(name), known, n=5, cutoff=0.5)
        try:
            stages = ", ".join(stage_layers(model, image_size=image_size).values())
        except ExplainError:
            stages = "none"
        raise ExplainError(
            f"{type(model).__name__} has no layer {name!r}; near: {', '.join(near) or 'none'}; "
            f"usual: {stages}."
        )


def _check_pixels(pixels: Tensor, batch_size: int, *, channels: int) -> None:
    expected = f"pixels must be a float32 tensor (N, {channels}, S, S), as `preprocess` gives it"
    if not isinstance(pixels, Tensor):
        raise ExplainError(f"{expected}; got {type(pixels).__name__}.")
    if pixels.dtype != torch.float32 or pixels.ndim != 4 or pixels.shape[1] != channels:
        raise ExplainError(f"{expected}; got {pixels.dtype} {tuple(pixels.shape)}.")
    if not pixels.numel():
        raise ExplainError(f"{expected}; got no image, {tuple(pixels.shape)}.")
    finite = pixels.isfinite().flatten(1).all(dim=1)
    if not finite.all():
        bad = (~finite).nonzero()[:, 0].tolist()
        raise ExplainError(
            f"pixels must be finite; image {bad[0]} is not ({len(bad)} of {len(pixels)} images)."
        )
    if not isinstance(batch_size, int) or batch_size < 1:
        raise ExplainError(f"batch_size must be a positive integer, got {batch_size!r}.")


def _check_classes(classes: int | np.ndarray, count: int) -> np.ndarray:
    array = np.asarray(classes)
    if not np.issubdtype(array.dtype, np.integer) or array.shape not in ((), (count,)):
        raise ExplainError(
            f"classes must be one integer or one for each of the {count} images, got "
            f"{array.dtype} {array.shape}."
        )
    return np.broadcast_to(array, (count,)).astype(np.int64)


def _check_range(classes: np.ndarray, num_classes: int) -> None:
    outside = classes[(classes < 0) | (classes >= num_classes)]
    if len(outside):
        raise ExplainError(
            f"class {outside[0]} is out of range: the model has {num_classes} classes, "
            f"0..{num_classes - 1}."
        )


def _check_output(name: str, outputs: dict[str, object], *, batch: int) -> None:
    if name not in outputs:
        raise ExplainError(f"layer {name!r} took no part in the forward pass; name one that does.")
    output = outputs[name]
    if not _is_map(output) or len(output) != batch:
        came = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise ExplainError(
            f"layer {name!r} gives {came}, not a map (B, C, h, w) of the {batch} images; name a "
            "layer before pooling."
        )
    if math.prod(_sides(output.shape)) == 1:
        raise ExplainError(
            f"layer {name!r} gives a map of one pixel (1x1): there is no place to point to; use a "
            "larger image or an earlier layer."
        )


def _check_maps(maps: np.ndarray) -> np.ndarray:
    maps = np.asarray(maps)
    if maps.ndim != 3 or not np.issubdtype(maps.dtype, np.floating) or 0 in maps.shape[1:]:
        raise ExplainError(f"maps must be float (N, h, w), got {maps.dtype} {maps.shape}.")
    return np.ascontiguousarray(maps, dtype=np.float32)
