"""Equilibrium of one RVE: Newton's method for the fluctuation, then the exact condensation of the tangent."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from materials.measures import FloatArray
from rve.assembly import Assembly
from rve.bordered_factorization import cell_factorization
from rve.cell import Cell
from rve.factorization import SingularStiffness

ROUND_OFF = 16.0 * float(np.finfo(float).eps)


class NewtonSettings(NamedTuple):
    """When a cell is in equilibrium and what is tried to get there."""

    tolerance: float = 1e-10
    """Largest residual component, relative to the largest assembled absolute internal force the cell has seen."""
    max_iterations: int = 25
    max_halvings: int = 8
    """How often a line search halves a correction that makes the residual grow or leaves a law's domain."""


class Equilibrium(NamedTuple):
    """Outcome of one solve; the fluctuation itself is updated in place."""

    converged: bool
    iterations: int
    """Linearisations: element passes whose stiffness was factorised, the one at the solution included."""
    residual: float
    """Relative residual of the last accepted fluctuation; infinite where no law answered."""
    reference_force: float
    reason: str = ""
    """Why it failed, in words."""


class EquilibriumSolver:
    """Solves the RVEs of a kind one after the other with shared work arrays and one shared factorisation."""

    def __init__(self, cell: Cell, settings: NewtonSettings, counters: Counter[str]) -> None:
        """`counters` receives cell updates, iterations, factorisations and fallbacks."""
        n, g = cell.n_dofs, cell.measure.size
        self.cell = cell
        self.settings = settings
        self.counters = counters
        self._factorization = cell_factorization(cell, g, counters)
        self._assembly = Assembly(cell, self._factorization.values)
        self._stiffness = 0.0
        self._correction = np.zeros(n)
        self._candidate = np.zeros(n)

    def solve(
        self,
        gradient: FloatArray,
        dt: float,
        fluctuation: FloatArray,
        committed: Sequence[FloatArray],
        trial: Sequence[FloatArray],
        reference_force: float,
    ) -> Equilibrium:
        """Bring `fluctuation` (n,) into equilibrium under `gradient` (g,), starting from its present values.

        On success the stiffness at the solution is factorised, ready for `condense`.
        """
        settings, assembly = self.settings, self._assembly
        self.counters["cell_updates"] += 1
        if not assembly.assemble(gradient, dt, fluctuation, committed, trial):
            return Equilibrium(False, 0, np.inf, reference_force, "a law has no answer at the first iterate")
        round_off = self._round_off(gradient)
        for iteration in range(1, settings.max_iterations + 1):
            reference_force = max(reference_force, assembly.absolute_force.max(initial=0.0))
            tolerance = max(settings.tolerance * reference_force, round_off)
            residual = _largest(assembly.residual)
            try:
                self._factorization.refactor()
            except SingularStiffness as error:
                return Equilibrium(False, iteration, _relative(residual, reference_force), reference_force, str(error))
            self.counters["cell_iterations"] += 1
            if residual <= tolerance:
                return Equilibrium(True, iteration, _relative(residual, reference_force), reference_force)
            self._factorization.solve(assembly.residual, self._correction)
            if not self._line_search(gradient, dt, fluctuation, committed, trial, tolerance):
                return Equilibrium(
                    False,
                    iteration,
                    _relative(residual, reference_force),
                    reference_force,
                    f"the line search still overshot after {settings.max_halvings} halvings",
                )
        return Equilibrium(
            False,
            settings.max_iterations,
            _relative(_largest(assembly.residual), reference_force),
            reference_force,
            f"no equilibrium in {settings.max_iterations} iterations",
        )

    def _round_off(self, gradient: FloatArray) -> float:
        """Size of a residual that rounding alone can leave: that of the stiffness times the displacements.

        It matters close to rest at finite strain, where small stresses are differences of numbers of order one.
        """
        if self._stiffness == 0.0:
            self._stiffness = _largest(self._assembly.values)
        displacement = _largest(gradient) * float(self.cell.mesh.size.max())
        return ROUND_OFF * self._stiffness * displacement

    def _line_search(
        self,
        gradient: FloatArray,
        dt: float,
        fluctuation: FloatArray,
        committed: Sequence[FloatArray],
        trial: Sequence[FloatArray],
        tolerance: float,
    ) -> bool:
        """Subtract the correction from `fluctuation`, halved until it no longer overshoots.

        A step is taken when the work of the residual on the correction, the slope of the incremental energy along it,
        is smaller than before, or when it ends in equilibrium.
        """
        work = abs(float(self._correction @ self._assembly.residual))
        step = 1.0
        for _ in range(self.settings.max_halvings + 1):
            np.multiply(self._correction, -step, out=self._candidate)
            self._candidate += fluctuation
            if self._assembly.assemble(gradient, dt, self._candidate, committed, trial):
                new_work = abs(float(self._correction @ self._assembly.residual))
                if new_work <= 0.9 * work or _largest(self._assembly.residual) <= tolerance:
                    fluctuation[:] = self._candidate
                    return True
            self.counters["cell_line_searches"] += 1
            step *= 0.5
        return False

    def condense(self, sensitivity: FloatArray) -> tuple[FloatArray, FloatArray, float]:
        """Averages at the solution just found: flux (g,), tangent (g, g), out-of-plane flux.

        The tangent is Ā = ⟨C⟩ − (1/V) ⟨CB⟩ K⁻¹ ⟨BᵀC⟩; `sensitivity` (g, n) receives ∂w/∂ḡ = −K⁻¹ ⟨BᵀC⟩.
        """
        assembly, volume = self._assembly, self.cell.volume
        self._factorization.solve_block(assembly.force_sensitivity, sensitivity)
        np.negative(sensitivity, out=sensitivity)
        tangent: FloatArray = assembly.flux_sensitivity @ sensitivity.T
        tangent += assembly.tangent_sum
        tangent /= volume
        if self.cell.symmetric:
            tangent += tangent.T.copy()
            tangent *= 0.5
        flux = assembly.flux_sum.copy()
        flux /= volume
        return flux[:-1], tangent, float(flux[-1])


def _largest(vector: FloatArray) -> float:
    return float(np.abs(vector).max(initial=0.0))


def _relative(residual: float, reference: float) -> float:
    return residual / reference if reference > 0.0 else residual
