"""Finite-strain J2 plasticity against closed forms, small strain, and the invariance of its potential."""

import math

import numpy as np
import pytest
from scipy.linalg import expm, logm
from scipy.optimize import brentq
from scipy.spatial.transform import Rotation

from materials.hardening import Hardening
from materials.laws import LAWS
from materials.measures import Measure, Physics
from tests.verification.law_paths import drive, random_strains, refined, work

E, NU, YIELD = 200.0, 0.3, 1.0
MU, KAPPA = E / 2 / (1 + NU), E / 3 / (1 - 2 * NU)
VOCE = Hardening(type="voce", H=0.5, saturation_stress=1.8, rate=4.0)
LAW = LAWS["j2_finite"](E=E, nu=NU, yield_stress=YIELD, hardening=VOCE)


def level(alpha: float) -> float:
    return YIELD + 0.5 * alpha + 0.8 * (1.0 - math.exp(-4.0 * alpha))


def deformations(steps: int, n: int, size: float, seed: int) -> np.ndarray:
    """Random deformation gradients with large rotations, in steps from rest, (steps, n, 3, 3)."""
    strain = random_strains(steps, n, size, seed)
    rotation = Rotation.from_rotvec(0.1 * np.arange(steps)[:, None] * [0.3, 0.5, -0.7]).as_matrix()[:, None]
    return rotation @ expm(strain)


def elastic_metric(F: np.ndarray, state: dict[str, np.ndarray]) -> np.ndarray:
    inverse = Measure(Physics.SMALL_STRAIN, 3).to_tensor(state["inverse_plastic_metric"])
    return F @ inverse @ F.swapaxes(-1, -2)


@pytest.mark.parametrize("steps", [1, 6])
@pytest.mark.parametrize("rotation", [0.0, 2.0])
def test_isochoric_stretch(steps: int, rotation: float) -> None:
    """F = R diag(λ, λ^−½, λ^−½): 3μ (ln λ − α) = σ_y(α) and τ₁ − τ₂ = σ_y(α), exact in any number of steps."""
    log_stretch = 0.7
    axis = Rotation.from_rotvec([0.2, rotation, 0.5]).as_matrix()
    log_strains = np.linspace(0, log_stretch, steps + 1)[1:, None] * [1.0, -0.5, -0.5]
    path = (axis @ np.array([np.diag(np.exp(strain)) for strain in log_strains]))[:, None]
    P, state = drive(LAW, path)
    alpha = brentq(lambda a: 3 * MU * (log_stretch - a) - level(a), 0.0, log_stretch, xtol=1e-15)
    assert state["equivalent_plastic_strain"][-1, 0] == pytest.approx(alpha, rel=1e-12)
    kirchhoff = axis.T @ P[-1, 0] @ path[-1, 0].T @ axis
    assert kirchhoff == pytest.approx(np.diag([2 / 3, -1 / 3, -1 / 3]) * level(alpha), abs=1e-11)


def test_small_strains_are_those_of_j2() -> None:
    path = 1e-6 * random_strains(30, 8, 5.0, 1)
    yield_stress = 1e-6 * E
    expected, states = drive(LAWS["j2"](E=E, nu=NU, yield_stress=yield_stress, hardening=5.0), path)
    law = LAWS["j2_finite"](E=E, nu=NU, yield_stress=yield_stress, hardening=5.0)
    stress, found = drive(law, np.eye(3) + path)
    assert stress == pytest.approx(expected, abs=1e-5 * np.abs(expected).max())
    alpha = states["equivalent_plastic_strain"]
    assert found["equivalent_plastic_strain"] == pytest.approx(alpha, abs=1e-5 * alpha.max())
    assert alpha[-1].min() > 0.0


