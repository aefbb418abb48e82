"""J2 plasticity against exact solutions, and against the equations that define its backward Euler step."""

import itertools
import math

import numpy as np
import pytest
from scipy.optimize import brentq

from materials.hardening import Hardening
from materials.law import Law
from materials.law_material import LawMaterial
from materials.laws import LAWS
from materials.measures import Measure, Physics
from tests.verification import law_paths

E, NU, YIELD = 70e3, 0.3, 100.0
MU, KAPPA = E / 2 / (1 + NU), E / 3 / (1 - 2 * NU)
MEASURE = Measure(Physics.SMALL_STRAIN, 3)


def law(hardening: float | Hardening) -> Law:
    return LAWS["j2"](E=E, nu=NU, yield_stress=YIELD, hardening=hardening)


def drive(law: Law, path: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Stress (steps, 3, 3), plastic strain (steps, 3, 3) and α (steps,) along strains (steps, 3, 3)."""
    material = LawMaterial(law, MEASURE)
    material.bind(np.zeros(1, dtype=np.int64))
    stresses, plastic, alpha = [], [], []
    for strain in MEASURE.to_vector(path):
        response = material.evaluate(strain[None], 1.0)
        assert not response.status.any()
        material.commit()
        state = material.state()
        stresses.append(MEASURE.to_tensor(response.flux[0]))
        plastic.append(MEASURE.to_tensor(state["plastic_strain"][0]))
        alpha.append(state["equivalent_plastic_strain"][0])
    return np.array(stresses), np.array(plastic), np.array(alpha)


def voce(alpha: float) -> float:
    return YIELD + 150.0 * alpha + 80.0 * (1.0 - math.exp(-40.0 * alpha))


def swift(alpha: float) -> float:
    return YIELD * (1.0 + alpha / 2e-3) ** 0.2 + 150.0 * alpha


def linear(alpha: float) -> float:
    return YIELD + 500.0 * alpha


YIELD_STRESS = {
    "linear": (500.0, linear),
    "voce": (Hardening(type="voce", H=150.0, saturation_stress=180.0, rate=40.0), voce),
    "swift": (Hardening(type="swift", H=150.0, reference_strain=2e-3, exponent=0.2), swift),
}


ALL_HARDENING = pytest.mark.parametrize(
    ("hardening", "yield_stress"),
    [
        (Hardening(H=500.0, kinematic=900.0), linear),
        (Hardening(type="voce", H=150.0, saturation_stress=180.0, rate=40.0, kinematic=900.0), voce),
        (Hardening(type="swift", H=150.0, reference_strain=2e-3, exponent=0.2, kinematic=900.0), swift),
    ],
    ids=["linear", "voce", "swift"],
)


@pytest.mark.parametrize("steps", [1, 7])
@pytest.mark.parametrize("kind", list(YIELD_STRESS))
def test_simple_shear(kind: str, steps: int) -> None:
    """Proportional flow, on which backward Euler is exact: √3 μ (γ − √3 α) = σ_y(α)."""
    hardening, yield_stress = YIELD_STRESS[kind]
    gamma = 0.03
    path = np.zeros((steps, 3, 3))
    path[:, 0, 1] = path[:, 1, 0] = gamma / 2 * np.arange(1, steps + 1) / steps
    stress, _, alpha = drive(law(hardening), path)
    exact = brentq(lambda a: math.sqrt(3) * MU * (gamma - math.sqrt(3) * a) - yield_stress(a), 0.0, gamma, xtol=1e-16)
    assert alpha[-1] == pytest.approx(exact, rel=1e-13)
    expected = np.zeros((3, 3))
    expected[0, 1] = expected[1, 0] = yield_stress(exact) / math.sqrt(3)
    assert stress[-1] == pytest.approx(expected, abs=1e-13 * MU)
    assert stress[-1, 0, 1] == pytest.approx(expected[0, 1], rel=1e-12)


@pytest.mark.parametrize("steps", [1, 7])
@pytest.mark.parametrize("kind", list(YIELD_STRESS))
def test_uniaxial_strain(kind: str, steps: int) -> None:
    """2μ ε − 3μ α = σ_y(α), and σ₁₁ = κ ε + ⅔ σ_y."""
    hardening, yield_stress = YIELD_STRESS[kind]
    strain = -0.02
    path = np.zeros((steps, 3, 3))
    path[:, 0, 0] = strain * np.arange(1, steps + 1) / steps
    stress, plastic, alpha = drive(law(hardening), path)
    exact = brentq(lambda a: 2 * MU * abs(strain) - 3 * MU * a - yield_stress(a), 0.0, abs(strain), xtol=1e-16)
    assert alpha[-1] == pytest.approx(exact, rel=1e-13)
    assert stress[-1, 0, 0] == pytest.approx(KAPPA * strain - 2 / 3 * yield_stress(exact), rel=1e-13)
    assert stress[-1, 1, 1] == pytest.approx(KAPPA * strain + 1 / 3 * yield_stress(exact), rel=1e-13)
    assert plastic[-1] == pytest.approx(np.diag([-exact, exact / 2, exact / 2]), abs=1e-16)


def exact_cycle(turns: list[float], H: float, kinematic: float) -> list[tuple[float, float]]:
    """Signed equivalent stress and α at each turning point of the signed shear 2ε₁₁/3, elastic then plastic."""
    stress = plastic = alpha = previous = 0.0
    found = []
    for turn in turns:
        sense = math.copysign(1.0, turn - previous)
        to_yield = (YIELD + H * alpha - sense * (stress - kinematic * plastic)) / (3 * MU)
        length = abs(turn - previous)
        flow = max(length - to_yield, 0.0) * 3 * MU / (3 * MU + H + kinematic)
        plastic += sense * flow
        alpha += flow
        stress += sense * 3 * MU * (length - flow)
        previous = turn
        found.append((stress, alpha))
    return found


@pytest.mark.parametrize(("H", "kinematic"), [(0.0, 4e3), (1e3, 4e3), (2e3, 0.0)])
@pytest.mark.parametrize("steps", [1, 5])
def test_cyclic_uniaxial_strain(H: float, kinematic: float, steps: int) -> None:
    turns = [4e-3, -3e-3, 5e-3, 4.5e-3, -5e-3]
    knots = np.concatenate([[0.0], turns])
    values = np.concatenate([np.linspace(a, b, steps + 1)[1:] for a, b in itertools.pairwise(knots)])
    path = np.zeros((len(values), 3, 3))
    path[:, 0, 0] = 1.5 * values
    stress, _, alpha = drive(law(Hardening(H=H, kinematic=kinematic)), path)
    for turn, (equivalent, plastic) in enumerate(exact_cycle(turns, H, kinematic)):
        at = (turn + 1) * steps - 1
        assert stress[at, 0, 0] - stress[at, 1, 1] == pytest.approx(equivalent, abs=1e-11 * YIELD)
        assert alpha[at] == pytest.approx(plastic, rel=1e-11)


def test_kinematic_hardening_lowers_the_yield_stress_of_reversed_flow() -> None:
    """Bauschinger: with H = 0 the elastic range keeps its width 2 σ_y."""
    forward = exact_cycle([4e-3], 0.0, 4e3)[0][0]
    elastic_range = 2 * YIELD / (3 * MU)
    path = np.zeros((3, 3, 3))
    path[:, 0, 0] = 1.5 * (4e-3 - np.array([0.0, 0.999 * elastic_range, 1.001 * elastic_range]))
    stress, _, alpha = drive(law(Hardening(kinematic=4e3)), path)
    assert stress[0, 0, 0] - stress[0, 1, 1] == pytest.approx(forward, rel=1e-12)
    assert alpha[1] == alpha[0]
    assert alpha[2] > alpha[0]


@ALL_HARDENING
def test_every_step_of_a_random_path_solves_the_backward_euler_equations(hardening, yield_stress) -> None:
    """Hooke, yield, flow rule and loading conditions, in full tensors; they have one solution."""
    steps = np.random.default_rng(11).standard_normal((60, 3, 3)) * 1.2e-3
    path = np.cumsum(0.5 * (steps + steps.swapaxes(1, 2)), axis=0)
    stress, plastic, alpha = drive(law(hardening), path)
    identity = np.eye(3)
    old_plastic, old_alpha, flowing = np.zeros((3, 3)), 0.0, 0
    for strain, s, p, a in zip(path, stress, plastic, alpha, strict=True):
        elastic = strain - p
        hooke = (KAPPA - 2 / 3 * MU) * np.trace(elastic) * identity + 2 * MU * elastic
        assert s == pytest.approx(hooke, abs=1e-12 * YIELD)
        xi = s - np.trace(s) / 3 * identity - 2 / 3 * hardening.kinematic * p
        q = math.sqrt(1.5 * np.sum(xi * xi))
        increment = a - old_alpha
        assert increment >= 0.0
        assert q <= yield_stress(a) * (1 + 1e-13)
        if increment > 0.0:
            flowing += 1
            assert q == pytest.approx(yield_stress(a), rel=1e-13)
        assert p - old_plastic == pytest.approx(1.5 * increment * xi / q, abs=1e-16)
        old_plastic, old_alpha = p, a
    assert 20 < flowing < 60  # the path both flows and unloads


@pytest.mark.parametrize(
    ("saturation", "rate", "strain"),
    [(100.1, 1e6, 0.5), (1e4, 1e5, 1e-2), (101.0, 1e-3, 0.5), (180.0, 3e3, 1.86e-3), (180.0, 3e3, 50.0)],
)
def test_extreme_voce_hardening_is_solved_to_round_off(saturation: float, rate: float, strain: float) -> None:
    path = np.zeros((1, 3, 3))
    path[0, 0, 0] = strain
    hardening = Hardening(type="voce", saturation_stress=saturation, rate=rate)
    stress, _, alpha = drive(law(hardening), path)
    expected = YIELD - (saturation - YIELD) * math.expm1(-rate * alpha[0])
    assert stress[0, 0, 0] - stress[0, 1, 1] == pytest.approx(expected, abs=4e-15 * E * strain + 1e-13 * YIELD)
    assert alpha[0] > 0.0


def test_hydrostatic_strain_never_yields() -> None:
    stress, plastic, alpha = drive(law(0.0), np.eye(3)[None] * 0.3)
    assert stress[0] == pytest.approx(np.eye(3) * KAPPA * 0.9, rel=1e-14, abs=1e-9)
    assert not alpha.any()
    assert not plastic.any()


@ALL_HARDENING
def test_work_is_never_less_than_the_energy_stored(hardening, yield_stress) -> None:
    """By σ_y(0) α at least, with the energy ⅓ C εᵖ:εᵖ of the back stress (Lemaitre and Chaboche 1990)."""
    rest = np.zeros((3, 3))
    path = law_paths.refined(law_paths.random_strains(40, 6, 8e-3, 3), rest, 50)
    stress, state = law_paths.drive(law(hardening), path)
    plastic, alpha = MEASURE.to_tensor(state["plastic_strain"]), state["equivalent_plastic_strain"]
    elastic = path - plastic
    volumetric = np.trace(elastic, axis1=-2, axis2=-1)
    stored = KAPPA / 2 * volumetric**2 + MU * (np.sum(elastic**2, axis=(-2, -1)) - volumetric**2 / 3)
    stored += hardening.kinematic / 3 * np.sum(plastic**2, axis=(-2, -1))
    dissipated = law_paths.work(path, stress, rest) - stored
    lost = np.diff(dissipated - YIELD * alpha, axis=0)
    assert lost.min() > -1e-4 * dissipated[-1].max()
    assert alpha[-1].min() > 1e-3
    assert dissipated[-1] == pytest.approx(np.trapezoid(np.vectorize(yield_stress)(alpha), alpha, axis=0), rel=2e-3)
