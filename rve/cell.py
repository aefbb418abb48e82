"""A cell: everything that all RVEs of one kind share. Mesh tables, admissible dofs, sparsity pattern, phases."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from dolfinx import fem
from numpy.typing import NDArray

from materials.law import Law
from materials.measures import Measure, Physics
from meshes.cells import CellMesh, boundary_nodes, periodic_map, solid_is_connected
from meshes.shape_gradients import ShapeGradients, default_quadrature_degree, shape_gradients

IndexArray = NDArray[np.int32]


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


@dataclass(frozen=True)
class Cell:
    """All that RVEs of one kind have in common; immutable, built once per rank.

    The fluctuation w lives on the n admissible dofs: periodic images are one dof, and one node is held to remove the
    rigid translation (`periodic`), or the whole boundary is held (`linear`). Elements of a void phase are dropped,
    their volume is kept.
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

    @property
    def n_dofs(self) -> int:
        """Admissible dofs n."""
        return self.pattern.row_starts.size - 1

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
        ValueError: a phase has no law, voids leave a part of the solid loose, or the boundary condition is not
            available.
    """
    if boundary not in ("periodic", "linear"):
        raise ValueError(f"boundary condition '{boundary}' of a cell is not available: use periodic or linear")
    missing = sorted(set(mesh.phases) - set(laws))
    if missing:
        raise ValueError(f"no law for phase {', '.join(missing)} of the cell; given: {', '.join(sorted(laws))}")

    voids = [name for name in mesh.phases if laws[name].void]
    if voids and not solid_is_connected(mesh, voids, mechanical=measure.physics is not Physics.HEAT):
        raise ValueError(
            f"the solid of the cell does not hold together without {', '.join(voids)}: a part of it would move freely; "
            f"fill the void with a very soft law, or change the geometry"
        )

    block_size = measure.block_size
    shape = (block_size,) if block_size > 1 else ()
    space = fem.functionspace(mesh.mesh, ("Lagrange", degree, shape))
    if quadrature_degree is None:
        quadrature_degree = default_quadrature_degree(mesh.mesh.topology.cell_name(), degree)
    tables = shape_gradients(space, quadrature_degree)

    tag_of_element = np.empty(tables.weights.shape[0], dtype=np.int32)
    tag_of_element[mesh.cell_tags.indices] = mesh.cell_tags.values
    solid = {
        name: np.flatnonzero(tag_of_element == tag).astype(np.int32)
        for name, tag in mesh.phases.items()
        if name not in voids
    }
    dof_of = _admissible_dofs(mesh, space, tables, solid, boundary, block_size)
    n_dofs = int(dof_of.max(initial=-1)) + 1
    pattern = _sparsity(n_dofs, [dof_of[tables.dofs[elements]] for elements in solid.values()])
    phases = tuple(
        _phase(name, laws[name], elements, tables, dof_of, pattern) for name, elements in solid.items() if elements.size
    )
    return Cell(mesh, space, measure, boundary, bbar, phases, pattern, dof_of)


def _admissible_dofs(
    mesh: CellMesh,
    space: fem.FunctionSpace,
    tables: ShapeGradients,
    solid: Mapping[str, IndexArray],
    boundary: str,
    block_size: int,
) -> IndexArray:
    """Number the dofs of the admissible fluctuations; periodic images share the number of their master."""
    n_nodes = space.dofmap.index_map.size_local
    elements = np.concatenate(list(solid.values()))
    reached = np.zeros(n_nodes, dtype=bool)
    reached[tables.dofs[elements, ::block_size] // block_size] = True
    if boundary == "linear":
        master = np.arange(n_nodes)
        free = reached & ~boundary_nodes(space, mesh.size)
    else:
        master = periodic_map(space, mesh.size)
        free = np.zeros(n_nodes, dtype=bool)
        free[master[reached]] = True
        free[np.flatnonzero(free)[0]] = False
    number = np.full(n_nodes, -1, dtype=np.int32)
    number[free] = np.arange(np.count_nonzero(free), dtype=np.int32)
    of_node = number[master]
    dofs = of_node[:, None] * block_size + np.arange(block_size, dtype=np.int32)
    dofs[of_node < 0] = -1
    return np.ascontiguousarray(dofs.ravel().astype(np.int32))


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
    n_dofs = pattern.row_starts.size - 1
    row_of_entry = np.repeat(np.arange(n_dofs, dtype=np.int64), np.diff(pattern.row_starts))
    keys = row_of_entry * n_dofs + pattern.columns
    wanted = dofs[:, :, None].astype(np.int64) * n_dofs + dofs[:, None, :]
    scatter = np.searchsorted(keys, wanted).astype(np.int32)
    scatter[(dofs[:, :, None] < 0) | (dofs[:, None, :] < 0)] = -1
    return Phase(name, law, elements, rows, dofs, scatter)
