"""Isotropic damage with exponential softening."""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from materials.compilation import point_law
from materials.elastic_constants import ElasticConstants
from materials.law import Law
from materials.laws.elastic import fill_isotropic_tangent
from materials.measures import SQRT2, FloatArray, Physics
from materials.parameters import PoissonRatio, Positive
from materials.point_status import status_of
from materials.principal import diagonalise


@point_law
def damage(
    strain: FloatArray,
    state: FloatArray,
    parameters: FloatArray,
    dt: float,
    stress: FloatArray,
    tangent: FloatArray,
    new_state: FloatArray,
) -> int:
    """σ = (1 − D) C ε, and on loading the tangent (1 − D) C − D'(r) C ε ⊗ dε_eq/dε."""
    threshold, failure = parameters[2], parameters[3]
    matrix, axes = np.empty((3, 3)), np.empty((3, 3))
    for i in range(3):
        j, k = (i + 1) % 3, (i + 2) % 3
        matrix[i, i] = strain[i]
        matrix[j, k] = matrix[k, j] = strain[i + 3] / SQRT2
    diagonalise(matrix, axes)
    square = 0.0
    for a in range(3):
        square += max(matrix[a, a], 0.0) ** 2
    equivalent = math.sqrt(square)

    fill_isotropic_tangent(parameters[0], parameters[1], tangent)
    for i in range(6):
        stress[i] = 0.0
        for j in range(6):
            stress[i] += tangent[i, j] * strain[j]
    reached = max(state[0], equivalent, threshold)
    kept = threshold / reached * math.exp((threshold - reached) / failure)
    for i in range(6):
        for j in range(6):
            tangent[i, j] *= kept
    if equivalent > max(state[0], threshold) * (1.0 + 1e-12):
        growth = kept * (1.0 / reached + 1.0 / failure) / equivalent
        for a in range(3):
            positive = max(matrix[a, a], 0.0)
            for j in range(6):
                if j < 3:
                    direction = axes[j, a] * axes[j, a]
                else:
                    direction = SQRT2 * axes[(j + 1) % 3, a] * axes[(j + 2) % 3, a]
                for i in range(6):
                    tangent[i, j] -= growth * positive * direction * stress[i]
    for i in range(6):
        stress[i] *= kept
    new_state[0] = max(state[0], equivalent)
    return status_of(stress)


@dataclass(frozen=True, kw_only=True)
class Damage(Law):
    """Isotropic damage in small strain: σ = (1 − D) C ε, driven by tension (Mazars 1986).

    ε_eq = √Σ ⟨ε_a⟩² over the principal strains; r is the largest ε_eq so far, at least `threshold`;
    1 − D = threshold / r exp((threshold − r) / failure).
    """

    name = "damage"
    physics = Physics.SMALL_STRAIN
    symmetric = False
    softens = True
    state_layout: ClassVar[dict[str, tuple[int, ...]]] = {"largest_equivalent_strain": ()}
    point = staticmethod(damage)

    E: Positive
    """Young's modulus."""
    nu: PoissonRatio
    """Poisson's ratio."""
    threshold: Positive
    """Equivalent strain at which damage starts: tensile strength over E."""
    failure: Positive
    """Strain over which the stress falls by the factor e: fracture energy per volume after the peak over strength."""

    def parameters(self) -> FloatArray:
        """(κ, μ, threshold, failure)."""
        constants = ElasticConstants.from_young(self.E, self.nu)
        return np.array([constants.bulk_modulus, constants.mu, self.threshold, self.failure])
