"""A constrained solve by elimination around the factor against the dense saddle point system."""

from collections import Counter

import numpy as np
import pytest

from materials.measures import FloatArray
from rve.bordered_factorization import BorderedFactorization
from rve.cell import Pattern
from rve.factorization import SingularStiffness
from rve.traction import Constraint

N, G = 9, 3


def dense_pattern() -> Pattern:
    """Every entry present."""
    return Pattern(np.arange(0, N * N + 1, N, dtype=np.int32), np.tile(np.arange(N, dtype=np.int32), N))


def orthonormal_rows(matrix: FloatArray) -> FloatArray:
    """A basis of the rows."""
    return np.ascontiguousarray(np.linalg.qr(matrix.T)[0].T)


def saddle_point_solution(matrix: FloatArray, rows: FloatArray, side: FloatArray) -> FloatArray:
    """The part w of K w + Eᵀ λ = f, E w = 0."""
    border = np.zeros((len(rows), len(rows)))
    return np.linalg.solve(np.block([[matrix, rows.T], [rows, border]]), np.append(side, np.zeros(len(rows))))[:N]


@pytest.mark.parametrize("n_free", [0, 1, G])
@pytest.mark.parametrize("kind", ["definite", "indefinite", "unsymmetric"])
def test_solves_the_saddle_point_system(kind: str, n_free: int) -> None:
    """Also where the stiffness is singular for `n_free` fields that only the constraint sees."""
    rng = np.random.default_rng(4)
    axes = np.linalg.qr(rng.normal(size=(N, N)))[0]
    eigenvalues = np.linspace(1.0, 3.0, N)
    eigenvalues[:n_free] = 0.0
    if kind == "indefinite":
        eigenvalues[-1] = -2.0
    matrix = axes @ np.diag(eigenvalues) @ axes.T
    if kind == "unsymmetric":
        matrix += 0.2 * rng.normal(size=(N, N)) @ axes[:, n_free:] @ axes[:, n_free:].T
    rows = orthonormal_rows(axes[:, :G].T + 0.1 * rng.normal(size=(G, N)))
    springs = np.zeros((G, N))
    springs[:, 1:7] = orthonormal_rows(axes[1:7, :G].T)

    factorization = BorderedFactorization(
        dense_pattern(), kind != "unsymmetric", G, Counter(), Constraint(rows, springs)
    )
    for scale in (1.0, 50.0):
        factorization.values[:] = scale * matrix.ravel()
        factorization.refactor()
        assert np.array_equal(factorization.values, scale * matrix.ravel())  # the springs are not left in them
        sides = rng.normal(size=(G, N))
        exact = np.array([saddle_point_solution(scale * matrix, rows, side) for side in sides])
        solution, solutions = np.empty(N), np.empty((G, N))
        factorization.solve(sides[0], solution)
        factorization.solve_block(sides, solutions)
        assert np.allclose(solution, exact[0], atol=1e-12)
        assert np.allclose(solutions, exact, atol=1e-12)
        assert np.abs(rows @ solution).max() < 1e-12


def test_a_constraint_that_does_not_hold_is_refused() -> None:
    """Two of its rows are the same: the multipliers have no answer."""
    rows = np.eye(N)[[0, 1, 1]]
    factorization = BorderedFactorization(dense_pattern(), True, G, Counter(), Constraint(rows, np.eye(N)[3:6]))
    factorization.values[:] = np.eye(N).ravel()
    with pytest.raises(SingularStiffness, match="admissible"):
        factorization.refactor()
