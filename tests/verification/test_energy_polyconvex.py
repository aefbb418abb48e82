"""What a polyconvex energy network promises whatever its weights are."""

import numpy as np
import pytest

from materials.ellipticity import smallest_acoustic_eigenvalue
from materials.measures import FloatArray, Measure, Physics
from surrogates.families.energy import EnergyNetwork, EnergyOptions
from surrogates.symmetry import GROUPS
from tests.verification.energy_networks import EVERY, TOLERANCE, law_samples, network, same, states, turned

FINITE = pytest.mark.parametrize(("d", "group"), [(d, group) for d in (2, 3) for group in GROUPS[d]])


def far_states(measure: Measure, n: int) -> FloatArray:
    """Deformation gradients up to where volume is squeezed to a tenth, other gradients up to one."""
    gradient = measure.rest + np.random.default_rng(0).uniform(-0.8, 0.8, (4 * n, measure.size))
    if measure.physics is not Physics.FINITE_STRAIN:
        return gradient[:n]
    return gradient[np.linalg.det(measure.to_tensor(gradient)) > 0.1][:n]


@pytest.mark.parametrize("tilted", [False, True])
@EVERY
def test_rest_has_no_energy_and_no_stress(physics: Physics, d: int, group: str, tilted: bool) -> None:
    measure = Measure(physics, d)
    made = network(measure, group, tilted, "polyconvex")
    flux, tangent = made.evaluate(measure.rest[None])
    assert abs(made.energy(measure.rest[None])[0]) < TOLERANCE * np.abs(tangent).max()
    assert np.abs(flux).max() < TOLERANCE * np.abs(tangent).max()


@pytest.mark.parametrize("tilted", [False, True])
@FINITE
def test_no_state_loses_ellipticity(d: int, group: str, tilted: bool) -> None:
    """Polyconvex energies are rank-one convex: the acoustic tensor is positive semidefinite in every direction."""
    measure = Measure(Physics.FINITE_STRAIN, d)
    gradient = far_states(measure, 100)
    _, tangent = network(measure, group, tilted, "polyconvex").evaluate(gradient)
    assert (smallest_acoustic_eigenvalue(measure, tangent) > -TOLERANCE * np.abs(tangent).max()).all()


@pytest.mark.parametrize("physics", [Physics.SMALL_STRAIN, Physics.HEAT])
@FINITE
def test_without_large_strains_the_energy_is_convex(physics: Physics, d: int, group: str) -> None:
    measure = Measure(physics, d)
    made, gradient = network(measure, group, True, "polyconvex"), far_states(measure, 100)
    _, tangent = made.evaluate(gradient)
    assert (np.linalg.eigvalsh(tangent) > -TOLERANCE * np.abs(tangent).max()).all()


@pytest.mark.parametrize("physics", Physics)
@pytest.mark.parametrize("d", [2, 3])
def test_weights_of_any_sign_would_lose_both(physics: Physics, d: int) -> None:
    """At the same states, so that the two tests above can fail."""
    measure = Measure(physics, d)
    made = network(measure, "none")
    stronger = made.updated({"weight_out": 20.0 * made.values["weight_out"], "growth": np.zeros(1)})
    _, tangent = stronger.evaluate(far_states(measure, 100))
    if physics is Physics.FINITE_STRAIN:
        assert smallest_acoustic_eigenvalue(measure, tangent).min() < -1e-3 * np.abs(tangent).max()
    assert np.linalg.eigvalsh(tangent).min() < -1e-2 * np.abs(tangent).max()


@pytest.mark.parametrize("tilted", [False, True])
@EVERY
def test_turning_the_material_by_its_group_turns_the_flux(physics: Physics, d: int, group: str, tilted: bool) -> None:
    measure = Measure(physics, d)
    made, gradient = network(measure, group, tilted, "polyconvex"), states(measure, 20)
    flux, _ = made.evaluate(gradient)
    assert np.abs(flux).max() > 0.0
    for q in made.symmetry.generators(d):
        left = np.eye(d) if physics is Physics.FINITE_STRAIN and np.linalg.det(q) > 0.0 else q
        same(made.evaluate(turned(measure, gradient, left, q))[0], turned(measure, flux, left, q))


