"""A dataset: what a cell answered along macroscopic paths, and its file.

docs/data.md describes the file. It holds full tensors in plain components, as a user reads them; in memory everything
is packed as the measure says. Every array is checked against a checksum when it is read.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from materials.interface import IntArray
from materials.measures import FloatArray, Measure, Physics
from surrogates.family import Samples

FORMAT = "fe2 dataset"
SCHEMA = 1
"""Version of the layout. A file of another version is refused."""

SPLITS = ("train", "validation", "test")

_CHUNK_BYTES = 1 << 20


class DatasetError(ValueError):
    """A dataset cannot be made or read; one line that says why."""


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """n states on paths of a cell, in the order of paths and steps, with g gradient components.

    Raises `DatasetError` when the arrays do not fit each other.
    """

    measure: Measure
    gradient: FloatArray
    """(n, g)"""
    flux: FloatArray
    """(n, g)"""
    tangent: FloatArray
    """Consistent tangent d flux / d gradient, (n, g, g)."""
    dt: FloatArray
    """Duration of the increment that ends in the state, (n,)."""
    path: IntArray
    """Number of the path, from 0, (n,)."""
    step: IntArray
    """Number of the increment in its path, from 1, (n,)."""
    split: tuple[str, ...]
    """What each path is for, one of `SPLITS`; also for a path that no state is left of."""
    descriptors: Mapping[str, float] = field(default_factory=dict)
    """Numbers that describe the cell, such as volume fractions."""
    path_descriptors: Mapping[str, FloatArray] = field(default_factory=dict)
    """Where cells differ: numbers that describe the cell of each path, (paths,) by name."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """Where it comes from, as plain JSON."""
    symmetry: str | None = None
    """Symmetry group of the cell where it is known; a hint to families."""
    tangent_at_rest: FloatArray | None = None
    """Tangent of the undeformed cell, (g, g)."""

    def __post_init__(self) -> None:
        """Check shapes, values and numbering."""
        g, n = self.measure.size, len(self.gradient)
        if n == 0:
            raise DatasetError("there is no state in it")
        shapes = {"gradient": (n, g), "flux": (n, g), "tangent": (n, g, g), "dt": (n,), "path": (n,), "step": (n,)}
        for name, shape in shapes.items():
            _check_array(name, getattr(self, name), shape)
        if self.tangent_at_rest is not None:
            _check_array("tangent_at_rest", self.tangent_at_rest, (g, g))
        foreign = sorted(set(self.split) - set(SPLITS))
        if foreign:
            raise DatasetError(f"a path belongs to the split {foreign[0]!r}, there are only {', '.join(SPLITS)}")
        if self.path.min() < 0 or self.path.max() >= len(self.split):
            span = f"{self.path.min()} to {self.path.max()}"
            raise DatasetError(f"states belong to the paths {span}, the split names {len(self.split)} paths")
        for name, values in self.path_descriptors.items():
            _check_array(f"path_descriptors, {name}", values, (len(self.split),))
        starts = np.flatnonzero(np.diff(self.path, prepend=-1))
        follows = self.step == np.concatenate([[1], self.step[:-1] + 1])
        follows[starts] = self.step[starts] == 1
        if np.any(np.diff(self.path) < 0) or not np.all(follows):
            raise DatasetError("the states are not in the order of paths and steps")

    @property
    def n_states(self) -> int:
        """Number n of states."""
        return len(self.gradient)

    @property
    def n_paths(self) -> int:
        """Number of paths, those without a state included."""
        return len(self.split)

    def states_of(self, split: str) -> NDArray[np.bool_]:
        """Which states belong to a split, (n,)."""
        if split not in SPLITS:
            raise DatasetError(f"there is no split {split!r}, only {', '.join(SPLITS)}")
        return np.array([name == split for name in self.split])[self.path]

    def samples(self, split: str) -> Samples:
        """The states of a split, in the order of paths and steps."""
        return self._chosen(self.states_of(split))

    def all_samples(self) -> Samples:
        """The states of all splits, in the order of paths and steps."""
        return self._chosen(np.ones(self.n_states, dtype=bool))

    def _chosen(self, states: NDArray[np.bool_]) -> Samples:
        arrays = (self.gradient[states], self.flux[states], self.tangent[states])
        path = self.path[states]
        known: dict[str, FloatArray] = {name: np.full(len(path), v) for name, v in self.known_descriptors.items()}
        for name, values in self.path_descriptors.items():
            known[name] = values[path]
        return Samples(*arrays, self.symmetry, path, self.dt[states], known, self.tangent_at_rest)

    @property
    def known_descriptors(self) -> dict[str, float]:
        """`descriptors` and the numbers among the parameters of the geometry, as far as they are those of all paths."""
        geometry: Mapping[str, Any] = self.provenance.get("identity", {}).get("rve", {}).get("geometry", {})
        numbers = {name: float(value) for name, value in geometry.items() if type(value) in (int, float)}
        return {name: v for name, v in (numbers | dict(self.descriptors)).items() if name not in self.path_descriptors}

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of all numbers: equal for datasets that teach the same, whenever and wherever they were made."""
        digest = hashlib.sha256(f"{self.measure.physics} {self.measure.dimension} {' '.join(self.split)}".encode())
        for array in (self.gradient, self.flux, self.tangent, self.dt, self.path, self.step):
            digest.update(np.ascontiguousarray(array).tobytes())
        for name, values in self.path_descriptors.items():
            digest.update(name.encode() + np.ascontiguousarray(values).tobytes())
        return digest.hexdigest()

    def write(self, path: Path) -> None:
        """Write the file, over one that is there; raises OSError where that cannot be done."""
        measure, kind = self.measure, self.measure.physics
        with h5py.File(path, "w", libver="latest") as file:
            file.attrs.update(format=FORMAT, schema=SCHEMA, physics=kind.value, dimension=measure.dimension)
            if self.symmetry is not None:
                file.attrs["symmetry"] = self.symmetry
            _store(file, "gradient", measure.to_tensor(self.gradient), measure.gradient_name)
            _store(file, "flux", measure.user_flux(self.flux), measure.flux_name)
            tangent = f"d {measure.flux_name} / d {measure.gradient_name}"
            if kind is Physics.HEAT:
                tangent = "conductivity, − " + tangent
            _store(file, "tangent", measure.tangent_to_tensor(self.tangent), tangent)
            if self.tangent_at_rest is not None:
                at_rest = measure.tangent_to_tensor(self.tangent_at_rest)
                _store(file, "tangent_at_rest", at_rest, f"{tangent}, at rest")
            _store(file, "dt", self.dt, "duration of the increment that ends in the state")
            _store(file, "path", self.path.astype(np.int64), "number of the path, from 0")
            _store(file, "step", self.step.astype(np.int64), "number of the increment in its path, from 1")
            _store(file, "split", np.array(self.split, dtype="S"), "what each path is for")
            file.create_group("descriptors").attrs.update(self.descriptors)
            if self.path_descriptors:
                columns = np.column_stack(list(self.path_descriptors.values()))
                _store(file, "path_descriptors", columns, "numbers that describe the cell of each path")
                file["path_descriptors"].attrs["names"] = list(self.path_descriptors)
            file.attrs["provenance"] = json.dumps(self.provenance, ensure_ascii=False)

    @classmethod
    def read(cls, path: Path) -> "Dataset":
        """Read a file whole.

        Raises:
            DatasetError: it is missing, damaged, foreign, or of another version.
        """
        if not path.is_file():
            what = "is a folder" if path.is_dir() else "no such file"
            raise DatasetError(f"{path}: {what}, name a dataset that `fe2 sample` wrote")
        try:
            with h5py.File(path, "r") as file:
                return _read(file)
        except DatasetError as error:
            raise DatasetError(f"{path}: {error}") from None
        except (OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
            reason = " ".join(str(error).split()).strip("'\"")
            what = "is damaged" if h5py.is_hdf5(path) else "is not a dataset"
            raise DatasetError(f"{path}: {what} ({reason}), sample it again") from None


def split_paths(paths: int, fractions: Sequence[float], seed: int) -> tuple[str, ...]:
    """What each path is for: shuffled by the seed, the numbers as near to `fractions` as whole paths allow.

    At least one path is for training; the two others get a path each, if asked for at all, as soon as there are three.
    """
    share = np.array(fractions, dtype=float) / np.sum(fractions)
    counts = np.floor(share * paths).astype(int)
    for index in np.argsort(counts - share * paths, kind="stable")[: paths - counts.sum()]:
        counts[index] += 1  # largest remainders
    for index in range(len(SPLITS)):
        wanted = share[index] > 0.0 and (index == 0 or paths >= len(SPLITS))
        if wanted and counts[index] == 0:
            counts[np.argmax(counts)] -= 1
            counts[index] += 1
    names = np.repeat(SPLITS, counts)
    order = np.random.default_rng([seed, paths]).permutation(paths)
    return tuple(str(name) for name in names[np.argsort(order)])


def _check_array(name: str, array: NDArray[Any], shape: tuple[int, ...]) -> None:
    if array.shape != shape:
        raise DatasetError(f"{name} has shape {array.shape}, {shape} would fit the rest")
    if not np.isfinite(array).all():
        raise DatasetError(f"{name} has {np.count_nonzero(~np.isfinite(array))} values that are not finite")


def _store(file: Any, name: str, array: NDArray[Any], quantity: str) -> None:
    """Write an array in chunks of whole rows, each with a checksum."""
    rows = max(1, min(len(array), _CHUNK_BYTES // max(1, array[:1].nbytes)))
    stored = file.create_dataset(name, data=array, chunks=(rows, *array.shape[1:]), fletcher32=True)
    stored.attrs["quantity"] = quantity


def _read(file: Any) -> Dataset:
    """What an open file holds; the caller turns errors into words."""
    if file.attrs.get("format") != FORMAT:
        raise DatasetError("is not a dataset of `fe2 sample`")
    if file.attrs["schema"] != SCHEMA:
        found = file.attrs["schema"]
        raise DatasetError(f"has version {found} of the schema, this program reads {SCHEMA}; sample it again")
    measure = Measure(Physics(file.attrs["physics"]), int(file.attrs["dimension"]))
    if measure.dimension not in (2, 3):
        raise DatasetError(f"has dimension {measure.dimension}, there are only 2 and 3")
    d, rank, n = measure.dimension, len(measure.index_pairs[0]), len(file["gradient"])
    tensor, arrays = (d,) * rank, {}
    shapes = {"gradient": (n, *tensor), "flux": (n, *tensor), "tangent": (n, *tensor, *tensor)}
    if "tangent_at_rest" in file:
        shapes["tangent_at_rest"] = (*tensor, *tensor)
    for name, shape in shapes.items():
        arrays[name] = np.asarray(file[name][()], dtype=float)
        _check_array(name, arrays[name], shape)
    sign = -1.0 if measure.physics is Physics.HEAT else 1.0
    at_rest = arrays.get("tangent_at_rest")
    symmetry = file.attrs.get("symmetry")
    return Dataset(
        measure=measure,
        gradient=measure.to_vector(arrays["gradient"]),
        flux=sign * measure.to_vector(arrays["flux"]),
        tangent=_packed_tangent(measure, arrays["tangent"]),
        dt=np.asarray(file["dt"][()], dtype=float),
        path=np.asarray(file["path"][()], dtype=np.int64),
        step=np.asarray(file["step"][()], dtype=np.int64),
        split=tuple(name.decode("ascii") for name in file["split"][()]),
        descriptors={str(name): float(value) for name, value in file["descriptors"].attrs.items()},
        path_descriptors=_path_descriptors(file),
        provenance=json.loads(file.attrs["provenance"]),
        symmetry=None if symmetry is None else str(symmetry),
        tangent_at_rest=None if at_rest is None else _packed_tangent(measure, at_rest),
    )


def _path_descriptors(file: Any) -> dict[str, FloatArray]:
    """Descriptors of each path by name; none in a file of one cell."""
    if "path_descriptors" not in file:
        return {}
    stored = file["path_descriptors"]
    names = [str(name) for name in stored.attrs["names"]]
    columns = np.asarray(stored[()], dtype=float)
    if columns.ndim != 2 or columns.shape[1] != len(names) or len(set(names)) != len(names):
        raise DatasetError(f"path_descriptors has shape {columns.shape}, but names {', '.join(names)}")
    return {name: np.ascontiguousarray(column) for name, column in zip(names, columns.T, strict=True)}


def _packed_tangent(measure: Measure, tensor: FloatArray) -> FloatArray:
    """Pack d flux_ij / d gradient_kl, (..., d, d, d, d) or (..., d, d) for heat, into (..., g, g)."""
    rank = len(measure.index_pairs[0])
    columns = measure.to_vector(tensor)  # (..., i, j, kl)
    return measure.to_vector(np.moveaxis(columns, -1, -1 - rank)).swapaxes(-1, -2)
