"""The elastic shortcut: a cell in which no state changes is answered by one factorisation for all cells of the kind."""

from collections import Counter
from typing import Any

import numpy as np

from materials.gradient_matrix import gradient_kind
from materials.measures import FloatArray
from rve.answer import Condensed, Equilibrium
from rve.assembly import Assembly
from rve.bordered_factorization import cell_factorization
from rve.cell import Cell, Phase
from rve.elastic_kernel import ELASTIC, elastic_phase
from rve.equilibrium import largest, relative, round_off
from rve.factorization import SingularStiffness
from rve.instance import NOWHERE, Instance
from rve.law_call import law_arguments
from rve.newton_settings import NewtonSettings

CORRECTIONS = 2
"""Corrections with the elastic stiffness before the full solve takes over; in exact arithmetic none is needed."""


def available(cell: Cell) -> bool:
    """Whether every law of a cell is linear as long as its state does not change."""
    return all(phase.law.linear_at_constant_state for phase in cell.phases)


class ElasticShortcut:
    """Answers the cells whose points all stay elastic between the committed and the asked gradient.

    The fluctuation of such a step is w = w_c + Σ W_k Δḡ_k, with W = ∂w/∂ḡ of the elastic cell. Every point is asked
    there; if a state changes anywhere, the step is not elastic and has to be solved. What rounding and the committed
    residual leave is taken off by −K_e⁻¹ r until the tolerance of the full solve is met, so that nothing drifts.
    """

    def __init__(self, cell: Cell, settings: NewtonSettings, counters: Counter[str]) -> None:
        """Factorise the cell at rest; `counters` receives what happened.

        Raises:
            SingularStiffness: at rest there is no answer, or the stiffness has no factorisation.
        """
        n, g = cell.n_dofs, cell.measure.size
        self._cell, self._settings, self._counters = cell, settings, counters
        self._factorization = cell_factorization(cell, g, counters, settings.direct_solver)
        assembly = Assembly(cell, self._factorization.values)
        states = [np.tile(phase.law.initial_state(), (phase.n_points, 1)) for phase in cell.phases]
        if not assembly.assemble(cell.measure.rest, 1.0, np.zeros(n), states, [state.copy() for state in states]):
            raise SingularStiffness(assembly.refusal)
        self._factorization.refactor()
        self._stiffness = largest(assembly.values)
        self._sensitivity = np.zeros((g, n))
        self._factorization.solve_block(assembly.force_sensitivity, self._sensitivity)
        np.negative(self._sensitivity, out=self._sensitivity)
        self._tangent: FloatArray = assembly.flux_sensitivity @ self._sensitivity.T
        self._tangent += assembly.tangent_sum
        self._tangent /= cell.volume
        if cell.symmetric:
            self._tangent += self._tangent.T.copy()
            self._tangent *= 0.5

        self._residual = np.zeros(n)
        self._absolute_force = np.zeros(n)
        self._flux_sum = np.zeros(g + 1)
        self._correction = np.zeros(n)
        self._arguments = [_arguments(cell, phase) for phase in cell.phases]
        self._first = np.concatenate([[0], np.cumsum([phase.elements.size for phase in cell.phases])])

    def solve(self, rve: Instance, gradient: FloatArray, dt: float) -> tuple[Equilibrium, Condensed] | None:
        """The answer at `gradient` (g,), with the iterate of `rve` moved there; None if the step is not elastic.

        Without an answer the iterate is left as it was.
        """
        candidate = (gradient - rve.gradient) @ self._sensitivity
        candidate += rve.fluctuation
        if self._flows_again(rve, gradient, dt, candidate):
            return None
        limit = round_off(self._stiffness, gradient, self._cell)
        for _ in range(CORRECTIONS + 1):
            flowing = self._assemble(rve, gradient, dt, candidate)
            if flowing != ELASTIC:
                rve.flowing[0] = flowing
                return None
            reference_force = max(rve.reference_force, self._absolute_force.max(initial=0.0))
            residual = largest(self._residual)
            if residual <= max(self._settings.tolerance * reference_force, limit):
                self._counters["cell_shortcuts"] += 1
                rve.last_fluctuation[:] = candidate
                rve.sensitivity[:] = self._sensitivity
                flux = self._flux_sum.copy()
                flux /= self._cell.volume
                outcome = Equilibrium(True, 1, relative(residual, reference_force), reference_force)
                return outcome, Condensed(flux[:-1], self._tangent, float(flux[-1]))
            self._factorization.solve(self._residual, self._correction)
            candidate -= self._correction
        return None

    def _flows_again(self, rve: Instance, gradient: FloatArray, dt: float, fluctuation: FloatArray) -> bool:
        """Whether a state changes in the element where one changed last: what is asked first, for it is cheap."""
        element = int(rve.flowing[0])
        if element == NOWHERE:
            return False
        phase = int(np.searchsorted(self._first, element, side="right")) - 1
        local = element - int(self._first[phase])
        return self._visit(phase, local, local + 1, rve, gradient, dt, fluctuation) != ELASTIC

    def _assemble(self, rve: Instance, gradient: FloatArray, dt: float, fluctuation: FloatArray) -> int:
        """Residual and flux of the cell; `ELASTIC`, or the element, counted over the phases, where a state changes."""
        for array in (self._residual, self._absolute_force, self._flux_sum):
            array.fill(0.0)
        for phase, arrays in enumerate(self._cell.phases):
            flowing = self._visit(phase, 0, arrays.elements.size, rve, gradient, dt, fluctuation)
            if flowing != ELASTIC:
                return int(self._first[phase]) + flowing
        self._cell.remove_reactions(self._residual)
        return ELASTIC

    def _visit(
        self, phase: int, first: int, stop: int, rve: Instance, gradient: FloatArray, dt: float, fluctuation: FloatArray
    ) -> int:
        flowing: int = elastic_phase(
            *self._arguments[phase],
            first,
            stop,
            gradient,
            dt,
            fluctuation,
            rve.committed[phase],
            rve.trial[phase],
            self._residual,
            self._absolute_force,
            self._flux_sum,
        )
        return flowing


def _arguments(cell: Cell, phase: Phase) -> tuple[Any, ...]:
    """The constant arguments of `elastic_phase`."""
    kind = int(gradient_kind(cell.measure))
    tables = (phase.tables.gradients, phase.tables.mean, phase.tables.weights, phase.dofs)
    return (*law_arguments(phase.law, cell.measure), kind, cell.bbar, *tables)
