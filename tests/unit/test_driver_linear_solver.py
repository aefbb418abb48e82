"""Linear solvers of the macro problem: defaults, fallbacks that are counted, options of the user."""

import logging
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from mpi4py import MPI

from materials.measures import FloatArray, Physics
from solver.coordinate_matrix import CoordinateMatrix
from solver.linear_solver import LinearSolver
from solver.macro_problem import MacroProblem
from tests.verification.macro_runs import grid, law, problem_of


def matrix_of(dense: FloatArray) -> CoordinateMatrix:
    n = len(dense)
    rows, columns = (index.ravel() for index in np.indices((n, n)))
    matrix = CoordinateMatrix(MPI.COMM_SELF, (n, n), 1, rows, columns)
    matrix.fill(np.ascontiguousarray(dense).ravel())
    return matrix


def dense(matrix: CoordinateMatrix) -> FloatArray:
    unit = matrix.mat.createVecRight()
    image = matrix.mat.createVecLeft()
    columns = []
    for j in range(unit.getSize()):
        unit.array[:] = np.eye(unit.getSize())[j]
        matrix.mat.mult(unit, image)
        columns.append(image.array.copy())
    return np.stack(columns, axis=1)


def random_symmetric(eigenvalues: FloatArray) -> FloatArray:
    q, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((len(eigenvalues), len(eigenvalues))))
    return q @ np.diag(eigenvalues) @ q.T


def clamped(element: str, divisions: int, physics: Physics = Physics.SMALL_STRAIN) -> tuple[MacroProblem, FloatArray]:
    """A problem with its matrix assembled, and a right-hand side."""
    material = law("conductive", k=3.0) if physics is Physics.HEAT else law("elastic", E=100.0, nu=0.3)
    problem = problem_of(grid(element, divisions, comm=MPI.COMM_SELF), physics, material)
    problem.prescribe("left", [0.0] * problem.block_size)
    problem.load_boundary("right", [1.0] * problem.block_size)
    problem.start(1.0)
    problem.assemble(problem.tangent)
    return problem, problem.external.forces(1.0)


def test_values_at_one_place_add_up_and_negative_places_are_skipped() -> None:
    places = np.array([0, 0, 1, -1, 1]), np.array([0, 0, 1, 0, -1])
    matrix = CoordinateMatrix(MPI.COMM_SELF, (2, 2), 1, *places)
    for _ in range(2):  # the second filling replaces the first
        matrix.fill(np.array([1.0, 2.0, 4.0, 100.0, 100.0]))
    np.testing.assert_array_equal(dense(matrix), [[3.0, 0.0], [0.0, 4.0]])


def test_matrix_refuses_values_of_the_wrong_number_or_type() -> None:
    matrix = matrix_of(np.eye(3))
    with pytest.raises(ValueError, match="9 contiguous values"):
        matrix.fill(np.zeros(8))
    with pytest.raises(ValueError, match="float32"):
        matrix.fill(np.zeros(9, dtype=np.float32))  # type: ignore[arg-type]


def test_positive_definite_matrix_is_factorised_by_cholesky() -> None:
    a = random_symmetric(np.linspace(1.0, 5.0, 12))
    solver = LinearSolver(matrix_of(a).mat, True, 2)
    assert solver.factorise()
    assert "cholesky (mumps)" in solver.describe()
    solution = solver.solve(np.ones(12))
    np.testing.assert_allclose(solution, np.linalg.solve(a, np.ones(12)), rtol=1e-10)
    assert solver.statistics["lost_definiteness"] == 0


def test_lost_definiteness_is_solved_and_counted_once() -> None:
    definite, indefinite = (random_symmetric(np.linspace(low, 5.0, 12)) for low in (1.0, -2.2))
    matrix = matrix_of(definite)
    solver = LinearSolver(matrix.mat, True, 2)
    for a, losses in ((definite, 0), (indefinite, 1), (indefinite, 1), (definite, 1)):
        matrix.fill(np.ascontiguousarray(a).ravel())
        assert solver.factorise()
        np.testing.assert_allclose(solver.solve(np.ones(12)), np.linalg.solve(a, np.ones(12)), rtol=1e-8)
        assert solver.statistics["lost_definiteness"] == losses


def test_unsymmetric_matrix_is_factorised_by_lu() -> None:
    a = np.eye(12) + np.triu(np.random.default_rng(0).standard_normal((12, 12)))
    solver = LinearSolver(matrix_of(a).mat, False, 2)
    assert solver.factorise()
    assert "lu (mumps)" in solver.describe()
    np.testing.assert_allclose(solver.solve(np.ones(12)), np.linalg.solve(a, np.ones(12)), rtol=1e-9)


def test_singular_or_undefined_matrix_gives_no_solution_instead_of_an_exception() -> None:
    for value in (0.0, np.nan):
        a = np.diag([1.0, value, 2.0])
        solver = LinearSolver(matrix_of(a).mat, True, 2)
        solution = solver.solve(np.ones(3)) if solver.factorise() else None
        assert solution is None


