"""Watches a run for loss of ellipticity (`materials/ellipticity.py`)."""

import logging

import numpy as np
from mpi4py import MPI

from materials.ellipticity import lost_ellipticity
from materials.interface import Kind
from materials.measures import Physics
from solver.macro_problem import MacroProblem
from solver.records import IncrementRecord, IterationRecord

log = logging.getLogger(__name__)


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
        mine = homogenised[lost_ellipticity(problem.measure, problem.tangent[homogenised])]
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
