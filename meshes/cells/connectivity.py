"""Whether the solid of a cell with voids holds together, across its periodic faces."""

from collections.abc import Collection
from typing import NamedTuple

import numpy as np
from dolfinx.mesh import compute_midpoints
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import breadth_first_order, connected_components

from meshes.cells.cell_mesh import CellMesh
from meshes.cells.periodicity import face_pairs
from meshes.elements import IntArray


class SolidPiece(NamedTuple):
    """Solid elements that hang together by facets, in the cell or through its periodic faces."""

    cells: IntArray
    """Local cell indices."""
    shifts: IntArray
    """The lattice cell that each lies in when the piece is walked from its first element, (m, d)."""
    percolation: int
    """Number of independent directions in which the piece joins its own periodic images, 0 to d."""


def solid_is_connected(cell: CellMesh, voids: Collection[str], mechanical: bool = True) -> bool:
    """Whether no part of the solid can move for itself once the elements of the phases `voids` are removed.

    There must be one piece. In mechanics it must also not turn: an island (percolation 0) turns freely, and so does, in
    3D, a fibre (percolation 1) about its axis.
    """
    pieces = solid_pieces(cell, voids)
    needed = len(cell.size) - 1 if mechanical else 0
    return len(pieces) == 1 and pieces[0].percolation >= needed


def solid_is_one_piece(cell: CellMesh, voids: Collection[str]) -> bool:
    """Whether the solid without the phases `voids` hangs together by facets inside the cell, its images apart."""
    solid = _is_solid(cell, voids)
    links = _inner_links(cell)
    links = links[solid[links].all(axis=1)]
    _, label = connected_components(_graph(links, len(solid)), directed=False)
    return np.unique(label[solid]).size == 1


def solid_pieces(cell: CellMesh, voids: Collection[str]) -> list[SolidPiece]:
    """The pieces of the solid, largest number of elements first.

    Raises:
        MeshError: the facets on opposite faces of the cell do not match.
    """
    solid = _is_solid(cell, voids)
    links, shifts = _links(cell)
    both = solid[links].all(axis=1)
    links, shifts = links[both], shifts[both]
    n = len(solid)
    graph = _graph(links, n)
    _, label = connected_components(graph, directed=False)
    # Unfold: the lattice cell that each element lies in when the piece is walked from its first element.
    shift_of = {(int(a), int(b)): shift for (a, b), shift in zip(links, shifts, strict=True)}
    unfolded = np.zeros((n, len(cell.size)), dtype=np.int64)
    pieces = []
    for piece in np.unique(label[solid]):
        members = np.flatnonzero(solid & (label == piece))
        order, parent = breadth_first_order(graph, members[0], directed=False)
        for b in order[1:].tolist():
            a = int(parent[b])
            unfolded[b] = unfolded[a] + (shift_of[a, b] if (a, b) in shift_of else -shift_of[b, a])
        own = label[links[:, 0]] == piece
        a, b = links[own].T
        closures = unfolded[a] + shifts[own] - unfolded[b]  # nonzero: a walk that ends in another image of its start
        directions = np.unique(closures, axis=0) if len(closures) else np.zeros((1, len(cell.size)))
        pieces.append(SolidPiece(members, unfolded[members], int(np.linalg.matrix_rank(directions))))
    return sorted(pieces, key=lambda p: -len(p.cells))


def _is_solid(cell: CellMesh, voids: Collection[str]) -> NDArray[np.bool_]:
    return ~np.isin(cell.cell_tags.values, [cell.phases[name] for name in voids])


def _graph(links: IntArray, n: int) -> csr_matrix:
    return csr_matrix((np.ones(len(links)), (links[:, 0], links[:, 1])), shape=(n, n))


def _facet_cells(cell: CellMesh, n_sides: int) -> tuple[NDArray[np.int32], IntArray]:
    """The facets with one or two elements, (m,), and these elements, (m, n_sides)."""
    topology, d = cell.mesh.topology, len(cell.size)
    topology.create_entities(d - 1)
    topology.create_connectivity(d - 1, d)
    cells_of = topology.connectivity(d - 1, d)
    facets = np.flatnonzero(np.diff(cells_of.offsets) == n_sides)
    return facets.astype(np.int32), cells_of.array[cells_of.offsets[facets, None] + np.arange(n_sides)].astype(np.int64)


def _inner_links(cell: CellMesh) -> IntArray:
    """Pairs of elements with a common facet, (m, 2)."""
    _, pairs = _facet_cells(cell, 2)
    return pairs


def _links(cell: CellMesh) -> tuple[IntArray, IntArray]:
    """Pairs that share a facet, in the cell or as images, (m, 2), and the lattice step from first to second, (m, d)."""
    d = len(cell.size)
    links = [_inner_links(cell)]
    shifts = [np.zeros((len(links[0]), d), dtype=np.int64)]
    outer, owners = _facet_cells(cell, 1)
    middle = compute_midpoints(cell.mesh, d - 1, outer)[:, :d]
    for axis in range(d):
        high, low = face_pairs(middle, cell.size, axis, "facets")
        links.append(np.concatenate([owners[high], owners[low]], axis=1))
        shifts.append(np.tile(np.eye(d, dtype=np.int64)[axis], (high.size, 1)))
    return np.concatenate(links), np.concatenate(shifts)
