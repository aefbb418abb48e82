"""Program: run a case and record it on these ranks.

Arguments: case file, run directory, then `restart` to go on, or the step after which to stop as if by Ctrl-C.
"""

import sys
from contextlib import suppress
from pathlib import Path

from mpi4py import MPI

from solver.build import build
from solver.case.loading import load_case
from solver.newton import Interrupted
from solver.results.results import Results


def main() -> None:
    """Run; stop where asked."""
    case_file, out, how = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    case = load_case(case_file)
    results = Results(case, MPI.COMM_WORLD, out, restart=how == "restart", quiet=True)
    driver = build(case, MPI.COMM_WORLD)
    record = results.accepted

    def accepted(problem, increment):
        record(problem, increment)
        if str(increment.step) == how:
            raise Interrupted("stopped by the test")

    results.accepted = accepted
    with suppress(Interrupted):
        results.run(driver)


if __name__ == "__main__":
    main()
