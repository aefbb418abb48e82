"""The macroscale gives the same answer on one, two and three ranks, and goes on from another number's restart point."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

PROGRAM = Path(__file__).with_name("macro_ranks.py")

Runs = dict[int, dict[str, Any]]


@pytest.fixture(scope="module")
def runs(run_ranks: Callable[..., str], tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """Results by number of ranks; number 0 is what three ranks made of the restart points of one."""
    folder = tmp_path_factory.mktemp("ranks")
    files = {n: folder / f"{n}.pickle" for n in (0, 1, 2, 3)}
    for n in (1, 2, 3):
        run_ranks(n, PROGRAM, files[n], timeout=100.0)
    run_ranks(3, PROGRAM, files[0], files[1], timeout=100.0)
    return {n: pickle.loads(file.read_bytes()) for n, file in files.items()}


def assert_same_state(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert found["tables"].keys() == expected["tables"].keys()
    for name, (ids, values) in expected["tables"].items():
        table = found["tables"][name]
        np.testing.assert_array_equal(table.ids, ids)
        scale = np.abs(values).max(initial=0.0)
        np.testing.assert_allclose(table.values, values, rtol=0, atol=1e-9 * scale, err_msg=name)
    scale = np.abs(expected["reaction"]).max()
    np.testing.assert_allclose(found["reaction"], expected["reaction"], rtol=0, atol=1e-9 * scale)


@pytest.mark.parametrize("name", ["finite_strain", "plastic_3d", "heat", "two_materials", "two_scale"])
@pytest.mark.parametrize("n", [2, 3])
def test_same_answer_on_more_ranks(runs: Runs, n: int, name: str) -> None:
    found, expected = runs[n][name], runs[1][name]
    assert_same_state(found, expected)
    assert found["times"] == expected["times"]
    assert found["iterations"] == expected["iterations"]
    cuts, expected_cuts = (
        [cut.split(" [[")[0] for cut in run["cuts"]] for run in (found, expected)
    )  # less its numbers
    assert cuts == expected_cuts
    assert (found["n_points"], found["n_rve"]) == (expected["n_points"], expected["n_rve"])


def test_runs_were_demanding(runs: Runs) -> None:
    assert runs[1]["finite_strain"]["cuts"]
    assert max(runs[1]["plastic_3d"]["iterations"]) >= 4
    assert max(runs[1]["two_materials"]["iterations"]) >= 4
    assert runs[1]["two_scale"]["n_rve"] == 8


@pytest.mark.parametrize("name", ["finite_strain", "plastic_3d", "heat", "two_materials", "two_scale"])
def test_three_ranks_continue_what_one_began(runs: Runs, name: str) -> None:
    found, expected = runs[0][name], runs[1][name]
    assert_same_state(found, expected)
    assert found["times"] == expected["times"][-len(found["times"]) :]


def test_failure_tells_the_same_story(runs: Runs) -> None:
    assert "did not converge" in runs[1]["message"]
    assert runs[1]["message"].split("(last")[0] == runs[3]["message"].split("(last")[0]
