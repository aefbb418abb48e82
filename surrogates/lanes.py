"""Eight numbers at a time: a vector type for compiled kernels, so that they vectorise by construction.

A `Lanes` value holds the same quantity at `LANES` points and lives in one or a few vector registers. Loops over plain
arrays would leave it to the compiler to prove that arrays do not overlap, and to keep sums in registers; both fail
for networks, whose inner loops are short. Every lane goes through the same operations, so that the answer at a point
does not depend, to the last bit, on its neighbours in a block.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

from materials.compilation import jit

LANES = 8
"""Points in a block."""

_DOUBLE = ir.DoubleType()
_VECTOR = ir.VectorType(_DOUBLE, LANES)
_INTEGERS = ir.VectorType(ir.IntType(64), LANES)


class LanesType(types.Type):
    """The type of a vector within compiled functions."""

    def __init__(self) -> None:
        super().__init__(name=f"Lanes{LANES}")


@register_model(LanesType)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _VECTOR)


_lanes = LanesType()


def _constant(value: float) -> Any:
    return ir.Constant(_VECTOR, [value] * LANES)


def _splat(builder: Any, value: Any) -> Any:
    first = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), value, ir.Constant(ir.IntType(32), 0))
    mask = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    return builder.shuffle_vector(first, ir.Constant(_VECTOR, ir.Undefined), mask)


def _fma(builder: Any, a: Any, b: Any, c: Any) -> Any:
    name = f"llvm.fma.v{LANES}f64"
    function = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(_VECTOR, [_VECTOR, _VECTOR, _VECTOR]), name
    )
    return builder.call(function, [a, b, c])


def _pointer(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    """Address of an element of a contiguous one-dimensional array; not checked against its length."""
    return builder.gep(context.make_array(kind)(context, builder, array).data, [index])


def _load(builder: Any, pointer: Any) -> Any:
    return builder.load(builder.bitcast(pointer, _VECTOR.as_pointer()), align=8)


def _store(builder: Any, pointer: Any, value: Any) -> None:
    builder.store(value, builder.bitcast(pointer, _VECTOR.as_pointer()), align=8)


@intrinsic
def splat(_typing: Any, value: Any) -> Any:
    """The same number in all lanes."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _splat(builder, context.cast(builder, arguments[0], signature.args[0], types.float64))

    return _lanes(value), generate


@intrinsic
def load(_typing: Any, array: Any, _index: Any) -> Any:
    """`array[index : index + LANES]` of a flat array."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _load(builder, _pointer(context, builder, signature.args[0], *arguments))

    return _lanes(array, types.intp), generate


@intrinsic
def store(_typing: Any, array: Any, _index: Any, value: Any) -> Any:
    """Write a vector to `array[index : index + LANES]`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _store(builder, _pointer(context, builder, signature.args[0], *arguments[:2]), arguments[2])
        return context.get_dummy_value()

    return types.void(array, types.intp, value), generate


def _binary(operation: str) -> Any:
    """An intrinsic of two vectors."""

    def declare(_typing: Any, a: Any, b: Any) -> Any:
        def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            return getattr(builder, operation)(*arguments)

        return _lanes(a, b), generate

    return intrinsic(declare)


add = _binary("fadd")
subtract = _binary("fsub")
multiply = _binary("fmul")
divide = _binary("fdiv")


@intrinsic
def fma(_typing: Any, a: Any, b: Any, c: Any) -> Any:
    """A b + c, rounded once."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return _fma(builder, *arguments)

    return _lanes(a, b, c), generate


@intrinsic
def square_root(_typing: Any, x: Any) -> Any:
    """√x, NaN where x is negative."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        kind = ir.FunctionType(_VECTOR, [_VECTOR])
        function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.sqrt.v{LANES}f64")
        return builder.call(function, arguments)

    return _lanes(x), generate


