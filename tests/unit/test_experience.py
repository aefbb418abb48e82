"""Experience: each state once, the same whatever the partition, and a dataset like any other."""

from pathlib import Path

import numpy as np
import pytest

from materials.interface import IntArray
from materials.law_material import LawMaterial
from materials.laws import LAWS
from materials.measures import FloatArray, Measure, Physics
from surrogates import experience as kept
from surrogates.dataset import Dataset, DatasetError
from surrogates.experience import SPLITS, Experience
from surrogates.family import Samples
from surrogates.green_strain import objective_strain
from surrogates.normaliser import component_scale

FINITE = Measure(Physics.FINITE_STRAIN, 2)
SMALL = Measure(Physics.SMALL_STRAIN, 2)


def answers(measure: Measure, gradient: FloatArray) -> tuple[FloatArray, FloatArray]:
    law = "neo_hookean" if measure.physics is Physics.FINITE_STRAIN else "elastic"
    material = LawMaterial(LAWS[law](E=100.0, nu=0.3), measure)
    material.bind(np.arange(len(gradient)))
    response = material.evaluate(gradient, 1.0)
    return response.flux, response.tangent


def states(measure: Measure, count: int, step: int, noise: float = 0.0) -> FloatArray:
    """Of `count` points after a step; each goes its own way."""
    random = np.random.default_rng(3)
    gradient = measure.rest + 0.02 * step * random.uniform(-1.0, 1.0, (count, measure.size))
    return gradient + noise * np.random.default_rng(step).standard_normal(gradient.shape)


def reversible(
    measure: Measure = FINITE, points: int = 60, steps: int = 3, noise: float = 0.0, shuffle: bool = False
) -> Experience:
    made = Experience(measure, remembers=False)
    for step in range(1, steps + 1):
        gradient = states(measure, points, step, noise)
        flux, tangent = answers(measure, gradient)
        order = np.random.default_rng(step).permutation(points) if shuffle else np.arange(points)
        made.add_states(step, 0.1, order, gradient[order], flux[order], tangent[order])
    return made


def paths(ids: IntArray, steps: int) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    gradient = np.stack([states(SMALL, 200, step)[ids] for step in range(1, steps + 1)], axis=1)
    flux, tangent = answers(SMALL, gradient.reshape(-1, 3))
    return gradient, np.full(gradient.shape[:2], 0.1), flux.reshape(gradient.shape), tangent.reshape(*gradient.shape, 3)


def assert_same(first: Samples, second: Samples) -> None:
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)


def test_order_and_the_noise_of_a_partition_do_not_show() -> None:
    first, second = reversible(), reversible(noise=1e-13, shuffle=True)
    for split in SPLITS:
        assert len(first.samples(split).gradient) > 10
        assert_same(first.samples(split), second.samples(split))


def test_rounding_is_of_five_digits() -> None:
    made = reversible(steps=1)
    gradient = states(FINITE, 60, 1)
    flux, tangent = answers(FINITE, gradient)
    wanted = (gradient, flux, tangent)
    for found, exact, rest in zip(made.rows[4:], wanted, (FINITE.rest, 0.0, 0.0), strict=True):
        difference = np.abs(np.asarray(found) - exact).max()
        assert 0.0 < difference < 3.0 * 2.0**-17 * np.abs(exact - rest).max()


def test_each_state_is_kept_once() -> None:
    made = reversible()
    n = len(made)
    gradient = states(FINITE, 60, 2)
    flux, tangent = answers(FINITE, gradient)
    made.add_states(2, 0.1, np.arange(60), gradient, 2.0 * flux, tangent)
    assert len(made) == n == 180
    assert_same(made.samples("train"), reversible().samples("train"))


def test_an_id_is_held_out_as_a_whole() -> None:
    made = reversible(points=200)
    split = made.split(made.rows.id)
    for point in range(200):
        assert len(set(split[made.rows.id == point])) == 1
    share = {name: np.mean(made.split(np.arange(20_000)) == name) for name in SPLITS}
    np.testing.assert_allclose([share[name] for name in SPLITS], kept.SHARES, atol=0.02)
    assert set(made.split(np.array([7]))) == set(made.split(np.array([3, 7]))[1:])
    strains = [{tuple(g) for g in made.samples(name).gradient} for name in SPLITS]
    assert not strains[0] & strains[1]
    assert not strains[0] & strains[2]
    assert not strains[1] & strains[2]


