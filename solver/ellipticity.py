"""Loss of ellipticity: where the response of a point lets a band form, and first-order homogenisation ends.

A tangent A is strongly elliptic when a ⊗ N : A : a ⊗ N > 0 for all vectors a and N, that is when the acoustic tensor
Q_ik = N_j A_ijkl N_l is positive definite in every direction N (Geers, Kouznetsova, Brekelmans 2010, J. Comput. Appl.
Math. 234, 2175, on what that means for a cell). Directions are sampled: a narrow cone between them can be missed.
"""

import logging

import numpy as np
from mpi4py import MPI

from materials.interface import Kind
from materials.measures import FloatArray, Measure, Physics
from solver.macro_problem import MacroProblem
from solver.records import IncrementRecord, IterationRecord

log = logging.getLogger(__name__)

BATCH = 200
"""Points whose acoustic tensors are held at once."""

ROUNDING = 1e-9
"""Share of the largest tangent component that an eigenvalue must be below zero: exact zeros are no loss."""


def directions(dimension: int, count: int | None = None) -> FloatArray:
    """Unit vectors (count, d) spread evenly over half a circle (by default every 3°) or half a sphere (150)."""
    if dimension == 2:
        angle = np.pi * np.arange(count or 60) / (count or 60)
        return np.stack([np.cos(angle), np.sin(angle)], axis=1)
    n = count or 150
    height = (np.arange(n) + 0.5) / n
    turn = np.pi * (3.0 - np.sqrt(5.0)) * np.arange(n)
    radius = np.sqrt(1.0 - height**2)
    return np.stack([radius * np.cos(turn), radius * np.sin(turn), height], axis=1)


def smallest_acoustic_eigenvalue(measure: Measure, tangent: FloatArray) -> FloatArray:
    """Smallest eigenvalue (n,) of the symmetric acoustic tensors of tangents (n, g, g) in the sampled directions."""
    normals = directions(measure.dimension)
    smallest = np.empty(len(tangent))
    for start in range(0, len(tangent), BATCH):
        full = measure.tangent_to_tensor(tangent[start : start + BATCH])
        acoustic = np.einsum("pj,nijkl,pl->npik", normals, full, normals, optimize=True)
        symmetric = 0.5 * (acoustic + np.swapaxes(acoustic, -1, -2))
        smallest[start : start + BATCH] = np.linalg.eigvalsh(symmetric)[..., 0].min(axis=1)
    return smallest


class EllipticityWatch:
    """Looks at the homogenised tangents of every accepted increment, and reports the first loss.

    Points that a law answers are left out: there is no homogenisation that could end.
    """

    def __init__(self) -> None:
        self.lost = 0
        """Points that are not elliptic at the last accepted increment, over all ranks."""
        self.first_step = 0
        """Step at which ellipticity was lost first, 0: never."""

    def started(self, problem: MacroProblem, time: float, end: float) -> None:
        """Nothing to prepare."""

    def iterated(self, record: IterationRecord) -> None:
        """Iterates are not judged."""

    def cut_back(self, step: int, time: float, reason: str) -> None:
        """Rejected increments are not judged."""

    def accepted(self, problem: MacroProblem, record: IncrementRecord) -> None:
        """Judge the tangents of the increment. Collective."""
        if problem.measure.physics is Physics.HEAT:
            return
        homogenised = np.flatnonzero(problem.kinds() != Kind.LAW)
        tangent = problem.tangent[homogenised]
        smallest = smallest_acoustic_eigenvalue(problem.measure, tangent)
        mine = homogenised[smallest < -ROUNDING * np.abs(tangent).max(axis=(1, 2), initial=0.0)]
        comm = problem.mesh.comm
        self.lost = comm.allreduce(len(mine), MPI.SUM)
        if self.lost == 0 or self.first_step:
            return
        self.first_step = record.step
        cell = int(problem.original_cells[mine[0] // problem.n_q]) if len(mine) else None
        cells = [cell for cell in comm.allgather(cell) if cell is not None]
        if comm.rank == 0:
            log.warning(
                "step %d: loss of ellipticity at %d integration points, one in cell %d: bands can form there, and the "
                "answer depends on the mesh from here on",
                record.step,
                self.lost,
                min(cells),
            )
