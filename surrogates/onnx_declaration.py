"""What the input and the output of an ONNX graph are: measure and packing of their components."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from materials.measures import FloatArray, Measure, Physics
from surrogates.family import ModelError
from surrogates.onnx_graph import Graph

Packing = Literal["tensor", "mandel", "voigt"]
PACKINGS: tuple[Packing, ...] = ("tensor", "mandel", "voigt")
Gradient = Literal[
    "strain", "green_lagrange_strain", "right_cauchy_green", "deformation_gradient", "temperature_gradient"
]
Flux = Literal["stress", "second_piola_kirchhoff", "first_piola_kirchhoff", "heat_flux"]

_PAIRS: Mapping[Physics, Mapping[Gradient, Flux]] = {
    Physics.SMALL_STRAIN: {"strain": "stress"},
    Physics.FINITE_STRAIN: {
        "green_lagrange_strain": "second_piola_kirchhoff",
        "right_cauchy_green": "second_piola_kirchhoff",
        "deformation_gradient": "first_piola_kirchhoff",
    },
    Physics.HEAT: {"temperature_gradient": "heat_flux"},
}
"""What a network may take, and what it gives for it."""


@dataclass(frozen=True, kw_only=True)
class Input:
    """What the network takes. The fields are the keys under `input` in case files."""

    name: str | None = None
    """Name in the graph; by default its only input."""
    measure: Gradient | None = None
    """What it is; by default the gradient of the physics."""
    packing: Packing = "tensor"
    """Components: all d × d, or a Mandel vector, or a Voigt vector with engineering shear strains."""


@dataclass(frozen=True, kw_only=True)
class Output:
    """What the network gives. The fields are the keys under `output` in case files."""

    name: str | None = None
    """Name in the graph; by default its only output, or the one that bears the name of the measure."""
    measure: Flux | None = None
    """What it is; by default what belongs to the measure of the input."""
    packing: Packing = "tensor"
    """Components: all d × d, or a Mandel or Voigt vector."""


@dataclass(frozen=True, kw_only=True)
class Declaration:
    """How a graph is to be understood."""

    input: Input = field(default_factory=Input)
    output: Output = field(default_factory=Output)
    tangent: str | None = None
    """Output of the graph with the derivative of the flux, (n, …, …); None: the graph is differentiated."""
    range: float | None = None
    """Largest absolute component of strain (E at finite strain) or ∇T that it was trained for; None: not known."""


def completed(graph: Graph, measure: Measure, declared: Declaration) -> Declaration:
    """The declaration with its defaults.

    Raises:
        ModelError: a name or a measure that does not exist here.
    """
    pairs = _PAIRS[measure.physics]
    gradient: Any = declared.input.measure or measure.gradient_name
    if gradient not in pairs:
        raise ModelError(f"{gradient} is no input for {measure.physics}, use {' or '.join(pairs)}")
    flux = declared.output.measure or pairs[gradient]
    if flux != pairs[gradient]:
        raise ModelError(f"{flux} is no output for the input {gradient}, it must be {pairs[gradient]}")
    source = _named("input", declared.input.name, tuple(graph.inputs), gradient)
    others = tuple(name for name in graph.outputs if name != declared.tangent)
    target = _named("output", declared.output.name, others, flux)
    if declared.tangent is not None:
        _named("output", declared.tangent, graph.outputs, declared.tangent)
    if len(graph.inputs) > 1:
        raise ModelError(f"has the inputs {', '.join(graph.inputs)}; a network of one input is needed")
    return Declaration(
        input=Input(name=source, measure=gradient, packing=declared.input.packing),
        output=Output(name=target, measure=flux, packing=declared.output.packing),
        tangent=declared.tangent,
        range=declared.range,
    )


def _named(what: str, name: str | None, known: tuple[str, ...], usual: str) -> str:
    """The name of an input or output, by default the only one or the usual one."""
    found = name if name is not None else known[0] if len(known) == 1 else usual
    if found not in known:
        raise ModelError(f"has no {what} {found!r}, but {', '.join(known) or 'none'}; declare its name")
    return found


def unpacking(measure: Measure, packing: Packing, shear: float) -> FloatArray:
    """Matrix (k, m) from a vector packed as the measure says to components in another packing.

    Args:
        measure: of the vector.
        packing: of the components; for a vector or F, P, which have no symmetry, all are alike.
        shear: factor from a Mandel to a Voigt component.
    """
    symmetric = measure.physics is Physics.SMALL_STRAIN
    if packing == "tensor" or not symmetric:
        return np.asarray(measure.to_tensor(np.eye(measure.size)).reshape(measure.size, -1).T)
    if packing == "mandel":
        return np.eye(measure.size)
    return np.diag([1.0 if i == j else shear for i, j in measure.index_pairs])
