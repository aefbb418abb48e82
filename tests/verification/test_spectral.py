"""Voxel cells by Fourier's transform against finite elements, exact laminates and Taylor expansions."""

from pathlib import Path

import numpy as np
import pytest
import torch

from materials.hardening import Hardening
from materials.interface import Material
from materials.law import Law
from materials.measures import FloatArray, Measure, Physics
from meshes.cells import Voxels, build_cell_mesh
from rve.cell import build_cell
from rve.material import RveMaterial
from rve.newton_settings import NewtonSettings
from rve.spectral.cell import build_spectral_cell
from rve.spectral.grid import Integration
from rve.spectral.material import SpectralMaterial
from rve.spectral.stiffness import TorchStiffness
from tests.verification.cells import PLASTIC, SOFT, STIFF, TIGHT, evaluate_one, law, random_path, relative_error
from tests.verification.laminate import ExactLaminate

BOTH = list(Integration)
SHAPES = {2: (6, 5), 3: (4, 3, 5)}
SIZES = {2: (1.0, 0.7), 3: (1.0, 0.7, 1.3)}
EVERY = [(physics, dimension) for physics in Physics for dimension in (2, 3)]


def spectral(
    measure: Measure,
    labels: np.ndarray,
    laws: tuple[Law, ...],
    integration: Integration = Integration.REDUCED,
    size: tuple[float, ...] | None = None,
    n_points: int = 1,
    settings: NewtonSettings = TIGHT,
) -> SpectralMaterial:
    named = {f"phase_{number}": one for number, one in enumerate(laws)}
    size = SIZES[measure.dimension] if size is None else size
    material = SpectralMaterial(build_spectral_cell(labels, named, measure, size, integration), settings)
    material.bind(np.arange(n_points))
    return material


def finite_elements(
    measure: Measure, labels: np.ndarray, laws: tuple[Law, ...], folder: Path, size: tuple[float, ...] | None = None
) -> RveMaterial:
    """Hexahedra or quadrilaterals of degree 1 with full Gauss integration on the same voxels."""
    np.save(folder / "labels.npy", labels)
    size = SIZES[measure.dimension] if size is None else size
    geometry = Voxels(file=str(folder / "labels.npy"), size=size)
    mesh = build_cell_mesh(geometry, measure.dimension, {2: "quadrilateral", 3: "hexahedron"}[measure.dimension])
    material = RveMaterial(build_cell(mesh, dict(zip(mesh.phases, laws, strict=True)), measure, 1), TIGHT)
    material.bind(np.arange(1))
    return material


def random_labels(dimension: int, phases: int = 2, seed: int = 0) -> np.ndarray:
    labels = np.random.default_rng(seed).integers(0, phases, SHAPES[dimension])
    labels.ravel()[:phases] = np.arange(phases)  # all of them occur
    return labels


def pair_of_laws(physics: Physics) -> tuple[Law, Law]:
    return (PLASTIC if physics is Physics.SMALL_STRAIN else SOFT[physics]), STIFF[physics]


def same_along(path: FloatArray, one: Material, other: Material) -> float:
    """Largest difference of flux, tangent and outputs along a path, each relative to the largest on it."""
    errors, scales = np.zeros(2), np.zeros(2)
    for gradient in path:
        mine, exact = evaluate_one(one, gradient), evaluate_one(other, gradient)
        scales = np.maximum(scales, [np.abs(exact.flux).max(), np.abs(exact.tangent).max()])
        outputs = [np.abs(mine.outputs[name] - exact.outputs[name]).max() for name in exact.outputs]
        found = [max([np.abs(mine.flux - exact.flux).max(), *outputs]), np.abs(mine.tangent - exact.tangent).max()]
        errors = np.maximum(errors, found)
        one.commit()
        other.commit()
    return float((errors / scales).max())


@pytest.mark.parametrize(("physics", "dimension"), EVERY)
def test_full_integration_is_the_finite_element_answer(physics: Physics, dimension: int, tmp_path: Path) -> None:
    measure, labels, laws = Measure(physics, dimension), random_labels(dimension), pair_of_laws(physics)
    path = random_path(measure, 0.03, 6, seed=1)
    mine = spectral(measure, labels, laws, Integration.FULL)
    assert same_along(path, mine, finite_elements(measure, labels, laws, tmp_path)) < 1e-8


@pytest.mark.parametrize("integration", BOTH)
@pytest.mark.parametrize(("physics", "dimension"), EVERY)
@pytest.mark.parametrize("normal", [0, 1])
def test_a_laminate_is_exact(physics: Physics, dimension: int, normal: int, integration: Integration) -> None:
    measure, laws = Measure(physics, dimension), pair_of_laws(physics)
    labels = np.ones(SHAPES[dimension], dtype=np.int64)
    labels[(slice(None),) * normal + (slice(0, 2),)] = 0
    exact = ExactLaminate(laws, measure, 2 / SHAPES[dimension][normal], normal)
    exact.bind(np.arange(1))
    path = random_path(measure, 0.02, 5, seed=2)
    assert same_along(path, spectral(measure, labels, laws, integration), exact) < 1e-8


