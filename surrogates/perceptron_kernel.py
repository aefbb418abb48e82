"""A tanh network with a linear path beside it, and its Jacobian, in one pass over blocks of points.

    z₀ = x,  z_k = tanh(W_k z_{k−1} + b_k),  y = (W_L z_{L−1} − W_L z_{L−1}|ₓ₌₀) + W_s x

The Jacobian is carried forward with the values. The innermost loops run over a block of BLOCK points, with fixed
length, so that they vectorise, and so that what a point gets does not depend on its neighbours.
"""

from typing import NamedTuple

import numpy as np
from numba import types
from numpy.typing import NDArray

from materials.compilation import kernel
from materials.measures import FloatArray

BLOCK = 16
_MATRIX = types.float64[:, ::1]


class PackedPerceptron(NamedTuple):
    """A network as the kernel takes it: scales already part of the weights."""

    widths: NDArray[np.int64]
    """Of inputs, hidden layers and outputs."""
    weights: FloatArray
    """Per hidden layer W (row by row) then b; then W_L, then W_s; one vector."""
    offset: FloatArray
    """−W_L z_{L−1} at x = 0, so that the network vanishes there, to the last bit."""


def pack(
    weights: list[FloatArray], biases: list[FloatArray], skip: FloatArray, x_scale: FloatArray, y_scale: float
) -> PackedPerceptron:
    """Join L weights (the last without bias), L − 1 biases and the linear path; x is divided by its scale first."""
    first, *middle, last = weights
    scaled = [first / x_scale, *middle]
    parts = [part.ravel() for pair in zip(scaled, biases, strict=True) for part in pair]
    flat = np.concatenate([*parts, (y_scale * last).ravel(), (y_scale * skip / x_scale).ravel()])
    widths = np.array([first.shape[1], *(weight.shape[0] for weight in weights)], dtype=np.int64)
    packed = PackedPerceptron(widths, flat, np.zeros(last.shape[0]))
    at_rest, _ = evaluate(packed, np.zeros((1, widths[0])))
    return packed._replace(offset=-at_rest[0])


def evaluate(packed: PackedPerceptron, inputs: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Outputs (n, o) and Jacobian (n, o, m) at `inputs` (n, m)."""
    outputs = np.empty((len(inputs), int(packed.widths[-1])))
    jacobian = np.empty((*outputs.shape, inputs.shape[1]))
    perceptron_points(*packed, np.ascontiguousarray(inputs, dtype=np.float64), outputs, jacobian)
    return outputs, jacobian


@kernel(
    types.void(types.int64[::1], types.float64[::1], types.float64[::1], _MATRIX, _MATRIX, types.float64[:, :, ::1])
)
def perceptron_points(
    widths: NDArray[np.int64],
    weights: FloatArray,
    offset: FloatArray,
    inputs: FloatArray,
    outputs: FloatArray,
    jacobian: FloatArray,
) -> None:
    """Write outputs (n, o) and Jacobian (n, o, m) of a packed network at `inputs` (n, m)."""
    n, m = inputs.shape
    o = outputs.shape[1]
    widest = widths.max()
    # plane 0 holds the values, planes 1 to m the derivatives with respect to the inputs
    now = np.zeros((widest, m + 1, BLOCK))
    then = np.zeros((widest, m + 1, BLOCK))
    for start in range(0, n, BLOCK):
        filled = min(BLOCK, n - start)
        for i in range(m):
            for p in range(BLOCK):
                now[i, 0, p] = inputs[start + min(p, filled - 1), i]
            for j in range(m):
                for p in range(BLOCK):
                    now[i, j + 1, p] = 1.0 if i == j else 0.0
        position = 0
        for layer in range(1, widths.size - 1):
            before, width = widths[layer - 1], widths[layer]
            bias = position + width * before
            for k in range(width):
                row = position + k * before
                for j in range(m + 1):
                    for p in range(BLOCK):
                        then[k, j, p] = 0.0
                    for i in range(before):
                        w = weights[row + i]
                        for p in range(BLOCK):
                            then[k, j, p] += w * now[i, j, p]
                for p in range(BLOCK):
                    value = np.tanh(then[k, 0, p] + weights[bias + k])
                    then[k, 0, p] = value
                    slope = 1.0 - value * value
                    for j in range(1, m + 1):
                        then[k, j, p] *= slope
            position = bias + width
            now, then = then, now
        before = widths[widths.size - 2]
        linear = position + o * before
        for k in range(o):
            row = position + k * before
            for j in range(m + 1):
                for p in range(BLOCK):
                    then[k, j, p] = 0.0
                for i in range(before):
                    w = weights[row + i]
                    for p in range(BLOCK):
                        then[k, j, p] += w * now[i, j, p]
            for p in range(filled):
                value = then[k, 0, p] + offset[k]
                for i in range(m):
                    w = weights[linear + k * m + i]
                    value += w * inputs[start + p, i]
                    jacobian[start + p, k, i] = then[k, i + 1, p] + w
                outputs[start + p, k] = value
