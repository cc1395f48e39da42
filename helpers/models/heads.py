"""Classification heads on pooled features, and a control of equal size for each mechanism.

Paper A: Xia & Wang, "A Lightweight Brain-Inspired Machine Learning Framework for Coronary
Angiography", 2026. It writes a linear head (Eq. 4) and credits a "spiking neural network
integration" and a "quantum-enhanced" rival that it does not describe; see `brain_inspired.py`.

Parameters for 512 features and two classes, and with ResNet-18's 11,176,512:

    linear            513         11.18 M
    mlp               197,377     11.37 M  (two hidden layers of 256; the control of spiking)
    spiking           197,377     11.37 M
    quantum           198,945     11.38 M  (quantum_control 198,941)
"""

import math
from contextlib import nullcontext

import torch
from torch import Tensor, nn
from torch.nn import functional

from helpers.models.circuit import QuantumCircuit

_QUBITS = 4


class Head(nn.Module):
    """Map features (B, in_features) to logits (B, num_classes), in the precision of the weights.

    Two classes have one output unit s, as Eq. 4 of paper A has, and the logits (0, s): their
    softmax is (1 - sigmoid(s), sigmoid(s)). An outer autocast ends here: spikes and phases are
    compared and added in float32, features of half precision are widened.
    """

    def __init__(self, *, in_features: int, num_classes: int) -> None:
        super().__init__()
        if num_classes < 2:
            raise ValueError(f"num_classes must be at least 2, got {num_classes}.")
        self.in_features = in_features
        self.num_units = 1 if num_classes == 2 else num_classes

    def score(self, features: Tensor) -> Tensor:
        """Map features (B, in_features) to the output units (B, num_units)."""
        raise NotImplementedError

    def forward(self, features: Tensor) -> Tensor:
        """Map features (B, in_features) to logits (B, num_classes)."""
        if features.ndim != 2 or features.shape[1] != self.in_features:
            raise ValueError(
                f"features must be (B, {self.in_features}), got {tuple(features.shape)}; "
                "pool and flatten feature maps first."
            )
        device = features.device.type
        known = torch.amp.is_autocast_available(device)  # not on the meta device
        with torch.autocast(device, enabled=False) if known else nullcontext():
            units = self.score(features.to(next(self.parameters()).dtype))
        return functional.pad(units, (1, 0)) if self.num_units == 1 else units


class LinearHead(Head):
    """w.z + b, Eq. 4 of paper A; its weights are theta_0 (Eq. 16)."""

    def __init__(self, *, in_features: int, num_classes: int) -> None:
        super().__init__(in_features=in_features, num_classes=num_classes)
        self.fc = nn.Linear(in_features, self.num_units)

    def score(self, features: Tensor) -> Tensor:
        """Map features to the output units."""
        return self.fc(features)


class MlpHead(Head):
    """Linear layers in_features -> 256 -> 256 -> units with ReLU: the control of `SpikingHead`.

    256 neurons a layer give the paper's 11.4 M parameters on ResNet-18.
    """

    def __init__(self, *, in_features: int, num_classes: int) -> None:
        super().__init__(in_features=in_features, num_classes=num_classes)
        self.fc1 = nn.Linear(in_features, 256)
        self.fc2 = nn.Linear(256, 256)
        self.fc3 = nn.Linear(256, self.num_units)

    def score(self, features: Tensor) -> Tensor:
        """Map features to the output units."""
        return self.fc3(self.fc2(self.fc1(features).relu()).relu())


