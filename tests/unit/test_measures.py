"""Packing of gradients, fluxes and tangents."""

import numpy as np
import pytest

from materials.measures import Measure, Physics

MEASURES = [Measure(physics, dimension) for physics in Physics for dimension in (2, 3)]
RANDOM = np.random.default_rng(0)


def tensors(measure: Measure, n: int = 5) -> np.ndarray:
    """Random tensors of the measure: symmetric in small strain, vectors for heat."""
    d = measure.dimension
    if measure.physics is Physics.HEAT:
        return RANDOM.standard_normal((n, d))
    tensor = RANDOM.standard_normal((n, d, d))
    return tensor + tensor.swapaxes(1, 2) if measure.physics is Physics.SMALL_STRAIN else tensor


def test_sizes_and_order() -> None:
    assert [measure.size for measure in MEASURES] == [3, 6, 4, 9, 2, 3]
    strain = np.array([[1.0, 6.0, 5.0], [6.0, 2.0, 4.0], [5.0, 4.0, 3.0]])
    packed = Measure(Physics.SMALL_STRAIN, 3).to_vector(strain)
    assert packed == pytest.approx([1, 2, 3, 4 * np.sqrt(2), 5 * np.sqrt(2), 6 * np.sqrt(2)], rel=1e-15)
    assert list(Measure(Physics.FINITE_STRAIN, 2).to_vector(np.array([[1.0, 2.0], [3.0, 4.0]]))) == [1, 2, 3, 4]


@pytest.mark.parametrize("measure", MEASURES, ids=str)
def test_unpacking_undoes_packing(measure: Measure) -> None:
    tensor = tensors(measure)
    assert measure.to_tensor(measure.to_vector(tensor)) == pytest.approx(tensor, rel=1e-15)


@pytest.mark.parametrize("measure", MEASURES, ids=str)
def test_scalar_product_of_vectors_is_the_full_contraction(measure: Measure) -> None:
    a, b = tensors(measure), tensors(measure)
    packed = np.sum(measure.to_vector(a) * measure.to_vector(b), axis=-1)
    assert packed == pytest.approx(np.sum((a * b).reshape(len(a), -1), axis=-1), rel=1e-13)


@pytest.mark.parametrize("measure", MEASURES, ids=str)
def test_the_unpacked_tangent_maps_tensors_as_the_packed_one_maps_vectors(measure: Measure) -> None:
    tangent = RANDOM.standard_normal((4, measure.size, measure.size))
    gradient = tensors(measure, 4)
    flux = measure.to_tensor(np.einsum("nij,nj->ni", tangent, measure.to_vector(gradient)))
    full = measure.tangent_to_tensor(tangent)
    rule = "nij,nj->ni" if measure.physics is Physics.HEAT else "nijkl,nkl->nij"
    assert np.einsum(rule, full, gradient) == pytest.approx(flux, rel=1e-12)
    if measure.physics is Physics.SMALL_STRAIN:
        assert np.array_equal(full, full.swapaxes(1, 2))
        assert np.array_equal(full, full.swapaxes(3, 4))


@pytest.mark.parametrize("measure", MEASURES, ids=str)
def test_components_in_space_keep_the_tensor_and_add_nothing(measure: Measure) -> None:
    tensor = tensors(measure)
    vector = np.tile(measure.in_space.rest, (len(tensor), 1))
    vector[:, measure.components_in_space] = measure.to_vector(tensor)
    d = measure.dimension
    space = measure.in_space.to_tensor(vector)
    if measure.physics is Physics.HEAT:
        assert space[:, :d] == pytest.approx(tensor, rel=1e-15)
        assert not space[:, d:].any()
    else:
        assert space[:, :d, :d] == pytest.approx(tensor, rel=1e-15)
        at_rest = measure.in_space.to_tensor(measure.in_space.rest)
        assert np.array_equal(space[:, d:, :], np.broadcast_to(at_rest[d:, :], (5, 3 - d, 3)))


@pytest.mark.parametrize("measure", MEASURES, ids=str)
def test_rest_is_the_undeformed_state(measure: Measure) -> None:
    expected = np.eye(measure.dimension) if measure.physics is Physics.FINITE_STRAIN else 0.0
    assert np.array_equal(measure.to_tensor(measure.rest), expected + np.zeros_like(measure.to_tensor(measure.rest)))


def test_heat_flux_turns_its_sign_for_the_user_alone() -> None:
    heat = Measure(Physics.HEAT, 2)
    assert list(heat.user_flux(np.array([1.0, -2.0]))) == [-1.0, 2.0]
    small = Measure(Physics.SMALL_STRAIN, 2)
    assert np.array_equal(small.user_flux(np.array([1.0, 2.0, 0.0])), np.diag([1.0, 2.0]))
