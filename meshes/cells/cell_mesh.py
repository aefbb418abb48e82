"""The mesh of a representative cell, complete and identical on every rank."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from dolfinx.mesh import Mesh, MeshTags
from mpi4py import MPI

from meshes.cells.geometry import CellGeometry
from meshes.distribution import distribute, on_root
from meshes.elements import FloatArray
from meshes.errors import MeshError
from meshes.mesh_arrays import MeshArrays


class CellMesh(NamedTuple):
    """A cell [0, size] in d dimensions."""

    mesh: Mesh
    """On this process alone (COMM_SELF), so that cells of one kind have the same numbering everywhere."""
    cell_tags: MeshTags
    """Phase of every element."""
    phases: dict[str, int]
    """Name -> cell tag, in the order of the generator."""
    size: FloatArray
    """Edge lengths, (d,)."""
    volume: float
    """Of the whole cell, voids included."""
    descriptors: dict[str, float]
    """Numbers that describe the cell, measured on the mesh: `volume_fraction_NAME` of each phase, `elements`, …"""


def build_cell_mesh(
    geometry: CellGeometry,
    dimension: int,
    element: str,
    phases: Sequence[str] | None = None,
    comm: MPI.Comm = MPI.COMM_SELF,
) -> CellMesh:
    """Mesh a cell.

    Args:
        geometry: one of `CELL_GENERATORS`.
        dimension: 2 or 3.
        element: triangle, quadrilateral, tetrahedron or hexahedron.
        phases: phase names of the case in its order; by default the generator's own.
        comm: with the ranks of a run, rank 0 builds the mesh and the others get a copy. Collective.

    Raises:
        MeshError: on all ranks, if the cell cannot be meshed.
    """
    names, arrays = comm.bcast(
        on_root(comm, lambda: (geometry.phase_names(phases), geometry.build(dimension, element)))
    )
    if arrays.cell_tags.max() != len(names):
        raise MeshError(f"the cell has {arrays.cell_tags.max()} phases, given are {len(names)}: {', '.join(names)}")
    tags = {name: tag for tag, name in enumerate(names, start=1)}
    mesh, cell_tags, _, _, _ = distribute(MPI.COMM_SELF, arrays)
    low, high = arrays.points.min(axis=0), arrays.points.max(axis=0)
    size = high - low
    return CellMesh(mesh, cell_tags, tags, size, float(np.prod(size)), _descriptors(arrays, tags, size))


def _descriptors(arrays: MeshArrays, phases: dict[str, int], size: FloatArray) -> dict[str, float]:
    volumes = arrays.volumes()
    fractions = {
        f"volume_fraction_{name}": float(volumes[arrays.cell_tags == tag].sum() / size.prod())
        for name, tag in phases.items()
    }
    return {**fractions, "elements": float(len(arrays.cells)), "vertices": float(len(arrays.points))}
