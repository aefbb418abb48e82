"""Step sizes over pseudo-time: nominal times are always hit; between them steps shrink on failure and grow on ease."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from materials.measures import FloatArray

GROWTH = 1.5
"""Factor on the step size after `EASY_STEPS` easy increments."""
EASY_ITERATIONS = 5
"""Linear solves up to which an increment was easy."""
EASY_STEPS = 2
CUT = 0.5
CUT_DIVERGENT = 0.25


@dataclass(frozen=True)
class Stepping:
    """How pseudo-time is divided.

    Raises ValueError if the limits contradict each other.
    """

    end: float
    """Last pseudo-time."""
    steps: int
    """Nominal increments, equal in time."""
    min_step: float | None = None
    """Smallest step that a cut-back may ask for; 1/1024 of a nominal increment by default."""
    max_step: float | None = None
    """Largest step; a nominal increment by default."""

    def __post_init__(self) -> None:
        if not (np.isfinite(self.end) and self.end > 0.0 and self.steps >= 1):
            raise ValueError(
                f"pseudo-time must end above 0 after at least 1 step, got end {self.end}, steps {self.steps}"
            )
        if not 0.0 < self.smallest <= self.largest:
            raise ValueError(f"steps from min_step {self.smallest:g} to max_step {self.largest:g} leave no choice")

    @property
    def smallest(self) -> float:
        """Smallest step."""
        return self.end / self.steps / 1024 if self.min_step is None else self.min_step

    @property
    def largest(self) -> float:
        """Largest step."""
        nominal = self.end / self.steps
        return nominal if self.max_step is None else min(self.max_step, nominal)

    @property
    def nominal_times(self) -> FloatArray:
        """The times that are hit exactly, from 0 to the end.

        Each is the number closest to k · end/steps for the decimal that `end` is written as: 0.6, never 0.6000…01.
        """
        end = Fraction(repr(float(self.end)))
        return np.array([float(end * k / self.steps) for k in range(self.steps + 1)])


class StepSize:
    """The step to try next.

    Args:
        stepping: Nominal times and limits.
        size: Step size to begin with; the largest by default.
        easy_steps: Easy increments in a row before.
    """

    def __init__(self, stepping: Stepping, size: float | None = None, easy_steps: int = 0):
        self._times = stepping.nominal_times
        self._smallest, self._largest = stepping.smallest, stepping.largest
        self._round_off = 1e-9 * stepping.end / stepping.steps
        self.size = stepping.largest if size is None else size
        self.easy_steps = easy_steps

    def next_time(self, time: float) -> float:
        """End of the next increment: `size` later, or the next nominal time if that comes first or nearly first."""
        nominal = float(self._times[np.searchsorted(self._times, time + self._round_off)])
        remaining = nominal - time
        if remaining <= self.size * (1.0 + 1e-6):
            return nominal
        if remaining < 2.0 * self.size:  # two equal steps rather than a long one and a sliver
            return time + 0.5 * remaining
        return time + self.size

    def accepted(self, iterations: int) -> None:
        """Learn from an increment that took so many linear solves."""
        self.easy_steps = self.easy_steps + 1 if iterations <= EASY_ITERATIONS else 0
        if self.easy_steps >= EASY_STEPS and self.size < self._largest:
            self.size = min(GROWTH * self.size, self._largest)
            self.easy_steps = 0

    def rejected(self, dt: float, divergent: bool) -> bool:
        """Cut the step `dt` that failed; False if the smallest step has been tried already."""
        if dt <= self._smallest * (1.0 + 1e-6):
            return False
        self.size = max((CUT_DIVERGENT if divergent else CUT) * dt, self._smallest)
        self.easy_steps = 0
        return True
