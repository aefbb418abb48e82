"""What a cell does when Newton's method alone does not get there."""

import numpy as np
import pytest

from materials.interface import Status
from materials.law import Law
from materials.measures import FloatArray, Measure, Physics
from rve.material import RveMaterial
from rve.newton_settings import NewtonSettings
from tests.verification.cells import PLASTIC, SOFT, STIFF, TIGHT, evaluate_one, fibre, law, make_cell, relative_error

IMPATIENT = NewtonSettings(tolerance=1e-12, max_iterations=6)
"""Too few iterations for a large increment, enough for a small one."""


def cell_of(laws: tuple[Law, ...], settings: NewtonSettings, physics: Physics) -> RveMaterial:
    """A fibre cell in the plane with one RVE."""
    cell = make_cell(Measure(physics, 2), fibre(4), laws, "triangle", 2, settings=settings)
    cell.bind(np.arange(1))
    return cell


@pytest.mark.parametrize(
    ("laws", "physics", "gradient"),
    [
        ((SOFT[Physics.FINITE_STRAIN], STIFF[Physics.FINITE_STRAIN]), Physics.FINITE_STRAIN, [1.6, 1.2, 0.0, 0.7]),
        ((PLASTIC, STIFF[Physics.SMALL_STRAIN]), Physics.SMALL_STRAIN, [0.05, -0.03, 0.02]),
        (
            (law("j2_finite", E=1000.0, nu=0.3, yield_stress=5.0, hardening=50.0), STIFF[Physics.FINITE_STRAIN]),
            Physics.FINITE_STRAIN,
            [1.2, 0.1, 0.0, 0.9],
        ),
    ],
    ids=["neo_hookean", "j2", "j2_finite"],
)
def test_steps_towards_the_gradient_are_one_increment(
    laws: tuple[Law, ...], physics: Physics, gradient: list[float]
) -> None:
    """Led there in steps, a cell gives flux, tangent and state of the one increment that patience gives."""
    target = np.array(gradient)
    led, patient = cell_of(laws, IMPATIENT, physics), cell_of(laws, TIGHT, physics)
    mine, exact = evaluate_one(led, target), evaluate_one(patient, target)
    assert led.statistics()["cell_substeps"] >= 1
    assert "cell_substeps" not in patient.statistics()
    assert relative_error(mine.flux, exact.flux) < 1e-9
    assert relative_error(mine.tangent, exact.tangent) < 1e-8
    for cell in (led, patient):
        cell.commit()
    for name, values in patient.state().items():
        if name.startswith("state_") and values.size:
            assert relative_error(led.state()[name], values) < 1e-8


def test_the_tangent_is_that_of_the_whole_increment() -> None:
    """Differences of the flux of whole increments, each led in steps, converge to the tangent with order two."""
    measure = Measure(Physics.SMALL_STRAIN, 2)
    target, direction = np.array([0.05, -0.03, 0.02]), np.array([0.3, 1.0, -0.5])

    def flux(gradient: FloatArray) -> tuple[FloatArray, FloatArray]:
        cell = make_cell(measure, fibre(4), (PLASTIC, STIFF[Physics.SMALL_STRAIN]), "triangle", 2, settings=IMPATIENT)
        cell.bind(np.arange(1))
        response = evaluate_one(cell, gradient)
        assert cell.statistics()["cell_substeps"] >= 1
        return response.flux[0], response.tangent[0]

    start, tangent = flux(target)
    remainders = [
        np.abs(flux(target + step * direction)[0] - start - step * tangent @ direction).max() for step in (1e-3, 5e-4)
    ]
    assert np.log2(remainders[0] / remainders[1]) > 1.7


def test_no_answer_is_a_status_with_a_reason() -> None:
    """A cell turned inside out has no answer, says how far it got, and answers the next question as if fresh."""
    laws = (SOFT[Physics.FINITE_STRAIN], STIFF[Physics.FINITE_STRAIN])
    cell, fresh = (cell_of(laws, TIGHT, Physics.FINITE_STRAIN) for _ in range(2))
    response = cell.evaluate(np.array([[-0.5, 0.0, 0.0, 1.0]]), 1.0)
    assert response.status[0] == Status.FAILED
    assert "steps towards the gradient ended at 0." in cell.failure(0)
    assert "relative residual" in cell.failure(0)
    target = np.array([1.05, 0.1, 0.0, 0.98])
    mine, exact = evaluate_one(cell, target), evaluate_one(fresh, target)
    np.testing.assert_array_equal(mine.flux, exact.flux)
    np.testing.assert_array_equal(mine.tangent, exact.tangent)


def test_not_a_number_is_found_at_the_point() -> None:
    """A gradient that is not a number fails at once, with words."""
    cell = cell_of((PLASTIC, STIFF[Physics.SMALL_STRAIN]), TIGHT, Physics.SMALL_STRAIN)
    assert cell.evaluate(np.array([[np.nan, 0.0, 0.0]]), 1.0).status[0] == Status.FAILED
    assert "law j2 of phase matrix has no answer at (" in cell.failure(0)
    evaluate_one(cell, np.array([0.01, 0.0, 0.0]))