@pytest.mark.parametrize("physics", list(Physics))
def test_reduced_integration_converges_to_finite_elements(physics: Physics, tmp_path: Path) -> None:
    # Finite elements on the finest voxels by h-refinement bound the answer from above; the centres alone from below.
    measure = Measure(physics, 2)
    laws = SOFT[physics], STIFF[physics]
    coarse = np.zeros((4, 4), dtype=np.int64)
    coarse[1:3, 1:3] = 1
    gradient = measure.rest + 1e-3 * np.random.default_rng(0).uniform(-1, 1, measure.size)
    gaps = []
    for refinement in (2, 4, 8):
        labels = np.kron(coarse, np.ones((refinement, refinement), dtype=np.int64))
        element = finite_elements(measure, labels, laws, tmp_path, (1.0, 1.0))
        exact = evaluate_one(element, gradient).tangent[0]
        found = evaluate_one(spectral(measure, labels, laws, size=(1.0, 1.0)), gradient).tangent[0]
        gaps.append(relative_error(found, exact))
    assert gaps[2] < 0.02
    rate = np.log2(gaps[1] / gaps[2])
    assert rate > 0.9  # corners of the square inclusion are singular: below the second order of smooth fields


@pytest.mark.parametrize("integration", BOTH)
@pytest.mark.parametrize(("physics", "dimension"), EVERY)
def test_tangent_is_the_derivative_of_the_flux(physics: Physics, dimension: int, integration: Integration) -> None:
    measure = Measure(physics, dimension)
    soft = law("j2", E=1000.0, nu=0.3, yield_stress=1.0, hardening=20.0)
    laws = (soft if physics is Physics.SMALL_STRAIN else SOFT[physics]), STIFF[physics]
    cell = spectral(measure, random_labels(dimension), laws, integration)
    rng = np.random.default_rng(3)
    load, direction = rng.uniform(-1, 1, (2, measure.size))
    evaluate_one(cell, measure.rest + 0.01 * load)
    cell.commit()
    gradient = measure.rest + 0.02 * load
    step = 1e-6
    tangent = evaluate_one(cell, gradient).tangent[0]
    ahead, behind = (evaluate_one(cell, gradient + sign * step * direction).flux[0] for sign in (1, -1))
    assert relative_error((ahead - behind) / (2 * step), tangent @ direction) < 1e-6


@pytest.mark.parametrize("integration", BOTH)
@pytest.mark.parametrize(("physics", "dimension"), EVERY)
def test_hill_mandel(physics: Physics, dimension: int, integration: Integration) -> None:
    measure = Measure(physics, dimension)
    cell = spectral(measure, random_labels(dimension), pair_of_laws(physics), integration)
    gradient = measure.rest + 0.02 * np.random.default_rng(4).uniform(-1, 1, measure.size)
    flux = evaluate_one(cell, gradient).flux[0]
    cell.commit()
    micro = cell.localize(0)
    # The average of the flux from the forces on the boundary alone, which no average over the cell enters.
    x = micro.points - micro.points.mean(axis=0)
    tensor = np.einsum("ni,nj->ij", micro.nodal_forces, x) / cell.cell.volume
    if physics is Physics.HEAT:
        tensor = tensor[0]
    elif physics is Physics.SMALL_STRAIN:
        assert relative_error(tensor, tensor.T) < 1e-9
    assert relative_error(measure.to_vector(tensor), flux) < 1e-9
    interior = (micro.points > 1e-9).all(axis=1) & (micro.points < np.array(cell.cell.grid.size) - 1e-9).all(axis=1)
    assert np.abs(micro.nodal_forces[interior]).max() < 1e-9 * np.abs(micro.nodal_forces).max()
    volume = cell.cell.volume / cell.cell.grid.n_voxels
    assert relative_error(micro.gradient.sum(axis=0) * volume / cell.cell.volume, gradient) < 1e-9
    assert relative_error(micro.flux.sum(axis=0) * volume / cell.cell.volume, flux) < 1e-9


