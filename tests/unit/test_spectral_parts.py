"""The parts of the voxel solver, each against something else than itself."""

import numpy as np
import pytest
import torch

from materials.laws.damage import Damage
from materials.measures import Measure, Physics
from rve.spectral.cell import SpectralCell, build_spectral_cell
from rve.spectral.conjugate_gradients import conjugate_gradients
from rve.spectral.grid import Grid, Integration
from rve.spectral.linearization import gradient_matrices
from rve.spectral.material import SpectralMaterial
from rve.spectral.reference_medium import ReferenceMedium
from rve.spectral.stiffness import HostStiffness, TorchStiffness
from tests.verification.cells import SOFT, STIFF

CPU = torch.device("cpu")
SHAPES = {2: (6, 5), 3: (4, 3, 6)}
EVERY = [(physics, d, integration) for physics in Physics for d in (2, 3) for integration in Integration]


def cell_of(physics: Physics, dimension: int, integration: Integration) -> SpectralCell:
    measure = Measure(physics, dimension)
    labels = np.random.default_rng(0).integers(0, 2, SHAPES[dimension])
    size = (1.0, 0.7, 1.3)[:dimension]
    return build_spectral_cell(labels, {"soft": SOFT[physics], "stiff": STIFF[physics]}, measure, size, integration)


