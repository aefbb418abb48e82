"""The dissipative network: thermodynamics with any weights, kernel against torch, tangents, what it learns and refuses.

Weights are random: what is said to hold by construction must hold before any training.
"""

from pathlib import Path

import numpy as np
import pytest

from materials.hardening import Hardening
from materials.law_material import LawMaterial
from materials.laws import LAWS
from materials.laws.j2 import J2
from materials.measures import FloatArray, Measure, Physics
from surrogates.ensemble import Ensemble
from surrogates.families import FAMILIES
from surrogates.families.dissipative import DissipativeNetwork, DissipativeOptions
from surrogates.family import ModelError, Samples, Step
from surrogates.material import SurrogateMaterial
from surrogates.store import Model, read_model, training_range, write_model
from surrogates.training import Training, train
from surrogates.trajectories import follow

MEASURES = [Measure(physics, d) for physics in (Physics.SMALL_STRAIN, Physics.FINITE_STRAIN) for d in (2, 3)]
SMALL = [measure for measure in MEASURES if measure.physics is Physics.SMALL_STRAIN]
PLANE = Measure(Physics.SMALL_STRAIN, 2)
UNITS = 6


def named(measure: Measure) -> str:
    return f"{measure.physics}-{measure.dimension}d"


@pytest.fixture(params=MEASURES, ids=named)
def measure(request: pytest.FixtureRequest) -> Measure:
    return request.param


def walks(measure: Measure, count: int, steps: int, size: float = 0.01, seed: int = 0) -> FloatArray:
    """Random walks from rest, (p, s, g)."""
    random = np.random.default_rng(seed)
    return measure.rest + random.normal(0.0, size, (count, steps, measure.size)).cumsum(axis=1)


def samples(measure: Measure) -> Samples:
    """Fluxes of an elastic law along random walks."""
    law = LAWS["elastic" if measure.physics is Physics.SMALL_STRAIN else "neo_hookean"](E=100.0, nu=0.3)
    gradient = walks(measure, 5, 8).reshape(-1, measure.size)
    material = LawMaterial(law, measure)
    material.bind(np.arange(len(gradient)))
    flux, tangent, *_ = material.evaluate(gradient, 1.0)
    return Samples(gradient, flux, tangent, path=np.repeat(np.arange(5), 8), dt=np.ones(len(gradient)))


def network(measure: Measure, seed: int = 1) -> DissipativeNetwork:
    """Untrained, with every weight moved at random."""
    made = DissipativeNetwork.untrained(measure, DissipativeOptions(surfaces=UNITS), samples(measure), seed)
    random = np.random.default_rng(seed)
    moved = ("maps", "remainder", "root", "radius", "kinematic", "isotropic")
    return made.updated(
        {
            name: value + random.normal(0.0, 0.3, value.shape) * np.abs(value).mean()
            for name, value in made.arrays().items()
            if name in moved
        }
    )


def along(model: DissipativeNetwork, paths: FloatArray) -> list[Step]:
    """Answers at each step of paths (p, s, g)."""
    state = np.zeros((len(paths), model.state_size))
    answers = []
    for position in range(paths.shape[1]):
        answers.append(model.step(np.ascontiguousarray(paths[:, position]), state, 1.0))
        state = answers[-1].state
    return answers


def test_it_is_known_by_its_name() -> None:
    assert FAMILIES["dissipative"] is DissipativeNetwork


def test_the_kernel_is_the_torch_model(measure: Measure) -> None:
    from surrogates.torch_boundary import as_numpy, as_tensor

    model, paths = network(measure), walks(measure, 21, 6, seed=3)
    answers = along(model, paths)
    inputs = as_tensor(paths), as_tensor(np.ones(paths.shape[:2]))
    module = model.torch_model()
    flux, tangent = (as_numpy(value) for value in module(*inputs))
    wanted_flux, wanted_tangent = (np.stack([answer[k] for answer in answers], axis=1) for k in (0, 1))
    assert (slips(answers)[-1] > 0.0).any()
    compiled = as_numpy(module.flux(*inputs))
    for value, wanted in ((flux, wanted_flux), (compiled, wanted_flux), (tangent, wanted_tangent)):
        np.testing.assert_allclose(value, wanted, rtol=1e-10, atol=1e-10 * np.abs(wanted).max())


