"""Patch test: a cell of one phase is that phase, whatever its mesh and its boundary, and its fluctuation is zero."""

import numpy as np
import pytest

from materials.law_material import LawMaterial
from materials.measures import Measure, Physics
from rve.boundary_conditions import BOUNDARY_CONDITIONS
from tests.verification.cells import (
    ELEMENTS,
    evaluate_one,
    fibre,
    layers,
    make_cell,
    random_path,
    relative_error,
    sphere,
)
from tests.verification.law_examples import EXAMPLES

MESHES = [(dimension, element, degree) for dimension in (2, 3) for element in ELEMENTS[dimension] for degree in (1, 2)]
LINEAR_MESHES = [mesh for mesh in MESHES if mesh[2] == 1]


def assert_cell_is_its_law(name: str, dimension: int, element: str, degree: int, boundary: str, bbar: bool) -> None:
    """Along a path that loads, turns and unloads: flux and tangent of the law, and a displacement linear in X."""
    law, size = EXAMPLES[name].law, EXAMPLES[name].size
    assert law.physics is not None
    measure = Measure(law.physics, dimension)
    simplex = element in ("triangle", "tetrahedron")
    geometry = (fibre(4) if dimension == 2 else sphere(2)) if simplex else layers("x")
    cell = make_cell(measure, geometry, (law, law), element, degree, bbar, boundary)
    plain = LawMaterial(law, measure)
    for material in (cell, plain):
        material.bind(np.zeros(1, dtype=np.int64))
    for gradient in random_path(measure, size, steps=4, seed=11):
        response, reference = evaluate_one(cell, gradient), evaluate_one(plain, gradient)
        assert relative_error(response.flux, reference.flux) < 1e-12
        assert relative_error(response.tangent, reference.tangent) < 1e-12
        for output in cell.outputs:
            assert response.outputs[output] == pytest.approx(reference.outputs[output], rel=1e-12)
        cell.commit()
        plain.commit()
        field = cell.localize(0)
        macroscopic = measure.to_tensor(gradient - measure.rest).reshape(measure.block_size, dimension)
        fluctuation = field.values - field.points @ macroscopic.T
        assert np.abs(fluctuation).max() < 1e-11 * size


@pytest.mark.parametrize("boundary", BOUNDARY_CONDITIONS)
@pytest.mark.parametrize(("dimension", "element", "degree"), LINEAR_MESHES)
@pytest.mark.parametrize("name", EXAMPLES)
def test_every_law(name: str, dimension: int, element: str, degree: int, boundary: str) -> None:
    assert_cell_is_its_law(name, dimension, element, degree, boundary, bbar=False)


@pytest.mark.parametrize("boundary", BOUNDARY_CONDITIONS)
@pytest.mark.parametrize(("dimension", "element", "degree"), MESHES)
@pytest.mark.parametrize("name", ["j2_linear", "neo_hookean", "conductive"])
def test_every_mesh(name: str, dimension: int, element: str, degree: int, boundary: str) -> None:
    bbar = degree == 1 and EXAMPLES[name].law.physics is Physics.SMALL_STRAIN
    assert_cell_is_its_law(name, dimension, element, degree, boundary, bbar)
