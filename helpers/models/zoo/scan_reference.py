"""The selective scan by the operations of PyTorch: on a GPU, in an exported graph, without numba.

A chunk has about sqrt(L) tokens. Where one step alone is work enough, the chunks follow each other
and a step's state stays in the cache; where it is not (a GPU, a batch of few images), all chunks
advance together: once from zero to learn how each ends, then, with the true states in front, for
the result. The decay over a chunk is the exponential of a sum, never a quotient of products, so
nothing overflows.

Tensors: u (B, L, 1 or G, D), dt, du = dt u and dy (B, L, G, D), a (G, N, D), b, c (B, L, G, N), d
and bias (G, D), order (G, L), a state (B, G, N, D), starts (B, chunks, G, N, D), the states in
front of the chunks. Bias and order may be none.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Plan:
    """How a scan is cut."""

    images: int  # how many go through the scan at a time; -1 for all
    chunk: int  # tokens a chunk
    together: bool  # do all chunks advance at the same time?


def forward(u, dt, a, b, c, d, bias, order, *, plan: Plan) -> tuple[Tensor, Tensor]:
    """Return y (B, L, G, D) and the states in front of the chunks."""
    dt = dt if bias is None else functional.softplus(dt + bias)
    visited = [_visit(x, order).contiguous() for x in (dt, dt * u, b, c)]
    y, starts = _forward(*visited, a=a, plan=plan)
    return (_leave(y, order) + d * u).contiguous(), starts


def backward(dy, starts, u, dt, a, b, c, d, bias, order, *, plan: Plan) -> tuple[Tensor, ...]:
    """Return the gradients of u, dt, a, b, c, d and bias."""
    slope = 1 if bias is None else torch.sigmoid(dt + bias)
    dt = dt if bias is None else functional.softplus(dt + bias)
    visited = [_visit(x, order).contiguous() for x in (dt, dt * u, b, c, dy.expand_as(dt))]
    *of_tokens, of_a = _backward(starts, *visited, a=a, plan=plan)
    of_dt, of_du, of_b, of_c = (_leave(x, order) for x in of_tokens)
    of_u = sum_to(of_du * dt + d * dy, u)
    of_dt = (of_dt + of_du * u) * slope
    of_d = (dy * u).expand_as(dt).sum(dim=(0, 1))
    of_bias = of_dt.sum(dim=(0, 1))
    return tuple(x.contiguous() for x in (of_u, of_dt, of_a, of_b, of_c, of_d, of_bias))


def sum_to(grad: Tensor, u: Tensor) -> Tensor:
    """Add up the groups' gradients where all read the same."""
    return grad.sum(dim=2, keepdim=True) if u.shape[2] < grad.shape[2] else grad


def _visit(x: Tensor, order: Tensor | None) -> Tensor:
    """Put the tokens of (B, L, G, ...) in the order in which each group visits them."""
    if order is None:
        return x
    groups = zip(x.unbind(2), order.unbind(0), strict=True)
    return torch.stack([tokens.index_select(1, places) for tokens, places in groups], dim=2)


def _leave(x: Tensor, order: Tensor | None) -> Tensor:
    """Put tokens that were visited in an order back to their places."""
    return x if order is None else _visit(x, order.argsort(dim=1))


# --- the forward pass; `inputs` are dt, du, b and c ---


def _forward(*inputs: Tensor, a: Tensor, plan: Plan) -> tuple[Tensor, Tensor]:
    """Return y and the states in front of the chunks."""
    images = inputs[0].shape[0] if plan.images == -1 else plan.images
    a = a.contiguous() / math.log(2)
    run = _forward_together if plan.together else _forward_in_turn
    slices = zip(*(x.split(images) for x in inputs), strict=True)
    parts = [run(*some, a=a, chunk=plan.chunk) for some in slices]
    if len(parts) == 1:
        return parts[0]
    return tuple(torch.cat(outputs) for outputs in zip(*parts, strict=True))


def _forward_in_turn(*inputs: Tensor, a: Tensor, chunk: int) -> tuple[Tensor, Tensor]:
    state = a.new_zeros(inputs[0].shape[0], *a.shape)
    outputs, starts = [], []
    for pieces in zip(*(x.split(chunk, dim=1) for x in inputs), strict=True):
        starts.append(state.clone())
        outputs.append(_advance(state, *pieces, a=a))
    return torch.cat(outputs, dim=1), torch.stack(starts, dim=1)


def _forward_together(*inputs: Tensor, a: Tensor, chunk: int) -> tuple[Tensor, Tensor]:
    batch, length = inputs[0].shape[:2]
    pieces = [_to_chunks(x, chunk) for x in inputs]
    ends = a.new_zeros(pieces[0].shape[0], *a.shape)
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
    if torch.compiler.is_exporting():
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
    padded = functional.pad(x, (0, 0, 0, 0, 0, missing))
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


# --- the backward pass; `inputs` are dt, du, b, c and dy ---


def _backward(starts: Tensor, *inputs: Tensor, a: Tensor, plan: Plan) -> tuple[Tensor, ...]:
    """Return the gradients of dt, du, b, c and a."""
    a = a.contiguous() / math.log(2)
    run = _backward_together if plan.together else _backward_in_turn
    parts = []
    grad_a = torch.zeros_like(a)
    for slices in zip(*(x.split(plan.images) for x in (starts, *inputs)), strict=True):
        *grads, grad = run(*slices, a=a, chunk=plan.chunk)
        parts.append(grads)
        grad_a += grad.sum(dim=0)
    grad_dt, *others = (torch.cat(x) for x in zip(*parts, strict=True))
    return grad_dt.mul_(math.log(2)), *others, grad_a


def _backward_in_turn(starts: Tensor, *inputs: Tensor, a: Tensor, chunk: int) -> list[Tensor]:
    *read, _ = inputs
    grads = [torch.empty_like(x, memory_format=torch.contiguous_format) for x in read]
    grad_state, grad_a = a.new_zeros(2, starts.shape[0], *a.shape)
    work = _workspace(grad_state, chunk)
    chunks = [x.split(chunk, dim=1) for x in inputs]
    outputs = [x.split(chunk, dim=1) for x in grads]
    for i in reversed(range(starts.shape[1])):
        pieces, into = [x[i] for x in chunks], [x[i] for x in outputs]
        _retreat(grad_state, starts[:, i], *pieces, a=a, grad_a=grad_a, into=into, work=work)
    return [*grads, grad_a]


def _backward_together(starts: Tensor, *inputs: Tensor, a: Tensor, chunk: int) -> list[Tensor]:
    batch, length = inputs[0].shape[:2]
    dt, du, b, c, dy = pieces = [_to_chunks(x, chunk) for x in inputs]
    # The gradient of the state obeys the same recurrence, backwards: from zero, then in earnest.
    from_right = _gradient_ends(dt, c, dy, a).unflatten(0, (batch, -1))
    decay = _chunk_decay(dt, a, batch)
    grad_state = _carry(from_right.flip(1), decay.flip(1)).flip(1).flatten(0, 1)
    grads, grad_a = [torch.empty_like(x) for x in (dt, du, b, c)], torch.zeros_like(grad_state)
    work = _workspace(grad_state, chunk)
    starts = starts.flatten(0, 1)
    _retreat(grad_state, starts, *pieces, a=a, grad_a=grad_a, into=grads, work=work)
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
    *inputs: Tensor,
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
    dt, du, b, c, dy = inputs
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
