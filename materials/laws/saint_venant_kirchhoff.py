"""Saint-Venant–Kirchhoff hyperelasticity."""

from dataclasses import dataclass

from materials.compilation import point_law
from materials.deformation import fill_cofactor
from materials.elastic_constants import IsotropicHyperelastic
from materials.measures import FloatArray
from materials.point_status import FAILED, status_of


@point_law
def saint_venant_kirchhoff(
    F: FloatArray,
    state: FloatArray,
    parameters: FloatArray,
    dt: float,
    P: FloatArray,
    tangent: FloatArray,
    new_state: FloatArray,
) -> int:
    """P = F S, dP_iJ/dF_kL = δ_ik S_JL + λ F_iJ F_kL + μ (F_iL F_kJ + (F Fᵀ)_ik δ_JL)."""
    lmbda, mu = parameters[0], parameters[1]
    if not fill_cofactor(F, P) > 0.0:
        return FAILED
    square = 0.0
    for a in range(9):
        square += F[a] * F[a]
    pressure = 0.5 * lmbda * (square - 3.0)
    for a in range(9):
        P[a] = 0.0
        for b in range(9):
            i, j, k, m = a // 3, a % 3, b // 3, b % 3
            tangent[a, b] = lmbda * F[a] * F[b] + mu * F[3 * i + m] * F[3 * k + j]
    for j in range(3):
        for m in range(3):
            green = -0.5 if j == m else 0.0
            left = 0.0
            for i in range(3):
                green += 0.5 * F[3 * i + j] * F[3 * i + m]
                left += F[3 * j + i] * F[3 * m + i]
            S = 2.0 * mu * green
            if j == m:
                S += pressure
            for i in range(3):
                P[3 * i + j] += F[3 * i + m] * S
                tangent[3 * i + j, 3 * i + m] += S
                tangent[3 * j + i, 3 * m + i] += mu * left
    return status_of(P)


@dataclass(frozen=True, kw_only=True)
class SaintVenantKirchhoff(IsotropicHyperelastic):
    """Saint-Venant–Kirchhoff solid: S = λ tr E 1 + 2μ E with the Green–Lagrange strain E = (FᵀF − 1)/2, P = F S.

    Meant for large rotations at small strain: it softens, and loses ellipticity, under strong compression.
    """

    name = "saint_venant_kirchhoff"
    point = staticmethod(saint_venant_kirchhoff)
