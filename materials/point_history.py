"""What was committed at the points of a router: where they are, how they came there, and what is known exactly of it.

The way is kept where the exact material remembers: a point that changes its material is led along it first.
"""

from collections.abc import Mapping

import numpy as np
from mpi4py import MPI

from materials.interface import IntArray
from materials.measures import FloatArray, Measure
from materials.trajectory import Trajectory


class PointHistory:
    """The accepted increments of n points with g gradient components, which are at rest before the first.

    Its length is the number of increments kept.

    Args:
        points: n.
        measure: of their gradients and fluxes.
        remembers: whether all increments are kept, or only the last.
    """

    def __init__(self, points: int, measure: Measure, remembers: bool):
        self._rest, self._remembers = measure.rest, remembers
        self.gradient: FloatArray = np.tile(measure.rest, (points, 1))
        """Committed gradient, (n, g)."""
        self.flux: FloatArray = np.zeros((points, measure.size))
        """Committed flux, whoever answered, (n, g)."""
        self._gradients: list[FloatArray] = []
        self._dts: list[float] = []
        self._exact_flux: list[FloatArray] = []
        """What the exact material is known to answer at each increment, (n, g); NaN elsewhere."""
        self._exact_tangent: list[FloatArray] = []

    def __len__(self) -> int:
        return len(self._gradients)

    @property
    def dt(self) -> FloatArray:
        """Duration of each increment, (s,)."""
        return np.array(self._dts)

    def accept(self, gradient: FloatArray, dt: float, flux: FloatArray, tangent: FloatArray, rows: IntArray) -> None:
        """Take in one more increment, in which the exact material answered at the points `rows`."""
        self.gradient, self.flux = gradient, flux
        if self._remembers:
            known = np.full_like(flux, np.nan)
            known[rows] = flux[rows]
            self._gradients.append(gradient.copy())
            self._dts.append(dt)
            self._exact_flux.append(known)
            self._exact_tangent.append(tangent.copy())

    def paths(self, rows: IntArray, start: int = 0) -> FloatArray:
        """Gradients of the points `rows` from after `start` increments on, (p, s − start, g)."""
        way = [gradient[rows] for gradient in self._gradients[start:]]
        return np.stack(way, axis=1) if way else np.zeros((len(rows), 0, len(self._rest)))

    def after(self, increments: int, rows: IntArray) -> FloatArray:
        """Gradients of the points `rows` when so many increments were accepted, (p, g)."""
        return self._gradients[increments - 1][rows] if increments else np.tile(self._rest, (len(rows), 1))

    def recalled(self, rows: IntArray, start: int, answer: Trajectory) -> None:
        """Take in what the exact material answered at the points `rows` along `paths(rows, start)`."""
        for step in range(len(self) - start):
            known = answer.known[:, step, None]
            self._exact_flux[start + step][rows] = np.where(known, answer.flux[:, step], np.nan)
            self._exact_tangent[start + step][rows] = answer.tangent[:, step]

    def exact_answers(self, rows: IntArray) -> tuple[FloatArray, FloatArray]:
        """Flux (p, s, g), NaN where it is not known, and tangent (p, s, g, g) of the exact material along `paths`."""
        flux = np.stack([values[rows] for values in self._exact_flux], axis=1)
        return flux, np.stack([values[rows] for values in self._exact_tangent], axis=1)

    def state(self) -> dict[str, FloatArray]:
        """Tables with the points as leading axis, from which `restore` goes on."""
        n = len(self.gradient)
        state = {"gradient": self.gradient.copy(), "flux": self.flux.copy()}
        if self._remembers:
            state["history"] = self.paths(np.arange(n)).reshape(n, len(self) * len(self._rest))
            state["history_dt"] = np.tile(self._dts, (n, 1)).reshape(n, len(self))
        return state

    def restore(self, state: Mapping[str, FloatArray], comm: MPI.Comm) -> None:
        """Go on from what `state` returned, knowing no exact answers. Collective: a rank may have no points."""
        n, g = self.gradient.shape
        self.gradient, self.flux = state["gradient"].reshape(n, g).copy(), state["flux"].reshape(n, g).copy()
        mine = state["history_dt"][0].tolist() if self._remembers and n else []
        self._dts = max(comm.allgather(mine), key=len)
        steps = len(self._dts)
        history = np.reshape(state["history"], (n, steps, g)) if self._remembers else np.zeros((n, 0, g))
        self._gradients = [np.ascontiguousarray(history[:, step]) for step in range(steps)]
        self._exact_flux = [np.full((n, g), np.nan) for _ in range(steps)]
        self._exact_tangent = [np.zeros((n, g, g)) for _ in range(steps)]
