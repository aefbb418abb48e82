"""Tolerances and limits of the macroscale Newton iteration: one truth for the case model and for the solver."""

from dataclasses import dataclass


@dataclass(frozen=True)
class NewtonSettings:
    """When an increment is in equilibrium and what is tried to get there."""

    residual_tolerance: float = 1e-10
    """Largest residual component over the largest assembled absolute force."""
    correction_tolerance: float = 1e-4
    """Largest component of the last correction over that of the increment."""
    max_iterations: int = 20
    """Linear solves in one attempt."""
    line_search: bool = True
    """Shorten corrections that do not reduce the residual."""
    max_backtracks: int = 5
    """Shortened trials in one line search; each costs an evaluation of all points."""
