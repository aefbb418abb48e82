"""Nearest neighbours among fixed points: a k-d tree in flat arrays, with compiled searches.

Two questions are answered: how far the k-th nearest point is, exactly; and whether there are k points within a radius,
which stops at the k-th that it finds. Both compare the same floating-point numbers, so that they never contradict each
other, and the answer for one query depends on nothing else in the batch. J. H. Friedman, J. L. Bentley, R. A. Finkel,
ACM Transactions on Mathematical Software 3 (1977).
"""

import math
from typing import NamedTuple

import numpy as np
from numba import types
from numpy.typing import NDArray

from materials.compilation import jit, kernel
from materials.interface import IntArray
from materials.measures import FloatArray

LEAF = 8
"""Most points of a leaf."""

_DEPTH = 48
"""Deeper than a tree of points that fit into memory."""

_VECTOR, _MATRIX, _INTEGERS = types.float64[::1], types.float64[:, ::1], types.int64[::1]


class Tree(NamedTuple):
    """Points sorted so that a node is a range of them; the halves of node i are the nodes 2i + 1 and 2i + 2."""

    points: FloatArray
    """(n, f)"""
    axis: IntArray
    """Coordinate by which each inner node is halved, (m,)."""
    value: FloatArray
    """Its value at the halving: not above it in the first half, not below it in the second, (m,)."""


def tree(points: FloatArray) -> Tree:
    """The tree of some points (n, f), n ≥ 1; each node is halved along the coordinate in which it is longest."""
    n = len(points)
    inner = (1 << max(0, math.ceil(math.log2(n / LEAF)))) - 1
    order = np.arange(n)
    axis, value = np.zeros(inner, dtype=np.int64), np.zeros(inner)
    ranges = [(0, n)]
    for node in range(inner):
        low, high = ranges[node]
        middle = (low + high) // 2
        own = points[order[low:high]]
        axis[node] = np.argmax(own.max(axis=0) - own.min(axis=0))
        order[low:high] = order[low:high][np.argsort(own[:, axis[node]], kind="stable")]
        value[node] = points[order[middle], axis[node]]
        ranges += [(low, middle), (middle, high)]
    return Tree(np.ascontiguousarray(points[order], dtype=np.float64), axis, value)


def kth_distance(where: Tree, k: int, queries: FloatArray) -> FloatArray:
    """Distance (q,) from each of `queries` (q, f) to its k-th nearest point, 1 ≤ k ≤ n; infinite for NaN."""
    squared = np.empty(len(queries))
    _kth_squared(*where, k, np.ascontiguousarray(queries, dtype=np.float64), squared)
    return np.sqrt(squared)


def within_radius(where: Tree, k: int, radius: float, queries: FloatArray) -> NDArray[np.bool_]:
    """Whether `kth_distance` is finite and at most `radius`, (q,), in much less time."""
    found = np.zeros(len(queries), dtype=np.bool_)
    if radius >= 0.0:
        _within(*where, k, _largest_square(radius), np.ascontiguousarray(queries, dtype=np.float64), found)
    return found


def _largest_square(radius: float) -> float:
    """The largest number whose square root, as rounded, is at most `radius`."""
    largest = np.finfo(np.float64).max
    if radius >= np.sqrt(largest):
        return float(largest)
    square = np.float64(radius) * np.float64(radius)
    while np.sqrt(square) > radius:
        square = np.nextafter(square, 0.0)
    while np.sqrt(np.nextafter(square, np.inf)) <= radius:
        square = np.nextafter(square, np.inf)
    return float(square)


@jit
def _descend(
    axis: IntArray,
    value: FloatArray,
    query: FloatArray,
    cutoff: float,
    node: int,
    low: int,
    high: int,
    nodes: IntArray,
    bounds: FloatArray,
    waiting: int,
) -> tuple[int, int, int]:
    """Range of the leaf of a node that the query lies in, and how many other halves now wait.

    What waits is node, range (`nodes`, three numbers each) and a lower bound of the squared distance.
    """
    while node < axis.size:
        middle = (low + high) // 2
        offset = query[axis[node]] - value[node]
        bound = offset * offset
        if offset < 0.0:
            other, other_low, other_high = 2 * node + 2, middle, high
            node, high = 2 * node + 1, middle
        else:
            other, other_low, other_high = 2 * node + 1, low, middle
            node, low = 2 * node + 2, middle
        if bound <= cutoff:
            nodes[3 * waiting] = other
            nodes[3 * waiting + 1] = other_low
            nodes[3 * waiting + 2] = other_high
            bounds[waiting] = bound
            waiting += 1
    return low, high, waiting


@jit
def _squared_distance(first: FloatArray, second: FloatArray) -> float:
    total = 0.0
    for j in range(first.size):
        total += (first[j] - second[j]) * (first[j] - second[j])
    return total


@kernel(types.void(_MATRIX, _INTEGERS, _VECTOR, types.int64, types.float64, _MATRIX, types.boolean[::1]))
def _within(
    points: FloatArray,
    axis: IntArray,
    value: FloatArray,
    k: int,
    cutoff: float,
    queries: FloatArray,
    found: NDArray[np.bool_],
) -> None:
    """Write whether k points have a squared distance of at most `cutoff`."""
    nodes = np.empty(3 * _DEPTH, dtype=np.int64)
    bounds = np.empty(_DEPTH)
    for q in range(queries.shape[0]):
        query = queries[q]
        nodes[0], nodes[1], nodes[2] = 0, 0, points.shape[0]
        waiting = 1
        count = 0
        while waiting > 0 and count < k:
            waiting -= 1
            low, high, waiting = _descend(
                axis,
                value,
                query,
                cutoff,
                nodes[3 * waiting],
                nodes[3 * waiting + 1],
                nodes[3 * waiting + 2],
                nodes,
                bounds,
                waiting,
            )
            for i in range(low, high):
                if _squared_distance(points[i], query) <= cutoff:
                    count += 1
                    if count == k:
                        break
        found[q] = count >= k


@kernel(types.void(_MATRIX, _INTEGERS, _VECTOR, types.int64, _MATRIX, _VECTOR))
def _kth_squared(
    points: FloatArray, axis: IntArray, value: FloatArray, k: int, queries: FloatArray, squared: FloatArray
) -> None:
    """Write the squared distance to the k-th nearest point."""
    nodes = np.empty(3 * _DEPTH, dtype=np.int64)
    bounds = np.empty(_DEPTH)
    nearest = np.empty(k)
    for q in range(queries.shape[0]):
        query = queries[q]
        nearest[:] = np.inf
        nodes[0], nodes[1], nodes[2], bounds[0] = 0, 0, points.shape[0], 0.0
        waiting = 1
        while waiting > 0:
            waiting -= 1
            if bounds[waiting] > nearest[k - 1]:
                continue
            low, high, waiting = _descend(
                axis,
                value,
                query,
                nearest[k - 1],
                nodes[3 * waiting],
                nodes[3 * waiting + 1],
                nodes[3 * waiting + 2],
                nodes,
                bounds,
                waiting,
            )
            for i in range(low, high):
                distance = _squared_distance(points[i], query)
                if distance < nearest[k - 1]:
                    position = k - 1
                    while position > 0 and nearest[position - 1] > distance:
                        nearest[position] = nearest[position - 1]
                        position -= 1
                    nearest[position] = distance
        squared[q] = nearest[k - 1]
