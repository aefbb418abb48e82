"""Cells whose phases fill the boxes of a regular grid, for solvers that need no mesh."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from mpi4py import MPI

from meshes.distribution import on_root
from meshes.elements import FloatArray, IntArray
from meshes.errors import MeshError


class VoxelGrid(NamedTuple):
    """A cell [0, size] in d dimensions that boxes of one size fill."""

    labels: IntArray
    """Number 0, 1, … of the phase of every box, (n1, n2) or (n1, n2, n3), x first."""
    size: FloatArray
    """Edge lengths of the cell, (d,)."""


@runtime_checkable
class GriddedGeometry(Protocol):
    """A generator that can describe its cell by a regular grid."""

    def phase_names(self, given: Sequence[str] | None) -> tuple[str, ...]:
        """See `CellGeometry.phase_names`."""
        ...

    def grid(self, dimension: int) -> VoxelGrid:
        """The grid of the cell.

        Raises:
            MeshError: the parameters describe no regular grid.
        """
        ...


def build_voxel_grid(
    geometry: GriddedGeometry, dimension: int, phases: Sequence[str] | None = None, comm: MPI.Comm = MPI.COMM_SELF
) -> tuple[tuple[str, ...], VoxelGrid]:
    """Names of the phases in the order of their numbers, and the grid; see `build_cell_mesh`. Collective."""
    names, grid = comm.bcast(on_root(comm, lambda: (geometry.phase_names(phases), geometry.grid(dimension))))
    if np.max(grid.labels) + 1 != len(names):
        raise MeshError(f"the cell has {grid.labels.max() + 1} phases, given are {len(names)}: {', '.join(names)}")
    return names, grid
