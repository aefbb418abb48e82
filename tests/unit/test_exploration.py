"""Exploration: paths that contain what a run comes to, stay where a cell can follow, and are the same each time."""

import numpy as np
import pytest

from materials.measures import FloatArray, Measure, Physics
from surrogates.exploration import (
    companions,
    from_logarithmic_strain,
    logarithmic_strain,
    paths_ahead,
    rays_ahead,
    rays_through,
)
from surrogates.paths import smallest_stretch

MEASURES = [Measure(physics, dimension) for physics in Physics for dimension in (2, 3)]


@pytest.fixture(params=MEASURES, ids=str)
def measure(request: pytest.FixtureRequest) -> Measure:
    return request.param


def states(measure: Measure, count: int, size: float = 0.05) -> FloatArray:
    """Round one direction."""
    random = np.random.default_rng(1)
    direction = random.standard_normal(measure.size)
    return measure.rest + size * random.random((count, 1)) * (
        direction + 0.3 * random.standard_normal((count, measure.size))
    )


def observed(measure: Measure, count: int = 20, steps: int = 6) -> FloatArray:
    ends = states(measure, count) - measure.rest
    return measure.rest + np.arange(1.0, steps + 1.0)[:, None] / steps * ends[:, None]


def test_logarithmic_strain_comes_back(measure: Measure) -> None:
    gradient = states(measure, 10, 0.2)
    strain = logarithmic_strain(measure, gradient)
    back = from_logarithmic_strain(measure, strain)
    if measure.physics is Physics.FINITE_STRAIN:
        f, u = measure.to_tensor(gradient), measure.to_tensor(back)
        np.testing.assert_allclose(np.swapaxes(u, 1, 2), u, atol=1e-14)
        np.testing.assert_allclose(u @ u, np.swapaxes(f, 1, 2) @ f, atol=1e-13)
    else:
        np.testing.assert_array_equal(back, gradient)


def test_a_state_of_a_later_increment_has_neighbours(measure: Measure) -> None:
    gradient = states(measure, 200)
    rays = rays_ahead(measure, gradient, 2.5, 60, 5, seed=0)
    assert rays.shape == (60, 5, measure.size)
    strain = logarithmic_strain(measure, rays.reshape(-1, measure.size))
    later = 2.0 * logarithmic_strain(measure, gradient)
    later = later[np.linalg.norm(later, axis=1) > 0.3 * np.linalg.norm(later, axis=1).max()]
    nearest = np.linalg.norm(strain[:, None] - later, axis=2).min(axis=0)
    assert np.median(nearest / np.linalg.norm(later, axis=1)) < 0.35
    sizes = np.linalg.norm(strain, axis=1).max() / np.linalg.norm(logarithmic_strain(measure, gradient), axis=1).max()
    assert 2.0 < sizes < 3.5


def test_rays_are_the_same_each_time(measure: Measure) -> None:
    gradient = states(measure, 50)
    first = rays_ahead(measure, gradient, 2.0, 20, 4, seed=3)
    np.testing.assert_array_equal(first, rays_ahead(measure, gradient, 2.0, 20, 4, seed=3))
    assert np.any(first != rays_ahead(measure, gradient, 2.0, 20, 4, seed=4))


def test_directions_that_did_not_occur_are_jittered_into() -> None:
    measure = Measure(Physics.SMALL_STRAIN, 2)
    gradient = np.zeros((10, 3))
    gradient[:, 0] = np.linspace(0.01, 0.02, 10)
    rays = rays_ahead(measure, gradient, 2.0, 10, 4, seed=0)
    assert 1e-4 < np.abs(rays[:, :, 1:]).max() < 0.02


@pytest.mark.parametrize("dimension", [2, 3])
def test_compression_ends_where_a_cell_can_follow(dimension: int) -> None:
    measure = Measure(Physics.FINITE_STRAIN, dimension)
    gradient = (0.7 * np.eye(dimension)).reshape(1, -1) + 0.02 * np.random.default_rng(0).random((30, dimension**2))
    for paths in (
        rays_ahead(measure, gradient, 3.0, 30, 4, 0),
        paths_ahead(measure, gradient[:, None], 3.0, 30, 20, 0),
    ):
        stretch = np.linalg.eigvalsh(measure.to_tensor(paths))
        assert stretch.min() > 0.99 * min(0.5, smallest_stretch(max(0.5, stretch.max() - 1.0)))
        assert stretch.min() < 0.65


