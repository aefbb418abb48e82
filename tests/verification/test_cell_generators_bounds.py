"""Bounds that hold for every microstructure, on cells of every generator.

`test_cell_bounds.py` has the bounds of single cells and boundary conditions in order; here the phases are anisotropic,
there may be many, and isotropic ones are held to the tighter bounds of Hashin and Shtrikman, and of Murat and Tartar.
"""

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from materials.elastic_constants import ElasticConstants
from materials.law import Law
from materials.law_material import LawMaterial
from materials.measures import FloatArray, Measure, Physics
from meshes.cells import CELL_GENERATORS, CellGeometry, Polycrystal, RandomInclusions
from rve.material import RveMaterial
from tests.verification.cell_examples import CELLS
from tests.verification.cells import evaluate_one, law, make_cell

TWO_PHASES = [name for name, example in CELLS.items() if example.phases == 2]
ROUNDING = 1e-10
STIFF_SIDE = 2e-3
"""Finite elements err on the stiff side, at degree 2 on these meshes by less than this; upper bounds allow for it."""


def test_every_generator_has_a_cell_in_the_plane_and_one_in_space() -> None:
    found = {(example.generator, example.dimension) for example in CELLS.values()}
    assert found == set(itertools.product(CELL_GENERATORS, (2, 3)))


def anisotropic(physics: Physics, phase: int) -> Law:
    """A law whose axes and size depend on the phase; in 2D the axes turn about z."""
    scale, angle = 1.0 + 3.0 * (phase % 3), 35.0 * phase
    if physics is Physics.HEAT:
        c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
        turn = np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
        matrix = turn @ np.diag([3.0, 1.0, 2.0]) @ turn.T
        return law("conductive", k=tuple(map(tuple, 0.5 * scale * (matrix + matrix.T))))
    moduli = {"E1": 40.0, "E2": 10.0, "E3": 20.0, "G12": 5.0, "G13": 8.0, "G23": 6.0}
    scaled = {name: scale * modulus for name, modulus in moduli.items()}
    return law("orthotropic", **scaled, nu12=0.3, nu13=0.25, nu23=0.2, angle=angle)


def solved(
    geometry: CellGeometry, measure: Measure, laws: tuple[Law, ...], element: str, degree: int
) -> tuple[RveMaterial, FloatArray]:
    """A cell and its tangent at rest, (g, g)."""
    cell = make_cell(measure, geometry, laws, element, degree)
    cell.bind(np.zeros(1, dtype=np.int64))
    return cell, evaluate_one(cell, measure.rest).tangent[0]


def tangent_of(phase_law: Law, measure: Measure) -> FloatArray:
    """Tangent of a law at rest, (g, g)."""
    material = LawMaterial(phase_law, measure)
    material.bind(np.zeros(1, dtype=np.int64))
    return evaluate_one(material, measure.rest).tangent[0]


def fractions_of(cell: RveMaterial) -> FloatArray:
    """Share of each phase in the volume of the cell, from the weights of its integration points."""
    return np.array([phase.tables.weights.sum() for phase in cell.cell.phases]) / cell.cell.volume


@pytest.mark.parametrize("physics", [Physics.SMALL_STRAIN, Physics.HEAT])
@pytest.mark.parametrize("name", CELLS)
def test_between_reuss_and_voigt(name: str, physics: Physics, tmp_path: Path) -> None:
    """In the sense of Loewner; what is not solid has no stiffness, so that nothing remains of Reuss."""
    example = CELLS[name]
    measure = Measure(physics, example.dimension)
    laws = tuple(anisotropic(physics, phase) for phase in range(example.phases))
    cell, found = solved(example.geometry(tmp_path), measure, laws, example.element, 1)
    fractions = fractions_of(cell)
    tangents = np.array([tangent_of(phase_law, measure) for phase_law in laws])
    voigt = np.einsum("p,pij->ij", fractions, tangents)
    full = np.isclose(fractions.sum(), 1.0, rtol=1e-9)
    assert full == (example.generator != "voids")
    reuss = np.linalg.inv(np.einsum("p,pij->ij", fractions, np.linalg.inv(tangents))) if full else 0.0 * voigt
    rounding = ROUNDING * np.abs(voigt).max()
    assert np.linalg.eigvalsh(voigt - found).min() > -rounding
    assert np.linalg.eigvalsh(found - reuss).min() > -rounding
    assert np.linalg.eigvalsh(voigt - reuss).min() > -rounding
    assert np.linalg.eigvalsh(voigt - found).max() > 0.01 * np.abs(voigt).max()


YOUNG, POISSON = (1.0, 10.0), (0.35, 0.2)


def phase_moduli(dimension: int) -> FloatArray:
    """Bulk and shear modulus of the soft and the stiff phase, (2, 2); in the plane k = λ + μ."""
    lmbda, mu = np.array([ElasticConstants.from_young(*pair) for pair in zip(YOUNG, POISSON, strict=True)]).T
    return np.array([lmbda + 2.0 / dimension * mu, mu])


def hashin_shtrikman(dimension: int, fractions: FloatArray) -> FloatArray:
    """Lower and upper bound (2,) of the bulk and of the shear modulus, (2, 2).

    Each is Σ f / (p + p*) inverted, less p*, with p* of the softest or stiffest phase (Walpole 1966): Hashin (1965)
    in the plane, Hashin and Shtrikman (1963) in space.
    """
    bulk, shear = phase_moduli(dimension)
    if dimension == 2:
        for_bulk, for_shear = shear, bulk * shear / (bulk + 2.0 * shear)
    else:
        for_bulk, for_shear = 4.0 / 3.0 * shear, shear * (9.0 * bulk + 8.0 * shear) / (6.0 * (bulk + 2.0 * shear))
    return np.array(
        [
            [1.0 / np.sum(fractions / (moduli + star)) - star for star in stars]
            for moduli, stars in ((bulk, for_bulk), (shear, for_shear))
        ]
    )


