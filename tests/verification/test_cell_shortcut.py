"""The elastic shortcut against the full solve, over long paths, after plastic flow, and where it must not be taken."""

from typing import Any

import numpy as np
import pytest

from materials.law import Law
from materials.laws.chaboche import BackStress
from materials.laws.viscoelastic import MaxwellBranch
from materials.measures import FloatArray, Measure, Physics
from meshes.cells import CellGeometry
from rve.factorization import SingularStiffness
from rve.material import RveMaterial
from tests.verification.cells import (
    PLASTIC,
    SOFT,
    STIFF,
    TIGHT,
    evaluate_one,
    fibre,
    law,
    layers,
    make_cell,
    relative_error,
)

PLANE = Measure(Physics.SMALL_STRAIN, 2)
BACK_STRESSES = (BackStress(modulus=100.0, recovery=20.0),)
CHABOCHE = law("chaboche", E=1000.0, nu=0.3, yield_stress=5.0, back_stresses=BACK_STRESSES)
BRANCHES = (MaxwellBranch(shear=200.0, time=2.0),)


def pair(
    laws: tuple[Law, ...], geometry: CellGeometry | None = None, **options: Any
) -> tuple[RveMaterial, RveMaterial]:
    """The same cell twice, one RVE each: with the shortcut and without."""
    measure = options.pop("measure", PLANE)
    element, degree = options.pop("element", "triangle"), options.pop("degree", 2)
    settings = (TIGHT, TIGHT._replace(elastic_shortcut=False))
    cells = [
        make_cell(measure, geometry or fibre(4), laws, element, degree, settings=setting, **options)
        for setting in settings
    ]
    for cell in cells:
        cell.bind(np.arange(1))
    return cells[0], cells[1]


def follow(short: RveMaterial, full: RveMaterial, path: FloatArray) -> float:
    """Largest relative difference of flux, tangent and state along a path."""
    worst = 0.0
    scale = np.zeros(3)
    for gradient in path:
        answers = []
        for cell in (short, full):
            response = evaluate_one(cell, gradient)
            cell.commit()
            state = [values for name, values in cell.state().items() if name.startswith("state_")]
            answers.append([response.flux, response.tangent, np.concatenate([values.ravel() for values in state])])
        for kind, (mine, exact) in enumerate(zip(*answers, strict=True)):
            scale[kind] = max(scale[kind], np.abs(exact).max(initial=0.0))
            if scale[kind] > 0.0:
                worst = max(worst, float(np.abs(mine - exact).max() / scale[kind]))
    return worst


def elastic_walk(steps: int, amplitude: float, seed: int) -> FloatArray:
    """A random walk (steps, 3) of strains that turns back at the sides of a box."""
    rng = np.random.default_rng(seed)
    walk = np.cumsum(rng.uniform(-0.3, 0.3, (steps, 3)), axis=0)
    return amplitude * (np.abs((walk + 1.0) % 4.0 - 2.0) - 1.0)


def test_a_thousand_elastic_steps_do_not_drift() -> None:
    """1,000 committed steps inside the elastic domain equal the full solve, by one factorisation in all."""
    short, full = pair((PLASTIC, STIFF[Physics.SMALL_STRAIN]))
    assert follow(short, full, elastic_walk(1000, 5e-4, seed=1)) < 1e-9
    assert short.statistics()["cell_shortcuts"] == 1000
    assert short.statistics()["factorizations"] == 1


@pytest.mark.parametrize("plastic", [PLASTIC, CHABOCHE], ids=["j2", "chaboche"])
def test_unloading_after_plastic_flow(plastic: Law) -> None:
    """Flow, a thousand small steps of unloading, and flow again the other way."""
    short, full = pair((plastic, STIFF[Physics.SMALL_STRAIN]))
    direction = np.array([1.0, -0.3, 0.4])
    load = np.linspace(0.0, 0.02, 6)[1:]
    unload = np.linspace(0.02, 0.0168, 1001)[1:]
    back = np.linspace(0.0168, -0.01, 6)[1:]
    path = np.concatenate([load, unload, back])[:, None] * direction
    assert follow(short, full, path) < 1e-9
    assert 1000 <= short.statistics()["cell_shortcuts"] < 1010
    assert 0 < short.statistics()["cell_iterations"] < full.statistics()["cell_iterations"] / 10


