"""Compressible Ogden hyperelasticity."""

from dataclasses import dataclass

import numpy as np

from materials.compilation import point_law
from materials.deformation import determinant, fill_left_cauchy_green
from materials.law import Law
from materials.measures import FloatArray, Physics
from materials.parameters import Finite, Positive
from materials.point_status import FAILED, status_of
from materials.principal import diagonalise, divided_power, fill_from_principal, strain_difference


@point_law
def ogden(
    F: FloatArray,
    state: FloatArray,
    parameters: FloatArray,
    dt: float,
    P: FloatArray,
    tangent: FloatArray,
    new_state: FloatArray,
) -> int:
    """τ_a = Σ μ (λ̄_a^α − ⅓ Σ_b λ̄_b^α) + κ/2 (J² − 1) along the principal axes of b = F Fᵀ."""
    J = determinant(F)
    if not J > 0.0:
        return FAILED
    kappa = parameters[0]
    left, axes = np.empty((3, 3)), np.empty((3, 3))
    fill_left_cauchy_green(F, left)
    diagonalise(left, axes)
    squares, powers, kirchhoff = np.empty(3), np.empty(3), np.empty(3)
    moduli, shear = np.empty((3, 3)), np.zeros((3, 3))
    for a in range(3):
        squares[a] = left[a, a]
        kirchhoff[a] = 0.5 * kappa * (J * J - 1.0)
        for b in range(3):
            moduli[a, b] = kappa * J * J
    if not squares.min() > 0.0:
        return FAILED
    for term in range(1, parameters.size, 2):
        mu, alpha = parameters[term], parameters[term + 1]
        for a in range(3):
            powers[a] = (squares[a] * J ** (-2.0 / 3.0)) ** (0.5 * alpha)
        mean = (powers[0] + powers[1] + powers[2]) / 3.0
        for a in range(3):
            kirchhoff[a] += mu * (powers[a] - mean)
            moduli[a, a] += mu * alpha * powers[a]
            for b in range(3):
                moduli[a, b] += mu * alpha * (mean - powers[a] - powers[b]) / 3.0
                if a != b:
                    ratio = divided_power(alpha, strain_difference(squares[a], squares[b]))
                    shear[a, b] += mu * powers[b] / squares[b] * ratio
    fill_from_principal(F, axes, squares, kirchhoff, moduli, shear, P, tangent)
    return status_of(P)


@dataclass(frozen=True, kw_only=True)
class Ogden(Law):
    """Ogden solid: W = Σ μ/α (λ̄₁^α + λ̄₂^α + λ̄₃^α − 3) + κ/4 (J² − 1 − 2 ln J).

    λ̄ = J⁻¹ᐟ³ λ are the isochoric principal stretches (Ogden 1972); at rest the shear modulus is ½ Σ μ α.
    """

    name = "ogden"
    physics = Physics.FINITE_STRAIN
    point = staticmethod(ogden)

    mu: tuple[Finite, ...]
    """Modulus μ of each term."""
    alpha: tuple[Finite, ...]
    """Exponent α of each term, of the sign of its modulus."""
    bulk_modulus: Positive
    """Bulk modulus κ at rest."""

    def __post_init__(self) -> None:
        """Check that each modulus has an exponent, and that each term stiffens."""
        super().__post_init__()
        if not self.mu or len(self.mu) != len(self.alpha):
            raise ValueError(
                f"mu and alpha must be lists of one length, a number for each term; "
                f"got {len(self.mu)} and {len(self.alpha)} numbers"
            )
        for mu, alpha in zip(self.mu, self.alpha, strict=True):
            if not mu * alpha > 0.0:
                raise ValueError(f"mu and alpha of a term must have one sign and not be zero, got {mu:g} and {alpha:g}")

    def parameters(self) -> FloatArray:
        """κ, then (μ, α) of each term."""
        return np.array([self.bulk_modulus, *np.column_stack([self.mu, self.alpha]).ravel()])
