"""iterations.csv: the Newton iterations of every accepted increment, for the convergence plot of the report."""

from pathlib import Path

from solver.macro_problem import MacroProblem
from solver.records import IncrementRecord, IterationRecord
from solver.results.table import Table

COLUMNS = ("step", "time", "iteration", "residual", "correction", "step_length")


class Iterations:
    """Observer that writes iterations.csv. Residual and correction are relative, as `IterationRecord` defines them."""

    def __init__(self, path: Path, keep_through: int = 0) -> None:
        self._path = path
        self._keep_through = keep_through
        self._table: Table | None = None

    def started(self, problem: MacroProblem, time: float, end: float) -> None:
        """Start the table."""
        if problem.mesh.comm.rank == 0:
            self._table = Table(self._path, COLUMNS, self._keep_through)

    def iterated(self, record: IterationRecord) -> None:
        """Nothing to do: an attempt that is rejected leaves no rows."""

    def cut_back(self, step: int, time: float, reason: str) -> None:
        """Nothing to do: history.csv counts the cut-backs, log.txt gives their reasons."""

    def accepted(self, problem: MacroProblem, record: IncrementRecord) -> None:
        """Append the iterations of this increment."""
        if self._table is None:
            return
        for iteration in record.iterations:
            self._table.append(iteration._asdict())
