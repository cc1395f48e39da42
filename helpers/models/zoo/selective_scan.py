"""Selective scan: the linear recurrence of Mamba, whose coefficients depend on the input.

Paper: Gu and Dao, "Mamba: Linear-time sequence modeling with selective state spaces",
arXiv 2312.00752, section 3. Written from the text; the authors' code (Apache-2.0) is a CUDA
kernel.

    h_t = exp(dt_t A) h_{t-1} + dt_t u_t B_t        y_t = C_t h_t + D u_t

How it is computed: on a processor by the compiled loops of `scan_kernels`. On a GPU, in an exported
graph and where numba is missing by the operations of PyTorch below, which the loops are tested
against. In both a sequence of L tokens is cut into chunks, and the backward pass recomputes a
chunk's states from the one stored in front of it: no (batch, L, channels, states) tensor outlives
a chunk.

In PyTorch a chunk has about sqrt(L) tokens. Where one step alone is work enough, the chunks follow
each other and a step's state stays in the cache; where it is not (a GPU, a batch of few images),
all chunks advance together: once from zero to learn how each ends, then, with the true states in
front, for the result. The decay over a chunk is the exponential of a sum, never a quotient of
products, so nothing overflows.
"""

import math
import warnings
from dataclasses import dataclass
from functools import cache
from types import ModuleType

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.flop_counter import register_flop_formula

# Elements of the state (images x groups x states x channels) that one step works on: about what
# a core's own cache holds. Below a quarter of it the chunks advance together.
_CPU_STEP = 2**19
# Tokens of a chunk in the compiled loops, at least: fewer only cost memory.
_KERNEL_CHUNK = 16
# On a GPU the states of a whole sequence are held for the backward pass, up to this many.
_GPU_SEQUENCE = 2**28


def selective_scan(
    u: Tensor,
    dt: Tensor,
    a: Tensor,
    b: Tensor,
    c: Tensor,
    d: Tensor | None = None,
    *,
    bias: Tensor | None = None,
    order: Tensor | None = None,
) -> Tensor:
    """Run G independent groups of a selective state space model along the tokens.

    Computes in float32 (float64 if `u` is), also under autocast.

    Args:
        u: Input (batch, L, G, channels), or (batch, L, 1, channels) where all groups read the same.
        dt: Step sizes, not negative, (batch, L, G, channels); with a bias any numbers.
        a: Decay rates A, not positive, (G, channels, states).
        b: Input weights B (batch, L, G, states).
        c: Output weights C (batch, L, G, states).
        d: Weights of the direct path D (G, channels), or none.
        bias: Where given, (G, channels), the step sizes are softplus(dt + bias).
        order: Places along L in the order in which each group visits them, int64 (G, L), each place
            once; none where all read from the first to the last.

    Returns:
        y, of the shape of `dt`, each token at its own place whatever the order; in the type that
        was computed in.

    Raises:
        ValueError: shapes that do not belong together, an order of another type.
    """
    _check_shapes(u, dt, a, b, c, d, bias, order)
    dtype = torch.promote_types(u.dtype, torch.float32)
    u, dt, b, c = (x.to(dtype) for x in (u, dt, b, c))
    a = a.to(dtype).transpose(1, 2)  # (G, states, channels): channels last, as in the state
    d = dt.new_zeros(dt.shape[2:]) if d is None else d.to(dtype)
    bias = None if bias is None else bias.to(dtype)
    if _is_exporting():
        # Exported graphs are for inference and know no operator of ours.
        inputs = (None if x is None else x.detach() for x in (u, dt, a, b, c, d, bias))
        return _reference_forward(*inputs, order, plan=_plan_graph(dt.shape[1]))[0]
    return _scan(u, dt, a, b, c, d, bias, order)[0]


def scan_macs(*, batch: int, length: int, channels: int, states: int) -> int:
    """Return the multiply-accumulates of one forward scan, each multiplication counted as one.

    Per token, channel and state four: dt A, (dt u) B, decay times state plus input, C times state
    plus the sum so far. The exponential is not counted, nor is how the scan is parallelised.
    `torch.utils.flop_counter` counts the scan by this.

    Args:
        batch: Number of images.
        length: Tokens L.
        channels: Channels of all groups together.
        states: States N per channel.
    """
    return 4 * batch * length * channels * states


def _is_exporting() -> bool:
    return torch.compiler.is_exporting() or torch.jit.is_tracing()


