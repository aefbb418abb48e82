"""What comes of solving one RVE."""

from typing import NamedTuple

from materials.measures import FloatArray


class Equilibrium(NamedTuple):
    """Outcome of one solve; the fluctuation itself is updated in place."""

    converged: bool
    iterations: int
    """Linearisations, the one at the solution included."""
    residual: float
    """Relative residual of the last accepted fluctuation; infinite where no law answered."""
    reference_force: float
    reason: str = ""
    """Why it failed, in words."""
    provisional: bool = False
    """Whether the answer is that of the linearisation at a fluctuation that is not yet in equilibrium."""


class Condensed(NamedTuple):
    """What an RVE answers to the macroscale."""

    flux: FloatArray
    """(g,)"""
    tangent: FloatArray
    """(g, g)"""
    out_of_plane: float
    """The flux component that the measure leaves out in plane strain; 0 otherwise."""
