"""Learning during a run: it becomes better, is never worse, tells the truth of itself, and can be interrupted."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pytest
from numpy.typing import NDArray

from materials.law import Law
from materials.law_material import LawMaterial
from materials.laws import LAWS
from materials.measures import FloatArray, Measure, Physics
from surrogates import learner as learning
from surrogates import retraining
from surrogates.calibration import flux_errors
from surrogates.dataset import Dataset
from surrogates.experience import Experience
from surrogates.families.energy import EnergyNetwork, EnergyOptions
from surrogates.family import HistoryFamily, Options, Samples, Step
from surrogates.learner import Learner
from surrogates.retraining import LearnerSettings
from surrogates.store import Model
from surrogates.training import Training, train
from surrogates.trajectories import padded

FINITE = Measure(Physics.FINITE_STRAIN, 2)
SMALL = Measure(Physics.SMALL_STRAIN, 2)
POINTS = 150
SETTINGS = LearnerSettings(
    family=EnergyNetwork,
    options=EnergyOptions(hidden=(8,), symmetry="isotropic"),
    epochs=12,
    explored=600,
    samples=60,
    reach=2.5,
)


def exact(gradient: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Flux and tangent of states (…, 4)."""
    material = LawMaterial(LAWS["neo_hookean"](E=100.0, nu=0.3), FINITE)
    flat = np.ascontiguousarray(gradient.reshape(-1, 4))
    material.bind(np.arange(len(flat)))
    response = material.evaluate(flat, 1.0)
    return response.flux.reshape(gradient.shape), response.tangent.reshape(*gradient.shape, 4)


def points_at(step: int) -> FloatArray:
    """Where the points of the run are, on ways that bend."""
    random = np.random.default_rng(2)
    first, second = random.uniform(-0.02, 0.02, (2, POINTS, 4))
    return FINITE.rest + step * first + 0.05 * step**2 * second


def increment(learner: Learner, step: int, noise: float = 0.0, shuffled: bool = False) -> bool:
    """One increment of a run in which all points ask the exact path; whether there is another version."""
    gradient = points_at(step) + noise * np.random.default_rng(step).standard_normal((POINTS, 4))
    flux, tangent = exact(gradient)
    order = np.random.default_rng(step).permutation(POINTS) if shuffled else np.arange(POINTS)
    learner.record(step, 0.1, order, gradient[order], flux[order], tangent[order])
    return learner.due(step) and explore_and_train(learner, step, gradient)


def explore_and_train(learner: Learner, step: int, gradient: FloatArray) -> bool:
    paths = learner.plan_ahead(step, gradient)
    if paths is not None:
        flux, tangent = exact(paths)
        learner.record_paths(step, -1 - np.arange(len(paths)), paths, np.ones(paths.shape[:2]), flux, tangent)
    return learner.train(step)


def fresh(folder: Path | None = None, model: Model | None = None) -> Learner:
    return Learner(SETTINGS, Experience(FINITE, remembers=False), folder, model)


def timeless(summary: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in summary.items() if key != "training_seconds"}


def assert_same_model(first: Model | None, second: Model | None) -> None:
    assert first is not None
    assert second is not None
    for name, array in first.family.arrays().items():
        np.testing.assert_array_equal(array, second.family.arrays()[name])
    assert first.calibration == second.calibration


@pytest.fixture(scope="module")
def learned() -> Learner:
    """After the first increment."""
    made = fresh()
    assert increment(made, 1)
    return made


def test_a_cold_start_is_trusted_ahead_and_right(learned: Learner) -> None:
    assert (learned.version, learned.versions[0]["start"]) == (1, "fresh")
    model = learned.model
    assert model is not None
    assert model.trust is not None
    assert model.calibration is not None
    ahead = points_at(2)
    trusted = model.trust.within(ahead, np.zeros((POINTS, 0)), model.calibration.threshold)
    errors = flux_errors(model.family.evaluate(ahead)[0], exact(ahead)[0], model.calibration.floor)
    assert np.mean(trusted) > 0.8
    assert np.mean(errors[trusted] > 0.01) < 0.05
    far = points_at(9)
    assert np.mean(model.trust.within(far, np.zeros((POINTS, 0)), model.calibration.threshold)) < 0.1


def test_it_is_due_when_enough_is_new() -> None:
    made = fresh()
    gradient = points_at(1)
    flux, tangent = exact(gradient)
    assert made.record(1, 0.1, np.arange(30), gradient[:30], flux[:30], tangent[:30]) == 30
    assert not made.due(1)
    assert made.record(1, 0.1, np.arange(60), gradient[:60], flux[:60], tangent[:60]) == 30
    assert made.due(1)
    made.trainings.append({"step": 1, "states": 60, "version": 1, "kept": False})
    assert not made.due(2)
    made.record(2, 0.1, np.arange(60), *(points_at(2)[:60], flux[:60], tangent[:60]))
    assert made.due(2)
    assert not made.due(1)  # one increment goes by between two trainings