@pytest.mark.parametrize("integration", BOTH)
def test_plane_strain_is_the_response_of_a_slice(integration: Integration) -> None:
    plane, space = (Measure(Physics.SMALL_STRAIN, dimension) for dimension in (2, 3))
    labels = random_labels(2)
    laws = pair_of_laws(Physics.SMALL_STRAIN)
    flat = spectral(plane, labels, laws, integration)
    thick = spectral(space, labels[:, :, None], laws, integration, (*SIZES[2], 0.3))
    kept = plane.components_in_space
    for strain in random_path(plane, 0.02, 4, seed=5):
        embedded = np.zeros(space.size)
        embedded[kept] = strain
        mine, other = evaluate_one(flat, strain), evaluate_one(thick, embedded)
        assert relative_error(mine.flux, other.flux[:, kept]) < 1e-8
        assert relative_error(mine.outputs["stress_33"], other.flux[:, 2]) < 1e-8
        assert relative_error(mine.tangent, other.tangent[:, kept][:, :, kept]) < 1e-8
        flat.commit()
        thick.commit()


@pytest.mark.parametrize("n_cells", [2, 3])
def test_a_batch_answers_cell_by_cell(n_cells: int) -> None:
    measure, labels, laws = Measure(Physics.SMALL_STRAIN, 2), random_labels(2), pair_of_laws(Physics.SMALL_STRAIN)
    paths = np.stack([random_path(measure, 0.03 * (1 + i), 5, seed=i) for i in range(n_cells)], axis=1)
    batch = spectral(measure, labels, laws, n_points=n_cells)
    alone = [spectral(measure, labels, laws) for _ in range(n_cells)]
    for gradients in paths:
        together = batch.evaluate(gradients, 1.0)
        batch.commit()
        for i, cell in enumerate(alone):
            one = evaluate_one(cell, gradients[i])
            cell.commit()
            assert relative_error(together.flux[i], one.flux[0]) < 1e-11
            assert relative_error(together.tangent[i], one.tangent[0]) < 1e-9


@pytest.mark.parametrize("contrast", [10.0, 1000.0])
def test_iterations_grow_with_the_root_of_the_contrast(contrast: float) -> None:
    measure = Measure(Physics.HEAT, 3)
    x = np.indices((16, 16, 16)) - 7.5
    labels = (np.sqrt((x**2).sum(axis=0)) < 5).astype(np.int64)
    cell = spectral(measure, labels, (law("conductive", k=1.0), law("conductive", k=contrast)), size=(1.0, 1.0, 1.0))
    evaluate_one(cell, np.ones(3))
    # Rate (√κ − 1) / (√κ + 1) of conjugate gradients for κ = contrast, to 1e-13, three fields and a few more for w.
    most = np.log(1e-13 / 2) / np.log((np.sqrt(contrast) - 1) / (np.sqrt(contrast) + 1))
    assert cell.statistics()["conjugate_gradient_iterations"] <= 3 * most + 20


def test_voids_have_no_stiffness(tmp_path: Path) -> None:
    measure = Measure(Physics.SMALL_STRAIN, 2)
    labels = np.zeros((8, 8), dtype=np.int64)
    labels[2:5, 3:6] = 1
    laws = law("j2", E=1000.0, nu=0.3, yield_stress=5.0, hardening=Hardening(H=50.0)), law("void")
    path = random_path(measure, 0.02, 4, seed=6)
    element = finite_elements(measure, labels, laws, tmp_path)
    assert same_along(path, spectral(measure, labels, laws, Integration.FULL), element) < 1e-7


def test_state_continues_exactly() -> None:
    measure, labels, laws = Measure(Physics.SMALL_STRAIN, 2), random_labels(2), pair_of_laws(Physics.SMALL_STRAIN)
    path = random_path(measure, 0.03, 6, seed=7)
    cell, other = (spectral(measure, labels, laws) for _ in range(2))
    for gradient in path[:4]:
        evaluate_one(cell, gradient)
        cell.commit()
    other.restore(cell.state())
    cell.revert()
    for gradient in path[4:]:
        one, two = evaluate_one(cell, gradient), evaluate_one(other, gradient)
        np.testing.assert_array_equal(one.flux, two.flux)
        np.testing.assert_array_equal(one.tangent, two.tangent)
        cell.commit()
        other.commit()


def test_an_elastic_cell_is_solved_once() -> None:
    measure = Measure(Physics.SMALL_STRAIN, 3)
    laws = SOFT[Physics.SMALL_STRAIN], STIFF[Physics.SMALL_STRAIN]
    cell = spectral(measure, random_labels(3), laws)
    evaluate_one(cell, np.full(6, 1e-3))
    solved = cell.statistics()["conjugate_gradient_iterations"]
    for scale, dt in ((2.0, 1.0), (-1.0, 0.3), (30.0, 1.0)):
        evaluate_one(cell, np.full(6, scale * 1e-3), dt)
        cell.commit()
    assert cell.statistics()["conjugate_gradient_iterations"] - solved < 0.1 * solved


