"""A cell: everything that all RVEs of one kind share. Mesh tables, admissible dofs, sparsity pattern, phases."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from dolfinx import fem

from materials.law import Law
from materials.measures import FloatArray, Measure
from meshes.cells import CellMesh
from meshes.shape_gradients import ShapeGradients, default_quadrature_degree, shape_gradients
from rve.boundary_conditions import BOUNDARY_CONDITIONS, admissible_fluctuations
from rve.traction import Constraint, IndexArray


class Phase(NamedTuple):
    """The m elements of a cell that one law fills, with q integration points each."""

    name: str
    law: Law
    elements: IndexArray
    """Their numbers in the cell mesh, (m,)."""
    tables: ShapeGradients
    """The rows of these elements; `tables.dofs` are unconstrained dofs of the space."""
    dofs: IndexArray
    """Admissible dofs, (m, k · block size); −1 where the fluctuation is fixed."""
    scatter: IndexArray
    """Position of each element stiffness entry in the matrix values, (m, n_local, n_local); −1: not there."""

    @property
    def n_points(self) -> int:
        """Integration points of the phase."""
        return self.tables.weights.size


class Pattern(NamedTuple):
    """Sparsity of the stiffness on the admissible dofs, in compressed rows."""

    row_starts: IndexArray
    columns: IndexArray

    def positions(self, dofs: IndexArray) -> IndexArray:
        """Where the values of all pairs of `dofs` (m, k) stand, (m, k, k); −1 where one of them is negative."""
        n = self.row_starts.size - 1
        keys = np.repeat(np.arange(n, dtype=np.int64), np.diff(self.row_starts)) * n + self.columns
        wanted = dofs[:, :, None].astype(np.int64) * n + dofs[:, None, :]
        positions = np.searchsorted(keys, wanted).astype(np.int32)
        positions[(dofs[:, :, None] < 0) | (dofs[:, None, :] < 0)] = -1
        return positions


@dataclass(frozen=True)
class Cell:
    """All that RVEs of one kind have in common; immutable, built once per rank.

    The fluctuation w lives on the n admissible dofs: periodic images are one dof, and one node is held to remove the
    rigid translation (`periodic`), or the whole boundary is held (`linear`), or it takes up a uniform flux (`traction`:
    a constraint, and supports without reaction). Elements of a void phase are dropped, their volume is kept.
    """

    mesh: CellMesh
    space: fem.FunctionSpace
    measure: Measure
    boundary: str
    bbar: bool
    phases: tuple[Phase, ...]
    pattern: Pattern
    dof_of: IndexArray
    """Admissible dof of every dof of the space, −1 where the fluctuation is fixed or no solid element reaches."""
    constraint: Constraint | None
    """What the admissible dofs must fulfil besides, for uniform traction."""

    @property
    def n_dofs(self) -> int:
        """Admissible dofs n."""
        return self.pattern.row_starts.size - 1

    def remove_reactions(self, forces: FloatArray) -> None:
        """Take from nodal forces (n,) the part that works on no admissible fluctuation: that of a uniform traction."""
        if self.constraint is not None:
            rows = self.constraint.rows
            forces -= (rows @ forces) @ rows

    @property
    def descriptors(self) -> dict[str, float]:
        """Numbers that describe the cell, measured on its mesh."""
        return self.mesh.descriptors

    @property
    def volume(self) -> float:
        """Volume of the whole cell, voids included."""
        return self.mesh.volume

    @cached_property
    def symmetric(self) -> bool:
        """Whether every phase declares a symmetric tangent."""
        return all(phase.law.symmetric for phase in self.phases)

    @cached_property
    def state_size(self) -> int:
        """Doubles of internal state in one RVE, over all phases and points."""
        return sum(phase.n_points * phase.law.state_size for phase in self.phases)


def build_cell(
    mesh: CellMesh,
    laws: Mapping[str, Law],
    measure: Measure,
    degree: int,
    boundary: str = "periodic",
    bbar: bool = False,
    quadrature_degree: int | None = None,
) -> Cell:
    """Prepare a cell mesh for batched RVE updates; `laws` maps phase names to laws.

    Raises:
        ValueError: a phase has no law, the boundary condition is unknown or does not hold all of the solid; see
            `admissible_fluctuations`.
    """
    if boundary not in BOUNDARY_CONDITIONS:
        raise ValueError(f"a cell has no boundary condition '{boundary}': use {', '.join(BOUNDARY_CONDITIONS)}")
    missing = sorted(set(mesh.phases) - set(laws))
    if missing:
        raise ValueError(f"no law for phase {', '.join(missing)} of the cell; given: {', '.join(sorted(laws))}")

    block_size = measure.block_size
    shape = (block_size,) if block_size > 1 else ()
    space = fem.functionspace(mesh.mesh, ("Lagrange", degree, shape))
    if quadrature_degree is None:
        quadrature_degree = default_quadrature_degree(mesh.mesh.topology.cell_name(), degree)
    tables = shape_gradients(space, quadrature_degree)

    tag_of_element = np.empty(tables.weights.shape[0], dtype=np.int32)
    tag_of_element[mesh.cell_tags.indices] = mesh.cell_tags.values
    elements_of = {name: np.flatnonzero(tag_of_element == tag).astype(np.int32) for name, tag in mesh.phases.items()}
    voids = {name: elements for name, elements in elements_of.items() if laws[name].void}
    solid = {name: elements for name, elements in elements_of.items() if name not in voids}
    dof_of, constraint = admissible_fluctuations(boundary, mesh, space, measure, solid, voids)
    n_dofs = int(dof_of.max(initial=-1)) + 1
    coupled = [dof_of[tables.dofs[elements]] for elements in solid.values()]
    if constraint is not None:
        coupled.append(constraint.spring_dofs[None])
    pattern = _sparsity(n_dofs, coupled)
    phases = tuple(
        _phase(name, laws[name], elements, tables, dof_of, pattern) for name, elements in solid.items() if elements.size
    )
    return Cell(mesh, space, measure, boundary, bbar, phases, pattern, dof_of, constraint)


def _sparsity(n_dofs: int, element_dofs: list[IndexArray]) -> Pattern:
    """Compressed rows of the union of all element couplings, diagonal included."""
    keys = [np.arange(n_dofs, dtype=np.int64) * (n_dofs + 1)]
    for dofs in element_dofs:
        rows, columns = np.broadcast_arrays(dofs[:, :, None], dofs[:, None, :])
        coupled = (rows >= 0) & (columns >= 0)
        keys.append(np.unique(rows[coupled].astype(np.int64) * n_dofs + columns[coupled]))
    unique = np.unique(np.concatenate(keys))
    row_starts = np.searchsorted(unique, np.arange(n_dofs + 1, dtype=np.int64) * n_dofs)
    columns = unique % n_dofs if n_dofs else unique
    return Pattern(row_starts.astype(np.int32), columns.astype(np.int32))


def _phase(
    name: str, law: Law, elements: IndexArray, tables: ShapeGradients, dof_of: IndexArray, pattern: Pattern
) -> Phase:
    rows = ShapeGradients._make(np.ascontiguousarray(table[elements]) for table in tables)
    dofs = dof_of[rows.dofs]
    return Phase(name, law, elements, rows, dofs, pattern.positions(dofs))
