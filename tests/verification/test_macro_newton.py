"""Newton's method of the macroscale: quadratic, robust against steps that are too large, exact in what it reports."""

from collections.abc import Mapping

import numpy as np
import pytest
from mpi4py import MPI
from numpy.typing import NDArray

from materials.interface import IntArray, Kind, Material, Response, Status
from materials.law_material import LawMaterial
from materials.measures import FloatArray, Measure, Physics
from solver.driver import NotConverged
from solver.linear_solver import LinearSolver
from solver.macro_problem import MacroProblem
from solver.newton_settings import NewtonSettings
from solver.records import IncrementRecord
from tests.verification.macro_runs import (
    DIMENSION,
    displacement_at,
    grid,
    law,
    mesh_of,
    problem_of,
    residuals,
    run,
)

PLASTIC = law("j2", E=250.0, nu=0.3, yield_stress=1.2, hardening=2.5)
NEO_HOOKEAN = law("neo_hookean", E=100.0, nu=0.3)
SMALL, FINITE, HEAT = Physics.SMALL_STRAIN, Physics.FINITE_STRAIN, Physics.HEAT


def cook(physics: Physics, material: object, traction: float, divisions: int = 6, bbar: bool = False) -> MacroProblem:
    macro = mesh_of("cook_membrane", "quadrilateral", divisions=(divisions, divisions))
    problem = problem_of(macro, physics, material, bbar=bbar)  # type: ignore[arg-type]
    problem.prescribe("left", [0.0, 0.0])
    problem.load_boundary("right", [0.0, traction])
    return problem


def block(element: str, physics: Physics, material: object, degree: int = 1) -> MacroProblem:
    """A block that stands on rollers, one node line held sideways."""
    problem = problem_of(grid(element, 2, 0.05), physics, material, degree)  # type: ignore[arg-type]
    d = problem.measure.dimension
    for axis, name in enumerate(("left", "bottom", "back")[:d]):
        problem.prescribe(name, [0.0 if i == axis else None for i in range(d)])
    return problem


def assert_quadratic(record: IncrementRecord) -> None:
    """Near the solution r_{k+1} ≤ C r_k², down to rounding; a tangent that is 1 % wrong breaks this at r = 1e-4."""
    r = residuals(record)
    near = np.flatnonzero(r[:-1] < 1e-3)
    assert near.size
    for k in near:
        assert r[k + 1] <= max(100.0 * r[k] ** 2, 2e-12), r


def test_last_iterations_are_quadratic_at_finite_strain() -> None:
    watch = run(cook(FINITE, NEO_HOOKEAN, 16.0), steps=4)
    for record in watch.records:
        assert_quadratic(record)


def test_last_iterations_are_quadratic_with_plastic_flow_and_reversal() -> None:
    watch = run(cook(SMALL, PLASTIC, 0.7, 12, bbar=True), 6, ((0.0, 0.0), (1.0, 1.0), (2.0, -1.0)))
    assert not watch.cuts
    flowing = [record for record in watch.records if len(record.iterations) >= 5]
    assert len(flowing) >= 3
    for record in flowing:
        assert_quadratic(record)


@pytest.mark.parametrize("element", list(DIMENSION))
@pytest.mark.parametrize(("physics", "bbar"), [(SMALL, False), (SMALL, True), (FINITE, False)])
def test_assembled_tangent_is_the_derivative_of_the_residual(physics: Physics, element: str, bbar: bool) -> None:
    material = PLASTIC if physics is SMALL else NEO_HOOKEAN
    problem = problem_of(grid(element, 2, 0.08), physics, material, bbar=bbar)
    rng = np.random.default_rng(1)
    values, direction = (problem.with_ghosts(rng.standard_normal(problem.n_owned)) for _ in range(2))
    values *= 0.02  # about twice the yield strain of the law
    external = problem.external.forces(1.0)
    state = problem.evaluate(values, external, 1.0)
    problem.assemble(state.fields.tangent)
    tangent = problem.lift(direction)
    steps = np.array([4e-5, 2e-5, 1e-5])
    remainders = []
    for h in steps:
        moved = problem.evaluate(values + h * direction, external, 1.0)
        remainders.append(np.linalg.norm(moved.residual - state.residual - h * tangent))
    order = np.polyfit(np.log(steps), np.log(remainders), 1)[0]
    assert remainders[-1] > 1e-13
    assert order == pytest.approx(2.0, abs=0.1)


