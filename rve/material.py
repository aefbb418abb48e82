"""A cell as a material: one RVE at every point, solved in turn with what the kind shares."""

from collections import Counter
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from materials.interface import IntArray, Kind, Material, Response, Status
from materials.measures import FloatArray
from rve.cell import Cell
from rve.cell_solver import CellSolver
from rve.equilibrium import Equilibrium
from rve.instance import Instance
from rve.micro_field import MicroField, micro_field
from rve.newton_settings import NewtonSettings

LOOSE = (1e-1, 1e-2, 1e-6)
"""Relative residuals that a monolithic material leaves its cells with in the first evaluations of an increment.

About as far as the macroscale is from its own equilibrium by then; later evaluations solve the cells in full.
"""


class RveMaterial(Material):
    """Homogenised response of a cell at n points.

    Per RVE it keeps the committed and the trial state of every micro point, the committed fluctuation, and the iterate
    cache: last gradient, fluctuation and sensitivity ∂w/∂ḡ, from which the next evaluation starts at
    w + (∂w/∂ḡ) Δḡ, the first Newton step that the last condensation has already paid for.

    A `monolithic` material takes both scales through one Newton iteration: an evaluation linearises a cell once, unless
    it is further from equilibrium than the macroscale may be, answers with flux and tangent of that linearisation, and
    marks the point as provisional until its cell is in equilibrium too. Where an increment goes on for long, something
    stagnates, and the cells are solved in full again.
    """

    def __init__(self, cell: Cell, settings: NewtonSettings | None = None, monolithic: bool = False) -> None:
        """`settings` default to those of `NewtonSettings`."""
        self.cell = cell
        self.measure = cell.measure
        self.symmetric = cell.symmetric
        out_of_plane = cell.measure.out_of_plane_name
        self.outputs = (out_of_plane,) if out_of_plane else ()
        self._counters: Counter[str] = Counter()
        self._solver = CellSolver(cell, settings or NewtonSettings(), self._counters)
        self._monolithic = monolithic
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
        self._flowing = np.zeros(count, dtype=np.int64)
        self._evaluations = 0
        self._outcomes: list[Equilibrium | None] = [None] * count

    @property
    def remembers(self) -> bool:
        """Whether some law of the cell has a state."""
        return self.cell.state_size > 0

    def rebind(self, point_ids: IntArray, arrivals: Material | None = None) -> None:
        """Change to other points; those that stay, and the arrivals, keep their iterates too. See `Material.rebind`."""
        sources = [(self.point_ids, self.carried())]
        if arrivals is not None:
            if not isinstance(arrivals, RveMaterial):
                raise TypeError(f"an RVE cannot take up the state of a {type(arrivals).__name__}")
            sources.append((arrivals.point_ids, arrivals.carried()))
        self.bind(point_ids)
        for ids, carried in sources:
            _, here, there = np.intersect1d(point_ids, ids, return_indices=True)
            for target, values in zip(self.carried(), carried, strict=True):
                target[here] = values[there]

    def carried(self) -> list[FloatArray]:
        """The arrays that belong to a point, each with the points as leading axis: committed state and iterates."""
        last = (self._last_fluctuation, self._last_gradient, self._sensitivity)
        return [*self._committed, self._fluctuation, self._reference_force, self._gradient, *last]

    @property
    def n_points(self) -> int:
        """Number of RVEs on this rank."""
        return self.point_ids.size

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

    def _instance(self, point: int) -> Instance:
        return Instance(
            [state[point] for state in self._committed],
            [state[point] for state in self._trial],
            self._gradient[point],
            self._fluctuation[point],
            self._last_gradient[point],
            self._last_fluctuation[point],
            self._sensitivity[point],
            float(self._reference_force[point]),
            self._flowing[point : point + 1],
        )

    def _start_over(self) -> None:
        self._last_fluctuation[...] = self._fluctuation
        self._last_gradient[...] = self._gradient
        self._sensitivity.fill(0.0)
        self._evaluations = 0

    def commit(self) -> None:
        """Take over trial state and fluctuation of the last evaluation."""
        for committed, trial in zip(self._committed, self._trial, strict=True):
            committed[...] = trial
        self._fluctuation[...] = self._last_fluctuation
        self._gradient[...] = self._last_gradient
        for point, outcome in enumerate(self._outcomes):
            if outcome is not None:
                self._reference_force[point] = outcome.reference_force
        self._evaluations = 0

    def revert(self) -> None:
        """Forget the iterates: the next evaluation starts from the committed fluctuation."""
        self._start_over()

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

    def localize(self, point: int) -> MicroField:
        """Micro-fields of the RVE at local `point`, in its committed state.

        Laws are evaluated once more with dt = 0 at the committed gradient, where they give the committed flux.
        """
        committed = [state[point] for state in self._committed]
        return micro_field(self.cell, self._gradient[point], 0.0, self._fluctuation[point], committed)

    def iterations(self, point: int) -> int:
        """Newton iterations of the last evaluation at `point`."""
        outcome = self._outcomes[point]
        return 0 if outcome is None else outcome.iterations

    def statistics(self) -> dict[str, float]:
        """Cell updates, iterations, factorisations, shortcuts, line-search halvings and fallbacks so far."""
        return dict(self._counters)

    @property
    def bytes_per_point(self) -> int:
        """Memory of one RVE: committed and trial state, fluctuations, sensitivity, gradients, two numbers."""
        n, g = self.cell.n_dofs, self.measure.size
        return 8 * (2 * self.cell.state_size + (2 + g) * n + 2 * g + 2)
