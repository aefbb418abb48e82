"""Tensor-product grids of quadrilaterals or hexahedra, and their regular subdivision into simplices."""

from collections.abc import Sequence

import numpy as np

from meshes.elements import Element, FloatArray, IntArray

# Kuhn's subdivision: one simplex per order in which the axes are walked from corner 0 to the opposite corner. It is the
# same in every box, so facets of neighbours, and of opposite sides of the grid, match.
_SPLITS: dict[str, tuple[tuple[int, ...], ...]] = {
    "triangle": ((0, 1, 3), (0, 3, 2)),
    "tetrahedron": ((0, 1, 3, 7), (0, 3, 2, 7), (0, 2, 6, 7), (0, 6, 4, 7), (0, 4, 5, 7), (0, 5, 1, 7)),
}


def grid(axes: Sequence[FloatArray], element: Element) -> tuple[FloatArray, IntArray, IntArray]:
    """A grid on the product of `axes` (increasing coordinates per direction).

    Returns:
        points (n, d); cells (c, vertices), positively oriented; the position of the box that each cell lies in,
        (c, d). x runs fastest.
    """
    counts = np.array([len(axis) for axis in axes])
    points = np.stack([x.ravel(order="F") for x in np.meshgrid(*axes, indexing="ij")], axis=1)
    box_index = np.stack([i.ravel(order="F") for i in np.meshgrid(*map(np.arange, counts - 1), indexing="ij")], axis=1)
    strides = np.concatenate([[1], np.cumprod(counts[:-1])])
    corner_bits = (np.arange(2 ** len(axes))[:, None] >> np.arange(len(axes))) & 1
    boxes = (box_index @ strides)[:, None] + corner_bits @ strides
    if element.name not in _SPLITS:
        return points, boxes.astype(np.int64), box_index.astype(np.int64)
    split = np.array(_SPLITS[element.name])
    cells = boxes[:, split].reshape(-1, element.n_vertices)
    return points, cells.astype(np.int64), np.repeat(box_index, len(split), axis=0).astype(np.int64)
