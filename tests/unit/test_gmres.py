"""Minimal residuals against dense solutions, for symmetric, unsymmetric and indefinite matrices."""

import numpy as np
import pytest

from materials.measures import FloatArray
from rve.gmres import Operator, gmres

N = 40


def times(matrix: FloatArray) -> Operator:
    return lambda vectors: vectors @ matrix.T


def nearby(kind: str, size: float) -> tuple[FloatArray, FloatArray]:
    """A matrix, and one that differs by `size` relative to it."""
    rng = np.random.default_rng(1)
    scales = np.geomspace(1.0, 1e3, N) * (np.where(np.arange(N) % 7, 1.0, -1.0) if kind == "indefinite" else 1.0)
    basis = np.linalg.qr(rng.normal(size=(N, N)))[0]
    matrix = basis @ np.diag(scales) @ basis.T
    change = rng.uniform(-size, size, (N, N)) / np.sqrt(N)
    if kind != "unsymmetric":
        change = (change + change.T) / 2.0
    return matrix, matrix + matrix @ change @ matrix / 1e3


@pytest.mark.parametrize("kind", ["symmetric", "unsymmetric", "indefinite"])
def test_every_row_is_solved_also_one_without_a_load(kind: str) -> None:
    matrix, changed = nearby(kind, 0.2)
    sides = np.random.default_rng(2).normal(size=(3, N))
    sides[1] = 0.0
    solutions = sides @ np.linalg.inv(matrix).T
    found, iterations = gmres(times(changed), times(np.linalg.inv(matrix)), sides, solutions, 1e-12, 25)
    assert found
    assert iterations > 3
    assert np.linalg.norm(sides - solutions @ changed.T, axis=1).max() <= 1e-11 * np.linalg.norm(sides, axis=1).max()
    assert not solutions[1].any()


def test_a_change_of_rank_two_takes_two_iterations() -> None:
    """Where refinement reduces the residual by no more than a half each time."""
    vectors = np.linalg.qr(np.random.default_rng(3).normal(size=(N, 2)))[0]
    changed = np.eye(N) + vectors @ np.diag([0.5, -0.4]) @ vectors.T
    sides = np.random.default_rng(4).normal(size=(1, N))
    solutions = sides.copy()
    assert gmres(times(changed), times(np.eye(N)), sides, solutions, 1e-12, 40) == (True, 2)
    assert np.allclose(changed @ solutions[0], sides[0], rtol=0.0, atol=1e-11)


def test_what_would_take_too_long_is_given_up_and_nothing_changed() -> None:
    matrix, changed = nearby("symmetric", 0.2)
    products = []

    def multiply(vectors: FloatArray) -> FloatArray:
        products.append(vectors)
        return times(changed)(vectors)

    sides = np.random.default_rng(2).normal(size=(2, N))
    first = sides @ np.linalg.inv(matrix).T
    solutions = first.copy()
    found, _ = gmres(multiply, times(np.linalg.inv(matrix)), sides, solutions, 1e-12, 4)
    assert not found
    assert len(products) < 4
    assert np.array_equal(solutions, first)
