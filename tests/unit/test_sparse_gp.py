"""The sparse Gaussian process: bound, limit of as many inducing points as states, fewer points, variance, store."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from materials.measures import FloatArray, Measure, Physics
from surrogates import gaussian_process as exact
from surrogates import sparse_process as sparse
from surrogates.families.gp import GaussianProcess, ProcessOptions
from surrogates.family import Samples
from surrogates.store import Model, read_model, training_range, write_model

KERNELS = ("rbf", "matern52")
HEAT = Measure(Physics.HEAT, 2)
AT = exact.Hyperparameters(np.array([1.3, 2.0, 3.0]), 1e-3)


def data(count: int, noise: float = 0.0) -> tuple[FloatArray, FloatArray]:
    random = np.random.default_rng(0)
    x = random.normal(size=(count, 3))
    return x, np.sin(x) @ random.normal(size=(3, 2)) + random.normal(0.0, noise, (count, 2))


def response(gradient: FloatArray) -> FloatArray:
    return np.sin(6.0 * gradient) + gradient[:, ::-1]


def samples(count: int, noise: float = 0.0) -> Samples:
    random = np.random.default_rng(3)
    gradient = random.uniform(-0.3, 0.3, (count, 2))
    flux = response(gradient) + random.normal(0.0, 1.0, gradient.shape) * noise
    return Samples(gradient, flux, np.zeros((count, 2, 2)))


def fitted(inducing: int, count: int = 400, kernel: str = "matern52", noise: float = 0.0) -> GaussianProcess:
    options = ProcessOptions(kernel=kernel, inducing=inducing)  # type: ignore[arg-type]  # a str of KERNELS
    return GaussianProcess.untrained(HEAT, options, samples(count, noise), 0)


@pytest.mark.parametrize("kernel", KERNELS)
def test_derivatives_of_the_bound(kernel: str) -> None:
    x, y = data(30)
    inducing = x[sparse.chosen(kernel, AT.length, x, 10)]
    at = np.log([*AT.length, AT.noise])
    _, derivative = sparse.negative_bound(at, kernel, inducing, x, y)
    differences = [
        sparse.negative_bound(at + step, kernel, inducing, x, y)[0]
        - sparse.negative_bound(at - step, kernel, inducing, x, y)[0]
        for step in 1e-5 * np.eye(4)
    ]
    np.testing.assert_allclose(derivative, np.array(differences) / 2e-5, rtol=1e-6)


@pytest.mark.parametrize("kernel", KERNELS)
def test_with_all_states_it_is_exact(kernel: str) -> None:
    """Value and derivative of the likelihood, mean and variance."""
    x, y = data(30)
    at = np.log([*AT.length, AT.noise])
    whole, whole_slope = exact._negative_log_likelihood(at, kernel, x, y)
    value, slope = sparse.negative_bound(at, kernel, x, x, y)
    assert value == pytest.approx(whole, rel=1e-5)
    assert slope == pytest.approx(whole_slope, rel=1e-3, abs=1e-3)
    one, other = exact.condition(kernel, AT, x, y), sparse.condition(kernel, AT, x, x, y)
    assert other.slope == pytest.approx(one.slope, abs=1e-5)
    assert other.variance == pytest.approx(one.variance, rel=1e-4)
    inputs = np.random.default_rng(1).normal(size=(20, 3))
    cross = exact.anchored(kernel, AT.length, inputs, x)
    assert cross @ other.weights == pytest.approx(cross @ one.weights, abs=1e-5)
    variances = (
        exact.predictive_variance(kernel, AT.length, x, one, inputs),
        sparse.predictive_variance(kernel, AT.length, x, other, inputs),
    )
    assert variances[1] == pytest.approx(variances[0], rel=1e-4)


def test_it_is_a_bound() -> None:
    x, y = data(60, noise=0.05)
    at = np.log([*AT.length, AT.noise])
    values = [
        sparse.negative_bound(at, "rbf", x[sparse.chosen("rbf", AT.length, x, count)], x, y)[0]
        for count in (5, 10, 20, 40)
    ]
    assert all(more < fewer for fewer, more in itertools.pairwise(values))
    assert exact._negative_log_likelihood(at, "rbf", x, y)[0] < values[-1]


def test_points_are_chosen_where_they_tell_most() -> None:
    """The first is farthest from rest, in lengths; none twice; twins leave nothing to choose."""
    x, _ = data(50)
    numbers = sparse.chosen("rbf", AT.length, x, 20)
    assert numbers[0] == np.argmax(np.linalg.norm(x / AT.length, axis=1))
    assert len(set(numbers.tolist())) == 20
    assert len(sparse.chosen("rbf", AT.length, np.repeat(x[:4], 3, axis=0), 12)) == 4


def test_more_points_err_less() -> None:
    unseen = np.random.default_rng(9).uniform(-0.3, 0.3, (200, 2))
    errors = [np.linalg.norm(fitted(count).evaluate(unseen)[0] - response(unseen)) for count in (6, 18, 60)]
    assert errors[1] < 0.3 * errors[0]
    assert errors[2] < 0.3 * errors[1]
    assert errors[2] < 0.01 * np.linalg.norm(response(unseen))


def test_it_learns_of_all_states() -> None:
    """Of noisy data, sixty points told by four hundred states know more than sixty states."""
    unseen = np.random.default_rng(9).uniform(-0.3, 0.3, (200, 2))
    of_all = fitted(60, noise=0.2)
    options = ProcessOptions(states=60)
    of_some = GaussianProcess.untrained(HEAT, options, samples(400, noise=0.2), 0)
    some, whole = (np.linalg.norm(model.evaluate(unseen)[0] - response(unseen)) for model in (of_some, of_all))
    assert whole < 0.7 * some


def test_its_variance_tells_the_error() -> None:
    model = fitted(40, noise=0.1)
    unseen = np.random.default_rng(9).uniform(-0.3, 0.3, (300, 2))
    ratio = np.abs(model.evaluate(unseen)[0] - response(unseen)) / np.sqrt(model.variance(unseen))[:, None]
    assert np.mean(ratio < 3.0) > 0.9
    assert np.sqrt(np.mean(ratio**2)) > 0.3
    assert model.variance(np.zeros((1, 2)))[0] < 1e-9 * model.variance(np.array([[0.6, 0.6]]))[0]


def test_the_tangent_is_the_derivative() -> None:
    model, step = fitted(30), 1e-5
    gradient = np.random.default_rng(4).uniform(-0.3, 0.3, (10, 2))
    _, tangent = model.evaluate(gradient)
    for column, direction in enumerate(step * np.eye(2)):
        change = model.evaluate(gradient + direction)[0] - model.evaluate(gradient - direction)[0]
        assert change / (2 * step) == pytest.approx(tangent[:, :, column], abs=1e-6 * np.abs(tangent).max())
    assert not model.evaluate(np.zeros((1, 2)))[0].any()


def test_the_same_numbers_bit_for_bit(tmp_path: Path) -> None:
    model = fitted(20, count=60)
    gradient = samples(30).gradient
    write_model(tmp_path / "model", Model(model, *training_range(HEAT, gradient)))
    read = read_model(tmp_path / "model").family
    assert isinstance(read, GaussianProcess)
    assert read.sparse
    for before, after in zip(model.evaluate(gradient), read.evaluate(gradient), strict=True):
        assert before.tobytes() == after.tobytes()
    assert model.variance(gradient).tobytes() == read.variance(gradient).tobytes()
