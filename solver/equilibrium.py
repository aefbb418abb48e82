"""How far an iterate of the macro problem is from equilibrium."""

from typing import NamedTuple, Self

import numpy as np
from mpi4py import MPI

from materials.measures import FloatArray
from solver.points import PointFields


class Evaluation(NamedTuple):
    """Equilibrium of one iterate. All numbers are the same on all ranks."""

    values: FloatArray
    """Nodal values of the iterate, ghosts included."""
    fields: PointFields
    """What the material points answered."""
    residual: FloatArray
    """Internal minus external force of the owned dofs, zero where prescribed."""
    largest: float
    """Largest residual component; infinite if points failed."""
    norm: float
    """Euclidean norm of the residual; infinite if points failed."""
    force: float
    """Largest assembled absolute internal or external force."""
    round_off: float
    """What the residual may be from rounding alone, by the size of stiffness and nodal values."""
    failed: int
    """Number of points without an answer."""
    provisional: int = 0
    """Number of points whose answer is good enough to iterate with, but not to accept."""

    @classmethod
    def without_answer(cls, values: FloatArray, fields: PointFields, n_owned: int, failed: int) -> Self:
        """An iterate at which some points have no answer, so that nothing can be said about equilibrium."""
        return cls(values, fields, np.full(n_owned, np.nan), np.inf, np.inf, 0.0, 0.0, failed)

    @classmethod
    def of_residual(
        cls,
        comm: MPI.Comm,
        values: FloatArray,
        fields: PointFields,
        residual: FloatArray,
        forces: FloatArray,
        stiffness: float,
    ) -> Self:
        """Measure a residual (owned dofs,) over all ranks. Collective.

        Args:
            comm: The ranks.
            values: Nodal values of the iterate, ghosts included.
            fields: What the material points answered.
            residual: Internal minus external force, zero where prescribed.
            forces: Assembled absolute internal or external force, whichever is larger, (owned dofs,).
            stiffness: Largest entry of an element stiffness.
        """
        local = np.array([np.abs(array).max(initial=0.0) for array in (residual, forces, values)])
        total = np.empty_like(local)
        comm.Allreduce(local, total, MPI.MAX)
        largest, force, size = (float(measure) for measure in total)
        norm = float(np.sqrt(comm.allreduce(float(residual @ residual))))
        round_off = float(64 * np.finfo(float).eps * stiffness * size)
        return cls(values, fields, residual, largest, norm, force, round_off, 0)
