"""Fibres in a hexagonal array: the rectangular cell 1 × √3 with two fibres, in 3D with some length along them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge, Lt

from meshes.cells.extrusion import extruded
from meshes.cells.geometry import element_length, simplex_kind, two_names
from meshes.cells.polygons import ellipse, polygons_mesh
from meshes.errors import MeshError
from meshes.mesh_arrays import MeshArrays

_SIZE = np.array([1.0, math.sqrt(3.0)])
_CLEARANCE = 0.01  # least distance of two fibres


@dataclass(frozen=True)
class Hexagonal:
    """Round fibres at the centre and the corners of a cell 1 × √3, each with six neighbours at distance 1.

    In 3D they lie along z; the cell is as long as its layers of elements.
    """

    volume_fraction: Annotated[float, Ge(1e-6), Lt(1.0)] = 0.3
    """Met by the straight-sided mesh itself, to rounding."""
    resolution: Annotated[int, Ge(2)] = 8
    """Elements along the short edge of the cell."""
    layers: Annotated[int, Ge(1)] | None = None
    """Elements along the fibres in 3D, as long as those of the short edge; by default 1, which is enough for periodic
    boundaries."""

    def phase_names(self, given: Sequence[str] | None) -> tuple[str, ...]:
        """`matrix` and `inclusion`."""
        return two_names("a hexagonal cell", ("matrix", "inclusion"), given)

    def build(self, dimension: int, element: str) -> MeshArrays:
        """A mesh of triangles that follows the fibres, polygons of their area; in 3D pulled into tetrahedra."""
        simplex_kind("a round fibre", element, dimension)
        if dimension == 2 and self.layers is not None:
            raise MeshError("a hexagonal cell has layers in 3D only: remove layers, or set dimension 3")
        layers = self.layers or 1
        length = element_length(_SIZE, self.resolution)
        radius = math.sqrt(self.volume_fraction * _SIZE.prod() / (2.0 * math.pi))
        # Where fibres come close, sides are short enough for the corners, which stand out by up to side²/(8 radius), to
        # take a quarter of the gap at most.
        side = min(length, math.sqrt(2.0 * radius * max(0.5 - radius, 1e-6)))
        if 2.0 * radius > 1.0 - _CLEARANCE:
            most = 2.0 * math.pi * (0.5 - 0.5 * _CLEARANCE) ** 2 / _SIZE.prod()
            raise MeshError(
                f"fibres of volume fraction {self.volume_fraction:g} touch in a hexagonal array: at most "
                f"{math.floor(most * 1e4) / 1e4:g} is possible"
            )
        fibres = [ellipse(centre, (radius, radius), 0.0, side, _SIZE) for centre in (0.5 * _SIZE, 0.0 * _SIZE)]
        plane = polygons_mesh(_SIZE, fibres, length, f"hexagonal cell of resolution {self.resolution}")
        return plane if dimension == 2 else extruded(plane, _SIZE, layers * length, layers)
