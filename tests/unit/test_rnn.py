"""The recurrent network: exact stops, tangents along paths, self-consistency, state, training from scratch."""

from pathlib import Path

import numpy as np
import pytest

from materials.hardening import Hardening
from materials.interface import Status
from materials.law_material import LawMaterial
from materials.laws.j2 import J2
from materials.measures import FloatArray, Measure, Physics
from surrogates.families import FAMILIES
from surrogates.families.rnn import Recurrent, RecurrentOptions
from surrogates.family import ModelError, Samples
from surrogates.material import SurrogateMaterial
from surrogates.store import Model, read_model, training_range, write_model
from surrogates.training import Training, train
from surrogates.trajectories import follow

PLANE = Measure(Physics.SMALL_STRAIN, 2)
SOLID = Measure(Physics.SMALL_STRAIN, 3)
MEASURES = [Measure(physics, dimension) for physics in Recurrent.physics for dimension in (2, 3)]
CELLS = ("minimal", "gru")
YIELD_STRAIN = 0.01


def walks(measure: Measure, count: int, steps: int = 8, size: float = YIELD_STRAIN, seed: int = 0) -> FloatArray:
    """Random walks from rest, (count, steps, g)."""
    increments = np.random.default_rng(seed).normal(0.0, size, (count, steps, measure.size))
    return np.ascontiguousarray(measure.rest + increments.cumsum(axis=1))


def samples(measure: Measure, gradient: FloatArray) -> Samples:
    """J2 in small strain, and the same numbers of some other shape at finite strain, along paths (p, s, g)."""
    p, s, g = gradient.shape
    material = LawMaterial(J2(E=100.0, nu=0.3, yield_stress=100.0 * YIELD_STRAIN, hardening=Hardening(H=5.0)), PLANE)
    if measure != PLANE:  # where it matters only that there are numbers
        stiff = np.broadcast_to(100.0 * np.eye(g), (p * s, g, g)).copy()
        flux = 100.0 * (gradient - measure.rest).reshape(-1, g)
        return Samples(gradient.reshape(-1, g), flux, stiff, None, np.repeat(np.arange(p), s), np.ones(p * s))
    material.bind(np.arange(p))
    flux, tangent = np.empty((p, s, g)), np.empty((p, s, g, g))
    for step in range(s):
        response = material.evaluate(np.ascontiguousarray(gradient[:, step]), 1.0)
        assert (response.status == Status.OK).all()
        flux[:, step], tangent[:, step] = response.flux, response.tangent
        material.commit()
    path = np.repeat(np.arange(p), s)
    return Samples(gradient.reshape(-1, g), flux.reshape(-1, g), tangent.reshape(-1, g, g), None, path, np.ones(p * s))


def network(measure: Measure, cell: str, units: int = 4, seed: int = 1) -> Recurrent:
    """Untrained, with weights that are nothing in particular."""
    options = RecurrentOptions(cell=cell, units=units)  # type: ignore[arg-type]
    made = Recurrent.untrained(measure, options, samples(measure, walks(measure, 6)), seed)
    random = np.random.default_rng(seed)
    changed = {
        name: value + 0.3 * random.normal(size=value.shape)
        for name, value in made.arrays().items()
        if not name.endswith("_scale")
    }
    return made.updated(changed)


