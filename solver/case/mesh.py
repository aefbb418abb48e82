"""`mesh`: the macroscopic mesh, from a generator or from a gmsh file."""

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from meshes.macro import GENERATORS
from solver.case.discretization import Discretization, ElementName
from solver.case.generators import GeneratorSection, generator_sections
from solver.case.tagged_union import tagged_union


class GeneratedMesh(Discretization):
    """A mesh from a generator, whose own parameters stand beside these keys."""

    element: ElementName
    """Element of the mesh."""


class MeshFile(Discretization):
    """A gmsh file; regions and boundaries are its physical groups."""

    file: Annotated[str, Field(min_length=1)]
    """Path of the `.msh` file, relative to the case file."""
    element: ElementName | None = None
    """Element the file holds; checked against the file when given."""


class MeshGenerator(GeneratorSection, GeneratedMesh):
    """Base of the models that are made from the registry of generators."""


if TYPE_CHECKING:
    MeshSection = MeshGenerator | MeshFile
else:
    MeshSection = tagged_union(
        "generator", generator_sections(GENERATORS, MeshGenerator), "generator", instead={"file": MeshFile}
    )
