"""What a model costs: parameters and multiply-accumulates, in all and stage by stage."""

from collections.abc import Iterator
from contextlib import contextmanager

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

MACS_TOOL = "torch.utils.flop_counter / 2"
# Children under these names hold a network's stages, so a table shows their children.
_CONTAINERS = ("backbone", "features", "trunk")


def count_parameters(model: nn.Module) -> int:
    """Return the number of parameters, buffers not counted."""
    return sum(p.numel() for p in model.parameters())


def count_macs(model: nn.Module, *, image_size: int, in_channels: int = 3) -> int:
    """Return the multiply-accumulates of one image's forward pass (convolutions and products).

    Papers that print "FLOPs" by thop mean this number, but for attention, which thop misses. Here
    both products of attention are counted, and the selective scan by the formula of its operator
    (`selective_scan.scan_macs`). Element-wise steps (normalisation, activations, gates,
    SpectralFlow's low-pass: one multiply-add an element) are not counted. A
    model on the meta device is counted without computing anything. The modes of the model and its
    parts and its batch-norm statistics are untouched.

    Args:
        model: Maps (B, in_channels, H, W) to logits or to another map.
        image_size: Side H = W in pixels.
        in_channels: Channels of the input.
    """
    with _counting(model) as counter:
        model(_blank_image(model, image_size, in_channels))
    return counter.get_total_flops() // 2


def stage_table(model: nn.Module, *, image_size: int) -> pd.DataFrame:
    """List what each stage of a model returns and costs, for one image.

    Args:
        model: Maps (B, 3, H, W) to logits; each of its stages is called once.
        image_size: Side H = W in pixels.

    Returns:
        One row a stage in the order of execution: `stage` (its name in the model), `output` (its
        shape without the batch, "512 x 7 x 7"), `parameters`, `macs` (as in `count_macs`).
    """
    rows: list[dict[str, str | int]] = []
    started: dict[str, int] = {}
    handles = []

    with _counting(model) as counter:
        for name, module in _stages(model):

            def before(module: nn.Module, inputs: tuple, name: str = name) -> None:
                started[name] = counter.get_total_flops()

            def after(module: nn.Module, inputs: tuple, output: Tensor, name: str = name) -> None:
                row = {
                    "stage": name,
                    "output": " x ".join(str(side) for side in output.shape[1:]),
                    "parameters": count_parameters(module),
                    "macs": (counter.get_total_flops() - started[name]) // 2,
                }
                rows.append(row)

            handles += [
                module.register_forward_pre_hook(before),
                module.register_forward_hook(after),
            ]
        try:
            model(_blank_image(model, image_size, 3))
        finally:
            for handle in handles:
                handle.remove()
    return pd.DataFrame(rows)


def _stages(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    for name, child in model.named_children():
        if name in _CONTAINERS:
            yield from ((f"{name}.{part}", module) for part, module in child.named_children())
        else:
            yield name, child


def _blank_image(model: nn.Module, image_size: int, in_channels: int) -> Tensor:
    reference = next(model.parameters())
    return torch.zeros(
        (1, in_channels, image_size, image_size), device=reference.device, dtype=reference.dtype
    )


@contextmanager
def _counting(model: nn.Module) -> Iterator[FlopCounterMode]:
    """Count in evaluation mode, then give every module its own mode back.

    Parts of a model can differ in mode (frozen batch norm). The fused attention of evaluation mode
    is switched off, since the counter does not see it.
    """
    modes = [(module, module.training) for module in model.modules()]
    fused_attention = torch.backends.mha.get_fastpath_enabled()
    counter = FlopCounterMode(display=False)
    try:
        model.eval()
        torch.backends.mha.set_fastpath_enabled(False)
        # Older counters do not know every fused kernel; plain matrix products all of them do.
        with sdpa_kernel(SDPBackend.MATH), torch.enable_grad(), counter:
            yield counter
    finally:
        torch.backends.mha.set_fastpath_enabled(fused_attention)
        for module, mode in modes:
            module.training = mode
