"""Where a state lies among the training states: coordinates in which distances mean something.

A state is what the answer depends on: the objective strain (`surrogates/green_strain.py`), for families that remember
also their internal state. Coordinates are whitened: along the principal axes of the training states, from
their mean, in units of their standard deviation there, but of no less than 1/10 of the largest, so that noise in a
direction which the training states hardly vary in is not blown up. Beyond eight dimensions the axes that carry 99.9 %
of the variance are kept, eight at most, and one more coordinate is the norm of all that they leave out (Jackson and
Mudholkar 1979).

Where the family has the symmetry group of its cell built in, a training state stands for all its images under the
group. Finite groups act on the coordinates as matrices. Of an isotropic family the principal values are enough, with
the permutations for a group, or |∇T|. For transverse isotropy turns by 45° about the axis stand for all.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numba import types

from materials.compilation import jit, kernel
from materials.measures import FloatArray, Measure, Physics
from surrogates.ensemble import Ensemble
from surrogates.families.energy import EnergyNetwork
from surrogates.family import Family, ModelError
from surrogates.green_strain import strain_measure
from surrogates.symmetry import Symmetry, packed_rotation

_VECTOR, _MATRIX = types.float64[::1], types.float64[:, ::1]

DIMENSIONS = 8
"""Most principal axes that are kept."""
VARIANCE = 0.999
"""Share of the variance that the kept axes carry, where there are more than `DIMENSIONS`."""
FLOOR = 0.1
"""Smallest unit along an axis, relative to the largest."""


@dataclass(frozen=True, eq=False)
class Features:
    """The coordinates of states of a family; see the module."""

    measure: Measure
    principal: bool
    """Whether the principal values of the strain, or |∇T|, stand for it."""
    kept: int
    """Principal axes that are coordinates of their own."""
    centre: FloatArray
    """Mean of the training states, (f,)."""
    axes: FloatArray
    """All whitened axes as rows, (f, f), those that are kept first."""

    @property
    def size(self) -> int:
        """Number c of coordinates."""
        return self.kept + (self.kept < len(self.axes))

    def evaluate(self, gradient: FloatArray, state: FloatArray) -> FloatArray:
        """Coordinates (n, c) at `gradient` (n, g) and `state` (n, s); NaN where det F ≤ 0.

        They do not depend on the rest of the batch, to the last bit.
        """
        return self.project(_unscaled(self.measure, self.principal, gradient, state))

    def project(self, unscaled: FloatArray) -> FloatArray:
        """Coordinates (n, c) of strains and internal states side by side, (n, f)."""
        coordinates = np.empty((len(unscaled), self.size))
        _project(unscaled, self.centre, self.axes, self.kept, coordinates)
        return coordinates

    def architecture(self) -> dict[str, Any]:
        """All but measure and axes, as plain JSON."""
        return {"principal": self.principal, "kept": self.kept}

    @classmethod
    def read(cls, family: Family, architecture: Mapping[str, Any], centre: FloatArray, axes: FloatArray) -> Self:
        """The features that `architecture()`, `centre` (f,) and `axes` (f, f) came from.

        Raises:
            ModelError: they do not fit the family.
        """
        principal, kept = architecture.get("principal"), architecture.get("kept")
        f = _strain_size(family.measure, principal is True) + family.state_size
        if type(principal) is not bool or type(kept) is not int or not 1 <= kept <= f:
            raise ModelError(f"the features of a trust are principal and kept, 1 to {f}, got {dict(architecture)}")
        if centre.shape != (f,) or axes.shape != (f, f):
            text = f"centre and axes have shapes {centre.shape} and {axes.shape}"
            raise ModelError(f"{text}, the family asks for ({f},) and ({f}, {f})")
        return cls(family.measure, principal, kept, centre, axes)


def fit_features(family: Family, gradient: FloatArray, state: FloatArray) -> tuple[Features, FloatArray]:
    """Features of a family, and the coordinates (m, c) of rest, its training states (n, g), (n, s), and their images.

    Raises:
        ModelError: the family has no answer for some of the states, or they are all at rest.
    """
    measure, symmetry = family.measure, _symmetry(family)
    principal = symmetry is not None and symmetry.group == "isotropic"
    states = np.vstack([family.initial_state(), state])
    unscaled = _unscaled(measure, principal, np.vstack([measure.rest, gradient]), states)
    if not np.isfinite(unscaled).all():
        raise ModelError("the family has no answer for some states of the training split, det F ≤ 0 for example")
    v = _strain_size(measure, principal)
    images = np.vstack(
        [np.hstack([unscaled[:, :v] @ action.T, unscaled[:, v:]]) for action in _actions(measure, symmetry, principal)]
    )
    scale = _scale(images, v)
    centre = images.mean(axis=0)
    centred = (images - centre) / scale
    moments, directions = np.linalg.eigh(centred.T @ centred / len(centred))
    moments, directions = np.maximum(moments[::-1], 0.0), directions[:, ::-1]
    f = len(moments)
    kept = f
    if f > DIMENSIONS:
        kept = min(DIMENSIONS, int(np.searchsorted(np.cumsum(moments) / moments.sum(), VARIANCE)) + 1)
    units = np.maximum(np.sqrt(moments), FLOOR * np.sqrt(moments[0]))
    features = Features(measure, principal, kept, centre, np.ascontiguousarray((directions / units).T / scale))
    return features, features.project(images)


def _scale(unscaled: FloatArray, v: int) -> FloatArray:
    """Units before the principal axes are sought: one for all of the strain, one for each internal variable, (f,).

    Raises:
        ModelError: the strain never varies.
    """
    deviation = unscaled.std(axis=0)
    strain = np.sqrt(np.sum(np.square(deviation[:v])))
    if strain == 0.0:
        raise ModelError("every state of the training split is at rest, so that no state is near or far")
    internal = deviation[v:]
    largest = internal.max(initial=0.0) or 1.0
    return np.concatenate([np.full(v, strain), np.where(internal < 1e-6 * largest, largest, internal)])


def _symmetry(family: Family) -> Symmetry | None:
    """The group that the family has built in; None if there is none."""
    member = family.members[0] if isinstance(family, Ensemble) else family
    return member.symmetry if isinstance(member, EnergyNetwork) else None


def _actions(measure: Measure, symmetry: Symmetry | None, principal: bool) -> list[FloatArray]:
    """Matrices (v, v) of the finite group that acts on the strains; see the module."""
    v = _strain_size(measure, principal)
    if symmetry is None or symmetry.group == "none":
        return [np.eye(v)]
    if principal:
        return [np.eye(v)[list(order)] for order in itertools.permutations(range(v))]
    generators = list(symmetry.generators(measure.dimension))
    if symmetry.group == "transversely_isotropic":
        axes, c = symmetry.matrix(measure.dimension), np.sqrt(0.5)
        eighth = np.array([[c, -c, 0.0], [c, c, 0.0], [0.0, 0.0, 1.0]])
        generators = [*Symmetry("orthotropic", symmetry.axes).generators(3), axes.T @ eighth @ axes]
    steps = [packed_rotation(measure, np.asarray(q)) for q in generators]
    found = [np.eye(v)]
    for element in found:  # grows until the group is closed
        for step in steps:
            image = step @ element
            if not any(np.allclose(image, known, atol=1e-9) for known in found):
                found.append(image)
    return found


def _strain_size(measure: Measure, principal: bool) -> int:
    """Numbers that stand for the strain, or ∇T."""
    if not principal:
        return strain_measure(measure).size
    return 1 if measure.physics is Physics.HEAT else measure.dimension


def _unscaled(measure: Measure, principal: bool, gradient: FloatArray, state: FloatArray) -> FloatArray:
    """What stands for the strain, and the internal state, side by side, (n, f)."""
    gradient = np.ascontiguousarray(gradient, dtype=np.float64)
    state = np.ascontiguousarray(state, dtype=np.float64)
    beside = np.empty((len(gradient), _strain_size(measure, principal) + state.shape[1]))
    finite, heat = measure.physics is Physics.FINITE_STRAIN, measure.physics is Physics.HEAT
    _write_unscaled(finite, heat, principal, measure.dimension, gradient, state, beside)
    return beside


@jit
def _green_lagrange(d: int, f: FloatArray, strain: FloatArray) -> None:
    """Write E of F as a Mandel vector; NaN where det F ≤ 0."""
    if d == 2:
        determinant = f[0] * f[3] - f[1] * f[2]
    else:
        determinant = (
            f[0] * (f[4] * f[8] - f[5] * f[7]) - f[1] * (f[3] * f[8] - f[5] * f[6]) + f[2] * (f[3] * f[7] - f[4] * f[6])
        )
    valid = determinant > 0.0
    position = d
    for i in range(d - 1, -1, -1):
        for j in range(d - 1, i - 1, -1):
            product = 0.0
            for k in range(d):
                product += f[d * k + i] * f[d * k + j]
            if i == j:
                strain[i] = 0.5 * (product - 1.0) if valid else np.nan
            else:  # 23, 13, 12
                strain[position] = product * np.sqrt(0.5) if valid else np.nan
                position += 1


@jit
def _principal_values(d: int, strain: FloatArray) -> None:
    """Overwrite the first components of a Mandel strain by its principal values; in 3D by O. K. Smith 1961."""
    if d == 2:
        middle, radius = (
            0.5 * (strain[0] + strain[1]),
            np.hypot(0.5 * (strain[0] - strain[1]), strain[2] * np.sqrt(0.5)),
        )
        strain[0], strain[1] = middle + radius, middle - radius
        return
    middle = (strain[0] + strain[1] + strain[2]) / 3.0
    a, b, c = strain[0] - middle, strain[1] - middle, strain[2] - middle
    p, q, r = strain[3] * np.sqrt(0.5), strain[4] * np.sqrt(0.5), strain[5] * np.sqrt(0.5)
    size = np.sqrt((a * a + b * b + c * c + 2.0 * (p * p + q * q + r * r)) / 6.0)
    if size > 0.0:
        determinant = a * (b * c - p * p) - r * (r * c - p * q) + q * (r * p - b * q)
        cosine = 0.5 * determinant / (size * size * size)
        angle = np.arccos(min(1.0, max(-1.0, cosine))) / 3.0
        for k in range(3):
            strain[k] = middle + 2.0 * size * np.cos(angle + 2.0 * np.pi * k / 3.0)
    else:
        strain[0] = strain[1] = strain[2] = middle


@kernel(types.void(types.boolean, types.boolean, types.boolean, types.int64, _MATRIX, _MATRIX, _MATRIX))
def _write_unscaled(
    finite: bool,
    heat: bool,
    principal: bool,
    d: int,
    gradient: FloatArray,
    state: FloatArray,
    beside: FloatArray,
) -> None:
    """See `_unscaled`."""
    v = beside.shape[1] - state.shape[1]
    strain = np.empty(9)
    for point in range(gradient.shape[0]):
        if finite:
            _green_lagrange(d, gradient[point], strain)
        else:
            strain[: gradient.shape[1]] = gradient[point]
        if principal and heat:
            total = 0.0
            for i in range(d):
                total += strain[i] * strain[i]
            strain[0] = np.sqrt(total)
        elif principal:
            _principal_values(d, strain)
        beside[point, :v] = strain[:v]
        beside[point, v:] = state[point]


@kernel(types.void(_MATRIX, _VECTOR, _MATRIX, types.int64, _MATRIX))
def _project(unscaled: FloatArray, centre: FloatArray, axes: FloatArray, kept: int, coordinates: FloatArray) -> None:
    """Write the components along the kept axes, and the norm of those along the others if there are any."""
    f = axes.shape[0]
    for point in range(unscaled.shape[0]):
        left = 0.0
        for row in range(f):
            component = 0.0
            for column in range(f):
                component += axes[row, column] * (unscaled[point, column] - centre[column])
            if row < kept:
                coordinates[point, row] = component
            else:
                left += component * component
        if kept < f:
            coordinates[point, kept] = np.sqrt(left)
