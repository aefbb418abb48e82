"""Energy, stress and stiffness of an energy network in one pass over blocks of points.

    W(s) = N(z(s)) − α (J − 1) − N(0) − S₀·s  +  ½ s·C s  +  γ (J + 1/J − 2)²,     J² = det(I + 2E)

with z the invariants of the strain s (polynomials that vanish at rest and, if the network asks for it, last J − 1), N a
softplus network, S₀ the stress of the first two terms at rest, C a stiffness of the symmetry group; the terms of J are
for finite strain only (growth: Linden et al. 2023, eq. 33). So W and the stress vanish at rest.

Derivatives are carried forward through the layers as the Jacobian Y_l of the pre-activations with respect to z; one
sweep back gives the adjoints λ_l, and with them

    ∂N/∂z = W₁ᵀ (λ₁ σ'₁),      ∂²N/∂z² = Σ_l Y_lᵀ diag(λ_l σ''_l) Y_l .

Every quantity is held at LANES points (`surrogates/lanes.py`).
"""

from typing import NamedTuple

import numpy as np
from numba import types
from numpy.typing import NDArray

from materials.compilation import jit, kernel
from materials.measures import FloatArray
from surrogates.lanes import (
    LANES,
    ROWS,
    add,
    add_weighted_gram,
    divide,
    fma,
    load,
    multiply,
    product,
    softplus,
    splat,
    square_root,
    store,
    subtract,
)
from surrogates.polynomials import FACTORS, PolynomialTable

_F = types.float64[::1]
_I = types.int64[::1]
_D = types.float64
_N = types.int64


class PackedEnergy(NamedTuple):
    """An energy network as the kernel takes it: scales part of the polynomials and weights, widths padded."""

    widths: NDArray[np.int64]
    """Number of invariants, then padded widths of the hidden layers."""
    weights: FloatArray
    """All weights in the order that the kernel reads them."""
    rest: FloatArray
    """N(0), then S₀, (1 + v,)."""
    stiffness: FloatArray
    """C, (v·v,)."""
    finite: int
    """1 if the last polynomial is det(I + 2E) − 1, for J."""
    volume_slope: float
    """α"""
    growth: float
    """γ"""
    coefficients: FloatArray
    """Of the invariants and, last, of det(I + 2E) − 1."""
    owners: NDArray[np.int64]
    variables: NDArray[np.int64]
    """(t·FACTORS,)"""
    exponents: NDArray[np.int64]
    """(t·FACTORS,)"""


def pack(
    weights: list[FloatArray],
    biases: list[FloatArray],
    output: FloatArray,
    polynomials: PolynomialTable,
    stiffness: FloatArray,
    finite: bool,
    growth: float,
) -> PackedEnergy:
    """Put a network into the form of the kernel.

    Args:
        weights: of the hidden layers, (h_l, h_{l−1}).
        biases: of the hidden layers, (h_l,).
        output: weights of the energy, (h_L,).
        polynomials: the invariants as the network sees them, and last, if `finite`, det(I + 2E) − 1. The network has as
            many inputs, then J − 1 is the last one, or one less.
        stiffness: C, (v, v).
        finite: whether the energy depends on J.
        growth: γ.
    """
    m = weights[0].shape[1]
    parts, before = [], m
    for layer, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        full = _padded(weight, before)
        parts += [_panels(full), _padded(bias[:, None], 1).ravel()]
        if layer:
            parts.append(_panels(np.ascontiguousarray(full.T)))
        before = len(full)
    parts.append(_padded(output[:, None], 1).ravel())
    first = _padded(weights[0], m)
    parts.append(_panels(_padded(first.T, len(first))))
    pairs = [(c, d) for c in range(m) for d in range(c, m)]
    parts.append(_panels(_padded(np.array([first[:, c] * first[:, d] for c, d in pairs]), len(first))))
    widths = np.array([m, *(_up(len(bias)) for bias in biases)], dtype=np.int64)
    packed = PackedEnergy(
        widths,
        np.concatenate(parts),
        np.zeros(1 + polynomials.size),
        np.ascontiguousarray(stiffness, dtype=np.float64).ravel(),
        int(finite),
        0.0,
        float(growth),
        np.ascontiguousarray(polynomials.coefficients),
        polynomials.owners,
        polynomials.variables.ravel(),
        polynomials.exponents.ravel(),
    )
    return _at_peace(packed)


