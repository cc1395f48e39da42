"""Heads: Eq. 4, spikes, controls of equal size, gradients, precision, state."""

import copy
import runpy
import sys

import pytest
import torch
from torch import nn
from torch.nn import functional

from helpers.models import circuit, heads
from helpers.models.brain_inspired import HeadedNet
from helpers.models.counting import count_parameters
from helpers.models.heads import HEADS, build_head
from helpers.models.registry import build_model
from study.published import lookup

CONTROLS = {"spiking": "mlp", "quantum": "quantum_control"}
each_head = pytest.mark.parametrize("name", HEADS)


def make(name, *, num_classes=2, in_features=512, seed=0):
    torch.manual_seed(seed)
    return build_head(name, in_features=in_features, num_classes=num_classes)


def features(batch=16, width=512, *, mean=0.5, seed=1):
    """Non-negative and skewed, as pooled maps behind a ReLU are."""
    generator = torch.Generator().manual_seed(seed)
    return torch.empty(batch, width).exponential_(1 / mean, generator=generator)


# --- logits ---


@each_head
@pytest.mark.parametrize("num_classes", [2, 5])
def test_logits_have_the_shape_of_batch_and_classes(name, num_classes):
    head = make(name, num_classes=num_classes)
    for batch in (0, 1, 3):
        logits = head(features(batch))
        assert logits.shape == (batch, num_classes)
        assert logits.dtype == torch.float32
        assert torch.isfinite(logits).all()


@each_head
def test_two_classes_share_one_unit(name):
    head = make(name).double()
    z = features().double()
    s = head.score(z)[:, 0]
    expected = torch.stack([1 - s.sigmoid(), s.sigmoid()], dim=1)
    assert torch.allclose(head(z).softmax(dim=1), expected, rtol=0, atol=1e-14)


def test_linear_is_equation_4():
    head = make("linear")
    w, b = head.parameters()
    z = features()
    assert w.shape == (1, 512) and b.shape == (1,)
    assert torch.allclose(head(z).softmax(dim=1)[:, 1], torch.sigmoid(z @ w[0] + b))


@each_head
def test_a_row_is_the_same_alone_and_in_a_batch(name):
    head, z = make(name, num_classes=5).double(), features(4).double()
    for i in range(4):
        assert torch.allclose(head(z[i : i + 1])[0], head(z)[i], rtol=0, atol=1e-12)


# --- sizes ---


def test_parameters():
    sizes = {name: count_parameters(make(name)) for name in HEADS}
    assert sizes == {
        "linear": 513,  # theta_0 = {w, b}
        "spiking": 197_377,
        "mlp": 197_377,
        "quantum": 198_945,
        "quantum_control": 198_941,
    }


@pytest.mark.parametrize(("name", "control"), CONTROLS.items())
@pytest.mark.parametrize("num_classes", [2, 5])
@pytest.mark.parametrize("in_features", [512, 2048])
def test_a_control_is_within_one_percent(name, control, num_classes, in_features):
    size, other = (
        count_parameters(make(head, num_classes=num_classes, in_features=in_features))
        for head in (name, control)
    )
    assert abs(size - other) / size < 0.01


@pytest.mark.parametrize(
    ("model", "row"),
    [
        ("resnet18", "ResNet18 (baseline)"),
        ("resnet34", "ResNet34"),
        ("quantum_resnet18", "Quantum-Enhanced ResNet18"),
        ("brain_inspired_resnet18", "Brain-Inspired Hybrid (Ours)"),
    ],
)
def test_models_have_the_size_of_table_4(model, row):
    with torch.device("meta"):
        size = count_parameters(build_model(model, num_classes=2, pretrained="none"))
    printed = lookup(paper="A", table="Table 4", row=row, column="params").printed
    assert f"{size / 1e6:.1f}" == printed


@pytest.mark.parametrize(("name", "control"), CONTROLS.items())
def test_equal_seeds_give_head_and_control_equal_layers(name, control):
    head, other = make(name), make(control)
    layers = dict(other.named_parameters())
    shared = [key for key, _ in head.named_parameters() if not key.startswith("core.")]
    assert {key.split(".")[0] for key in shared} >= {"fc1"}
    assert all(torch.equal(head.get_parameter(key), layers[key]) for key in shared)


