"""What every test can use: programs run on several MPI ranks."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# For Open MPI 5 outside the environment, where fe2-enter has not set them, and one thread a rank. What is set stays.
LAUNCH_SETTINGS = {
    "OMPI_MCA_btl": "self,sm",
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "OMP_NUM_THREADS": "1",
}

if "PRTE_MCA_mapby" not in os.environ:  # its name from Open MPI 6 on
    LAUNCH_SETTINGS["PRTE_MCA_rmaps_default_mapping_policy"] = ":oversubscribe"

RunRanks = Callable[..., str]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test that starts ranks, so that `-m "not mpi"` leaves them out."""
    for item in items:
        if "run_ranks" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.mpi)


def _stop(process: subprocess.Popen[str]) -> str:
    """End mpirun and every rank, and return what they printed."""
    os.killpg(process.pid, signal.SIGTERM)  # mpirun passes it on to ranks, which have process groups of their own
    try:
        return process.communicate(timeout=10.0)[0]
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return process.communicate()[0]


@pytest.fixture(scope="session")
def run_ranks() -> RunRanks:
    """`run_ranks(n, program, *arguments, timeout=120.0, cwd=None)`: run a program on n ranks, return what it printed.

    `program` is the path of a script or the name of a module. The test fails, with the output, if a rank ends with an
    error or if the run is not over after `timeout` seconds: a deadlock is the likely fault in a parallel program.
    """

    def run(n: int, program: str | Path, *arguments: object, timeout: float = 120.0, cwd: Path | None = None) -> str:
        script = Path(program)
        target = [str(script)] if script.suffix == ".py" else ["-m", str(program)]
        command = ["mpirun", "-n", str(n), sys.executable, *target, *map(str, arguments)]
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env=LAUNCH_SETTINGS | dict(os.environ) | {"PYTHONPATH": path},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            output, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            pytest.fail(f"{' '.join(command)}: not over after {timeout:g} s\n{_stop(process)}", pytrace=False)
        except BaseException:
            _stop(process)
            raise
        if process.returncode != 0:
            pytest.fail(f"{' '.join(command)}: exit code {process.returncode}\n{output}", pytrace=False)
        return output

    return run
