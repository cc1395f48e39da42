"""ContextGate: a gated block around a SpectralFlow (paper B, section 3.3, Eq. 2-3).

Paper: Afrin et al., "MedSpectralNet", PLOS ONE 21(4): e0346128, 2026. Written from the text; its
ancestor is the gated CNN block of MambaOut (CVPR 2025).
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from helpers.models.spectralflow import SpectralFlow


class ContextGate(nn.Module):
    """Refine a map by gated local and identity features, added to the map itself.

    A depthwise convolution feeds three paths of C/3 channels: c, refined by a SpectralFlow; the
    gate g = GELU(1x1); the identity path i = 1x1. Eq. (2): y = 1x1([c_out, i] * g) back to C
    channels; Eq. (3): output = x + y.

    `refine` builds the module on c from `channels` = C/3: a SpectralFlow of patch side
    `kernel_size` if left out. With `gate_from_input` g and i start from x itself, and only c from
    the depthwise convolution.

    Open choices of the paper:
        - C/3 is rounded down (512 is not divisible by 3).
        - g has C/3 channels but multiplies 2C/3: the same gate is applied to c_out and to i.
        - c is reduced to C/3 by a 1x1 convolution before its SpectralFlow: the module keeps the
          number of channels, and reducing first is the lighter order.
        - All three paths start from the depthwise convolution, as section 3.3 says first: it
          "extracts localized spatial patterns (e.g., i, c, and g) via a depthwise convolution".
          Two other passages start g and i from x, which is `gate_from_input` and the network
          `medspectralnet_gate_from_input`: "an identity pathway preserves complementary information
          from the input via a pointwise convolution", with the gating pathway "in parallel"
          (section 3.3); "spatial processing (depthwise conv + SpectralFlow), gating mechanism
          (pointwise conv + GELU), and identity preservation (pointwise conv)" (section 4.4.1).
        - The depthwise kernel size is lost from the text; 3 is used, the smallest that sees
          neighbours.

    Fewer than three channels are a `ValueError`.
    """

    def __init__(
        self,
        *,
        channels: int,
        kernel_size: int = 3,
        refine: Callable[..., nn.Module] | None = None,
        gate_from_input: bool = False,
    ) -> None:
        super().__init__()
        if channels < 3:
            raise ValueError(f"channels must be at least 3 (three paths of C/3), got {channels}.")
        self.gate_from_input = gate_from_input
        third = channels // 3
        self.depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.to_spatial = nn.Conv2d(channels, third, kernel_size=1)
        refine = refine or partial(SpectralFlow, kernel_size=kernel_size)
        self.refine = refine(channels=third)
        self.to_gate = nn.Conv2d(channels, third, kernel_size=1)
        self.to_identity = nn.Conv2d(channels, third, kernel_size=1)
        self.project = nn.Conv2d(2 * third, channels, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C, H, W)."""
        local = self.depthwise(x)
        c_out = self.refine(self.to_spatial(local))  # (B, C/3, H, W)
        source = x if self.gate_from_input else local
        gate = functional.gelu(self.to_gate(source))  # (B, C/3, H, W)
        identity = self.to_identity(source)  # (B, C/3, H, W)
        gated = torch.cat([c_out * gate, identity * gate], dim=1)  # Eq. (2)
        return x + self.project(gated)  # Eq. (3)
