"""The gradient matrix B of an element, in the packing of a measure: gradient = rest + B · nodal values.

Both scales build their elements from it: the RVE in its fused kernel, the macro problem in its assembly. B-bar replaces
the volumetric part of the strain by its mean over the element (Hughes 1980, Int. J. Numer. Meth. Eng. 15, 1413), here
over the in-plane directions in plane strain, so that the out-of-plane strain stays zero.
"""

from enum import IntEnum

import numpy as np

from materials.compilation import jit
from materials.measures import Measure, Physics

SQRT_HALF = float(np.sqrt(0.5))


class GradientKind(IntEnum):
    """Which derivative of the nodal field is the gradient."""

    SCALAR = 0
    SYMMETRIC = 1
    FULL = 2


def gradient_kind(measure: Measure) -> GradientKind:
    """The derivative that belongs to a measure."""
    return {
        Physics.HEAT: GradientKind.SCALAR,
        Physics.SMALL_STRAIN: GradientKind.SYMMETRIC,
        Physics.FINITE_STRAIN: GradientKind.FULL,
    }[measure.physics]


@jit
def fill_gradient_matrix(kind, shape_gradients, mean, bbar, matrix):  # type: ignore[no-untyped-def]
    """Write B (g, k · block size) at one integration point into `matrix`.

    `kind` is a `GradientKind`, `shape_gradients` is dN/dx (k, d), `mean` its element average (k, d), used where `bbar`
    is true (symmetric gradients only).
    """
    n_nodes, d = shape_gradients.shape
    if kind == 0:
        for a in range(n_nodes):
            for i in range(d):
                matrix[i, a] = shape_gradients[a, i]
        return
    matrix[:, :] = 0.0
    if kind == 2:
        for a in range(n_nodes):
            for i in range(d):
                for j in range(d):
                    matrix[i * d + j, a * d + i] = shape_gradients[a, j]
        return
    for a in range(n_nodes):
        for i in range(d):
            matrix[i, a * d + i] = shape_gradients[a, i]
        if d == 2:
            matrix[2, a * d] = SQRT_HALF * shape_gradients[a, 1]
            matrix[2, a * d + 1] = SQRT_HALF * shape_gradients[a, 0]
        else:
            matrix[3, a * d + 1] = SQRT_HALF * shape_gradients[a, 2]
            matrix[3, a * d + 2] = SQRT_HALF * shape_gradients[a, 1]
            matrix[4, a * d] = SQRT_HALF * shape_gradients[a, 2]
            matrix[4, a * d + 2] = SQRT_HALF * shape_gradients[a, 0]
            matrix[5, a * d] = SQRT_HALF * shape_gradients[a, 1]
            matrix[5, a * d + 1] = SQRT_HALF * shape_gradients[a, 0]
    if bbar:
        for a in range(n_nodes):
            for j in range(d):
                correction = (mean[a, j] - shape_gradients[a, j]) / d
                for i in range(d):
                    matrix[i, a * d + j] += correction
