"""Round voids in one phase: elements are in the solid only."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt, Le, Lt

from meshes.cells.polygons import MATRIX
from meshes.cells.random_inclusions import RandomInclusions
from meshes.errors import MeshError
from meshes.mesh_arrays import MeshArrays


@dataclass(frozen=True)
class Voids:
    """Circular or spherical holes at random places, not meshed; their volume counts in averages."""

    count: Annotated[int, Ge(1), Le(1000)] = 1
    """Number of voids; one makes a square or cubic array."""
    porosity: Annotated[float, Ge(1e-6), Lt(1.0)] = 0.2
    """Volume fraction of the voids, met by the straight-sided mesh itself."""
    size_spread: Annotated[float, Ge(0.0), Lt(1.0)] = 0.0
    """Radii are uniform between 1 − spread and 1 + spread times a mean."""
    gap: Annotated[float, Ge(0.0)] = 0.05
    """Least distance of two surfaces over the mean radius."""
    seed: Annotated[int, Ge(0)] = 0
    """Of radii and places."""
    resolution: Annotated[int, Ge(2)] = 12
    """Elements along the shortest edge of the cell."""
    size: tuple[Annotated[float, Gt(0.0)], ...] | None = None
    """Edge lengths of the cell; by default 1 each."""

    def phase_names(self, given: Sequence[str] | None) -> tuple[str, ...]:
        """The one name of the case, by default `matrix`."""
        names = ("matrix",) if given is None else tuple(given)
        if len(names) != 1:
            raise MeshError(f"a cell with voids has one phase, given are {len(names)}: {', '.join(names) or 'none'}")
        return names

    def build(self, dimension: int, element: str) -> MeshArrays:
        """The matrix of a cell with random inclusions."""
        filled = RandomInclusions(
            self.count, self.porosity, self.size_spread, self.gap, self.seed, self.resolution, self.size
        ).build(dimension, element)
        solid = filled.cell_tags == MATRIX
        tags = np.ones(int(solid.sum()), dtype=np.int64)
        return filled._replace(cells=filled.cells[solid], cell_tags=tags, regions={"matrix": MATRIX}).compact()
