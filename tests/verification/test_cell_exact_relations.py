"""Exact relations that homogenised properties obey whatever the microstructure, on cells of every generator."""

from pathlib import Path

import numpy as np
import pytest

from materials.elastic_constants import ElasticConstants
from materials.law import Law
from materials.law_material import LawMaterial
from materials.measures import FloatArray, Measure
from rve.material import RveMaterial
from tests.verification.cell_examples import CELLS
from tests.verification.cells import evaluate_one, law, make_cell

TWO_PHASES = [name for name, example in CELLS.items() if example.phases == 2]
IN_THE_PLANE = [name for name in TWO_PHASES if CELLS[name].dimension == 2]
QUARTER_TURN = np.array([[0.0, -1.0], [1.0, 0.0]])


def at_rest(name: str, folder: Path, laws: tuple[Law, ...], degree: int) -> RveMaterial:
    """The cell of an example, bound to one point."""
    example = CELLS[name]
    assert laws[0].physics is not None
    measure = Measure(laws[0].physics, example.dimension)
    cell = make_cell(measure, example.geometry(folder), laws, example.element, degree)
    cell.bind(np.zeros(1, dtype=np.int64))
    return cell


def tangent_at_rest(name: str, folder: Path, laws: tuple[Law, ...], degree: int) -> FloatArray:
    cell = at_rest(name, folder, laws, degree)
    return evaluate_one(cell, cell.measure.rest).tangent[0]


def assert_approached_from_above(excesses: list[FloatArray], exact: FloatArray) -> None:
    """Finite elements are too stiff, never too soft; with degree 2 they are by far less so than with degree 1."""
    scale = np.abs(exact).max()
    for excess in excesses:
        assert np.linalg.eigvalsh(excess).min() > -1e-12 * scale
    linear, quadratic = (np.abs(excess).max() / scale for excess in excesses)
    assert quadratic < max(0.35 * linear, 1e-12)


def isotropic(bulk: float, shear: float) -> Law:
    """Linear elasticity of bulk modulus κ and shear modulus μ."""
    E, nu = 9.0 * bulk * shear / (3.0 * bulk + shear), (3.0 * bulk - 2.0 * shear) / (6.0 * bulk + 2.0 * shear)
    return law("elastic", E=E, nu=nu)


@pytest.mark.parametrize("name", TWO_PHASES)
def test_phases_of_one_shear_modulus_make_an_isotropic_composite(name: str, tmp_path: Path) -> None:
    """1/(κ + 4μ/3) is the mean of those of the phases, in the plane as in space (Hill 1963)."""
    bulk, mu = np.array([1.0, 10.0]), 1.0
    laws = tuple(isotropic(kappa, mu) for kappa in bulk)
    cell = at_rest(name, tmp_path, laws, 1)
    fractions = np.array([phase.tables.weights.sum() for phase in cell.cell.phases]) / cell.cell.volume
    composite = isotropic(1.0 / np.sum(fractions / (bulk + 4.0 / 3.0 * mu)) - 4.0 / 3.0 * mu, mu)
    plain = LawMaterial(composite, cell.measure)
    plain.bind(np.zeros(1, dtype=np.int64))
    exact = evaluate_one(plain, cell.measure.rest).tangent[0]
    assert_approached_from_above([tangent_at_rest(name, tmp_path, laws, degree) - exact for degree in (1, 2)], exact)


@pytest.mark.parametrize("name", TWO_PHASES)
def test_thermal_stress_follows_from_the_stiffness(name: str, tmp_path: Path) -> None:
    """Levin (1967), Rosen and Hashin (1970): σ(0) = −b₂ 1 − (b₁ − b₂) (C̄ − C₂) 1 / (d (k₁ − k₂)), b = 3κ ε_th.

    k is the modulus of equal extension in d directions. It holds for any elements, so that the error is round-off.
    """
    E, nu, expansion = (10.0, 1.0), (0.2, 0.35), (1e-3, 4e-3)
    laws = tuple(law("elastic", E=e, nu=n, thermal_strain=t) for e, n, t in zip(E, nu, expansion, strict=True))
    cell = at_rest(name, tmp_path, laws, 1)
    d = cell.measure.dimension
    response = evaluate_one(cell, cell.measure.rest)
    lmbda, mu = np.array([ElasticConstants.from_young(*pair) for pair in zip(E, nu, strict=True)]).T
    push = (3.0 * lmbda + 2.0 * mu) * np.array(expansion)
    k = lmbda + 2.0 / d * mu
    unit = np.zeros(cell.measure.size)
    unit[:d] = 1.0
    coupling = (response.tangent[0] @ unit - d * k[1] * unit) / (d * (k[0] - k[1]))
    exact = -push[1] * unit - (push[0] - push[1]) * coupling
    assert response.flux[0] == pytest.approx(exact, abs=1e-11 * np.abs(exact).max())
    assert np.abs(exact + push[1] * unit).max() > 0.02 * push[1]


@pytest.mark.parametrize("name", IN_THE_PLANE)
def test_exchanged_phases_conduct_as_the_turned_inverse(name: str, tmp_path: Path) -> None:
    """K(k₂, k₁) = k₁ k₂ R K(k₁, k₂)⁻¹ Rᵀ with R a quarter turn (Keller 1964, Mendelson 1975)."""
    laws = (law("conductive", k=1.0), law("conductive", k=10.0))
    exact, excesses = np.eye(2), []
    for degree in (1, 2):
        plain, exchanged = (tangent_at_rest(name, tmp_path, order, degree) for order in (laws, laws[::-1]))
        exact = 10.0 * QUARTER_TURN @ np.linalg.inv(plain) @ QUARTER_TURN.T
        excesses.append(exchanged - exact)
    assert_approached_from_above(excesses, exact)


@pytest.mark.parametrize("name", [*IN_THE_PLANE, "grains"])
def test_turned_crystals_keep_the_determinant_of_their_conductivity(name: str, tmp_path: Path) -> None:
    """It is k₁ k₂ for any arrangement of the orientations of one crystal in the plane (Dykhne 1970, Mendelson 1975)."""
    laws = tuple(crystal(37.0 * phase) for phase in range(CELLS[name].phases))
    excesses = [np.linalg.det(tangent_at_rest(name, tmp_path, laws, degree)) - 5.0 for degree in (1, 2)]
    assert_approached_from_above([np.array([[excess]]) for excess in excesses], np.array([[5.0]]))


def crystal(angle: float) -> Law:
    """Conductivities 5 along `angle` in degrees and 1 across."""
    c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    shear = 4.0 * c * s
    return law("conductive", k=((5.0 * c**2 + s**2, shear), (shear, c**2 + 5.0 * s**2)))
