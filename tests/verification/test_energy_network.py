"""What the energy network promises whatever its weights are, each to 1e-10 of the largest value."""

import numpy as np
import pytest

from materials.measures import Measure, Physics
from surrogates.conjugates import conjugate
from surrogates.families.energy import EnergyNetwork, EnergyOptions
from surrogates.family import ModelError, Samples
from surrogates.symmetry import GROUPS
from tests.verification.energy_networks import EVERY, TOLERANCE, law_samples, network, same, states, turned


@EVERY
def test_rest_has_no_energy_and_no_stress(physics: Physics, d: int, group: str) -> None:
    measure = Measure(physics, d)
    made = network(measure, group)
    flux, tangent = made.evaluate(measure.rest[None])
    assert made.energy(measure.rest[None])[0] == 0.0
    assert not flux.any()
    assert np.abs(tangent).max() > 0.0


@EVERY
def test_flux_is_the_derivative_of_the_energy_and_tangent_of_the_flux(physics: Physics, d: int, group: str) -> None:
    """By central differences of sixth order; to the last digits by automatic differentiation further below."""
    measure = Measure(physics, d)
    made, gradient, step = network(measure, group, tilted=True), states(measure, 5), 4e-3
    flux, tangent = made.evaluate(gradient)
    differences, stencil = ((1, 45.0), (2, -9.0), (3, 1.0)), 60.0
    for i in range(measure.size):
        energy_slope, flux_slope = np.zeros(len(gradient)), np.zeros_like(flux)
        for k, weight in differences:
            aside = k * step * np.eye(measure.size)[i]
            energy_slope += weight * (made.energy(gradient + aside) - made.energy(gradient - aside))
            flux_slope += weight * (made.evaluate(gradient + aside)[0] - made.evaluate(gradient - aside)[0])
        np.testing.assert_allclose(energy_slope / (stencil * step), flux[:, i], atol=1e-6 * np.abs(flux).max())
        np.testing.assert_allclose(flux_slope / (stencil * step), tangent[:, :, i], atol=1e-6 * np.abs(tangent).max())


@EVERY
def test_taylor_remainders_fall_with_their_order(physics: Physics, d: int, group: str) -> None:
    measure = Measure(physics, d)
    made, gradient = network(measure, group), states(measure, 1)
    direction = np.random.default_rng(5).normal(size=measure.size)
    flux, tangent = made.evaluate(gradient)
    energy, steps = made.energy(gradient)[0], 2e-2 * 0.5 ** np.arange(3, 7)
    of_energy, of_flux = [], []
    for h in steps:
        moved = gradient + h * direction
        quadratic = h * flux[0] @ direction + 0.5 * h**2 * direction @ tangent[0] @ direction
        of_energy.append(abs(made.energy(moved)[0] - energy - quadratic))
        of_flux.append(np.linalg.norm(made.evaluate(moved)[0][0] - flux[0] - h * tangent[0] @ direction))
    assert np.polyfit(np.log(steps), np.log(of_energy), 1)[0] > 2.8
    assert np.polyfit(np.log(steps), np.log(of_flux), 1)[0] > 1.9


@EVERY
def test_tangent_is_symmetric(physics: Physics, d: int, group: str) -> None:
    measure = Measure(physics, d)
    _, tangent = network(measure, group, tilted=True).evaluate(states(measure, 20))
    same(tangent.swapaxes(1, 2), tangent)


@pytest.mark.parametrize(("d", "group"), [(d, group) for d in (2, 3) for group in GROUPS[d]])
def test_turning_space_turns_the_stress_with_it(d: int, group: str) -> None:
    measure = Measure(Physics.FINITE_STRAIN, d)
    made, gradient = network(measure, group, tilted=True), states(measure, 20)
    q, _ = np.linalg.qr(np.random.default_rng(6).normal(size=(d, d)))
    q[:, 0] *= np.linalg.det(q)
    flux, tangent = made.evaluate(gradient)
    flux_turned, tangent_turned = made.evaluate(turned(measure, gradient, q, np.eye(d)))
    same(flux_turned, turned(measure, flux, q, np.eye(d)))
    big = np.kron(q, np.eye(d))
    same(tangent_turned, big @ tangent @ big.T)


