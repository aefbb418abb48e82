"""A cell from a gmsh file."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from meshes.cells.periodicity import snapped
from meshes.elements import element_kind
from meshes.errors import MeshError
from meshes.gmsh_model import gmsh_session
from meshes.macro.gmsh_file import merge_file
from meshes.macro.physical_groups import read_model
from meshes.mesh_arrays import MeshArrays, no_facets


@dataclass(frozen=True)
class MeshFile:
    """A box in a `.msh` file, with matching opposite faces; phases are its physical groups, holes are voids."""

    file: Path

    def phase_names(self, given: Sequence[str] | None) -> tuple[str, ...]:
        """Names of the physical groups of the highest dimension, in the order of their numbers."""
        names = tuple(self._read(None).regions)
        if given is not None and set(given) != set(names):
            raise MeshError(
                f"{self.file} has the physical groups {', '.join(names)}, given are the phases {', '.join(given)}: "
                "name each group once"
            )
        return names

    def build(self, dimension: int, element: str) -> MeshArrays:
        """The mesh of the file, moved to start at the origin."""
        arrays = self._read(element_kind(element, dimension).name)
        points = arrays.points - arrays.points.min(axis=0)
        try:
            points = snapped(points, points.max(axis=0))
        except MeshError as error:
            raise MeshError(f"{self.file}: {error}; in gmsh, set Periodic Curve or Periodic Surface") from None
        facets, facet_tags = no_facets(arrays.element)
        return arrays._replace(points=points, facets=facets, facet_tags=facet_tags, boundaries={})

    def _read(self, element: str | None) -> MeshArrays:
        try:
            with gmsh_session(f"reading {self.file}"):
                merge_file(self.file)
                return read_model(str(self.file), element)
        except UnicodeDecodeError as error:
            raise MeshError(f"{self.file}: the name of a physical group is no text, the file is corrupt") from error
