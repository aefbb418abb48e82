"""Training: it learns, the same every time, stops when it should, and touches nothing but the training split."""

import numpy as np
import pytest

from materials.law_material import LawMaterial
from materials.laws import LAWS
from materials.measures import FloatArray, Measure, Physics
from surrogates.families.ann import DirectNetwork
from surrogates.family import ModelError, Network, Samples
from surrogates.training import Losses, Trained, Training, train

PLANE = Measure(Physics.FINITE_STRAIN, 2)
SMALL = Network(hidden=(16, 16))


def samples(count: int, seed: int, size: float = 0.2) -> Samples:
    material = LawMaterial(LAWS["neo_hookean"](E=100.0, nu=0.3), PLANE)
    material.bind(np.arange(count))
    gradient = PLANE.rest + np.random.default_rng(seed).uniform(-size, size, (count, 4))
    response = material.evaluate(gradient, 1.0)
    return Samples(gradient, response.flux, response.tangent)


TRAIN, VALIDATION, TEST = samples(80, 0), samples(20, 1), samples(40, 2)


def start(seed: int = 0, network: Network = SMALL) -> DirectNetwork:
    return DirectNetwork.untrained(PLANE, network, TRAIN, seed)


def relative(value: FloatArray, reference: FloatArray) -> float:
    return float(np.sqrt(np.sum((value - reference) ** 2) / np.sum(reference**2)))


def same(first: Trained, second: Trained) -> bool:
    return all((array == second.family.arrays()[name]).all() for name, array in first.family.arrays().items())


@pytest.fixture(scope="module")
def learned() -> Trained:
    return train(start(), TRAIN, VALIDATION, Training(epochs=60))


def test_it_learns_flux_and_tangent(learned: Trained) -> None:
    flux, tangent = learned.family.evaluate(TEST.gradient)
    assert relative(flux, TEST.flux) < 1e-2
    assert relative(tangent, TEST.tangent) < 2e-2
    untrained_flux, _ = start().evaluate(TEST.gradient)
    assert relative(untrained_flux, TEST.flux) > 3e-2


def test_the_best_weights_are_kept(learned: Trained) -> None:
    best = min(learned.history, key=lambda losses: losses.validation)
    flux, tangent = learned.family.evaluate(VALIDATION.gradient)
    n, count = len(TRAIN.gradient), len(VALIDATION.gradient)
    loss = sum(
        np.sum((value - reference) ** 2) / count / (np.sum(scale**2) / n)
        for value, reference, scale in (
            (flux, VALIDATION.flux, TRAIN.flux),
            (tangent, VALIDATION.tangent, TRAIN.tangent),
        )
    )
    assert loss == pytest.approx(best.validation, rel=1e-6)
    assert learned.history[-1].best_epoch == best.epoch


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_the_same_every_time(optimizer: str) -> None:
    settings = Training(optimizer=optimizer, epochs=3)
    first, second = (train(start(), TRAIN, VALIDATION, settings) for _ in range(2))
    assert same(first, second)
    assert first.history == second.history
    assert not same(first, train(start(seed=1), TRAIN, VALIDATION, settings))


def test_validation_states_leave_the_weights_of_an_epoch_alone() -> None:
    settings = Training(epochs=2)
    one = train(start(), TRAIN, VALIDATION, settings)
    other = train(start(), TRAIN, TEST, settings)
    assert [losses.training for losses in one.history] == [losses.training for losses in other.history]


def test_it_stops_when_validation_does_not_improve() -> None:
    """With as many weights as this, six states are learned by heart."""
    few = Samples(TRAIN.gradient[:6], TRAIN.flux[:6], TRAIN.tangent[:6])
    trained = train(start(network=Network(hidden=(24, 24))), few, VALIDATION, Training(epochs=300, patience=4))
    assert "no better validation loss" in trained.stopped
    assert len(trained.history) < 300
    assert trained.history[-1].training < 0.1 * trained.history[-1].validation


def test_without_validation_states_the_training_split_decides() -> None:
    none = Samples(np.empty((0, 4)), np.empty((0, 4)), np.empty((0, 4, 4)))
    trained = train(start(), TRAIN, none, Training(epochs=2))
    assert trained.history[-1].validation == trained.history[-1].training


def test_warm_start_goes_on_where_it_was(learned: Trained) -> None:
    more = train(learned.family, TRAIN, VALIDATION, Training(epochs=1))
    lowest = min(losses.validation for losses in learned.history)
    assert more.history[0].validation == pytest.approx(lowest, rel=1e-9)
    assert min(losses.validation for losses in more.history) <= lowest * (1 + 1e-9)


def test_the_scales_are_not_trained(learned: Trained) -> None:
    untrained = start().arrays()
    for name in ("strain_scale", "stress_scale"):
        assert (learned.family.arrays()[name] == untrained[name]).all()


def test_the_symmetry_penalty_makes_tangents_symmetric() -> None:
    def unsymmetric(trained: Trained) -> float:
        _, tangent = trained.family.evaluate(TEST.gradient)
        return relative(tangent, np.swapaxes(tangent, 1, 2))

    # tangents are not learned, so that nothing else asks for symmetry
    free = train(start(), TRAIN, VALIDATION, Training(epochs=20, tangent_weight=0.0))
    held = train(start(), TRAIN, VALIDATION, Training(epochs=20, tangent_weight=0.0, symmetry_penalty=100.0))
    assert unsymmetric(held) < 0.3 * unsymmetric(free)


def test_progress_is_reported() -> None:
    seen: list[Losses] = []
    trained = train(start(), TRAIN, VALIDATION, Training(epochs=3), seen.append)
    assert tuple(seen) == trained.history[1:]
    assert [losses.epoch for losses in seen] == [1, 2, 3]


def test_a_network_without_an_answer_is_refused() -> None:
    inverted = TRAIN.gradient.copy()
    inverted[0] = [-1, 0, 0, 1]
    with pytest.raises(ModelError, match="det F"):
        DirectNetwork.untrained(PLANE, SMALL, TRAIN._replace(gradient=inverted), 0)
    hopeless = VALIDATION._replace(flux=VALIDATION.flux * np.nan)
    with pytest.raises(ModelError, match="not a finite number"):
        train(start(), TRAIN, hopeless, Training(epochs=1))


@pytest.mark.parametrize(
    "wrong", [{"epochs": 0}, {"patience": 0}, {"learning_rate": -1.0}, {"optimizer": "sgd"}, {"symmetry_penalty": -1.0}]
)
def test_wrong_settings(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Training(**wrong)  # type: ignore[arg-type]
