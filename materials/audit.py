"""The audit: a few points that the surrogate answers at are asked of the exact material too."""

import numpy as np

from materials.interface import IntArray, Material
from materials.learning import Learning, rms
from materials.routing_costs import RoutingCosts
from materials.shared_points import SharedPoints
from materials.trajectory import Trajectory, approach, follow, lead


class Audit:
    """Asks an exact material of its own at points that `Learning.chosen` chooses.

    Args:
        material: the exact material. If it remembers, it goes along with the same points through the whole run.
        learning: chooses the points, and is told the errors.
        costs: the books of the router.
    """

    def __init__(self, material: Material, learning: Learning, costs: RoutingCosts):
        self.material, self._learning, self._costs = material, learning, costs
        self.forget()

    def forget(self) -> None:
        """The points are at rest again."""
        self._accompanied: IntArray = np.zeros(0, dtype=np.int64)

    def check(self, step: int, points: SharedPoints) -> tuple[float, bool]:
        """After the commit of increment `step`: the error at surrogate points, and whether it narrowed trust.

        The error is the root mean square of the relative flux errors of all ranks. Collective.
        """
        if points.surrogate is None:
            return float("nan"), False
        learning, gradient = self._learning, points.past.gradient
        wanted = learning.chosen(points.ids, step)
        if self.material.remembers:
            rows = np.flatnonzero(wanted)
            exact = self._accompany(rows, points)
        else:
            wanted[points.exact.rows] = False
            rows = np.flatnonzero(wanted)
            exact = approach(self.material, points.ids[rows], np.ascontiguousarray(gradient[rows]))
        known = exact.known[:, -1] & ~np.isin(rows, points.exact.rows)
        rows, reference = rows[known], exact.flux[known, -1]
        self._costs.count["audited"] += exact.known.size
        handed = learning.gather(points.ids[rows], points.surrogate.error(points.past.flux[rows], reference))
        narrowed = learning.ask(lambda learner: learner.audited(step, handed.ids, handed.arrays[0]))
        return rms(learning.comm.bcast(handed.arrays[0])), narrowed

    def _accompany(self, rows: IntArray, points: SharedPoints) -> Trajectory:
        """Go along with the points `rows` for one increment more, or from rest if these are others."""
        past = points.past
        if not np.array_equal(rows, self._accompanied) or self.material.point_ids.size != rows.size:
            self._accompanied = rows
            return follow(self.material, points.ids[rows], past.paths(rows), past.dt)
        before = len(past) - 1
        return lead(self.material, past.after(before, rows), past.paths(rows, before), past.dt[before:])