def without_volume_slope(packed: PackedEnergy, volume_slope: float) -> PackedEnergy:
    """The network with α (J − tr E − 1) taken away, which has no stress at rest."""
    return _at_peace(packed._replace(volume_slope=volume_slope))


def _at_peace(packed: PackedEnergy) -> PackedEnergy:
    """With N(0) and S₀ of what it holds."""
    bare = packed._replace(rest=np.zeros_like(packed.rest))
    energy, stress, _ = evaluate(bare, np.zeros((1, len(packed.rest) - 1)))
    return packed._replace(rest=np.concatenate([energy, stress[0]]))


def evaluate(packed: PackedEnergy, strain: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Energy (n,), stress (n, v) and stiffness (n, v, v) at packed strains (n, v)."""
    n, v = strain.shape
    energy, stress, stiffness = np.empty(n), np.empty((n, v)), np.empty((n, v, v))
    flat = np.ascontiguousarray(strain, dtype=np.float64).reshape(-1)
    energy_points(*packed, v, flat, energy, stress.reshape(-1), stiffness.reshape(-1))
    return energy, stress, stiffness


def _up(width: int) -> int:
    return -(-width // ROWS) * ROWS


def _padded(matrix: FloatArray, columns: int) -> FloatArray:
    """Rows up to a multiple of ROWS and the columns asked for, with zeros."""
    full = np.zeros((_up(len(matrix)), columns))
    full[: matrix.shape[0], : matrix.shape[1]] = matrix
    return full


def _panels(matrix: FloatArray) -> FloatArray:
    """Panels of ROWS rows, each column by column."""
    return np.ascontiguousarray(matrix.reshape(-1, ROWS, matrix.shape[1]).swapaxes(1, 2)).ravel()


@jit
def network(widths, weights, z, x, y, slopes, curvatures, adjoint, change, bend, gradient, hessian, pairs):  # type: ignore[no-untyped-def]
    """N, its gradient and the upper half of its Hessian at z; all but widths and weights hold vectors.

    Scratch: `x` (widest, m + 1) for activations and their Jacobian, `y` (layers, widest, m + 1) for pre-activations,
    `slopes`, `curvatures` (layers, widest) of the softplus, `adjoint`, `change`, `bend` (widest). Written: `gradient`
    (m, padded), `hessian` (m, m), with `pairs` as scratch for its first part. Returns N.
    """
    layers = widths.size - 1
    m = widths[0]
    line = (m + 1) * LANES
    widest = slopes.size // (layers * LANES)
    value = splat(0.0)

    position = 0
    for layer in range(layers):
        before, width = widths[layer], widths[layer + 1]
        here = layer * widest * LANES
        start = here * (m + 1)
        bias = position + width * before
        if layer == 0:
            product(weights, position, width, z, 0, m, 1, adjoint, 0)
        else:
            product(weights, position, width, x, 0, before, m + 1, y, start)
        output = bias + width if layer == 0 else bias + width + width * before
        for k in range(width):
            if layer == 0:
                argument = load(adjoint, k * LANES)
            else:
                argument = load(y, start + k * line)
            activation, slope, curvature = softplus(add(argument, splat(weights[bias + k])))
            store(slopes, here + k * LANES, slope)
            store(curvatures, here + k * LANES, curvature)
            if layer == layers - 1:
                value = fma(splat(weights[output + k]), activation, value)
            else:
                store(x, k * line, activation)
                panel = position + k // ROWS * ROWS * before + k % ROWS
                for c in range(m):
                    to = (c + 1) * LANES
                    if layer == 0:
                        derivative = splat(weights[panel + c * ROWS])
                    else:
                        derivative = load(y, start + k * line + to)
                    store(x, k * line + to, multiply(slope, derivative))
        position = output

    last = widths[layers]
    for k in range(last):
        store(adjoint, k * LANES, splat(weights[position + k]))
    tail = position + last
    for i in range(m * m):
        store(hessian, i * LANES, splat(0.0))
    for back in range(layers):
        layer = layers - 1 - back
        before, width = widths[layer], widths[layer + 1]
        here = layer * widest * LANES
        for k in range(width):
            sensitivity = load(adjoint, k * LANES)
            store(change, k * LANES, multiply(sensitivity, load(slopes, here + k * LANES)))
            store(bend, k * LANES, multiply(sensitivity, load(curvatures, here + k * LANES)))
        if layer > 0:
            add_weighted_gram(bend, 0, y, here * (m + 1) + LANES, line, width, m, hessian, 0)
            position -= width * before
            product(weights, position, before, change, 0, width, 1, adjoint, 0)
            position -= width * before + width

    width = widths[1]
    rows = (m + ROWS - 1) // ROWS * ROWS
    product(weights, tail, rows, change, 0, width, 1, gradient, 0)
    count = (m * (m + 1) // 2 + ROWS - 1) // ROWS * ROWS
    product(weights, tail + rows * width, count, bend, 0, width, 1, pairs, 0)
    pair = 0
    for c in range(m):
        for d in range(c, m):
            entry = add(load(hessian, (c * m + d) * LANES), load(pairs, pair * LANES))
            store(hessian, (c * m + d) * LANES, entry)
            store(hessian, (d * m + c) * LANES, entry)
            pair += 1
    return value


@jit
def _falling(powers, variable, exponent, order):  # type: ignore[no-untyped-def]
    """The derivative of x^e of an order up to 2, from the table of powers; zero where e is too small."""
    factor = 1.0
    for i in range(order):
        factor *= exponent - i
    index = max(exponent - order, 0)
    return multiply(splat(factor), load(powers, (variable * _POWERS + index) * LANES))


_POWERS = 8
"""Powers kept of each variable, from the zeroth."""


@kernel(types.void(_I, _F, _F, _F, _N, _D, _D, _F, _I, _I, _I, _N, _F, _F, _F, _F))
def energy_points(
    widths: NDArray[np.int64],
    weights: FloatArray,
    rest: FloatArray,
    stiffness: FloatArray,
    finite: int,
    volume_slope: float,
    growth: float,
    coefficients: FloatArray,
    owners: NDArray[np.int64],
    variables: NDArray[np.int64],
    exponents: NDArray[np.int64],
    v: int,
    strain: FloatArray,
    energies: FloatArray,
    stresses: FloatArray,
    tangents: FloatArray,
) -> None:
    """Write energy (n,), stress (n·v,) and stiffness (n·v·v,) of a `PackedEnergy` at strains (n·v,)."""
    layers = widths.size - 1
    m = widths[0]
    features = owners.max() + 1  # m, or one more with J
    volume = features - 1
    widest = widths[1:].max()
    n = energies.size
    x = np.empty(widest * (m + 1) * LANES)
    y = np.empty(layers * widest * (m + 1) * LANES)
    slopes = np.empty(layers * widest * LANES)
    curvatures = np.empty(layers * widest * LANES)
    adjoint = np.empty(widest * LANES)
    change = np.empty(widest * LANES)
    bend = np.empty(widest * LANES)
    pairs = np.empty((m * (m + 1) // 2 + ROWS) * LANES)
    hessian = np.empty(m * m * LANES)
    gradient = np.empty((features + ROWS) * LANES)
    z = np.empty(features * LANES)
    dz = np.empty(features * v * LANES)
    s = np.empty(v * LANES)
    powers = np.empty(v * _POWERS * LANES)
    rows = np.empty(m * v * LANES)
    stress = np.empty(v * LANES)
    tangent = np.empty(v * v * LANES)
    energy = np.empty(LANES)
    for start in range(0, n, LANES):
        filled = min(LANES, n - start)
        for p in range(LANES):
            point = start + min(p, filled - 1)
            for i in range(v):
                s[i * LANES + p] = strain[point * v + i]

        # invariants and their first derivatives
        for i in range(v):
            power = splat(1.0)
            component = load(s, i * LANES)
            for e in range(_POWERS):
                store(powers, (i * _POWERS + e) * LANES, power)
                power = multiply(power, component)
        for k in range(features):
            store(z, k * LANES, splat(0.0))
        for k in range(features * v):
            store(dz, k * LANES, splat(0.0))
        for t in range(owners.size):
            k = owners[t]
            f = t * FACTORS
            a = _falling(powers, variables[f], exponents[f], 0)
            b = _falling(powers, variables[f + 1], exponents[f + 1], 0)
            c = _falling(powers, variables[f + 2], exponents[f + 2], 0)
            factor = splat(coefficients[t])
            store(z, k * LANES, fma(multiply(factor, a), multiply(b, c), load(z, k * LANES)))
            for i in range(FACTORS):
                if exponents[f + i] > 0:
                    others = multiply(b, c) if i == 0 else (multiply(a, c) if i == 1 else multiply(a, b))
                    slope = multiply(factor, _falling(powers, variables[f + i], exponents[f + i], 1))
                    to = (k * v + variables[f + i]) * LANES
                    store(dz, to, fma(slope, others, load(dz, to)))

        if finite:  # det(I + 2E) − 1 becomes J − 1
            determinant = load(z, volume * LANES)
            jacobian = square_root(add(determinant, splat(1.0)))
            store(z, volume * LANES, divide(determinant, add(jacobian, splat(1.0))))
            scale = divide(splat(0.5), jacobian)
            for i in range(v):
                to = (volume * v + i) * LANES
                store(dz, to, multiply(scale, load(dz, to)))

        # energy as a function of the invariants
        value = network(widths, weights, z, x, y, slopes, curvatures, adjoint, change, bend, gradient, hessian, pairs)

        # chain rule to the strain, and the quadratic part
        for k in range(m):
            for j in range(v):
                total = splat(0.0)
                for o in range(m):
                    total = fma(load(hessian, (k * m + o) * LANES), load(dz, (o * v + j) * LANES), total)
                store(rows, (k * v + j) * LANES, total)
        for i in range(v):
            total = splat(0.0)
            for j in range(v):
                total = fma(splat(stiffness[i * v + j]), load(s, j * LANES), total)
            value = fma(multiply(splat(0.5), total), load(s, i * LANES), value)
            for k in range(m):
                total = fma(load(gradient, k * LANES), load(dz, (k * v + i) * LANES), total)
            store(stress, i * LANES, total)
            for j in range(i, v):
                total = splat(stiffness[i * v + j])
                for k in range(m):
                    total = fma(load(dz, (k * v + i) * LANES), load(rows, (k * v + j) * LANES), total)
                store(tangent, (i * v + j) * LANES, total)

        if finite:  # −α (J − 1) + γ h², h = (J − 1)²/J
            beyond = load(z, volume * LANES)
            jacobian = add(beyond, splat(1.0))
            inverse = divide(splat(1.0), jacobian)
            ratio = multiply(beyond, inverse)
            h = multiply(beyond, ratio)
            dh = multiply(ratio, add(splat(1.0), inverse))
            d2h = multiply(splat(2.0), multiply(inverse, multiply(inverse, inverse)))
            value = fma(splat(growth), multiply(h, h), fma(splat(-volume_slope), beyond, value))
            twice = splat(2.0 * growth)
            slope = fma(twice, multiply(h, dh), splat(-volume_slope))
            whole = slope
            if m == features:
                whole = add(slope, load(gradient, volume * LANES))
            # J'' = (det C)''/(2J) − J' J'/J
            bending = fma(splat(-1.0), multiply(whole, inverse), multiply(twice, fma(dh, dh, multiply(h, d2h))))
            store(gradient, volume * LANES, multiply(whole, multiply(splat(0.5), inverse)))
            for i in range(v):
                derivative = load(dz, (volume * v + i) * LANES)
                store(stress, i * LANES, fma(slope, derivative, load(stress, i * LANES)))
                weighted = multiply(bending, derivative)
                for j in range(i, v):
                    to = (i * v + j) * LANES
                    store(tangent, to, fma(weighted, load(dz, (volume * v + j) * LANES), load(tangent, to)))

        value = subtract(value, splat(rest[0]))
        for i in range(v):
            at_rest = splat(rest[1 + i])
            value = subtract(value, multiply(at_rest, load(s, i * LANES)))
            store(stress, i * LANES, subtract(load(stress, i * LANES), at_rest))

        # second derivatives of the invariants
        for t in range(owners.size):
            f = t * FACTORS
            factor = multiply(splat(coefficients[t]), load(gradient, owners[t] * LANES))
            for i in range(FACTORS):
                if exponents[f + i] == 0:
                    continue
                for j in range(i, FACTORS):
                    if exponents[f + j] == 0 or (i == j and exponents[f + i] < 2):
                        continue
                    entry = factor
                    for o in range(FACTORS):
                        if exponents[f + o] > 0:
                            order = (o == i) + (o == j)
                            entry = multiply(entry, _falling(powers, variables[f + o], exponents[f + o], order))
                    low = min(variables[f + i], variables[f + j])
                    high = max(variables[f + i], variables[f + j])
                    to = (low * v + high) * LANES
                    store(tangent, to, add(load(tangent, to), entry))

        store(energy, 0, value)
        for p in range(filled):
            point = start + p
            energies[point] = energy[p]
            for i in range(v):
                stresses[point * v + i] = stress[i * LANES + p]
                for j in range(i, v):
                    entry_at = tangent[(i * v + j) * LANES + p]
                    tangents[(point * v + i) * v + j] = entry_at
                    tangents[(point * v + j) * v + i] = entry_at
