"""The material-point interface: the one contract between a finite-element driver and whatever answers at a point.

A law, an RVE sub-solve, a surrogate and a router between them are all a `Material`. The driver hands a material all
its points in one batch and never learns which kind it is.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from enum import IntEnum
from typing import NamedTuple

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


class Material(ABC):
    """A constitutive response at a set of points, with the state of those points.

    The life of a material: `bind` it to its points once; `evaluate` as often as the solver likes, always from the
    committed state; `commit` when the increment is accepted, `revert` when it is rejected.
    """

    measure: Measure
    symmetric: bool
    """Whether the tangent is declared symmetric."""
    outputs: tuple[str, ...] = ()
    """Names of the extra outputs, such as `stress_33`."""

    @abstractmethod
    def bind(self, point_ids: IntArray) -> None:
        """Create the state of these points, at rest. Ids are global and do not depend on the number of ranks."""

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

    def failure(self, point: int) -> str:
        """What was tried at local point `point` before its last evaluation failed, in words for a message."""
        return "the law has no answer for this gradient"

    def statistics(self) -> dict[str, float]:
        """Counters since `bind` (iterations, factorisations, fallbacks, …), for run.json and the log."""
        return {}
