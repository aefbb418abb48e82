"""J2 plasticity with nonlinear kinematic hardening."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from materials.compilation import jit, point_law
from materials.elastic_constants import ElasticConstants
from materials.hardening import Hardening, yield_stress_after
from materials.law import Law
from materials.laws.elastic import fill_isotropic_tangent
from materials.measures import FloatArray, Physics
from materials.parameters import NonNegative, PoissonRatio, Positive, check_fields
from materials.point_status import FAILED, status_of

_BACK = 7
"""Where the back stresses start in the state, and their parameters among the parameters."""


@jit
def fill_relative_stress(
    increment: float, parameters: FloatArray, state: FloatArray, deviator: FloatArray, eta: FloatArray, pull: FloatArray
) -> tuple[float, float]:
    """Write η = s_trial − Σ θ β and dη/dΔα (6,), with θ = 1 / (1 + γ Δα); return Σ θ C Δα and its slope."""
    taken, slope = 0.0, 0.0
    for i in range(6):
        eta[i] = deviator[i]
        pull[i] = 0.0
    for branch in range((parameters.size - _BACK) // 2):
        modulus, recovery = parameters[_BACK + 2 * branch], parameters[_BACK + 2 * branch + 1]
        theta = 1.0 / (1.0 + recovery * increment)
        taken += theta * modulus * increment
        slope += theta * theta * modulus
        for i in range(6):
            back = state[_BACK + 6 * branch + i]
            eta[i] -= theta * back
            pull[i] += recovery * theta * theta * back
    return taken, slope


@point_law
def chaboche(
    strain: FloatArray,
    state: FloatArray,
    parameters: FloatArray,
    dt: float,
    stress: FloatArray,
    tangent: FloatArray,
    new_state: FloatArray,
) -> int:
    """Backward Euler: √(3/2) |η(Δα)| − 3μ Δα − Σ θ C Δα = σ_y(α + Δα), with the flow along η = s_trial − Σ θ β."""
    kappa, mu = parameters[0], parameters[1]
    hardening = parameters[2:_BACK]
    alpha = state[6]
    deviator, eta, pull = np.empty(6), np.empty(6), np.empty(6)
    volumetric = strain[0] + strain[1] + strain[2]
    for i in range(6):
        shape = strain[i] - volumetric / 3.0 if i < 3 else strain[i]
        deviator[i] = 2.0 * mu * (shape - state[i])
    new_state[:] = state
    fill_isotropic_tangent(kappa, mu, tangent)
    fill_relative_stress(0.0, parameters, state, deviator, eta, pull)
    q = math.sqrt(1.5 * np.sum(eta * eta))
    if q > yield_stress_after(alpha, hardening)[0] * (1.0 + 1e-12):
        # The excess is positive at 0 and negative at the upper end: Newton's method, kept within the bracket.
        bound = q
        for i in range(6, state.size):
            bound += math.sqrt(1.5) * abs(state[i])
        low, high, increment, found = 0.0, bound / (3.0 * mu), 0.0, False
        falls, size = 1.0, 1.0
        for _ in range(100):
            taken, grows = fill_relative_stress(increment, parameters, state, deviator, eta, pull)
            level, slope = yield_stress_after(alpha + increment, hardening)
            size = math.sqrt(np.sum(eta * eta))
            excess = math.sqrt(1.5) * size - 3.0 * mu * increment - taken - level
            falls = 3.0 * mu + grows + slope - math.sqrt(1.5) * np.sum(eta * pull) / size
            if found:
                break
            if excess > 0.0:
                low = increment
            else:
                high = increment
            found = abs(excess) <= 1e-12 * q
            following = increment + excess / falls
            increment = following if low <= following <= high else 0.5 * (low + high)
        if not found:
            return FAILED
        flow = math.sqrt(1.5) * increment / size  # Δεᵖ = flow η
        shrink = 2.0 * mu * flow
        along = 0.0
        for i in range(6):
            along += eta[i] * pull[i] / (size * size)
        for i in range(6):
            direction = eta[i] / size
            turn = direction + increment / size * (pull[i] - along * eta[i])
            for j in range(6):
                tangent[i, j] -= 6.0 * mu * mu / falls * turn * eta[j] / size
                tangent[i, j] += 2.0 * mu * shrink * direction * eta[j] / size
            tangent[i, i] -= 2.0 * mu * shrink
            new_state[i] += flow * eta[i]
        for i in range(3):
            for j in range(3):
                tangent[i, j] += 2.0 / 3.0 * mu * shrink
        new_state[6] += increment
        for branch in range((parameters.size - _BACK) // 2):
            modulus, recovery = parameters[_BACK + 2 * branch], parameters[_BACK + 2 * branch + 1]
            for i in range(6):
                at = _BACK + 6 * branch + i
                new_state[at] = (state[at] + 2.0 / 3.0 * modulus * flow * eta[i]) / (1.0 + recovery * increment)
    for i in range(6):
        stress[i] = deviator[i] - 2.0 * mu * (new_state[i] - state[i])
    for i in range(3):
        stress[i] += kappa * volumetric
    return status_of(stress)


@dataclass(frozen=True, kw_only=True)
class BackStress:
    """A back stress of Armstrong and Frederick: β̇ = ⅔ modulus ε̇ᵖ − recovery β α̇."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "allow_inf_nan": False}

    modulus: Positive
    """Slope C that uniaxial plastic flow adds at first."""
    recovery: NonNegative
    """Dynamic recovery γ, per unit of α: the back stress tends to C/γ; 0 is linear (Prager)."""

    def __post_init__(self) -> None:
        """Check the numbers."""
        check_fields(self)


