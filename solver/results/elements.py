"""Node order of Lagrange elements: dolfinx counts one way, VTK and XDMF another."""

from functools import cache

import basix
import numpy as np
from numpy.typing import NDArray

XDMF_TOPOLOGY = {
    ("triangle", 1): "Triangle",
    ("triangle", 2): "Triangle_6",
    ("quadrilateral", 1): "Quadrilateral",
    ("quadrilateral", 2): "Quadrilateral_9",
    ("tetrahedron", 1): "Tetrahedron",
    ("tetrahedron", 2): "Tetrahedron_10",
    ("hexahedron", 1): "Hexahedron",
    ("hexahedron", 2): "Hexahedron_27",
}
"""Name of a Lagrange element in XDMF, by cell shape and degree."""

CORNERS = {
    "triangle": ((0, 0), (1, 0), (0, 1)),
    "quadrilateral": ((0, 0), (1, 0), (1, 1), (0, 1)),
    "tetrahedron": ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "hexahedron": (
        *((0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0)),
        *((0, 0, 1), (1, 0, 1), (1, 1, 1), (0, 1, 1)),
    ),
}
"""Reference coordinates of the corners in VTK order."""

_MIDDLES = {
    "triangle": ((0, 1), (1, 2), (2, 0)),
    "quadrilateral": ((0, 1), (1, 2), (2, 3), (3, 0), (0, 1, 2, 3)),
    "tetrahedron": ((0, 1), (1, 2), (2, 0), (0, 3), (1, 3), (2, 3)),
    "hexahedron": (
        *((0, 1), (1, 2), (2, 3), (3, 0), (4, 5), (5, 6), (6, 7), (7, 4), (0, 4), (1, 5), (2, 6), (3, 7)),
        *((0, 3, 7, 4), (1, 2, 6, 5), (0, 1, 5, 4), (3, 2, 6, 7), (0, 1, 2, 3), (4, 5, 6, 7), tuple(range(8))),
    ),
}
"""Corners whose mean is the further node of a degree 2 element, in VTK order (vtkTriQuadraticHexahedron and kin)."""


def vtk_points(cell: str, degree: int) -> NDArray[np.float64]:
    """Reference coordinates of the nodes in VTK order, (nodes, d)."""
    corners = np.array(CORNERS[cell], dtype=float)
    if degree == 1:
        return corners
    return np.concatenate([corners, [corners[list(group)].mean(axis=0) for group in _MIDDLES[cell]]])


@cache
def vtk_permutation(cell: str, degree: int) -> NDArray[np.int64]:
    """Positions in dolfinx's node list of the nodes in VTK order: `nodes[vtk_permutation(…)]` is VTK's list."""
    family, variant = basix.ElementFamily.P, basix.LagrangeVariant.gll_warped
    points = basix.create_element(family, basix.CellType[cell], degree, variant).points
    distance = np.linalg.norm(vtk_points(cell, degree)[:, None, :] - points[None, :, :], axis=2)
    return np.argmin(distance, axis=1)
