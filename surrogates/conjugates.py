"""Samples as functions of what an objective energy depends on."""

from typing import NamedTuple

import numpy as np

from materials.measures import FloatArray, Measure, Physics
from surrogates.family import ModelError, Samples
from surrogates.green_strain import objective_strain, strain_measure


class Conjugates(NamedTuple):
    """Samples as a function of what the energy depends on, packed."""

    strain: FloatArray
    """E at finite strain, otherwise the gradient, (n, v)."""
    stress: FloatArray
    """S at finite strain, otherwise the flux, (n, v)."""
    stiffness: FloatArray
    """d stress / d strain, (n, v, v)."""


def conjugate(measure: Measure, samples: Samples) -> Conjugates:
    """Samples in E, S and dS/dE at finite strain: S = F⁻¹P, and what is left of dP/dF without its geometric part.

    Raises:
        ModelError: det F ≤ 0 in some state.
    """
    if measure.physics is not Physics.FINITE_STRAIN:
        return Conjugates(*samples[:3])
    f = measure.to_tensor(samples.gradient)
    if not (np.linalg.det(f) > 0.0).all():
        raise ModelError("the training split has states with det F ≤ 0")
    inverse = np.linalg.inv(f)
    packing = strain_measure(measure)
    second = inverse @ measure.to_tensor(samples.flux)
    second = 0.5 * (second + second.swapaxes(1, 2))
    material = measure.tangent_to_tensor(samples.tangent) - np.einsum(
        "ik,njl->nijkl", np.eye(measure.dimension), second
    )
    moduli = np.einsum("nmi,nok,nijkl->nmjol", inverse, inverse, material, optimize=True)
    moduli = 0.25 * (moduli + moduli.swapaxes(1, 2) + moduli.swapaxes(3, 4) + moduli.swapaxes(1, 2).swapaxes(3, 4))
    columns = packing.to_vector(moduli)  # (n, m, j, v)
    stiffness = packing.to_vector(np.moveaxis(columns, -1, 1))  # (n, v, v)
    return Conjugates(objective_strain(measure, samples.gradient), packing.to_vector(second), stiffness)