@pytest.mark.parametrize("tilted", [False, True])
@EVERY
def test_turning_the_material_by_its_group_turns_the_flux(physics: Physics, d: int, group: str, tilted: bool) -> None:
    """P(F Qᵀ) = P(F) Qᵀ, σ(Q ε Qᵀ) = Q σ(ε) Qᵀ, q(Q g) = Q q(g); with reflections P(Q F Qᵀ) = Q P(F) Qᵀ."""
    measure = Measure(physics, d)
    made, gradient = network(measure, group, tilted), states(measure, 20)
    flux, _ = made.evaluate(gradient)
    for q in made.symmetry.generators(d):
        left = np.eye(d) if physics is Physics.FINITE_STRAIN and np.linalg.det(q) > 0.0 else q
        same(made.evaluate(turned(measure, gradient, left, q))[0], turned(measure, flux, left, q))


@pytest.mark.parametrize("group", ["square", "orthotropic", "none"])
def test_smaller_groups_really_are_smaller(group: str) -> None:
    measure = Measure(Physics.FINITE_STRAIN, 2)
    made, gradient = network(measure, group), states(measure, 20)
    flux, _ = made.evaluate(gradient)
    q = np.array([[np.cos(0.7), -np.sin(0.7)], [np.sin(0.7), np.cos(0.7)]])
    other = made.evaluate(turned(measure, gradient, np.eye(2), q))[0]
    assert np.abs(other - turned(measure, flux, np.eye(2), q)).max() > 1e-3 * np.abs(flux).max()


@EVERY
def test_closed_paths_take_no_work(physics: Physics, d: int, group: str) -> None:
    """The trapezoidal rule converges faster than any power on a smooth closed path."""
    measure = Measure(physics, d)
    made = network(measure, group)
    angle = np.linspace(0.0, 2.0 * np.pi, 400, endpoint=False)
    a, b = np.random.default_rng(7).uniform(-0.15, 0.15, (2, measure.size))
    path = measure.rest + np.outer(np.cos(angle), a) + np.outer(np.sin(angle), b)
    speed = np.outer(-np.sin(angle), a) + np.outer(np.cos(angle), b)
    power = np.sum(made.evaluate(path)[0] * speed, axis=1)
    assert abs(power.sum()) < TOLERANCE * np.abs(power).sum()


@pytest.mark.parametrize("d", [2, 3])
def test_energy_grows_beyond_bounds_under_compression_and_inverted_states_have_none(d: int) -> None:
    measure = Measure(Physics.FINITE_STRAIN, d)
    made = network(measure, "none")
    squeezed = np.array([measure.to_vector(np.diag([j] + [1.0] * (d - 1))) for j in (1e-2, 1e-4, 1e-6)])
    energy = made.energy(squeezed)
    np.testing.assert_allclose(energy * [1e-4, 1e-8, 1e-12], made.values["growth"][0], rtol=0.2)
    inverted = measure.to_vector(np.diag([-1.0] + [1.0] * (d - 1)))[None]
    flux, tangent = made.evaluate(inverted)
    assert np.isnan(flux).all()
    assert np.isnan(tangent).all()
    assert np.isnan(made.energy(inverted)).all()


@pytest.mark.parametrize("tilted", [False, True])
@EVERY
def test_kernel_torch_form_and_automatic_differentiation_agree(
    physics: Physics, d: int, group: str, tilted: bool
) -> None:
    torch = pytest.importorskip("torch")
    measure = Measure(physics, d)
    made, gradient = network(measure, group, tilted), states(measure, 10)
    flux, tangent = made.evaluate(gradient)
    at = torch.tensor(gradient, requires_grad=True)
    energy, torch_flux, torch_tangent = made.torch_model().response(at)
    same(made.energy(gradient), energy.detach().numpy())
    same(flux, torch_flux.detach().numpy())
    same(tangent, torch_tangent.detach().numpy())
    (slope,) = torch.autograd.grad(energy.sum(), at, create_graph=True)
    rows = [torch.autograd.grad(slope[:, i].sum(), at, retain_graph=True)[0] for i in range(measure.size)]
    same(slope.detach().numpy(), torch_flux.detach().numpy())
    same(torch.stack(rows, 1).numpy(), torch_tangent.detach().numpy())


