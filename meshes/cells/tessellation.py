"""Periodic Voronoi tessellations: whose grain a point is in, walls in the plane, and centroids."""

import itertools

import numpy as np
from scipy.spatial import Voronoi, cKDTree

from meshes.elements import FloatArray, IntArray
from meshes.errors import MeshError

_SAMPLES = 1_000


def grain_of(points: FloatArray, seeds: FloatArray, size: FloatArray) -> IntArray:
    """Row of the seed, or image of one, that is nearest to each point, (n,).

    Args:
        points: (n, d).
        seeds: (m, d).
        size: edge lengths of the cell, (d,).
    """
    wrapped = seeds - size * np.floor(seeds / size)
    nearest = cKDTree(np.where(wrapped < size, wrapped, 0.0), boxsize=size).query(points)[1]
    return np.asarray(nearest, dtype=np.int64)


def walls_in_the_plane(seeds: FloatArray, size: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Grain boundaries of seeds and their images, each once per period or more, (w, 2, 2), and centroids, (n, 2).

    Raises:
        MeshError: seeds are too few for the shape of the cell.
    """
    n = len(seeds)
    shifts = sorted(itertools.product(range(-2, 3), repeat=2), key=lambda s: s != (0, 0))
    diagram = Voronoi((seeds + np.array(shifts, dtype=np.float64)[:, None] * size).reshape(-1, 2))
    ridges: IntArray = np.asarray(diagram.ridge_vertices)
    own = np.any(np.asarray(diagram.ridge_points) < n, axis=1)
    if np.any(ridges[own] < 0):
        raise MeshError(f"{n} grains are too few for a cell of this shape: ask for more")
    centroids = np.empty_like(seeds)
    for i in range(n):
        corners = diagram.vertices[diagram.regions[diagram.point_region[i]]]
        offset = corners - seeds[i]
        offset = offset[np.argsort(np.arctan2(offset[:, 1], offset[:, 0]))]
        following = np.roll(offset, -1, axis=0)
        twice = offset[:, 0] * following[:, 1] - offset[:, 1] * following[:, 0]
        centroids[i] = seeds[i] + ((offset + following) * twice[:, None]).sum(axis=0) / (3.0 * twice.sum())
    return diagram.vertices[ridges[own]], centroids % size


def centroids_in_space(seeds: FloatArray, size: FloatArray) -> FloatArray:
    """Centroids of the grains, each over the points of a lattice that lie in it, (n, 3)."""
    n, d = seeds.shape
    spacing = float(size.prod() / (_SAMPLES * n)) ** (1.0 / d)
    axes = [(np.arange(k) + 0.5) / k * length for k, length in zip(np.ceil(size / spacing), size, strict=True)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, d)
    grain = grain_of(points, seeds, size)
    offset = points - seeds[grain]
    offset -= size * np.round(offset / size)
    count = np.bincount(grain, minlength=n)
    sums = np.stack([np.bincount(grain, offset[:, axis], minlength=n) for axis in range(d)], axis=1)
    return (seeds + sums / np.maximum(count, 1)[:, None]) % size
