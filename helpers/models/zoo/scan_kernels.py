"""The selective scan as compiled loops, for processors: numba makes machine code of this file.

Imported by `selective_scan` when the first scan runs, and by nothing else: importing numba takes
half a second, compiling (`compilation`) some seconds.

One task is a few images in one group. Its channels are taken in blocks: the states of a block, and
in the backward pass those of a chunk of tokens, stay in the core's own cache, and the innermost
loop runs over channels, which lie side by side, so that it becomes vector instructions. Before the
tokens of a block are visited in their order, they are read once as they lie in memory, which the
processor foresees: rows that lie apart are then near. No task reads what another writes, and what
tasks share is added up afterwards in the order of the images: the result does not depend on the
number of threads, to the bit.

Arrays are C-contiguous, groups first: u (1 or G, B, L, D), dt, y (G, B, L, D), a (G, N, D), b, c
(G, B, L, N), d, bias (G, D), order (G, L), starts (G, B, chunks - 1, N, D), since in front of the
first chunk all states are zero. Without a bias dt are the step sizes, with one softplus(dt + bias)
are.
"""

import math

import llvmlite.ir
import numba
import numpy as np
from numba.extending import intrinsic, overload

from helpers.models.zoo.compilation import share_out

# Channels of a block: with 16 states and 16 tokens half a megabyte in float32.
_BLOCK = 192
# Images of a task, which share what is made of a group's rates.
_IMAGES = 4


