"""Principal axes of symmetric tensors, and isotropic stress in them, for numba."""

import math

import numpy as np

from materials.compilation import jit
from materials.deformation import fill_cofactor
from materials.measures import FloatArray


@jit
def diagonalise(matrix: FloatArray, axes: FloatArray) -> None:
    """Turn a symmetric matrix (3, 3) into its eigenvalues, on its diagonal; write unit eigenvectors, columns of `axes`.

    Cyclic Jacobi rotations (Golub and Van Loan 2013, sec. 8.5): orthogonal to round-off whether or not eigenvalues are
    equal.
    """
    for i in range(3):
        for j in range(3):
            axes[i, j] = 1.0 if i == j else 0.0
    for _ in range(20):
        if matrix[0, 1] == 0.0 and matrix[0, 2] == 0.0 and matrix[1, 2] == 0.0:
            return
        for p in range(2):
            for q in range(p + 1, 3):
                off = matrix[p, q]
                if abs(off) <= 1e-18 * (abs(matrix[p, p]) + abs(matrix[q, q])):
                    matrix[p, q] = matrix[q, p] = 0.0
                    continue
                ratio = (matrix[q, q] - matrix[p, p]) / (2.0 * off)
                t = math.copysign(1.0, ratio) / (abs(ratio) + math.hypot(1.0, ratio))
                c = 1.0 / math.hypot(1.0, t)
                s = t * c
                matrix[p, p] -= t * off
                matrix[q, q] += t * off
                matrix[p, q] = matrix[q, p] = 0.0
                r = 3 - p - q
                at_p, at_q = matrix[r, p], matrix[r, q]
                matrix[r, p] = matrix[p, r] = c * at_p - s * at_q
                matrix[r, q] = matrix[q, r] = s * at_p + c * at_q
                for i in range(3):
                    at_p, at_q = axes[i, p], axes[i, q]
                    axes[i, p] = c * at_p - s * at_q
                    axes[i, q] = s * at_p + c * at_q


@jit
def strain_difference(square: float, other: float) -> float:
    """Difference ln λ − ln λ' of logarithmic strains, of squared stretches, without cancellation."""
    return 0.5 * math.log1p((square - other) / other)


@jit
def divided_logarithm(square: float, other: float) -> float:
    """(ln λ − ln λ') / (λ² − λ'²), of squared stretches, with its limit 1 / (2 λ²) where they are equal."""
    ratio = (square - other) / other
    if ratio == 0.0:
        return 0.5 / other
    return 0.5 * math.log1p(ratio) / (ratio * other)


@jit
def divided_power(exponent: float, difference: float) -> float:
    """(e^(exponent δ) − 1) / (e^(2 δ) − 1), with its limit exponent / 2 at δ = 0."""
    if difference == 0.0:
        return 0.5 * exponent
    return math.expm1(exponent * difference) / math.expm1(2.0 * difference)


@jit
def fill_from_principal(
    F: FloatArray,
    axes: FloatArray,
    squares: FloatArray,
    kirchhoff: FloatArray,
    moduli: FloatArray,
    shear: FloatArray,
    P: FloatArray,
    tangent: FloatArray,
) -> None:
    """Write P = τ F⁻ᵀ (9,) and dP/dF (9, 9) of an isotropic τ(b) (Ogden 1984, sec. 6.1, turned to P and F).

    Args:
        F: deformation gradient (9,), det F > 0.
        axes: principal axes of b, columns (3, 3).
        squares: λ² (3,), principal values of b, where db = l b + b lᵀ with l = dF F⁻¹.
        kirchhoff: principal values of τ (3,).
        moduli: dτ_a / d ln λ_b (3, 3).
        shear: (τ_a − τ_b) / (λ_a² − λ_b²) (3, 3), with its limit at equal stretches; the diagonal is not read.
        P: written.
        tangent: written.
    """
    J = fill_cofactor(F, P)
    for a in range(9):
        P[a] /= J
    dyads = np.zeros((3, 3, 9))  # n_a ⊗ F⁻¹ n_b
    for a in range(3):
        for b in range(3):
            for i in range(3):
                for j in range(3):
                    for k in range(3):
                        dyads[a, b, 3 * i + j] += axes[i, a] * axes[k, b] * P[3 * k + j]
    P[:] = 0.0
    tangent[:, :] = 0.0
    for a in range(3):
        for i in range(9):
            P[i] += kirchhoff[a] * dyads[a, a, i]
        for b in range(3):
            along = moduli[a, b] - kirchhoff[a] if a == b else moduli[a, b]
            for i in range(9):
                for j in range(9):
                    tangent[i, j] += along * dyads[a, a, i] * dyads[b, b, j]
            if a == b:
                continue
            same = shear[a, b] * squares[b]
            crossed = shear[a, b] * squares[a] - kirchhoff[a]
            for i in range(9):
                for j in range(9):
                    tangent[i, j] += dyads[a, b, i] * (same * dyads[a, b, j] + crossed * dyads[b, a, j])
