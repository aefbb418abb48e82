"""Representative cells: generators, meshes with matching faces, periodicity. To add a generator, add one file."""

from meshes.cells.cell_mesh import CellMesh, build_cell_mesh
from meshes.cells.connectivity import SolidPiece, solid_is_connected, solid_is_one_piece, solid_pieces
from meshes.cells.geometry import CellGeometry
from meshes.cells.hexagonal import Hexagonal
from meshes.cells.inclusion import Inclusion
from meshes.cells.laminate import Laminate
from meshes.cells.mesh_file import MeshFile
from meshes.cells.morphology import morphology
from meshes.cells.outward_areas import outward_areas
from meshes.cells.periodicity import boundary_nodes, periodic_map
from meshes.cells.polycrystal import Polycrystal
from meshes.cells.random_inclusions import RandomInclusions
from meshes.cells.voids import Voids
from meshes.cells.voxel_grid import GriddedGeometry, VoxelGrid, build_voxel_grid
from meshes.cells.voxels import Voxels

CELL_GENERATORS: dict[str, type[CellGeometry]] = {
    "inclusion": Inclusion,
    "laminate": Laminate,
    "hexagonal": Hexagonal,
    "random_inclusions": RandomInclusions,
    "voids": Voids,
    "polycrystal": Polycrystal,
    "voxels": Voxels,
}
"""Name in a case file -> generator."""

SIMPLEX_CELLS = frozenset({"inclusion", "hexagonal", "random_inclusions", "voids"})
"""Generators that mesh with triangles or tetrahedra only."""

__all__ = [
    "CELL_GENERATORS",
    "SIMPLEX_CELLS",
    "CellGeometry",
    "CellMesh",
    "GriddedGeometry",
    "Hexagonal",
    "Inclusion",
    "Laminate",
    "MeshFile",
    "Polycrystal",
    "RandomInclusions",
    "SolidPiece",
    "Voids",
    "VoxelGrid",
    "Voxels",
    "boundary_nodes",
    "build_cell_mesh",
    "build_voxel_grid",
    "morphology",
    "outward_areas",
    "periodic_map",
    "solid_is_connected",
    "solid_is_one_piece",
    "solid_pieces",
]
