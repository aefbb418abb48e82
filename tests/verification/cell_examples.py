"""Every generator of cells at least once in each dimension, for what holds for all of them."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from meshes.cells import CellGeometry, Hexagonal, Inclusion, Laminate, Polycrystal, RandomInclusions, Voids, Voxels


class CellExample(NamedTuple):
    """A small cell, coarse enough to be solved in a fraction of a second."""

    generator: str
    """Name in a case file."""
    dimension: int
    element: str
    phases: int
    geometry: Callable[[Path], CellGeometry]
    """Makes it; files that it needs go into the folder given."""


def _always(geometry: CellGeometry) -> Callable[[Path], CellGeometry]:
    return lambda _: geometry


def _voxels(shape: tuple[int, ...], phases: int) -> Callable[[Path], CellGeometry]:
    def geometry(folder: Path) -> CellGeometry:
        labels = np.random.default_rng(len(shape)).integers(0, phases, shape)
        np.save(folder / "labels.npy", labels)
        return Voxels(str(folder / "labels.npy"))

    return geometry


CELLS: dict[str, CellExample] = {
    "circle": CellExample("inclusion", 2, "triangle", 2, _always(Inclusion(0.3, 6))),
    "ellipse": CellExample("inclusion", 2, "triangle", 2, _always(Inclusion(0.2, 6, "ellipse", 3.0, 40.0, (1.5, 1.0)))),
    "sphere": CellExample("inclusion", 3, "tetrahedron", 2, _always(Inclusion(0.2, 3))),
    "layers_x": CellExample("laminate", 2, "quadrilateral", 2, _always(Laminate(0.3, "x"))),
    "layers_y": CellExample("laminate", 3, "hexahedron", 2, _always(Laminate(0.3, "y"))),
    "hexagonal": CellExample("hexagonal", 2, "triangle", 2, _always(Hexagonal(0.5, 6))),
    "hexagonal_fibres": CellExample("hexagonal", 3, "tetrahedron", 2, _always(Hexagonal(0.5, 4))),
    "circles": CellExample(
        "random_inclusions", 2, "triangle", 2, _always(RandomInclusions(5, 0.4, 0.3, resolution=10, size=(1.5, 1.0)))
    ),
    "spheres": CellExample("random_inclusions", 3, "tetrahedron", 2, _always(RandomInclusions(2, 0.2, resolution=3))),
    "holes": CellExample("voids", 2, "triangle", 1, _always(Voids(3, 0.3, 0.2, resolution=8))),
    "pores": CellExample("voids", 3, "tetrahedron", 1, _always(Voids(2, 0.1, resolution=3))),
    "grains": CellExample("polycrystal", 2, "triangle", 6, _always(Polycrystal(6, resolution=8))),
    "two_phase_grains": CellExample("polycrystal", 2, "triangle", 2, _always(Polycrystal(8, 2, resolution=8))),
    "grains_in_space": CellExample("polycrystal", 3, "hexahedron", 5, _always(Polycrystal(5, resolution=4))),
    "pixels": CellExample("voxels", 2, "quadrilateral", 2, _voxels((5, 4), 2)),
    "voxels": CellExample("voxels", 3, "hexahedron", 3, _voxels((4, 3, 3), 3)),
    "two_phase_voxels": CellExample("voxels", 3, "hexahedron", 2, _voxels((3, 3, 2), 2)),
}
