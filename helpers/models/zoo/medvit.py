"""MedViT-T, -S and -L: convolution and self-attention in one hierarchical network.

Paper: Manzari et al., "MedViT: A Robust Vision Transformer for Generalized Medical Image
Classification", Computers in Biology and Medicine 157, 2023 (arXiv 2302.09462). Original code:
github.com/Omid-Nejati/MedViT (MIT). Written anew; no code was taken over. The layout (stem, hybrid
stages, three quarters of a transformer block's channels for self-attention) is that of Next-ViT
(arXiv 2207.05501).

The paper's table and the released code disagree about the size (see `results/published`: about
11, 24 and 46 M parameters against 31, 44 and 58 M). Widths and depths here are the released ones:
stages of 3, 4, n and 3 blocks, n = 10, 20 and 30. With the classes of a MedMNIST set the parameters
are the code's to the printed digits, and so is the cost without the two products of self-attention,
which add 1 %. `study.sizes` shows all of them.

What differs from the released code:
    - Keys and values are averaged over s x s positions of the map, as the paper says. The code
      averages s^2 positions that follow each other in a row. Cost and parameters are equal.
    - A block adds LFFN(norm(z)) to z, the paper's sum. The code also adds norm(z) itself.
    - The patch momentum changer (mean and variance of features swapped between images, with mixed
      labels) is a way to train. It is left out, as every system is trained by one protocol.
Where the text is silent, as in the code: batch norm before attention and LFFN, h-swish and a
squeeze-and-excitation gate in LFFN, stochastic depth on attention alone.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import Conv2dNormActivation, StochasticDepth

HEAD_CHANNELS = 32
STEM_CHANNELS = (64, 32, 64, 64)
ATTENTION_SHARE = 0.75  # of a transformer block's channels; the rest is convolutional
ECB_EXPANSION, LTB_EXPANSION = 3, 2
# Repeats of the third stage's five blocks; drop path of the last block, which grows from 0.
VARIANTS = {"t": (2, 0.1), "s": (4, 0.2), "l": (6, 0.2)}


def _embed(in_channels: int, out_channels: int, *, halve: bool = False) -> nn.Module:
    """Return the patch embedding: average over 2 x 2, 1x1 convolution, norm; none if unneeded."""
    if not halve and in_channels == out_channels:
        return nn.Identity()
    layers: list[nn.Module] = [nn.Conv2d(in_channels, out_channels, 1, bias=False)]
    if halve:  # an odd border keeps its own mean
        layers.insert(0, nn.AvgPool2d(2, ceil_mode=True, count_include_pad=False))
    return nn.Sequential(*layers, nn.BatchNorm2d(out_channels))


class MultiHeadConvAttention(nn.Module):
    """MHCA: a 3x3 convolution in heads of 32 channels, norm, ReLU, and a 1x1 convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        heads = channels // HEAD_CHANNELS
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, groups=heads, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.project = nn.Conv2d(channels, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        return self.project(self.norm(self.conv(x)).relu())


class SqueezeExcite(nn.Module):
    """A gate for each channel from the map's mean, through `hidden` units."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, hidden, 1)
        self.expand = nn.Conv2d(hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        mean = x.mean(dim=(2, 3), keepdim=True)  # (B, C, 1, 1)
        return x * functional.hardsigmoid(self.expand(self.reduce(mean).relu()))


class LocalFeedForward(nn.Module):
    """LFFN: 1x1 convolution to `expansion` times the channels, depthwise 3x3, gate, 1x1 back.

    The gate's bottleneck has `expansion` units: the code divides the hidden channels by C.
    """

    def __init__(self, channels: int, expansion: int) -> None:
        super().__init__()
        hidden = channels * expansion
        self.expand = nn.Conv2d(channels, hidden, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(hidden)
        self.depthwise = nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden, bias=False)
        self.norm2 = nn.BatchNorm2d(hidden)
        self.gate = SqueezeExcite(hidden, expansion)
        self.reduce = nn.Conv2d(hidden, channels, 1, bias=False)
        self.norm3 = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        x = functional.hardswish(self.norm1(self.expand(x)))
        x = functional.hardswish(self.norm2(self.depthwise(x)))
        return self.norm3(self.reduce(self.gate(x)))


class EfficientSelfAttention(nn.Module):
    """E-MHSA: multi-head self-attention whose keys and values are averaged over s x s positions.

    `channels` is a multiple of 32, `reduction` is s.
    """

    def __init__(self, channels: int, *, reduction: int) -> None:
        super().__init__()
        self.heads = channels // HEAD_CHANNELS
        self.query = nn.Linear(channels, channels)
        self.key = nn.Linear(channels, channels)
        self.value = nn.Linear(channels, channels)
        self.project = nn.Linear(channels, channels)
        self.reduce = nn.Identity()
        if reduction > 1:
            pool = nn.AvgPool2d(reduction, ceil_mode=True, count_include_pad=False)
            self.reduce = nn.Sequential(pool, nn.BatchNorm2d(channels))

    def _split(self, tokens: Tensor) -> Tensor:
        """Split (B, N, C) into heads (B, heads, N, 32)."""
        return tokens.unflatten(2, (self.heads, HEAD_CHANNELS)).transpose(1, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        tokens = x.flatten(2).transpose(1, 2)  # (B, HW, C)
        context = self.reduce(x).flatten(2).transpose(1, 2)  # (B, HW / s^2, C)
        attended = functional.scaled_dot_product_attention(
            self._split(self.query(tokens)),
            self._split(self.key(context)),
            self._split(self.value(context)),
        )
        tokens = self.project(attended.transpose(1, 2).flatten(2))
        return tokens.transpose(1, 2).unflatten(2, x.shape[2:])


class EfficientConvBlock(nn.Module):
    """ECB: z + MHCA(z), then z + LFFN(norm(z)).

    `halve` has the patch embedding halve the map; `drop_path` is the share of the images whose
    attention path is left out in training.
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, halve: bool, drop_path: float
    ) -> None:
        super().__init__()
        self.embed = _embed(in_channels, out_channels, halve=halve)
        self.attention = MultiHeadConvAttention(out_channels)
        self.drop = StochasticDepth(drop_path, mode="row")
        self.norm = nn.BatchNorm2d(out_channels)
        self.feed_forward = LocalFeedForward(out_channels, ECB_EXPANSION)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C_in, H, W) to (B, C_out, H, W), or half of both sides."""
        x = self.embed(x)
        x = x + self.drop(self.attention(x))
        return x + self.feed_forward(self.norm(x))


class LocalTransformerBlock(nn.Module):
    """LTB: self-attention on 3/4 of the channels, MHCA on 1/4 made from them, both, then LFFN.

    `reduction` is s of `EfficientSelfAttention`, `halve` and `drop_path` are as in
    `EfficientConvBlock`; the share is split between the two paths like the channels.
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, halve: bool, reduction: int, drop_path: float
    ) -> None:
        super().__init__()
        wide = int(out_channels * ATTENTION_SHARE)
        narrow = out_channels - wide
        self.embed = _embed(in_channels, wide, halve=halve)
        self.norm1 = nn.BatchNorm2d(wide)
        self.self_attention = EfficientSelfAttention(wide, reduction=reduction)
        self.drop1 = StochasticDepth(drop_path * ATTENTION_SHARE, mode="row")
        self.project = _embed(wide, narrow)
        self.conv_attention = MultiHeadConvAttention(narrow)
        self.drop2 = StochasticDepth(drop_path * (1 - ATTENTION_SHARE), mode="row")
        self.norm2 = nn.BatchNorm2d(out_channels)
        self.feed_forward = LocalFeedForward(out_channels, LTB_EXPANSION)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C_in, H, W) to (B, C_out, H, W), or half of both sides."""
        x = self.embed(x)
        x = x + self.drop1(self.self_attention(self.norm1(x)))  # low frequencies
        local = self.project(x)
        local = local + self.drop2(self.conv_attention(local))  # high frequencies
        x = torch.cat([x, local], dim=1)
        return x + self.feed_forward(self.norm2(x))


def _stages(repeats: int) -> list[list[tuple[int, int | None]]]:
    """Return each stage's blocks: output channels, and of a transformer block its reduction s.

    The hybrid strategy: in the last three stages, transformer blocks end a stage, or each five
    blocks of the third one.
    """
    return [
        [(96, None)] * 3,
        [(192, None)] * 3 + [(256, 4)],
        ([(384, None)] * 4 + [(512, 2)]) * repeats,
        [(768, None)] * 2 + [(1024, 1)],
    ]


class MedViT(nn.Module):
    """Stem, four stages of convolution and transformer blocks, norm, pooling, linear classifier."""

    def __init__(self, variant: str, *, num_classes: int, in_channels: int) -> None:
        super().__init__()
        repeats, drop_path = VARIANTS[variant]
        stages = _stages(repeats)
        depth = sum(map(len, stages))
        drop_paths = iter(torch.linspace(0, drop_path, depth, device="cpu").tolist())
        channels = in_channels
        self.stem = nn.Sequential()
        for width, stride in zip(STEM_CHANNELS, (2, 1, 1, 2), strict=True):
            self.stem.append(Conv2dNormActivation(channels, width, 3, stride))
            channels = width
        self.features = nn.Sequential()
        for number, stage in enumerate(stages):
            self.features.append(nn.Sequential())
            for place, (width, reduction) in enumerate(stage):
                options = {"halve": number > 0 and place == 0, "drop_path": next(drop_paths)}
                if reduction is None:
                    block = EfficientConvBlock(channels, width, **options)
                else:
                    block = LocalTransformerBlock(channels, width, reduction=reduction, **options)
                self.features[-1].append(block)
                channels = width
        self.norm = nn.BatchNorm2d(channels)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(channels, num_classes)
        self.apply(_initialise)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (B, C_in, H, W) to logits (B, num_classes)."""
        return self.fc(self.pool(self.norm(self.features(self.stem(images)))).flatten(1))


def _initialise(module: nn.Module) -> None:
    """Draw weights from a normal with deviation .02, cut at 2, biases 0, as the code does."""
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def build_medvit(
    variant: str, *, num_classes: int, in_channels: int = 3, image_size: int = 224
) -> MedViT:
    """Build a MedViT, one of `VARIANTS`, from scratch.

    The network is fully convolutional up to its pooling and keeps its published stride of 32 at
    every `image_size`: an odd border is averaged over what is there, so 28 and 32 px end as one
    position, where self-attention of the last stage has a single token.
    """
    del image_size
    return MedViT(variant, num_classes=num_classes, in_channels=in_channels)
