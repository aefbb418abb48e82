"""Nonlinear kinematic hardening against closed forms, and against the equations of its backward Euler step."""

import math

import numpy as np
import pytest

from materials.hardening import Hardening
from materials.law import Law
from materials.laws import LAWS
from materials.laws.chaboche import BackStress
from materials.measures import Measure, Physics
from tests.verification.law_paths import drive, random_strains, refined, work

E, NU, YIELD = 70e3, 0.3, 100.0
MU, KAPPA = E / 2 / (1 + NU), E / 3 / (1 - 2 * NU)
BACKS = (BackStress(modulus=20e3, recovery=250.0), BackStress(modulus=3e3, recovery=10.0))
VOCE = Hardening(type="voce", H=150.0, saturation_stress=180.0, rate=40.0)


def chaboche(*backs: BackStress, hardening: float | Hardening = 0.0) -> Law:
    return LAWS["chaboche"](E=E, nu=NU, yield_stress=YIELD, hardening=hardening, back_stresses=backs)


def uniaxial(values: np.ndarray) -> np.ndarray:
    """Strains whose equivalent strain is `values`, from uniaxial strain."""
    path = np.zeros((len(values), 1, 3, 3))
    path[:, 0, 0, 0] = 1.5 * values
    return path


def test_without_recovery_it_is_linear_kinematic_hardening() -> None:
    path = random_strains(60, 10, 8e-3, 1)
    hardening = {"type": "voce", "H": 150.0, "saturation_stress": 180.0, "rate": 40.0}
    linear = LAWS["j2"](E=E, nu=NU, yield_stress=YIELD, hardening=Hardening(**hardening, kinematic=2300.0))
    backs = (BackStress(modulus=2000.0, recovery=0.0), BackStress(modulus=300.0, recovery=0.0))
    expected, states = drive(linear, path)
    found, found_states = drive(chaboche(*backs, hardening=Hardening(**hardening)), path)
    assert found == pytest.approx(expected, abs=1e-10 * YIELD)
    alpha = found_states["equivalent_plastic_strain"]
    assert alpha == pytest.approx(states["equivalent_plastic_strain"], rel=1e-9, abs=1e-15)
    assert alpha[-1].min() > 1e-3


def test_the_back_stress_saturates_as_in_the_closed_form() -> None:
    """Monotonic flow: |β| = C/γ (1 − e^(−γα)) (Lemaitre and Chaboche 1990); the error falls with the step."""
    errors = []
    for steps in (500, 1000):
        stress, state = drive(chaboche(BACKS[0]), uniaxial(0.02 * np.arange(1, steps + 1) / steps))
        alpha = state["equivalent_plastic_strain"][-1, 0]
        exact = YIELD + 20e3 / 250.0 * (1 - math.exp(-250.0 * alpha))
        errors.append(abs(stress[-1, 0, 0, 0] - stress[-1, 0, 1, 1] - exact))
    assert errors[1] < 0.01
    assert errors[0] / errors[1] == pytest.approx(2.0, abs=0.05)


def test_a_stabilised_cycle_has_the_closed_form_amplitude() -> None:
    """σ_max = σ_y + Σ C/γ tanh(γ Δεᵖ / 2), Δεᵖ the plastic range (Lemaitre and Chaboche 1990, sec. 5.4.4)."""
    quarter = np.linspace(0, 1, 151)[1:] * 6e-3
    cycle = np.concatenate([quarter[::-1] - 4e-5, -quarter, -quarter[::-1] + 4e-5, quarter])
    stress, state = drive(chaboche(*BACKS), uniaxial(np.concatenate([quarter, *[cycle] * 8])))
    peak = stress[-1, 0, 0, 0] - stress[-1, 0, 1, 1]
    plastic = state["plastic_strain"][-len(cycle) :, 0, 0]
    extent = plastic.max() - plastic.min()
    expected = YIELD + sum(back.modulus / back.recovery * math.tanh(back.recovery * extent / 2) for back in BACKS)
    assert peak == pytest.approx(expected, rel=3e-3)


