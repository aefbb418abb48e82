"""Reuss, the boundary conditions from soft to stiff, and Voigt in order; bulk modulus within Hashin–Shtrikman."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from materials.law_material import LawMaterial
from materials.measures import FloatArray, Measure, Physics
from meshes.cells import CellGeometry, Hexagonal, Inclusion, Polycrystal, RandomInclusions, Voids, Voxels
from tests.verification.cells import ELEMENTS, SOFT, STIFF, evaluate_one, fibre, law, layers, make_cell, sphere

CELLS = [
    (2, fibre(8), "triangle", 0.3),
    *((2, layers(normal), element, 0.6) for normal in "xy" for element in ELEMENTS[2]),
    (3, sphere(3), "tetrahedron", 0.2),
    (2, Hexagonal(0.5, 6), "triangle", 0.5),
    (2, RandomInclusions(5, 0.4, 0.3, resolution=10, size=(1.5, 1.0)), "triangle", 0.4),
    (3, RandomInclusions(2, 0.2, resolution=3), "tetrahedron", 0.2),
    (2, Inclusion(0.2, 6, "ellipse", 3.0, 40.0), "triangle", 0.2),
    (2, Polycrystal(5, 2, resolution=8), "triangle", None),
    *((3, layers(normal), element, 0.6) for normal in "xyz" for element in ELEMENTS[3]),
]


def stiffness_of(phase_law, measure: Measure) -> FloatArray:
    material = LawMaterial(phase_law, measure)
    material.bind(np.zeros(1, dtype=np.int64))
    return evaluate_one(material, measure.rest).tangent[0]


@pytest.mark.parametrize("physics", [Physics.SMALL_STRAIN, Physics.HEAT])
@pytest.mark.parametrize(("dimension", "geometry", "element", "stiff_fraction"), CELLS)
def test_bounds_and_boundary_conditions_are_in_order(
    dimension: int, geometry, element: str, stiff_fraction: float | None, physics: Physics
) -> None:
    assert_in_order(dimension, geometry, element, stiff_fraction, physics)


@pytest.mark.parametrize("physics", [Physics.SMALL_STRAIN, Physics.HEAT])
@pytest.mark.parametrize(("shape", "element"), [((4, 3), "quadrilateral"), ((3, 2, 2), "hexahedron")])
def test_those_of_voxels_are_in_order(shape: tuple[int, ...], element: str, physics: Physics, tmp_path: Path) -> None:
    labels = np.random.default_rng(1).integers(0, 2, shape)
    np.save(tmp_path / "labels.npy", labels)
    geometry = Voxels(str(tmp_path / "labels.npy"))
    assert_in_order(len(shape), geometry, element, float(labels.mean()), physics)


def assert_in_order(
    dimension: int, geometry: CellGeometry, element: str, stiff_fraction: float | None, physics: Physics
) -> None:
    """Reuss ≤ traction ≤ periodic ≤ linear ≤ Voigt in the sense of Loewner; None takes the fraction of the mesh."""
    measure = Measure(physics, dimension)
    tangents = []
    for boundary in ("traction", "periodic", "linear"):
        cell = make_cell(measure, geometry, (SOFT[physics], STIFF[physics]), element, 1, boundary=boundary)
        cell.bind(np.zeros(1, dtype=np.int64))
        tangents.append(evaluate_one(cell, measure.rest).tangent[0])
    if stiff_fraction is None:
        stiff_fraction = cell.cell.mesh.descriptors["volume_fraction_grain_2"]
    soft, stiff = stiffness_of(SOFT[physics], measure), stiffness_of(STIFF[physics], measure)
    voigt = (1.0 - stiff_fraction) * soft + stiff_fraction * stiff
    reuss = np.linalg.inv((1.0 - stiff_fraction) * np.linalg.inv(soft) + stiff_fraction * np.linalg.inv(stiff))
    rounding = 1e-10 * np.abs(voigt).max()
    for softer, stiffer in itertools.pairwise([reuss, *tangents, voigt]):
        assert np.linalg.eigvalsh(stiffer - softer).min() > -rounding
    # The bounds differ, so that a cell cannot meet both by accident, and so do the conditions.
    assert np.linalg.eigvalsh(voigt - reuss).max() > 0.05 * np.abs(voigt).max()
    for softer, stiffer in itertools.pairwise(tangents):
        assert np.linalg.eigvalsh(stiffer - softer).max() > 1e-3 * np.abs(voigt).max()


def test_voids_soften_beyond_their_volume() -> None:
    """No direction conducts more than Voigt, and one at most as much as the bound of Hashin and Shtrikman (1962)."""
    measure, porosity = Measure(Physics.HEAT, 2), 0.3
    cell = make_cell(measure, Voids(3, porosity, 0.2, resolution=12), (law("conductive", k=2.0),), "triangle", 2)
    cell.bind(np.zeros(1, dtype=np.int64))
    least, most = np.linalg.eigvalsh(evaluate_one(cell, measure.rest).tangent[0])
    assert most < 2.0 * (1.0 - porosity)
    assert 0.8 < least / (2.0 * (1.0 - porosity) / (1.0 + porosity)) < 1.0


@pytest.mark.parametrize("volume_fraction", [0.1, 0.3, 0.5])
def test_plane_bulk_modulus_of_a_square_array_is_within_hashin_shtrikman(volume_fraction: float) -> None:
    """Bounds of Hashin (1965), J. Mech. Phys. Solids 13, 119, for the plane-strain bulk modulus k = λ + μ."""
    measure = Measure(Physics.SMALL_STRAIN, 2)
    matrix, inclusion = law("elastic", E=1.0, nu=0.35), law("elastic", E=10.0, nu=0.2)
    cell = make_cell(measure, fibre(12, volume_fraction), (matrix, inclusion), "triangle", 2)
    cell.bind(np.zeros(1, dtype=np.int64))
    tangent = evaluate_one(cell, measure.rest).tangent[0]
    homogenised = tangent[:2, :2].sum() / 4.0

    def moduli(E: float, nu: float) -> tuple[float, float]:
        mu = E / (2.0 * (1.0 + nu))
        return E * nu / ((1.0 + nu) * (1.0 - 2.0 * nu)) + mu, mu

    (k1, mu1), (k2, mu2) = moduli(1.0, 0.35), moduli(10.0, 0.2)
    f1, f2 = 1.0 - volume_fraction, volume_fraction
    lower = k1 + f2 / (1.0 / (k2 - k1) + f1 / (k1 + mu1))
    upper = k2 + f1 / (1.0 / (k1 - k2) + f2 / (k2 + mu2))
    assert lower * (1.0 - 1e-9) <= homogenised <= upper
    assert upper - lower > 0.02 * lower