def forward(u, dt, a, b, c, d, bias, order, *, chunk: int) -> tuple[np.ndarray, ...]:
    """Return y and the state in front of each chunk of tokens but the first."""
    groups, batch, length, _ = dt.shape
    y = np.empty_like(dt)
    starts = np.empty((groups, batch, -(-length // chunk) - 1, *a.shape[1:]), dt.dtype)
    steps = (False, d) if bias is None else (True, bias)
    arguments = (u, dt, a, b, c, d, *steps, order, chunk, y, starts)
    share_out(_forward, arguments, tasks=groups * _parts(batch), steps=dt.size * a.shape[1])
    return y, starts


def backward(dy, starts, u, dt, a, b, c, d, bias, order, *, chunk: int) -> tuple[np.ndarray, ...]:
    """Return the gradients of u, dt, a, b, c, d and bias; dy (1 or G, B, L, D).

    Those of a, d and bias are of the images of each task, (G, tasks, N, D) and (G, tasks, D); that
    of u is of each group, of the shape of dt. Without a bias its gradient is that of dt, added over
    the tokens.
    """
    groups, batch, _, channels = dt.shape
    of_task = (groups, _parts(batch), channels)
    shapes = (dt.shape, dt.shape, (*of_task[:2], *a.shape[1:]), b.shape, c.shape)
    gradients = [np.empty(shape, dt.dtype) for shape in (*shapes, of_task, of_task)]
    steps = (False, d) if bias is None else (True, bias)
    arguments = (u, dt, a, b, c, d, *steps, order, chunk, dy, starts, *gradients)
    share_out(_backward, arguments, tasks=groups * _parts(batch), steps=dt.size * a.shape[1])
    return tuple(gradients)


def _parts(batch: int) -> int:
    """Return how many tasks the images of a group are."""
    return -(-batch // _IMAGES)


# --- arithmetic ---


def _interpolate(function, degree: int, *, centre: float) -> np.ndarray:
    """Return a polynomial's coefficients, by Chebyshev nodes within 0.5 of the centre."""
    nodes = centre + 0.5 * np.cos(np.pi * (np.arange(degree + 1) + 0.5) / (degree + 1))
    return np.linalg.solve(np.vander(nodes, increasing=True), function(nodes)).astype(np.float32)


# 2^f = 1 + f P(f) on [-0.5, 0.5]. The error vanishes with f: the decays of slow states, close to 1,
# are multiplied over a whole sequence.
_P0, _P1, _P2, _P3, _P4, _P5 = _interpolate(lambda f: np.expm1(f * math.log(2)) / f, 5, centre=0)
# log(1 + z) = z Q(z) on [0, 1].
_Q0, _Q1, _Q2, _Q3, _Q4, _Q5, _Q6, _Q7, _Q8, _Q9 = _interpolate(
    lambda z: np.log1p(z) / z, 9, centre=0.5
)
_LOWEST, _HIGHEST = np.float32(-127), np.float32(128)  # the exponents of zero and infinity
# Added to a number, it leaves it rounded to the nearest integer, plus 127, in the last bits.
_ROUND = np.float32(1.5 * 2**23 + 127)
_ONE = np.float32(1)


@intrinsic
def _power_of_last_bits(context, rounded):
    """Return the float32 whose exponent bits are the last bits of one: 2^(last bits - 127)."""

    def generate(_, builder, signature, arguments):
        integer = llvmlite.ir.IntType(32)
        bits = builder.bitcast(arguments[0], integer)
        bits = builder.shl(bits, llvmlite.ir.Constant(integer, 23))
        return builder.bitcast(bits, llvmlite.ir.FloatType())

    return numba.types.float32(numba.types.float32), generate


def _exp2(x: float) -> float:
    """Return 2^x."""
    return 2.0**x


@overload(_exp2, jit_options={"fastmath": {"contract"}})
def _compiled_exp2(x):
    if x != numba.types.float32:
        return lambda x: math.exp(x * math.log(2))

    # Written out because a call of the library's function for each number cannot be vectorised.
    # Below 2^-126.5 it is zero, where float32 still has a few numbers of less precision.
    def exp2(x):
        inside = _LOWEST if x < _LOWEST else x  # NaN stays NaN
        inside = _HIGHEST if inside > _HIGHEST else inside
        rounded = inside + _ROUND
        f = inside - (rounded - _ROUND)
        power = ((((_P5 * f + _P4) * f + _P3) * f + _P2) * f + _P1) * f + _P0
        return (power * f + _ONE) * _power_of_last_bits(rounded)

    return exp2


def _log1p(z: float) -> float:
    """Return log(1 + z) for z from 0 to 1."""
    return math.log1p(z)


@overload(_log1p, jit_options={"fastmath": {"contract"}})
def _compiled_log1p(z):
    if z != numba.types.float32:
        return lambda z: math.log1p(z)

    def log1p(z):
        high = ((((_Q9 * z + _Q8) * z + _Q7) * z + _Q6) * z + _Q5) * z + _Q4
        return ((((high * z + _Q3) * z + _Q2) * z + _Q1) * z + _Q0) * z

    return log1p


@numba.njit(fastmath={"contract", "reassoc", "nsz"})
def _add(total, x):
    """Add a term of a sum over channels, which may be added up in any order: lane by lane."""
    return total + x


# --- kernels ---


def _forward(u, dt, a, b, c, d, soft, bias, order, chunk, y, starts, first, last):
    _, batch, length, channels = dt.shape
    states, dtype = a.shape[1], dt.dtype
    zero, per_log = dtype.type(0), dtype.type(1 / math.log(2))
    parts = -(-batch // _IMAGES)
    # Each in memory of its own: the compiler proves that they do not overlap, or gives up vectors.
    # It gives up also where an index could be negative (`left + j`): so blocks of rows are slices.
    state = np.empty((states, _BLOCK), dtype)
    rates = np.empty((states, _BLOCK), dtype)
    steps = np.empty((length, _BLOCK), dtype)
    inputs = np.empty(_BLOCK, dtype)
    outputs = np.empty(_BLOCK, dtype)
    for task in range(first, last):
        g, part = task // parts, task % parts
        g_u = g if u.shape[0] > 1 else 0
        for left in range(0, channels, _BLOCK):
            width = min(_BLOCK, channels - left)
            block = slice(left, left + width)
            direct, shift = d[g, block], bias[g, block]
            for n in range(states):
                given = a[g, n, block]
                for j in range(width):
                    rates[n, j] = given[j] * per_log
            for i in range(part * _IMAGES, min((part + 1) * _IMAGES, batch)):
                for n in range(states):
                    for j in range(width):
                        state[n, j] = 0
                for p in range(length):
                    before, row, result = dt[g, i, p, block], u[g_u, i, p, block], y[g, i, p, block]
                    if soft:
                        for j in range(width):
                            x = before[j] + shift[j]
                            z = _exp2(-per_log * abs(x))
                            steps[p, j] = (x if x > zero else zero) + _log1p(z)
                    else:
                        for j in range(width):
                            steps[p, j] = before[j]
                    for j in range(width):
                        result[j] = direct[j] * row[j]
                for t in range(length):
                    if t % chunk == 0 and t > 0:
                        for n in range(states):
                            start = starts[g, i, t // chunk - 1, n, block]
                            for j in range(width):
                                start[j] = state[n, j]
                    p = order[g, t]
                    row, result = u[g_u, i, p, block], y[g, i, p, block]
                    for j in range(width):
                        inputs[j] = steps[p, j] * row[j]
                        outputs[j] = result[j]
                    for n in range(states):
                        b_n, c_n = b[g, i, p, n], c[g, i, p, n]
                        for j in range(width):
                            h = _exp2(steps[p, j] * rates[n, j]) * state[n, j] + b_n * inputs[j]
                            state[n, j] = h
                            outputs[j] += c_n * h
                    for j in range(width):
                        result[j] = outputs[j]


def _backward(
    u,
    dt,
    a,
    b,
    c,
    d,
    soft,
    bias,
    order,
    chunk,
    dy,
    starts,
    grad_u,
    grad_dt,
    grad_a,
    grad_b,
    grad_c,
    grad_d,
    grad_bias,
    first,
    last,
):
    _, batch, length, channels = dt.shape
    states, dtype = a.shape[1], dt.dtype
    zero, one = dtype.type(0), dtype.type(1)
    log, per_log = dtype.type(math.log(2)), dtype.type(1 / math.log(2))
    parts, chunks = -(-batch // _IMAGES), -(-length // chunk)
    history = np.empty((chunk + 1, states, _BLOCK), dtype)  # the states of a chunk
    decays = np.empty((chunk, states, _BLOCK), dtype)
    rates = np.empty((states, _BLOCK), dtype)
    grad_state = np.empty((states, _BLOCK), dtype)
    grad_rates = np.empty((states, _BLOCK), dtype)
    steps = np.empty((length, _BLOCK), dtype)
    inputs = np.empty((chunk, _BLOCK), dtype)
    grad_outputs = np.empty((chunk, _BLOCK), dtype)
    grad_steps = np.empty(_BLOCK, dtype)
    grad_inputs = np.empty(_BLOCK, dtype)
    grad_direct = np.empty(_BLOCK, dtype)
    grad_shift = np.empty(_BLOCK, dtype)
    for task in range(first, last):
        g, part = task // parts, task % parts
        g_u = g if u.shape[0] > 1 else 0
        g_y = g if dy.shape[0] > 1 else 0
        images = range(part * _IMAGES, min((part + 1) * _IMAGES, batch))
        for i in images:
            for t in range(length):
                for n in range(states):
                    grad_b[g, i, t, n] = 0
                    grad_c[g, i, t, n] = 0
        for left in range(0, channels, _BLOCK):
            width = min(_BLOCK, channels - left)
            block = slice(left, left + width)
            direct, shift = d[g, block], bias[g, block]
            for n in range(states):
                given = a[g, n, block]
                for j in range(width):
                    rates[n, j] = given[j] * per_log
                    grad_rates[n, j] = 0
            for j in range(width):
                grad_direct[j] = 0
                grad_shift[j] = 0
            for i in images:
                for n in range(states):
                    for j in range(width):
                        grad_state[n, j] = 0
                for p in range(length):
                    before, slopes = dt[g, i, p, block], grad_dt[g, i, p, block]
                    if soft:
                        for j in range(width):
                            x = before[j] + shift[j]
                            z = _exp2(-per_log * abs(x))
                            steps[p, j] = (x if x > zero else zero) + _log1p(z)
                            slopes[j] = (one if x > zero else z) / (one + z)
                    else:
                        for j in range(width):
                            steps[p, j] = before[j]
                            slopes[j] = one
                    row, grad_y = u[g_u, i, p, block], dy[g_y, i, p, block]
                    grad_row = grad_u[g, i, p, block]
                    for j in range(width):
                        grad_row[j] = direct[j] * grad_y[j]
                        grad_direct[j] += row[j] * grad_y[j]
                for k in range(chunks - 1, -1, -1):
                    size = min(chunk, length - k * chunk)
                    for n in range(states):
                        if k == 0:
                            for j in range(width):
                                history[0, n, j] = 0
                        else:
                            start = starts[g, i, k - 1, n, block]
                            for j in range(width):
                                history[0, n, j] = start[j]
                    for t in range(size):  # once more as in the forward pass
                        p = order[g, k * chunk + t]
                        row, grad_y = u[g_u, i, p, block], dy[g_y, i, p, block]
                        for j in range(width):
                            inputs[t, j] = steps[p, j] * row[j]
                            grad_outputs[t, j] = grad_y[j]
                        for n in range(states):
                            b_n, total = b[g, i, p, n], zero
                            for j in range(width):
                                decay = _exp2(steps[p, j] * rates[n, j])
                                h = decay * history[t, n, j] + b_n * inputs[t, j]
                                decays[t, n, j] = decay
                                history[t + 1, n, j] = h
                                total = _add(total, h * grad_outputs[t, j])
                            grad_c[g, i, p, n] += total
                    for t in range(size - 1, -1, -1):
                        p = order[g, k * chunk + t]
                        for j in range(width):
                            grad_steps[j] = 0
                            grad_inputs[j] = 0
                        for n in range(states):
                            b_n, c_n, total = b[g, i, p, n], c[g, i, p, n], zero
                            for j in range(width):
                                grad_h = grad_state[n, j] + c_n * grad_outputs[t, j]
                                total = _add(total, grad_h * inputs[t, j])
                                grad_inputs[j] += b_n * grad_h
                                grad_h *= decays[t, n, j]
                                grad_state[n, j] = grad_h
                                grad_exponent = grad_h * history[t, n, j]  # of dt A
                                grad_rates[n, j] += grad_exponent * steps[p, j]
                                grad_steps[j] += grad_exponent * rates[n, j]
                            grad_b[g, i, p, n] += total
                        row, grad_row = u[g_u, i, p, block], grad_u[g, i, p, block]
                        slopes = grad_dt[g, i, p, block]  # until they are the gradient
                        for j in range(width):
                            grad_step = log * grad_steps[j] + row[j] * grad_inputs[j]
                            grad_step *= slopes[j]
                            slopes[j] = grad_step
                            grad_shift[j] += grad_step
                            grad_row[j] += steps[p, j] * grad_inputs[j]
            for n in range(states):
                of_rates = grad_a[g, part, n, block]
                for j in range(width):
                    of_rates[j] = grad_rates[n, j]
            grad_direct_of_task, grad_shift_of_task = (
                grad_d[g, part, block],
                grad_bias[g, part, block],
            )
            for j in range(width):
                grad_direct_of_task[j] = grad_direct[j]
                grad_shift_of_task[j] = grad_shift[j]