# --- learning ---


@each_head
@pytest.mark.parametrize("num_classes", [2, 5])
def test_every_parameter_and_the_trunk_get_a_gradient(name, num_classes):
    head, z = make(name, num_classes=num_classes), features().requires_grad_()
    functional.cross_entropy(head(z), torch.arange(16) % num_classes).backward()
    for key, parameter in head.named_parameters():
        assert torch.isfinite(parameter.grad).all(), key
        assert parameter.grad.abs().max() > 1e-6, key
    assert torch.isfinite(z.grad).all()
    assert (z.grad != 0).any(dim=1).all()


@each_head
@pytest.mark.parametrize("num_classes", [2, 5])
def test_one_batch_overfits(name, num_classes):
    head, z, y = make(name, num_classes=num_classes), features(), torch.arange(16) % num_classes
    optimizer = torch.optim.AdamW(head.parameters(), lr=1e-2 if name == "linear" else 1e-3)
    losses = []
    for _ in range(60):
        loss = functional.cross_entropy(head(z), y)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[0] > 0.5
    assert losses[-1] < 0.05


# --- spikes ---


@pytest.mark.parametrize("mean", [0.5, 0.9])
def test_neurons_fire_at_first_but_not_always(mean):
    for spikes in make("spiking").spikes(features(64, mean=mean)):
        assert set(spikes.unique().tolist()) == {0.0, 1.0}
        assert 0.005 < spikes.mean() < 0.9
        assert (spikes.mean(dim=0) > 0).any(dim=0).float().mean() > 0.1  # neurons, not a few


def plain_spikes(current, *, steps, beta=0.9, threshold=1.0):
    """Leaky integrate-and-fire written out: `current` a function of the step."""
    u = s = torch.zeros(())
    train = []
    for t in range(steps):
        u = beta * u + current(t) - threshold * s
        s = (u > threshold).to(u.dtype)
        train.append(s)
    return torch.stack(train)


@pytest.mark.parametrize("steps", [1, 3, 8])
def test_spiking_is_what_the_text_describes(steps):
    head = make("spiking", num_classes=5).double()
    head.steps = steps
    z = 2 * features(7).double()
    with torch.no_grad():
        current = head.fc1(z)
        first = plain_spikes(lambda t: current, steps=steps)
        second = plain_spikes(lambda t: head.fc2(first[t]), steps=steps)
        assert all(torch.equal(a, b) for a, b in zip(head.spikes(z), (first, second), strict=True))
        # The spikes of step t stay in the membrane, decaying, until the end.
        stay = [sum(0.9**k for k in range(steps - t)) / steps for t in range(steps)]
        expected = sum(w * head.fc3(s) for w, s in zip(stay, second, strict=True))
        assert torch.allclose(head(z), expected)
    assert second.sum() > 0 or steps == 1


def test_the_first_layer_runs_once():
    head, calls = make("spiking"), []
    head.fc1.register_forward_hook(lambda *_: calls.append(1))
    head(features())
    assert calls == [1]


def test_the_control_is_the_same_layers_with_relu():
    head, z = make("mlp"), features()
    layers = nn.Sequential(head.fc1, nn.ReLU(), head.fc2, nn.ReLU(), head.fc3)
    assert torch.allclose(head(z)[:, 1:], layers(z))


def test_nothing_is_remembered_between_calls():
    head, z = make("spiking"), features()
    before = head(z)
    head(100 * features(5, seed=2))
    assert torch.equal(head(z), before)


def test_snntorch_does_not_keep_models_alive():
    import snntorch

    make("spiking")
    before = len(snntorch.Leaky.instances)
    make("spiking")
    assert len(snntorch.Leaky.instances) == before


@each_head
def test_a_diverged_backbone_shows(name):
    z = features()
    z[3, 7] = torch.nan
    finite = torch.isfinite(make(name)(z)).all(dim=1)
    assert not finite[3]
    assert finite.sum() == 15


# --- quantum ---


