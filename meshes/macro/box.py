"""A box."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge, Gt

from meshes.elements import FloatArray, IntArray, element_kind
from meshes.mesh_arrays import MeshArrays
from meshes.structured import box_sides, mapped_lattice


@dataclass(frozen=True)
class Box:
    """[0, size x] × [0, size y] × [0, size z] in a uniform grid.

    Boundaries left, right (x = 0, x = size), bottom, top (y) and back, front (z = 0, z = size: x to the right and y up,
    z points at the viewer).
    """

    dimension: ClassVar[int] = 3

    divisions: tuple[Annotated[int, Ge(1)], Annotated[int, Ge(1)], Annotated[int, Ge(1)]]
    """Boxes along x, y and z: a hexahedron or six tetrahedra each."""
    size: tuple[Annotated[float, Gt(0.0)], Annotated[float, Gt(0.0)], Annotated[float, Gt(0.0)]] = (1.0, 1.0, 1.0)
    """Edge lengths."""

    def build(self, element: str) -> MeshArrays:
        """The mesh."""
        kind = element_kind(element, self.dimension)
        return mapped_lattice(self.divisions, kind, self._coordinates, box_sides(self.divisions))

    def _coordinates(self, positions: IntArray) -> FloatArray:
        return positions / np.array(self.divisions) * np.array(self.size)