def test_nothing_is_ahead_of_rest(measure: Measure) -> None:
    rest = np.tile(measure.rest, (5, 1))
    assert rays_ahead(measure, rest, 2.0, 10, 4, 0).shape == (0, 4, measure.size)
    assert paths_ahead(measure, rest[:, None], 2.0, 10, 4, 0).shape == (0, 4, measure.size)


def test_paths_that_remember_step_as_observed_and_stay_in_reach(measure: Measure) -> None:
    known = observed(measure)
    paths = paths_ahead(measure, known, 2.0, 30, 25, seed=0)
    assert paths.shape == (30, 25, measure.size)
    strain = logarithmic_strain(measure, paths.reshape(-1, measure.size)).reshape(30, 25, -1)
    seen = logarithmic_strain(measure, known.reshape(-1, measure.size)).reshape(20, 6, -1)
    assert np.linalg.norm(strain, axis=2).max() < 2.0 * 3.0 * np.linalg.norm(seen, axis=2).max()
    steps = np.linalg.norm(np.diff(strain, axis=1), axis=2)
    typical = np.median(np.linalg.norm(np.diff(seen, axis=1), axis=2))
    assert 0.4 * typical < np.median(steps) < 2.5 * typical
    assert steps[:, :3].std() > 0.05 * typical
    np.testing.assert_array_equal(paths, paths_ahead(measure, known, 2.0, 30, 25, seed=0))


def test_paths_unload_and_reverse() -> None:
    measure = Measure(Physics.SMALL_STRAIN, 2)
    paths = paths_ahead(measure, observed(measure), 2.0, 30, 25, seed=0)
    first_step = paths[:, :1]
    advance = np.einsum("psg,psg->ps", np.diff(paths, axis=1), np.broadcast_to(first_step, paths[:, 1:].shape))
    assert np.mean((advance < 0.0).any(axis=1)) > 0.8
    along = np.einsum("psg,pg->ps", paths, paths[:, 0])
    assert np.mean((along < 0.0).any(axis=1)) > 0.3


def test_the_first_kind_begins_as_observed() -> None:
    measure = Measure(Physics.SMALL_STRAIN, 2)
    known = observed(measure)
    onwards = paths_ahead(measure, known, 2.0, 30, 25, seed=0)[::3]
    directions = known[:, 0] / np.linalg.norm(known[:, 0], axis=1)[:, None]
    for path in onwards:
        cosine = directions @ path[0] / np.linalg.norm(path[0])
        assert cosine.max() > 1.0 - 1e-9


def test_rays_lead_through_their_states_and_beyond(measure: Measure) -> None:
    ends = states(measure, 5, 0.2)
    rays = rays_through(measure, ends, 1.25, 5)
    strain = logarithmic_strain(measure, rays.reshape(-1, measure.size)).reshape(5, 5, -1)
    wanted = logarithmic_strain(measure, ends)
    for place, share in enumerate((0.25, 0.5, 0.75, 1.0, 1.25)):
        np.testing.assert_allclose(strain[:, place], share * wanted, atol=1e-13)


def test_companions_are_beside_their_paths(measure: Measure) -> None:
    paths = observed(measure, 6, 4)
    beside = companions(measure, paths, 3, seed=5)
    assert beside.shape == (18, 4, measure.size)
    np.testing.assert_array_equal(beside[:6], paths)
    np.testing.assert_array_equal(companions(measure, paths[:2], 3, seed=5)[2:4], beside[6:8])
    strain, others = (logarithmic_strain(measure, one.reshape(-1, measure.size)) for one in (paths, beside[6:12]))
    factors = others / strain
    assert 0.0 < np.abs(factors - 1.0).max() < 1.0
    steps = factors.reshape(6, 4, -1)
    np.testing.assert_allclose(steps, np.repeat(steps[:, :1], 4, axis=1), atol=1e-6)
