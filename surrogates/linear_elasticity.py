"""Linear elasticity of a symmetry group, and of convex energies."""

import numpy as np

from materials.measures import FloatArray, Measure
from surrogates.symmetry import Invariants, Symmetry


def nearest_elasticity(measure: Measure, symmetry: Symmetry, stiffness: FloatArray) -> FloatArray:
    """The stiffness with a symmetry, or conductivity, that is nearest to a matrix (v, v)."""
    v = len(stiffness)
    forms = Invariants(measure, symmetry).quadratic_forms()
    if not len(forms):
        return np.zeros((v, v))
    fit, *_ = np.linalg.lstsq(forms.reshape(len(forms), -1).T, stiffness.ravel(), rcond=None)
    nearest = np.einsum("b,bvw->vw", fit, forms)
    return np.ascontiguousarray(0.5 * (nearest + nearest.T))


def positive_part(stiffness: FloatArray) -> FloatArray:
    """A symmetric matrix with its negative eigenvalues set to zero, which has all symmetries that it had."""
    values, vectors = np.linalg.eigh(stiffness)
    return np.ascontiguousarray((vectors * np.maximum(values, 0.0)) @ vectors.T)
