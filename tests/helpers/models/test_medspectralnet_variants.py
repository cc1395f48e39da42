"""MedSpectralNet's ablation variants, and that the network itself is as it was."""

import pytest
import torch
from torch import nn

from helpers.models.contextgate import ContextGate
from helpers.models.counting import count_parameters
from helpers.models.medspectralnet import MedSpectralNet
from helpers.models.medspectralnet_variants import (
    READINGS,
    VARIANTS,
    PlainBlock,
    plain_contextgate,
    plain_spectralflow,
)
from helpers.models.parts import split_model
from helpers.models.spectralflow import DynamicLowPass, SpectralFlow

each_variant = pytest.mark.parametrize("name", VARIANTS)


def variant(name, *, channels=12, num_classes=2, trunk=None):
    """One of the variants, or "medspectralnet" itself, on a trunk of one layer."""
    torch.manual_seed(0)
    trunk = trunk or nn.Sequential(nn.Conv2d(3, channels, 3, stride=8, padding=1), nn.ReLU())
    sizes = {"channels": channels, "num_classes": num_classes}
    return MedSpectralNet(trunk=trunk, **sizes, blocks=VARIANTS.get(name))


# --- medspectralnet itself stays what stored runs and weights were made with ---


def spectralflow_layers(prefix, channels, hidden):
    reduce, restore = (channels, hidden, 1), (hidden, channels, 1)
    return {
        f"{prefix}.reduce": reduce,
        f"{prefix}.low_pass.to_filter": (channels, 9, 1),
        f"{prefix}.project": restore,
        f"{prefix}.attend_low.1": reduce,
        f"{prefix}.attend_low.3": restore,
        f"{prefix}.attend_high.1": reduce,
        f"{prefix}.attend_high.3": restore,
        f"{prefix}.fuse": (channels, channels, 1),
    }


def test_names_and_initial_weights_are_those_of_stored_runs():
    """Layer by layer in the order of the random draws, from torch's own layers."""
    layers = {
        "backbone.0": (3, 12, 3),
        **spectralflow_layers("spectralflow1", 12, 3),
        "contextgate.depthwise": (12, 12, 3, 1, 1, 1, 12),
        "contextgate.to_spatial": (12, 4, 1),
        **spectralflow_layers("contextgate.refine", 4, 1),
        "contextgate.to_gate": (12, 4, 1),
        "contextgate.to_identity": (12, 4, 1),
        "contextgate.project": (8, 12, 1),
        "depthwise": (12, 12, 3, 1, 1, 1, 12),
        **spectralflow_layers("spectralflow2", 12, 3),
    }
    torch.manual_seed(0)
    expected = {name: nn.Conv2d(*arguments) for name, arguments in layers.items()}
    expected |= {"norm": nn.BatchNorm2d(12), "fc": nn.Linear(12, 5)}
    expected = {f"{n}.{k}": v for n, m in expected.items() for k, v in m.state_dict().items()}

    torch.manual_seed(0)
    trunk = nn.Sequential(nn.Conv2d(3, 12, 3))
    found = MedSpectralNet(trunk=trunk, channels=12, num_classes=5).state_dict()
    assert list(found) == list(expected)
    assert all(torch.equal(found[key], expected[key]) for key in expected)


# --- what each variant is ---


def kinds(model, kind):
    return [name for name, module in model.named_modules() if isinstance(module, kind)]


@pytest.mark.parametrize(
    ("name", "flows", "gates"),
    [
        ("medspectralnet_no_spectralflow", [], ["contextgate"]),
        ("medspectralnet_no_contextgate", ["spectralflow1", "spectralflow2"], []),
        ("medspectralnet_no_both", [], []),
        ("medspectralnet_plain", [], []),
        *(
            (name, ["spectralflow1", "contextgate.refine", "spectralflow2"], ["contextgate"])
            for name in ("medspectralnet_k5", *READINGS)
        ),
    ],
)
def test_only_the_named_parts_are_gone(name, flows, gates):
    model = variant(name)
    assert kinds(model, SpectralFlow) == flows
    assert kinds(model, ContextGate) == gates
    plain = ["spectralflow1", "contextgate.block", "spectralflow2"]
    assert kinds(model, PlainBlock) == (plain if name == "medspectralnet_plain" else [])
    sides = {m.kernel_size for m in model.modules() if isinstance(m, DynamicLowPass)}
    assert sides == ({5} if name == "medspectralnet_k5" else {3} if flows else set())


