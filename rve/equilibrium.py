"""Equilibrium of one RVE: Newton's method for the fluctuation, then the exact condensation of the tangent."""

from collections import Counter

import numpy as np

from materials.measures import FloatArray
from rve.answer import Condensed, Equilibrium
from rve.assembly import Assembly
from rve.cell import Cell
from rve.factorization import SingularStiffness
from rve.instance import Instance
from rve.lagged_factorization import REUSE_FROM, LaggedFactorization
from rve.newton_settings import NewtonSettings

ROUND_OFF = 16.0 * float(np.finfo(float).eps)

COARSE = 1e-2
"""Relative error that no correction may exceed, however far from equilibrium it starts."""


class EquilibriumSolver:
    """Solves the RVEs of a kind one after the other with shared work arrays and one shared factorisation."""

    def __init__(self, cell: Cell, settings: NewtonSettings, counters: Counter[str]) -> None:
        """`counters` receives iterations, factorisations and fallbacks."""
        n, g = cell.n_dofs, cell.measure.size
        self.cell = cell
        self.settings = settings
        self.counters = counters
        solver, reuse = settings.direct_solver, settings.reuse_factor
        self._factorization = LaggedFactorization(cell, g, counters, solver, reuse and n >= REUSE_FROM)
        self._assembly = Assembly(cell, self._factorization.values)
        self._correction = np.zeros(n)
        self._candidate = np.zeros(n)
        self._provisional = False

    def solve(self, rve: Instance, gradient: FloatArray, dt: float, loose: float = 0.0) -> Equilibrium:
        """Bring the fluctuation of the iterate into equilibrium under `gradient` (g,), starting from what it is.

        On success the sensitivity of the iterate is ∂w/∂ḡ = −K⁻¹ ⟨BᵀC⟩ at the solution, and `condense` has the answer.
        With `loose` > 0 the solve stops at a relative residual below that: the answer is provisional, that of the
        linearisation there, and the iterate has taken the correction that the next solve starts from.
        """
        settings, assembly, fluctuation = self.settings, self._assembly, rve.last_fluctuation
        reference_force = rve.reference_force
        if not self._assemble(rve, gradient, dt, fluctuation):
            return Equilibrium(False, 0, np.inf, reference_force, f"{assembly.refusal}, at the first iterate")
        self._factorization.begin()
        rounding = round_off(largest(assembly.values), gradient, self.cell)
        for iteration in range(1, settings.max_iterations + 1):
            reference_force = max(reference_force, assembly.absolute_force.max(initial=0.0))
            tolerance = max(settings.tolerance * reference_force, rounding)
            residual = largest(assembly.residual)
            self.counters["cell_iterations"] += 1
            size = relative(residual, reference_force)
            self._provisional = residual > tolerance
            try:
                if residual <= max(tolerance, loose * reference_force):
                    self._finish(rve)
                    return Equilibrium(True, iteration, size, reference_force, provisional=self._provisional)
                # The error of the correction falls below the tolerance, or below what Newton's method itself leaves.
                accuracy = max(0.1 * tolerance / residual, min(0.1 * size, COARSE))
                self._factorization.solve(assembly.residual, self._correction, accuracy)
            except SingularStiffness as error:
                return Equilibrium(False, iteration, size, reference_force, str(error))
            refusal = self._line_search(rve, gradient, dt, tolerance)
            if refusal:
                return Equilibrium(False, iteration, size, reference_force, refusal)
            self._factorization.change()
        return Equilibrium(
            False,
            settings.max_iterations,
            relative(largest(assembly.residual), reference_force),
            reference_force,
            f"no equilibrium in {settings.max_iterations} iterations",
        )

    def _finish(self, rve: Instance) -> None:
        """Sensitivity at the present fluctuation, and the correction of a provisional one."""
        self._factorization.solve_block(self._assembly.force_sensitivity, rve.sensitivity)
        np.negative(rve.sensitivity, out=rve.sensitivity)
        if self._provisional:
            self._factorization.solve(self._assembly.residual, self._correction, COARSE)
            rve.last_fluctuation[:] -= self._correction
            self.counters["cell_provisional"] += 1

    def _assemble(self, rve: Instance, gradient: FloatArray, dt: float, fluctuation: FloatArray) -> bool:
        return self._assembly.assemble(gradient, dt, fluctuation, rve.committed, rve.trial)

    def _line_search(self, rve: Instance, gradient: FloatArray, dt: float, tolerance: float) -> str:
        """Subtract the correction from the fluctuation, halved until it no longer overshoots; else say why it does not.

        A step is taken when the work of the residual on the correction, the slope of the incremental energy along it,
        is smaller than before, or when it ends in equilibrium.
        """
        assembly, halvings = self._assembly, self.settings.max_halvings
        work = abs(float(self._correction @ assembly.residual))
        step = 1.0
        for _ in range(halvings + 1):
            np.multiply(self._correction, -step, out=self._candidate)
            self._candidate += rve.last_fluctuation
            answered = self._assemble(rve, gradient, dt, self._candidate)
            if answered:
                new_work = abs(float(self._correction @ assembly.residual))
                if new_work <= 0.9 * work or largest(assembly.residual) <= tolerance:
                    rve.last_fluctuation[:] = self._candidate
                    return ""
            self.counters["cell_line_searches"] += 1
            step *= 0.5
        if answered:
            return f"the line search still overshot after {halvings} halvings"
        return f"{assembly.refusal}, even after {halvings} halvings of the correction"

    def condense(self, rve: Instance) -> Condensed:
        """Averages at the solution just found.

        The tangent is Ā = ⟨C⟩ − (1/V) ⟨CB⟩ K⁻¹ ⟨BᵀC⟩. A provisional solution has the flux ⟨σ⟩ − (1/V) ⟨CB⟩ K⁻¹ r: what
        the correction still to come will change, to first order.
        """
        assembly, volume = self._assembly, self.cell.volume
        tangent: FloatArray = assembly.flux_sensitivity @ rve.sensitivity.T
        tangent += assembly.tangent_sum
        tangent /= volume
        if self.cell.symmetric:
            tangent += tangent.T.copy()
            tangent *= 0.5
        flux = assembly.flux_sum.copy()
        if self._provisional:
            flux[:-1] -= assembly.flux_sensitivity @ self._correction
        flux /= volume
        return Condensed(flux[:-1], tangent, float(flux[-1]))


def round_off(stiffness: float, gradient: FloatArray, cell: Cell) -> float:
    """Size of a residual that rounding alone can leave: that of the stiffness times the displacements.

    It matters close to rest at finite strain, where small stresses are differences of numbers of order one.
    """
    return ROUND_OFF * stiffness * largest(gradient) * float(cell.mesh.size.max())


def largest(vector: FloatArray) -> float:
    """Largest absolute component; 0 for an empty vector."""
    return float(np.abs(vector).max(initial=0.0))


def relative(residual: float, reference: float) -> float:
    """A residual in units of a reference force, where there is one."""
    return residual / reference if reference > 0.0 else residual
