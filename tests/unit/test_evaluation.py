"""Errors as they are defined, and checks that see what they look for."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import pytest

from materials.law_material import LawMaterial
from materials.laws import LAWS
from materials.measures import FloatArray, Measure, Physics
from surrogates.evaluation import (
    component_errors,
    errors_by_step,
    evaluate_model,
    relative_error,
)
from surrogates.families.ann import DirectNetwork
from surrogates.family import Family, ModelError, Network, Samples
from surrogates.physics_checks import closed_path_work, objectivity
from surrogates.store import Model, training_range

PLANE = Measure(Physics.SMALL_STRAIN, 2)
FINITE = Measure(Physics.FINITE_STRAIN, 2)
SYMMETRIC = np.array([[3.0, 1.0, 0.0], [1.0, 4.0, 0.5], [0.0, 0.5, 2.0]])
TURNING = np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])


@dataclass(frozen=True, eq=False)
class Linear(Family):
    """flux = A (gradient − rest), with a tangent that may be a lie."""

    name: ClassVar[str] = "linear"
    physics: ClassVar[tuple[Physics, ...]] = tuple(Physics)
    symmetric: ClassVar[bool] = False
    conservative: ClassVar[bool] = False

    measure: Measure
    matrix: FloatArray
    told: FloatArray

    @classmethod
    def untrained(cls, measure: Measure, network: Any, samples: Samples, seed: int) -> Self:
        raise NotImplementedError

    def architecture(self) -> dict[str, Any]:
        return {}

    def arrays(self) -> dict[str, FloatArray]:
        return {"matrix": self.matrix}

    @classmethod
    def from_arrays(cls, measure: Measure, architecture: Mapping[str, Any], arrays: Mapping[str, Any]) -> Self:
        raise NotImplementedError

    def evaluate(self, gradient: FloatArray) -> tuple[FloatArray, FloatArray]:
        return (gradient - self.measure.rest) @ self.matrix.T, np.tile(self.told, (len(gradient), 1, 1))

    def torch_model(self) -> Any:
        raise NotImplementedError


def linear(matrix: FloatArray, measure: Measure = PLANE, told: FloatArray | None = None) -> Linear:
    return Linear(measure, matrix, matrix if told is None else told)


def states(measure: Measure, count: int = 40) -> FloatArray:
    return measure.rest + np.random.default_rng(0).uniform(-0.1, 0.1, (count, measure.size))


def samples(matrix: FloatArray = SYMMETRIC) -> Samples:
    gradient = states(PLANE)
    return Samples(gradient, gradient @ matrix.T, np.tile(matrix, (len(gradient), 1, 1)))


def model(family: Family, gradient: FloatArray) -> Model:
    return Model(family, *training_range(family.measure, gradient))


def test_errors_are_relative_to_the_set() -> None:
    reference = np.array([[3.0, 0.0], [0.0, 4.0], [0.0, 0.0]])
    value = reference + np.array([[0.0, 0.3], [0.0, 0.0], [0.4, 0.0]])
    error = relative_error(value, reference)
    assert error["rms"] == pytest.approx(0.5 / 5.0)
    assert error["max"] == pytest.approx(0.4 / np.sqrt(25.0 / 3.0))
    assert error["p95"] == pytest.approx(np.quantile([0.3, 0.0, 0.4], 0.95) / np.sqrt(25.0 / 3.0))
    assert component_errors(value, reference) == pytest.approx([0.4 / 5.0, 0.3 / 5.0])
    with pytest.raises(ModelError, match="zero in every state"):
        relative_error(value, 0.0 * reference)


def test_a_perfect_model() -> None:
    learned = samples()
    found = evaluate_model(model(linear(SYMMETRIC), learned.gradient), learned)
    assert found["states"] == 40
    assert found["flux_error"]["max"] < 1e-14
    assert all(found["tangent_error"][measure] == 0.0 for measure in ("rms", "p95", "max"))
    assert not np.any(found["tangent_error"]["components"])
    assert found["points_per_second"] > 1e3
    checks = found["checks"]
    assert checks["outside_training_range"] == 0.0
    assert checks["flux_at_rest"] == 0.0
    assert checks["tangent_against_differences"] < 1e-9
    assert checks["tangent_symmetry"] == 0.0
    assert checks["closed_path_work"] < 1e-14
    assert "objectivity" not in checks


def test_five_percent_are_five_percent() -> None:
    learned = samples()
    found = evaluate_model(model(linear(1.05 * SYMMETRIC), learned.gradient), learned)
    assert found["flux_error"]["rms"] == pytest.approx(0.05)
    assert found["tangent_error"]["rms"] == pytest.approx(0.05)
    assert found["tangent_error"]["max"] == pytest.approx(0.05)


def test_errors_by_step_add_up() -> None:
    learned = samples()
    crooked = model(linear(SYMMETRIC + 0.1 * TURNING), learned.gradient)
    step = np.arange(40) % 3 + 1
    found = errors_by_step(crooked, learned, step)
    assert [entry["step"] for entry in found] == [1, 2, 3]
    for name, value, reference in zip(
        ("flux", "tangent"), crooked.family.evaluate(learned.gradient), learned[1:3], strict=True
    ):
        whole = sum(entry["states"] * entry[name] ** 2 for entry in found) / 40
        assert np.sqrt(whole) == pytest.approx(relative_error(value, reference)["rms"])


def test_a_wrong_tangent_is_seen() -> None:
    learned = samples()
    family = linear(SYMMETRIC, told=1.01 * SYMMETRIC)
    checks = evaluate_model(model(family, learned.gradient), learned)["checks"]
    assert checks["tangent_against_differences"] == pytest.approx(0.01 / 1.01, rel=1e-3)


def test_a_flux_without_an_energy_is_seen() -> None:
    family = linear(SYMMETRIC + TURNING)
    learned = samples(SYMMETRIC + TURNING)
    checks = evaluate_model(model(family, learned.gradient), learned)["checks"]
    assert checks["closed_path_work"] > 0.02
    norm = np.linalg.norm
    assert checks["tangent_symmetry"] == pytest.approx(norm(2 * TURNING) / norm(SYMMETRIC + TURNING))


def test_the_work_of_closed_paths() -> None:
    """For flux = T g with T antisymmetric, ways from and to rest take no work, that from a to b does."""
    a, b = np.array([0.1, 0.0, 0.0]), np.array([0.1, 0.2, 0.0])
    assert closed_path_work(linear(TURNING), np.stack([a, a])) == pytest.approx(0.0, abs=1e-14)
    # only the way from a to b works: its work is all that is turned over
    assert closed_path_work(linear(TURNING), np.stack([a, b])) == pytest.approx(1.0)


def test_loss_of_ellipticity_is_seen() -> None:
    learned = samples()
    softening = np.diag([1.0, 1.0, -1.0])
    checks = evaluate_model(model(linear(softening), learned.gradient), learned)["checks"]
    assert checks["ellipticity_lost"] == 1.0
    assert checks["ellipticity_lost_in_data"] == 0.0


def test_a_response_that_is_not_objective_is_seen() -> None:
    gradient = states(FINITE)
    law = LawMaterial(LAWS["neo_hookean"](E=100.0, nu=0.3), FINITE)
    law.bind(np.arange(40))
    learned = Samples(gradient, *law.evaluate(gradient, 1.0)[:2])
    assert objectivity(linear(np.eye(4), FINITE), learned) > 0.1
    network = DirectNetwork.untrained(FINITE, Network(hidden=(5,)), learned, 0)
    found = evaluate_model(model(network, gradient), learned)
    assert found["checks"]["objectivity"] < 1e-12


def test_states_outside_are_counted() -> None:
    learned = samples()
    inner = learned.gradient[np.abs(learned.gradient).max(axis=1) < 0.07]
    found = evaluate_model(model(linear(SYMMETRIC), inner), learned)
    outside = found["checks"]["outside_training_range"]
    assert 0.1 < outside <= 1.0 - len(inner) / 40


def test_what_cannot_be_evaluated_is_refused() -> None:
    learned = samples()
    perfect = model(linear(SYMMETRIC), learned.gradient)
    with pytest.raises(ModelError, match="no states"):
        evaluate_model(perfect, Samples(*(values[:0] for values in learned[:3])))
    with pytest.raises(ModelError, match="no answer for 40 of 40"):
        evaluate_model(model(linear(np.nan * SYMMETRIC), learned.gradient), learned)