@pytest.mark.parametrize(
    ("name", "fuse"),
    [
        ("medspectralnet", lambda m, base: base + m.spectralflow1(base) + m.contextgate(base)),
        ("medspectralnet_no_spectralflow", lambda m, base: base + m.contextgate(base)),
        ("medspectralnet_no_contextgate", lambda m, base: base + m.spectralflow1(base)),
        ("medspectralnet_no_both", lambda m, base: base),
        (
            "medspectralnet_plain",
            lambda m, base: base + m.spectralflow1(base) + base + m.contextgate.block(base),
        ),
    ],
)
def test_what_is_left_is_the_sum_that_the_text_states(name, fuse):
    model = variant(name).eval()
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        base = model.backbone(images)
        mixed = model.depthwise(fuse(model, base))
        if name not in ("medspectralnet_no_spectralflow", "medspectralnet_no_both"):
            mixed = model.spectralflow2(mixed)
        expected = model.fc(model.norm(mixed).mean(dim=(2, 3)))
        assert torch.allclose(model(images), expected, atol=1e-5)


def test_a_gate_without_spectralflow_takes_c_as_it_is():
    gate = variant("medspectralnet_no_spectralflow").contextgate
    x = torch.randn(2, 12, 5, 5)
    with torch.no_grad():
        local = gate.depthwise(x)
        open_by = nn.functional.gelu(gate.to_gate(local))
        paths = [gate.to_spatial(local) * open_by, gate.to_identity(local) * open_by]
        assert torch.allclose(gate(x), x + gate.project(torch.cat(paths, dim=1)), atol=1e-6)


# --- the other readings ---


def test_readings_by_their_names():
    found = {}
    for name in READINGS:
        model = variant(name)
        found[name] = (model.contextgate.gate_from_input, isinstance(model.depthwise, nn.Conv2d))
    assert found == {
        "medspectralnet_gate_from_input": (True, True),
        "medspectralnet_no_depthwise": (False, False),
        "medspectralnet_both_readings": (True, False),
    }


@pytest.mark.parametrize("name", READINGS)
def test_a_reading_differs_from_the_network_by_the_further_layer_alone(name):
    reading = {key: value.shape for key, value in variant(name).state_dict().items()}
    full = variant("medspectralnet").state_dict()
    gone = [key for key in full if key not in reading]
    further = ["depthwise.weight", "depthwise.bias"]
    assert gone == ([] if name == "medspectralnet_gate_from_input" else further)
    assert reading == {key: value.shape for key, value in full.items() if key not in gone}


@pytest.mark.parametrize("name", ["medspectralnet", *READINGS])
def test_f_b_has_a_clean_path_unless_a_further_layer_stands_in_it(name):
    """Both paths silent, second SpectralFlow an identity: f_b alone reaches the batch norm, twice.

    Once by the sum of section 3.1, once by Eq. (3).
    """
    base = torch.randn(3, 12, 4, 4, dtype=torch.float64, requires_grad=True)
    model = variant(name, trunk=nn.Identity()).double().eval()
    with torch.no_grad():
        flow = model.spectralflow2
        silent = [model.spectralflow1.fuse, model.contextgate.project]
        equal_shares = [flow.attend_low[-1], flow.attend_high[-1]]  # of the streams,
        for layer in silent + equal_shares:
            layer.weight.zero_()
            layer.bias.zero_()
        flow.fuse.weight.copy_(2 * torch.eye(12)[..., None, None])  # which add up to the map
        flow.fuse.bias.zero_()
    logits = model(base)
    clean = model.fc(model.norm(2 * base).mean(dim=(2, 3)))
    gradients = [torch.autograd.grad(out.sum(), base)[0] for out in (logits, clean)]
    is_clean = name in ("medspectralnet_no_depthwise", "medspectralnet_both_readings")
    assert torch.allclose(logits, clean) == is_clean
    assert torch.allclose(*gradients) == is_clean


