"""VMamba-T: a visual state space model that reads an image along four paths.

Paper: Liu et al., "VMamba: Visual state space model", NeurIPS 2024, arXiv 2401.10166 (first
version, January 2024). Written from the text; facts that it leaves open (initial weights, sizes of
the low-rank step, drop path) follow the authors' code, https://github.com/MzeroMiko/VMamba, MIT,
of which none is copied.

Versions: the first one, depths 2-2-9-2 with a gate and no feed-forward part, is printed with 22 M
parameters, which is the 22.1 M that the comparison of paper B names; it is built here. The final
version of the paper (30 M parameters, 4.9 GFLOPs) drops the gate, adds feed-forward parts and is
another network.

Differences:
    - The scan is compiled loops and PyTorch (`helpers.models.zoo.selective_scan`), no CUDA kernel.
    - Sizes that a stride does not divide are padded with zeros at the right and bottom, so that
      28 px can be read; the authors' code cuts them.
    - The projections of the four paths are computed before the tokens are put in order, which is
      the same product.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import StochasticDepth

from helpers.models.zoo.selective_scan import selective_scan

PATCH = 4  # side of the patches that become tokens
_DEPTHS = {"t": (2, 2, 9, 2)}
_WIDTH = 96
_STATES = 16  # N per channel, in both papers
# Step sizes at the start are spread evenly on a log scale between these (Mamba, section 3.6).
_STEP_RANGE = (1e-3, 1e-1)


def build_vmamba(
    variant: str, *, num_classes: int, in_channels: int = 3, image_size: int = 224
) -> nn.Module:
    """Build VMamba-T, first version: 22.1 M parameters, no pretrained weights.

    It takes any `image_size`, and maps (B, in_channels, H, W) to logits (B, num_classes).
    """
    del image_size
    return HierarchicalClassifier(
        block=VSSBlock,
        depths=_DEPTHS[variant],
        width=_WIDTH,
        num_classes=num_classes,
        in_channels=in_channels,
        final_norm=True,
    )


class HierarchicalClassifier(nn.Module):
    """Patches, stages of blocks with patch merging between them, mean, linear classifier.

    A `block`, called with `channels` and `drop_path`, maps (B, H, W, channels) to the same shape;
    `depths` are the blocks of each stage, `width` the channels of the first one, doubled by each
    merging, `drop_path` the rate of stochastic depth at the last block, which grows linearly from
    zero. A LayerNorm before the mean (`final_norm`) has VMamba alone.
    """

    def __init__(
        self,
        *,
        block: type[nn.Module],
        depths: tuple[int, ...],
        width: int,
        num_classes: int,
        in_channels: int,
        drop_path: float = 0.1,
        final_norm: bool = False,
    ) -> None:
        super().__init__()
        rates = iter(torch.linspace(0, drop_path, sum(depths), device="cpu").tolist())
        self.stem = PatchEmbedding(in_channels=in_channels, channels=width)
        self.stages = nn.Sequential()
        for i, depth in enumerate(depths):
            channels = width * 2**i
            blocks = [block(channels=channels, drop_path=next(rates)) for _ in range(depth)]
            merging = [PatchMerging(channels=channels)] if i < len(depths) - 1 else []
            self.stages.append(nn.Sequential(*blocks, *merging))
        self.norm = nn.LayerNorm(channels) if final_norm else nn.Identity()
        self.fc = nn.Linear(channels, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (B, C, H, W) to logits (B, num_classes)."""
        tokens = self.norm(self.stages(self.stem(images)))  # (B, H/32, W/32, 8 width)
        return self.fc(tokens.mean(dim=(1, 2)))


