"""Which symmetry group a cell has, told from its response.

A polynomial energy is fitted to stress and stiffness of the samples with the smaller strains by least squares, once
free and once with each group imposed. The group is accepted if that changes the fitted response, at the samples, by no
more than a tolerance, or than part of the error of the free fit: an energy that is no polynomial is cut off differently
in the two.
The stiffness at rest alone would not do: that of a hexagonal array is isotropic, and a square array may have isotropic
stiffness by chance; the higher derivatives see the difference, as far as the samples reach.
"""

import itertools
from typing import NamedTuple

import numpy as np

from materials.measures import FloatArray, Measure
from surrogates.polynomials import Polynomial, PolynomialTable, table
from surrogates.symmetry import GROUPS, Symmetry, packed_rotation

TOLERANCE = 0.01
"""Largest relative change of stress or stiffness by imposing a group that is accepted."""

_TRUNCATED, _MOST = 0.7, 0.05
"""Where the free fit itself is worse, a change of this part of its relative error is accepted, up to the second."""

_STATES = 200
"""Samples that the fit uses at most, evenly spread over those given."""


def detect(
    measure: Measure, strain: FloatArray, stress: FloatArray, stiffness: FloatArray, tolerance: float = TOLERANCE
) -> Symmetry:
    """The largest group that the response has, along the coordinate axes.

    Args:
        measure: of the response; its physics and dimension count.
        strain: E at finite strain, otherwise the gradient, packed, (n, v). One state, at rest, is enough to tell the
            symmetry of linear elasticity.
        stress: its conjugate, S at finite strain, (n, v).
        stiffness: d stress / d strain, (n, v, v).
        tolerance: see `TOLERANCE`.
    """
    length = np.linalg.norm(strain, axis=1)
    inner = np.flatnonzero(length <= np.median(length))  # where a polynomial is close
    chosen = inner[np.unique(np.linspace(0, len(inner) - 1, min(_STATES, len(inner))).astype(int))]
    samples = _Samples(*(np.asarray(values, dtype=float)[chosen] for values in (strain, stress, stiffness)))
    size = float(np.sqrt(np.mean(np.square(samples.strain)))) or 1.0
    samples = _Samples(np.divide(samples.strain, size, dtype=np.float64), samples.stress, samples.stiffness * size)
    energy = _free_energy(samples)
    matrix, right = _equations(energy, samples)
    free = matrix @ np.linalg.lstsq(matrix, right, rcond=1e-10)[0]
    parts = (slice(0, samples.stress.size), slice(samples.stress.size, None))
    allowed = [
        _norm(right[part]) * max(tolerance, min(_TRUNCATED * _norm(right[part] - free[part]), _MOST)) for part in parts
    ]
    for candidate in _candidates(measure.dimension):
        basis = _invariant_combinations(energy, measure, candidate)
        imposed = matrix @ (basis @ np.linalg.lstsq(matrix @ basis, right, rcond=1e-10)[0])
        if all(_norm(imposed[part] - free[part]) <= bound for part, bound in zip(parts, allowed, strict=True)):
            return candidate
    return Symmetry("none")


class _Samples(NamedTuple):
    """What a response is fitted to; strains of order one."""

    strain: FloatArray
    stress: FloatArray
    stiffness: FloatArray


def _norm(values: FloatArray) -> float:
    return float(np.linalg.norm(values))


def _candidates(dimension: int) -> list[Symmetry]:
    """Groups from the largest; the axis of transverse isotropy along each coordinate axis."""
    found = []
    for group in GROUPS[dimension][:-1]:
        found.append(Symmetry(group))
        if group == "transversely_isotropic":
            found += [
                Symmetry(group, ((0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (1.0, 0.0, 0.0))),
                Symmetry(group, ((0.0, 0.0, 1.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0))),
            ]
    return found


def _free_energy(samples: _Samples) -> PolynomialTable:
    """All monomials of degree 2 up to 6 (4 of six components), as far as there are twice as many data as monomials."""
    n, v = samples.strain.shape
    data = n * (v + v * (v + 1) // 2)
    monomials = _monomials(v, 2)
    for degree in range(3, (6 if v <= 3 else 4) + 1):
        more = _monomials(v, degree)
        if 2 * len(more) <= data and np.any(samples.strain):
            monomials = more
    return table(monomials, v, most=4)


def _monomials(variables: int, degree: int) -> list[Polynomial]:
    """All of degree 2 up to `degree`."""
    return [
        Polynomial({tuple(factors.count(i) for i in range(variables)): 1.0})
        for order in range(2, degree + 1)
        for factors in itertools.combinations_with_replacement(range(variables), order)
    ]


def _equations(energy: PolynomialTable, samples: _Samples) -> tuple[FloatArray, FloatArray]:
    """Matrix and right-hand side of the fit: rows of stress, then of stiffness, both of norm one (or zero)."""
    _, first, second = energy.evaluate(samples.strain)
    parts = []
    for derivative, data in ((first, samples.stress), (second, samples.stiffness)):
        weight = 1.0 / _norm(data) if np.any(data) else 0.0
        rows = np.moveaxis(derivative, 1, -1).reshape(-1, energy.count)
        parts.append((weight * rows, weight * data.ravel()))
    return np.concatenate([rows for rows, _ in parts]), np.concatenate([data for _, data in parts])


def _invariant_combinations(energy: PolynomialTable, measure: Measure, symmetry: Symmetry) -> FloatArray:
    """Combinations of the monomials that no generator of the group changes, as columns."""
    points = np.random.default_rng(0).uniform(-1.0, 1.0, (2 * energy.count, energy.size))
    straight, _, _ = energy.evaluate(points)
    turns = [packed_rotation(measure, q) for q in symmetry.generators(measure.dimension)]
    changes = np.concatenate([energy.evaluate(points @ turn.T)[0] - straight for turn in turns])
    _, values, vectors = np.linalg.svd(changes, full_matrices=False)
    return vectors[values < 1e-9 * max(values[0], 1.0)].T
