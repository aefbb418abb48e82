"""A run that is taken up at a restart point ends where the uninterrupted run ends, also between cut-backs."""

from collections.abc import Callable

import numpy as np
import pytest

from materials.hardening import Hardening
from materials.measures import Measure, Physics
from solver.macro_problem import MacroProblem
from solver.newton_settings import NewtonSettings
from solver.restart import RestartPoint, Rows
from tests.verification.cells import PLASTIC, SOFT, layers, make_cell
from tests.verification.macro_runs import law, mesh_of, problem_of, run

KINEMATIC = law("j2", E=250.0, nu=0.3, yield_stress=1.2, hardening=Hardening(H=1.0, kinematic=2.0))
CYCLE = ((0.0, 0.0), (1.0, 1.0), (2.0, -0.8), (3.0, 0.2))


def cyclic() -> tuple[MacroProblem, int, tuple[tuple[float, float], ...]]:
    problem = problem_of(mesh_of("cook_membrane", "quadrilateral", divisions=(5, 5)), Physics.SMALL_STRAIN, KINEMATIC)
    problem.prescribe("left", [0.0, 0.0])
    problem.load_boundary("right", [0.0, 0.65])
    return problem, 9, CYCLE


def cut_back() -> tuple[MacroProblem, int, tuple[tuple[float, float], ...]]:
    material = law("neo_hookean", E=100.0, nu=0.3)
    problem = problem_of(mesh_of("cook_membrane", "triangle", divisions=(4, 4)), Physics.FINITE_STRAIN, material, 2)
    problem.prescribe("left", [0.0, 0.0])
    problem.load_boundary("right", [0.0, 200.0])
    return problem, 2, ((0.0, 0.0), (1.0, 1.0))


def two_scale() -> tuple[MacroProblem, int, tuple[tuple[float, float], ...]]:
    measure = Measure(Physics.SMALL_STRAIN, 2)
    cell = make_cell(measure, layers("x"), (PLASTIC, SOFT[measure.physics]), "quadrilateral", 1, bbar=True)
    problem = problem_of(mesh_of("rectangle", "quadrilateral", divisions=(2, 2)), measure.physics, cell)
    problem.prescribe("left", [0.0, 0.0])
    problem.prescribe("right", [0.02, None])
    return problem, 6, CYCLE


def shuffled(point: RestartPoint) -> RestartPoint:
    """The same tables with their rows in another order, as another number of ranks would find them."""
    rng = np.random.default_rng(0)
    tables = {}
    for name, (ids, values) in point.tables.items():
        order = rng.permutation(ids.size)
        tables[name] = Rows(ids[order], values[order])
    return RestartPoint(point.progress, tables)


@pytest.mark.parametrize("pose", [cyclic, cut_back, two_scale])
def test_restart_continues_with_the_same_answer(
    pose: Callable[[], tuple[MacroProblem, int, tuple[tuple[float, float], ...]]],
) -> None:
    settings = NewtonSettings()  # the tolerances of a user: equality must not come from solving to rounding
    whole, steps, factor = pose()
    watch = run(whole, steps, factor, settings)
    assert len(watch.points) > 4
    for point in (watch.points[0], watch.points[len(watch.points) // 2]):
        resumed, _, _ = pose()
        rest = run(resumed, steps, factor, settings, start=shuffled(point))
        assert [*watch.times[: point.progress.step], *rest.times] == watch.times
        assert rest.records[0].step == point.progress.step + 1
        for name, table in whole.state().items():
            scale = np.abs(table.values).max(initial=0.0)
            np.testing.assert_allclose(
                resumed.state()[name].values, table.values, rtol=0, atol=1e-9 * scale, err_msg=name
            )
        assert resumed.load_factor == whole.load_factor
        np.testing.assert_allclose(resumed.reaction("left"), whole.reaction("left"), rtol=1e-9, atol=1e-9)


def test_missing_row_is_named() -> None:
    rows = Rows(np.array([4, 2]), np.array([[1.0], [2.0]]))
    np.testing.assert_array_equal(rows.pick(np.array([2, 4]), "flux"), [[2.0], [1.0]])
    with pytest.raises(KeyError, match="'flux' has no row 3"):
        rows.pick(np.array([2, 3]), "flux")
