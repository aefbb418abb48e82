"""Symmetry groups of cells, and complete sets of polynomial invariants of what their energy depends on.

The energy of a cell depends on a symmetric strain (E = ½(FᵀF − I) at finite strain, ε at small strain) or on a vector
(∇T), and does not change when the material is turned by an element of its symmetry group first. A network sees
invariants, so that it cannot break the symmetry; they must be complete, so that it can represent every energy that has
the symmetry. Invariant polynomials separate the orbits of a compact group, so any generating set of them is complete:

- isotropic: tr E, tr E², tr E³ (in the plane the first two).
- transversely isotropic about a: those, a·Ea, a·E²a (Boehler 1979; Spencer 1971).
- orthotropic: E11, E22, E33, E12², E23², E13², E12 E23 E13 in the material axes, which are the components of E on the
  structural tensors (Smith and Rivlin 1958; Boehler 1979); in the plane E11, E22, E12².
- cubic (hexoctahedral): with the pairs (a, A) = (E11, E23²) and so on, which the group permutes, and E23 E13 E12, which
  it leaves alone: Σa, Σa², Σa³, ΣA, ΣA², ΣaA, Σa²A, ΣaA² (Weyl 1939, polarised power sums; ΣA³ follows from
  E23 E13 E12), in number and degrees the integrity basis of Smith and Rivlin (1958).
- square, the plane section of a square array of fibres: E11 + E22, E11 E22, E12²; the group acts on the pair
  (E11, E22) by exchange and on E12 by sign, independently, hence generators of each suffice. Not isotropic: the two
  isotropic ones do not see the direction of the fibres' rows.
- hexagonal, the plane section of a hexagonal array of fibres: tr E, |dev E|², Re (x + iy)³ with x = (E11 − E22)/2 and
  y = E12, because a turn by 60° turns x + iy by 120°.
- none: the components.

Of ∇T alike: |∇T|²; g_a² and the rest; g_i²; symmetric polynomials of g_i²; |∇T|² and Re (g1 + ig2)⁶; g_i.

All are written in E rather than C = I + 2E, which is the same set of functions, vanishes at rest, and does not lose the
digits of small strains.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from materials.measures import FloatArray, Measure, Physics
from surrogates.convex_invariants import convex_polynomials
from surrogates.green_strain import strain_measure
from surrogates.polynomials import Polynomial, PolynomialTable, table, total
from surrogates.strain_polynomials import strain_components

GROUPS: Mapping[int, tuple[str, ...]] = {
    2: ("isotropic", "hexagonal", "square", "orthotropic", "none"),
    3: ("isotropic", "cubic", "transversely_isotropic", "orthotropic", "none"),
}
"""Groups by dimension, each after those that it is part of."""


@dataclass(frozen=True)
class Symmetry:
    """A group of rotations and reflections, and its material axes.

    Attributes:
        group: one of `GROUPS`.
        axes: the material axes as rows of an orthogonal matrix, (d)·(d) numbers; the axis of transverse isotropy is the
            last one. Empty: the coordinate axes.
    """

    group: str
    axes: tuple[tuple[float, ...], ...] = ()

    def __post_init__(self) -> None:
        """Check the group's name and that the axes are orthonormal."""
        if self.group not in {name for names in GROUPS.values() for name in names}:
            raise ValueError(f"unknown symmetry {self.group!r}; one of {', '.join(GROUPS[3])}, square, hexagonal")
        if self.axes:
            axes = np.array(self.axes)
            if axes.shape not in ((2, 2), (3, 3)) or not np.abs(axes @ axes.T - np.eye(len(axes))).max() < 1e-8:
                raise ValueError(f"the rows of the material axes must be orthonormal, got {axes.tolist()}")

    def check(self, measure: Measure) -> None:
        """ValueError if this group does not exist in the dimension of `measure`."""
        if self.group not in GROUPS[measure.dimension]:
            raise ValueError(
                f"symmetry {self.group!r} does not exist in {measure.dimension}D; "
                f"one of {', '.join(GROUPS[measure.dimension])}"
            )
        if self.axes and len(self.axes) != measure.dimension:
            raise ValueError(
                f"material axes of {measure.dimension}D are {measure.dimension} rows, got {len(self.axes)}"
            )

    def matrix(self, dimension: int) -> FloatArray:
        """The axes as rows, (d, d)."""
        return np.array(self.axes) if self.axes else np.eye(dimension)

    def generators(self, dimension: int) -> FloatArray:
        """Orthogonal matrices (q, d, d) that generate the group, or a dense part of it where it is continuous."""
        local = np.array(_generators(self.group, dimension)).reshape(-1, dimension, dimension)
        axes = self.matrix(dimension)
        return np.einsum("ai,qab,bj->qij", axes, local, axes)


