"""A trained surrogate as an ONNX graph, for other programs: gradient → flux and consistent tangent.

Names, axes and signs are those of `fe2 homogenize`: full tensors in plain components, the points first; for heat the
flux is q = −k∇T and the tangent k. Everything is float64. Before it is given away, the graph is held to the network.
"""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from materials.measures import FloatArray, Measure, Physics
from surrogates import kernel_regression
from surrogates.ensemble import Ensemble
from surrogates.families.ann import DirectNetwork
from surrogates.families.energy import EnergyNetwork
from surrogates.families.gp import GaussianProcess
from surrogates.family import Family, ModelError
from surrogates.green_strain import strain_matrices
from surrogates.onnx_declaration import Declaration, unpacking
from surrogates.onnx_expressions import Expression, Tape, bilinear, exp, reciprocal, sigmoid, softplus, sqrt, tanh
from surrogates.onnx_graph import parse_graph
from surrogates.onnx_network import foreign_network
from surrogates.polynomials import PolynomialTable
from surrogates.store import Model

TANGENT = "tangent"
"""Name of the output with the derivative d flux / d gradient."""

_Powers = tuple[int, ...]
"""Exponents of the variables in a monomial."""


def onnx_bytes(model: Model) -> bytes:
    """The content of an ONNX file.

    Raises:
        ModelError: onnx is not installed, or the family cannot be written as a graph.
    """
    try:
        tape = Tape()
    except ModuleNotFoundError:
        raise ModelError("ONNX files need onnx, which is not installed: pip install 'fe2[surrogates]'") from None
    measure = model.measure
    gradient = tape.gradient(measure.gradient_name, _packing(measure))
    if measure.physics is Physics.FINITE_STRAIN:
        matrices = strain_matrices(measure.dimension)
        at_rest = np.einsum("x,axy,y->a", measure.rest, matrices, measure.rest)
        strain = (bilinear(matrices, gradient, gradient) - at_rest) * 0.5
        flux = bilinear(np.moveaxis(matrices, 0, 1), _response(model.family, strain), gradient)  # P_x = S_a T_axy F_y
    else:
        flux = _response(model.family, gradient)
    unpack = unpacking(measure, "tensor", 1.0)  # (k, g)
    sign = -1.0 if measure.physics is Physics.HEAT else 1.0
    values = (flux @ (sign * unpack.T)).value
    tangent = tape.apply("MatMul", tape.apply("MatMul", tape.constant(unpack), flux.slope), tape.constant(unpack.T))
    axes = (measure.dimension,) * len(measure.index_pairs[0])
    content = tape.write(
        model.family.name,
        f"Surrogate of family {model.family.name} for {measure.physics}, written by fe2. First axis: points.",
        (measure.gradient_name, axes),
        {
            measure.flux_name: (values, axes),
            TANGENT: (tape.apply("Transpose", tangent, perm=[0, 2, 1]), (*axes, *axes)),
        },
    )
    _check(model, content)
    return content


def _check(model: Model, content: bytes) -> None:
    """The graph and the network agree near rest, in flux and tangent.

    Raises:
        ModelError: they do not.
    """
    measure = model.measure
    written = foreign_network(measure, parse_graph(content), Declaration(tangent=TANGENT))
    size = 0.5 * min(float(np.abs([model.lower, model.upper]).max()), 0.5)
    states = measure.rest + size * np.random.default_rng(0).uniform(-1.0, 1.0, (32, measure.size))
    for found, wanted in zip(written.evaluate(states), model.family.evaluate(states), strict=True):
        if not np.abs(found - wanted).max() <= 1e-9 * np.abs(wanted).max():
            raise ModelError(
                f"this network of family {model.family.name} has a form that is not written in this version"
            )


def _packing(measure: Measure) -> FloatArray:
    """Matrix (g, k) from the components of the gradient, all of them, to a packed vector."""
    return np.asarray(np.linalg.pinv(unpacking(measure, "tensor", 1.0)))


