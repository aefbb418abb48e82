"""Two layers, repeated periodically."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Gt, Lt

from meshes.cells.geometry import edge_lengths
from meshes.cells.voxel_grid import VoxelGrid
from meshes.elements import element_kind
from meshes.errors import MeshError
from meshes.mesh_arrays import MeshArrays, no_facets
from meshes.structured import lattice


@dataclass(frozen=True)
class Laminate:
    """Layers normal to `normal`; the first phase fills `fraction` of the cell, from 0 on.

    Fields are uniform in each layer, so that one element per layer is exact.
    """

    fraction: Annotated[float, Gt(0.0), Lt(1.0)] = 0.5
    """Volume fraction of the first phase."""
    normal: Literal["x", "y", "z"] = "x"
    """Direction across the layers."""
    resolution: Annotated[int, Ge(1)] = 2
    """Elements along an edge of the cell; along the normal, each layer has at least one."""
    size: tuple[Annotated[float, Gt(0.0)], ...] | None = None
    """Edge lengths of the cell; by default 1 each."""

    def phase_names(self, given: Sequence[str] | None) -> tuple[str, ...]:
        """The two names of the case, in its order."""
        names = ("first", "second") if given is None else tuple(given)
        if len(set(names)) != 2 or len(names) != 2:
            raise MeshError(f"a laminate has two phases, given are {len(names)}: {', '.join(names) or 'none'}")
        return names

    def build(self, dimension: int, element: str) -> MeshArrays:
        """A structured mesh with the interface on element edges."""
        kind = element_kind(element, dimension)
        direction = self._direction(dimension)
        n_first, n_second = self._layers()
        divisions = [self.resolution] * dimension
        divisions[direction] = n_first + n_second
        positions, cells, boxes = lattice(divisions, kind)
        points = positions / np.array(divisions)
        points[:, direction] = np.interp(
            positions[:, direction], [0, n_first, n_first + n_second], [0.0, self.fraction, 1.0]
        )
        points *= edge_lengths(self.size, dimension)
        tags = np.where(boxes[:, direction] < n_first, 1, 2)
        return MeshArrays(kind, points, cells, tags, {"first": 1, "second": 2}, *no_facets(kind), {})

    def grid(self, dimension: int) -> VoxelGrid:
        """A regular grid, if `fraction` is a multiple of 1 / `resolution`."""
        direction = self._direction(dimension)
        n_first, n_second = self._layers()
        n = n_first + n_second
        if abs(n_first / n - self.fraction) > 1e-12:
            raise MeshError(
                f"a grid of {n} voxels across the layers cannot have the fraction {self.fraction:g}: "
                f"choose a resolution of which it is a multiple of 1 / resolution"
            )
        shape = [self.resolution] * dimension
        shape[direction] = n
        return VoxelGrid((np.indices(shape)[direction] >= n_first).astype(np.int64), edge_lengths(self.size, dimension))

    def _direction(self, dimension: int) -> int:
        direction = "xyz".index(self.normal)
        if direction >= dimension:
            raise MeshError("a laminate with normal z needs dimension 3: use normal x or y in 2D")
        return direction

    def _layers(self) -> tuple[int, int]:
        """Elements across the first and the second layer."""
        n_first = min(max(1, round(self.fraction * self.resolution)), max(1, self.resolution - 1))
        return n_first, max(1, self.resolution - n_first)