def slips(answers: list[Step]) -> FloatArray:
    """Accumulated slip of the units, (s, p, K)."""
    return np.stack([answer.state.reshape(len(answer.state), UNITS, -1)[..., -1] for answer in answers])


def test_the_compiled_adjoint_is_that_of_torch(measure: Measure) -> None:
    from surrogates.torch_boundary import as_tensor, torch

    paths = walks(measure, 9, 7, seed=4)
    inputs = as_tensor(paths), as_tensor(np.ones(paths.shape[:2]))
    weights = as_tensor(np.random.default_rng(5).normal(size=paths.shape))
    gradients = []
    for compiled in (False, True):
        module = network(measure).torch_model()
        flux = module.flux(*inputs) if compiled else module(*inputs)[0]
        (weights * flux).sum().backward()
        gradients.append({name: value.grad for name, value in module.named_parameters()})
    assert set(gradients[0]) == {"maps", "remainder", "root", "radius", "kinematic", "isotropic"}
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, rtol=1e-9, atol=1e-11 * float(gradient.abs().max()))


@pytest.mark.parametrize("where", ["elastic", "loading", "reversed"])
def test_taylor(measure: Measure, where: str) -> None:
    """Of second order at points where no unit changes between rest and flow; elastic is linear in the strain."""
    model, count = network(measure), 40
    random = np.random.default_rng(6)
    way = random.normal(0.0, 1.0, (count, measure.size))
    at = measure.rest + {"elastic": 1e-6, "loading": 0.02, "reversed": 0.01}[where] * way
    state = np.zeros((count, model.state_size))
    if where == "reversed":
        state = model.step(measure.rest + 0.03 * way, state, 1.0).state
    direction = random.normal(0.0, 1.0, at.shape)
    steps = [2e-5, 1e-5, 5e-6] if where != "elastic" else [2e-7, 1e-7, 5e-8]
    there = model.step(at, state, 1.0)
    ahead = [model.step(at + h * direction, state, 1.0) for h in steps]
    flows = slips([there, *ahead]) > slips([Step(there.flux, there.tangent, state)])
    steady = (flows == flows[0]).all(axis=(0, 2))
    assert np.count_nonzero(steady) > count / 2
    assert flows[0].any() == (where != "elastic")
    change = np.einsum("nij,nj->ni", there.tangent, direction)
    remainders = [
        np.linalg.norm((answer.flux - there.flux - h * change)[steady]) for h, answer in zip(steps, ahead, strict=True)
    ]
    if where == "elastic" and measure.physics is Physics.SMALL_STRAIN:
        assert remainders[0] < 1e-9 * steps[0] * np.linalg.norm(change)
        return
    assert (np.log2(np.array(remainders[:-1]) / np.array(remainders[1:])) > 1.9).all()


def test_a_step_never_creates_energy() -> None:
    """Work at the end stress ≥ energy stored + dissipation ≥ energy stored, in any step, with any weights."""
    for measure in SMALL:
        for seed in range(5):
            model = network(measure, seed)
            paths = walks(measure, 30, 15, size=10.0 ** np.random.default_rng(seed).uniform(-3, -1), seed=seed)
            before, gradient = np.zeros((30, model.state_size)), np.tile(measure.rest, (30, 1))
            flowed = 0.0
            for position, answer in enumerate(along(model, paths)):
                now = paths[:, position]
                stored = model.free_energy(now, answer.state) - model.free_energy(gradient, before)
                dissipated = model.dissipated(gradient, before, now, answer.state)
                work = np.einsum("ni,ni->n", answer.flux, now - gradient)
                size = 1e-12 * np.maximum(np.abs(work), model.free_energy(now, answer.state))
                assert (dissipated >= -size).all()
                assert (work - stored - dissipated >= -size).all()
                flowed = max(flowed, float((dissipated / size).max()))
                before, gradient = answer.state, now
            assert flowed > 1e6


