"""How a symmetric tangent and a gradient are packed for the kernels of a grid."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from materials.gradient_matrix import SQRT_HALF
from materials.measures import FloatArray, Measure, Physics


class Packing(NamedTuple):
    """The components r of a gradient are factor_r (∂u_i/∂x_j + ∂u_k/∂x_l), with pairs (i, j) numbered row by row."""

    first: NDArray[np.int64]
    """Number of the pair (i, j), (g,)."""
    second: NDArray[np.int64]
    """Number of the pair (k, l), (g,); that of the first where the component has no second part."""
    factor: FloatArray
    """(g,)."""
    position: NDArray[np.int64]
    """Place of the component (r, s) of a symmetric (g, g) tangent among the g (g + 1) / 2 that are kept."""

    @property
    def n_kept(self) -> int:
        """Components of a tangent that are kept."""
        g = self.factor.size
        return g * (g + 1) // 2


def packing_of(measure: Measure) -> Packing:
    """The packing that belongs to a measure."""
    d, g = measure.dimension, measure.size
    mechanical = measure.physics is not Physics.HEAT
    pairs = [pair if mechanical else (0, *pair) for pair in measure.index_pairs]
    first = np.array([i * d + j for i, j in pairs])
    second, factor = first.copy(), np.full(g, 0.5)
    if measure.physics is Physics.SMALL_STRAIN:
        second = np.array([j * d + i for i, j in pairs])
        factor[first != second] = SQRT_HALF
    rows, columns = np.triu_indices(g)
    position = np.empty((g, g), dtype=np.int64)
    position[rows, columns] = position[columns, rows] = np.arange(rows.size)
    return Packing(first, second, factor, position)
