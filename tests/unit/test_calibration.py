"""Exact bounds against known values, and the promise of a threshold over many made-up data sets."""

import math

import numpy as np
import pytest
from scipy.stats import beta, binom

from surrogates.calibration import Calibration, calibrate, exceedance_bound, fewest_states, flux_errors


def test_errors_have_a_floor() -> None:
    reference = np.array([[3.0, 4.0], [0.3, 0.4], [0.0, 0.0], [1.0, 0.0]])
    flux = reference + np.array([[0.0, 0.5], [0.1, 0.0], [0.2, 0.0], [np.nan, 0.0]])
    assert flux_errors(flux, reference, 2.0) == pytest.approx([0.1, 0.05, 0.1, np.inf])


def test_the_bound_of_clopper_and_pearson() -> None:
    assert exceedance_bound(0, 59, 0.05) == pytest.approx(1.0 - 0.05 ** (1 / 59), rel=1e-12)
    assert exceedance_bound(3, 10, 0.025) == pytest.approx(0.6524529, abs=1e-7)  # their table: 3 of 10, two-sided 95 %
    assert exceedance_bound(10, 10, 0.05) == 1.0
    for wrong, states, level in ((1, 100, 0.05), (7, 300, 0.0025), (40, 50, 0.1)):
        bound = exceedance_bound(wrong, states, level)
        assert bound == pytest.approx(beta.ppf(1.0 - level, wrong + 1, states - wrong), rel=1e-10)
        assert binom.cdf(wrong, states, bound) == pytest.approx(level, rel=1e-9)


def test_the_fewest_states() -> None:
    assert fewest_states(0.95) == 59
    for confidence in (0.5, 0.8, 0.95, 0.99):
        n = fewest_states(confidence)
        assert math.isfinite(calibrate(np.zeros(n), np.zeros(n), 0.01, confidence, 1.0).threshold)
        assert calibrate(np.zeros(n - 1), np.zeros(n - 1), 0.01, confidence, 1.0).threshold == -math.inf


def test_the_threshold_separates() -> None:
    scores = np.linspace(0.0, 1.0, 2001)
    errors = np.where(scores > 0.7, 1.0, 0.001)
    found = calibrate(scores, errors, 0.01, 0.95, 2.5)
    assert 0.6 < found.threshold <= 0.73
    assert found.trusted == pytest.approx(np.mean(scores <= found.threshold))
    assert found.bound <= 0.05
    assert found[1:5] == (0.01, 0.95, 2.5, 2001)
    everything = calibrate(scores, np.zeros(2001), 0.01, 0.95, 1.0)
    assert (everything.threshold, everything.trusted) == pytest.approx((0.95, 0.95), abs=1e-3)  # not to the last state
    shuffled = np.random.default_rng(0).permutation(2001)
    assert calibrate(scores[shuffled], errors[shuffled], 0.01, 0.95, 2.5) == found


def test_nothing_is_trusted() -> None:
    scores = np.random.default_rng(0).random(500)
    for given, errors, tolerance in (
        (scores, np.ones(500), 0.01),
        (scores, np.full(500, np.inf), 0.01),
        (np.full(500, np.nan), np.zeros(500), 0.01),
        (scores, np.full(500, 1e-30), 0.0),
        (np.zeros(0), np.zeros(0), 0.01),
    ):
        found = calibrate(given, errors, tolerance, 0.95, 1.0)
        assert found[:-1] == Calibration(-math.inf, tolerance, 0.95, 1.0, len(given), 0.0, 1.0)[:-1]
    with pytest.raises(ValueError, match="confidence"):
        calibrate(np.zeros(5), np.zeros(5), 0.01, 1.0, 1.0)


def test_no_answer_is_an_error_whatever_the_tolerance() -> None:
    scores = np.linspace(0.0, 1.0, 1000)
    errors = np.where(scores > 0.5, np.inf, 1e6)
    found = calibrate(scores, errors, np.inf, 0.95, 1.0)
    assert 0.4 < found.threshold < 0.54


def test_the_curve_bounds_the_errors_of_its_classes() -> None:
    random = np.random.default_rng(1)
    scores = random.random(1000)
    errors = scores * random.random(1000)
    found = calibrate(scores, errors, 0.01, 0.9, 1.0)
    estimate = found.estimate(scores)
    assert np.mean(errors <= estimate) >= 0.9
    assert estimate == pytest.approx(0.9 * scores, abs=0.15)
    assert (np.diff(estimate[np.argsort(scores)]) >= 0.0).all()
    assert (found.estimate(np.array([1.5, np.inf, np.nan])) == np.inf).all()
    assert (found.estimate(np.array([0.0])) == found.curve[0][1]).all()
    assert (calibrate(np.zeros(0), np.zeros(0), 0.01, 0.9, 1.0).estimate(scores) == np.inf).all()
    assert len(calibrate(np.zeros(100), errors[:100], 0.01, 0.9, 1.0).curve) == 1


@pytest.mark.parametrize("states", [63, 150, 1000])
@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_the_promise_holds(states: int, confidence: float) -> None:
    """In at least `confidence` of the data sets the true share of wrong answers is at most 1 − confidence."""
    random = np.random.default_rng(states)
    sets, broken, useful = 600, 0, 0
    for _ in range(sets):
        scores = random.exponential(size=states)
        wrong = random.random(states) < wrong_at(scores)
        found = calibrate(scores, np.where(wrong, 1.0, 0.0), 0.5, confidence, 1.0)
        broken += share_wrong_below(found.threshold) > 1.0 - confidence
        useful += math.isfinite(found.threshold)
    assert broken / sets <= 1.0 - confidence + 2.0 * np.sqrt(confidence * (1.0 - confidence) / sets)
    assert useful / sets > 0.5 or states == 63


def wrong_at(score: np.ndarray) -> np.ndarray:
    """Probability of a wrong answer: it crosses every confidence within the scores that occur."""
    return np.minimum(1.0, 0.02 * score**2)


def share_wrong_below(threshold: float) -> float:
    """P(wrong | score ≤ threshold), by quadrature over the exponential density."""
    if threshold <= 0.0:
        return 0.0
    score = np.linspace(0.0, threshold, 4001)
    density = np.exp(-score)
    return float(np.trapezoid(wrong_at(score) * density, score) / np.trapezoid(density, score))