def averages_over_orientations(tangent: FloatArray, dimension: int) -> tuple[FloatArray, FloatArray]:
    """Bulk and shear modulus (2,) of Voigt's and of Reuss's average of a stiffness over all its orientations."""
    unit = np.zeros(len(tangent))
    unit[:dimension] = 1.0 / np.sqrt(dimension)
    spherical, deviatoric = np.outer(unit, unit), np.eye(len(tangent)) - np.outer(unit, unit)
    compliance = np.linalg.inv(tangent)
    shears = np.trace(deviatoric)
    voigt = np.array([np.trace(spherical @ tangent) / dimension, np.trace(deviatoric @ tangent) / shears / 2.0])
    reuss = 1.0 / np.array(
        [np.trace(spherical @ compliance) * dimension, np.trace(deviatoric @ compliance) / shears * 2.0]
    )
    return voigt, reuss


def elastic_averages(
    geometry: CellGeometry, dimension: int, element: str, stiff_first: bool
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Voigt's and Reuss's average over orientations of a two-phase cell, and the Hashin–Shtrikman bounds."""
    measure = Measure(Physics.SMALL_STRAIN, dimension)
    laws = tuple(law("elastic", E=E, nu=nu) for E, nu in zip(YOUNG, POISSON, strict=True))
    order = slice(None, None, -1) if stiff_first else slice(None)
    cell, tangent = solved(geometry, measure, laws[order], element, 2)
    return *averages_over_orientations(tangent, dimension), hashin_shtrikman(dimension, fractions_of(cell)[order])


@pytest.mark.parametrize("stiff_first", [False, True])
@pytest.mark.parametrize("name", TWO_PHASES)
def test_no_cell_is_outside_hashin_shtrikman(name: str, stiff_first: bool, tmp_path: Path) -> None:
    """A mixture of all orientations of a cell is an isotropic composite: between Reuss and Voigt, and in the bounds.

    Where the array is symmetric, as for the bulk modulus of circles and spheres, the two averages are one.
    """
    example = CELLS[name]
    voigt, reuss, bounds = elastic_averages(example.geometry(tmp_path), example.dimension, example.element, stiff_first)
    assert (reuss <= voigt * (1.0 + ROUNDING)).all()
    assert (voigt >= bounds[:, 0]).all()
    assert ((1.0 - STIFF_SIDE) * reuss <= bounds[:, 1]).all()
    assert (bounds[:, 1] > 1.01 * bounds[:, 0]).all()


ENSEMBLES: dict[str, Callable[[int], CellGeometry]] = {
    "random_inclusions": lambda seed: RandomInclusions(8, 0.3, seed=seed, resolution=12),
    "polycrystal": lambda seed: Polycrystal(12, 2, seed=seed, resolution=12),
}


@pytest.mark.parametrize("stiff_first", [False, True])
@pytest.mark.parametrize("name", ENSEMBLES)
def test_ensembles_of_isotropic_generators_are_within_hashin_shtrikman(name: str, stiff_first: bool) -> None:
    """Where Voigt's and Reuss's average lie between the bounds, 0 to 1, in the mean over seeds: both inside."""
    places = []
    for seed in range(3):
        voigt, reuss, bounds = elastic_averages(ENSEMBLES[name](seed), 2, "triangle", stiff_first)
        places.append((np.stack([reuss, voigt]) - bounds[:, 0]) / np.diff(bounds)[:, 0])
    mean = np.mean(places, axis=0)
    assert mean.min() > 0.0
    assert mean.max() < 1.0
    assert np.abs(mean[1] - mean[0]).max() < 0.15


@pytest.mark.parametrize("stiff_first", [False, True])
@pytest.mark.parametrize("name", TWO_PHASES)
def test_conductivities_obey_the_trace_bounds(name: str, stiff_first: bool, tmp_path: Path) -> None:
    """Those of Murat and Tartar (1985) and Lurie and Cherkaev (1986), for any composite of two isotropic phases.

    Σ 1/(λ − k₁) ≤ 1/(h − k₁) + (d − 1)/(a − k₁) and Σ 1/(k₂ − λ) ≤ 1/(k₂ − h) + (d − 1)/(k₂ − a), with λ the principal
    conductivities, h and a the harmonic and the arithmetic mean of k₁ < k₂. Layers attain both.
    """
    example = CELLS[name]
    d = example.dimension
    conductivity = np.array([1.0, 10.0])
    order = slice(None, None, -1) if stiff_first else slice(None)
    laws = tuple(law("conductive", k=k) for k in conductivity[order])
    measure = Measure(Physics.HEAT, d)
    cell, tangent = solved(example.geometry(tmp_path), measure, laws, example.element, 2)
    fractions = fractions_of(cell)[order]
    harmonic, arithmetic = 1.0 / np.sum(fractions / conductivity), np.sum(fractions * conductivity)
    principal = np.linalg.eigvalsh(tangent)
    extreme = np.array([harmonic, *[arithmetic] * (d - 1)])
    if example.generator == "laminate":
        assert np.sort(principal) == pytest.approx(extreme, rel=ROUNDING)
    assert np.sum(1.0 / (principal - 1.0)) <= np.sum(1.0 / (extreme - 1.0)) * (1.0 + ROUNDING)
    assert np.sum(1.0 / (10.0 - (1.0 - STIFF_SIDE) * principal)) <= np.sum(1.0 / (10.0 - extreme))
