"""The material-point interface: the one contract between a finite-element driver and whatever answers at a point.

A law, an RVE sub-solve, a surrogate and a router between them are all a `Material`. The driver hands a material all
its points in one batch and never learns which kind it is.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from materials.measures import FloatArray, Measure

IntArray = NDArray[np.int64]


class Kind(IntEnum):
    """What answered at a point; counted per increment in history.csv."""

    LAW = 0
    RVE = 1
    SURROGATE = 2


class Status(IntEnum):
    """Outcome of an evaluation at one point."""

    OK = 0
    FAILED = 1
    """No answer: the local solve did not converge, or the state left the law's domain (det F ≤ 0, NaN)."""
    PROVISIONAL = 2
    """The answer of a linearisation: good enough to iterate with, not to accept. Asked again, the point is closer."""


class Response(NamedTuple):
    """Answer of a material for a batch of n points with g gradient components."""

    flux: FloatArray
    """Flux, (n, g)."""
    tangent: FloatArray
    """Consistent tangent d flux / d gradient, (n, g, g)."""
    status: NDArray[np.int8]
    """`Status` of each point, (n,). Flux and tangent of a failed point are meaningless."""
    outputs: dict[str, FloatArray]
    """Extra outputs that the material declares, each (n,)."""


class Lesson(NamedTuple):
    """What a material did besides answering in an accepted increment; counts over all ranks."""

    unseen: int = 0
    """Points whose surrogate was not trusted."""
    samples: int = 0
    """Exact answers gained to learn from."""
    retrained: int = 0
    """Trainings whose result is in force now."""
    audit_error: float = np.nan
    """Root mean square of the relative flux errors that the audit of this increment measured; NaN without one."""
    flux_jump: float = 0.0
    """Largest relative change of the flux at a point that changed the way it answers."""
    seconds: float = 0.0
    """Wall time of learning, checking included."""


class Material(ABC):
    """A constitutive response at a set of points, with the state of those points.

    The life of a material: `bind` it to its points once; `evaluate` as often as the solver likes, always from the
    committed state; `commit` when the increment is accepted, `revert` when it is rejected.

    A material may choose between ways to answer. It is told where an increment will end (`foresee`), asked whether it
    stands by its answers once the iteration has converged (`settle`), and given time after each accepted increment
    (`learn`). Others do nothing there.
    """

    measure: Measure
    symmetric: bool
    """Whether the tangent is declared symmetric."""
    outputs: tuple[str, ...] = ()
    """Names of the extra outputs, such as `stress_33`."""
    annotations: tuple[str, ...] = ()
    """Names of what can be told of each point beyond its response, such as why it is trusted."""

    @property
    @abstractmethod
    def remembers(self) -> bool:
        """Whether the flux depends on more than the present gradient."""

    point_ids: IntArray
    """Ids of the points that the material is bound to, (n,)."""

    @abstractmethod
    def bind(self, point_ids: IntArray) -> None:
        """Create the state of these points, at rest. Ids are global and do not depend on the number of ranks."""

    def locate(self, coordinates: FloatArray) -> None:
        """Learn where the points lie in the reference configuration, (n, d); once, after `bind`."""
        del coordinates  # most do not care

    @abstractmethod
    def evaluate(self, gradient: FloatArray, dt: float) -> Response:
        """Flux and consistent tangent at `gradient` (n, g), after a step `dt` from the committed state.

        Keeps the trial state that belongs to this gradient; never changes the committed state. Failure is reported
        by status, never by an exception.
        """

    @abstractmethod
    def commit(self) -> None:
        """Make the trial state of the last evaluation the committed one."""

    @abstractmethod
    def revert(self) -> None:
        """Drop the trial state, and every iterate that was kept to start the next evaluation from."""

    @abstractmethod
    def kinds(self) -> NDArray[np.int8]:
        """`Kind` that answers at each point, (n,)."""

    @abstractmethod
    def state(self) -> dict[str, FloatArray]:
        """Committed state by name, each with the points as leading axis; enough to `restore` exactly."""

    @abstractmethod
    def restore(self, state: Mapping[str, FloatArray]) -> None:
        """Set the committed state from what `state` returned for the same points, in the same order."""

    def rebind(self, point_ids: IntArray, arrivals: "Material | None" = None) -> None:
        """Change to other points between evaluations: those that stay keep their committed state.

        Args:
            point_ids: the new points, in order.
            arrivals: a material of the same kind that holds the state of the points that come; they are at rest
                without one.
        """
        kept, keeping = self.state(), self.point_ids
        others = None if arrivals is None else (arrivals.state(), arrivals.point_ids)
        self.bind(point_ids)
        merged = self.state()
        for found, ids in filter(None, ((kept, keeping), others)):
            _, here, there = np.intersect1d(point_ids, ids, return_indices=True)
            for name, values in merged.items():
                values[here] = found[name][there]
        self.restore(merged)

    def foresee(self, gradient: FloatArray, dt: float) -> None:
        """Prepare for an increment of duration `dt` that is expected to end near `gradient` (n, g)."""
        del gradient, dt  # there is one way to answer

    def settle(self) -> int:
        """After convergence: at how many points of all ranks another way to answer is chosen instead of the last.

        Collective. With any, the increment has to be solved again, from the same committed state.
        """
        return 0

    def learn(self, step: int, growth: float = np.inf) -> Lesson | None:
        """After the commit of increment `step`: time to check and to learn. Collective.

        The load will be up to `growth` times the largest so far, at least 1; infinite where nobody knows.
        """
        del step, growth  # it knows what it knows
        return None

    def annotation(self, name: str) -> FloatArray:
        """One of `annotations` at the points of the last accepted increment, (n,)."""
        raise KeyError(name)

    def report(self) -> dict[str, Any]:
        """What else there is to tell at the end of a run, over all ranks, as plain JSON. Collective."""
        return {}

    def seconds(self) -> Mapping[str, float] | None:
        """Wall time so far by `micro` and `surrogate`, for a material that is both; None otherwise."""
        return None

    def failure(self, point: int) -> str:
        """What was tried at local point `point` before its last evaluation failed, in words for a message."""
        return "the law has no answer for this gradient"

    def statistics(self) -> dict[str, float]:
        """Counters since `bind` (iterations, factorisations, fallbacks, …), for run.json and the log."""
        return {}
