"""Invariants of which a convex, non-decreasing function makes a polyconvex energy.

At finite strain an energy is polyconvex (Ball 1977) if it is convex in F, Cof F and J together. |F a|² = a·C a and
|Cof F a|² = a·Cof(C) a are convex in F and in Cof F for every direction a, and so are their powers and, over the
directions that the group turns into each other, their sums

    Σ_a (a·C a)^p,   Σ_a (a·Cof(C) a)^p,   p ≥ 1     (Schröder, Neff and Ebbinghaus 2008; Ebbinghaus et al. 2009).

J is the only other argument, and the energy may fall with it. In the plane Cof F is F turned, and adds nothing.

In heat conduction the same sums are taken of ∇T⊗∇T in place of C, and are convex in ∇T. At small strain the energy is
to be convex in ε: invariants linear in ε, in which the energy may also fall, and even powers of linear ones.

The sets hold fewer invariants than those of `surrogates/symmetry.py`, as not every one of these is convex; what a
network of them cannot be is an energy that is not polyconvex, and some that are.
"""

import itertools
from typing import NamedTuple

import numpy as np

from materials.measures import FloatArray, Measure, Physics
from surrogates.polynomials import Polynomial, total
from surrogates.strain_polynomials import Tensor, cofactor, right_cauchy_green, strain_components


class _Sum(NamedTuple):
    """Σ_a (a·X a)^p."""

    directions: FloatArray
    """The a as rows, (n, d)."""
    power: int


def convex_polynomials(measure: Measure, group: str) -> tuple[Polynomial, ...]:
    """Convex invariants of a group in the packed components along the material axes; zero at rest.

    At finite strain without J − 1, which is no polynomial and belongs to every group.
    """
    d = measure.dimension
    if measure.physics is Physics.SMALL_STRAIN:
        return _of_small_strain(group, d)
    if measure.physics is Physics.HEAT:
        g = [Polynomial.variable(i, d) for i in range(d)]
        if group == "none":
            return tuple(g)
        return _evaluated(_sums(group, d), {(i, j): g[i] * g[j] for i in range(d) for j in range(d)})
    c, sums = right_cauchy_green(d), _sums(group, d)
    found = _evaluated(sums, c)
    if d == 3:
        found += _evaluated([s for s in sums if s.power == 1 or np.count_nonzero(s.directions) == d], cofactor(c))
    return tuple(p.without_constant() for p in found)


def _sums(group: str, d: int) -> list[_Sum]:
    """Directions that the group turns into each other, with the powers that it takes to see them."""
    axes = np.eye(d)
    pairs = [np.array([axes[i] + axes[j], axes[i] - axes[j]]) / np.sqrt(2.0) for j in range(d) for i in range(j)]
    if group == "isotropic":
        return [_Sum(axes, 1)]
    if group == "transversely_isotropic":
        return [_Sum(axes[:2], 1), _Sum(axes[2:], 1)]
    if group == "hexagonal":
        angle = np.pi / 6 * np.arange(6)
        rays = np.stack([np.cos(angle), np.sin(angle)], axis=1)
        return [_Sum(axes, 1), _Sum(rays[::2], 3), _Sum(rays[1::2], 3)]
    if group in ("square", "cubic"):
        return [_Sum(axes, 1), _Sum(axes, 2), _Sum(np.concatenate(pairs), 2)]
    if group == "orthotropic":
        return [*(_Sum(axis[None], 1) for axis in axes), *(_Sum(pair, 2) for pair in pairs)]
    return [_Sum(direction[None], 1) for direction in np.concatenate([axes, *pairs])]


def _evaluated(sums: list[_Sum], tensor: Tensor) -> tuple[Polynomial, ...]:
    return tuple(total(_along(a, tensor) ** s.power for a in s.directions) for s in sums)


def _along(direction: FloatArray, tensor: Tensor) -> Polynomial:
    """The polynomial a·X a."""
    return total(
        tensor[i, j] * float(direction[i] * direction[j])
        for i, j in itertools.product(range(len(direction)), repeat=2)
        if direction[i] * direction[j] != 0.0
    )


def _of_small_strain(group: str, d: int) -> tuple[Polynomial, ...]:
    """Linear invariants, and sums of even powers of linear functions of the strain."""
    e = strain_components(d)
    diagonal, pairs = [e[i, i] for i in range(d)], list(itertools.combinations(range(d), 2))
    differences = [(e[i, i] + e[j, j] * -1.0) ** 2 for i, j in pairs]
    shears = [e[i, j] ** 2 for i, j in pairs]  # 12, 13, 23
    trace = total(diagonal)
    if group == "none":
        v = d * (d + 1) // 2
        return tuple(Polynomial.variable(k, v) for k in range(v))
    if group == "orthotropic":
        return (*diagonal, *shears)
    if group == "transversely_isotropic":
        return (diagonal[0] + diagonal[1], diagonal[2], differences[0] + shears[0] * 4.0, shears[1] + shears[2])
    if group in ("square", "cubic"):
        fourth = () if d == 2 else (total(x**4 for x in diagonal), total(s**2 for s in shears))
        return (trace, total(differences), total(shears), *fourth)
    deviator = total(differences) + total(shears) * (4.0 if d == 2 else 6.0)  # of the square of its norm, d times
    if group == "isotropic":
        return (trace, deviator)
    rays = [s.directions for s in _sums("hexagonal", d)[1:]]
    return (trace, deviator, *(total(_along(a, e) ** 4 for a in directions) for directions in rays))
