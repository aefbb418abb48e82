"""A voxel cell as a material: one RVE at every point, solved in batches by the fast Fourier transform."""

from collections import Counter
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from materials.interface import IntArray, Kind, Material, Response, Status
from materials.measures import FloatArray
from rve.instance import Instance
from rve.newton_settings import NewtonSettings
from rve.spectral.cell import SpectralCell
from rve.spectral.equilibrium import Equilibrium, EquilibriumSolver

BATCH = {"cpu": 2**20, "cuda": 2**28}
"""Doubles of tangents at points that are solved together: what a cache holds, and what a graphics processor fills."""


class SpectralMaterial(Material):
    """Homogenised response of a voxel cell at n points.

    It keeps what `RveMaterial` keeps, and starts from the same prediction; cells that have not been solved before start
    from the sensitivity at rest.
    """

    def __init__(self, cell: SpectralCell, settings: NewtonSettings | None = None, device: str = "cpu") -> None:
        """`device` is where linear systems are solved, as torch calls it; laws are evaluated on the host."""
        self.cell = cell
        self.measure = cell.measure
        self.symmetric = cell.symmetric
        out_of_plane = cell.measure.out_of_plane_name
        self.outputs = (out_of_plane,) if out_of_plane else ()
        self._counters: Counter[str] = Counter()
        chosen = torch.device(device)
        self._solver = EquilibriumSolver(cell, settings or NewtonSettings(), self._counters, chosen)
        tangents = len(cell.grid.points) * cell.packing.n_kept * cell.grid.n_voxels
        self._batch = max(1, BATCH[chosen.type] // tangents)
        self.bind(np.empty(0, dtype=np.int64))

    def bind(self, point_ids: IntArray) -> None:
        """One RVE at rest for each id."""
        count, n, g = len(point_ids), self.cell.n_dofs, self.measure.size
        self.point_ids = np.asarray(point_ids, dtype=np.int64)
        self._committed = [np.tile(phase.law.initial_state(), (count, phase.n_points, 1)) for phase in self.cell.phases]
        self._trial = [state.copy() for state in self._committed]
        self._fluctuation = np.zeros((count, n))
        self._reference_force = np.zeros(count)
        self._gradient = np.tile(self.measure.rest, (count, 1))
        self._last_fluctuation = np.zeros((count, n))
        self._last_gradient = self._gradient.copy()
        self._sensitivity = np.zeros((count, g, n))
        self._fresh = np.ones(count, dtype=bool)
        self._outcomes: list[Equilibrium | None] = [None] * count

    @property
    def remembers(self) -> bool:
        """Whether some law of the cell has a state."""
        return self.cell.state_size > 0

    @property
    def n_points(self) -> int:
        """Number of RVEs on this rank."""
        return self.point_ids.size

    def evaluate(self, gradient: FloatArray, dt: float) -> Response:
        """Solve every RVE from its committed state; see `Material.evaluate`."""
        count, g = gradient.shape
        flux = np.zeros((count, g))
        tangent = np.zeros((count, g, g))
        status = np.full(count, Status.FAILED, dtype=np.int8)
        out_of_plane = np.zeros(count)
        for first in range(0, count, self._batch):
            points = range(first, min(first + self._batch, count))
            rves = [self._start(point, gradient[point], dt) for point in points]
            outcomes = self._solver.solve(rves, gradient[points], dt)
            solved = [place for place, outcome in enumerate(outcomes) if outcome.converged]
            answers = self._solver.condense([rves[place] for place in solved], solved, dt)
            for place, answer in zip(solved, answers, strict=True):
                point = first + place
                if isinstance(answer, str):
                    outcomes[place] = outcomes[place]._replace(converged=False, reason=answer)
                else:
                    flux[point], tangent[point], out_of_plane[point] = answer
                    status[point] = Status.OK
                    self._last_gradient[point] = gradient[point]
            self._outcomes[first : first + len(points)] = outcomes
        for point in np.flatnonzero(status != Status.OK):
            self._start_over(point)
        return Response(flux, tangent, status, dict.fromkeys(self.outputs, out_of_plane))

    def _start(self, point: int, gradient: FloatArray, dt: float) -> Instance:
        """The RVE at a point, its iterate predicted at `gradient` (g,)."""
        rve = Instance(
            [state[point] for state in self._committed],
            [state[point] for state in self._trial],
            self._gradient[point],
            self._fluctuation[point],
            self._last_gradient[point],
            self._last_fluctuation[point],
            self._sensitivity[point],
            float(self._reference_force[point]),
            np.zeros(1, dtype=np.int64),
        )
        if self._fresh[point]:
            rest = self._solver.rest(dt)
            if rest is not None:
                rve.sensitivity[:] = rest.sensitivity
            self._fresh[point] = False
        rve.predict(gradient)
        return rve

    def _start_over(self, points: int | slice) -> None:
        self._last_fluctuation[points] = self._fluctuation[points]
        self._last_gradient[points] = self._gradient[points]
        self._fresh[points] = True

    def commit(self) -> None:
        """Take over trial state and fluctuation of the last evaluation."""
        for committed, trial in zip(self._committed, self._trial, strict=True):
            committed[...] = trial
        self._fluctuation[...] = self._last_fluctuation
        self._gradient[...] = self._last_gradient
        for point, outcome in enumerate(self._outcomes):
            if outcome is not None:
                self._reference_force[point] = outcome.reference_force

    def revert(self) -> None:
        """Forget the iterates: the next evaluation starts from the committed fluctuation."""
        self._start_over(slice(None))

    def kinds(self) -> NDArray[np.int8]:
        """An RVE at every point."""
        return np.full(self.n_points, Kind.RVE, dtype=np.int8)

    def state(self) -> dict[str, FloatArray]:
        """Committed micro states by phase, fluctuations, and the gradients and force scales that go with them."""
        states = {
            f"state_{phase.name}": committed.copy()
            for phase, committed in zip(self.cell.phases, self._committed, strict=True)
        }
        return states | {
            "fluctuation": self._fluctuation.copy(),
            "gradient": self._gradient.copy(),
            "reference_force": self._reference_force.copy(),
        }

    def restore(self, state: Mapping[str, FloatArray]) -> None:
        """Continue from what `state` returned."""
        for phase, committed in zip(self.cell.phases, self._committed, strict=True):
            committed[...] = state[f"state_{phase.name}"]
        self._fluctuation[...] = state["fluctuation"]
        self._gradient[...] = state["gradient"]
        self._reference_force[...] = state["reference_force"]
        self.revert()

    def failure(self, point: int) -> str:
        """What stopped the RVE at `point` in its last evaluation."""
        outcome = self._outcomes[point]
        if outcome is None:
            return "it was not evaluated"
        return (
            f"the RVE did not reach equilibrium: {outcome.reason}; "
            f"relative residual {outcome.residual:.1e} after {outcome.iterations} iterations"
        )

    def iterations(self, point: int) -> int:
        """Newton iterations of the last evaluation at `point`."""
        outcome = self._outcomes[point]
        return 0 if outcome is None else outcome.iterations

    def statistics(self) -> dict[str, float]:
        """Cell updates, iterations, those of conjugate gradients, and line-search halvings so far."""
        return dict(self._counters)

    @property
    def bytes_per_point(self) -> int:
        """Memory of one RVE: committed and trial state, fluctuations, sensitivity, gradients, two numbers."""
        n, g = self.cell.n_dofs, self.measure.size
        return 8 * (2 * self.cell.state_size + (2 + g) * n + 2 * g + 2)