class PatchEmbedding(nn.Module):
    """Each patch of 4 x 4 pixels becomes a token, normalised."""

    def __init__(self, *, in_channels: int, channels: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(in_channels, channels, PATCH, stride=PATCH)
        self.norm = nn.LayerNorm(channels)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (B, C, H, W) to tokens (B, H/4, W/4, channels)."""
        missing = (-images.shape[2] % PATCH, -images.shape[3] % PATCH)
        if any(missing):
            images = functional.pad(images, (0, missing[1], 0, missing[0]))
        return self.norm(self.project(images).permute(0, 2, 3, 1))


class PatchMerging(nn.Module):
    """Four neighbours become one token of twice the channels (Swin Transformer, section 3.1)."""

    def __init__(self, *, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * channels)
        self.reduce = nn.Linear(4 * channels, 2 * channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens (B, H, W, C) to (B, ceil(H/2), ceil(W/2), 2 C)."""
        if x.shape[1] % 2 or x.shape[2] % 2:
            x = functional.pad(x, (0, 0, 0, x.shape[2] % 2, 0, x.shape[1] % 2))
        quads = x.unflatten(2, (-1, 2)).unflatten(1, (-1, 2))  # (B, H/2, 2, W/2, 2, C)
        return self.reduce(self.norm(quads.permute(0, 1, 3, 2, 4, 5).flatten(3)))


class VSSBlock(nn.Module):
    """Visual state space block: layer norm and SS2D around a residual path.

    `drop_path` is the share of the images for which the block is left out in training.
    """

    def __init__(self, *, channels: int, drop_path: float = 0.0) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.mixer = SS2D(channels=channels)
        self.drop_path = StochasticDepth(drop_path, mode="row")

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens (B, H, W, C) to (B, H, W, C)."""
        return x + self.drop_path(self.mixer(self.norm(x)))


def path_order(height: int, width: int, *, device: torch.device | None = None) -> Tensor:
    """Return the places of a map, int64 (4, H W), in the order in which the four paths visit them.

    Path 1 reads row by row, path 2 column by column, paths 3 and 4 are these two backwards.
    """
    places = torch.arange(height * width, device=device)
    ahead = torch.stack([places, places.unflatten(0, (height, width)).T.flatten()])
    return torch.cat([ahead, ahead.flip(1)])


class SS2D(nn.Module):
    """2-D selective scan: a gated state space model that reads the map along four paths.

    The input is widened twice, to the content x and the gate z; x = SiLU(depthwise 3 x 3 of x) is
    scanned along four paths, each with projections, decay rates and direct weights of its own; the
    sum is normalised, multiplied by SiLU(z) and projected back.
    """

    def __init__(self, *, channels: int) -> None:
        super().__init__()
        inner, rank = 2 * channels, math.ceil(channels / 16)
        self.sizes = (rank, _STATES, _STATES)
        self.widen = nn.Linear(channels, 2 * inner, bias=False)
        self.depthwise = nn.Conv2d(inner, inner, 3, padding=1, groups=inner)
        # x -> low-rank step size, B, C, for each path; drawn as an nn.Linear's weights are.
        self.to_coefficients = nn.Parameter(torch.empty(4, sum(self.sizes), inner))
        nn.init.uniform_(self.to_coefficients, -(inner**-0.5), inner**-0.5)
        self.to_step = nn.Parameter(torch.empty(4, rank, inner))
        nn.init.uniform_(self.to_step, -(rank**-0.5), rank**-0.5)
        low, high = (math.log(step) for step in _STEP_RANGE)
        steps = torch.exp(torch.rand(4, inner) * (high - low) + low)
        # Softplus of this is `steps`.
        self.step_bias = nn.Parameter(steps + torch.log(-torch.expm1(-steps)))
        rates = torch.arange(1, _STATES + 1).log().expand(4, inner, _STATES)
        self.log_rates = nn.Parameter(rates.clone())  # A = -exp(log_rates)
        self.direct = nn.Parameter(torch.ones(4, inner))  # D
        self.norm = nn.LayerNorm(inner)
        self.narrow = nn.Linear(inner, channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens (B, H, W, C) to (B, H, W, C)."""
        content, gate = self.widen(x).chunk(2, dim=-1)  # (B, H, W, 2 C) each
        content = self.depthwise(content.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        mixed = self.norm(self._scan(functional.silu(content)))
        return self.narrow(mixed * functional.silu(gate))

    def _scan(self, x: Tensor) -> Tensor:
        height, width = x.shape[1:3]
        tokens = x.flatten(1, 2)
        coefficients = functional.linear(tokens, self.to_coefficients.flatten(0, 1))
        coefficients = coefficients.unflatten(-1, (4, -1))  # (B, H W, 4, R + 2 N)
        low_rank, b, c = coefficients.split(self.sizes, dim=-1)
        dt = torch.einsum("blkr,krd->blkd", low_rank, self.to_step)
        y = selective_scan(
            tokens.unsqueeze(2),
            dt,
            -self.log_rates.exp(),
            b,
            c,
            self.direct,
            bias=self.step_bias,
            order=path_order(height, width, device=x.device),
        )
        return y.sum(dim=2).unflatten(1, (height, width))
