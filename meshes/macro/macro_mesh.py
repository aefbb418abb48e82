"""The mesh of the part that a case computes, distributed over the ranks."""

import logging
from pathlib import Path
from typing import ClassVar, NamedTuple, Protocol

import numpy as np
from dolfinx.mesh import Mesh, MeshTags
from mpi4py import MPI
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components

from meshes.distribution import distribute, on_root
from meshes.errors import MeshError
from meshes.gmsh_model import gmsh_session
from meshes.macro.gmsh_file import merge_file
from meshes.macro.physical_groups import read_model
from meshes.mesh_arrays import MeshArrays

logger = logging.getLogger(__name__)


class Generator(Protocol):
    """A frozen dataclass of user parameters, one file per generator, listed in `GENERATORS`."""

    dimension: ClassVar[int]

    def build(self, element: str) -> MeshArrays:
        """The mesh, with named regions and boundaries; runs on rank 0 alone.

        Raises:
            MeshError: the parameters describe no mesh, or not with this element.
        """
        ...


class MacroMesh(NamedTuple):
    """A mesh with named regions and boundaries."""

    mesh: Mesh
    """Input (original) cell indices do not depend on the number of ranks."""
    cell_tags: MeshTags
    """Region of every local cell, ghosts included."""
    facet_tags: MeshTags
    """Boundary of every local facet that has a name."""
    regions: dict[str, int]
    """Name -> cell tag."""
    boundaries: dict[str, int]
    """Name -> facet tag."""


def build_macro_mesh(comm: MPI.Comm, source: Generator | str | Path, element: str | None = None) -> MacroMesh:
    """Generate or read a mesh on rank 0 and distribute it. Collective.

    Args:
        comm: the ranks to distribute over.
        source: one of `GENERATORS`, or the path of a gmsh .msh file with physical groups.
        element: triangle, quadrilateral, tetrahedron or hexahedron; for a file, None takes what it holds.

    Raises:
        MeshError: on all ranks.
    """
    return MacroMesh(*distribute(comm, on_root(comm, lambda: macro_mesh_arrays(source, element))))


def macro_mesh_arrays(source: Generator | str | Path, element: str | None = None) -> MeshArrays:
    """The mesh as plain arrays, on the calling rank alone; arguments and errors of `build_macro_mesh`."""
    if isinstance(source, str | Path):
        path = Path(source)
        try:
            with gmsh_session(f"reading {path}"):
                merge_file(path)
                arrays = read_model(str(path), element)
        except UnicodeDecodeError as error:
            raise MeshError(f"{path}: the name of a physical group is no text, the file is corrupt") from error
        _warn_of_pieces(str(path), arrays)
        return arrays
    if element is None:
        raise MeshError("a generated mesh needs its element: triangle, quadrilateral, tetrahedron or hexahedron")
    return source.build(element)


def _warn_of_pieces(name: str, arrays: MeshArrays) -> None:
    """Pieces that share no points are legal, but mostly a geometry whose parts were not merged."""
    n_cells, n_vertices = arrays.cells.shape
    shares = csr_matrix(
        (np.ones(arrays.cells.size), (np.repeat(np.arange(n_cells), n_vertices), arrays.cells.ravel())),
        shape=(n_cells, len(arrays.points)),
    )
    pieces, _ = connected_components(shares @ shares.T, directed=False)
    if pieces > 1:
        logger.warning(
            "%s falls into %d pieces that share no points: if that is not meant, merge them in gmsh (Coherence)",
            name,
            pieces,
        )
