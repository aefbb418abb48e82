"""J2 plasticity: von Mises yield, associative flow, isotropic and linear kinematic hardening."""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from materials.compilation import point_law
from materials.elastic_constants import ElasticConstants
from materials.hardening import Hardening, plastic_increment, yield_stress_after
from materials.law import Law
from materials.laws.elastic import fill_isotropic_tangent
from materials.measures import FloatArray, Physics
from materials.parameters import NonNegative, PoissonRatio, Positive
from materials.point_status import status_of


@point_law
def j2(
    strain: FloatArray,
    state: FloatArray,
    parameters: FloatArray,
    dt: float,
    stress: FloatArray,
    tangent: FloatArray,
    new_state: FloatArray,
) -> int:
    """Radial return and its consistent tangent (Simo and Hughes 1998, box 3.2, with q = √(3/2)|ξ|).

    The back stress ⅔ C εᵖ is no state of its own, since linear kinematic hardening makes it a function of the plastic
    strain εᵖ.
    """
    kappa, mu, kinematic = parameters[0], parameters[1], parameters[2]
    hardening = parameters[3:]
    alpha = state[6]

    volumetric = strain[0] + strain[1] + strain[2]
    mean = volumetric / 3.0
    # ξ = s − β of the trial state, kept in `stress` until the deviator is final
    square = 0.0
    for i in range(6):
        deviator = strain[i] - mean if i < 3 else strain[i]
        xi = 2.0 * mu * (deviator - state[i]) - 2.0 / 3.0 * kinematic * state[i]
        stress[i] = xi
        square += xi * xi
        new_state[i] = state[i]
    new_state[6] = alpha
    q = math.sqrt(1.5 * square)

    fill_isotropic_tangent(kappa, mu, tangent)
    # The margin is above rounding: a committed state asked again is elastic, so that a turning load starts on the
    # elastic tangent, not on a random mixture.
    if q > yield_stress_after(alpha, hardening)[0] * (1.0 + 1e-12):
        increment = plastic_increment(q, 3.0 * mu + kinematic, alpha, hardening)
        slope = yield_stress_after(alpha + increment, hardening)[1]
        flow = 1.5 * increment / q  # Δεᵖ = flow ξ
        shrink = 2.0 * mu * flow  # 3μ Δα / q: what the return takes off the deviatoric stiffness
        along = 2.0 * mu * (3.0 * mu / (3.0 * mu + kinematic + slope) - shrink) / square
        for i in range(6):
            new_state[i] += flow * stress[i]
            for j in range(6):
                tangent[i, j] -= along * stress[i] * stress[j]
            tangent[i, i] -= 2.0 * mu * shrink
        for i in range(3):
            for j in range(3):
                tangent[i, j] += 2.0 / 3.0 * mu * shrink
        new_state[6] += increment

    for i in range(6):
        deviator = strain[i] - mean if i < 3 else strain[i]
        stress[i] = 2.0 * mu * (deviator - new_state[i])
    for i in range(3):
        stress[i] += kappa * volumetric
    return status_of(stress)


@dataclass(frozen=True, kw_only=True)
class J2(Law):
    """J2 plasticity in small strain, backward Euler.

    Yield: √(3/2) |s − β| ≤ σ_y(α), with s the stress deviator, β the back stress, α the equivalent plastic strain.
    """

    name = "j2"
    physics = Physics.SMALL_STRAIN
    linear_at_constant_state = True
    isochoric_flow = True
    state_layout: ClassVar[dict[str, tuple[int, ...]]] = {"plastic_strain": (6,), "equivalent_plastic_strain": ()}
    point = staticmethod(j2)

    E: Positive
    """Young's modulus."""
    nu: PoissonRatio
    """Poisson's ratio."""
    yield_stress: Positive
    """Initial uniaxial yield stress."""
    hardening: NonNegative | Hardening = 0.0
    """Linear isotropic hardening modulus dσ_y/dα, or a mapping as in `Hardening`."""

    def __post_init__(self) -> None:
        """Check that Voce hardening does not soften."""
        super().__post_init__()
        self._hardening.check_yield_stress(self.yield_stress)

    @property
    def _hardening(self) -> Hardening:
        return self.hardening if isinstance(self.hardening, Hardening) else Hardening(H=self.hardening)

    def parameters(self) -> FloatArray:
        """(κ, μ, kinematic modulus), then those of `Hardening.parameters`."""
        constants = ElasticConstants.from_young(self.E, self.nu)
        elastic = [constants.bulk_modulus, constants.mu, self._hardening.kinematic]
        return np.concatenate([elastic, self._hardening.parameters(self.yield_stress)])
