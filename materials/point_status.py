"""The status that a point law returns, for numba."""

import math

from materials.compilation import jit
from materials.interface import Status
from materials.measures import FloatArray

OK = int(Status.OK)
FAILED = int(Status.FAILED)


@jit
def status_of(flux: FloatArray) -> int:
    """`OK` if every component of a flux (g,) is finite, else `FAILED`."""
    total = 0.0
    for i in range(flux.size):
        total += abs(flux[i])
    return OK if math.isfinite(total) else FAILED
