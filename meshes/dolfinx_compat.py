"""The calls of dolfinx whose names or signatures differ between releases 0.9 and 0.11.

gmsh models are read by `meshes.gmsh_model` into plain arrays, so `dolfinx.io.gmshio` (0.9) and `dolfinx.io.gmsh`
(0.10, other return type) are both avoided. `create_mesh` swapped its third and fourth argument in 0.10: they are
passed by name here.
"""

import basix.ufl
import numpy as np
from dolfinx import io, mesh
from dolfinx.graph import adjacencylist
from mpi4py import MPI
from numpy.typing import NDArray

from meshes.elements import FloatArray, IntArray


def create_mesh(comm: MPI.Comm, cell_name: str, points: FloatArray, cells: IntArray) -> mesh.Mesh:
    """A straight-sided mesh from points (n, d) and cells (c, vertices), each given on any rank. Collective."""
    coordinate_element = basix.ufl.element("Lagrange", cell_name, 1, shape=(points.shape[1],))
    return mesh.create_mesh(
        comm,
        cells=np.ascontiguousarray(cells, dtype=np.int64),
        x=np.ascontiguousarray(points, dtype=np.float64),
        e=coordinate_element,
    )


def create_tags(domain: mesh.Mesh, dimension: int, entities: IntArray, values: IntArray) -> mesh.MeshTags:
    """Tags of entities given by the input indices of their points, (m, vertices), on any rank. Collective."""
    domain.topology.create_entities(dimension)
    domain.topology.create_connectivity(dimension, 0)
    domain.topology.create_connectivity(dimension, domain.topology.dim)
    local_entities, local_values = io.distribute_entity_data(
        domain,
        dimension,
        np.ascontiguousarray(entities, dtype=np.int64),
        np.ascontiguousarray(values, dtype=np.int32),
    )
    return mesh.meshtags_from_entities(
        domain, dimension, adjacencylist(np.asarray(local_entities)), np.asarray(local_values, dtype=np.int32)
    )


def original_cell_index(domain: mesh.Mesh) -> NDArray[np.int64]:
    """Input index of every local cell, ghosts included; it does not depend on the number of ranks."""
    return np.asarray(domain.topology.original_cell_index, dtype=np.int64)


def coordinate_dofs(domain: mesh.Mesh) -> NDArray[np.int32]:
    """Rows of `domain.geometry.x` of every local cell, (cells, vertices): `dofmap` to 0.10, `dofmaps[0]` from 0.11."""
    dofmaps = getattr(domain.geometry, "dofmaps", None)  # a list from 0.11 on
    return np.asarray(dofmaps[0] if isinstance(dofmaps, list) else domain.geometry.dofmap)


def coordinate_degree(domain: mesh.Mesh) -> int:
    """Polynomial degree of the geometry: of `cmap` to 0.10, of `cmaps[0]` from 0.11."""
    cmaps = getattr(domain.geometry, "cmaps", None)  # a list from 0.11 on
    return int(cmaps[0].degree if isinstance(cmaps, list) else domain.geometry.cmap.degree)
