"""Grains: a periodic Voronoi tessellation of the plane."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt, Le
from scipy.spatial import Voronoi, cKDTree

from meshes.cells.geometry import edge_lengths, element_length, only_in_the_plane, simplex_kind
from meshes.cells.segments import segments_mesh
from meshes.elements import FloatArray, IntArray
from meshes.errors import MeshError
from meshes.mesh_arrays import MeshArrays

_SHIFTS = 2_000


@dataclass(frozen=True)
class Polycrystal:
    """Grains around random points, a phase each or a few phases dealt out in turn."""

    grains: Annotated[int, Ge(3), Le(2000)] = 10
    """Number of grains in the cell."""
    phases: Annotated[int, Ge(1)] | None = None
    """Number of phases: grain i has phase i modulo this; by default every grain is one."""
    relaxation: Annotated[int, Ge(0), Le(100)] = 2
    """Steps of moving the points to the centroids of their grains, which makes grains equiaxed."""
    seed: Annotated[int, Ge(0)] = 0
    """Of the points."""
    resolution: Annotated[int, Ge(2)] = 16
    """Elements along the shortest edge of the cell."""
    size: tuple[Annotated[float, Gt(0.0)], ...] | None = None
    """Edge lengths of the cell; by default 1 each."""

    def phase_names(self, given: Sequence[str] | None) -> tuple[str, ...]:
        """The names of the case, by default `grain_1`, `grain_2` and so on."""
        wanted = self.grains if self.phases is None else min(self.phases, self.grains)
        names = tuple(f"grain_{i + 1}" for i in range(wanted)) if given is None else tuple(given)
        if len(names) != wanted:
            raise MeshError(
                f"the polycrystal has {wanted} phases, given are {len(names)}: set `phases` to {len(names)}"
            )
        return names

    def build(self, dimension: int, element: str) -> MeshArrays:
        """A triangle mesh that follows the grain boundaries."""
        only_in_the_plane("a polycrystal", dimension)
        simplex_kind("a grain", element, dimension)
        size = edge_lengths(self.size, dimension)
        length = element_length(size, self.resolution)
        points = self._points(size)
        walls, _ = _tessellation(points, size)
        mesh = segments_mesh(size, walls, length, f"polycrystal of {self.grains} grains")
        _, nearest = cKDTree(_images(points, size)).query(mesh.vertices().mean(axis=1))
        n_phases = len(self.phase_names(None))
        tags = nearest % self.grains % n_phases + 1
        return mesh._replace(cell_tags=tags, regions={f"grain_{i + 1}": i + 1 for i in range(n_phases)})

    def _points(self, size: FloatArray) -> FloatArray:
        """Points in the cell, (grains, 2), in the place where no corner of a grain is close to a face."""
        rng = np.random.default_rng(self.seed)
        points = rng.random((self.grains, 2)) * size
        for _ in range(self.relaxation):
            points = _tessellation(points, size)[1]
        walls, _ = _tessellation(points, size)
        shifts = rng.random((_SHIFTS, 1, 2)) * size
        place = (walls.reshape(-1, 2) + shifts) / size
        clearance = np.abs(place - np.round(place)).min(axis=(1, 2))
        return (points + shifts[np.argmax(clearance)]) % size


def _images(points: FloatArray, size: FloatArray) -> FloatArray:
    """Points and all their images in the cells around, (25 n, 2); row modulo n is the point, the first n are they."""
    shifts = sorted(itertools.product(range(-2, 3), repeat=2), key=lambda s: s != (0, 0))
    return (points + np.array(shifts, dtype=np.float64)[:, None] * size).reshape(-1, 2)


def _tessellation(points: FloatArray, size: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Grain boundaries of points and their images, each once per period or more, (w, 2, 2), and centroids, (n, 2)."""
    n = len(points)
    diagram = Voronoi(_images(points, size))
    ridges: IntArray = np.asarray(diagram.ridge_vertices)
    between = np.asarray(diagram.ridge_points)
    own = np.any(between < n, axis=1)
    if np.any(ridges[own] < 0):
        raise MeshError(f"{n} grains are too few for a cell of this shape: ask for more")
    centroids = np.empty_like(points)
    for i in range(n):
        corners = diagram.vertices[diagram.regions[diagram.point_region[i]]]
        offset = corners - points[i]
        offset = offset[np.argsort(np.arctan2(offset[:, 1], offset[:, 0]))]
        following = np.roll(offset, -1, axis=0)
        twice = offset[:, 0] * following[:, 1] - offset[:, 1] * following[:, 0]
        centroids[i] = points[i] + ((offset + following) * twice[:, None]).sum(axis=0) / (3.0 * twice.sum())
    return diagram.vertices[ridges[own]], centroids % size
