"""One surrogate for a class of microstructures: networks at the nodes of a grid over descriptors, blended in between.

A descriptor is a number that tells one cell from another, such as a volume fraction. With the nodes p_a of a tensor
grid over k of them, and one network of any family at each, the answer of a cell with descriptors p is

    flux(g; p) = Σ_a φ_a(p) flux_a(g),        φ_a ≥ 0,  Σ_a φ_a = 1,

with φ_a the multilinear shape functions of the grid, constant beyond it. Every member keeps its own internal state.
Whatever a family promises by construction and a convex combination keeps is kept: objectivity, symmetry, an energy (the
combination of the members' energies), rest without flux, dissipation ≥ 0. Of the members, 2ᵏ at most are evaluated at a
point. They are trained together on all states, so that cells need not lie on the nodes.
"""

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from materials.measures import FloatArray, Measure, Physics
from surrogates.families import FAMILIES
from surrogates.family import Descriptors, Family, ModelError, Options, Samples, Step, descriptor_matrix
from surrogates.members import joined, separated

if TYPE_CHECKING:
    from torch.nn import Module

_ENOUGH = 10
"""States per gradient component that a member starts from, if its share of all allows."""

Axes = Mapping[str, tuple[float, ...]]
"""Nodes along the axis of each descriptor, rising."""


@dataclass(frozen=True, kw_only=True)
class Conditioning(Options):
    """What a surrogate of a class of microstructures is made of."""

    family: type[Family]
    """Of the members."""
    options: Options
    """Of the members."""
    axes: Axes


