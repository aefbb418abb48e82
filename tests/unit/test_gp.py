"""The Gaussian process: likelihood, interpolation, tangents, objectivity, variance, what it says of broken arrays."""

from pathlib import Path

import numpy as np
import pytest

from materials.law import Law
from materials.law_material import LawMaterial
from materials.laws import LAWS
from materials.measures import FloatArray, Measure, Physics
from surrogates import gaussian_process as process
from surrogates.families import FAMILIES
from surrogates.families.gp import GaussianProcess, ProcessOptions
from surrogates.family import ModelError, Samples
from surrogates.store import Model, read_model, training_range, write_model
from surrogates.training import Training, train

MEASURES = [Measure(physics, dimension) for physics in Physics for dimension in (2, 3)]
NAMES = [f"{measure.physics}-{measure.dimension}d" for measure in MEASURES]
KERNELS = ("rbf", "matern52")
LAW: dict[Physics, Law] = {
    Physics.SMALL_STRAIN: LAWS["elastic"](E=100.0, nu=0.3),
    Physics.FINITE_STRAIN: LAWS["neo_hookean"](E=100.0, nu=0.3),
    Physics.HEAT: LAWS["conductive"](k=2.0),
}


def states(measure: Measure, count: int, size: float = 0.1, seed: int = 0) -> FloatArray:
    return measure.rest + np.random.default_rng(seed).uniform(-size, size, (count, measure.size))


def samples(measure: Measure, count: int = 60, seed: int = 0) -> Samples:
    """A law, made far from linear by a smooth factor where it is linear."""
    material = LawMaterial(LAW[measure.physics], measure)
    material.bind(np.arange(count))
    gradient = states(measure, count, seed=seed)
    flux, tangent, _, _ = material.evaluate(gradient, 1.0)
    if measure.physics is not Physics.FINITE_STRAIN:
        factor = 1.0 + 20.0 * np.sum(gradient**2, axis=1)
        tangent = factor[:, None, None] * tangent + 40.0 * flux[:, :, None] * gradient[:, None, :]
        flux = factor[:, None] * flux
    return Samples(gradient, flux, tangent)


def fitted(measure: Measure, kernel: str = "rbf", count: int = 60, seed: int = 0) -> GaussianProcess:
    options = ProcessOptions(kernel=kernel)  # type: ignore[arg-type]  # a str of KERNELS
    return GaussianProcess.untrained(measure, options, samples(measure, count), seed)


@pytest.fixture(params=MEASURES, ids=NAMES)
def measure(request: pytest.FixtureRequest) -> Measure:
    return request.param


def error(value: FloatArray, reference: FloatArray) -> float:
    return float(np.linalg.norm(value - reference) / np.linalg.norm(reference))


def test_it_is_known_by_its_name() -> None:
    assert FAMILIES["gp"] is GaussianProcess


@pytest.mark.parametrize("kernel", KERNELS)
def test_derivatives_of_the_likelihood(kernel: str) -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(30, 3))
    y = np.sin(x) @ random.normal(size=(3, 2))
    at = np.log([1.3, 2.0, 3.0, 1e-3])
    _, derivative = process._negative_log_likelihood(at, kernel, x, y)
    steps = 1e-5 * np.eye(4)
    differences = [
        process._negative_log_likelihood(at + step, kernel, x, y)[0]
        - process._negative_log_likelihood(at - step, kernel, x, y)[0]
        for step in steps
    ]
    np.testing.assert_allclose(derivative, np.array(differences) / 2e-5, rtol=1e-6)


@pytest.mark.parametrize(("kernel", "flux_error", "tangent_error"), [("rbf", 0.005, 0.02), ("matern52", 0.03, 0.1)])
@pytest.mark.parametrize("physics", list(Physics))
def test_it_interpolates_smooth_data(physics: Physics, kernel: str, flux_error: float, tangent_error: float) -> None:
    measure = Measure(physics, 2)
    unseen = samples(measure, 100, seed=9)
    flux, tangent = fitted(measure, kernel).evaluate(unseen.gradient)
    assert error(flux, unseen.flux) < flux_error
    assert error(tangent, unseen.tangent) < tangent_error


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_compiled_pass_is_the_posterior_mean(kernel: str) -> None:
    """Against the textbook formula with dense matrices, hyper-parameters as stored."""
    measure = Measure(Physics.SMALL_STRAIN, 2)
    model, learned = fitted(measure, kernel), samples(measure)
    arrays = model.arrays()
    x, y = learned.gradient / arrays["strain_scale"], learned.flux / arrays["stress_scale"]
    inputs = states(measure, 20, seed=3) / arrays["strain_scale"]
    matrix = process.anchored(kernel, arrays["length"], x, x) + arrays["noise"] * np.eye(len(x))
    cross = process.anchored(kernel, arrays["length"], inputs, x)
    mean = inputs @ arrays["slope"].T + cross @ np.linalg.solve(matrix, y - x @ arrays["slope"].T)
    flux, _ = model.evaluate(states(measure, 20, seed=3))
    np.testing.assert_allclose(flux, arrays["stress_scale"] * mean, atol=1e-6 * np.abs(flux).max())


