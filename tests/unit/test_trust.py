"""Measures of trust: what is near, what is far, symmetry, the same bits in any batch and from a folder."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pytest

from materials.measures import FloatArray, Measure, Physics
from surrogates.calibration import Calibration, calibrate
from surrogates.ensemble import Ensemble
from surrogates.families.ann import DirectNetwork
from surrogates.families.energy import EnergyNetwork, EnergyOptions
from surrogates.families.gp import GaussianProcess, ProcessOptions
from surrogates.family import Family, HistoryFamily, ModelError, Network, Samples, Step
from surrogates.green_strain import objective_strain
from surrogates.store import Model, read_model, training_range, write_model
from surrogates.symmetry import GROUPS, Symmetry
from surrogates.trajectories import journey
from surrogates.trust import DUPLICATE, MEASURES, Distance, Trust, fit_trust

ALL = [Measure(physics, dimension) for physics in Physics for dimension in (2, 3)]
PLANE, SPACE = Measure(Physics.FINITE_STRAIN, 2), Measure(Physics.FINITE_STRAIN, 3)


@pytest.fixture(params=ALL, ids=lambda measure: f"{measure.physics}-{measure.dimension}d")
def measure(request: pytest.FixtureRequest) -> Measure:
    return request.param


def states(measure: Measure, count: int, size: float = 0.1, seed: int = 0) -> FloatArray:
    return measure.rest + np.random.default_rng(seed).uniform(-size, size, (count, measure.size))


def samples(measure: Measure, count: int = 60) -> Samples:
    gradient = states(measure, count)
    stiffness = np.eye(measure.size) + 0.3
    tangent = np.tile(stiffness, (count, 1, 1))
    path = np.repeat(np.arange(count // 5), 5)
    return Samples(gradient, (gradient - measure.rest) @ stiffness, tangent, None, path, np.ones(count))


def direct(measure: Measure, seed: int = 0) -> DirectNetwork:
    return DirectNetwork.untrained(measure, Network(hidden=(6,)), samples(measure), seed)


@dataclass(frozen=True, eq=False)
class Accumulating(HistoryFamily):
    """Its state is the last gradient, and the length of the way to it, in many variables."""

    name: ClassVar[str] = "accumulating"
    physics: ClassVar[tuple[Physics, ...]] = tuple(Physics)
    symmetric: ClassVar[bool] = False
    conservative: ClassVar[bool] = False

    measure: Measure

    @property
    def state_size(self) -> int:
        return self.measure.size + 8

    def initial_state(self) -> FloatArray:
        return np.concatenate([self.measure.rest, np.zeros(8)])

    def step(self, gradient: FloatArray, state: FloatArray, dt: float) -> Step:
        g = self.measure.size
        way = np.sqrt(np.sum(np.square(gradient - state[:, :g]), axis=1))
        after = np.hstack([gradient, state[:, g:] + way[:, None] * np.linspace(0.1, 1.0, 8)])
        flux = gradient - self.measure.rest + way[:, None]
        return Step(flux, np.tile(np.eye(g), (len(gradient), 1, 1)), after)

    @classmethod
    def untrained(cls, measure: Measure, network: Any, samples: Samples, seed: int) -> Self:
        raise NotImplementedError

    def architecture(self) -> dict[str, Any]:
        return {}

    def arrays(self) -> dict[str, FloatArray]:
        return {}

    @classmethod
    def from_arrays(cls, measure: Measure, architecture: Mapping[str, Any], arrays: Mapping[str, Any]) -> Self:
        raise NotImplementedError


FAMILIES: dict[str, Callable[[Measure], tuple[str, Family]]] = {
    "distance": lambda measure: ("distance", direct(measure)),
    "distance of one that remembers": lambda measure: ("distance", Accumulating(measure)),
    "range": lambda measure: ("range", direct(measure)),
    "ensemble": lambda measure: ("ensemble", Ensemble(measure, tuple(direct(measure, seed) for seed in range(9)))),
    "variance": lambda measure: (
        "variance",
        GaussianProcess.untrained(measure, ProcessOptions(), samples(measure), 0),
    ),
}


def fitted(kind: str, measure: Measure) -> Trust:
    name, family = FAMILIES[kind](measure)
    return fit_trust(name, family, samples(measure))


def after(family: Family, gradient: FloatArray) -> FloatArray:
    """State after one step from rest."""
    return family.step(gradient, np.tile(family.initial_state(), (len(gradient), 1)), 1.0).state


@pytest.mark.parametrize("kind", FAMILIES)
def test_scores(kind: str, measure: Measure) -> None:
    """Small at training states, larger far away, infinite where there is no answer; `within` is their comparison."""
    trust = fitted(kind, measure)
    learned = samples(measure)
    near = trust.scores(learned.gradient, journey(trust.family, learned).after)
    far = measure.rest + 4.0 * (states(measure, 60, seed=1) - measure.rest)
    beyond = trust.scores(far, after(trust.family, far))
    assert (near >= 0.0).all()
    assert np.median(beyond) > np.median(near)
    none = np.vstack([np.full(measure.size, np.nan), np.r_[np.inf, learned.gradient[0, 1:]]])
    state = np.tile(trust.family.initial_state(), (2, 1))
    assert not np.isfinite(trust.scores(none, state)).any()
    assert not trust.within(none, state, np.inf).any()
    scores = np.concatenate([near, beyond])
    gradient, states_after = np.vstack([learned.gradient, far]), after(trust.family, np.vstack([learned.gradient, far]))
    scores = trust.scores(gradient, states_after)
    for threshold in (-np.inf, -1.0, 0.0, float(np.median(scores)), float(scores[5]), float(scores.max()), np.inf):
        assert (trust.within(gradient, states_after, threshold) == (scores <= threshold)).all()


@pytest.mark.parametrize("kind", FAMILIES)
def test_the_batch_does_not_matter(kind: str, measure: Measure) -> None:
    trust = fitted(kind, measure)
    gradient = states(measure, 37, 0.2, seed=3)
    state = after(trust.family, gradient)
    together = trust.scores(gradient, state)
    alone = [trust.scores(gradient[[i]], state[[i]])[0] for i in range(37)]
    assert together.tobytes() == np.array(alone).tobytes()
    assert together[5:30].tobytes() == trust.scores(gradient[5:30], state[5:30]).tobytes()


@pytest.mark.parametrize("kind", [kind for kind in FAMILIES if kind != "distance of one that remembers"])
def test_the_same_bits_from_a_folder(kind: str, measure: Measure, tmp_path: Path) -> None:
    trust = fitted(kind, measure)
    errors = np.append(np.linspace(0, 0.02, 499), np.inf)
    calibration = calibrate(np.linspace(0, 1, 500), errors, 0.01, 0.95, 1.7)
    model = Model(trust.family, *training_range(measure, states(measure, 9)), {}, trust, calibration)
    write_model(tmp_path / "model", model)
    read = read_model(tmp_path / "model")
    assert read.calibration == calibration
    assert read.trust is not None
    gradient = states(measure, 30, 0.2, seed=4)
    state = after(trust.family, gradient)
    assert read.trust.scores(gradient, state).tobytes() == trust.scores(gradient, state).tobytes()
    write_model(tmp_path / "again", read)
    for name in ("weights.safetensors", "trust.safetensors"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "model" / name).read_bytes()


def test_rotations_do_not_count_and_reflections_are_no_states() -> None:
    for measure in (PLANE, SPACE):
        for kind in ("distance", "range"):
            trust, gradient = fitted(kind, measure), states(measure, 10, seed=5)
            q, r = np.linalg.qr(np.random.default_rng(6).normal(size=(measure.dimension, measure.dimension)))
            q = q * np.sign(np.diag(r))
            q[:, 0] *= np.linalg.det(q)
            empty, f = np.zeros((10, 0)), measure.to_tensor(gradient)
            turned = trust.scores(measure.to_vector(q @ f), empty)
            np.testing.assert_allclose(turned, trust.scores(gradient, empty), rtol=1e-9, atol=1e-12)
            mirrored = measure.to_vector(np.diag([-1.0, *np.ones(measure.dimension - 1)]) @ f)
            assert not trust.within(mirrored, empty, np.inf).any()
            assert (trust.scores(mirrored, empty) == np.inf).all()


@pytest.mark.parametrize(("dimension", "group"), [(d, group) for d in (2, 3) for group in GROUPS[d]])
@pytest.mark.parametrize("physics", list(Physics))
def test_a_family_with_a_symmetry_knows_all_images(physics: Physics, dimension: int, group: str) -> None:
    """Scores are the same at images, and so are scores of a family that learned from images of the states."""
    measure = Measure(physics, dimension)
    angle = 0.3
    axes = np.eye(dimension)
    axes[:2, :2] = [[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]
    symmetry = Symmetry(group, () if group == "none" else tuple(map(tuple, axes.tolist())))
    options = EnergyOptions(symmetry=group, axes=symmetry.axes)  # type: ignore[arg-type]
    learned = samples(measure)
    family = EnergyNetwork.untrained(measure, options, learned, 0)
    trust = fit_trust("distance", family, learned)
    gradient, empty = states(measure, 50, 0.15, seed=7), np.zeros((50, 0))
    scores = trust.scores(gradient, empty)
    generators = symmetry.generators(dimension)
    if group == "transversely_isotropic":  # what stands for all turns about the axis
        c, s = np.cos(np.pi / 4), np.sin(np.pi / 4)
        generators = np.array([axes.T @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ axes])
    for q in generators:
        np.testing.assert_allclose(
            trust.scores(image(measure, gradient, q), empty), scores, rtol=1e-7, atol=2.0 * DUPLICATE
        )
        flipped = learned._replace(gradient=image(measure, learned.gradient, q))
        same = fit_trust("distance", family, flipped)
        np.testing.assert_allclose(same.scores(gradient, empty), scores, rtol=0.2, atol=0.02)
    if group != "none":
        blind = fit_trust("distance", direct(measure), learned)
        assert np.median(scores) < np.median(blind.scores(gradient, empty))


def image(measure: Measure, gradient: FloatArray, q: FloatArray) -> FloatArray:
    """The gradients after the material was turned by q."""
    tensor = measure.to_tensor(gradient)
    if measure.physics is Physics.HEAT:
        return tensor @ q.T
    return measure.to_vector(q @ tensor @ q.T)


def test_noise_is_not_blown_up() -> None:
    """States along a line, but for rounding: off the line counts by a tenth of the length of the line, not by noise."""
    measure = Measure(Physics.SMALL_STRAIN, 2)
    random = np.random.default_rng(8)
    gradient = np.outer(np.linspace(-0.1, 0.1, 101), [1.0, 0.0, 0.0]) + random.normal(0.0, 1e-9, (101, 3))
    learned = Samples(gradient, gradient, np.tile(np.eye(3), (101, 1, 1)))
    trust = fit_trust("distance", direct(measure), learned)
    deviation = gradient[:, 0].std()
    beside = np.array([[0.0, 0.1 * deviation, 0.0], [0.0, 0.0, 1.0 * deviation]])
    np.testing.assert_allclose(trust.scores(beside, np.zeros((2, 0))), [1.0, 10.0], rtol=0.05)


def test_states_that_come_twice_count_once() -> None:
    measure = Measure(Physics.SMALL_STRAIN, 2)
    learned = samples(measure)
    twice = Samples(*(np.repeat(array, 4, axis=0) for array in learned[:3]))
    gradient, empty = states(measure, 20, seed=9), np.zeros((20, 0))
    once, many = (fit_trust("distance", direct(measure), one) for one in (learned, twice))
    assert isinstance(many, Distance)
    assert len(many.centres.points) <= 61
    np.testing.assert_allclose(once.scores(gradient, empty), many.scores(gradient, empty), rtol=0.05)


def test_memory_counts() -> None:
    """The same strain after a longer way than any that was learned is far; so is a state that no way leads to."""
    measure = Measure(Physics.SMALL_STRAIN, 2)
    family, learned = Accumulating(measure), samples(measure, 200)
    trust = fit_trust("distance", family, learned)
    reached = journey(family, learned)
    known = trust.scores(learned.gradient, reached.after)
    longer = reached.after.copy()
    longer[:, 3:] += 3.0 * reached.after[:, 3:].max(axis=0)
    assert trust.scores(learned.gradient, longer).min() > known.max()
    torn = reached.after.copy()
    torn[:, 3:] += 2.0 * reached.after[:, 3:].std(axis=0) * (-1.0) ** np.arange(8)  # off what the kept axes see
    assert np.median(trust.scores(learned.gradient, torn)) > known.max()


def test_who_cannot_be_judged_is_refused() -> None:
    measure = Measure(Physics.SMALL_STRAIN, 2)
    learned = samples(measure)
    for name, words in (
        ("ensemble", "needs an ensemble, not ann"),
        ("variance", "needs the family gp"),
        ("x", "no me"),
    ):
        with pytest.raises(ModelError, match=words):
            fit_trust(name, direct(measure), learned)
    at_rest = learned._replace(gradient=np.zeros_like(learned.gradient))
    for name in ("distance", "range"):
        with pytest.raises(ModelError, match="at rest"):
            fit_trust(name, direct(measure), at_rest)


def written(tmp_path: Path) -> Path:
    measure = Measure(Physics.SMALL_STRAIN, 2)
    trust = fitted("distance", measure)
    calibration = Calibration(-np.inf, np.inf, 0.95, 1.0, 7, 0.0, 1.0)
    model = Model(trust.family, *training_range(measure, states(measure, 9)), {}, trust, calibration)
    write_model(tmp_path / "model", model)
    return tmp_path / "model"


def test_nothing_trusted_and_everything_tolerated_are_stored(tmp_path: Path) -> None:
    folder = written(tmp_path)
    assert read_model(folder).calibration == Calibration(-np.inf, np.inf, 0.95, 1.0, 7, 0.0, 1.0)
    assert not MEASURES.keys() - {"distance", "ensemble", "variance", "range"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda card: card["trust"].update(measure="oracle"), "names the measure of trust 'oracle'"),
        (lambda card: card["trust"].update(measure="range", architecture={}), "lacks lower, upper"),
        (lambda card: card["trust"].update(measure="variance"), "has no architecture"),
        (lambda card: card["trust"].update(measure="ensemble", architecture={}), "needs an ensemble"),
        (lambda card: card.update(trust=[1]), "not what this version writes"),
        (lambda card: card["trust"].update(architecture={"principal": True, "kept": 3}), "principal and kept, 1 to 2"),
        (lambda card: card["trust"].update(architecture={"principal": True, "kept": 2}), "centre and axes have shapes"),
        (lambda card: card["trust"].update(trust_sha256="0"), "SHA-256"),
        (lambda card: card["trust"].update(calibration={"threshold": 1.0}), "must have threshold, tolerance"),
        (lambda card: card["trust"]["calibration"].update(bound="low"), "must hold numbers"),
        (lambda card: card["trust"]["calibration"].update(floor=None), "must hold numbers"),
        (lambda card: card["trust"]["calibration"].update(curve=[1, 2]), "must be pairs of numbers"),
    ],
)
def test_damage_is_refused(change: Callable[[dict[str, Any]], None], words: str, tmp_path: Path) -> None:
    folder = written(tmp_path)
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    change(card)
    (folder / "card.json").write_text(json.dumps(card), encoding="utf-8")
    with pytest.raises(ModelError, match=words) as error:
        read_model(folder)
    assert "\n" not in str(error.value)


def test_the_file_of_the_trust_must_be_there(tmp_path: Path) -> None:
    folder = written(tmp_path)
    (folder / "trust.safetensors").unlink()
    with pytest.raises(ModelError, match=r"trust\.safetensors cannot be read"):
        read_model(folder)


def test_the_strain_is_that_of_the_networks(measure: Measure) -> None:
    """Coordinates are an affine image of the objective strain: their differences are those of strains, whitened."""
    trust = fitted("distance", measure)
    assert isinstance(trust, Distance)
    gradient = states(measure, 20, seed=11)
    strain = objective_strain(measure, gradient)
    expected = (strain - trust.features.centre) @ trust.features.axes.T
    np.testing.assert_allclose(trust.features.evaluate(gradient, np.zeros((20, 0))), expected, rtol=1e-10, atol=1e-12)
    coordinates = trust.centres.points
    assert np.abs(np.linalg.eigvalsh(np.cov(coordinates.T)) - 1.0).max() < 0.2
