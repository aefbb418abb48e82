"""A laminate cell against the exact laminate: flux and tangent to 1e-8 along paths, in every direction."""

import numpy as np
import pytest

from materials.elastic_constants import ElasticConstants
from materials.law import Law
from materials.measures import FloatArray, Measure, Physics
from tests.verification.cells import ELEMENTS, evaluate_one, law, layers, make_cell, random_path, relative_error
from tests.verification.laminate import ExactLaminate
from tests.verification.law_examples import EXAMPLES

STIFF = {
    Physics.SMALL_STRAIN: law("elastic", E=10_000.0, nu=0.2),
    Physics.FINITE_STRAIN: law("neo_hookean", E=1000.0, nu=0.25),
    Physics.HEAT: law("conductive", k=10.0),
}
PAIRS = [
    ("j2_voce", "j2_perfect"),
    ("j2_swift", "j2_kinematic"),
    ("chaboche", "viscoelastic"),
    ("orthotropic", "elastic_thermal"),
    ("ogden", "j2_finite"),
    ("mooney_rivlin", "saint_venant_kirchhoff"),
]
LAYERS: dict[str, tuple[Law, Law]] = {
    **{name: (example.law, STIFF[example.law.physics]) for name, example in EXAMPLES.items() if example.law.physics},
    **{f"{first}-{second}": (EXAMPLES[first].law, EXAMPLES[second].law) for first, second in PAIRS},
}
SIZES = {name: min(EXAMPLES[part].size for part in name.split("-")) for name in LAYERS}
ARRANGEMENTS = [(2, normal, element) for normal in "xy" for element in ELEMENTS[2]] + [
    (3, normal, element) for normal in "xyz" for element in ELEMENTS[3]
]
FRACTION = 0.4


@pytest.mark.parametrize(("dimension", "normal", "element"), ARRANGEMENTS)
@pytest.mark.parametrize("name", LAYERS)
def test_every_law_in_layers(name: str, dimension: int, normal: str, element: str) -> None:
    """Every law beside a stiff one, and pairs of laws that yield, flow or expand each in their way."""
    compare_along_a_path(LAYERS[name], SIZES[name], dimension, normal, element, 1)


@pytest.mark.parametrize(("dimension", "normal", "element"), ARRANGEMENTS)
@pytest.mark.parametrize("name", ["j2_voce-j2_perfect", "neo_hookean", "conductive"])
def test_quadratic_elements_are_exact_too(name: str, dimension: int, normal: str, element: str) -> None:
    compare_along_a_path(LAYERS[name], SIZES[name], dimension, normal, element, 2)


def compare_along_a_path(
    laws: tuple[Law, Law], size: float, dimension: int, normal: str, element: str, degree: int
) -> None:
    """Loading, turning and unloading, in steps that are all committed."""
    assert laws[0].physics is not None
    measure = Measure(laws[0].physics, dimension)
    cell = make_cell(measure, layers(normal, FRACTION), laws, element, degree)
    exact = ExactLaminate(laws, measure, FRACTION, "xyz".index(normal))
    point = np.zeros(1, dtype=np.int64)
    cell.bind(point)
    exact.bind(point)
    at_rest = exact.state()
    for gradient in random_path(measure, size, steps=9, seed=dimension):
        response = evaluate_one(cell, gradient)
        reference = exact.evaluate(gradient[None, :], 1.0)
        assert not reference.status.any()
        assert relative_error(response.flux, reference.flux) < 1e-8
        assert relative_error(response.tangent, reference.tangent) < 1e-8
        for output in cell.outputs:
            assert response.outputs[output] == pytest.approx(reference.outputs[output], rel=1e-8)
        cell.commit()
        exact.commit()
    assert all(np.any(value != at_rest[variable]) for variable, value in exact.state().items())


def first_tangent(laws: tuple[Law, Law], dimension: int, normal: str, element: str) -> FloatArray:
    """Tangent of the laminate cell at rest, as a tensor."""
    assert laws[0].physics is not None
    measure = Measure(laws[0].physics, dimension)
    cell = make_cell(measure, layers(normal, FRACTION), laws, element, 1)
    cell.bind(np.zeros(1, dtype=np.int64))
    return measure.tangent_to_tensor(evaluate_one(cell, measure.rest).tangent[0])


@pytest.mark.parametrize(("dimension", "normal", "element"), ARRANGEMENTS)
def test_isotropic_layers_have_the_moduli_of_backus(dimension: int, normal: str, element: str) -> None:
    """Closed form of the five moduli with ⟨⟩ the average over the layers (Backus 1962, J. Geophys. Res. 67, 4427)."""
    E, nu, shares = (1000.0, 10_000.0), (0.35, 0.1), np.array([FRACTION, 1.0 - FRACTION])
    laws = (law("elastic", E=E[0], nu=nu[0]), law("elastic", E=E[1], nu=nu[1]))
    lmbda, mu = np.array([ElasticConstants.from_young(*pair) for pair in zip(E, nu, strict=True)]).T
    M = lmbda + 2.0 * mu
    across = 1.0 / (shares @ (1.0 / M))
    coupling = across * (shares @ (lmbda / M))
    along = shares @ (4.0 * mu * (lmbda + mu) / M) + coupling**2 / across
    C = first_tangent(laws, dimension, normal, element)
    n = "xyz".index(normal)
    t = (n + 1) % dimension
    found = [C[n, n, n, n], C[n, n, t, t], C[t, t, t, t], C[n, t, n, t]]
    assert found == pytest.approx([across, coupling, along, 1.0 / (shares @ (1.0 / mu))], rel=1e-12)
    if dimension == 3:
        s = (n + 2) % 3
        assert C[t, s, t, s] == pytest.approx(shares @ mu, rel=1e-12)
        assert C[t, t, s, s] == pytest.approx(along - 2.0 * shares @ mu, rel=1e-12)


@pytest.mark.parametrize(("dimension", "normal", "element"), ARRANGEMENTS)
def test_layers_conduct_in_series_and_in_parallel(dimension: int, normal: str, element: str) -> None:
    laws = (law("conductive", k=1.0), law("conductive", k=10.0))
    expected = np.full(dimension, FRACTION + 10.0 * (1.0 - FRACTION))
    expected["xyz".index(normal)] = 1.0 / (FRACTION + (1.0 - FRACTION) / 10.0)
    assert first_tangent(laws, dimension, normal, element) == pytest.approx(np.diag(expected), abs=1e-11)
