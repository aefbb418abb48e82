"""history.csv: one row per accepted increment, with the columns that CONTRACT.md fixes."""

from pathlib import Path

from solver.macro_problem import MacroProblem
from solver.records import IncrementRecord, IterationRecord
from solver.results.table import Table

COLUMNS = (
    "step",
    "time",
    "load_factor",
    "newton_iterations",
    "cutbacks",
    "n_points",
    "n_rve",
    "n_surrogate",
    "n_unseen",
    "n_samples",
    "n_retrained",
    "audit_error",
    "t_macro",
    "t_micro",
    "t_surrogate",
    "t_train",
    "wall_time",
)


class History:
    """Observer that writes history.csv. Times are wall seconds of the increment, of the slowest rank."""

    def __init__(self, path: Path, keep_through: int = 0) -> None:
        self._path = path
        self._keep_through = keep_through
        self._table: Table | None = None

    def started(self, problem: MacroProblem, time: float, end: float) -> None:
        """Start the table."""
        if problem.mesh.comm.rank == 0:
            self._table = Table(self._path, COLUMNS, self._keep_through)

    def iterated(self, record: IterationRecord) -> None:
        """Nothing to do: iterations have a table of their own."""

    def cut_back(self, step: int, time: float, reason: str) -> None:
        """Nothing to do: the cut-backs of an increment arrive with its record."""

    def accepted(self, problem: MacroProblem, record: IncrementRecord) -> None:
        """Append the row of this increment."""
        if self._table is None:
            return
        self._table.append(
            {
                "step": record.step,
                "time": record.time,
                "load_factor": record.load_factor,
                "newton_iterations": record.newton_iterations,
                "cutbacks": record.cutbacks,
                "n_points": record.n_points,
                "n_rve": record.n_rve,
                "n_surrogate": record.n_surrogate,
                "n_unseen": record.lesson.unseen,
                "n_samples": record.lesson.samples,
                "n_retrained": record.lesson.retrained,
                "audit_error": record.lesson.audit_error,
                "t_macro": _seconds(record, "macro"),
                "t_micro": _seconds(record, "micro"),
                "t_surrogate": _seconds(record, "surrogate"),
                "t_train": _seconds(record, "train"),
                "wall_time": _seconds(record, "total"),
            }
        )


def _seconds(record: IncrementRecord, part: str) -> float:
    return round(record.seconds.get(part, 0.0), 6)
