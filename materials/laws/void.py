"""Nothing: the phase of pores."""

from dataclasses import dataclass

import numpy as np

from materials.compilation import point_law
from materials.law import Law
from materials.measures import FloatArray
from materials.point_status import status_of


@point_law
def nothing(
    gradient: FloatArray,
    state: FloatArray,
    parameters: FloatArray,
    dt: float,
    flux: FloatArray,
    tangent: FloatArray,
    new_state: FloatArray,
) -> int:
    """No flux, no stiffness."""
    flux[:] = 0.0
    tangent[:, :] = 0.0
    return status_of(flux)


@dataclass(frozen=True, kw_only=True)
class Void(Law):
    """No material. A cell removes the elements of such a phase and keeps their volume in its averages."""

    name = "void"
    physics = None
    void = True
    point = staticmethod(nothing)

    def parameters(self) -> FloatArray:
        """None, (0,)."""
        return np.zeros(0)
