"""Audit: a choice that no partition changes, intervals that hold when answers of a point are alike."""

import numpy as np
import pytest
from scipy import stats

from surrogates.audit import AuditRecord, chosen, share_interval, summarised
from surrogates.draws import uniform


def test_draws_are_uniform_and_independent() -> None:
    values = uniform(3, 1, np.arange(20_000))
    assert stats.kstest(values, "uniform").pvalue > 0.01
    for other in (
        uniform(4, 1, np.arange(20_000)),
        uniform(3, 2, np.arange(20_000)),
        uniform(3, 1, -np.arange(20_000)),
    ):
        assert abs(np.corrcoef(values[1:], other[1:])[0, 1]) < 0.03
    assert abs(np.corrcoef(values[1:], values[:-1])[0, 1]) < 0.03


def test_the_choice_is_the_same_on_any_ranks() -> None:
    points = np.arange(5000)
    whole = chosen(points, 7, 0.05, 1)
    parts = np.concatenate([chosen(part, 7, 0.05, 1) for part in np.array_split(points, 3)])
    np.testing.assert_array_equal(whole, parts)
    np.testing.assert_array_equal(whole[::-1], chosen(points[::-1], 7, 0.05, 1))
    assert abs(np.mean(whole) - 0.05) < 0.01
    assert 0 < np.sum(whole & chosen(points, 8, 0.05, 1)) < 40  # 12.5 are expected
    assert np.any(whole != chosen(points, 7, 0.05, 2))
    assert not chosen(points, 7, 0.0, 1).any()
    assert chosen(points, None, 1.0, 1).all()


def test_the_interval_of_independent_answers_is_the_exact_one() -> None:
    exceeds = np.arange(200) < 6
    lower, upper = share_interval(exceeds, np.arange(200), 0.95)
    exact = stats.binomtest(6, 200).proportion_ci(0.95, "exact")
    np.testing.assert_allclose([lower, upper], [exact.low, exact.high], rtol=0.02)
    lower, upper = share_interval(np.zeros(50, dtype=bool), np.arange(50), 0.9)
    np.testing.assert_allclose([lower, upper], [0.0, 1.0 - 0.05 ** (1.0 / 50.0)], rtol=1e-12)


def test_repeats_of_a_point_do_not_count_as_evidence() -> None:
    exceeds = np.arange(30) < 3
    once = share_interval(exceeds, np.arange(30), 0.95)
    repeated = share_interval(np.repeat(exceeds, 20), np.repeat(np.arange(30), 20), 0.95)
    assert repeated[0] < 1.5 * once[0]
    assert repeated[1] > 0.9 * once[1]
    assert share_interval(np.zeros(500, dtype=bool), np.zeros(500, dtype=np.int64), 0.95)[1] > 0.9


def test_the_interval_covers() -> None:
    random, covered, runs, share = np.random.default_rng(0), 0, 400, 0.1
    cluster = np.repeat(np.arange(60), 10)
    for _ in range(runs):
        own = random.beta(0.5, 4.5, 60)  # mean 0.1, alike within a point
        lower, upper = share_interval(random.random(600) < own[cluster], cluster, 0.9)
        covered += lower <= share <= upper
    assert covered / runs > 0.87  # two standard errors below 0.9


def test_what_is_said_of_a_version() -> None:
    record = AuditRecord()
    record.add(1, 4, np.array([5, 2]), np.array([0.03, 0.01]))
    record.add(1, 5, np.array([2, 9]), np.array([0.02, np.nan]))
    record.add(2, 6, np.array([1]), np.array([0.5]))
    told = summarised(record.of(1), 0.025, 0.95)
    assert (told["answers"], told["points"], told["unanswered"]) == (4, 3, 1)
    assert told["mean"] == pytest.approx(0.02)
    assert told["rms"] == pytest.approx(np.sqrt((9.0 + 1.0 + 4.0) / 3.0) / 100.0)
    assert told["max"] == 0.03
    assert told["exceeding"] == 0.5
    lower, upper = told["mean_interval"]
    assert 0.0 <= lower < 0.02 < upper
    assert summarised(record.of(1, after=4), 0.025, 0.95)["answers"] == 2
    assert summarised(record.of(3), 0.025, 0.95)["exceeding_interval"] == [0.0, 1.0]
    assert len(record.truncated(5).findings.error) == 4


def test_it_survives_json() -> None:
    record = AuditRecord()
    record.add(1, 4, np.array([5, 2]), np.array([0.1 + 0.2, np.nan]))
    back = AuditRecord.from_json(record.to_json())
    for found, wanted in zip(back.findings, record.findings, strict=True):
        np.testing.assert_array_equal(found, wanted)
        assert found.dtype == wanted.dtype
