"""A router for runs that are repeated: it leaves every point to the surrogate, and learns after the run.

Points that the surrogate may not be trusted at are noted while the run goes on to its end. Then the exact material is
asked there, and the next run begins with a surrogate that has learned from it.
"""

import numpy as np
from numpy.typing import NDArray

from materials.interface import IntArray
from materials.measures import FloatArray
from materials.router import Router
from materials.shared_points import Evaluated

STRIDE = 1 << 40
"""More than there are points, so that increment × this + point id orders states."""


class WatchingRouter(Router):
    """A router that watches instead of routing; see the module."""

    def bind(self, point_ids: IntArray) -> None:
        """Take on these points at rest; nothing has strayed yet."""
        n = len(point_ids)
        self._beyond: NDArray[np.bool_] = np.zeros(n, dtype=bool)
        """Points beyond trust when the iteration had converged last."""
        self._strayed: NDArray[np.bool_] = np.zeros(n, dtype=bool)
        """Points that were in some increment."""
        self._stray_ids: list[IntArray] = []
        self._stray_gradients: list[FloatArray] = []
        """What gradients they had, increment by increment, and ids that order them, where nothing is remembered."""
        super().bind(point_ids)

    def foresee(self, gradient: FloatArray, dt: float) -> None:
        """Nothing is decided beforehand."""
        del gradient, dt
        self._begin_attempt()

    def settle(self) -> int:
        """Every answer stands; which are beyond trust is kept in mind."""
        if self._surrogate is not None and self._points.last is not None:
            with self._costs.spend("judging"):
                self._beyond = ~self._surrogate.trusted()
            self._refused = int(np.count_nonzero(self._beyond))
        return 0

    def _digest(self, step: int, growth: float, last: Evaluated) -> tuple[int, int]:
        """Note where the increment was beyond trust; nothing is learned yet."""
        del growth, last
        self._strayed |= self._beyond
        if not self.remembers:
            self._stray_ids.append(step * STRIDE + self.point_ids[self._beyond])
            self._stray_gradients.append(self._points.past.gradient[self._beyond])
        return 0, 0

    def _pays(self) -> bool:
        """What is spent is spent after the run."""
        return True

    def begin(self, paths: FloatArray) -> bool:
        """Before the first increment: have a surrogate; whether there is one. Collective.

        Without one it is trained on what is known, or on paths (p, s, g) of the exact material.
        """
        if self._surrogate is None:
            learning = self._learning
            if not learning.ask(lambda learner: learner.summary()["states"]):
                with self._costs.spend("explored"):
                    learning.solved(0, paths, np.ones(paths.shape[1]), self._exact.along)
            with self._costs.spend("training"):
                learning.train(0)
            self.bind(self.point_ids)
        return self._surrogate is not None

    def strays(self) -> int:
        """How many points of all ranks were beyond trust: once with memory, in every increment without. Collective."""
        mine = np.count_nonzero(self._strayed) if self.remembers else sum(map(len, self._stray_ids))
        strays: int = self._learning.comm.allreduce(int(mine))
        return strays

    def catch_up(self, number: int) -> None:
        """After run `number`, which only watched: learn where it was beyond trust. Collective."""
        if not self.strays():
            return
        learning, dt = self._learning, None
        if self.remembers:
            rows = np.flatnonzero(self._strayed)
            paths, dt = self._points.past.paths(rows), self._points.past.dt
            ids = self.point_ids[rows]
        else:
            paths, ids = np.concatenate(self._stray_gradients)[:, None], np.concatenate(self._stray_ids)
        with self._costs.spend("explored"):
            learning.catch_up(number, ids, paths, dt, self._exact.along)
        with self._costs.spend("training"):
            learning.train(number)
