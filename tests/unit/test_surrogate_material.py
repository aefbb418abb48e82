"""A surrogate as a material: it answers like its network, keeps no state, and counts what it was not trained for."""

import logging

import numpy as np
import pytest

from materials.interface import Kind, Status
from materials.law_material import LawMaterial
from materials.laws import LAWS
from materials.measures import Measure, Physics
from surrogates.families.ann import DirectNetwork
from surrogates.family import Network, Samples
from surrogates.material import SurrogateMaterial
from surrogates.store import Model, training_range

PLANE = Measure(Physics.FINITE_STRAIN, 2)


@pytest.fixture
def model() -> Model:
    law = LawMaterial(LAWS["neo_hookean"](E=100.0, nu=0.3), PLANE)
    law.bind(np.arange(30))
    gradient = PLANE.rest + np.random.default_rng(0).uniform(-0.1, 0.1, (30, 4))
    learned = Samples(gradient, *law.evaluate(gradient, 1.0)[:2])
    return Model(DirectNetwork.untrained(PLANE, Network(), learned, 0), *training_range(PLANE, gradient))


def test_it_answers_like_its_network(model: Model) -> None:
    material = SurrogateMaterial(model)
    material.bind(np.arange(5))
    gradient = PLANE.rest + np.random.default_rng(1).uniform(-0.05, 0.05, (5, 4))
    response = material.evaluate(gradient, 0.1)
    flux, tangent = model.family.evaluate(gradient)
    assert (response.flux == flux).all()
    assert (response.tangent == tangent).all()
    assert (response.status == Status.OK).all()
    assert response.outputs == {}
    assert material.outputs == ()
    assert material.measure == PLANE
    assert not material.symmetric
    assert (material.kinds() == Kind.SURROGATE).all()
    assert material.state() == {}
    material.commit()
    assert (material.evaluate(gradient, 0.1).flux == flux).all()


def test_a_rank_without_points(model: Model) -> None:
    material = SurrogateMaterial(model)
    material.bind(np.zeros(0, dtype=np.int64))
    assert material.evaluate(np.empty((0, 4)), 1.0).flux.shape == (0, 4)
    material.commit()
    assert material.statistics()["accepted_states"] == 0


def test_inverted_states_fail_alone(model: Model) -> None:
    material = SurrogateMaterial(model)
    material.bind(np.arange(2))
    response = material.evaluate(np.stack([PLANE.rest, np.array([-1.0, 0, 0, 1])]), 1.0)
    assert response.status.tolist() == [Status.OK, Status.FAILED]
    assert "det F" in material.failure(1)


def test_states_out_of_range_are_counted_when_accepted(model: Model, caplog: pytest.LogCaptureFixture) -> None:
    material = SurrogateMaterial(model, "composite")
    material.bind(np.arange(3))
    inside = np.tile(PLANE.rest, (3, 1))
    outside = inside.copy()
    outside[1, 0] = 1.5
    with caplog.at_level(logging.WARNING):
        material.evaluate(outside, 1.0)
        material.revert()
        material.commit()
        assert material.statistics()["accepted_outside_training_range"] == 0
        material.evaluate(outside, 1.0)
        material.evaluate(inside, 1.0)
        material.commit()
        assert not caplog.records
        for _ in range(2):
            material.evaluate(outside, 1.0)
            material.commit()
    assert material.statistics() == {"accepted_states": 9.0, "accepted_outside_training_range": 2.0}
    assert len(caplog.records) == 1
    assert "composite: 1 of 3 states" in caplog.text


def test_misuse_is_told(model: Model) -> None:
    material = SurrogateMaterial(model)
    material.bind(np.arange(3))
    with pytest.raises(ValueError, match="bind"):
        material.evaluate(np.tile(PLANE.rest, (2, 1)), 1.0)
    with pytest.raises(ValueError, match="no state"):
        material.restore({"plastic_strain": np.zeros(3)})
