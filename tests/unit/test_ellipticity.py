"""Loss of ellipticity is seen where it is, and only there."""

import json
import logging

import numpy as np
import pytest

from materials.ellipticity import directions, smallest_acoustic_eigenvalue
from materials.law_material import LawMaterial
from materials.laws import LAWS
from materials.measures import FloatArray, Measure, Physics
from solver.cli import execute


def tangent_of(measure: Measure, name: str, gradient: FloatArray, **parameters: float) -> FloatArray:
    """Tangent (1, g, g) of a law."""
    material = LawMaterial(LAWS[name](**parameters), measure)
    material.bind(np.zeros(1, dtype=np.int64))
    return material.evaluate(gradient[None, :], 1.0).tangent


@pytest.mark.parametrize("dimension", [2, 3])
def test_isotropic_elasticity_has_the_shear_modulus(dimension: int) -> None:
    """The acoustic tensor has eigenvalues μ and λ + 2μ in every direction."""
    measure = Measure(Physics.SMALL_STRAIN, dimension)
    tangent = tangent_of(measure, "elastic", measure.rest, E=260.0, nu=0.3)
    assert smallest_acoustic_eigenvalue(measure, tangent) == pytest.approx(100.0)


def test_saint_venant_kirchhoff_loses_ellipticity_in_compression() -> None:
    """In uniaxial compression to the stretch s the modulus dP/dF is (λ + 2μ)(3s² − 1)/2: zero at s = 1/√3."""
    measure = Measure(Physics.FINITE_STRAIN, 2)
    for stretch, elliptic in ((0.9, True), (0.5, False)):
        gradient = measure.to_vector(np.diag([stretch, 1.0]))
        tangent = tangent_of(measure, "saint_venant_kirchhoff", gradient, E=100.0, nu=0.3)
        assert bool(smallest_acoustic_eigenvalue(measure, tangent)[0] > 0.0) is elliptic


@pytest.mark.parametrize("dimension", [2, 3])
def test_directions_are_unit_vectors_that_leave_no_large_gap(dimension: int) -> None:
    normals = directions(dimension)
    assert np.linalg.norm(normals, axis=1) == pytest.approx(1.0)
    wanted = np.random.default_rng(0).normal(size=(200, dimension))
    wanted /= np.linalg.norm(wanted, axis=1)[:, None]
    nearest = np.abs(wanted @ normals.T).max(axis=1)
    assert np.degrees(np.arccos(nearest.min())) < (2.0 if dimension == 2 else 11.0)


CASE = """
physics: finite_strain
dimension: 2
mesh: {generator: rectangle, size: [1, 1], divisions: [1, 1], element: quadrilateral, degree: 1}
regions: {all: composite}
boundary_conditions:
  - {boundary: left, displacement: [0, 0]}
  - {boundary: right, displacement: [-0.5, 0]}
  - {boundary: top, displacement: [null, 0]}
  - {boundary: bottom, displacement: [null, 0]}
load: {end: 1.0, steps: 5}
materials: {composite: {type: rve, rve: cell}}
rves:
  cell:
    geometry: {generator: laminate, fraction: 0.5, normal: x, resolution: 2}
    element: quadrilateral
    degree: 1
    phases:
      one: {law: saint_venant_kirchhoff, E: 100, nu: 0.3}
      two: {law: saint_venant_kirchhoff, E: 100, nu: 0.3}
"""


def test_a_run_says_so_once_and_run_json_keeps_it(tmp_path, caplog: pytest.LogCaptureFixture) -> None:
    case = tmp_path / "case.yaml"
    case.write_text(CASE, encoding="utf-8")
    with caplog.at_level(logging.WARNING):
        code = execute(["run", str(case), "--out", str(tmp_path / "out"), "--quiet"])
    told = [record for record in caplog.records if "loss of ellipticity" in record.getMessage()]
    record = json.loads((tmp_path / "out" / "run.json").read_text(encoding="utf-8"))
    assert code in (0, 3)
    assert len(told) == 1
    assert record["ellipticity_lost"] == {"first_step": first_step_without_ellipticity(), "points_at_end": 4}


def first_step_without_ellipticity() -> int:
    """The first of five steps to the stretch ½ at which a ⊗ N : A : a ⊗ N < 0 for some a and N, by plain search."""
    measure = Measure(Physics.FINITE_STRAIN, 2)
    angle = np.linspace(0.0, np.pi, 721)
    units = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    for step in range(1, 6):
        gradient = measure.to_vector(np.diag([1.0 - 0.1 * step, 1.0]))
        tangent = measure.tangent_to_tensor(tangent_of(measure, "saint_venant_kirchhoff", gradient, E=100.0, nu=0.3)[0])
        if np.einsum("ai,bj,ijkl,ak,bl->ab", units, units, tangent, units, units, optimize=True).min() < 0.0:
            return step
    return 0
