"""What a family of surrogates is: a network with the interface that training, store, evaluation and runs share.

A family is immutable: a configuration (`architecture`, plain JSON) and named arrays (`arrays`). `evaluate` answers in
numpy, float64, with nothing but what an FE run needs; a `HistoryFamily` answers by `step`, from a state that whoever
asks keeps. `torch_model` is the same function for training: its parameters carry the names of the arrays that they
stand for, and `updated` takes trained values back.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, NamedTuple, Self

import numpy as np
from annotated_types import Ge, Len
from numpy.typing import NDArray

from materials.interface import IntArray
from materials.measures import FloatArray, Measure, Physics

if TYPE_CHECKING:
    from torch.nn import Module


class ModelError(ValueError):
    """A model cannot be made, read or used; one line that says why."""


class Samples(NamedTuple):
    """States of a material to learn from, packed as the measure says."""

    gradient: FloatArray
    """(n, g)"""
    flux: FloatArray
    """(n, g)"""
    tangent: FloatArray
    """d flux / d gradient, (n, g, g)."""
    symmetry: str | None = None
    """Symmetry group that the maker of the samples knows of (`surrogates/symmetry.py`); None: unknown."""
    path: IntArray | None = None
    """Path of each state, (n,): states of a path stand together, in the order in which they follow from rest. None:
    nothing is known of an order, so that only families without memory can learn from them."""
    dt: FloatArray | None = None
    """Duration of the increment that ends in the state, (n,); None: unknown."""

    def at(self, rows: NDArray[Any]) -> "Samples":
        """Some of the states, by number or as a mask."""
        path, dt = (None if values is None else values[rows] for values in (self.path, self.dt))
        return self._replace(
            gradient=self.gradient[rows], flux=self.flux[rows], tangent=self.tangent[rows], path=path, dt=dt
        )


class Step(NamedTuple):
    """Answer at the end of an increment, for n points with g gradient components."""

    flux: FloatArray
    """(n, g)"""
    tangent: FloatArray
    """Consistent tangent d flux / d gradient of the increment, (n, g, g)."""
    state: FloatArray
    """State after the increment, (n, state_size)."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a family can be told. The fields of a subclass are the keys under `network` in case files."""


@dataclass(frozen=True, kw_only=True)
class Network(Options):
    """Architecture of a network. The fields of a subclass are the keys under `network` in case files."""

    hidden: Annotated[tuple[Annotated[int, Ge(1)], ...], Len(min_length=1)] = (32, 32)
    """Width of each hidden layer."""

    def __post_init__(self) -> None:
        """Check the widths."""
        if not self.hidden or any(width < 1 for width in self.hidden):
            raise ValueError(f"hidden must list at least one width, each at least 1, got {list(self.hidden)}")


