"""Kinematics of the deformation gradient, packed row by row, for numba."""

from materials.compilation import jit
from materials.measures import FloatArray


@jit
def fill_cofactor(F: FloatArray, cofactor: FloatArray) -> float:
    """Write cof F = J F⁻ᵀ (9,) of F (9,), and return J = det F."""
    cofactor[0] = F[4] * F[8] - F[5] * F[7]
    cofactor[1] = F[5] * F[6] - F[3] * F[8]
    cofactor[2] = F[3] * F[7] - F[4] * F[6]
    cofactor[3] = F[2] * F[7] - F[1] * F[8]
    cofactor[4] = F[0] * F[8] - F[2] * F[6]
    cofactor[5] = F[1] * F[6] - F[0] * F[7]
    cofactor[6] = F[1] * F[5] - F[2] * F[4]
    cofactor[7] = F[2] * F[3] - F[0] * F[5]
    cofactor[8] = F[0] * F[4] - F[1] * F[3]
    return F[0] * cofactor[0] + F[1] * cofactor[1] + F[2] * cofactor[2]


@jit
def determinant(F: FloatArray) -> float:
    """J = det F of F (9,)."""
    return F[0] * (F[4] * F[8] - F[5] * F[7]) + F[1] * (F[5] * F[6] - F[3] * F[8]) + F[2] * (F[3] * F[7] - F[4] * F[6])


@jit
def fill_left_cauchy_green(F: FloatArray, left: FloatArray) -> None:
    """Write b = F Fᵀ (3, 3) of F (9,)."""
    for i in range(3):
        for j in range(3):
            left[i, j] = F[3 * i] * F[3 * j] + F[3 * i + 1] * F[3 * j + 1] + F[3 * i + 2] * F[3 * j + 2]
