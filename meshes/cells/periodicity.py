"""Which nodes of a cell are images of each other, and which lie on its boundary."""

import numpy as np
from dolfinx import fem
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from meshes.elements import FloatArray, IntArray
from meshes.errors import MeshError

TOLERANCE = 1e-6
"""Largest mismatch of opposite nodes, and distance from a face, relative to the shortest edge of the cell."""


def boundary_nodes(space: fem.FunctionSpace, size: FloatArray) -> NDArray[np.bool_]:
    """Whether each node (dof block) of the space lies on a face of the cell [0, size], (nodes,)."""
    return on_faces(space.tabulate_dof_coordinates()[:, : len(size)], size)


def on_faces(points: FloatArray, size: FloatArray) -> NDArray[np.bool_]:
    """Whether each of the points (n, d) lies on a face of the cell [0, size], (n,)."""
    tolerance = TOLERANCE * float(np.min(size))
    return np.any((points < tolerance) | (points > size - tolerance), axis=1)


def periodic_map(space: fem.FunctionSpace, size: FloatArray) -> IntArray:
    """Master of every node (dof block) of a Lagrange space on the cell [0, size], (nodes,).

    The master of a node on a high face is its image on the low face; nodes on edges and corners lead to one common
    master. Every other node is its own master.

    Raises:
        MeshError: nodes of opposite faces do not match; the message gives the worst mismatch.
    """
    points = space.tabulate_dof_coordinates()[:, : len(size)]
    master = np.arange(len(points))
    for axis in range(len(size)):
        high, low = face_pairs(points, size, axis)
        master[high] = low
    while not np.array_equal(master, chained := master[master]):
        master = chained
    return master


def face_pairs(points: FloatArray, size: FloatArray, axis: int, kind: str = "nodes") -> tuple[IntArray, IntArray]:
    """Rows of `points` on the high face of the cell along `axis`, and of their images on the low face.

    Raises:
        MeshError: points of the two faces do not match one to one.
    """
    tolerance = TOLERANCE * float(np.min(size))
    length, name = size[axis], "xyz"[axis]
    low = np.flatnonzero(np.abs(points[:, axis]) < tolerance)
    high = np.flatnonzero(np.abs(points[:, axis] - length) < tolerance)
    if low.size == 0 or high.size == 0:
        raise MeshError(f"the cell has no {kind} on its {name} = {'0' if low.size == 0 else f'{length:g}'} face")
    face, image = (np.delete(points[rows], axis, axis=1) for rows in (low, high))
    distance, nearest = cKDTree(face).query(image)
    if low.size != high.size or distance.max() > tolerance:
        worst = max(distance.max(), cKDTree(image).query(face)[0].max())
        raise MeshError(
            f"opposite faces of a periodic cell must match: on {name} = 0 there are {low.size} {kind}, on "
            f"{name} = {length:g} {high.size}, and the worst mismatch is {worst:.3g}"
        )
    return high, low[nearest]


def snapped(points: FloatArray, size: FloatArray) -> FloatArray:
    """Points of a periodic cell without the rounding errors of its mesher.

    Points on faces lie on them, and images are exact translations of each other.

    Raises:
        MeshError: points of opposite faces do not match.
    """
    points = points.copy()
    near = TOLERANCE * float(np.min(size))
    for end in (np.zeros(len(size)), size):
        points = np.where(np.abs(points - end) < near, end, points)
    for axis in range(len(size)):
        high, low = face_pairs(points, size, axis)
        points[high] = points[low]
        points[high, axis] = size[axis]
    return points
