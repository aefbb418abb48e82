"""Hyperelastic laws against their stored energy, and against the invariance that it has."""

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


ENERGIES = {"neo_hookean": neo_hookean_energy, "saint_venant_kirchhoff": saint_venant_kirchhoff_energy}


@pytest.fixture(params=list(ENERGIES))
def law(request: pytest.FixtureRequest) -> Law:
    return LAWS[request.param](mu=MU, lmbda=LMBDA)


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


def test_a_rotation_turns_the_stress_and_the_tangent_with_it(law: Law) -> None:
    F = deformations()
    Q = Rotation.random(N, random_state=4).as_matrix()
    P, A = evaluate(law, F)
    turned_P, turned_A = evaluate(law, Q @ F)
    assert turned_P == pytest.approx(Q @ P, abs=1e-13 * np.abs(P).max())
    expected = np.einsum("nip,nkq,npjql->nijkl", Q, Q, A)
    assert turned_A == pytest.approx(expected, abs=1e-13 * np.abs(A).max())


def test_a_rotation_of_the_reference_changes_nothing_but_the_axes(law: Law) -> None:
    F = deformations()
    Q = Rotation.random(N, random_state=5).as_matrix()
    P, _ = evaluate(law, F)
    turned_P, _ = evaluate(law, F @ Q)
    assert turned_P == pytest.approx(P @ Q, abs=1e-13 * np.abs(P).max())


def test_cauchy_stress_is_symmetric(law: Law) -> None:
    F = deformations()
    P, _ = evaluate(law, F)
    kirchhoff = P @ F.swapaxes(1, 2)
    assert kirchhoff == pytest.approx(kirchhoff.swapaxes(1, 2), abs=1e-13 * np.abs(kirchhoff).max())
