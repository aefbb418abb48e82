"""The run: increments from rest, or from a restart point, to the end of pseudo-time."""

import logging
import signal
import threading
import time as clock
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

import numpy as np
from mpi4py import MPI

from materials.compilation import prepare
from materials.interface import IntArray, Kind, Lesson
from solver.diagnosis import worst_failure
from solver.increments import Stepping, StepSize
from solver.linear_solver import LinearSolver, Method, Options
from solver.loading import LoadFactor
from solver.macro_problem import MacroProblem
from solver.newton import Attempt, Interrupted, Newton, Solved, StepRejected
from solver.newton_settings import NewtonSettings
from solver.records import IncrementRecord, IterationRecord, Observer
from solver.restart import Progress, RestartPoint

log = logging.getLogger(__name__)


class NotConverged(Exception):
    """No increment is possible any more; the problem is at its last accepted increment. Raised on all ranks."""

    def __init__(self, message: str, progress: Progress):
        super().__init__(message)
        self.progress = progress


class Driver:
    """Advances a macro problem through pseudo-time.

    Args:
        problem: The problem, with its supports and loads.
        load_factor: Factor over pseudo-time.
        stepping: Nominal increments and limits of the step size.
        newton: Tolerances and limits of each increment.
        method: Direct or iterative linear solver; `auto` goes by the number of unknowns.
        options: PETSc options of the linear solver.
    """

    def __init__(
        self,
        problem: MacroProblem,
        load_factor: LoadFactor,
        stepping: Stepping,
        newton: NewtonSettings | None = None,
        method: Method = "auto",
        options: Options | None = None,
    ):
        self.problem = problem
        self.load_factor = load_factor
        self.stepping = stepping
        self.newton = newton or NewtonSettings()
        self.linear = LinearSolver(problem.matrix, problem.symmetric, problem.measure.dimension, method, options)
        self.progress = Progress(0, 0.0, stepping.largest, 0, 0.0)
        """Where the run is; with `problem.state()` it makes a restart point."""

    def run(self, observers: Sequence[Observer] = (), start: RestartPoint | None = None) -> None:
        """Run to the end of pseudo-time. Collective.

        Raises:
            NotConverged: the smallest step failed too.
            Interrupted: SIGINT on some rank; a second one ends the process at once.
        """
        problem = self.problem
        prepare(problem.comm)
        if start is not None:
            self.progress = start.progress
            problem.restore(start.tables, self.load_factor(start.progress.time))
        else:
            self._start_at_rest()
        end = self.stepping.end
        for observer in observers:
            observer.started(problem, self.progress.time, end)
        size = StepSize(self.stepping, self.progress.step_size, self.progress.easy_steps)
        newton = Newton(problem, self.linear, self.newton)
        with _deferred_interrupt() as interrupt:
            while self.progress.time < end:
                self._advance(newton, size, observers, interrupt)

    def _start_at_rest(self) -> None:
        """Get the tangents of the undeformed state, for the first predictor."""
        first = StepSize(self.stepping).next_time(0.0)
        if self.problem.start(first).failed:
            worst = worst_failure(self.problem)
            raise NotConverged(f"the undeformed state has no answer: {worst}", self.progress)

    def _advance(
        self, newton: Newton, size: StepSize, observers: Sequence[Observer], interrupt: threading.Event
    ) -> None:
        """One accepted increment, however many attempts it takes."""
        problem, before = self.problem, self.progress
        started = clock.perf_counter()
        seconds_before = dict(problem.points.seconds)
        step, cutbacks = before.step + 1, 0
        tried: list[float] = []

        def report(record: IterationRecord) -> None:
            for observer in observers:
                observer.iterated(record)

        while True:
            time = size.next_time(before.time)
            attempt = Attempt(step, time, self.load_factor(time), time - before.time)
            try:
                if problem.comm.allreduce(interrupt.is_set(), MPI.LOR):
                    raise Interrupted
                solved = newton.solve(attempt, before.reference_force, report, interrupt.is_set)
                break
            except Interrupted:
                problem.revert()
                raise Interrupted(f"interrupted in step {step}; the run is at time {before.time:g}") from None
            except StepRejected as rejected:
                problem.revert()
                tried.append(attempt.dt)
                if not size.rejected(attempt.dt, rejected.divergent):
                    raise NotConverged(self._give_up(attempt, tried, rejected), before) from rejected
                cutbacks += 1
                for observer in observers:
                    observer.cut_back(step, time, str(rejected))
        problem.commit(attempt.factor)
        size.accepted(len(solved.iterations))
        reference = max(before.reference_force, solved.force)
        self.progress = Progress(step, time, size.size, size.easy_steps, reference)
        seconds = {part: value - seconds_before[part] for part, value in problem.points.seconds.items()}
        counts = problem.counts()
        lesson = problem.points.learn(step, self.load_factor.growth(time, self.stepping.end))
        record = self._record(attempt, solved, cutbacks, counts, seconds, lesson, clock.perf_counter() - started)
        for observer in observers:
            observer.accepted(problem, record)

    def _record(
        self,
        attempt: Attempt,
        solved: Solved,
        cutbacks: int,
        counts: IntArray,
        seconds: dict[str, float],
        lesson: Lesson,
        total: float,
    ) -> IncrementRecord:
        """Row of the history; `counts` are points by `Kind`."""
        mine = np.array([seconds["micro"], seconds["surrogate"], lesson.seconds, total])
        largest = np.empty_like(mine)
        self.problem.comm.Allreduce(mine, largest, MPI.MAX)
        micro, surrogate, train, total = (float(value) for value in largest)
        return IncrementRecord(
            step=attempt.step,
            time=attempt.time,
            load_factor=attempt.factor,
            newton_iterations=len(solved.iterations),
            cutbacks=cutbacks,
            n_points=int(counts.sum()),
            n_rve=int(counts[Kind.RVE]),
            n_surrogate=int(counts[Kind.SURROGATE]),
            lesson=lesson,
            seconds={
                "macro": max(total - micro - surrogate - train, 0.0),
                "micro": micro,
                "surrogate": surrogate,
                "train": train,
                "total": total,
            },
            progress=self.progress,
            iterations=solved.iterations,
        )

    def _give_up(self, attempt: Attempt, tried: list[float], rejected: StepRejected) -> str:
        sizes = ", ".join(f"{dt:.3g}" for dt in tried)
        return (
            f"step {attempt.step} did not converge at time {attempt.time:g} (load factor {attempt.factor:g}): "
            f"{rejected}. Tried steps of {sizes} from time {self.progress.time:g}; "
            f"the smallest allowed is {self.stepping.smallest:.3g}"
        )


@contextmanager
def _deferred_interrupt() -> Iterator[threading.Event]:
    """Turn the first SIGINT into an event to be agreed on between ranks; the second one ends the process."""
    requested = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield requested
        return
    previous = signal.getsignal(signal.SIGINT)

    def on_interrupt(_signal: int, _frame: FrameType | None) -> None:
        requested.set()
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield requested
    finally:
        signal.signal(signal.SIGINT, previous)
