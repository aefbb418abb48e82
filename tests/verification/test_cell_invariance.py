"""A cell does not depend on where its pattern starts, nor an isotropic one on its axes, nor stress on the observer."""

from pathlib import Path

import numpy as np
import pytest

from materials.law import Law
from materials.measures import FloatArray, Measure, Physics
from meshes.cells import Voxels
from rve.material import RveMaterial
from tests.verification.cells import STIFF, evaluate_one, fibre, make_cell, random_path, relative_error, sphere
from tests.verification.law_examples import EXAMPLES, examples_of

LABELS = {2: np.array([[0, 0, 1], [1, 0, 0], [0, 1, 1]]), 3: np.random.default_rng(3).integers(0, 2, (3, 3, 2))}
PATTERNS = [(name, 2, "quadrilateral") for name in EXAMPLES] + [
    (name, *mesh)
    for name in ("j2_linear", "neo_hookean", "conductive")
    for mesh in ((2, "triangle"), (3, "hexahedron"), (3, "tetrahedron"))
]

BOXES = [pattern for pattern in PATTERNS if pattern[2] in ("quadrilateral", "hexahedron")]  # the same when turned


def voxel_cell(labels: np.ndarray, law: Law, element: str, folder: Path) -> RveMaterial:
    """Voxels of a law, label 0, and of a stiff one."""
    np.save(folder / "labels.npy", labels)
    assert law.physics is not None
    measure = Measure(law.physics, labels.ndim)
    cell = make_cell(measure, Voxels(str(folder / "labels.npy")), (law, STIFF[law.physics]), element, 1)
    cell.bind(np.zeros(1, dtype=np.int64))
    return cell


@pytest.mark.parametrize(("name", "dimension", "element"), PATTERNS)
def test_the_place_where_the_pattern_starts_does_not_matter(
    name: str, dimension: int, element: str, tmp_path: Path
) -> None:
    example, labels = EXAMPLES[name], LABELS[dimension]
    moved = np.roll(labels, np.arange(1, dimension + 1), axis=np.arange(dimension))
    assert not np.array_equal(moved, labels)
    cells = [voxel_cell(pattern, example.law, element, tmp_path) for pattern in (labels, moved)]
    for gradient in random_path(cells[0].measure, example.size, steps=6, seed=3):
        plain, other = (evaluate_one(cell, gradient) for cell in cells)
        assert relative_error(other.flux, plain.flux) < 1e-10
        assert relative_error(other.tangent, plain.tangent) < 1e-10
        for cell in cells:
            cell.commit()


@pytest.mark.parametrize(("name", "dimension", "element"), BOXES)
def test_a_turned_pattern_answers_in_its_own_axes(name: str, dimension: int, element: str, tmp_path: Path) -> None:
    """By 90° about z, with the load turned likewise; only where the laws are isotropic."""
    example, labels = EXAMPLES[name], LABELS[dimension]
    cells = [voxel_cell(pattern, example.law, element, tmp_path) for pattern in (labels, np.rot90(labels))]
    measure = cells[0].measure
    Q = np.eye(dimension)
    Q[:2, :2] = [[0.0, -1.0], [1.0, 0.0]]
    errors = []
    for gradient in random_path(measure, example.size, steps=6, seed=3):
        plain = evaluate_one(cells[0], gradient)
        other = evaluate_one(cells[1], measure.to_vector(turned(Q, measure.to_tensor(gradient))))
        flux, expected = measure.to_tensor(other.flux[0]), turned(Q, measure.to_tensor(plain.flux[0]))
        tangent = measure.tangent_to_tensor(other.tangent[0])
        expected_tangent = turned(Q, measure.tangent_to_tensor(plain.tangent[0]))
        errors += [relative_error(flux, expected), relative_error(tangent, expected_tangent)]
        for cell in cells:
            cell.commit()
    assert max(errors) < 1e-10 if example.isotropic else max(errors) > 0.01


def turned(Q: FloatArray, tensor: FloatArray) -> FloatArray:
    """A tensor of any order after a rotation."""
    for axis in range(tensor.ndim):
        tensor = np.moveaxis(np.tensordot(Q, tensor, axes=(1, axis)), 0, axis)
    return tensor


def rotation(dimension: int, seed: int) -> FloatArray:
    """A random proper rotation."""
    q, r = np.linalg.qr(np.random.default_rng(seed).normal(size=(dimension, dimension)))
    q *= np.sign(np.diag(r))
    if np.linalg.det(q) < 0.0:
        q[:, 0] *= -1.0
    return q


@pytest.mark.parametrize(
    ("name", "dimension"), [*((name, 2) for name in examples_of(Physics.FINITE_STRAIN)), ("j2_finite", 3)]
)
def test_rotated_deformation_gives_rotated_stress(name: str, dimension: int) -> None:
    """P(QF) = Q P(F), and the tangent transforms with Q on the first index of both pairs, history included."""
    measure = Measure(Physics.FINITE_STRAIN, dimension)
    laws = (EXAMPLES[name].law, STIFF[Physics.FINITE_STRAIN])
    geometry, element = {2: (fibre(5), "triangle"), 3: (sphere(2), "tetrahedron")}[dimension]
    cell = make_cell(measure, geometry, laws, element, 1)
    cell.bind(np.zeros(1, dtype=np.int64))
    departure = EXAMPLES[name].size * np.random.default_rng(5).uniform(-1.0, 1.0, (dimension, dimension))
    evaluate_one(cell, measure.to_vector(np.eye(dimension) + 0.5 * departure))
    cell.commit()
    deformation = np.eye(dimension) + departure
    plain = evaluate_one(cell, measure.to_vector(deformation))
    turn = rotation(dimension, seed=6)
    # The iterates take the turn in steps: a rotation of 180° in one go is not what a step of a simulation is.
    for share in np.linspace(0.0, 1.0, 9)[1:]:
        turned_response = evaluate_one(cell, measure.to_vector(_power(turn, share) @ deformation))
    expected = turn @ measure.to_tensor(plain.flux[0])
    assert relative_error(measure.to_tensor(turned_response.flux[0]), expected) < 1e-9
    expected_tangent = np.einsum("ia,kc,ajcl->ijkl", turn, turn, measure.tangent_to_tensor(plain.tangent[0]))
    assert relative_error(measure.tangent_to_tensor(turned_response.tangent[0]), expected_tangent) < 1e-8


def _power(turn: FloatArray, exponent: float) -> FloatArray:
    """turn^exponent for a rotation, by its eigenvalues."""
    values, vectors = np.linalg.eig(turn)
    return np.real(vectors @ np.diag(values**exponent) @ np.linalg.inv(vectors))
