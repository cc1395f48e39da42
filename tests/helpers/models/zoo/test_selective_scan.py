"""The selective scan against the recurrence written out, however it is cut."""

import multiprocessing
import os
import stat
import subprocess
import sys
import warnings
from pathlib import Path

import numba
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from helpers.models.zoo import compilation, scan_kernels
from helpers.models.zoo import selective_scan as module
from helpers.models.zoo.selective_scan import selective_scan

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


def assert_near(values, expected, tolerance, *, names=NAMES):
    """Within a fraction of the largest value, each output and gradient by itself."""
    (y, grads), (expected_y, expected_grads) = values, expected
    for name, x, z in zip(("y", *names), (y, *grads), (expected_y, *expected_grads), strict=True):
        assert x.shape == z.shape
        atol = tolerance * z.abs().max().item()
        torch.testing.assert_close(
            x, z, rtol=tolerance, atol=atol, msg=lambda m, n=name: f"{n}: {m}"
        )


@pytest.fixture(params=["compiled", "in turn", "in turn, one image at a time", "together"])
def cut(request, monkeypatch):
    """Compiled loops with short chunks, and each way in which the reference can cut."""
    if request.param == "compiled":
        monkeypatch.setattr(module, "_KERNEL_CHUNK", 1)
        return
    monkeypatch.setattr(module, "_has_kernels", lambda _: False)
    if request.param == "in turn":
        monkeypatch.setattr(
            module, "_plan", lambda dt, n: module.Plan(dt.shape[0], max(1, dt.shape[1] // 3), False)
        )
    else:
        monkeypatch.setattr(module, "_CPU_STEP", 2**40 if request.param == "together" else 1)


# 1, 2: no chunk; 4, 9, 16: whole chunks; one more or less: a chunk of one, or one with a token less
@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 8, 9, 10, 15, 16, 17, 31])
def test_scan_equals_the_recurrence(cut, length):
    inputs = make_inputs(length=length)
    values, expected = (value_and_gradients(scan, inputs) for scan in (selective_scan, naive_scan))
    assert_near(values, expected, 1e-12)


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
        patch.setattr(module, "_has_kernels", lambda _: False)
        patch.setattr(module, "_CPU_STEP", step)
        values = value_and_gradients(selective_scan, inputs)
    assert_near(values, value_and_gradients(naive_scan, inputs), 1e-10)


@pytest.mark.parametrize("length", [1, 5])
@pytest.mark.parametrize("extra", ["none", "bias", "order"])
def test_gradients_equal_finite_differences(cut, length, extra):
    u, dt, a, b, c, d = make_inputs(length=length, channels=2)
    inputs, options = [u, dt + 0.1, a, b, c, d], {}
    if extra == "bias":
        inputs.append(d.clone())
    elif extra == "order":  # and one input for all groups
        inputs[0] = u[:, :, :1].clone()
        options["order"] = torch.stack([torch.randperm(length) for _ in range(2)])

    def scan(*x):
        return selective_scan(*x[:6], bias=x[6] if len(x) > 6 else None, **options)

    assert torch.autograd.gradcheck(scan, [x.requires_grad_() for x in inputs])


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


# --- compiled loops against the reference ---