@pytest.mark.parametrize("hardening", [0.0, VOCE], ids=["perfect", "voce"])
def test_every_step_of_a_random_path_solves_the_backward_euler_equations(hardening: float | Hardening) -> None:
    path = random_strains(60, 8, 2e-2, 2)
    law = chaboche(*BACKS, hardening=hardening)
    stress, state = drive(law, path)
    to_tensor = Measure(Physics.SMALL_STRAIN, 3).to_tensor
    plastic, back = to_tensor(state["plastic_strain"]), to_tensor(state["back_stress"])
    alpha = state["equivalent_plastic_strain"]
    identity, flowing = np.eye(3), 0
    for step, point in np.ndindex(*alpha.shape):
        old = step - 1
        a, p, beta = alpha[step, point], plastic[step, point], back[step, point]
        old_a, old_p, old_beta = (alpha[old, point], plastic[old, point], back[old, point]) if step else (0.0, 0.0, 0.0)
        elastic = path[step, point] - p
        hooke = (KAPPA - 2 / 3 * MU) * np.trace(elastic) * identity + 2 * MU * elastic
        s = stress[step, point]
        assert s == pytest.approx(hooke, abs=1e-11 * YIELD)
        xi = s - np.trace(s) / 3 * identity - beta.sum(axis=0)
        q = math.sqrt(1.5 * np.sum(xi * xi))
        level = YIELD if hardening == 0.0 else YIELD + 150.0 * a + 80.0 * (1.0 - math.exp(-40.0 * a))
        increment = a - old_a
        assert increment >= 0.0
        assert q <= level * (1 + 1e-11)
        if increment > 0.0:
            flowing += 1
            assert q == pytest.approx(level, rel=1e-11)
        assert p - old_p == pytest.approx(1.5 * increment * xi / q, abs=1e-15)
        expected = [
            2 / 3 * b.modulus * (p - old_p) - b.recovery * increment * now for b, now in zip(BACKS, beta, strict=True)
        ]
        assert beta - old_beta == pytest.approx(np.array(expected), abs=1e-11 * YIELD)
    assert 100 < flowing < alpha.size


def test_work_is_never_less_than_the_energy_stored() -> None:
    """By σ_y α at least, with the energy Σ 3/(4C) β:β in the back stresses (Lemaitre and Chaboche 1990)."""
    path = refined(random_strains(40, 6, 0.02, 3), np.zeros((3, 3)), 50)
    stress, state = drive(chaboche(*BACKS), path)
    to_tensor = Measure(Physics.SMALL_STRAIN, 3).to_tensor
    elastic = path - to_tensor(state["plastic_strain"])
    volumetric = np.trace(elastic, axis1=-2, axis2=-1)
    stored = KAPPA / 2 * volumetric**2 + MU * (np.sum(elastic**2, axis=(-2, -1)) - volumetric**2 / 3)
    for index, back in enumerate(BACKS):
        stored += 0.75 / back.modulus * np.sum(state["back_stress"][:, :, index] ** 2, axis=-1)
    lost = work(path, stress, np.zeros((3, 3))) - stored - YIELD * state["equivalent_plastic_strain"]
    assert np.diff(lost, axis=0).min() > -1e-4 * lost[-1].max()
    assert lost[-1].min() > 0.1


@pytest.mark.parametrize("recovery", [1.0, 1e3, 1e6])
def test_huge_steps_are_solved(recovery: float) -> None:
    law = chaboche(BackStress(modulus=50e3, recovery=recovery), hardening=VOCE)
    path = np.concatenate([random_strains(20, 20, 5.0, 4), random_strains(20, 20, 0.05, 5)])
    _, state = drive(law, path)
    assert state["back_stress"][:, :, 0].max() <= 50e3 / recovery