@pytest.mark.parametrize("name", ["quantum", "quantum_control"])
def test_both_paths_reach_the_logits(name):
    head, z = make(name, num_classes=5), features()
    with torch.no_grad():
        hidden = head.fc1(z).relu()
        angles = torch.pi * torch.tanh(head.to_angles(hidden))
        expected = head.read_core(head.core(angles)) + hidden @ head.residual.weight.T
        assert torch.allclose(head(z), expected, atol=1e-6)
        for path in ("read_core", "residual"):
            silenced = copy.deepcopy(head)
            silenced.get_parameter(f"{path}.weight").zero_()
            assert not torch.allclose(silenced(z), expected, atol=1e-3)


# --- precision and state ---


@each_head
def test_an_outer_autocast_ends_at_the_head(name):
    head, z = make(name), features().bfloat16()
    expected = head(z.float())
    with torch.autocast("cpu", torch.bfloat16):
        logits = head(z)
        assert (z @ z.T).dtype == torch.bfloat16  # it is on
    assert logits.dtype == torch.float32
    assert torch.equal(logits, expected)


@each_head
def test_copies_and_saved_states_compute_the_same(name, tmp_path):
    head, z = make(name), features()
    logits = head(z)
    logits.sum().backward()
    with torch.inference_mode():
        head(z)
    torch.save(head.state_dict(), tmp_path / "head.pt")
    other = make(name, seed=7)
    assert not torch.equal(other(z), logits)
    other.load_state_dict(torch.load(tmp_path / "head.pt", weights_only=True))
    for same in (other, copy.deepcopy(head)):
        assert torch.equal(same(z), logits)
        same(z).sum().backward()


@each_head
def test_equal_seeds_give_equal_gradients(name):
    runs = []
    for _ in range(2):
        head = make(name)
        functional.cross_entropy(head(features()), torch.arange(16) % 2).backward()
        runs.append([p.grad for p in head.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*runs, strict=True))


@each_head
def test_meta_device(name):
    with torch.device("meta"):
        head = make(name, num_classes=5)
        assert head(torch.empty(3, 512)).shape == (3, 5)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@each_head
def test_gpu(name):
    head, z = make(name, num_classes=5), features()
    expected = head.double()(z.double())
    with torch.autocast("cuda", torch.bfloat16):
        logits = head.cuda()(z.double().cuda())
    assert torch.allclose(logits.cpu(), expected, atol=1e-8)
    assert copy.deepcopy(head)(z.cuda()).device.type == "cuda"


# --- network ---


def test_headed_net_pools_between_trunk_and_head():
    head = make("linear", in_features=6)
    net = HeadedNet(trunk=nn.Conv2d(3, 6, 3), head=head)
    images = torch.randn(2, 3, 9, 7)
    assert torch.allclose(net(images), head(net.trunk(images).mean(dim=(2, 3))), atol=1e-6)
    assert {key.split(".")[0] for key in net.state_dict()} == {"trunk", "head"}


def test_importing_and_the_quantum_head_need_neither_library(monkeypatch):
    """PennyLane takes seconds to import and serves as the circuit's definition alone."""
    for library in ("pennylane", "snntorch"):
        monkeypatch.setitem(sys.modules, library, None)  # importing it fails
    for module in (circuit, heads):
        runpy.run_path(module.__file__)
    assert make("quantum")(features()).shape == (16, 2)


# --- errors ---


def test_unknown_head():
    with pytest.raises(ValueError) as caught:
        make("spikes")
    assert "unknown head 'spikes'" in str(caught.value)
    assert all(name in str(caught.value) for name in HEADS)


@each_head
@pytest.mark.parametrize("shape", [(512,), (2, 511), (2, 512, 1, 1)])
def test_features_of_another_shape(name, shape):
    with pytest.raises(ValueError, match=r"features must be \(B, 512\), got \(.*; pool and flat"):
        make(name)(torch.zeros(shape))


def test_one_class():
    with pytest.raises(ValueError, match="num_classes must be at least 2, got 1"):
        make("linear", num_classes=1)


def test_snntorch_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "snntorch", None)
    with pytest.raises(ImportError, match=r"pip install -r requirements\.txt"):
        make("spiking")