def along(model: Recurrent, gradient: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Flux (p, s, g), tangent (p, s, g, g) and last state (p, …) along paths (p, s, g)."""
    p, s, g = gradient.shape
    flux, tangent = np.empty((p, s, g)), np.empty((p, s, g, g))
    state = np.tile(model.initial_state(), (p, 1))
    for step in range(s):
        flux[:, step], tangent[:, step], state = model.step(gradient[:, step], state, 1.0)
    return flux, tangent, state


def cut(measure: Measure, gradient: FloatArray, parts: int) -> FloatArray:
    """The same paths with each increment in equal parts, (p, parts · s, g)."""
    before = np.concatenate([np.broadcast_to(measure.rest, gradient[:, :1].shape), gradient[:, :-1]], axis=1)
    share = np.arange(1, parts + 1)[:, None] / parts
    finer = before[:, :, None] + share * (gradient - before)[:, :, None]
    return np.ascontiguousarray(finer.reshape(len(gradient), -1, measure.size))


@pytest.fixture(params=MEASURES, ids=[f"{measure.physics}-{measure.dimension}d" for measure in MEASURES])
def measure(request: pytest.FixtureRequest) -> Measure:
    return request.param


@pytest.fixture(params=CELLS)
def cell(request: pytest.FixtureRequest) -> str:
    return request.param


def test_it_is_known_by_its_name() -> None:
    assert FAMILIES["rnn"] is Recurrent
    assert Recurrent.refusal(Measure(Physics.HEAT, 2)) == "family rnn is for small_strain or finite_strain, not heat"


def test_the_kernel_is_the_torch_model(measure: Measure, cell: str) -> None:
    from surrogates.torch_boundary import as_numpy, as_tensor

    model, gradient = network(measure, cell), walks(measure, 9, seed=3)
    flux, tangent, _ = along(model, gradient)
    module, paths = model.torch_model(), (as_tensor(gradient), as_tensor(np.ones(gradient.shape[:2])))
    torch_flux, torch_tangent = (as_numpy(value) for value in module(*paths))
    assert (as_numpy(module.flux(*paths)) == torch_flux).all()
    np.testing.assert_allclose(flux, torch_flux, atol=1e-11 * np.abs(flux).max())
    np.testing.assert_allclose(tangent, torch_tangent, atol=1e-10 * np.abs(tangent).max())


@pytest.mark.parametrize("seed", [5, 6])
@pytest.mark.parametrize("part", ["loading", "reversal"])
def test_taylor(measure: Measure, cell: str, part: str, seed: int) -> None:
    model, gradient = network(measure, cell), walks(measure, 12, seed=4)
    _, _, state = along(model, gradient)
    last = gradient[:, -1] - gradient[:, -2]
    end = gradient[:, -1] + (0.7 if part == "loading" else -1.6) * last
    direction = np.random.default_rng(seed).normal(0.0, YIELD_STRAIN, end.shape)
    flux, tangent, _ = model.step(end, state, 1.0)
    remainders = np.array(
        [
            model.step(end + h * direction, state, 1.0).flux - flux - h * np.einsum("nij,nj->ni", tangent, direction)
            for h in (4e-3, 2e-3, 1e-3)
        ]
    )
    size = np.linalg.norm(remainders, axis=(1, 2))
    assert (np.log2(size[:-1] / size[1:]) > 1.9).all()


def test_rest_is_free_of_flux(measure: Measure, cell: str) -> None:
    model = network(measure, cell)
    flux, tangent, state = along(model, np.tile(measure.rest, (2, 5, 1)))
    assert (flux == 0.0).all()
    assert (state == model.initial_state()).all()
    assert (tangent[:, 0] == tangent[:, 4]).all()


def test_the_tangent_at_rest_of_the_minimal_cell_is_a_weight() -> None:
    model = network(PLANE, "minimal")
    arrays = model.arrays()
    _, tangent = model.evaluate(PLANE.rest[None])
    wanted = arrays["stiffness"] * arrays["stress_scale"] / arrays["strain_scale"]
    np.testing.assert_allclose(tangent[0], wanted, atol=1e-12 * np.abs(wanted).max())


def test_a_point_does_not_see_its_neighbours(measure: Measure, cell: str) -> None:
    model, gradient = network(measure, cell), walks(measure, 9)
    flux, tangent, state = along(model, gradient)
    for part in (slice(0, 1), slice(2, 7)):
        for whole, some in zip((flux, tangent, state), along(model, gradient[part]), strict=True):
            assert (whole[part] == some).all()


def test_no_points_at_all(measure: Measure, cell: str) -> None:
    model = network(measure, cell)
    answer = model.step(np.empty((0, measure.size)), np.empty((0, model.state_size)), 1.0)
    shapes = [(0, measure.size), (0, measure.size, measure.size), (0, model.state_size)]
    assert [part.shape for part in answer] == shapes


@pytest.mark.parametrize("dimension", [2, 3])
def test_objective_along_paths(dimension: int, cell: str) -> None:
    """Every increment turned by a rotation of its own."""
    measure = Measure(Physics.FINITE_STRAIN, dimension)
    model, gradient = network(measure, cell), walks(measure, 6, size=0.05)
    random = np.random.default_rng(6)
    turn = np.empty((gradient.shape[1], measure.size, measure.size))
    for step in range(len(turn)):
        q, r = np.linalg.qr(random.normal(size=(dimension, dimension)))
        rotation = q * np.sign(np.diag(r))
        rotation[:, 0] *= np.linalg.det(rotation)
        turn[step] = np.kron(rotation, np.eye(dimension))
    flux, tangent, state = along(model, gradient)
    turned = along(model, np.einsum("sxy,psy->psx", turn, gradient))
    np.testing.assert_allclose(turned[0], np.einsum("sxy,psy->psx", turn, flux), atol=1e-10 * np.abs(flux).max())
    np.testing.assert_allclose(turned[1], turn @ tangent @ turn.mT, atol=1e-9 * np.abs(tangent).max())
    np.testing.assert_allclose(turned[2], state, atol=1e-11)
    kirchhoff = measure.to_tensor(flux[:, -1]) @ measure.to_tensor(gradient[:, -1]).mT
    np.testing.assert_allclose(kirchhoff, kirchhoff.mT, atol=1e-12 * np.abs(kirchhoff).max())


@pytest.mark.parametrize("dimension", [2, 3])
def test_turned_inside_out_is_not_a_number(dimension: int, cell: str) -> None:
    measure = Measure(Physics.FINITE_STRAIN, dimension)
    gradient = np.stack([measure.rest, measure.rest, measure.rest])
    gradient[1, 0] = -0.1
    flux, tangent = network(measure, cell).evaluate(gradient)
    assert np.isnan(flux[1]).all()
    assert np.isnan(tangent[1]).all()
    assert np.isfinite(flux[[0, 2]]).all()


@pytest.mark.parametrize("parts", [2, 4, 7])
@pytest.mark.parametrize("measure", [PLANE, SOLID], ids=["2d", "3d"])
def test_the_minimal_cell_does_not_see_how_a_path_is_cut(measure: Measure, parts: int) -> None:
    """Random weights; increments from a tenth of a yield strain to many of them."""
    model = network(measure, "minimal", units=6)
    gradient = walks(measure, 40, steps=10, seed=8)
    gradient[20:] *= 10.0
    coarse, _, state = along(model, gradient)
    fine, _, fine_state = along(model, cut(measure, gradient, parts))
    np.testing.assert_allclose(fine[:, parts - 1 :: parts], coarse, atol=1e-11 * np.abs(coarse).max())
    np.testing.assert_allclose(fine_state, state, atol=1e-11 * np.abs(state).max())


def test_the_gated_unit_does() -> None:
    model, gradient = network(PLANE, "gru"), walks(PLANE, 40, steps=10, seed=8)
    coarse, _, _ = along(model, gradient)
    fine, _, _ = along(model, cut(PLANE, gradient, 2))
    assert np.linalg.norm(fine[:, 1::2] - coarse) > 0.01 * np.linalg.norm(coarse)


def test_the_minimal_cell_depends_on_the_path() -> None:
    model, gradient = network(PLANE, "minimal"), walks(PLANE, 5, steps=3)
    there_and_back = np.concatenate([gradient, gradient[:, ::-1]], axis=1)
    flux, _, _ = along(model, there_and_back)
    assert np.linalg.norm(flux[:, 3] - flux[:, 2]) == 0.0
    assert np.linalg.norm(flux[:, 5] - flux[:, 0]) > 0.1 * np.linalg.norm(flux[:, 0])


def one_stop(drive: FloatArray, answer: FloatArray, stiffness: FloatArray, growth: float) -> Recurrent:
    """A minimal cell of one stop, in units of its own."""
    arrays = {"stiffness": stiffness, "drive": drive[None], "answer": answer[None], "sharpness": np.zeros(1)}
    arrays |= {"growth": np.log([growth]), "strain_scale": np.ones(1), "stress_scale": np.ones(1)}
    return Recurrent.from_arrays(SOLID, {"cell": "minimal", "units": 1}, arrays)


def test_a_stop_solves_its_differential_equation() -> None:
    """Against many small explicit steps with projection onto the ball, first order: the error is that of the steps."""
    one = np.eye(6)
    model = one_stop(one, one, one, growth=0.3)
    gradient = walks(SOLID, 4, steps=5, size=0.9)
    flux, _, state = along(model, gradient)
    errors = []
    for parts in (100, 1000):
        q, radius = np.zeros((4, 6)), np.ones(4)
        previous = np.zeros((4, 6))
        for strain in cut(SOLID, gradient, parts).swapaxes(0, 1):
            increment = strain - previous
            previous = strain
            q = q + increment
            outside = np.linalg.norm(q, axis=1) > radius
            radius = radius + np.where(outside, 0.3 * np.linalg.norm(increment, axis=1), 0.0)
            q *= np.where(outside, radius / np.linalg.norm(q, axis=1), 1.0)[:, None]
        errors.append(max(np.abs(q - flux[:, -1]).max(), np.abs(radius - 1.0 - state[:, -1]).max()))
    assert errors[1] < 0.01
    assert errors[1] < 0.3 * errors[0]


def test_one_stop_is_perfect_plasticity() -> None:
    """The law J2 without hardening in three dimensions, whose own error is that of backward Euler in small steps."""
    mu, kappa, strength = 40.0, 80.0, 1.0
    volumetric = np.outer([1, 1, 1, 0, 0, 0], [1, 1, 1, 0, 0, 0])
    deviator = np.eye(6) - volumetric / 3.0
    radius = np.sqrt(2.0 / 3.0) * strength
    stiffness = kappa * volumetric + 2.0 * mu * deviator
    model = one_stop(2.0 * mu / radius * deviator, radius * deviator, stiffness, growth=1e-9)
    gradient = walks(SOLID, 6, steps=4, size=0.02)
    flux, _, _ = along(model, gradient)
    young = 9.0 * kappa * mu / (3.0 * kappa + mu)
    law = LawMaterial(
        J2(E=young, nu=young / (2.0 * mu) - 1.0, yield_stress=strength, hardening=Hardening(H=1e-9)), SOLID
    )
    law.bind(np.arange(6))
    parts, finest = 400, np.empty_like(flux)
    for number, strain in enumerate(cut(SOLID, gradient, parts).swapaxes(0, 1)):
        finest[:, number // parts] = law.evaluate(np.ascontiguousarray(strain), 1.0).flux
        law.commit()
    np.testing.assert_allclose(flux, finest, atol=2e-3 * strength)


def trained_like(measure: Measure, cell: str) -> Model:
    return Model(network(measure, cell), *training_range(measure, walks(measure, 20).reshape(-1, measure.size)))


def test_the_state_is_committed_and_reverted(cell: str) -> None:
    model = trained_like(PLANE, cell)
    material = SurrogateMaterial(model)
    material.bind(np.arange(5))
    gradient = walks(PLANE, 5, steps=3)
    wanted, _, _ = along(model.family, gradient)  # type: ignore[arg-type]
    material.evaluate(10.0 * gradient[:, 0], 1.0)
    first = material.evaluate(gradient[:, 0], 1.0)
    assert (first.flux == wanted[:, 0]).all()
    material.commit()
    kept = material.state()
    material.evaluate(5.0 * gradient[:, 2], 1.0)
    material.revert()
    assert (material.state()["state"] == kept["state"]).all()
    assert (material.evaluate(gradient[:, 1], 1.0).flux == wanted[:, 1]).all()
    material.commit()
    assert (material.evaluate(gradient[:, 2], 1.0).flux == wanted[:, 2]).all()
    again = SurrogateMaterial(model)
    again.bind(np.arange(5))
    again.restore(kept)
    assert (again.evaluate(gradient[:, 1], 1.0).flux == wanted[:, 1]).all()


def test_the_same_numbers_bit_for_bit(measure: Measure, cell: str, tmp_path: Path) -> None:
    model = trained_like(measure, cell)
    write_model(tmp_path / "model", model)
    back = read_model(tmp_path / "model")
    gradient = walks(measure, 7)
    for kept, read in zip(along(model.family, gradient), along(back.family, gradient), strict=True):  # type: ignore[arg-type]
        assert (kept == read).all()


def test_seeds_make_the_weights(cell: str) -> None:
    learned, options = samples(PLANE, walks(PLANE, 6)), RecurrentOptions(cell=cell)  # type: ignore[arg-type]
    first, same, other = (Recurrent.untrained(PLANE, options, learned, seed).arrays() for seed in (0, 0, 1))
    assert all((first[name] == same[name]).all() for name in first)
    assert (first["answer"] != other["answer"]).any()


def test_broken_arrays_are_refused(cell: str) -> None:
    model = network(PLANE, cell)
    arrays, architecture = model.arrays(), model.architecture()
    answer = arrays["answer"]
    for changed, text in (
        ({"extra": answer}, "unknown extra"),
        ({"answer": answer[:2]}, "array answer has shape"),
        ({"answer": np.where(answer == answer.flat[0], np.nan, answer)}, "not finite"),
        ({"strain_scale": np.zeros(1)}, "not positive"),
    ):
        with pytest.raises(ModelError, match=text):
            Recurrent.from_arrays(PLANE, architecture, arrays | changed)
    for wrong in ({}, {"cell": "lstm", "units": 4}, {"cell": cell, "units": 0}, architecture | {"more": 1}):
        with pytest.raises(ModelError, match="architecture of an rnn"):
            Recurrent.from_arrays(PLANE, wrong, arrays)


@pytest.mark.parametrize("wrong", [{"cell": "lstm"}, {"units": 0}])
def test_wrong_options(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        RecurrentOptions(**wrong)  # type: ignore[arg-type]


def relative(value: FloatArray, reference: FloatArray) -> float:
    return float(np.linalg.norm(value - reference) / np.linalg.norm(reference))


def test_learns_elastoplasticity_from_scratch() -> None:
    """J2 in plane strain from 30 paths: at most 3 % error of stress on paths that it never saw, straight or not."""
    learned, held_out = samples(PLANE, walks(PLANE, 30, 12, seed=20)), samples(PLANE, walks(PLANE, 10, 12, seed=21))
    start = Recurrent.untrained(PLANE, RecurrentOptions(units=4), learned, 0)
    trained = train(start, learned, held_out, Training(epochs=12))
    cyclic = np.concatenate([np.linspace(0, 1, 6)[1:], np.linspace(1, -1, 9)[1:], np.linspace(-1, 0.5, 7)[1:]])
    ends = np.random.default_rng(22).normal(0.0, 3.0 * YIELD_STRAIN, (20, 3))
    unseen = samples(PLANE, np.ascontiguousarray(cyclic[:, None] * ends[:, None]))
    for test in (samples(PLANE, walks(PLANE, 20, 12, seed=23)), unseen):
        assert relative(follow(trained.family, test)[0], test.flux) < 0.03


def test_the_gated_unit_learns_too() -> None:
    learned, held_out = samples(PLANE, walks(PLANE, 30, 12, seed=20)), samples(PLANE, walks(PLANE, 10, 12, seed=21))
    start = Recurrent.untrained(PLANE, RecurrentOptions(cell="gru", units=4), learned, 0)
    trained = train(start, learned, held_out, Training(epochs=10))
    assert relative(follow(trained.family, held_out)[0], held_out.flux) < 0.1
