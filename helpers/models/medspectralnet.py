"""MedSpectralNet (paper B, section 3.1), on any backbone of `helpers.models.backbones`.

Paper: Afrin et al., "MedSpectralNet: A lightweight convolutional neural network architecture for
multi-modal image classification", PLOS ONE 21(4): e0346128, 2026. Written from the text.
"""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor, nn

from helpers.models.backbones import build_trunk
from helpers.models.contextgate import ContextGate
from helpers.models.spectralflow import SpectralFlow


class Blocks(NamedTuple):
    """What stands between the backbone and the batch norm.

    `spectralflow` builds, from `channels`, what stands in the places of both SpectralFlows and
    keeps the shape (B, C, H, W), `contextgate` the same for the ContextGate. None leaves a place
    empty: a path beside f_b is not added, and what stands in line hands its input on.
    """

    spectralflow: Callable[..., nn.Module] | None
    contextgate: Callable[..., nn.Module] | None
    depthwise: bool = True  # a convolution between fusion and second SpectralFlow


class MedSpectralNet(nn.Module):
    """Backbone, SpectralFlow beside ContextGate, depthwise convolution, SpectralFlow, classifier.

    f_b = backbone(x); fused = f_b + SpectralFlow(f_b) + ContextGate(f_b); depthwise convolution;
    second SpectralFlow; batch norm; global average pooling; fully connected layer. The softmax of
    the text belongs to the loss and to `predict`, so the output is logits.

    The trunk maps (B, C_in, H, W) to the base feature map f_b (B, C, H', W'), C = `channels`, 512
    in the paper (ResNet-18). `blocks` are `SpectralFlow` and `ContextGate` if left out; for the
    ablation, see `helpers.models.medspectralnet_variants`.

    Open choices of the paper:
        - The depthwise convolution is named only in section 4.4.2, "after the ContextGate block,
          depthwise convolution, and residual fusion stages": it is put between fusion and the
          second SpectralFlow, 3 x 3, so that f_b itself stays in the sum as section 3.1 says. It
          may as well be no further layer: section 4.4.1 speaks of "the ContextGate block's
          depthwise convolution pathway", and in section 3.1 the "second SpectralFlow module further
          refines the fused map" at once. Then f_b, "preserved for residual connections" (section
          3.1), reaches the second SpectralFlow as it is: `medspectralnet_no_depthwise`.
        - ContextGate already adds its input (Eq. 3), so f_b enters the sum twice. Both sentences
          of the text are kept.
        - k = 3, the smaller of the two; new layers start from PyTorch's own initial weights, as the
          text gives none. The bias of the last convolution before batch norm has no effect.
        - Small images keep a map of at least 4 x 4 (see `output_stride`): H/32 of 28 px is one
          position, which has no patches.
        - The printed 8.5 M parameters cannot be met: ResNet-18 without classifier has 11.18 M.
          `medspectralnet` is what the text describes (13.0 M); `medspectralnet_light`, on
          MobileNetV2, stays below the number (2.5 M).
    """

    def __init__(
        self, *, trunk: nn.Module, channels: int, num_classes: int, blocks: Blocks | None = None
    ) -> None:
        super().__init__()
        flow, gate, depthwise = blocks or Blocks(SpectralFlow, ContextGate)
        # The order of construction is the order of the random draws: stored runs rest on it.
        self.backbone = trunk
        self.spectralflow1 = flow(channels=channels) if flow else None
        self.contextgate = gate(channels=channels) if gate else None
        self.depthwise = (
            nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
            if depthwise
            else nn.Identity()
        )
        self.spectralflow2 = flow(channels=channels) if flow else nn.Identity()
        self.norm = nn.BatchNorm2d(channels)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(channels, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (B, C_in, H, W) to logits (B, num_classes)."""
        base = self.backbone(images)  # f_b (B, C, H', W')
        return self.fc(self.pool(_refine(self, base)).flatten(1))


class Neck(nn.Module):
    """MedSpectralNet between backbone and pooling, as a module that shares its blocks."""

    def __init__(self, model: MedSpectralNet) -> None:
        super().__init__()
        for name in ("spectralflow1", "contextgate", "depthwise", "spectralflow2", "norm"):
            self.add_module(name, getattr(model, name))

    def forward(self, base: Tensor) -> Tensor:
        """Map f_b (B, C, H', W') to the refined map of the same shape."""
        return _refine(self, base)


def _refine(blocks: nn.Module, base: Tensor) -> Tensor:
    fused = base
    for path in (blocks.spectralflow1, blocks.contextgate):
        if path is not None:
            fused = fused + path(base)
    return blocks.norm(blocks.spectralflow2(blocks.depthwise(fused)))


def build_medspectralnet(
    *,
    backbone: str,
    num_classes: int,
    blocks: Blocks | None = None,
    last_block: bool = True,
    **options,
) -> MedSpectralNet:
    """Build MedSpectralNet on a trunk by `build_trunk`'s options.

    Without `last_block` a ResNet's last stage lacks its last block.
    """
    trunk, channels = build_trunk(backbone, **options)
    if not last_block:
        trunk.layer4 = trunk.layer4[:1]
    return MedSpectralNet(trunk=trunk, channels=channels, num_classes=num_classes, blocks=blocks)