@intrinsic
def where_positive(_typing: Any, x: Any, a: Any, b: Any) -> Any:
    """`a` in the lanes where x > 0, otherwise `b`, also where x is NaN."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        positive = builder.fcmp_ordered(">", arguments[0], _constant(0.0))
        return builder.select(positive, arguments[1], arguments[2])

    return _lanes(x, a, b), generate


@intrinsic
def power_of_two(_typing: Any, shifted: Any) -> Any:
    """2^n for integers n that were added to 1.5·2^52, −1022 ≤ n ≤ 1023."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        bits = builder.bitcast(arguments[0], _INTEGERS)
        exponent = builder.add(bits, ir.Constant(_INTEGERS, [1023] * LANES))
        return builder.bitcast(builder.shl(exponent, ir.Constant(_INTEGERS, [52] * LANES)), _VECTOR)

    return _lanes(shifted), generate


def _product(rows: int, columns: int) -> Any:
    """An intrinsic for out[r, c] = Σ_j weights[j, r] x[j, c] with r < rows, c < columns; x, out hold vectors.

    The sums stay in registers. Element (j, r) of the weights is at `weight + rows·j + r`, vector (j, c) of x at
    `x + x_stride·j + LANES·c`, and that of out at `out + out_stride·r + LANES·c`.
    """

    def declare(
        _typing: Any, w: Any, _w0: Any, x: Any, _x0: Any, _xs: Any, _n: Any, out: Any, _o0: Any, _s: Any
    ) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            weights, weight, inputs, start, stride, terms, outputs, target, target_stride = arguments
            sums = [[cgutils.alloca_once_value(builder, _constant(0.0)) for _ in range(columns)] for _ in range(rows)]
            first_weight = _pointer(context, builder, signature.args[0], weights, weight)
            first_input = _pointer(context, builder, signature.args[2], inputs, start)
            size = terms.type
            with cgutils.for_range(builder, terms) as loop:
                row = builder.gep(first_weight, [builder.mul(loop.index, ir.Constant(size, rows))])
                vectors = builder.gep(first_input, [builder.mul(loop.index, stride)])
                xs = [_load(builder, builder.gep(vectors, [ir.Constant(size, LANES * c)])) for c in range(columns)]
                for r in range(rows):
                    factor = _splat(builder, builder.load(builder.gep(row, [ir.Constant(size, r)])))
                    for c in range(columns):
                        builder.store(_fma(builder, factor, xs[c], builder.load(sums[r][c])), sums[r][c])
            first_output = _pointer(context, builder, signature.args[6], outputs, target)
            for r in range(rows):
                line = builder.gep(first_output, [builder.mul(target_stride, ir.Constant(size, r))])
                for c in range(columns):
                    address = builder.gep(line, [ir.Constant(size, LANES * c)])
                    _store(builder, address, builder.load(sums[r][c]))
            return context.get_dummy_value()

        i = types.intp
        return types.void(w, i, x, i, i, i, out, i, i), generate

    return intrinsic(declare)


def _weighted_gram(rows: int, columns: int, triangle: bool) -> Any:
    """An intrinsic for out[r, c] += Σ_k q[k] x[k, r] y[k, c], all of them vectors; only c ≥ r if `triangle`.

    Vector (k, r) of x is at `x + stride·k + LANES·r`, (k, c) of y alike, q[k] at `q + LANES·k`, and out (r, c) at
    `out + out_stride·r + LANES·c`.
    """

    def declare(
        _typing: Any, q: Any, _q0: Any, x: Any, _x0: Any, _y0: Any, _xs: Any, _n: Any, out: Any, _o: Any, _s: Any
    ) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            factors, factor, inputs, start_x, start_y, stride, terms, outputs, target, target_stride = arguments
            pairs = [(r, c) for r in range(rows) for c in range(columns) if c >= r or not triangle]
            size = terms.type
            first_output = _pointer(context, builder, signature.args[7], outputs, target)
            addresses = {
                (r, c): builder.gep(
                    first_output,
                    [builder.add(builder.mul(target_stride, ir.Constant(size, r)), ir.Constant(size, LANES * c))],
                )
                for r, c in pairs
            }
            sums = {pair: cgutils.alloca_once_value(builder, _load(builder, addresses[pair])) for pair in pairs}
            first_q = _pointer(context, builder, signature.args[0], factors, factor)
            first_x = _pointer(context, builder, signature.args[2], inputs, start_x)
            first_y = _pointer(context, builder, signature.args[2], inputs, start_y)
            with cgutils.for_range(builder, terms) as loop:
                offset = builder.mul(loop.index, stride)
                weight = _load(builder, builder.gep(first_q, [builder.mul(loop.index, ir.Constant(size, LANES))]))
                line_x, line_y = builder.gep(first_x, [offset]), builder.gep(first_y, [offset])
                ys = [_load(builder, builder.gep(line_y, [ir.Constant(size, LANES * c)])) for c in range(columns)]
                for r in range(rows):
                    x_r = ys[r] if triangle else _load(builder, builder.gep(line_x, [ir.Constant(size, LANES * r)]))
                    weighted = builder.fmul(weight, x_r)
                    for c in range(r if triangle else 0, columns):
                        builder.store(_fma(builder, weighted, ys[c], builder.load(sums[r, c])), sums[r, c])
            for pair, address in addresses.items():
                _store(builder, address, builder.load(sums[pair]))
            return context.get_dummy_value()

        i = types.intp
        return types.void(q, i, x, i, i, i, i, out, i, i), generate

    return intrinsic(declare)


