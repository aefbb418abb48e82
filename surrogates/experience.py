"""What the exact path answered during a run: each state once, in an order and with digits that no partition changes.

States are held by id and position: a macroscopic point (id ≥ 0) and its increment, or an explored path (id < 0) and
the place in it. An id belongs as a whole to training, validation or calibration, by a seeded hash, so that it does not
matter who came first. Whatever is given to a training is thinned and in the order of ids and positions.

Numbers are rounded to a grid of 2⁻¹⁷ (five digits) of a power of two above the largest gradient − rest, flux and
tangent of the first states: a solver that stops at 10⁻¹² on one or on three ranks teaches the same network, bit for
bit, unless a number happens to lie within its error of the middle between two grid points (one in about 10⁷).
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from materials.interface import IntArray
from materials.measures import FloatArray, Measure
from surrogates.dataset import Dataset, DatasetError
from surrogates.draws import uniform
from surrogates.family import Samples
from surrogates.green_strain import objective_strain
from surrogates.normaliser import component_scale
from surrogates.thinning import spread
from surrogates.trajectories import lengths

SPLITS = ("train", "validation", "calibration")
SHARES = (0.6, 0.15, 0.25)
"""Of the ids."""
MOST_STATES = {"train": 1000, "validation": 250, "calibration": 1000}
"""States that are left by thinning where the response is reversible."""
MOST_PATHS = {"train": 300, "validation": 75, "calibration": 125}
"""Paths that are left by thinning where it is not."""

_STREAM = 0x5B117
_GRID = 17
_DATASET_SPLIT = {"train": "train", "validation": "validation", "calibration": "test"}
_PLACES = 8
"""Places along a path that distances between paths are measured at."""


class Rows(NamedTuple):
    """n states in the order of ids and positions."""

    id: IntArray
    """Point, or explored path (negative), (n,)."""
    position: IntArray
    """Increment of the point, or place in the path, from 1, (n,)."""
    born: IntArray
    """Increment of the run in which the state became known, (n,)."""
    dt: FloatArray
    """(n,)"""
    gradient: FloatArray
    """(n, g)"""
    flux: FloatArray
    """(n, g)"""
    tangent: FloatArray
    """(n, g, g)"""


class Experience:
    """States of one material of a run.

    Args:
        measure: of the material.
        remembers: whether its response depends on the path: then paths are kept whole.
        seed: of the split.
        symmetry: group of the cell where it is known, see `Samples`.
        provenance: where the states come from, as plain JSON, for datasets.
        tangent_at_rest: of the undeformed cell, (g, g), where it is known.
    """

    def __init__(
        self,
        measure: Measure,
        remembers: bool,
        seed: int = 0,
        symmetry: str | None = None,
        provenance: Mapping[str, Any] | None = None,
        tangent_at_rest: FloatArray | None = None,
    ):
        self.measure = measure
        self.remembers = remembers
        self.seed = seed
        self.symmetry = symmetry
        self.provenance = dict(provenance or {})
        self.tangent_at_rest = tangent_at_rest
        self._grids: dict[str, float] = {}
        g, integers = measure.size, np.zeros(0, dtype=np.int64)
        empty = (np.zeros(0), np.zeros((0, g)), np.zeros((0, g)), np.zeros((0, g, g)))
        self.rows = Rows(integers, integers, integers, *empty)

    def __len__(self) -> int:
        """Number of states."""
        return len(self.rows.id)

    @property
    def new_id(self) -> int:
        """The next free id of an explored path; those below it are free, too."""
        return min(int(self.rows.id.min(initial=0)), 0) - 1

    def add_states(
        self,
        step: int,
        dt: float,
        point_ids: IntArray,
        gradient: FloatArray,
        flux: FloatArray,
        tangent: FloatArray,
    ) -> None:
        """Add states of points (n,) at the end of an accepted increment, for a response that is reversible.

        Args:
            step: the increment, from 1.
            dt: its duration.
            point_ids: (n,), at least 0.
            gradient: (n, g)
            flux: (n, g)
            tangent: (n, g, g)
        """
        ids = np.asarray(point_ids, dtype=np.int64)
        steps = np.full(len(ids), step, dtype=np.int64)
        self._merge(Rows(ids, steps, steps, np.full(len(ids), dt), gradient, flux, tangent))

    def add_paths(
        self, step: int, ids: IntArray, gradient: FloatArray, dt: FloatArray, flux: FloatArray, tangent: FloatArray
    ) -> None:
        """Add whole paths from rest; of a path that is known in part, what follows is added.

        Args:
            step: the increment of the run after which they became known.
            ids: (p,), points, or explored paths (negative, see `new_id`).
            gradient: (p, s, g)
            dt: (p, s)
            flux: (p, s, g)
            tangent: (p, s, g, g)
        """
        p, s, g = gradient.shape
        self._merge(
            Rows(
                np.repeat(np.asarray(ids, dtype=np.int64), s),
                np.tile(np.arange(1, s + 1, dtype=np.int64), p),
                np.full(p * s, step, dtype=np.int64),
                np.asarray(dt, dtype=np.float64).reshape(-1),
                gradient.reshape(-1, g),
                flux.reshape(-1, g),
                tangent.reshape(-1, g, g),
            )
        )

    def seed_from(self, dataset: Dataset) -> None:
        """Add the paths of a dataset, as if they had been explored before the first increment.

        Raises:
            DatasetError: it is of another physics or dimension.
        """
        if dataset.measure != self.measure:
            ours, theirs = (f"{m.physics} in dimension {m.dimension}" for m in (self.measure, dataset.measure))
            raise DatasetError(f"the dataset is {theirs}, the run {ours}")
        ids, before = self.new_id - dataset.path, np.zeros(dataset.n_states, dtype=np.int64)
        self._merge(Rows(ids, dataset.step, before, dataset.dt, dataset.gradient, dataset.flux, dataset.tangent))

    def split(self, ids: IntArray) -> NDArray[np.str_]:
        """Which of `SPLITS` each of the ids (n,) belongs to."""
        ends = np.cumsum(SHARES[:-1])
        return np.array(SPLITS)[np.searchsorted(ends, uniform(self.seed, _STREAM, ids), side="right")]

    def samples(self, split: str) -> Samples:
        """The states of a split, thinned to spread over strains (`MOST_STATES`, `MOST_PATHS`).

        Raises:
            ModelError: no state of the run has any strain.
        """
        rows = self.rows
        strain = objective_strain(self.measure, rows.gradient)
        mine = self.split(rows.id) == split
        kept = np.flatnonzero(mine)
        if len(kept):
            points = strain[kept] / component_scale(strain)
            if self.remembers:
                count = lengths(rows.id[kept])
                paths = spread(_outlines(points, count), MOST_PATHS[split])
                kept = kept[np.isin(np.repeat(np.arange(len(count)), count), paths)]
            else:
                kept = kept[spread(points, MOST_STATES[split])]
        _, path = np.unique(rows.id[kept], return_inverse=True)
        values = (rows.gradient[kept], rows.flux[kept], rows.tangent[kept])
        order = path.astype(np.int64)
        return Samples(*values, self.symmetry, order, rows.dt[kept], tangent_at_rest=self.tangent_at_rest)

    def truncated(self, step: int) -> "Experience":
        """What was known after an increment."""
        made = self._empty()
        made.rows = Rows._make(values[self.rows.born <= step] for values in self.rows)
        return made

    def to_dataset(self) -> Dataset:
        """All states as a dataset: calibration is its split `test`, the states of an id are its path.

        Raises:
            DatasetError: there is no state.
        """
        rows = self.rows
        ids, path = np.unique(rows.id, return_inverse=True)
        count = lengths(rows.id)
        starts = np.repeat(np.cumsum(count) - count, count)
        known = {"id": rows.id.tolist(), "position": rows.position.tolist(), "born": rows.born.tolist()}
        return Dataset(
            measure=self.measure,
            gradient=rows.gradient,
            flux=rows.flux,
            tangent=rows.tangent,
            dt=rows.dt,
            path=path.astype(np.int64),
            step=np.arange(len(rows.id)) - starts + 1,
            split=tuple(_DATASET_SPLIT[name] for name in self.split(ids)),
            symmetry=self.symmetry,
            tangent_at_rest=self.tangent_at_rest,
            provenance=self.provenance | {"experience": known | {"grids": self._grids}},
        )

    def write(self, path: Path) -> None:
        """Write the dataset, over one that is there; an interrupted write leaves that as it was."""
        unfinished = path.with_name(f".{path.name}.part")
        self.to_dataset().write(unfinished)
        unfinished.replace(path)

    def read(self, path: Path) -> "Experience":
        """What `write` wrote, bit for bit, for a run with the settings of this one.

        Raises:
            DatasetError: the file is damaged, or not of a run of this kind.
        """
        dataset = Dataset.read(path)
        known = dataset.provenance.get("experience")
        if known is None or dataset.measure != self.measure:
            raise DatasetError(f"{path}: is not what a run like this has learned")
        made = self._empty()
        made._grids = known["grids"]
        ids, position, born = (np.array(known[name], dtype=np.int64) for name in ("id", "position", "born"))
        made._merge(Rows(ids, position, born, dataset.dt, dataset.gradient, dataset.flux, dataset.tangent))
        return made

    def _empty(self) -> "Experience":
        known = (self.symmetry, self.provenance, self.tangent_at_rest)
        made = Experience(self.measure, self.remembers, self.seed, *known)
        made._grids = dict(self._grids)
        return made

    def _merge(self, rows: Rows) -> None:
        """Take in states whose id and position are not known yet."""
        new = rows._replace(
            gradient=self.rounded(rows.gradient),
            flux=self._rounded("flux", rows.flux),
            tangent=self._rounded("tangent", rows.tangent),
        )
        both = Rows._make(np.concatenate(pair) for pair in zip(self.rows, new, strict=True))
        order = np.lexsort((both.position, both.id))  # stable: of the same state, the one that is known stands first
        repeats = (np.diff(both.id[order], prepend=np.nan) == 0) & (np.diff(both.position[order], prepend=np.nan) == 0)
        self.rows = Rows(*(np.ascontiguousarray(values[order[~repeats]]) for values in both))

    def rounded(self, gradient: FloatArray) -> FloatArray:
        """Gradients (…, g) as they would be remembered, so that what depends on them depends on no partition."""
        return self.measure.rest + self._rounded("gradient", gradient - self.measure.rest)

    def _rounded(self, name: str, values: FloatArray) -> FloatArray:
        """On the grid of a quantity, which the first values that are not zero set."""
        largest = float(np.abs(values).max(initial=0.0))
        if name not in self._grids and largest > 0.0:
            # e, so that a load in round numbers does not sit where the next power of two takes over
            self._grids[name] = 2.0 ** (math.frexp(math.e * largest)[1] - _GRID)
        grid = self._grids.get(name, 1.0)
        return np.rint(values / grid) * grid


def _outlines(points: FloatArray, count: IntArray) -> FloatArray:
    """Where paths with `count` (p,) states each of `points` (n, m) are at equal fractions of their way, (p, 8 m)."""
    ends = np.cumsum(count)
    fractions = np.arange(1, _PLACES + 1) / _PLACES
    places = (ends - count)[:, None] + np.ceil(fractions * count[:, None]).astype(np.int64) - 1
    return np.asarray(points[places].reshape(len(count), -1))
