"""Isotropic damage against closed forms in tension, unloading and compression."""

import numpy as np
import pytest

from materials.elastic_constants import ElasticConstants
from materials.laws import LAWS
from tests.verification.law_paths import drive, random_strains, refined, work

E, NU, THRESHOLD, FAILURE = 30e3, 0.2, 1e-4, 5e-4
LMBDA, MU = ElasticConstants.from_young(E, NU)
LAW = LAWS["damage"](E=E, nu=NU, threshold=THRESHOLD, failure=FAILURE)


def uniaxial(values: np.ndarray) -> np.ndarray:
    path = np.zeros((len(values), 1, 3, 3))
    path[:, 0, 0, 0] = values
    return path


def kept(largest: np.ndarray) -> np.ndarray:
    """1 − D."""
    reached = np.maximum(largest, THRESHOLD)
    return THRESHOLD / reached * np.exp((THRESHOLD - reached) / FAILURE)


def test_tension_softens_as_the_closed_form() -> None:
    strain = np.linspace(0, 3e-3, 61)
    stress, state = drive(LAW, uniaxial(strain))
    assert stress[:, 0, 0, 0] == pytest.approx(kept(strain) * (LMBDA + 2 * MU) * strain, rel=1e-12, abs=1e-15)
    assert state["largest_equivalent_strain"][:, 0] == pytest.approx(strain, rel=1e-13)
    assert stress[:, 0, 0, 0].argmax() == 2  # the threshold
    area = (LMBDA + 2 * MU) * THRESHOLD * FAILURE
    after = THRESHOLD + np.linspace(0, 1e-2, 2001)
    found, _ = drive(LAW, uniaxial(after))
    assert np.trapezoid(found[:, 0, 0, 0], after) == pytest.approx(area, rel=1e-4)


def test_unloading_is_secant_and_compression_elastic() -> None:
    strain = np.array([1e-3, 0.5e-3, 0.0, -2e-3, 0.9e-3, 1e-3])
    stress, state = drive(LAW, uniaxial(strain))
    assert stress[:, 0, 0, 0] == pytest.approx(kept(np.array(1e-3)) * (LMBDA + 2 * MU) * strain, rel=1e-12, abs=1e-15)
    assert np.ptp(state["largest_equivalent_strain"]) == 0.0
    virgin, untouched = drive(LAW, uniaxial(np.array([-0.1])))
    assert virgin[0, 0, 0, 0] == pytest.approx(-0.1 * (LMBDA + 2 * MU), rel=1e-13)
    assert not untouched["largest_equivalent_strain"].any()


def test_only_the_positive_principal_strains_count() -> None:
    shear = np.zeros((1, 1, 3, 3))
    shear[..., 0, 1] = shear[..., 1, 0] = 4e-4
    _, state = drive(LAW, shear)
    assert state["largest_equivalent_strain"][0, 0] == pytest.approx(4e-4, rel=1e-13)
    _, state = drive(LAW, np.diag([3e-4, 4e-4, -5e-4])[None, None])
    assert state["largest_equivalent_strain"][0, 0] == pytest.approx(5e-4, rel=1e-13)


def test_work_is_never_less_than_the_energy_stored() -> None:
    path = refined(random_strains(40, 6, 2e-3, 1), np.zeros((3, 3)), 50)
    stress, state = drive(LAW, path)
    lost = work(path, stress, np.zeros((3, 3))) - 0.5 * np.sum(stress * path, axis=(-2, -1))
    assert np.diff(lost, axis=0).min() > -1e-4 * lost[-1].max()
    assert lost[-1].min() > 1e-3
    assert np.diff(state["largest_equivalent_strain"], axis=0).min() >= 0.0