def test_elastic_response_is_henckys() -> None:
    """τ = κ ln J 1 + 2μ dev ½ ln b below yield."""
    strong = LAWS["j2_finite"](E=E, nu=NU, yield_stress=1e6)
    F = deformations(4, 6, 3.0, 2)
    P, state = drive(strong, F)
    assert not state["equivalent_plastic_strain"].any()
    for f, p in zip(F.reshape(-1, 3, 3), P.reshape(-1, 3, 3), strict=True):
        strain = logm(f @ f.T).real / 2
        expected = KAPPA * np.trace(strain) * np.eye(3) + 2 * MU * (strain - np.trace(strain) / 3 * np.eye(3))
        assert p @ f.T == pytest.approx(expected, abs=1e-11 * E)


def test_every_step_is_on_or_in_the_yield_surface_and_plastic_flow_keeps_the_volume() -> None:
    F = deformations(60, 8, 0.02, 3)
    P, state = drive(LAW, F)
    kirchhoff = P @ F.swapaxes(-1, -2)
    assert kirchhoff == pytest.approx(kirchhoff.swapaxes(-1, -2), abs=1e-12 * np.abs(kirchhoff).max())
    deviator = kirchhoff - np.trace(kirchhoff, axis1=-2, axis2=-1)[..., None, None] / 3 * np.eye(3)
    q = np.sqrt(1.5 * np.sum(deviator**2, axis=(-2, -1)))
    alpha = state["equivalent_plastic_strain"]
    grown = np.diff(alpha, axis=0, prepend=0.0)
    levels = np.vectorize(level)(alpha)
    assert grown.min() >= 0.0
    assert q[grown > 0.0] == pytest.approx(levels[grown > 0.0], rel=1e-9)
    assert (q <= levels * (1 + 1e-9)).all()
    assert 50 < np.count_nonzero(grown) < alpha.size
    metric = elastic_metric(F, state)
    assert np.linalg.det(metric) == pytest.approx(np.linalg.det(F) ** 2, rel=1e-11)


def test_rotations_turn_the_stress_and_leave_the_state() -> None:
    F = deformations(20, 6, 1.0, 4)
    Q = Rotation.random(20, random_state=5).as_matrix()[:, None]
    P, state = drive(LAW, F)
    turned, turned_state = drive(LAW, Q @ F)
    assert turned == pytest.approx(Q @ P, abs=1e-11 * np.abs(P).max())
    for name, value in state.items():
        assert turned_state[name] == pytest.approx(value, abs=1e-11)


def test_unloading_is_elastic_and_leaves_the_state() -> None:
    """Back towards the unloaded configuration and forth again: neither state nor stress differ in the end."""
    F = deformations(20, 6, 1.0, 8)
    _, before = drive(LAW, F)
    squares, axes = np.linalg.eigh(elastic_metric(F[-1], {k: v[-1] for k, v in before.items()}))
    unloading = np.einsum("nia,na,nja->nij", axes, squares**-0.25, axes)  # halves the elastic logarithmic strain
    P, state = drive(LAW, np.concatenate([F, unloading[None] @ F[-1], F[-1:]]))
    for values in state.values():
        assert np.array_equal(values[-1], values[-3])
    assert P[-1] == pytest.approx(P[-3], abs=1e-13 * np.abs(P).max())
    half = P[-2] @ (unloading @ F[-1]).swapaxes(-1, -2)
    assert half == pytest.approx(0.5 * P[-1] @ F[-1].swapaxes(-1, -2), abs=1e-11 * np.abs(P).max())


def test_work_is_never_less_than_the_elastic_energy() -> None:
    """By σ_y α at least."""
    F = refined(deformations(30, 4, 0.3, 10), np.eye(3), 50)
    P, state = drive(LAW, F)
    squares = np.linalg.eigvalsh(elastic_metric(F, state))
    strain = 0.5 * np.log(squares)
    volumetric = strain.sum(axis=-1)
    stored = KAPPA / 2 * volumetric**2 + MU * (np.sum(strain**2, axis=-1) - volumetric**2 / 3)
    lost = work(F, P, np.eye(3)) - stored - YIELD * state["equivalent_plastic_strain"]
    assert np.diff(lost, axis=0).min() > -1e-4 * lost[-1].max()
    assert lost[-1].min() > 0.1
