"""probes.csv and reactions.csv: values at points and on boundaries, one row per accepted increment."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from materials.measures import FloatArray
from solver.case.errors import WrongValue
from solver.macro_problem import MacroProblem
from solver.records import IncrementRecord, IterationRecord
from solver.results.point_fields import PointFields
from solver.results.point_location import Location, PointOutsideMesh, locate
from solver.results.table import Table, Value

AXES = "xyz"


class Probe(NamedTuple):
    """A point whose value is written at every accepted increment."""

    name: str
    point: tuple[float, ...]
    """Coordinates in the undeformed mesh, (d,)."""
    field: str
    """The unknown (`displacement`, `temperature`), or a field of the integration points."""


class Probes:
    """Observer that writes probes.csv.

    The unknown is interpolated at the point; a field of the integration points is taken from the nearest one in the
    cell that contains the point. Where several cells share the point, the one with the smallest input index answers,
    so that the value does not depend on the number of ranks.
    """

    def __init__(self, path: Path, probes: Sequence[Probe], keep_through: int = 0) -> None:
        self._path = path
        self._probes = tuple(probes)
        self._keep_through = keep_through
        self._locations: list[Location] = []
        self._table: Table | None = None

    def started(self, problem: MacroProblem, time: float, end: float) -> None:
        """Locate the probes.

        Raises WrongValue on all ranks for a point outside the mesh or a field that this problem does not have.
        """
        fields = PointFields(problem)
        primary = problem.measure.primary_name
        columns = ["step", "time"]
        for number, probe in enumerate(self._probes):
            path = ("output", "probes", number)
            if probe.field != primary and probe.field not in fields.names:
                available = ", ".join((primary, *fields.names))
                raise WrongValue((*path, "field"), f"there is no field '{probe.field}' here, use one of: {available}")
            try:
                self._locations.append(locate(problem.mesh, np.array(probe.point)))
            except PointOutsideMesh as error:
                raise WrongValue((*path, "point"), f"{error}; move it inside") from None
            if probe.field == primary:
                columns += component_columns(probe.name, problem.measure.block_size)
            else:
                columns += fields.columns(probe.name, probe.field)
        if problem.mesh.comm.rank == 0:
            self._table = Table(self._path, columns, self._keep_through)

    def iterated(self, record: IterationRecord) -> None:
        """Nothing to do: only accepted values are written."""

    def cut_back(self, step: int, time: float, reason: str) -> None:
        """Nothing to do: only accepted values are written."""

    def accepted(self, problem: MacroProblem, record: IncrementRecord) -> None:
        """Append the values of this increment. Collective."""
        comm = problem.mesh.comm
        values: list[float] = []
        for probe, location in zip(self._probes, self._locations, strict=True):
            here = self._value(problem, probe, location) if comm.rank == location.rank else None
            values += comm.bcast(here, root=location.rank).tolist()
        if self._table is not None:
            row: list[Value] = [record.step, record.time, *values]
            self._table.append(dict(zip(self._table.columns, row, strict=True)))

    @staticmethod
    def _value(problem: MacroProblem, probe: Probe, location: Location) -> FloatArray:
        if probe.field == problem.measure.primary_name:
            cell = np.array([location.cell], dtype=np.int32)
            return np.atleast_1d(problem.solution.eval(location.point[None, :], cell)).ravel()
        points = problem.tables.points[location.cell]
        distance = np.linalg.norm(points - location.point[: points.shape[1]], axis=1)
        local = location.cell * len(points) + int(np.argmin(distance))
        return PointFields(problem).components(probe.field, np.array([local]))[0]


class Reactions:
    """Observer that writes reactions.csv: the force each boundary exerts on the body; for heat, the heat entering."""

    def __init__(self, path: Path, boundaries: Sequence[str], keep_through: int = 0) -> None:
        self._path = path
        self._boundaries = tuple(boundaries)
        self._keep_through = keep_through
        self._table: Table | None = None

    def started(self, problem: MacroProblem, time: float, end: float) -> None:
        """Open the table. Raises WrongValue on all ranks for a boundary that the mesh does not have."""
        for number, name in enumerate(self._boundaries):
            if name not in problem.boundaries:
                known = ", ".join(sorted(problem.boundaries))
                raise WrongValue(("output", "reactions", number), f"there is no boundary '{name}', use one of: {known}")
        if problem.mesh.comm.rank == 0:
            columns = [c for name in self._boundaries for c in component_columns(name, problem.measure.block_size)]
            self._table = Table(self._path, ["step", "time", *columns], self._keep_through)

    def iterated(self, record: IterationRecord) -> None:
        """Nothing to do: only accepted values are written."""

    def cut_back(self, step: int, time: float, reason: str) -> None:
        """Nothing to do: only accepted values are written."""

    def accepted(self, problem: MacroProblem, record: IncrementRecord) -> None:
        """Append the reactions of this increment. Collective."""
        values = [float(value) for name in self._boundaries for value in problem.reaction(name)]
        if self._table is not None:
            row: list[Value] = [record.step, record.time, *values]
            self._table.append(dict(zip(self._table.columns, row, strict=True)))


def component_columns(name: str, size: int) -> list[str]:
    """Column names of a scalar, NAME, or of a vector, NAME_x, NAME_y, NAME_z."""
    return [name] if size == 1 else [f"{name}_{axis}" for axis in AXES[:size]]
