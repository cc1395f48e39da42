"""Time a training step of every head beside that of the backbone's last stage.

Usage: python -m benchmarks.heads [--steps 30] [--batch-size 16] [--save]

Forward and backward on one thread, float32, CPU time of each step, by turns: the heads on
pooled features (B, 512), ResNet-18's last stage on the map of a 128 px image, (B, 256, 8, 8), whose
gradient it passes on, as it does while the whole network learns. The quantum head also with
PennyLane's own simulation of its circuit.
"""

import sys
from collections.abc import Callable

import torch
from torch import Tensor, nn

from benchmarks.common import by_turns, cpu_seconds, main, ratio
from helpers.models.backbones import build_backbone
from helpers.models.circuit import QuantumCircuit, pennylane_circuit
from helpers.models.heads import HEADS, build_head
from study.tables.speed import Speed


class PennylaneCore(nn.Module):
    """The circuit of a quantum head, run by PennyLane."""

    def __init__(self, circuit: QuantumCircuit) -> None:
        super().__init__()
        self.weights = circuit.weights
        self.run = pennylane_circuit(num_qubits=circuit.num_qubits, num_layers=circuit.num_layers)

    def forward(self, angles: Tensor) -> Tensor:
        """Map angles (B, n) to expectations (B, n)."""
        return self.run(angles, self.weights).to(angles.dtype)


def step_timer(module: Callable[[Tensor], Tensor], x: Tensor) -> Callable[[], float]:
    """Return a function that takes the CPU time, ms, of forward and backward to the input."""

    def timed() -> float:
        once = x.detach().requires_grad_()
        return 1000 * cpu_seconds(lambda: module(once).square().mean().backward())

    for _ in range(3):
        timed()
    return timed


def measure(*, steps: int = 30, batch_size: int = 16) -> list[Speed]:
    """Time so many steps of the last stage and of all heads."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    layer4 = build_backbone("resnet18", num_classes=2).layer4
    features = torch.rand(batch_size, 512)
    heads = {name: build_head(name, in_features=512, num_classes=2) for name in HEADS}
    by_pennylane = build_head("quantum", in_features=512, num_classes=2)
    by_pennylane.core = PennylaneCore(by_pennylane.core)
    heads["quantum, PennyLane"] = by_pennylane

    stage = step_timer(layer4, torch.randn(batch_size, 256, 8, 8).relu())
    timers = {"stage": stage} | {name: step_timer(h, features) for name, h in heads.items()}
    times = by_turns(timers, rounds=steps)
    speeds = [Speed(name="resnet18's layer4: a step", unit="ms", values=times["stage"])]
    for name in heads:
        speeds += [
            Speed(name=f"{name} head: a step", unit="ms", values=times[name]),
            ratio(
                f"{name} head: a step, of layer4's time",
                times[name],
                times["stage"],
                headline=name in ("spiking", "quantum"),
            ),
        ]
    return speeds


if __name__ == "__main__":
    sys.exit(main(measure))