@dataclass(frozen=True, eq=False)
class Conditioned(Family):
    """Members of one family at the nodes of a grid, the last axis running fastest; see the module."""

    name: ClassVar[str] = "conditioned"
    physics: ClassVar[tuple[Physics, ...]] = tuple(Physics)
    network: ClassVar[type[Options]] = Conditioning

    measure: Measure
    axes: Axes
    members: tuple[Family, ...]
    where: FloatArray | None = None
    """Descriptors of the points that it is asked at, (n, k), or of all points, (1, k); None: not said yet (`at`)."""

    @classmethod
    def untrained(cls, measure: Measure, network: Conditioning, samples: Samples, seed: int) -> Self:
        """Each member from the states of the cells nearest to its node, few cells but enough of states.

        What a family sees of a symmetry in the cell with the most states goes for all: in a mixture there would be none
        to see. See `Family.untrained`.

        A family that is fitted at once has its nodes at the cells themselves, of which only one descriptor may differ,
        and each member the states of its cell.
        """
        places = descriptor_matrix(network.axes, samples.descriptors)
        axes = {name: tuple(map(float, nodes)) for name, nodes in network.axes.items()}
        if not network.family.iterative:
            if len(axes) > 1:
                raise ModelError(f"family {network.family.name} is fitted at once, which allows one descriptor only")
            axes = {name: tuple(float(value) for value in np.unique(places)) for name in axes}
        _check_axes(axes)
        nodes = np.array(list(itertools.product(*axes.values())))
        unseen = nodes[np.max(_shares(axes, places), axis=0, initial=0.0) == 0.0]
        if len(unseen):
            node = ", ".join(f"{name} = {value:g}" for name, value in zip(axes, unseen[0], strict=True))
            raise ModelError(f"no training state is near {node}: sample more cells, or use fewer descriptor_nodes")
        widths = np.ptp(nodes, axis=0)
        enough = min(-(-len(places) // len(nodes)), _ENOUGH * measure.size) if network.family.iterative else 1
        if samples.symmetry is None:
            samples = samples._replace(symmetry=_symmetry(measure, network, samples, places, seed))
        members = []
        for position in nodes:
            distance = np.sum(np.square((places - position) / widths), axis=1)
            own = samples.at(distance <= np.sort(distance)[enough - 1])
            members.append(network.family.untrained(measure, network.options, own, seed))
        return cls(measure, axes, tuple(members))

    @property
    def symmetric(self) -> bool:
        """As the members."""
        return all(member.symmetric for member in self.members)

    @property
    def conservative(self) -> bool:
        """As the members."""
        return all(member.conservative for member in self.members)

    @property
    def iterative(self) -> bool:  # type: ignore[override]  # elsewhere the same for all of a family
        """As the members."""
        return self.members[0].iterative

    @property
    def learns_tangent(self) -> bool:  # type: ignore[override]  # likewise
        """As the members."""
        return self.members[0].learns_tangent

    @property
    def descriptors(self) -> tuple[str, ...]:
        """Names of the axes; none as soon as `at` has said where on them."""
        return tuple(self.axes) if self.where is None else ()

    def at(self, descriptors: Descriptors) -> Self:
        """See `Family.at`; beyond the grid the answer is that of its boundary."""
        return replace(self, where=descriptor_matrix(self.axes, descriptors))

    def beyond(self, descriptors: Descriptors) -> NDArray[np.bool_]:
        """See `Family.beyond`."""
        places = descriptor_matrix(self.axes, descriptors)
        lower, upper = (np.array([nodes[end] for nodes in self.axes.values()]) for end in (0, -1))
        slack = 1e-3 * (upper - lower)  # as `Model.outside`
        return np.asarray(~((places >= lower - slack) & (places <= upper + slack)).all(axis=1))

    def architecture(self) -> dict[str, Any]:
        """Nodes of each descriptor, family and architecture of each member."""
        return {
            "descriptors": {name: list(nodes) for name, nodes in self.axes.items()},
            "family": self.members[0].name,
            "members": [member.architecture() for member in self.members],
        }

    def arrays(self) -> dict[str, FloatArray]:
        """Those of member k as `k.name`."""
        return joined(self.members)

    @classmethod
    def from_arrays(cls, measure: Measure, architecture: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Self:
        """See `Family.from_arrays`."""
        axes, family, members = _read(architecture)
        return cls(measure, axes, separated(family, measure, members, arrays))

    @property
    def state_size(self) -> int:
        """Those of the members together."""
        return sum(member.state_size for member in self.members)

    def initial_state(self) -> FloatArray:
        """Those of the members, one after the other."""
        return np.concatenate([member.initial_state() for member in self.members])

    def evaluate(self, gradient: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Flux and tangent of the cells that `at` named; see `Family.evaluate`."""
        answer = self.step(gradient, np.tile(self.initial_state(), (len(gradient), 1)), 1.0)
        return answer.flux, answer.tangent

    def step(self, gradient: FloatArray, state: FloatArray, dt: float) -> Step:
        """Flux and tangent of the cells that `at` named, the states of members with a share; see `Family.step`."""
        shares = np.broadcast_to(self._shares, (len(gradient), len(self.members)))
        flux, after = np.zeros(gradient.shape), state.copy()
        tangent = np.zeros((*gradient.shape, gradient.shape[1]))
        end = 0
        for k, member in enumerate(self.members):
            begin, end = end, end + member.state_size
            own, share = slice(begin, end), shares[:, k]
            rows = np.flatnonzero(share)
            if not rows.size:
                continue
            answer = member.step(gradient[rows], np.ascontiguousarray(state[rows, own]), dt)
            flux[rows] += share[rows, None] * answer.flux
            tangent[rows] += share[rows, None, None] * answer.tangent
            after[rows, own] = answer.state
        return Step(flux, tangent, after)

    def torch_model(self) -> "Module":
        """The same function in torch, `forward(…, descriptors (n, k) or, along paths, (p, k))`."""
        from surrogates.conditioned_torch import TorchConditioned

        return TorchConditioned([member.torch_model() for member in self.members], lambda p: _shares(self.axes, p))

    @cached_property
    def _shares(self) -> FloatArray:
        """φ_a at the points, (n, members) or (1, members)."""
        if self.where is None:
            raise ModelError(f"say of which microstructure: at() wants {', '.join(self.axes)}")
        return _shares(self.axes, self.where)


def _symmetry(measure: Measure, network: Conditioning, samples: Samples, places: FloatArray, seed: int) -> str | None:
    """Symmetry group that the family finds in the cell with the most states, None if it looks for none."""
    _, cell, states = np.unique(places, axis=0, return_inverse=True, return_counts=True)
    fullest = samples.at(cell.ravel() == np.argmax(states))
    found = network.family.untrained(measure, network.options, fullest, seed).architecture().get("symmetry")
    return found if isinstance(found, str) else None


def _shares(axes: Axes, places: FloatArray) -> FloatArray:
    """φ_a(p) at `places` (n, k), (n, nodes); not a number where p is not finite."""
    places = np.where(np.isfinite(places), places, np.nan)
    shares = np.ones((len(places), 1))
    for nodes, values in zip(axes.values(), places.T, strict=True):
        hats = np.column_stack([np.interp(values, nodes, unit) for unit in np.eye(len(nodes))])
        shares = (shares[:, :, None] * hats[:, None, :]).reshape(len(places), -1)
    return shares


def _check_axes(axes: Axes) -> None:
    for name, nodes in axes.items():
        if len(nodes) < 2 or not np.isfinite(nodes).all() or (np.diff(nodes) <= 0.0).any():
            raise ModelError(f"the nodes of {name} must be at least two rising numbers, got {list(nodes)}")


def _read(architecture: Mapping[str, Any]) -> tuple[Axes, type[Family], list[Mapping[str, Any]]]:
    """Axes, family and the architectures of the members."""
    written, family, members = (architecture.get(key) for key in ("descriptors", "family", "members"))
    if (
        set(architecture) != {"descriptors", "family", "members"}
        or not isinstance(written, dict)
        or not written
        or not all(_is_numbers(nodes) for nodes in written.values())
        or not isinstance(family, str)
        or family not in FAMILIES
        or not isinstance(members, list)
        or not all(isinstance(member, dict) for member in members)
    ):
        raise ModelError("the architecture of a conditioned surrogate names descriptors, a family and its members")
    axes = {name: tuple(float(x) for x in nodes) for name, nodes in written.items()}
    _check_axes(axes)
    nodes = math.prod(map(len, axes.values()))
    if len(members) != nodes:
        raise ModelError(f"the grid of descriptors has {nodes} nodes, there are {len(members)} members")
    return axes, FAMILIES[family], members


def _is_numbers(value: Any) -> bool:
    return isinstance(value, list) and all(type(x) in (int, float) for x in value)
