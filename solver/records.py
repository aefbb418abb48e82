"""What the driver tells its observers: one record per Newton iteration and one per accepted increment."""

from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from materials.interface import Lesson
from solver.macro_problem import MacroProblem
from solver.restart import Progress


class IterationRecord(NamedTuple):
    """One evaluation of all material points within an increment."""

    step: int
    """Number of the increment being attempted, from 1."""
    time: float
    """Pseudo-time at the end of that increment."""
    iteration: int
    """0 for the first evaluation of the attempt."""
    residual: float
    """Largest residual component over the largest assembled absolute force seen so far."""
    correction: float
    """Largest component of the last correction over the largest component of the increment."""
    step_length: float
    """Line search factor that the last correction was scaled by."""


@dataclass(frozen=True)
class IncrementRecord:
    """One accepted increment: a row of history.csv."""

    step: int
    time: float
    load_factor: float
    newton_iterations: int
    cutbacks: int
    n_points: int
    n_rve: int
    n_surrogate: int
    lesson: Lesson
    """What the materials checked and learned after it."""
    seconds: dict[str, float]
    """Wall time of this increment by part, rank maximum: `macro`, `micro`, `surrogate`, `train`, and the `total`."""
    progress: Progress
    """Where the run is now: `RestartPoint(progress, problem.state())` is what `Driver.run` continues from."""
    iterations: tuple[IterationRecord, ...] = field(default=())
    """Newton iterations of the attempt that was accepted."""


class Observer(Protocol):
    """Listens to a run. Every method is called on all ranks, in the same order."""

    def started(self, problem: MacroProblem, time: float, end: float) -> None:
        """Called before the first increment, with the pseudo-time the run starts from (above zero after a restart)."""

    def iterated(self, record: IterationRecord) -> None:
        """Called after every evaluation of the material points."""

    def cut_back(self, step: int, time: float, reason: str) -> None:
        """Called when an attempt was rejected and will be retried with a smaller step."""

    def accepted(self, problem: MacroProblem, record: IncrementRecord) -> None:
        """Called after the state of an increment was committed."""