def test_step_too_large_for_neo_hooke_is_cut_and_nominal_times_are_hit() -> None:
    watch = run(cook(FINITE, NEO_HOOKEAN, 200.0), steps=2)
    assert any("det F" in reason and "cell" in reason for reason in watch.cuts)
    assert watch.records[0].cutbacks == len(watch.cuts) > 0
    assert 0.5 in watch.times
    assert watch.times[-1] == 1.0
    sizes = np.diff([0.0, *watch.times])
    assert sizes.max() > 1.4 * sizes[0]  # grew again
    one_by_one = cook(FINITE, NEO_HOOKEAN, 200.0)
    run(one_by_one, steps=40)
    again = cook(FINITE, NEO_HOOKEAN, 200.0)
    run(again, steps=2)
    tips = [displacement_at(problem, (48.0, 60.0)) for problem in (one_by_one, again)]
    np.testing.assert_allclose(tips[0], tips[1], rtol=1e-9)


def test_unloading_to_zero_converges_and_elastic_strain_vanishes() -> None:
    problem = cook(FINITE, NEO_HOOKEAN, 16.0)
    watch = run(problem, 4, ((0.0, 0.0), (1.0, 1.0), (2.0, 0.0)), NewtonSettings())
    assert watch.times == [0.5, 1.0, 1.5, 2.0]
    assert np.abs(problem.solution.x.array).max(initial=0.0) < 1e-6


def test_load_above_the_limit_ends_with_a_message_that_names_what_was_tried() -> None:
    perfect = law("j2", E=250.0, nu=0.3, yield_stress=1.2)
    problem = cook(SMALL, perfect, 1.5, 8, bbar=True)
    with pytest.raises(NotConverged) as caught:
        run(problem, 4, newton=NewtonSettings(), min_step=0.05)
    text, progress = str(caught.value), caught.value.progress
    assert f"step {progress.step + 1} did not converge" in text
    assert "iterations" in text or "step lengths" in text
    assert "at node (" in text
    assert ") of cell " in text
    assert "the smallest allowed is 0.05" in text
    assert "Tried steps of 0.25" in text or "Tried steps of 0.125" in text
    assert 0.0 < progress.time < 0.6
    assert problem.load_factor == pytest.approx(progress.time)  # the last accepted state is in place


class Brittle(LawMaterial):
    """An elastic material that has no answer above a strain."""

    def __init__(self, measure: Measure, limit: float):
        super().__init__(law("elastic", E=100.0, nu=0.3), measure)
        self.limit = limit

    def evaluate(self, gradient: FloatArray, dt: float) -> Response:
        """As the law, with status `FAILED` above the limit."""
        response = super().evaluate(gradient, dt)
        broken = np.abs(gradient).max(axis=1, initial=0.0) > self.limit
        return response._replace(status=np.where(broken, Status.FAILED, response.status).astype(np.int8))

    def failure(self, point: int) -> str:
        """Why."""
        return "broken like glass"


def test_failed_points_end_the_run_with_cell_coordinates_and_the_material_s_words() -> None:
    measure = Measure(SMALL, 2)
    problem = block("quadrilateral", SMALL, Brittle(measure, 0.0103))
    problem.prescribe("top", [None, 0.02])
    with pytest.raises(NotConverged) as caught:
        run(problem, 2, min_step=0.01)
    text, progress = str(caught.value), caught.value.progress
    assert "material points have no answer" in text or "1 material point has no answer" in text
    assert "cell 0, point 0 at (" in text
    assert "material 'body': broken like glass" in text
    assert "step" in text
    assert progress.time == pytest.approx(0.51, abs=0.02)
    assert progress.step >= 1