def test_energy_balances_as_steps_shrink(measure: Measure) -> None:
    """∫ flux · d gradient = Δψ + dissipation along a path that turns, by the trapezoidal rule."""
    model = network(measure)
    corners = np.concatenate([np.tile(measure.rest, (8, 1, 1)), walks(measure, 8, 3, 0.02, seed=8)], axis=1)
    defects = []
    for parts in (40, 80, 160):
        fractions = np.linspace(0.0, 1.0, parts + 1)[1:]
        legs = [a[:, None] + fractions[:, None] * (b - a)[:, None] for a, b in zip(*corner_pairs(corners), strict=True)]
        paths = np.concatenate(legs, axis=1)
        answers = along(model, paths)
        fluxes = np.stack([np.zeros_like(answers[0].flux), *(answer.flux for answer in answers)], axis=1)
        points = np.concatenate([corners[:, :1], paths], axis=1)
        work = 0.5 * np.einsum("psg,psg->p", fluxes[:, 1:] + fluxes[:, :-1], np.diff(points, axis=1))
        states = [np.zeros_like(answers[0].state), *(answer.state for answer in answers)]
        dissipated = sum(
            model.dissipated(points[:, k], states[k], points[:, k + 1], states[k + 1]) for k in range(len(answers))
        )
        balance = work - model.free_energy(points[:, -1], states[-1]) - dissipated
        defects.append(np.linalg.norm(balance) / np.linalg.norm(dissipated))
    assert defects[-1] < 1e-2
    assert defects[0] / defects[2] > 3.5


def corner_pairs(corners: FloatArray) -> tuple[list[FloatArray], list[FloatArray]]:
    """Starts and ends of the legs between corners (p, c, g)."""
    points = list(np.moveaxis(corners, 1, 0))
    return points[:-1], points[1:]


def test_the_tangent_is_symmetric_and_between_zero_and_the_elastic_one(measure: Measure) -> None:
    model = network(measure)
    at_rest = model.step(measure.rest[None], np.zeros((1, model.state_size)), 1.0)
    for answer in along(model, walks(measure, 30, 10, seed=9)):
        size = np.linalg.norm(answer.tangent, axis=(1, 2), keepdims=True)
        assert (np.abs(answer.tangent - answer.tangent.swapaxes(1, 2)) <= 1e-10 * size).all()
        if measure.physics is Physics.SMALL_STRAIN:
            assert np.linalg.eigvalsh(answer.tangent).min() > 0.0
            assert np.linalg.eigvalsh(at_rest.tangent - answer.tangent).min() > -1e-12 * float(size.max())


def test_rest_is_free_of_flux_and_elastic(measure: Measure) -> None:
    learned = samples(measure)
    material = LawMaterial(LAWS["elastic" if measure in SMALL else "neo_hookean"](E=100.0, nu=0.3), measure)
    material.bind(np.arange(1))
    wanted = material.evaluate(measure.rest[None], 1.0).tangent[0]
    options = DissipativeOptions(surfaces=UNITS)
    model = DissipativeNetwork.untrained(measure, options, learned._replace(tangent_at_rest=wanted), 0)
    assert model.architecture() == {"surfaces": UNITS, "stiffness": "given"}
    assert "root" not in dict(model.torch_model().named_parameters())
    moved = model.updated({"maps": np.random.default_rng(0).normal(size=model.arrays()["maps"].shape)})
    for candidate in (model, moved):
        flux, tangent = candidate.evaluate(measure.rest[None])
        assert (flux == 0.0).all()
        np.testing.assert_allclose(tangent[0], wanted, rtol=1e-10, atol=1e-10 * np.abs(wanted).max())


def test_straight_ways_may_be_cut_anywhere() -> None:
    model = network(PLANE)
    end = 0.02 * np.random.default_rng(10).normal(size=(20, 3))
    whole = model.step(end, np.zeros((20, model.state_size)), 1.0)
    for cuts in ([0.5, 1.0], [0.1, 0.25, 0.8, 1.0]):
        answer = along(model, np.stack([cut * end for cut in cuts], axis=1))[-1]
        np.testing.assert_allclose(answer.flux, whole.flux, rtol=1e-12, atol=1e-12 * np.abs(whole.flux).max())
        np.testing.assert_allclose(answer.state, whole.state, rtol=1e-11, atol=1e-12 * np.abs(whole.state).max())