def test_thinning_keeps_the_range_and_leaves_no_hole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(kept.MOST_STATES, "train", 80)
    made = reversible(points=400)
    thinned = made.samples("train")
    assert len(thinned.gradient) == 80
    strain = objective_strain(FINITE, made.rows.gradient)
    scale = component_scale(strain)
    everything = strain[made.split(made.rows.id) == "train"] / scale
    chosen = objective_strain(FINITE, thinned.gradient) / scale
    between = np.linalg.norm(chosen[:, None] - chosen, axis=2) + np.diag(np.full(80, np.inf))
    left_out = np.linalg.norm(everything[:, None] - chosen, axis=2).min(axis=1)
    assert left_out.max() <= between.min() * (1.0 + 1e-12)
    assert np.linalg.norm(everything, axis=1).max() == np.linalg.norm(chosen, axis=1).max()


def test_near_duplicates_are_dropped() -> None:
    made = Experience(FINITE, remembers=False)
    gradient = np.tile(states(FINITE, 1, 1), (50, 1)) + 1e-8 * np.arange(50)[:, None]
    flux, tangent = answers(FINITE, gradient)
    made.add_states(1, 1.0, np.arange(50), gradient, flux, tangent)
    assert len(made) == 50
    assert len(made.samples("train").gradient) == 1


def test_paths_grow_and_stay_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Experience(SMALL, remembers=True)
    ids = np.arange(40)
    for step in (1, 2, 5):
        made.add_paths(step, ids, *paths(ids, step))
    made.add_paths(5, np.array([3]), *paths(np.array([3]), 2))  # shorter than what is known
    assert len(made) == 200
    made.add_paths(5, np.array([-1, -2]), *paths(np.array([150, 151]), 4))
    assert made.new_id == -3
    monkeypatch.setitem(kept.MOST_PATHS, "train", 9)
    samples = made.samples("train")
    assert samples.path is not None
    count = np.bincount(samples.path)
    assert len(count) == 9
    assert set(count) <= {4, 5}
    wanted, *_ = paths(np.arange(200), 5)
    for path in range(9):
        found = samples.gradient[samples.path == path]
        assert (np.abs(wanted[:, : len(found)] - found).max(axis=(1, 2)) < 1e-5).sum() == 1


def test_a_run_can_go_back_to_an_increment() -> None:
    made, ids = Experience(SMALL, remembers=True), np.arange(40)
    made.add_paths(1, ids[:20], *paths(ids[:20], 1))
    before = len(made)
    made.add_paths(3, ids, *paths(ids, 3))  # the second half was solved by a surrogate at first
    made.add_paths(3, np.array([-1]), *paths(np.array([150]), 3))
    assert len(made.truncated(1)) == before == 20
    assert len(made.truncated(2)) == 20
    assert len(made.truncated(3)) == 123
    assert_same(reversible(steps=3).truncated(2).samples("train"), reversible(steps=2).samples("train"))


@pytest.mark.parametrize("measure", [SMALL, FINITE, Measure(Physics.SMALL_STRAIN, 3)], ids=str)
def test_the_file_is_a_dataset_and_comes_back_bit_for_bit(measure: Measure, tmp_path: Path) -> None:
    made = reversible(measure, points=30) if measure.dimension == 2 else Experience(measure, remembers=False)
    if measure.dimension == 3:
        gradient = states(measure, 30, 1)
        made.add_states(4, 0.1, np.arange(30), gradient, *answers(measure, gradient))
    file = tmp_path / "samples.h5"
    made.write(file)
    assert [path.name for path in tmp_path.iterdir()] == ["samples.h5"]
    back = Experience(measure, remembers=False).read(file)
    for found, wanted in zip(back.rows, made.rows, strict=True):
        np.testing.assert_array_equal(found, wanted)
    dataset = Dataset.read(file)
    assert dataset.n_paths == 30
    assert set(dataset.split) == {"train", "validation", "test"}
    assert len(dataset.samples("train").gradient) == np.sum(made.split(made.rows.id) == "train")


def test_a_dataset_seeds_another_run(tmp_path: Path) -> None:
    first = reversible()
    first.write(tmp_path / "samples.h5")
    second = Experience(FINITE, remembers=False)
    second.seed_from(Dataset.read(tmp_path / "samples.h5"))
    assert len(second) == len(first)
    assert second.rows.id.max() == -1
    assert len(second.truncated(0)) == len(first)
    with pytest.raises(DatasetError, match="finite_strain in dimension 2, the run small_strain in dimension 2"):
        Experience(SMALL, remembers=False).seed_from(Dataset.read(tmp_path / "samples.h5"))


def test_a_foreign_file_is_refused(tmp_path: Path) -> None:
    made = reversible()
    dataset = made.to_dataset()
    foreign = Dataset(**{**vars(dataset), "provenance": {}})
    foreign.write(tmp_path / "other.h5")
    with pytest.raises(DatasetError, match="not what a run like this has learned"):
        made.read(tmp_path / "other.h5")


def test_nothing_is_no_dataset() -> None:
    with pytest.raises(DatasetError, match="no state"):
        Experience(FINITE, remembers=False).to_dataset()
    assert len(Experience(FINITE, remembers=False).samples("train").gradient) == 0
