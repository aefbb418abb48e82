"""Strain → invariants → free energy: a network that is objective, symmetric and conservative by construction.

Stress and tangent are the exact derivatives of one energy,

    W(E) = N(z(E)) − N(0) − S₀·E  +  ½ E·C E  +  γ (J + 1/J − 2)²,

of the Green–Lagrange strain E at finite strain, where P = 2F ∂W/∂C and A = ∂P/∂F with its geometric part; of ε at small
strain, of ∇T in heat conduction, both without the last term. z are invariants of the cell's symmetry group
(`surrogates/symmetry.py`), N is a softplus network, S₀ its stress at rest, and C the linear elasticity of that group
nearest to the tangents of the training split. So whatever the weights are, turning space turns P with it, turning the
material by an element of its group changes nothing, the tangent is symmetric, closed paths take no work, and rest has
neither energy nor stress. W grows beyond all bounds for J → 0, because N is bounded there.

If asked for, the energy is polyconvex at finite strain, and otherwise convex: z are convex invariants
(`surrogates/convex_invariants.py`), and N is convex, and does not fall, with them, as its weights are not negative
(Amos et al. 2017; Klein et al. 2022). C is then positive semidefinite, and at finite strain, where ½ E·C E would not be
polyconvex, zero. J − 1 joins the invariants there, with weights of any sign, and what is taken away for a stress-free
rest must leave the energy polyconvex. With α the largest eigenvalue of S₀,

    − S₀·E + α (tr E − J + 1)  =  tr G (C − I) − α (J − 1),     G = ½ (α I − S₀) ⪰ 0,

has no stress but −S₀ at rest, and both terms are polyconvex, the first as G is positive semidefinite and the second as
it is linear in J. For isotropic groups G = 0, the correction of Linden et al. (2023).
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray

from materials.measures import FloatArray, Measure, Physics
from surrogates import energy_kernel
from surrogates.conjugates import conjugate
from surrogates.family import Family, ModelError, Network, Samples, checked_arrays
from surrogates.green_strain import objective_strain, push_forward, strain_matrices, strain_measure
from surrogates.linear_elasticity import nearest_elasticity, positive_part
from surrogates.normaliser import component_scale, overall_scale
from surrogates.polynomials import PolynomialTable, table
from surrogates.strain_polynomials import determinant_minus_one
from surrogates.symmetry import Invariants, Symmetry
from surrogates.symmetry_detection import detect

if TYPE_CHECKING:
    from torch.nn import Module

Convexity = Literal["none", "polyconvex"]

_GROWTH = 1e-2
"""γ relative to the stiffness."""


@dataclass(frozen=True, kw_only=True)
class EnergyOptions(Network):
    """Options of an energy network. The fields are the keys under `network` in case files."""

    symmetry: Literal[
        "detect", "isotropic", "hexagonal", "square", "cubic", "transversely_isotropic", "orthotropic", "none"
    ] = "detect"
    """Symmetry group of the cell; `detect`: the largest that the training split shows along the coordinate axes."""
    axes: tuple[tuple[float, ...], ...] = ()
    """Material axes as rows, for a symmetry that is named; empty: the coordinate axes."""
    convexity: Convexity = "none"
    """`polyconvex`: the energy is polyconvex at finite strain, convex at small strain and in heat conduction."""

    def __post_init__(self) -> None:
        """Check the widths and the axes."""
        super().__post_init__()
        if self.symmetry != "detect":
            Symmetry(self.symmetry, self.axes)
        elif self.axes:
            raise ValueError("material axes need a symmetry that is named, not detect")


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
    convexity: Convexity
    values: Mapping[str, FloatArray]
    """`weight_k`, `bias_k` of the hidden layers in scaled units, `weight_out` (h,); `invariant_scale` (m,),
    `energy_scale` (1,), `stiffness` (v, v) and `growth` (1,). Of a convex network, weights that must not be negative
    are the softplus of these."""

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
            symmetry.check(measure)
        except ValueError as error:
            raise ModelError(str(error)) from error
        made = cls(measure, tuple(network.hidden), symmetry, network.convexity, {})
        stiffness_scale = overall_scale(conjugates.stiffness, "tangent")
        strain_scale = np.sqrt(np.mean(np.sum(np.square(conjugates.strain), axis=1)))
        finite = measure.physics is Physics.FINITE_STRAIN
        values = made._random_weights(np.random.default_rng(seed)) | {
            "invariant_scale": component_scale(made._inputs(conjugates.strain)),
            "energy_scale": np.array([stiffness_scale * strain_scale**2]),
            "stiffness": made._stiffness(conjugates.stiffness.mean(axis=0)),
            "growth": np.array([_GROWTH * stiffness_scale if finite else 0.0]),
        }
        return replace(made, values=values)

    def _random_weights(self, random: np.random.Generator) -> dict[str, FloatArray]:
        values: dict[str, FloatArray] = {}
        widths = (self.inputs, *self.hidden)
        for k, (before, width) in enumerate(itertools.pairwise(widths)):
            values[f"weight_{k}"] = random.normal(0.0, np.sqrt(2.0 / (before + width)), (width, before))
            values[f"bias_{k}"] = random.normal(0.0, 0.5, width)
        values["weight_out"] = 0.1 * random.normal(0.0, np.sqrt(2.0 / (widths[-1] + 1)), widths[-1])
        if self.convexity == "none":
            return values
        for k, name in enumerate(self._convex_weights):
            size = np.abs(values[name]) / (np.sqrt(values[name].shape[-1]) if k else 1.0)  # sums of one sign
            raw = np.log(np.expm1(size + 1e-3))
            values[name] = np.where(self.free, values[name], raw) if k == 0 else raw
        return values

    def _stiffness(self, mean: FloatArray) -> FloatArray:
        """C, from the mean stiffness of the samples."""
        if self.sees_volume:
            return np.zeros_like(mean)
        nearest = nearest_elasticity(self.measure, self.symmetry, mean)
        return nearest if self.convexity == "none" else positive_part(nearest)

    def architecture(self) -> dict[str, Any]:
        """Widths of the hidden layers, symmetry group, material axes and convexity."""
        axes = [list(row) for row in self.symmetry.axes]
        return {
            "hidden": list(self.hidden),
            "symmetry": self.symmetry.group,
            "axes": axes,
            "convexity": self.convexity,
        }

    def arrays(self) -> dict[str, FloatArray]:
        """See `values`."""
        return dict(self.values)

    @classmethod
    def from_arrays(cls, measure: Measure, architecture: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Self:
        """See `Family.from_arrays`."""
        try:
            made = cls(measure, *_read(architecture), {})
            made.symmetry.check(measure)
        except (TypeError, ValueError) as error:
            raise ModelError(f"not the architecture of an energy network: {error}") from error
        values = checked_arrays(arrays, made._shapes())
        for name in ("invariant_scale", "energy_scale"):
            if (values[name] <= 0.0).any():
                raise ModelError(f"array {name} has values that are not positive")
        if values["growth"][0] < 0.0:
            raise ModelError(f"growth is {values['growth'][0]:g}, it must not be negative")
        return replace(made, values=values)

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        shapes: dict[str, tuple[int, ...]] = {"weight_out": (self.hidden[-1],)}
        for k, (before, width) in enumerate(itertools.pairwise((self.inputs, *self.hidden))):
            shapes[f"weight_{k}"] = (width, before)
            shapes[f"bias_{k}"] = (width,)
        v = strain_measure(self.measure).size
        return shapes | {"invariant_scale": (self.inputs,), "energy_scale": (1,), "stiffness": (v, v), "growth": (1,)}

    @cached_property
    def invariants(self) -> Invariants:
        """What the network sees, J − 1 apart."""
        return Invariants(self.measure, self.symmetry, self.convexity == "polyconvex")

    @cached_property
    def sees_volume(self) -> bool:
        """Whether the last input of the network is J − 1."""
        return self.convexity == "polyconvex" and self.measure.physics is Physics.FINITE_STRAIN

    @property
    def inputs(self) -> int:
        """Number of inputs of the network."""
        return self.invariants.count + self.sees_volume

    @property
    def free(self) -> NDArray[np.bool_]:
        """In which inputs a convex network may fall: those that are linear in an argument of convexity."""
        if self.sees_volume:
            return np.arange(self.inputs) == self.inputs - 1
        return self.invariants.linear

    @property
    def _convex_weights(self) -> list[str]:
        return [*(f"weight_{k}" for k in range(len(self.hidden))), "weight_out"]

    def _inputs(self, strain: FloatArray) -> FloatArray:
        """What the network sees of strains (n, v), without its scales."""
        values = self.invariants.evaluate(strain).values
        if not self.sees_volume:
            return values
        difference = table([determinant_minus_one(self.measure.dimension)], strain.shape[1]).evaluate(strain)[0]
        return np.concatenate([values, np.sqrt(1.0 + difference) - 1.0], axis=1)

    def scaled_invariants(self) -> PolynomialTable:
        """The invariants in the units of the network, along the material axes; at finite strain also det C − 1."""
        scales = self.values["invariant_scale"][: self.invariants.count]
        polynomials = [p * float(1.0 / s) for p, s in zip(self.invariants.polynomials, scales, strict=True)]
        if self.measure.physics is Physics.FINITE_STRAIN:
            polynomials.append(determinant_minus_one(self.measure.dimension))
        return table(polynomials, strain_measure(self.measure).size)

    def weights(self) -> dict[str, FloatArray]:
        """The weights as they multiply, the scale of J − 1 included."""
        weights = {name: self.values[name] for name in self._convex_weights}
        if self.convexity == "polyconvex":
            positive = {name: np.logaddexp(0.0, weight) for name, weight in weights.items()}
            weights = positive | {"weight_0": np.where(self.free, weights["weight_0"], positive["weight_0"])}
        if self.sees_volume:
            scale = np.append(np.ones(self.inputs - 1), self.values["invariant_scale"][-1])
            weights["weight_0"] = weights["weight_0"] / scale
        return weights

    @cached_property
    def _packed(self) -> energy_kernel.PackedEnergy:
        layers = range(len(self.hidden))
        weights = self.weights()
        stiffness = self.values["stiffness"]
        rotation = self.invariants.rotation
        packed = energy_kernel.pack(
            [weights[f"weight_{k}"] for k in layers],
            [self.values[f"bias_{k}"] for k in layers],
            weights["weight_out"] * self.values["energy_scale"],
            self.scaled_invariants(),
            stiffness if rotation is None else rotation @ stiffness @ rotation.T,
            self.measure.physics is Physics.FINITE_STRAIN,
            float(self.values["growth"][0]),
        )
        if not self.sees_volume:
            return packed
        at_rest = strain_measure(self.measure).to_tensor(packed.rest[None, 1:])
        return energy_kernel.without_volume_slope(packed, float(np.linalg.eigvalsh(at_rest).max()))

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


def _read(architecture: Mapping[str, Any]) -> tuple[tuple[int, ...], Symmetry, Convexity]:
    """Widths, symmetry and convexity; ValueError or TypeError if they are not what `architecture` writes."""
    if set(architecture) | {"convexity"} != {"hidden", "symmetry", "axes", "convexity"}:
        raise ValueError(f"its keys are hidden, symmetry, axes and convexity, got {', '.join(map(str, architecture))}")
    hidden = architecture["hidden"]
    if not isinstance(hidden, list) or not hidden or not all(type(w) is int and w > 0 for w in hidden):
        raise ValueError(f"hidden must be a list of widths, got {hidden}")
    axes = tuple(tuple(float(x) for x in row) for row in architecture["axes"])
    convexity = architecture.get("convexity", "none")  # models from before there was a choice
    if convexity not in get_args(Convexity):
        raise ValueError(f"convexity must be {' or '.join(get_args(Convexity))}, got {convexity!r}")
    return tuple(hidden), Symmetry(str(architecture["symmetry"]), axes), convexity
