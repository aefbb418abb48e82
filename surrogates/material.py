"""A trained surrogate as a material."""

import logging
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from materials.interface import IntArray, Kind, Material, Response, Status
from materials.measures import FloatArray
from surrogates.family import Family
from surrogates.store import Model

log = logging.getLogger(__name__)


class SurrogateMaterial(Material):
    """Points that share one trained network, each with its own state where the network remembers.

    States outside the range of the training split, in strain or descriptors, are answered all the same: they are
    counted when an increment is accepted (`statistics`), and the first of them is warned of in the log. A state outside
    the domain of the network (det F ≤ 0) fails. In plane strain no network learns the output `stress_33`.

    Args:
        model: the network and its training range.
        name: what to call it in the warning.
        descriptors: of a model for many microstructures, which one lies at coordinates (n, d), (n,) by name.
        of_another_cell: whether the network is known to stand for another cell than it was trained for, which is
            counted.
    """

    def __init__(
        self,
        model: Model,
        name: str = "surrogate",
        descriptors: Mapping[str, Callable[[FloatArray], FloatArray]] | None = None,
        of_another_cell: bool = False,
    ):
        self.model = model
        self.name = name
        self.descriptors = dict(descriptors or {})
        self.measure = model.measure
        self.symmetric = model.family.symmetric
        self._counts = {"accepted_states": 0, "accepted_outside_training_range": 0}
        if of_another_cell:
            self._counts["accepted_of_another_cell"] = 0
        self.bind(np.zeros(0, dtype=np.int64))

    @property
    def remembers(self) -> bool:
        """Whether the network has a state."""
        return self.model.family.state_size > 0

    def bind(self, point_ids: IntArray) -> None:
        """Take on these points, at rest."""
        self.point_ids = np.asarray(point_ids, dtype=np.int64)
        self._n = len(point_ids)
        self._committed = np.tile(self.model.family.initial_state(), (self._n, 1))
        self._trial: tuple[FloatArray, FloatArray] | None = None
        """Gradient and state of the last evaluation."""
        self._answered: NDArray[np.bool_] = np.zeros(self._n, dtype=np.bool_)
        """Where it had an answer."""
        self._located: Family | None = None
        """The network for the microstructures at the points, where it asks for descriptors."""
        self._beyond: NDArray[np.bool_] = np.zeros(self._n, dtype=np.bool_)
        """Whose descriptors lie outside the range that it was trained for."""

    def locate(self, coordinates: FloatArray) -> None:
        """Take on the descriptors of the places `coordinates` (n, d)."""
        if not self.model.family.descriptors:
            return
        values = {name: function(coordinates) for name, function in self.descriptors.items()}
        self._located, self._beyond = self.model.family.at(values), self.model.family.beyond(values)

    def evaluate(self, gradient: FloatArray, dt: float) -> Response:
        """Flux and tangent at `gradient` (n, g)."""
        if gradient.shape != (self._n, self.measure.size):
            wanted = (self._n, self.measure.size)
            raise ValueError(f"gradient must be of shape {wanted}, got {gradient.shape}: bind the material first")
        flux, tangent, state = (self._located or self.model.family).step(gradient, self._committed, dt)
        finite = np.isfinite(flux).all(axis=1) & np.isfinite(tangent).all(axis=(1, 2))
        status = np.where(finite, Status.OK, Status.FAILED).astype(np.int8)
        self._answered = np.asarray(finite)
        self._trial = gradient.copy(), state
        return Response(flux, tangent, status, {})

    def commit(self) -> None:
        """Take over the state of the last evaluation, and count where it was."""
        if self._trial is None:
            return
        gradient, self._committed = self._trial
        outside = int(np.count_nonzero(self.model.outside(gradient) | self._beyond))
        if outside and not self._counts["accepted_outside_training_range"]:
            log.warning(
                "%s: %d of %d states lie outside the range it was trained for; its answers there are extrapolated, "
                "and counted as accepted_outside_training_range in run.json",
                self.name,
                outside,
                self._n,
            )
        self._counts["accepted_states"] += self._n
        self._counts["accepted_outside_training_range"] += outside
        if "accepted_of_another_cell" in self._counts:
            self._counts["accepted_of_another_cell"] += self._n
        self._trial = None

    def revert(self) -> None:
        """Forget the last evaluation."""
        self._trial = None

    def kinds(self) -> NDArray[np.int8]:
        """`Kind.SURROGATE` at each point."""
        return np.full(self._n, Kind.SURROGATE, dtype=np.int8)

    def state(self) -> dict[str, FloatArray]:
        """The state of the network; nothing where the response is reversible."""
        return {"state": self._committed.copy()} if self.model.family.state_size else {}

    def restore(self, state: Mapping[str, FloatArray]) -> None:
        """Continue from what `state` returned; ValueError if the network has no state and some is given."""
        if self.model.family.state_size:
            self._committed = np.array(state["state"], dtype=np.float64).reshape(self._committed.shape)
        elif state:
            raise ValueError(f"this surrogate has no state, got {', '.join(sorted(state))}")
        self._trial = None

    def failure(self, point: int) -> str:
        """What is wrong with the last gradient at `point`."""
        return "the surrogate has no answer for this gradient: det F ≤ 0, or it or a descriptor is not finite"

    def statistics(self) -> dict[str, float]:
        """Accepted states, those of them outside the training range, and those of a model for another cell."""
        return {name: float(count) for name, count in self._counts.items()}
