"""Grains: a periodic Voronoi tessellation of the plane or of space."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt, Le

from meshes.cells.geometry import edge_lengths, element_length
from meshes.cells.segments import segments_mesh
from meshes.cells.tessellation import centroids_in_space, grain_of, walls_in_the_plane
from meshes.elements import Element, FloatArray, element_kind
from meshes.errors import MeshError
from meshes.mesh_arrays import MeshArrays, no_facets
from meshes.structured import lattice

_SHIFTS = 2_000


@dataclass(frozen=True)
class Polycrystal:
    """Grains around random points, a phase each or a few phases dealt out in turn.

    Triangles follow the grain boundaries; other elements are those of a lattice of boxes, each box in the grain of its
    centre.
    """

    grains: Annotated[int, Ge(3), Le(2000)] = 10
    """Number of grains in the cell."""
    phases: Annotated[int, Ge(1)] | None = None
    """Number of phases: grain i has phase i modulo this; by default every grain is one."""
    relaxation: Annotated[int, Ge(0), Le(100)] = 2
    """Steps of moving the points to the centroids of their grains, which makes grains equiaxed."""
    seed: Annotated[int, Ge(0)] = 0
    """Of the points."""
    resolution: Annotated[int, Ge(2)] = 16
    """Elements along the shortest edge of the cell."""
    size: tuple[Annotated[float, Gt(0.0)], ...] | None = None
    """Edge lengths of the cell; by default 1 each."""

    def phase_names(self, given: Sequence[str] | None) -> tuple[str, ...]:
        """The names of the case, by default `grain_1`, `grain_2` and so on."""
        wanted = self.grains if self.phases is None else min(self.phases, self.grains)
        names = tuple(f"grain_{i + 1}" for i in range(wanted)) if given is None else tuple(given)
        if len(names) != wanted:
            raise MeshError(
                f"the polycrystal has {wanted} phases, given are {len(names)}: set `phases` to {len(names)}"
            )
        return names

    def build(self, dimension: int, element: str) -> MeshArrays:
        """A triangle mesh with grain boundaries on its edges, or a structured one."""
        kind = element_kind(element, dimension)
        size = edge_lengths(self.size, dimension)
        length = element_length(size, self.resolution)
        seeds = self._seeds(size)
        if element == "triangle":
            walls, _ = walls_in_the_plane(seeds, size)
            mesh = segments_mesh(size, walls, length, f"polycrystal of {self.grains} grains")
            places = mesh.vertices().mean(axis=1)
        else:
            mesh, places = _boxes(size, length, kind)
        grain = grain_of(places, seeds, size)
        missing = np.flatnonzero(np.bincount(grain, minlength=self.grains) == 0)
        if missing.size:
            raise MeshError(
                f"{missing.size} of {self.grains} grains are too small for an element of resolution "
                f"{self.resolution}: raise it, or the relaxation"
            )
        n_phases = len(self.phase_names(None))
        return mesh._replace(cell_tags=grain % n_phases + 1, regions={f"grain_{i + 1}": i + 1 for i in range(n_phases)})

    def _seeds(self, size: FloatArray) -> FloatArray:
        """Points in the cell, (grains, d); in 2D in the place where no corner of a grain is close to a face."""
        rng = np.random.default_rng(self.seed)
        seeds = rng.random((self.grains, len(size))) * size
        in_space = len(size) == 3
        for _ in range(self.relaxation):
            seeds = centroids_in_space(seeds, size) if in_space else walls_in_the_plane(seeds, size)[1]
        if in_space:
            return seeds
        walls, _ = walls_in_the_plane(seeds, size)
        shifts = rng.random((_SHIFTS, 1, 2)) * size
        place = (walls.reshape(-1, 2) + shifts) / size
        clearance = np.abs(place - np.round(place)).min(axis=(1, 2))
        return (seeds + shifts[np.argmax(clearance)]) % size


def _boxes(size: FloatArray, length: float, kind: Element) -> tuple[MeshArrays, FloatArray]:
    """A lattice of boxes of some edge length, all cells with the tag 1, and the centre of each cell's box, (c, d)."""
    divisions = np.maximum(1, np.round(size / length)).astype(int)
    positions, cells, boxes = lattice([int(n) for n in divisions], kind)
    tags = np.ones(len(cells), dtype=np.int64)
    mesh = MeshArrays(kind, positions / divisions * size, cells, tags, {"all": 1}, *no_facets(kind), {})
    return mesh, (boxes + 0.5) / divisions * size
