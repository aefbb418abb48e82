"""Work for rank 0 whose failure is everybody's failure."""

from collections.abc import Callable

from mpi4py import MPI

from solver.case.errors import BadInput


def on_root[T](comm: MPI.Comm, work: Callable[[], T]) -> T:
    """Call `work` on rank 0 and return its result on all ranks. Collective.

    A BadInput is raised on all ranks; an OSError becomes a BadInput that names the file.
    """
    outcome: tuple[T | None, str | None] = (None, None)
    if comm.rank == 0:
        try:
            outcome = (work(), None)
        except BadInput as error:
            outcome = (None, str(error))
        except OSError as error:
            outcome = (None, f"{error.filename}: {error.strerror}, choose a place that can be written to")
    result, message = comm.bcast(outcome, root=0)
    if message is not None:
        raise BadInput(message)
    return result
