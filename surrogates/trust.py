"""Scores that say how far an answer of a surrogate can be believed: dimensionless, larger where it is less sure.

A measure is fitted to the training split and to nothing else. What score is still good enough is not its business but
that of the calibration (`surrogates/calibration.py`). docs/trust.md compares the measures.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from materials.measures import FloatArray, Physics
from surrogates.ensemble import Ensemble
from surrogates.families.gp import GaussianProcess
from surrogates.family import Family, ModelError, Samples, checked_arrays
from surrogates.features import Features, fit_features
from surrogates.green_strain import objective_strain
from surrogates.nearest import Tree, kth_distance, tree, within_radius
from surrogates.normaliser import overall_scale
from surrogates.trajectories import journey

NEIGHBOURS = 3
"""Which nearest training state the distance is measured to: one alone may be an outlier."""
DUPLICATE = 1e-2
"""Training states nearer than this, in standard deviations, count as one."""
_BLOCK = 64
"""States that a Gaussian process is asked for at a time."""


class Trust(ABC):
    """A fitted measure of trust. Subclasses are frozen dataclasses."""

    name: ClassVar[str]
    """Name in case files and model cards."""

    family: Family
    """What it judges."""

    @classmethod
    @abstractmethod
    def fit(cls, family: Family, samples: Samples) -> Self:
        """The measure for a trained family and its training split.

        Raises:
            ModelError: the family cannot be judged in this way.
        """

    @abstractmethod
    def _scores(self, gradient: FloatArray, state: FloatArray) -> FloatArray:
        """As `scores`, for states that are finite, with det F > 0; NaN where there is no answer."""

    def scores(self, gradient: FloatArray, state: FloatArray) -> FloatArray:
        """Score (n,) at `gradient` (n, g) with the internal state (n, s) after the step.

        It is infinite where there is no answer, and does not depend on the rest of the batch, to the last bit.
        """
        measure = self.family.measure
        known = np.asarray(np.isfinite(np.hstack([gradient, state])).all(axis=1))
        if measure.physics is Physics.FINITE_STRAIN:
            known[known] = np.linalg.det(measure.to_tensor(gradient[known])) > 0.0
        scores = np.full(len(gradient), np.inf)
        scores[known] = self._scores(gradient[known], state[known])
        return np.where(np.isnan(scores), np.inf, scores)

    def within(self, gradient: FloatArray, state: FloatArray, threshold: float) -> NDArray[np.bool_]:
        """Whether the score is finite and at most `threshold`, (n,)."""
        scores = self.scores(gradient, state)
        return np.isfinite(scores) & (scores <= threshold)

    def architecture(self) -> dict[str, Any]:
        """All but the family and the arrays, as plain JSON."""
        return {}

    @abstractmethod
    def arrays(self) -> dict[str, FloatArray]:
        """What was fitted, by name, float64 and C-contiguous."""

    @classmethod
    @abstractmethod
    def from_arrays(cls, family: Family, architecture: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Self:
        """The measure that `architecture()` and `arrays()` came from.

        Raises:
            ModelError: they do not fit each other or the family.
        """


@dataclass(frozen=True, eq=False)
class Distance(Trust):
    """Euclidean distance to the third nearest training state, in the coordinates of `surrogates/features.py`."""

    name: ClassVar[str] = "distance"

    family: Family
    features: Features
    centres: Tree

    @classmethod
    def fit(cls, family: Family, samples: Samples) -> Self:
        """Rest is a training state, near-duplicates are one; see `Trust.fit`."""
        features, coordinates = fit_features(family, samples.gradient, journey(family, samples).after)
        _, first = np.unique(np.rint(coordinates / DUPLICATE), axis=0, return_index=True)
        return cls(family, features, tree(coordinates[np.sort(first)]))

    @property
    def _neighbours(self) -> int:
        return min(NEIGHBOURS, len(self.centres.points))

    def _scores(self, gradient: FloatArray, state: FloatArray) -> FloatArray:
        return kth_distance(self.centres, self._neighbours, self.features.evaluate(gradient, state))

    def within(self, gradient: FloatArray, state: FloatArray, threshold: float) -> NDArray[np.bool_]:
        """The same by a search that stops as soon as it knows."""
        return within_radius(self.centres, self._neighbours, threshold, self.features.evaluate(gradient, state))

    def architecture(self) -> dict[str, Any]:
        """That of the features."""
        return self.features.architecture()

    def arrays(self) -> dict[str, FloatArray]:
        """Training states in coordinates, `centres` (n, c); `centre` (f,) and `axes` (f, f) of the features."""
        return {"centres": self.centres.points, "centre": self.features.centre, "axes": self.features.axes}

    @classmethod
    def from_arrays(cls, family: Family, architecture: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Self:
        """See `Trust.from_arrays`."""
        values = checked_arrays(
            arrays, {name: np.shape(arrays.get(name, 0.0)) for name in ("centres", "centre", "axes")}
        )
        features = Features.read(family, architecture, values["centre"], values["axes"])
        centres, c = values["centres"], features.size
        if centres.ndim != 2 or centres.shape[1] != c or not len(centres):
            raise ModelError(f"array centres has shape {centres.shape}, the features ask for (n, {c})")
        return cls(family, features, tree(centres))


@dataclass(frozen=True, eq=False)
class Relative(Trust):
    """A spread of the flux that the family knows itself, divided by the rms of ‖flux‖ over the training states."""

    family: Family
    scale: float
    """Units of flux."""

    @classmethod
    def fit(cls, family: Family, samples: Samples) -> Self:
        """See `Trust.fit`."""
        cls._check(family)
        return cls(family, overall_scale(samples.flux, "flux"))

    @classmethod
    @abstractmethod
    def _check(cls, family: Family) -> None:
        """ModelError if the family does not know it."""

    def arrays(self) -> dict[str, FloatArray]:
        """The scale, (1,)."""
        return {"scale": np.array([self.scale])}

    @classmethod
    def from_arrays(cls, family: Family, architecture: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Self:
        """See `Trust.from_arrays`."""
        _check_empty(cls.name, architecture)
        cls._check(family)
        (scale,) = checked_arrays(arrays, {"scale": (1,)})["scale"]
        if scale <= 0.0:
            raise ModelError(f"the scale of a trust must be positive, got {scale:g}")
        return cls(family, float(scale))


class Disagreement(Relative):
    """Of the members of an ensemble (`Ensemble.disagreement`)."""

    name: ClassVar[str] = "ensemble"

    @classmethod
    def _check(cls, family: Family) -> None:
        if not isinstance(family, Ensemble):
            raise ModelError(f"trust by ensemble needs an ensemble, not {family.name}; set `ensemble` in the recipe")

    def _scores(self, gradient: FloatArray, state: FloatArray) -> FloatArray:
        assert isinstance(self.family, Ensemble)  # _check saw to it
        return np.asarray(self.family.disagreement(gradient, state) / self.scale)


class Deviation(Relative):
    """Predictive standard deviation of a Gaussian process (`GaussianProcess.variance`)."""

    name: ClassVar[str] = "variance"

    @classmethod
    def _check(cls, family: Family) -> None:
        if not isinstance(family, GaussianProcess):
            raise ModelError(f"trust by variance needs the family gp, not {family.name}")

    def _scores(self, gradient: FloatArray, state: FloatArray) -> FloatArray:
        del state
        assert isinstance(self.family, GaussianProcess)  # _check saw to it
        blocks = np.tile(self.family.measure.rest, (-(-len(gradient) // _BLOCK) * _BLOCK, 1))
        blocks[: len(gradient)] = gradient  # products of matrices of one size are alike to the last bit
        variances = [self.family.variance(block) for block in np.split(blocks, len(blocks) // _BLOCK or 1)]
        return np.sqrt(np.concatenate(variances)[: len(gradient)]) / self.scale


@dataclass(frozen=True, eq=False)
class Range(Trust):
    """How far a strain leaves the box of the training strains, in widths of the box; 0 inside."""

    name: ClassVar[str] = "range"

    family: Family
    lower: FloatArray
    """(m,)"""
    upper: FloatArray
    """(m,)"""

    @classmethod
    def fit(cls, family: Family, samples: Samples) -> Self:
        """Rest is in the box; see `Trust.fit`."""
        strain = objective_strain(family.measure, np.vstack([family.measure.rest, samples.gradient]))
        if not np.ptp(strain):
            raise ModelError("every state of the training split is at rest, so that no state is near or far")
        return cls(family, strain.min(axis=0), strain.max(axis=0))

    def _scores(self, gradient: FloatArray, state: FloatArray) -> FloatArray:
        del state
        strain = objective_strain(self.family.measure, gradient)
        width = self.upper - self.lower
        width = np.maximum(width, 1e-3 * width.max())
        beyond = np.maximum(self.lower - strain, strain - self.upper) / width
        return np.asarray(np.maximum(beyond.max(axis=1), 0.0))

    def arrays(self) -> dict[str, FloatArray]:
        """The box."""
        return {"lower": self.lower, "upper": self.upper}

    @classmethod
    def from_arrays(cls, family: Family, architecture: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Self:
        """See `Trust.from_arrays`."""
        _check_empty(cls.name, architecture)
        size = objective_strain(family.measure, family.measure.rest[None]).shape[1]
        values = checked_arrays(arrays, {"lower": (size,), "upper": (size,)})
        if (values["lower"] > values["upper"]).any() or (values["lower"] == values["upper"]).all():
            raise ModelError("the box of a trust must have lower ≤ upper, and a width")
        return cls(family, values["lower"], values["upper"])


MEASURES: dict[str, type[Trust]] = {kind.name: kind for kind in (Distance, Disagreement, Deviation, Range)}
"""Measures of trust by their name in case files."""


def fit_trust(measure: str, family: Family, samples: Samples) -> Trust:
    """The measure of that name for a family and its training split.

    Raises:
        ModelError: there is none of that name, or the family cannot be judged in this way.
    """
    if measure not in MEASURES:
        raise ModelError(f"there is no measure of trust {measure!r}, only {', '.join(MEASURES)}")
    return MEASURES[measure].fit(family, samples)


def _check_empty(name: str, architecture: Mapping[str, Any]) -> None:
    if architecture:
        raise ModelError(f"a trust by {name} has no architecture, got {dict(architecture)}")
