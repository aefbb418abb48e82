"""Tables of shape function gradients at integration points: all that an element kernel needs to know of a mesh."""

from typing import NamedTuple

import basix
import numpy as np
from dolfinx import fem
from numpy.typing import NDArray

from meshes.dolfinx_compat import coordinate_degree, coordinate_dofs

FloatArray = NDArray[np.float64]

_SIMPLICES = ("triangle", "tetrahedron")


class ShapeGradients(NamedTuple):
    """Shape function gradients of the cells that this rank owns, with q integration points and k nodes per cell."""

    gradients: FloatArray
    """d N / d x, (cells, q, k, d)."""
    mean: FloatArray
    """Volume average of the gradients over each cell, (cells, k, d); the mean dilatation (B-bar) is built from it."""
    weights: FloatArray
    """Quadrature weight times Jacobian determinant, (cells, q); the sum over a cell is its volume."""
    dofs: NDArray[np.int32]
    """Unrolled local dofs of each cell, node by node, (cells, k · block size)."""
    points: FloatArray
    """Coordinates of the integration points, (cells, q, d)."""


def default_quadrature_degree(cell_name: str, degree: int) -> int:
    """Polynomial degree integrated by default on a reference cell.

    Simplices: 2(degree − 1), exact for the stiffness of a straight-sided element. Quadrilaterals and hexahedra:
    degree + 1 Gauss points in each direction.
    """
    return 2 * (degree - 1) if cell_name in _SIMPLICES else 2 * degree + 1


def shape_gradients(space: fem.FunctionSpace, quadrature_degree: int) -> ShapeGradients:
    """Tabulate the gradients of a Lagrange space of degree 1 or 2 at the quadrature points of all owned cells."""
    mesh = space.mesh
    topology_dimension = mesh.topology.dim
    n_cells = mesh.topology.index_map(topology_dimension).size_local
    cell_name = mesh.topology.cell_name()
    cell_type = basix.CellType[cell_name]
    reference_points, reference_weights = basix.make_quadrature(cell_type, quadrature_degree)

    # Position and Jacobian from the coordinate element: x = Σ φ_a x_a, J_ij = ∂x_i/∂ξ_j.
    coordinate_element = basix.create_element(basix.ElementFamily.P, cell_type, coordinate_degree(mesh))
    coordinate_table = coordinate_element.tabulate(1, reference_points)[..., 0]  # (1 + d, q, a)
    vertices = mesh.geometry.x[coordinate_dofs(mesh)[:n_cells], :topology_dimension]  # (cells, a, d)
    points = np.einsum("qa,cai->cqi", coordinate_table[0], vertices)
    jacobian = np.einsum("jqa,cai->cqij", coordinate_table[1:], vertices)
    weights = reference_weights * np.abs(np.linalg.det(jacobian))

    degree = space.ufl_element().degree
    element = basix.create_element(basix.ElementFamily.P, cell_type, degree, basix.LagrangeVariant.gll_warped)
    reference_gradients = element.tabulate(1, reference_points)[1:, ..., 0]  # (d, q, k)
    gradients = np.einsum("jqk,cqji->cqki", reference_gradients, np.linalg.inv(jacobian))
    mean = np.einsum("cq,cqki->cki", weights, gradients) / weights.sum(axis=1)[:, None, None]

    block_size = space.dofmap.index_map_bs
    nodes = space.dofmap.list[:n_cells].astype(np.int32)
    dofs = (nodes[:, :, None] * block_size + np.arange(block_size, dtype=np.int32)).reshape(
        n_cells, nodes.shape[1] * block_size
    )
    return ShapeGradients(np.ascontiguousarray(gradients), mean, weights, dofs, points)
