"""The router: at every point either the exact material (an RVE) or a surrogate that is trusted there.

The life of an increment. Before the first evaluation the surrogate is asked at the gradient that the increment is
expected to end at; points that it may not be trusted at go to the exact material (`foresee`). Routes then stay as they
are while the iteration goes on. Once it has converged, every surrogate point is judged at its final state (`settle`);
those beyond trust change over and the increment is solved on, from the same committed state, until no answer of an
untrusted surrogate is left. After the third such round, all points change over. So an accepted increment never rests on
a surrogate outside its trust.

A point that changes over in a material with memory is led along its whole committed history by its new material first.
After the commit the exact answers are handed to the learner, a few surrogate points are checked against the exact
material (the audit), and when the learner has trained, the new surrogate takes over on all ranks (`learn`).

The router decides. `SharedPoints` does what it has decided: it asks both materials, and lets points change over.
"""

import logging
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from mpi4py import MPI
from numpy.typing import NDArray

from materials.audit import Audit
from materials.exact_points import ExactPoints
from materials.interface import IntArray, Lesson, Material, Response
from materials.judged import JudgedMaterial
from materials.learning import Learning
from materials.measures import FloatArray
from materials.routing_costs import RoutingCosts
from materials.shared_points import Evaluated, SharedPoints

log = logging.getLogger(__name__)

ROUNDS = 3
"""Times that points may change over after convergence, before all do."""


