"""Hill–Mandel: micro work equals macro work, with the macroscopic flux taken from the boundary reactions alone."""

import numpy as np
import pytest

from materials.measures import FloatArray, Measure, Physics
from rve.micro_field import MicroField
from tests.verification.cells import (
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

GEOMETRIES = {
    "fibre": (2, fibre(5), "triangle"),
    "laminate_2d": (2, layers("y"), "quadrilateral"),
    "sphere": (3, sphere(2), "tetrahedron"),
    "laminate_3d": (3, layers("z"), "hexahedron"),
}


def flux_from_boundary(field: MicroField, volume: float) -> FloatArray:
    """(1/V) Σ f ⊗ X over all nodes: inner nodes are in equilibrium, so only the boundary contributes."""
    tensor = field.nodal_forces.T @ field.points / volume
    measure = field.measure
    if measure.physics is Physics.HEAT:
        return tensor[0]
    return measure.to_vector(0.5 * (tensor + tensor.T) if measure.physics is Physics.SMALL_STRAIN else tensor)


@pytest.mark.parametrize("boundary", ["periodic", "linear"])
@pytest.mark.parametrize("degree", [1, 2])
@pytest.mark.parametrize("physics", list(Physics))
@pytest.mark.parametrize("name", GEOMETRIES)
def test_work_and_flux_step_by_step(name: str, physics: Physics, degree: int, boundary: str) -> None:
    dimension, geometry, element = GEOMETRIES[name]
    measure = Measure(physics, dimension)
    matrix = PLASTIC if physics is Physics.SMALL_STRAIN else SOFT[physics]
    cell = make_cell(measure, geometry, (matrix, STIFF[physics]), element, degree, boundary=boundary)
    cell.bind(np.zeros(1, dtype=np.int64))
    amplitude = {Physics.SMALL_STRAIN: 0.01, Physics.FINITE_STRAIN: 0.15, Physics.HEAT: 1.0}[physics]
    before_gradient, before = measure.rest, None
    inner = None
    for gradient in random_path(measure, amplitude, steps=6, seed=7):
        response = evaluate_one(cell, gradient)
        cell.commit()
        field = cell.localize(0)
        if inner is None:
            inside = (field.points > 1e-9) & (field.points < 1.0 - 1e-9)
            inner = inside.all(axis=1)
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
