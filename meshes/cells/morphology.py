"""Numbers and curves that describe the arrangement of the phases of a cell, measured on its mesh."""

import itertools
from typing import Any

import numpy as np
from dolfinx import geometry
from numpy.typing import NDArray

from meshes.cells.cell_mesh import CellMesh
from meshes.cells.connectivity import solid_pieces
from meshes.dolfinx_compat import coordinate_dofs
from meshes.elements import ELEMENTS, FloatArray

_POINTS = {2: 96, 3: 24}  # of the sampling lattice, along the shortest edge


def morphology(cell: CellMesh) -> dict[str, Any]:
    """Plain data by phase.

    Returns:
        `nearest_neighbour_distance`: number of pieces and least, mean and largest distance of the centroid of a piece
        to the next one or image, for phases whose pieces do not join their images; `two_point_probability`:
        `distance` and, for each axis, the probability that both ends of a line of that length along the axis lie in the
        phase (Torquato 2002, ch. 2), up to half the cell.
    """
    neighbours = {}
    for name in cell.phases:
        centroids = _centroids(cell, name)
        if len(centroids):
            distance = nearest_distances(centroids, cell.size)
            neighbours[name] = {
                "pieces": len(centroids),
                "least": float(distance.min()),
                "mean": float(distance.mean()),
                "largest": float(distance.max()),
            }
    sampled = sampled_phases(cell)
    return {
        "nearest_neighbour_distance": neighbours,
        "two_point_probability": {
            name: two_point_probability(sampled == tag, cell.size) for name, tag in cell.phases.items()
        },
    }


def nearest_distances(centres: FloatArray, size: FloatArray) -> FloatArray:
    """Distance of each centre to the next one or image in a periodic cell, its own included, (n,)."""
    shifts = np.array(list(itertools.product((-1.0, 0.0, 1.0), repeat=len(size)))) * size
    offset = centres[:, None, None] - centres[None, :, None] - shifts
    distance = np.linalg.norm(offset, axis=-1)
    distance[np.arange(len(centres)), np.arange(len(centres)), len(shifts) // 2] = np.inf
    return distance.min(axis=(1, 2))


def two_point_probability(inside: NDArray[np.bool_], size: FloatArray) -> dict[str, dict[str, list[float]]]:
    """Autocorrelation of samples on a periodic lattice, axis -> `distance` and `probability`."""
    spectrum = np.abs(np.fft.fftn(inside.astype(np.float64))) ** 2
    correlation = np.fft.ifftn(spectrum).real / inside.size
    result = {}
    for axis, n in enumerate(inside.shape):
        steps = np.arange(n // 2 + 1)
        line = correlation[tuple(steps if a == axis else 0 for a in range(inside.ndim))]
        result["xyz"[axis]] = {"distance": (steps * size[axis] / n).tolist(), "probability": line.clip(0.0).tolist()}
    return result


def sampled_phases(cell: CellMesh) -> NDArray[np.int32]:
    """Tags of the phases at the points of a lattice, 0 where the cell is not meshed, (n1, n2) or (n1, n2, n3)."""
    d = len(cell.size)
    counts = np.maximum(2, np.round(_POINTS[d] * cell.size / cell.size.min())).astype(int)
    axes = [(np.arange(n) + 0.5) / n * length for n, length in zip(counts, cell.size, strict=True)]
    points = np.zeros((int(counts.prod()), 3))
    points[:, :d] = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, d)
    tree = geometry.bb_tree(cell.mesh, d, padding=1e-9 * float(cell.size.min()))
    near = geometry.compute_collisions_points(tree, points)
    found = geometry.compute_colliding_cells(cell.mesh, near, points)
    hit = np.diff(found.offsets) > 0
    tags = np.zeros(len(points), dtype=np.int32)
    tags[hit] = cell.cell_tags.values[found.array[found.offsets[:-1][hit]]]
    return tags.reshape(counts)


def _centroids(cell: CellMesh, phase: str) -> FloatArray:
    """Centroids of the pieces of a phase, (n, d); none if one joins its own images."""
    d = len(cell.size)
    pieces = solid_pieces(cell, [name for name in cell.phases if name != phase])
    if any(piece.percolation for piece in pieces):
        return np.empty((0, d))
    x = cell.mesh.geometry.x[coordinate_dofs(cell.mesh)][:, :, :d]
    volumes = np.abs(ELEMENTS[cell.mesh.topology.cell_name()].volumes(x))
    middle = x.mean(axis=1)
    return np.array(
        [np.average(middle[p.cells] + p.shifts * cell.size, axis=0, weights=volumes[p.cells]) for p in pieces]
    ).reshape(-1, d)
