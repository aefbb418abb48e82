"""From F to an objective strain and back: E = ½(FᵀF − I), P = F S and the exact tangent dP/dF.

With E and S as Mandel vectors of m components and F, P packed row by row, there are constant symmetric matrices T_a
(g, g) with dE_a/dF = T_a F =: B_a. Then E_a = ½(F·T_a F − I·T_a I), P = Σ S_a B_a (work: P:dF = S:dE), and

    dP/dF = Σ_a S_a T_a  +  Bᵀ (dS/dE) B,

whose first part is the geometric one. A network S(E) makes a response that is objective whatever its weights are.
"""

import numpy as np
from numba import types

from materials.compilation import kernel
from materials.measures import SQRT2, FloatArray, Measure, Physics

_MATRIX = types.float64[:, ::1]
_CUBE = types.float64[:, :, ::1]


def strain_measure(measure: Measure) -> Measure:
    """The measure whose packing the network sees: Mandel strain for finite strain, the measure itself otherwise."""
    if measure.physics is Physics.FINITE_STRAIN:
        return Measure(Physics.SMALL_STRAIN, measure.dimension)
    return measure


def strain_matrices(dimension: int) -> FloatArray:
    """The matrices T, (m, g, g)."""
    pairs = Measure(Physics.SMALL_STRAIN, dimension).index_pairs
    matrices = np.zeros((len(pairs), dimension, dimension, dimension, dimension))
    for a, (m, n) in enumerate(pairs):
        weight = 0.5 * (1.0 if m == n else SQRT2)
        for k in range(dimension):  # dE_mn/dF_kl = ½ (δ_lm F_kn + δ_ln F_km)
            matrices[a, k, m, k, n] += weight
            matrices[a, k, n, k, m] += weight
    return matrices.reshape(len(pairs), dimension**2, dimension**2)


def objective_strain(measure: Measure, gradient: FloatArray) -> FloatArray:
    """What a network sees of `gradient` (n, g): E (n, m) at finite strain, otherwise the gradient itself."""
    if measure.physics is not Physics.FINITE_STRAIN:
        return np.ascontiguousarray(gradient, dtype=np.float64)
    strain = np.empty((len(gradient), strain_measure(measure).size))
    green_strain(strain_matrices(measure.dimension), np.ascontiguousarray(gradient, dtype=np.float64), strain)
    return strain


@kernel(types.void(_CUBE, _MATRIX, _MATRIX))
def green_strain(matrices: FloatArray, gradient: FloatArray, strain: FloatArray) -> None:
    """Write E (n, m) of F (n, g)."""
    m, g, _ = matrices.shape
    d = 2 if g == 4 else 3
    for point in range(gradient.shape[0]):
        for a in range(m):
            total = 0.0
            trace = 0.0
            for x in range(g):
                row = 0.0
                for y in range(g):
                    row += matrices[a, x, y] * gradient[point, y]
                total += row * gradient[point, x]
                if x % (d + 1) == 0:
                    trace += matrices[a, x, x]
            strain[point, a] = 0.5 * (total - trace)


@kernel(types.void(_CUBE, _MATRIX, _MATRIX, _CUBE, _MATRIX, _CUBE))
def push_forward(
    matrices: FloatArray,
    gradient: FloatArray,
    stress: FloatArray,
    stiffness: FloatArray,
    flux: FloatArray,
    tangent: FloatArray,
) -> None:
    """Write P (n, g) and dP/dF (n, g, g) from F (n, g), S (n, m) and dS/dE (n, m, m); NaN where det F ≤ 0."""
    m, g, _ = matrices.shape
    b = np.empty((m, g))
    db = np.empty((m, g))
    for point in range(gradient.shape[0]):
        f = gradient[point]
        if g == 4:
            determinant = f[0] * f[3] - f[1] * f[2]
        else:
            determinant = (
                f[0] * (f[4] * f[8] - f[5] * f[7])
                - f[1] * (f[3] * f[8] - f[5] * f[6])
                + f[2] * (f[3] * f[7] - f[4] * f[6])
            )
        if not determinant > 0.0:
            flux[point] = np.nan
            tangent[point] = np.nan
            continue
        for a in range(m):
            for x in range(g):
                total = 0.0
                for y in range(g):
                    total += matrices[a, x, y] * f[y]
                b[a, x] = total
        for a in range(m):
            for x in range(g):
                total = 0.0
                for c in range(m):
                    total += stiffness[point, a, c] * b[c, x]
                db[a, x] = total
        for x in range(g):
            total = 0.0
            for a in range(m):
                total += stress[point, a] * b[a, x]
            flux[point, x] = total
            for y in range(g):
                total = 0.0
                for a in range(m):
                    total += stress[point, a] * matrices[a, x, y] + b[a, x] * db[a, y]
                tangent[point, x, y] = total
