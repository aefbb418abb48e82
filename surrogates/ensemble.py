"""Several networks of one family, trained from different seeds: their mean answers, their disagreement warns."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from materials.measures import FloatArray, Measure, Physics
from surrogates.conditioned import Conditioned
from surrogates.families import FAMILIES
from surrogates.family import Descriptors, Family, ModelError, Options, Samples, Step
from surrogates.members import joined, separated


@dataclass(frozen=True, eq=False)
class Ensemble(Family):
    """Mean of its members, which are of one family and measure."""

    name: ClassVar[str] = "ensemble"
    physics: ClassVar[tuple[Physics, ...]] = tuple(Physics)
    network: ClassVar[type[Options]] = Options
    iterative: ClassVar[bool] = True

    measure: Measure
    members: tuple[Family, ...]

    @classmethod
    def untrained(cls, measure: Measure, network: Any, samples: Samples, seed: int) -> Self:  # noqa: ARG003
        """Refused: an ensemble is made of members, `Ensemble(measure, members)`, that are trained one by one."""
        raise ModelError("an ensemble is made of members that are trained one by one")

    @property
    def symmetric(self) -> bool:
        """As the members."""
        return all(member.symmetric for member in self.members)

    @property
    def conservative(self) -> bool:
        """As the members."""
        return all(member.conservative for member in self.members)

    @property
    def descriptors(self) -> tuple[str, ...]:
        """As the members."""
        return self.members[0].descriptors

    def at(self, descriptors: Descriptors) -> Self:
        """See `Family.at`."""
        return replace(self, members=tuple(member.at(descriptors) for member in self.members))

    def beyond(self, descriptors: Descriptors) -> NDArray[np.bool_]:
        """See `Family.beyond`."""
        return self.members[0].beyond(descriptors)

    def architecture(self) -> dict[str, Any]:
        """Family and architecture of each member."""
        return {"family": self.members[0].name, "members": [member.architecture() for member in self.members]}

    def arrays(self) -> dict[str, FloatArray]:
        """Those of member k as `k.name`."""
        return joined(self.members)

    @classmethod
    def from_arrays(cls, measure: Measure, architecture: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Self:
        """See `Family.from_arrays`."""
        known: dict[str, type[Family]] = {**FAMILIES, Conditioned.name: Conditioned}
        family, members = architecture.get("family"), architecture.get("members")
        if (
            set(architecture) != {"family", "members"}
            or not isinstance(family, str)
            or family not in known
            or not isinstance(members, list)
            or len(members) < 2
            or not all(isinstance(member, dict) for member in members)
        ):
            raise ModelError("the architecture of an ensemble names a family and those of at least two members")
        return cls(measure, separated(known[family], measure, members, arrays))

    def evaluate(self, gradient: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Mean flux and mean tangent, which is the derivative of the mean; see `Family.evaluate`."""
        answer = self.step(gradient, np.tile(self.initial_state(), (len(gradient), 1)), 1.0)
        return answer.flux, answer.tangent

    @property
    def state_size(self) -> int:
        """Those of the members together."""
        return sum(member.state_size for member in self.members)

    def initial_state(self) -> FloatArray:
        """Those of the members, one after the other."""
        return np.concatenate([member.initial_state() for member in self.members])

    def step(self, gradient: FloatArray, state: FloatArray, dt: float) -> Step:
        """Mean flux and tangent, and the states of all members; see `Family.step`."""
        answers = self._steps(gradient, state, dt)
        flux, tangent, _ = answers[0]
        for answer in answers[1:]:
            flux, tangent = flux + answer.flux, tangent + answer.tangent
        states = np.concatenate([answer.state for answer in answers], axis=1)
        return Step(flux / len(answers), tangent / len(answers), states)

    def _steps(self, gradient: FloatArray, state: FloatArray, dt: float) -> list[Step]:
        """What each member answers."""
        ends = np.cumsum([member.state_size for member in self.members])[:-1]
        parts = [np.ascontiguousarray(part) for part in np.split(state, ends, axis=1)]
        return [member.step(gradient, part, dt) for member, part in zip(self.members, parts, strict=True)]

    def disagreement(self, gradient: FloatArray, state: FloatArray | None = None) -> FloatArray:
        """Root mean square over members of ‖flux − mean flux‖, in units of flux, (n,).

        Args:
            gradient: (n, g).
            state: of members that remember, (n, state_size): they are asked for an increment of duration 1 from it,
                which leads nowhere where `gradient` is that of the state. Default: from rest.
        """
        if state is None:
            state = np.tile(self.initial_state(), (len(gradient), 1))
        fluxes = [answer.flux for answer in self._steps(gradient, state, 1.0)]
        mean = sum(fluxes[1:], fluxes[0]) / len(fluxes)
        squares = [np.square(flux - mean) for flux in fluxes]
        total = sum(squares[1:], squares[0])  # component by component: the order of a sum of numpy's is not fixed
        return np.sqrt(sum(total.T[1:], total.T[0]) / len(fluxes))
