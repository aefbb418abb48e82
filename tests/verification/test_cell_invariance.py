"""A cell of one phase is that phase, and a rigid rotation of F rotates the answer and changes nothing else."""

import numpy as np
import pytest

from materials.law_material import LawMaterial
from materials.measures import FloatArray, Measure, Physics
from tests.verification.cells import (
    ELEMENTS,
    PLASTIC,
    SOFT,
    STIFF,
    evaluate_one,
    fibre,
    layers,
    make_cell,
    random_path,
    relative_error,
    sphere,
)

ONE_PHASE = [
    (dimension, element, degree) for dimension in (2, 3) for element in ELEMENTS[dimension] for degree in (1, 2)
]


@pytest.mark.parametrize("bbar", [False, True])
@pytest.mark.parametrize("physics", list(Physics))
@pytest.mark.parametrize(("dimension", "element", "degree"), ONE_PHASE)
def test_cell_of_one_phase_answers_like_its_law(
    dimension: int, element: str, degree: int, physics: Physics, bbar: bool
) -> None:
    if bbar and (physics is not Physics.SMALL_STRAIN or degree == 2):
        bbar = False
    measure = Measure(physics, dimension)
    one = PLASTIC if physics is Physics.SMALL_STRAIN else SOFT[physics]
    simplex = element in ("triangle", "tetrahedron")
    geometry = (fibre(4) if dimension == 2 else sphere(2)) if simplex else layers("x")
    cell = make_cell(measure, geometry, (one, one), element, degree, bbar)
    plain = LawMaterial(one, measure)
    for material in (cell, plain):
        material.bind(np.zeros(1, dtype=np.int64))
    amplitude = {Physics.SMALL_STRAIN: 0.02, Physics.FINITE_STRAIN: 0.2, Physics.HEAT: 1.0}[physics]
    for gradient in random_path(measure, amplitude, steps=6, seed=11):
        response, reference = evaluate_one(cell, gradient), evaluate_one(plain, gradient)
        assert relative_error(response.flux, reference.flux) < 1e-10
        assert relative_error(response.tangent, reference.tangent) < 1e-10
        cell.commit()
        plain.commit()


def rotation(dimension: int, seed: int) -> FloatArray:
    """A random proper rotation."""
    q, r = np.linalg.qr(np.random.default_rng(seed).normal(size=(dimension, dimension)))
    q *= np.sign(np.diag(r))
    if np.linalg.det(q) < 0.0:
        q[:, 0] *= -1.0
    return q


@pytest.mark.parametrize(
    ("dimension", "geometry", "element"), [(2, fibre(5), "triangle"), (3, sphere(2), "tetrahedron")]
)
def test_rotated_deformation_gives_rotated_stress(dimension: int, geometry, element: str) -> None:
    """P(QF) = Q P(F), and the tangent transforms with Q on the first index of both pairs."""
    measure = Measure(Physics.FINITE_STRAIN, dimension)
    laws = (SOFT[Physics.FINITE_STRAIN], STIFF[Physics.FINITE_STRAIN])
    cell = make_cell(measure, geometry, laws, element, 2)
    cell.bind(np.zeros(1, dtype=np.int64))
    rng = np.random.default_rng(5)
    deformation = np.eye(dimension) + 0.2 * rng.uniform(-1.0, 1.0, (dimension, dimension))
    turn = rotation(dimension, seed=6)
    plain = evaluate_one(cell, measure.to_vector(deformation))
    cell.revert()
    # The turn is taken in steps: a rotation of 180° in one go is not what a step of a simulation is.
    angle_path = [_power(turn, s) @ deformation for s in np.linspace(0.0, 1.0, 9)[1:]]
    for step in angle_path:
        turned = evaluate_one(cell, measure.to_vector(step))
    expected = turn @ measure.to_tensor(plain.flux[0])
    assert relative_error(measure.to_tensor(turned.flux[0]), expected) < 1e-9
    expected_tangent = np.einsum("ia,kc,ajcl->ijkl", turn, turn, measure.tangent_to_tensor(plain.tangent[0]))
    assert relative_error(measure.tangent_to_tensor(turned.tangent[0]), expected_tangent) < 1e-8


def _power(turn: FloatArray, exponent: float) -> FloatArray:
    """turn^exponent for a rotation, by its eigenvalues."""
    values, vectors = np.linalg.eig(turn)
    return np.real(vectors @ np.diag(values**exponent) @ np.linalg.inv(vectors))
