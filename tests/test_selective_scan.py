"""The selective scan against the recurrence written out, however it is cut."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from helpers.models.zoo import selective_scan as module
from helpers.models.zoo.selective_scan import scan_macs, selective_scan

NAMES = ("u", "dt", "a", "b", "c", "d")


def naive_scan(u, dt, a, b, c, d):
    """One token after the other, as the paper writes it."""
    state = u.new_zeros(u.shape[0], *a.shape)
    outputs = []
    for t in range(u.shape[1]):
        decay = torch.exp(dt[:, t, :, :, None] * a)
        state = decay * state + (dt[:, t] * u[:, t])[..., None] * b[:, t, :, None]
        outputs.append((state * c[:, t, :, None]).sum(dim=-1) + d * u[:, t])
    return torch.stack(outputs, dim=1)


def make_inputs(
    *, batch=2, length=9, groups=2, channels=3, states=2, dtype=torch.float64, scale=1.0
):
    generator = torch.Generator().manual_seed(length)

    def draw(*shape):
        return torch.randn(*shape, dtype=dtype, generator=generator)

    tokens = (batch, length, groups)
    return [
        draw(*tokens, channels),
        scale * draw(*tokens, channels).abs(),
        -draw(groups, channels, states).exp(),
        draw(*tokens, states),
        draw(*tokens, states),
        draw(groups, channels),
    ]


def value_and_gradients(scan, inputs):
    inputs = [x.clone().requires_grad_() for x in inputs]
    y = scan(*inputs)
    weights = torch.linspace(-1, 1, y.numel(), dtype=y.dtype).reshape(y.shape)
    return y.detach(), torch.autograd.grad(y, inputs, weights)


@pytest.fixture(params=["in turn", "in turn, one image at a time", "together"])
def cut(request, monkeypatch):
    """Each way in which chunks can follow each other, whatever the sizes."""
    step = {"in turn": None, "in turn, one image at a time": 1, "together": 2**40}[request.param]
    if step is None:
        step = 2**20
        monkeypatch.setattr(
            module,
            "_plan",
            lambda dt, n: module._Plan(dt.shape[0], max(1, dt.shape[1] // 3), False),
        )
    monkeypatch.setattr(module, "_CPU_STEP", step)
    return request.param


# 1, 2: no chunk; 4, 9, 16: whole chunks; one more or less: a chunk of one, or one with a token less
@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 8, 9, 10, 15, 16, 17, 31])
def test_scan_equals_the_recurrence(cut, length):
    inputs = make_inputs(length=length)
    y, grads = value_and_gradients(selective_scan, inputs)
    expected, expected_grads = value_and_gradients(naive_scan, inputs)
    torch.testing.assert_close(y, expected, rtol=1e-12, atol=1e-12)
    for name, grad, reference in zip(NAMES, grads, expected_grads, strict=True):
        torch.testing.assert_close(grad, reference, rtol=1e-11, atol=1e-11, msg=name)


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.fixed_dictionaries(
        {
            "batch": st.integers(1, 4),
            "length": st.integers(1, 40),
            "groups": st.integers(1, 4),
            "channels": st.integers(1, 5),
            "states": st.integers(1, 4),
        }
    ),
    step=st.sampled_from([1, 50, 2**40]),
)
def test_scan_equals_the_recurrence_at_any_size(sizes, step):
    inputs = make_inputs(**sizes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_CPU_STEP", step)
        y, grads = value_and_gradients(selective_scan, inputs)
    expected, expected_grads = value_and_gradients(naive_scan, inputs)
    torch.testing.assert_close(y, expected, rtol=1e-11, atol=1e-11)
    for name, grad, reference in zip(NAMES, grads, expected_grads, strict=True):
        torch.testing.assert_close(grad, reference, rtol=1e-10, atol=1e-10, msg=name)


@pytest.mark.parametrize("length", [1, 5])
def test_gradients_equal_finite_differences(cut, length):
    inputs = [x.requires_grad_() for x in make_inputs(length=length, batch=2, channels=2)]
    inputs[1] = (inputs[1].detach() + 0.1).requires_grad_()
    assert torch.autograd.gradcheck(selective_scan, inputs)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e30])
def test_long_sequences_and_large_steps_stay_finite(cut, scale):
    inputs = make_inputs(batch=1, length=600, groups=1, channels=2, scale=scale)
    y, grads = value_and_gradients(selective_scan, [x.float() for x in inputs])
    expected, _ = value_and_gradients(naive_scan, inputs)
    assert y.dtype == torch.float32
    assert all(torch.isfinite(x).all() for x in (y, *grads))
    tolerance = 1e-5 * expected.abs().max().item()
    torch.testing.assert_close(y.double(), expected, rtol=1e-3, atol=tolerance)


def test_without_decay_the_scan_is_a_running_sum(cut):
    u, dt, a, b, c, _ = make_inputs(length=13, states=1)
    y = selective_scan(u, dt, torch.zeros_like(a), b, c)
    torch.testing.assert_close(y, c * torch.cumsum(dt * u * b, dim=1))


def test_no_token_sees_the_future(cut):
    inputs = make_inputs(length=11)
    changed = [x.clone() for x in inputs]
    for x in (changed[0], changed[1], changed[3], changed[4]):
        x[:, 7] += 1
    before, after = selective_scan(*inputs), selective_scan(*changed)
    assert torch.equal(before[:, :7], after[:, :7])
    assert ((before - after)[:, 7:].abs() > 0).all()


def test_groups_and_images_do_not_mix(cut):
    u, dt, a, b, c, d = make_inputs(batch=3, groups=3)
    whole = selective_scan(u, dt, a, b, c, d)
    for image in range(3):
        for group in range(3):
            one = [x[image : image + 1, :, group : group + 1] for x in (u, dt, b, c)]
            y = selective_scan(*one[:2], a[group, None], *one[2:], d[group, None])
            torch.testing.assert_close(y[0, :, 0], whole[image, :, group])


def test_scan_does_not_write_to_its_inputs(cut):
    inputs = make_inputs()
    copies = [x.clone() for x in inputs]
    value_and_gradients(selective_scan, inputs)
    assert all(torch.equal(x, copy) for x, copy in zip(inputs, copies, strict=True))


def test_scan_computes_in_float32_whatever_comes():
    inputs = make_inputs(dtype=torch.float32)
    halves = [x.bfloat16() for x in inputs]
    expected = selective_scan(*(x.float() for x in halves))
    with torch.autocast("cpu", torch.bfloat16):
        y = selective_scan(*halves)
    assert y.dtype == torch.float32
    assert torch.equal(y, expected)


def test_backward_under_autocast_is_not_rounded():
    inputs = make_inputs(dtype=torch.float32)
    _, expected = value_and_gradients(selective_scan, inputs)
    with torch.autocast("cpu", torch.bfloat16):
        _, grads = value_and_gradients(selective_scan, inputs)
    assert all(torch.equal(x, y) for x, y in zip(grads, expected, strict=True))


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_flop_counter_sees_the_scan(device):
    inputs = [x.to(device).requires_grad_() for x in make_inputs(length=7)]
    macs = scan_macs(batch=2, length=7, channels=6, states=2)
    assert macs == 4 * 2 * 7 * 6 * 2
    with FlopCounterMode(display=False) as counter:
        y = selective_scan(*inputs)
        assert counter.get_total_flops() == 2 * macs
        y.sum().backward()
    assert counter.get_total_flops() == 3 * 2 * macs


class Scan(torch.nn.Module):
    def forward(self, u, dt, a, b, c, d):
        return selective_scan(u, dt, a, b, c, d)


@pytest.mark.parametrize("length", [1, 7, 9])
def test_export_needs_no_operator_of_ours(length):
    inputs = tuple(make_inputs(length=length, dtype=torch.float32))
    program = torch.export.export(Scan(), inputs, strict=False)
    assert "helpers" not in str(program.graph)
    torch.testing.assert_close(program.module()(*inputs), selective_scan(*inputs))


def test_compiler_and_operator_agree_about_shapes():
    u, dt, a, b, c, _ = make_inputs()
    inputs = (dt, dt * u, a.transpose(1, 2), b, c)
    torch.library.opcheck(module._scan, inputs, test_utils=["test_schema", "test_faketensor"])


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("u", (2, 9, 6), r"u must be \(batch, L, groups, channels\).*got \(2, 9, 6\)"),
        ("u", (2, 0, 2, 3), "not empty"),
        ("a", (2, 2, 3), r"a must be \(2, 3, states\) for this u, got \(2, 2, 3\)"),
        ("dt", (2, 8, 2, 3), r"dt must be \(2, 9, 2, 3\).*got \(2, 8, 2, 3\)"),
        ("b", (2, 9, 2, 3), r"b must be \(2, 9, 2, 2\)"),
        ("c", (2, 9, 1, 2), r"c must be \(2, 9, 2, 2\)"),
        ("d", (3,), r"d must be \(2, 3\)"),
    ],
)
def test_shapes_that_do_not_belong_together(name, shape, message):
    inputs = dict(zip(NAMES, make_inputs(), strict=True)) | {name: torch.zeros(shape)}
    with pytest.raises(ValueError, match=message):
        selective_scan(**inputs)
