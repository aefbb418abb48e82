"""localization/: the micro-fields of single cells, written like the fields of the macroscale, and pictures of them."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from materials.measures import FloatArray, Physics
from rve.localized import MicroField
from solver.case.errors import WrongValue
from solver.macro_problem import MacroProblem
from solver.records import IncrementRecord, IterationRecord
from solver.results.elements import vtk_permutation
from solver.results.point_fields import VON_MISES, in_space, von_mises
from solver.results.point_location import PointOutsideMesh, locate
from solver.results.sites import Found, Site, micro_field_at, nearest_site, site_of_largest_flux
from solver.results.xdmf import XdmfSeries

log = logging.getLogger(__name__)

STATE = "state_"
"""What the names of state variables start with, which are those of the laws."""


class Request(NamedTuple):
    """A macroscopic point whose cell is wanted."""

    point: Sequence[float]
    """(d,)."""
    every: int = 1
    """Accepted increments between two writes; the last one is always written."""
    steps: Sequence[int] = ()
    """Numbers of the accepted increments to write; if there are any, these alone."""

    def due(self, step: int, last: bool) -> bool:
        """Whether to write after increment `step`."""
        return step in self.steps if self.steps else step % self.every == 0 or last


class Localization:
    """Observer that writes the micro-fields of the points asked for, whenever they are due, and draws them at the end.

    For each point the nearest integration point whose material has an inside is taken; of equally near ones that
    with the smallest id. A case without such materials writes nothing.
    """

    def __init__(self, folder: Path, requests: Sequence[Request], keep_through: int = 0) -> None:
        self._folder = folder
        self._requests = requests
        self._keep_through = keep_through
        self._end = np.inf
        self._sites: list[Site] = []
        self._series: dict[str, XdmfSeries] = {}
        self._led: set[str] = set()

    def started(self, problem: MacroProblem, time: float, end: float) -> None:
        """Find the integration points.

        Raises WrongValue on all ranks for a point outside the mesh.
        """
        self._end = end
        points = [np.array(request.point, dtype=float) for request in self._requests]
        for number, point in enumerate(points):
            try:
                locate(problem.mesh, point)
            except PointOutsideMesh as error:
                raise WrongValue(("output", "localize", number, "point"), f"{error}; move it inside") from None
        for number, point in enumerate(points):
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
        """Write the cells that are due. Collective."""
        last = record.time >= self._end * (1.0 - 1e-12)
        for site, request in zip(self._sites, self._requests, strict=False):
            if request.due(record.step, last):
                self._write(problem, site, record.step, record.time)

    def finish(self, problem: MacroProblem, step: int, time: float) -> None:
        """Write the cell with the largest flux of the last accepted increment, and draw those asked for. Collective."""
        site = site_of_largest_flux(problem)
        if site is not None:
            self._keep_through = 0
            self._write(problem, site, step, time)
        if problem.mesh.comm.rank == 0:
            self._draw(step)

    def _write(self, problem: MacroProblem, site: Site, step: int, time: float) -> None:
        comm = problem.mesh.comm
        found: Found | str | None = None
        if comm.rank == site.rank:
            try:
                found = micro_field_at(problem, site)
            except ArithmeticError as error:
                found = str(error)
        if site.rank != 0 and comm.rank in (0, site.rank):
            found = comm.recv(source=site.rank) if comm.rank == 0 else comm.send(found, dest=0)
        if comm.rank != 0 or found is None:
            return
        if isinstance(found, str):
            log.warning("the cell of %s is not written at increment %d: %s", site.name, step, found)
            return
        if found.led and site.name not in self._led:
            self._led.add(site.name)
            log.info("%s is answered by a surrogate: its cell is solved along its path to be written", site.name)
        if site.name not in self._series:
            self._series[site.name] = self._open(site, found.micro)
        self._series[site.name].append(step, time, *micro_arrays(found.micro, found.gradient))

    def _open(self, site: Site, micro: MicroField) -> XdmfSeries:
        self._folder.mkdir(exist_ok=True)
        path = self._folder / f"{site.name}.xdmf"
        about = {
            "point": [float(x) for x in site.point],
            "point_id": site.point_id,
            "material": site.material,
            "phases": list(micro.phase_names),
        }
        if self._keep_through and path.is_file():
            try:
                return XdmfSeries.resume(path, self._keep_through, about)
            except (OSError, KeyError) as error:
                log.warning("%s cannot be continued (%s), micro-fields before the restart are lost", path.name, error)
        cells = micro.cells[:, vtk_permutation(micro.element, micro.degree)].astype(np.int64)
        return XdmfSeries(path, micro.points, cells, micro.element, micro.degree, about)

    def _draw(self, last: int) -> None:
        """A picture of every point asked for as it was last written, or, where steps were chosen, of each of them."""
        for site, request in zip(self._sites, self._requests, strict=False):
            series = self._series.get(site.name)
            written = [] if series is None else series.steps()
            missing = sorted(step for step in request.steps if step > last)
            if missing:
                steps = ", ".join(map(str, missing))
                log.warning(
                    "output.localize: the run ended after increment %d, before %s of %s", last, steps, site.name
                )
            if not written:
                continue
            from solver.report.cell_pictures import draw_localized  # only now: matplotlib takes its time

            path = self._folder / site.name
            if not request.steps:
                draw_localized(path.with_suffix(".h5"), written[-1], path.with_suffix(".png"))
            for step in (step for step in written if step in request.steps):
                draw_localized(path.with_suffix(".h5"), step, path.with_name(f"{site.name}_step_{step}.png"))


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
        cellwise[VON_MISES] = von_mises(stress)
    return nodal, cellwise | {f"{STATE}{name}": values for name, values in micro.state.items()}