@pytest.mark.parametrize("dimension", [2, 3])
def test_objective(dimension: int) -> None:
    """Rotations, another one in each step, turn the flux and leave the state alone."""
    measure = Measure(Physics.FINITE_STRAIN, dimension)
    model, paths = network(measure), walks(measure, 10, 5, 0.03, seed=11)
    random = np.random.default_rng(12)
    plain = turned = np.zeros((10, model.state_size))
    for position in range(5):
        q, r = np.linalg.qr(random.normal(size=(dimension, dimension)))
        q = q * np.sign(np.diag(r))
        q[:, 0] *= np.linalg.det(q)
        turn = np.kron(q, np.eye(dimension))
        one = model.step(np.ascontiguousarray(paths[:, position]), plain, 1.0)
        other = model.step(paths[:, position] @ turn.T, turned, 1.0)
        np.testing.assert_allclose(other.flux, one.flux @ turn.T, atol=1e-10 * np.abs(one.flux).max())
        np.testing.assert_allclose(other.tangent, turn @ one.tangent @ turn.T, atol=1e-10 * np.abs(one.tangent).max())
        np.testing.assert_allclose(other.state, one.state, atol=1e-10 * np.abs(one.state).max())
        plain, turned = one.state, other.state


def test_a_point_sees_neither_its_neighbours_nor_dt(measure: Measure) -> None:
    model = network(measure)
    first, second = np.moveaxis(walks(measure, 50, 2, seed=13), 1, 0)
    state = model.step(first.copy(), np.zeros((50, model.state_size)), 1.0).state
    kept = state.copy()
    whole = model.step(second.copy(), state, 1.0)
    assert (state == kept).all()
    for part in (slice(0, 1), slice(3, 20), slice(17, 50), slice(0, 0)):
        some = model.step(second[part].copy(), state[part], 0.1)
        assert all((a == b[part]).all() for a, b in zip(some, whole, strict=True))


@pytest.mark.parametrize("dimension", [2, 3])
def test_turned_inside_out_is_not_a_number(dimension: int) -> None:
    measure = Measure(Physics.FINITE_STRAIN, dimension)
    gradient = np.tile(measure.rest, (3, 1))
    gradient[1, 0] = -0.1
    flux, tangent = network(measure).evaluate(gradient)
    assert np.isnan(flux[1]).all()
    assert np.isnan(tangent[1]).all()
    assert np.isfinite(flux[[0, 2]]).all()


def test_only_what_is_committed_is_remembered(measure: Measure) -> None:
    model, paths = network(measure), walks(measure, 4, 3, 0.02, seed=14)
    expected = along(model, paths)
    material = SurrogateMaterial(Model(model, *training_range(measure, paths.reshape(-1, measure.size))))
    material.bind(np.arange(4))
    assert material.symmetric
    for position in range(3):
        material.evaluate(paths[:, position] + 0.01, 1.0)
        material.revert()
        material.evaluate(paths[:, position] + 0.02, 1.0)
        response = material.evaluate(np.ascontiguousarray(paths[:, position]), 1.0)
        assert (response.flux == expected[position].flux).all()
        assert (response.tangent == expected[position].tangent).all()
        material.commit()
        assert (material.state()["state"] == expected[position].state).all()


def test_the_same_numbers_bit_for_bit(measure: Measure, tmp_path: Path) -> None:
    one, two, paths = network(measure), network(measure, 2), walks(measure, 6, 4, seed=15)
    limits = training_range(measure, paths.reshape(-1, measure.size))
    for number, family in enumerate((one, Ensemble(measure, (one, two)))):
        write_model(tmp_path / str(number), Model(family, *limits))
        read = read_model(tmp_path / str(number)).family
        assert read.symmetric
        state = np.tile(family.initial_state(), (6, 1))
        for position in range(4):
            gradient = np.ascontiguousarray(paths[:, position])
            before, after = family.step(gradient, state, 1.0), read.step(gradient, state, 1.0)
            assert all(a.tobytes() == b.tobytes() for a, b in zip(before, after, strict=True))
            state = before.state


def elastoplastic(measure: Measure, count: int, seed: int, steps: int = 20) -> Samples:
    """J2 with isotropic and kinematic hardening along random walks, well beyond yield."""
    law = J2(E=70e3, nu=0.3, yield_stress=100.0, hardening=Hardening(H=500.0, kinematic=2000.0))
    material = LawMaterial(law, measure)
    material.bind(np.arange(count))
    paths = walks(measure, count, steps, 0.003, seed)
    flux, tangent = np.empty_like(paths), np.empty((*paths.shape, measure.size))
    for position in range(steps):
        flux[:, position], tangent[:, position], *_ = material.evaluate(np.ascontiguousarray(paths[:, position]), 1.0)
        material.commit()
    n, g = count * steps, measure.size
    arrays = paths.reshape(n, g), flux.reshape(n, g), tangent.reshape(n, g, g)
    return Samples(*arrays, path=np.repeat(np.arange(count), steps), dt=np.ones(n))


