"""A periodic triangle mesh pulled along z into tetrahedra."""

import numpy as np

from meshes.elements import ELEMENTS, FloatArray
from meshes.mesh_arrays import MeshArrays, no_facets

_WALKS = ((0, 1, 2, 5), (0, 1, 4, 5), (0, 3, 4, 5))
"""Tetrahedra of a prism, corners 0, 1, 2 below 3, 4, 5: up one side after the other (Kuhn 1960)."""


def extruded(mesh: MeshArrays, size: FloatArray, depth: float, layers: int) -> MeshArrays:
    """The prisms over the triangles of `mesh`, each split into three tetrahedra; opposite faces match.

    The corners of every triangle are walked in one order of all points, in which images are equal, so that neighbours
    and opposite faces split their common side along the same diagonal.

    Args:
        mesh: triangles of the cell [0, size] with exact images on opposite faces, none of which it spans.
        size: (2,).
        depth: length along z.
        layers: of prisms.
    """
    kind, n = ELEMENTS["tetrahedron"], len(mesh.points)
    _, order = np.unique(np.where(mesh.points == size, 0.0, mesh.points), axis=0, return_inverse=True)
    walked = np.take_along_axis(mesh.cells, np.argsort(order.ravel()[mesh.cells], axis=1), axis=1)
    prisms = np.concatenate([np.hstack([walked, walked + n]) + layer * n for layer in range(layers)])
    heights = np.repeat(depth * np.arange(layers + 1) / layers, n)
    return MeshArrays(
        element=kind,
        points=np.column_stack([np.tile(mesh.points, (layers + 1, 1)), heights]),
        cells=prisms[:, _WALKS].reshape(-1, kind.n_vertices),
        cell_tags=np.tile(np.repeat(mesh.cell_tags, len(_WALKS)), layers),
        regions=mesh.regions,
        facets=no_facets(kind)[0],
        facet_tags=no_facets(kind)[1],
        boundaries={},
    ).oriented()
