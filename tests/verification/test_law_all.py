"""What every law owes, whatever it models: each example is put through the same tests, and each law is an example."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from materials.law_material import LawMaterial
from materials.laws import LAWS
from materials.measures import FloatArray, Measure, Physics
from tests.verification.law_examples import EXAMPLES, Example, examples_of
from tests.verification.law_paths import drive, refined, work
from tests.verification.taylor import last_rates, remainders

N = 12
MECHANICAL = [*examples_of(Physics.SMALL_STRAIN), *examples_of(Physics.FINITE_STRAIN)]


def test_every_law_has_an_example() -> None:
    assert {example.law.name for example in EXAMPLES.values()} == {name for name in LAWS if not LAWS[name].void}


def measure_of(example: Example) -> Measure:
    assert example.law.physics is not None
    return Measure(example.law.physics, 3)


def random_gradients(example: Example, seed: int, scale: float = 1.0) -> FloatArray:
    """N gradients that depart from rest by up to `scale` times the size of the example, (N, g)."""
    measure = measure_of(example)
    departure = np.random.default_rng(seed).uniform(-1.0, 1.0, (N, measure.size))
    return measure.rest + scale * example.size * departure


def rest_of(example: Example) -> FloatArray:
    measure = measure_of(example)
    return measure.to_tensor(measure.rest)


def random_loop(example: Example, seed: int, scale: float = 1.0) -> FloatArray:
    """Closed paths from rest through three random gradients in 60 steps each, (240, N, 3, 3)."""
    measure = measure_of(example)
    corners = [measure.to_tensor(random_gradients(example, seed + i, scale)) for i in range(3)]
    closed = np.stack([*corners, np.broadcast_to(rest_of(example), corners[0].shape)])
    return refined(closed, rest_of(example), 60)


@pytest.mark.parametrize("history", [0, 1, 2], ids=["first_loading", "turned", "turned_twice"])
@pytest.mark.parametrize("name", EXAMPLES)
def test_the_tangent_leaves_a_remainder_of_second_order(name: str, history: int) -> None:
    """At every point, where there is a remainder at all."""
    example = EXAMPLES[name]
    states = [random_gradients(example, seed) for seed in range(history + 1)]
    direction = 0.05 * (random_gradients(example, 10) - measure_of(example).rest)
    found = remainders(example.law, states[-1], direction, states[:-1])
    curved = found[-1] > 1e-12
    assert last_rates(found[:, curved]) == pytest.approx(np.full(np.count_nonzero(curved), 2.0), abs=0.05)
    assert curved.any() != example.linear


@pytest.mark.parametrize("name", [name for name, example in EXAMPLES.items() if example.law.linear_at_constant_state])
def test_what_is_linear_at_constant_state_is_so_with_the_tangent_at_rest(name: str) -> None:
    """From rest and after plastic flow: where a step leaves the state as it was, bit for bit, C_rest gives the flux."""
    example = EXAMPLES[name]
    measure = measure_of(example)
    material = LawMaterial(example.law, measure)
    material.bind(np.arange(N))
    start = np.tile(measure.rest, (N, 1))
    at_rest = material.evaluate(start, 1.0).tangent
    tried = 0
    for target in (0.01 * random_gradients(example, 5), random_gradients(example, 6)):
        flux, state = material.evaluate(start, 1.0).flux, material.state()
        step = 1e-3 * (random_gradients(example, 7) - measure.rest)
        for sign in (-1.0, 1.0):
            answer = material.evaluate(start + sign * step, 1.0)
            material.commit()
            after = material.state()
            same = np.ones(N, dtype=bool)
            for variable, values in state.items():
                same &= (values == after[variable]).reshape(N, -1).all(axis=1)
            material.restore(state)
            expected = flux + sign * np.einsum("nij,nj->ni", at_rest, step)
            assert np.abs(answer.flux - expected)[same].max(initial=0.0) < 1e-10 * np.abs(answer.flux).max()
            np.testing.assert_array_equal(answer.tangent[same], at_rest[same])
            tried += np.count_nonzero(same)
        start = target
        material.evaluate(start, 1.0)
        material.commit()
    assert tried >= 3 * N  # all at rest, and after flow those that turn back


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_small_reversal_is_elastic(name: str) -> None:
    """Back by a tenth of the last step and forth again, in no time: stress and state return, the tangent is symmetric.

    Where elasticity is linear, the tangent of the way back also gives the stress of the way forth, exactly.
    """
    example = EXAMPLES[name]
    measure = measure_of(example)
    material = LawMaterial(example.law, measure)
    material.bind(np.arange(N))
    at_rest = material.state()
    first, second = random_gradients(example, 3), random_gradients(example, 4)
    for gradient in (first, second):
        material.evaluate(gradient, 1.0)
        material.commit()
    loaded, state = material.evaluate(second, 0.0), material.state()
    assert all(np.any(state[variable] != at_rest[variable]) for variable in state)
    back = second + 0.1 * (first - second)
    reversal = material.evaluate(back, 0.0)
    material.commit()
    again = material.evaluate(second, 0.0)
    material.commit()
    scale = np.abs(loaded.flux).max()
    assert again.flux == pytest.approx(loaded.flux, abs=1e-12 * scale)
    for variable, value in material.state().items():
        assert value == pytest.approx(state[variable], abs=1e-12 * np.abs(state[variable]).max())
    symmetric = reversal.tangent.swapaxes(1, 2)
    assert reversal.tangent == pytest.approx(symmetric, abs=1e-12 * np.abs(symmetric).max())
    if example.linear or (state and measure.physics is Physics.SMALL_STRAIN):
        forth = np.einsum("nij,nj->ni", reversal.tangent, second - back)
        assert again.flux - reversal.flux == pytest.approx(forth, abs=1e-12 * scale)


@pytest.mark.parametrize("name", MECHANICAL)
def test_work_cannot_be_gained(name: str) -> None:
    """From rest: no path gives back more than thermal strain has stored there, ½ σ₀:C⁻¹:σ₀; a closed one costs work.

    It costs none, up to the error of the trapezoidal rule, where the law has no state.
    """
    example = EXAMPLES[name]
    measure = measure_of(example)
    path = random_loop(example, 20)
    flux, state = drive(example.law, path, 0.02)
    material = LawMaterial(example.law, measure)
    material.bind(np.zeros(1, dtype=np.int64))
    at_rest = material.evaluate(measure.rest[None], 0.0)
    stored = 0.5 * at_rest.flux[0] @ np.linalg.pinv(at_rest.tangent[0]) @ at_rest.flux[0]
    initial = measure.to_tensor(at_rest.flux[0])
    spent = work(path, flux - initial, rest_of(example)) + np.sum(initial * (path - rest_of(example)), axis=(-2, -1))
    largest = spent.max()
    assert spent.min() > -stored - 1e-3 * largest
    if state:
        assert spent[-1].min() > 0.03 * largest
    else:
        assert np.abs(spent[-1]).max() < 1e-3 * largest


@pytest.mark.parametrize("name", examples_of(Physics.HEAT))
def test_heat_flows_down_the_temperature(name: str) -> None:
    """k∇T · ∇T > 0: heat, which flows against this flux, produces entropy."""
    example = EXAMPLES[name]
    gradients = measure_of(example).to_tensor(random_gradients(example, 5))
    flux, _ = drive(example.law, gradients[None])
    assert (flux[0] * gradients).sum(axis=1).min() > 0.1 * example.size**2


@pytest.mark.parametrize("name", examples_of(Physics.FINITE_STRAIN))
def test_rotations_turn_the_stress_and_nothing_else(name: str) -> None:
    """P(Q F) = Q P(F) when Q differs from step to step, the tangent likewise, and P Fᵀ is symmetric."""
    example = EXAMPLES[name]
    path = random_loop(example, 30, 2.0)[::12]
    turns = Rotation.random(len(path), random_state=6).as_matrix()[:, None]
    plain, turned = drive(example.law, path)[0], drive(example.law, turns @ path)[0]
    assert turned == pytest.approx(turns @ plain, abs=1e-11 * np.abs(plain).max())
    kirchhoff = plain @ path.swapaxes(-1, -2)
    assert kirchhoff == pytest.approx(kirchhoff.swapaxes(-1, -2), abs=1e-12 * np.abs(kirchhoff).max())

    measure = measure_of(example)
    history, now = path[8], path[16]
    tangents = []
    for before, turn in ((np.eye(3), np.eye(3)), (turns[8], turns[16])):
        material = LawMaterial(example.law, measure)
        material.bind(np.arange(N))
        material.evaluate(measure.to_vector(before @ history), 1.0)
        material.commit()
        tangents.append(measure.tangent_to_tensor(material.evaluate(measure.to_vector(turn @ now), 1.0).tangent))
    turn = turns[16, 0]
    expected = np.einsum("ip,kq,npjql->nijkl", turn, turn, tangents[0])
    assert tangents[1] == pytest.approx(expected, abs=1e-11 * np.abs(expected).max())


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_turned_specimen_answers_in_its_own_axes(name: str) -> None:
    """σ(Q ε Qᵀ) = Q σ Qᵀ, P(F Qᵀ) = P Qᵀ and q(Q g) = Q q, for isotropic laws and for them alone."""
    example = EXAMPLES[name]
    measure = measure_of(example)
    Q = Rotation.random(random_state=7).as_matrix()
    turn = {
        Physics.SMALL_STRAIN: lambda tensor: Q @ tensor @ Q.T,
        Physics.FINITE_STRAIN: lambda tensor: tensor @ Q.T,
        Physics.HEAT: lambda vector: vector @ Q.T,
    }[measure.physics]
    path = np.stack([measure.to_tensor(random_gradients(example, seed, 2.0)) for seed in range(40, 46)])
    plain, turned = drive(example.law, path)[0], drive(example.law, turn(path))[0]
    error = np.abs(turned - turn(plain)).max() / np.abs(plain).max()
    assert error < 1e-11 if example.isotropic else error > 0.05
