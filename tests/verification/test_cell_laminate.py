"""A laminate cell against the exact laminate: flux and tangent to 1e-8 along paths, in every direction."""

import numpy as np
import pytest

from materials.hardening import Hardening
from materials.laws.chaboche import BackStress
from materials.laws.viscoelastic import MaxwellBranch
from materials.measures import Measure, Physics
from rve.material import RveMaterial
from tests.verification.cells import (
    ELEMENTS,
    PLASTIC,
    SOFT,
    STIFF,
    evaluate_one,
    law,
    layers,
    make_cell,
    random_path,
    relative_error,
)
from tests.verification.laminate import ExactLaminate

VOCE = law(
    "j2",
    E=1500.0,
    nu=0.25,
    yield_stress=8.0,
    hardening=Hardening(type="voce", H=5.0, saturation_stress=14.0, rate=40.0, kinematic=30.0),
)

CHABOCHE = law(
    "chaboche", E=1000.0, nu=0.3, yield_stress=5.0, back_stresses=(BackStress(modulus=300.0, recovery=40.0),)
)
VISCOELASTIC = law("viscoelastic", E=500.0, nu=0.25, branches=(MaxwellBranch(shear=400.0, bulk=100.0, time=2.0),))
ORTHOTROPIC = law(
    "orthotropic",
    E1=2000.0,
    E2=400.0,
    E3=600.0,
    nu12=0.3,
    nu13=0.2,
    nu23=0.25,
    G12=300.0,
    G13=250.0,
    G23=200.0,
    angle=25.0,
    thermal_strain=(1e-3, 3e-3, 2e-3),
)
EXPANDING = law("elastic", E=1000.0, nu=0.3, thermal_strain=2e-3)
OGDEN = law("ogden", mu=(40.0, -10.0), alpha=(1.5, -2.0), bulk_modulus=150.0)
FINITE_J2 = law("j2_finite", E=300.0, nu=0.3, yield_stress=10.0, hardening=30.0)

LAWS_AND_AMPLITUDES = {
    "elastic": (Physics.SMALL_STRAIN, (SOFT[Physics.SMALL_STRAIN], STIFF[Physics.SMALL_STRAIN]), 0.01),
    "j2": (Physics.SMALL_STRAIN, (PLASTIC, VOCE), 0.02),
    "neo_hookean": (Physics.FINITE_STRAIN, (SOFT[Physics.FINITE_STRAIN], STIFF[Physics.FINITE_STRAIN]), 0.15),
    "chaboche_viscoelastic": (Physics.SMALL_STRAIN, (CHABOCHE, VISCOELASTIC), 0.02),
    "orthotropic_thermal": (Physics.SMALL_STRAIN, (ORTHOTROPIC, EXPANDING), 0.01),
    "ogden_j2": (Physics.FINITE_STRAIN, (OGDEN, FINITE_J2), 0.15),
    "conductive": (Physics.HEAT, (SOFT[Physics.HEAT], STIFF[Physics.HEAT]), 1.0),
}
ARRANGEMENTS = [(2, normal, element) for normal in "xy" for element in ELEMENTS[2]] + [
    (3, normal, element) for normal in "xyz" for element in ELEMENTS[3]
]


@pytest.mark.parametrize("degree", [1, 2])
@pytest.mark.parametrize(("dimension", "normal", "element"), ARRANGEMENTS)
@pytest.mark.parametrize("name", LAWS_AND_AMPLITUDES)
def test_flux_and_tangent_are_those_of_the_exact_laminate(
    name: str, dimension: int, normal: str, element: str, degree: int
) -> None:
    physics, laws, amplitude = LAWS_AND_AMPLITUDES[name]
    measure = Measure(physics, dimension)
    cell = make_cell(measure, layers(normal), laws, element, degree)
    exact = ExactLaminate(laws, measure, 0.4, "xyz".index(normal))
    _compare_along_path(measure, cell, exact, amplitude)


def _compare_along_path(measure: Measure, cell: RveMaterial, exact: ExactLaminate, amplitude: float) -> None:
    point = np.zeros(1, dtype=np.int64)
    cell.bind(point)
    exact.bind(point)
    for gradient in random_path(measure, amplitude, steps=9, seed=measure.dimension):
        response = evaluate_one(cell, gradient)
        reference = exact.evaluate(gradient[None, :], 1.0)
        assert relative_error(response.flux, reference.flux) < 1e-8
        assert relative_error(response.tangent, reference.tangent) < 1e-8
        for output in cell.outputs:
            assert response.outputs[output] == pytest.approx(reference.outputs[output], rel=1e-8)
        cell.commit()
        exact.commit()
