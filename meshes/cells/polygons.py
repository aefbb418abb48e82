"""Round and elliptic inclusions in a periodic rectangle, as convex polygons of the area asked for."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from meshes.cells.segments import segments_mesh
from meshes.elements import FloatArray
from meshes.mesh_arrays import MeshArrays

MATRIX, INCLUSION = 1, 2
_FEWEST_SIDES = 12
_TURNS = 32


class Polygon(NamedTuple):
    """A convex polygon in a periodic rectangle, smaller than it."""

    centre: FloatArray
    """(2,)."""
    corners: FloatArray
    """Counter-clockwise, relative to the centre, (n, 2)."""


def sides(circumference: float, length: float) -> int:
    """Number of sides, each some `length` long, of the polygon for a closed curve."""
    return max(_FEWEST_SIDES, math.ceil(circumference / length - 1e-9))


def circumradius(n: int) -> float:
    """Circumradius of the regular polygon with n sides over the radius of the circle of its area."""
    return math.sqrt(2.0 * math.pi / n / math.sin(2.0 * math.pi / n))


def ellipse(
    centre: FloatArray, semi_axes: tuple[float, float], angle: float, length: float, size: FloatArray
) -> Polygon:
    """The polygon of the area of an ellipse: the image of a regular one, turned so that no corner is near a face.

    Args:
        centre: (2,).
        semi_axes: a, b.
        angle: of a against the x axis, radians.
        length: of a side.
        size: edge lengths of the cell, (2,).
    """
    a, b = semi_axes
    n = sides(math.pi * (3.0 * (a + b) - math.sqrt((3.0 * a + b) * (a + 3.0 * b))), length)  # Ramanujan (1914)
    cos, sin = math.cos(angle), math.sin(angle)
    stretch = circumradius(n) * np.array([[a * cos, -b * sin], [a * sin, b * cos]])
    turn = 2.0 * math.pi / n * (np.arange(n)[:, None] + np.arange(_TURNS) / _TURNS)
    corners = np.stack([np.cos(turn), np.sin(turn)], axis=-1) @ stretch.T
    place = (centre + corners) / size
    distance = np.abs(place - np.round(place)).min(axis=(0, 2))
    return Polygon(centre, corners[:, int(np.argmax(distance > distance.max() - 1e-9))])


def polygons_mesh(size: FloatArray, polygons: Sequence[Polygon], length: float, purpose: str) -> MeshArrays:
    """A rectangle with polygons that may stand across its faces; cell tags 1 (matrix) and 2 (inclusion).

    Args:
        size: edge lengths of the rectangle, (2,).
        polygons: none meets another or an image of one.
        length: of elements.
        purpose: what is meshed, for messages.

    Raises:
        MeshError: gmsh fails.
    """
    outlines = []
    for centre, corners in polygons:
        start = centre - size * np.floor(centre / size) + corners
        outlines.append(np.stack([start, np.roll(start, -1, axis=0)], axis=1))
    mesh = segments_mesh(size, np.concatenate(outlines), length, purpose)
    middle = mesh.vertices().mean(axis=1)
    inside = np.zeros(len(middle), dtype=bool)
    for centre, corners in polygons:
        offset = middle - centre
        offset -= size * np.round(offset / size)
        edge = np.roll(corners, -1, axis=0) - corners
        normal = np.stack([-edge[:, 1], edge[:, 0]], axis=1)  # inwards
        inside |= np.all(offset @ normal.T > np.einsum("ni,ni->n", corners, normal), axis=1)
    tags = np.where(inside, INCLUSION, MATRIX)
    return mesh._replace(cell_tags=tags, regions={"matrix": MATRIX, "inclusion": INCLUSION})
