"""Compressible Mooney–Rivlin hyperelasticity."""

from dataclasses import dataclass

import numpy as np

from materials.compilation import point_law
from materials.deformation import fill_cofactor
from materials.law import Law
from materials.measures import FloatArray, Physics
from materials.parameters import NonNegative, Positive
from materials.point_status import FAILED, status_of


@point_law
def mooney_rivlin(
    F: FloatArray,
    state: FloatArray,
    parameters: FloatArray,
    dt: float,
    P: FloatArray,
    tangent: FloatArray,
    new_state: FloatArray,
) -> int:
    """P = C10 dĪ₁/dF + C01 dĪ₂/dF + κ/2 (J² − 1) F⁻ᵀ, where dI₁/dF = 2F and dI₂/dF = 2 (I₁ F − F C)."""
    c10, c01, kappa = parameters[0], parameters[1], parameters[2]
    G = np.empty(9)
    J = fill_cofactor(F, G)
    if not J > 0.0:
        return FAILED
    for a in range(9):
        G[a] /= J
    right = np.zeros((3, 3))  # C
    left = np.zeros((3, 3))  # b
    for i in range(3):
        for j in range(3):
            for k in range(3):
                right[i, j] += F[3 * k + i] * F[3 * k + j]
                left[i, j] += F[3 * i + k] * F[3 * j + k]
    I1 = right[0, 0] + right[1, 1] + right[2, 2]
    I2 = 0.0
    for i in range(3):
        j = (i + 1) % 3
        I2 += right[i, i] * right[j, j] - right[i, j] * right[i, j]
    slope = np.empty(9)  # dI₂/dF
    for i in range(3):
        for j in range(3):
            slope[3 * i + j] = 2.0 * I1 * F[3 * i + j]
            for k in range(3):
                slope[3 * i + j] -= 2.0 * F[3 * i + k] * right[k, j]
    first, second = c10 * J ** (-2.0 / 3.0), c01 * J ** (-4.0 / 3.0)
    pull = -2.0 / 3.0 * (first * I1 + 2.0 * second * I2) + 0.5 * kappa * (J * J - 1.0)
    outer = 4.0 / 9.0 * (first * I1 + 4.0 * second * I2) + kappa * J * J
    for a in range(9):
        P[a] = 2.0 * first * F[a] + second * slope[a] + pull * G[a]
    for i in range(3):
        for j in range(3):
            a = 3 * i + j
            for k in range(3):
                for m in range(3):
                    b = 3 * k + m
                    mixed = (
                        4.0 / 3.0 * (first * (F[a] * G[b] + G[a] * F[b]) + second * (slope[a] * G[b] + G[a] * slope[b]))
                    )
                    curvature = 4.0 * F[a] * F[b] - 2.0 * F[3 * i + m] * F[3 * k + j]
                    if i == k:
                        curvature -= 2.0 * right[m, j]
                    if j == m:
                        curvature -= 2.0 * left[i, k]
                    tangent[a, b] = (
                        outer * G[a] * G[b] - pull * G[3 * i + m] * G[3 * k + j] + second * curvature - mixed
                    )
            tangent[a, a] += 2.0 * (first + second * I1)
    return status_of(P)


@dataclass(frozen=True, kw_only=True)
class MooneyRivlin(Law):
    """Mooney–Rivlin solid: W = C10 (Ī₁ − 3) + C01 (Ī₂ − 3) + κ/4 (J² − 1 − 2 ln J).

    Ī₁ and Ī₂ are the invariants of J⁻²ᐟ³ C; at rest the shear modulus is 2 (C10 + C01).
    """

    name = "mooney_rivlin"
    physics = Physics.FINITE_STRAIN
    point = staticmethod(mooney_rivlin)

    C10: Positive
    """Modulus of the first invariant."""
    C01: NonNegative
    """Modulus of the second invariant; 0 leaves a neo-Hookean solid."""
    bulk_modulus: Positive
    """Bulk modulus κ at rest."""

    def parameters(self) -> FloatArray:
        """(C10, C01, κ)."""
        return np.array([self.C10, self.C01, self.bulk_modulus])