def reference(inputs, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(module, "_has_kernels", lambda _: False)
        return value_and_gradients(selective_scan, inputs)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
@pytest.mark.parametrize(
    "sizes",
    [
        {"length": 1, "channels": 5, "states": 1},
        {"length": 4, "channels": 8, "states": 16, "groups": 4},
        {"length": 49, "channels": 100, "states": 3},  # a block of channels and four more
        {"length": 64, "channels": 96, "states": 16, "groups": 1},
        {"length": 256, "channels": 13, "states": 8, "batch": 3},
        {"length": 300, "channels": 200, "states": 2, "batch": 1},  # chunks of 18
    ],
)
def test_compiled_loops_equal_the_reference(sizes, dtype, tolerance, monkeypatch):
    inputs = make_inputs(**sizes, dtype=dtype, scale=0.1)
    expected = reference(inputs, monkeypatch)
    assert_near(value_and_gradients(selective_scan, inputs), expected, tolerance)


@pytest.mark.parametrize("length", [1, 17, 40])
def test_each_group_visits_the_tokens_in_its_order(cut, length):
    u, dt, a, b, c, d = make_inputs(length=length, groups=3)
    order = torch.stack([torch.randperm(length) for _ in range(3)])
    visited = [torch.stack([x[:, order[g], g] for g in range(3)], dim=2) for x in (u, dt, b, c)]
    expected = naive_scan(*visited[:2], a, *visited[2:], d)
    y = selective_scan(u, dt, a, b, c, d, order=order)
    for g in range(3):
        torch.testing.assert_close(y[:, order[g], g], expected[:, :, g])


@pytest.mark.parametrize("added", [False, True])
def test_groups_may_read_the_same_and_be_added_up(cut, added):
    u, dt, a, b, c, d = make_inputs(length=20, groups=4)
    u, order = u[:, :, :1], torch.stack([torch.randperm(20) for _ in range(4)])

    def scan(u, *others):
        y = selective_scan(u, *others, order=order)
        return y.sum(dim=2) if added else y

    values = value_and_gradients(scan, [u, dt, a, b, c, d])
    expected = value_and_gradients(
        lambda u, *others: scan(u.expand(-1, -1, 4, -1), *others), [u, dt, a, b, c, d]
    )
    assert_near(values, expected, 1e-7)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
def test_step_sizes_may_be_softplus_of_what_comes(cut, dtype, tolerance):
    u, _, a, b, c, d = make_inputs(length=20, channels=10, dtype=dtype)
    raw = 4 * torch.randn(u.shape, dtype=dtype, generator=torch.Generator().manual_seed(0)) - 2
    raw[0, :4, 0, 0] = torch.tensor([0.0, 30.0, -30.0, -80.0])
    bias = d[:, [*range(1, 10), 0]].clone()

    def fused(raw, bias):
        return selective_scan(u, raw, a, b, c, d, bias=bias)

    def apart(raw, bias):
        return selective_scan(u, torch.nn.functional.softplus(raw + bias), a, b, c, d)

    values, expected = (value_and_gradients(scan, [raw, bias]) for scan in (fused, apart))
    assert_near(values, expected, tolerance, names=("dt", "bias"))


def test_scan_reads_any_layout(cut):
    inputs = make_inputs(length=12, channels=6)
    expected = value_and_gradients(selective_scan, inputs)
    scattered = [torch.stack([x, x], dim=-1)[..., 0] for x in inputs]  # every other number
    turned = [x.mT.contiguous().mT for x in inputs]
    for layout in (scattered, turned):
        assert not any(x.is_contiguous() for x in layout[:2])
        y = selective_scan(*(x.requires_grad_() for x in layout))
        weights = torch.linspace(-1, 1, y.numel(), dtype=y.dtype).reshape(y.shape)
        grads = torch.autograd.grad(y, layout, weights.mT.contiguous().mT)
        torch.testing.assert_close(y, expected[0])
        torch.testing.assert_close(grads, expected[1])


def test_scan_without_direct_path(cut):
    u, dt, a, b, c, d = make_inputs()
    expected = selective_scan(u, dt, a, b, c, torch.zeros_like(d))
    assert torch.equal(selective_scan(u, dt, a, b, c), expected)


@pytest.mark.parametrize("steps", [0.0, 1e-30, 100.0, 1e30])
def test_extreme_steps_give_numbers(cut, steps):
    u, _, a, b, c, d = make_inputs(length=30, dtype=torch.float32, states=16)
    dt = torch.full_like(u, steps)
    y, grads = value_and_gradients(selective_scan, [u, dt, a, b, c, d])
    assert all(torch.isfinite(x).all() for x in (y, *grads))
    if steps == 0:
        assert torch.equal(y, d * u)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_no_number_stays_none(cut, value):
    inputs = make_inputs(length=20, dtype=torch.float32)
    inputs[1][1, 5, 0, 1] = value
    y = selective_scan(*inputs)
    assert not torch.isfinite(y[1, 5, 0, 1])
    assert torch.isfinite(y[0]).all()
    assert torch.isfinite(y[1, :5]).all()


def test_powers_of_two_are_as_exact_as_float32_allows():
    @numba.njit
    def powers(exponents):
        result = np.empty_like(exponents)
        for i in range(exponents.size):
            result[i] = scan_kernels._exp2(exponents[i])
        return result

    rng = np.random.default_rng(0)
    inside = np.concatenate(
        [rng.uniform(-125.9, 0, 20000), rng.uniform(-1, 1, 20000), [0, -1, -126]]
    )
    inside = inside.astype(np.float32)
    exact = np.exp2(inside.astype(np.float64))
    assert np.abs(powers(inside) / exact - 1).max() < 2.5e-7  # two units in the last place
    outside = np.array([-126.5, -200, -1e30, -np.inf, 200, 1e30, np.inf, np.nan], np.float32)
    expected = np.array([0, 0, 0, 0, np.inf, np.inf, np.inf, np.nan], np.float32)
    np.testing.assert_array_equal(powers(outside), expected)


# --- threads, processes, the cache ---


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def test_number_of_threads_does_not_change_a_bit(threads, monkeypatch):
    monkeypatch.setattr(compilation, "_LEAST_WORK", 1)
    inputs = make_inputs(batch=5, length=33, groups=3, channels=20, dtype=torch.float32)
    threads(1)
    expected, expected_grads = value_and_gradients(selective_scan, inputs)
    for number in (1, 2, 3, 16, 40):
        threads(number)
        y, grads = value_and_gradients(selective_scan, inputs)
        assert torch.equal(y, expected)
        assert all(torch.equal(x, z) for x, z in zip(grads, expected_grads, strict=True))


def test_work_is_shared_among_as_many_threads_as_torch_has(threads, monkeypatch):
    parts = []
    monkeypatch.setattr(compilation, "_LEAST_WORK", 1)
    monkeypatch.setattr(compilation, "_compile", lambda *_: lambda *x: parts.append(x[-2:]))
    inputs = make_inputs(batch=5, length=2, groups=3, dtype=torch.float32)
    for number in (1, 2, 7, 99):
        threads(number)
        parts.clear()
        selective_scan(*inputs)
        tasks = 3 * scan_kernels._parts(5)  # groups, by a few images each
        assert len(parts) == min(number, tasks)
        assert sorted(task for part in parts for task in range(*part)) == list(range(tasks))


def _scan_in_child(inputs, queue):
    queue.put(selective_scan(*inputs).numpy())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_scans_too(threads, monkeypatch):
    monkeypatch.setattr(compilation, "_LEAST_WORK", 1)
    threads(2)
    inputs = make_inputs(dtype=torch.float32)
    y = selective_scan(*inputs)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_scan_in_child, args=(inputs, queue))
    child.start()
    np.testing.assert_array_equal(queue.get(timeout=60), y.numpy())
    child.join(60)
    assert child.exitcode == 0


