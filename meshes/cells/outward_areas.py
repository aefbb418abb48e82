"""Integrals of shape functions over the faces of a cell."""

import basix
import numpy as np
from dolfinx import fem
from numpy.typing import NDArray

from meshes.cells.periodicity import on_faces
from meshes.dolfinx_compat import coordinate_dofs
from meshes.elements import ELEMENTS, FloatArray


def outward_areas(space: fem.FunctionSpace, size: FloatArray, elements: NDArray[np.int32] | None = None) -> FloatArray:
    """∫ N_a N dS over the faces of the cell [0, size], (nodes, d); of the facets of `elements` alone where given.

    N_a is the shape function of node (dof block) a of a Lagrange space, N the outward normal; walls of holes do not
    count.
    """
    mesh, d = space.mesh, len(size)
    kind = ELEMENTS[mesh.topology.cell_name()]
    cell_type, degree = basix.CellType[kind.name], space.ufl_element().degree
    shape = basix.create_element(basix.ElementFamily.P, cell_type, degree, basix.LagrangeVariant.gll_warped)
    coordinate = basix.create_element(basix.ElementFamily.P, cell_type, 1)
    corners = np.asarray(basix.geometry(cell_type), dtype=np.float64)
    points, weights = basix.make_quadrature(basix.CellType[kind.facet], 2 * degree)
    chosen = slice(None) if elements is None else elements
    vertices = mesh.geometry.x[coordinate_dofs(mesh)[chosen], :d]
    nodes = space.dofmap.list[chosen]

    areas = np.zeros((len(space.tabulate_dof_coordinates()), d))
    normals, jacobians = basix.cell.facet_outward_normals(cell_type), basix.cell.facet_jacobians(cell_type)
    first = corners[kind.facet_vertices[:, 0]]
    for facet, corner, normal, edges in zip(kind.facet_vertices, first, normals, jacobians, strict=True):
        on = on_faces(vertices[:, facet].mean(axis=1), size)
        reference_points = corner + points @ edges.T
        reference_weights = weights * np.sqrt(np.linalg.det(edges.T @ edges))
        gradients = coordinate.tabulate(1, reference_points)[1:, ..., 0]
        jacobian = np.einsum("jqa,cai->cqij", gradients, vertices[on])
        # Nanson: N dS = |det J| J⁻ᵀ n dS_ref
        vector = np.abs(np.linalg.det(jacobian))[..., None] * (normal @ np.linalg.inv(jacobian))
        values = shape.tabulate(0, reference_points)[0, ..., 0]
        np.add.at(areas, nodes[on], np.einsum("q,qk,cqi->cki", reference_weights, values, vector))
    return areas
