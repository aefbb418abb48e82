"""Taylor tests: the remainder flux(g + h d) − flux(g) − h A d falls with h² for the exact tangent A."""

import numpy as np
import pytest
from scipy.linalg import expm
from scipy.spatial.transform import Rotation

from materials.hardening import Hardening
from materials.law import Law
from materials.law_material import LawMaterial
from materials.laws import LAWS
from materials.laws.chaboche import BackStress
from materials.laws.viscoelastic import MaxwellBranch
from materials.measures import Measure, Physics
from tests.verification.taylor import last_rates, remainders

N = 12

HARDENINGS = {
    "perfect": 0.0,
    "linear": 500.0,
    "kinematic": Hardening(H=200.0, kinematic=1500.0),
    "voce": Hardening(type="voce", saturation_stress=180.0, rate=60.0, H=100.0, kinematic=800.0),
    "swift": Hardening(type="swift", reference_strain=2e-3, exponent=0.25, kinematic=500.0),
}
J2_LAWS = [
    pytest.param(LAWS["j2"](E=70e3, nu=0.3, yield_stress=100.0, hardening=hardening), id=name)
    for name, hardening in HARDENINGS.items()
]
CHABOCHE = LAWS["chaboche"](
    E=70e3,
    nu=0.3,
    yield_stress=100.0,
    hardening=Hardening(type="swift", reference_strain=2e-3, exponent=0.25),
    back_stresses=(BackStress(modulus=20e3, recovery=250.0), BackStress(modulus=3e3, recovery=10.0)),
)
J2_LAWS.append(pytest.param(CHABOCHE, id="chaboche"))
HYPERELASTIC = [
    LAWS[name](E=100.0, nu=nu) for name in ("neo_hookean", "saint_venant_kirchhoff") for nu in (0.0, 0.45)
] + [
    LAWS["mooney_rivlin"](C10=12.0, C01=5.0, bulk_modulus=80.0),
    LAWS["ogden"](mu=(20.0, -8.0, 0.5), alpha=(1.3, -2.0, 5.0), bulk_modulus=80.0),
]


def assert_second_order(found: np.ndarray) -> None:
    """The remainder falls as the square of the step at every point, over five decades, and stays above round-off."""
    assert found[-1].max() < 1e-8
    assert found[-1].min() > 1e-13
    assert last_rates(found) == pytest.approx(np.full(N, 2.0), abs=0.02)


def strains(seed: int, size: float) -> np.ndarray:
    """N random strains whose deviator has the Frobenius norm `size`; for the laws above √⅔ σ_y/2μ is 1.5e-3."""
    measure = Measure(Physics.SMALL_STRAIN, 3)
    tensor = np.random.default_rng(seed).standard_normal((N, 3, 3))
    tensor = 0.5 * (tensor + tensor.swapaxes(1, 2))
    spherical = np.trace(tensor, axis1=1, axis2=2)[:, None, None] / 3.0 * np.eye(3)
    deviator = tensor - spherical
    deviator *= size / np.linalg.norm(deviator, axis=(1, 2))[:, None, None]
    return measure.to_vector(deviator + size * spherical)


@pytest.mark.parametrize("law", J2_LAWS)
def test_j2_tangent_on_first_loading(law: Law) -> None:
    assert_second_order(remainders(law, strains(0, 6e-3), strains(1, 4e-4), []))


@pytest.mark.parametrize("law", J2_LAWS)
def test_j2_tangent_after_a_change_of_direction(law: Law) -> None:
    history = [strains(2, 5e-3), strains(3, 7e-3)]
    assert_second_order(remainders(law, history[-1] + strains(4, 8e-3), strains(5, 2e-4), history))


@pytest.mark.parametrize("law", J2_LAWS)
def test_j2_tangent_in_reversed_flow(law: Law) -> None:
    history = [strains(2, 5e-3)]
    assert_second_order(remainders(law, -history[0], strains(5, 3e-4), history))


@pytest.mark.parametrize("law", J2_LAWS)
def test_j2_unloads_with_the_elastic_tangent(law: Law) -> None:
    history = [strains(2, 5e-3)]
    base = 0.9 * history[0]
    assert remainders(law, base, strains(5, 1e-4), history).max() < 1e-11
    unloading = LawMaterial(law, Measure(Physics.SMALL_STRAIN, 3))
    unloading.bind(np.arange(N))
    unloading.evaluate(history[0], 1.0)
    unloading.commit()
    elastic = LawMaterial(LAWS["elastic"](E=70e3, nu=0.3), unloading.measure)
    elastic.bind(np.arange(N))
    assert np.array_equal(unloading.evaluate(base, 1.0).tangent, elastic.evaluate(base, 1.0).tangent)