class Derivatives(NamedTuple):
    """Invariants at n states with derivatives with respect to the packed strain (or ∇T) of v components."""

    values: FloatArray
    """(n, m)"""
    first: FloatArray
    """(n, m, v)"""
    second: FloatArray
    """(n, m, v, v)"""


@dataclass(frozen=True)
class Invariants:
    """The complete set of invariants of one group for the strain, or ∇T, of a measure; or the convex ones."""

    measure: Measure
    symmetry: Symmetry
    convex: bool = False
    """Those of `surrogates/convex_invariants.py` instead, which are not complete."""

    def __post_init__(self) -> None:
        """Check that the group exists in this dimension."""
        self.symmetry.check(self.measure)

    @property
    def count(self) -> int:
        """Number m of invariants."""
        return self.table.count

    @cached_property
    def polynomials(self) -> tuple[Polynomial, ...]:
        """In the components along the material axes, packed."""
        if self.convex:
            return convex_polynomials(self.measure, self.symmetry.group)
        if self.measure.physics is Physics.HEAT:
            return _of_vector(self.symmetry.group, self.measure.dimension)
        return _of_strain(self.symmetry.group, self.measure.dimension)

    @cached_property
    def table(self) -> PolynomialTable:
        """The polynomials as arrays."""
        return table(self.polynomials, strain_measure(self.measure).size)

    @cached_property
    def linear(self) -> NDArray[np.bool_]:
        """Which invariants are linear, (m,)."""
        return np.array([polynomial.degree == 1 for polynomial in self.polynomials])

    @cached_property
    def rotation(self) -> FloatArray | None:
        """Matrix (v, v) from packed components to those along the material axes; None if they are the same."""
        if not self.symmetry.axes:
            return None
        return packed_rotation(self.measure, self.symmetry.matrix(self.measure.dimension))

    def evaluate(self, strain: FloatArray) -> Derivatives:
        """Invariants and derivatives at packed strains (or ∇T), (n, v)."""
        rotation = self.rotation
        if rotation is None:
            return Derivatives(*self.table.evaluate(strain))
        values, first, second = self.table.evaluate(np.einsum("nv,wv->nw", strain, rotation))
        return Derivatives(
            values,
            np.einsum("nmv,vw->nmw", first, rotation),
            np.einsum("xv,nmxy,yw->nmvw", rotation, second, rotation, optimize=True),
        )

    def quadratic_forms(self) -> FloatArray:
        """Basis (b, v, v) of the symmetric matrices that the group leaves alone: its linear elasticity."""
        v = self.table.size
        rest = self.evaluate(np.zeros((1, v)))
        lines = rest.first[0][self.linear]
        forms = [
            np.outer(lines[a], lines[b]) + np.outer(lines[b], lines[a]) for a in range(len(lines)) for b in range(a + 1)
        ]
        forms += [rest.second[0, k] for k, p in enumerate(self.polynomials) if p.degree == 2]
        return np.array(forms)


def packed_rotation(measure: Measure, q: FloatArray) -> FloatArray:
    """The orthogonal matrix (v, v) that takes packed E to packed QEQᵀ, or ∇T to Q∇T."""
    packing = strain_measure(measure)
    unit = packing.to_tensor(np.eye(packing.size))
    if measure.physics is Physics.HEAT:
        return np.ascontiguousarray(packing.to_vector(unit @ q.T).T)
    return np.ascontiguousarray(packing.to_vector(q @ unit @ q.T).T)


