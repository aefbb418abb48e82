"""`solver`: scheme, tolerances and PETSc options."""

from typing import Annotated, Literal

from pydantic import Field

from solver.case.section import Count, Section
from solver.newton_settings import NewtonSettings

OptionName = Annotated[str, Field(pattern=r"^[A-Za-z]\w*$")]
Tolerance = Annotated[float, Field(gt=0, lt=1)]


class MacroNewtonSection(Section):
    """Newton's method of the macroscale."""

    residual_tolerance: Tolerance = NewtonSettings.residual_tolerance
    """Largest residual over the largest assembled absolute force seen."""
    correction_tolerance: Tolerance = NewtonSettings.correction_tolerance
    """Largest component of a correction over the largest component of the increment."""
    max_iterations: Count = NewtonSettings.max_iterations
    """Iterations before the increment is cut back."""
    line_search: bool = NewtonSettings.line_search
    """Shorten corrections that do not reduce the residual."""


class CellNewtonSection(Section):
    """Newton's method of the cells."""

    tolerance: Tolerance = 1e-10
    """Largest residual over the largest assembled absolute internal force."""
    max_iterations: Count = 25
    """Iterations before the point reports failure."""


class SolverSection(Section):
    """How the equations of both scales are solved."""

    scheme: Literal["nested", "monolithic"] = "nested"
    """`nested` converges every cell within each macroscopic iteration."""
    macro: MacroNewtonSection = MacroNewtonSection()
    """Newton's method of the macroscale."""
    cell: CellNewtonSection = CellNewtonSection()
    """Newton's method of the cells."""
    linear_solver: Literal["auto", "direct", "iterative"] = "auto"
    """Macroscopic systems: MUMPS (direct), CG or GMRES with GAMG (iterative), by size (auto)."""
    petsc_options: dict[OptionName, str | int | float | bool | None] = Field(default_factory=dict)
    """PETSc options of the macroscopic linear solver, without the dash; they win over the defaults."""
