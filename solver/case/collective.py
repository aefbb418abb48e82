"""Loading under MPI: rank 0 reads, all ranks validate, and a mistake is raised on all of them."""

from collections.abc import Callable, Sequence
from pathlib import Path

from mpi4py import MPI

from solver.case.case import LocatedCase
from solver.case.errors import BadInput
from solver.case.source import read_text


def load_on_all[AnyCase: LocatedCase](
    comm: MPI.Comm,
    parse: Callable[[str, Path, Sequence[str]], AnyCase],
    path: Path,
    overrides: Sequence[str] = (),
) -> AnyCase:
    """Load a case on every rank, reading the file once. Collective.

    Args:
        comm: the ranks.
        parse: `parse_case` or `parse_cell_case`.
        path: the file.
        overrides: `key.path=value` strings.

    Raises:
        BadInput: the same one on all ranks.
    """
    text, problem = "", None
    if comm.rank == 0:
        try:
            text = read_text(path)
        except BadInput as error:
            problem = str(error)
    text, problem = comm.bcast((text, problem))
    case: AnyCase | None = None
    if problem is None:
        try:
            case = parse(text, path, overrides)
        except BadInput as error:
            problem = str(error)
    problems = [text for text in comm.allgather(problem) if text is not None]
    if problems or case is None:
        raise BadInput(problems[0])
    return case
