"""Gaussian process: strain → stress with a variance, for small data.

At small strain and in heat conduction it maps the gradient to the flux, at finite strain the Green–Lagrange strain E to
the second Piola–Kirchhoff stress S, from which P = F S and the exact dP/dF follow (`surrogates/green_strain.py`). The
process is conditioned on rest being free of flux (`surrogates/gaussian_process.py`). It is fitted at once, by marginal
likelihood, to the fluxes alone: the tangent is the exact derivative of what came out. Symmetry of the tangent and
conservation of energy are not built in. For more states than an exact process can take there is a sparse one, told by
inducing points (`surrogates/sparse_process.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
from annotated_types import Ge
from numpy.typing import NDArray

from materials.measures import FloatArray, Measure, Physics
from materials.parameters import check_fields
from surrogates import gaussian_process as process
from surrogates import kernel_regression, sparse_process
from surrogates.conjugates import conjugate
from surrogates.family import Family, ModelError, Options, Samples, checked_arrays
from surrogates.green_strain import objective_strain, push_forward, strain_matrices, strain_measure
from surrogates.normaliser import component_scale, overall_scale


@dataclass(frozen=True, kw_only=True)
class ProcessOptions(Options):
    """Options of a Gaussian process. The fields are the keys under `network` in case files."""

    kernel: Literal["matern52", "rbf"] = "matern52"
    """Covariance: Matérn 5/2, twice differentiable, or squared exponential, infinitely smooth."""
    states: Annotated[int, Ge(2)] = 1000
    """Most training states of an exact process; of more, a seeded subset is learned. Time grows with the cube, memory
    with the square."""
    inducing: Annotated[int, Ge(0)] = 0
    """Inducing points of a sparse process, which learns all states; time grows with states × inducing². 0: exact."""

    def __post_init__(self) -> None:
        """Check every value against its annotation."""
        check_fields(self)


@dataclass(frozen=True, eq=False)
class GaussianProcess(Family):
    """Gaussian process from (objective) strain to stress; see the module."""

    name: ClassVar[str] = "gp"
    physics: ClassVar[tuple[Physics, ...]] = (Physics.SMALL_STRAIN, Physics.FINITE_STRAIN, Physics.HEAT)
    network: ClassVar[type[Options]] = ProcessOptions
    symmetric: ClassVar[bool] = False
    conservative: ClassVar[bool] = False
    iterative: ClassVar[bool] = False

    measure: Measure
    kernel: str
    sparse: bool
    values: Mapping[str, FloatArray]
    """In scaled units: `centres` (n, m) and `weights` (n, m) of the n learned states or inducing points, `slope`
    (m, m), `length` (m,), `noise` (1,) relative to the `variance` (1,); `strain_scale` (m,), `stress_scale` (1,). Of a
    sparse process also what its variance needs: the rest of `surrogates.sparse_process.SparsePosterior`."""

    @classmethod
    def untrained(cls, measure: Measure, network: ProcessOptions, samples: Samples, seed: int) -> Self:
        """The fit itself; the seed draws the subset and the starts of the search. See `Family.untrained`."""
        sparse = network.inducing > 0
        if len(samples.gradient) > network.states and not sparse:
            samples = samples.at(
                np.sort(np.random.default_rng(seed).permutation(len(samples.gradient))[: network.states])
            )
        strain, stress, _ = conjugate(measure, samples)
        strain_scale, stress_scale = component_scale(strain), overall_scale(stress, "flux")
        x, y = np.array(strain / strain_scale, dtype=np.float64), np.array(stress / stress_scale, dtype=np.float64)
        if len(x) <= x.shape[1]:
            raise ModelError(f"a Gaussian process needs more than {x.shape[1]} training states, there are {len(x)}")
        fitted = _sparse_fit(network, x, y) if sparse else _exact_fit(network, x, y, seed)
        scales = {"strain_scale": strain_scale, "stress_scale": np.array([stress_scale])}
        values = {name: np.ascontiguousarray(value) for name, value in (fitted | scales).items()}
        return cls(measure, network.kernel, sparse, values)

    def architecture(self) -> dict[str, Any]:
        """The kernel, and whether the process is sparse."""
        return {"kernel": self.kernel, "sparse": self.sparse}

    def arrays(self) -> dict[str, FloatArray]:
        """See `values`."""
        return dict(self.values)

    @classmethod
    def from_arrays(cls, measure: Measure, architecture: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Self:
        """See `Family.from_arrays`."""
        kernel, sparse = architecture.get("kernel"), architecture.get("sparse", False)
        keys = set(architecture) | {"sparse"}  # models from before there were sparse ones lack it
        if keys != {"kernel", "sparse"} or kernel not in kernel_regression.KERNELS or type(sparse) is not bool:
            known = " or ".join(kernel_regression.KERNELS)
            text = f"the architecture of a gp is {{'kernel': {known}, 'sparse': true or false}}"
            raise ModelError(f"{text}, got {dict(architecture)}")
        m = strain_measure(measure).size
        centres = np.shape(arrays.get("centres", ()))
        n = centres[0] if centres else 0
        shapes = {"centres": (n, m), "weights": (n, m), "slope": (m, m), "length": (m,), "noise": (1,)}
        shapes |= {"variance": (1,), "strain_scale": (m,), "stress_scale": (1,)}
        if sparse:
            shapes |= {"factor": (n, n), "known_factor": (n, n), "slope_factor": (m, m), "slope_cross": (m, n)}
        values = checked_arrays(arrays, shapes)
        for name in ("length", "noise", "variance", "strain_scale", "stress_scale"):
            if (values[name] <= 0.0).any():
                raise ModelError(f"array {name} has values that are not positive")
        return cls(measure, kernel, sparse, values)

    @cached_property
    def _packed(self) -> kernel_regression.KernelSum:
        strain_scale, stress_scale = self.values["strain_scale"], self.values["stress_scale"]
        return kernel_regression.kernel_sum(
            self.kernel,
            self.values["length"] * strain_scale,
            stress_scale * self.values["slope"] / strain_scale,
            self.values["centres"] * strain_scale,
            stress_scale * self.values["weights"],
        )

    @cached_property
    def _posterior(self) -> process.Posterior:
        hyperparameters = process.Hyperparameters(self.values["length"], float(self.values["noise"][0]))
        # neither factor depends on the outputs
        zero = np.zeros_like(self.values["weights"])
        found = process.condition(self.kernel, hyperparameters, self.values["centres"], zero)
        return found._replace(variance=float(self.values["variance"][0]))

    @cached_property
    def _sparse_posterior(self) -> sparse_process.SparsePosterior:
        parts = {name: self.values[name] for name in sparse_process.SparsePosterior._fields if name != "variance"}
        return sparse_process.SparsePosterior(**parts, variance=float(self.values["variance"][0]))

    def evaluate(self, gradient: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Flux and tangent, the mean of the process; see `Family.evaluate`."""
        gradient = np.ascontiguousarray(gradient, dtype=np.float64)
        stress, stiffness = kernel_regression.evaluate(self._packed, objective_strain(self.measure, gradient))
        if self.measure.physics is not Physics.FINITE_STRAIN:
            return stress, stiffness
        flux = np.empty_like(gradient)
        tangent = np.empty((*gradient.shape, gradient.shape[1]))
        push_forward(strain_matrices(self.measure.dimension), gradient, stress, stiffness, flux, tangent)
        return flux, tangent

    def variance(self, gradient: FloatArray) -> FloatArray:
        """Predictive variance at `gradient` (n, g): of each component of the flux, of S at finite strain, (n,).

        All components share it. It is that of the response, without the noise of the data, in squared units of flux;
        zero at rest.
        """
        x = objective_strain(self.measure, gradient) / self.values["strain_scale"]
        learned = self.kernel, self.values["length"], self.values["centres"]
        if self.sparse:
            relative = sparse_process.predictive_variance(*learned, self._sparse_posterior, x)
        else:
            relative = process.predictive_variance(*learned, self._posterior, x)
        return relative * float(self.values["stress_scale"][0]) ** 2


def _exact_fit(network: ProcessOptions, x: FloatArray, y: FloatArray, seed: int) -> dict[str, FloatArray]:
    """Arrays of an exact process for scaled inputs and outputs (n, m)."""
    hyperparameters = process.fit(network.kernel, x, y, seed)
    posterior = process.condition(network.kernel, hyperparameters, x, y)
    return _arrays(hyperparameters, posterior.variance) | {
        "centres": x,
        "weights": posterior.weights,
        "slope": posterior.slope,
    }


def _sparse_fit(network: ProcessOptions, x: FloatArray, y: FloatArray) -> dict[str, FloatArray]:
    """Arrays of a sparse process for scaled inputs and outputs (n, m)."""
    hyperparameters, inducing = sparse_process.fit(network.kernel, x, y, network.inducing)
    posterior = sparse_process.condition(network.kernel, hyperparameters, inducing, x, y)
    return posterior._asdict() | _arrays(hyperparameters, posterior.variance) | {"centres": inducing}


def _arrays(hyperparameters: process.Hyperparameters, variance: float) -> dict[str, FloatArray]:
    return {
        "length": hyperparameters.length,
        "noise": np.array([hyperparameters.noise]),
        "variance": np.array([variance]),
    }
