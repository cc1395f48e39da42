"""Selective scan: the linear recurrence of Mamba, whose coefficients depend on the input.

Paper: Gu and Dao, "Mamba: Linear-time sequence modeling with selective state spaces",
arXiv 2312.00752, section 3. Written from the text; the authors' code (Apache-2.0) is a CUDA
kernel.

    h_t = exp(dt_t A) h_{t-1} + dt_t u_t B_t        y_t = C_t h_t + D u_t

How it is computed: on a processor by the compiled loops of `scan_kernels`. On a GPU, in an exported
graph and where numba is missing by the operations of PyTorch of `scan_reference`, which the loops
are tested against. In both a sequence of L tokens is cut into chunks, and the backward pass
recomputes a chunk's states from the one stored in front of it: no (batch, L, channels, states)
tensor outlives a chunk.
"""

import math
import warnings
from functools import cache
from types import ModuleType

import numpy as np
import torch
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

from helpers.models.zoo import scan_reference
from helpers.models.zoo.scan_reference import Plan, sum_to

# Elements of the state (images x groups x states x channels) that one step works on: about what
# a core's own cache holds. Below a quarter of it the chunks advance together.
_CPU_STEP = 2**19
# Tokens of a chunk in the compiled loops, at least: fewer only cost memory.
_KERNEL_CHUNK = 16
# On a GPU the states of a whole sequence are held for the backward pass, up to this many.
_GPU_SEQUENCE = 2**28

_Maybe = Tensor | None


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
    if torch.compiler.is_exporting():
        # Exported graphs are for inference and know no operator of ours.
        detached = (None if x is None else x.detach() for x in (u, dt, a, b, c, d, bias))
        return scan_reference.forward(*detached, order, plan=_plan(dt, a.shape[1]))[0]
    return _scan(u, dt, a, b, c, d, bias, order)[0]


def _check_shapes(u, dt, a, b, c, d, bias, order) -> None:
    if u.ndim != 4 or 0 in u.shape:
        raise ValueError(
            f"u must be (batch, L, groups, channels), not empty, got {tuple(u.shape)}."
        )
    batch, length, groups, channels = u.shape
    if groups == 1 and a.ndim == 3:
        groups = a.shape[0]
    if a.ndim != 3 or a.shape[:2] != (groups, channels) or 0 in a.shape:
        raise ValueError(
            f"a must be ({groups}, {channels}, states) for this u, got {tuple(a.shape)}."
        )
    expected = {
        "dt": (dt, (batch, length, groups, channels)),
        "b": (b, (batch, length, groups, a.shape[2])),
        "c": (c, (batch, length, groups, a.shape[2])),
        "d": (d, (groups, channels)),
        "bias": (bias, (groups, channels)),
        "order": (order, (groups, length)),
    }
    for name, (tensor, shape) in expected.items():
        if tensor is not None and tensor.shape != shape:
            found = tuple(tensor.shape)
            raise ValueError(f"{name} must be {shape} for this u and a, got {found}.")
    if order is not None and order.dtype != torch.int64:
        raise ValueError(f"order must be of places, int64, got {order.dtype}.")


# --- how a scan is cut ---


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


def _plan(dt: Tensor, states: int) -> Plan:
    batch, length, groups, channels = dt.shape
    state = groups * channels * states  # of one image
    chunk = math.isqrt(length - 1) + 1
    if torch.compiler.is_exporting():  # few steps, since each is a handful of graph nodes
        return Plan(images=-1, chunk=chunk, together=length > 1)
    if _has_kernels(dt):
        return Plan(batch, max(chunk, _KERNEL_CHUNK), together=False)
    if dt.device.type == "cpu":
        together = length > 1 and 4 * batch * state <= _CPU_STEP
        images = batch if together else max(1, _CPU_STEP // state)
    else:
        together = length > 1
        images = max(1, _GPU_SEQUENCE // (length * state))
    return Plan(min(images, batch), chunk, together)


# --- the operator; shapes as in `scan_reference` ---


@torch.library.custom_op("helpers::selective_scan", mutates_args=())
def _scan(
    u: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor, d: Tensor, bias: _Maybe, order: _Maybe
) -> tuple[Tensor, Tensor]:
    plan = _plan(dt, a.shape[1])
    if not _has_kernels(dt):
        with torch.autocast(dt.device.type, enabled=False):
            return scan_reference.forward(u, dt, a, b, c, d, bias, order, plan=plan)
    arrays = _arrays(u, dt, a, b, c, d, bias, _places(dt) if order is None else order)
    y, starts = _kernels().forward(*arrays, chunk=plan.chunk)
    return _tensor(y), _tensor(starts)


@_scan.register_fake
def _(u, dt, a, b, c, d, bias, order) -> tuple[Tensor, Tensor]:
    chunks = -(-dt.shape[1] // _plan(dt, a.shape[1]).chunk) - _has_kernels(dt)
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
    bias: _Maybe,
    order: _Maybe,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    plan = _plan(dt, a.shape[1])
    if not _has_kernels(dt):
        with torch.autocast(dt.device.type, enabled=False):
            return scan_reference.backward(dy, starts, u, dt, a, b, c, d, bias, order, plan=plan)
    arrays = _arrays(dy, starts, u, dt, a, b, c, d, bias, _places(dt) if order is None else order)
    *of_tokens, of_d, of_bias = _kernels().backward(*arrays, chunk=plan.chunk)
    of_u, of_dt, of_a, of_b, of_c = of_tokens
    # What tasks share is added in the order of their images, whatever the number of threads.
    of_a, of_d, of_bias = (torch.from_numpy(x).sum(dim=1) for x in (of_a, of_d, of_bias))
    of_u, of_dt, of_b, of_c = (_tensor(x) for x in (of_u, of_dt, of_b, of_c))
    return sum_to(of_u, u), of_dt, of_a, of_b, of_c, of_d, of_bias


@_scan_backward.register_fake
def _(dy, starts, u, dt, a, b, c, d, bias, order) -> tuple[Tensor, ...]:
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
    """Count four multiply-accumulates a token, channel and state, however the scan is cut.

    They are dt A, (dt u) B, decay times state plus input, C times state plus the sum so far. The
    exponential is not counted.
    """
    return 2 * 4 * math.prod(dt) * a[1]


@register_flop_formula(torch.ops.helpers.selective_scan_backward)
def _backward_flops(dy: torch.Size, starts: torch.Size, *args, **kwargs) -> int:
    return 2 * _flops(*args)  # as for products: twice the forward pass, recomputation aside
