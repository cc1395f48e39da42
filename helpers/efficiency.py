"""What a model costs: parameters and multiply-accumulates."""

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

MACS_TOOL = "torch.utils.flop_counter / 2"


def count_parameters(model: nn.Module, *, trainable_only: bool = False) -> int:
    """Return the number of parameters, buffers not counted."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad or not trainable_only)


def count_macs(model: nn.Module, *, image_size: int, in_channels: int = 3) -> int:
    """Return the multiply-accumulates of one image's forward pass (convolutions and products).

    Papers that print "FLOPs" by thop mean this number. Gradients stay enabled: without them the
    counter misses fused attention. The model's mode and its batch-norm statistics are untouched.

    Args:
        model: Maps (B, in_channels, H, W) to logits.
        image_size: Side H = W in pixels.
        in_channels: Channels of the input.
    """
    was_training = model.training
    reference = next(model.parameters())
    image = torch.zeros(1, in_channels, image_size, image_size, device=reference.device)
    counter = FlopCounterMode(display=False)
    model.eval()
    try:
        with torch.enable_grad(), counter:
            model(image)
    finally:
        model.train(was_training)
    return counter.get_total_flops() // 2
