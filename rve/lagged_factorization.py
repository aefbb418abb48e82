"""Solves with a factor that may be older than the stiffness: refined, or renewed where that would not pay."""

from collections import Counter

import numpy as np
from scipy.sparse import csr_array

from materials.measures import FloatArray
from rve.bordered_factorization import cell_factorization
from rve.cell import Cell
from rve.gmres import gmres
from rve.newton_settings import DirectSolver

ITERATIONS = {2: (3, 6), 3: (9, 18)}
"""Iterations with the old factor that cost about half of a new one, by dimension: for a block of right-hand sides, and
for a single one (benchmarks/krylov_cell.py). In space they grow as n^⅔ beyond `MANY` dofs, as the cost of a factor
does in units of a solution with it (George 1973)."""

MANY = 15_000
"""Dofs n at which the cost of a factor in space begins to outgrow that of solutions, as measured."""

REUSE_FROM = 1_000
"""Dofs from which a factorisation costs more than the bookkeeping of the iterations."""

EXACT = 1e-12
"""Relative residual at which a refined solution counts as one of the present factor."""


class LaggedFactorization:
    """The factorisation of a cell kind, renewed only where the last factor no longer serves.

    From one iteration of Newton's method to the next the stiffness changes less and less. A solution with the factor K₀
    of an earlier one is then improved by minimal residuals with the present stiffness K (`gmres`), at a fraction of
    what a factorisation costs. Where that would take too long, K is factorised.
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
        growth = max(1.0, n / MANY) ** (2.0 / 3.0) if cell.measure.dimension == 3 else 1.0
        self._block_limit, self._single_limit = (round(growth * limit) for limit in ITERATIONS[cell.measure.dimension])
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
        limit = self._single_limit if len(sides) == 1 else self._block_limit
        working = self._without_reactions(sides.copy())
        found, iterations = gmres(self._multiply, self._precondition, working, solutions, accuracy, limit)
        self._counters["cell_refinements"] += iterations
        return found

    def _multiply(self, vectors: FloatArray) -> FloatArray:
        # faster than scipy's product with a block
        return self._without_reactions(np.array([self._stiffness @ vector for vector in vectors]))

    def _without_reactions(self, forces: FloatArray) -> FloatArray:
        for row in forces:
            self._cell.remove_reactions(row)
        return forces

    def _precondition(self, sides: FloatArray) -> FloatArray:
        solutions = np.empty_like(sides)
        if len(sides) == 1:
            self._inner.solve(sides[0], solutions[0])
        else:
            self._inner.solve_block(sides, solutions)
        return solutions