def _response(family: Family, strain: Expression) -> Expression:
    """The stress that is conjugate to what the network sees, of `strain` (m)."""
    if isinstance(family, Ensemble):
        first, *others = (_response(member, strain) for member in family.members)
        return sum(others, first) * (1.0 / len(family.members))
    for kind, write in _WRITERS.items():
        if isinstance(family, kind):
            return write(family, strain)
    raise ModelError(f"family {family.name} cannot be written as an ONNX graph in this version")


def _direct(family: DirectNetwork, strain: Expression) -> Expression:
    values, last = family.values, len(family.hidden)
    x = z = strain * (1.0 / values["strain_scale"])
    at_rest: FloatArray = np.zeros(x.width)
    for k in range(last):
        weight, bias = values[f"weight_{k}"], values[f"bias_{k}"]
        z, at_rest = tanh(z @ weight.T + bias), np.tanh(weight @ at_rest + bias)
    y = (z - at_rest) @ values[f"weight_{last}"].T + x @ values["skip"].T
    return y * float(values["stress_scale"][0])


def _process(family: GaussianProcess, strain: Expression) -> Expression:
    values = family.values
    x = strain * (1.0 / values["strain_scale"])
    packed = kernel_regression.kernel_sum(
        family.kernel, values["length"], values["slope"], values["centres"], values["weights"]
    )
    square: Expression | None = None
    for d, scale in enumerate(packed.length):
        column = x @ np.eye(x.width)[:, d : d + 1]
        difference = (column - packed.centres[:, d]) * (1.0 / scale)
        part = difference * difference
        square = part if square is None else square + part
    assert square is not None
    y = _matern(square) if packed.matern else exp(square * -0.5)
    return (y @ packed.weights + x @ packed.slope.T - packed.offset) * float(values["stress_scale"][0])


def _matern(square: Expression) -> Expression:
    """The Matérn 5/2 kernel of r²; its derivative is written as smooth as it is, without a division by r."""
    tape = square.tape
    r = square.scaled(tape.apply("Sqrt", square.value), np.sqrt(5.0))
    decay = tape.apply("Exp", square.scaled(r, -1.0))
    linear = square.scaled(r, 1.0, 1.0)
    quadratic = square.scaled(square.value, 5.0 / 3.0)
    value = tape.apply("Mul", tape.apply("Add", linear, quadratic), decay)
    return square.chain(value, square.scaled(tape.apply("Mul", linear, decay), -5.0 / 6.0))


def _energetic(family: EnergyNetwork, strain: Expression) -> Expression:
    """∂W/∂E: the gradient of the network by its reverse pass, times the derivatives of the invariants."""
    if family.sees_volume:
        raise ModelError("a polyconvex network for finite strain cannot be written as an ONNX graph in this version")
    values = family.values
    rotation = family.invariants.rotation
    local = strain if rotation is None else strain @ rotation.T
    polynomials = family.scaled_invariants()
    invariants, first = _polynomials(polynomials, local)
    m, v = family.invariants.count, strain.width
    layers = range(len(family.hidden))
    multipliers = family.weights()
    weights, biases = [multipliers[f"weight_{k}"] for k in layers], [values[f"bias_{k}"] for k in layers]
    last = multipliers["weight_out"] * values["energy_scale"]
    x = invariants @ np.eye(polynomials.count)[:, :m]
    inner = []
    for weight, bias in zip(weights, biases, strict=True):
        inner.append(x @ weight.T + bias)
        x = softplus(inner[-1])
    slope = sigmoid(inner[-1]) * last
    for k in reversed(layers):
        slope = slope @ weights[k]
        if k:
            slope = slope * sigmoid(inner[k - 1])
    if polynomials.count > m:
        growth = _growth(invariants @ np.eye(polynomials.count)[:, m:], float(values["growth"][0]))
        slope = slope @ np.eye(m, m + 1) + growth @ np.eye(m + 1)[m:]
    sums = np.zeros((v, polynomials.count, polynomials.count * v))
    for k in range(polynomials.count):
        for w in range(v):
            sums[w, k, k * v + w] = 1.0
    stress = bilinear(sums, slope, first)
    stress = stress - _at_rest(weights, biases, last, polynomials, m)
    if rotation is not None:
        stress = stress @ rotation
    return stress + strain @ values["stiffness"]


