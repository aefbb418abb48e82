"""Triangle meshes of a periodic rectangle that follow straight segments: sides of polygons, boundaries of grains."""

import itertools

import gmsh
import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from meshes.cells.periodicity import snapped
from meshes.elements import ELEMENTS, FloatArray, IntArray
from meshes.gmsh_model import entity_cells, gmsh_session, model_points, translation
from meshes.mesh_arrays import MeshArrays, no_facets

_SAME = 1e-9  # points closer than this, relative to the shortest edge of the cell, are one


def segments_mesh(size: FloatArray, segments: FloatArray, length: float, purpose: str) -> MeshArrays:
    """A mesh of [0, size] whose edges cover the segments; all cells have the tag 1.

    Args:
        size: edge lengths of the rectangle, (2,).
        segments: ends, (s, 2, 2), of segments that meet at ends only; what lies outside the rectangle is cut off, and
            the images of those that cross a face are added.
        length: of elements; shorter segments stay one edge.
        purpose: what is meshed, for messages.

    Raises:
        MeshError: gmsh fails, or elements degenerate.
    """
    points, ends = _graph(_clipped(segments, size), size)
    kind = ELEMENTS["triangle"]
    with gmsh_session(purpose):
        geo, mesh = gmsh.model.geo, gmsh.model.mesh
        tags = [geo.addPoint(x, y, 0.0) for x, y in points]
        faces = {(axis, end): _face(points, size, axis, end) for axis in (0, 1) for end in (0, 1)}
        curves = {
            key: [geo.addLine(tags[a], tags[b]) for a, b in itertools.pairwise(rows)] for key, rows in faces.items()
        }
        inner = [geo.addLine(tags[a], tags[b]) for a, b in ends]
        loop = [*curves[1, 0], *curves[0, 1], *(-c for c in curves[1, 1][::-1]), *(-c for c in curves[0, 0][::-1])]
        surface = geo.addPlaneSurface([geo.addCurveLoop(loop)])
        geo.synchronize()
        for (axis, end), lines in curves.items():
            for line, edge in zip(lines, np.diff(points[faces[axis, end]], axis=0), strict=True):
                mesh.setTransfiniteCurve(line, _parts(edge, length) + 1)
            if end == 1:
                mesh.setPeriodic(1, lines, curves[axis, 0], translation(axis, size[axis]))
        for line, edge in zip(inner, points[ends[:, 1]] - points[ends[:, 0]], strict=True):
            mesh.setTransfiniteCurve(line, _parts(edge, length) + 1)
        mesh.embed(1, inner, 2, surface)
        gmsh.option.setNumber("Mesh.MeshSizeMax", length)
        gmsh.option.setNumber("Mesh.Algorithm", 6)
        mesh.generate(2)
        nodes, row = model_points()
        cells = entity_cells(kind, surface, row)
    arrays = MeshArrays(
        kind, nodes[:, :2], cells, np.ones(len(cells), dtype=np.int64), {"all": 1}, *no_facets(kind), {}
    )
    arrays = arrays.compact()
    return arrays._replace(points=snapped(arrays.points, size)).oriented()


def _parts(edge: FloatArray, length: float) -> int:
    return max(1, round(float(np.linalg.norm(edge)) / length))


def _clipped(segments: FloatArray, size: FloatArray) -> FloatArray:
    """The parts inside [0, size] of the segments and their images (Liang and Barsky 1984), (m, 2, 2)."""
    shifts = np.array(list(itertools.product((-1.0, 0.0, 1.0), repeat=2))) * size
    images = (segments[None] + shifts[:, None, None]).reshape(-1, 2, 2)
    start, direction = images[:, 0], images[:, 1] - images[:, 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        first, second = -start / direction, (size - start) / direction
    inside = (start >= 0.0) & (start <= size)
    flat = direction == 0.0
    enter = np.where(flat, np.where(inside, -np.inf, np.inf), np.minimum(first, second)).max(axis=1).clip(min=0.0)
    leave = np.where(flat, np.inf, np.maximum(first, second)).min(axis=1).clip(max=1.0)
    kept = (leave - enter) * np.linalg.norm(direction, axis=1) > _SAME * size.min()
    start, direction, enter, leave = start[kept], direction[kept], enter[kept], leave[kept]
    return np.stack([start + enter[:, None] * direction, start + leave[:, None] * direction], axis=1)


def _graph(segments: FloatArray, size: FloatArray) -> tuple[FloatArray, IntArray]:
    """Points without copies, (n, 2), the corners of the cell first, and the ends of each segment, (s, 2).

    Points on opposite faces are exact images of each other, and every point of a face has its image.
    """
    corners = np.array([(0.0, 0.0), (size[0], 0.0), (0.0, size[1]), tuple(size)])
    raw = np.concatenate([corners, segments.reshape(-1, 2)])
    near = _SAME * size.min()
    raw = np.where(np.abs(raw) < near, 0.0, np.where(np.abs(raw - size) < near, size, raw))
    images = [np.where(np.eye(2, dtype=bool)[a] & (raw == e), size - e, raw) for a in (0, 1) for e in (0.0, size)]
    everything = np.concatenate([raw, *images])
    pairs = cKDTree(everything).query_pairs(near, output_type="ndarray")
    n = len(everything)
    graph = coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    _, label = connected_components(graph, directed=False)
    _, first, label = np.unique(label, return_index=True, return_inverse=True)
    points = snapped(everything[first], size)
    ends = np.unique(np.sort(label[len(corners) : len(raw)].reshape(-1, 2), axis=1), axis=0)
    on_one_face = np.any((points[ends[:, 0]] == points[ends[:, 1]]) & np.isin(points[ends[:, 0]], (0.0, *size)), axis=1)
    return points, ends[~on_one_face]


def _face(points: FloatArray, size: FloatArray, axis: int, end: int) -> IntArray:
    """Points on a face, along it."""
    on = np.flatnonzero(points[:, axis] == end * size[axis])
    return on[np.argsort(points[on, 1 - axis])]
