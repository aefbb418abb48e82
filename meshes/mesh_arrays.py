"""A mesh as plain arrays on one rank: what generators and files give, and what a dolfinx mesh is made from."""

from typing import NamedTuple, Self

import numpy as np

from meshes.elements import Element, FloatArray, IntArray
from meshes.errors import MeshError


class MeshArrays(NamedTuple):
    """Points, cells of one kind and facets with a name, with n points, c cells and f facets in d dimensions."""

    element: Element
    points: FloatArray
    """(n, d)."""
    cells: IntArray
    """Point indices, (c, vertices), in the vertex order of dolfinx."""
    cell_tags: IntArray
    """Region or phase of each cell, (c,)."""
    regions: dict[str, int]
    """Name -> cell tag."""
    facets: IntArray
    """Point indices of the named facets, (f, facet vertices)."""
    facet_tags: IntArray
    """(f,)."""
    boundaries: dict[str, int]
    """Name -> facet tag."""

    def vertices(self) -> FloatArray:
        """Vertex coordinates of every cell, (c, vertices, d)."""
        return self.points[self.cells]

    def volumes(self) -> FloatArray:
        """Area or volume of every cell, (c,)."""
        return self.element.volumes(self.vertices())

    def compact(self) -> Self:
        """Without the points that no cell uses."""
        used = np.unique(self.cells)
        if used.size == len(self.points):
            return self
        new_index = np.full(len(self.points), -1, dtype=np.int64)
        new_index[used] = np.arange(used.size)
        facets = new_index[self.facets]
        if np.any(facets < 0):
            raise MeshError("the mesh has boundary facets that belong to no cell: check its physical groups")
        return self._replace(points=self.points[used], cells=new_index[self.cells], facets=facets)

    def oriented(self) -> Self:
        """With every cell oriented positively.

        Raises:
            MeshError: a cell is degenerate, folded or not convex, or has points that are not finite.
        """
        if not np.all(np.isfinite(self.points)):
            raise MeshError("the mesh has points whose coordinates are no numbers: it is corrupt, save it again")
        jacobians = self.element.corner_jacobians(self.vertices())
        negative = np.all(jacobians < 0.0, axis=1)
        cells = self.cells
        if np.any(negative):
            cells = cells.copy()
            cells[negative] = cells[negative][:, self.element.mirrored]
            jacobians[negative] *= -1.0
        extent = np.ptp(self.points[np.unique(self.cells)], axis=0).max()
        bad = np.flatnonzero(np.min(jacobians, axis=1) <= 1e-14 * extent**self.element.dimension)
        if bad.size:
            x = self.vertices()[bad[0]].mean(axis=0)
            raise MeshError(
                f"{bad.size} of {len(cells)} {self.element.name} elements are degenerate or folded, the first near "
                f"({', '.join(f'{v:.4g}' for v in x)}): change the resolution of the mesh"
            )
        return self._replace(cells=cells)


def no_facets(element: Element) -> tuple[IntArray, IntArray]:
    """Empty `facets` and `facet_tags` for cells of this kind."""
    n_vertices = {"interval": 2, "triangle": 3, "quadrilateral": 4}[element.facet]
    return np.empty((0, n_vertices), dtype=np.int64), np.empty(0, dtype=np.int64)
