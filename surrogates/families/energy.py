"""Strain → invariants → free energy: a network that is objective, symmetric and conservative by construction.

Stress and tangent are the exact derivatives of one energy,

    W(E) = N(z(E)) − N(0) − Σ_{z_k linear in E} ∂N/∂z_k(0) z_k  +  ½ E·C E  +  γ (J + 1/J − 2)²,

of the Green–Lagrange strain E at finite strain, where P = 2F ∂W/∂C and A = ∂P/∂F with its geometric part; of ε at small
strain, of ∇T in heat conduction, both without the last term. z are invariants of the cell's symmetry group
(`surrogates/symmetry.py`), N is a softplus network, and C the linear elasticity of that group nearest to the tangents
of the training split. So whatever the weights are, turning space turns P with it, turning the material by an element of
its group changes nothing, the tangent is symmetric, closed paths take no work, and rest has neither energy nor stress.
W grows beyond all bounds for J → 0, because N is bounded there.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from materials.measures import FloatArray, Measure, Physics
from surrogates import energy_kernel
from surrogates.family import Family, ModelError, Network, Samples, checked_arrays
from surrogates.green_strain import objective_strain, push_forward, strain_matrices, strain_measure
from surrogates.normaliser import component_scale, overall_scale
from surrogates.polynomials import Polynomial, PolynomialTable, table
from surrogates.symmetry import Invariants, Symmetry
from surrogates.symmetry_detection import detect

if TYPE_CHECKING:
    from torch.nn import Module

_GROWTH = 1e-2
"""γ relative to the stiffness."""


@dataclass(frozen=True, kw_only=True)
class EnergyOptions(Network):
    """Options of an energy network. The fields are the keys under `network` in case files."""

    symmetry: Literal["detect", "isotropic", "square", "cubic", "transversely_isotropic", "orthotropic", "none"] = (
        "detect"
    )
    """Symmetry group of the cell; `detect`: the largest that the training split shows along the coordinate axes."""
    axes: tuple[tuple[float, ...], ...] = ()
    """Material axes as rows, for a symmetry that is named; empty: the coordinate axes."""

    def __post_init__(self) -> None:
        """Check the widths and the axes."""
        super().__post_init__()
        if self.symmetry != "detect":
            Symmetry(self.symmetry, self.axes)
        elif self.axes:
            raise ValueError("material axes need a symmetry that is named, not detect")


class Conjugates(NamedTuple):
    """Samples as a function of what the energy depends on, packed."""

    strain: FloatArray
    """E at finite strain, otherwise the gradient, (n, v)."""
    stress: FloatArray
    """S at finite strain, otherwise the flux, (n, v)."""
    stiffness: FloatArray
    """d stress / d strain, (n, v, v)."""


@dataclass(frozen=True, eq=False)
class EnergyNetwork(Family):
    """Network from invariants to the free energy; see the module."""

    name: ClassVar[str] = "energy"
    physics: ClassVar[tuple[Physics, ...]] = (Physics.SMALL_STRAIN, Physics.FINITE_STRAIN, Physics.HEAT)
    network: ClassVar[type[Network]] = EnergyOptions
    symmetric: ClassVar[bool] = True
    conservative: ClassVar[bool] = True

    measure: Measure
    hidden: tuple[int, ...]
    symmetry: Symmetry
    values: Mapping[str, FloatArray]
    """`weight_k`, `bias_k` of the hidden layers in scaled units, `weight_out` (h,); `invariant_scale` (m,),
    `energy_scale` (1,), `stiffness` (v, v) and `growth` (1,)."""

    @classmethod
    def untrained(cls, measure: Measure, network: EnergyOptions, samples: Samples, seed: int) -> Self:
        """Glorot weights round the linear elasticity of the samples; see `Family.untrained`."""
        conjugates = conjugate(measure, samples)
        try:
            if network.symmetry != "detect":
                symmetry = Symmetry(network.symmetry, network.axes)
            elif samples.symmetry is not None:
                symmetry = Symmetry(samples.symmetry)
            else:
                symmetry = detect(measure, *conjugates)
            invariants = Invariants(measure, symmetry)
        except ValueError as error:
            raise ModelError(str(error)) from error
        stiffness_scale = overall_scale(conjugates.stiffness, "tangent")
        strain_scale = np.sqrt(np.mean(np.sum(np.square(conjugates.strain), axis=1)))
        random = np.random.default_rng(seed)
        widths = (invariants.count, *network.hidden)
        values: dict[str, FloatArray] = {}
        for k, (before, width) in enumerate(itertools.pairwise(widths)):
            values[f"weight_{k}"] = random.normal(0.0, np.sqrt(2.0 / (before + width)), (width, before))
            values[f"bias_{k}"] = random.normal(0.0, 0.5, width)
        values["weight_out"] = 0.1 * random.normal(0.0, np.sqrt(2.0 / (widths[-1] + 1)), widths[-1])
        finite = measure.physics is Physics.FINITE_STRAIN
        values |= {
            "invariant_scale": component_scale(invariants.evaluate(conjugates.strain).values),
            "energy_scale": np.array([stiffness_scale * strain_scale**2]),
            "stiffness": _nearest(invariants.quadratic_forms(), conjugates.stiffness.mean(axis=0)),
            "growth": np.array([_GROWTH * stiffness_scale if finite else 0.0]),
        }
        return cls(measure, tuple(network.hidden), symmetry, values)

    def architecture(self) -> dict[str, Any]:
        """Widths of the hidden layers, symmetry group and material axes."""
        axes = [list(row) for row in self.symmetry.axes]
        return {"hidden": list(self.hidden), "symmetry": self.symmetry.group, "axes": axes}

    def arrays(self) -> dict[str, FloatArray]:
        """See `values`."""
        return dict(self.values)

    @classmethod
    def from_arrays(cls, measure: Measure, architecture: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Self:
        """See `Family.from_arrays`."""
        try:
            hidden, symmetry = _read(architecture)
            count = Invariants(measure, symmetry).count
        except (TypeError, ValueError) as error:
            raise ModelError(f"not the architecture of an energy network: {error}") from error
        values = checked_arrays(arrays, _shapes(measure, count, hidden))
        for name in ("invariant_scale", "energy_scale"):
            if (values[name] <= 0.0).any():
                raise ModelError(f"array {name} has values that are not positive")
        if values["growth"][0] < 0.0:
            raise ModelError(f"growth is {values['growth'][0]:g}, it must not be negative")
        return cls(measure, hidden, symmetry, values)

    @cached_property
    def invariants(self) -> Invariants:
        """What the network sees."""
        return Invariants(self.measure, self.symmetry)

    def scaled_invariants(self) -> PolynomialTable:
        """The invariants in the units of the network, along the material axes; at finite strain also det C − 1."""
        scales = self.values["invariant_scale"]
        polynomials = [p * float(1.0 / s) for p, s in zip(self.invariants.polynomials, scales, strict=True)]
        if self.measure.physics is Physics.FINITE_STRAIN:
            polynomials.append(determinant_minus_one(self.measure.dimension))
        return table(polynomials, strain_measure(self.measure).size)

    @cached_property
    def _packed(self) -> energy_kernel.PackedEnergy:
        layers = range(len(self.hidden))
        stiffness = self.values["stiffness"]
        rotation = self.invariants.rotation
        return energy_kernel.pack(
            [self.values[f"weight_{k}"] for k in layers],
            [self.values[f"bias_{k}"] for k in layers],
            self.values["weight_out"] * self.values["energy_scale"],
            self.scaled_invariants(),
            self.invariants.linear,
            stiffness if rotation is None else rotation @ stiffness @ rotation.T,
            float(self.values["growth"][0]),
        )

    def energy(self, gradient: FloatArray) -> FloatArray:
        """Free energy per reference volume at `gradient` (n, g), as (n,); NaN where det F ≤ 0."""
        gradient = np.ascontiguousarray(gradient, dtype=np.float64)
        energy, _, _ = self._conjugate_response(gradient)
        if self.measure.physics is Physics.FINITE_STRAIN:
            return np.where(np.linalg.det(self.measure.to_tensor(gradient)) > 0.0, energy, np.nan)
        return energy

    def evaluate(self, gradient: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Flux and tangent; see `Family.evaluate`."""
        gradient = np.ascontiguousarray(gradient, dtype=np.float64)
        _, stress, stiffness = self._conjugate_response(gradient)
        if self.measure.physics is not Physics.FINITE_STRAIN:
            return stress, stiffness
        flux = np.empty_like(gradient)
        tangent = np.empty((*gradient.shape, gradient.shape[1]))
        push_forward(strain_matrices(self.measure.dimension), gradient, stress, stiffness, flux, tangent)
        return flux, tangent

    def _conjugate_response(self, gradient: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Energy, stress and stiffness in what the energy depends on."""
        strain = objective_strain(self.measure, gradient)
        rotation = self.invariants.rotation
        if rotation is None:
            return energy_kernel.evaluate(self._packed, strain)
        energy, stress, stiffness = energy_kernel.evaluate(self._packed, np.einsum("nv,wv->nw", strain, rotation))
        return (
            energy,
            np.einsum("nw,wv->nv", stress, rotation),
            np.einsum("xv,nxw->nvw", rotation, np.einsum("nxy,yw->nxw", stiffness, rotation)),
        )

    def torch_model(self) -> "Module":
        """The same function in torch; see `Family.torch_model`."""
        from surrogates.energy_torch import TorchEnergy

        return TorchEnergy(self)


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


def determinant_minus_one(dimension: int) -> Polynomial:
    """det(I + 2E) − 1 of a Mandel strain, written so that no digits are lost at small strain."""
    pairs = Measure(Physics.SMALL_STRAIN, dimension).index_pairs
    v = len(pairs)
    e: dict[tuple[int, ...], Polynomial] = {}
    for k, (i, j) in enumerate(pairs):
        e[i, j] = e[j, i] = Polynomial.variable(k, v, 2.0 if i == j else float(np.sqrt(2.0)))
    first = [e[i, i] for i in range(dimension)]
    minors = [e[i, i] * e[j, j] + e[i, j] * e[i, j] * -1.0 for i in range(dimension) for j in range(i)]
    total = Polynomial({})
    for part in first + minors:
        total = total + part
    if dimension == 2:
        return total
    a, b, c, p, q, r = e[0, 0], e[1, 1], e[2, 2], e[1, 2], e[0, 2], e[0, 1]
    return total + a * b * c + p * q * r * 2.0 + (a * p * p + b * q * q + c * r * r) * -1.0


def _nearest(forms: FloatArray, matrix: FloatArray) -> FloatArray:
    """The combination of symmetric `forms` (b, v, v) that is nearest to a matrix (v, v)."""
    v = len(matrix)
    if not len(forms):
        return np.zeros((v, v))
    fit, *_ = np.linalg.lstsq(forms.reshape(len(forms), -1).T, matrix.ravel(), rcond=None)
    nearest = np.einsum("b,bvw->vw", fit, forms)
    return np.ascontiguousarray(0.5 * (nearest + nearest.T))


def _read(architecture: Mapping[str, Any]) -> tuple[tuple[int, ...], Symmetry]:
    """Widths and symmetry; ValueError or TypeError if they are not what `architecture` writes."""
    if set(architecture) != {"hidden", "symmetry", "axes"}:
        raise ValueError(f"its keys are hidden, symmetry and axes, got {', '.join(map(str, architecture))}")
    hidden = architecture["hidden"]
    if not isinstance(hidden, list) or not hidden or not all(type(w) is int and w > 0 for w in hidden):
        raise ValueError(f"hidden must be a list of widths, got {hidden}")
    axes = tuple(tuple(float(x) for x in row) for row in architecture["axes"])
    return tuple(hidden), Symmetry(str(architecture["symmetry"]), axes)


def _shapes(measure: Measure, count: int, hidden: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    for k, (before, width) in enumerate(itertools.pairwise((count, *hidden))):
        shapes[f"weight_{k}"] = (width, before)
        shapes[f"bias_{k}"] = (width,)
    v = strain_measure(measure).size
    others = {"invariant_scale": (count,), "energy_scale": (1,), "stiffness": (v, v), "growth": (1,)}
    return shapes | {"weight_out": (hidden[-1],)} | others
