"""Macroscopic paths: they reach what they should, everywhere, and are the same whenever they are drawn."""

import numpy as np
import pytest

from materials.measures import FloatArray, Measure, Physics
from surrogates.paths import KINDS, draw_path, draw_paths, smallest_stretch

MEASURES = [Measure(physics, dimension) for physics in Physics for dimension in (2, 3)]
FINITE = [measure for measure in MEASURES if measure.physics is Physics.FINITE_STRAIN]

every_measure = pytest.mark.parametrize("measure", MEASURES, ids=lambda m: f"{m.physics}-{m.dimension}d")
finite_strain = pytest.mark.parametrize("measure", FINITE, ids=lambda m: f"{m.dimension}d")
every_kind = pytest.mark.parametrize("kind", KINDS)


def components(measure: Measure, paths: FloatArray) -> FloatArray:
    """ε, F − I or ∇T as full tensors."""
    return measure.to_tensor(paths - measure.rest)


@every_kind
@every_measure
def test_paths_reach_the_range_and_exercise_every_component(measure: Measure, kind: str) -> None:
    paths = draw_paths(measure, [kind], 60, 12, 0.05, seed=3)
    assert paths.shape == (60, 12, measure.size)
    found = np.abs(components(measure, paths)).reshape(60, -1).max(axis=1)
    assert found.max() <= 0.05 * (1.0 + 1e-12)
    assert found.max() > 0.049
    for component in (paths - measure.rest).reshape(-1, measure.size).T:
        assert component.max() > 0.015
        assert component.min() < -0.015


@every_kind
@every_measure
def test_largest_component_of_each_path(measure: Measure, kind: str) -> None:
    found = np.abs(components(measure, draw_paths(measure, [kind], 40, 8, 0.1))).reshape(40, -1).max(axis=1)
    if kind == "space_filling" and measure.physics is not Physics.HEAT:  # the principal values are at the range
        values = np.linalg.eigvalsh(components(measure, draw_paths(measure, [kind], 40, 8, 0.1)))
        found = np.abs(values).reshape(40, -1).max(axis=1)
    np.testing.assert_allclose(found.max(), 0.1, rtol=1e-12)
    if kind != "space_filling" or measure.physics is not Physics.FINITE_STRAIN:
        np.testing.assert_allclose(found, 0.1, rtol=1e-12)


@pytest.mark.parametrize("largest", [0.2, 0.5, 0.9, 3.0])
@every_kind
@finite_strain
def test_finite_strain_is_a_stretch(measure: Measure, kind: str, largest: float) -> None:
    tensors = measure.to_tensor(draw_paths(measure, [kind], 50, 6, largest))
    np.testing.assert_array_equal(tensors, tensors.swapaxes(-1, -2))
    stretches = np.linalg.eigvalsh(tensors)
    share = 1.0 if kind == "space_filling" else measure.dimension
    assert stretches.min() >= smallest_stretch(share * largest) * (1 - 1e-9)
    assert stretches.max() > 1.0 + 0.3 * largest


def test_smallest_stretch_is_smooth_and_positive() -> None:
    h = 1e-6
    below, here, above = (smallest_stretch(r) for r in (0.5 - h, 0.5, 0.5 + h))
    assert here == 0.5
    assert (above - here) / h == pytest.approx((here - below) / h, rel=1e-5)
    assert smallest_stretch(1e6) > 0.0


@every_kind
@every_measure
def test_a_path_depends_on_its_seed_and_number_alone(measure: Measure, kind: str) -> None:
    few, many = draw_paths(measure, [kind], 3, 5, 0.1, seed=7), draw_paths(measure, [kind], 9, 5, 0.1, seed=7)
    np.testing.assert_array_equal(few, many[:3])
    np.testing.assert_array_equal(draw_path(measure, kind, 5, 0.1, 7, 8), many[8])
    assert len(np.unique(many.reshape(9, -1), axis=0)) == 9
    assert not np.any(np.all(draw_paths(measure, [kind], 9, 5, 0.1, seed=8) == many, axis=(1, 2)))


def test_kinds_are_dealt_in_turn() -> None:
    measure = MEASURES[0]
    kinds = ["proportional", "cyclic"]
    paths = draw_paths(measure, kinds, 4, 6, 0.1)
    for number in range(4):
        np.testing.assert_array_equal(paths[number], draw_path(measure, kinds[number % 2], 6, 0.1, 0, number))


