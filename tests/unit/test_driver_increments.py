"""Step sizes: nominal times are hit exactly, steps shrink on failure and grow on ease."""

import numpy as np
import pytest

from solver.increments import Stepping, StepSize


def walk(size: StepSize, end: float, iterations: int = 3) -> list[float]:
    times = [0.0]
    while times[-1] < end:
        times.append(size.next_time(times[-1]))
        size.accepted(iterations)
        assert len(times) < 10_000
    return times


def test_without_trouble_the_increments_are_the_nominal_ones() -> None:
    stepping = Stepping(0.7, 7)
    assert walk(StepSize(stepping), 0.7) == list(stepping.nominal_times)


@pytest.mark.parametrize(
    ("end", "steps", "written"),
    [
        (1.0, 5, ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        (0.7, 7, ["0.0", "0.1", "0.2", "0.3", "0.4", "0.5", "0.6", "0.7"]),
        (1e-3, 4, ["0.0", "0.00025", "0.0005", "0.00075", "0.001"]),
        (3, 2, ["0.0", "1.5", "3.0"]),
    ],
)
def test_nominal_times_are_the_decimals_a_user_expects(end: float, steps: int, written: list[str]) -> None:
    assert [repr(float(time)) for time in Stepping(end, steps).nominal_times] == written
    assert [repr(time) for time in walk(StepSize(Stepping(end, steps)), end)] == written


def test_the_last_nominal_time_is_the_end_itself() -> None:
    for steps in range(1, 60):
        for end in (0.1, 1.0 / 3.0, np.pi, 1e300, 7e-12):
            assert Stepping(end, steps).nominal_times[-1] == end


def test_nominal_times_are_hit_exactly_after_cut_backs() -> None:
    stepping = Stepping(1.0, 3)
    size = StepSize(stepping)
    assert size.rejected(1.0 / 3.0, divergent=True)
    assert size.rejected(size.next_time(0.0), divergent=False)
    times = walk(size, 1.0)
    assert set(stepping.nominal_times) <= set(times)
    steps = np.diff(times)
    assert steps[0] == pytest.approx(1.0 / 3.0 / 4.0 / 2.0)
    assert steps.max() > 4.0 * steps[0]
    assert steps.min() >= 0.5 * steps[0]  # no slivers before a nominal time


def test_steps_do_not_grow_when_increments_are_hard() -> None:
    size = StepSize(Stepping(1.0, 1))
    size.rejected(1.0, divergent=False)
    steps = np.diff(walk(size, 1.0, iterations=9))
    np.testing.assert_allclose(steps, 0.5)


def test_max_step_splits_nominal_increments_evenly() -> None:
    times = walk(StepSize(Stepping(1.0, 2, max_step=0.2)), 1.0)
    np.testing.assert_allclose(times, [0.0, 0.2, 0.35, 0.5, 0.7, 0.85, 1.0])


def test_smallest_step_is_tried_once_and_then_it_is_over() -> None:
    size = StepSize(Stepping(1.0, 1, min_step=0.1))
    tried = []
    dt = 1.0
    while size.rejected(dt, divergent=False):
        dt = size.next_time(0.0)
        tried.append(dt)
    np.testing.assert_allclose(tried, [0.5, 0.25, 0.125, 0.1])


def test_last_sliver_below_the_smallest_step_may_be_taken_but_not_cut() -> None:
    size = StepSize(Stepping(1.0, 1, min_step=0.1), size=0.3)
    assert size.next_time(0.95) == 1.0
    assert not size.rejected(0.05, divergent=True)


def test_state_of_a_restart_point_continues_the_same_walk() -> None:
    stepping = Stepping(1.0, 2)
    first = StepSize(stepping)
    first.rejected(0.5, divergent=True)
    times = [0.0]
    for _ in range(3):
        times.append(first.next_time(times[-1]))
        first.accepted(3)
    second = StepSize(stepping, first.size, first.easy_steps)
    for _ in range(3):
        assert second.next_time(times[-1]) == first.next_time(times[-1])
        times.append(first.next_time(times[-1]))
        first.accepted(3)
        second.accepted(3)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [((0.0, 3), "end 0.0"), ((1.0, 0), "steps 0"), ((1.0, 2, 0.7), "min_step 0.7"), ((float("nan"), 1), "end nan")],
)
def test_contradictions_are_refused_with_their_values(arguments: tuple[float, ...], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Stepping(*arguments)  # type: ignore[arg-type]
