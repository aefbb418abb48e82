"""Loss of ellipticity: where the response of a point lets a band form, and first-order homogenisation ends.

A tangent A is strongly elliptic when a ⊗ N : A : a ⊗ N > 0 for all vectors a and N, that is when the acoustic tensor
Q_ik = N_j A_ijkl N_l is positive definite in every direction N (Geers, Kouznetsova, Brekelmans 2010, J. Comput. Appl.
Math. 234, 2175, on what that means for a cell). Directions are sampled: a narrow cone between them can be missed.
"""

import numpy as np
from numpy.typing import NDArray

from materials.measures import FloatArray, Measure

BATCH = 200
"""Points whose acoustic tensors are held at once."""

ROUNDING = 1e-9
"""Share of the largest tangent component that an eigenvalue must be below zero: exact zeros are no loss."""


def directions(dimension: int, count: int | None = None) -> FloatArray:
    """Unit vectors (count, d) spread evenly over half a circle (by default every 3°) or half a sphere (150)."""
    if dimension == 2:
        angle = np.pi * np.arange(count or 60) / (count or 60)
        return np.stack([np.cos(angle), np.sin(angle)], axis=1)
    n = count or 150
    height = (np.arange(n) + 0.5) / n
    turn = np.pi * (3.0 - np.sqrt(5.0)) * np.arange(n)
    radius = np.sqrt(1.0 - height**2)
    return np.stack([radius * np.cos(turn), radius * np.sin(turn), height], axis=1)


def smallest_acoustic_eigenvalue(measure: Measure, tangent: FloatArray) -> FloatArray:
    """Smallest eigenvalue (n,) of the symmetric acoustic tensors of tangents (n, g, g) in the sampled directions."""
    normals = directions(measure.dimension)
    smallest = np.empty(len(tangent))
    for start in range(0, len(tangent), BATCH):
        full = measure.tangent_to_tensor(tangent[start : start + BATCH])
        acoustic = np.einsum("pj,nijkl,pl->npik", normals, full, normals, optimize=True)
        symmetric = 0.5 * (acoustic + np.swapaxes(acoustic, -1, -2))
        smallest[start : start + BATCH] = np.linalg.eigvalsh(symmetric)[..., 0].min(axis=1)
    return smallest


def lost_ellipticity(measure: Measure, tangent: FloatArray) -> NDArray[np.bool_]:
    """Which of the tangents (n, g, g) are not elliptic, (n,)."""
    threshold = -ROUNDING * np.abs(tangent).max(axis=(1, 2), initial=0.0)
    lost: NDArray[np.bool_] = smallest_acoustic_eigenvalue(measure, tangent) < threshold
    return lost
