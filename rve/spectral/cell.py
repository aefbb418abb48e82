"""A voxel cell: everything that all RVEs of one kind share."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from materials.law import Law
from materials.measures import Measure
from rve.spectral.grid import Grid, Integration
from rve.spectral.packing import Packing, packing_of


class Phase(NamedTuple):
    """The voxels that one law fills."""

    name: str
    law: Law
    voxels: NDArray[np.int64]
    """Their numbers, the last axis running fastest, (m,)."""
    n_points: int
    """Integration points of the phase."""


@dataclass(frozen=True)
class SpectralCell:
    """A periodic cell on a grid of voxels; immutable. Voxels of a void phase have no stiffness."""

    grid: Grid
    measure: Measure
    labels: NDArray[np.int64]
    """Number of the phase of every voxel, voids included, by axis."""
    phase_names: tuple[str, ...]
    """In the order of their numbers, voids included."""
    phases: tuple[Phase, ...]
    """Without voids."""

    @property
    def n_dofs(self) -> int:
        """Unknowns n of the fluctuation, whose mean is zero: its components at every node."""
        return self.measure.block_size * self.grid.n_voxels

    @property
    def volume(self) -> float:
        """Volume of the whole cell, voids included."""
        return self.grid.volume

    @property
    def descriptors(self) -> dict[str, float]:
        """Numbers that describe the cell: `volume_fraction_NAME` of each phase, `elements` (voxels)."""
        fractions = np.bincount(self.labels.ravel(), minlength=len(self.phase_names)) / self.labels.size
        named = {f"volume_fraction_{name}": float(f) for name, f in zip(self.phase_names, fractions, strict=True)}
        return {**named, "elements": float(self.labels.size)}

    @property
    def symmetric(self) -> bool:
        """Only symmetric tangents are solved."""
        return True

    @cached_property
    def state_size(self) -> int:
        """Doubles of internal state in one RVE, over all phases and points."""
        return sum(phase.n_points * phase.law.state_size for phase in self.phases)

    @cached_property
    def packing(self) -> Packing:
        """How gradients and tangents are packed."""
        return packing_of(self.measure)


def build_spectral_cell(
    labels: NDArray[np.int64],
    laws: Mapping[str, Law],
    measure: Measure,
    size: tuple[float, ...],
    integration: Integration = Integration.REDUCED,
) -> SpectralCell:
    """A cell from the phase of every voxel.

    Args:
        labels: numbers 0, 1, … of the phases, by voxel, (n1, n2) or (n1, n2, n3), x first.
        laws: by phase name, in the order of the numbers.
        measure: gradient and flux.
        size: edge lengths of the cell, (d,).
        integration: where in a voxel the laws are evaluated.

    Raises:
        ValueError: a law's tangent is unsymmetric, or the labels are not those of the phases or of the dimension.
    """
    if labels.ndim != measure.dimension:
        raise ValueError(f"the grid has {labels.ndim} dimensions, the cell {measure.dimension}")
    if labels.min() < 0 or labels.max() >= len(laws):
        raise ValueError(f"the grid has the phases {labels.min()} to {labels.max()}, given are laws for {len(laws)}")
    for name, law in laws.items():
        if not law.symmetric:
            raise ValueError(
                f"phase {name}: the tangent of law {law.name} is not symmetric, which conjugate gradients need; "
                "use method fem"
            )
    grid = Grid(labels.shape, size, integration)
    flat = labels.ravel()
    points = len(grid.points)
    filled = {name: np.flatnonzero(flat == number) for number, name in enumerate(laws)}
    phases = tuple(
        Phase(name, laws[name], voxels, points * voxels.size)
        for name, voxels in filled.items()
        if voxels.size and not laws[name].void
    )
    return SpectralCell(grid, measure, labels, tuple(laws), phases)
