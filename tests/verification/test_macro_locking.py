"""Cook's membrane, nearly incompressible: linear quadrilaterals lock, the mean dilatation formulation does not."""

import pytest

from materials.law import Law
from materials.measures import Physics
from solver.macro_problem import MacroProblem
from tests.verification.macro_runs import displacement_at, law, mesh_of, problem_of, run

TIP = (48.0, 60.0)
ELASTIC = law("elastic", E=250.0, nu=0.499)
PLASTIC = law("j2", E=250.0, nu=0.3, yield_stress=1.2, hardening=2.5)
CASES = {"elastic": (ELASTIC, 1.0, 1), "plastic": (PLASTIC, 0.7, 5)}


def tip_deflection(material: Law, traction: float, steps: int, divisions: int, degree: int, bbar: bool) -> float:
    macro = mesh_of("cook_membrane", "quadrilateral", divisions=(divisions, divisions))
    problem: MacroProblem = problem_of(macro, Physics.SMALL_STRAIN, material, degree, bbar)
    problem.prescribe("left", [0.0, 0.0])
    problem.load_boundary("right", [0.0, traction])
    run(problem, steps)
    return float(displacement_at(problem, TIP)[1])


@pytest.mark.parametrize("case", CASES)
def test_bbar_does_not_lock_where_standard_elements_do(case: str) -> None:
    material, traction, steps = CASES[case]
    reference = tip_deflection(material, traction, steps, 32, 2, False)
    standard = tip_deflection(material, traction, steps, 16, 1, False)
    coarse, fine = (tip_deflection(material, traction, steps, n, 1, True) for n in (16, 32))
    assert standard < 0.5 * reference
    assert abs(fine / reference - 1.0) < 0.015
    assert abs(coarse / reference - 1.0) < 0.05
    assert abs(fine - reference) < 0.5 * abs(coarse - reference)
