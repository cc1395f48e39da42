"""The quantum circuit: PennyLane's own values and gradients, closed form, limits."""

import math
import sys

import pytest
import torch

from helpers.models.circuit import MEMORY_LIMIT, QuantumCircuit, pennylane_circuit

SIZES = [(1, 1), (2, 2), (3, 1), (4, 3), (5, 2)]
each_size = pytest.mark.parametrize(("num_qubits", "num_layers"), SIZES)


def make(num_qubits, num_layers, *, batch=3, dtype=torch.float64):
    torch.manual_seed(num_qubits)
    circuit = QuantumCircuit(num_qubits=num_qubits, num_layers=num_layers).to(dtype)
    angles = math.pi * (2 * torch.rand(batch, num_qubits, dtype=dtype) - 1)
    return circuit, angles.requires_grad_()


def gradients(values, *inputs):
    """Of a weighted sum, so that the qubits do not stand in for one another."""
    weights = torch.linspace(0.5, 1.5, values.numel(), dtype=values.dtype).view_as(values)
    return torch.autograd.grad((weights * values).sum(), inputs)


# --- values ---


@each_size
@pytest.mark.parametrize(("dtype", "atol"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
def test_values_and_gradients_are_pennylanes(num_qubits, num_layers, dtype, atol):
    circuit, angles = make(num_qubits, num_layers, dtype=dtype)
    reference = pennylane_circuit(num_qubits=num_qubits, num_layers=num_layers)
    ours, theirs = circuit(angles), reference(angles, circuit.weights).to(dtype)
    assert ours.dtype == dtype
    assert torch.allclose(ours, theirs, rtol=0, atol=atol)
    pairs = [gradients(values, angles, circuit.weights) for values in (ours, theirs)]
    for mine, other in zip(*pairs, strict=True):
        assert torch.allclose(mine, other, rtol=0, atol=atol)


def test_pennylane_leaves_the_default_precision_alone():
    pennylane_circuit(num_qubits=1, num_layers=1)(torch.zeros(1, 1), torch.zeros(1, 1, 2))
    assert torch.get_default_dtype() == torch.float32


def test_one_qubit_and_layer_in_closed_form():
    circuit, x = make(1, 1)
    phi, theta = circuit.weights[0, 0]
    expected = x.cos() * theta.cos() - x.sin() * theta.sin() * phi.cos()
    assert torch.allclose(circuit(x), expected)


def test_a_row_is_the_same_alone_and_in_a_batch():
    circuit, angles = make(4, 3, batch=5)
    together = circuit(angles)
    for i in range(5):
        assert torch.allclose(circuit(angles[i : i + 1])[0], together[i], rtol=0, atol=1e-14)


def test_values_stay_within_minus_one_and_one():
    circuit, angles = make(4, 3, batch=200)
    values = circuit(angles)
    assert values.abs().max() <= 1 + 1e-12
    assert values.std(dim=0).min() > 0.1  # and the inputs move them


# --- gradients ---


def test_gradients_are_finite_differences():
    circuit, angles = make(3, 2, batch=2)

    def run(angles, weights):
        return torch.func.functional_call(circuit, {"weights": weights}, (angles,))

    assert torch.autograd.gradcheck(run, (angles, circuit.weights))


def test_every_read_out_depends_on_every_input():
    circuit, angles = make(4, 2, batch=1)
    jacobian = torch.autograd.functional.jacobian(lambda x: circuit(x)[0], angles)[:, 0]
    assert jacobian.abs().min() > 1e-4


def test_without_the_ring_a_read_out_depends_on_its_own_input_alone():
    """What the ring does: the test above fails without it."""
    circuit, angles = make(4, 2, batch=1)
    circuit.ring = torch.arange(16)
    jacobian = torch.autograd.functional.jacobian(lambda x: circuit(x)[0], angles)[:, 0]
    own = torch.eye(4, dtype=torch.bool)
    assert jacobian[own].abs().min() > 1e-4
    assert jacobian[~own].abs().max() < 1e-12


# --- errors ---


@pytest.mark.parametrize("name", ["num_qubits", "num_layers"])
@pytest.mark.parametrize("value", [0, -1, 2.0])
def test_sizes_below_one(name, value):
    with pytest.raises(ValueError, match=f"{name} must be a positive integer, got {value}"):
        QuantumCircuit(**{"num_qubits": 2, "num_layers": 2, name: value})


def test_states_beyond_memory_are_refused_before_they_are_made():
    needed = (3 * 40 + 1) * 8 * 2**40
    with pytest.raises(ValueError) as caught:
        QuantumCircuit(num_qubits=40, num_layers=3)
    for part in ("num_qubits=40", f"{needed:,} bytes", f"{MEMORY_LIMIT:,}", "fewer qubits"):
        assert part in str(caught.value)


def test_the_batch_counts(monkeypatch):
    circuit, _ = make(4, 3, dtype=torch.float32)
    monkeypatch.setattr("helpers.models.circuit.MEMORY_LIMIT", 16 * 13 * 8 * 2**4)
    circuit(torch.zeros(16, 4))
    with pytest.raises(ValueError, match="batch of 17, the limit is 26,624"):
        circuit(torch.zeros(17, 4))


@pytest.mark.parametrize("shape", [(4,), (2, 3), (2, 4, 1)])
def test_angles_of_another_shape(shape):
    circuit, _ = make(4, 1, dtype=torch.float32)
    with pytest.raises(ValueError, match=r"angles must be \(B, 4\), got"):
        circuit(torch.zeros(shape))


def test_pennylane_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "pennylane", None)
    with pytest.raises(ImportError, match=r"pip install -r requirements\.txt"):
        pennylane_circuit(num_qubits=1, num_layers=1)
