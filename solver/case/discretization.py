"""Element, degree, quadrature and formulation: the same keys at both scales."""

from typing import Annotated, Literal

from pydantic import Field

from solver.case.section import Section

ElementName = Literal["triangle", "quadrilateral", "tetrahedron", "hexahedron"]
FormulationName = Literal["standard", "bbar", "fbar"]

DIMENSION = {"triangle": 2, "quadrilateral": 2, "tetrahedron": 3, "hexahedron": 3}
"""Dimension of each element."""
SIMPLICES = ("triangle", "tetrahedron")


class Discretization(Section):
    """How a mesh becomes a finite-element space."""

    degree: Literal[1, 2] = 1
    """Polynomial degree of the unknown field."""
    quadrature_degree: Annotated[int, Field(ge=0, le=20)] | None = None
    """Degree of exactness; by default 2(degree − 1) on simplices, (degree + 1)^d Gauss points on the others."""
    formulation: FormulationName | None = None
    """`bbar` averages the dilatation over an element; the default for J2 on linear quadrilaterals and hexahedra."""