class Router(Material):
    """Points that an exact material and a surrogate share; see the module.

    Args:
        make_exact: makes the exact material: for points that arrive, are parked, explored or audited.
        learning: what the ranks learn together.
        symmetric: whether surrogates of this kind have symmetric tangents.
        learns: whether surrogates are trained at all; otherwise the first one stays.
        by_clock: judge by the clock whether routing pays, not by counted evaluations.
        make_iterated: makes the exact material that answers while the driver iterates, provisionally if it likes.
    """

    annotations = ("trust", "error_estimate", "model_version")

    def __init__(
        self,
        make_exact: Callable[[], Material],
        learning: Learning,
        symmetric: bool,
        learns: bool = True,
        by_clock: bool = False,
        make_iterated: Callable[[], Material] | None = None,
    ):
        exact = (make_iterated or make_exact)()
        self.measure = exact.measure
        self.symmetric = exact.symmetric and symmetric
        self.outputs = exact.outputs
        self._learning = learning
        self._learns, self._by_clock = learns, by_clock
        self._costs = RoutingCosts()
        self._books = self._costs.carried(MPI.COMM_SELF)
        """Those of all ranks at the end of the last accepted increment."""
        self._exact = ExactPoints(make_exact, exact, self._costs)
        self._points = SharedPoints(self._exact, self._costs)
        self._audit = Audit(make_exact(), learning, self._costs)
        self._largest_jump = 0.0
        self.bind(np.zeros(0, dtype=np.int64))

    @property
    def remembers(self) -> bool:
        """Whether the exact material does."""
        return self._exact.material.remembers

    @property
    def _surrogate(self) -> JudgedMaterial | None:
        return self._points.surrogate

    def bind(self, point_ids: IntArray) -> None:
        """Take on these points at rest, on the surrogate if there is one already."""
        self._points.bind(point_ids, self._learning.surrogate())
        self._audit.forget()
        self.point_ids = self._points.ids
        self._pinned = np.zeros(len(point_ids), dtype=bool)
        """Points that stay on the exact material for the next attempt."""
        self._rejected = False
        """Whether the last attempt was."""
        self._step = self._rounds = self._refused = 0

    # An attempt at an increment ----------------------------------------------------------------------------------

    def foresee(self, gradient: FloatArray, dt: float) -> None:
        """Choose routes by what the surrogate is worth at `gradient` (n, g)."""
        self._begin_attempt()
        surrogate = self._points.asked
        if surrogate is None:
            return
        with self._costs.spend("judging"):
            fast_flux = surrogate.evaluate(gradient, dt).flux
            doubtful = self._pinned | ~surrogate.trusted()
        self._points.route(np.flatnonzero(doubtful), gradient, fast_flux)
        self._refused = self._exact.rows.size

    def _begin_attempt(self) -> None:
        self._rounds, self._points.jump = 0, 0.0
        self._refused = len(self.point_ids) if self._surrogate is None else 0

    def evaluate(self, gradient: FloatArray, dt: float) -> Response:
        """Answer of the surrogate, and of the exact material at its points; see `Material.evaluate`."""
        return self._points.evaluate(gradient, dt)

    def settle(self) -> int:
        """Send points that the surrogate may not be trusted at to the exact material; how many on all ranks."""
        surrogate, last, rows, comm = self._points.asked, self._points.last, self._exact.rows, self._learning.comm
        if surrogate is None or last is None or last.fast_flux is None:
            return 0
        with self._costs.spend("judging"):
            doubtful = ~surrogate.trusted()
        doubtful[rows] = False
        refused = np.count_nonzero(doubtful)
        moved: int = comm.allreduce(refused)
        if not moved:
            return 0
        self._rounds += 1
        self._refused += refused
        if self._rounds > ROUNDS:
            doubtful[:] = True
            moved = comm.allreduce(len(doubtful) - len(rows))
        if comm.rank == 0:
            which = "beyond trust" if self._rounds <= ROUNDS else "left"
            subject, verb = ("1 point", "changes") if moved == 1 else (f"{moved} points", "change")
            log.info("round %d: %s %s %s to cells", self._rounds, subject, which, verb)
        doubtful[rows] = True
        self._points.route(np.flatnonzero(doubtful), last.gradient, last.fast_flux)
        return moved

    def commit(self) -> None:
        """Commit both materials, and remember the increment."""
        if self._points.last is None:
            return
        self._points.commit()
        self._pinned[:] = self._rejected = False
        self._costs.increments += self._surrogate is not None

    def revert(self) -> None:
        """Revert both.

        Points at which the surrogate was not to be trusted are not left to it in the next attempt, and after a second
        rejection in a row none is, so that no surrogate keeps a run from going on.
        """
        surrogate, last = self._surrogate, self._points.last
        if surrogate is not None and last is not None and last.fast_flux is not None:
            self._pinned |= ~(np.isfinite(last.fast_flux).all(axis=1) & surrogate.trusted())
            self._pinned[:] |= self._rejected
            self._rejected = True
        self._points.revert()

    # Learning ----------------------------------------------------------------------------------------------------

    def learn(self, step: int, growth: float = np.inf) -> Lesson:
        """Hand in the exact answers, audit, and train when it is time; see `Material.learn`. Collective."""
        began = time.perf_counter()
        learning, last, self._points.last = self._learning, self._points.last, None
        if last is None:
            raise RuntimeError("nothing to learn from: no increment was committed")
        self._step = step
        unseen = learning.comm.allreduce(self._refused)
        jump = learning.comm.allreduce(self._points.jump, MPI.MAX)
        self._largest_jump = max(self._largest_jump, jump)
        if self._points.off:
            self._books = self._costs.carried(learning.comm)
            return Lesson(unseen, flux_jump=jump)
        with self._costs.spend("audited"):
            error, narrowed = self._audit.check(step, self._points)
        samples, retrained = self._digest(step, growth, last)
        if retrained or narrowed:
            learning.update()
            self._points.take_up(learning.surrogate())
        if not self._pays():
            self._switch_off()
        self._books = self._costs.carried(learning.comm)
        return Lesson(unseen, samples, retrained, error, jump, time.perf_counter() - began)

    def _digest(self, step: int, growth: float, last: Evaluated) -> tuple[int, int]:
        """Hand in what cells answered, and train when it is time; new samples, and trainings. Collective."""
        learning, samples, retrained = self._learning, 0, 0
        if self._learns:
            samples = self._hand_in(step, last)
            if learning.ask(lambda learner: learner.due(step)):
                with self._costs.spend("explored"):
                    reached = self._points.past.gradient
                    samples += learning.explore(step, growth, self.point_ids, reached, self._exact.along)
                with self._costs.spend("training"):
                    retrained = int(learning.train(step))
        return samples, retrained

    def _hand_in(self, step: int, last: Evaluated) -> int:
        """Give the exact answers of the last increment to the learner; how many were new to it."""
        learning, rows, past = self._learning, self._exact.rows, self._points.past
        if not self.remembers:
            handed = learning.gather(self.point_ids[rows], last.gradient[rows], last.flux[rows], last.tangent[rows])
            return learning.ask(lambda learner: learner.record(step, last.dt, handed.ids, *handed.arrays))
        gradient, (flux, tangent) = past.paths(rows), past.exact_answers(rows)
        known = np.isfinite(flux).all(axis=(1, 2))
        handed = learning.gather(self.point_ids[rows[known]], gradient[known], flux[known], tangent[known])
        gradient, flux, tangent = handed.arrays
        dt = np.tile(past.dt, (len(handed.ids), 1))
        return learning.ask(lambda learner: learner.record_paths(step, handed.ids, gradient, dt, flux, tangent))

    def _pays(self) -> bool:
        """Whether routing saves more than it costs. Collective."""
        return self._costs.pays(self._learning.comm, self._by_clock)

    def _switch_off(self) -> None:
        """Leave every point to the exact material for the rest of the run."""
        if self._learning.comm.rank == 0:
            log.warning(
                "learning does not pay: what it has cost so far is more than it has saved; "
                "cells are solved at every point for the rest of the run"
            )
        past = self._points.past
        self._points.route(np.arange(len(self.point_ids)), past.gradient, past.flux)
        self._points.off = True

    # Other runs --------------------------------------------------------------------------------------------------

    def take_up(self) -> None:
        """Go on from what earlier runs have learned, at rest. Collective."""
        self._learning.resume(sys.maxsize)
        self.bind(self.point_ids)

    def state(self) -> dict[str, FloatArray]:
        """What is committed at the points and who answers there; the step, and the books."""
        n = len(self.point_ids)
        return self._points.state() | {
            "step": np.full(n, float(self._step)),
            "off": np.full(n, float(self._points.off)),
            "books": np.tile(self._books, (n, 1)),
        }

    def restore(self, state: Mapping[str, FloatArray]) -> None:
        """Continue from what `state` returned, with what was known then. Collective."""
        comm = self._learning.comm
        step = int(comm.allreduce(float(np.max(state["step"], initial=0.0)), MPI.MAX))
        self._learning.resume(step)
        self.bind(self.point_ids)
        self._step = step
        self._points.restore(state, comm)
        self._points.off = comm.allreduce(bool(np.any(state["off"])), MPI.LOR)
        comm.Allreduce(np.max(state["books"], axis=0, initial=0.0), self._books, MPI.MAX)
        self._costs.resume(self._books, comm.rank == 0)

    # Reports -----------------------------------------------------------------------------------------------------

    def kinds(self) -> NDArray[np.int8]:
        """`Kind` that answers at each point."""
        return self._points.kinds()

    def exact_at(self, point: int) -> tuple[Material, int]:
        """The exact material with the point `point` in its committed state, and its position there.

        Where the surrogate answers, it is led there along the history of the point. Do not evaluate it.

        Raises:
            ArithmeticError: it has no answer on the way.
        """
        return self._exact.at(point)

    def annotation(self, name: str) -> FloatArray:
        """`trust`: score over the largest trusted one; `error_estimate`: what it stands for; `model_version`.

        NaN, NaN and 0 where the exact material answered.
        """
        blank: FloatArray = np.full(len(self.point_ids), 0.0 if name == "model_version" else np.nan)
        if self._surrogate is None:
            return blank
        if name == "model_version":
            values: FloatArray = np.full(len(self.point_ids), float(self._learning.version))
        else:
            values = self._surrogate.score() if name == "trust" else self._surrogate.estimate()
        values = values.copy()
        values[self._exact.rows] = blank[self._exact.rows]
        return values

    def seconds(self) -> Mapping[str, float]:
        """Wall time so far of both materials."""
        spent = self._costs.seconds
        micro = spent["exact"] + spent["arrivals"] + spent["recalled"]
        return {"micro": micro, "surrogate": spent["surrogate"] + spent["judging"]}

    def failure(self, point: int) -> str:
        """What the material that answers at `point` says."""
        return self._points.failure(point)

    def statistics(self) -> dict[str, float]:
        """Counters of the exact material, wherever it is used."""
        counters = self._exact.statistics()
        counters.update(self._audit.material.statistics())
        return dict(counters)

    def report(self) -> dict[str, Any]:
        """What was learned, what audits found, and what it cost; plain JSON. Collective."""
        learning = self._learning
        costs = self._costs.report(learning.comm, len(self.point_ids))
        told = learning.ask(lambda learner: learner.summary())
        return {"largest_flux_jump": self._largest_jump, "switched_off": self._points.off, "costs": costs, **told}
