"""The symmetry of real cells is told from their response, on none of which a threshold of the detection was chosen."""

import numpy as np
import pytest

from materials.measures import Measure, Physics
from meshes.cells import CellGeometry
from surrogates.conjugates import Conjugates, conjugate
from surrogates.family import Samples
from surrogates.symmetry_detection import detect
from tests.verification.cells import SOFT, STIFF, fibre, layers, make_cell, sphere

FINITE = Physics.FINITE_STRAIN
AMPLITUDE = 0.1


def response(dimension: int, geometry: CellGeometry, element: str, n: int) -> Conjugates:
    """Answers of a cell at random states."""
    measure = Measure(FINITE, dimension)
    cell = make_cell(measure, geometry, (SOFT[FINITE], STIFF[FINITE]), element, 1)
    gradient = measure.rest + AMPLITUDE * np.random.default_rng(7).uniform(-1.0, 1.0, (n, measure.size))
    cell.bind(np.arange(n))
    answer = cell.evaluate(gradient, 1.0)
    return conjugate(measure, Samples(gradient, answer.flux, answer.tangent))


@pytest.mark.parametrize(("dimension", "geometry", "element", "n", "group"), [
    (2, fibre(6), "triangle", 60, "square"),
    (2, layers("y"), "quadrilateral", 60, "orthotropic"),
    (3, sphere(2), "tetrahedron", 60, "cubic"),
    (3, layers("x"), "hexahedron", 60, "transversely_isotropic"),
])  # fmt: skip
def test_the_symmetry_of_a_cell(dimension: int, geometry: CellGeometry, element: str, n: int, group: str) -> None:
    found = detect(Measure(FINITE, dimension), *response(dimension, geometry, element, n))
    assert found.group == group
    if group == "transversely_isotropic":
        np.testing.assert_array_equal(found.matrix(3)[2], [1.0, 0.0, 0.0])


def test_a_violation_above_the_tolerance_is_seen_and_one_below_it_is_not() -> None:
    """A stiffer direction is added to the square cell: 3 % of its stress breaks the symmetry, 0.3 % does not."""
    measure = Measure(FINITE, 2)
    strain, stress, stiffness = response(2, fibre(6), "triangle", 60)
    for share, group in ((0.003, "square"), (0.03, "orthotropic")):
        modulus = share * np.linalg.norm(stress) / np.linalg.norm(strain[:, 0])
        more, bend = stress.copy(), stiffness.copy()
        more[:, 0] += modulus * strain[:, 0]
        bend[:, 0, 0] += modulus
        assert detect(measure, strain, more, bend).group == group