class NotSymmetric(Material):
    """Linear material with a rotated stress, so that its tangent is not symmetric."""

    symmetric = False
    remembers = False

    def __init__(self, measure: Measure):
        self.measure = measure
        d = measure.size
        self._tangent = 10.0 * np.eye(d) + np.triu(np.ones((d, d)), 1)

    def bind(self, point_ids: IntArray) -> None:
        """No state."""
        self.point_ids = point_ids
        self._n = point_ids.size

    def evaluate(self, gradient: FloatArray, dt: float) -> Response:
        """Linear."""
        n = len(gradient)
        tangent = np.tile(self._tangent, (n, 1, 1))
        return Response(gradient @ self._tangent.T, tangent, np.zeros(n, np.int8), {})

    def commit(self) -> None:
        """No state."""

    def revert(self) -> None:
        """No state."""

    def kinds(self) -> NDArray[np.int8]:
        """A law."""
        return np.full(self._n, Kind.LAW, dtype=np.int8)

    def state(self) -> dict[str, FloatArray]:
        """None."""
        return {}

    def restore(self, state: Mapping[str, FloatArray]) -> None:
        """No state."""


def test_unsymmetric_tangent_is_solved_exactly_and_cg_is_refused() -> None:
    problem = block("quadrilateral", SMALL, NotSymmetric(Measure(SMALL, 2)))
    problem.prescribe("top", [None, 0.02])
    watch = run(problem)
    assert len(watch.records[0].iterations) == 1
    with pytest.raises(ValueError, match="gmres"):
        LinearSolver(problem.matrix, problem.symmetric, 2, "iterative", {"ksp_type": "cg"})


# Reactions ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("element", list(DIMENSION))
@pytest.mark.parametrize("degree", [1, 2])
def test_reactions_balance_tractions_and_body_forces(element: str, degree: int) -> None:
    problem = problem_of(grid(element, 2, 0.05), SMALL, law("elastic", E=100.0, nu=0.3), degree)
    d = problem.measure.dimension
    traction, weight, steady = (
        np.array([0.3, -0.7, 0.2])[:d],
        np.array([0.1, 0.5, -0.4])[:d],
        np.array([2.0, 0.0, 1.0])[:d],
    )
    problem.prescribe("left", [0.0] * d)
    problem.load_boundary("right", traction)
    problem.load_body(weight)
    problem.load_body(steady, constant=True)
    run(problem, 1, ((0.0, 0.0), (1.0, 0.5)))
    np.testing.assert_allclose(problem.reaction("left"), -(0.5 * traction + 0.5 * weight + steady), atol=1e-10)
    free = problem.reaction("right")  # its inner nodes carry no support; the corners are not on `left`
    np.testing.assert_allclose(free, 0.0, atol=1e-10)


def test_reaction_of_a_pulled_block_is_stress_times_area() -> None:
    problem = block("hexahedron", FINITE, NEO_HOOKEAN)
    problem.prescribe("right", [0.5, None, None])
    run(problem, 2)
    first_piola_kirchhoff = problem.flux[:, 0]
    np.testing.assert_allclose(problem.reaction("right"), [first_piola_kirchhoff[0], 0.0, 0.0], atol=1e-9)
    np.testing.assert_allclose(problem.reaction("left"), -problem.reaction("right"), atol=1e-9)


def test_heat_that_enters_leaves_again() -> None:
    problem = problem_of(grid("triangle", 3, 0.05), HEAT, law("conductive", k=2.0))
    problem.prescribe("left", [300.0], constant=True)
    problem.load_boundary("right", [5.0])
    problem.load_body([1.5])
    run(problem, 2)
    assert problem.reaction("left") == pytest.approx([-6.5])  # heat entering through `left`
    assert displacement_at(problem, (0.0, 0.0)) == pytest.approx([300.0])
    # k T'' = −s with k T'(1) = q: T(1) = 300 + (q + s/2)/k
    hottest = problem.comm.allreduce(problem.solution.x.array.max(initial=0.0), MPI.MAX)
    assert hottest == pytest.approx(300.0 + (5.0 + 0.75) / 2.0, abs=0.02)


def test_uniform_temperature_converges_although_no_force_ever_appears() -> None:
    problem = problem_of(grid("quadrilateral", 4), HEAT, law("conductive", k=2.0))
    problem.prescribe("left", [293.15], constant=True)
    watch = run(problem, 3, newton=NewtonSettings())
    assert [len(record.iterations) for record in watch.records] == [1, 1, 1]
    np.testing.assert_allclose(problem.solution.x.array, 293.15, rtol=1e-12)