def test_steps_towards_the_gradient_are_one_increment() -> None:
    measure, labels = Measure(Physics.FINITE_STRAIN, 2), random_labels(2)
    gradient, laws = np.array([1.6, 1.2, 0.0, 0.7]), pair_of_laws(Physics.FINITE_STRAIN)
    impatient = NewtonSettings(tolerance=1e-12, max_iterations=5)
    led, patient = (spectral(measure, labels, laws, settings=settings) for settings in (impatient, TIGHT))
    mine, exact = (evaluate_one(cell, gradient) for cell in (led, patient))
    assert led.statistics()["cell_substeps"] >= 1
    assert "cell_substeps" not in patient.statistics()
    assert relative_error(mine.flux, exact.flux) < 1e-9
    assert relative_error(mine.tangent, exact.tangent) < 1e-8


def test_failure_is_a_status_and_leaves_the_committed_state() -> None:
    measure = Measure(Physics.FINITE_STRAIN, 2)
    cell = spectral(measure, random_labels(2), pair_of_laws(Physics.FINITE_STRAIN), n_points=2)
    good, bad = measure.rest + np.array([0.05, 0.0, 0.02, 0.0]), np.array([-1.0, 0.0, 0.0, 1.0])
    before = cell.evaluate(np.stack([good, good]), 1.0)
    cell.revert()
    response = cell.evaluate(np.stack([good, bad]), 1.0)
    assert response.status.tolist() == [0, 1]
    assert "no answer" in cell.failure(1)
    assert relative_error(response.flux[0], before.flux[0]) < 1e-10
    cell.revert()
    again = cell.evaluate(np.stack([good, good]), 1.0)
    assert not again.status.any()
    assert relative_error(again.flux, before.flux) < 1e-10


@pytest.mark.parametrize("integration", BOTH)
def test_linear_systems_of_torch_alone_give_the_same(integration: Integration) -> None:
    """What a graphics processor does, on the CPU: two cells at once along a path, one of them elastic."""
    measure, labels, laws = Measure(Physics.SMALL_STRAIN, 2), random_labels(2), pair_of_laws(Physics.SMALL_STRAIN)
    host, device = (spectral(measure, labels, laws, integration, n_points=2) for _ in range(2))
    device._solver._stiffness = TorchStiffness(device.cell, torch.device("cpu"))
    device._solver._single = TorchStiffness(device.cell, torch.device("cpu"), torch.float32)
    for step, gradient in enumerate(random_path(measure, 0.03, 4, seed=8)):
        gradients = np.stack([gradient, 1e-3 * gradient])
        one, two = host.evaluate(gradients, 1.0), device.evaluate(gradients, 1.0)
        assert not one.status.any(), step
        assert relative_error(one.flux, two.flux) < 1e-10
        assert relative_error(one.tangent, two.tangent) < 1e-8
        host.commit()
        device.commit()


@pytest.mark.parametrize(("physics", "dimension"), EVERY)
def test_micro_fields_are_those_of_finite_elements(physics: Physics, dimension: int, tmp_path: Path) -> None:
    measure, labels, laws = Measure(physics, dimension), random_labels(dimension), pair_of_laws(physics)
    gradient = measure.rest + 0.02 * np.random.default_rng(9).uniform(-1, 1, measure.size)
    fields = []
    for cell in (spectral(measure, labels, laws, Integration.FULL), finite_elements(measure, labels, laws, tmp_path)):
        evaluate_one(cell, gradient)
        cell.commit()
        fields.append(cell.localize(0))
    orders, corners = [], []
    for field in fields:
        vertices = field.points[field.cells]
        orders.append(np.lexsort(np.round(vertices.mean(axis=1), 9).T))
        corners.append(vertices[orders[-1]])
    mine, other = fields
    np.testing.assert_allclose(*corners, atol=1e-12)  # the same vertices in the same order within an element
    np.testing.assert_array_equal(mine.phase[orders[0]], other.phase[orders[1]])
    assert mine.element == other.element
    assert mine.state.keys() == other.state.keys()
    pairs = [(mine.gradient, other.gradient), (mine.flux, other.flux)]
    pairs += [(values, other.state[name]) for name, values in mine.state.items()]
    if mine.out_of_plane is not None and other.out_of_plane is not None:
        pairs.append((mine.out_of_plane, other.out_of_plane))
    for one, two in pairs:
        scale = np.nanmax(np.abs(two))
        np.testing.assert_allclose(one[orders[0]], two[orders[1]], rtol=0, atol=1e-7 * scale)
    values = [field.values[field.cells[order]] for field, order in zip(fields, orders, strict=True)]
    shift = (values[0] - values[1]).mean(axis=(0, 1))
    np.testing.assert_allclose(values[0] - shift, values[1], rtol=0, atol=1e-7 * np.abs(values[1]).max())
