"""The restart point: one HDF5 file that is replaced as a whole, and read back on any number of ranks."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from mpi4py import MPI

from materials.interface import IntArray
from materials.measures import FloatArray
from solver.case.errors import BadInput
from solver.restart import Progress, RestartPoint, Rows
from solver.results.atomic import replacing
from solver.results.on_root import on_root

FORMAT = 1
"""Layout of the file. A file of another format is refused."""

_CHUNK_BYTES = 1 << 20


class Header(NamedTuple):
    """What a restart point says about the run that wrote it."""

    case: dict[str, Any]
    """The resolved case."""
    files: dict[str, str]
    """SHA-256 of the files that the case names."""
    versions: dict[str, str]


def write_checkpoint(path: Path, point: RestartPoint, header: Header, comm: MPI.Comm) -> None:
    """Replace the restart point at `path` by `point`; the old one stays until the new one is on the disk. Collective.

    Rank 0 writes, and receives the rows of the other ranks one table and one rank at a time.
    """
    if comm.rank != 0:
        for rows in point.tables.values():
            comm.reduce(len(rows.ids))
            _send(rows, comm)
        return
    with replacing(path) as unfinished, h5py.File(unfinished, "w", libver="latest") as file:
        file.attrs["format"] = FORMAT
        file.attrs["header"] = json.dumps(header._asdict())
        for name, value in point.progress._asdict().items():
            file.attrs[name] = value
        tables = file.create_group("tables")
        for name, rows in point.tables.items():
            _receive(rows, tables.create_group(name.replace("/", "|")), comm)


def read_checkpoint(path: Path, comm: MPI.Comm) -> tuple[RestartPoint, Header]:
    """Read a restart point. Collective; the tables are read when they are asked for, whole, on every rank.

    Raises BadInput on all ranks for a file that is missing, damaged or of another format.
    """
    progress, header = on_root(comm, lambda: _verify(path))
    return RestartPoint(progress, StoredTables(path)), header


class StoredTables(Mapping[str, Rows]):
    """The tables of a restart point in its file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with h5py.File(path, "r") as file:
            self._names = {name.replace("|", "/"): name for name in file["tables"]}

    def __getitem__(self, name: str) -> Rows:
        """Read one table; KeyError where there is none of this name."""
        with h5py.File(self._path, "r") as file:
            return _read(file["tables"][self._names[name]])

    def __iter__(self) -> Iterator[str]:
        """Names of the tables."""
        return iter(self._names)

    def __len__(self) -> int:
        """Number of tables."""
        return len(self._names)


def _verify(path: Path) -> tuple[Progress, Header]:
    """Read the whole file once, so that HDF5 compares every chunk with its checksum."""
    if not path.is_file():
        raise BadInput(f"{path}: there is no restart point here, run without --restart")
    remedy = "run without --restart"
    try:
        with h5py.File(path, "r") as file:
            if file.attrs["format"] != FORMAT:
                found = file.attrs["format"]
                raise BadInput(f"{path}: the restart point has format {found}, this version reads {FORMAT}; {remedy}")
            header = Header(**json.loads(file.attrs["header"]))
            values = {name: file.attrs[name] for name in Progress._fields}
            for group in file["tables"].values():
                _read_all(group)
    except (OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise BadInput(f"{path}: the restart point is damaged ({error}); {remedy}") from None
    progress = Progress(**{name: _plain(value) for name, value in values.items()})
    return progress, header


def _read(group: h5py.Group) -> Rows:
    ids: IntArray = group["ids"][()]
    row_shape = tuple(int(length) for length in group.attrs["row_shape"])
    values = group["values"][()] if "values" in group else np.empty((len(ids), 0))
    return Rows(ids, values.reshape(len(ids), *row_shape))


def _read_all(group: h5py.Group) -> None:
    """Read a table piece by piece; ValueError when its parts do not fit together."""
    count = group["ids"].shape[0]
    for dataset in group.values():
        if dataset.shape[0] != count:
            raise ValueError(f"{dataset.name} has {dataset.shape[0]} rows for {count} ids")
        rows = _rows_per_chunk(dataset.shape[1:])
        for start in range(0, count, rows):
            dataset[start : start + rows]


def _plain(value: np.generic) -> Any:
    """The Python number that was stored."""
    return value.item()


def _send(rows: Rows, comm: MPI.Comm) -> None:
    comm.send((rows.ids.shape, rows.values.shape), dest=0)
    comm.Send(np.ascontiguousarray(rows.ids, dtype=np.int64), dest=0)
    comm.Send(np.ascontiguousarray(rows.values, dtype=np.float64), dest=0)


def _receive(mine: Rows, group: h5py.Group, comm: MPI.Comm) -> None:
    """Write the rows of all ranks one below the other, each as one flat row. Tables without columns keep ids only."""
    row_shape = mine.values.shape[1:]
    width = int(np.prod(row_shape))
    group.attrs["row_shape"] = np.array(row_shape, dtype=np.int64)
    total = int(comm.reduce(len(mine.ids)) or 0)
    ids = group.create_dataset("ids", **_layout((), total), dtype=np.int64)
    values = group.create_dataset("values", **_layout((width,), total), dtype=np.float64) if width else None
    _append(ids, values, mine.ids, mine.values)
    for rank in range(1, comm.size):
        ids_shape, values_shape = comm.recv(source=rank)
        their_ids: IntArray = np.empty(ids_shape, dtype=np.int64)
        their_values: FloatArray = np.empty(values_shape, dtype=np.float64)
        comm.Recv(their_ids, source=rank)
        comm.Recv(their_values, source=rank)
        _append(ids, values, their_ids, their_values)


def _append(ids: h5py.Dataset, values: h5py.Dataset | None, new_ids: IntArray, new_values: FloatArray) -> None:
    start, count = ids.shape[0], len(new_ids)
    if count == 0:
        return
    ids.resize(start + count, axis=0)
    ids[start:] = new_ids
    if values is not None:
        values.resize(start + count, axis=0)
        values[start:] = new_values.reshape(count, -1)


def _layout(row: tuple[int, ...], total: int) -> dict[str, Any]:
    """A table that grows along its first axis to `total` rows, with a checksum on every chunk."""
    rows = max(1, min(_rows_per_chunk(row), total))
    return {"shape": (0, *row), "maxshape": (None, *row), "chunks": (rows, *row), "fletcher32": True}


def _rows_per_chunk(row: tuple[int, ...]) -> int:
    return max(1, _CHUNK_BYTES // (8 * int(np.prod(row))))
