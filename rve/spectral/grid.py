"""The periodic grid of a voxel cell, and how the gradient of a nodal field is taken on it.

Nodes are the corners of the voxels, and the field is bilinear or trilinear in each of them: hexahedra of finite
elements. With `full` integration the gradient is taken at the 2^d Gauss points of a voxel, which is the usual element
(Schneider, Merkert & Kabel 2017, Int. J. Numer. Meth. Eng. 109, 1461; Leute et al. 2022, J. Comput. Phys. 453, 110931).
With `reduced` integration it is taken at the centre alone, which is Willot's rotated scheme (Willot 2015, C. R.
Mécanique 343, 232): one point instead of eight, no volumetric locking, and hourglass modes that cost no energy, which
therefore stay out of the fluctuation.

A plane grid is one voxel thick along a first axis that has no derivative, so that both dimensions are one case.
"""

import itertools
import math
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from materials.measures import FloatArray

STRIP = 256
"""Voxels that are worked on at once: many for the sake of vector instructions, few for that of the cache."""


class Integration(StrEnum):
    """Where in a voxel the laws are evaluated."""

    REDUCED = "reduced"
    FULL = "full"


@dataclass(frozen=True)
class Grid:
    """Boxes of one size that fill a cell of d = 2 or 3 dimensions."""

    shape: tuple[int, ...]
    """Voxels along each axis, (d,); as many nodes, since opposite faces share theirs."""
    size: tuple[float, ...]
    """Edge lengths of the cell, (d,)."""
    integration: Integration = Integration.REDUCED

    @property
    def dimension(self) -> int:
        """Dimension d of the cell."""
        return len(self.shape)

    @property
    def first_axis(self) -> int:
        """The first of the three axes of `box` that has a derivative."""
        return 3 - self.dimension

    @property
    def box(self) -> tuple[int, int, int]:
        """The shape with three axes."""
        nx, ny, nz = (1,) * self.first_axis + self.shape
        return nx, ny, nz

    @property
    def n_voxels(self) -> int:
        """Number N of voxels, and of nodes."""
        return math.prod(self.shape)

    @property
    def volume(self) -> float:
        """Volume of the cell."""
        return math.prod(self.size)

    @property
    def strip(self) -> int:
        """Voxels of adjacent rows, along the last two axes, that are worked on at once."""
        _, ny, nz = self.box
        rows = max(h for h in range(1, ny + 1) if ny % h == 0 and (h == 1 or h * nz <= STRIP))
        return rows * nz

    @cached_property
    def spacing(self) -> FloatArray:
        """Edge lengths of a voxel, (d,)."""
        return np.array(self.size) / self.shape

    @cached_property
    def points(self) -> FloatArray:
        """Integration points of a voxel in [−1, 1]³, (q, 3); 0 along an axis without derivative."""
        if self.integration is Integration.REDUCED:
            return np.zeros((1, 3))
        signs = [(0.0,)] * self.first_axis + [(-1.0, 1.0)] * self.dimension
        return np.array(list(itertools.product(*signs))) / math.sqrt(3.0)

    @property
    def point_volume(self) -> float:
        """Volume that an integration point stands for."""
        return self.volume / (self.n_voxels * len(self.points))

    @cached_property
    def corners(self) -> NDArray[np.int64]:
        """Offsets from a voxel to its corner nodes along the axes of `box`, (2^d, 3)."""
        ends = [(0,)] * self.first_axis + [(0, 1)] * self.dimension
        return np.array(list(itertools.product(*ends)))

    @cached_property
    def nodes(self) -> NDArray[np.int32]:
        """Corner nodes of every voxel, (N, 2^d), both numbered with the last axis running fastest."""
        voxels = np.indices(self.box).reshape(3, -1)
        ends = (voxels[:, :, None] + self.corners.T[:, None, :]) % np.array(self.box)[:, None, None]
        return np.ascontiguousarray(np.ravel_multi_index(tuple(ends), self.box), dtype=np.int32)

    @cached_property
    def shape_gradients(self) -> FloatArray:
        """dN/dx of the corners at the integration points, (q, 2^d, d)."""
        ends = 2.0 * self.corners[:, self.first_axis :] - 1.0
        values = 0.5 * (1.0 + ends * self.points[:, None, self.first_axis :])
        slopes = ends / self.spacing
        columns = [np.delete(values, j, axis=-1).prod(axis=-1) * slopes[:, j] for j in range(self.dimension)]
        return np.stack(columns, axis=-1)