class Family(ABC):
    """A surrogate for the response (gradient → flux and tangent) of a material. Subclasses are frozen dataclasses."""

    name: ClassVar[str]
    """Name in case files and model cards."""
    physics: ClassVar[tuple[Physics, ...]]
    """What it can be used for."""
    network: ClassVar[type[Options]] = Network
    """Its options in case files."""

    remembers: ClassVar[bool] = False
    """Whether its answer depends on the path."""
    iterative: ClassVar[bool] = True
    """Whether `surrogates.training` improves on `untrained` step by step; otherwise that is the fit already."""

    measure: Measure

    @property
    @abstractmethod
    def symmetric(self) -> bool:
        """Whether the tangent is symmetric by construction; a class variable in most families."""

    @property
    @abstractmethod
    def conservative(self) -> bool:
        """Whether the flux derives from an energy by construction, so that closed paths take no work."""

    @classmethod
    @abstractmethod
    def untrained(cls, measure: Measure, network: Any, samples: Samples, seed: int) -> Self:
        """A network to start training from: normalisation fitted to `samples`, seeded weights.

        Args:
            measure: what the network maps; its physics is one of `physics`.
            network: instance of the class's `network`.
            samples: the training split, nothing else.
            seed: of the weights.

        Raises:
            ModelError: these samples or options do not make a network.
        """

    @abstractmethod
    def architecture(self) -> dict[str, Any]:
        """All but the measure and the arrays, as plain JSON."""

    @abstractmethod
    def arrays(self) -> dict[str, FloatArray]:
        """Weights and normalisation by name, float64 and C-contiguous."""

    @classmethod
    @abstractmethod
    def from_arrays(cls, measure: Measure, architecture: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The network that `architecture()` and `arrays()` came from.

        Raises:
            ModelError: an array is missing, unknown, not float64, not finite, or of another shape than the
                architecture asks for.
        """

    @abstractmethod
    def evaluate(self, gradient: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Flux (n, g) and consistent tangent (n, g, g) at `gradient` (n, g).

        States outside the domain (det F ≤ 0) get NaN. The answer at a point does not depend on the rest of the batch,
        to the last bit.
        """

    @property
    def state_size(self) -> int:
        """Numbers of internal state at a point; 0 for a family that does not remember."""
        return 0

    def initial_state(self) -> FloatArray:
        """State of a point at rest, (state_size,)."""
        return np.zeros(self.state_size)

    def step(self, gradient: FloatArray, state: FloatArray, dt: float) -> Step:
        """Answer at `gradient` (n, g) after an increment of duration `dt` from `state` (n, state_size), unchanged.

        What holds for `evaluate` holds here: NaN outside the domain, and no dependence on the rest of the batch.
        """
        del dt  # a reversible response takes its time
        flux, tangent = self.evaluate(gradient)
        return Step(flux, tangent, state)

    def torch_model(self) -> "Module":
        """The same function in torch, float64, for families that are trained step by step (`iterative`).

        `forward(gradient (n, g)) -> (flux (n, g), tangent (n, g, g))`, in closed form, differentiable with respect to
        the parameters of the module. Each parameter bears the name of its array; what is not trained is a buffer.

        A `HistoryFamily` takes whole paths from rest, `forward(gradient (p, s, g), dt (p, s))`, and gives flux
        (p, s, g) and tangent (p, s, g, g).

        Raises:
            ModelError: the family is fitted at once.
        """
        raise ModelError(f"family {self.name} is fitted at once, there is nothing to train step by step")

    def updated(self, parameters: Mapping[str, FloatArray]) -> Self:
        """This network with some arrays replaced."""
        return type(self).from_arrays(self.measure, self.architecture(), self.arrays() | dict(parameters))

    @classmethod
    def refusal(cls, measure: Measure) -> str | None:
        """Why the family cannot be used with this measure, in words for a message; None if it can."""
        if measure.physics in cls.physics:
            return None
        return f"family {cls.name} is for {' or '.join(cls.physics)}, not {measure.physics}"


class HistoryFamily(Family):
    """A family whose answer depends on the path: internal state in, internal state out, one increment at a time."""

    remembers: ClassVar[bool] = True

    @property
    @abstractmethod
    def state_size(self) -> int:
        """Numbers of internal state at a point, what it needs to know of the last increment included."""

    @abstractmethod
    def step(self, gradient: FloatArray, state: FloatArray, dt: float) -> Step:
        """See `Family.step`."""

    def evaluate(self, gradient: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Flux and tangent after one increment of duration 1 from rest; see `Family.evaluate`."""
        answer = self.step(gradient, np.tile(self.initial_state(), (len(gradient), 1)), 1.0)
        return answer.flux, answer.tangent


def checked_arrays(arrays: Mapping[str, NDArray[Any]], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, FloatArray]:
    """The arrays, contiguous, after comparison with the shapes that an architecture asks for.

    Raises:
        ModelError: see `Family.from_arrays`.
    """
    missing, unknown = sorted(set(shapes) - set(arrays)), sorted(set(arrays) - set(shapes))
    if missing or unknown:
        parts = [
            f"{word} {', '.join(names)}" for word, names in (("lacks", missing), ("has unknown", unknown)) if names
        ]
        raise ModelError(f"the set of arrays {' and '.join(parts)}")
    for name, shape in shapes.items():
        array = arrays[name]
        if array.dtype != np.float64:
            raise ModelError(f"array {name} is of type {array.dtype}, not float64")
        if array.shape != tuple(shape):
            raise ModelError(f"array {name} has shape {array.shape}, the architecture asks for {tuple(shape)}")
        if not np.isfinite(array).all():
            raise ModelError(f"array {name} has {np.count_nonzero(~np.isfinite(array))} values that are not finite")
    return {name: np.ascontiguousarray(arrays[name]) for name in shapes}