def _check_shapes(
    u: Tensor,
    dt: Tensor,
    a: Tensor,
    b: Tensor,
    c: Tensor,
    d: Tensor | None,
    bias: Tensor | None,
    order: Tensor | None,
) -> None:
    if u.ndim != 4 or 0 in u.shape:
        raise ValueError(f"u must be (batch, L, groups, channels), not empty, got {_shape(u)}.")
    batch, length, groups, channels = u.shape
    if groups == 1 and a.ndim == 3:
        groups = a.shape[0]
    if a.ndim != 3 or a.shape[:2] != (groups, channels) or 0 in a.shape:
        raise ValueError(f"a must be ({groups}, {channels}, states) for this u, got {_shape(a)}.")
    weights = (batch, length, groups, a.shape[2])
    expected = {"dt": (dt, (batch, length, groups, channels)), "b": (b, weights), "c": (c, weights)}
    for name, tensor in (("d", d), ("bias", bias)):
        if tensor is not None:
            expected[name] = (tensor, (groups, channels))
    if order is not None:
        expected["order"] = (order, (groups, length))
        if order.dtype != torch.int64:
            raise ValueError(f"order must be of places, int64, got {order.dtype}.")
    for name, (tensor, shape) in expected.items():
        if tensor.shape != shape:
            raise ValueError(
                f"{name} must be {tuple(shape)} for this u and a, got {_shape(tensor)}."
            )


def _shape(tensor: Tensor) -> tuple[int, ...]:
    return tuple(tensor.shape)


# --- how a scan is cut ---


@dataclass(frozen=True)
class _Plan:
    images: int  # how many go through the scan at a time
    chunk: int  # tokens a chunk
    together: bool  # do all chunks advance at the same time?


@cache
def _kernels() -> ModuleType | None:
    """Import the compiled loops when they are first wanted; None without numba."""
    try:
        from helpers.models.zoo import scan_kernels
    except ImportError as error:
        warnings.warn(
            f"selective scans take about ten times as long without numba: {error}; "
            "pip install -r requirements.txt brings it.",
            stacklevel=2,
        )
        return None
    return scan_kernels


def _has_kernels(dt: Tensor) -> bool:
    return dt.device.type == "cpu" and _kernels() is not None