@FINITE
def test_turning_space_turns_the_stress_with_it(d: int, group: str) -> None:
    measure = Measure(Physics.FINITE_STRAIN, d)
    made, gradient = network(measure, group, True, "polyconvex"), states(measure, 20)
    q, _ = np.linalg.qr(np.random.default_rng(6).normal(size=(d, d)))
    q[:, 0] *= np.linalg.det(q)
    same(
        made.evaluate(turned(measure, gradient, q, np.eye(d)))[0],
        turned(measure, made.evaluate(gradient)[0], q, np.eye(d)),
    )


@EVERY
def test_taylor_remainders_fall_with_their_order(physics: Physics, d: int, group: str) -> None:
    measure = Measure(physics, d)
    made, gradient = network(measure, group, True, "polyconvex"), states(measure, 1)
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


@pytest.mark.parametrize("tilted", [False, True])
@EVERY
def test_kernel_torch_form_and_automatic_differentiation_agree(
    physics: Physics, d: int, group: str, tilted: bool
) -> None:
    torch = pytest.importorskip("torch")
    measure = Measure(physics, d)
    made, gradient = network(measure, group, tilted, "polyconvex"), states(measure, 10)
    at = torch.tensor(gradient, requires_grad=True)
    energy, flux, tangent = made.torch_model().response(at)
    same(made.energy(gradient), energy.detach().numpy())
    for ours, other in zip(made.evaluate(gradient), (flux, tangent), strict=True):
        same(ours, other.detach().numpy())
    (slope,) = torch.autograd.grad(energy.sum(), at, create_graph=True)
    rows = [torch.autograd.grad(slope[:, i].sum(), at, retain_graph=True)[0] for i in range(measure.size)]
    same(slope.detach().numpy(), flux.detach().numpy())
    same(torch.stack(rows, 1).numpy(), tangent.detach().numpy())


@pytest.mark.parametrize("group", ["isotropic", "orthotropic"])
def test_the_loss_has_the_right_gradient_in_the_weights(group: str) -> None:
    """For orthotropy the largest eigenvalue of the stress at rest is a function of them too."""
    torch = pytest.importorskip("torch")
    measure = Measure(Physics.FINITE_STRAIN, 3)
    module = network(measure, group, convexity="polyconvex").torch_model()
    gradient, random = torch.tensor(states(measure, 10)), np.random.default_rng(8)

    def loss() -> object:
        flux, tangent = module(gradient)
        return (flux**2).sum() + (tangent**2).sum()

    loss().backward()
    for name, parameter in module.named_parameters():
        direction, step, values = torch.tensor(random.normal(size=parameter.shape)), 1e-5, []
        for sign in (1.0, -1.0):
            with torch.no_grad():
                parameter += sign * step * direction
                values.append(float(loss()))
                parameter -= sign * step * direction
        slope = float((parameter.grad * direction).sum())
        assert (values[0] - values[1]) / (2 * step) == pytest.approx(slope, rel=1e-5, abs=1e-8 * values[0]), name


@EVERY
def test_a_network_survives_its_arrays_to_the_last_bit(physics: Physics, d: int, group: str) -> None:
    measure = Measure(physics, d)
    made, gradient = network(measure, group, True, "polyconvex"), states(measure, 9)
    again = EnergyNetwork.from_arrays(measure, made.architecture(), made.arrays())
    for a, b in zip(again.evaluate(gradient), made.evaluate(gradient), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("d", [2, 3])
def test_neo_hooke_is_learned_from_few_states(d: int) -> None:
    pytest.importorskip("torch")
    from surrogates.training import Training, train

    measure = Measure(Physics.FINITE_STRAIN, d)
    options = EnergyOptions(hidden=(16, 16), symmetry="isotropic", convexity="polyconvex")
    learned, test = law_samples(measure, 150, 1), law_samples(measure, 200, 3)
    start = EnergyNetwork.untrained(measure, options, learned, 0)
    trained = train(start, learned, law_samples(measure, 40, 2), Training(epochs=40)).family
    flux, tangent = trained.evaluate(test.gradient)
    errors = [np.linalg.norm(a - b) / np.linalg.norm(b) for a, b in zip((flux, tangent), test[1:3], strict=True)]
    assert errors[0] < 0.01
    assert errors[1] < 0.05
