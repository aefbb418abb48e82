"""Isotropic linear elasticity."""

from dataclasses import dataclass

import numpy as np

from materials.compilation import jit, point_law
from materials.elastic_constants import ElasticConstants
from materials.law import Law
from materials.measures import FloatArray, Physics
from materials.parameters import Finite, PoissonRatio, Positive
from materials.point_status import status_of


@jit
def fill_isotropic_tangent(bulk_modulus: float, shear_modulus: float, tangent: FloatArray) -> None:
    """Write κ 1⊗1 + 2μ P (6, 6), with P the deviatoric projector."""
    diagonal = bulk_modulus + 4.0 / 3.0 * shear_modulus
    coupling = bulk_modulus - 2.0 / 3.0 * shear_modulus
    tangent[:, :] = 0.0
    for i in range(3):
        for j in range(3):
            tangent[i, j] = coupling
        tangent[i, i] = diagonal
        tangent[i + 3, i + 3] = 2.0 * shear_modulus


@point_law
def elastic(
    strain: FloatArray,
    state: FloatArray,
    parameters: FloatArray,
    dt: float,
    stress: FloatArray,
    tangent: FloatArray,
    new_state: FloatArray,
) -> int:
    """σ = λ tr ε 1 + 2μ ε − 3κ ε_th 1."""
    bulk_modulus, shear_modulus = parameters[0], parameters[1]
    pressure = (bulk_modulus - 2.0 / 3.0 * shear_modulus) * (strain[0] + strain[1] + strain[2])
    pressure -= 3.0 * bulk_modulus * parameters[2]
    for i in range(3):
        stress[i] = pressure + 2.0 * shear_modulus * strain[i]
        stress[i + 3] = 2.0 * shear_modulus * strain[i + 3]
    fill_isotropic_tangent(bulk_modulus, shear_modulus, tangent)
    return status_of(stress)


@dataclass(frozen=True, kw_only=True)
class Elastic(Law):
    """Isotropic linear elasticity, small strain: σ = λ tr(ε − ε_th 1) 1 + 2μ (ε − ε_th 1)."""

    name = "elastic"
    physics = Physics.SMALL_STRAIN
    linear_at_constant_state = True
    point = staticmethod(elastic)

    E: Positive
    """Young's modulus."""
    nu: PoissonRatio
    """Poisson's ratio."""
    thermal_strain: Finite = 0.0
    """Free expansion ε_th = α ΔT, there in full from the start."""

    def parameters(self) -> FloatArray:
        """(κ, μ, ε_th)."""
        constants = ElasticConstants.from_young(self.E, self.nu)
        return np.array([constants.bulk_modulus, constants.mu, self.thermal_strain])
