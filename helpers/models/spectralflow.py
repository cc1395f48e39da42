"""SpectralFlow: low- and high-frequency streams in linear time (paper B, section 3.2, Eq. 1).

Paper: Afrin et al., "MedSpectralNet", PLOS ONE 21(4): e0346128, 2026. No code was published; this
is written from the text. Ancestors that the wording follows: SFNet (ICLR 2023) and FSNet
(TPAMI 2024), whose dynamic low-pass filter and selective-kernel fusion it simplifies.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from helpers.models.backbones import check_positive


def pad_to_multiple(x: Tensor, k: int) -> tuple[Tensor, tuple[int, int]]:
    """Extend a map (B, C, H, W) to sides that are multiples of `k` by repeating the border.

    Returns it, (B, C, ceil(H/k) k, ceil(W/k) k), and the (top, left) offset of the original in it.
    """
    extra_h, extra_w = -x.shape[-2] % k, -x.shape[-1] % k
    top, left = extra_h // 2, extra_w // 2
    if extra_h or extra_w:
        x = functional.pad(x, (left, extra_w - left, top, extra_h - top), mode="replicate")
    return x, (top, left)


class DynamicLowPass(nn.Module):
    """Average each non-overlapping k x k patch with weights drawn from the global context.

    Average pool -> 1x1 convolution -> softmax over the k^2 positions gives one filter an image,
    which is applied to every patch: a dynamic convolution of stride k. Its result is held constant
    over the patch, so that the output has the input's resolution and only its low frequencies.

    Open choices of the paper:
        - "Applied to" is read as the weighted *sum* over a patch, not as a mask: the text calls it
          a dynamic convolution that "aggregates information over non-overlapping patches", and only
          an aggregate is low-pass, which Eq. (1) needs for its residue to be high-frequency.
        - The sum fills its patch, since Eq. (1) subtracts it from a map of full resolution and the
          text names no upsampling.
        - The pool is 1 x 1: the text calls its result a global receptive field.
        - One filter for all channels: the text gives k^2 coefficients, not k^2 a group.
        - A map whose side k does not divide is padded by repeating its border (7 x 7 at 224 px),
          so that a weighted mean never mixes in zeros.
    """

    def __init__(self, *, in_channels: int, kernel_size: int) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.to_filter = nn.Conv2d(in_channels, kernel_size**2, kernel_size=1)

    def weights(self, x: Tensor) -> Tensor:
        """Return the filter of each image, (B, k^2), non-negative, rows summing to one."""
        context = functional.adaptive_avg_pool2d(x, 1)  # (B, C, 1, 1)
        return self.to_filter(context).flatten(1).softmax(dim=1)

    def forward(self, x: Tensor, reduced: Tensor) -> Tensor:
        """Filter `reduced` (B, C', H, W) with the filter that `x` (B, C, H, W) asks for."""
        k = self.kernel_size
        batch, channels, height, width = reduced.shape
        padded, (top, left) = pad_to_multiple(reduced, k)
        rows, columns = padded.shape[-2] // k, padded.shape[-1] // k
        patches = padded.reshape(batch, channels, rows, k, columns, k)
        weights = self.weights(x).reshape(batch, 1, 1, k, 1, k)
        means = (weights * patches).sum(dim=(3, 5), keepdim=True)  # (B, C', rows, 1, columns, 1)
        low = means.expand_as(patches).reshape(padded.shape)
        return low[..., top : top + height, left : left + width]


class SpectralFlow(nn.Module):
    """Split a map into low and high frequencies, weigh the two streams, fuse (section 3.2).

    Steps: 1x1 convolution C -> C/r gives x_l; dynamic low-pass of x_l; 1x1 convolution back to C
    gives the low stream; Eq. (1): x_h = x - low; a small 1x1 block a stream gives attention
    vectors a_l, a_h; sum of the weighted streams; final 1x1 convolution. Cost is linear in H x W.

    Maps (B, C, H, W) to the same shape. All three sizes are positive integers, else a `ValueError`.

    Open choices of the paper:
        - The text says k = 3 or 5 (`kernel_size`), and leaves r (`reduction`) of the channel
          reduction and of the attention blocks open. Its numbers do not settle it: 2, 4, 8 and 16
          make a whole network of 13.9, 13.0, 12.6 and 12.4 M parameters and 1.87 to 1.89 GMACs at
          224 px, none the printed 8.5 M or 2.00.
        - The attention blocks pool first, since the text calls a_l and a_h vectors, and are a
          bottleneck with a ReLU, as in selective-kernel fusion.
        - They are normalised by a softmax over the two streams, channel by channel, likewise.
        - The final convolution is said to "restore the original channel dimension", which Eq. (1)
          needs restored before: it maps C to C.
        - No batch norm inside the module, since the text names none.
    """

    def __init__(self, *, channels: int, kernel_size: int = 3, reduction: int = 4) -> None:
        super().__init__()
        check_positive(channels=channels, kernel_size=kernel_size, reduction=reduction)
        hidden = max(1, channels // reduction)
        self.reduce = nn.Conv2d(channels, hidden, kernel_size=1)
        self.low_pass = DynamicLowPass(in_channels=channels, kernel_size=kernel_size)
        self.project = nn.Conv2d(hidden, channels, kernel_size=1)
        self.attend_low = self._attention(channels, hidden)
        self.attend_high = self._attention(channels, hidden)
        self.fuse = nn.Conv2d(channels, channels, kernel_size=1)

    @staticmethod
    def _attention(channels: int, hidden: int) -> nn.Sequential:
        return nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, hidden, kernel_size=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden, channels, kernel_size=1),
        )

    def split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the low and the high stream, both (B, C, H, W); they add up to `x` (Eq. 1)."""
        low = self.project(self.low_pass(x, self.reduce(x)))
        return low, x - low

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C, H, W)."""
        low, high = self.split(x)
        scores = torch.stack([self.attend_low(low), self.attend_high(high)])  # (2, B, C, 1, 1)
        a_low, a_high = scores.softmax(dim=0)
        return self.fuse(a_low * low + a_high * high)
