"""SpectralFlow, ContextGate and the self-attention they are compared with."""

import math

import pytest
import torch
from torch.func import functional_call
from torch.nn import functional

from helpers.models.contextgate import ContextGate
from helpers.models.counting import count_parameters
from helpers.models.self_attention import SelfAttention
from helpers.models.spectralflow import DynamicLowPass, SpectralFlow, pad_to_multiple

SIZES = [(6, 6), (7, 7), (4, 9), (11, 5), (1, 2)]
each_size = pytest.mark.parametrize("size", SIZES, ids=lambda size: "x".join(map(str, size)))
each_k = pytest.mark.parametrize("k", [2, 3, 5])


def silence(*layers):
    for layer in layers:
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.zeros_(layer.bias)


def slow_low_pass(reduced, weights, k):
    """Pixel by pixel: the weighted mean of its patch; beyond the border the border's value."""
    height, width = reduced.shape[-2:]
    top, left = (-height % k) // 2, (-width % k) // 2
    low = torch.zeros_like(reduced)
    for b, image in enumerate(reduced):
        for y in range(height):
            for x in range(width):
                y0, x0 = (y + top) // k * k - top, (x + left) // k * k - left
                for i in range(k):
                    for j in range(k):
                        inside_y = min(max(y0 + i, 0), height - 1)
                        inside_x = min(max(x0 + j, 0), width - 1)
                        low[b, :, y, x] += weights[b, i * k + j] * image[:, inside_y, inside_x]
    return low


def check_gradients(module, x):
    """Compare all gradients, of the input and of every parameter, with finite differences."""
    names, parameters = zip(*module.named_parameters(), strict=True)

    def call(x, *values):
        return functional_call(module, dict(zip(names, values, strict=True)), (x,))

    return torch.autograd.gradcheck(call, (x.requires_grad_(), *parameters))


# --- the dynamic low-pass ---


@each_k
@each_size
def test_low_pass_equals_a_loop_over_pixels(size, k):
    low_pass = DynamicLowPass(in_channels=4, kernel_size=k)
    x, reduced = torch.randn(2, 4, *size), torch.randn(2, 3, *size)
    weights = low_pass.weights(x)
    assert not torch.allclose(weights[0], weights[1])  # each image has its own filter
    assert torch.allclose(low_pass(x, reduced), slow_low_pass(reduced, weights, k), atol=1e-6)


def test_filter_is_a_weighted_mean():
    low_pass = DynamicLowPass(in_channels=4, kernel_size=3)
    weights = low_pass.weights(100 * torch.randn(5, 4, 7, 7))
    assert weights.shape == (5, 9)
    assert (weights >= 0).all()
    assert torch.allclose(weights.sum(dim=1), torch.ones(5))


@each_k
@each_size
def test_constant_map_passes_unchanged_also_at_the_border(size, k):
    low_pass = DynamicLowPass(in_channels=4, kernel_size=k)
    reduced = torch.randn(2, 3, 1, 1).expand(2, 3, *size)
    assert torch.allclose(low_pass(torch.randn(2, 4, *size), reduced), reduced, atol=1e-6)


def test_uniform_filter_removes_the_highest_frequency():
    low_pass = DynamicLowPass(in_channels=1, kernel_size=2)
    silence(low_pass.to_filter)  # equal weights, by softmax
    ramp = torch.arange(8.0).reshape(1, 1, 1, 8).expand(1, 1, 8, 8)
    checkerboard = (-1.0) ** (torch.arange(8)[:, None] + torch.arange(8)).reshape(1, 1, 8, 8)
    assert torch.allclose(low_pass(ramp, checkerboard), torch.zeros(1, 1, 8, 8), atol=1e-6)
    assert (low_pass(ramp, ramp) - ramp).abs().max() <= 0.5 + 1e-6  # half a patch of the ramp


@each_k
@each_size
def test_padding_repeats_the_border(size, k):
    x = torch.randn(1, 2, *size)
    padded, (top, left) = pad_to_multiple(x, k)
    assert padded.shape[-2] % k == padded.shape[-1] % k == 0
    assert padded.shape[-2] - size[0] < k
    assert padded.shape[-1] - size[1] < k
    assert torch.equal(padded[..., top : top + size[0], left : left + size[1]], x)
    assert set(padded.unique().tolist()) == set(x.unique().tolist())


