"""Hill–Mandel: micro work equals macro work, with the macroscopic flux taken from the boundary reactions alone."""

from pathlib import Path

import numpy as np
import pytest

from materials.measures import FloatArray, Measure, Physics
from meshes.cells.periodicity import on_faces
from rve.boundary_conditions import BOUNDARY_CONDITIONS
from rve.localized import MicroField
from tests.verification.cell_examples import CELLS
from tests.verification.cells import PLASTIC, SOFT, STIFF, evaluate_one, make_cell, random_path, relative_error

DEGREES = [*((name, 1) for name in CELLS), ("circle", 2), ("pixels", 2), ("layers_y", 2)]


def flux_from_boundary(field: MicroField, volume: float) -> FloatArray:
    """(1/V) Σ f ⊗ X over all nodes: inner nodes are in equilibrium, so only the boundary contributes."""
    tensor = field.nodal_forces.T @ field.points / volume
    measure = field.measure
    if measure.physics is Physics.HEAT:
        return tensor[0]
    return measure.to_vector(0.5 * (tensor + tensor.T) if measure.physics is Physics.SMALL_STRAIN else tensor)


@pytest.mark.parametrize("boundary", BOUNDARY_CONDITIONS)
@pytest.mark.parametrize("physics", list(Physics))
@pytest.mark.parametrize(("name", "degree"), DEGREES)
def test_work_and_flux_step_by_step(name: str, degree: int, physics: Physics, boundary: str, tmp_path: Path) -> None:
    example = CELLS[name]
    measure = Measure(physics, example.dimension)
    matrix = PLASTIC if physics is Physics.SMALL_STRAIN else SOFT[physics]
    laws = (matrix, *[STIFF[physics], matrix] * (example.phases // 2))[: example.phases]
    geometry = example.geometry(tmp_path)
    if boundary == "traction" and example.generator == "voids":
        with pytest.raises(ValueError, match="cuts it"):
            make_cell(measure, geometry, laws, example.element, degree, boundary=boundary)
        return
    cell = make_cell(measure, geometry, laws, example.element, degree, boundary=boundary)
    cell.bind(np.zeros(1, dtype=np.int64))
    amplitude = {Physics.SMALL_STRAIN: 0.01, Physics.FINITE_STRAIN: 0.1, Physics.HEAT: 1.0}[physics]
    before_gradient, before = measure.rest, None
    for gradient in random_path(measure, amplitude, steps=4, seed=7):
        response = evaluate_one(cell, gradient)
        cell.commit()
        field = cell.localize(0)
        inner = ~on_faces(field.points, cell.cell.mesh.size)
        forces = field.nodal_forces
        if inner.any():
            assert np.abs(forces[inner]).max() < 1e-9 * np.abs(forces).max()
        flux = flux_from_boundary(field, cell.cell.volume)
        assert relative_error(response.flux[0], flux) < 1e-9

        values = np.zeros_like(field.values) if before is None else before
        micro_work = float((forces * (field.values - values)).sum()) / cell.cell.volume
        macro_work = float(flux @ (gradient - before_gradient))
        scale = np.linalg.norm(flux) * np.linalg.norm(gradient - before_gradient)
        assert abs(micro_work - macro_work) < 1e-9 * scale
        before_gradient, before = gradient, field.values
