"""Program: run small cases that learn as they go on these ranks.

Arguments: folder for the runs, then `whole`, `restart`, or the number of the training in which the process of the first
rank is killed, then names of cases.
"""

import gc
import os
import signal
import sys
from pathlib import Path
from typing import Any

from mpi4py import MPI

from surrogates import learner
from surrogates.retraining import Retrained, retrain
from tests.verification.adaptive_runs import run


def killing(which: int) -> None:
    """Let the process be killed in training number `which`."""
    begun: list[int] = []

    def train(*arguments: Any) -> Retrained:
        begun.append(1)
        if len(begun) == which:
            os.kill(os.getpid(), signal.SIGKILL)
        return retrain(*arguments)

    learner.retrain = train


def main() -> None:
    """Run all, one after the other."""
    folder, how = Path(sys.argv[1]), sys.argv[2]
    if how.isdecimal():
        killing(int(how))
    for name in sys.argv[3:]:
        run(name, folder / name, restart=how == "restart")
        gc.collect()
        MPI.COMM_WORLD.Barrier()


if __name__ == "__main__":
    main()
