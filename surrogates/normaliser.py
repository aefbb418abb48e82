"""Scales that make the numbers a network sees of order one, fitted to the training split and to nothing else."""

import numpy as np

from materials.measures import FloatArray
from surrogates.family import ModelError


def component_scale(values: FloatArray) -> FloatArray:
    """Root mean square of each component of `values` (n, m), as (m,): what divides the inputs of a network.

    Nothing is subtracted, so that rest stays at the origin. A component that hardly varies (below 10⁻⁶ of the largest)
    gets the scale of the largest, so that noise is not blown up.

    Raises:
        ModelError: every value is zero, or some is not finite.
    """
    scale = np.sqrt(np.mean(np.square(values), axis=0))
    largest = _checked(scale.max(), "gradient")
    return np.where(scale < 1e-6 * largest, largest, scale)


def overall_scale(values: FloatArray, name: str) -> float:
    """Root mean square over states of the norm of `values` (n, …): what divides a flux or a tangent.

    One number for all components, because they turn into each other under rotation.

    Raises:
        ModelError: every value is zero, or some is not finite.
    """
    return _checked(np.sqrt(np.sum(np.square(values)) / len(values)), name)


def principal_weights(values: FloatArray, name: str) -> FloatArray:
    """Matrix W (m, m) that makes `values` (n, m) of order one in every direction: mean of (v W)(v W)ᵀ = I/m.

    What a material carries easily in some directions, such as pressure, then hides nothing of the others. Directions in
    which the values hardly vary (rms below 10⁻² of the largest) get 10⁻² of the largest, so that noise is not blown up.

    Raises:
        ModelError: every value is zero, or some is not finite.
    """
    largest = overall_scale(values, name)
    variance, directions = np.linalg.eigh(values.T @ values / (len(values) * largest**2))
    scale = largest * np.sqrt(np.maximum(variance, 1e-4 * variance[-1]) * len(variance))
    return np.asarray(directions / scale @ directions.T)


def _checked(scale: float, name: str) -> float:
    if not np.isfinite(scale):
        raise ModelError(f"the training split has values of the {name} that are not finite")
    if scale == 0.0:
        raise ModelError(f"the {name} is zero in every state of the training split, there is nothing to learn")
    return float(scale)
