"""Hyperelastic laws against their stored energy, and against each other."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from materials.elastic_constants import ElasticConstants
from materials.law import Law
from materials.law_material import LawMaterial
from materials.laws import LAWS
from materials.measures import Measure, Physics

N = 25
LMBDA, MU = ElasticConstants.from_young(120.0, 0.35)


def neo_hookean_energy(F: np.ndarray) -> complex:
    """W = μ/2 (I₁ − 3 − 2 ln J) + λ/2 (ln J)²."""
    log_J = np.log(np.linalg.det(F))
    return MU / 2 * (np.trace(F.T @ F) - 3 - 2 * log_J) + LMBDA / 2 * log_J**2


def saint_venant_kirchhoff_energy(F: np.ndarray) -> complex:
    """W = λ/2 (tr E)² + μ E:E."""
    E = (F.T @ F - np.eye(3)) / 2
    return LMBDA / 2 * np.trace(E) ** 2 + MU * np.sum(E * E)


def volumetric_energy(J: complex) -> complex:
    """κ/4 (J² − 1 − 2 ln J)."""
    return (LMBDA + 2 / 3 * MU) / 4 * (J**2 - 1 - 2 * np.log(J))


def mooney_rivlin_energy(F: np.ndarray) -> complex:
    """W = C10 (Ī₁ − 3) + C01 (Ī₂ − 3) + κ/4 (J² − 1 − 2 ln J)."""
    J = np.linalg.det(F)
    C = F.T @ F
    I1 = np.trace(C)
    I2 = (I1**2 - np.trace(C @ C)) / 2
    return 0.3 * MU * (J ** (-2 / 3) * I1 - 3) + 0.2 * MU * (J ** (-4 / 3) * I2 - 3) + volumetric_energy(J)


OGDEN = ((0.6 * MU, -0.2 * MU, 0.05 * MU), (2.0, -3.0, 4.0))


def ogden_energy(F: np.ndarray) -> complex:
    """W = Σ μ/α (tr C̄^(α/2) − 3) + κ/4 (J² − 1 − 2 ln J)."""
    J = np.linalg.det(F)
    stretches = np.sqrt(np.linalg.eigvals(J ** (-2 / 3) * (F.T @ F)))
    return sum(mu / alpha * (np.sum(stretches**alpha) - 3) for mu, alpha in zip(*OGDEN, strict=True)) + (
        volumetric_energy(J)
    )


ENERGIES = {
    "neo_hookean": neo_hookean_energy,
    "saint_venant_kirchhoff": saint_venant_kirchhoff_energy,
    "mooney_rivlin": mooney_rivlin_energy,
    "ogden": ogden_energy,
}
KAPPA = LMBDA + 2 / 3 * MU
PARAMETERS = {
    "mooney_rivlin": {"C10": 0.3 * MU, "C01": 0.2 * MU, "bulk_modulus": KAPPA},
    "ogden": {"mu": OGDEN[0], "alpha": OGDEN[1], "bulk_modulus": KAPPA},
}


@pytest.fixture(params=list(ENERGIES))
def law(request: pytest.FixtureRequest) -> Law:
    return LAWS[request.param](**PARAMETERS.get(request.param, {"mu": MU, "lmbda": LMBDA}))


def deformations() -> np.ndarray:
    F = np.eye(3) + 0.5 * np.random.default_rng(3).uniform(-1.0, 1.0, (3 * N, 3, 3))
    return F[np.linalg.det(F) > 0.2][:N]


def evaluate(law: Law, F: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    material = LawMaterial(law, Measure(Physics.FINITE_STRAIN, 3))
    material.bind(np.arange(len(F)))
    response = material.evaluate(F.reshape(-1, 9), 1.0)
    assert not response.status.any()
    return response.flux.reshape(-1, 3, 3), response.tangent.reshape(-1, 3, 3, 3, 3)


def test_stress_is_the_derivative_of_the_energy(law: Law) -> None:
    step = 1e-30
    P, _ = evaluate(law, deformations())
    for F, found in zip(deformations(), P, strict=True):
        expected = np.empty((3, 3))
        for i, j in np.ndindex(3, 3):
            perturbed = F.astype(complex)
            perturbed[i, j] += 1j * step
            expected[i, j] = ENERGIES[law.name](perturbed).imag / step
        assert found == pytest.approx(expected, abs=2e-13 * np.abs(expected).max())


def test_rest_is_free_of_stress_and_as_stiff_as_linear_elasticity(law: Law) -> None:
    P, A = evaluate(law, np.eye(3)[None])
    assert np.abs(P).max() < 1e-14 * MU
    identity = np.eye(3)
    expected = LMBDA * np.einsum("ij,kl->ijkl", identity, identity) + MU * (
        np.einsum("ik,jl->ijkl", identity, identity) + np.einsum("il,jk->ijkl", identity, identity)
    )
    assert A[0] == pytest.approx(expected, abs=1e-14 * LMBDA)


def stretches_of_every_multiplicity() -> np.ndarray:
    """Deformations with three, two, almost two and no equal stretches, in turned axes."""
    stretches = [(1, 1, 1), (1.3, 1.3, 1.3), (1.5, 0.8, 0.8), (0.8, 1.5, 0.8), (1.2, 1.2 + 1e-9, 0.7), (1.4, 0.6, 1.1)]
    stretches += [(1 + 1e-12, 1, 1 - 3e-13), (0.9, 0.9 + 1e-5, 0.9 - 1e-5), (1.3, 1.3 - 1e-14, 2.0)]
    Q, R = Rotation.random(2 * len(stretches), random_state=6).as_matrix().reshape(2, -1, 3, 3)
    turned = Q @ np.array([np.diag(stretch) for stretch in stretches]) @ R
    return np.concatenate([turned, [np.diag(stretch).astype(float) for stretch in stretches]])


def test_ogden_with_the_exponents_2_and_minus_2_is_mooney_rivlin_for_equal_stretches_too() -> None:
    F = stretches_of_every_multiplicity()
    expected_P, expected_A = evaluate(LAWS["mooney_rivlin"](C10=3.0, C01=2.0, bulk_modulus=9.0), F)
    found_P, found_A = evaluate(LAWS["ogden"](mu=(6.0, -4.0), alpha=(2.0, -2.0), bulk_modulus=9.0), F)
    assert found_P == pytest.approx(expected_P, abs=3e-14 * np.abs(expected_P).max())
    assert found_A == pytest.approx(expected_A, abs=3e-14 * np.abs(expected_A).max())


def test_mooney_rivlin_in_simple_shear() -> None:
    """σ₁₂ = 2 (C10 + C01) γ, and σ₁₁ − σ₂₂ = γ σ₁₂ (Rivlin 1948)."""
    gamma = np.linspace(-2.0, 2.0, 9)
    F = np.tile(np.eye(3), (9, 1, 1))
    F[:, 0, 1] = gamma
    P, _ = evaluate(LAWS["mooney_rivlin"](C10=3.0, C01=2.0, bulk_modulus=9.0), F)
    cauchy = P @ F.swapaxes(1, 2)
    assert cauchy[:, 0, 1] == pytest.approx(10.0 * gamma, abs=1e-13 * 20.0)
    assert cauchy[:, 0, 0] - cauchy[:, 1, 1] == pytest.approx(10.0 * gamma**2, abs=1e-13 * 40.0)


def test_ogden_in_biaxial_stretch() -> None:
    """τ₁ − τ₃ = Σ μ (λ₁^α − λ₃^α) at constant volume."""
    first, second = np.array([1.0, 1.5, 2.5, 0.4]), np.array([1.0, 1.2, 0.9, 1.1])
    third = 1.0 / (first * second)
    P, _ = evaluate(
        LAWS["ogden"](**PARAMETERS["ogden"]), np.array([np.diag(s) for s in zip(first, second, third, strict=True)])
    )
    expected = sum(mu * (first**alpha - third**alpha) for mu, alpha in zip(*OGDEN, strict=True))
    assert P[:, 0, 0] * first - P[:, 2, 2] * third == pytest.approx(expected, rel=1e-12, abs=1e-12 * MU)
