"""The direct network: kernel against torch, tangents, objectivity, what it says of broken arrays."""

import numpy as np
import pytest

from materials.interface import Status
from materials.law import Law
from materials.law_material import LawMaterial
from materials.laws import LAWS
from materials.measures import FloatArray, Measure, Physics
from surrogates.families import FAMILIES
from surrogates.families.ann import DirectNetwork
from surrogates.family import ModelError, Network, Samples

MEASURES = [Measure(physics, dimension) for physics in Physics for dimension in (2, 3)]
NAMES = [f"{measure.physics}-{measure.dimension}d" for measure in MEASURES]
LAW: dict[Physics, Law] = {
    Physics.SMALL_STRAIN: LAWS["elastic"](E=100.0, nu=0.3),
    Physics.FINITE_STRAIN: LAWS["neo_hookean"](E=100.0, nu=0.3),
    Physics.HEAT: LAWS["conductive"](k=2.0),
}


def states(measure: Measure, count: int, size: float = 0.1, seed: int = 0) -> FloatArray:
    return measure.rest + np.random.default_rng(seed).uniform(-size, size, (count, measure.size))


def samples(measure: Measure, count: int = 60) -> Samples:
    material = LawMaterial(LAW[measure.physics], measure)
    material.bind(np.arange(count))
    gradient = states(measure, count)
    response = material.evaluate(gradient, 1.0)
    assert (response.status == Status.OK).all()
    return Samples(gradient, response.flux, response.tangent)


def network(measure: Measure, hidden: tuple[int, ...] = (7, 5), seed: int = 1) -> DirectNetwork:
    """Untrained, with weights that make it far from linear."""
    made = DirectNetwork.untrained(measure, Network(hidden=hidden), samples(measure), seed)
    last = f"weight_{len(hidden)}"
    return made.updated({last: 10.0 * made.arrays()[last]})


@pytest.fixture(params=MEASURES, ids=NAMES)
def measure(request: pytest.FixtureRequest) -> Measure:
    return request.param


def test_it_is_known_by_its_name() -> None:
    assert FAMILIES["ann"] is DirectNetwork


@pytest.mark.parametrize("hidden", [(4,), (7, 5), (8, 8, 8)])
def test_the_kernel_is_the_torch_model(measure: Measure, hidden: tuple[int, ...]) -> None:
    from surrogates.torch_boundary import as_numpy, as_tensor

    model = network(measure, hidden)
    gradient = states(measure, 37, seed=3)
    flux, tangent = model.evaluate(gradient)
    torch_flux, torch_tangent = (as_numpy(value) for value in model.torch_model()(as_tensor(gradient)))
    np.testing.assert_allclose(flux, torch_flux, rtol=1e-12, atol=1e-12 * np.abs(flux).max())
    np.testing.assert_allclose(tangent, torch_tangent, rtol=1e-12, atol=1e-12 * np.abs(tangent).max())


def test_taylor(measure: Measure) -> None:
    model = network(measure)
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
    assert (orders > 1.9).all()


def test_rest_is_free_of_flux(measure: Measure) -> None:
    flux, _ = network(measure).evaluate(measure.rest[None])
    assert (flux == 0.0).all()


def test_a_point_does_not_see_its_neighbours(measure: Measure) -> None:
    model = network(measure)
    gradient = states(measure, 50)
    flux, tangent = model.evaluate(gradient)
    for part in (slice(0, 1), slice(3, 20), slice(17, 50)):
        some_flux, some_tangent = model.evaluate(gradient[part])
        assert (some_flux == flux[part]).all()
        assert (some_tangent == tangent[part]).all()


def test_no_points_at_all(measure: Measure) -> None:
    flux, tangent = network(measure).evaluate(np.empty((0, measure.size)))
    assert flux.shape == (0, measure.size)
    assert tangent.shape == (0, measure.size, measure.size)


@pytest.mark.parametrize("dimension", [2, 3])
def test_objective(dimension: int) -> None:
    measure = Measure(Physics.FINITE_STRAIN, dimension)
    model = network(measure)
    gradient = states(measure, 10, 0.3)
    random = np.random.default_rng(6)
    for _ in range(3):
        q, r = np.linalg.qr(random.normal(size=(dimension, dimension)))
        rotation = q * np.sign(np.diag(r))
        rotation[:, 0] *= np.linalg.det(rotation)
        turn = np.kron(rotation, np.eye(dimension))
        flux, tangent = model.evaluate(gradient)
        turned_flux, turned_tangent = model.evaluate(gradient @ turn.T)
        np.testing.assert_allclose(turned_flux, flux @ turn.T, atol=1e-12 * np.abs(flux).max())
        np.testing.assert_allclose(turned_tangent, turn @ tangent @ turn.T, atol=1e-12 * np.abs(tangent).max())


