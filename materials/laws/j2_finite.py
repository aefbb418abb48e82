"""J2 plasticity at finite strain: multiplicative, in logarithmic strains."""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from materials.compilation import jit, point_law
from materials.deformation import determinant, fill_cofactor
from materials.elastic_constants import ElasticConstants
from materials.hardening import Hardening, plastic_increment, yield_stress_after
from materials.law import Law
from materials.measures import SQRT2, FloatArray, Physics
from materials.parameters import NonNegative, PoissonRatio, Positive
from materials.point_status import FAILED, status_of
from materials.principal import diagonalise, divided_logarithm, fill_from_principal


@jit
def fill_trial(F: FloatArray, metric: FloatArray, elastic: FloatArray) -> None:
    """Write bᵉ = F C_p⁻¹ Fᵀ (3, 3) of F (9,) and the Mandel vector of C_p⁻¹ (6,)."""
    inverse = np.empty((3, 3))
    for i in range(3):
        inverse[i, i] = metric[i]
        j, k = (i + 1) % 3, (i + 2) % 3
        inverse[j, k] = inverse[k, j] = metric[i + 3] / SQRT2
    for i in range(3):
        for j in range(3):
            elastic[i, j] = 0.0
            for k in range(3):
                for m in range(3):
                    elastic[i, j] += F[3 * i + k] * inverse[k, m] * F[3 * j + m]


@jit
def fill_metric(F: FloatArray, axes: FloatArray, squares: FloatArray, metric: FloatArray) -> None:
    """Write C_p⁻¹ = F⁻¹ bᵉ F⁻ᵀ as a Mandel vector (6,), of bᵉ with these principal axes and values."""
    cofactor = np.empty(9)
    J = fill_cofactor(F, cofactor)
    metric[:] = 0.0
    pulled = np.empty(3)
    for a in range(3):
        for i in range(3):
            pulled[i] = (cofactor[i] * axes[0, a] + cofactor[3 + i] * axes[1, a] + cofactor[6 + i] * axes[2, a]) / J
        for i in range(3):
            metric[i] += squares[a] * pulled[i] * pulled[i]
            metric[i + 3] += SQRT2 * squares[a] * pulled[(i + 1) % 3] * pulled[(i + 2) % 3]


@point_law
def j2_finite(
    F: FloatArray,
    state: FloatArray,
    parameters: FloatArray,
    dt: float,
    P: FloatArray,
    tangent: FloatArray,
    new_state: FloatArray,
) -> int:
    """Radial return in the principal axes of the trial bᵉ, where it is that of small strain (Simo 1992, box 2).

    The exponential map of the flow keeps det C_p = 1 up to round-off.
    """
    if not determinant(F) > 0.0:
        return FAILED
    kappa, mu = parameters[0], parameters[1]
    hardening = parameters[2:]
    alpha = state[6]
    elastic, axes = np.empty((3, 3)), np.empty((3, 3))
    fill_trial(F, state[:6], elastic)
    diagonalise(elastic, axes)
    squares, deviator = np.empty(3), np.empty(3)
    for a in range(3):
        squares[a] = elastic[a, a]
        if not squares[a] > 0.0:
            return FAILED
        deviator[a] = 0.5 * math.log(squares[a])
    volumetric = deviator[0] + deviator[1] + deviator[2]
    square = 0.0
    for a in range(3):
        deviator[a] = 2.0 * mu * (deviator[a] - volumetric / 3.0)
        square += deviator[a] * deviator[a]
    q = math.sqrt(1.5 * square)

    new_state[:] = state
    shrink, along = 0.0, 0.0
    if q > yield_stress_after(alpha, hardening)[0] * (1.0 + 1e-12):
        increment = plastic_increment(q, 3.0 * mu, alpha, hardening)
        slope = yield_stress_after(alpha + increment, hardening)[1]
        shrink = 3.0 * mu * increment / q
        along = 2.0 * mu * (3.0 * mu / (3.0 * mu + slope) - shrink) / square
        relaxed = np.empty(3)
        for a in range(3):
            relaxed[a] = squares[a] * math.exp(-shrink * deviator[a] / mu)
        fill_metric(F, axes, relaxed, new_state[:6])
        new_state[6] += increment

    kirchhoff = np.empty(3)
    moduli, shear = np.empty((3, 3)), np.zeros((3, 3))
    stiffness = 2.0 * mu * (1.0 - shrink)
    for a in range(3):
        kirchhoff[a] = kappa * volumetric + (1.0 - shrink) * deviator[a]
        for b in range(3):
            moduli[a, b] = kappa - stiffness / 3.0 - along * deviator[a] * deviator[b]
            if a != b:
                shear[a, b] = stiffness * divided_logarithm(squares[a], squares[b])
        moduli[a, a] += stiffness
    fill_from_principal(F, axes, squares, kirchhoff, moduli, shear, P, tangent)
    return status_of(P)


@dataclass(frozen=True, kw_only=True)
class J2Finite(Law):
    """J2 plasticity at finite strain with Hencky's elasticity and isotropic hardening (Simo 1992).

    F = Fᵉ Fᵖ; τ = κ ln J 1 + 2μ dev ½ ln bᵉ; yield: √(3/2) |dev τ| ≤ σ_y(α).
    """

    name = "j2_finite"
    physics = Physics.FINITE_STRAIN
    isochoric_flow = True
    state_layout: ClassVar[dict[str, tuple[int, ...]]] = {
        "inverse_plastic_metric": (6,),
        "equivalent_plastic_strain": (),
    }
    point = staticmethod(j2_finite)

    E: Positive
    """Young's modulus."""
    nu: PoissonRatio
    """Poisson's ratio."""
    yield_stress: Positive
    """Initial uniaxial yield stress, of the Kirchhoff stress."""
    hardening: NonNegative | Hardening = 0.0
    """Linear isotropic hardening modulus dσ_y/dα, or a mapping as in `Hardening` without `kinematic`."""

    def __post_init__(self) -> None:
        """Check that hardening is isotropic, and does not soften."""
        super().__post_init__()
        if self._hardening.kinematic > 0.0:
            raise ValueError("kinematic is for law j2 at small strain; hardening is isotropic at finite strain")
        self._hardening.check_yield_stress(self.yield_stress)

    @property
    def _hardening(self) -> Hardening:
        return self.hardening if isinstance(self.hardening, Hardening) else Hardening(H=self.hardening)

    def initial_state(self) -> FloatArray:
        """C_p⁻¹ = 1 and α = 0, (7,)."""
        return np.array([1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0])

    def parameters(self) -> FloatArray:
        """(κ, μ), then those of `Hardening.parameters`."""
        constants = ElasticConstants.from_young(self.E, self.nu)
        isotropic = self._hardening.parameters(self.yield_stress)
        return np.concatenate([[constants.bulk_modulus, constants.mu], isotropic])
