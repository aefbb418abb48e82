"""The exact side of a router: the points that the exact material answers at, which come and go.

A point that comes to a material with memory is led there along its committed history, from where it left the exact
material if it ever was there: states of points that go are parked.
"""

from collections import Counter
from collections.abc import Callable

import numpy as np

from materials.interface import IntArray, Material
from materials.measures import FloatArray
from materials.point_history import PointHistory
from materials.routing_costs import RoutingCosts
from materials.trajectory import Trajectory, approach, follow, lead

CHUNK = 64
"""Paths that the exact material is led along at a time."""


class ExactPoints:
    """The exact material at some of the points of a router; see the module.

    Args:
        make: makes the exact material: for points that arrive, are parked, explored or looked at.
        material: the one that answers in the increments.
        costs: the books of the router.
    """

    def __init__(self, make: Callable[[], Material], material: Material, costs: RoutingCosts):
        self._make, self.material, self._costs = make, material, costs
        self._scratch, self._parked, self._arrivals = make(), make(), make()

    def bind(self, point_ids: IntArray, rows: IntArray, past: PointHistory) -> None:
        """Answer at the points `rows`, at rest, out of those with the given ids, which `past` remembers."""
        self._ids, self._past = point_ids, past
        self.rows = rows
        """Where the exact material answers, in order."""
        self.material.bind(point_ids[rows])
        self._parked.bind(point_ids[:0])
        self._parked_since = np.full(len(point_ids), -1)
        """Increments behind the states of points that were here earlier; −1: never."""
        self._shown: dict[int, tuple[Material, int]] = {}
        """Exact materials that accompany a point each, to be looked into, and the increments behind them."""

    def move(self, rows: IntArray, gradient: FloatArray) -> tuple[IntArray, FloatArray]:
        """Answer at `rows` from now on.

        Returns:
            Points that have come, and the flux there (p, g): in their committed state with memory, at `gradient` (n, g)
            without. Points with nothing committed that they could be compared in are left out.
        """
        coming, going = np.setdiff1d(rows, self.rows), np.setdiff1d(self.rows, rows)
        arrived, arrivals = coming[:0], None
        flux: FloatArray = np.zeros((0, gradient.shape[1]))
        if not (coming.size or going.size):
            return arrived, flux
        if coming.size and self.material.remembers:
            arrived, flux = self._recall(coming)
            arrivals = self._arrivals
        elif coming.size:
            arrivals = self._scratch
            with self._costs.spend("arrivals", coming.size):
                there = approach(arrivals, self._ids[coming], np.ascontiguousarray(gradient[coming]))
            arrived, flux = coming, there.flux[:, 0]
        if self.material.remembers:
            self._park(coming, going)
        self.material.rebind(self._ids[rows], arrivals)
        self.rows = rows
        return arrived, flux

    def _park(self, coming: IntArray, going: IntArray) -> None:
        """Keep the states of points that leave the exact material, and none of those that come to it."""
        self._parked_since[coming] = -1
        self._parked_since[going] = len(self._past)
        self._parked.rebind(self._ids[self._parked_since >= 0], self.material)

    def _recall(self, rows: IntArray) -> tuple[IntArray, FloatArray]:
        """Have `_arrivals` in the committed state of some points, and what it answered on the way remembered.

        Points go on from their parked states. Returns those that were led, and their flux (p, g) in the end.
        """
        ids, past = self._ids, self._past
        since = np.maximum(self._parked_since, 0)
        led, flux = [rows[:0]], [past.flux[:0]]
        self._arrivals.bind(ids[:0])
        for start in map(int, np.unique(since[rows])):
            group = rows[since[rows] == start]
            self._scratch.bind(ids[:0])
            self._scratch.rebind(ids[group], self._parked)
            begin, way = past.after(start, group), past.paths(group, start)
            with self._costs.spend("recalled", group.size * (len(past) - start)):
                answer = lead(self._scratch, begin, way, past.dt[start:])
            past.recalled(group, start, answer)
            if len(past) > start:
                led.append(group)
                flux.append(answer.flux[:, -1])
            self._arrivals.rebind(np.concatenate([self._arrivals.point_ids, ids[group]]), self._scratch)
        return np.concatenate(led), np.concatenate(flux)

    def along(self, ids: IntArray, gradient: FloatArray, dt: FloatArray) -> Trajectory:
        """The exact material along paths (p, s, g) from rest, some at a time."""
        starts = range(0, max(len(ids), 1), CHUNK)
        parts = [follow(self._scratch, ids[i : i + CHUNK], gradient[i : i + CHUNK], dt) for i in starts]
        self._costs.count["explored"] += gradient.shape[0] * gradient.shape[1]
        return Trajectory(*(np.concatenate(column) for column in zip(*parts, strict=True)))

    def at(self, point: int) -> tuple[Material, int]:
        """The exact material with the point `point` in its committed state, and its position there.

        Where it does not answer, it is led there along the history of the point. Do not evaluate it.

        Raises:
            ArithmeticError: it has no answer on the way.
        """
        place = self.place(point)
        if place is not None:
            return self.material, place
        row, past = np.array([point]), self._past
        if self.material.remembers:
            material, behind = self._shown.pop(point, (None, 0))
            if material is None:
                material = self._make()
                material.bind(self._ids[row])
            found = lead(material, past.after(behind, row), past.paths(row, behind), past.dt[behind:])
        else:
            material = self._scratch
            found = approach(material, self._ids[row], past.gradient[row])
        if not found.known.all():
            raise ArithmeticError("its cell has no answer along the history that a surrogate has led the point")
        if self.material.remembers:
            self._shown[point] = (material, len(past))
        return material, 0

    def place(self, point: int) -> int | None:
        """Position of a point in the exact material; None where it does not answer."""
        (place,) = np.nonzero(self.rows == point)
        return int(place[0]) if place.size else None

    def statistics(self) -> Counter[str]:
        """Counters of the exact material, wherever it is used here."""
        counters: Counter[str] = Counter()
        for material in (self.material, self._scratch, *(shown for shown, _ in self._shown.values())):
            counters.update(material.statistics())
        return counters
