"""`rves`: the representative cells."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field

from materials.law import Law
from meshes.cells import CELL_GENERATORS, MeshFile
from solver.case.closest import unknown
from solver.case.discretization import Discretization, ElementName
from solver.case.generators import GeneratorSection, generator_sections
from solver.case.laws import Phases
from solver.case.section import Section
from solver.case.tagged_union import tagged_union


class CellFile(Section):
    """A gmsh file of a cell; phases are its physical groups."""

    file: Annotated[str, Field(min_length=1)]
    """Path of the `.msh` file, relative to the case file."""

    def build_generator(self, folder: Path = Path()) -> MeshFile:
        """The reader of the file, whose path is relative to `folder`."""
        return MeshFile(folder / self.file)


if TYPE_CHECKING:
    Geometry = GeneratorSection | CellFile
else:
    Geometry = tagged_union(
        "generator", generator_sections(CELL_GENERATORS, GeneratorSection), "generator", instead={"file": CellFile}
    )


DEFAULT_INTEGRATION = "reduced"
"""Of cells with `method: fft`."""


class RveSection(Discretization):
    """A representative cell: geometry, discretisation, boundary condition and one law per phase."""

    geometry: Geometry
    """A generator and its parameters, or `file: cell.msh`."""
    element: ElementName
    """Element of the cell's mesh."""
    boundary: Literal["periodic", "linear", "traction"] = "periodic"
    """Condition on the fluctuation: periodic, zero (linear displacement), or uniform traction."""
    method: Literal["fem", "fft"] = "fem"
    """Finite elements with a direct solver, or Fourier's transform on a regular grid of voxels."""
    integration: Literal["reduced", "full"] | None = None
    """With `fft`: laws at the centre of a voxel (`reduced`, the default), or at the Gauss points of its element."""
    device: Literal["cpu", "cuda"] = "cpu"
    """With `fft`: where linear systems are solved; laws are evaluated on the CPU."""
    phases: Annotated[Phases, Field(min_length=1)]
    """Phase name -> law."""

    def varied(self, parameters: Mapping[str, float]) -> Self:
        """The same cell with other parameters of its geometry.

        Raises ValueError if the generator has no such numbers, or refuses them.
        """
        if isinstance(self.geometry, CellFile):
            raise ValueError("a cell from a file has no parameters")
        known = [name for name, value in self.geometry.model_dump().items() if isinstance(value, float)]
        for name in parameters:
            if name not in known:
                raise ValueError(unknown("number of the geometry", name, known))
        changed = type(self.geometry).model_validate({**self.geometry.model_dump(), **parameters})
        return self.model_copy(update={"geometry": changed})

    @property
    def laws(self) -> dict[str, Law]:
        """Phase name -> `Law`."""
        return {name: phase.build() for name, phase in self.phases.items()}
