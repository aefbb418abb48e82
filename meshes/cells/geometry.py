"""What a cell generator is: parameters that build the mesh of a unit cell, with phases in a known order."""

from collections.abc import Sequence
from typing import Protocol

from meshes.mesh_arrays import MeshArrays


class CellGeometry(Protocol):
    """A frozen dataclass of user parameters, one file per generator, listed in `CELL_GENERATORS`."""

    def phase_names(self, given: Sequence[str] | None) -> tuple[str, ...]:
        """Phase names in the order of the cell tags 1, 2, …; `given` are those of the case, in its order.

        Raises:
            MeshError: the names given are not those, or not as many, as the geometry has.
        """
        ...

    def build(self, dimension: int, element: str) -> MeshArrays:
        """Mesh of the cell [0, L1] × [0, L2] (× [0, L3]) with matching opposite faces; cell tags 1, 2, … by phase.

        Raises:
            MeshError: the parameters describe no cell, or not with this element.
        """
        ...
