"""Direct factorisation of a cell's stiffness: analysed once per kind, refactorised for every set of values."""

from collections import Counter

import numpy as np
from petsc4py import PETSc

from materials.measures import FloatArray
from rve.cell import Pattern
from rve.newton_settings import DirectSolver

_PREFIX = "fe2_cell_"
_CHOLMOD_OPTIONS: dict[str, int] = {
    "mat_cholmod_nmethods": 9,  # the analysis is done once: let it try every ordering, nested dissection too
    "mat_cholmod_print": 0,  # a lost definiteness is counted and answered, not printed
    # LLᵀ for small matrices too, where CHOLMOD's LDLᵀ would pass over negative pivots in silence
    "mat_cholmod_final_asis": 0,
    "mat_cholmod_final_super": 1,
    "mat_cholmod_final_ll": 1,
}


class SingularStiffness(ArithmeticError):
    """No factorisation of the stiffness exists: the cell has lost its stability, or the values are not finite."""


class Factorization:
    """One matrix and its factor, shared by all cells of a kind: cells take turns.

    The matrix lives on the arrays of `values` (nnz,), which the element kernel writes; nothing is allocated when the
    values change. Symmetric stiffness is factorised by Cholesky; when it is not positive definite, by LDLᵀ; unsymmetric
    stiffness by LU.
    """

    def __init__(
        self,
        pattern: Pattern,
        symmetric: bool,
        n_sides: int,
        counters: Counter[str],
        direct_solver: DirectSolver = "auto",
    ) -> None:
        """Prepare for `n_sides` simultaneous right-hand sides; `counters` receives what happened."""
        self._pattern = pattern
        self._symmetric = symmetric
        self._n_sides = n_sides
        self._counters = counters
        self._direct_solver = direct_solver
        self.size = pattern.row_starts.size - 1
        self.values = np.zeros(pattern.columns.size)
        self._definite = self._method(symmetric, definite=True) if self.size else None
        self._analyse()
        self._indefinite: _Method | None = None
        self._current = self._definite

    def _method(self, symmetric: bool, definite: bool) -> "_Method":
        package = _package(self._direct_solver, symmetric and definite)
        return _Method(self._pattern, self.values, symmetric, definite, self._n_sides, package)

    def _analyse(self) -> None:
        """Factorise the unit matrix: PETSc would repeat an analysis whose first factorisation fails, and complain."""
        if self._definite is not None:
            rows = np.repeat(np.arange(self.size), np.diff(self._pattern.row_starts))
            self.values[rows == self._pattern.columns] = 1.0
            self._definite.refactor()
            self.values.fill(0.0)

    def refactor(self) -> None:
        """Factorise the present `values`.

        Raises:
            SingularStiffness: they are singular or not finite.
        """
        if self._definite is None:
            return
        self._counters["factorizations"] += 1
        if not np.isfinite(self.values.sum()):
            raise SingularStiffness("the stiffness of the cell is not finite")
        self._current = self._definite
        if self._current.refactor():
            return
        if self._symmetric:
            self._counters["indefinite_factorizations"] += 1
            if self._indefinite is None:
                self._indefinite = self._method(symmetric=True, definite=False)
            self._current = self._indefinite
            if self._current.refactor():
                self._counters["negative_pivots"] += self._current.negative_pivots()
                return
        raise SingularStiffness("the stiffness of the cell is singular")

    def solve(self, side: FloatArray, solution: FloatArray) -> None:
        """Solve K x = side for one right-hand side (n,) into `solution` (n,)."""
        if self._current is not None:
            self._current.solve(side, solution)

    def solve_block(self, sides: FloatArray, solutions: FloatArray) -> None:
        """Solve K X = sides, both (n_sides, n): one row per right-hand side, all of them at once."""
        if self._current is not None:
            self._current.solve_block(sides, solutions)


class _Method:
    """One way of factorising: the PETSc objects, created once."""

    def __init__(
        self, pattern: Pattern, values: FloatArray, symmetric: bool, definite: bool, n_sides: int, package: str
    ) -> None:
        n = pattern.row_starts.size - 1
        comm = PETSc.COMM_SELF
        self._matrix = PETSc.Mat().createAIJWithArrays((n, n), (pattern.row_starts, pattern.columns, values), comm=comm)
        self._matrix.setOption(PETSc.Mat.Option.SYMMETRIC, symmetric)
        self._matrix.setOption(PETSc.Mat.Option.SPD, symmetric and definite)
        self._side = np.zeros(n)
        self._solution = np.zeros(n)
        self._sides = np.zeros((n_sides, n))
        self._solutions = np.zeros((n_sides, n))
        self._side_vector = PETSc.Vec().createWithArray(self._side, comm=comm)
        self._solution_vector = PETSc.Vec().createWithArray(self._solution, comm=comm)
        self._sides_matrix = PETSc.Mat().createDense((n, n_sides), array=self._sides.T, comm=comm)
        self._solutions_matrix = PETSc.Mat().createDense((n, n_sides), array=self._solutions.T, comm=comm)
        self._matrix.setOptionsPrefix(_PREFIX)
        self._preconditioner = PETSc.PC().create(comm)
        self._preconditioner.setOptionsPrefix(_PREFIX)
        self._preconditioner.setOperators(self._matrix)
        self._preconditioner.setType(PETSc.PC.Type.CHOLESKY if symmetric else PETSc.PC.Type.LU)
        self._preconditioner.setFactorSolverType(package)
        self._definite = definite
        self._counts_pivots = package == "mumps" and symmetric
        self._options = _CHOLMOD_OPTIONS if package == "cholmod" else {}

    def refactor(self) -> bool:
        """Factorise the present values; false when this method cannot."""
        self._matrix.stateIncrease()
        for option, value in self._options.items():  # read at the first set-up; PETSc reports those set for nothing
            PETSc.Options(_PREFIX)[option] = value
        self._options = {}
        try:
            self._preconditioner.setUp()
        except PETSc.Error:
            return False
        if self._preconditioner.getFailedReason() != PETSc.PC.FailedReason.NOERROR:
            return False
        return not (self._definite and self.negative_pivots())  # over which MUMPS passes in silence

    def negative_pivots(self) -> int:
        """Negative pivots of the last factorisation, where the method counts them."""
        return int(self._preconditioner.getFactorMatrix().getMumpsInfog(12)) if self._counts_pivots else 0

    def solve(self, side: FloatArray, solution: FloatArray) -> None:
        self._side[:] = side
        self._side_vector.stateIncrease()
        self._preconditioner.apply(self._side_vector, self._solution_vector)
        solution[:] = self._solution

    def solve_block(self, sides: FloatArray, solutions: FloatArray) -> None:
        self._sides[:] = sides
        self._sides_matrix.stateIncrease()
        self._preconditioner.matApply(self._sides_matrix, self._solutions_matrix)
        solutions[:] = self._solutions


def is_available(direct_solver: DirectSolver) -> bool:
    """Whether PETSc has been built with a direct solver."""
    names = {"auto": ("mumps",), "cholmod": ("cholmod", "suitesparse")}.get(direct_solver, (direct_solver,))
    return any(PETSc.Sys.hasExternalPackage(name) for name in names)


def _package(direct_solver: DirectSolver, definite: bool) -> str:
    """What PETSc is asked for; CHOLMOD, the fastest, can only do Cholesky."""
    if direct_solver in ("auto", "cholmod"):
        return "cholmod" if definite and is_available("cholmod") else "mumps"
    return direct_solver
