"""Time a training step of every head beside that of the backbone's last stage.

Usage: python -m benchmarks.heads [--steps 30] [--batch-size 16]

Forward and backward on one thread, float32, CPU time, the least of several steps: the heads on
pooled features (B, 512), ResNet-18's last stage on the map of a 128 px image, (B, 256, 8, 8), whose
gradient it passes on, as it does while the whole network learns. The quantum head also with
PennyLane's own simulation of its circuit.
"""

import argparse
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from helpers.efficiency import count_parameters
from helpers.models.backbones import build_backbone
from helpers.models.circuit import QuantumCircuit, pennylane_circuit
from helpers.models.heads import HEADS, build_head


class PennylaneCore(nn.Module):
    """The circuit of a quantum head, run by PennyLane."""

    def __init__(self, circuit: QuantumCircuit) -> None:
        super().__init__()
        self.weights = circuit.weights
        self.run = pennylane_circuit(num_qubits=circuit.num_qubits, num_layers=circuit.num_layers)

    def forward(self, angles: Tensor) -> Tensor:
        """Map angles (B, n) to expectations (B, n)."""
        return self.run(angles, self.weights).to(angles.dtype)


def step_milliseconds(module: Callable[[Tensor], Tensor], x: Tensor, steps: int) -> float:
    """Return the least CPU time of forward and backward, with the input's gradient."""
    times = []
    for _ in range(steps + 3):
        x = x.detach().requires_grad_()
        start = time.process_time()
        module(x).square().mean().backward()
        times.append(time.process_time() - start)
    return min(times[3:]) * 1000


def main() -> None:
    """Print one line for each head."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--batch-size", type=int, default=16)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    batch, steps = options.batch_size, options.steps

    layer4 = build_backbone("resnet18", num_classes=2).layer4
    stage = step_milliseconds(layer4, torch.randn(batch, 256, 8, 8).relu(), steps)
    features = torch.rand(batch, 512)
    heads = {name: build_head(name, in_features=512, num_classes=2) for name in HEADS}
    by_pennylane = build_head("quantum", in_features=512, num_classes=2)
    by_pennylane.core = PennylaneCore(by_pennylane.core)
    heads["quantum, PennyLane"] = by_pennylane

    print(f"torch {torch.__version__}, one thread, batch of {batch}, forward and backward")
    print(f"{'':20}{'parameters':>12}{'ms':>9}{'of layer4':>11}")
    print(f"{'resnet18 layer4':20}{count_parameters(layer4):>12,}{stage:>9.2f}{1:>11.1%}")
    for name, head in heads.items():
        own = step_milliseconds(head, features, steps)
        print(f"{name:20}{count_parameters(head):>12,}{own:>9.2f}{own / stage:>11.1%}")


if __name__ == "__main__":
    main()