ROWS = 4
"""Rows of weights that a tile takes at a time; their number is padded to a multiple of it."""

_product_1, _product_2, _product_3, _product_4 = (_product(ROWS, columns) for columns in (1, 2, 3, 4))
_triangle_1, _triangle_2, _triangle_3, _triangle_4 = (_weighted_gram(n, n, True) for n in (1, 2, 3, 4))
_gram_1, _gram_2, _gram_3, _gram_4 = (_weighted_gram(4, n, False) for n in (1, 2, 3, 4))


@jit
def product(weights, weight, rows, x, start, terms, columns, out, target):  # type: ignore[no-untyped-def]
    """Out = weights · x: (rows, columns) vectors from numbers (rows, terms) and vectors (terms, columns).

    `rows` is a multiple of ROWS; the weights lie in panels of ROWS rows, within a panel column by column. Vectors
    are contiguous, from `start` in `x` and from `target` in `out`.
    """
    stride = columns * LANES
    for row in range(0, rows, ROWS):
        panel = weight + row * terms
        to = target + row * stride
        column = 0
        while columns - column >= 4:
            _product_4(weights, panel, x, start + column * LANES, stride, terms, out, to + column * LANES, stride)
            column += 4
        rest = columns - column
        if rest == 3:
            _product_3(weights, panel, x, start + column * LANES, stride, terms, out, to + column * LANES, stride)
        elif rest == 2:
            _product_2(weights, panel, x, start + column * LANES, stride, terms, out, to + column * LANES, stride)
        elif rest == 1:
            _product_1(weights, panel, x, start + column * LANES, stride, terms, out, to + column * LANES, stride)


@jit
def add_weighted_gram(q, factor, x, start, stride, terms, columns, out, target):  # type: ignore[no-untyped-def]
    """out[c, d] += Σ_k q[k] x[k, c] x[k, d] for d ≥ c < columns; `stride` between rows of x, out is square."""
    line = columns * LANES
    for row in range(0, columns, 4):
        here = start + row * LANES
        to = target + row * line + row * LANES
        rest = min(columns - row, 4)
        if rest == 4:
            _triangle_4(q, factor, x, here, here, stride, terms, out, to, line)
        elif rest == 3:
            _triangle_3(q, factor, x, here, here, stride, terms, out, to, line)
        elif rest == 2:
            _triangle_2(q, factor, x, here, here, stride, terms, out, to, line)
        else:
            _triangle_1(q, factor, x, here, here, stride, terms, out, to, line)
        for column in range(row + 4, columns, 4):
            there = start + column * LANES
            to = target + row * line + column * LANES
            rest = min(columns - column, 4)
            if rest == 4:
                _gram_4(q, factor, x, here, there, stride, terms, out, to, line)
            elif rest == 3:
                _gram_3(q, factor, x, here, there, stride, terms, out, to, line)
            elif rest == 2:
                _gram_2(q, factor, x, here, there, stride, terms, out, to, line)
            else:
                _gram_1(q, factor, x, here, there, stride, terms, out, to, line)


