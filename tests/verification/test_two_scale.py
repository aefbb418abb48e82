"""Two scales against one: a cell whose homogenised law is known must give the run of that law.

A cell of one phase is the law itself, for every physics, dimension, element and degree. A laminate cell at every
point of Cook's membrane is the exact laminate.
"""

from itertools import pairwise, product

import numpy as np
import pytest
from mpi4py import MPI

from materials.law_material import LawMaterial
from materials.measures import Measure, Physics
from tests.verification.cells import ELEMENTS, PLASTIC, SOFT, STIFF, fibre, law, layers, make_cell, sphere
from tests.verification.laminate import ExactLaminate
from tests.verification.macro_runs import TIGHT, Watch, grid, mesh_of, problem_of, residuals, run

CASES = [
    pytest.param(physics, element, degree, id=f"{physics}-{element}-{degree}")
    for physics, (_, elements), degree in product(Physics, ELEMENTS.items(), (1, 2))
    for element in elements
]


def largest_difference(one: np.ndarray, other: np.ndarray) -> float:
    """Relative to the largest component."""
    return float(np.abs(one - other).max() / np.abs(other).max())


@pytest.mark.parametrize(("physics", "element", "degree"), CASES)
def test_run_with_a_cell_of_one_phase_is_the_run_with_its_law(physics: Physics, element: str, degree: int) -> None:
    dimension = 2 if element in ELEMENTS[2] else 3
    measure = Measure(physics, dimension)
    one = PLASTIC if physics is Physics.SMALL_STRAIN else SOFT[physics]
    bbar = physics is Physics.SMALL_STRAIN and degree == 1 and element in ("quadrilateral", "hexahedron")
    simplex = element in ("triangle", "tetrahedron")
    geometry = (fibre(3) if dimension == 2 else sphere(1)) if simplex else layers("x")
    cell = make_cell(measure, geometry, (one, one), element, 1)

    problems = []
    for material in (cell, LawMaterial(one, measure)):
        problem = problem_of(grid(element, 2), physics, material, degree, bbar)
        if physics is Physics.HEAT:
            problem.prescribe("left", [300.0], constant=True)
            problem.load_boundary("right", [5.0])
        else:
            problem.prescribe("left", [0.0] * dimension)
            problem.prescribe("right", [0.02 if physics is Physics.SMALL_STRAIN else 0.3, *[None] * (dimension - 1)])
        run(problem, steps=2, factor=((0.0, 0.0), (1.0, 1.0), (2.0, 0.5)))
        problems.append(problem)
    two_scale, plain = problems
    assert largest_difference(two_scale.solution.x.array, plain.solution.x.array) < 1e-10
    assert largest_difference(two_scale.flux, plain.flux) < 1e-10
    assert largest_difference(two_scale.reaction("left"), plain.reaction("left")) < 1e-10


LAMINATES = {
    "neo_hookean": (Physics.FINITE_STRAIN, (SOFT[Physics.FINITE_STRAIN], STIFF[Physics.FINITE_STRAIN]), 4.0),
    "cyclic_j2": (
        Physics.SMALL_STRAIN,
        (PLASTIC, law("j2", E=2000.0, nu=0.25, yield_stress=4.5, hardening=100.0)),
        2.8,
    ),
}


@pytest.mark.parametrize("normal", ["x", "y"])
@pytest.mark.parametrize("name", LAMINATES)
def test_cooks_membrane_of_laminate_cells_is_that_of_the_exact_laminate(name: str, normal: str) -> None:
    physics, laws, traction = LAMINATES[name]
    measure = Measure(physics, 2)
    cell = make_cell(measure, layers(normal), laws, "quadrilateral", 1)
    factor = ((0.0, 0.0), (1.0, 1.0), (2.0, -0.5), (3.0, 0.7))
    problems, watches = [], []
    for material in (cell, ExactLaminate(laws, measure, 0.4, "xyz".index(normal))):
        problem = problem_of(mesh_of("cook_membrane", "quadrilateral", divisions=(4, 4)), physics, material)
        problem.prescribe("left", [0.0, 0.0])
        problem.load_boundary("right", [0.0, traction])
        watches.append(run(problem, steps=12, factor=factor, newton=TIGHT))
        problems.append(problem)
    assert all(not watch.cuts for watch in watches), "the comparison needs the same increments"
    two_scale, exact = problems
    assert largest_difference(two_scale.solution.x.array, exact.solution.x.array) < 1e-7
    assert largest_difference(two_scale.flux, exact.flux) < 1e-7
    if physics is Physics.SMALL_STRAIN:
        plastic = [cell.state()[f"state_{phase}"][:, :, -1].max(initial=0.0) for phase in ("first", "second")]
        assert min(MPI.COMM_WORLD.allreduce(largest, MPI.MAX) for largest in plastic) > 1e-3, "nothing yielded"
    _assert_quadratic(watches[0])


def _assert_quadratic(watch: Watch) -> None:
    """The last iteration of an increment that starts above rounding leaves at most 100 times the squared residual."""
    judged = 0
    for record in watch.records:
        pairs = [(r, after) for r, after in pairwise(residuals(record)) if 1e-9 < r < 1e-3]
        if pairs:
            judged += 1
            before, after = pairs[-1]
            assert after <= max(100.0 * before**2, 1e-12)
    assert judged >= 3, "too few iterations to judge"
