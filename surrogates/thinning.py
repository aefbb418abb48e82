"""A few points that stand for many: chosen one by one, each the farthest from those before it (Gonzalez 1985).

With δ the distance at which the choice ends, no two chosen points are closer than δ, and none of those left out is
farther than δ from a chosen one.
"""

import numpy as np
from numba import types

from materials.compilation import kernel
from materials.interface import IntArray
from materials.measures import FloatArray

NEAR = 1e-3
"""Distance, relative to the root mean square of the norm of the points, below which two are duplicates."""


def spread(points: FloatArray, count: int) -> IntArray:
    """At most `count` of the `points` (n, d), as increasing indices, without duplicates (`NEAR`).

    Args:
        points: in units in which distances mean something; the first chosen is the farthest from the origin, and of
            equals the one with the smallest index.
        count: at least 1.
    """
    if not len(points):
        return np.zeros(0, dtype=np.int64)
    near = NEAR * float(np.sqrt(np.sum(np.square(points)) / len(points)))
    order = np.empty(min(count, len(points)), dtype=np.int64)
    found = farthest_first(np.ascontiguousarray(points, dtype=np.float64), near**2, order)
    return np.sort(order[:found])


@kernel(types.int64(types.float64[:, ::1], types.float64, types.int64[::1]))
def farthest_first(points: FloatArray, near: float, order: IntArray) -> int:
    """Write indices of points (n, d) to `order` until it is full or squared distances fall to `near`; their number."""
    n, d = points.shape
    distance = np.full(n, np.inf)
    latest = 0
    largest = -1.0
    for i in range(n):
        norm = 0.0
        for k in range(d):
            norm += points[i, k] * points[i, k]
        if norm > largest:
            latest, largest = i, norm
    order[0] = latest
    for found in range(1, order.size):
        farthest = 0
        largest = -1.0
        for i in range(n):
            square = 0.0
            for k in range(d):
                difference = points[i, k] - points[latest, k]
                square += difference * difference
            distance[i] = min(distance[i], square)
            if distance[i] > largest:
                farthest, largest = i, distance[i]
        if largest <= near:
            return found
        order[found] = farthest
        latest = farthest
    return int(order.size)
