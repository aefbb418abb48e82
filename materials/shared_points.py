"""Points that an exact material and a surrogate share: which of them answers where, and what both answered last.

The surrogate follows all points, so that it knows their past when it takes over; the exact material has its own only
(`ExactPoints`). Who answers where is decided elsewhere (`Router`).
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from mpi4py import MPI
from numpy.typing import NDArray

from materials.exact_points import ExactPoints
from materials.interface import IntArray, Response
from materials.judged import JudgedMaterial
from materials.measures import FloatArray
from materials.point_history import PointHistory
from materials.routing_costs import RoutingCosts
from materials.trajectory import follow


class Evaluated(NamedTuple):
    """The last evaluation."""

    gradient: FloatArray
    dt: float
    flux: FloatArray
    tangent: FloatArray
    fast_flux: FloatArray | None
    """What the surrogate said at all points; None if it was not asked."""


class SharedPoints:
    """The two materials of a router, and their points; see the module.

    Args:
        exact: the exact side.
        costs: the books of the router.
    """

    def __init__(self, exact: ExactPoints, costs: RoutingCosts):
        self.exact, self._costs = exact, costs
        self.off = False
        """Whether the surrogate is not asked any more."""

    def bind(self, point_ids: IntArray, surrogate: JudgedMaterial | None) -> None:
        """Take on these points at rest, on the surrogate if there is one already."""
        n, material = len(point_ids), self.exact.material
        self.ids = np.asarray(point_ids, dtype=np.int64)
        self.past = PointHistory(n, material.measure, material.remembers)
        self.last: Evaluated | None = None
        self.jump = 0.0
        """Largest relative change of the flux where the material of a point changed, since somebody set it to 0."""
        self._fast_flux: FloatArray | None = None
        """What the surrogate said in the committed state."""
        self.take_up(surrogate)
        self.exact.bind(self.ids, np.arange(n if surrogate is None else 0), self.past)

    def take_up(self, surrogate: JudgedMaterial | None) -> None:
        """Let a surrogate answer from now on, with the history of the points behind it."""
        self.surrogate = surrogate
        if surrogate is None:
            return
        if len(self.past):
            led = follow(surrogate, self.ids, self.past.paths(np.arange(len(self.ids))), self.past.dt)
            self._fast_flux = led.flux[:, -1]
        else:
            surrogate.bind(self.ids)
            self._fast_flux = surrogate.evaluate(self.past.gradient, 1.0).flux
            surrogate.revert()

    @property
    def asked(self) -> JudgedMaterial | None:
        """The surrogate while it is asked."""
        return None if self.off else self.surrogate

    def evaluate(self, gradient: FloatArray, dt: float) -> Response:
        """Answer of the surrogate, and of the exact material at its points; see `Material.evaluate`."""
        costs, surrogate, material, rows = self._costs, self.asked, self.exact.material, self.exact.rows
        if surrogate is None:
            with costs.spend("exact", len(gradient)):
                answer = material.evaluate(gradient, dt)
            self.last = Evaluated(gradient, dt, answer.flux, answer.tangent, None)
            return answer
        with costs.spend("surrogate", len(gradient) - len(rows)):
            answer = surrogate.evaluate(gradient, dt)
        fast_flux = answer.flux
        outputs: dict[str, FloatArray] = {name: np.full(len(gradient), np.nan) for name in material.outputs}
        if rows.size:
            fast_flux = answer.flux.copy()
            with costs.spend("exact", rows.size):
                exact = material.evaluate(np.ascontiguousarray(gradient[rows]), dt)
            answer.flux[rows], answer.tangent[rows], answer.status[rows] = exact[:3]
            for name, values in exact.outputs.items():
                outputs[name][rows] = values
        self.last = Evaluated(gradient, dt, answer.flux, answer.tangent, fast_flux)
        return answer._replace(outputs=outputs)

    def route(self, rows: IntArray, gradient: FloatArray, fast_flux: FloatArray) -> None:
        """Let the exact material answer at `rows` from now on, the surrogate, which says `fast_flux`, elsewhere.

        Both (n, g), `fast_flux` at `gradient`.
        """
        going = np.setdiff1d(self.exact.rows, rows)
        if self._fast_flux is not None:
            self._jumped(self._fast_flux[going], self.past.flux[going])
        arrived, flux = self.exact.move(rows, gradient)
        before = self.past.flux if self.exact.material.remembers else fast_flux
        self._jumped(before[arrived], flux)

    def _jumped(self, before: FloatArray, after: FloatArray) -> None:
        """Keep the largest relative change of the flux where the material of a point changes."""
        if self.surrogate is not None and len(before):
            self.jump = max(self.jump, float(np.max(self.surrogate.error(before, after))))

    def commit(self) -> None:
        """Commit both materials, and remember the last evaluation, if there was any."""
        if self.last is None:
            return
        self.exact.material.commit()
        if self.surrogate is not None:
            self.surrogate.commit()
        gradient, dt, flux, tangent, self._fast_flux = self.last
        self.past.accept(gradient, dt, flux, tangent, self.exact.rows)

    def revert(self) -> None:
        """Revert both."""
        self.exact.material.revert()
        if self.surrogate is not None:
            self.surrogate.revert()
        self.last = None

    def state(self) -> dict[str, FloatArray]:
        """Routes and committed gradients; with memory, their history, from which every point is led to its state."""
        exact = np.zeros(len(self.ids))
        exact[self.exact.rows] = 1.0
        return self.past.state() | {"exact": exact}

    def restore(self, state: Mapping[str, FloatArray], comm: MPI.Comm) -> None:
        """Go on from what `state` returned, with the surrogate in force. Collective."""
        self.past.restore(state, comm)
        self.take_up(self.surrogate)
        self.exact.bind(self.ids, np.zeros(0, dtype=np.int64), self.past)
        self.route(np.flatnonzero(state["exact"] > 0.5), self.past.gradient, self.past.flux)

    def kinds(self) -> NDArray[np.int8]:
        """`Kind` that answers at each point."""
        surrogate = self.asked
        if surrogate is None:
            return self.exact.material.kinds()
        kinds = surrogate.kinds()
        kinds[self.exact.rows] = self.exact.material.kinds()
        return kinds

    def failure(self, point: int) -> str:
        """What the material that answers at `point` says."""
        place = self.exact.place(point)
        if place is not None:
            return self.exact.material.failure(place)
        return "nothing answers" if self.surrogate is None else self.surrogate.failure(point)
