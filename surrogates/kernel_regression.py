"""Sums of stationary kernels and their derivatives, point by point.

    y(x) = B x + Σ_i α_i [k(x, x_i) − k(x, 0) k(0, x_i)],  k = κ(r),  r² = Σ_d (x_d − x_{i,d})² / ℓ_d²

with κ(r) = exp(−r²/2) (`rbf`) or (1 + √5 r + 5r²/3) exp(−√5 r) (`matern52`). Both have dκ = −s(r) r dr with a smooth
s, so that dk/dx_d = −s (x_d − x_{i,d}) / ℓ_d²: no division by r. What a point gets does not depend on its neighbours.
"""

from typing import NamedTuple

import numpy as np
from numba import types

from materials.compilation import jit, kernel
from materials.measures import FloatArray

KERNELS = ("rbf", "matern52")

_SQRT5 = float(np.sqrt(5.0))
_VECTOR = types.float64[::1]
_MATRIX = types.float64[:, ::1]


class KernelSum(NamedTuple):
    """The sum as the compiled pass takes it; lengths, slopes and weights in the units of inputs and outputs."""

    matern: bool
    length: FloatArray
    """ℓ, (m,)."""
    slope: FloatArray
    """B, (o, m)."""
    centres: FloatArray
    """x_i, and the origin as the last, (c, m)."""
    weights: FloatArray
    """α, and −Σ α_i k(0, x_i) for the origin, (c, o)."""
    offset: FloatArray
    """What rounding leaves of y(0), which is subtracted, (o,)."""


def kernel_sum(name: str, length: FloatArray, slope: FloatArray, centres: FloatArray, weights: FloatArray) -> KernelSum:
    """Join the parts; `centres` (c, m) and `weights` (c, o) without the origin."""
    at_origin, _ = correlation(name, length, np.zeros((1, len(length))), centres)
    packed = KernelSum(
        name == "matern52",
        np.ascontiguousarray(length),
        np.ascontiguousarray(slope),
        np.vstack([centres, np.zeros(len(length))]),
        np.vstack([weights, -at_origin @ weights]),
        np.zeros(len(slope)),
    )
    at_rest, _ = evaluate(packed, np.zeros((1, len(length))))
    return packed._replace(offset=at_rest[0])


def evaluate(packed: KernelSum, inputs: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Outputs (n, o) and Jacobian (n, o, m) at `inputs` (n, m)."""
    outputs = np.empty((len(inputs), len(packed.slope)))
    jacobian = np.empty((*outputs.shape, inputs.shape[1]))
    kernel_points(*packed, np.ascontiguousarray(inputs, dtype=np.float64), outputs, jacobian)
    return outputs, jacobian


def correlation(name: str, length: FloatArray, left: FloatArray, right: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Values of k and s, see the module, each (a, b), between `left` (a, m) and `right` (b, m)."""
    square = np.zeros((len(left), len(right)))
    for d, scale in enumerate(length):
        square += np.square((left[:, d, None] - right[None, :, d]) / scale)
    if name == "rbf":
        value = np.exp(-0.5 * square)
        return value, value
    r = _SQRT5 * np.sqrt(square)
    decay = np.exp(-r)
    return (1.0 + r + r * r / 3.0) * decay, 5.0 / 3.0 * (1.0 + r) * decay


@jit
def _value_and_slope(matern: bool, square: float) -> tuple[float, float]:
    """κ and s at r²."""
    if not matern:
        value = np.exp(-0.5 * square)
        return value, value
    r = _SQRT5 * np.sqrt(square)
    decay = np.exp(-r)
    return (1.0 + r + r * r / 3.0) * decay, 5.0 / 3.0 * (1.0 + r) * decay


@kernel(
    types.void(
        types.boolean,
        _VECTOR,
        _MATRIX,
        _MATRIX,
        _MATRIX,
        _VECTOR,
        _MATRIX,
        _MATRIX,
        types.float64[:, :, ::1],
    )
)
def kernel_points(
    matern: bool,
    length: FloatArray,
    slope: FloatArray,
    centres: FloatArray,
    weights: FloatArray,
    offset: FloatArray,
    inputs: FloatArray,
    outputs: FloatArray,
    jacobian: FloatArray,
) -> None:
    """Write outputs (n, o) and Jacobian (n, o, m) at `inputs` (n, m)."""
    n, m = inputs.shape
    o = slope.shape[0]
    scaled = np.empty(m)
    for p in range(n):
        for a in range(o):
            outputs[p, a] = 0.0
            for d in range(m):
                jacobian[p, a, d] = 0.0
        for i in range(centres.shape[0]):
            square = 0.0
            for d in range(m):
                difference = (inputs[p, d] - centres[i, d]) / length[d]
                square += difference * difference
                scaled[d] = difference / length[d]
            value, factor = _value_and_slope(matern, square)
            for a in range(o):
                outputs[p, a] += weights[i, a] * value
                for d in range(m):
                    jacobian[p, a, d] -= weights[i, a] * factor * scaled[d]
        for a in range(o):
            outputs[p, a] -= offset[a]
            for d in range(m):
                outputs[p, a] += slope[a, d] * inputs[p, d]
                jacobian[p, a, d] += slope[a, d]
