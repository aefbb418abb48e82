"""The visible surface of a mesh as curved patches: all cells in 2D, the boundary faces in 3D."""

from typing import NamedTuple

import numpy as np

from materials.interface import IntArray
from materials.measures import FloatArray

# Faces of 3D elements: corners, then for degree 2 the middles, numbered as VTK numbers the nodes of the element.
_FACES = {
    ("tetrahedron", 1): ((0, 1, 3), (1, 2, 3), (2, 0, 3), (0, 2, 1)),
    ("tetrahedron", 2): ((0, 1, 3, 4, 8, 7), (1, 2, 3, 5, 9, 8), (2, 0, 3, 6, 7, 9), (0, 2, 1, 6, 5, 4)),
    ("hexahedron", 1): ((0, 3, 2, 1), (4, 5, 6, 7), (0, 1, 5, 4), (1, 2, 6, 5), (2, 3, 7, 6), (3, 0, 4, 7)),
    ("hexahedron", 2): (
        (0, 3, 2, 1, 11, 10, 9, 8, 24),
        (4, 5, 6, 7, 12, 13, 14, 15, 25),
        (0, 1, 5, 4, 8, 17, 12, 16, 22),
        (1, 2, 6, 5, 9, 18, 13, 17, 21),
        (2, 3, 7, 6, 10, 19, 14, 18, 23),
        (3, 0, 4, 7, 11, 16, 15, 19, 20),
    ),
}
_FACE_SHAPE = {"tetrahedron": "triangle", "hexahedron": "quadrilateral"}


class Patches(NamedTuple):
    """Triangles or quadrilaterals of degree 1 or 2, with outward normals in 3D."""

    shape: str
    degree: int
    nodes: IntArray
    """Nodes in VTK order, (patches, k)."""
    cell: IntArray
    """Cell that each patch belongs to, (patches,)."""


class Lattice(NamedTuple):
    """A fine grid on a reference patch."""

    table: FloatArray
    """Shape functions at the grid points, (points, k)."""
    triangles: IntArray
    """Grid points of the triangles, (triangles, 3)."""
    outline: IntArray
    """Grid points round the edge, closed, (m,)."""


def patches_of(cells: IntArray, element: str, degree: int) -> Patches:
    """Visible patches of a mesh whose cells (cells, k) list their nodes in VTK order."""
    if element not in _FACE_SHAPE:
        return Patches(element, degree, cells, np.arange(len(cells)))
    shape = _FACE_SHAPE[element]
    n_corners = 3 if shape == "triangle" else 4
    faces = np.array(_FACES[element, degree])
    nodes = cells[:, faces].reshape(-1, faces.shape[1])
    owner = np.repeat(np.arange(len(cells)), len(faces))
    key = np.sort(nodes[:, :n_corners], axis=1)
    _, first, counts = np.unique(key, axis=0, return_index=True, return_counts=True)
    outside = np.sort(first[counts == 1])
    return Patches(shape, degree, nodes[outside], owner[outside])


def lattice(shape: str, degree: int, divisions: int) -> Lattice:
    """A grid with `divisions` intervals along each edge of a reference patch."""
    n = divisions
    if shape == "quadrilateral":
        index = {(i, j): i + j * (n + 1) for j in range(n + 1) for i in range(n + 1)}
        triangles = []
        for j in range(n):
            for i in range(n):
                a, b, c, d = index[i, j], index[i + 1, j], index[i + 1, j + 1], index[i, j + 1]
                triangles += [(a, b, c), (a, c, d)]
        sides = [(i, 0) for i in range(n)] + [(n, j) for j in range(n)]
        sides += [(i, n) for i in range(n, 0, -1)] + [(0, j) for j in range(n, -1, -1)]
    else:
        pairs = [(i, j) for j in range(n + 1) for i in range(n + 1 - j)]
        index = {pair: number for number, pair in enumerate(pairs)}
        triangles = [(index[i, j], index[i + 1, j], index[i, j + 1]) for i, j in pairs if i + j < n]
        triangles += [(index[i + 1, j], index[i + 1, j + 1], index[i, j + 1]) for i, j in pairs if i + j < n - 1]
        sides = [(i, 0) for i in range(n)] + [(n - j, j) for j in range(n)] + [(0, j) for j in range(n, -1, -1)]
    points = np.array(list(index), dtype=float) / n
    outline = np.array([index[pair] for pair in sides])
    return Lattice(_shape_functions(shape, degree, points), np.array(triangles), outline)


def boundary_loops(patches: Patches) -> IntArray:
    """Edges that belong to one patch only, as node lists (edges, 2), or (edges, 3) with the middle in between."""
    corners = 3 if patches.shape == "triangle" else 4
    ends = [(i, (i + 1) % corners) for i in range(corners)]
    columns = np.array(ends)
    if patches.degree == 2:
        columns = np.insert(columns, 1, corners + np.arange(corners), axis=1)
    edges = patches.nodes[:, columns].reshape(-1, 2 if patches.degree == 1 else 3)
    key = np.sort(edges[:, [0, -1]], axis=1)
    _, first, counts = np.unique(key, axis=0, return_index=True, return_counts=True)
    return edges[first[counts == 1]]


def _shape_functions(shape: str, degree: int, points: FloatArray) -> FloatArray:
    """Lagrange functions in VTK node order at reference points (n, 2)."""
    x, y = points.T
    if shape == "triangle":
        z = 1.0 - x - y
        if degree == 1:
            return np.stack([z, x, y], axis=1)
        corners = [z * (2 * z - 1), x * (2 * x - 1), y * (2 * y - 1)]
        return np.stack([*corners, 4 * z * x, 4 * x * y, 4 * y * z], axis=1)
    if degree == 1:
        return np.stack([(1 - x) * (1 - y), x * (1 - y), x * y, (1 - x) * y], axis=1)
    fx, fy = ([(1 - s) * (1 - 2 * s), s * (2 * s - 1), 4 * s * (1 - s)] for s in (x, y))
    order = ((0, 0), (1, 0), (1, 1), (0, 1), (2, 0), (1, 2), (2, 1), (0, 2), (2, 2))
    return np.stack([fx[i] * fy[j] for i, j in order], axis=1)