def _plan(dt: Tensor, states: int) -> _Plan:
    batch, length, groups, channels = dt.shape
    state = groups * channels * states  # of one image
    chunk = math.isqrt(length - 1) + 1
    if _has_kernels(dt):
        return _Plan(batch, max(chunk, _KERNEL_CHUNK), together=False)
    if dt.device.type == "cpu":
        together = length > 1 and 4 * batch * state <= _CPU_STEP
        images = batch if together else max(1, _CPU_STEP // state)
    else:
        together = length > 1
        images = max(1, _GPU_SEQUENCE // (length * state))
    return _Plan(min(images, batch), chunk, together)


def _plan_graph(length: int) -> _Plan:
    """All images at once and as few steps as can be: each step is a handful of graph nodes."""
    return _Plan(images=-1, chunk=math.isqrt(length - 1) + 1, together=length > 1)


# --- the operator; tensors: u (B, L, 1 or G, D), dt (B, L, G, D), a (G, N, D), b, c (B, L, G, N),
# d, bias (G, D), order (G, L); starts (B, chunks, G, N, D), the states in front of the chunks ---


@torch.library.custom_op("helpers::selective_scan", mutates_args=())
def _scan(
    u: Tensor,
    dt: Tensor,
    a: Tensor,
    b: Tensor,
    c: Tensor,
    d: Tensor,
    bias: Tensor | None,
    order: Tensor | None,
) -> tuple[Tensor, Tensor]:
    plan = _plan(dt, a.shape[1])
    if not _has_kernels(dt):
        with torch.autocast(dt.device.type, enabled=False):
            return _reference_forward(u, dt, a, b, c, d, bias, order, plan=plan)
    arrays = _arrays(u, dt, a, b, c, d, bias, _places(dt) if order is None else order)
    y, starts = _kernels().forward(*arrays, chunk=plan.chunk)
    return _tensor(y), _tensor(starts)


@_scan.register_fake
def _(
    u: Tensor,
    dt: Tensor,
    a: Tensor,
    b: Tensor,
    c: Tensor,
    d: Tensor,
    bias: Tensor | None,
    order: Tensor | None,
) -> tuple[Tensor, Tensor]:
    chunks = -(-dt.shape[1] // _plan(dt, a.shape[1]).chunk)
    return _empty(dt, dt.shape), _empty(dt, (dt.shape[0], chunks, *a.shape))


@torch.library.custom_op("helpers::selective_scan_backward", mutates_args=())
def _scan_backward(
    dy: Tensor,
    starts: Tensor,
    u: Tensor,
    dt: Tensor,
    a: Tensor,
    b: Tensor,
    c: Tensor,
    d: Tensor,
    bias: Tensor | None,
    order: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    plan = _plan(dt, a.shape[1])
    if not _has_kernels(dt):
        with torch.autocast(dt.device.type, enabled=False):
            return _reference_backward(dy, starts, u, dt, a, b, c, d, bias, order, plan=plan)
    arrays = _arrays(dy, starts, u, dt, a, b, c, d, bias, _places(dt) if order is None else order)
    *of_tokens, of_d, of_bias = _kernels().backward(*arrays, chunk=plan.chunk)
    of_u, of_dt, of_a, of_b, of_c = of_tokens
    # What images share is added in their order, whatever the number of threads.
    of_a, of_d, of_bias = (torch.from_numpy(x).sum(dim=1) for x in (of_a, of_d, of_bias))
    of_u, of_dt, of_b, of_c = (_tensor(x) for x in (of_u, of_dt, of_b, of_c))
    return _sum_to(of_u, u), of_dt, of_a, of_b, of_c, of_d, of_bias


@_scan_backward.register_fake
def _(
    dy: Tensor,
    starts: Tensor,
    u: Tensor,
    dt: Tensor,
    a: Tensor,
    b: Tensor,
    c: Tensor,
    d: Tensor,
    bias: Tensor | None,
    order: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    of_u, of_dt, of_b, of_c = (_empty(dt, x.shape) for x in (u, dt, b, c))
    of_d, of_bias = (d.new_empty(d.shape) for _ in range(2))
    return of_u, of_dt, a.new_empty(a.shape), of_b, of_c, of_d, of_bias


def _arrays(*tensors: Tensor | None) -> list[np.ndarray | None]:
    """Put the groups first, as the compiled loops want them; no copy where they lie so already."""
    moved = (x.movedim(2, 0) if x is not None and x.ndim > 3 else x for x in tensors)
    return [None if x is None else x.detach().contiguous().numpy() for x in moved]


def _tensor(array: np.ndarray) -> Tensor:
    """Bring the groups back to their place; they stay first in memory."""
    return torch.from_numpy(array).movedim(0, 2)


def _empty(dt: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return what has the layout of the operator's outputs, for shapes with G third."""
    if not _has_kernels(dt):
        return dt.new_empty(shape)
    batch, length, groups, *rest = shape
    return dt.new_empty(groups, batch, length, *rest).movedim(0, 2)


def _places(dt: Tensor) -> Tensor:
    return torch.arange(dt.shape[1]).expand(dt.shape[2], -1)


def _sum_to(grad: Tensor, u: Tensor) -> Tensor:
    """Add up the groups' gradients where all read the same."""
    return grad.sum(dim=2, keepdim=True) if u.shape[2] < grad.shape[2] else grad


def _save(ctx, inputs: tuple[Tensor | None, ...], output: tuple[Tensor, Tensor]) -> None:
    ctx.save_for_backward(output[1], *inputs)
    ctx.mark_non_differentiable(output[1])
    ctx.set_materialize_grads(False)  # no zeros as the gradient of the states


def _differentiate(ctx, dy: Tensor, _: Tensor | None) -> tuple[Tensor | None, ...]:
    if dy is None:  # nothing that is differentiated depends on the output
        return (None,) * len(ctx.needs_input_grad)
    if dy.stride(2) == 0:  # all groups get the same, as where their outputs are added up
        dy = dy[:, :, :1]
    *grads, of_bias = _scan_backward(dy, *ctx.saved_tensors)
    return *grads, (of_bias if ctx.needs_input_grad[6] else None), None


_scan.register_autograd(_differentiate, setup_context=_save)


@register_flop_formula(torch.ops.helpers.selective_scan)
def _flops(u: torch.Size, dt: torch.Size, a: torch.Size, *args, out_shape=None, **kwargs) -> int:
    batch, length, groups, channels = dt
    return 2 * scan_macs(batch=batch, length=length, channels=groups * channels, states=a[1])


@register_flop_formula(torch.ops.helpers.selective_scan_backward)
def _backward_flops(dy: torch.Size, starts: torch.Size, *args, **kwargs) -> int:
    return 2 * _flops(*args)  # as for products: twice the forward pass, recomputation aside


# --- the same in PyTorch ---


def _reference_forward(
    u: Tensor,
    dt: Tensor,
    a: Tensor,
    b: Tensor,
    c: Tensor,
    d: Tensor,
    bias: Tensor | None,
    order: Tensor | None,
    *,
    plan: _Plan,
) -> tuple[Tensor, Tensor]:
    """Return y (B, L, G, D) and the states in front of the chunks (B, chunks, G, N, D)."""
    dt = dt if bias is None else functional.softplus(dt + bias)
    visited = [_visit(x, order).contiguous() for x in (dt, dt * u, b, c)]
    dt_t, du_t, b_t, c_t = visited
    y, starts = _forward(dt_t, du_t, a, b_t, c_t, plan=plan)
    return (_leave(y, order) + d * u).contiguous(), starts


def _reference_backward(
    dy: Tensor,
    starts: Tensor,
    u: Tensor,
    dt: Tensor,
    a: Tensor,
    b: Tensor,
    c: Tensor,
    d: Tensor,
    bias: Tensor | None,
    order: Tensor | None,
    *,
    plan: _Plan,
) -> tuple[Tensor, ...]:
    """Return the gradients of u, dt, a, b, c, d and bias."""
    slope = 1 if bias is None else torch.sigmoid(dt + bias)
    dt = dt if bias is None else functional.softplus(dt + bias)
    visited = [_visit(x, order).contiguous() for x in (dy.expand_as(dt), dt, dt * u, b, c)]
    dy_t, dt_t, du_t, b_t, c_t = visited
    of_dt, of_du, of_a, of_b, of_c = _backward(dy_t, starts, dt_t, du_t, a, b_t, c_t, plan=plan)
    of_dt, of_du, of_b, of_c = (_leave(x, order) for x in (of_dt, of_du, of_b, of_c))
    of_u = _sum_to(of_du * dt + d * dy, u)
    of_dt = (of_dt + of_du * u) * slope
    of_d = (dy * u).expand_as(dt).sum(dim=(0, 1))
    of_bias = of_dt.sum(dim=(0, 1))
    return tuple(x.contiguous() for x in (of_u, of_dt, of_a, of_b, of_c, of_d, of_bias))


def _visit(x: Tensor, order: Tensor | None) -> Tensor:
    """Put the tokens of (B, L, G, ...) in the order in which each group visits them."""
    if order is None:
        return x
    groups = zip(x.unbind(2), order.unbind(0), strict=True)
    return torch.stack([tokens.index_select(1, places) for tokens, places in groups], dim=2)


def _leave(x: Tensor, order: Tensor | None) -> Tensor:
    """Put tokens that were visited in an order back to their places."""
    return x if order is None else _visit(x, order.argsort(dim=1))


# --- its forward pass; tensors: dt, du (B, L, G, D), a (G, N, D), b, c (B, L, G, N) ---


def _forward(
    dt: Tensor, du: Tensor, a: Tensor, b: Tensor, c: Tensor, *, plan: _Plan
) -> tuple[Tensor, Tensor]:
    """Return y (B, L, G, D) and the state in front of each chunk (B, chunks, G, N, D)."""
    images = dt.shape[0] if plan.images == -1 else plan.images
    a = a.contiguous() / math.log(2)
    run = _forward_together if plan.together else _forward_in_turn
    parts = [
        run(*slices, a=a, chunk=plan.chunk)
        for slices in zip(*(x.split(images) for x in (dt, du, b, c)), strict=True)
    ]
    if len(parts) == 1:
        return parts[0]
    return tuple(torch.cat(outputs) for outputs in zip(*parts, strict=True))


def _forward_in_turn(
    dt: Tensor, du: Tensor, b: Tensor, c: Tensor, *, a: Tensor, chunk: int
) -> tuple[Tensor, Tensor]:
    state = dt.new_zeros(dt.shape[0], *a.shape)
    outputs, starts = [], []
    for pieces in zip(*(x.split(chunk, dim=1) for x in (dt, du, b, c)), strict=True):
        starts.append(state.clone())
        outputs.append(_advance(state, *pieces, a=a))
    return torch.cat(outputs, dim=1), torch.stack(starts, dim=1)


def _forward_together(
    dt: Tensor, du: Tensor, b: Tensor, c: Tensor, *, a: Tensor, chunk: int
) -> tuple[Tensor, Tensor]:
    batch, length = dt.shape[:2]
    pieces = [_to_chunks(x, chunk) for x in (dt, du, b, c)]
    ends = dt.new_zeros(pieces[0].shape[0], *a.shape)
    _advance(ends, *pieces[:3], None, a=a)
    starts = _carry(ends.unflatten(0, (batch, -1)), _chunk_decay(pieces[0], a, batch))
    y = _advance(starts.flatten(0, 1).clone(), *pieces, a=a)
    return y.unflatten(0, (batch, -1)).flatten(1, 2)[:, :length].contiguous(), starts


def _advance(
    state: Tensor, dt: Tensor, du: Tensor, b: Tensor, c: Tensor | None, *, a: Tensor
) -> Tensor | None:
    """Move the state (B, G, N, D) over all tokens, in place; return y unless c is none."""
    decay = torch.empty_like(state)
    outputs = []
    readouts = [None] * dt.shape[1] if c is None else _rows(c)
    for dt_t, du_t, b_t, c_t in zip(_rows(dt), _rows(du), _columns(b), readouts, strict=True):
        _decay(dt_t, a, out=decay)
        state.mul_(decay).addcmul_(b_t, du_t)
        if c_t is not None:
            outputs.append(torch.matmul(c_t, state).squeeze(2))
    return torch.stack(outputs, dim=1) if outputs else None


def _decay(dt: Tensor, a: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Return exp(dt A); `a` is A / ln 2, for 2^x is several times faster than e^x on a CPU."""
    out = torch.mul(dt, a, out=out)
    if _is_exporting():
        return out.mul_(math.log(2)).exp_()  # ONNX has no 2^x of its own
    return out.exp2_()


def _rows(x: Tensor) -> tuple[Tensor, ...]:
    """Cut (B, L, G, D) into tokens (B, G, 1, D)."""
    return x.unsqueeze(3).unbind(1)


def _columns(x: Tensor) -> tuple[Tensor, ...]:
    """Cut (B, L, G, N) into tokens (B, G, N, 1)."""
    return x.unsqueeze(4).unbind(1)


def _to_chunks(x: Tensor, chunk: int) -> Tensor:
    """Cut (B, L, G, D) to (B * chunks, chunk, G, D); zeros at the end leave the state alone."""
    missing = -x.shape[1] % chunk
    padded = torch.nn.functional.pad(x, (0, 0, 0, 0, 0, missing))
    return padded.unflatten(1, (-1, chunk)).flatten(0, 1)


def _chunk_decay(dt: Tensor, a: Tensor, batch: int) -> Tensor:
    """Return the decay of the state over each whole chunk (B, chunks, G, N, D)."""
    return _decay(dt.sum(dim=1).unsqueeze(2), a).unflatten(0, (batch, -1))


def _carry(ends: Tensor, decay: Tensor) -> Tensor:
    """Turn each chunk's end (B, chunks, ...), reached from zero, into its true start."""
    starts = [torch.zeros_like(ends[:, 0])]
    for i in range(ends.shape[1] - 1):
        starts.append(decay[:, i] * starts[i] + ends[:, i])
    return torch.stack(starts, dim=1)


# --- its backward pass ---


def _backward(
    dy: Tensor,
    starts: Tensor,
    dt: Tensor,
    du: Tensor,
    a: Tensor,
    b: Tensor,
    c: Tensor,
    *,
    plan: _Plan,
) -> tuple[Tensor, ...]:
    """Return the gradients of dt, du, a, b and c."""
    a = a.contiguous() / math.log(2)
    run = _backward_together if plan.together else _backward_in_turn
    parts = []
    grad_a = torch.zeros_like(a)
    for slices in zip(*(x.split(plan.images) for x in (starts, dt, du, b, c, dy)), strict=True):
        *grads, grad = run(*slices, a=a, chunk=plan.chunk)
        parts.append(grads)
        grad_a += grad.sum(dim=0)
    grad_dt, grad_du, grad_b, grad_c = (torch.cat(x) for x in zip(*parts, strict=True))
    return grad_dt.mul_(math.log(2)), grad_du, grad_a, grad_b, grad_c


def _backward_in_turn(
    starts: Tensor,
    dt: Tensor,
    du: Tensor,
    b: Tensor,
    c: Tensor,
    dy: Tensor,
    *,
    a: Tensor,
    chunk: int,
) -> list[Tensor]:
    grads = [torch.empty_like(x, memory_format=torch.contiguous_format) for x in (dt, du, b, c)]
    grad_state, grad_a = dt.new_zeros(2, dt.shape[0], *a.shape)
    work = _workspace(grad_state, chunk)
    inputs = [x.split(chunk, dim=1) for x in (dt, du, b, c, dy)]
    outputs = [x.split(chunk, dim=1) for x in grads]
    for i in reversed(range(starts.shape[1])):
        pieces, into = [x[i] for x in inputs], [x[i] for x in outputs]
        _retreat(grad_state, starts[:, i], *pieces, a=a, grad_a=grad_a, into=into, work=work)
    return [*grads, grad_a]


def _backward_together(
    starts: Tensor,
    dt: Tensor,
    du: Tensor,
    b: Tensor,
    c: Tensor,
    dy: Tensor,
    *,
    a: Tensor,
    chunk: int,
) -> list[Tensor]:
    batch, length = dt.shape[:2]
    dt, du, b, c, dy = (_to_chunks(x, chunk) for x in (dt, du, b, c, dy))
    # The gradient of the state obeys the same recurrence, backwards: from zero, then in earnest.
    from_right = _gradient_ends(dt, c, dy, a).unflatten(0, (batch, -1))
    decay = _chunk_decay(dt, a, batch)
    grad_state = _carry(from_right.flip(1), decay.flip(1)).flip(1).flatten(0, 1)
    grads = [torch.empty_like(x) for x in (dt, du, b, c)]
    grad_a = torch.zeros_like(grad_state)
    _retreat(
        grad_state,
        starts.flatten(0, 1),
        *(dt, du, b, c, dy),
        a=a,
        grad_a=grad_a,
        into=grads,
        work=_workspace(grad_state, chunk),
    )
    joined = [x.unflatten(0, (batch, -1)).flatten(1, 2)[:, :length] for x in grads]
    return [*joined, grad_a]


def _gradient_ends(dt: Tensor, c: Tensor, dy: Tensor, a: Tensor) -> Tensor:
    """Return the gradient of each chunk's start, as if nothing followed the chunk."""
    grad = dt.new_zeros(dt.shape[0], *a.shape)
    decay = torch.empty_like(grad)
    for dt_t, c_t, dy_t in reversed(list(zip(_rows(dt), _columns(c), _rows(dy), strict=True))):
        grad.addcmul_(c_t, dy_t).mul_(_decay(dt_t, a, out=decay))
    return grad


def _workspace(state: Tensor, chunk: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return room for the states and decays of a chunk, and for one product."""
    states, decays = state.new_empty(chunk + 1, *state.shape), state.new_empty(chunk, *state.shape)
    return states, decays, torch.empty_like(state)


def _retreat(
    grad: Tensor,
    start: Tensor,
    dt: Tensor,
    du: Tensor,
    b: Tensor,
    c: Tensor,
    dy: Tensor,
    *,
    a: Tensor,
    grad_a: Tensor,
    into: list[Tensor],
    work: tuple[Tensor, Tensor, Tensor],
) -> None:
    """Move the gradient of the state (B, G, N, D) back over all tokens, in place.

    Writes the gradients of dt, du, b and c to `into` and adds that of a, image by image, to
    `grad_a`.
    """
    states, decays, product = work
    grad_dt, grad_du, grad_b, grad_c = (x.unbind(1) for x in into)
    dt, du, dy, b, c = _rows(dt), _rows(du), _rows(dy), _columns(b), _columns(c)
    states[0] = start
    for t in range(len(dt)):
        _decay(dt[t], a, out=decays[t])
        torch.mul(decays[t], states[t], out=states[t + 1])
        states[t + 1].addcmul_(b[t], du[t])
        # Sums of products are faster here than the matrix-vector products that they are.
        torch.sum(torch.mul(states[t + 1], dy[t], out=product), dim=3, out=grad_c[t])
    for t in reversed(range(len(dt))):
        grad.addcmul_(c[t], dy[t])
        torch.sum(torch.mul(grad, du[t], out=product), dim=3, out=grad_b[t])
        grad_du[t].copy_(torch.matmul(b[t].transpose(2, 3), grad).squeeze(2))
        grad.mul_(decays[t])
        torch.mul(grad, states[t], out=product)  # gradient of dt_t A
        grad_a.addcmul_(product, dt[t])
        torch.sum(product.mul_(a), dim=2, out=grad_dt[t])
