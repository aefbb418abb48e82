"""Cook's membrane: a tapered panel, clamped on the left and sheared on the right (Cook 1974)."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge

from meshes.elements import FloatArray, IntArray, element_kind
from meshes.mesh_arrays import MeshArrays
from meshes.structured import box_sides, mapped_lattice


@dataclass(frozen=True)
class CookMembrane:
    """Corners (0, 0), (48, 44), (48, 60), (0, 44), nodes uniform in the bilinear map; left, right, bottom, top."""

    dimension: ClassVar[int] = 2

    divisions: tuple[Annotated[int, Ge(1)], Annotated[int, Ge(1)]]
    """Elements along the length and along the clamped edge."""

    def build(self, element: str) -> MeshArrays:
        """The mesh."""
        kind = element_kind(element, self.dimension)
        return mapped_lattice(self.divisions, kind, self._coordinates, box_sides(self.divisions))

    def _coordinates(self, positions: IntArray) -> FloatArray:
        ξ, η = (positions / self.divisions).T
        lower, upper = 44.0 * ξ, 44.0 + 16.0 * ξ
        return np.stack([48.0 * ξ, (1.0 - η) * lower + η * upper], axis=1)
