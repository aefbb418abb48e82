"""What the points of all ranks learn together: one learner, on the first rank, and its newest surrogate on every rank.

A router hands in what its exact path answered and what audits measured; the learner decides when to train, and on what
more the exact path should be asked. Everything that the learner sees is in the order of point ids, so that nothing
depends on how many ranks there are.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol, cast

import numpy as np
from mpi4py import MPI
from numpy.typing import NDArray

from materials.interface import IntArray
from materials.judged import JudgedMaterial
from materials.measures import FloatArray
from materials.trajectory import Trajectory


class Learner(Protocol):
    """What learns, on the first rank."""

    version: int
    """Number of the surrogate in force, 0: none yet."""
    model: Any
    """That surrogate, as `Learning.make` understands it; None: none yet."""

    def record(
        self, step: int, dt: float, ids: IntArray, gradient: FloatArray, flux: FloatArray, tangent: FloatArray
    ) -> int:
        """Take in states (n, g) that the exact path answered in an accepted increment; how many were kept."""

    def record_paths(
        self, step: int, ids: IntArray, gradient: FloatArray, dt: FloatArray, flux: FloatArray, tangent: FloatArray
    ) -> int:
        """Take in whole paths (p, s, g) from rest, of points, or explored (negative ids); how many states were new."""

    def due(self, step: int) -> bool:
        """Whether to train after this increment."""

    def plan_ahead(self, step: int, gradient: FloatArray, growth: float) -> FloatArray | None:
        """Paths (p, s, g) that the exact path should be asked for before training, the run being at (n, g)."""

    def plan_unseen(self, step: int, paths: FloatArray) -> FloatArray:
        """Paths (q, t, g) that the exact path should be asked for, since (p, s, g) were beyond trust."""

    def train(self, step: int) -> bool:
        """Train; whether another version is in force now."""

    def audited(self, step: int, ids: IntArray, errors: FloatArray) -> bool:
        """Take in relative flux errors (n,) measured at surrogate points; whether trust was narrowed."""

    def resume(self, step: int) -> None:
        """Go back to what was known after an increment."""

    def summary(self) -> dict[str, Any]:
        """What happened, as plain JSON."""


class Handed(NamedTuple):
    """Rows of all ranks on the first one, in the order of ids; empty elsewhere."""

    ids: IntArray
    arrays: tuple[FloatArray, ...]


class Learning:
    """The learner, seen from all ranks. Every method is collective.

    Args:
        comm: the ranks of the run.
        learner: on the first rank; None elsewhere.
        make: a surrogate for a model of the learner.
        chosen: which points (n,) with given ids are audited in an increment.
    """

    def __init__(
        self,
        comm: MPI.Comm,
        learner: Learner | None,
        make: Callable[[Any], JudgedMaterial],
        chosen: Callable[[IntArray, int], NDArray[np.bool_]],
    ):
        self.comm = comm
        self.learner = learner
        self.chosen = chosen
        self._make = make
        self.version = 0
        self.model: Any = None
        self.update()

    def update(self) -> None:
        """Take over the version of the learner."""
        learner = self.learner
        self.version, self.model = self.comm.bcast((0, None) if learner is None else (learner.version, learner.model))

    def resume(self, step: int) -> None:
        """Go back to what was known after an increment."""
        self.ask(lambda learner: learner.resume(step))
        self.update()

    def surrogate(self) -> JudgedMaterial | None:
        """A new material for the version in force; None while there is none."""
        return None if self.model is None else self._make(self.model)

    def ask[T](self, question: Callable[[Learner], T]) -> T:
        """What the learner answers, on all ranks; what it raises is raised on all."""
        outcome: Any = None
        fault: Exception | None = None
        if self.learner is not None:
            try:
                outcome = question(self.learner)
            except Exception as error:  # noqa: BLE001 - agreed on, then raised by every rank
                fault = error
        fault, answer = self.comm.bcast((fault, outcome))
        if fault is not None:
            raise fault
        return cast("T", answer)

    def gather(self, ids: IntArray, *arrays: FloatArray) -> Handed:
        """Rows (n, …) of all ranks on the first."""
        parts = self.comm.gather((ids, arrays))
        if parts is None:
            return Handed(ids[:0], tuple(array[:0] for array in arrays))
        everything = np.concatenate([part for part, _ in parts])
        order = np.argsort(everything, kind="stable")
        columns = zip(*(columns for _, columns in parts), strict=True)
        return Handed(everything[order], tuple(np.concatenate(column)[order] for column in columns))

    def explore(
        self,
        step: int,
        growth: float,
        ids: IntArray,
        gradient: FloatArray,
        solve: Callable[[IntArray, FloatArray, FloatArray], Trajectory],
    ) -> int:
        """Ask the exact path for what the learner wants to know ahead; how many states became known.

        Args:
            step: the increment that was accepted.
            growth: how many times the largest load so far is still to come.
            ids: of the points of this rank, (n,).
            gradient: their committed gradients, (n, g).
            solve: the exact path along paths (p, s, g) in increments of duration (s,); their ids are negative.
        """
        everywhere = self.gather(ids, gradient)
        paths = self.ask(lambda learner: learner.plan_ahead(step, everywhere.arrays[0], growth))
        if paths is None or len(paths) == 0:
            return 0
        return self.solved(step, paths, np.ones(paths.shape[1]), solve)

    def catch_up(
        self,
        step: int,
        ids: IntArray,
        paths: FloatArray,
        dt: FloatArray | None,
        solve: Callable[[IntArray, FloatArray, FloatArray], Trajectory],
    ) -> int:
        """Ask the exact path for what the learner wants to know where it was beyond trust; how many became known.

        Args:
            step: what these states are to be remembered under.
            ids: of the paths of this rank, (p,); they set the order.
            paths: from rest, (p, s, g).
            dt: durations of their increments, (s,); None: they do not matter.
            solve: see `explore`.
        """
        everywhere = self.gather(ids, paths)
        asked = self.ask(lambda learner: learner.plan_unseen(step, everywhere.arrays[0]))
        return self.solved(step, asked, np.ones(asked.shape[1]) if dt is None else dt, solve)

    def solved(
        self,
        step: int,
        paths: FloatArray,
        dt: FloatArray,
        solve: Callable[[IntArray, FloatArray, FloatArray], Trajectory],
    ) -> int:
        """Ask the exact path along paths (p, s, g), the same on all ranks, which share them; see `catch_up`."""
        mine = np.arange(self.comm.rank, len(paths), self.comm.size)
        answer = solve(-1 - mine, np.ascontiguousarray(paths[mine]), dt)
        handed = self.gather(mine, answer.flux, answer.tangent, answer.known.astype(float))

        def record(learner: Learner) -> int:
            flux, tangent, known = handed.arrays
            gained = 0
            for length in np.unique(known.sum(axis=1).astype(int)):
                if length:
                    rows = np.flatnonzero(known.sum(axis=1) == length)
                    parts = (paths[rows, :length], np.tile(dt[:length], (len(rows), 1)))
                    exact = (flux[rows, :length], tangent[rows, :length])
                    gained += learner.record_paths(step, -1 - handed.ids[rows], *parts, *exact)
            return gained

        return self.ask(record)

    def train(self, step: int) -> bool:
        """Train; whether there is another surrogate now."""
        changed = self.ask(lambda learner: learner.train(step))
        if changed:
            self.update()
        return changed


def rms(values: Sequence[float] | FloatArray) -> float:
    """Root mean square, NaN of nothing."""
    return float(np.sqrt(np.mean(np.square(values)))) if len(values) else float("nan")
