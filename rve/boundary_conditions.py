"""Boundary conditions of a cell: which fluctuations are admissible."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from dolfinx import fem
from numpy.typing import NDArray

from materials.measures import Measure, Physics
from meshes.cells import CellMesh, boundary_nodes, periodic_map, solid_is_connected
from meshes.elements import IntArray
from rve.traction import Constraint, IndexArray, require_solid_boundary, uniform_traction

BOUNDARY_CONDITIONS = ("periodic", "linear", "traction")

Elements = Mapping[str, IndexArray]
"""Phase name -> its elements in the mesh."""


class AdmissibleFluctuations(NamedTuple):
    """Fluctuations of a cell that a boundary condition allows."""

    dof_of: IndexArray
    """Admissible dof of every dof of the space, −1 where the fluctuation is fixed or no solid element reaches."""
    constraint: Constraint | None
    """Of uniform traction."""


def admissible_fluctuations(
    boundary: str, mesh: CellMesh, space: fem.FunctionSpace, measure: Measure, solid: Elements, voids: Elements
) -> AdmissibleFluctuations:
    """Number the dofs of the admissible fluctuations; periodic images share a number.

    Args:
        boundary: one of `BOUNDARY_CONDITIONS`.
        mesh: of the cell.
        space: of the fluctuation, one Lagrange space.
        measure: of the macroscopic gradient.
        solid: elements of the phases with material.
        voids: elements of the phases without.

    Raises:
        ValueError: voids leave a part of the solid loose, or cut a boundary under traction.
        MeshError: the nodes of opposite faces do not match (periodic).
    """
    reached = np.zeros(space.dofmap.index_map.size_local, dtype=bool)
    reached[space.dofmap.list[np.concatenate(list(solid.values()))]] = True
    if boundary == "traction":
        require_solid_boundary(mesh, space, voids)
        free, constraint = uniform_traction(mesh, space, measure, reached)
        return AdmissibleFluctuations(_numbered(free).ravel(), constraint)
    if voids and not solid_is_connected(mesh, voids, mechanical=measure.physics is not Physics.HEAT):
        raise ValueError(
            f"the solid of the cell does not hold together without {', '.join(voids)}: a part of it would move freely; "
            f"fill the void with a very soft law, or change the geometry"
        )
    if boundary == "linear":
        master: IntArray = np.arange(reached.size)
        moving = reached & ~boundary_nodes(space, mesh.size)
    else:
        master = periodic_map(space, mesh.size)
        moving = np.zeros_like(reached)
        moving[master[reached]] = True
        moving[np.flatnonzero(moving)[0]] = False  # rigid translation
    free = np.repeat(moving[:, None], measure.block_size, axis=1)
    return AdmissibleFluctuations(_numbered(free)[master].ravel(), None)


def _numbered(free: NDArray[np.bool_]) -> IndexArray:
    """Consecutive numbers where `free`, −1 elsewhere."""
    number = np.full(free.shape, -1, dtype=np.int32)
    number[free] = np.arange(np.count_nonzero(free), dtype=np.int32)
    return number
