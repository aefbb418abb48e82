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
"""

import logging
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from mpi4py import MPI
from numpy.typing import NDArray

from materials.interface import IntArray, Lesson, Material, Response, Status
from materials.judged import JudgedMaterial
from materials.learning import Learning, rms
from materials.measures import FloatArray
from materials.routing_costs import RoutingCosts
from materials.trajectory import Trajectory, approach, follow, lead

log = logging.getLogger(__name__)

ROUNDS = 3
"""Times that points may change over after convergence, before all do."""
CHUNK = 64
"""Paths that the exact material is led along at a time."""


class Evaluated(NamedTuple):
    """The last evaluation."""

    gradient: FloatArray
    dt: float
    flux: FloatArray
    tangent: FloatArray
    fast_flux: FloatArray | None
    """What the surrogate said at all points."""


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
        self._make_exact = make_exact
        self._exact = (make_iterated or make_exact)()
        self._scratch, self._auditor = make_exact(), make_exact()
        self._parked, self._arrivals = make_exact(), make_exact()
        self._learning = learning
        self._learns, self._by_clock = learns, by_clock
        self.measure = self._exact.measure
        self.symmetric = self._exact.symmetric and symmetric
        self.outputs = self._exact.outputs
        self._costs = RoutingCosts()
        self._books = self._costs.carried(MPI.COMM_SELF)
        """Those of all ranks at the end of the last accepted increment."""
        self._largest_jump = 0.0
        self._off = False
        self.bind(np.zeros(0, dtype=np.int64))

    @property
    def remembers(self) -> bool:
        """Whether the exact material does."""
        return self._exact.remembers

    # Points ------------------------------------------------------------------------------------------------------

    def bind(self, point_ids: IntArray) -> None:
        """Take on these points at rest, on the surrogate if there is one already."""
        n, g = len(point_ids), self.measure.size
        self.point_ids = np.asarray(point_ids, dtype=np.int64)
        self._gradient: FloatArray = np.tile(self.measure.rest, (n, 1))
        self._flux: FloatArray = np.zeros((n, g))
        self._gradients: list[FloatArray] = []
        self._dts: list[float] = []
        self._exact_flux: list[FloatArray] = []
        """What the exact material is known to answer at each increment, (n, g); NaN elsewhere."""
        self._exact_tangent: list[FloatArray] = []
        self._parked_since = np.full(n, -1)
        """Increments behind the states of points that were on the exact material earlier; −1: never there."""
        self._parked.bind(self.point_ids[:0])
        self._pinned = np.zeros(n, dtype=bool)
        """Points that stay on the exact material for the next attempt."""
        self._rejected = False
        """Whether the last attempt was."""
        self._step = self._rounds = self._refused = 0
        self._jump = 0.0
        """Largest relative change of the flux where the material of a point changed, in this increment."""
        self._last: Evaluated | None = None
        self._audited: IntArray = np.zeros(0, dtype=np.int64)
        self._shown: dict[int, tuple[Material, int]] = {}
        """Exact materials that accompany a point each, to be looked into, and the increments behind them."""
        self._fast_flux: FloatArray | None = None
        self._take_up(self._learning.surrogate())
        self._rows: IntArray = np.arange(n if self._fast is None else 0)
        self._exact.bind(self.point_ids[self._rows])

    def _take_up(self, surrogate: JudgedMaterial | None) -> None:
        """Let a surrogate answer from now on, with the history of the points behind it."""
        self._fast = surrogate
        if surrogate is None:
            return
        if self._gradients:
            past = follow(surrogate, self.point_ids, np.stack(self._gradients, axis=1), np.array(self._dts))
            self._fast_flux = past.flux[:, -1]
        else:
            surrogate.bind(self.point_ids)
            self._fast_flux = surrogate.evaluate(self._gradient, 1.0).flux
            surrogate.revert()

    # Answers -----------------------------------------------------------------------------------------------------

    def evaluate(self, gradient: FloatArray, dt: float) -> Response:
        """Answer of the surrogate, and of the exact material at its points; see `Material.evaluate`."""
        costs, rows = self._costs, self._rows
        if self._fast is None or self._off:
            with costs.spend("exact", len(gradient)):
                answer = self._exact.evaluate(gradient, dt)
            self._last = Evaluated(gradient, dt, answer.flux, answer.tangent, None)
            return answer
        with costs.spend("surrogate", len(gradient) - len(rows)):
            answer = self._fast.evaluate(gradient, dt)
        fast_flux = answer.flux
        outputs: dict[str, FloatArray] = {name: np.full(len(gradient), np.nan) for name in self.outputs}
        if rows.size:
            fast_flux = answer.flux.copy()
            with costs.spend("exact", rows.size):
                exact = self._exact.evaluate(np.ascontiguousarray(gradient[rows]), dt)
            answer.flux[rows], answer.tangent[rows], answer.status[rows] = exact[:3]
            for name, values in exact.outputs.items():
                outputs[name][rows] = values
        self._last = Evaluated(gradient, dt, answer.flux, answer.tangent, fast_flux)
        return answer._replace(outputs=outputs)

    def foresee(self, gradient: FloatArray, dt: float) -> None:
        """Choose routes by what the surrogate is worth at `gradient` (n, g)."""
        self._begin_attempt()
        if self._fast is None or self._off:
            return
        with self._costs.spend("judging"):
            fast_flux = self._fast.evaluate(gradient, dt).flux
            doubtful = self._pinned | ~self._fast.trusted()
        self._route(np.flatnonzero(doubtful), gradient, fast_flux)
        self._refused = self._rows.size

    def _begin_attempt(self) -> None:
        self._rounds, self._jump = 0, 0.0
        self._refused = len(self.point_ids) if self._fast is None else 0

    def settle(self) -> int:
        """Send points that the surrogate may not be trusted at to the exact material; how many on all ranks."""
        last = self._last
        if self._fast is None or self._off or last is None or last.fast_flux is None:
            return 0
        with self._costs.spend("judging"):
            doubtful = ~self._fast.trusted()
        doubtful[self._rows] = False
        refused = np.count_nonzero(doubtful)
        moved: int = self._learning.comm.allreduce(refused)
        if not moved:
            return 0
        self._rounds += 1
        self._refused += refused
        if self._rounds > ROUNDS:
            doubtful[:] = True
            moved = self._learning.comm.allreduce(len(doubtful) - len(self._rows))
        if self._learning.comm.rank == 0:
            which = "beyond trust" if self._rounds <= ROUNDS else "left"
            subject, verb = ("1 point", "changes") if moved == 1 else (f"{moved} points", "change")
            log.info("round %d: %s %s %s to cells", self._rounds, subject, which, verb)
        doubtful[self._rows] = True
        self._route(np.flatnonzero(doubtful), last.gradient, last.fast_flux)
        return moved

    def _route(self, rows: IntArray, gradient: FloatArray, fast_flux: FloatArray) -> None:
        """Let the exact material answer at `rows` from now on, the surrogate, which says `fast_flux`, elsewhere."""
        coming, going = np.setdiff1d(rows, self._rows), np.setdiff1d(self._rows, rows)
        if not (coming.size or going.size):
            return
        arrivals = None
        if coming.size and self.remembers:
            self._recall(coming)
            arrivals = self._arrivals
        elif coming.size:
            arrivals = self._scratch
            there = np.ascontiguousarray(gradient[coming])
            with self._costs.spend("arrivals", coming.size):
                answer = approach(arrivals, self.point_ids[coming], there)
            self._jumped(fast_flux[coming], answer.flux[:, 0])
        if going.size and self._fast_flux is not None:
            self._jumped(self._fast_flux[going], self._flux[going])
        if self.remembers:
            self._park(coming, going)
        self._exact.rebind(self.point_ids[rows], arrivals)
        self._rows = rows

    def _park(self, coming: IntArray, going: IntArray) -> None:
        """Keep the states of points that leave the exact material, and none of those that come to it."""
        self._parked_since[coming] = -1
        self._parked_since[going] = len(self._gradients)
        self._parked.rebind(self.point_ids[self._parked_since >= 0], self._exact)

    def _recall(self, rows: IntArray) -> None:
        """Have `_arrivals` at the end of the committed history of some points, and what it answered on the way.

        Points go on from their last state on the exact material, if they ever were there.
        """
        ids, past = self.point_ids, len(self._gradients)
        since = np.maximum(self._parked_since, 0)
        self._arrivals.bind(ids[:0])
        for start in np.unique(since[rows]):
            group = rows[since[rows] == start]
            self._scratch.bind(ids[:0])
            self._scratch.rebind(ids[group], self._parked)
            way = [gradient[group] for gradient in self._gradients[start:]]
            history = np.stack(way, axis=1) if way else np.zeros((group.size, 0, self.measure.size))
            begin = self._gradients[start - 1][group] if start else np.tile(self.measure.rest, (group.size, 1))
            with self._costs.spend("recalled", group.size * (past - int(start))):
                answer = lead(self._scratch, begin, history, np.array(self._dts[start:]))
            for step in range(past - start):
                known = answer.known[:, step, None]
                self._exact_flux[start + step][group] = np.where(known, answer.flux[:, step], np.nan)
                self._exact_tangent[start + step][group] = answer.tangent[:, step]
            if past > start:
                self._jumped(self._flux[group], answer.flux[:, -1])
            self._arrivals.rebind(np.concatenate([self._arrivals.point_ids, ids[group]]), self._scratch)

    def _jumped(self, before: FloatArray, after: FloatArray) -> None:
        """Keep the largest relative change of the flux where the material of a point changes."""
        if self._fast is not None and len(before):
            self._jump = max(self._jump, float(np.max(self._fast.error(before, after))))

    # Increments --------------------------------------------------------------------------------------------------

    def commit(self) -> None:
        """Commit both materials, and remember the increment."""
        if self._last is None:
            return
        self._exact.commit()
        if self._fast is not None:
            self._fast.commit()
        self._gradient, self._flux, self._fast_flux = self._last.gradient, self._last.flux, self._last.fast_flux
        self._pinned[:] = self._rejected = False
        self._costs.increments += self._fast is not None
        if self.remembers:
            known = np.full_like(self._flux, np.nan)
            known[self._rows] = self._flux[self._rows]
            self._gradients.append(self._gradient.copy())
            self._dts.append(self._last.dt)
            self._exact_flux.append(known)
            self._exact_tangent.append(self._last.tangent.copy())

    def revert(self) -> None:
        """Revert both.

        Points at which the surrogate was not to be trusted are not left to it in the next attempt, and after a second
        rejection in a row none is, so that no surrogate keeps a run from going on.
        """
        if self._fast is not None and self._last is not None and self._last.fast_flux is not None:
            self._pinned |= ~(np.isfinite(self._last.fast_flux).all(axis=1) & self._fast.trusted())
            self._pinned[:] |= self._rejected
            self._rejected = True
        self._exact.revert()
        if self._fast is not None:
            self._fast.revert()
        self._last = None

    def kinds(self) -> NDArray[np.int8]:
        """`Kind` that answers at each point."""
        if self._fast is None or self._off:
            return self._exact.kinds()
        kinds = self._fast.kinds()
        kinds[self._rows] = self._exact.kinds()
        return kinds

    def learn(self, step: int, growth: float = np.inf) -> Lesson:
        """Hand in the exact answers, audit, and train when it is time; see `Material.learn`. Collective."""
        began = time.perf_counter()
        learning, last, self._last = self._learning, self._last, None
        if last is None:
            raise RuntimeError("nothing to learn from: no increment was committed")
        self._step = step
        unseen = learning.comm.allreduce(self._refused)
        jump = learning.comm.allreduce(self._jump, MPI.MAX)
        self._largest_jump = max(self._largest_jump, jump)
        if self._off:
            self._books = self._costs.carried(learning.comm)
            return Lesson(unseen, flux_jump=jump)
        with self._costs.spend("audited"):
            error, narrowed = self._audit(step)
        samples, retrained = self._digest(step, growth, last)
        if retrained or narrowed:
            learning.update()
            self._take_up(learning.surrogate())
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
                    samples += learning.explore(step, growth, self.point_ids, self._gradient, self._solve_paths)
                with self._costs.spend("training"):
                    retrained = int(learning.train(step))
        return samples, retrained

    def take_up(self) -> None:
        """Go on from what earlier runs have learned, at rest. Collective."""
        self._learning.resume(sys.maxsize)
        self.bind(self.point_ids)

    # Change-over -------------------------------------------------------------------------------------------------

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
        everything = np.arange(len(self.point_ids))
        self._route(everything, self._gradient, self._flux)
        self._off = True

    def _hand_in(self, step: int, last: Evaluated) -> int:
        """Give the exact answers of the last increment to the learner; how many were new to it."""
        learning, rows = self._learning, self._rows
        if not self.remembers:
            handed = learning.gather(self.point_ids[rows], last.gradient[rows], last.flux[rows], last.tangent[rows])
            return learning.ask(lambda learner: learner.record(step, last.dt, handed.ids, *handed.arrays))
        stores = (self._gradients, self._exact_flux, self._exact_tangent)
        gradient, flux, tangent = (np.stack([values[rows] for values in store], axis=1) for store in stores)
        known = np.isfinite(flux).all(axis=(1, 2))
        handed = learning.gather(self.point_ids[rows[known]], gradient[known], flux[known], tangent[known])
        gradient, flux, tangent = handed.arrays
        dt = np.tile(self._dts, (len(handed.ids), 1))
        return learning.ask(lambda learner: learner.record_paths(step, handed.ids, gradient, dt, flux, tangent))

    def _audit(self, step: int) -> tuple[float, bool]:
        """Ask the exact material at some surrogate points; the error there, and whether trust was narrowed by it."""
        if self._fast is None:
            return float("nan"), False
        learning = self._learning
        wanted = learning.chosen(self.point_ids, step)
        if self.remembers:
            rows = np.flatnonzero(wanted)
            exact = self._accompany(rows)
        else:
            wanted[self._rows] = False
            rows = np.flatnonzero(wanted)
            exact = approach(self._auditor, self.point_ids[rows], np.ascontiguousarray(self._gradient[rows]))
        known = exact.known[:, -1] & ~np.isin(rows, self._rows)
        rows, reference = rows[known], exact.flux[known, -1]
        self._costs.count["audited"] += exact.known.size
        handed = learning.gather(self.point_ids[rows], self._fast.error(self._flux[rows], reference))
        narrowed = learning.ask(lambda learner: learner.audited(step, handed.ids, handed.arrays[0]))
        errors: FloatArray = learning.comm.bcast(handed.arrays[0])
        return rms(errors), narrowed

    def _accompany(self, rows: IntArray) -> Trajectory:
        """Lead the auditor, which goes along with the same points through the whole run, one increment on."""
        if not np.array_equal(rows, self._audited) or self._auditor.point_ids.size != rows.size:
            self._audited = rows
            history = np.stack([gradient[rows] for gradient in self._gradients], axis=1)
            return follow(self._auditor, self.point_ids[rows], history, np.array(self._dts))
        response = self._auditor.evaluate(np.ascontiguousarray(self._gradient[rows]), self._dts[-1])
        self._auditor.commit()
        known = (response.status == Status.OK)[:, None]
        return Trajectory(response.flux[:, None], response.tangent[:, None], known)

    def _solve_paths(self, ids: IntArray, gradient: FloatArray, dt: FloatArray) -> Trajectory:
        """The exact material along paths (p, s, g), some at a time."""
        starts = range(0, max(len(ids), 1), CHUNK)
        parts = [follow(self._scratch, ids[i : i + CHUNK], gradient[i : i + CHUNK], dt) for i in starts]
        self._costs.count["explored"] += gradient.shape[0] * gradient.shape[1]
        return Trajectory(*(np.concatenate(column) for column in zip(*parts, strict=True)))

    # A look inside -----------------------------------------------------------------------------------------------

    def exact_at(self, point: int) -> tuple[Material, int]:
        """The exact material with the point `point` in its committed state, and its position there.

        Where the surrogate answers, it is led there along the history of the point. Do not evaluate it.

        Raises:
            ArithmeticError: it has no answer on the way.
        """
        (place,) = np.nonzero(self._rows == point)
        if place.size:
            return self._exact, int(place[0])
        ids, behind = self.point_ids[point : point + 1], len(self._gradients)
        if self.remembers:
            material, past = self._shown.pop(point, (None, 0))
            if material is None:
                material = self._make_exact()
                material.bind(ids)
            start = self._gradients[past - 1][point] if past else self.measure.rest
            way = np.array([gradient[point] for gradient in self._gradients[past:]]).reshape(1, -1, self.measure.size)
            found = lead(material, start[None], way, np.array(self._dts[past:]))
        else:
            material = self._scratch
            found = approach(material, ids, self._gradient[point : point + 1])
        if not found.known.all():
            raise ArithmeticError("its cell has no answer along the history that a surrogate has led the point")
        if self.remembers:
            self._shown[point] = (material, behind)
        return material, 0

    # Restart and reports -----------------------------------------------------------------------------------------

    def state(self) -> dict[str, FloatArray]:
        """Routes and committed gradients; with memory, their history, from which every point is led to its state."""
        n, g = self._gradient.shape
        route = np.zeros(n)
        route[self._rows] = 1.0
        steps = len(self._gradients)
        history = np.stack(self._gradients, axis=1) if steps else np.zeros((n, 0, g))
        state = {
            "exact": route,
            "gradient": self._gradient.copy(),
            "flux": self._flux.copy(),
            "step": np.full(n, float(self._step)),
            "off": np.full(n, float(self._off)),
            "books": np.tile(self._books, (n, 1)),
        }
        if self.remembers:
            state["history"] = history.reshape(n, steps * g)
            state["history_dt"] = np.tile(self._dts, (n, 1)).reshape(n, steps)
        return state

    def restore(self, state: Mapping[str, FloatArray]) -> None:
        """Continue from what `state` returned, with what was known then. Collective."""
        n, g = self._gradient.shape
        step = int(self._learning.comm.allreduce(float(np.max(state["step"], initial=0.0)), MPI.MAX))
        self._learning.resume(step)
        self.bind(self.point_ids)
        self._step = step
        self._gradient, self._flux = state["gradient"].reshape(n, g).copy(), state["flux"].reshape(n, g).copy()
        mine = state["history_dt"][0].tolist() if self.remembers and n else []
        self._dts = max(self._learning.comm.allgather(mine), key=len)
        steps = len(self._dts)
        history = np.reshape(state["history"], (n, steps, g)) if self.remembers else np.zeros((n, 0, g))
        self._gradients = [np.ascontiguousarray(history[:, step]) for step in range(steps)]
        self._exact_flux = [np.full((n, g), np.nan) for _ in range(steps)]
        self._exact_tangent = [np.zeros((n, g, g)) for _ in range(steps)]
        self._take_up(self._learning.surrogate())
        self._rows = np.zeros(0, dtype=np.int64)
        self._exact.bind(self.point_ids[self._rows])
        self._route(np.flatnonzero(state["exact"] > 0.5), self._gradient, self._flux)
        comm = self._learning.comm
        self._off = comm.allreduce(bool(np.any(state["off"])), MPI.LOR)
        comm.Allreduce(np.max(state["books"], axis=0, initial=0.0), self._books, MPI.MAX)
        self._costs.resume(self._books, comm.rank == 0)

    def annotation(self, name: str) -> FloatArray:
        """`trust`: score over the largest trusted one; `error_estimate`: what it stands for; `model_version`.

        NaN, NaN and 0 where the exact material answered.
        """
        blank: FloatArray = np.full(len(self.point_ids), 0.0 if name == "model_version" else np.nan)
        if self._fast is None:
            return blank
        if name == "model_version":
            values: FloatArray = np.full(len(self.point_ids), float(self._learning.version))
        else:
            values = self._fast.score() if name == "trust" else self._fast.estimate()
        values = values.copy()
        values[self._rows] = blank[self._rows]
        return values

    def seconds(self) -> Mapping[str, float]:
        """Wall time so far of both materials."""
        spent = self._costs.seconds
        micro = spent["exact"] + spent["arrivals"] + spent["recalled"]
        return {"micro": micro, "surrogate": spent["surrogate"] + spent["judging"]}

    def failure(self, point: int) -> str:
        """What the material that answers at `point` says."""
        (place,) = np.nonzero(self._rows == point)
        if place.size:
            return self._exact.failure(int(place[0]))
        return "nothing answers" if self._fast is None else self._fast.failure(point)

    def statistics(self) -> dict[str, float]:
        """Counters of the exact material, wherever it is used."""
        counters: Counter[str] = Counter()
        for material in (self._exact, self._scratch, self._auditor, *(shown for shown, _ in self._shown.values())):
            counters.update(material.statistics())
        return dict(counters)

    def report(self) -> dict[str, Any]:
        """What was learned, what audits found, and what it cost; plain JSON. Collective."""
        learning = self._learning
        costs = self._costs.report(learning.comm, len(self.point_ids))
        told = learning.ask(lambda learner: learner.summary())
        return {"largest_flux_jump": self._largest_jump, "switched_off": self._off, "costs": costs, **told}