def test_what_is_held_out_teaches_nothing(learned: Learner, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Samples] = []

    def spied(start: Any, training: Samples, validation: Samples, settings: Training, **options: Any) -> Any:
        seen.extend((training, validation))
        return train(start, training, validation, settings, **options)

    monkeypatch.setattr(retraining, "train", spied)
    held_out = {tuple(state) for state in learned.experience.samples("calibration").gradient}
    splits = [learned.experience.samples(split) for split in ("train", "validation", "calibration")]
    retraining.retrain(FINITE, LearnerSettings(**{**vars(SETTINGS), "epochs": 1}), None, *splits)
    assert len(seen) == 2
    assert len(held_out) > 100
    assert not held_out & {tuple(state) for samples in seen for state in samples.gradient}


def test_a_worse_network_is_rolled_back_and_the_next_one_starts_afresh(
    learned: Learner, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Learner(SETTINGS, learned.experience.truncated(1), model=learned.model)
    starts: list[bool] = []

    def spoiled(*arguments: Any) -> retraining.Retrained:
        starts.append(arguments[-1])
        return retraining.retrain(*arguments)

    def spoiling(start: Any, *arguments: Any, **options: Any) -> Any:
        trained = train(start, *arguments, **options)
        weights = {"weight_out": 1.5 * trained.family.arrays()["weight_out"]}
        return trained._replace(family=trained.family.updated(weights))

    monkeypatch.setattr(retraining, "train", spoiling)
    monkeypatch.setattr(learning, "retrain", spoiled)
    assert made.train(2)
    assert made.train(3)
    assert starts == [False, True]
    assert made.version == 3
    assert made.model is not None
    assert made.model.family is learned.model.family
    assert made.summary()["rolled_back"] == 2
    assert made.trainings[0]["loss"] > made.trainings[0]["loss_before"]
    monkeypatch.setattr(retraining, "train", train)
    assert made.train(4)
    assert made.version == 4
    assert made.summary()["rolled_back"] == 2
    assert made.model.family is not learned.model.family


def test_trainings_in_vain_become_rare() -> None:
    made = fresh()
    gradient = points_at(1)
    flux, tangent = exact(gradient)
    made.record(1, 0.1, np.arange(60), gradient[:60], flux[:60], tangent[:60])
    known = len(made.experience)
    made.trainings += [
        {"step": 0, "states": known - SETTINGS.samples, "version": 1, "kept": False},
        {"step": 0, "states": known - SETTINGS.samples, "version": 2, "kept": True},
    ]
    assert not made.due(1)
    made.trainings[-1]["states"] = known - 2 * SETTINGS.samples
    assert made.due(1)
    made.trainings.append(made.trainings[-1])
    assert not made.due(1)


def test_a_warm_start_goes_on_from_the_weights_in_force(learned: Learner, monkeypatch: pytest.MonkeyPatch) -> None:
    starts: list[Any] = []

    def spied(start: Any, *arguments: Any, **options: Any) -> Any:
        starts.append(start)
        return train(start, *arguments, **options)

    monkeypatch.setattr(retraining, "train", spied)
    made = Learner(SETTINGS, learned.experience.truncated(1), model=learned.model)
    assert made.versions == [made.versions[0] | {"start": "given", "step": 0}]
    gradient = points_at(2)
    made.record(2, 0.1, np.arange(POINTS), gradient, *exact(gradient))
    made.train(2)
    assert learned.model is not None
    assert starts[0] is learned.model.family
    assert made.trainings[0]["start"] == "warm"
    gradient = FINITE.rest + 4.0 * (points_at(2) - FINITE.rest)  # beyond what the normalisation is for
    made.record(3, 0.1, np.arange(POINTS), gradient, *exact(gradient))
    made.train(3)
    assert made.trainings[1]["start"] == "fresh"


def test_noise_and_order_of_a_partition_do_not_show(learned: Learner) -> None:
    other = fresh()
    assert increment(other, 1, noise=1e-14, shuffled=True)
    assert_same_model(learned.model, other.model)
    assert [{k: v for k, v in e.items() if k != "seconds"} for e in learned.trainings] == [
        {k: v for k, v in e.items() if k != "seconds"} for e in other.trainings
    ]


def test_an_interrupted_run_goes_on_as_if_nothing_had_happened(tmp_path: Path) -> None:
    whole = fresh(tmp_path / "whole")
    first = fresh(tmp_path / "parts")
    for step in (1, 2):
        increment(whole, step)
        increment(first, step)
        for one in (whole, first):
            one.audited(step, np.arange(5), np.linspace(0.001, 0.004, 5))
    gradient = points_at(3)
    first.record(3, 0.1, np.arange(POINTS), gradient, *exact(gradient))  # killed in training after increment 3
    resumed = fresh(tmp_path / "parts")
    resumed.resume(2)
    for one in (whole, resumed):
        increment(one, 3)
        one.audited(3, np.arange(5), np.linspace(0.001, 0.004, 5))
    assert_same_model(whole.model, resumed.model)
    for found, wanted in zip(resumed.experience.rows, whole.experience.rows, strict=True):
        np.testing.assert_array_equal(found, wanted)
    assert timeless(resumed.summary()) == timeless(whole.summary())
    whole.resume(2)
    assert whole.version == sum(entry["step"] <= 2 for entry in whole.versions)
    assert Dataset.read(tmp_path / "whole" / "samples.h5").n_states == len(whole.experience)
    assert json.loads((tmp_path / "whole" / "versions.json").read_text())["schema"] == "fe2-versions-1"


def test_an_audit_that_finds_more_errors_than_promised_narrows_trust(learned: Learner, tmp_path: Path) -> None:
    made = Learner(SETTINGS, learned.experience.truncated(1), tmp_path, learned.model)
    made.trainings.append({"step": 1, "states": len(made.experience), "version": 1})
    assert made.model is not None
    assert made.model.calibration is not None
    threshold = made.model.calibration.threshold
    assert not made.audited(2, np.arange(40), np.full(40, 0.005))
    assert not made.audited(3, np.arange(40), np.where(np.arange(40) < 2, 0.02, 0.005))  # 1 in 40 is not beyond doubt
    assert made.audited(4, np.arange(40), np.where(np.arange(40) < 30, 0.02, 0.005))
    assert made.model.calibration.threshold == 0.5 * threshold
    gradient = points_at(5)[:1]
    assert not made.due(5)
    made.record(5, 0.1, np.array([0]), gradient, *exact(gradient))
    assert made.due(5)
    assert not made.audited(5, np.arange(40), np.full(40, 0.005))  # what led to the narrowing does not count again
    (told,) = made.summary()["versions"]
    assert told["audit"]["answers"] == 160
    assert told["audit"]["exceeding"] == 0.2
    resumed = Learner(SETTINGS, Experience(FINITE, remembers=False), tmp_path)
    resumed.resume(4)
    assert resumed.model is not None
    assert resumed.model.calibration is not None
    assert resumed.model.calibration.threshold == 0.5 * threshold
    resumed.resume(3)
    assert resumed.model.calibration.threshold == threshold


def test_states_that_make_no_network_are_no_disaster() -> None:
    made = fresh()
    rest = np.tile(FINITE.rest, (POINTS, 1))
    made.record(1, 0.1, np.arange(POINTS), rest, *exact(rest))
    assert made.due(1)
    assert made.plan_ahead(1, rest) is None
    assert not made.train(1)
    assert "zero in every state" in made.trainings[0]["why"]
    assert not made.due(2)
    assert made.summary()["rolled_back"] == 1


@pytest.mark.parametrize(
    ("law", "measure"),
    [
        (LAWS["elastic"](E=100.0, nu=0.3), Measure(Physics.SMALL_STRAIN, 3)),
        (LAWS["conductive"](k=2.0), Measure(Physics.HEAT, 2)),
    ],
    ids=["small_strain", "heat"],
)
def test_other_physics_are_learned_too(law: Law, measure: Measure) -> None:
    def answers(gradient: FloatArray) -> tuple[FloatArray, FloatArray]:
        material, flat = LawMaterial(law, measure), gradient.reshape(-1, measure.size)
        material.bind(np.arange(len(flat)))
        response = material.evaluate(flat, 1.0)
        return response.flux.reshape(gradient.shape), response.tangent.reshape(*gradient.shape, measure.size)

    made = Learner(SETTINGS, Experience(measure, remembers=False))
    gradient = np.random.default_rng(0).uniform(-0.01, 0.01, (POINTS, measure.size))
    made.record(1, 0.1, np.arange(POINTS), gradient, *answers(gradient))
    paths = made.plan_ahead(1, gradient)
    assert paths is not None
    made.record_paths(1, -1 - np.arange(len(paths)), paths, np.ones(paths.shape[:2]), *answers(paths))
    assert made.train(1)
    assert made.model is not None
    assert made.model.calibration is not None
    assert made.model.calibration.trusted > 0.9
    flux, _ = made.model.family.evaluate(2.0 * gradient)
    np.testing.assert_allclose(flux, answers(2.0 * gradient)[0], atol=0.004 * np.abs(flux).max())


def test_what_is_known_is_not_asked_again(learned: Learner) -> None:
    before = len(learned.experience)
    again = learned.plan_ahead(1, points_at(1))
    assert again is None or len(again) < 0.25 * 600 / 5
    later = learned.plan_ahead(4, points_at(4))
    assert later is not None
    assert len(later) > 60
    assert len(learned.experience) == before


@dataclass(frozen=True, eq=False)
class Lagging(HistoryFamily):
    """flux = A gradient + B last gradient, by least squares: the least that remembers."""

    name: ClassVar[str] = "lagging"
    physics: ClassVar[tuple[Physics, ...]] = (Physics.SMALL_STRAIN,)
    network: ClassVar[type[Options]] = Options
    symmetric: ClassVar[bool] = False
    conservative: ClassVar[bool] = False
    iterative: ClassVar[bool] = False
    state_size: ClassVar[int] = 3  # type: ignore[assignment]  # a constant

    measure: Measure
    matrix: FloatArray

    @classmethod
    def untrained(cls, measure: Measure, network: Any, samples: Samples, seed: int) -> Self:  # noqa: ARG003
        paths = padded(samples)
        last = np.concatenate([np.zeros_like(paths.gradient[:, :1]), paths.gradient[:, :-1]], axis=1)
        inputs = np.concatenate([paths.gradient, last], axis=2)[paths.known]
        return cls(measure, np.ascontiguousarray(np.linalg.lstsq(inputs, samples.flux, rcond=None)[0].T))

    def architecture(self) -> dict[str, Any]:
        return {}

    def arrays(self) -> dict[str, FloatArray]:
        return {"matrix": self.matrix}

    @classmethod
    def from_arrays(cls, measure: Measure, architecture: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Self:
        del architecture
        return cls(measure, arrays["matrix"])

    def step(self, gradient: FloatArray, state: FloatArray, dt: float) -> Step:
        del dt
        flux = np.concatenate([gradient, state], axis=1) @ self.matrix.T
        return Step(flux, np.tile(self.matrix[:, :3], (len(flux), 1, 1)), gradient.copy())


def plastic(paths: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Flux and tangent of a J2 material along paths (p, s, 3)."""
    material = LawMaterial(LAWS["j2"](E=100.0, nu=0.3, yield_stress=1.0, hardening=10.0), SMALL)
    material.bind(np.arange(len(paths)))
    flux, tangent = np.empty(paths.shape), np.empty((*paths.shape, 3))
    for step in range(paths.shape[1]):
        response = material.evaluate(np.ascontiguousarray(paths[:, step]), 1.0)
        material.commit()
        flux[:, step], tangent[:, step] = response.flux, response.tangent
    return flux, tangent


def test_a_material_that_remembers_is_learned_from_whole_paths() -> None:
    settings = LearnerSettings(family=Lagging, options=Options(), tolerance=0.5, explored=400, samples=50)
    made = Learner(settings, Experience(SMALL, remembers=True))
    ways = np.random.default_rng(0).uniform(-0.004, 0.004, (60, 3))
    for step in (1, 2, 3):
        paths = np.arange(1.0, step + 1.0)[:, None] * ways[:, None]
        new = made.record_paths(step, np.arange(60), paths, np.ones((60, step)), *plastic(paths))
        assert new == 60
        if not made.due(step):
            continue
        ahead = made.plan_ahead(step, paths[:, -1])
        if ahead is not None:
            dt = np.ones(ahead.shape[:2])
            number = -1 - np.arange(len(ahead))
            long = len(ahead) // 2  # the others end early, as where the exact path fails
            flux, tangent = plastic(ahead)
            made.record_paths(step, number[:long], ahead[:long], dt[:long], flux[:long], tangent[:long])
            short = (ahead[long:, :3], dt[long:, :3], flux[long:, :3], tangent[long:, :3])
            assert made.record_paths(step, number[long:], *short) == 3 * (len(ahead) - long)
        made.train(step)
    assert made.version >= 1
    assert made.model is not None
    assert made.model.calibration is not None
    assert made.model.calibration.states > 60
    explored = made.experience.rows.id[made.experience.rows.id < 0]
    assert len(np.unique(explored)) == made.experience.rows.id.min() * -1  # each exploration has ids of its own
    assert made.summary()["explored_states"] == len(explored)