@pytest.mark.parametrize("dimension", [2, 3])
def test_angular_momentum(dimension: int) -> None:
    """P Fᵀ is symmetric."""
    measure = Measure(Physics.FINITE_STRAIN, dimension)
    gradient = states(measure, 10, 0.3)
    kirchhoff = measure.to_tensor(network(measure).evaluate(gradient)[0]) @ np.swapaxes(
        measure.to_tensor(gradient), 1, 2
    )
    np.testing.assert_allclose(kirchhoff, np.swapaxes(kirchhoff, 1, 2), atol=1e-12 * np.abs(kirchhoff).max())


@pytest.mark.parametrize("dimension", [2, 3])
def test_turned_inside_out_is_not_a_number(dimension: int) -> None:
    measure = Measure(Physics.FINITE_STRAIN, dimension)
    gradient = np.stack([measure.rest, measure.rest, measure.rest])
    gradient[1, 0] = -0.1
    flux, tangent = network(measure).evaluate(gradient)
    assert np.isnan(flux[1]).all()
    assert np.isnan(tangent[1]).all()
    assert np.isfinite(flux[[0, 2]]).all()


def test_the_untrained_network_is_near_a_linear_law() -> None:
    measure = Measure(Physics.SMALL_STRAIN, 2)
    learned = samples(measure)
    model = DirectNetwork.untrained(measure, Network(), learned, 0)
    linear = model.updated({"weight_2": np.zeros((3, 32))})
    flux, tangent = linear.evaluate(learned.gradient)
    np.testing.assert_allclose(flux, learned.flux, rtol=1e-9)
    np.testing.assert_allclose(tangent, learned.tangent, rtol=1e-9, atol=1e-9)


def test_seeds_make_the_weights() -> None:
    measure = Measure(Physics.HEAT, 2)
    learned = samples(measure)
    first, same, other = (DirectNetwork.untrained(measure, Network(), learned, seed) for seed in (0, 0, 1))
    assert all((first.arrays()[name] == value).all() for name, value in same.arrays().items())
    assert (first.arrays()["weight_0"] != other.arrays()["weight_0"]).any()


def broken(model: DirectNetwork, name: str, value: FloatArray | None) -> str:
    arrays = {key: array for key, array in model.arrays().items() if key != name}
    with pytest.raises(ModelError) as error:
        DirectNetwork.from_arrays(
            model.measure, model.architecture(), arrays if value is None else arrays | {name: value}
        )
    return str(error.value)


def test_broken_arrays_are_refused() -> None:
    model = network(Measure(Physics.SMALL_STRAIN, 2))
    skip = model.arrays()["skip"]
    assert "lacks skip" in broken(model, "skip", None)
    assert "has unknown extra" in broken(model, "extra", skip)
    assert "shape (2, 3)" in broken(model, "skip", skip[:2])
    assert "float32" in broken(model, "skip", skip.astype(np.float32))
    assert "3 values that are not finite" in broken(model, "skip", np.where(np.eye(3) > 0, np.nan, skip))
    assert "not positive" in broken(model, "stress_scale", np.zeros(1))
    for architecture in ({}, {"hidden": []}, {"hidden": [0]}, {"hidden": "32"}, {"hidden": [4], "more": 1}):
        with pytest.raises(ModelError, match="architecture"):
            DirectNetwork.from_arrays(model.measure, architecture, model.arrays())


def test_nothing_to_learn_is_refused() -> None:
    measure = Measure(Physics.SMALL_STRAIN, 2)
    learned = samples(measure)
    with pytest.raises(ModelError, match="flux is zero"):
        DirectNetwork.untrained(measure, Network(), learned._replace(flux=0 * learned.flux), 0)
    with pytest.raises(ModelError, match="not finite"):
        DirectNetwork.untrained(measure, Network(), learned._replace(gradient=learned.gradient * np.nan), 0)
    with pytest.raises(ValueError, match="at least 1"):
        Network(hidden=(0,))