# --- SpectralFlow ---


@each_size
def test_low_and_high_add_up_to_the_input(size):
    module = SpectralFlow(channels=8)
    x = torch.randn(2, 8, *size)
    low, high = module.split(x)
    assert low.shape == high.shape == x.shape
    assert torch.allclose(low + high, x, atol=1e-6)  # Eq. (1)
    assert low.abs().max() > 0.01


def test_streams_weighed_alike_restore_the_input():
    """Equal scores make a_l = a_h = 1/2, so the fusion sees half of low + high = x."""
    module = SpectralFlow(channels=8)
    silence(module.attend_low[-1], module.attend_high[-1])
    x = torch.randn(2, 8, 7, 7)
    assert torch.allclose(module(x), module.fuse(x / 2), atol=1e-6)


@pytest.mark.parametrize("stream", ["low", "high"])
def test_attention_can_choose_one_stream(stream):
    module = SpectralFlow(channels=8)
    torch.nn.init.constant_(getattr(module, f"attend_{stream}")[-1].bias, 100)
    x = torch.randn(2, 8, 7, 7)
    low, high = module.split(x)
    assert torch.allclose(module(x), module.fuse(low if stream == "low" else high), atol=1e-6)


def test_attention_weighs_channel_by_channel():
    module = SpectralFlow(channels=2, reduction=1)
    module.fuse = torch.nn.Identity()
    silence(module.attend_low[-1], module.attend_high[-1])
    module.attend_low[-1].bias.data[:] = torch.tensor([0.0, math.log(3)])
    x = torch.randn(1, 2, 6, 6)
    low, high = module.split(x)
    shares = torch.tensor([0.5, 0.75]).reshape(1, 2, 1, 1)
    assert torch.allclose(module(x), shares * low + (1 - shares) * high, atol=1e-6)


@pytest.mark.parametrize("k", [3, 5])
def test_shift_by_a_patch_shifts_the_output(k):
    module = SpectralFlow(channels=6, kernel_size=k)
    x = torch.randn(1, 6, 3 * k, 4 * k)
    for step, same in [(k, True), (1, False)]:  # patches keep their content or they do not
        shifted = module(x.roll((step, -step), dims=(2, 3)))
        expected = module(x).roll((step, -step), dims=(2, 3))
        assert torch.allclose(shifted, expected, atol=1e-5) is same


@pytest.mark.parametrize("size", [(6, 6), (4, 5)])
def test_spectralflow_gradients(size):
    module = SpectralFlow(channels=3, kernel_size=3, reduction=1).double()
    assert check_gradients(module, torch.randn(1, 3, *size, dtype=torch.float64))


@pytest.mark.parametrize("bad", [0, -3, 2.0, "3", None])
@pytest.mark.parametrize("option", ["channels", "kernel_size", "reduction"])
def test_spectralflow_refuses_what_is_no_positive_integer(option, bad):
    with pytest.raises(ValueError, match=f"{option} must be a positive integer, got {bad!r}"):
        SpectralFlow(**{"channels": 8, option: bad})


def test_reduction_beyond_the_channels_leaves_one():
    module = SpectralFlow(channels=3, reduction=16)
    assert module.reduce.out_channels == 1
    assert module(torch.randn(1, 3, 4, 4)).shape == (1, 3, 4, 4)


# --- ContextGate ---


def test_zero_projection_is_the_identity():
    module = ContextGate(channels=8)
    silence(module.project)
    x = torch.randn(2, 8, 7, 7)
    assert torch.equal(module(x), x)  # Eq. (3): only the residual is left


