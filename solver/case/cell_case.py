"""CELL.yaml: one cell driven along a macroscopic path by `fe2 homogenize`."""

from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from materials.measures import FloatArray, Measure, Physics
from solver.case.case import LocatedCase, cell_formulation
from solver.case.checks import check_rve
from solver.case.errors import WrongValue
from solver.case.rves import RveSection
from solver.case.section import Section
from solver.case.solver_settings import SolverSection

Tensor = tuple[tuple[float, ...], ...]
SYMMETRY_TOLERANCE = 1e-12


class PathSection(Section):
    """Successive macroscopic states, one increment each, from rest: one key, by physics."""

    strain: Annotated[tuple[Tensor, ...], Field(min_length=1)] | None = None
    """Symmetric d × d strains, for small_strain."""
    deformation_gradient: Annotated[tuple[Tensor, ...], Field(min_length=1)] | None = None
    """d × d deformation gradients F, det F > 0, for finite_strain."""
    temperature_gradient: Annotated[tuple[tuple[float, ...], ...], Field(min_length=1)] | None = None
    """Gradients of length d, for heat."""


class CellCase(LocatedCase):
    """A cell and the path it is driven along."""

    title: Annotated[str, Field(max_length=200)] = ""
    """One line for the result; by default the name of the file."""
    physics: Physics
    """What the cell solves for."""
    dimension: Literal[2, 3]
    """2: plane strain for mechanics; 3."""
    rve: RveSection
    """The cell, as under `rves` of a case."""
    path: PathSection
    """The macroscopic states to visit."""
    solver: SolverSection = SolverSection()
    """As in a case; only `cell` has an effect."""

    @property
    def measure(self) -> Measure:
        """Gradient and flux of the cell."""
        return Measure(self.physics, self.dimension)

    @property
    def states(self) -> FloatArray:
        """Macroscopic gradients of the path as users write them, (steps, d, d), or (steps, d) for heat."""
        return np.array(getattr(self.path, self.measure.gradient_name), dtype=float)

    @property
    def formulation(self) -> str:
        """Formulation of the cell's elements."""
        return cell_formulation(self.rve, self.physics)


def check_cell_case(case: CellCase) -> None:
    """Checks across sections.

    Raises:
        WrongValue: with the key path and the remedy.
    """
    check_rve(case.rve, case.measure, ("rve",))
    _check_path(case)


def _check_path(case: CellCase) -> None:
    wanted = case.measure.gradient_name
    for name in type(case.path).model_fields:
        if name != wanted and getattr(case.path, name) is not None:
            text = f"is not the gradient of physics {case.physics.value}, use {wanted}"
            raise WrongValue(("path", name), text)
    states: Any = getattr(case.path, wanted)
    if states is None:
        raise WrongValue(("path",), f"physics {case.physics.value} needs the key `{wanted}`: a list of states")
    d = case.dimension
    for index, state in enumerate(states):
        path = ("path", wanted, index)
        if case.physics is Physics.HEAT:
            if len(state) != d:
                raise WrongValue(path, f"has {len(state)} components, dimension {d} needs {d}")
            continue
        if len(state) != d or any(len(row) != d for row in state):
            raise WrongValue(path, f"is not a {d} × {d} matrix, write {d} rows of {d} numbers")
        tensor = np.array(state)
        if case.physics is Physics.SMALL_STRAIN:
            asymmetry = np.abs(tensor - tensor.T).max()
            if asymmetry > SYMMETRY_TOLERANCE * max(1.0, np.abs(tensor).max()):
                raise WrongValue(path, f"a strain is symmetric, entries here differ by {asymmetry:g}; make them equal")
        elif np.linalg.det(tensor) <= 0.0:
            text = f"det F = {np.linalg.det(tensor):g}, a deformation gradient has a positive determinant (rest: 1)"
            raise WrongValue(path, text)
