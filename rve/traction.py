"""Uniform traction on the boundary of a cell: the condition on the fluctuation, and what holds the cell meanwhile."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from dolfinx import fem
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from materials.measures import FloatArray, Measure, Physics
from meshes.cells import CellMesh, outward_areas, solid_is_one_piece
from meshes.elements import IntArray

IndexArray = NDArray[np.int32]

_LATTICE = 3  # nodes along each axis with springs: enough to be stiff together, few enough to be cheap in the factor
_COVERED = 1.0 - 1e-6


class Constraint(NamedTuple):
    """What uniform traction (the minimal kinematic condition, Mesarovic and Padbidri 2005) asks of the fluctuation.

    ∫ w ⊗ N dS = 0 over the boundary of the cell: its symmetric part at small strain, w N for heat. The forces that do
    no work on such w are those of a uniform flux P on the boundary, f_a = P ∫ N_a N dS.
    """

    rows: FloatArray
    """Orthonormal basis of the conditions, (g, n): rows · w = 0."""
    springs: FloatArray
    """Orthonormal uniform gradients of some nodes, (g, n). The constraint allows no uniform gradient, but the stiffness
    alone does not see that: it is singular against rotations at finite strain, and where a uniform traction is as much
    as the cell can bear. With springs against these fields it is definite where the constrained cell is stable."""

    @property
    def spring_dofs(self) -> IndexArray:
        """The dofs that the springs couple, (s,)."""
        return np.flatnonzero(self.springs.any(axis=0)).astype(np.int32)


def uniform_traction(
    mesh: CellMesh, space: fem.FunctionSpace, measure: Measure, reached: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], Constraint]:
    """The free dofs (nodes, block size) of a cell whose solid reaches the nodes `reached`, and the constraint on them.

    Held are dofs that no uniform traction works on, so that their reactions are zero: one node against translation, and
    at small strain d (d − 1)/2 dofs against rotation.
    """
    free = np.repeat(reached[:, None], measure.block_size, axis=1)
    held, turning = _supports(space, measure, mesh.size)
    free[held] = False
    if measure.physics is Physics.SMALL_STRAIN:
        free[*turning] = False

    areas = outward_areas(space, mesh.size)
    dyads = np.eye(measure.block_size)[:, :, None] * areas[:, None, None]  # e_i ⊗ ∫ N_a N dS, (nodes, i, :, :)
    if measure.physics is Physics.HEAT:
        dyads = dyads[:, :, 0]
    if measure.physics is Physics.SMALL_STRAIN:
        dyads = 0.5 * (dyads + dyads.swapaxes(-1, -2))
    rows = _orthonormal(measure.to_vector(dyads)[free])
    return free, Constraint(rows, _orthonormal(_uniform_gradients(space, measure, mesh.size, free)[free]))


def require_solid_boundary(mesh: CellMesh, space: fem.FunctionSpace, voids: Mapping[str, IndexArray]) -> None:
    """Refuse cells that uniform traction cannot hold; `voids` are phases without material and their elements.

    Raises:
        ValueError: a void cuts the boundary, or parts the solid.
    """
    cutting = {name: np.abs(outward_areas(space, mesh.size, elements)).sum(axis=0) for name, elements in voids.items()}
    whole = 2.0 * mesh.volume / mesh.size
    solid = np.abs(outward_areas(space, mesh.size)).sum(axis=0) - sum(cutting.values())
    axis = int(np.argmin(solid / whole))
    if solid[axis] < _COVERED * whole[axis]:
        names = ", ".join(name for name, area in cutting.items() if area.any()) or "a hole"
        raise ValueError(
            f"uniform traction needs solid along the whole boundary of the cell, but {names} cuts it: "
            f"{solid[axis] / whole[axis]:.1%} of the faces normal to {'xyz'[axis]} are solid; "
            f"use periodic or linear, or fill the void with a very soft law"
        )
    if not solid_is_one_piece(mesh, voids):
        raise ValueError(
            f"the solid of the cell is in pieces without {', '.join(voids) or 'its holes'}, and uniform traction does "
            f"not hold those inside; fill the void with a very soft law, or change the geometry"
        )


def _supports(space: fem.FunctionSpace, measure: Measure, size: FloatArray) -> tuple[int, list[IntArray]]:
    """The node at the origin, and nodes and directions of the d (d − 1)/2 supports that stop a rotation about it."""
    tree = cKDTree(space.tabulate_dof_coordinates()[:, : measure.dimension])
    _, origin = tree.query(np.zeros(measure.dimension))
    _, ends = tree.query(np.diag(size))
    # In mechanics the end of the x axis keeps to that axis, and the end of the y axis to the x-y plane.
    axis, direction = np.triu_indices(measure.block_size, k=1)
    return int(origin), [ends[axis], direction]


def _uniform_gradients(
    space: fem.FunctionSpace, measure: Measure, size: FloatArray, free: NDArray[np.bool_]
) -> FloatArray:
    """Fields G · x of each gradient G on a few free nodes, zero elsewhere, (nodes, block size, g)."""
    nodes = np.flatnonzero(free.all(axis=1))
    points = space.tabulate_dof_coordinates()[nodes, : measure.dimension]
    lattice = np.indices((_LATTICE,) * measure.dimension).reshape(measure.dimension, -1).T
    chosen = np.unique(cKDTree(points).query((lattice + 0.5) / _LATTICE * size)[1])
    gradients = measure.to_tensor(np.eye(measure.size)).reshape(measure.size, measure.block_size, measure.dimension)
    fields = np.zeros((*free.shape, measure.size))
    fields[nodes[chosen]] = np.einsum("gij,nj->nig", gradients, points[chosen] - points[chosen].mean(axis=0))
    return fields


def _orthonormal(columns: FloatArray) -> FloatArray:
    """A basis of the span of columns (n, g), as rows, (g, n)."""
    basis, _ = np.linalg.qr(columns)
    return np.ascontiguousarray(basis.T)
