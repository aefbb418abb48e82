"""The figures that trust is held to, on a network trained here: states held out, out of range, without an answer."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from materials.law_material import LawMaterial
from materials.laws import LAWS
from materials.measures import FloatArray, Measure, Physics
from surrogates.calibration import Calibration
from surrogates.families.ann import DirectNetwork
from surrogates.families.energy import EnergyNetwork, EnergyOptions
from surrogates.family import Samples
from surrogates.paths import draw_paths
from surrogates.store import Model, training_range
from surrogates.training import Training, train
from surrogates.trusted import calibrated, scores_and_errors, trust_report

PLANE = Measure(Physics.FINITE_STRAIN, 2)
RANGE, STEPS = 0.25, 7


def samples(paths: int, seed: int, largest: float = RANGE) -> Samples:
    gradient = draw_paths(PLANE, ["space_filling"], paths, STEPS, largest, seed).reshape(-1, 4)
    material = LawMaterial(LAWS["neo_hookean"](E=100.0, nu=0.3), PLANE)
    material.bind(np.arange(len(gradient)))
    response = material.evaluate(gradient, 1.0)
    return Samples(gradient, response.flux, response.tangent)


LEARNED, HELD_OUT, TEST = samples(42, 0), samples(60, 1), samples(150, 2)


@pytest.fixture(scope="module")
def model() -> Model:
    options = EnergyOptions(hidden=(16, 16), symmetry="isotropic")
    start = EnergyNetwork.untrained(PLANE, options, LEARNED, 0)
    family = train(start, LEARNED, HELD_OUT, Training(epochs=50)).family
    bare = Model(family, *training_range(PLANE, LEARNED.gradient))
    return calibrated(bare, LEARNED, HELD_OUT, "distance", 0.01, 0.95)


def promise(model: Model) -> Calibration:
    assert model.calibration is not None
    return model.calibration


def trusted(model: Model, gradient: FloatArray) -> np.ndarray:
    assert model.trust is not None
    return model.trust.within(gradient, np.zeros((len(gradient), 0)), promise(model).threshold)


def test_states_in_range(model: Model) -> None:
    found = trust_report(model, TEST)
    assert found["states"] >= 1000
    assert found["wrong_among_trusted"] <= 0.05
    assert found["trusted"] >= 0.8
    assert found["power"] >= 0.8
    assert promise(model).bound <= 0.05


def test_states_out_of_range(model: Model) -> None:
    """Ends of rays that go 1.5 to 2 times as far as the training paths."""
    for reach in (1.5, 1.75, 2.0):
        ends = samples(400, 3, reach * RANGE).gradient[STEPS - 1 :: STEPS]
        assert trusted(model, ends).mean() <= 0.05


@dataclass(frozen=True, eq=False)
class Adversary(DirectNetwork):
    """Wrong wherever it can: no answer, or any, outside of a box, and a wrong one on one side of it."""

    wrong: Any = field(default=None)

    def evaluate(self, gradient: FloatArray) -> tuple[FloatArray, FloatArray]:
        truth = samples_at(gradient)
        return np.where(self.wrong(gradient)[:, None], np.nan, truth.flux), truth.tangent


def samples_at(gradient: FloatArray) -> Samples:
    material = LawMaterial(LAWS["neo_hookean"](E=100.0, nu=0.3), PLANE)
    material.bind(np.arange(len(gradient)))
    response = material.evaluate(gradient, 1.0)
    return Samples(gradient, response.flux, response.tangent)


def adversary(wrong: Any) -> Model:
    like = DirectNetwork.untrained(PLANE, DirectNetwork.network(hidden=(4,)), LEARNED, 0)  # type: ignore[call-arg]
    family = Adversary(PLANE, like.hidden, like.values, wrong)
    return Model(family, *training_range(PLANE, LEARNED.gradient))


def test_no_answer_out_of_range_is_never_trusted() -> None:
    bare = adversary(lambda gradient: np.abs(gradient - PLANE.rest).max(axis=1) > 1.2 * RANGE)
    model = calibrated(bare, LEARNED, HELD_OUT, "distance", 0.01, 0.95)
    assert trust_report(model, TEST)["trusted"] >= 0.8
    ends = samples(400, 4, 2.0 * RANGE).gradient[STEPS - 1 :: STEPS]
    ends = ends[np.isnan(model.family.evaluate(ends)[0]).any(axis=1)]
    assert len(ends) > 100
    assert not trusted(model, ends).any()


def test_what_is_wrong_in_range_is_found_by_calibration() -> None:
    """Wrong in a third of the range, which no distance sees: nothing is trusted, rather than a third too much."""
    bare = adversary(lambda gradient: gradient[:, 1] > 0.03)
    model = calibrated(bare, LEARNED, HELD_OUT, "distance", 0.01, 0.95)
    found = trust_report(model, TEST)
    assert found["wrong"] > 0.2
    assert found["trusted"] < 0.1
    assert model.trust is not None
    _, errors = scores_and_errors(model.trust, TEST, promise(model).floor)
    assert np.isinf(errors).mean() == found["wrong"]
