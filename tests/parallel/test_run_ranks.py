"""The launcher of parallel tests itself: ranks talk to each other, and no fault of a rank goes unnoticed."""

import subprocess
from pathlib import Path

import pytest

ONE_WORLD = """
from mpi4py import MPI
comm = MPI.COMM_WORLD
ranks = comm.gather(comm.rank)
if comm.rank == 0:  # ranks that print at the same time print into each other
    print(f"ranks {ranks} of {comm.size}", flush=True)
"""

ONE_RANK_RAISES = """
from mpi4py import MPI
comm = MPI.COMM_WORLD
if comm.rank == 1:
    raise SystemExit("rank 1 gives up")
"""

DEADLOCK = """
from mpi4py import MPI
comm = MPI.COMM_WORLD
print("waiting", flush=True)
comm.recv(source=(comm.rank + 1) % comm.size)
"""


def program(folder: Path, source: str) -> Path:
    script = folder / f"program_{folder.name}.py"
    script.write_text(source)
    return script


@pytest.mark.parametrize("n", [1, 2, 3])
def test_ranks_form_one_world(run_ranks, tmp_path, n):
    assert run_ranks(n, program(tmp_path, ONE_WORLD)).strip() == f"ranks {list(range(n))} of {n}"


def test_fault_of_one_rank_fails_the_test_with_its_words(run_ranks, tmp_path):
    with pytest.raises(pytest.fail.Exception, match="rank 1 gives up"):
        run_ranks(2, program(tmp_path, ONE_RANK_RAISES))


def test_deadlock_is_ended_and_leaves_no_process(run_ranks, tmp_path):
    script = program(tmp_path, DEADLOCK)
    with pytest.raises(pytest.fail.Exception, match=r"not over after 4 s(.|\n)*waiting"):
        run_ranks(2, script, timeout=4.0)
    commands = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if _readable(path)]
    assert not any(str(script).encode() in command for command in commands)


def _readable(path: Path) -> bool:
    try:
        path.read_bytes()
    except OSError:  # it ended meanwhile
        return False
    return True


def test_module_runs_by_name(run_ranks):
    output = run_ranks(1, "platform")
    assert subprocess.run(["uname", "-s"], capture_output=True, text=True, check=True).stdout.strip() in output
