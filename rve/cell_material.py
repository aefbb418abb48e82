"""What materials with an RVE at every point keep, whatever solves their cells."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from materials.interface import IntArray, Kind, Material
from materials.law import Law
from materials.measures import FloatArray, Measure
from rve.answer import Equilibrium
from rve.instance import NOWHERE, Instance


class PhaseKind(Protocol):
    """The part of a cell that one law fills."""

    @property
    def name(self) -> str:
        """Name of the phase."""
        ...

    @property
    def law(self) -> Law:
        """Its law."""
        ...

    @property
    def n_points(self) -> int:
        """Integration points of the phase."""
        ...


class CellKind(Protocol):
    """What all RVEs of one kind share."""

    @property
    def measure(self) -> Measure:
        """Gradient and flux."""
        ...

    @property
    def phases(self) -> Sequence[PhaseKind]:
        """Without voids."""
        ...

    @property
    def n_dofs(self) -> int:
        """Unknowns n of the fluctuation."""
        ...

    @property
    def volume(self) -> float:
        """Volume of the whole cell, voids included."""
        ...

    @property
    def symmetric(self) -> bool:
        """Whether every phase declares a symmetric tangent."""
        ...

    @property
    def state_size(self) -> int:
        """Doubles of internal state in one RVE, over all phases and points."""
        ...


class CellMaterial(Material):
    """The RVEs of one kind at n points, and what each of them remembers.

    Per RVE: the committed and the trial state of every micro point, the committed fluctuation, and the iterate cache,
    which is last gradient, fluctuation and sensitivity ∂w/∂ḡ. The next evaluation starts at w + (∂w/∂ḡ) Δḡ, the first
    Newton step that the last condensation has already paid for.
    """

    cell: CellKind

    def __init__(self, cell: CellKind) -> None:
        self.cell = cell
        self.measure = cell.measure
        self.symmetric = cell.symmetric
        out_of_plane = cell.measure.out_of_plane_name
        self.outputs = (out_of_plane,) if out_of_plane else ()
        self._counters: Counter[str] = Counter()

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
        self._flowing = np.full(count, NOWHERE, dtype=np.int64)
        self._outcomes: list[Equilibrium | None] = [None] * count

    @property
    def remembers(self) -> bool:
        """Whether some law of the cell has a state."""
        return self.cell.state_size > 0

    def rebind(self, point_ids: IntArray, arrivals: Material | None = None) -> None:
        """Change to other points; those that stay, and the arrivals, keep their iterates too. See `Material.rebind`."""
        sources = [(self.point_ids, self.carried())]
        if arrivals is not None:
            if not isinstance(arrivals, type(self)):
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
