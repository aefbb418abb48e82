"""Both scales in one Newton iteration against nested iterations: the same answers, with fewer linearisations."""

import numpy as np
import pytest

from materials.interface import Response, Status
from materials.law import Law
from materials.measures import FloatArray, Measure, Physics
from meshes.cells import build_cell_mesh
from rve.cell import Cell, build_cell
from rve.material import LOOSE, RveMaterial
from solver.macro_problem import MacroProblem
from tests.verification.cells import PLASTIC, SOFT, STIFF, TIGHT, evaluate_one, fibre, law, relative_error
from tests.verification.macro_runs import Watch, mesh_of, problem_of, run

LONGEST = 0.3
"""Pseudo-time of an increment beyond which `Refusing` cells fail."""


class Refusing(RveMaterial):
    """Cells that fail in the second evaluation of an increment that is too long, after their iterates have moved."""

    asked = 0

    def evaluate(self, gradient: FloatArray, dt: float) -> Response:
        response = super().evaluate(gradient, dt)
        self.asked += 1
        if dt > LONGEST and self.asked > 1:
            response.status[0] = Status.FAILED
        return response

    def revert(self) -> None:
        super().revert()
        self.asked = 0

    def commit(self) -> None:
        super().commit()
        self.asked = 0


def cell_of(laws: tuple[Law, Law], physics: Physics) -> Cell:
    """A coarse fibre cell in the plane."""
    mesh = build_cell_mesh(fibre(4), 2, "triangle")
    return build_cell(mesh, dict(zip(mesh.phases, laws, strict=True)), Measure(physics, 2), 2)


FLOWING = (law("j2_finite", E=1000.0, nu=0.3, yield_stress=5.0, hardening=50.0), STIFF[Physics.FINITE_STRAIN])
PROBLEMS = {
    "j2": (Physics.SMALL_STRAIN, (PLASTIC, STIFF[Physics.SMALL_STRAIN]), 0.015),
    "neo_hookean": (Physics.FINITE_STRAIN, (SOFT[Physics.FINITE_STRAIN], STIFF[Physics.FINITE_STRAIN]), 0.3),
    "j2_finite": (Physics.FINITE_STRAIN, FLOWING, 0.03),
}


def solve(name: str, monolithic: bool) -> tuple[MacroProblem, RveMaterial, Watch]:
    """A bar that is sheared and pulled, unloaded and pulled again, with cut-backs in the long increments."""
    physics, laws, amplitude = PROBLEMS[name]
    material = Refusing(cell_of(laws, physics), TIGHT, monolithic)
    macro = mesh_of("rectangle", "quadrilateral", divisions=(2, 1), size=(2.0, 1.0))
    problem = problem_of(macro, physics, material, bbar=physics is Physics.SMALL_STRAIN)
    problem.prescribe("left", [0.0, 0.0])
    problem.prescribe("right", [amplitude, amplitude])
    factor = ((0.0, 0.0), (1.0, 1.0), (2.0, 0.3), (3.0, 1.3))
    return problem, material, run(problem, steps=6, factor=factor)


@pytest.mark.parametrize("name", PROBLEMS)
def test_monolithic_runs_equal_nested_ones_through_cut_backs(name: str) -> None:
    """Displacements, fluxes, tangents and micro states agree; cells are linearised less often."""
    (mono, cells, watch), (nested, exact, other) = solve(name, monolithic=True), solve(name, monolithic=False)
    assert len(watch.cuts) == len(other.cuts) > 0
    assert watch.times == other.times
    assert relative_error(mono.solution.x.array, nested.solution.x.array) < 1e-8
    assert relative_error(mono.flux, nested.flux) < 1e-8
    assert relative_error(mono.tangent, nested.tangent) < 1e-7
    for key, values in exact.state().items():
        if values.size:
            assert relative_error(cells.state()[key], values) < 1e-8
    assert cells.statistics()["cell_provisional"] > 0
    assert cells.statistics()["cell_iterations"] < exact.statistics()["cell_iterations"]


def test_a_provisional_answer_is_the_linearisation() -> None:
    """Flux and tangent of a provisional point predict the equilibrium of its cell to second order."""
    physics, laws, _ = PROBLEMS["neo_hookean"]
    cell = cell_of(laws, physics)
    direction = np.array([0.5, 0.3, 0.0, -0.2])
    errors = []
    for size in (0.05, 0.025):
        material, exact = RveMaterial(cell, TIGHT, monolithic=True), RveMaterial(cell, TIGHT)
        target = np.array([[1.0, 0.0, 0.0, 1.0]]) + size * direction
        for each in (material, exact):
            each.bind(np.arange(1))
        response = material.evaluate(target, 1.0)
        assert response.status[0] == Status.PROVISIONAL
        errors.append(np.abs(response.flux - evaluate_one(exact, target).flux).max())
    assert np.log2(errors[0] / errors[1]) > 1.7


def test_asked_again_a_cell_reaches_equilibrium() -> None:
    """The same gradient, asked again, ends in the nested answer; after a few evaluations none is provisional."""
    physics, laws, _ = PROBLEMS["j2"]
    cell = cell_of(laws, physics)
    material, exact = RveMaterial(cell, TIGHT, monolithic=True), RveMaterial(cell, TIGHT)
    target = np.array([[0.02, -0.01, 0.015]])
    for each in (material, exact):
        each.bind(np.arange(1))
    statuses = [material.evaluate(target, 1.0).status[0] for _ in range(len(LOOSE))]
    assert statuses[0] == Status.PROVISIONAL
    last = material.evaluate(target, 1.0)
    assert last.status[0] == Status.OK
    assert relative_error(last.flux, evaluate_one(exact, target).flux) < 1e-10
    assert material.statistics()["nested_evaluations"] == 1
