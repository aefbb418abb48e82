"""Hashes that say whether a case, or a cell, is the one that something was made from."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from materials.measures import FloatArray
from materials.user_law import source_of
from rve.cell import Cell
from rve.spectral.cell import SpectralCell
from solver.case.case import Case
from solver.case.laws import UserLawSection
from solver.case.resolved import resolved
from solver.cells import AnyCell

_DIGITS = 9
"""Decimals of relative coordinates that count: meshes of one generator differ by rounding between machines."""


def case_hash(case: Case) -> str:
    """SHA-256 of the resolved case."""
    return _hash_of(resolved(case))


def cell_hash(case: Case, name: str, cell: AnyCell) -> str:
    """SHA-256 of what the answers of a cell depend on: its resolved section under `rves`, physics, and its mesh.

    The numbering of the mesh does not count, nor do coordinates beyond nine digits.
    """
    described = {"physics": case.physics.value, "dimension": case.dimension, "rve": resolved(case)["rves"][name]}
    files = {
        source_of(phase.law, case.source.parent)[0]
        for phase in case.rves[name].phases.values()
        if isinstance(phase, UserLawSection)
    }
    size, elements = _of_voxels(cell) if isinstance(cell, SpectralCell) else _of_mesh(cell)
    described["size"] = [round(float(length), _DIGITS) for length in size]
    return _hash_of(described, elements, *sorted(file.read_bytes() for file in files))


def _of_voxels(cell: SpectralCell) -> tuple[Sequence[float], bytes]:
    """Size of a cell, and the phases of its voxels."""
    return cell.grid.size, f"{cell.labels.shape}".encode() + cell.labels.tobytes()


def _of_mesh(cell: Cell) -> tuple[FloatArray, bytes]:
    """Size of a cell, and its elements in an order of their own with their phases."""
    mesh = cell.mesh.mesh
    nodes = np.asarray(mesh.geometry.x)[:, : cell.measure.dimension] / cell.mesh.size
    corners = np.round(nodes[np.asarray(mesh.geometry.dofmap)], _DIGITS) + 0.0  # no negative zeros
    order = np.lexsort(np.moveaxis(corners, -1, 0), axis=-1)
    corners = np.take_along_axis(corners, order[..., np.newaxis], axis=1).reshape(len(corners), -1)
    tags = np.empty(len(corners))
    tags[cell.mesh.cell_tags.indices] = cell.mesh.cell_tags.values
    rows = np.column_stack([corners, tags])
    rows = np.ascontiguousarray(rows[np.lexsort(rows.T)])
    return cell.mesh.size, rows.tobytes()


def _hash_of(data: Any, *more: bytes) -> str:
    digest = hashlib.sha256(json.dumps(data, sort_keys=True, ensure_ascii=False).encode())
    for block in more:
        digest.update(block)
    return digest.hexdigest()
