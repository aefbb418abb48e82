"""Checks and errors of families that remember, against elastoplasticity, which is exact, and against flaws in it."""

from dataclasses import dataclass

import numpy as np
import pytest

from materials.measures import FloatArray
from surrogates.evaluation import errors_by_length, evaluate_model, path_lengths, relative_error
from surrogates.family import ModelError, Step
from surrogates.physics_checks import step_halving, work_gained_in_cycles
from surrogates.store import Model, training_range
from surrogates.trajectories import follow, journey, origins, recut
from tests.unit.elastoplastic import PLANE, YIELD_STRESS, Elastoplastic, paths

SAMPLES = paths()


def model(family: Elastoplastic) -> Model:
    return Model(family, *training_range(PLANE, SAMPLES.gradient))


@dataclass(frozen=True, eq=False)
class Counting(Elastoplastic):
    """Gets stiffer with every increment, however short."""

    def step(self, gradient: FloatArray, state: FloatArray, dt: float) -> Step:
        after = state + 1.0
        factor = 1.0 + 0.1 * after[:, 0]
        return Step(factor[:, None] * gradient, factor[:, None, None] * np.eye(3), after)


@dataclass(frozen=True, eq=False)
class WrongTangent(Elastoplastic):
    """Its tangent is off by one percent."""

    def step(self, gradient: FloatArray, state: FloatArray, dt: float) -> Step:
        flux, tangent, after = super().step(gradient, state, dt)
        return Step(flux, 1.01 * tangent, after)


def test_a_journey_knows_where_increments_start() -> None:
    family = Elastoplastic()
    answer = journey(family, SAMPLES)
    begin = origins(PLANE, SAMPLES)
    for row in (0, 5, 12, 59):
        if row % 12 == 0:
            assert not begin[row].any()
            assert not answer.before[row].any()
        else:
            assert (begin[row] == SAMPLES.gradient[row - 1]).all()
            assert (answer.before[row] == answer.after[row - 1]).all()
        again = family.step(SAMPLES.gradient[[row]], answer.before[[row]], 1.0)
        assert (again.flux[0] == answer.flux[row]).all()
        assert (again.state[0] == answer.after[row]).all()


def test_finer_paths_lead_through_the_same_states() -> None:
    fine = recut(PLANE, SAMPLES, 3)
    assert fine.dt is not None
    assert (fine.gradient[2::3] == SAMPLES.gradient).all()
    assert np.allclose(fine.gradient[0], SAMPLES.gradient[0] / 3)
    assert np.allclose(fine.gradient[12 * 3 + 1], 2 / 3 * SAMPLES.gradient[12])
    assert np.allclose(fine.gradient[4], (SAMPLES.gradient[0] + 2 * SAMPLES.gradient[1]) / 3)
    assert fine.dt.sum() == pytest.approx(60.0)


def test_the_exact_family_passes() -> None:
    found = evaluate_model(model(Elastoplastic()), SAMPLES)
    assert found["flux_error"]["max"] == 0.0
    checks = found["checks"]
    assert checks["flux_at_rest"] == 0.0
    assert checks["tangent_against_differences"] < 1e-5
    assert checks["tangent_symmetry"] < 1e-12
    assert checks["work_gained_in_cycles"] == 0.0
    assert checks["negative_dissipation"] == 0.0
    assert 0.0 < checks["step_halving"] < 0.05  # backward Euler off straight paths
    assert "closed_path_work" not in checks
    assert found["points_per_second"] > 1e3


def test_flaws_are_seen() -> None:
    wrong = evaluate_model(model(WrongTangent()), SAMPLES)["checks"]
    assert wrong["tangent_against_differences"] > 5e-3
    # the same response with another sign gives away what the right one takes
    wrong = evaluate_model(model(Elastoplastic(factor=-1.0)), SAMPLES)["checks"]
    assert wrong["work_gained_in_cycles"] > 0.1
    assert wrong["negative_dissipation"] == 1.0


def test_the_work_of_a_cycle() -> None:
    """One shear cycle in one increment each way: an elastic one takes no work, a plastic one that of a closed form."""
    gentle, rough = 0.3 * YIELD_STRESS / 100.0, 0.05
    for size, gained in ((gentle, 0.0), (rough, None)):
        gradient = np.array([[0.0, 0.0, size]])
        one = SAMPLES.at(np.arange(1))._replace(gradient=gradient)
        given = work_gained_in_cycles(Elastoplastic(factor=-1.0), one, pieces=400)
        if gained is not None:
            assert given == pytest.approx(gained, abs=1e-12)
            continue
        fine = recut(PLANE, one, 4000)
        forth, _ = follow(Elastoplastic(), fine)
        back = fine._replace(gradient=np.vstack([fine.gradient, fine.gradient[-2::-1], [[0.0, 0.0, 0.0]]]))
        back = back._replace(path=np.zeros(8000, dtype=np.int64), dt=np.ones(8000))
        stress = follow(Elastoplastic(), back)[0][:, 2]
        power = 0.5 * (stress + np.concatenate([[0.0], stress[:-1]])) * np.repeat([1.0, -1.0], 4000) * size / 4000
        assert (stress[:4000] == forth[:, 2]).all()
        assert given == pytest.approx(power.sum() / np.abs(power).sum(), rel=1e-3)


def test_halving_the_steps_of_a_family_that_counts_them() -> None:
    """An increment with number k has the factor 1 + k/10, its second half 1 + 2k/10."""
    one = SAMPLES.at(np.arange(12))
    count = np.arange(1, 13)[:, None]
    coarse, fine = (1.0 + 0.1 * count) * one.gradient, (1.0 + 0.2 * count) * one.gradient
    expected = np.linalg.norm(fine - coarse) / np.linalg.norm(coarse)
    assert step_halving(Counting(), one) == pytest.approx(expected)


def test_errors_by_length_add_up() -> None:
    flawed = model(Elastoplastic(factor=1.1))
    length = path_lengths(PLANE, SAMPLES)
    steps = np.linalg.norm(SAMPLES.gradient - origins(PLANE, SAMPLES), axis=1).reshape(5, 12)
    assert length.reshape(5, 12) == pytest.approx(steps.cumsum(axis=1))
    found = errors_by_length(flawed, SAMPLES)
    assert found[-1]["length"] == pytest.approx(length.max())
    assert sum(entry["states"] for entry in found) == 60
    whole = sum(entry["states"] * entry["flux"] ** 2 for entry in found) / 60
    flux, _ = follow(flawed.family, SAMPLES)
    assert np.sqrt(whole) == pytest.approx(relative_error(flux, SAMPLES.flux)["rms"])
    near = found[0]
    inside = length <= near["length"]
    expected = 0.1 * np.sqrt(np.mean(np.sum(SAMPLES.flux[inside] ** 2, axis=1)))
    assert near["flux"] == pytest.approx(expected / np.sqrt(np.sum(SAMPLES.flux**2) / 60))


def test_states_without_an_order_are_refused() -> None:
    with pytest.raises(ModelError, match="not ordered along paths"):
        evaluate_model(model(Elastoplastic()), SAMPLES._replace(path=None))
