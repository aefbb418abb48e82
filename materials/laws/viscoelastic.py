"""Isotropic linear viscoelasticity: the generalised Maxwell model."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from materials.compilation import jit, point_law
from materials.elastic_constants import ElasticConstants
from materials.law import Law
from materials.laws.elastic import fill_isotropic_tangent
from materials.measures import FloatArray, Physics
from materials.parameters import NonNegative, PoissonRatio, Positive, check_fields
from materials.point_status import status_of


@jit
def relaxation(time: float) -> tuple[float, float]:
    """What is left after `time` relaxation times of a stress, and of one that grew at a constant rate all along."""
    if time == 0.0:
        return 1.0, 1.0
    lost = -math.expm1(-time)
    return 1.0 - lost, lost / time


@point_law
def viscoelastic(
    strain: FloatArray,
    state: FloatArray,
    parameters: FloatArray,
    dt: float,
    stress: FloatArray,
    tangent: FloatArray,
    new_state: FloatArray,
) -> int:
    """σ = C ε + Σ h, each h from ḣ + h/τ = C_h ε̇, solved exactly for a strain that is linear in time over the step.

    See Simo and Hughes 1998, sec. 10.3.
    """
    kappa, mu = parameters[0], parameters[1]
    increment, mean = 0.0, 0.0
    for i in range(3):
        mean += strain[i] / 3.0
        increment += (strain[i] - state[i]) / 3.0
    for i in range(6):
        volumetric = mean if i < 3 else 0.0
        stress[i] = 3.0 * kappa * volumetric + 2.0 * mu * (strain[i] - volumetric)
        new_state[i] = strain[i]
    for branch in range((parameters.size - 2) // 3):
        bulk, shear, time = parameters[3 * branch + 2], parameters[3 * branch + 3], parameters[3 * branch + 4]
        kept, grown = relaxation(dt / time)
        kappa += grown * bulk
        mu += grown * shear
        for i in range(6):
            volumetric = increment if i < 3 else 0.0
            rise = 3.0 * bulk * volumetric + 2.0 * shear * (strain[i] - state[i] - volumetric)
            at = 6 * (branch + 1) + i
            new_state[at] = kept * state[at] + grown * rise
            stress[i] += new_state[at]
    fill_isotropic_tangent(kappa, mu, tangent)
    return status_of(stress)


@dataclass(frozen=True, kw_only=True)
class MaxwellBranch:
    """A spring and a dashpot in series."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "allow_inf_nan": False}

    shear: NonNegative
    """Shear modulus of the spring."""
    bulk: NonNegative = 0.0
    """Bulk modulus of the spring; 0: changes of volume do not relax."""
    time: Positive
    """Relaxation time of the branch."""

    def __post_init__(self) -> None:
        """Check the numbers, and that there is a spring."""
        check_fields(self)
        if self.shear == 0.0 and self.bulk == 0.0:
            raise ValueError("a branch needs a shear or a bulk modulus greater than 0")


@dataclass(frozen=True, kw_only=True)
class Viscoelastic(Law):
    """Generalised Maxwell solid, small strain: an elastic spring beside branches that relax."""

    name = "viscoelastic"
    physics = Physics.SMALL_STRAIN
    state_layout: ClassVar[dict[str, tuple[int, ...]]] = {"strain": (6,), "branch_stress": (1, 6)}
    point = staticmethod(viscoelastic)

    E: Positive
    """Young's modulus when all branches are relaxed."""
    nu: PoissonRatio
    """Poisson's ratio when all branches are relaxed."""
    branches: tuple[MaxwellBranch, ...]
    """The branches, as in `MaxwellBranch`."""

    def __post_init__(self) -> None:
        """Check that there is a branch, and make room for the stress of each."""
        super().__post_init__()
        if not self.branches:
            raise ValueError("branches must be a list of at least one, or use law elastic")
        layout = {"strain": (6,), "branch_stress": (len(self.branches), 6)}
        object.__setattr__(self, "state_layout", layout)

    def parameters(self) -> FloatArray:
        """(κ, μ), then (κ, μ, relaxation time) of each branch."""
        constants = ElasticConstants.from_young(self.E, self.nu)
        branches = [(branch.bulk, branch.shear, branch.time) for branch in self.branches]
        return np.concatenate([[constants.bulk_modulus, constants.mu], *branches])