# --- shapes and gradients ---


@pytest.mark.parametrize("side", [1, 4, 5, 7])
def test_patches_of_5_on_small_maps(side):
    """28 and 64 px end as 4 x 4, less than a patch; 224 px as 7 x 7, no multiple of 5."""
    model = variant("medspectralnet_k5", trunk=nn.Identity()).double().eval()
    base = torch.randn(2, 12, side, side, dtype=torch.float64)
    with torch.no_grad():
        together, alone = model(base), model(base[:1])
        low, high = model.spectralflow1.split(base)
    assert torch.isfinite(together).all()
    assert torch.allclose(together[:1], alone)
    assert low.shape == base.shape
    assert torch.allclose(low + high, base)


@each_variant
def test_every_parameter_gets_a_gradient(name):
    """But for the bias before the batch norm, which takes a constant away."""
    model = variant(name, channels=96, num_classes=3).train().double()
    logits = model(torch.randn(6, 3, 32, 32, dtype=torch.float64))
    nn.functional.cross_entropy(logits, torch.tensor([0, 1, 2, 0, 1, 2])).backward()
    largest = {key: p.grad.abs().max().item() for key, p in model.named_parameters()}
    last = {
        "medspectralnet_no_spectralflow": "depthwise.bias",
        "medspectralnet_no_both": "depthwise.bias",
        "medspectralnet_plain": "spectralflow2.4.bias",
    }
    silent = last.get(name, "spectralflow2.fuse.bias")
    assert {key for key, value in largest.items() if not value > 1e-12} == {silent}


@each_variant
def test_variants_can_be_cut_for_staged_plasticity(name):
    trunk = nn.Sequential()
    trunk.add_module("layer3", nn.Conv2d(3, 12, 3, stride=8, padding=1))
    trunk.add_module("layer4", nn.ReLU())
    model = variant(name, trunk=trunk).eval()
    parts = split_model(model)
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(parts.head(parts.high(parts.low(images))), model(images))


# --- equal parameters ---


@pytest.mark.parametrize("channels", [320, 512, 2048])
@pytest.mark.parametrize(
    ("plain", "replaced"), [(plain_spectralflow, SpectralFlow), (plain_contextgate, ContextGate)]
)
def test_plain_blocks_have_the_parameters_of_what_they_replace(plain, replaced, channels):
    with torch.device("meta"):
        sizes = [count_parameters(block(channels=channels)) for block in (plain, replaced)]
    assert sizes[0] == pytest.approx(sizes[1], rel=0.005)


def test_plain_network_has_the_parameters_of_the_full_one():
    with torch.device("meta"):
        plain = variant("medspectralnet_plain", channels=512)
        full = variant("medspectralnet", channels=512)
    sizes = [count_parameters(model) for model in (plain, full)]
    assert sizes[0] == pytest.approx(sizes[1], rel=0.005)
    assert sizes[0] != sizes[1]  # or it would be the same network


def test_counting_parameters_draws_no_random_numbers():
    parameters = count_parameters(SpectralFlow(channels=32))
    torch.manual_seed(0)
    first = plain_spectralflow(channels=32)
    torch.manual_seed(0)
    second = PlainBlock(channels=32, parameters=parameters)
    assert torch.equal(first[0].weight, second[0].weight)


@pytest.mark.parametrize("parameters", [46, 0])
def test_too_few_parameters_for_a_plain_block(parameters):
    assert count_parameters(PlainBlock(channels=12, parameters=47)) == 47
    with pytest.raises(ValueError, match=f"at least 47 for 12 channels, got {parameters}"):
        PlainBlock(channels=12, parameters=parameters)
