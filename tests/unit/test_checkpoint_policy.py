"""Restart points come as asked for, or as often as they stay cheap."""

import pytest
from mpi4py import MPI

from solver.results import checkpoint_policy
from solver.results.checkpoint_policy import CheckpointPolicy


@pytest.mark.parametrize(("every", "expected"), [(0, []), (1, [1, 2, 3, 4, 5, 6]), (3, [3, 6])])
def test_as_asked_for(every: int, expected: list[int]) -> None:
    policy = CheckpointPolicy(every, MPI.COMM_SELF)
    assert [step for step in range(1, 7) if policy.due(step)] == expected


def test_by_default_writing_stays_below_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(checkpoint_policy.clock, "monotonic", lambda: now)
    policy = CheckpointPolicy(None, MPI.COMM_SELF)
    written = []
    for step in range(1, 101):
        now += 1.0  # an increment takes one second, a restart point half a second
        if policy.due(step):
            now += 0.5
            policy.written(0.5)
            written.append(step)
    assert written[0] == 1, "the first increment is safe at once"
    assert 0.5 * len(written) <= checkpoint_policy.SHARE * now + 0.5
    assert len(written) > 5
