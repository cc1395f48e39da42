"""MedSpectralNet with parts taken away, replaced or read differently.

Each network here is `medspectralnet` (ResNet-18, k = 3) but for what its name says, f_b being the
map of the backbone.

`ABLATION`, which paper B leaves out: section 4.5 calls the ablation comprehensive and varies the
optimizer and the augmentation alone; whether SpectralFlow, ContextGate or the patch side k change
anything is not shown.

- no_spectralflow: no spectral split anywhere. fused = f_b + ContextGate(f_b), inside which c goes
  to the gate as the 1x1 convolution leaves it (c_out = c); nothing stands after the depthwise
  convolution.
- no_contextgate: fused = f_b + SpectralFlow(f_b). The copy of f_b that the ContextGate adds itself
  (Eq. 3) goes with it.
- no_both: backbone, depthwise convolution, batch norm, pooling, classifier.
- plain: plain convolutions of equal parameters in the three places, so that size is no difference;
  the sums stay as they are.
- k5: patches of 5 x 5 in all three SpectralFlows. A map of 4 x 4 is one patch then, padded by its
  border.

`READINGS`, which the text supports as well as the one that `medspectralnet` is built by; the
docstrings of `ContextGate` and `MedSpectralNet` quote the sentences:

- gate_from_input: inside ContextGate, g and i start from f_b itself; the depthwise convolution
  stands before c alone. The parameters are the same.
- no_depthwise: the depthwise convolution of section 4.4.2 is ContextGate's own. The fused map,
  f_b in it, enters the second SpectralFlow as it is.
- both_readings: the two together.
"""

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from helpers.models.contextgate import ContextGate
from helpers.models.medspectralnet import Blocks, MedSpectralNet, build_medspectralnet
from helpers.models.spectralflow import SpectralFlow


class PlainBlock(nn.Sequential):
    """Plain convolutions with the parameters of another module: 1x1, ReLU, 3x3, ReLU, 1x1.

    A bottleneck without spectral split, gate, attention or pooling, the control for a module that
    claims one of these; maps (B, C, H, W) to the same shape. Both widths of the bottleneck are
    about equal, and chosen so that the number of parameters comes as near to the given one as it
    can: within 0.5 % from 256 channels up.

    Raises:
        ValueError: fewer parameters than a bottleneck one channel wide has.
    """

    def __init__(self, *, channels: int, parameters: int) -> None:
        smallest = 3 * channels + 11
        if parameters < smallest:
            raise ValueError(
                f"parameters must be at least {smallest} for {channels} channels, got {parameters}."
            )
        # (C + 1) a + (9 a + 1) b + (b + 1) C parameters with the widths a and b; first for a = b.
        half = channels + 1
        a = int((math.sqrt(half**2 + 9 * (parameters - channels)) - half) / 9)
        b = round((parameters - channels - half * a) / (9 * a + half))
        super().__init__(
            nn.Conv2d(channels, a, kernel_size=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(a, b, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(b, channels, kernel_size=1),
        )


class PlainResidualBlock(nn.Module):
    """x + PlainBlock(x), for a module that adds its input itself, as ContextGate does (Eq. 3)."""

    def __init__(self, *, channels: int, parameters: int) -> None:
        super().__init__()
        self.block = PlainBlock(channels=channels, parameters=parameters)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C, H, W)."""
        return x + self.block(x)


def plain_spectralflow(*, channels: int) -> PlainBlock:
    """Build the plain block with a SpectralFlow's parameters; no residual, as there."""
    return PlainBlock(channels=channels, parameters=_size(SpectralFlow, channels))


def plain_contextgate(*, channels: int) -> PlainResidualBlock:
    """Build the plain block with a ContextGate's parameters; residual, as there."""
    return PlainResidualBlock(channels=channels, parameters=_size(ContextGate, channels))


def _size(block: Callable[..., nn.Module], channels: int) -> int:
    with torch.device("meta"):  # shapes alone: no memory, no random draw
        return sum(p.numel() for p in block(channels=channels).parameters())


_GATE_FROM_INPUT = partial(ContextGate, gate_from_input=True)

# Name -> what takes the places of SpectralFlow and ContextGate; descriptions are in the registry.
ABLATION = {
    "medspectralnet_no_spectralflow": Blocks(None, partial(ContextGate, refine=nn.Identity)),
    "medspectralnet_no_contextgate": Blocks(SpectralFlow, None),
    "medspectralnet_no_both": Blocks(None, None),
    "medspectralnet_plain": Blocks(plain_spectralflow, plain_contextgate),
    "medspectralnet_k5": Blocks(
        partial(SpectralFlow, kernel_size=5), partial(ContextGate, kernel_size=5)
    ),
}
READINGS = {
    "medspectralnet_gate_from_input": Blocks(SpectralFlow, _GATE_FROM_INPUT),
    "medspectralnet_no_depthwise": Blocks(SpectralFlow, ContextGate, depthwise=False),
    "medspectralnet_both_readings": Blocks(SpectralFlow, _GATE_FROM_INPUT, depthwise=False),
}
VARIANTS = ABLATION | READINGS


def build_variant(*, variant: str, **options) -> MedSpectralNet:
    """Build one of `VARIANTS`; options as of `build_medspectralnet`."""
    return build_medspectralnet(blocks=VARIANTS[variant], **options)
