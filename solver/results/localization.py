"""localization/: the micro-fields of single cells, written like the fields of the macroscale."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from mpi4py import MPI

from materials.measures import FloatArray, Physics
from rve.micro_field import MicroField
from solver.case.errors import WrongValue
from solver.macro_problem import MacroProblem
from solver.records import IncrementRecord, IterationRecord
from solver.results.elements import vtk_permutation
from solver.results.point_fields import in_space, von_mises
from solver.results.point_location import PointOutsideMesh, locate
from solver.results.xdmf import XdmfSeries

log = logging.getLogger(__name__)

LARGEST = "largest_flux"
"""Name of the cell that is written at the end without being asked for."""


@runtime_checkable
class Localizing(Protocol):
    """A material whose points have an inside."""

    def localize(self, point: int) -> MicroField:
        """Micro-fields of one of its points, in the committed state."""


class Site(NamedTuple):
    """The integration point that stands for a macroscopic point. The same on all ranks, except for `local`."""

    name: str
    point: FloatArray
    """Coordinates of the integration point, (d,)."""
    point_id: int
    rank: int
    material: str
    local: int
    """Position among the points of the material on its rank, −1 on the others."""


class Localization:
    """Observer that writes the micro-fields of the points asked for, whenever it is told to.

    For each point the nearest integration point whose material has an inside is taken; of equally near ones that
    with the smallest id. A case without such materials writes nothing.
    """

    def __init__(self, folder: Path, points: Sequence[Sequence[float]], every: int = 1, keep_through: int = 0) -> None:
        self._folder = folder
        self._points = [np.array(point, dtype=float) for point in points]
        self._every = every
        self._keep_through = keep_through
        self._end = np.inf
        self._sites: list[Site] = []
        self._series: dict[str, XdmfSeries] = {}

    def started(self, problem: MacroProblem, time: float, end: float) -> None:
        """Find the integration points.

        Raises WrongValue on all ranks for a point outside the mesh.
        """
        self._end = end
        for number, point in enumerate(self._points):
            try:
                locate(problem.mesh, point)
            except PointOutsideMesh as error:
                raise WrongValue(("output", "localize", number, "point"), f"{error}; move it inside") from None
        for number, point in enumerate(self._points):
            site = nearest_site(problem, f"point_{number}", point)
            if site is None:
                log.info("output.localize: no material of this case has cells to localise")
                return
            self._sites.append(site)

    def iterated(self, record: IterationRecord) -> None:
        """Nothing to do: only accepted fields are written."""

    def cut_back(self, step: int, time: float, reason: str) -> None:
        """Nothing to do: only accepted fields are written."""

    def accepted(self, problem: MacroProblem, record: IncrementRecord) -> None:
        """Write the cells asked for when the increment is due. Collective."""
        if record.step % self._every == 0 or record.time >= self._end * (1.0 - 1e-12):
            for site in self._sites:
                self._write(problem, site, record.step, record.time)

    def finish(self, problem: MacroProblem, step: int, time: float) -> None:
        """Write the cell with the largest flux of the last accepted increment. Collective."""
        site = site_of_largest_flux(problem)
        if site is not None:
            self._keep_through = 0
            self._write(problem, site, step, time)

    def _write(self, problem: MacroProblem, site: Site, step: int, time: float) -> None:
        comm = problem.mesh.comm
        found: tuple[MicroField, FloatArray] | None = None
        if comm.rank == site.rank:
            found = micro_field_at(problem, site)
        if site.rank != 0 and comm.rank in (0, site.rank):
            found = comm.recv(source=site.rank) if comm.rank == 0 else comm.send(found, dest=0)
        if comm.rank == 0 and found is not None:
            micro, gradient = found
            if site.name not in self._series:
                self._series[site.name] = self._open(site, micro)
            nodal, cellwise = micro_arrays(micro, gradient)
            self._series[site.name].append(step, time, nodal, cellwise)

    def _open(self, site: Site, micro: MicroField) -> XdmfSeries:
        self._folder.mkdir(exist_ok=True)
        path = self._folder / f"{site.name}.xdmf"
        if self._keep_through and path.is_file():
            try:
                return XdmfSeries.resume(path, self._keep_through)
            except (OSError, KeyError) as error:
                log.warning("%s cannot be continued (%s), micro-fields before the restart are lost", path.name, error)
        cells = micro.cells[:, vtk_permutation(micro.element, micro.degree)].astype(np.int64)
        return XdmfSeries(
            path,
            micro.points,
            cells,
            micro.element,
            micro.degree,
            attributes={
                "point": [float(x) for x in site.point],
                "point_id": site.point_id,
                "material": site.material,
                "phases": list(micro.phase_names),
            },
        )


def micro_field_at(problem: MacroProblem, site: Site) -> tuple[MicroField, FloatArray]:
    """Micro-fields and macroscopic gradient (g,) of a site, on the rank that owns it."""
    material = problem.materials[site.material]
    if not isinstance(material, Localizing):
        raise TypeError(f"material '{site.material}' has no inside to localise")
    point = problem.material_points[site.material][site.local]
    return material.localize(site.local), problem.gradient[point]


def micro_arrays(micro: MicroField, gradient: FloatArray) -> tuple[dict[str, FloatArray], dict[str, FloatArray]]:
    """Fields of a cell at its nodes and on its elements, as `XdmfSeries.append` takes them.

    `gradient` (g,) is the macroscopic one; what exceeds it in the displacement is the fluctuation.
    """
    measure = micro.measure
    macroscopic = measure.to_tensor(gradient - measure.rest).reshape(measure.block_size, measure.dimension)
    fluctuation = micro.values - micro.points @ macroscopic.T
    nodal = {measure.primary_name: micro.values, "fluctuation": fluctuation}
    rest = 1.0 if measure.physics is Physics.FINITE_STRAIN else 0.0
    cellwise = {
        "phase": micro.phase.astype(float),
        measure.gradient_name: in_space(measure.to_tensor(micro.gradient), rest),
        measure.flux_name: in_space(
            measure.user_flux(micro.flux), 0.0 if micro.out_of_plane is None else micro.out_of_plane
        ),
    }
    if measure.physics is not Physics.HEAT:
        stress = cellwise[measure.flux_name]
        if measure.physics is Physics.FINITE_STRAIN:
            F = cellwise[measure.gradient_name]
            stress = np.einsum("nik,njk->nij", stress, F) / np.linalg.det(F)[:, None, None]
        cellwise["von_mises"] = von_mises(stress)
    return nodal, cellwise


def nearest_site(problem: MacroProblem, name: str, point: FloatArray) -> Site | None:
    """The integration point nearest to `point` (d,) among those whose material has an inside. Collective."""
    distances = np.linalg.norm(problem.tables.points.reshape(len(problem.point_ids), -1) - point, axis=1)
    diagonal = max(float(np.abs(problem.tables.points).max(initial=0.0)), 1e-300)
    return _smallest(problem, name, np.round(distances / diagonal, 10))


def site_of_largest_flux(problem: MacroProblem) -> Site | None:
    """The integration point with the largest norm of the flux among those whose material has an inside. Collective."""
    norms = np.linalg.norm(problem.flux, axis=1)
    largest = problem.mesh.comm.allreduce(float(norms.max(initial=0.0)), MPI.MAX) or 1.0
    return _smallest(problem, LARGEST, -np.round(norms / largest, 8))


def _smallest(problem: MacroProblem, name: str, values: FloatArray) -> Site | None:
    """The point with the smallest value, of equal ones that with the smallest id: the same for every rank count."""
    comm = problem.mesh.comm
    best: tuple[float, int, int, str, list[float]] | None = None
    position = -1
    for material_name, material in problem.materials.items():
        indices = problem.material_points[material_name]
        if not isinstance(material, Localizing) or not len(indices):
            continue
        k = int(np.lexsort((problem.point_ids[indices], values[indices]))[0])
        i = indices[k]
        coordinates = problem.tables.points.reshape(len(problem.point_ids), -1)[i].tolist()
        candidate = (float(values[i]), int(problem.point_ids[i]), comm.rank, material_name, coordinates)
        if best is None or candidate < best:
            best, position = candidate, k
    candidates = [candidate for candidate in comm.allgather(best) if candidate is not None]
    if not candidates:
        return None
    _, point_id, rank, material_name, place = min(candidates)
    return Site(name, np.array(place), point_id, rank, material_name, position if rank == comm.rank else -1)
