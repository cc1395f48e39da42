"""Backbone, global average pooling and a head: the networks of paper A (section 2.2).

Paper: Xia & Wang, "A Lightweight Brain-Inspired Machine Learning Framework for Coronary
Angiography: Hybrid Neural Representation and Robust Learning Strategies", 2026 (arXiv 2601.15865).
Written from the text.

The method: image x in R^(H x W x C) (Eq. 1) to a lesion probability (Eq. 2); z = g(x; theta_cnn), a
pretrained ResNet-50 without its classifier (Eq. 3); y = sigmoid(w.z + b) (Eq. 4), of which only
{w, b} learn at first (Eq. 5).

The paper contradicts itself, and every reading is in the registry:

    - The method says ResNet-50 (23.5 M parameters) with a linear head: `linear_resnet50`. Table 4
      prints 11.4 M, which is ResNet-18 without classifier (11.18 M) and a head of 0.17 to 0.27 M.
    - The "spiking neural network integration" is named in the results alone. A spiking head of
      0.20 M on ResNet-18 fits the number: `brain_inspired_resnet18`. Whether the spikes matter is
      asked against the same layers with ReLU: `brain_inspired_mlp_resnet18`.
    - The rival "Quantum-Enhanced ResNet18", also 11.4 M, is not described: `quantum_resnet18`
      follows a sister paper (see `heads.QuantumHead`), its control is `quantum_mlp_resnet18`.
    - `linear_resnet18` is the method's head on the backbone of the results.
"""

from torch import Tensor, nn

from helpers.models.backbones import build_trunk
from helpers.models.heads import Head, build_head


class HeadedNet(nn.Module):
    """head(global average pool(trunk(x))): theta_cnn of Eq. 3, and {w, b} of Eq. 4 if linear.

    The trunk maps images (B, C_in, H, W) to (B, C, H', W'), the head features (B, C) to logits.
    """

    def __init__(self, *, trunk: nn.Module, head: Head) -> None:
        super().__init__()
        self.trunk = trunk
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = head

    def forward(self, images: Tensor) -> Tensor:
        """Map images (B, C_in, H, W) to logits (B, num_classes)."""
        features = self.pool(self.trunk(images)).flatten(1)  # z (B, C)
        return self.head(features)


def build_headed(*, backbone: str, head: str, num_classes: int, **options) -> HeadedNet:
    """Build a network of paper A: a head of `heads`, and a trunk by `build_trunk`'s options."""
    trunk, channels = build_trunk(backbone, **options)
    head = build_head(head, in_features=channels, num_classes=num_classes)
    return HeadedNet(trunk=trunk, head=head)
