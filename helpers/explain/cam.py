"""Class activation maps: which places of an image speak for a class, layer by layer.

`explain` computes maps for any layer; `layers.stage_layers` names those that paper B shows.

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
from collections.abc import Sequence
from difflib import get_close_matches

import matplotlib
import numpy as np
import torch
from pytorch_grad_cam import EigenCAM, GradCAM, GradCAMPlusPlus, LayerCAM
from pytorch_grad_cam.base_cam import BaseCAM
from torch import Tensor, nn
from torch.nn import functional

from helpers.explain import layers as watch
from helpers.explain.layers import ExplainError, stage_layers
from helpers.models.heads import Head

COLOUR_MAP = "viridis"  # perceptually uniform, safe for colour-blind readers
OPACITY = 0.6  # of an overlay where a map is 1
METHODS = ("gradcam", "gradcam++", "eigencam", "layercam")

_PACKAGE = dict(zip(METHODS, (GradCAM, GradCAMPlusPlus, EigenCAM, LayerCAM), strict=True))


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
    if unknown := [name for name in methods if name not in METHODS]:
        raise ExplainError(f"unknown method {unknown[0]!r}; known: {', '.join(METHODS)}.")
    _check_pixels(pixels, batch_size, channels=watch.channels_in(model))
    _check_layers(model, layers, image_size=pixels.shape[-1])
    classes = _check_classes(classes, len(pixels))
    parts = {(layer, method): [] for layer in layers for method in methods}
    with watch.undisturbed(model):
        package = {method: _PACKAGE[method](model, []) for method in methods}
        with_gradients = any(cam.uses_gradients for cam in package.values())
        for start in range(0, len(pixels), batch_size):
            chosen = slice(start, start + batch_size)
            captured = _capture(
                model, pixels[chosen], classes[chosen], layers=layers, with_gradients=with_gradients
            )
            for layer, method in parts:
                maps = _formula(package[method], *captured[layer])
                if not np.isfinite(maps).all():
                    raise ExplainError(f"{method} of layer {layer!r} is not finite: it overflows.")
                if method == "eigencam":
                    maps = _orient(maps)
                parts[layer, method].append(np.maximum(maps, 0).astype(np.float32))
    return {key: np.concatenate(maps) for key, maps in parts.items()}


def upsample(maps: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize maps as images are resized: bilinear, pixels as areas ("half-pixel centres").

    From float (N, h, w) to float32 (N, height, width); `size` is height and width in pixels.
    """
    maps = torch.from_numpy(_check_maps(maps))[:, None]
    if min(size) < 1:
        raise ExplainError(f"size must be at least one pixel, got {size}.")
    resized = functional.interpolate(maps, size, mode="bilinear", align_corners=False)
    return resized[:, 0].numpy()


def unit_range(maps: np.ndarray) -> np.ndarray:
    """Divide each map by its maximum; one without a positive value stays zero.

    From float (N, h, w), finite and at least 0, to float32 in 0..1.
    """
    maps = _check_maps(maps)
    if not (np.isfinite(maps).all() and (maps >= 0).all()):
        raise ExplainError("maps must be finite and at least 0; give them as `explain` does.")
    largest = maps.max(axis=(1, 2), keepdims=True)
    return np.divide(maps, largest, out=np.zeros_like(maps), where=largest > 0)


def overlay(images: np.ndarray, maps: np.ndarray) -> np.ndarray:
    """Lay maps, float (N, H, W) in 0..1, over images, uint8 (N, H, W, C) with C 1 (grey) or 3.

    A pixel's opacity is `OPACITY` times its value, its colour that of `COLOUR_MAP`: the anatomy
    stays visible where a map is low. Uint8 (N, H, W, 3).
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

    def keep(name: str, module: nn.Module, inputs: tuple, output: object) -> Tensor | None:
        if not watch.is_map(output):
            outputs[name] = output
            return None
        outputs[name] = output.clone().requires_grad_()  # starts the graph if nothing before did
        return outputs[name].clone()  # what follows may overwrite it, as nn.ReLU(inplace=True) does

    device = watch.device_of(model)
    with (
        torch.inference_mode(False),
        torch.set_grad_enabled(with_gradients),
        torch.autocast(device.type, enabled=False),
    ):
        with watch.hooks(model, layers, keep):
            logits = model(pixels.to(device, copy=True))
        for name in layers:
            _check_output(name, outputs, batch=len(pixels))
        score = _score(model, logits, classes)
        gradients = [None] * len(layers)
        if with_gradients and score.requires_grad:
            maps = [outputs[name] for name in layers]
            gradients = torch.autograd.grad(score, maps, allow_unused=True)
    captured = {}
    for name, gradient in zip(layers, gradients, strict=True):
        if with_gradients and gradient is None:
            raise ExplainError(
                f"layer {name!r} has no gradient: the logits do not depend on its output; name a "
                "layer on the way to them."
            )
        found = (outputs[name], gradient)
        arrays = [None if t is None else t.detach().cpu().numpy() for t in found]
        if watch.channels_last(outputs[name].shape):
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
    num_classes = 2 if one_unit else logits.shape[1]
    outside = classes[(classes < 0) | (classes >= num_classes)]
    if len(outside):
        raise ExplainError(
            f"class {outside[0]} is out of range: the model has {num_classes} classes, "
            f"0..{num_classes - 1}."
        )
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


def _names(what: str, names: Sequence[str]) -> tuple[str, ...]:
    if isinstance(names, str):
        raise ExplainError(
            f"{what} must be a sequence of names, got {names!r}; write ({names!r},)."
        )
    if not (names := tuple(names)):
        raise ExplainError(f"{what} is empty; name at least one.")
    return names


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


def _check_output(name: str, outputs: dict[str, object], *, batch: int) -> None:
    if name not in outputs:
        raise ExplainError(f"layer {name!r} took no part in the forward pass; name one that does.")
    output = outputs[name]
    if not watch.is_map(output) or len(output) != batch:
        came = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise ExplainError(
            f"layer {name!r} gives {came}, not a map (B, C, h, w) of the {batch} images; name a "
            "layer before pooling."
        )
    if math.prod(watch.sides(output.shape)) == 1:
        raise ExplainError(
            f"layer {name!r} gives a map of one pixel (1x1): there is no place to point to; use a "
            "larger image or an earlier layer."
        )


def _check_maps(maps: np.ndarray) -> np.ndarray:
    maps = np.asarray(maps)
    if maps.ndim != 3 or not np.issubdtype(maps.dtype, np.floating) or 0 in maps.shape[1:]:
        raise ExplainError(f"maps must be float (N, h, w), got {maps.dtype} {maps.shape}.")
    return np.ascontiguousarray(maps, dtype=np.float32)