@dataclass(frozen=True, kw_only=True)
class Chaboche(Law):
    """J2 plasticity in small strain with back stresses that saturate (Armstrong and Frederick 1966, Chaboche 1986).

    Yield: √(3/2) |s − Σ β| ≤ σ_y(α). Backward Euler.
    """

    name = "chaboche"
    physics = Physics.SMALL_STRAIN
    symmetric = False
    linear_at_constant_state = True
    isochoric_flow = True
    state_layout: ClassVar[dict[str, tuple[int, ...]]] = {
        "plastic_strain": (6,),
        "equivalent_plastic_strain": (),
        "back_stress": (1, 6),
    }
    point = staticmethod(chaboche)

    E: Positive
    """Young's modulus."""
    nu: PoissonRatio
    """Poisson's ratio."""
    yield_stress: Positive
    """Initial uniaxial yield stress."""
    hardening: NonNegative | Hardening = 0.0
    """Linear isotropic hardening modulus dσ_y/dα, or a mapping as in `Hardening` without `kinematic`."""
    back_stresses: tuple[BackStress, ...]
    """The back stresses, as in `BackStress`; one is Armstrong and Frederick's model."""

    def __post_init__(self) -> None:
        """Check that kinematic hardening is said in one place, and make room for each back stress."""
        super().__post_init__()
        if not self.back_stresses:
            raise ValueError("back_stresses must be a list of at least one, or use law j2")
        if self._hardening.kinematic > 0.0:
            raise ValueError("kinematic is for law j2; here it is a back stress with recovery: 0")
        self._hardening.check_yield_stress(self.yield_stress)
        object.__setattr__(self, "state_layout", {**self.state_layout, "back_stress": (len(self.back_stresses), 6)})

    @property
    def _hardening(self) -> Hardening:
        return self.hardening if isinstance(self.hardening, Hardening) else Hardening(H=self.hardening)

    def parameters(self) -> FloatArray:
        """(κ, μ), those of `Hardening.parameters`, then (C, γ) of each back stress."""
        constants = ElasticConstants.from_young(self.E, self.nu)
        isotropic = self._hardening.parameters(self.yield_stress)
        backs = [(back.modulus, back.recovery) for back in self.back_stresses]
        return np.concatenate([[constants.bulk_modulus, constants.mu], isotropic, *backs])
