"""Where an iteration of the macro problem is in trouble, in words for a user: cell, place, and what was tried there."""

import numpy as np
from mpi4py import MPI

from solver.equilibrium import Evaluation
from solver.macro_problem import MacroProblem


def worst_failure(problem: MacroProblem) -> str:
    """The failed point with the smallest id in the last evaluation, and what its material tried. Collective."""
    failed = problem.failed
    place = int(failed[np.argmin(problem.point_ids[failed])]) if failed.size else -1
    mine = int(problem.point_ids[place]) if place >= 0 else np.iinfo(np.int64).max
    _, rank = problem.comm.allreduce((mine, problem.comm.rank), MPI.MINLOC)
    text = _describe_point(problem, place) if problem.comm.rank == rank and place >= 0 else ""
    return str(problem.comm.bcast(text, rank))


def largest_residual(problem: MacroProblem, outcome: Evaluation) -> str:
    """The node with the largest residual and a cell that it belongs to. Collective."""
    place = int(np.abs(outcome.residual).argmax()) if outcome.residual.size else -1
    mine = abs(outcome.residual[place]) if place >= 0 else -1.0
    _, rank = problem.comm.allreduce((mine, problem.comm.rank), MPI.MAXLOC)
    text = _describe_dof(problem, place, mine) if problem.comm.rank == rank and place >= 0 else ""
    return str(problem.comm.bcast(text, rank))


def _describe_point(problem: MacroProblem, point: int) -> str:
    """Cell and coordinates of an owned point, and what its material last tried."""
    cell, q = divmod(point, problem.n_q)
    place = ", ".join(f"{x:.6g}" for x in problem.tables.points[cell, q])
    return f"cell {problem.original_cells[cell]}, point {q} at ({place}): {problem.points.failure(point)}"


def _describe_dof(problem: MacroProblem, dof: int, residual: float) -> str:
    """Coordinates and component of an owned dof with some residual, and a cell of this rank at its node."""
    node, component = divmod(dof, problem.block_size)
    x = problem.space.tabulate_dof_coordinates()[node, : problem.measure.dimension]
    where = ", ".join(f"{value:.6g}" for value in x)
    axis = f", component {'xyz'[component]}" if problem.block_size > 1 else ""
    cells = problem.original_cells[(problem.tables.dofs == dof).any(axis=1)]
    of_cell = f" of cell {cells.min()}" if cells.size else ""
    return f"largest residual {residual:.3g} at node ({where}){of_cell}{axis}"
