"""fields.xdmf: the unknown at the nodes and cell averages of the point fields, for ParaView."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from materials.measures import FloatArray
from solver.case.errors import WrongValue
from solver.macro_problem import MacroProblem
from solver.records import IncrementRecord, IterationRecord
from solver.results.gathered_mesh import GatheredMesh
from solver.results.point_fields import PointFields
from solver.results.xdmf import XdmfSeries

log = logging.getLogger(__name__)


class Fields:
    """Observer that writes the fields of every `every`-th increment and of the last one.

    Args:
        path: fields.xdmf.
        names: fields to write: the unknown, and fields of the integration points.
        every: write increments 1·every, 2·every, …
        keep_through: keep what an earlier run wrote up to this step.
    """

    def __init__(self, path: Path, names: Sequence[str], every: int = 1, keep_through: int = 0) -> None:
        self._path = path
        self._names = names
        self._every = every
        self._keep_through = keep_through
        self._end = np.inf
        self._written = keep_through
        self._mesh: GatheredMesh | None = None
        self._series: XdmfSeries | None = None
        self._nodal: tuple[str, ...] = ()
        self._cellwise: tuple[str, ...] = ()

    def started(self, problem: MacroProblem, time: float, end: float) -> None:
        """Gather the mesh and write it. Raises WrongValue on all ranks for a field that this problem does not have."""
        self._end = end
        primary = problem.measure.primary_name
        available = PointFields(problem).names
        names = tuple(dict.fromkeys(self._names))
        for number, name in enumerate(names):
            if name != primary and name not in available:
                known = ", ".join((primary, *available))
                raise WrongValue(("output", "fields", number), f"there is no field '{name}' here, use one of: {known}")
        self._nodal = tuple(name for name in names if name == primary)
        self._cellwise = tuple(name for name in names if name != primary)
        self._mesh = GatheredMesh(problem.space)
        if problem.mesh.comm.rank == 0:
            self._series = self._open(self._mesh)

    def iterated(self, record: IterationRecord) -> None:
        """Nothing to do: only accepted fields are written."""

    def cut_back(self, step: int, time: float, reason: str) -> None:
        """Nothing to do: only accepted fields are written."""

    def accepted(self, problem: MacroProblem, record: IncrementRecord) -> None:
        """Write this increment when it is due. Collective."""
        at_end = record.time >= self._end * (1.0 - 1e-12)
        if record.step % self._every == 0 or at_end:
            self.write(problem, record.step, record.time)

    def write(self, problem: MacroProblem, step: int, time: float) -> None:
        """Write the accepted fields as `step`, unless they are written already. Collective."""
        if self._mesh is None or step <= self._written:
            return
        self._written = step
        bs = problem.measure.block_size
        solution = problem.solution.x.array.reshape(-1, bs)
        nodal = {name: self._mesh.nodal(solution) for name in self._nodal}
        fields = PointFields(problem)
        weights = problem.tables.weights
        cellwise = {name: self._mesh.cellwise(cell_average(fields.values(name), weights)) for name in self._cellwise}
        if self._series is not None:
            self._series.append(step, time, nodal, cellwise)

    def _open(self, mesh: GatheredMesh) -> XdmfSeries:
        if self._keep_through:
            try:
                series = XdmfSeries.resume(self._path, self._keep_through)
                if series.topology == (mesh.points.shape, mesh.cells.shape):
                    return series
                log.warning("%s holds another mesh, fields before the restart are replaced", self._path.name)
            except (OSError, KeyError) as error:
                log.warning("%s cannot be continued (%s), fields before the restart are lost", self._path.name, error)
        return XdmfSeries(self._path, mesh.points, mesh.cells, mesh.element, mesh.degree)


def cell_average(values: FloatArray, weights: FloatArray) -> FloatArray:
    """Volume average over each cell of values (cells · q, …) at the integration points, weights (cells, q)."""
    cells, q = weights.shape
    by_cell = values.reshape(cells, q, *values.shape[1:])
    return np.einsum("cq,cq...->c...", weights / weights.sum(axis=1, keepdims=True), by_cell)
