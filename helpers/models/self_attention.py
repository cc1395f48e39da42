"""Self-attention on a feature map: the yardstick of paper B's claim about cost (section 3.2)."""

import math

from torch import Tensor, nn


class SelfAttention(nn.Module):
    """Multi-head self-attention between all positions of a map.

    No part of MedSpectralNet: the paper says that self-attention with as many parameters as a
    SpectralFlow costs about four times more, and this is what it is compared with. The cost is
    4 C^2 multiply-accumulates a position for the projections, and 2 C for each pair of positions,
    whatever the number of `heads`, of which C is a multiple.
    """

    def __init__(self, *, channels: int, heads: int = 8) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(channels, heads, batch_first=True)

    @classmethod
    def with_parameters(cls, parameters: int, *, heads: int = 8) -> "SelfAttention":
        """Build the one of about so many parameters, 4 C^2 + 4 C, with C a multiple of `heads`."""
        channels = heads * max(1, round((math.sqrt(1 + parameters) - 1) / 2 / heads))
        return cls(channels=channels, heads=heads)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C, H, W)."""
        tokens = x.flatten(2).transpose(1, 2)  # (B, H W, C)
        mixed, _ = self.attention(tokens, tokens, tokens, need_weights=False)
        return mixed.transpose(1, 2).reshape(x.shape)
