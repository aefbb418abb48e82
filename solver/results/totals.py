"""What the increments of a run add up to, those before a restart included."""

from pathlib import Path
from typing import Any, Self

from solver.records import IncrementRecord
from solver.results.table import read_rows

PARTS = ("macro", "micro", "surrogate", "train")
"""Parts that the time of an increment is split into."""


class Totals:
    """Sums over the accepted increments."""

    def __init__(self) -> None:
        self.step = self.newton_iterations = self.cutbacks = 0
        self.time = 0.0
        self.seconds = dict.fromkeys(PARTS, 0.0)

    @classmethod
    def through(cls, history: Path, step: int) -> Self:
        """Sums over the rows of a history.csv up to `step`; zero where there is none."""
        totals = cls()
        for row in read_rows(history) if step else []:
            if int(row["step"]) <= step:
                seconds = {part: float(row[f"t_{part}"]) for part in PARTS}
                counts = int(row["newton_iterations"]), int(row["cutbacks"])
                totals._add(int(row["step"]), float(row["time"]), *counts, seconds)
        return totals

    def add(self, record: IncrementRecord) -> None:
        """Count one more increment."""
        self._add(record.step, record.time, record.newton_iterations, record.cutbacks, record.seconds)

    def progress(self) -> dict[str, Any]:
        """How far the run came, for run.json."""
        return {
            "step": self.step,
            "time": self.time,
            "newton_iterations": self.newton_iterations,
            "cutbacks": self.cutbacks,
        }

    def _add(self, step: int, time: float, iterations: int, cutbacks: int, seconds: dict[str, float]) -> None:
        self.step, self.time = step, time
        self.newton_iterations += iterations
        self.cutbacks += cutbacks
        for part in PARTS:
            self.seconds[part] += seconds.get(part, 0.0)
