"""What is tried, in order, to answer an RVE: the elastic shortcut, Newton's method from a prediction, smaller steps."""

from collections import Counter
from typing import NamedTuple

from materials.measures import FloatArray
from rve.answer import Condensed, Equilibrium
from rve.cell import Cell
from rve.elastic_shortcut import ElasticShortcut, available
from rve.equilibrium import EquilibriumSolver
from rve.factorization import SingularStiffness
from rve.instance import Instance
from rve.newton_settings import NewtonSettings
from rve.small_steps import lead_in_steps


class Answer(NamedTuple):
    """Outcome for one RVE; without equilibrium there is nothing condensed."""

    equilibrium: Equilibrium
    condensed: Condensed | None


class CellSolver:
    """Answers the RVEs of a kind, one after the other."""

    def __init__(self, cell: Cell, settings: NewtonSettings, counters: Counter[str]) -> None:
        """`counters` receives cell updates, iterations, factorisations, shortcuts and fallbacks."""
        self._cell, self._settings, self._counters = cell, settings, counters
        self._equilibrium = EquilibriumSolver(cell, settings, counters)
        self._shortcut: ElasticShortcut | None = None
        self._without_shortcut = not (settings.elastic_shortcut and available(cell))

    def answer(self, rve: Instance, gradient: FloatArray, dt: float, loose: float = 0.0) -> Answer:
        """Equilibrium of `rve` at `gradient` (g,) after `dt`, and the condensed answer; the iterate moves there.

        With `loose` > 0 a provisional answer is enough, see `EquilibriumSolver.solve`. An RVE without an answer is left
        at its committed fluctuation.
        """
        self._counters["cell_updates"] += 1
        shortcut = self._elastic_shortcut()
        if shortcut is not None:
            found = shortcut.solve(rve, gradient, dt)
            if found is not None:
                rve.last_gradient[:] = gradient
                return Answer(*found)
        if self._settings.predictor:
            rve.predict(gradient)
        equilibrium = self._equilibrium.solve(rve, gradient, dt, loose)
        if not equilibrium.converged:
            equilibrium = lead_in_steps(
                lambda target: self._equilibrium.solve(rve, target, dt), rve, gradient, equilibrium, self._counters
            )
        if not equilibrium.converged:
            rve.start_over()
            return Answer(equilibrium, None)
        rve.last_gradient[:] = gradient
        return Answer(equilibrium, self._equilibrium.condense(rve))

    def _elastic_shortcut(self) -> ElasticShortcut | None:
        if self._shortcut is None and not self._without_shortcut:
            try:
                self._shortcut = ElasticShortcut(self._cell, self._settings, self._counters)
            except SingularStiffness:  # the full solve says at each point what is wrong
                self._without_shortcut = True
        return self._shortcut
