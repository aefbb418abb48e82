"""Orthotropic elasticity against engineering formulas, and thermal strain against free expansion and a laminate."""

import numpy as np
import pytest

from materials.elastic_constants import ElasticConstants
from materials.law import Law
from materials.law_material import LawMaterial
from materials.laws import LAWS
from materials.measures import Measure, Physics
from tests.verification.cells import evaluate_one, layers, make_cell
from tests.verification.law_paths import drive, random_strains

MODULI = {"E1": 12e3, "E2": 900.0, "E3": 500.0, "G12": 800.0, "G13": 700.0, "G23": 60.0}
WOOD = MODULI | {"nu12": 0.4, "nu13": 0.45, "nu23": 0.5}
SMALL = Measure(Physics.SMALL_STRAIN, 3)


def stiffness(law: Law) -> np.ndarray:
    material = LawMaterial(law, SMALL)
    material.bind(np.zeros(1, dtype=np.int64))
    return material.evaluate(np.zeros((1, 6)), 1.0).tangent[0]


def test_the_compliance_is_made_of_the_engineering_constants() -> None:
    compliance = np.linalg.inv(stiffness(LAWS["orthotropic"](**WOOD)))
    shear = [0.5 / 60.0, 0.5 / 700.0, 0.5 / 800.0]
    assert np.diag(compliance) == pytest.approx([1 / 12e3, 1 / 900.0, 1 / 500.0, *shear], rel=1e-12)
    assert compliance[1, 0] == pytest.approx(-0.4 / 12e3, rel=1e-12)
    assert compliance[2, 0] == pytest.approx(-0.45 / 12e3, rel=1e-12)
    assert compliance[2, 1] == pytest.approx(-0.5 / 900.0, rel=1e-12)


@pytest.mark.parametrize("angle", [0.0, 25.0, 90.0, -140.0])
def test_young_s_modulus_off_the_axis(angle: float) -> None:
    """1/E = c⁴/E1 + s⁴/E2 + (1/G12 − 2 nu12/E1) s² c² (Lekhnitskii 1963)."""
    compliance = np.linalg.inv(stiffness(LAWS["orthotropic"](**WOOD, angle=angle)))
    c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    expected = c**4 / 12e3 + s**4 / 900.0 + (1 / 800.0 - 0.8 / 12e3) * (s * c) ** 2
    assert compliance[0, 0] == pytest.approx(expected, rel=1e-12)


def test_turning_the_axes_is_turning_the_strain_back() -> None:
    law = LAWS["orthotropic"](**WOOD, angle=70.0, axis=(1.0, -2.0, 0.5), thermal_strain=(1e-3, 2e-3, -1e-3))
    R = law.rotation
    assert pytest.approx(np.eye(3), abs=1e-15) == R @ R.T
    assert R @ np.array(law.axis) == pytest.approx(np.array(law.axis), abs=1e-15)
    assert np.trace(R) == pytest.approx(1 + 2 * np.cos(np.radians(70.0)), rel=1e-14)
    path = random_strains(3, 5, 0.01, 1)
    straight, _ = drive(LAWS["orthotropic"](**WOOD, thermal_strain=(1e-3, 2e-3, -1e-3)), R.T @ path @ R)
    turned, _ = drive(law, path)
    assert turned == pytest.approx(R @ straight @ R.T, abs=1e-13 * np.abs(straight).max())


def test_a_rotation_about_z_turns_x_towards_y() -> None:
    compliance = np.linalg.inv(stiffness(LAWS["orthotropic"](**WOOD, angle=30.0)))
    fibre = np.array([np.cos(np.pi / 6), np.sin(np.pi / 6), 0.0])
    along = SMALL.to_vector(np.outer(fibre, fibre))
    assert along @ compliance @ along == pytest.approx(1 / 12e3, rel=1e-12)


def test_equal_constants_are_isotropic_in_any_axes() -> None:
    E, nu = 70e3, 0.3
    G = E / 2 / (1 + nu)
    law = LAWS["orthotropic"](
        E1=E, E2=E, E3=E, nu12=nu, nu13=nu, nu23=nu, G12=G, G13=G, G23=G, angle=33.0, axis=(1.0, 1.0, 0.0)
    )
    assert stiffness(law) == pytest.approx(stiffness(LAWS["elastic"](E=E, nu=nu)), abs=1e-10 * E)


def test_free_expansion_is_free_of_stress() -> None:
    expansion = (1e-3, 2e-3, -1e-3)
    law = LAWS["orthotropic"](**WOOD, angle=50.0, axis=(0.0, 1.0, 1.0), thermal_strain=expansion)
    stress, _ = drive(law, (law.rotation @ np.diag(expansion) @ law.rotation.T)[None, None])
    assert np.abs(stress).max() < 1e-15 * 12e3
    stress, _ = drive(LAWS["elastic"](E=100.0, nu=0.3, thermal_strain=2e-3), 2e-3 * np.eye(3)[None, None])
    assert np.abs(stress).max() < 1e-15 * 100.0


@pytest.mark.parametrize("dimension", [2, 3])
def test_a_held_laminate_that_expands(dimension: int) -> None:
    """Layers normal to x at zero mean strain: σ₁₁ = −Σ f 3κ ε_th / M over Σ f / M, with M = λ + 2μ."""
    young, poisson, expansion, fraction = (1000.0, 5000.0), (0.3, 0.2), (1e-3, 4e-3), 0.4
    laws = tuple(
        LAWS["elastic"](E=E, nu=nu, thermal_strain=e) for E, nu, e in zip(young, poisson, expansion, strict=True)
    )
    measure = Measure(Physics.SMALL_STRAIN, dimension)
    cell = make_cell(measure, layers("x", fraction), laws, {2: "quadrilateral", 3: "hexahedron"}[dimension], 1)
    cell.bind(np.zeros(1, dtype=np.int64))
    stress = measure.to_tensor(evaluate_one(cell, measure.rest).flux[0])
    pushed, soft = 0.0, 0.0
    for E, nu, e, f in zip(young, poisson, expansion, (fraction, 1 - fraction), strict=True):
        lmbda, mu = ElasticConstants.from_young(E, nu)
        pushed += f * (3 * lmbda + 2 * mu) * e / (lmbda + 2 * mu)
        soft += f / (lmbda + 2 * mu)
    assert stress[0, 0] == pytest.approx(-pushed / soft, rel=1e-9)
