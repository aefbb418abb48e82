"""The element kinds that meshes are made of, straight-sided, with vertices in the order of dolfinx."""

from dataclasses import dataclass

import basix
import numpy as np
from numpy.typing import NDArray

from meshes.errors import MeshError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Element:
    """One kind of element."""

    name: str
    dimension: int
    gmsh_type: int
    """Number of the linear element in gmsh."""
    facet: str
    """Kind of its facets."""
    from_gmsh: tuple[int, ...]
    """Positions of the dolfinx vertices among gmsh's: dolfinx numbers tensor-product elements with x fastest."""

    @property
    def n_vertices(self) -> int:
        """Vertices of one element."""
        return len(self.from_gmsh)

    @property
    def facet_vertices(self) -> NDArray[np.int64]:
        """Local vertices of each facet, (facets, facet vertices)."""
        return np.array(basix.topology(basix.CellType[self.name])[self.dimension - 1], dtype=np.int64)

    @property
    def is_simplex(self) -> bool:
        """Whether the Jacobian is constant."""
        return self.n_vertices == self.dimension + 1

    @property
    def mirrored(self) -> tuple[int, ...]:
        """Vertex order that turns the element inside out: a swap of the first two reference axes."""
        if self.is_simplex:
            return (0, 2, 1, 3)[: self.n_vertices]
        return (0, 2, 1, 3, 4, 6, 5, 7)[: self.n_vertices]

    def jacobians(self, vertices: FloatArray, reference_points: FloatArray) -> FloatArray:
        """Determinants of d x / d ξ, (elements, points), for vertex coordinates (elements, vertices, d)."""
        cell = basix.create_element(basix.ElementFamily.P, basix.CellType[self.name], 1)
        gradients = cell.tabulate(1, reference_points)[1:, ..., 0]
        return np.linalg.det(np.einsum("jqa,cai->cqij", gradients, vertices))

    def corner_jacobians(self, vertices: FloatArray) -> FloatArray:
        """Determinants at the corners, (elements, vertices); all positive for a valid, positively oriented element."""
        return self.jacobians(vertices, np.asarray(basix.geometry(basix.CellType[self.name]), dtype=float))

    def volumes(self, vertices: FloatArray) -> FloatArray:
        """Signed area or volume of each element, (elements,)."""
        points, weights = basix.make_quadrature(basix.CellType[self.name], 0 if self.is_simplex else 3)
        return self.jacobians(vertices, points) @ weights


ELEMENTS: dict[str, Element] = {
    element.name: element
    for element in (
        Element("interval", 1, 1, "point", (0, 1)),
        Element("triangle", 2, 2, "interval", (0, 1, 2)),
        Element("quadrilateral", 2, 3, "interval", (0, 1, 3, 2)),
        Element("tetrahedron", 3, 4, "triangle", (0, 1, 2, 3)),
        Element("hexahedron", 3, 5, "quadrilateral", (0, 1, 3, 2, 4, 5, 7, 6)),
    )
}


def element_kind(name: str, dimension: int | None = None) -> Element:
    """The element of this name.

    Raises:
        MeshError: there is none, or it does not have `dimension` dimensions.
    """
    allowed = [e.name for e in ELEMENTS.values() if e.dimension > 1 and dimension in (None, e.dimension)]
    if name not in allowed:
        where = "" if dimension is None else f" in {dimension}D"
        raise MeshError(f"there is no element '{name}'{where}: use {' or '.join(allowed)}")
    return ELEMENTS[name]
