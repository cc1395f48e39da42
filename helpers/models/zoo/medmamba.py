"""MedMamba-T, -S and -B: half of the channels through convolutions, half through a 2-D scan.

Paper: Yue and Li, "MedMamba: Vision Mamba for medical image classification", arXiv 2403.03849.
Written from the text; facts that it leaves open (order inside the convolution branch, initial
weights, drop path) follow the authors' code, https://github.com/YubiaoYue/MedMamba, which names no
licence and of which nothing is copied.

Parameters: the paper is quoted with 14.5, 23 and 48 M for T, S and B; the released code counts
14.46, 18.63 and 39.86 M (few classes). They agree for T alone. The code is followed: the depths and
widths below give its counts exactly.

MACs at 224 px: the paper prints 2.0 G for T; counted here, it has 2.6 G, 0.3 G of them in scans.

Differences:
    - The scan is compiled loops and PyTorch (`helpers.models.zoo.selective_scan`), no CUDA kernel.
    - Sizes that a stride does not divide are padded with zeros at the right and bottom, so that
      28 px can be read; the authors' code cuts them and has nothing left at 28 px.
"""

from torch import Tensor, cat, nn
from torchvision.ops import StochasticDepth

from helpers.models.zoo.vmamba import SS2D, HierarchicalClassifier

# Blocks of each stage and channels of the first.
_VARIANTS = {"t": ((2, 2, 4, 2), 96), "s": ((2, 2, 8, 2), 96), "b": ((2, 2, 12, 2), 128)}


def build_medmamba(
    variant: str, *, num_classes: int, in_channels: int = 3, image_size: int = 224
) -> nn.Module:
    """Build MedMamba-T, -S or -B: 14.46, 18.63 or 39.86 M parameters, no pretrained weights.

    It takes any `image_size`, and maps (B, in_channels, H, W) to logits (B, num_classes).
    """
    del image_size
    depths, width = _VARIANTS[variant]
    model = HierarchicalClassifier(
        block=SSConvSSM,
        depths=depths,
        width=width,
        num_classes=num_classes,
        in_channels=in_channels,
    )
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return model


class SSConvSSM(nn.Module):
    """Split the channels: convolutions for the near, SS2D for the far; join, shuffle, add.

    `drop_path` is the share of the images whose scan branch is left out in training.
    """

    def __init__(self, *, channels: int, drop_path: float = 0.0) -> None:
        super().__init__()
        half = channels // 2
        self.convolutions = nn.Sequential(
            nn.BatchNorm2d(half),
            nn.Conv2d(half, half, 3, padding=1),
            nn.BatchNorm2d(half),
            nn.ReLU(),
            nn.Conv2d(half, half, 3, padding=1),
            nn.BatchNorm2d(half),
            nn.ReLU(),
            nn.Conv2d(half, half, 1),
            nn.ReLU(),
        )
        self.norm = nn.LayerNorm(half)
        self.mixer = SS2D(channels=half)
        self.drop_path = StochasticDepth(drop_path, mode="row")

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens (B, H, W, C) to (B, H, W, C)."""
        left, right = x.chunk(2, dim=-1)
        near = self.convolutions(left.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        far = self.drop_path(self.mixer(self.norm(right)))
        return x + shuffle_channels(cat([near, far], dim=-1))


def shuffle_channels(x: Tensor) -> Tensor:
    """Interleave both halves of the channels, the last axis: 0 1 2 | 3 4 5 becomes 0 3 1 4 2 5."""
    return x.unflatten(-1, (2, -1)).transpose(-1, -2).flatten(-2)
