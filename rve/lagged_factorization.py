"""Solves with a factor that may be older than the stiffness: refined, or renewed where that would not pay."""

import math
from collections import Counter

import numpy as np
from scipy.sparse import csr_array

from materials.measures import FloatArray
from rve.bordered_factorization import cell_factorization
from rve.cell import Cell
from rve.newton_settings import DirectSolver

REFINEMENTS = 3
"""Solves with the old factor that cost less than a new one, in the plane; in space a new one costs still more."""

EXACT = 1e-12
"""Relative residual at which a refined solution counts as one of the present factor."""


class LaggedFactorization:
    """The factorisation of a cell kind, renewed only where the last factor no longer serves.

    Towards the end of Newton's method the stiffness hardly changes. A solution with the factor K₀ before the last
    correction is then improved by X ← X + K₀⁻¹ (B − K X) with the present stiffness K (iterative refinement, Wilkinson
    1963), at a fraction of what a factorisation costs. Where that would take more than a few solves, K is factorised.
    """

    def __init__(
        self,
        cell: Cell,
        n_sides: int,
        counters: Counter[str],
        direct_solver: DirectSolver = "auto",
        reuse: bool = True,
    ) -> None:
        """For blocks of `n_sides` right-hand sides; `counters` receives factorisations and refinements.

        Without `reuse` every change is factorised.
        """
        self._cell, self._reuse = cell, reuse
        self._inner = cell_factorization(cell, n_sides, counters, direct_solver)
        self._counters = counters
        self.values = self._inner.values
        """The present stiffness, to be assembled into."""
        n = cell.n_dofs
        self._stiffness = csr_array((self.values, cell.pattern.columns, cell.pattern.row_starts), shape=(n, n))
        self._serves = False
        """Whether the factor is of a stiffness near the present one."""
        self._current = False
        """Whether it is of the present one."""

    def begin(self) -> None:
        """Forget the factor: the values are those of another RVE, or of one far from where it was."""
        self._serves = self._current = False

    def change(self) -> None:
        """Take note that the values have changed a little."""
        self._current = False

    def solve(self, side: FloatArray, solution: FloatArray, accuracy: float = EXACT) -> None:
        """Solve K x = side for one right-hand side (n,), to a relative residual of `accuracy`.

        Raises:
            SingularStiffness: the stiffness has no factorisation.
        """
        if not self._current:
            if self._serves:
                self._inner.solve(side, solution)
                if self._refined(side[None], solution[None], accuracy):
                    return
            self._renew()
        self._inner.solve(side, solution)

    def solve_block(self, sides: FloatArray, solutions: FloatArray) -> None:
        """Solve for (n_sides, n) right-hand sides, one per row, all of them at once; as exactly as a factor does.

        Raises:
            SingularStiffness: the stiffness has no factorisation.
        """
        if not self._current:
            if self._serves:
                self._inner.solve_block(sides, solutions)
                if self._refined(sides, solutions, EXACT):
                    return
            self._renew()
        self._inner.solve_block(sides, solutions)

    def _renew(self) -> None:
        self._serves = False
        self._inner.refactor()
        self._serves, self._current = self._reuse, True

    def _refined(self, sides: FloatArray, solutions: FloatArray, accuracy: float) -> bool:
        """Improve first solutions until they are accurate; false as soon as that would take too long."""
        before, target = float(np.abs(sides).max()), accuracy * float(np.abs(sides).max())
        correction = np.empty_like(solutions)
        for number in range(REFINEMENTS + 1):
            residual = np.ascontiguousarray(sides - (self._stiffness @ solutions.T).T)
            for row in residual:
                self._cell.remove_reactions(row)
            size = float(np.abs(residual).max())
            if size <= target:
                return True
            rate = size / before
            if not rate < 1.0 or math.log(target / size) / math.log(rate) > REFINEMENTS - number:
                return False
            before = size
            if len(sides) == 1:
                self._inner.solve(residual[0], correction[0])
            else:
                self._inner.solve_block(residual, correction)
            solutions += correction
            self._counters["cell_refinements"] += 1
        return False
