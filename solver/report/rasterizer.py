"""A small depth-buffer renderer for surfaces in 3D.

It needs no display and no graphics driver, so that a report looks the same on a laptop, on a cluster node and in a
container, and it keeps picture and numbers apart: it returns the value seen at every pixel, not a colour.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from materials.compilation import jit
from materials.measures import FloatArray


class Raster(NamedTuple):
    """What is seen at every pixel of a picture, rows from top to bottom."""

    value: FloatArray
    """Interpolated value, (rows, columns); NaN where nothing is seen."""
    shade: FloatArray
    """Cosine between surface normal and light, 0 to 1, (rows, columns)."""
    edge: NDArray[np.bool_]
    """Whether a visible element edge crosses the pixel, (rows, columns)."""


def rasterize(
    triangles: FloatArray, values: FloatArray, segments: FloatArray, shape: tuple[int, int], edge_width: int
) -> Raster:
    """Draw triangles and line segments.

    Args:
        triangles: corners in pixels and depth, (t, 3, 3); the smaller depth is in front.
        values: value at the corners, (t, 3).
        segments: ends of element edges, (s, 2, 3).
        shape: rows and columns of the picture.
        edge_width: width of an edge in pixels.
    """
    depth = np.full(shape, np.inf)
    value = np.full(shape, np.nan)
    shade = np.zeros(shape)
    edge = np.zeros(shape, dtype=np.bool_)
    normals = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    normals /= np.maximum(np.linalg.norm(normals, axis=1), 1e-300)[:, None]
    light = np.array([-0.45, -0.65, -0.95])
    cosine = np.abs(normals @ (light / np.linalg.norm(light)))
    _fill_triangles(triangles, values, cosine, depth, value, shade)
    tolerance = 2e-3 * max(shape)
    _draw_segments(segments, edge_width, tolerance, depth, edge)
    return Raster(value, shade, edge)


@jit
def _fill_triangles(
    triangles: FloatArray,
    values: FloatArray,
    cosine: FloatArray,
    depth: FloatArray,
    value: FloatArray,
    shade: FloatArray,
) -> None:
    rows, columns = depth.shape
    for t in range(triangles.shape[0]):
        ax, ay, az = triangles[t, 0]
        bx, by, bz = triangles[t, 1]
        cx, cy, cz = triangles[t, 2]
        twice_area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
        if abs(twice_area) < 1e-12:
            continue
        left, right = max(int(np.floor(min(ax, bx, cx))), 0), min(int(np.ceil(max(ax, bx, cx))), columns - 1)
        top, bottom = max(int(np.floor(min(ay, by, cy))), 0), min(int(np.ceil(max(ay, by, cy))), rows - 1)
        for i in range(top, bottom + 1):
            for j in range(left, right + 1):
                u = ((bx - j) * (cy - i) - (cx - j) * (by - i)) / twice_area
                v = ((cx - j) * (ay - i) - (ax - j) * (cy - i)) / twice_area
                w = 1.0 - u - v
                if u >= -1e-9 and v >= -1e-9 and w >= -1e-9:
                    z = u * az + v * bz + w * cz
                    if z < depth[i, j]:
                        depth[i, j] = z
                        value[i, j] = u * values[t, 0] + v * values[t, 1] + w * values[t, 2]
                        shade[i, j] = cosine[t]


@jit
def _draw_segments(
    segments: FloatArray, width: int, tolerance: float, depth: FloatArray, edge: NDArray[np.bool_]
) -> None:
    rows, columns = depth.shape
    for s in range(segments.shape[0]):
        dx = segments[s, 1, 0] - segments[s, 0, 0]
        dy = segments[s, 1, 1] - segments[s, 0, 1]
        dz = segments[s, 1, 2] - segments[s, 0, 2]
        steps = int(np.ceil(max(abs(dx), abs(dy)))) + 1
        for k in range(steps + 1):
            f = k / steps
            x, y, z = segments[s, 0, 0] + f * dx, segments[s, 0, 1] + f * dy, segments[s, 0, 2] + f * dz
            i0, j0 = int(np.round(y)) - width // 2, int(np.round(x)) - width // 2
            for i in range(max(i0, 0), min(i0 + width, rows)):
                for j in range(max(j0, 0), min(j0 + width, columns)):
                    if z <= depth[i, j] + tolerance:
                        edge[i, j] = True
