"""Solves with a factor that is older than the stiffness, against dense solves."""

from collections import Counter

import numpy as np
import pytest

from materials.measures import FloatArray, Measure, Physics
from meshes.cells import build_cell_mesh
from rve.cell import Cell, build_cell
from rve.lagged_factorization import EXACT, LaggedFactorization
from tests.verification.cells import PLASTIC, STIFF, fibre, law

UNSYMMETRIC = law("damage", E=1000.0, nu=0.3, threshold=1.0, failure=1.0)
"""A law whose tangent is declared unsymmetric; far below its threshold it is elastic."""


def cell_of(boundary: str, symmetric: bool) -> Cell:
    """A small cell."""
    mesh = build_cell_mesh(fibre(4), 2, "triangle")
    matrix = PLASTIC if symmetric else UNSYMMETRIC
    laws = {"matrix": matrix, "inclusion": STIFF[Physics.SMALL_STRAIN]}
    return build_cell(mesh, laws, Measure(Physics.SMALL_STRAIN, 2), 1, boundary)


def stiffness(cell: Cell, seed: int, symmetric: bool) -> FloatArray:
    """Values of a definite matrix with the pattern of the cell."""
    n, pattern = cell.n_dofs, cell.pattern
    rows = np.repeat(np.arange(n), np.diff(pattern.row_starts))
    dense = np.zeros((n, n))
    dense[rows, pattern.columns] = np.random.default_rng(seed).uniform(-1.0, 1.0, rows.size)
    if symmetric:
        dense[:] = 0.5 * (dense + dense.T)
    dense += 30.0 * np.eye(n)
    return np.asarray(dense[rows, pattern.columns])


def dense_solution(cell: Cell, values: FloatArray, sides: FloatArray) -> FloatArray:
    """The same by a dense saddle point."""
    n, pattern = cell.n_dofs, cell.pattern
    matrix = np.zeros((n, n))
    matrix[np.repeat(np.arange(n), np.diff(pattern.row_starts)), pattern.columns] = values
    rows = np.zeros((0, n)) if cell.constraint is None else cell.constraint.rows
    saddle = np.block([[matrix, rows.T], [rows, np.zeros((len(rows), len(rows)))]])
    padded = np.hstack([sides, np.zeros((len(sides), len(rows)))])
    return np.asarray(np.linalg.solve(saddle, padded.T).T[:, :n])


@pytest.mark.parametrize("boundary", ["periodic", "traction"])
@pytest.mark.parametrize("symmetric", [True, False])
def test_a_small_change_is_refined_and_a_large_one_renewed(boundary: str, symmetric: bool) -> None:
    """Both ways the solutions are those of the present values."""
    cell, counters = cell_of(boundary, symmetric), Counter[str]()
    factorization = LaggedFactorization(cell, 3, counters)
    sides = np.random.default_rng(7).normal(size=(3, cell.n_dofs))
    first, other = stiffness(cell, 1, symmetric), stiffness(cell, 2, symmetric)
    expected_factors = 0
    for share, renewed in ((0.0, True), (1e-5, False), (2e-4, False), (1.0, True)):
        factorization.values[:] = (1.0 - share) * first + share * other
        factorization.change()
        block, single = np.zeros_like(sides), np.zeros(cell.n_dofs)
        factorization.solve_block(sides, block)
        factorization.solve(sides[0], single)
        expected_factors += renewed
        assert counters["factorizations"] == expected_factors, share
        exact = dense_solution(cell, factorization.values, sides)
        assert np.abs(block - exact).max() < 10.0 * EXACT * np.abs(exact).max()
        assert np.abs(single - exact[0]).max() < 10.0 * EXACT * np.abs(exact[0]).max()


def test_accuracy_is_what_was_asked_for() -> None:
    """A coarse solve stops early, within its residual; a new RVE begins with a new factor."""
    cell, counters = cell_of("periodic", symmetric=True), Counter[str]()
    factorization = LaggedFactorization(cell, 3, counters)
    first, other = stiffness(cell, 1, True), stiffness(cell, 2, True)
    side, solution = np.random.default_rng(7).normal(size=cell.n_dofs), np.zeros(cell.n_dofs)
    factorization.values[:] = first
    factorization.solve(side, solution)
    factorization.values[:] = 0.98 * first + 0.02 * other
    factorization.change()
    factorization.solve(side, solution, accuracy=0.1)
    assert counters["cell_refinements"] == 0
    exact = dense_solution(cell, factorization.values, side[None])[0]
    assert 1e-8 < np.abs(solution - exact).max() / np.abs(exact).max() < 0.1
    assert counters["factorizations"] == 1
    factorization.begin()
    factorization.solve(side, solution, accuracy=0.1)
    assert counters["factorizations"] == 2
    assert np.abs(solution - exact).max() < 10.0 * EXACT * np.abs(exact).max()
