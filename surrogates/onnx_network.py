"""A network that others trained, from an ONNX file, as a surrogate: what goes in and out is declared in the case.

Its tangent is the exact derivative of the graph, or an output of the graph that is declared as such. At finite strain a
network from an objective strain (E, or C = I + 2E) to the second Piola–Kirchhoff stress is objective whatever it
learned; one from F to the first Piola–Kirchhoff stress is tried for objectivity when it is read.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, NoReturn, Self

import numpy as np
from numpy.typing import NDArray

from materials.measures import SQRT2, FloatArray, Measure, Physics
from surrogates.family import Family, ModelError, Options, Samples
from surrogates.green_strain import objective_strain, push_forward, strain_matrices, strain_measure
from surrogates.onnx_declaration import Declaration, completed, unpacking
from surrogates.onnx_graph import Graph

BLOCK = 64
"""Points that are evaluated together, always as many: so a point does not depend on its neighbours, to the last bit."""


@dataclass(frozen=True, eq=False)
class ForeignNetwork(Family):
    """A graph as a function from the gradient to the flux of a measure; see the module."""

    name: ClassVar[str] = "onnx"
    physics: ClassVar[tuple[Physics, ...]] = tuple(Physics)
    network: ClassVar[type[Options]] = Options
    symmetric: ClassVar[bool] = False
    conservative: ClassVar[bool] = False
    iterative: ClassVar[bool] = False

    measure: Measure
    graph: Graph
    declaration: Declaration
    """Complete: every name and measure is given."""

    @classmethod
    def untrained(cls, measure: Measure, network: Any, samples: Samples, seed: int) -> NoReturn:  # noqa: ARG003
        """Refused: it was trained elsewhere."""
        raise ModelError("an ONNX network is not trained here")

    def architecture(self) -> dict[str, Any]:
        """The operators of the graph."""
        return {"operators": [node.operator for node in self.graph.nodes]}

    def arrays(self) -> dict[str, FloatArray]:
        """Weights and parameters of the graph that are floating-point numbers."""
        return {name: array for name, array in self.graph.constants.items() if array.dtype == np.float64}

    @classmethod
    def from_arrays(cls, measure: Measure, architecture: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Self:  # noqa: ARG003
        """Refused: a graph is more than its arrays; see `read_foreign`."""
        raise ModelError("an ONNX network is read from its file")

    @property
    def objective(self) -> bool:
        """Whether the input does not see rotations, or there are none."""
        return self.declaration.input.measure != "deformation_gradient"

    @cached_property
    def packed(self) -> Measure:
        """Packing of what the graph maps, before and after its own."""
        return strain_measure(self.measure) if self.objective else self.measure

    @cached_property
    def input_components(self) -> tuple[FloatArray, FloatArray, tuple[int, ...]]:
        """Matrix (k, m) and offset (k,) from a packed vector to the components of the input, and their axes."""
        declared = self.declaration.input
        matrix = unpacking(self.packed, declared.packing, SQRT2)
        offset: FloatArray = np.zeros(self.packed.size)
        if declared.measure == "right_cauchy_green":
            matrix, offset = 2.0 * matrix, 0.5 * self.packed.to_vector(np.eye(self.measure.dimension))
        axes = self.graph.inputs[str(declared.name)][1:]
        tensor = (self.measure.dimension,) * len(self.packed.index_pairs[0])
        return matrix, matrix @ offset, (len(matrix),) if len(axes) == 1 else tensor

    @cached_property
    def _output_components(self) -> FloatArray:
        """Matrix (m, k) from the components of the output to a packed vector."""
        return np.asarray(np.linalg.pinv(unpacking(self.packed, self.declaration.output.packing, 1.0 / SQRT2)))

    def evaluate(self, gradient: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Flux and tangent; see `Family.evaluate`."""
        gradient = np.ascontiguousarray(gradient, dtype=np.float64)
        finite = self.measure.physics is Physics.FINITE_STRAIN
        seen = objective_strain(self.measure, gradient) if self.objective else gradient
        stress, stiffness = np.empty_like(seen), np.empty((*seen.shape, seen.shape[1]))
        for start in range(0, len(seen), BLOCK):
            part = seen[start : start + BLOCK]
            block = np.concatenate([part, np.repeat(part[-1:], BLOCK - len(part), axis=0)])
            answer = self._block(block)
            stress[start : start + BLOCK], stiffness[start : start + BLOCK] = (a[: len(part)] for a in answer)
        if not finite:
            return stress, stiffness
        if self.objective:
            flux, tangent = np.empty_like(gradient), np.empty((*gradient.shape, gradient.shape[1]))
            push_forward(strain_matrices(self.measure.dimension), gradient, stress, stiffness, flux, tangent)
            return flux, tangent
        inverted = ~(np.linalg.det(self.measure.to_tensor(gradient)) > 0.0)
        stress[inverted], stiffness[inverted] = np.nan, np.nan
        return stress, stiffness

    @np.errstate(all="ignore")  # what is not finite is refused, or fails, as a whole
    def _block(self, seen: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Flux (n, m) and its derivative (n, m, m) with respect to the packed vectors `seen` (n, m)."""
        matrix, offset, axes = self.input_components
        n, m = seen.shape
        value = (seen @ matrix.T + offset).reshape(n, *axes)
        name, output, tangent = str(self.declaration.input.name), str(self.declaration.output.name), None
        sign = -1.0 if self.measure.physics is Physics.HEAT else 1.0
        if self.declaration.tangent is None:
            seeds = np.broadcast_to(matrix.T[:, np.newaxis], (m, n, len(matrix))).reshape(m, n, *axes)
            (flux,) = self.graph.evaluate(name, value, seeds, (output,))
        else:
            flux, tangent = self.graph.evaluate(name, value, None, (output, self.declaration.tangent))
        k = self._output_components.shape[1]
        _require(flux.value.shape[:1] == (n,) and flux.value.size == n * k, output, flux.value, f"(n, {k})")
        stress = sign * flux.value.reshape(n, k) @ self._output_components.T
        if tangent is not None:
            wanted, given = (n, k, len(matrix)), tangent.value
            _require(given.size == np.prod(wanted), str(self.declaration.tangent), given, f"(n, {k}, {len(matrix)})")
            return stress, np.asarray(self._output_components @ given.reshape(wanted) @ matrix)
        if flux.slope is None:
            return stress, np.zeros((n, m, m))
        slope = np.asarray(flux.slope.reshape(m, n, k) @ self._output_components.T)
        return stress, sign * np.moveaxis(slope, 0, -1)


def foreign_network(measure: Measure, graph: Graph, declared: Declaration) -> ForeignNetwork:
    """A graph as it is declared.

    Raises:
        ModelError: a name or a measure that is not there, or an operator that is not known.
    """
    complete = completed(graph, measure, declared)
    wanted = (str(complete.output.name), *([] if complete.tangent is None else [complete.tangent]))
    return ForeignNetwork(measure, graph.reduced(wanted), complete)


def _require(holds: bool, name: str, array: NDArray[Any], wanted: str) -> None:
    if not holds:
        raise ModelError(f"the output {name!r} has the shape {array.shape}, {wanted} is needed for n = {BLOCK}")
