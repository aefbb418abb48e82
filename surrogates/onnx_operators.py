"""The operators of ONNX graphs that are known, by name; those that arrange arrays are written here.

Where versions of ONNX differ in whether a parameter is an attribute or an input, both are read.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from surrogates import onnx_jets as jets
from surrogates.onnx_jets import FUNCTIONS, Jet


class Node(NamedTuple):
    """One operation of a graph."""

    operator: str
    inputs: tuple[str, ...]
    """Names of arrays; empty: left out."""
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]


Inputs = Sequence[Jet | None]
Operator = Callable[[Node, Inputs], Jet | list[Jet]]


def apply(node: Node, inputs: Inputs) -> list[Jet]:
    """What a node makes of its inputs.

    Raises:
        ValueError: shapes do not fit, an input is missing, or a parameter of the node depends on the input of the
            graph.
    """
    answer = OPERATORS[node.operator](node, inputs)
    return [answer] if isinstance(answer, Jet) else answer


def _needed(inputs: Inputs) -> list[Jet]:
    """The inputs, all of which must be there."""
    present = [jet for jet in inputs if jet is not None]
    if len(present) != len(inputs) or not present:
        raise ValueError("an input is missing")
    return present


def _parameter(node: Node, inputs: Inputs, position: int, name: str) -> NDArray[Any] | None:
    """A parameter that is an input in some versions and an attribute in others; None where it is left out."""
    given = inputs[position] if position < len(inputs) else None
    if given is None:
        return np.asarray(node.attributes[name]) if name in node.attributes else None
    if given.slope is not None:
        raise ValueError(f"its {name} depends on the input of the graph")
    return given.value


def _integers(values: NDArray[Any]) -> tuple[int, ...]:
    return tuple(int(value) for value in np.ravel(values))


def _function(node: Node, inputs: Inputs) -> Jet:
    (jet,) = _needed(inputs)
    return jets.chain(FUNCTIONS[node.operator](jet.value, node.attributes), jet)


def _folded(function: Callable[[Jet, Jet], Jet]) -> Operator:
    """An operator of two inputs, or of any number of them, one after the other."""
    return lambda _, inputs: functools.reduce(function, _needed(inputs))


def _clip(node: Node, inputs: Inputs) -> Jet:
    (jet,) = _needed(inputs[:1])
    for position, name, function in ((1, "min", jets.larger), (2, "max", jets.smaller)):
        bound = _parameter(node, inputs, position, name)
        jet = jet if bound is None else function(jet, Jet(bound))
    return jet


def _softmax(node: Node, inputs: Inputs) -> Jet:
    (jet,) = _needed(inputs)
    return jets.softmax(jet, node.attributes.get("axis", -1))


def _constant(node: Node, _: Inputs) -> Jet:
    return Jet(np.asarray(next(iter(node.attributes.values()))))


def _shape(_: Node, inputs: Inputs) -> Jet:
    (jet,) = _needed(inputs)
    return Jet(np.array(jet.value.shape, dtype=np.int64))


def _cast(node: Node, inputs: Inputs) -> Jet:
    (jet,) = _needed(inputs)
    if node.attributes["to"] in (1, 10, 11, 16):  # float32, float16, float64, bfloat16: one precision here
        return Jet(jet.value.astype(np.float64), jet.slope)
    if node.attributes["to"] in (6, 7) and jet.slope is None:
        return Jet(jet.value.astype(np.int64))
    raise ValueError("only casts between floating-point types can be differentiated")


def _reshape(node: Node, inputs: Inputs) -> Jet:
    (jet,) = _needed(inputs[:1])
    wanted = _parameter(node, inputs, 1, "shape")
    if wanted is None:
        raise ValueError("an input is missing")
    keep = not node.attributes.get("allowzero", 0)
    shape = [jet.value.shape[i] if size == 0 and keep else size for i, size in enumerate(_integers(wanted))]
    return jets.linear(lambda a: a.reshape(shape), jet)


def _flatten(node: Node, inputs: Inputs) -> Jet:
    (jet,) = _needed(inputs)
    axis = node.attributes.get("axis", 1)
    return jets.linear(lambda a: a.reshape(int(np.prod(a.shape[:axis])), -1), jet)


def _transpose(node: Node, inputs: Inputs) -> Jet:
    (jet,) = _needed(inputs)
    return jets.linear(lambda a: np.transpose(a, node.attributes.get("perm")), jet)


def _squeeze(node: Node, inputs: Inputs) -> Jet:
    (jet,) = _needed(inputs[:1])
    axes = _parameter(node, inputs, 1, "axes")
    return jets.linear(lambda a: np.squeeze(a, None if axes is None else _integers(axes)), jet)


def _unsqueeze(node: Node, inputs: Inputs) -> Jet:
    (jet,) = _needed(inputs[:1])
    axes = _parameter(node, inputs, 1, "axes")
    if axes is None:
        raise ValueError("an input is missing")
    return jets.linear(lambda a: np.expand_dims(a, _integers(axes)), jet)


def _expand(_: Node, inputs: Inputs) -> Jet:
    jet, shape = _needed(inputs)
    target = np.broadcast_shapes(jet.value.shape, _integers(shape.value))
    return jets.linear(lambda a: np.broadcast_to(a, target), jet)


def _concat(node: Node, inputs: Inputs) -> Jet:
    parts = _needed(inputs)
    axis: int = node.attributes["axis"]
    value = np.concatenate([part.value for part in parts], axis)
    counts = {len(part.slope) for part in parts if part.slope is not None}
    if not counts:
        return Jet(value)
    (m,) = counts
    slopes = [np.zeros((m, *part.value.shape)) if part.slope is None else part.slope for part in parts]
    return Jet(value, np.concatenate(slopes, axis if axis < 0 else axis + 1))


def _split(node: Node, inputs: Inputs) -> list[Jet]:
    (jet,) = _needed(inputs[:1])
    axis: int = node.attributes.get("axis", 0)
    sizes = _parameter(node, inputs, 1, "split")
    length, count = jet.value.shape[axis], len(node.outputs)
    widths = [min(-(-length // count), length)] * count if sizes is None else list(_integers(sizes))
    ends = np.cumsum(widths)
    return [_between(jet, axis, int(end) - width, int(end)) for width, end in zip(widths, ends, strict=True)]


def _between(jet: Jet, axis: int, start: int, end: int) -> Jet:
    return jets.linear(lambda a: np.take(a, np.arange(start, end), axis), jet)


def _gather(node: Node, inputs: Inputs) -> Jet:
    jet, indices = _needed(inputs)
    return jets.linear(lambda a: np.take(a, indices.value.astype(np.int64), node.attributes.get("axis", 0)), jet)


def _slice(node: Node, inputs: Inputs) -> Jet:
    (jet,) = _needed(inputs[:1])
    starts, ends, axes, steps = (
        _parameter(node, inputs, k, name) for k, name in enumerate(("starts", "ends", "axes", "steps"), start=1)
    )
    if starts is None or ends is None:
        raise ValueError("an input is missing")
    count = np.size(starts)
    where = range(count) if axes is None else _integers(axes)
    widths = [1] * count if steps is None else _integers(steps)
    cut = [slice(None)] * jet.value.ndim
    for axis, start, end, step in zip(where, _integers(starts), _integers(ends), widths, strict=True):
        # an end before the first element, of a slice that runs backwards
        cut[axis] = slice(start, None if step < 0 and end < -jet.value.shape[axis] else end, step)
    return jets.linear(lambda a: a[tuple(cut)], jet)


def _reduced(function: Callable[..., NDArray[Any]]) -> Operator:
    """Sum or mean along axes."""

    def reduce(node: Node, inputs: Inputs) -> Jet:
        (jet,) = _needed(inputs[:1])
        axes = _parameter(node, inputs, 1, "axes")
        if axes is None and node.attributes.get("noop_with_empty_axes", 0):
            return jet
        along = None if axes is None else _integers(axes)
        return jets.linear(lambda a: function(a, axis=along, keepdims=bool(node.attributes.get("keepdims", 1))), jet)

    return reduce


OPERATORS: Mapping[str, Operator] = {
    **dict.fromkeys(FUNCTIONS, _function),
    "Add": _folded(jets.add),
    "Cast": _cast,
    "Clip": _clip,
    "Concat": _concat,
    "Constant": _constant,
    "Div": _folded(jets.divide),
    "Dropout": lambda _, inputs: _needed(inputs[:1])[0],
    "Expand": _expand,
    "Flatten": _flatten,
    "Gather": _gather,
    "Gemm": lambda node, inputs: jets.affine(_needed(inputs), node.attributes),
    "Identity": lambda _, inputs: _needed(inputs)[0],
    "MatMul": _folded(jets.product),
    "Max": _folded(jets.larger),
    "Min": _folded(jets.smaller),
    "Mul": _folded(jets.multiply),
    "Pow": _folded(jets.power),
    "ReduceMean": _reduced(np.mean),
    "ReduceSum": _reduced(np.sum),
    "Reshape": _reshape,
    "Shape": _shape,
    "Slice": _slice,
    "Softmax": _softmax,
    "Split": _split,
    "Squeeze": _squeeze,
    "Sub": _folded(jets.subtract),
    "Sum": _folded(jets.add),
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
"""Every operator that can be evaluated and differentiated."""
