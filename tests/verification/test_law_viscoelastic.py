"""The generalised Maxwell solid against closed forms in time."""

import numpy as np
import pytest

from materials.elastic_constants import ElasticConstants
from materials.laws import LAWS
from materials.laws.viscoelastic import MaxwellBranch, Viscoelastic
from materials.measures import Measure, Physics
from tests.verification.law_paths import drive, random_strains, refined, work

E, NU = 100.0, 0.3
LMBDA, MU = ElasticConstants.from_young(E, NU)
KAPPA = LMBDA + 2 / 3 * MU
BRANCHES = (MaxwellBranch(shear=30.0, time=0.5), MaxwellBranch(shear=20.0, bulk=40.0, time=4.0))
LAW = LAWS["viscoelastic"](E=E, nu=NU, branches=BRANCHES)
STRAIN = np.array([[2e-3, 1e-3, 0.0], [1e-3, -1e-3, 3e-4], [0.0, 3e-4, 5e-4]])


def isotropic(bulk: float, shear: float, strain: np.ndarray) -> np.ndarray:
    spherical = np.trace(strain) / 3 * np.eye(3)
    return 3 * bulk * spherical + 2 * shear * (strain - spherical)


@pytest.mark.parametrize("steps", [1, 3, 40])
def test_constant_rate_is_exact_whatever_the_step(steps: int) -> None:
    """σ(t) = C ε + Σ C_h ε̇ τ (1 − e^(−t/τ))."""
    end = 3.0
    path = STRAIN * np.linspace(0, 1, steps + 1)[1:, None, None, None]
    stress, _ = drive(LAW, path, end / steps)
    expected = isotropic(KAPPA, MU, STRAIN)
    for branch in BRANCHES:
        factor = branch.time / end * (1 - np.exp(-end / branch.time))
        expected += isotropic(branch.bulk, branch.shear, STRAIN) * factor
    assert stress[-1, 0] == pytest.approx(expected, rel=1e-12, abs=1e-15)


def test_a_sudden_strain_relaxes_exponentially_to_the_long_term_stress() -> None:
    jump, _ = drive(LAW, STRAIN[None, None], 0.0)
    instantaneous = isotropic(KAPPA + 40.0, MU + 50.0, STRAIN)
    assert jump[0, 0] == pytest.approx(instantaneous, rel=1e-13)
    material_path = np.broadcast_to(STRAIN, (30, 1, 3, 3))
    held, _ = drive(LAW, material_path, 1e-9)  # in one instant, and then nothing happens
    assert held[-1, 0] == pytest.approx(instantaneous, rel=1e-6)
    relaxed, _ = drive(LAW, material_path, 10.0)
    assert relaxed[-1, 0] == pytest.approx(isotropic(KAPPA, MU, STRAIN), rel=1e-10)


def test_relaxation_in_between() -> None:
    """h(t) = h(t₀) e^(−(t − t₀)/τ) at held strain, in whatever steps."""
    ramp = STRAIN[None, None] * np.array([0.5, 1.0])[:, None, None, None]
    path = np.concatenate([ramp, np.broadcast_to(STRAIN, (7, 1, 3, 3))])
    stress, state = drive(LAW, path, 0.3)
    mandel = Measure(Physics.SMALL_STRAIN, 3)
    expected = isotropic(KAPPA, MU, STRAIN)
    for branch, start in zip(BRANCHES, state["branch_stress"][1, 0], strict=True):
        expected += mandel.to_tensor(start) * np.exp(-7 * 0.3 / branch.time)
    assert stress[-1, 0] == pytest.approx(expected, rel=1e-12, abs=1e-15)


def test_storage_and_loss_modulus() -> None:
    """G' = G + Σ G_h ω²τ²/(1 + ω²τ²), G'' = Σ G_h ωτ/(1 + ω²τ²), after the start has died away."""
    omega, per_cycle, cycles = 2.0, 400, 12
    time = 2 * np.pi / omega * np.arange(1, per_cycle * cycles + 1) / per_cycle
    path = np.zeros((len(time), 1, 3, 3))
    path[:, 0, 0, 1] = path[:, 0, 1, 0] = 0.5e-3 * np.sin(omega * time)
    stress, _ = drive(LAW, path, time[0])
    last = slice(-per_cycle, None)
    storage = 2 * np.mean(stress[last, 0, 0, 1] * np.sin(omega * time[last])) / 1e-3
    loss = 2 * np.mean(stress[last, 0, 0, 1] * np.cos(omega * time[last])) / 1e-3
    reduced = [omega * branch.time for branch in BRANCHES]
    assert storage == pytest.approx(
        MU + sum(b.shear * x**2 / (1 + x**2) for b, x in zip(BRANCHES, reduced, strict=True)), rel=1e-4
    )
    assert loss == pytest.approx(
        sum(b.shear * x / (1 + x**2) for b, x in zip(BRANCHES, reduced, strict=True)), rel=1e-4
    )


def stored_energy(law: Viscoelastic, path: np.ndarray, state: dict[str, np.ndarray]) -> np.ndarray:
    """½ ε:C:ε + Σ ½ h:C_h⁻¹:h, (steps, n)."""

    def energy(bulk: float, shear: float, strain: np.ndarray) -> np.ndarray:
        volumetric = np.trace(strain, axis1=-2, axis2=-1)
        return bulk / 2 * volumetric**2 + shear * (np.sum(strain**2, axis=(-2, -1)) - volumetric**2 / 3)

    total = energy(KAPPA, MU, path)
    for index, branch in enumerate(law.branches):
        stress = Measure(Physics.SMALL_STRAIN, 3).to_tensor(state["branch_stress"][:, :, index])
        volumetric = np.trace(stress, axis1=-2, axis2=-1)
        total += (np.sum(stress**2, axis=(-2, -1)) - volumetric**2 / 3) / (4 * branch.shear)
        total += volumetric**2 / (18 * branch.bulk)
    return total


def test_work_is_never_less_than_the_energy_stored() -> None:
    law = LAWS["viscoelastic"](
        E=E,
        nu=NU,
        branches=(MaxwellBranch(shear=30.0, bulk=10.0, time=0.5), MaxwellBranch(shear=20.0, bulk=40.0, time=4)),
    )
    path = refined(random_strains(40, 8, 1e-3, 5), np.zeros((3, 3)), 50)
    stress, state = drive(law, path, 0.02)
    dissipated = work(path, stress, np.zeros((3, 3))) - stored_energy(law, path, state)
    lost = np.diff(dissipated, axis=0)
    assert lost.min() > -1e-6 * dissipated[-1].max()
    assert dissipated[-1].min() > 0.05 * stored_energy(law, path, state).max()
