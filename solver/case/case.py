"""The typed case: what `solver.build` turns into objects."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PrivateAttr

from materials.law import Law
from materials.measures import Measure, Physics
from solver.case.boundary_conditions import BoundaryCondition
from solver.case.document import Node
from solver.case.errors import BadInput, KeyPath, dotted
from solver.case.formulation import default_formulation
from solver.case.load import LoadSection
from solver.case.materials import Materials
from solver.case.mesh import MeshSection
from solver.case.output import OutputSection
from solver.case.rves import RveSection
from solver.case.section import Name, Section
from solver.case.solver_settings import SolverSection
from solver.case.surrogates import SurrogateRecipe


class LocatedCase(Section):
    """A validated file that remembers where each of its keys was written."""

    _root: Node | None = PrivateAttr(default=None)
    _path: Path = PrivateAttr(default=Path("case.yaml"))

    def attach(self, root: Node, path: Path) -> None:
        """Remember the file and its nodes; done by the loader."""
        self._root, self._path = root, path

    @property
    def source(self) -> Path:
        """Path of the file, as the user gave it."""
        return self._path

    def located(self, path: KeyPath | str) -> str:
        """`file:line` where a key was written, or the innermost key above it that was."""
        parts = _key_path(path)
        return self._root.located(parts) if self._root is not None else f"{self._path}:1"

    def bad_input(self, path: KeyPath | str, message: str) -> BadInput:
        """The error for a value that turned out wrong after loading: `file:line: key.path: message`."""
        return BadInput(f"{self.located(path)}: {dotted(_key_path(path))}: {message}")

    def file_path(self, name: str) -> Path:
        """A path given in the case; relative ones start at the case file."""
        return self._path.parent / name


def _key_path(path: KeyPath | str) -> KeyPath:
    if isinstance(path, str):
        return tuple(int(part) if part.isdecimal() else part for part in path.split("."))
    return path


class Case(LocatedCase):
    """A case file, complete with defaults."""

    title: Annotated[str, Field(max_length=200)] = ""
    """One line for reports; by default the name of the file."""
    physics: Physics
    """What the macroscale solves for."""
    dimension: Literal[2, 3]
    """2: plane strain for mechanics; 3."""
    plane: Literal["strain", "stress"] | None = None
    """Only plane strain; `stress` is reserved."""
    mesh: MeshSection
    """The macroscopic mesh."""
    regions: Annotated[dict[str, Name], Field(min_length=1)]
    """Physical group, or `all`, -> name of a material."""
    boundary_conditions: tuple[BoundaryCondition, ...]
    """Prescribed values and loads."""
    load: LoadSection
    """Pseudo-time, increments and load factor."""
    materials: Annotated[Materials, Field(min_length=1)]
    """Name -> what answers at the integration points."""
    rves: dict[Name, RveSection] = Field(default_factory=dict)
    """Name -> representative cell."""
    surrogates: dict[Name, SurrogateRecipe] = Field(default_factory=dict)
    """Name -> recipe of a surrogate."""
    solver: SolverSection = SolverSection()
    """Tolerances, limits and PETSc options."""
    output: OutputSection = OutputSection()
    """What a run writes."""

    @property
    def measure(self) -> Measure:
        """Gradient and flux of the case."""
        return Measure(self.physics, self.dimension)

    def laws_of(self, material: str) -> list[Law]:
        """The laws behind a material: its own, or those of its cell's phases."""
        section: Any = self.materials[material]
        if section.type == "law":
            return [section.build()]
        name = getattr(section, "rve", None)
        return list(self.rves[name].laws.values()) if name in self.rves else []

    @property
    def knows_out_of_plane(self) -> bool:
        """Whether some material gives the stress out of the plane at all its points, which surrogates do not.

        True where there is no such stress.
        """
        if self.measure.out_of_plane_name is None:
            return True
        kinds = [self.materials[name].type for name in self.regions.values() if name in self.materials]
        return any(kind not in ("surrogate", "adaptive") for kind in kinds)

    @property
    def output_fields(self) -> tuple[str, ...]:
        """Fields to write: those asked for, or the unknown, its gradient, the flux and, in mechanics, the stress."""
        if self.output.fields is not None:
            return self.output.fields
        measure = self.measure
        stress: tuple[str, ...] = () if measure.physics is Physics.HEAT else ("stress", "von_mises")
        if not self.knows_out_of_plane:
            stress = ("stress",)
        return tuple(dict.fromkeys((measure.primary_name, measure.gradient_name, measure.flux_name, *stress)))

    def macro_formulation(self, element: str) -> str:
        """Formulation of the macroscale on elements of this kind."""
        chosen: str | None = self.mesh.formulation
        if chosen is not None:
            return chosen
        laws = [law for material in set(self.regions.values()) for law in self.laws_of(material)]
        return default_formulation(self.physics, element, self.mesh.degree, laws)

    def cell_formulation(self, rve: str) -> str:
        """Formulation of the elements of a cell."""
        return cell_formulation(self.rves[rve], self.physics)


def cell_formulation(rve: RveSection, physics: Physics) -> str:
    """Formulation of the elements of a cell."""
    if rve.method == "fft":
        return "standard"
    return rve.formulation or default_formulation(physics, rve.element, rve.degree, rve.laws.values())