@pytest.mark.parametrize("boundary", ["periodic", "linear", "traction"])
def test_every_boundary_condition(boundary: str) -> None:
    """The shortcut knows the constraint of the cell."""
    short, full = pair((PLASTIC, STIFF[Physics.SMALL_STRAIN]), boundary=boundary)
    path = np.array([0.2, 0.4, 2.0, 5.0, 4.6, 4.4, -3.0])[:, None] * np.array([1e-3, -2e-3, 3e-3])
    assert follow(short, full, path) < 1e-9
    assert short.statistics()["cell_shortcuts"] >= 3


@pytest.mark.parametrize(
    ("element", "degree", "bbar"), [("quadrilateral", 1, True), ("hexahedron", 1, False), ("tetrahedron", 2, False)]
)
def test_elements(element: str, degree: int, bbar: bool) -> None:
    """2D and 3D, B-bar too."""
    dimension = 2 if element == "quadrilateral" else 3
    measure = Measure(Physics.SMALL_STRAIN, dimension)
    laws = (PLASTIC, STIFF[Physics.SMALL_STRAIN])
    short, full = pair(laws, layers("x"), measure=measure, element=element, degree=degree, bbar=bbar)
    direction = np.linspace(1e-3, -1e-3, measure.size)
    assert follow(short, full, np.array([0.5, 1.0, 8.0, 7.5, 7.0])[:, None] * direction) < 1e-9
    assert short.statistics()["cell_shortcuts"] >= 3


def test_linear_cells_are_factorised_once() -> None:
    """Conduction needs one factorisation for all cells and all steps."""
    measure = Measure(Physics.HEAT, 2)
    short, full = pair((SOFT[Physics.HEAT], STIFF[Physics.HEAT]), measure=measure)
    assert follow(short, full, np.random.default_rng(2).normal(size=(20, 2))) < 1e-11
    assert short.statistics()["factorizations"] == 1


@pytest.mark.parametrize(
    "matrix",
    [
        law("viscoelastic", E=1000.0, nu=0.3, branches=BRANCHES),
        law("damage", E=1000.0, nu=0.3, threshold=1e-3, failure=0.01),
    ],
    ids=lambda matrix: matrix.name,
)
def test_laws_without_a_constant_operator_never_take_it(matrix: Law) -> None:
    """Rates and damage change the elastic answer itself."""
    cell = make_cell(PLANE, fibre(4), (matrix, STIFF[Physics.SMALL_STRAIN]), "triangle", 1)
    cell.bind(np.arange(1))
    evaluate_one(cell, np.array([1e-4, 0.0, 0.0]))
    assert "cell_shortcuts" not in cell.statistics()


def test_an_answer_survives_revert() -> None:
    """A rejected plastic attempt leaves nothing behind in the next elastic one."""
    short, full = pair((PLASTIC, STIFF[Physics.SMALL_STRAIN]))
    direction = np.array([1.0, -0.3, 0.4])
    for cell in (short, full):
        evaluate_one(cell, 0.01 * direction)
        cell.commit()
        evaluate_one(cell, 0.03 * direction)
        cell.revert()
    mine, exact = (evaluate_one(cell, 0.009 * direction) for cell in (short, full))
    assert relative_error(mine.flux, exact.flux) < 1e-9
    assert relative_error(mine.tangent, exact.tangent) < 1e-9
    assert short.statistics()["cell_shortcuts"] == 1


def test_without_an_answer_at_rest_the_full_solve_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stiffness that has no factorisation at rest is no reason to fail elsewhere."""

    def refuse(*_arguments: Any) -> None:
        raise SingularStiffness("nothing holds it")

    monkeypatch.setattr("rve.cell_solver.ElasticShortcut", refuse)
    short, full = pair((PLASTIC, STIFF[Physics.SMALL_STRAIN]))
    assert follow(short, full, elastic_walk(3, 5e-4, seed=1)) < 1e-12
    assert "cell_shortcuts" not in short.statistics()
