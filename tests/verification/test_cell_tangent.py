"""Taylor tests of the condensed tangent: the remainder after the linear term falls with the square of the step."""

import numpy as np
import pytest

from materials.measures import FloatArray, Measure, Physics
from rve.material import RveMaterial
from tests.verification.cells import (
    PLASTIC,
    SOFT,
    STIFF,
    evaluate_one,
    fibre,
    layers,
    make_cell,
    sphere,
)

CELLS = {
    "triangle": (2, fibre(4), "triangle", 2, False),
    "quadrilateral": (2, layers("x"), "quadrilateral", 1, True),
    "tetrahedron": (3, sphere(2), "tetrahedron", 2, False),
    "hexahedron": (3, layers("y"), "hexahedron", 1, True),
}


def taylor_order(cell: RveMaterial, gradient: FloatArray, direction: FloatArray) -> float:
    """Observed order of |flux(g + h v) − flux(g) − h A v| in h, from the committed state."""
    response = evaluate_one(cell, gradient)
    flux, tangent = response.flux[0], response.tangent[0]
    steps = np.array([4e-3, 2e-3, 1e-3]) * np.abs(gradient - cell.measure.rest).max()
    remainders = [
        np.linalg.norm(evaluate_one(cell, gradient + h * direction).flux[0] - flux - h * tangent @ direction)
        for h in steps
    ]
    if max(remainders) < 1e-10 * np.linalg.norm(flux):
        return 2.0  # the response is linear: there is no remainder to measure
    return float(np.polyfit(np.log(steps), np.log(remainders), 1)[0])


@pytest.mark.parametrize("name", CELLS)
def test_plastic_loading_and_unloading(name: str) -> None:
    dimension, geometry, element, degree, bbar = CELLS[name]
    measure = Measure(Physics.SMALL_STRAIN, dimension)
    cell = make_cell(measure, geometry, (PLASTIC, STIFF[Physics.SMALL_STRAIN]), element, degree, bbar)
    cell.bind(np.zeros(1, dtype=np.int64))
    rng = np.random.default_rng(1)
    load = rng.uniform(-1.0, 1.0, measure.size)
    load /= np.abs(load).max()
    direction = rng.uniform(-1.0, 1.0, measure.size)
    evaluate_one(cell, 0.010 * load)
    cell.commit()
    # Points that change between elastic and plastic within the step keep the order a little below 2.
    assert taylor_order(cell, 0.014 * load, direction) > 1.7
    assert taylor_order(cell, 0.006 * load, direction) > 1.7


@pytest.mark.parametrize("name", CELLS)
def test_large_deformation(name: str) -> None:
    dimension, geometry, element, degree, _ = CELLS[name]
    measure = Measure(Physics.FINITE_STRAIN, dimension)
    laws = (SOFT[Physics.FINITE_STRAIN], STIFF[Physics.FINITE_STRAIN])
    cell = make_cell(measure, geometry, laws, element, degree)
    cell.bind(np.zeros(1, dtype=np.int64))
    rng = np.random.default_rng(2)
    load = rng.uniform(-1.0, 1.0, measure.size)
    for amplitude in (0.1, 0.2):
        evaluate_one(cell, measure.rest + amplitude * load)
        cell.commit()
    direction = rng.uniform(-1.0, 1.0, measure.size)
    assert taylor_order(cell, measure.rest + 0.25 * load, direction) == pytest.approx(2.0, abs=0.1)


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("physics", list(Physics))
def test_symmetric_as_declared(name: str, physics: Physics) -> None:
    dimension, geometry, element, degree, bbar = CELLS[name]
    measure = Measure(physics, dimension)
    matrix = PLASTIC if physics is Physics.SMALL_STRAIN else SOFT[physics]
    bbar = bbar and physics is Physics.SMALL_STRAIN
    cell = make_cell(measure, geometry, (matrix, STIFF[physics]), element, degree, bbar)
    assert cell.symmetric
    # Assembled as if it were unsymmetric: the condensation must find the symmetry by itself.
    object.__setattr__(cell.cell, "symmetric", False)
    cell = RveMaterial(cell.cell)
    cell.bind(np.zeros(1, dtype=np.int64))
    rng = np.random.default_rng(3)
    tangent = evaluate_one(cell, measure.rest + 0.02 * rng.uniform(-1.0, 1.0, measure.size)).tangent[0]
    assert np.abs(tangent - tangent.T).max() < 1e-9 * np.abs(tangent).max()
