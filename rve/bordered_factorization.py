"""Factorisation of a stiffness under a few linear constraints, by a border around the sparse factor."""

from collections import Counter

import numpy as np

from materials.measures import FloatArray
from rve.cell import Cell, Pattern
from rve.factorization import Factorization, SingularStiffness
from rve.newton_settings import DirectSolver
from rve.traction import Constraint


def cell_factorization(
    cell: Cell, n_sides: int, counters: Counter[str], direct_solver: DirectSolver = "auto"
) -> "Factorization | BorderedFactorization":
    """The factorisation for the boundary condition of a cell, for blocks of `n_sides` right-hand sides."""
    if cell.constraint is None:
        return Factorization(cell.pattern, cell.symmetric, n_sides, counters, direct_solver)
    return BorderedFactorization(cell.pattern, cell.symmetric, n_sides, counters, cell.constraint, direct_solver)


class BorderedFactorization:
    """Solves K w + Eᵀ λ = f, E w = 0 with the interface of `Factorization`: callers see only w.

    The rows of E are dense and would fill the factor of the saddle point matrix. Here the factor is that of K with a
    few springs, K + α Pᵀ P, and multipliers and spring forces follow from a small dense system (block elimination of
    bordered systems, Govaerts 2000). The springs make the factor exist where the constrained problem has an answer; the
    border takes their forces −μ = α P w away again, so that nothing depends on α:

        (K + α Pᵀ P) w + Eᵀ λ + Pᵀ μ = f,   E w = 0,   P w + μ/α = 0.
    """

    def __init__(
        self,
        pattern: Pattern,
        symmetric: bool,
        n_sides: int,
        counters: Counter[str],
        constraint: Constraint,
        direct_solver: DirectSolver = "auto",
    ) -> None:
        """As `Factorization`; `n_sides` is the number of constraints, and of springs."""
        self._inner = Factorization(pattern, symmetric, n_sides, counters, direct_solver)
        self.values = np.zeros_like(self._inner.values)
        self._border = np.vstack([constraint.rows, constraint.springs])
        self._n_constraints = len(constraint.rows)
        dofs = constraint.spring_dofs
        self._spring_positions = pattern.positions(dofs[None])[0]
        self._springs = constraint.springs[:, dofs].T @ constraint.springs[:, dofs]
        self._responses = np.zeros_like(self._border)
        self._inverse = np.zeros((len(self._border), len(self._border)))

    @property
    def size(self) -> int:
        """Number of dofs."""
        return self._inner.size

    def refactor(self) -> None:
        """Factorise the present `values` and the border.

        Raises:
            SingularStiffness: no factorisation exists, or the constraint leaves the cell unstable.
        """
        stiffness = float(np.abs(self.values[np.diag(self._spring_positions)]).max())
        self._inner.values[:] = self.values
        self._inner.values[self._spring_positions] += stiffness * self._springs
        self._inner.refactor()
        n = self._n_constraints
        for block in (slice(0, n), slice(n, None)):
            self._inner.solve_block(self._border[block], self._responses[block])
        schur = self._border @ self._responses.T
        schur[n:, n:] -= np.eye(len(schur) - n) / stiffness
        try:
            self._inverse[:] = np.linalg.inv(schur)
        except np.linalg.LinAlgError:
            raise SingularStiffness("the stiffness of the cell is singular on the admissible fluctuations") from None

    def solve(self, side: FloatArray, solution: FloatArray) -> None:
        """Solve for one right-hand side (n,) into `solution` (n,)."""
        self._inner.solve(side, solution)
        solution -= (self._inverse @ (self._border @ solution)) @ self._responses

    def solve_block(self, sides: FloatArray, solutions: FloatArray) -> None:
        """Solve for (n_sides, n) right-hand sides, one per row, all of them at once."""
        self._inner.solve_block(sides, solutions)
        solutions -= (solutions @ self._border.T) @ self._inverse.T @ self._responses
