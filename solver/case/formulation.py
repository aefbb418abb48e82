"""Which formulation an element uses by default, and which ones it may use."""

from collections.abc import Iterable

from materials.law import Law
from materials.measures import Physics
from solver.case.discretization import SIMPLICES


def flows_isochorically(laws: Iterable[Law]) -> bool:
    """Whether any of the laws locks linear elements once it flows."""
    return any(law.isochoric_flow for law in laws)


def default_formulation(physics: Physics, element: str, degree: int, laws: Iterable[Law]) -> str:
    """`bbar` for J2 on linear quadrilaterals and hexahedra at small strain, else `standard`.

    Args:
        physics: of the case.
        element: name of the element.
        degree: of the displacement.
        laws: all that act in the mesh; at the macroscale those of the cells behind its points count too, so that a
            cell of one phase behaves as its law does.
    """
    if physics is Physics.SMALL_STRAIN and element not in SIMPLICES and degree == 1 and flows_isochorically(laws):
        return "bbar"
    return "standard"


def formulation_problem(formulation: str, physics: Physics, element: str | None, degree: int) -> str | None:
    """Why an explicit formulation cannot be used, with a remedy; None when it can."""
    if formulation == "fbar":
        return "fbar is not available yet, use bbar (small strain), standard, or degree 2"
    if formulation == "bbar" and physics is not Physics.SMALL_STRAIN:
        return f"bbar needs physics small_strain, not {physics.value}; use standard, with degree 2 against locking"
    if formulation == "bbar" and (degree != 1 or element in SIMPLICES):
        what = f"{element or 'element'} of degree {degree}"
        return f"bbar is for quadrilaterals and hexahedra of degree 1, not {what}; use standard"
    return None
