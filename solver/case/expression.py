"""Numbers that depend on the place: text such as `0.1 + 0.2*x/48`, read by a grammar and never run as code."""

import ast
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, reduce

import numpy as np

from materials.measures import FloatArray

AXES = ("x", "y", "z")
_LONGEST = 500
_OPERATORS: dict[type[ast.operator], Callable[[FloatArray, FloatArray], FloatArray]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
_SIGNS: dict[type[ast.unaryop], Callable[[FloatArray], FloatArray]] = {ast.UAdd: operator.pos, ast.USub: operator.neg}
_FUNCTIONS: dict[str, Callable[..., FloatArray]] = {
    **{name: getattr(np, name) for name in ("sqrt", "exp", "log", "sin", "cos", "tan", "tanh", "abs")},
    "min": lambda *values: reduce(np.minimum, values),
    "max": lambda *values: reduce(np.maximum, values),
}
_SEVERAL = ("min", "max")
GRAMMAR = f"numbers, {', '.join(AXES)}, pi, + - * / **, brackets and {', '.join(_FUNCTIONS)}"
"""What an expression may be made of, in words."""


@dataclass(frozen=True)
class Expression:
    """A number, or an expression in the coordinates of a point.

    Raises ValueError when the text is no such expression.
    """

    source: float | str

    def __post_init__(self) -> None:
        """Read it."""
        _check(self._tree)

    @property
    def axes(self) -> set[str]:
        """The coordinates that it depends on."""
        return {node.id for node in ast.walk(self._tree) if isinstance(node, ast.Name) and node.id in AXES}

    def __call__(self, coordinates: FloatArray) -> FloatArray:
        """Its value at `coordinates` (n, d), (n,); infinite or not a number where it has none."""
        names: dict[str, FloatArray] = {"pi": np.array(np.pi), **dict(zip(AXES, coordinates.T, strict=False))}
        with np.errstate(all="ignore"):
            value = _value(self._tree, names)
        return np.array(np.broadcast_to(value, len(coordinates)), dtype=np.float64)

    @cached_property
    def _tree(self) -> ast.expr:
        text = str(self.source).strip()
        if len(text) > _LONGEST:
            raise ValueError(f"has {len(text)} characters, {_LONGEST} at most are read")
        try:
            return ast.parse(text, mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise ValueError(f"'{text}' cannot be read, write {GRAMMAR}") from None


def _check(node: ast.expr) -> None:
    """Refuse whatever is outside the grammar."""
    match node:
        case ast.Constant(value=int() | float()) if not isinstance(node.value, bool):
            return
        case ast.Name(id=name) if name in (*AXES, "pi"):
            return
        case ast.UnaryOp(op=sign, operand=operand) if type(sign) in _SIGNS:
            _check(operand)
        case ast.BinOp(left=left, op=operation, right=right) if type(operation) in _OPERATORS:
            _check(left)
            _check(right)
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if (
            name in _FUNCTIONS and arguments and (name in _SEVERAL or len(arguments) == 1)
        ):
            for argument in arguments:
                _check(argument)
        case _:
            raise ValueError(f"'{ast.unparse(node)}' is not allowed, write {GRAMMAR}")


def _value(node: ast.expr, names: Mapping[str, FloatArray]) -> FloatArray:
    """Value of a checked tree."""
    match node:
        case ast.Name(id=name):
            return names[name]
        case ast.UnaryOp(op=sign, operand=operand):
            return _SIGNS[type(sign)](_value(operand, names))
        case ast.BinOp(left=left, op=operation, right=right):
            return _OPERATORS[type(operation)](_value(left, names), _value(right, names))
        case ast.Call(func=ast.Name(id=name), args=arguments):
            return _FUNCTIONS[name](*(_value(argument, names) for argument in arguments))
        case ast.Constant(value=int() | float() as number):
            return np.array(float(number))
    raise TypeError(ast.dump(node))
