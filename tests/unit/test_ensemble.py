"""Ensembles: mean, disagreement, tangent, the same numbers from a folder, what is said of broken ones."""

from pathlib import Path

import numpy as np
import pytest

from materials.measures import FloatArray, Measure, Physics
from surrogates.ensemble import Ensemble
from surrogates.families.ann import DirectNetwork
from surrogates.families.energy import EnergyNetwork, EnergyOptions
from surrogates.family import ModelError, Network, Samples
from surrogates.store import Model, read_model, training_range, write_model

MEASURES = [Measure(physics, dimension) for physics in Physics for dimension in (2, 3)]


def states(measure: Measure, count: int, size: float = 0.1, seed: int = 0) -> FloatArray:
    return measure.rest + np.random.default_rng(seed).uniform(-size, size, (count, measure.size))


def samples(measure: Measure) -> Samples:
    gradient = states(measure, 30)
    random = np.random.default_rng(1)
    return Samples(gradient, random.normal(size=gradient.shape), random.normal(size=(30, measure.size, measure.size)))


def members(measure: Measure, count: int = 3) -> tuple[DirectNetwork, ...]:
    learned = samples(measure)
    return tuple(DirectNetwork.untrained(measure, Network(hidden=(6, 5)), learned, seed) for seed in range(count))


@pytest.fixture(params=MEASURES, ids=lambda measure: f"{measure.physics}-{measure.dimension}d")
def measure(request: pytest.FixtureRequest) -> Measure:
    return request.param


def test_mean_and_disagreement(measure: Measure) -> None:
    several = members(measure)
    ensemble, gradient = Ensemble(measure, several), states(measure, 20, seed=2)
    flux, tangent = ensemble.evaluate(gradient)
    fluxes, tangents = (np.array(part) for part in zip(*(one.evaluate(gradient) for one in several), strict=True))
    np.testing.assert_allclose(flux, fluxes.mean(axis=0), atol=1e-14 * np.abs(fluxes).max())
    np.testing.assert_allclose(tangent, tangents.mean(axis=0), atol=1e-14 * np.abs(tangents).max())
    spread = np.sqrt(fluxes.var(axis=0).sum(axis=1))
    np.testing.assert_allclose(ensemble.disagreement(gradient), spread, rtol=1e-9)
    assert (ensemble.disagreement(measure.rest[None]) == 0.0).all()
    alike = Ensemble(measure, (several[0], several[0]))
    np.testing.assert_allclose(alike.disagreement(gradient), 0.0, atol=1e-14)


def test_taylor(measure: Measure) -> None:
    ensemble = Ensemble(measure, members(measure))
    gradient, direction = states(measure, 20, seed=4), states(measure, 20, 1.0, seed=5) - measure.rest
    flux, tangent = ensemble.evaluate(gradient)
    remainders = [
        np.linalg.norm(
            ensemble.evaluate(gradient + h * direction)[0] - flux - h * np.einsum("nij,nj->ni", tangent, direction)
        )
        for h in (1e-2, 5e-3, 2.5e-3)
    ]
    assert (np.log2(np.array(remainders[:-1]) / np.array(remainders[1:])) > 1.9).all()


def test_the_same_numbers_bit_for_bit(measure: Measure, tmp_path: Path) -> None:
    ensemble, gradient = Ensemble(measure, members(measure)), states(measure, 20, seed=7)
    write_model(tmp_path / "model", Model(ensemble, *training_range(measure, gradient)))
    read = read_model(tmp_path / "model").family
    assert isinstance(read, Ensemble)
    for before, after in zip(ensemble.evaluate(gradient), read.evaluate(gradient), strict=True):
        assert before.tobytes() == after.tobytes()
    assert ensemble.disagreement(gradient).tobytes() == read.disagreement(gradient).tobytes()
    some, _ = ensemble.evaluate(gradient[3:9])
    assert (some == ensemble.evaluate(gradient)[0][3:9]).all()


def test_it_is_as_symmetric_as_its_members() -> None:
    measure = Measure(Physics.SMALL_STRAIN, 2)
    assert not Ensemble(measure, members(measure)).symmetric
    options = EnergyOptions(symmetry="none")
    energies = tuple(EnergyNetwork.untrained(measure, options, samples(measure), seed) for seed in (0, 1))
    ensemble = Ensemble(measure, energies)
    assert ensemble.symmetric
    assert ensemble.conservative
    _, tangent = ensemble.evaluate(states(measure, 5))
    np.testing.assert_allclose(tangent, tangent.swapaxes(1, 2), atol=1e-13 * np.abs(tangent).max())


def test_broken_ones_are_refused() -> None:
    measure = Measure(Physics.SMALL_STRAIN, 2)
    ensemble = Ensemble(measure, members(measure))
    arrays, architecture = ensemble.arrays(), ensemble.architecture()
    skip = arrays["1.skip"]
    for changed, words in (
        ({name: array for name, array in arrays.items() if name != "1.skip"}, "member 1: .* lacks skip"),
        (arrays | {"3.skip": skip}, "unknown 3.skip, there are 3 members"),
        (arrays | {"skip": skip}, "unknown skip"),
        (arrays | {"2.skip": skip[:2]}, "member 2: array skip has shape"),
    ):
        with pytest.raises(ModelError, match=words):
            Ensemble.from_arrays(measure, architecture, changed)
    for change in ({"family": "ensemble"}, {"family": 3}, {"members": []}, {"members": [1, 2]}, {"more": 1}):
        with pytest.raises(ModelError, match="architecture of an ensemble"):
            Ensemble.from_arrays(measure, architecture | change, arrays)
