"""Compressible neo-Hookean hyperelasticity."""

import math
from dataclasses import dataclass

from materials.compilation import point_law
from materials.deformation import fill_cofactor
from materials.elastic_constants import IsotropicHyperelastic
from materials.measures import FloatArray
from materials.point_status import FAILED, status_of


@point_law
def neo_hookean(
    F: FloatArray,
    state: FloatArray,
    parameters: FloatArray,
    dt: float,
    P: FloatArray,
    tangent: FloatArray,
    new_state: FloatArray,
) -> int:
    """P = μ (F − F⁻ᵀ) + λ ln J F⁻ᵀ, dP_iJ/dF_kL = μ δ_ik δ_JL + (μ − λ ln J) F⁻¹_Li F⁻¹_Jk + λ F⁻¹_Ji F⁻¹_Lk."""
    lmbda, mu = parameters[0], parameters[1]
    J = fill_cofactor(F, P)
    if not J > 0.0:
        return FAILED
    for a in range(9):
        P[a] /= J  # F⁻ᵀ, until the tangent is filled
    slope = lmbda * math.log(J)
    for i in range(3):
        for j in range(3):
            a = 3 * i + j
            for k in range(3):
                for m in range(3):
                    tangent[a, 3 * k + m] = lmbda * P[a] * P[3 * k + m] + (mu - slope) * P[3 * i + m] * P[3 * k + j]
            tangent[a, a] += mu
    for a in range(9):
        P[a] = mu * F[a] + (slope - mu) * P[a]
    return status_of(P)


@dataclass(frozen=True, kw_only=True)
class NeoHookean(IsotropicHyperelastic):
    """Neo-Hookean solid: W = μ/2 (tr FᵀF − 3 − 2 ln J) + λ/2 (ln J)²."""

    name = "neo_hookean"
    point = staticmethod(neo_hookean)
