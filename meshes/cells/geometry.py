"""What a cell generator is: parameters that build the mesh of a unit cell, with phases in a known order."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from meshes.elements import Element, FloatArray, element_kind
from meshes.errors import MeshError
from meshes.mesh_arrays import MeshArrays

LARGEST = 1_000_000
"""Most elements of an unstructured cell."""


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


def edge_lengths(size: tuple[float, ...] | None, dimension: int) -> FloatArray:
    """Edge lengths of a cell, (d,): `size`, or 1 along each axis.

    Raises:
        MeshError: there are not as many as dimensions.
    """
    if size is None:
        return np.ones(dimension)
    if len(size) != dimension:
        raise MeshError(f"size has {len(size)} edge lengths, a cell in {dimension}D has {dimension}")
    return np.array(size, dtype=np.float64)


def element_length(size: FloatArray, resolution: int) -> float:
    """Edge length of elements, `resolution` of which lie along the shortest edge of the cell.

    Raises:
        MeshError: the mesh would be too large to be meant.
    """
    length = float(size.min()) / resolution
    d = len(size)
    n_elements = {2: 2.3, 3: 8.5}[d] * float(np.prod(size)) / length**d
    if n_elements > LARGEST:
        raise MeshError(f"resolution {resolution} makes some {n_elements:.1g} elements, {LARGEST:.0e} are possible")
    return length


def two_names(kind: str, names: tuple[str, str], given: Sequence[str] | None) -> tuple[str, ...]:
    """The two phase names of a kind of cell, where the case gives just these.

    Raises:
        MeshError: it gives others.
    """
    if given is not None and set(given) != set(names):
        raise MeshError(f"the phases of {kind} are {' and '.join(names)}, given are {', '.join(given)}")
    return names


def simplex_kind(what: str, element: str, dimension: int) -> Element:
    """The element of an unstructured mesh of `what`.

    Raises:
        MeshError: it is no simplex of this dimension.
    """
    kind = element_kind(element, dimension)
    if not kind.is_simplex:
        simplex = "triangle" if dimension == 2 else "tetrahedron"
        raise MeshError(f"{what} cannot be meshed with {element} elements: use {simplex}")
    return kind