@jit
def softplus(x):  # type: ignore[no-untyped-def]
    """Softplus ln(1 + eˣ) with its first two derivatives, each to 2 ulp for |x| ≤ 700.

    With e = exp(−|x|): softplus = max(x, 0) + ln(1 + e), its slope 1/(1 + e) or e/(1 + e), its curvature e/(1 + e)².
    The exponential is reduced by n ln 2 (Cody and Waite 1980), the logarithm is
    2 artanh(s), s = e/(2 + e), as in fdlibm: e − (h − s (h + R)) with h = e²/2. The polynomials interpolate at
    Chebyshev nodes. Beyond |x| = 708, e stays at 3e-308.
    """
    minus = where_positive(x, subtract(splat(0.0), x), x)  # −|x|
    minus = where_positive(subtract(splat(-708.0), minus), splat(-708.0), minus)
    shifted = fma(minus, splat(1.4426950408889634), splat(6755399441055744.0))
    n = subtract(shifted, splat(6755399441055744.0))
    r = fma(n, splat(-6.93147180369123816490e-01), minus)
    r = fma(n, splat(-1.90821492927058770002e-10), r)
    p = fma(r, splat(2.0910590610446716e-09), splat(2.5105162202848477e-08))
    p = fma(r, p, splat(2.755728645770643e-07))
    p = fma(r, p, splat(2.755725556193807e-06))
    p = fma(r, p, splat(2.4801587311841523e-05))
    p = fma(r, p, splat(1.984126987465583e-04))
    p = fma(r, p, splat(0.0013888888888889475))
    p = fma(r, p, splat(0.008333333333326202))
    p = fma(r, p, splat(0.041666666666666664))
    p = fma(r, p, splat(0.1666666666666667))
    p = fma(r, p, splat(0.5))
    p = fma(multiply(r, r), p, r)
    scale = power_of_two(shifted)
    mantissa = add(splat(1.0), p)
    e = multiply(mantissa, scale)
    e_rest = multiply(subtract(p, subtract(mantissa, splat(1.0))), scale)

    # 1/(1 + e) = inverse + rest, with what was lost in 1 + e and in the division.
    denominator = add(splat(1.0), e)
    lost = add(subtract(e, subtract(denominator, splat(1.0))), e_rest)
    inverse = divide(splat(1.0), denominator)
    negative = subtract(splat(0.0), inverse)
    rest = multiply(inverse, fma(negative, lost, fma(negative, denominator, splat(1.0))))
    falling = multiply(e, inverse)
    falling_rest = fma(e, inverse, subtract(splat(0.0), falling))
    falling_rest = fma(e_rest, inverse, fma(e, rest, falling_rest))
    slope = where_positive(x, add(inverse, rest), add(falling, falling_rest))
    curvature = fma(falling, inverse, fma(falling, rest, multiply(falling_rest, inverse)))

    s = divide(e, add(splat(2.0), e))
    z = multiply(s, s)
    q = fma(z, splat(0.16195493416101503), splat(0.08783450379059922))
    q = fma(z, q, splat(0.12005109961889493))
    q = fma(z, q, splat(0.13313622525587449))
    q = fma(z, q, splat(0.15385610781335501))
    q = fma(z, q, splat(0.18181787470950725))
    q = fma(z, q, splat(0.22222222775013323))
    q = fma(z, q, splat(0.2857142856615094))
    q = fma(z, q, splat(0.4000000000002226))
    q = fma(z, q, splat(0.6666666666666664))
    half_square = multiply(multiply(splat(0.5), e), e)
    subtracted = fma(subtract(splat(0.0), s), fma(z, q, half_square), half_square)
    subtracted = fma(subtract(splat(0.0), e_rest), inverse, subtracted)
    logarithm = subtract(e, subtracted)
    lost = subtract(subtract(e, logarithm), subtracted)
    return add(logarithm, add(where_positive(x, x, splat(0.0)), lost)), slope, curvature
