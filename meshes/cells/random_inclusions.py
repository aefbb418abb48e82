"""Circles or spheres at random places of a periodic cell."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt, Le, Lt

from meshes.cells.geometry import edge_lengths, element_length, simplex_kind, two_names
from meshes.cells.packing import random_packing
from meshes.cells.polygons import circumradius, ellipse, polygons_mesh, sides
from meshes.cells.spheres import spheres_mesh, standing_out
from meshes.elements import FloatArray
from meshes.errors import MeshError
from meshes.mesh_arrays import MeshArrays

_PLACES = 4


@dataclass(frozen=True)
class RandomInclusions:
    """Circles (2D) or spheres (3D) placed by random sequential addition; past a face they go on at the opposite one."""

    count: Annotated[int, Ge(1), Le(1000)] = 10
    """Number of inclusions."""
    volume_fraction: Annotated[float, Ge(1e-6), Lt(1.0)] = 0.3
    """Met by the straight-sided mesh itself; up to some 0.5 in 2D and 0.3 in 3D find a place."""
    size_spread: Annotated[float, Ge(0.0), Lt(1.0)] = 0.0
    """Radii are uniform between 1 − spread and 1 + spread times a mean."""
    gap: Annotated[float, Ge(0.0)] = 0.05
    """Least distance of two surfaces over the mean radius."""
    seed: Annotated[int, Ge(0)] = 0
    """Of radii and places."""
    resolution: Annotated[int, Ge(2)] = 24
    """Elements along the shortest edge of the cell."""
    size: tuple[Annotated[float, Gt(0.0)], ...] | None = None
    """Edge lengths of the cell; by default 1 each."""

    def phase_names(self, given: Sequence[str] | None) -> tuple[str, ...]:
        """`matrix` and `inclusion`."""
        return two_names("a cell with random inclusions", ("matrix", "inclusion"), given)

    def build(self, dimension: int, element: str) -> MeshArrays:
        """An unstructured mesh that follows the inclusions."""
        simplex_kind("a round inclusion", element, dimension)
        size = edge_lengths(self.size, dimension)
        length = element_length(size, self.resolution)
        radii = self._radii(size)
        purpose = f"cell with {self.count} random inclusions"
        gap = self.gap * float(radii.mean())
        if dimension == 3:
            return self._spheres(size, radii, gap, length, purpose)
        outer = np.array([r * circumradius(sides(2.0 * math.pi * r, length)) for r in radii])
        centres = random_packing(size, outer, gap, self.seed)
        circles = [ellipse(centres[i], (r, r), 0.0, length, size) for i, r in enumerate(map(float, radii))]
        return polygons_mesh(size, circles, length, purpose)

    def _spheres(self, size: FloatArray, radii: FloatArray, gap: float, length: float, purpose: str) -> MeshArrays:
        """Spheres, in the first place of the pattern in which gmsh can mesh opposite faces alike."""
        outer = np.array([standing_out(float(r), length) for r in radii])
        refusal: MeshError | None = None
        for shift in range(_PLACES):
            centres = random_packing(size, outer, gap, self.seed, shift)
            try:
                return spheres_mesh(size, centres, radii, length, purpose)
            except MeshError as error:
                refusal = refusal or error
        raise MeshError(f"{refusal}; nor in {_PLACES - 1} other places of the pattern: change the seed")

    def _radii(self, size: FloatArray) -> FloatArray:
        """Radii that fill the volume fraction, (count,)."""
        d = len(size)
        spread = np.random.default_rng((self.seed, 1)).uniform(-self.size_spread, self.size_spread, self.count)
        unit = {2: math.pi, 3: 4.0 / 3.0 * math.pi}[d] * float(((1.0 + spread) ** d).sum())
        return (1.0 + spread) * (self.volume_fraction * float(size.prod()) / unit) ** (1.0 / d)