SCRIPT = """
import torch
import helpers.models.registry, helpers.training.loop, sys
assert "numba" not in sys.modules
from helpers.models.zoo.selective_scan import selective_scan
x = torch.ones(1, 3, 1, 2)
y = selective_scan(x, x, -torch.ones(1, 2, 1), x[..., :1], x[..., :1])
print(*y.flatten().tolist())
"""


def test_numba_is_not_imported_before_the_first_scan():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, check=True)
    ones = [1.0, 1.0, 1.3678795, 1.3678795, 1.5032148, 1.5032148]
    assert [float(x) for x in done.stdout.split()] == pytest.approx(ones, abs=1e-6)


def kept(folder):
    return sorted(path.suffix for path in folder.rglob("*.nb?"))


def add_one(x, first, last):
    """A kernel that is compiled in a moment."""
    for i in range(first, last):
        x[i] += 1


@pytest.fixture
def compiled(tmp_path, monkeypatch):
    """Return a function that compiles `add_one` as a new process would, and runs it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")

    def run():
        monkeypatch.setattr(compilation, "_compiled", {})
        arguments = (np.zeros(4), 1, 3)
        compilation._compile(add_one, arguments)(*arguments)
        assert arguments[0].tolist() == [0, 1, 1, 0]

    return run


def test_machine_code_is_kept_in_the_users_cache_and_outlives_damage(tmp_path, compiled):
    folder = tmp_path / "cache" / "light-medical-classifiers" / "numba"
    with warnings.catch_warnings(action="error"):
        compiled()
        compiled()  # what is kept can be read
    assert kept(folder) == [".nbc", ".nbi"]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for path in folder.rglob("*.nb?"):
        path.write_bytes(b"damaged")
    with pytest.warns(UserWarning, match="not kept for the next process"):
        compiled()
    assert kept(Path(__file__).parent) == []  # nothing lies beside the source


def test_a_folder_that_others_can_write_to_is_not_used(tmp_path, compiled):
    folder = tmp_path / "cache" / "light-medical-classifiers" / "numba"
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    with pytest.warns(UserWarning, match="others can write to"):
        compiled()
    assert kept(folder) == []


def test_where_nothing_can_be_kept_each_process_compiles(tmp_path, compiled):
    (tmp_path / "cache").write_text("a file")
    with pytest.warns(UserWarning, match="not kept for the next process"):
        compiled()


@pytest.mark.filterwarnings("error")
def test_the_users_own_cache_folder_is_used(tmp_path, compiled, monkeypatch):
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "own"))
    compiled()
    assert kept(tmp_path / "own") == [".nbc", ".nbi"]
    assert not (tmp_path / "cache").exists()


def test_without_numba_the_reference_runs_and_says_so(monkeypatch):
    inputs = make_inputs()
    expected = naive_scan(*inputs)
    monkeypatch.setitem(sys.modules, "numba", None)
    monkeypatch.delitem(sys.modules, scan_kernels.__name__)
    monkeypatch.delattr("helpers.models.zoo.scan_kernels")
    module._kernels.cache_clear()
    try:
        with pytest.warns(UserWarning, match="without numba"):
            torch.testing.assert_close(selective_scan(*inputs), expected)
    finally:
        module._kernels.cache_clear()


# --- counting, export, messages ---


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_flop_counter_sees_the_scan(device):
    inputs = [x.to(device).requires_grad_() for x in make_inputs(length=7)]
    macs = 4 * 2 * 7 * 6 * 2  # images, tokens, channels, states
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


@pytest.mark.parametrize("biased", [False, True])
def test_compiler_and_operator_agree_about_shapes(cut, biased):
    u, dt, a, b, c, d = make_inputs()
    inputs = (u, dt, a.transpose(1, 2), b, c, d, d if biased else None, None)
    torch.library.opcheck(module._scan, inputs, test_utils=["test_schema", "test_faketensor"])
    y, starts = module._scan(*inputs)
    inputs = (torch.ones_like(y), starts, *inputs)
    torch.library.opcheck(
        module._scan_backward, inputs, test_utils=["test_schema", "test_faketensor"]
    )


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
        ("bias", (3, 2), r"bias must be \(2, 3\)"),
        ("order", (9,), r"order must be \(2, 9\).*got \(9,\)"),
        ("order", (2, 9), r"order must be of places, int64, got torch.float32"),
    ],
)
def test_shapes_that_do_not_belong_together(name, shape, message):
    inputs = dict(zip(NAMES, make_inputs(), strict=True)) | {name: torch.zeros(shape)}
    with pytest.raises(ValueError, match=message):
        selective_scan(**inputs)