@pytest.mark.parametrize("kernel", KERNELS)
def test_taylor(measure: Measure, kernel: str) -> None:
    model = fitted(measure, kernel)
    gradient, direction = states(measure, 20, seed=4), states(measure, 20, 1.0, seed=5) - measure.rest
    flux, tangent = model.evaluate(gradient)
    steps = np.array([1e-2, 5e-3, 2.5e-3])
    remainders = [
        np.linalg.norm(
            model.evaluate(gradient + h * direction)[0] - flux - h * np.einsum("nij,nj->ni", tangent, direction)
        )
        for h in steps
    ]
    orders = np.log2(np.array(remainders[:-1]) / np.array(remainders[1:]))
    assert (orders > 1.8).all()


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_tangent_is_the_derivative(measure: Measure, kernel: str) -> None:
    model = fitted(measure, kernel)
    gradient = np.vstack([measure.rest, states(measure, 10, seed=4), samples(measure).gradient[:3]])
    _, tangent = model.evaluate(gradient)
    for column, step in enumerate(5e-4 * np.eye(measure.size)):
        one, two = (model.evaluate(gradient + k * step)[0] - model.evaluate(gradient - k * step)[0] for k in (1, 2))
        difference = (8.0 * one - two) / 6e-3  # of fourth order
        np.testing.assert_allclose(difference, tangent[:, :, column], atol=1e-6 * np.abs(tangent).max())


def test_rest_is_free_of_flux_and_of_doubt(measure: Measure) -> None:
    model = fitted(measure)
    assert (model.evaluate(measure.rest[None])[0] == 0.0).all()
    assert model.variance(measure.rest[None]) == 0.0


def test_a_point_does_not_see_its_neighbours(measure: Measure) -> None:
    model = fitted(measure)
    gradient = states(measure, 50, seed=2)
    flux, tangent = model.evaluate(gradient)
    for part in (slice(0, 0), slice(0, 1), slice(3, 20)):
        some_flux, some_tangent = model.evaluate(gradient[part])
        assert (some_flux == flux[part]).all()
        assert (some_tangent == tangent[part]).all()


@pytest.mark.parametrize("dimension", [2, 3])
def test_objective(dimension: int) -> None:
    measure = Measure(Physics.FINITE_STRAIN, dimension)
    model = fitted(measure)
    gradient = states(measure, 10, 0.1, seed=5)
    q, r = np.linalg.qr(np.random.default_rng(6).normal(size=(dimension, dimension)))
    rotation = q * np.sign(np.diag(r))
    rotation[:, 0] *= np.linalg.det(rotation)
    turn = np.kron(rotation, np.eye(dimension))
    flux, tangent = model.evaluate(gradient)
    turned_flux, turned_tangent = model.evaluate(gradient @ turn.T)
    np.testing.assert_allclose(turned_flux, flux @ turn.T, atol=1e-9 * np.abs(flux).max())
    np.testing.assert_allclose(turned_tangent, turn @ tangent @ turn.T, atol=1e-9 * np.abs(tangent).max())
    np.testing.assert_allclose(model.variance(gradient @ turn.T), model.variance(gradient), rtol=1e-3)
    gradient[1] = measure.rest
    gradient[1, 0] = -0.1
    flux, tangent = model.evaluate(gradient)
    assert np.isnan(flux[1]).all()
    assert np.isnan(tangent[1]).all()
    assert np.isfinite(np.delete(flux, 1, axis=0)).all()