def _at_rest(
    weights: list[FloatArray], biases: list[FloatArray], last: FloatArray, polynomials: PolynomialTable, count: int
) -> FloatArray:
    """What the first `count` invariants and the network give for no strain, (v,)."""
    x, first, _ = polynomials.evaluate(np.zeros((1, polynomials.size)))
    x, through = x[0, :count], np.eye(count)
    for weight, bias in zip(weights, biases, strict=True):
        y = weight @ x + bias
        x, through = np.logaddexp(y, 0.0), (weight @ through) / (1.0 + np.exp(-y))[:, np.newaxis]
    return np.asarray(last @ through @ first[0, :count])


def _growth(difference: Expression, factor: float) -> Expression:
    """Derivative of γ (J + 1/J − 2)² with respect to `difference`, det C − 1."""
    j = sqrt(difference + 1.0)
    inverse = reciprocal(j)
    h = (j - 1.0) * (j - 1.0) * inverse
    return h * (inverse - inverse * inverse * inverse) * factor


def _polynomials(polynomials: PolynomialTable, x: Expression) -> tuple[Expression, Expression]:
    """Values (p) and first derivatives (p · v, polynomial after polynomial) of polynomials of `x` (v)."""
    v, p = polynomials.size, polynomials.count
    size = p * (1 + v)
    terms: dict[_Powers, FloatArray] = {}  # monomial → its coefficients in values and derivatives
    for t, c in enumerate(polynomials.coefficients):
        powers = np.zeros(v, dtype=np.int64)
        np.add.at(powers, polynomials.variables[t], polynomials.exponents[t])
        owner = int(polynomials.owners[t])
        _term(terms, powers, size)[owner] += c
        for w in np.flatnonzero(powers):
            _term(terms, powers - (np.arange(v) == w), size)[p + owner * v + w] += c * powers[w]
    known: list[_Powers] = [tuple(int(i == j) for j in range(v)) for i in range(v)]
    stage, result = x, x @ _columns(terms, known, size) + terms.get((0,) * v, np.zeros(size))
    for degree in range(2, 1 + max(sum(powers) for powers in terms)):
        wanted = _parts(terms, degree)
        up, factor = np.zeros((len(known), len(wanted))), np.zeros((v, len(wanted)))
        for column, monomial in enumerate(wanted):
            parent, w = _lowered(monomial)
            up[known.index(parent), column] = factor[w, column] = 1.0
        stage, known = (stage @ up) * (x @ factor), wanted
        result = result + stage @ _columns(terms, known, size)
    everything = np.eye(size)
    return result @ everything[:, :p], result @ everything[:, p:]


def _columns(terms: Mapping[_Powers, FloatArray], monomials: list[_Powers], size: int) -> FloatArray:
    """Coefficients of some monomials, (monomials, size)."""
    return np.array([terms.get(monomial, np.zeros(size)) for monomial in monomials])


def _parts(terms: Mapping[_Powers, FloatArray], degree: int) -> list[_Powers]:
    """Monomials of a degree that occur, or that those of higher degree are made from."""
    found: dict[_Powers, None] = {}
    for monomial in terms:
        part = monomial
        while sum(part) > degree:
            part, _ = _lowered(part)
        if sum(part) == degree:
            found[part] = None
    return list(found)


def _lowered(monomial: _Powers) -> tuple[_Powers, int]:
    """A monomial divided by its first variable, and which that is."""
    first = next(w for w, power in enumerate(monomial) if power)
    return tuple(power - (w == first) for w, power in enumerate(monomial)), first


def _term(terms: dict[_Powers, FloatArray], powers: NDArray[np.int64], size: int) -> FloatArray:
    return terms.setdefault(tuple(int(power) for power in powers), np.zeros(size))


_WRITERS: Mapping[type, Callable[..., Expression]] = {
    DirectNetwork: _direct,
    EnergyNetwork: _energetic,
    GaussianProcess: _process,
}