@pytest.mark.parametrize("kind", ["proportional", "space_filling"])
@every_measure
def test_rays_are_straight_with_equal_steps(measure: Measure, kind: str) -> None:
    paths = draw_paths(measure, [kind], 10, 4, 0.1) - measure.rest
    expected = paths[:, -1:] * (np.arange(1, 5) / 4)[:, np.newaxis]
    np.testing.assert_allclose(paths, expected, atol=1e-15)


@every_measure
def test_proportional_directions_are_uniform_on_the_sphere(measure: Measure) -> None:
    if measure.physics is Physics.FINITE_STRAIN:  # symmetric tensors
        small = Measure(Physics.SMALL_STRAIN, measure.dimension)
        ends = small.to_vector(components(measure, draw_paths(measure, ["proportional"], 4000, 1, 0.1)[:, 0]))
        measure = small
    else:
        ends = draw_paths(measure, ["proportional"], 4000, 1, 0.1)[:, 0]
    directions = ends / np.linalg.norm(ends, axis=1, keepdims=True)
    np.testing.assert_allclose(directions.mean(axis=0), 0.0, atol=0.05)
    np.testing.assert_allclose(directions.T @ directions / 4000, np.eye(measure.size) / measure.size, atol=0.03)


@pytest.mark.parametrize("steps", [1, 2, 3, 5, 40])
def test_cyclic_paths_turn_around_on_one_line(steps: int) -> None:
    measure = Measure(Physics.SMALL_STRAIN, 3)
    reversals = []
    for path in draw_paths(measure, ["cyclic"], 60, steps, 0.01):
        _, singular, axes = np.linalg.svd(path)
        assert np.all(singular[1:] < 1e-14)
        travelled = np.diff(path @ axes[0], prepend=0.0)
        assert np.all(np.abs(travelled) > 0.0)
        reversals.append(int(np.count_nonzero(travelled[1:] * travelled[:-1] < 0.0)))
        if steps == 40:  # nearly equal steps
            assert np.abs(travelled).max() < 2.0 * np.abs(travelled).min()
    assert set(reversals) == set(range(min(1, steps - 1), min(4, steps - 1) + 1))


def test_random_walks_go_from_rough_to_smooth() -> None:
    measure = Measure(Physics.SMALL_STRAIN, 2)
    correlations = []
    for path in draw_paths(measure, ["random_walk"], 200, 200, 1.0):
        increments = np.diff(path, axis=0, prepend=0.0)
        correlations.append(np.sum(increments[1:] * increments[:-1]) / np.sum(increments**2))
    assert min(correlations) < 0.1
    assert max(correlations) > 0.85


def test_space_filling_fills_better_than_chance() -> None:
    measure = Measure(Physics.FINITE_STRAIN, 2)
    ends = measure.to_tensor(draw_paths(measure, ["space_filling"], 128, 1, 0.2)[:, -1])
    angles = 0.5 * np.arctan2(ends[:, 0, 1] + ends[:, 1, 0], ends[:, 0, 0] - ends[:, 1, 1])
    filled = np.sort((angles / np.pi) % 1.0)
    uniform = (np.arange(128) + 0.5) / 128
    assert np.abs(filled - uniform - np.mean(filled - uniform)).max() < 0.08  # chance: about 0.12
    stretches = np.linalg.eigvalsh(ends)
    on_box = np.isclose(stretches, 0.8) | np.isclose(stretches, 1.2)
    assert np.all(on_box.any(axis=1))
    sides = [np.count_nonzero(np.isclose(stretches[:, 0], 0.8)), np.count_nonzero(np.isclose(stretches[:, 1], 1.2))]
    assert min(sides) > 40


def test_space_filling_rotates_evenly_in_space() -> None:
    measure = Measure(Physics.SMALL_STRAIN, 3)
    ends = measure.to_tensor(draw_paths(measure, ["space_filling"], 1000, 1, 1.0)[:, -1])
    axes = np.linalg.eigh(ends).eigenvectors  # (n, 3, axis)
    for axis in range(3):
        mean = np.einsum("ni,nj->ij", axes[..., axis], axes[..., axis]) / 1000
        np.testing.assert_allclose(mean, np.eye(3) / 3, atol=0.02)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("zigzag", 5, 0.1), "zigzag.*proportional"),
        (("cyclic", 0, 0.1), "got 0"),
        (("cyclic", 5, 0.0), "got 5 and 0"),
        (("cyclic", 5, np.nan), "nan"),
        (("cyclic", 5, np.inf), "inf"),
    ],
)
def test_refuses(arguments: tuple[str, int, float], words: str) -> None:
    kind, steps, largest = arguments
    with pytest.raises(ValueError, match=words):
        draw_path(MEASURES[0], kind, steps, largest, 0, 0)
