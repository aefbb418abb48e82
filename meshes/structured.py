"""Structured meshes: lattices of quadrilaterals or hexahedra, their regular subdivision into simplices, named sides."""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from meshes.elements import Element, FloatArray, IntArray
from meshes.errors import MeshError
from meshes.mesh_arrays import MeshArrays

WHOLE = "all"
"""Region name of the whole of a generated domain."""

LARGEST = 10_000_000
"""Most cells in a lattice: rank 0 builds it alone, and this many take some eight GiB."""

# Kuhn's subdivision: one simplex per order in which the axes are walked from corner 0 to the opposite corner. It is the
# same in every box, so facets of neighbours, and of opposite sides of the lattice, match.
_SPLITS: dict[str, tuple[tuple[int, ...], ...]] = {
    "triangle": ((0, 1, 3), (0, 3, 2)),
    "tetrahedron": ((0, 1, 3, 7), (0, 3, 2, 7), (0, 2, 6, 7), (0, 6, 4, 7), (0, 4, 5, 7), (0, 5, 1, 7)),
}


def lattice(divisions: Sequence[int], element: Element) -> tuple[IntArray, IntArray, IntArray]:
    """A lattice of boxes, `divisions` along each axis.

    Returns:
        lattice positions of the points (n, d), x fastest; cells (c, vertices), positively oriented; position of the box
        that each cell lies in, (c, d).

    Raises:
        MeshError: the lattice is too large to be meant.
    """
    n_cells = math.prod(divisions) * len(_SPLITS.get(element.name, [0]))
    if n_cells > LARGEST:
        raise MeshError(
            f"divisions {' × '.join(map(str, divisions))} make {n_cells:.2g} {element.name} elements: "
            f"{LARGEST:.0e} are possible"
        )

    def positions(counts: Sequence[int]) -> IntArray:
        return np.stack([i.ravel(order="F") for i in np.meshgrid(*map(np.arange, counts), indexing="ij")], axis=1)

    points, box = positions([n + 1 for n in divisions]), positions(divisions)
    strides = np.cumprod([1, *(n + 1 for n in divisions[:-1])])
    corner = (np.arange(2 ** len(divisions))[:, None] >> np.arange(len(divisions))) & 1
    cells = (box @ strides)[:, None] + corner @ strides
    if element.name in _SPLITS:
        split = np.array(_SPLITS[element.name])
        cells = cells[:, split].reshape(-1, element.n_vertices)
        box = np.repeat(box, len(split), axis=0)
    return points, cells, box


def mapped_lattice(
    divisions: Sequence[int],
    element: Element,
    coordinates: Callable[[IntArray], FloatArray],
    sides: Mapping[str, Callable[[IntArray], NDArray[np.bool_]]],
    keep: Callable[[IntArray], NDArray[np.bool_]] | None = None,
) -> MeshArrays:
    """A mesh whose points are images of lattice positions, with one region `all`.

    Args:
        divisions: boxes along each axis.
        element: kind of the cells.
        coordinates: positions of points (n, d) -> their coordinates (n, d).
        sides: boundary name -> which points, by position, lie on that boundary.
        keep: positions of boxes (c, d) -> which of them belong to the mesh; None keeps all.
    """
    positions, cells, box = lattice(divisions, element)
    if keep is not None:
        cells = cells[keep(box)]
    facets = exterior_facets(cells, element)
    members = {name: facets[np.all(on(positions)[facets], axis=1)] for name, on in sides.items()}
    return (
        MeshArrays(
            element=element,
            points=coordinates(positions),
            cells=cells,
            cell_tags=np.ones(len(cells), dtype=np.int64),
            regions={WHOLE: 1},
            facets=np.concatenate(list(members.values())),
            facet_tags=np.repeat(np.arange(1, len(members) + 1), [len(f) for f in members.values()]),
            boundaries={name: tag for tag, name in enumerate(members, start=1)},
        )
        .compact()
        .oriented()
    )


def exterior_facets(cells: IntArray, element: Element) -> IntArray:
    """Facets that belong to one cell only, (f, facet vertices)."""
    facets = cells[:, element.facet_vertices].reshape(-1, element.facet_vertices.shape[1])
    _, first, count = np.unique(np.sort(facets, axis=1), axis=0, return_index=True, return_counts=True)
    return facets[np.sort(first[count == 1])]


def plane(axis: int, position: int) -> Callable[[IntArray], NDArray[np.bool_]]:
    """Which lattice positions have this value along `axis`."""
    return lambda positions: positions[:, axis] == position


def box_sides(divisions: Sequence[int]) -> dict[str, Callable[[IntArray], NDArray[np.bool_]]]:
    """The sides of a whole lattice: left, right (x), bottom, top (y), back, front (z; z points at the viewer)."""
    names = (("left", "right"), ("bottom", "top"), ("back", "front"))
    return {
        name: plane(axis, end)
        for axis, n in enumerate(divisions)
        for name, end in zip(names[axis], (0, n), strict=True)
    }
