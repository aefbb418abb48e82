"""A cell as a material: one RVE at every point, solved in turn with what the kind shares."""

from collections import Counter
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from materials.interface import IntArray, Kind, Material, Response, Status
from materials.measures import FloatArray
from rve.cell import Cell
from rve.equilibrium import Equilibrium, EquilibriumSolver, NewtonSettings
from rve.micro_field import MicroField, micro_field


class RveMaterial(Material):
    """Homogenised response of a cell at n points.

    Per RVE it keeps the committed and the trial state of every micro point, the committed fluctuation, and the iterate
    cache: last gradient, fluctuation and sensitivity ∂w/∂ḡ, from which the next evaluation starts at
    w + (∂w/∂ḡ) Δḡ, the first Newton step that the last condensation has already paid for.
    """

    def __init__(self, cell: Cell, settings: NewtonSettings | None = None) -> None:
        """`settings` default to those of `NewtonSettings`."""
        self.cell = cell
        self.measure = cell.measure
        self.symmetric = cell.symmetric
        out_of_plane = cell.measure.out_of_plane_name
        self.outputs = (out_of_plane,) if out_of_plane else ()
        self._counters: Counter[str] = Counter()
        self._solver = EquilibriumSolver(cell, settings or NewtonSettings(), self._counters)
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
        for point in range(count):
            converged = self._solve(point, gradient[point], dt)
            if converged:
                flux[point], tangent[point], out_of_plane[point] = self._solver.condense(self._sensitivity[point])
                self._last_gradient[point] = gradient[point]
            else:
                status[point] = Status.FAILED
                self._restart_from_committed(point)
        return Response(flux, tangent, status, dict.fromkeys(self.outputs, out_of_plane))

    def _solve(self, point: int, gradient: FloatArray, dt: float) -> bool:
        fluctuation = self._last_fluctuation[point]
        fluctuation += (gradient - self._last_gradient[point]) @ self._sensitivity[point]
        outcome = self._solver.solve(
            gradient,
            dt,
            fluctuation,
            [state[point] for state in self._committed],
            [state[point] for state in self._trial],
            float(self._reference_force[point]),
        )
        self._outcomes[point] = outcome
        return outcome.converged

    def _restart_from_committed(self, point: int | slice) -> None:
        self._last_fluctuation[point] = self._fluctuation[point]
        self._last_gradient[point] = self._gradient[point]
        self._sensitivity[point] = 0.0

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
        self._restart_from_committed(slice(None))

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
        """Cell updates, iterations, factorisations, line-search halvings and fallbacks so far."""
        return dict(self._counters)

    @property
    def bytes_per_point(self) -> int:
        """Memory of one RVE: committed and trial state, fluctuations, sensitivity."""
        n, g = self.cell.n_dofs, self.measure.size
        return 8 * (2 * self.cell.state_size + (2 + g) * n + 2 * g + 1)
