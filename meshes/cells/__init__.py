"""Representative cells: generators, meshes with matching faces, periodicity. To add a generator, add one file."""

from meshes.cells.cell_mesh import CellMesh, build_cell_mesh
from meshes.cells.connectivity import SolidPiece, solid_is_connected, solid_pieces
from meshes.cells.geometry import CellGeometry
from meshes.cells.inclusion import Inclusion
from meshes.cells.laminate import Laminate
from meshes.cells.periodicity import boundary_nodes, periodic_map

CELL_GENERATORS: dict[str, type[Inclusion] | type[Laminate]] = {"inclusion": Inclusion, "laminate": Laminate}
"""Name in a case file -> generator."""

__all__ = [
    "CELL_GENERATORS",
    "CellGeometry",
    "CellMesh",
    "Inclusion",
    "Laminate",
    "SolidPiece",
    "boundary_nodes",
    "build_cell_mesh",
    "periodic_map",
    "solid_is_connected",
    "solid_pieces",
]
