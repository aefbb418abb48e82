"""The story of a run in plain lines: log.txt always, the terminal as well."""

import logging
import time as clock

from materials.interface import Kind
from solver.macro_problem import MacroProblem
from solver.records import IncrementRecord, IterationRecord

log = logging.getLogger(__name__)


class Pace:
    """Counts cell solves and estimates the time left, from the pseudo-time covered so far in this process."""

    def __init__(self) -> None:
        self.rve_solves = 0
        self.start = self.time = self.end = 0.0
        self._problem: MacroProblem | None = None
        self._began = clock.monotonic()

    def begin(self, problem: MacroProblem, time: float, end: float) -> None:
        """Start the clock."""
        self._problem = problem
        self.start, self.time, self.end = time, time, end
        self._began = clock.monotonic()

    def evaluated(self) -> None:
        """All points were evaluated once. Collective."""
        if self._problem is not None:
            self.rve_solves += int(self._problem.counts()[Kind.RVE])

    def reached(self, record: IncrementRecord) -> None:
        """An increment was accepted."""
        self.time = record.time

    @property
    def elapsed(self) -> float:
        """Seconds since `begin`."""
        return clock.monotonic() - self._began

    @property
    def left(self) -> float | None:
        """Estimated seconds to the end; None before the first accepted increment."""
        covered = self.time - self.start
        return self.elapsed * (self.end - self.time) / covered if covered > 0 else None


class Narration:
    """Observer that logs one line per accepted increment and per cut-back, on rank 0."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._solves_before = 0

    def started(self, problem: MacroProblem, time: float, end: float) -> None:
        """Log the size of the problem. Collective."""
        comm = problem.mesh.comm
        cells, points = comm.allreduce(problem.n_cells), comm.allreduce(len(problem.point_ids))
        index_map = problem.space.dofmap.index_map
        dofs = index_map.size_global * problem.measure.block_size
        if comm.rank == 0:
            ranks = "1 rank" if comm.size == 1 else f"{comm.size} ranks"
            log.info("%s cells, %s dofs, %s integration points, %s", *map(grouped, (cells, dofs, points)), ranks)
            if time > 0:
                log.info("continuing from time %g", time)

    def iterated(self, record: IterationRecord) -> None:
        """Nothing to say: an increment is told when it is accepted."""

    def cut_back(self, step: int, time: float, reason: str) -> None:
        """Log why an attempt was rejected."""
        log.warning("increment %d to time %g rejected, trying a smaller step: %s", step, time, reason)

    def accepted(self, problem: MacroProblem, record: IncrementRecord) -> None:
        """Log the increment."""
        solves = self._pace.rve_solves - self._solves_before
        self._solves_before = self._pace.rve_solves
        if problem.mesh.comm.rank == 0:
            log.info("%s", increment_line(record, solves, self._pace.left))


def increment_line(record: IncrementRecord, rve_solves: int, left: float | None) -> str:
    """One accepted increment in one line."""
    iterations = "1 iteration" if record.newton_iterations == 1 else f"{record.newton_iterations} iterations"
    parts = [f"increment {record.step:>3}", f"time {record.time:<8.5g}", f"{iterations:>13}"]
    if record.iterations:
        parts.append(f"residual {record.iterations[-1].residual:.1e}")
    if rve_solves:
        parts.append(f"{grouped(rve_solves)} RVE solves")
    if record.n_surrogate:
        parts.append(f"{100 * record.n_rve / record.n_points:.3g} % RVE points")
    if record.cutbacks:
        parts.append("1 cut-back" if record.cutbacks == 1 else f"{record.cutbacks} cut-backs")
    parts.append(f"{record.seconds.get('total', 0.0):.2f} s")
    if left is not None and left >= 1.0:
        parts.append(f"{duration(left)} left")
    return "  ".join(parts)


def grouped(number: int) -> str:
    """An integer with thin groups of three digits."""
    return f"{number:,}".replace(",", " ")


def duration(seconds: float) -> str:
    """A duration as seconds, m:ss, h:mm:ss or days."""
    if seconds < 59.5:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    whole = round(seconds)
    days, rest = divmod(whole, 86_400)
    hours, rest = divmod(rest, 3600)
    minutes, s = divmod(rest, 60)
    if days:
        return f"{days} d {hours} h"
    return f"{hours}:{minutes:02d}:{s:02d}" if hours else f"{minutes}:{s:02d}"