@pytest.mark.parametrize("law", HYPERELASTIC, ids=lambda law: f"{law.name}-{getattr(law, 'nu', '')}")
@pytest.mark.parametrize("size", [1e-3, 0.3, 0.6])
def test_hyperelastic_tangent_from_small_to_large_deformation(law: Law, size: float) -> None:
    generator = np.random.default_rng(7)
    F = np.eye(3) + size * generator.uniform(-0.7, 0.7, (40, 3, 3))
    F = F[np.linalg.det(F) > 0.25][:N]
    assert_second_order(remainders(law, F.reshape(N, 9), 0.01 * generator.standard_normal((N, 9)), []))


@pytest.mark.parametrize("law", HYPERELASTIC, ids=lambda law: f"{law.name}-{getattr(law, 'nu', '')}")
def test_hyperelastic_tangent_under_strong_compression(law: Law) -> None:
    F = np.diag([0.4, 0.9, 0.7]).ravel() + 0.05 * np.random.default_rng(8).standard_normal((N, 9))
    assert_second_order(remainders(law, F, 0.004 * np.random.default_rng(9).standard_normal((N, 9)), []))


VISCOELASTIC = LAWS["viscoelastic"](
    E=1.0, nu=0.3, branches=(MaxwellBranch(shear=3.0, time=0.5), MaxwellBranch(shear=1.0, bulk=2.0, time=4.0))
)
J2_FINITE = LAWS["j2_finite"](
    E=200.0,
    nu=0.3,
    yield_stress=1.0,
    hardening=Hardening(type="voce", saturation_stress=1.8, rate=4.0, H=0.5),
)


def small_rotated(seed: int, size: float) -> np.ndarray:
    """N random deformation gradients of Hencky strains whose deviator has the norm `size`, turned at random."""
    tensor = Measure(Physics.SMALL_STRAIN, 3).to_tensor(strains(seed, size))
    return Rotation.random(N, random_state=seed).as_matrix() @ expm(tensor)


@pytest.mark.parametrize("size", [0.02, 0.3])
def test_j2_finite_tangent_on_loading_turning_and_reversed_flow(size: float) -> None:
    first = small_rotated(0, size)
    turned = small_rotated(2, size)
    direction = 0.1 * size * np.random.default_rng(3).standard_normal((N, 9))
    for base, history in ((first, []), (turned @ first, [first]), (np.linalg.inv(first), [first])):
        packed = [F.reshape(N, 9) for F in history]
        assert_second_order(remainders(J2_FINITE, base.reshape(N, 9), direction, packed))


def test_j2_finite_tangent_for_equal_stretches() -> None:
    """Uniaxial flow: two trial stretches are equal, in turned axes."""
    base = Rotation.random(N, random_state=4).as_matrix() @ np.diag([1.3, 0.9, 0.9])
    direction = 0.01 * np.random.default_rng(5).standard_normal((N, 9))
    assert_second_order(remainders(J2_FINITE, base.reshape(N, 9), direction, []))


DAMAGE = LAWS["damage"](E=30e3, nu=0.2, threshold=1e-4, failure=5e-4)


@pytest.mark.parametrize("size", [3e-4, 2e-3])
def test_damage_tangent_on_loading_and_turning(size: float) -> None:
    opening = 2.0 * size * np.repeat([1.0, 0.0], 3)
    base, direction = opening + strains(0, size), 0.02 * strains(1, size)
    assert_second_order(remainders(DAMAGE, base, direction, []))
    assert_second_order(remainders(DAMAGE, 2.0 * opening + strains(2, size), direction, [base]))


def test_damage_unloads_along_the_secant() -> None:
    base = strains(0, 1e-3)
    assert remainders(DAMAGE, 0.7 * base, 0.01 * strains(1, 1e-3), [base]).max() < 1e-11


@pytest.mark.parametrize(
    "law",
    [
        VISCOELASTIC,
        LAWS["elastic"](E=70e3, nu=0.3, thermal_strain=0.1),
        LAWS["conductive"](k=((3.0, 1.0, 0.0), (1.0, 2.0, 0.5), (0.0, 0.5, 1.0))),
    ],
    ids=lambda law: law.name,
)
def test_linear_laws_leave_no_remainder(law: Law) -> None:
    assert law.physics is not None
    generator = np.random.default_rng(10)
    history, base, direction = generator.standard_normal((3, N, Measure(law.physics, 3).size))
    assert remainders(law, base, direction, [history]).max() < 1e-13


@pytest.mark.parametrize("law", [J2_LAWS[3].values[0], HYPERELASTIC[1]], ids=lambda law: law.name)
def test_the_taylor_test_sees_a_tangent_that_is_slightly_wrong(law: Law) -> None:
    small = law.physics is Physics.SMALL_STRAIN
    base = strains(0, 6e-3) if small else np.eye(3).ravel() + 0.2 * np.random.default_rng(0).uniform(-1, 1, (N, 9))
    direction = strains(1, 4e-4) if small else 0.01 * np.random.default_rng(1).standard_normal((N, 9))
    with pytest.raises(AssertionError):
        assert_second_order(remainders(law, base, direction, [], tangent_error=1e-5))
