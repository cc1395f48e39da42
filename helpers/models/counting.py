"""What a model costs: parameters and multiply-accumulates, in all and stage by stage."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

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
    both products of attention are counted, and the selective scan by the formula that stands beside
    its operator. Element-wise steps (normalisation, activations, gates,
    SpectralFlow's low-pass: one multiply-add an element) are not counted. A model on the meta
    device is counted without computing anything. The modes of the model and its parts and its
    batch-norm statistics are untouched.
    """
    with flop_counter(model) as counter:
        model(blank_image(model, image_size, in_channels))
    return counter.get_total_flops() // 2


def stage_table(model: nn.Module, *, image_size: int) -> pd.DataFrame:
    """List what each stage of a model returns and costs, for one image; each is called once.

    Returns one row a stage in the order of execution: `stage` (its name in the model), `output`
    (its shape without the batch, "512 x 7 x 7"), `parameters`, `macs` (as in `count_macs`).
    """
    rows, started = [], {}
    names = {module: name for name, module in _stages(model)}
    with flop_counter(model) as counter, ExitStack() as hooks:

        def before(module: nn.Module, inputs: tuple) -> None:
            started[module] = counter.get_total_flops()

        def after(module: nn.Module, inputs: tuple, output: Tensor) -> None:
            shape = " x ".join(str(side) for side in output.shape[1:])
            macs = (counter.get_total_flops() - started[module]) // 2
            rows.append((names[module], shape, count_parameters(module), macs))

        for module in names:
            hooks.enter_context(module.register_forward_pre_hook(before))
            hooks.enter_context(module.register_forward_hook(after))
        model(blank_image(model, image_size))
    return pd.DataFrame(rows, columns=["stage", "output", "parameters", "macs"])


def _stages(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    for name, child in model.named_children():
        if name in _CONTAINERS:
            yield from ((f"{name}.{part}", module) for part, module in child.named_children())
        else:
            yield name, child


def blank_image(model: nn.Module, image_size: int, in_channels: int = 3) -> Tensor:
    """Return one image of zeros, of the type and on the device of a model's parameters."""
    return next(model.parameters()).new_zeros(1, in_channels, image_size, image_size)


@contextmanager
def flop_counter(model: nn.Module, **options) -> Iterator[FlopCounterMode]:
    """Count in evaluation mode; options of the counter.

    The fused attention of evaluation mode is switched off, since the counter does not see it.
    """
    fused_attention = torch.backends.mha.get_fastpath_enabled()
    counter = FlopCounterMode(display=False, **options)
    try:
        torch.backends.mha.set_fastpath_enabled(False)
        # Older counters do not know every fused kernel; plain matrix products all of them do.
        with evaluation_mode(model), sdpa_kernel(SDPBackend.MATH), torch.no_grad(), counter:
            yield counter
    finally:
        torch.backends.mha.set_fastpath_enabled(fused_attention)


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Evaluate, then give every module its own mode back: parts can differ (frozen batch norm)."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        model.eval()
        yield
    finally:
        for module, mode in modes:
            module.training = mode