class SpikingHead(MlpHead):
    """Two layers of leaky integrate-and-fire neurons over `steps` steps, then a linear read-out.

    The features are a constant input current (direct coding). A neuron's membrane follows
    u[t] = beta u[t-1] + i[t] - threshold s[t-1] and fires, s[t] = 1, above the threshold; the
    gradient of the firing is snnTorch's arc tangent surrogate (Fang et al. 2021). Every call starts
    from rest. The neurons have no parameters.

    The paper names the mechanism and nothing else, so all of this is our choice:
        - beta 0.9 and threshold 1. With PyTorch's own initial weights both layers then fire on
          pooled ResNet features, without a normalisation layer that the control would need too:
          in about 15 % and 3 % of all steps on angiogram patches (ImageNet weights, mean feature
          0.5), more where features are larger. Training raises both; a Kaiming start, which
          fires in 27 % and 19 %, ended alike.
        - The output units are leaky integrators that never fire, and the score is their mean
          membrane. It weighs when a spike came, where the linear map of each neuron's mean spikes
          knows steps + 1 values a neuron. On fixed features both trained alike.
    """

    BETA = 0.9
    steps = 8  # T

    def __init__(self, *, in_features: int, num_classes: int) -> None:
        super().__init__(in_features=in_features, num_classes=num_classes)
        self.lif1, self.lif2 = _leaky(self.BETA), _leaky(self.BETA)

    def spikes(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return the spikes, 0 or 1, of both layers, each (steps, B, 256)."""
        current = self.fc1(features)
        first = _fire(self.lif1, current.expand(self.steps, *current.shape))
        return first, _fire(self.lif2, self.fc2(first))

    def score(self, features: Tensor) -> Tensor:
        """Map features to the output units."""
        _, spikes = self.spikes(features)
        currents = self.fc3(spikes)  # (steps, B, units)
        membrane = total = torch.zeros_like(currents[0])
        for current in currents:
            membrane = self.BETA * membrane + current
            total = total + membrane
        return total / self.steps


def _leaky(beta: float) -> nn.Module:
    """Return a layer of snnTorch's neurons, whose state is kept outside of it."""
    try:
        import snntorch
    except ImportError as error:
        raise ImportError("snnTorch is missing: pip install -r requirements.txt") from error
    with torch.device("cpu"):  # it reads its own buffers while it is built
        neuron = snntorch.Leaky(beta=beta, threshold=1.0, spike_grad=snntorch.surrogate.atan())
    neuron.instances.remove(neuron)  # snnTorch's list would keep every model alive
    return neuron


def _fire(neuron: nn.Module, currents: Tensor) -> Tensor:
    """Run neurons from rest on currents (steps, B, 256); return their spikes, same shape."""
    rest, membrane, spikes = neuron.mem, torch.zeros_like(currents[0]), []
    for current in currents:
        spike, membrane = neuron(current, membrane)
        spikes.append(spike)
    neuron.mem = rest  # or it would hold this call's graph
    # NaN is above no threshold: without the last term a diverged backbone would look finite.
    return torch.stack(spikes).to(currents.dtype) + 0 * currents


class QuantumHead(Head):
    """Angles for a re-uploading circuit, its <Z> read out beside a residual path.

    h = ReLU(W z); angles pi tanh(W_a h); circuit of `circuit.py`; logits W_q <Z> + W_r h + b.
    Paper A does not describe its "Quantum-Enhanced ResNet18". The parts are those that the same
    authors name in a sister paper (LQER, arXiv 2601.18814): pretrained ResNet-18, parametrised
    circuit, data re-uploading, residual fusion. Sizes are ours: 384 hidden units for the printed
    11.4 M, four qubits and three layers for speed.
    """

    def __init__(self, *, in_features: int, num_classes: int) -> None:
        super().__init__(in_features=in_features, num_classes=num_classes)
        self.fc1 = nn.Linear(in_features, 384)
        self.to_angles = nn.Linear(384, _QUBITS)
        self.read_core = nn.Linear(_QUBITS, self.num_units)
        self.residual = nn.Linear(384, self.num_units, bias=False)
        self.core = self._make_core()  # last, so that equal seeds give the control equal layers

    def _make_core(self) -> nn.Module:
        return QuantumCircuit(num_qubits=_QUBITS, num_layers=3)

    def score(self, features: Tensor) -> Tensor:
        """Map features to the output units."""
        hidden = self.fc1(features).relu()
        angles = math.pi * self.to_angles(hidden).tanh()
        return self.read_core(self.core(angles)) + self.residual(hidden)


class QuantumControl(QuantumHead):
    """`QuantumHead` with tanh(W x + b), n -> n, in place of the circuit: 20 parameters, not 24."""

    def _make_core(self) -> nn.Module:
        return nn.Sequential(nn.Linear(_QUBITS, _QUBITS), nn.Tanh())


_HEADS: dict[str, type[Head]] = {
    "linear": LinearHead,
    "spiking": SpikingHead,
    "mlp": MlpHead,
    "quantum": QuantumHead,
    "quantum_control": QuantumControl,
}
HEADS = tuple(_HEADS)


def build_head(name: str, *, in_features: int, num_classes: int) -> Head:
    """Build one of `HEADS`; it maps features (B, in_features) float32 to logits (B, num_classes).

    Raises:
        ValueError: unknown name, or fewer than two classes.
        ImportError: the library of the head is not installed.
    """
    if name not in _HEADS:
        raise ValueError(f"unknown head {name!r}; known: {', '.join(HEADS)}.")
    return _HEADS[name](in_features=in_features, num_classes=num_classes)
