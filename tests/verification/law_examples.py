"""Every law at least once, for what holds for all of them: a new law without an example fails `test_law_all.py`."""

from typing import Any, NamedTuple

from materials.hardening import Hardening
from materials.law import Law
from materials.laws import LAWS
from materials.laws.chaboche import BackStress
from materials.laws.viscoelastic import MaxwellBranch
from materials.measures import Physics


class Example(NamedTuple):
    """A law and what a test has to know of it."""

    law: Law
    size: float
    """Departure from rest, largest component, that is well into what is special about the law."""
    isotropic: bool = True
    linear: bool = False
    """Whether the flux is linear in the gradient, from any state."""


def _law(name: str, **parameters: Any) -> Law:
    return LAWS[name](**parameters)


def _j2(hardening: float | Hardening) -> Law:
    return _law("j2", E=1000.0, nu=0.3, yield_stress=5.0, hardening=hardening)


VOCE = Hardening(type="voce", H=5.0, saturation_stress=9.0, rate=40.0)
SWIFT = Hardening(type="swift", H=5.0, reference_strain=4e-3, exponent=0.2)

EXAMPLES: dict[str, Example] = {
    "elastic": Example(_law("elastic", E=1000.0, nu=0.3), 0.01, linear=True),
    "elastic_thermal": Example(_law("elastic", E=3000.0, nu=0.2, thermal_strain=2e-3), 0.01, linear=True),
    "orthotropic": Example(
        _law(
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
        ),
        0.01,
        isotropic=False,
        linear=True,
    ),
    "j2_perfect": Example(_j2(0.0), 0.02),
    "j2_linear": Example(_j2(20.0), 0.02),
    "j2_kinematic": Example(_j2(Hardening(H=5.0, kinematic=40.0)), 0.02),
    "j2_voce": Example(_j2(VOCE), 0.02),
    "j2_swift": Example(_j2(SWIFT), 0.02),
    "chaboche": Example(
        _law(
            "chaboche",
            E=1000.0,
            nu=0.3,
            yield_stress=5.0,
            hardening=VOCE,
            back_stresses=(BackStress(modulus=300.0, recovery=40.0), BackStress(modulus=30.0, recovery=0.0)),
        ),
        0.02,
    ),
    "viscoelastic": Example(
        _law(
            "viscoelastic",
            E=500.0,
            nu=0.25,
            branches=(MaxwellBranch(shear=400.0, bulk=100.0, time=2.0), MaxwellBranch(shear=50.0, time=0.3)),
        ),
        0.02,
        linear=True,
    ),
    "damage": Example(_law("damage", E=1000.0, nu=0.2, threshold=2e-3, failure=2e-2), 0.01),
    "neo_hookean": Example(_law("neo_hookean", E=100.0, nu=0.3), 0.15),
    "saint_venant_kirchhoff": Example(_law("saint_venant_kirchhoff", E=200.0, nu=0.25), 0.1),
    "mooney_rivlin": Example(_law("mooney_rivlin", C10=12.0, C01=5.0, bulk_modulus=80.0), 0.15),
    "ogden": Example(_law("ogden", mu=(40.0, -10.0), alpha=(1.5, -2.0), bulk_modulus=150.0), 0.15),
    "j2_finite": Example(_law("j2_finite", E=300.0, nu=0.3, yield_stress=10.0, hardening=30.0), 0.15),
    "conductive": Example(_law("conductive", k=2.0), 1.0, linear=True),
    "conductive_anisotropic": Example(
        _law("conductive", k=((3.0, 1.0, 0.0), (1.0, 2.0, 0.5), (0.0, 0.5, 1.0))), 1.0, isotropic=False, linear=True
    ),
}


def examples_of(physics: Physics) -> list[str]:
    """Names of the examples for one physics."""
    return [name for name, example in EXAMPLES.items() if example.law.physics is physics]
