"""Which symmetry group a cell has, told from its response.

A polynomial energy is fitted to stress and stiffness of the samples by least squares, once free and once with each
group imposed, and asked for states that it was not fitted to (cross-validation over blocks of states, which are whole
paths where states of a path stand together). The group is accepted if that predicts them as well:

    (error with the group)² ≤ (error of the free fit)² + tolerance²,

for stress and for stiffness, in relative errors. If the cell has the group, the average over it of any polynomial is at
least as near to the response, so imposing it costs nothing, however well polynomials of this degree do; if the cell
does not, its violation adds to the error. So the tolerance is on the violation alone.
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
"""Largest relative violation of a group, in stress or stiffness, that is accepted: meshes violate it by as much."""

_FOLDS = 4
"""Blocks that are left out of the fit in turn; below twice as many states none are."""

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
    equations = _equations(energy, samples)
    free = _errors(equations, np.eye(energy.count))
    for candidate in _candidates(measure.dimension):
        imposed = _errors(equations, _invariant_combinations(energy, measure, candidate))
        if (imposed <= free + tolerance**2).all():
            return candidate
    return Symmetry("none")


class _Samples(NamedTuple):
    """What a response is fitted to; strains of order one."""

    strain: FloatArray
    stress: FloatArray
    stiffness: FloatArray


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


class _Equations(NamedTuple):
    """The fit as linear equations, state by state, for stress and stiffness each divided by its norm."""

    stress: FloatArray
    """(n, v, k)"""
    stress_data: FloatArray
    """(n, v)"""
    stiffness: FloatArray
    """(n, v², k)"""
    stiffness_data: FloatArray
    """(n, v²)"""


def _equations(energy: PolynomialTable, samples: _Samples) -> _Equations:
    """The equations of a fit; stress of no size at all gets no weight."""
    _, first, second = energy.evaluate(samples.strain)
    parts = []
    for derivative, data in ((first, samples.stress), (second, samples.stiffness)):
        weight = 1.0 / float(np.linalg.norm(data)) if np.any(data) else 0.0
        n = len(data)
        parts += [weight * np.moveaxis(derivative, 1, -1).reshape(n, -1, energy.count), weight * data.reshape(n, -1)]
    return _Equations(*parts)


def _errors(equations: _Equations, basis: FloatArray) -> FloatArray:
    """Squared relative errors of stress and of stiffness at states that were left out, of the fit in a basis (k, b)."""
    n = len(equations.stress)
    folds = np.arange(n) * _FOLDS // n if n >= 2 * _FOLDS else np.zeros(n, dtype=np.int64)
    matrices = [equations.stress @ basis, equations.stiffness @ basis]
    data = [equations.stress_data, equations.stiffness_data]
    errors = np.zeros(2)
    for fold in np.unique(folds):
        out = folds == fold
        fitted = ~out if len(np.unique(folds)) > 1 else out
        rows = np.concatenate([matrix[fitted].reshape(-1, basis.shape[1]) for matrix in matrices])
        right = np.concatenate([values[fitted].ravel() for values in data])
        fit = np.linalg.lstsq(rows, right, rcond=1e-10)[0]
        errors += [
            np.sum(np.square(matrix[out] @ fit - values[out])) for matrix, values in zip(matrices, data, strict=True)
        ]
    return errors


def _invariant_combinations(energy: PolynomialTable, measure: Measure, symmetry: Symmetry) -> FloatArray:
    """Combinations of the monomials that no generator of the group changes, as columns."""
    points = np.random.default_rng(0).uniform(-1.0, 1.0, (2 * energy.count, energy.size))
    straight, _, _ = energy.evaluate(points)
    turns = [packed_rotation(measure, q) for q in symmetry.generators(measure.dimension)]
    changes = np.concatenate([energy.evaluate(points @ turn.T)[0] - straight for turn in turns])
    _, values, vectors = np.linalg.svd(changes, full_matrices=False)
    return vectors[values < 1e-9 * max(values[0], 1.0)].T
