"""What a run directory holds, read for the report; a run that is not finished holds less."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

from materials.interface import IntArray
from materials.measures import FloatArray
from solver.results import run_directory as names
from solver.results.run_directory import read_record
from solver.results.table import read_rows

Columns = dict[str, FloatArray]


class Snapshot(NamedTuple):
    """Fields on a mesh at one step."""

    name: str
    step: int
    time: float
    points: FloatArray
    """(nodes, 3)"""
    cells: IntArray
    """Nodes in VTK order, (cells, k)."""
    element: str
    degree: int
    nodal: dict[str, FloatArray]
    """(nodes,) or (nodes, 3)"""
    cellwise: dict[str, FloatArray]
    """(cells,), (cells, 3) or (cells, 9)"""
    about: dict[str, Any]

    @property
    def dimension(self) -> int:
        """2 or 3."""
        return 2 if self.element in ("triangle", "quadrilateral") else 3


class RunData(NamedTuple):
    """Everything that the report is made of."""

    path: Path
    record: dict[str, Any]
    case_text: str
    history: Columns
    iterations: Columns
    probes: Columns
    reactions: Columns
    fields: Snapshot | None
    """The last step that was written."""
    micro: list[Snapshot]
    """Cells that were localised, that with the largest flux first."""


def read_run(path: Path) -> RunData:
    """Read a run directory.

    Raises BadInput when `path` is not a run directory.
    """
    record = read_record(path)
    case = path / names.CASE
    folder = path / names.LOCALIZATION
    micro = [read_snapshot(file) for file in sorted(folder.glob("*.h5"))] if folder.is_dir() else []
    return RunData(
        path,
        record,
        case.read_text(encoding="utf-8") if case.is_file() else "",
        read_columns(path / names.HISTORY),
        read_columns(path / names.ITERATIONS),
        read_columns(path / names.PROBES),
        read_columns(path / names.REACTIONS),
        read_snapshot((path / names.FIELDS).with_suffix(".h5")),
        [snapshot for snapshot in micro if snapshot is not None],
    )


def read_columns(path: Path) -> Columns:
    """A table by columns; empty where there is none. What is not a number reads as NaN."""
    rows = read_rows(path)
    return {name: np.array([_number(row[name]) for row in rows]) for name in rows[0]} if rows else {}


def read_snapshot(path: Path, step_number: int | None = None) -> Snapshot | None:
    """A step of a series of fields, by default the last.

    None where there is no such step, or where it is being written just now.
    """
    if not path.is_file():
        return None
    try:
        with h5py.File(path, "r") as file:
            if not len(file["steps"]):
                return None
            name = max(file["steps"]) if step_number is None else f"{step_number:06d}"
            mesh, step = file["mesh"], file["steps"][name]
            return Snapshot(
                path.stem,
                int(step.attrs["step"]),
                float(step.attrs["time"]),
                mesh["points"][()],
                mesh["cells"][()],
                str(mesh.attrs["element"]),
                int(mesh.attrs["degree"]),
                {name: values[()] for name, values in step["node"].items()},
                {name: values[()] for name, values in step["cell"].items()},
                json.loads(mesh.attrs["about"]),
            )
    except (OSError, KeyError):
        return None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return np.nan
