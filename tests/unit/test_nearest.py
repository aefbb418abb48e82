"""The k-d tree against brute force, and its two questions against each other."""

import numpy as np
import pytest

from materials.measures import FloatArray
from surrogates.nearest import kth_distance, tree, within_radius


def by_hand(points: FloatArray, k: int, queries: FloatArray) -> FloatArray:
    squared = np.zeros((len(queries), len(points)))
    for j in range(points.shape[1]):  # in the order of the kernel
        squared += np.square(points[None, :, j] - queries[:, j, None])
    return np.sqrt(np.sort(squared, axis=1)[:, k - 1])


@pytest.mark.parametrize(
    ("count", "size", "k"),
    [(1, 3, 1), (3, 2, 3), (8, 3, 3), (9, 3, 1), (9, 3, 3), (100, 1, 3), (1000, 3, 1), (1000, 3, 3), (777, 6, 5)],
)
def test_against_brute_force(count: int, size: int, k: int) -> None:
    random = np.random.default_rng(count + size)
    points = random.normal(size=(count, size))
    points[count // 2 :] = np.round(points[count // 2 :], 1)  # ties and duplicates
    queries = np.vstack([random.normal(0.0, 2.0, (400, size)), points[:50], 1e6 * np.ones((1, size))])
    distance = kth_distance(tree(points), k, queries)
    expected = by_hand(points, k, queries)
    assert (distance == expected).all()
    for radius in (0.0, 0.3, float(np.median(expected)), float(expected[7]), float(expected[-1])):
        assert (within_radius(tree(points), k, radius, queries) == (expected <= radius)).all()


def test_no_number_is_near_nothing() -> None:
    where = tree(np.random.default_rng(0).normal(size=(40, 3)))
    queries = np.array([[np.nan, 0.0, 0.0], [0.0, 0.0, np.nan], [np.inf, 0.0, 0.0], [0.0, -np.inf, 0.0]])
    assert (kth_distance(where, 3, queries) == np.inf).all()
    for radius in (1.0, 1e300, np.inf):
        assert not within_radius(where, 3, radius, queries).any()
    for radius in (-1.0, -np.inf, np.nan):
        assert not within_radius(where, 3, radius, np.zeros((1, 3))).any()
    assert within_radius(where, 3, np.inf, np.zeros((1, 3))).all()


def test_a_distance_is_within_itself_to_the_last_bit() -> None:
    random = np.random.default_rng(3)
    where, queries = tree(random.normal(size=(60, 3))), random.normal(size=(2000, 3))
    for query, distance in zip(queries, kth_distance(where, 3, queries), strict=True):
        assert within_radius(where, 3, float(distance), query[None])[0]
        assert not within_radius(where, 3, float(np.nextafter(distance, 0.0)), query[None])[0]


def test_the_batch_does_not_matter() -> None:
    random = np.random.default_rng(4)
    where, queries = tree(random.normal(size=(500, 6))), random.normal(size=(64, 6))
    together = kth_distance(where, 3, queries)
    alone = np.concatenate([kth_distance(where, 3, query[None]) for query in queries])
    assert together.tobytes() == alone.tobytes()
