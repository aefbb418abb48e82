"""An ONNX file as a function of a batch of points, with its exact derivative by forward mode.

The graph is interpreted here, in float64, whatever the precision of the file: nothing in it is executed. Only operators
with a known derivative (`surrogates/onnx_operators.py`) are accepted in what is used of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from materials.measures import FloatArray
from surrogates.family import ModelError
from surrogates.onnx_jets import KINKED, Jet
from surrogates.onnx_operators import OPERATORS, Node, apply

OLDEST = 7
"""Version of the operator set since which arrays are broadcast as in numpy."""

_Shape = tuple[int | None, ...]


@dataclass(frozen=True, eq=False)
class Graph:
    """A network from one input to named outputs."""

    nodes: tuple[Node, ...]
    """In an order in which they can be evaluated."""
    constants: Mapping[str, NDArray[Any]]
    """Weights and parameters by name; floating-point numbers as float64."""
    inputs: Mapping[str, _Shape]
    """Axes of each input, the points first; None: of any length."""
    outputs: tuple[str, ...]

    @property
    def kinks(self) -> tuple[str, ...]:
        """Operators at which the derivative jumps."""
        return tuple(sorted({node.operator for node in self.nodes if _kinked(node)}))

    def reduced(self, wanted: tuple[str, ...]) -> "Graph":
        """What is needed for some of the outputs.

        Raises:
            ModelError: an operator in it is not known.
        """
        needed, kept = set(wanted), []
        for node in reversed(self.nodes):
            if needed.isdisjoint(node.outputs):
                continue
            if node.operator not in OPERATORS:
                known = ", ".join(sorted(OPERATORS))
                raise ModelError(f"has the operator {node.operator}, which cannot be differentiated; known are {known}")
            needed.update(node.inputs)
            kept.append(node)
        constants = {name: array for name, array in self.constants.items() if name in needed}
        return Graph(tuple(reversed(kept)), constants, self.inputs, wanted)

    def evaluate(self, name: str, value: FloatArray, slope: FloatArray | None, wanted: tuple[str, ...]) -> list[Jet]:
        """Some outputs at `value` (n, …) of the input `name`, with derivatives where `slope` (m, n, …) is given.

        Raises:
            ModelError: an operation cannot be done with these shapes.
        """
        known: dict[str, Jet] = {key: Jet(array) for key, array in self.constants.items()}
        known[name] = Jet(value, slope)
        for node in self.nodes:
            inputs = [known.get(key) for key in node.inputs]
            try:
                answers = apply(node, inputs)
            except (ValueError, IndexError, KeyError, TypeError) as error:
                text = " ".join(str(error).split())
                raise ModelError(f"the operation {node.operator} that makes {node.outputs[0]!r}: {text}") from None
            known.update(zip(node.outputs, answers, strict=False))
        return [known[key] for key in wanted]


def parse_graph(content: bytes) -> Graph:
    """The graph of an ONNX file.

    Raises:
        ModelError: one line with the reason: not ONNX, of an old version, or in several files.
    """
    try:
        import onnx
        from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
    except ModuleNotFoundError:
        raise ModelError("ONNX files need onnx, which is not installed: pip install 'fe2[surrogates]'") from None
    try:
        model = onnx.load_model_from_string(content)
        onnx.checker.check_model(model)
    except (DecodeError, onnx.checker.ValidationError, ValueError) as error:
        raise ModelError(f"is not an ONNX file ({str(error).strip().splitlines()[0]})") from None
    if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in model.graph.initializer):
        raise ModelError("keeps its weights in another file; save the network as one file")
    version = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 0)
    if version < OLDEST:
        raise ModelError(f"is of operator set {version}, {OLDEST} or newer is needed; convert it")
    constants = {tensor.name: _promoted(onnx.numpy_helper.to_array(tensor)) for tensor in model.graph.initializer}
    inputs = {entry.name: _axes(entry) for entry in model.graph.input if entry.name not in constants}
    outputs = tuple(entry.name for entry in model.graph.output)
    nodes = tuple(_node(node, onnx.helper.get_attribute_value) for node in model.graph.node)
    return Graph(nodes, constants, inputs, outputs)


def _node(node: Any, read: Any) -> Node:
    name = node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}"
    attributes = {attribute.name: _plain(read(attribute)) for attribute in node.attribute}
    return Node(name, tuple(node.input), tuple(node.output), attributes)


def _kinked(node: Node) -> bool:
    return node.operator in KINKED or (node.operator == "Elu" and node.attributes.get("alpha", 1.0) != 1.0)


def _plain(value: Any) -> Any:
    """The value of an attribute; of a tensor its array."""
    if hasattr(value, "raw_data"):
        import onnx

        return _promoted(onnx.numpy_helper.to_array(value))
    return _promoted(np.asarray(value)) if isinstance(value, list) else value


def _promoted(array: NDArray[Any]) -> NDArray[Any]:
    """Floating-point numbers as float64, the rest as it is."""
    return array if array.dtype.kind in "iubO" else np.asarray(array, dtype=np.float64)


def _axes(entry: Any) -> _Shape:
    return tuple(axis.dim_value or None for axis in entry.type.tensor_type.shape.dim)
