"""A plate with a circular hole; by symmetry, a quarter of it."""

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge, Gt

from meshes.elements import FloatArray, IntArray, element_kind
from meshes.mesh_arrays import MeshArrays
from meshes.structured import mapped_lattice, plane


@dataclass(frozen=True)
class PlateWithHole:
    """The quarter [0, size x] × [0, size y] of a plate with a hole around the origin.

    Boundaries left and bottom (the symmetry lines x = 0 and y = 0), right, top and `hole`. The mesh is structured: rays
    from the hole to the right side and to the top, finer towards the hole.
    """

    dimension: ClassVar[int] = 2

    divisions: tuple[Annotated[int, Ge(1)], Annotated[int, Ge(1)]]
    """Elements along the top (x) and along the right side (y); the hole has as many as both together."""
    size: tuple[Annotated[float, Gt(0.0)], Annotated[float, Gt(0.0)]] = (1.0, 1.0)
    """Edge lengths of the quarter."""
    radius: Annotated[float, Gt(0.0)] = 0.25
    """Radius of the hole."""
    radial_divisions: Annotated[int, Ge(1)] | None = None
    """Elements from the hole outwards; by default the larger of `divisions`."""
    grading: Annotated[float, Ge(1.0)] = 3.0
    """Length of the outermost over that of the innermost element along a ray."""

    def __post_init__(self) -> None:
        """Check the radius against the plate."""
        if self.radius >= min(self.size):
            raise ValueError(
                f"radius {self.radius:g} leaves nothing of a quarter plate of size {self.size[0]:g} × "
                f"{self.size[1]:g}: it must be less than {min(self.size):g}"
            )

    def build(self, element: str) -> MeshArrays:
        """The mesh, as a lattice of radial by angular divisions."""
        n_top, n_right = self.divisions
        n, m = self.radial_divisions or max(self.divisions), n_right + n_top
        sides = {
            "left": plane(1, m),
            "right": lambda p: (p[:, 0] == n) & (p[:, 1] <= n_right),
            "bottom": plane(1, 0),
            "top": lambda p: (p[:, 0] == n) & (p[:, 1] >= n_right),
            "hole": plane(0, 0),
        }
        kind = element_kind(element, self.dimension)
        return mapped_lattice((n, m), kind, lambda p: self._coordinates(p, n), sides)

    def _coordinates(self, positions: IntArray, n_radial: int) -> FloatArray:
        (n_top, n_right), (width, height) = self.divisions, self.size
        # Along the hole: equal arcs up to the ray to the plate's corner, and from there to the y axis.
        corner_angle = math.atan2(height, width)
        knots = [0, n_right, n_right + n_top]
        angle = np.interp(positions[:, 1], knots, [0.0, corner_angle, 0.5 * math.pi])
        hole = self.radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        hole[positions[:, 1] == knots[-1], 0] = 0.0
        outer = np.stack(
            [
                np.interp(positions[:, 1], knots, [width, width, 0.0]),
                np.interp(positions[:, 1], knots, [0.0, height, height]),
            ],
            axis=1,
        )
        # Along a ray: lengths in geometric progression.
        lengths = self.grading ** (np.arange(n_radial) / max(n_radial - 1, 1))
        fraction = np.concatenate([[0.0], np.cumsum(lengths) / lengths.sum()])[positions[:, 0], None]
        return (1.0 - fraction) * hole + fraction * outer
