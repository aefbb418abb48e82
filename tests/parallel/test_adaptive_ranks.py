"""Runs that learn decide and answer alike on 1, 2 and 3 ranks, and other ranks take over when they are killed."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.verification.adaptive_runs import assert_equal, assert_same_decisions, learning, table, trainings

pytestmark = pytest.mark.slow

PROGRAM = Path(__file__).with_name("adaptive_ranks.py")
NAMES = ("finite_strain", "plastic", "heat")
INTERRUPTED = (("finite_strain", 2, 1), ("plastic", 1, 3))
"""Case, ranks that were killed in the last training, ranks that took over."""


@pytest.fixture(scope="module")
def runs(run_ranks: Callable[..., str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of runs by what was done: ranks, or where a run was killed in training and taken up by other ranks."""
    folder = tmp_path_factory.mktemp("adaptive")
    for n in (1, 2, 3):
        run_ranks(n, PROGRAM, folder / f"{n}", "whole", *NAMES, timeout=200.0)
    for name, first, second in INTERRUPTED:
        out, steps = folder / f"{first} then {second}", trainings(folder / "1" / name)
        assert steps[-1] > 1, "no training to interrupt after the first restart point"
        with pytest.raises(pytest.fail.Exception, match="exit code"):
            run_ranks(first, PROGRAM, out, len(steps), name, timeout=100.0)
        run_ranks(second, PROGRAM, out, "restart", name, timeout=100.0)
    return {path.name: path for path in folder.iterdir()}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("n", ["2", "3"])
def test_same_decisions_and_answers_on_more_ranks(runs: dict[str, Path], n: str, name: str) -> None:
    assert_same_decisions(runs[n] / name, runs["1"] / name)
    assert_equal(runs[n] / name, runs["1"] / name, 1e-9)


@pytest.mark.parametrize(("name", "first", "second"), INTERRUPTED)
def test_other_ranks_go_on_where_a_training_was_killed(
    runs: dict[str, Path], name: str, first: int, second: int
) -> None:
    how = f"{first} then {second}"
    assert_same_decisions(runs[how] / name, runs["1"] / name)
    assert_equal(runs[how] / name, runs["1"] / name, 1e-8)


@pytest.mark.parametrize("name", NAMES)
def test_the_runs_were_demanding(runs: dict[str, Path], name: str) -> None:
    """Both kinds of points, in one increment too, and a network that was replaced, unless one is enough."""
    history = table(runs["1"] / name, "history")
    assert history["n_surrogate"].any()
    assert history["n_retrained"].sum() >= (1 if name == "heat" else 2)
    assert ((history["n_rve"] > 0) & (history["n_surrogate"] > 0)).any() or name == "heat"
    assert sum(version["audit"]["answers"] for version in learning(runs["1"] / name)["versions"]) > 0
