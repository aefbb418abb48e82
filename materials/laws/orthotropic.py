"""Orthotropic linear elasticity in turned axes."""

import math
from dataclasses import dataclass

import numpy as np

from materials.compilation import point_law
from materials.law import Law
from materials.measures import FloatArray, Measure, Physics
from materials.parameters import Finite, Positive
from materials.point_status import status_of


@point_law
def orthotropic(
    strain: FloatArray,
    state: FloatArray,
    parameters: FloatArray,
    dt: float,
    stress: FloatArray,
    tangent: FloatArray,
    new_state: FloatArray,
) -> int:
    """σ = C (ε − ε_th), C as a Mandel matrix."""
    for i in range(6):
        stress[i] = 0.0
        for j in range(6):
            tangent[i, j] = parameters[6 * i + j]
            stress[i] += parameters[6 * i + j] * (strain[j] - parameters[36 + j])
    return status_of(stress)


@dataclass(frozen=True, kw_only=True)
class Orthotropic(Law):
    """Orthotropic linear elasticity, small strain: σ = C (ε − ε_th), with material axes 1, 2, 3 turned by a rotation.

    ε₁₁ = σ₁₁/E1 − nu12 σ₂₂/E1 − nu13 σ₃₃/E1, and so on; 2ε₁₂ = σ₁₂/G12.
    """

    name = "orthotropic"
    physics = Physics.SMALL_STRAIN
    linear_at_constant_state = True
    point = staticmethod(orthotropic)

    E1: Positive
    """Young's modulus along the material axis 1."""
    E2: Positive
    """Young's modulus along the material axis 2."""
    E3: Positive
    """Young's modulus along the material axis 3."""
    nu12: Finite
    """Contraction along 2 over extension along 1, for tension along 1."""
    nu13: Finite
    """Contraction along 3 over extension along 1, for tension along 1."""
    nu23: Finite
    """Contraction along 3 over extension along 2, for tension along 2."""
    G12: Positive
    """Shear modulus in the plane 12."""
    G13: Positive
    """Shear modulus in the plane 13."""
    G23: Positive
    """Shear modulus in the plane 23."""
    angle: Finite = 0.0
    """Angle in degrees by which the material axes are turned about `axis`, from x, y, z."""
    axis: tuple[Finite, ...] = (0.0, 0.0, 1.0)
    """Axis of that rotation, of any length; in 2D along z."""
    thermal_strain: tuple[Finite, ...] = (0.0, 0.0, 0.0)
    """Free expansion α ΔT along the material axes 1, 2, 3, there in full from the start."""

    def __post_init__(self) -> None:
        """Check that the moduli are those of a stable solid and that the axis is one."""
        super().__post_init__()
        if len(self.axis) != 3 or not any(self.axis):
            raise ValueError(f"axis must be a list of three numbers, not all zero, got {list(self.axis)}")
        if len(self.thermal_strain) != 3:
            raise ValueError(f"thermal_strain must be a list of three numbers, got {list(self.thermal_strain)}")
        smallest = np.linalg.eigvalsh(self._compliance[:3, :3] * self.E1)[0]
        if smallest <= 0.0:
            raise ValueError(
                f"nu12 = {self.nu12:g}, nu13 = {self.nu13:g} and nu23 = {self.nu23:g} make the compliance indefinite; "
                f"they must be smaller, such as |nu12| < √(E1/E2)"
            )

    @property
    def _compliance(self) -> FloatArray:
        """In the material axes, as a Mandel matrix (6, 6)."""
        compliance = np.diag([1 / self.E1, 1 / self.E2, 1 / self.E3, 0.5 / self.G23, 0.5 / self.G13, 0.5 / self.G12])
        compliance[0, 1] = compliance[1, 0] = -self.nu12 / self.E1
        compliance[0, 2] = compliance[2, 0] = -self.nu13 / self.E1
        compliance[1, 2] = compliance[2, 1] = -self.nu23 / self.E2
        return compliance

    @property
    def rotation(self) -> FloatArray:
        """Rotation from x, y, z to the material axes, its columns (3, 3) (Rodrigues)."""
        x, y, z = np.array(self.axis) / np.linalg.norm(self.axis)
        cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
        angle = math.radians(self.angle)
        return np.eye(3) + math.sin(angle) * cross + (1.0 - math.cos(angle)) * cross @ cross

    def refusal(self, measure: Measure) -> str | None:
        """Why the law cannot be used: also because in 2D an inclined axis would move points out of the plane."""
        if measure.dimension == 2 and (self.axis[0] != 0.0 or self.axis[1] != 0.0):
            return f"law orthotropic needs the axis along z in 2D, got {list(self.axis)}"
        return super().refusal(measure)

    def parameters(self) -> FloatArray:
        """C row by row, then ε_th, in x, y, z as Mandel vectors, (42,)."""
        mandel = Measure(Physics.SMALL_STRAIN, 3)
        turn = mandel.to_vector(self.rotation @ mandel.to_tensor(np.eye(6)) @ self.rotation.T).T
        stiffness = turn @ np.linalg.inv(self._compliance) @ turn.T
        expansion = turn @ np.array([*self.thermal_strain, 0.0, 0.0, 0.0])
        return np.concatenate([0.5 * (stiffness + stiffness.T).ravel(), expansion])
