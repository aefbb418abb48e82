"""Which cells a class of microstructures is sampled on, and which of them a path belongs to: seeded, rank independent.

Cells are points of a box of descriptors: first its corners, so that it is covered to its ends, then a Halton sequence.
Cell i of a seed is the same however many follow.
"""

import itertools
from collections.abc import Sequence

import numpy as np

from materials.measures import FloatArray
from surrogates.halton import PRIMES, halton_point

MOST_DESCRIPTORS = len(PRIMES)
_CELLS_STREAM, _DEAL_STREAM = (1 << 40) + 1, (1 << 40) + 2
"""Keys of the random streams; no path has one of them for a number."""


def draw_cells(ranges: Sequence[tuple[float, float]], cells: int, seed: int) -> FloatArray:
    """Descriptors of each cell, (cells, k).

    Args:
        ranges: smallest and largest value of each of the k descriptors.
        cells: how many, at least the 2ᵏ corners.
        seed: of the sequence.

    Raises:
        ValueError: too few cells, or more than `MOST_DESCRIPTORS` descriptors.
    """
    k = len(ranges)
    if k > MOST_DESCRIPTORS:
        raise ValueError(f"{k} descriptors are too many, {MOST_DESCRIPTORS} can be drawn")
    if cells < 2**k:
        raise ValueError(f"{cells} cells do not reach the {2**k} corners of the ranges, take at least {2**k}")
    lower, upper = np.array(ranges, dtype=float).reshape(k, 2).T
    shift = np.random.default_rng([seed, _CELLS_STREAM]).random(k)
    inside = [lower + halton_point(i, shift) * (upper - lower) for i in range(cells - 2**k)]
    return np.array([*itertools.product(*ranges), *inside], dtype=float).reshape(cells, k)


def cell_of_path(number: int, cells: int, seed: int) -> int:
    """The cell that a path is solved on: of `cells` paths in a row each has another, in an order drawn anew.

    In a fixed order, a cell would see one part only of paths that come from a low-discrepancy sequence.
    """
    turn, place = divmod(number, cells)
    return int(np.random.default_rng([seed, _DEAL_STREAM, turn]).permutation(cells)[place])