def _generators(group: str, dimension: int) -> list[FloatArray]:
    """In the material axes."""

    def turn(i: int, j: int, angle: float) -> FloatArray:
        q = np.eye(dimension)
        q[i, i] = q[j, j] = np.cos(angle)
        q[i, j], q[j, i] = -np.sin(angle), np.sin(angle)
        return q

    mirrors = [np.diag(np.where(np.arange(dimension) == i, -1.0, 1.0)) for i in range(dimension)]
    planes = [(0, 1)] if dimension == 2 else [(0, 1), (1, 2)]
    if group == "isotropic":
        return [mirrors[0], *(turn(i, j, 1.0) for i, j in planes)]  # one radian: no power of it is the identity
    if group in ("square", "cubic"):
        return [mirrors[0], *(turn(i, j, np.pi / 2) for i, j in planes)]
    if group == "hexagonal":
        return [mirrors[0], turn(0, 1, np.pi / 3)]
    if group == "transversely_isotropic":
        return [mirrors[0], mirrors[2], turn(0, 1, 1.0)]
    return mirrors if group == "orthotropic" else []


def _of_vector(group: str, d: int) -> tuple[Polynomial, ...]:
    """Invariants of a vector of d components."""
    g = [Polynomial.variable(i, d) for i in range(d)]
    if group == "none":
        return tuple(g)
    squares = [x * x for x in g]
    if group == "orthotropic":
        return tuple(squares)
    length = total(squares)
    if group == "isotropic":
        return (length,)
    if group == "transversely_isotropic":
        return (squares[0] + squares[1], squares[2])
    if group == "hexagonal":
        return (length, threefold(squares[0] + squares[1] * -1.0, g[0] * g[1] * 2.0))  # (g1 + ig2)² cubed
    pairs = [squares[i] * squares[j] for i in range(d) for j in range(i)]
    elementary = (length, total(pairs))
    return elementary if d == 2 else (*elementary, squares[0] * squares[1] * squares[2])


def _of_strain(group: str, d: int) -> tuple[Polynomial, ...]:
    """Invariants of a symmetric tensor in Mandel packing."""
    pairs = Measure(Physics.SMALL_STRAIN, d).index_pairs
    v = len(pairs)
    if group == "none":
        return tuple(Polynomial.variable(k, v) for k in range(v))
    e = strain_components(d)
    diagonal = [e[i, i] for i in range(d)]
    shear = [e[i, j] for i, j in pairs[d:]]  # in the order 23, 13, 12: beside the axis it leaves out
    if group == "orthotropic":
        product = () if d == 2 else (shear[0] * shear[1] * shear[2],)
        return (*diagonal, *(s * s for s in shear), *product)
    if group == "square":
        return diagonal[0] + diagonal[1], diagonal[0] * diagonal[1], shear[0] * shear[0]
    if group == "hexagonal":
        x, y = (diagonal[0] + diagonal[1] * -1.0) * 0.5, shear[0]
        return diagonal[0] + diagonal[1], x * x + y * y, threefold(x, y)
    if group == "cubic":
        return _cubic(diagonal, shear)
    square = {(i, j): total(e[i, k] * e[k, j] for k in range(d)) for i in range(d) for j in range(d)}
    traces = [total(diagonal), total(square[i, i] for i in range(d))]
    if d == 3:
        traces.append(total(square[i, j] * e[j, i] for i in range(d) for j in range(d)))
    return tuple(traces) if group == "isotropic" else (*traces, e[2, 2], square[2, 2])


def threefold(x: Polynomial, y: Polynomial) -> Polynomial:
    """Re (x + iy)³."""
    return x * x * x + x * y * y * -3.0


def _cubic(a: list[Polynomial], shear: list[Polynomial]) -> tuple[Polynomial, ...]:
    """Polarised power sums of the three pairs (a, A), A the squared shear beside axis a, and the product of shears."""
    big = [s * s for s in shear]
    pairs = list(zip(a, big, strict=True))
    return (
        total(a),
        total(x * x for x in a),
        total(big),
        total(x * x * x for x in a),
        shear[0] * shear[1] * shear[2],
        total(x * s for x, s in pairs),
        total(x * x * s for x, s in pairs),
        total(s * s for s in big),
        total(x * s * s for x, s in pairs),
    )
