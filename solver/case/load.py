"""`load`: pseudo-time, nominal increments, load factor, adaptive steps."""

from itertools import pairwise
from typing import Annotated

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from solver.case.section import Count, Positive, Section


class AdaptiveSteps(Section):
    """Bounds of the increment in pseudo-time: cut back on failure, grow on easy steps."""

    min_step: Positive | None = None
    """Smallest increment tried before giving up; by default 1/1024 of the nominal increment."""
    max_step: Positive | None = None
    """Largest increment; by default the nominal one."""


class LoadSection(Section):
    """Loading over pseudo-time from 0 to `end`."""

    end: Positive = 1.0
    """Pseudo-time at the end."""
    steps: Count
    """Nominal increments, equal in time; every nominal time is hit, cut-backs or not."""
    factor: Annotated[tuple[tuple[float, float], ...], Field(min_length=2)] | None = None
    """Points (time, load factor) of a piecewise-linear curve; by default from (0, 0) to (end, 1)."""
    adaptive: AdaptiveSteps = AdaptiveSteps()
    """Bounds of the adaptive increment."""

    @property
    def factor_table(self) -> tuple[tuple[float, float], ...]:
        """Points (time, load factor), times ascending from ≤ 0 to ≥ end."""
        return self.factor if self.factor is not None else ((0.0, 0.0), (self.end, 1.0))

    @property
    def nominal_step(self) -> float:
        """Nominal increment in pseudo-time."""
        return self.end / self.steps

    @property
    def min_step(self) -> float:
        """Smallest increment tried before giving up."""
        return self.adaptive.min_step if self.adaptive.min_step is not None else self.nominal_step / 1024

    @property
    def max_step(self) -> float:
        """Largest increment."""
        return self.adaptive.max_step if self.adaptive.max_step is not None else max(self.nominal_step, self.min_step)

    @model_validator(mode="after")
    def _factor_covers_the_time(self) -> "LoadSection":
        times = [time for time, _ in self.factor_table]
        text = None
        if any(later <= earlier for earlier, later in pairwise(times)):
            text = f"the times {', '.join(map(str, times))} must increase"
        elif times[0] > 0:
            text = f"starts at time {times[0]}, begin with a point at time 0"
        elif times[-1] < self.end:
            text = f"stops at time {times[-1]} before the end {self.end}, add a point at time {self.end}"
        if text is not None:
            raise PydanticCustomError("load_factor", "{text}", {"text": text, "key": "factor"})
        return self

    @model_validator(mode="after")
    def _bounds_agree(self) -> "LoadSection":
        if self.min_step > self.max_step:
            text = f"min_step {self.min_step:g} exceeds max_step {self.max_step:g}, make it smaller"
        elif self.min_step > self.nominal_step * (1 + 1e-12):
            text = f"min_step {self.min_step:g} exceeds the nominal increment {self.nominal_step:g}, make it smaller"
        else:
            return self
        raise PydanticCustomError("step_bounds", "{text}", {"text": text, "key": "adaptive"})