@pytest.mark.parametrize("gate_from_input", [False, True])
@torch.no_grad()
def test_contextgate_equals_a_computation_by_hand(gate_from_input):
    """Eq. (2), position by position; the inner SpectralFlow is tested above."""
    module = ContextGate(channels=7, gate_from_input=gate_from_input).double()  # 7 / 3 down to 2
    x = torch.randn(1, 7, 4, 5, dtype=torch.float64)
    positions = [(y, z) for y in range(4) for z in range(5)]

    def pointwise(conv, column):
        return conv.weight[:, :, 0, 0] @ column + conv.bias

    bordered = functional.pad(x, (1, 1, 1, 1))[0]
    kernel, bias = module.depthwise.weight[:, 0], module.depthwise.bias
    local = torch.empty(7, 4, 5, dtype=torch.float64)
    spatial = torch.empty(1, 2, 4, 5, dtype=torch.float64)
    for y, z in positions:
        window = bordered[:, y : y + 3, z : z + 3]
        local[:, y, z] = (kernel * window).sum(dim=(1, 2)) + bias
        spatial[0, :, y, z] = pointwise(module.to_spatial, local[:, y, z])
    refined, output = module.refine(spatial)[0], module(x)[0]
    source = x[0] if gate_from_input else local
    for y, z in positions:
        gate = pointwise(module.to_gate, source[:, y, z])
        gate = [v / 2 * (1 + math.erf(v / math.sqrt(2))) for v in gate.tolist()]  # GELU
        identity = pointwise(module.to_identity, source[:, y, z])
        both = [*refined[:, y, z].tolist(), *identity.tolist()]  # 2C/3 values, C/3 gates for both
        gated = [value * gate[c % 2] for c, value in enumerate(both)]
        expected = x[0, :, y, z] + pointwise(
            module.project, torch.tensor(gated, dtype=torch.float64)
        )
        assert torch.allclose(output[:, y, z], expected, atol=1e-12)


@pytest.mark.parametrize("gate_from_input", [False, True])
def test_only_c_depends_on_the_depthwise_kernel_if_the_gate_is_from_the_input(gate_from_input):
    module, x = ContextGate(channels=9, gate_from_input=gate_from_input), torch.randn(2, 9, 5, 5)
    seen = {}
    for name in ("to_spatial", "to_gate", "to_identity"):
        getattr(module, name).register_forward_hook(
            lambda _, inputs, output, name=name: seen.update({name: output})
        )
    with torch.no_grad():
        module(x)
        before = dict(seen)
        torch.nn.init.normal_(module.depthwise.weight)
        module(x)
    changed = {name for name in seen if not torch.equal(seen[name], before[name])}
    assert changed == ({"to_spatial"} if gate_from_input else set(seen))


def test_either_gate_has_the_same_weights():
    """The reading changes the order of computation alone: no draw, no name, no shape."""
    gates = []
    for gate_from_input in (False, True):
        torch.manual_seed(0)
        gates.append(ContextGate(channels=9, gate_from_input=gate_from_input).state_dict())
    assert list(gates[0]) == list(gates[1])
    assert all(torch.equal(a, b) for a, b in zip(*(g.values() for g in gates), strict=True))


@pytest.mark.parametrize("gate_from_input", [False, True])
def test_contextgate_gradients(gate_from_input):
    module = ContextGate(channels=5, gate_from_input=gate_from_input).double()
    assert check_gradients(module, torch.randn(1, 5, 4, 4, dtype=torch.float64))


@pytest.mark.parametrize("channels", [3, 7, 512])
def test_contextgate_rounds_a_third_down(channels):
    with torch.device("meta"):
        module = ContextGate(channels=channels)
        output = module(torch.randn(1, channels, 7, 7))
    assert module.project.in_channels == 2 * (channels // 3)
    assert output.shape == (1, channels, 7, 7)


def test_contextgate_errors():
    with pytest.raises(ValueError, match=r"at least 3 .*got 2"):
        ContextGate(channels=2)


# --- self-attention, for comparison ---


def test_self_attention_does_not_know_positions():
    module = SelfAttention(channels=16).eval()
    x = torch.randn(1, 16, 3, 4)
    order = torch.randperm(12)
    mixed = module(x.flatten(2)[..., order].reshape(x.shape))
    assert torch.allclose(mixed.flatten(2), module(x).flatten(2)[..., order], atol=1e-5)


@pytest.mark.parametrize("parameters", [1, 5000, 662_409, 1_050_624])
def test_self_attention_of_a_given_size(parameters):
    with torch.device("meta"):
        chosen = count_parameters(SelfAttention.with_parameters(parameters))
        sizes = [count_parameters(SelfAttention(channels=8 * n)) for n in range(1, 80)]
    assert abs(chosen - parameters) == min(abs(size - parameters) for size in sizes)