def random_tangent(cell: SpectralCell, seed: int) -> np.ndarray:
    shape = (len(cell.grid.points), cell.grid.n_voxels // cell.grid.strip, cell.packing.n_kept, cell.grid.strip)
    return np.random.default_rng(seed).uniform(-1, 1, shape)


def random_fields(cell: SpectralCell, k: int, seed: int) -> torch.Tensor:
    shape = (1, k, cell.measure.block_size, *cell.grid.box)
    return torch.from_numpy(np.random.default_rng(seed).uniform(-1, 1, shape))


@pytest.mark.parametrize("integration", list(Integration))
@pytest.mark.parametrize("dimension", [2, 3])
def test_gradients_of_linear_fields_are_exact(dimension: int, integration: Integration) -> None:
    grid = Grid(SHAPES[dimension], (1.0, 0.7, 1.3)[:dimension], integration)
    slope = np.arange(1.0, dimension + 1)
    values = grid.corners[:, grid.first_axis :] * grid.spacing @ slope
    for table in grid.shape_gradients:
        np.testing.assert_allclose(values @ table, slope, rtol=1e-14)


@pytest.mark.parametrize(("physics", "dimension", "integration"), EVERY)
def test_the_stencil_and_torch_agree(physics: Physics, dimension: int, integration: Integration) -> None:
    cell = cell_of(physics, dimension, integration)
    fields = random_fields(cell, 3, seed=1)
    gradients = torch.from_numpy(np.random.default_rng(2).uniform(-1, 1, (1, 3, cell.measure.size)))
    answers = []
    for stiffness in (HostStiffness(cell), TorchStiffness(cell, CPU)):
        stiffness.hold([random_tangent(cell, seed=3)])
        answers.append(stiffness.forces(fields, gradients))
    for mine, other in zip(*answers, strict=True):
        np.testing.assert_allclose(mine.numpy(), other.numpy(), rtol=0, atol=1e-13 * float(other.abs().max()))


@pytest.mark.parametrize(("physics", "dimension", "integration"), EVERY)
def test_single_precision_is_double_precision_rounded(
    physics: Physics, dimension: int, integration: Integration
) -> None:
    cell = cell_of(physics, dimension, integration)
    fields, gradients = random_fields(cell, 2, seed=9), torch.ones((1, 2, cell.measure.size), dtype=torch.float64)
    answers = []
    for real, to in ((np.float64, torch.float64), (np.float32, torch.float32)):
        stiffness = HostStiffness(cell, real)
        stiffness.hold([random_tangent(cell, seed=10)])
        answers.append(stiffness.forces(fields.to(to), gradients.to(to)))
    for exact, rounded in zip(*answers, strict=True):
        assert rounded.dtype == torch.float32
        error = (exact - rounded).abs().max() / exact.abs().max()
        assert 1e-9 < error < 3e-6


@pytest.mark.parametrize(("physics", "dimension", "integration"), EVERY)
def test_the_stencil_is_the_assembled_matrix(physics: Physics, dimension: int, integration: Integration) -> None:
    cell = cell_of(physics, dimension, integration)
    grid, b, position = cell.grid, cell.measure.block_size, cell.packing.position
    tangent = random_tangent(cell, seed=4)
    by_voxel = np.moveaxis(tangent, 3, 2).reshape(len(grid.points), grid.n_voxels, -1)
    matrix = np.zeros((b, grid.n_voxels, b, grid.n_voxels))
    for voxel, nodes in enumerate(grid.nodes):
        local = sum(
            grid.point_volume * one.T @ by_voxel[q, voxel][position] @ one
            for q, one in enumerate(gradient_matrices(cell))
        )
        for row, node in enumerate(nodes):
            for column, other in enumerate(nodes):
                block = local[row * b : (row + 1) * b, column * b : (column + 1) * b]
                matrix[:, node, :, other] += block
    fields = random_fields(cell, 1, seed=5)
    stiffness = HostStiffness(cell)
    stiffness.hold([tangent])
    forces, _ = stiffness.forces(fields, torch.zeros((1, 1, cell.measure.size), dtype=torch.float64))
    expected = matrix.reshape(b * grid.n_voxels, -1) @ fields.numpy().ravel()
    np.testing.assert_allclose(forces.numpy().ravel(), expected, rtol=0, atol=1e-13 * np.abs(expected).max())


@pytest.mark.parametrize(("physics", "dimension", "integration"), EVERY)
def test_the_reference_medium_inverts_a_homogeneous_cell(
    physics: Physics, dimension: int, integration: Integration
) -> None:
    cell = cell_of(physics, dimension, integration)
    g, position = cell.measure.size, cell.packing.position
    root = np.random.default_rng(6).uniform(-1, 1, (g, g))
    tangent = np.empty_like(random_tangent(cell, seed=0))
    tangent[...] = (root @ root.T + np.eye(g))[np.triu_indices(g)][:, None]
    assert (position[np.triu_indices(g)] == np.arange(cell.packing.n_kept)).all()
    stiffness, medium = HostStiffness(cell), ReferenceMedium(cell, CPU)
    stiffness.hold([tangent])
    medium.average([tangent])
    none = torch.zeros((1, 2, g), dtype=torch.float64)
    forces, _ = stiffness.forces(random_fields(cell, 2, seed=7), none)
    again, _ = stiffness.forces(medium.solve(forces), none)
    np.testing.assert_allclose(again.numpy(), forces.numpy(), rtol=0, atol=1e-12 * float(forces.abs().max()))


def test_hourglasses_stay_out_of_the_fluctuation() -> None:
    measure = Measure(Physics.HEAT, 2)
    laws = {"soft": SOFT[Physics.HEAT], "stiff": STIFF[Physics.HEAT]}
    labels = np.random.default_rng(0).integers(0, 2, (8, 6))
    cell = SpectralMaterial(build_spectral_cell(labels, laws, measure, (1.0, 1.0)))
    cell.bind(np.zeros(1, dtype=np.int64))
    cell.evaluate(np.ones((1, 2)), 1.0)
    cell.commit()
    fluctuation = cell.state()["fluctuation"].reshape(8, 6)
    checkerboard = (-1.0) ** np.indices((8, 6)).sum(axis=0)
    single = 1e-6 * np.abs(fluctuation).sum()  # corrections are solved in single precision
    assert np.abs(fluctuation).max() > 1e-3
    assert abs((fluctuation * checkerboard).sum()) < single
    assert abs(fluctuation.sum()) < single


def test_conjugate_gradients_solve_each_side_and_notice_an_indefinite_matrix() -> None:
    rng = np.random.default_rng(8)
    root = rng.uniform(-1, 1, (2, 5, 5))
    matrices = torch.from_numpy(root @ root.swapaxes(1, 2) + np.eye(5))
    matrices[1] = torch.diag(torch.tensor([1.0, 2.0, -3.0, 4.0, 5.0], dtype=torch.float64))
    side = torch.from_numpy(rng.uniform(-1, 1, (2, 3, 5)))
    found = conjugate_gradients(
        lambda x: torch.einsum("cij,ckj->cki", matrices, x), lambda r: r, side, None, torch.full((2, 3), 1e-12)
    )
    exact = np.linalg.solve(matrices[0].numpy(), side[0].numpy().T).T
    np.testing.assert_allclose(found.fields[0].numpy(), exact, rtol=1e-10)
    assert found.definite[0].all()
    assert not found.definite[1].any()


def test_unsymmetric_tangents_are_refused() -> None:
    softening = Damage(E=1000.0, nu=0.2, threshold=1e-4, failure=1e-2)
    labels, measure = np.zeros((2, 2), dtype=np.int64), Measure(Physics.SMALL_STRAIN, 2)
    with pytest.raises(ValueError, match=r"phase soft: the tangent of law damage is not symmetric.*use method fem"):
        build_spectral_cell(labels, {"soft": softening}, measure, (1.0, 1.0))
