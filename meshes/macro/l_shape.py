"""An L: a rectangle without its upper right part, whose re-entrant corner concentrates stress."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge, Gt, Lt

from meshes.elements import FloatArray, IntArray, element_kind
from meshes.mesh_arrays import MeshArrays
from meshes.structured import box_sides, mapped_lattice


@dataclass(frozen=True)
class LShape:
    """[0, size x] × [0, size y] without the part beyond the re-entrant corner.

    Boundaries left, right (x), bottom, top (y) on the bounding box and `notch`, the two sides of the re-entrant corner.
    """

    dimension: ClassVar[int] = 2

    divisions: tuple[Annotated[int, Ge(2)], Annotated[int, Ge(2)]]
    """Elements along the whole length and height, shared out between the two parts of each by length."""
    size: tuple[Annotated[float, Gt(0.0)], Annotated[float, Gt(0.0)]] = (1.0, 1.0)
    """Edge lengths of the rectangle."""
    corner: tuple[Annotated[float, Gt(0.0), Lt(1.0)], Annotated[float, Gt(0.0), Lt(1.0)]] = (0.5, 0.5)
    """Position of the re-entrant corner in fractions of the size."""

    def build(self, element: str) -> MeshArrays:
        """The mesh."""
        n, m = (max(1, min(k - 1, round(f * k))) for k, f in zip(self.divisions, self.corner, strict=True))

        def coordinates(positions: IntArray) -> FloatArray:
            knots = zip((n, m), self.divisions, self.corner, self.size, strict=True)
            axes = [
                np.interp(positions[:, axis], [0.0, inner, count], [0.0, fraction * length, length])
                for axis, (inner, count, fraction, length) in enumerate(knots)
            ]
            return np.stack(axes, axis=1)

        return mapped_lattice(
            self.divisions,
            element_kind(element, self.dimension),
            coordinates,
            box_sides(self.divisions)
            | {"notch": lambda p: ((p[:, 0] == n) & (p[:, 1] >= m)) | ((p[:, 1] == m) & (p[:, 0] >= n))},
            keep=lambda box: (box[:, 0] < n) | (box[:, 1] < m),
        )