def test_the_loss_of_flux_and_tangent_has_the_right_gradient_in_the_weights() -> None:
    torch = pytest.importorskip("torch")
    measure = Measure(Physics.FINITE_STRAIN, 2)
    made, gradient = network(measure, "square"), torch.tensor(states(measure, 10))
    module = made.torch_model()

    def loss() -> object:
        flux, tangent = module(gradient)
        return (flux**2).sum() + (tangent**2).sum()

    loss().backward()
    random = np.random.default_rng(8)
    for name, parameter in module.named_parameters():
        direction, step = torch.tensor(random.normal(size=parameter.shape)), 1e-5
        values = []
        for sign in (1.0, -1.0):
            with torch.no_grad():
                parameter += sign * step * direction
                values.append(float(loss()))
                parameter -= sign * step * direction
        slope = float((parameter.grad * direction).sum())
        assert (values[0] - values[1]) / (2 * step) == pytest.approx(slope, rel=1e-5, abs=1e-8 * values[0]), name


@EVERY
def test_conjugates_invert_the_push_forward(physics: Physics, d: int, group: str) -> None:
    measure = Measure(physics, d)
    made, gradient = network(measure, group), states(measure, 10)
    found = conjugate(measure, Samples(gradient, *made.evaluate(gradient)))
    _, stress, stiffness = made._conjugate_response(gradient)
    same(found.stress, stress)
    same(found.stiffness, stiffness)


@EVERY
def test_a_network_survives_its_arrays_to_the_last_bit(physics: Physics, d: int, group: str) -> None:
    measure = Measure(physics, d)
    made = network(measure, group, tilted=True)
    again = EnergyNetwork.from_arrays(measure, made.architecture(), made.arrays())
    gradient = states(measure, 9)
    for a, b in zip(again.evaluate(gradient), made.evaluate(gradient), strict=True):
        np.testing.assert_array_equal(a, b)


def test_foreign_architectures_and_arrays_are_refused() -> None:
    measure = Measure(Physics.FINITE_STRAIN, 2)
    made = network(measure, "square")
    with pytest.raises(ModelError, match="does not exist in 2D"):
        EnergyNetwork.from_arrays(measure, made.architecture() | {"symmetry": "cubic"}, made.arrays())
    with pytest.raises(ModelError, match="list of widths"):
        EnergyNetwork.from_arrays(measure, made.architecture() | {"hidden": [0]}, made.arrays())
    with pytest.raises(ModelError, match="not the architecture"):
        EnergyNetwork.from_arrays(measure, made.architecture() | {"axes": 3}, made.arrays())
    with pytest.raises(ModelError, match="shape"):
        EnergyNetwork.from_arrays(measure, made.architecture() | {"symmetry": "isotropic"}, made.arrays())
    with pytest.raises(ModelError, match="not positive"):
        EnergyNetwork.from_arrays(measure, made.architecture(), made.arrays() | {"energy_scale": np.zeros(1)})
    with pytest.raises(ModelError, match="does not exist in 2D"):
        network(measure, "cubic")
    with pytest.raises(ValueError, match="named, not detect"):
        EnergyOptions(axes=((1.0, 0.0), (0.0, 1.0)))


def test_neo_hooke_in_the_plane_is_learned_from_few_states() -> None:
    pytest.importorskip("torch")
    from surrogates.training import Training, train

    measure = Measure(Physics.FINITE_STRAIN, 2)
    start = EnergyNetwork.untrained(measure, EnergyOptions(hidden=(16, 16)), law_samples(measure, 150, 1), 0)
    assert start.symmetry.group == "isotropic"
    trained = train(start, law_samples(measure, 150, 1), law_samples(measure, 40, 2), Training(epochs=40)).family
    test = law_samples(measure, 200, 3)
    flux, tangent = trained.evaluate(test.gradient)
    assert np.linalg.norm(flux - test.flux) < 0.01 * np.linalg.norm(test.flux)
    assert np.linalg.norm(tangent - test.tangent) < 0.05 * np.linalg.norm(test.tangent)