@pytest.mark.parametrize("kernel", KERNELS)
def test_variance_is_small_at_data_and_grows_away(measure: Measure, kernel: str) -> None:
    model = fitted(measure, kernel, count=40)
    learned = samples(measure, 40).gradient
    at_data = np.sqrt(model.variance(learned))
    away = np.sqrt(model.variance(measure.rest + 3.0 * (learned - measure.rest)))
    far = np.sqrt(model.variance(measure.rest + 6.0 * (learned - measure.rest)))
    assert at_data.max() < 0.1 * np.median(away)
    assert np.median(far) > np.median(away)


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_variance_tells_the_error(kernel: str) -> None:
    """Most errors of noisy data on a wiggly response lie within three standard deviations, few far within."""
    measure = Measure(Physics.HEAT, 2)
    random = np.random.default_rng(8)

    def response(gradient: FloatArray) -> FloatArray:
        return np.sin(25.0 * gradient) + gradient[:, ::-1]

    gradient = states(measure, 40)
    flux = response(gradient) + random.normal(0.0, 0.03, gradient.shape)
    options = ProcessOptions(kernel=kernel)  # type: ignore[arg-type]  # a str of KERNELS
    model = GaussianProcess.untrained(measure, options, Samples(gradient, flux, np.zeros((40, 2, 2))), 0)
    unseen = states(measure, 200, seed=1)
    deviation = np.sqrt(model.variance(unseen))
    ratio = np.abs(model.evaluate(unseen)[0] - response(unseen)) / deviation[:, None]
    assert np.mean(ratio < 3.0) > 0.9
    assert np.sqrt(np.mean(ratio**2)) > 0.3


def test_the_same_numbers_bit_for_bit(measure: Measure, tmp_path: Path) -> None:
    model = fitted(measure)
    gradient = states(measure, 20, seed=7)
    write_model(tmp_path / "model", Model(model, *training_range(measure, gradient)))
    read = read_model(tmp_path / "model").family
    assert isinstance(read, GaussianProcess)
    for before, after in zip(model.evaluate(gradient), read.evaluate(gradient), strict=True):
        assert before.tobytes() == after.tobytes()
    assert model.variance(gradient).tobytes() == read.variance(gradient).tobytes()


def test_more_states_than_allowed_are_a_seeded_subset() -> None:
    measure = Measure(Physics.HEAT, 2)
    learned = samples(measure, 60)
    first, same, other = (
        GaussianProcess.untrained(measure, ProcessOptions(states=25), learned, seed).arrays() for seed in (0, 0, 1)
    )
    assert first["centres"].shape == (25, 2)
    assert all((first[name] == value).all() for name, value in same.items())
    assert (first["centres"] != other["centres"]).any()


def test_training_hands_the_fit_back() -> None:
    measure = Measure(Physics.FINITE_STRAIN, 2)
    model, unseen = fitted(measure), samples(measure, 30, seed=3)
    trained = train(model, samples(measure), unseen, Training())
    assert trained.family is model
    (losses,) = trained.history
    assert losses.training < losses.validation < 1e-3
    flux, tangent = model.evaluate(unseen.gradient)
    assert losses.validation == pytest.approx(
        error(flux, unseen.flux) ** 2 + error(tangent, unseen.tangent) ** 2, rel=0.2
    )
    with pytest.raises(ModelError, match="fitted at once"):
        model.torch_model()


def broken(model: GaussianProcess, name: str, value: FloatArray | None) -> str:
    arrays = {key: array for key, array in model.arrays().items() if key != name}
    with pytest.raises(ModelError) as caught:
        model.from_arrays(model.measure, model.architecture(), arrays if value is None else arrays | {name: value})
    return str(caught.value)


def test_broken_arrays_are_refused() -> None:
    model = fitted(Measure(Physics.SMALL_STRAIN, 2))
    weights = model.arrays()["weights"]
    assert "lacks centres" in broken(model, "centres", None)
    assert "has unknown extra" in broken(model, "extra", weights)
    assert "array weights has shape (59, 3)" in broken(model, "weights", weights[1:])
    assert "float32" in broken(model, "weights", weights.astype(np.float32))
    for name in ("length", "noise", "variance", "strain_scale", "stress_scale"):
        assert f"array {name} has values that are not positive" in broken(model, name, 0.0 * model.arrays()[name])
    for architecture in ({}, {"kernel": "cubic"}, {"kernel": "rbf", "more": 1}, {"kernel": "rbf", "sparse": 1}):
        with pytest.raises(ModelError, match="architecture"):
            GaussianProcess.from_arrays(model.measure, architecture, model.arrays())


def test_too_little_is_refused() -> None:
    measure = Measure(Physics.SMALL_STRAIN, 2)
    with pytest.raises(ModelError, match="more than 3 training states, there are 3"):
        GaussianProcess.untrained(measure, ProcessOptions(), samples(measure, 3), 0)
    with pytest.raises(ValueError, match="states must be at least 2"):
        ProcessOptions(states=1)
    with pytest.raises(ValueError, match="kernel must be one of matern52, rbf"):
        ProcessOptions(kernel="cubic")  # type: ignore[arg-type]  # what is tested
