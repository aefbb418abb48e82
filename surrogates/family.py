"""What a family of surrogates is: a network with the interface that training, store, evaluation and runs share.

A family is immutable: a configuration (`architecture`, plain JSON) and named arrays (`arrays`). `evaluate` answers in
numpy, float64, with nothing but what an FE run needs; a `HistoryFamily` answers by `step`, from a state that whoever
asks keeps. `torch_model` is the same function for training: its parameters carry the names of the arrays that they
stand for, and `updated` takes trained values back.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
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


Descriptors = Mapping[str, float | FloatArray]
"""Numbers that tell one microstructure from another, by name: one of all points, or one of each, (n,)."""


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
    descriptors: Mapping[str, FloatArray] | None = None
    """Numbers that describe the cell of each state, (n,) by name; None: unknown."""
    tangent_at_rest: FloatArray | None = None
    """Tangent of the undeformed cell, (g, g); None: unknown, or of several cells."""

    def at(self, rows: NDArray[Any]) -> "Samples":
        """Some of the states, by number or as a mask."""
        path, dt = (None if values is None else values[rows] for values in (self.path, self.dt))
        known = None if self.descriptors is None else {name: v[rows] for name, v in self.descriptors.items()}
        arrays = (self.gradient[rows], self.flux[rows], self.tangent[rows])
        return Samples(*arrays, self.symmetry, path, dt, known, self.tangent_at_rest)


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
    learns_tangent: ClassVar[bool] = True
    """Whether training compares tangents too; otherwise it calls nothing of `torch_model` but its `flux`."""

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

    @property
    def descriptors(self) -> tuple[str, ...]:
        """Names of the numbers that it must be told (`at`) before it answers; none where it is that of one cell."""
        return ()

    def at(self, descriptors: Descriptors) -> "Family":
        """The family for points in cells with these descriptors; others than its own do not count.

        A batch of it has one point, or as many as there are descriptors of each.

        Raises:
            ModelError: one of its descriptors is missing.
        """
        del descriptors
        return self

    def beyond(self, descriptors: Descriptors) -> NDArray[np.bool_]:
        """Which descriptors lie outside the range that it was trained for, (n,), or (1,) if they are of all points."""
        del descriptors
        return np.zeros(1, dtype=np.bool_)

    def torch_model(self) -> "Module":
        """The same function in torch, float64, for families that are trained step by step (`iterative`).

        `forward(gradient (n, g)) -> (flux (n, g), tangent (n, g, g))`, in closed form, differentiable with respect to
        the parameters of the module. Each parameter bears the name of its array; what is not trained is a buffer.

        A `HistoryFamily` takes whole paths from rest, `forward(gradient (p, s, g), dt (p, s))`, and gives flux
        (p, s, g) and tangent (p, s, g, g). Where there are `descriptors`, they follow as the last argument, (n, k) or
        (p, k).

        Where the family does not learn tangents, `flux` takes the same arguments and gives the flux alone.

        Raises:
            ModelError: the family is fitted at once.
        """
        raise ModelError(f"family {self.name} is fitted at once, there is nothing to train step by step")

    def updated(self, parameters: Mapping[str, FloatArray]) -> Self:
        """This network with some arrays replaced."""
        return type(self).from_arrays(self.measure, self.architecture(), self.arrays() | dict(parameters))

    def hidden_layers(self) -> tuple[tuple[str, ...], ...]:
        """Names of the arrays of each hidden layer, from the input on: `weight_k` with `bias_k`, those of all parts."""
        layers: dict[int, list[str]] = {}
        for name in self.arrays():
            kind, _, number = name.rpartition(".")[2].partition("_")
            if kind in ("weight", "bias") and number.isdecimal():
                layers.setdefault(int(number), []).append(name)
        return tuple(tuple(layers[k]) for k in sorted(layers) if any("bias_" in name for name in layers[k]))

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


def descriptor_matrix(names: Iterable[str], descriptors: Descriptors | None) -> FloatArray:
    """The descriptors `names` (k) as a matrix, (n, k), or (1, k) where all of them are numbers.

    Raises:
        ModelError: one is missing.
    """
    known, wanted = descriptors or {}, tuple(names)
    missing = [name for name in wanted if name not in known]
    if missing:
        found = f"only by {', '.join(known)}" if known else "by nothing"
        raise ModelError(f"the cells are not described by {', '.join(missing)}, but {found}")
    values = [np.atleast_1d(np.asarray(known[name], dtype=np.float64)) for name in wanted]
    return np.column_stack(np.broadcast_arrays(*values))


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