@pytest.mark.parametrize(
    ("element", "divisions", "physics"),
    [
        ("quadrilateral", 24, Physics.SMALL_STRAIN),
        ("tetrahedron", 8, Physics.SMALL_STRAIN),
        ("triangle", 24, Physics.HEAT),
    ],
)
def test_multigrid_with_rigid_modes_agrees_with_direct_in_few_iterations(
    element: str, divisions: int, physics: Physics
) -> None:
    problem, rhs = clamped(element, divisions, physics)
    rhs[problem.prescribed.fixed[: problem.n_owned]] = 0.0
    dimension = problem.measure.dimension
    solvers = [LinearSolver(problem.matrix, True, dimension, method) for method in ("direct", "iterative")]  # type: ignore[arg-type]
    assert all(solver.factorise() for solver in solvers)
    direct, iterative = (solver.solve(rhs) for solver in solvers)
    np.testing.assert_allclose(iterative, direct, rtol=0, atol=1e-7 * np.abs(direct).max())
    assert "cg + gamg" in solvers[1].describe()
    assert 3 < solvers[1].statistics["linear_iterations"] < 40


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"pc_type": "lu"}, "preonly + lu"),
        ({"ksp_type": "cg", "pc_type": "jacobi"}, "cg + jacobi"),
        ({"pc_type": "gamg"}, "cg + gamg"),
        ({"ksp_type": "minres"}, "minres + gamg"),
        ({"ksp_type": "preonly"}, "preonly + cholesky"),
    ],
)
def test_options_of_the_user_come_before_the_defaults(options: dict[str, Any], expected: str) -> None:
    problem, rhs = clamped("triangle", 6)
    rhs[problem.prescribed.fixed[: problem.n_owned]] = 0.0
    solver = LinearSolver(problem.matrix, True, 2, "auto", options)
    assert solver.factorise()
    assert solver.describe().startswith(expected)
    solution = solver.solve(rhs)
    residual = problem.matrix.createVecLeft()
    x = residual.duplicate()
    x.array[:] = solution
    problem.matrix.mult(x, residual)
    np.testing.assert_allclose(residual.array, rhs, atol=1e-4 * np.abs(rhs).max())


@pytest.mark.parametrize("options", [{"ksp_type": "cg"}, {"pc_type": "cholesky"}, {"pc_type": "icc"}])
def test_methods_for_symmetric_matrices_are_refused_for_others(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="not symmetric; use"):
        LinearSolver(matrix_of(np.eye(3)).mat, False, 2, "auto", options)


@pytest.mark.parametrize(
    ("options", "unused"),
    [
        ({"ksp_typo": 3, "pc_type": "lu"}, ["ksp_typo"]),
        ({"pc_gamg_treshold": 0.01, "log_vieuw": None, "pc_type": "gamg"}, ["pc_gamg_treshold", "log_vieuw"]),
        ({"ksp_type": "cg", "pc_type": "jacobi", "ksp_gmres_restart": 50}, ["ksp_gmres_restart"]),
        ({"ksp_rtol": 1e-9, "mg_levels_ksp_max_it": 3, "pc_gamg_threshold": 0.01, "pc_type": "gamg"}, []),
        ({}, []),
    ],
)
def test_options_that_petsc_does_not_use_are_named_once(
    options: dict[str, Any], unused: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    problem, rhs = clamped("triangle", 6)
    rhs[problem.prescribed.fixed[: problem.n_owned]] = 0.0
    with caplog.at_level(logging.WARNING, "solver.linear_solver"):
        solver = LinearSolver(problem.matrix, True, 2, "auto", options)
        assert solver.unused_options == []
        for _ in range(3):
            assert solver.factorise()
            assert solver.solve(rhs) is not None
    assert solver.unused_options == unused
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == (
        [f"PETSc does not use {', '.join(unused)}"] if unused else []
    )


def test_an_option_that_serves_only_after_definiteness_is_lost_still_serves() -> None:
    definite, indefinite = (random_symmetric(np.linspace(low, 5.0, 12)) for low in (1.0, -2.2))
    matrix = matrix_of(definite)
    options = {"pc_type": "none", "ksp_gmres_restart": 12}
    solver = LinearSolver(matrix.mat, True, 2, "iterative", options)
    assert solver.factorise()
    assert solver.solve(np.ones(12)) is not None
    assert "cg" in solver.describe()
    assert solver.unused_options == ["ksp_gmres_restart"]
    matrix.fill(np.ascontiguousarray(indefinite).ravel())
    assert solver.factorise()
    np.testing.assert_allclose(solver.solve(np.ones(12)), np.linalg.solve(indefinite, np.ones(12)), rtol=1e-7)
    assert "gmres" in solver.describe()
    assert solver.unused_options == []


LEFT_OVER = """
import logging
import numpy as np
from mpi4py import MPI
from petsc4py import PETSc
from solver.coordinate_matrix import CoordinateMatrix
from solver.linear_solver import LinearSolver
PETSc.Options()["options_left"] = None
places = np.arange(3)
matrix = CoordinateMatrix(MPI.COMM_SELF, (3, 3), 1, places, places)
matrix.fill(np.ones(3))
solver = LinearSolver(matrix.mat, True, 2, "auto", {"ksp_typo": 1})
assert solver.factorise() and solver.solve(np.ones(3)) is not None
"""


def test_petsc_ends_without_a_word_of_its_own_about_them() -> None:
    done = subprocess.run([sys.executable, "-c", LEFT_OVER], capture_output=True, text=True, check=True)
    assert "There are no unused options." in done.stdout
    assert done.stderr == "PETSc does not use ksp_typo: misspelt, or not an option of preonly + cholesky (mumps)\n"
