"""A voxel cell as a material: one RVE at every point, solved in batches by the fast Fourier transform."""

import numpy as np
import torch

from materials.interface import Response, Status
from materials.measures import FloatArray
from rve.answer import Condensed, Equilibrium
from rve.cell_material import CellMaterial
from rve.instance import Instance
from rve.localized import MicroField
from rve.newton_settings import NewtonSettings
from rve.small_steps import lead_in_steps
from rve.spectral.cell import SpectralCell
from rve.spectral.equilibrium import EquilibriumSolver
from rve.spectral.localization import micro_field

BATCH = {"cpu": 2**17, "cuda": 2**28}
"""Doubles of tangents at points that are solved together: what a cache holds, and what a graphics processor fills."""


class SpectralMaterial(CellMaterial):
    """Homogenised response of a voxel cell at n points.

    Cells of which no sensitivity is known start from that at rest.
    """

    cell: SpectralCell

    def __init__(self, cell: SpectralCell, settings: NewtonSettings | None = None, device: str = "cpu") -> None:
        """`device` is where linear systems are solved, as torch calls it; laws are evaluated on the host."""
        super().__init__(cell)
        chosen = torch.device(device)
        self._solver = EquilibriumSolver(cell, settings or NewtonSettings(), self._counters, chosen)
        tangents = len(cell.grid.points) * cell.packing.n_kept * cell.grid.n_voxels
        self._batch = max(1, BATCH[chosen.type] // tangents)
        self.bind(np.empty(0, dtype=np.int64))

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
            answers = dict(zip(solved, self._solver.condense([rves[i] for i in solved], solved, dt), strict=True))
            for place, (point, rve, outcome) in enumerate(zip(points, rves, outcomes, strict=True)):
                answer = answers.get(place)
                if answer is None:
                    outcome, answer = self._in_steps(rve, gradient[point], dt, outcome)
                if isinstance(answer, str):
                    outcome = outcome._replace(converged=False, reason=answer)
                    rve.start_over()
                else:
                    flux[point], tangent[point], out_of_plane[point] = answer
                    status[point] = Status.OK
                    rve.last_gradient[:] = gradient[point]
                self._outcomes[point] = outcome
        return Response(flux, tangent, status, dict.fromkeys(self.outputs, out_of_plane))

    def _in_steps(
        self, rve: Instance, gradient: FloatArray, dt: float, failure: Equilibrium
    ) -> tuple[Equilibrium, Condensed | str]:
        """Outcome and averages of an RVE that was not solved in one step, or in words why there are none."""
        outcome = lead_in_steps(
            lambda target: self._solver.solve([rve], target[None], dt)[0], rve, gradient, failure, self._counters
        )
        if not outcome.converged:
            return outcome, outcome.reason
        return outcome, self._solver.condense([rve], [0], dt)[0]

    def _start(self, point: int, gradient: FloatArray, dt: float) -> Instance:
        """The RVE at a point, its iterate predicted at `gradient` (g,)."""
        rve = self._instance(point)
        if self._solver.settings.predictor:
            rest = None if rve.sensitivity.any() else self._solver.rest(dt)
            if rest is not None:
                rve.sensitivity[:] = rest.sensitivity
            rve.predict(gradient)
        return rve

    def localize(self, point: int) -> MicroField:
        """Micro-fields of the RVE at local `point`, in its committed state; see `RveMaterial.localize`."""
        committed = [state[point] for state in self._committed]
        return micro_field(self.cell, self._gradient[point], 0.0, self._fluctuation[point], committed)
