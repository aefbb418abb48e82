"""A cell as a material: one RVE at every point, solved in turn with what the kind shares."""

import numpy as np

from materials.interface import IntArray, Response, Status
from materials.measures import FloatArray
from rve.cell import Cell
from rve.cell_material import CellMaterial
from rve.cell_solver import CellSolver
from rve.localized import MicroField
from rve.micro_field import micro_field
from rve.newton_settings import NewtonSettings

LOOSE = (1e-1, 1e-2, 1e-6)
"""Relative residuals that a monolithic material leaves its cells with in the first evaluations of an increment.

About as far as the macroscale is from its own equilibrium by then; later evaluations solve the cells in full.
"""


class RveMaterial(CellMaterial):
    """Homogenised response of a cell at n points, by finite elements and a direct solver.

    A `monolithic` material takes both scales through one Newton iteration: an evaluation linearises a cell once, unless
    it is further from equilibrium than the macroscale may be, answers with flux and tangent of that linearisation, and
    marks the point as provisional until its cell is in equilibrium too. Where an increment goes on for long, something
    stagnates, and the cells are solved in full again.
    """

    cell: Cell

    def __init__(self, cell: Cell, settings: NewtonSettings | None = None, monolithic: bool = False) -> None:
        """`settings` default to those of `NewtonSettings`."""
        super().__init__(cell)
        self._solver = CellSolver(cell, settings or NewtonSettings(), self._counters)
        self._monolithic = monolithic
        self.bind(np.empty(0, dtype=np.int64))

    def bind(self, point_ids: IntArray) -> None:
        """One RVE at rest for each id."""
        super().bind(point_ids)
        self._evaluations = 0

    def evaluate(self, gradient: FloatArray, dt: float) -> Response:
        """Solve every RVE from its committed state; see `Material.evaluate`."""
        count, g = gradient.shape
        flux = np.zeros((count, g))
        tangent = np.zeros((count, g, g))
        status = np.zeros(count, dtype=np.int8)
        out_of_plane = np.zeros(count)
        loose = self._looseness()
        for point in range(count):
            outcome, condensed = self._solver.answer(self._instance(point), gradient[point], dt, loose)
            self._outcomes[point] = outcome
            if condensed is None:
                status[point] = Status.FAILED
            else:
                flux[point], tangent[point], out_of_plane[point] = condensed
                if outcome.provisional:
                    status[point] = Status.PROVISIONAL
        return Response(flux, tangent, status, dict.fromkeys(self.outputs, out_of_plane))

    def _looseness(self) -> float:
        """Relative residual that a cell may be left with in this evaluation."""
        if not self._monolithic:
            return 0.0
        number, self._evaluations = self._evaluations, self._evaluations + 1
        if number < len(LOOSE):
            return LOOSE[number]
        self._counters["nested_evaluations"] += 1
        return 0.0

    def commit(self) -> None:
        """Take over trial state and fluctuation of the last evaluation."""
        super().commit()
        self._evaluations = 0

    def revert(self) -> None:
        """Forget the iterates: the next evaluation starts from the committed fluctuation."""
        super().revert()
        self._evaluations = 0

    def localize(self, point: int) -> MicroField:
        """Micro-fields of the RVE at local `point`, in its committed state.

        Laws are evaluated once more with dt = 0 at the committed gradient, where they give the committed flux.
        """
        committed = [state[point] for state in self._committed]
        return micro_field(self.cell, self._gradient[point], 0.0, self._fluctuation[point], committed)
