"""Strain → stress, directly: a small tanh network for reversible response.

At small strain and in heat conduction it maps the gradient to the flux. At finite strain it maps the Green–Lagrange
strain E to the second Piola–Kirchhoff stress S, both objective; P = F S and the exact dP/dF follow
(`surrogates/green_strain.py`). Rest is free of flux, to the last bit. It is not derived from an energy: the tangent is
symmetric, and closed paths take no work, only as well as it was trained. Family `energy` has both by construction.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from materials.measures import FloatArray, Measure, Physics
from surrogates import perceptron_kernel
from surrogates.family import Family, ModelError, Network, Samples, checked_arrays
from surrogates.green_strain import objective_strain, push_forward, strain_matrices, strain_measure
from surrogates.normaliser import component_scale, overall_scale

if TYPE_CHECKING:
    from torch.nn import Module


@dataclass(frozen=True, eq=False)
class DirectNetwork(Family):
    """Network from (objective) strain to stress; see the module."""

    name: ClassVar[str] = "ann"
    physics: ClassVar[tuple[Physics, ...]] = (Physics.SMALL_STRAIN, Physics.FINITE_STRAIN, Physics.HEAT)
    symmetric: ClassVar[bool] = False
    conservative: ClassVar[bool] = False

    measure: Measure
    hidden: tuple[int, ...]
    values: Mapping[str, FloatArray]
    """`weight_k`, `bias_k`, `skip` in scaled units; `strain_scale` (m,), `stress_scale` (1,)."""

    @classmethod
    def untrained(cls, measure: Measure, network: Network, samples: Samples, seed: int) -> Self:
        """Glorot weights, and a linear path fitted to the samples by least squares; see `Family.untrained`."""
        strain = objective_strain(measure, samples.gradient)
        stress = _conjugate_stress(measure, samples)
        strain_scale, stress_scale = component_scale(strain), overall_scale(stress, "flux")
        m = strain.shape[1]
        widths = (m, *network.hidden, m)
        random = np.random.default_rng(seed)
        values: dict[str, FloatArray] = {}
        for k, (before, width) in enumerate(itertools.pairwise(widths)):
            values[f"weight_{k}"] = random.normal(0.0, np.sqrt(2.0 / (before + width)), (width, before))
            if k < len(network.hidden):
                values[f"bias_{k}"] = random.normal(0.0, 0.5, width)
        values[f"weight_{len(network.hidden)}"] *= 0.1  # start near the linear fit
        fit, *_ = np.linalg.lstsq(strain / strain_scale, stress / stress_scale, rcond=None)
        values["skip"] = np.ascontiguousarray(fit.T)
        values |= {"strain_scale": strain_scale, "stress_scale": np.array([stress_scale])}
        return cls(measure, network.hidden, values)

    def architecture(self) -> dict[str, Any]:
        """Widths of the hidden layers."""
        return {"hidden": list(self.hidden)}

    def arrays(self) -> dict[str, FloatArray]:
        """See `values`."""
        return dict(self.values)

    @classmethod
    def from_arrays(cls, measure: Measure, architecture: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Self:
        """See `Family.from_arrays`."""
        hidden = architecture.get("hidden")
        if set(architecture) != {"hidden"} or hidden is None or not _is_widths(hidden):
            raise ModelError(f"the architecture of an ann is {{'hidden': [widths]}}, got {dict(architecture)}")
        hidden = tuple(hidden)
        values = checked_arrays(arrays, _shapes(measure, hidden))
        for name in ("strain_scale", "stress_scale"):
            if (values[name] <= 0.0).any():
                raise ModelError(f"array {name} has values that are not positive")
        return cls(measure, hidden, values)

    @cached_property
    def _packed(self) -> perceptron_kernel.PackedPerceptron:
        layers = range(len(self.hidden) + 1)
        return perceptron_kernel.pack(
            [self.values[f"weight_{k}"] for k in layers],
            [self.values[f"bias_{k}"] for k in layers[:-1]],
            self.values["skip"],
            self.values["strain_scale"],
            float(self.values["stress_scale"][0]),
        )

    def evaluate(self, gradient: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Flux and tangent; see `Family.evaluate`."""
        gradient = np.ascontiguousarray(gradient, dtype=np.float64)
        stress, stiffness = perceptron_kernel.evaluate(self._packed, objective_strain(self.measure, gradient))
        if self.measure.physics is not Physics.FINITE_STRAIN:
            return stress, stiffness
        flux = np.empty_like(gradient)
        tangent = np.empty((*gradient.shape, gradient.shape[1]))
        push_forward(strain_matrices(self.measure.dimension), gradient, stress, stiffness, flux, tangent)
        return flux, tangent

    def torch_model(self) -> "Module":
        """The same function in torch; see `Family.torch_model`."""
        from surrogates.perceptron_torch import TorchPerceptron

        return TorchPerceptron(self.measure, len(self.hidden), self.values)


def _conjugate_stress(measure: Measure, samples: Samples) -> FloatArray:
    """The flux as a function of what the network sees: S of P at finite strain, (n, m)."""
    if measure.physics is not Physics.FINITE_STRAIN:
        return samples.flux
    if not (np.linalg.det(measure.to_tensor(samples.gradient)) > 0.0).all():
        raise ModelError("the training split has states with det F ≤ 0")
    second = np.linalg.solve(measure.to_tensor(samples.gradient), measure.to_tensor(samples.flux))
    return strain_measure(measure).to_vector(0.5 * (second + np.swapaxes(second, 1, 2)))


def _shapes(measure: Measure, hidden: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    m = strain_measure(measure).size
    widths = (m, *hidden, m)
    shapes: dict[str, tuple[int, ...]] = {}
    for k, (before, width) in enumerate(itertools.pairwise(widths)):
        shapes[f"weight_{k}"] = (width, before)
        if k < len(hidden):
            shapes[f"bias_{k}"] = (width,)
    return shapes | {"skip": (m, m), "strain_scale": (m,), "stress_scale": (1,)}


def _is_widths(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(type(width) is int and width > 0 for width in value)
