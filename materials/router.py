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

import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from mpi4py import MPI
from numpy.typing import NDArray

from materials.interface import IntArray, Lesson, Material, Response, Status
from materials.judged import JudgedMaterial
from materials.learning import Learning, rms
from materials.measures import FloatArray
from materials.trajectory import Trajectory, approach, follow

ROUNDS = 3
"""Times that points may change over after convergence, before all do."""
CHUNK = 64
"""Paths that the exact material is led along at a time."""


class _Evaluated(NamedTuple):
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
        make_exact: makes the exact material; called for the points, for those that arrive, and for the audit.
        learning: what the ranks learn together.
        symmetric: whether surrogates of this kind have symmetric tangents.
        learns: whether surrogates are trained at all; otherwise the first one stays.
        watch: only count points beyond trust instead of asking the exact material.
    """

    annotations = ("trust", "error_estimate", "model_version")

    def __init__(
        self,
        make_exact: Callable[[], Material],
        learning: Learning,
        symmetric: bool,
        learns: bool = True,
        watch: bool = False,
    ):
        self._exact, self._scratch, self._auditor = make_exact(), make_exact(), make_exact()
        self._learning = learning
        self._learns, self._watch = learns, watch
        self.measure = self._exact.measure
        self.symmetric = self._exact.symmetric and symmetric
        self.outputs = self._exact.outputs
        self._seconds = {"micro": 0.0, "surrogate": 0.0}
        self._counts: Counter[str] = Counter()
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
        self._gradient, self._flux = np.tile(self.measure.rest, (n, 1)), np.zeros((n, g))
        self._gradients: list[FloatArray] = []
        self._dts: list[float] = []
        self._exact_flux: list[FloatArray] = []
        """What the exact material is known to answer at each increment, (n, g); NaN elsewhere."""
        self._exact_tangent: list[FloatArray] = []
        self._pinned = np.zeros(n, dtype=bool)
        """Points that stay on the exact material for the next attempt."""
        self._step = self._rounds = self._refused = 0
        self._jump = 0.0
        """Largest relative change of the flux where the material of a point changed, in this increment."""
        self._last: _Evaluated | None = None
        self._audited = np.zeros(0, dtype=np.int64)
        self._fast_flux: FloatArray | None = None
        self._take_up(self._learning.surrogate())
        self._rows = np.arange(n) if self._fast is None else np.zeros(0, dtype=np.int64)
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
        began = time.perf_counter()
        if self._fast is None:
            answer = self._exact.evaluate(gradient, dt)
            self._seconds["micro"] += time.perf_counter() - began
            self._last = _Evaluated(gradient, dt, answer.flux, answer.tangent, None)
            return answer
        answer = self._fast.evaluate(gradient, dt)
        self._counts["surrogate_evaluations"] += len(gradient) - len(self._rows)
        outputs = {name: np.full(len(gradient), np.nan) for name in self.outputs}
        answer = answer._replace(outputs=outputs)
        fast_flux = answer.flux
        split = time.perf_counter()
        self._seconds["surrogate"] += split - began
        if self._rows.size:
            rows, fast_flux = self._rows, answer.flux.copy()
            exact = self._exact.evaluate(np.ascontiguousarray(gradient[rows]), dt)
            answer.flux[rows], answer.tangent[rows], answer.status[rows] = exact[:3]
            for name, values in exact.outputs.items():
                outputs[name][rows] = values
            self._counts["exact_evaluations"] += rows.size
        self._seconds["micro"] += time.perf_counter() - split
        self._last = _Evaluated(gradient, dt, answer.flux, answer.tangent, fast_flux)
        return answer

    def foresee(self, gradient: FloatArray, dt: float) -> None:
        """Choose routes by what the surrogate is worth at `gradient` (n, g)."""
        self._rounds, self._refused, self._jump = 0, 0, 0.0
        if self._fast is None or self._watch:
            self._refused = len(self.point_ids) if self._fast is None else 0
            return
        began = time.perf_counter()
        answer = self._fast.evaluate(gradient, dt)
        doubtful = self._pinned | ~self._fast.trusted()
        self._seconds["surrogate"] += time.perf_counter() - began
        self._route(np.flatnonzero(doubtful), gradient, answer.flux)
        self._refused = self._rows.size

    def settle(self) -> int:
        """Send points that the surrogate may not be trusted at to the exact material; how many on all ranks."""
        if self._fast is None or self._last is None:
            return 0
        began = time.perf_counter()
        doubtful = ~self._fast.trusted()
        doubtful[self._rows] = False
        self._seconds["surrogate"] += time.perf_counter() - began
        refused = np.count_nonzero(doubtful)
        if self._watch:
            self._refused = refused
            return 0
        moved: int = self._learning.comm.allreduce(refused)
        if not moved:
            return 0
        self._rounds += 1
        self._refused += refused
        if self._rounds > ROUNDS:
            doubtful[:] = True
            moved = self._learning.comm.allreduce(len(doubtful) - len(self._rows))
        doubtful[self._rows] = True
        assert self._last.fast_flux is not None
        self._route(np.flatnonzero(doubtful), self._last.gradient, self._last.fast_flux)
        return moved

    def _route(self, rows: IntArray, gradient: FloatArray, fast_flux: FloatArray) -> None:
        """Let the exact material answer at `rows` from now on, the surrogate, which says `fast_flux`, elsewhere."""
        began = time.perf_counter()
        coming, going = np.setdiff1d(rows, self._rows), np.setdiff1d(self._rows, rows)
        if coming.size or going.size:
            ids = self.point_ids[coming]
            arrivals = None
            if coming.size:
                arrivals = self._scratch
                if self.remembers:
                    self._recall(arrivals, coming)
                else:
                    there = approach(arrivals, ids, np.ascontiguousarray(gradient[coming])).flux[:, 0]
                    self._jumped(fast_flux[coming], there)
            if going.size and self._fast_flux is not None:
                self._jumped(self._fast_flux[going], self._flux[going])
            self._exact.rebind(self.point_ids[rows], arrivals)
            self._counts["arrivals"] += coming.size
            self._counts["departures"] += going.size
        self._rows = rows
        self._seconds["micro"] += time.perf_counter() - began

    def _recall(self, material: Material, rows: IntArray) -> Trajectory | None:
        """Lead a material along the committed history of some points; what it answers is known from now on."""
        ids = self.point_ids[rows]
        if not self._gradients:
            material.bind(ids)
            return None
        history = np.stack([gradient[rows] for gradient in self._gradients], axis=1)
        past = follow(material, ids, history, np.array(self._dts))
        self._counts["recalled_states"] += past.known.size
        for step, (flux, tangent) in enumerate(zip(self._exact_flux, self._exact_tangent, strict=True)):
            flux[rows] = np.where(past.known[:, step, None], past.flux[:, step], np.nan)
            tangent[rows] = past.tangent[:, step]
        self._jumped(self._flux[rows], past.flux[:, -1])
        return past

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
        self._pinned[:] = False
        self._counts["accepted_points"] += len(self._flux)
        self._counts["accepted_exact_points"] += self._rows.size
        if self.remembers:
            known = np.full_like(self._flux, np.nan)
            known[self._rows] = self._flux[self._rows]
            self._gradients.append(self._gradient.copy())
            self._dts.append(self._last.dt)
            self._exact_flux.append(known)
            self._exact_tangent.append(self._last.tangent.copy())

    def revert(self) -> None:
        """Revert both; points at which the surrogate had no answer are not left to it in the next attempt."""
        if self._last is not None and self._last.fast_flux is not None and not self._watch:
            self._pinned |= ~np.isfinite(self._last.fast_flux).all(axis=1)
        self._exact.revert()
        if self._fast is not None:
            self._fast.revert()
        self._last = None

    def kinds(self) -> NDArray[np.int8]:
        """`Kind` that answers at each point."""
        if self._fast is None:
            return self._exact.kinds()
        kinds = self._fast.kinds()
        kinds[self._rows] = self._exact.kinds()
        return kinds

    def learn(self, step: int) -> Lesson:
        """Hand in the exact answers, audit, and train when it is time. Collective."""
        began = time.perf_counter()
        learning, last = self._learning, self._last
        if last is None:
            raise RuntimeError("nothing to learn from: no increment was committed")
        self._step = step
        unseen = learning.comm.allreduce(self._refused)
        jump = learning.comm.allreduce(self._jump, MPI.MAX)
        error, narrowed = self._audit(step)
        samples, retrained = 0, 0
        if self._learns:
            samples = self._hand_in(step, last)
            if learning.ask(lambda learner: learner.due(step)):
                samples += learning.explore(step, self._gradient, self._solve_paths)
                retrained = int(learning.train(step))
        if retrained or narrowed:
            learning.update()
            self._take_up(learning.surrogate())
        return Lesson(unseen, samples, retrained, error, jump, time.perf_counter() - began)

    def _hand_in(self, step: int, last: _Evaluated) -> int:
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
        self._counts["audited_states"] += rows.size
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

    def _solve_paths(self, ids: IntArray, gradient: FloatArray) -> Trajectory:
        """The exact material along paths (p, s, g), some at a time."""
        dt = np.ones(gradient.shape[1])
        starts = range(0, max(len(ids), 1), CHUNK)
        parts = [follow(self._scratch, ids[i : i + CHUNK], gradient[i : i + CHUNK], dt) for i in starts]
        self._counts["explored_states"] += gradient.shape[0] * gradient.shape[1]
        return Trajectory(*(np.concatenate(column) for column in zip(*parts, strict=True)))

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

    def annotation(self, name: str) -> FloatArray:
        """`trust`: score over the largest trusted one; `error_estimate`: what it stands for; `model_version`.

        NaN, NaN and 0 where the exact material answered.
        """
        blank = np.full(len(self.point_ids), 0.0 if name == "model_version" else np.nan)
        if self._fast is None:
            return blank
        if name == "model_version":
            values = np.full(len(self.point_ids), float(self._learning.version))
        else:
            values = self._fast.score() if name == "trust" else self._fast.estimate()
        values = values.copy()
        values[self._rows] = blank[self._rows]
        return values

    def seconds(self) -> Mapping[str, float]:
        """Wall time so far of both materials."""
        return self._seconds

    def failure(self, point: int) -> str:
        """What the material that answers at `point` says."""
        (place,) = np.nonzero(self._rows == point)
        if place.size:
            return self._exact.failure(int(place[0]))
        return "nothing answers" if self._fast is None else self._fast.failure(point)

    def statistics(self) -> dict[str, float]:
        """Counters of the exact material, and those of the routing."""
        exact = Counter(self._exact.statistics())
        for other in (self._scratch, self._auditor):
            exact.update(other.statistics())
        return dict(exact) | {name: float(count) for name, count in self._counts.items()}
