"""`solver`: scheme, tolerances and PETSc options."""

from typing import Annotated, Literal

from pydantic import Field

from rve.newton_settings import DirectSolver
from rve.newton_settings import NewtonSettings as CellNewtonSettings
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

    tolerance: Tolerance = CellNewtonSettings().tolerance
    """Largest residual over the largest assembled absolute internal force."""
    max_iterations: Count = CellNewtonSettings().max_iterations
    """Iterations before smaller steps are tried, and then the point reports failure."""
    predictor: bool = True
    """Start from the last sensitivity of the fluctuation; `false` only to measure what it brings."""
    elastic_shortcut: bool = True
    """Answer cells that stay elastic without a factorisation; `false` only to measure what it brings."""
    reuse_factor: bool = True
    """Factorise only where refining solutions of the last factor would cost more; `false` only to measure that."""
    direct_solver: DirectSolver = "auto"
    """Library that factorises the stiffness; auto: CHOLMOD where PETSc has it, else MUMPS."""

    def settings(self) -> CellNewtonSettings:
        """The same for the cells themselves."""
        return CellNewtonSettings(
            self.tolerance,
            self.max_iterations,
            predictor=self.predictor,
            elastic_shortcut=self.elastic_shortcut,
            direct_solver=self.direct_solver,
            reuse_factor=self.reuse_factor,
        )


class SolverSection(Section):
    """How the equations of both scales are solved."""

    scheme: Literal["nested", "monolithic"] = "nested"
    """`nested` converges every cell within each macroscopic iteration; `monolithic` linearises it once."""
    macro: MacroNewtonSection = MacroNewtonSection()
    """Newton's method of the macroscale."""
    cell: CellNewtonSection = CellNewtonSection()
    """Newton's method of the cells."""
    linear_solver: Literal["auto", "direct", "iterative"] = "auto"
    """Macroscopic systems: MUMPS (direct), CG or GMRES with GAMG (iterative), by size (auto)."""
    petsc_options: dict[OptionName, str | int | float | bool | None] = Field(default_factory=dict)
    """PETSc options of the macroscopic linear solver, without the dash; they win over the defaults."""
