"""The fields that integration points carry, as a user sees them: plain components of full tensors."""

import numpy as np

from materials.interface import IntArray
from materials.measures import FloatArray, Measure, Physics
from solver.macro_problem import MacroProblem

VON_MISES = "von_mises"
KIND = "kind"
AXES = "xyz"


class PointFields:
    """Fields at the integration points that this rank owns, at the last accepted increment.

    Tensors are 3 × 3: in plane strain they are completed by what is known out of the plane (ε₃₃ = 0, F₃₃ = 1, and the
    extra output `stress_33`). At finite strain `stress` is the Cauchy stress σ = P Fᵀ / det F. Heat vectors have three
    components.
    """

    def __init__(self, problem: MacroProblem) -> None:
        self._problem = problem
        self._measure: Measure = problem.measure

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the fields, tensors first."""
        measure = self._measure
        if measure.physics is Physics.HEAT:
            return (measure.gradient_name, measure.flux_name, *self._scalars())
        cauchy = ("stress",) if measure.physics is Physics.FINITE_STRAIN else ()
        return (measure.gradient_name, measure.flux_name, *cauchy, VON_MISES, *self._scalars())

    def _scalars(self) -> tuple[str, ...]:
        return (*self._problem.outputs, KIND, *self._problem.points.annotations)

    def values(self, name: str) -> FloatArray:
        """A field at all owned points: (n, 3, 3), (n, 3) for heat vectors, or (n,)."""
        measure = self._measure
        if name == measure.gradient_name:
            return self._gradient()
        if name == measure.flux_name:
            return self._flux()
        if name == "stress":
            return self._cauchy()
        if name == VON_MISES:
            return von_mises(self._cauchy())
        if name == KIND:
            return self._problem.kinds().astype(float)
        if name in self._problem.points.annotations:
            return self._problem.points.annotation(name)
        return self._problem.outputs[name]

    def components(self, name: str, points: IntArray) -> FloatArray:
        """Components within the dimension of the problem at some points, (m, components), as `columns` names them."""
        values = self.values(name)[points]
        d = self._measure.dimension
        if values.ndim == 3:
            return values[:, :d, :d].reshape(len(points), -1)
        return values[:, :d] if values.ndim == 2 else values[:, None]

    def columns(self, prefix: str, name: str) -> list[str]:
        """Column names of `components`: NAME_xx, NAME_xy, … row by row; NAME_x, …; or NAME for a scalar."""
        axes = AXES[: self._measure.dimension]
        if name == VON_MISES or name in self._scalars():
            return [prefix]
        if self._measure.physics is Physics.HEAT:
            return [f"{prefix}_{i}" for i in axes]
        return [f"{prefix}_{i}{j}" for i in axes for j in axes]

    def _gradient(self) -> FloatArray:
        tensor = self._measure.to_tensor(self._problem.gradient)
        return in_space(tensor, 1.0 if self._measure.physics is Physics.FINITE_STRAIN else 0.0)

    def _flux(self) -> FloatArray:
        out_of_plane = self._measure.out_of_plane_name
        flux = self._measure.user_flux(self._problem.flux)
        if out_of_plane is None:
            return in_space(flux, 0.0)
        return in_space(flux, self._problem.outputs.get(out_of_plane, np.nan))

    def _cauchy(self) -> FloatArray:
        if self._measure.physics is Physics.SMALL_STRAIN:
            return self._flux()
        F = self._gradient()
        return np.einsum("nik,njk->nij", self._flux(), F) / np.linalg.det(F)[:, None, None]


def von_mises(stress: FloatArray) -> FloatArray:
    """Equivalent stress √(3/2 s : s) of tensors (…, 3, 3), s the deviator."""
    mean = np.trace(stress, axis1=-2, axis2=-1) / 3.0
    deviator = stress - mean[..., None, None] * np.eye(3)
    return np.sqrt(1.5 * np.einsum("...ij,...ij->...", deviator, deviator))


def in_space(values: FloatArray, out_of_plane: FloatArray | float) -> FloatArray:
    """Embed (n, 2, 2) or (n, 2) into three dimensions; (n, 3, 3) and (n, 3) pass through."""
    d = values.shape[-1]
    if d == 3:
        return values
    embedded = np.zeros((len(values),) + (3,) * (values.ndim - 1))
    if values.ndim == 3:
        embedded[:, :d, :d] = values
        embedded[:, 2, 2] = out_of_plane
    else:
        embedded[:, :d] = values
    return embedded