@pytest.mark.parametrize("known", [True, False], ids=["given", "estimated"])
@pytest.mark.parametrize("measure", SMALL, ids=named)
def test_it_learns_an_elastoplastic_law_from_few_paths(measure: Measure, known: bool) -> None:
    training, validation, test = (elastoplastic(measure, count, seed) for count, seed in ((10, 0), (4, 1), (50, 2)))
    if known:
        material = LawMaterial(LAWS["elastic"](E=70e3, nu=0.3), measure)
        material.bind(np.arange(1))
        training = training._replace(tangent_at_rest=material.evaluate(measure.rest[None], 1.0).tangent[0])
    start = DissipativeNetwork.untrained(measure, DissipativeOptions(surfaces=4), training, 0)
    learned = train(start, training, validation, Training(epochs=40)).family
    flux, tangent = follow(learned, test)
    assert np.linalg.norm(flux - test.flux) < 0.01 * np.linalg.norm(test.flux)
    assert np.linalg.norm(tangent - test.tangent) < 0.05 * np.linalg.norm(test.tangent)
    untrained, _ = follow(start, test)
    assert np.linalg.norm(untrained - test.flux) > 0.1 * np.linalg.norm(test.flux)


def test_seeds_make_the_weights() -> None:
    learned, options = samples(PLANE), DissipativeOptions()
    first, same, other = (DissipativeNetwork.untrained(PLANE, options, learned, seed) for seed in (0, 0, 1))
    assert all((first.arrays()[name] == value).all() for name, value in same.arrays().items())
    assert (first.arrays()["maps"] != other.arrays()["maps"]).any()


def broken(name: str, value: FloatArray | None) -> str:
    model = network(PLANE)
    arrays = {key: array for key, array in model.arrays().items() if key != name}
    with pytest.raises(ModelError) as error:
        DissipativeNetwork.from_arrays(PLANE, model.architecture(), arrays if value is None else arrays | {name: value})
    return str(error.value)


def test_broken_arrays_are_refused() -> None:
    assert "lacks root" in broken("root", None)
    assert "has unknown extra" in broken("extra", np.ones(1))
    assert "shape (2,)" in broken("radius", np.ones(2))
    assert "not finite" in broken("kinematic", np.full(UNITS, np.nan))
    assert "not positive" in broken("stress_scale", np.zeros(1))
    model = network(PLANE)
    arrays = model.arrays() | {name: 0.0 * model.arrays()[name] for name in ("maps", "remainder")}
    with pytest.raises(ModelError, match="without stiffness"):
        DissipativeNetwork.from_arrays(PLANE, model.architecture(), arrays)
    for change in ({"surfaces": 0}, {"surfaces": "6"}, {"stiffness": "soft"}, {"more": 1}):
        with pytest.raises(ModelError, match="architecture"):
            DissipativeNetwork.from_arrays(PLANE, model.architecture() | change, model.arrays())


def test_what_it_cannot_learn_is_refused() -> None:
    learned, options = samples(PLANE), DissipativeOptions()
    with pytest.raises(ModelError, match="flux is zero"):
        DissipativeNetwork.untrained(PLANE, options, learned._replace(flux=0.0 * learned.flux), 0)
    with pytest.raises(ModelError, match="not positive definite"):
        DissipativeNetwork.untrained(PLANE, options, learned._replace(tangent_at_rest=np.diag([1.0, 1.0, 0.0])), 0)
    unordered = learned._replace(path=None)
    with pytest.raises(ModelError, match="ordered along paths"):
        train(DissipativeNetwork.untrained(PLANE, options, unordered, 0), unordered, unordered, Training())
    assert "heat" in (DissipativeNetwork.refusal(Measure(Physics.HEAT, 2)) or "")
    with pytest.raises(ValueError, match="surfaces"):
        DissipativeOptions(surfaces=0)
