"""A distributed space brought together on rank 0, in an order that does not depend on the number of ranks."""

import numpy as np
from dolfinx import fem
from numpy.typing import NDArray

from materials.interface import IntArray
from materials.measures import FloatArray
from solver.results.elements import vtk_permutation


class GatheredMesh:
    """Nodes and cells of a Lagrange space of degree 1 or 2.

    Cells come in the order of the input mesh. Nodes come in the order in which these cells meet them, each cell
    listing its nodes as VTK does. On ranks other than 0 the arrays are empty.
    """

    points: FloatArray
    """Node coordinates, (nodes, 3)."""
    cells: IntArray
    """Nodes of each cell in VTK order, (cells, nodes per cell)."""
    element: str
    """Cell shape."""
    degree: int

    def __init__(self, space: fem.FunctionSpace) -> None:
        """Gather a space. Collective."""
        mesh = space.mesh
        self._comm = mesh.comm
        self.element = mesh.topology.cell_name()
        self.degree = int(space.ufl_element().degree)
        index_map = space.dofmap.index_map
        self.n_owned_nodes = int(index_map.size_local)
        self.n_owned_cells = int(mesh.topology.index_map(mesh.topology.dim).size_local)

        local = space.dofmap.list[: self.n_owned_cells]
        nodes = index_map.local_to_global(local.ravel().astype(np.int32)).astype(np.int64).reshape(local.shape)
        nodes = nodes[:, vtk_permutation(self.element, self.degree)]
        original = np.asarray(mesh.topology.original_cell_index[: self.n_owned_cells], dtype=np.int64)

        gathered_nodes = self._together(nodes)
        self._cell_order = np.argsort(self._together(original), kind="stable")
        cells = gathered_nodes[self._cell_order]
        distinct, first, inverse = np.unique(cells.ravel(), return_index=True, return_inverse=True)
        by_occurrence = np.argsort(first)
        rank_of = np.empty_like(by_occurrence)
        rank_of[by_occurrence] = np.arange(len(distinct))
        self._node_order: IntArray = distinct[by_occurrence]
        self.cells = rank_of[inverse.reshape(-1)].reshape(cells.shape)
        self.points = self.nodal(space.tabulate_dof_coordinates()[: self.n_owned_nodes])

    def nodal(self, values: FloatArray) -> FloatArray:
        """Values at owned nodes (owned nodes, …) as (nodes, …) on rank 0. Collective."""
        return self._together(values[: self.n_owned_nodes])[self._node_order]

    def cellwise(self, values: FloatArray) -> FloatArray:
        """Values on owned cells (owned cells, …) as (cells, …) on rank 0. Collective."""
        return self._together(values[: self.n_owned_cells])[self._cell_order]

    def _together[Scalar: np.generic](self, values: NDArray[Scalar]) -> NDArray[Scalar]:
        parts = self._comm.gather(np.ascontiguousarray(values), root=0)
        return np.concatenate(parts) if parts is not None else values[:0]
