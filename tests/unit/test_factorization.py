"""The shared factorisation: Cholesky, LDLᵀ where definiteness is lost, LU where symmetry is not declared."""

from collections import Counter

import numpy as np
import pytest
import scipy.sparse as sparse

from materials.measures import FloatArray
from rve.cell import Pattern
from rve.factorization import Factorization, SingularStiffness
from rve.newton_settings import DirectSolver


def dense_pattern(n: int) -> Pattern:
    """Every entry present."""
    return Pattern(np.arange(0, n * n + 1, n, dtype=np.int32), np.tile(np.arange(n, dtype=np.int32), n))


def laplacian(n: int) -> FloatArray:
    """A positive definite matrix (n, n)."""
    return sparse.diags([-1.0, 2.5, -1.0], [-1, 0, 1], shape=(n, n)).toarray()


@pytest.mark.parametrize("n", [3, 400])
@pytest.mark.parametrize("direct_solver", ["auto", "mumps"])
@pytest.mark.parametrize("case", ["definite", "indefinite", "unsymmetric"])
def test_solves_with_the_present_values(n: int, case: str, direct_solver: DirectSolver) -> None:
    rng = np.random.default_rng(0)
    matrix = laplacian(n)
    if case == "indefinite":
        matrix[1, 1] = -3.0
    if case == "unsymmetric":
        matrix += np.diag(rng.uniform(0.5, 1.0, n - 1), 1)
    counters: Counter[str] = Counter()
    factorization = Factorization(dense_pattern(n), case != "unsymmetric", 3, counters, direct_solver)
    for scale in (1.0, 2.0):  # a second set of values must not be answered with the first factor
        factorization.values[:] = scale * matrix.ravel()
        factorization.refactor()
        side, sides = rng.normal(size=n), rng.normal(size=(3, n))
        solution, solutions = np.empty(n), np.empty((3, n))
        factorization.solve(side, solution)
        factorization.solve_block(sides, solutions)
        assert np.allclose(scale * matrix @ solution, side, atol=1e-10)
        assert np.allclose(scale * matrix @ solutions.T, sides.T, atol=1e-10)
    assert counters["factorizations"] == 2
    assert counters["indefinite_factorizations"] == (2 if case == "indefinite" else 0)
    assert counters["negative_pivots"] == (2 if case == "indefinite" else 0)


def test_back_to_cholesky_once_definite_again() -> None:
    counters: Counter[str] = Counter()
    factorization = Factorization(dense_pattern(5), True, 1, counters)
    solution = np.empty(5)
    for sign in (-1.0, 1.0):
        factorization.values[:] = sign * laplacian(5).ravel()
        factorization.refactor()
        factorization.solve(np.ones(5), solution)
        assert np.allclose(sign * laplacian(5) @ solution, 1.0)
    assert counters["indefinite_factorizations"] == 1


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(bad: float) -> None:
    factorization = Factorization(dense_pattern(4), True, 1, Counter())
    factorization.values[:] = laplacian(4).ravel()
    factorization.values[0] = bad
    with pytest.raises(SingularStiffness):
        factorization.refactor()


def test_a_singular_matrix_is_refused() -> None:
    factorization = Factorization(dense_pattern(4), True, 1, Counter())
    factorization.values[:] = 0.0
    with pytest.raises(SingularStiffness):
        factorization.refactor()
