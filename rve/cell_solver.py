"""What is tried, in order, to answer an RVE: the elastic shortcut, Newton's method from a prediction, smaller steps."""

from collections import Counter
from typing import NamedTuple

from materials.measures import FloatArray
from rve.answer import Condensed, Equilibrium
from rve.cell import Cell
from rve.elastic_shortcut import ElasticShortcut, available
from rve.equilibrium import EquilibriumSolver
from rve.instance import Instance
from rve.newton_settings import NewtonSettings

SMALLEST_STEP = 1.0 / 64.0
"""Share of the increment below which the way to it is not divided any more."""


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
            equilibrium = self._in_steps(rve, gradient, dt, equilibrium)
        if not equilibrium.converged:
            rve.start_over()
            return Answer(equilibrium, None)
        rve.last_gradient[:] = gradient
        return Answer(equilibrium, self._equilibrium.condense(rve))

    def _elastic_shortcut(self) -> ElasticShortcut | None:
        if self._shortcut is None and self._settings.elastic_shortcut and available(self._cell):
            self._shortcut = ElasticShortcut(self._cell, self._settings, self._counters)
        return self._shortcut

    def _in_steps(self, rve: Instance, gradient: FloatArray, dt: float, failure: Equilibrium) -> Equilibrium:
        """Lead the fluctuation to `gradient` along ḡ_c + s (ḡ − ḡ_c), 0 < s ≤ 1, in steps that shrink on failure.

        Every step is one increment from the committed state, so that the last one is the increment asked for and its
        tangent is consistent; the steps before it only show the way. Returns the last outcome, or the worst one if even
        small steps fail.
        """
        self._counters["cell_stepped"] += 1
        done, step, iterations = 0.0, 1.0, failure.iterations
        worst = failure
        rve.start_over()
        while step >= SMALLEST_STEP:
            share = min(1.0, done + step)
            target = rve.gradient + share * (gradient - rve.gradient)
            before = rve.last_fluctuation.copy()
            rve.predict(target)
            outcome = self._equilibrium.solve(rve, target, dt)
            iterations += outcome.iterations
            if outcome.converged:
                if share == 1.0:
                    return outcome._replace(iterations=iterations)
                rve.last_gradient[:] = target
                done, step = share, 2.0 * step
                self._counters["cell_substeps"] += 1
            else:
                rve.last_fluctuation[:] = before
                step *= 0.5
                worst = outcome if outcome.residual >= worst.residual else worst
        return worst._replace(
            iterations=iterations,
            reason=f"{worst.reason}; steps towards the gradient ended at {done:.3g} of the increment",
        )
