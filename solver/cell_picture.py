"""`fe2 homogenize --picture`: the mesh of a cell, coloured by phase."""

from pathlib import Path

import numpy as np

from meshes.cells import CellMesh
from meshes.dolfinx_compat import coordinate_dofs
from meshes.elements import ELEMENTS
from solver.report.field_pictures import Field, draw_field
from solver.report.run_data import Snapshot
from solver.report.style import PHASES, figure_style


def draw_cell(cell: CellMesh, path: Path) -> None:
    """Write a PNG: in 3D the octant that faces the viewer is cut away."""
    kind = ELEMENTS[cell.mesh.topology.cell_name()]
    cells = coordinate_dofs(cell.mesh).astype(np.int64)[:, kind.from_gmsh]  # an exchange of vertices, its own inverse
    points = np.asarray(cell.mesh.geometry.x)
    tags = np.asarray(cell.cell_tags.values, dtype=np.float64)
    snapshot = Snapshot("cell", 0, 0.0, points, cells, kind.name, 1, {}, {"phase": tags}, {})
    few = len(cell.phases) <= len(PHASES)
    field = Field("phase", tags - 1.0 if few else tags, False, "viridis", tuple(cell.phases) if few else ())
    with figure_style():
        draw_field(snapshot, field, 1.0, opened=True).savefig(path, dpi=150)
