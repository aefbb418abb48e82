"""ONNX graphs written as formulas, which write their own derivative beside them (forward mode).

An expression stands for rows of numbers, one row for each point, and for their derivatives with respect to the m
components of the gradient: arrays (n, 1, width) and (n, m, width), so that one matrix product serves both.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from materials.measures import FloatArray

OPSET, IR = 17, 8
"""Operator set and format of what is written; old enough for every runtime in use."""


class Tape:
    """The operations and constants of a graph in the making."""

    def __init__(self) -> None:
        import onnx

        self._onnx = onnx
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def constant(self, array: NDArray[Any]) -> str:
        """Name of a new constant."""
        name = f"c{len(self._constants)}"
        self._constants.append(self._onnx.numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def apply(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Name of what an operator makes of its inputs."""
        name = f"t{len(self._nodes)}"
        self._nodes.append(self._onnx.helper.make_node(operator, inputs, [name], **attributes))
        return name

    def gradient(self, name: str, packing: FloatArray) -> "Expression":
        """The input of the graph, (n, d, d) or (n, d), packed by a matrix (m, d²), or (m, d)."""
        m, k = packing.shape
        flat = self.apply("Reshape", name, self.constant(np.array([-1, 1, k])))
        value = self.apply("MatMul", flat, self.constant(packing.T))
        return Expression(self, value, self.constant(np.eye(m)[np.newaxis]), m)

    def write(self, name: str, doc: str, source: tuple[str, tuple[int, ...]], outputs: dict[str, Any]) -> bytes:
        """The file.

        Args:
            name: of the graph.
            doc: what it is, for readers.
            source: name of the input, and its axes after that of the points.
            outputs: name → array of the graph, and its axes after that of the points.
        """
        helper, double = self._onnx.helper, self._onnx.TensorProto.DOUBLE
        for target, (array, axes) in outputs.items():
            shape = self.constant(np.array([-1, *axes]))
            self._nodes.append(helper.make_node("Reshape", [array, shape], [target]))
        graph = helper.make_graph(
            self._nodes,
            name,
            [helper.make_tensor_value_info(source[0], double, ["n", *source[1]])],
            [helper.make_tensor_value_info(target, double, ["n", *axes]) for target, (_, axes) in outputs.items()],
            self._constants,
        )
        model = helper.make_model(
            graph,
            ir_version=IR,
            opset_imports=[helper.make_opsetid("", OPSET)],
            producer_name="fe2",
            doc_string=doc,
        )
        self._onnx.checker.check_model(model, full_check=True)
        return bytes(model.SerializeToString())


class Expression:
    """A row of `width` numbers at each point, with its derivatives; constants may be combined with it."""

    def __init__(self, tape: Tape, value: str, slope: str, width: int) -> None:
        self.tape, self.value, self.slope, self.width = tape, value, slope, width

    def __matmul__(self, matrix: FloatArray) -> "Expression":
        """The rows times a matrix (width, w)."""
        constant = self.tape.constant(np.asarray(matrix, dtype=np.float64))
        value, slope = (self.tape.apply("MatMul", part, constant) for part in (self.value, self.slope))
        return Expression(self.tape, value, slope, matrix.shape[1])

    def __add__(self, other: "Expression | NDArray[Any] | float") -> "Expression":
        if isinstance(other, Expression):
            value, slope = (
                self.tape.apply("Add", a, b) for a, b in ((self.value, other.value), (self.slope, other.slope))
            )
            return Expression(self.tape, value, slope, max(self.width, other.width))
        return Expression(self.tape, self._with("Add", self.value, other), self.slope, self.width)

    def __sub__(self, other: "Expression | NDArray[Any] | float") -> "Expression":
        return self + (other * -1.0)

    def __mul__(self, other: "Expression | NDArray[Any] | float") -> "Expression":
        apply = self.tape.apply
        if isinstance(other, Expression):
            slope = apply("Add", apply("Mul", self.slope, other.value), apply("Mul", self.value, other.slope))
            value = apply("Mul", self.value, other.value)
            return Expression(self.tape, value, slope, max(self.width, other.width))
        value, slope = (self._with("Mul", part, other) for part in (self.value, self.slope))
        return Expression(self.tape, value, slope, self.width)

    def chain(self, value: str, derivative: str) -> "Expression":
        """A function of each number, given as arrays of its value and its derivative there."""
        return Expression(self.tape, value, self.tape.apply("Mul", derivative, self.slope), self.width)

    def scaled(self, array: str, factor: float, offset: float = 0.0) -> str:
        """An array times a number, plus a number."""
        product = self._with("Mul", array, factor)
        return self._with("Add", product, offset) if offset else product

    def _with(self, operator: str, array: str, other: NDArray[Any] | float) -> str:
        return self.tape.apply(operator, array, self.tape.constant(np.asarray(other, dtype=np.float64)))


def tanh(x: Expression) -> Expression:
    """Hyperbolic tangent."""
    y = x.tape.apply("Tanh", x.value)
    return x.chain(y, x.scaled(x.tape.apply("Mul", y, y), -1.0, 1.0))


def softplus(x: Expression) -> Expression:
    """Logarithm of 1 + exp x, as −log sigmoid(−x): onnxruntime has no Softplus of float64."""
    logarithm = x.tape.apply("Log", x.tape.apply("Sigmoid", x.scaled(x.value, -1.0)))
    return x.chain(x.scaled(logarithm, -1.0), x.tape.apply("Sigmoid", x.value))


def sigmoid(x: Expression) -> Expression:
    """Derivative of softplus."""
    y = x.tape.apply("Sigmoid", x.value)
    return x.chain(y, x.tape.apply("Mul", y, x.scaled(y, -1.0, 1.0)))


def exp(x: Expression) -> Expression:
    """Exponential."""
    y = x.tape.apply("Exp", x.value)
    return x.chain(y, y)


def sqrt(x: Expression) -> Expression:
    """Square root of positive numbers."""
    y = x.tape.apply("Sqrt", x.value)
    return x.chain(y, x.scaled(x.tape.apply("Reciprocal", y), 0.5))


def reciprocal(x: Expression) -> Expression:
    """One divided by x."""
    y = x.tape.apply("Reciprocal", x.value)
    return x.chain(y, x.scaled(x.tape.apply("Mul", y, y), -1.0))


def bilinear(tensor: FloatArray, u: Expression, v: Expression) -> Expression:
    """Σ_ij t_kij u_i v_j of a constant tensor (k, i, j), of which only what is not zero is written."""
    k, i, j = np.nonzero(tensor)
    terms = np.arange(len(k))
    left, right, sums = np.zeros((u.width, len(k))), np.zeros((v.width, len(k))), np.zeros((len(k), len(tensor)))
    left[i, terms], right[j, terms], sums[terms, k] = 1.0, 1.0, tensor[k, i, j]
    return ((u @ left) * (v @ right)) @ sums
