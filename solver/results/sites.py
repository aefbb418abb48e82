"""Integration points whose material has an inside, and what is there."""

from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from mpi4py import MPI

from materials.interface import Kind, Material
from materials.measures import FloatArray
from rve.localized import MicroField
from solver.macro_problem import MacroProblem

LARGEST = "largest_flux"
"""Name of the cell that is written at the end without being asked for."""


@runtime_checkable
class Localizing(Protocol):
    """A material whose points have an inside."""

    def localize(self, point: int) -> MicroField:
        """Micro-fields of one of its points, in the committed state.

        Raises ArithmeticError where a law has no answer.
        """


@runtime_checkable
class Routed(Protocol):
    """A material whose points have an exact material behind them, even where that does not answer."""

    def exact_at(self, point: int) -> tuple[Material, int]:
        """The exact material with a point in its committed state, and the position of the point in it.

        Raises ArithmeticError if it has no answer along the history of the point.
        """


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


class Found(NamedTuple):
    """A cell at an accepted increment."""

    micro: MicroField
    gradient: FloatArray
    """The macroscopic one, (g,)."""
    led: bool
    """Whether a surrogate answers there, so that the cell was solved along the history of the point for its fields."""


def micro_field_at(problem: MacroProblem, site: Site) -> Found:
    """The cell of a site, on the rank that owns it.

    Raises:
        ArithmeticError: a law or the cell has no answer.
    """
    material, local = problem.materials[site.material], site.local
    led = bool(material.kinds()[local] == Kind.SURROGATE)
    if isinstance(material, Routed):
        material, local = material.exact_at(local)
    if not isinstance(material, Localizing):
        raise TypeError(f"material '{site.material}' has no inside to localise")
    point = problem.material_points[site.material][site.local]
    return Found(material.localize(local), problem.gradient[point], led)


def nearest_site(problem: MacroProblem, name: str, point: FloatArray) -> Site | None:
    """The integration point nearest to `point` (d,) among those whose material has an inside. Collective."""
    distances = np.linalg.norm(problem.tables.points.reshape(len(problem.point_ids), -1) - point, axis=1)
    extent = problem.mesh.comm.allreduce(float(np.abs(problem.tables.points).max(initial=0.0)), MPI.MAX) or 1.0
    return _smallest(problem, name, np.round(distances / extent, 10))


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
        if not isinstance(material, Localizing | Routed) or not len(indices):
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
