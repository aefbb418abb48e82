"""What a run needs in order to go on from an accepted increment, addressed so that any number of ranks can take it up.

Every array is a table of rows with global ids: cells by their index in the input mesh, points by cell · points per cell
+ point. A rank hands out the rows that it owns, and picks its own rows out of whatever it is given.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from materials.interface import IntArray
from materials.measures import FloatArray


class Rows(NamedTuple):
    """Values by global id: row `values[k]` belongs to `ids[k]`. Each id belongs to one rank."""

    ids: IntArray
    """(n,)"""
    values: FloatArray
    """(n, …)"""

    def pick(self, wanted: IntArray, name: str) -> FloatArray:
        """Rows of the ids `wanted`, in that order; KeyError with the first missing id and the table's `name`."""
        if wanted.size == 0:
            return np.empty((0, *self.values.shape[1:]))
        order = np.argsort(self.ids, kind="stable")
        ids = self.ids[order]
        places = np.searchsorted(ids, wanted)
        found = places < ids.size
        found[found] = ids[places[found]] == wanted[found]
        if not found.all():
            raise KeyError(f"restart table '{name}' has no row {wanted[~found][0]} ({ids.size} rows)")
        return self.values[order[places]]


class Progress(NamedTuple):
    """Where a run is, and what its step size and its tolerances depend on; plain numbers, the same on all ranks."""

    step: int
    """Increments accepted so far."""
    time: float
    """Pseudo-time of the last accepted increment."""
    step_size: float
    """Pseudo-time step to try next, before it is cut at the next nominal time."""
    easy_steps: int
    """Accepted increments in a row that took few iterations."""
    reference_force: float
    """Largest assembled absolute force of an accepted increment; residuals are measured against it."""


class RestartPoint(NamedTuple):
    """Everything that `Driver.run` needs to go on with the same answer."""

    progress: Progress
    tables: Mapping[str, Rows]
    """What `MacroProblem.state` returned, on the same or another number of ranks."""
