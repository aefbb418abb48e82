"""Voids: their elements are gone, their volume counts, and solids that they set loose are refused."""

import numpy as np
import pytest

from materials.law_material import LawMaterial
from materials.measures import Measure, Physics
from tests.verification.cells import SOFT, evaluate_one, fibre, law, layers, make_cell, relative_error, sphere

VOID = law("void")


@pytest.mark.parametrize("physics", [Physics.SMALL_STRAIN, Physics.HEAT])
def test_a_void_is_the_limit_of_a_soft_inclusion(physics: Physics) -> None:
    measure = Measure(physics, 2)
    soft = {Physics.SMALL_STRAIN: law("elastic", E=1e-6, nu=0.3), Physics.HEAT: law("conductive", k=1e-9)}[physics]
    tangents = []
    for inclusion in (VOID, soft):
        cell = make_cell(measure, fibre(8), (SOFT[physics], inclusion), "triangle", 2)
        cell.bind(np.zeros(1, dtype=np.int64))
        assert cell.cell.volume == pytest.approx(1.0)
        tangents.append(evaluate_one(cell, measure.rest + 1e-3).tangent[0])
    assert relative_error(tangents[0], tangents[1]) < 1e-7


def test_a_void_layer_leaves_the_other_layer_its_share() -> None:
    """Along the layers the stiffness is that of the solid's share in plane stress normal to them; across it is zero."""
    measure = Measure(Physics.SMALL_STRAIN, 2)
    solid = SOFT[Physics.SMALL_STRAIN]
    cell = make_cell(measure, layers("x", 0.4), (solid, VOID), "quadrilateral", 1)
    cell.bind(np.zeros(1, dtype=np.int64))
    tangent = evaluate_one(cell, measure.rest + 1e-3).tangent[0]
    plain = LawMaterial(solid, measure)
    plain.bind(np.zeros(1, dtype=np.int64))
    c = evaluate_one(plain, measure.rest).tangent[0]
    expected = np.zeros((3, 3))
    expected[1, 1] = 0.4 * (c[1, 1] - c[0, 1] ** 2 / c[0, 0])
    assert relative_error(tangent, expected) < 1e-10


@pytest.mark.parametrize(
    ("dimension", "geometry", "element"), [(2, fibre(5), "triangle"), (3, sphere(2), "tetrahedron")]
)
def test_loose_solids_are_refused(dimension: int, geometry, element: str) -> None:
    with pytest.raises(ValueError, match="does not hold together"):
        make_cell(Measure(Physics.SMALL_STRAIN, dimension), geometry, (VOID, SOFT[Physics.SMALL_STRAIN]), element, 1)
