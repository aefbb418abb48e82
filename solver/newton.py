"""Newton's method with line search for one increment of the macro problem."""

import logging
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from mpi4py import MPI

from materials.measures import FloatArray
from solver.diagnosis import largest_residual, worst_failure
from solver.equilibrium import Evaluation
from solver.linear_solver import LinearSolver
from solver.macro_problem import MacroProblem
from solver.newton_settings import NewtonSettings
from solver.records import IterationRecord

log = logging.getLogger(__name__)

DROWNED = 1e-3
"""Rounding errors above this share of the loads leave no equilibrium to find: nothing resists the displacements."""

ROUND_OFF_SHARE = 1e-3
"""A residual below this share of its tolerance ends the iteration, however large the last correction was."""

SUFFICIENT_DECREASE = 1e-4
"""Share of the decrease predicted by the tangent that a line search asks for (Armijo)."""

MEMORY = 4
"""Iterates whose largest residual a step must stay below (Grippo, Lampariello, Lucidi 1986, SIAM J. Numer. Anal. 23).

On the way to equilibrium the residual has to grow now and then: a slender part that bends at large displacements passes
through states of high membrane force. Against the last residual alone, steps would become too short to go anywhere.
"""

TURNING = 2.0
"""Work of the first iterate over what the committed tangent predicts, from which on the load has turned."""


class StepRejected(Exception):
    """An attempt failed in a way that a smaller step may cure. Raised on all ranks together, with the same text."""

    def __init__(self, reason: str, divergent: bool):
        super().__init__(reason)
        self.divergent = divergent
        """Whether the iteration went astray, as opposed to being slow."""


class Interrupted(Exception):
    """The user asked to stop; the problem is at its last accepted increment."""


class Attempt(NamedTuple):
    """The increment to solve."""

    step: int
    time: float
    factor: float
    dt: float


class Solved(NamedTuple):
    """A converged attempt; the problem holds it as its last evaluation."""

    iterations: tuple[IterationRecord, ...]
    force: float
    """Largest assembled absolute force at the solution."""


