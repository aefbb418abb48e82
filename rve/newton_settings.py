"""Settings of Newton's method in a cell."""

from typing import Literal, NamedTuple

DirectSolver = Literal["auto", "cholmod", "mumps", "mkl_pardiso"]


class NewtonSettings(NamedTuple):
    """When a cell is in equilibrium and what is tried to get there."""

    tolerance: float = 1e-10
    """Largest residual component, relative to the largest assembled absolute internal force the cell has seen."""
    max_iterations: int = 25
    max_halvings: int = 8
    """How often a line search halves a correction that makes the residual grow or leaves a law's domain."""
    predictor: bool = True
    """Whether a solve starts at w + (∂w/∂ḡ) Δḡ rather than at the last fluctuation w."""
    elastic_shortcut: bool = True
    """Whether cells that stay elastic are answered without a factorisation, where their laws allow it."""
    direct_solver: DirectSolver = "auto"
    """Library that factorises the stiffness. `auto` is CHOLMOD where PETSc has it, else MUMPS; with `cholmod`, too,
    MUMPS factorises what is not positive definite."""
    reuse_factor: bool = True
    """Whether a factor serves later linearisations of a solve, where refined solutions cost less than a new one."""
