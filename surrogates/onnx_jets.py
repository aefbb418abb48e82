"""Values with their derivatives, and the operators of ONNX graphs that calculate: each knows its own derivative.

The derivative of a value is that with respect to the m inputs of the same point (forward mode): one more axis, the
first one, beside the axes of the value. What does not depend on the input has none.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf, expit

from materials.measures import FloatArray

Attributes = Mapping[str, Any]
Pair = tuple[FloatArray, FloatArray]
"""A function and its derivative, element by element."""


class Jet(NamedTuple):
    """An array of a graph."""

    value: NDArray[Any]
    """(…)"""
    slope: FloatArray | None = None
    """Derivative, (m, …); None: a constant."""


def linear(function: Callable[[NDArray[Any]], NDArray[Any]], jet: Jet, result: NDArray[Any] | None = None) -> Jet:
    """A linear function of arrays (…) applied to value and derivative; `result`: of the value, where it is known."""
    value = function(jet.value) if result is None else result
    return Jet(value, None if jet.slope is None else np.stack([function(plane) for plane in jet.slope]))


def chain(pair: Pair, jet: Jet) -> Jet:
    """A function of one variable, given as its value and derivative at `jet`."""
    value, derivative = pair
    return Jet(value, None if jet.slope is None else derivative * jet.slope)


def combined(value: NDArray[Any], *terms: tuple[NDArray[Any], Jet]) -> Jet:
    """A function of several variables: its value, and of each variable the partial derivative and the jet."""
    slope: FloatArray | None = None
    for partial, jet in terms:
        if jet.slope is not None:
            aligned = jet.slope.reshape(len(jet.slope), *(1,) * (value.ndim - jet.value.ndim), *jet.value.shape)
            part = np.broadcast_to(partial * aligned, (len(jet.slope), *value.shape))
            slope = part if slope is None else slope + part
    return Jet(value, slope)


def add(a: Jet, b: Jet) -> Jet:
    """The sum a + b."""
    return combined(a.value + b.value, (np.ones(()), a), (np.ones(()), b))


def subtract(a: Jet, b: Jet) -> Jet:
    """The difference a − b."""
    return combined(a.value - b.value, (np.ones(()), a), (-np.ones(()), b))


def multiply(a: Jet, b: Jet) -> Jet:
    """The product a b, element by element."""
    return combined(a.value * b.value, (b.value, a), (a.value, b))


def divide(a: Jet, b: Jet) -> Jet:
    """The quotient a / b; integers are divided as integers."""
    if np.issubdtype(a.value.dtype, np.integer) and np.issubdtype(b.value.dtype, np.integer):
        return Jet(np.trunc(a.value / b.value).astype(a.value.dtype))
    value = a.value / b.value
    return combined(value, (1.0 / b.value, a), (-value / b.value, b))


def power(a: Jet, b: Jet) -> Jet:
    """The power of a to b.

    Raises:
        ValueError: the exponent depends on the input.
    """
    if b.slope is not None:
        raise ValueError("the exponent depends on the input")
    exponent = b.value.astype(float)
    lowered = np.where(exponent == 0.0, 1.0, exponent - 1.0)  # so that 0 to the power 0 is flat
    return combined(np.power(a.value, exponent), (exponent * np.power(a.value, lowered), a))


def larger(a: Jet, b: Jet) -> Jet:
    """The larger one; where they are equal, the derivative of a."""
    first = a.value >= b.value
    return combined(np.maximum(a.value, b.value), (first.astype(float), a), ((~first).astype(float), b))


def smaller(a: Jet, b: Jet) -> Jet:
    """The smaller one; where they are equal, the derivative of a."""
    first = a.value <= b.value
    return combined(np.minimum(a.value, b.value), (first.astype(float), a), ((~first).astype(float), b))


def product(a: Jet, b: Jet) -> Jet:
    """The matrix product, as `numpy.matmul`."""
    value = np.matmul(a.value, b.value)
    slope: FloatArray | None = None
    if a.slope is not None:
        slope = np.stack([np.matmul(plane, b.value) for plane in a.slope])
    if b.slope is not None:
        part = np.stack([np.matmul(a.value, plane) for plane in b.slope])
        slope = part if slope is None else slope + part
    return Jet(value, slope)


def affine(inputs: list[Jet], attributes: Attributes) -> Jet:
    """`Gemm`: α A B + β C, A and B transposed on demand."""
    a, b = (
        linear(np.transpose, jet) if attributes.get(key, 0) else jet
        for jet, key in zip(inputs[:2], ("transA", "transB"), strict=True)
    )
    y = multiply(product(a, b), Jet(np.array(float(attributes.get("alpha", 1.0)))))
    if len(inputs) < 3:
        return y
    return add(y, multiply(inputs[2], Jet(np.array(float(attributes.get("beta", 1.0))))))


def softmax(jet: Jet, axis: int) -> Jet:
    """The share exp x / Σ exp x along an axis."""
    shifted = np.exp(jet.value - jet.value.max(axis=axis, keepdims=True))
    y = shifted / shifted.sum(axis=axis, keepdims=True)
    return linear(lambda plane: y * (plane - np.sum(y * plane, axis=axis, keepdims=True)), jet, y)


def _tanh(x: FloatArray, _: Attributes) -> Pair:
    y = np.tanh(x)
    return y, 1.0 - y * y


def _sigmoid(x: FloatArray, _: Attributes) -> Pair:
    y = expit(x)
    return y, y * expit(-x)


def _softplus(x: FloatArray, _: Attributes) -> Pair:
    return np.logaddexp(x, 0.0), expit(x)


def _exp(x: FloatArray, _: Attributes) -> Pair:
    y = np.exp(x)
    return y, y


def _sqrt(x: FloatArray, _: Attributes) -> Pair:
    y = np.sqrt(x)
    return y, 0.5 / y


def _erf(x: FloatArray, _: Attributes) -> Pair:
    return erf(x), 2.0 / math.sqrt(math.pi) * np.exp(-x * x)


def _gelu(x: FloatArray, attributes: Attributes) -> Pair:
    if attributes.get("approximate", b"none") == b"tanh":
        c = math.sqrt(2.0 / math.pi)
        y = np.tanh(c * (x + 0.044715 * x**3))
        return 0.5 * x * (1.0 + y), 0.5 * (1.0 + y) + 0.5 * x * (1.0 - y * y) * c * (1.0 + 3 * 0.044715 * x * x)
    share = 0.5 * (1.0 + erf(x / math.sqrt(2.0)))
    return x * share, share + x * np.exp(-0.5 * x * x) / math.sqrt(2.0 * math.pi)


def _relu(x: FloatArray, _: Attributes) -> Pair:
    return np.maximum(x, 0.0), (x > 0.0).astype(float)


def _leaky(x: FloatArray, attributes: Attributes) -> Pair:
    slope = np.where(x < 0.0, attributes.get("alpha", 0.01), 1.0)
    return slope * x, slope


def _elu(x: FloatArray, attributes: Attributes) -> Pair:
    return _exponential(x, attributes.get("alpha", 1.0), 1.0, 1.0)


def _celu(x: FloatArray, attributes: Attributes) -> Pair:
    alpha = attributes.get("alpha", 1.0)
    return _exponential(x, alpha, 1.0, alpha)


def _selu(x: FloatArray, attributes: Attributes) -> Pair:
    scale = attributes.get("gamma", 1.0507009873554805)
    return _exponential(x, scale * attributes.get("alpha", 1.6732632423543772), scale, 1.0)


def _exponential(x: FloatArray, height: float, slope: float, length: float) -> Pair:
    """`slope` x where it is positive, otherwise `height` (exp(x / `length`) − 1)."""
    below = np.minimum(x, 0.0) / length
    return (
        np.where(x > 0.0, slope * x, height * np.expm1(below)),
        np.where(x > 0.0, slope, height / length * np.exp(below)),
    )


def _softsign(x: FloatArray, _: Attributes) -> Pair:
    share = 1.0 / (1.0 + np.abs(x))
    return x * share, share * share


FUNCTIONS: Mapping[str, Callable[[FloatArray, Attributes], Pair]] = {
    "Abs": lambda x, _: (np.abs(x), np.sign(x)),
    "Celu": _celu,
    "Cos": lambda x, _: (np.cos(x), -np.sin(x)),
    "Elu": _elu,
    "Erf": _erf,
    "Exp": _exp,
    "Gelu": _gelu,
    "LeakyRelu": _leaky,
    "Log": lambda x, _: (np.log(x), np.reciprocal(x)),
    "Neg": lambda x, _: (-x, -np.ones_like(x)),
    "Reciprocal": lambda x, _: (np.reciprocal(x), -np.reciprocal(x * x)),
    "Relu": _relu,
    "Selu": _selu,
    "Sigmoid": _sigmoid,
    "Sin": lambda x, _: (np.sin(x), np.cos(x)),
    "Softplus": _softplus,
    "Softsign": _softsign,
    "Sqrt": _sqrt,
    "Tanh": _tanh,
}
"""Functions of one variable, element by element."""

KINKED = frozenset({"Abs", "Clip", "LeakyRelu", "Max", "Min", "Relu", "Selu"})
"""Operators whose derivative jumps."""
