"""Energy gained between states of a path."""

import numpy as np
import pytest

from materials.measures import Measure, Physics
from surrogates.family import Samples
from surrogates.path_energy import energy_gains
from surrogates.training import Training, train
from tests.verification.energy_networks import network, states


def along_paths(steps: int) -> tuple[Samples, np.ndarray]:
    """A network's own answers on three straight paths from rest, and its energy there."""
    measure = Measure(Physics.FINITE_STRAIN, 3)
    made = network(measure, "none")
    ends = states(measure, 3) - measure.rest
    share = np.arange(1, steps + 1) / steps
    gradient = (measure.rest + share[None, :, None] * ends[:, None]).reshape(-1, measure.size)
    samples = Samples(gradient, *made.evaluate(gradient), path=np.repeat(np.arange(3), steps))
    return samples, made.energy(gradient)


def test_gains_are_those_of_the_energy_to_the_fifth_power_of_the_step() -> None:
    errors = []
    for steps in (8, 16, 32):
        samples, energy = along_paths(steps)
        gains = energy_gains(samples)
        assert len(gains.energy) == 3 * (steps - 1)
        errors.append(np.abs(gains.energy - (energy[gains.after] - energy[gains.before])).max())
    rates = -np.diff(np.log2(errors))
    assert (rates > 4.5).all()


def test_states_without_order_gain_nothing() -> None:
    samples, _ = along_paths(4)
    assert len(energy_gains(samples._replace(path=None)).energy) == 0
    assert len(energy_gains(samples._replace(path=np.arange(12))).energy) == 0


def test_the_loss_has_the_energy_that_is_asked_for() -> None:
    pytest.importorskip("torch")
    samples, _ = along_paths(8)
    start = network(Measure(Physics.FINITE_STRAIN, 3), "orthotropic")
    energy = start.energy(samples.gradient)
    gains = energy_gains(samples)
    error = energy[gains.after] - energy[gains.before] - gains.energy
    losses = [
        train(start, samples, samples, Training(epochs=1, energy_weight=weight)).history[0].training
        for weight in (0.0, 2.0)
    ]
    expected = 2.0 * np.sum(error**2) / np.sum(gains.energy**2)
    assert losses[1] - losses[0] == pytest.approx(expected, rel=1e-9)
