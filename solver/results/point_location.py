"""Which cell of a distributed mesh contains a point, the same for every number of ranks."""

from typing import NamedTuple

import numpy as np
from dolfinx import geometry
from dolfinx.mesh import Mesh
from mpi4py import MPI

from materials.measures import FloatArray
from meshes.dolfinx_compat import coordinate_dofs

ON_MESH = 1e-8
"""A point this close to the mesh, relative to the diagonal of its bounding box, counts as lying on it."""


class PointOutsideMesh(ValueError):
    """A point lies outside the mesh; the message gives the mesh's bounding box and the distance."""


class Location(NamedTuple):
    """Where a point lies. The same on all ranks, except for `cell`."""

    point: FloatArray
    """The point, (3,), padded with zeros."""
    original_cell: int
    """Input index of the cell; of several cells that share the point, the smallest."""
    rank: int
    """The rank that owns the cell, and answers for the point."""
    cell: int
    """Local index of the cell on that rank, −1 on the others."""


def locate(mesh: Mesh, point: FloatArray) -> Location:
    """Find the cell that contains a point (gdim,). Collective.

    Raises PointOutsideMesh on all ranks.
    """
    lower, upper = bounding_box(mesh)
    diagonal = float(np.linalg.norm(upper - lower))
    padded = np.zeros(3)
    padded[: len(point)] = point

    dimension = mesh.topology.dim
    owned = np.arange(mesh.topology.index_map(dimension).size_local, dtype=np.int32)
    original, cell, nearest = _NOWHERE, -1, np.inf
    if len(owned):
        tree = geometry.bb_tree(mesh, dimension, entities=owned, padding=ON_MESH * diagonal)
        for candidate in geometry.compute_collisions_points(tree, padded[None, :]).array:
            vertices = mesh.geometry.x[coordinate_dofs(mesh)[candidate]]
            distance = float(np.linalg.norm(geometry.compute_distance_gjk(padded[None, :], vertices)))
            nearest = min(nearest, distance)
            index = int(mesh.topology.original_cell_index[candidate])
            if distance <= ON_MESH * diagonal and index < original:
                original, cell = index, int(candidate)
        if nearest == np.inf:
            nearest = float(np.linalg.norm(mesh.geometry.x - padded, axis=1).min())

    first = mesh.comm.allreduce(original, MPI.MIN)
    nearest = mesh.comm.allreduce(nearest, MPI.MIN)
    if first == _NOWHERE:
        gdim = mesh.geometry.dim
        box = " × ".join(f"[{a:g}, {b:g}]" for a, b in zip(lower[:gdim], upper[:gdim], strict=True))
        raise PointOutsideMesh(
            f"the point ({', '.join(f'{x:g}' for x in point)}) lies outside the mesh, {nearest:.3g} from it; "
            f"the mesh spans {box}"
        )
    mine = original == first
    rank = mesh.comm.allreduce(mesh.comm.rank if mine else mesh.comm.size, MPI.MIN)
    return Location(padded, first, rank, cell if mine else -1)


def bounding_box(mesh: Mesh) -> tuple[FloatArray, FloatArray]:
    """Lower and upper corner of the whole mesh, each (3,). Collective."""
    x = mesh.geometry.x
    lower = x.min(axis=0, initial=np.inf) if len(x) else np.full(3, np.inf)
    upper = x.max(axis=0, initial=-np.inf) if len(x) else np.full(3, -np.inf)
    mesh.comm.Allreduce(MPI.IN_PLACE, lower, MPI.MIN)
    mesh.comm.Allreduce(MPI.IN_PLACE, upper, MPI.MAX)
    return lower, upper


_NOWHERE = np.iinfo(np.int64).max
