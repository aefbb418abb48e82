"""Phases voxel by voxel, from an array or an image."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from annotated_types import Gt, MinLen
from PIL import Image, UnidentifiedImageError

from meshes.cells.geometry import edge_lengths
from meshes.cells.voxel_grid import VoxelGrid
from meshes.elements import IntArray, element_kind
from meshes.errors import MeshError
from meshes.mesh_arrays import MeshArrays, no_facets
from meshes.structured import lattice

_IMAGES = (".png", ".tif", ".tiff")
_MOST_LABELS = 256


@dataclass(frozen=True)
class Voxels:
    """A lattice of boxes, each with the phase of its label; labels in increasing order are the phases in theirs."""

    file: Annotated[str, MinLen(1)]
    """Integers: a `.npy` array [x, y] or [x, y, z], or in 2D the grey values of a PNG or TIFF image, seen
    upright. Relative paths start at the case file."""
    size: tuple[Annotated[float, Gt(0.0)], ...] | None = None
    """Edge lengths of the cell; by default those of cubic voxels with 1 for the shortest edge."""

    def phase_names(self, given: Sequence[str] | None) -> tuple[str, ...]:
        """The names of the case, by default `label_0`, … by the labels of the file."""
        return tuple(f"label_{v}" for v in np.unique(self._labels())) if given is None else tuple(given)

    def build(self, dimension: int, element: str) -> MeshArrays:
        """A structured mesh: a quadrilateral or hexahedron for each voxel, or its subdivision into simplices."""
        kind = element_kind(element, dimension)
        labels, size = self.grid(dimension)
        positions, cells, boxes = lattice(labels.shape, kind)
        tags = labels[tuple(boxes.T)] + 1
        regions = {name: tag for tag, name in enumerate(self.phase_names(None), start=1)}
        return MeshArrays(kind, positions / labels.shape * size, cells, tags, regions, *no_facets(kind), {})

    def grid(self, dimension: int) -> VoxelGrid:
        """The voxels, numbered by phase."""
        labels = self._labels()
        if labels.ndim != dimension:
            raise MeshError(f"{self.file} has {labels.ndim} dimensions, the cell {dimension}")
        shape = np.array(labels.shape)
        size = shape / shape.min() if self.size is None else edge_lengths(self.size, dimension)
        _, order = np.unique(labels, return_inverse=True)
        return VoxelGrid(order.reshape(labels.shape).astype(np.int64), size)

    def _labels(self) -> IntArray:
        """The labels, x first."""
        file = Path(self.file)
        read = _read_image if file.suffix.lower() in _IMAGES else _read_array
        if not file.is_file():
            raise MeshError(f"{self.file} does not exist: give a .npy array or a PNG or TIFF image")
        labels = read(file)
        if labels.ndim not in (2, 3) or labels.size == 0:
            raise MeshError(f"{self.file} has the shape {labels.shape}: labels are an array of 2 or 3 dimensions")
        n_labels = len(np.unique(labels))
        if n_labels > _MOST_LABELS:
            raise MeshError(
                f"{self.file} has {n_labels} different labels, {_MOST_LABELS} are possible: segment it first"
            )
        return labels


def _read_array(file: Path) -> IntArray:
    try:
        array = np.load(file, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise MeshError(f"{file} is no .npy array of integers: save it with numpy.save") from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "iub":
        found = getattr(array, "dtype", "several arrays")
        raise MeshError(f"{file} holds {found}, labels are integers: convert it with .astype(int)")
    return array.astype(np.int64)


def _read_image(file: Path) -> IntArray:
    try:
        with Image.open(file) as image:
            grey = np.asarray(image if image.mode in ("1", "L", "P", "I", "I;16") else image.convert("L"))
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise MeshError(f"{file} is no image that can be read: save it as PNG or TIFF") from error
    return grey.astype(np.int64)[::-1].T
