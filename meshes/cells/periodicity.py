"""Which nodes of a cell are images of each other, and which lie on its boundary."""

import numpy as np
from dolfinx import fem
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from meshes.elements import FloatArray, IntArray
from meshes.errors import MeshError

TOLERANCE = 1e-6
"""Largest mismatch of opposite nodes, and distance from a face, relative to the shortest edge of the cell."""


def _coordinates(space: fem.FunctionSpace, size: FloatArray) -> tuple[FloatArray, float]:
    return space.tabulate_dof_coordinates()[:, : len(size)], TOLERANCE * float(np.min(size))


def boundary_nodes(space: fem.FunctionSpace, size: FloatArray) -> NDArray[np.bool_]:
    """Whether each node (dof block) of the space lies on a face of the cell [0, size], (nodes,)."""
    points, tolerance = _coordinates(space, size)
    return np.any((points < tolerance) | (points > size - tolerance), axis=1)


def periodic_map(space: fem.FunctionSpace, size: FloatArray) -> IntArray:
    """Master of every node (dof block) of a Lagrange space on the cell [0, size], (nodes,).

    The master of a node on a high face is its image on the low face; nodes on edges and corners lead to one common
    master. Every other node is its own master.

    Raises:
        MeshError: nodes of opposite faces do not match; the message gives the worst mismatch.
    """
    points, tolerance = _coordinates(space, size)
    master = np.arange(len(points))
    for axis, length in enumerate(size):
        low = np.flatnonzero(points[:, axis] < tolerance)
        high = np.flatnonzero(points[:, axis] > length - tolerance)
        image = points[high].copy()
        image[:, axis] = 0.0
        face = points[low].copy()
        face[:, axis] = 0.0
        name = "xyz"[axis]
        if low.size == 0 or high.size == 0:
            raise MeshError(f"the cell has no nodes on its {name} = {'0' if low.size == 0 else f'{length:g}'} face")
        distance, nearest = cKDTree(face).query(image)
        if low.size != high.size or distance.max() > tolerance:
            back = cKDTree(image).query(face)[0]
            raise MeshError(
                f"the faces x, y or z = const of a periodic cell must match: on {name} = 0 there are {low.size} nodes, "
                f"on {name} = {length:g} {high.size}, and the worst mismatch is {max(distance.max(), back.max()):.3g}"
            )
        master[high] = low[nearest]
    while not np.array_equal(master, chained := master[master]):
        master = chained
    return master
