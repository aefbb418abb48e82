"""When a restart point is due."""

import time as clock

from mpi4py import MPI

SHARE = 0.05
"""Largest share of the wall time that restart points may take when their number is left to the run."""


class CheckpointPolicy:
    """Decides at each accepted increment; all ranks decide alike."""

    def __init__(self, every: int | None, comm: MPI.Comm) -> None:
        """`every` accepted increments, 0: never; None: as often as writing stays below `SHARE` of the wall time."""
        self._every, self._comm = every, comm
        self._cost = 0.0
        self._written_at = clock.monotonic()

    def due(self, step: int) -> bool:
        """Whether to write after increment `step`. Collective."""
        if self._every is not None:
            return self._every > 0 and step % self._every == 0
        affordable = SHARE * (clock.monotonic() - self._written_at) >= self._cost
        return bool(self._comm.bcast(affordable))

    def written(self, seconds: float) -> None:
        """Remember what the restart point just written took."""
        self._cost, self._written_at = seconds, clock.monotonic()