class Newton:
    """Solves increments of a macro problem, each from the committed state.

    The first correction uses the committed tangent and carries the whole prescribed increment. Later ones are scaled
    down only if the residual grows or points have no answer.
    """

    def __init__(self, problem: MacroProblem, linear: LinearSolver, settings: NewtonSettings):
        self._problem = problem
        self._linear = linear
        self._settings = settings

    def solve(
        self,
        attempt: Attempt,
        reference_force: float,
        report: Callable[[IterationRecord], None],
        stop_requested: Callable[[], bool],
    ) -> Solved:
        """Find equilibrium at the end of an increment. Collective.

        Args:
            attempt: Number, time, load factor and size of the increment.
            reference_force: Largest assembled absolute force of the increments accepted so far.
            report: Called after every iteration.
            stop_requested: Whether this rank was asked to stop.

        Raises:
            StepRejected: no convergence; the problem is not yet reverted.
            Interrupted: a rank was asked to stop.
        """
        problem, settings = self._problem, self._settings
        external = problem.external.forces(attempt.factor)
        start = problem.solution.x.array.copy()
        state = self._predict(attempt, external, start, reference_force)
        loads = problem.comm.allreduce(float(np.abs(external).max(initial=0.0)), MPI.MAX)
        correction = state.values - start
        length = 1.0
        records: list[IterationRecord] = []
        norms: list[float] = []
        settled = 0
        while True:
            reference = max(reference_force, state.force)
            ratio = self._ratio(correction, state.values - start)
            relative = state.largest / reference if reference > 0.0 else 0.0
            record = IterationRecord(attempt.step, attempt.time, len(records), relative, ratio, length)
            records.append(record)
            report(record)
            if loads > 0.0 and state.round_off > DROWNED * max(loads, reference_force):
                raise StepRejected(self._drowned(state, loads), divergent=True)
            tolerance = max(settings.residual_tolerance * reference, state.round_off)
            small = state.largest <= max(ROUND_OFF_SHARE * settings.residual_tolerance * reference, state.round_off)
            small_enough = state.largest <= tolerance and (small or ratio <= settings.correction_tolerance)
            if small_enough and not state.provisional:
                if problem.settle() == 0:
                    return Solved(tuple(records), state.force)
                state, correction = self._asked_again(state, external, attempt.dt), np.zeros_like(correction)
                norms, settled = [], len(records)
                continue
            if len(records) - settled >= settings.max_iterations:
                raise StepRejected(self._too_many(records, state), divergent=False)
            if problem.comm.allreduce(stop_requested(), MPI.LOR):
                raise Interrupted
            problem.assemble(state.fields.tangent)
            direction = problem.with_ghosts(self._solve(-state.residual))
            norms.append(state.norm)
            state, length = self._search(state, max(norms[-MEMORY:]), direction, external, attempt.dt, tolerance)
            correction = length * direction

    def _predict(self, attempt: Attempt, external: FloatArray, start: FloatArray, reference_force: float) -> Evaluation:
        """First iterate: the committed tangent answers the new forces and the prescribed increment.

        Where the load turns, a tangent of plastic loading leads far astray, and the points answer much stiffer than it
        said. Then they are asked for their tangents at the committed state again, and the better iterate is kept.
        """
        problem = self._problem
        residual = problem.internal_forces(problem.flux) - external
        state = self._first_iterate(attempt, external, start, residual, problem.tangent)
        failure = worst_failure(problem) if state.failed else ""
        floor = self._settings.residual_tolerance * max(reference_force, state.force) + state.round_off
        if state.failed or (state.largest > floor and problem.stiffening(state.fields) > TURNING):
            fresh = problem.evaluate(start, external, attempt.dt)
            if fresh.failed == 0 and self._differs(fresh.fields.tangent, problem.tangent):
                internal = problem.internal_forces(fresh.fields.flux)
                second = self._first_iterate(attempt, external, start, internal - external, fresh.fields.tangent)
                if second.failed == 0 and second.norm < state.norm:
                    state = second
        if state.failed:
            raise StepRejected(f"{_points(state)} at the first iterate: {failure}", divergent=True)
        return state

    def _first_iterate(
        self, attempt: Attempt, external: FloatArray, start: FloatArray, residual: FloatArray, tangent: FloatArray
    ) -> Evaluation:
        """Iterate that a tangent leads to from `start`, where the free dofs have some `residual` (owned dofs,)."""
        problem = self._problem
        fixed = problem.prescribed.fixed
        target = problem.prescribed.values(attempt.factor)
        prescribed = np.where(fixed, target - start, 0.0)
        problem.assemble(tangent)
        unbalanced = np.where(fixed[: problem.n_owned], 0.0, residual + problem.lift(prescribed))
        step = problem.with_ghosts(self._solve(-unbalanced))
        values = np.where(fixed, target, start + step)
        problem.foresee(values, attempt.dt)
        return problem.evaluate(values, external, attempt.dt)

    def _asked_again(self, state: Evaluation, external: FloatArray, dt: float) -> Evaluation:
        """The iterate `state` when points have changed the way they answer."""
        again = self._problem.evaluate(state.values, external, dt)
        if again.failed:
            reason = f"{_points(again)} after a change of route: {worst_failure(self._problem)}"
            raise StepRejected(reason, divergent=True)
        return again

    def _differs(self, tangent: FloatArray, committed: FloatArray) -> bool:
        """Whether the points answer with another tangent than when they were committed, on any rank."""
        scale = np.abs(committed).max(initial=0.0)
        mine = bool(np.abs(tangent - committed).max(initial=0.0) > 1e-6 * scale)
        return bool(self._problem.comm.allreduce(mine, MPI.LOR))

    def _solve(self, rhs: FloatArray) -> FloatArray:
        """Solve with the stiffness just assembled."""
        linear = self._linear
        solution = linear.solve(rhs) if linear.factorise() else None
        if solution is None:
            raise StepRejected(f"the linear solver ({linear.describe()}) found no solution", divergent=True)
        return solution

    def _search(
        self,
        state: Evaluation,
        highest: float,
        direction: FloatArray,
        external: FloatArray,
        dt: float,
        tolerance: float,
    ) -> tuple[Evaluation, float]:
        """Step along `direction`; the full step unless points fail or the residual is not below `highest`."""
        length = 1.0
        tried = []
        searching = self._settings.line_search
        for _ in range(self._settings.max_backtracks + 1 if searching else 1):
            trial = self._problem.evaluate(state.values + length * direction, external, dt)
            enough = (1.0 - SUFFICIENT_DECREASE * length) * highest if searching else np.inf
            if trial.failed == 0 and (trial.norm <= enough or trial.largest <= tolerance):
                return trial, length
            tried.append(f"{length:.3g}")
            length = _shorter(length, state.norm, trial.norm)
        factors = ", ".join(tried)
        if trial.failed:
            reason = f"{_points(trial)} at every step length tried ({factors}): {worst_failure(self._problem)}"
        else:
            reason = (
                f"the residual does not decrease along the correction (step lengths {factors}); "
                f"{largest_residual(self._problem, state)}"
            )
        raise StepRejected(reason, divergent=True)

    def _ratio(self, correction: FloatArray, increment: FloatArray) -> float:
        """Largest component of the correction over that of the increment, over all ranks."""
        local = np.array([np.abs(correction).max(initial=0.0), np.abs(increment).max(initial=0.0)])
        largest = np.empty_like(local)
        self._problem.comm.Allreduce(local, largest, MPI.MAX)
        return float(largest[0] / largest[1]) if largest[1] > 0.0 else float(largest[0] > 0.0)

    def _drowned(self, state: Evaluation, loads: float) -> str:
        size = self._problem.comm.allreduce(float(np.abs(state.values).max(initial=0.0)), MPI.MAX)
        return (
            f"values of up to {size:.1e} answer loads of {loads:.1e}, beyond what rounding lets anyone check: the "
            f"stiffness is singular or nearly so; support the body, or look for a material with no stiffness in some "
            f"direction; {largest_residual(self._problem, state)}"
        )

    def _too_many(self, records: list[IterationRecord], state: Evaluation) -> str:
        last = ", ".join(f"{record.residual:.1e}" for record in records[-3:])
        return (
            f"no convergence in {len(records)} iterations (last relative residuals {last}, tolerance "
            f"{self._settings.residual_tolerance:.1e}); {largest_residual(self._problem, state)}"
        )


def _points(state: Evaluation) -> str:
    return "1 material point has no answer" if state.failed == 1 else f"{state.failed} material points have no answer"


def _shorter(length: float, norm: float, trial_norm: float) -> float:
    """Minimum of the parabola through the squared residual norms, kept between a tenth and a half of the length."""
    if not np.isfinite(trial_norm):
        return 0.5 * length
    before, after = norm**2, trial_norm**2
    minimum = before * length**2 / (after - before + 2.0 * length * before)
    return float(np.clip(minimum, 0.1 * length, 0.5 * length))
