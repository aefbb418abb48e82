"""`fe2 homogenize`: one cell driven along a path, the answer as plain JSON data with full tensors."""

from pathlib import Path
from typing import Any

from mpi4py import MPI

from rve.homogenize import HomogenizedStep, PathFailure, homogenize
from solver.case.cell_case import CellCase
from solver.cell_picture import draw_cell
from solver.cells import build_any_cell, descriptors, exact_material, mesh_of


class PathNotConverged(Exception):
    """The cell found no equilibrium; `result` holds the steps before."""

    def __init__(self, message: str, result: dict[str, Any]) -> None:
        super().__init__(message)
        self.result = result


def homogenize_case(case: CellCase, picture: Path | None = None) -> dict[str, Any]:
    """Result of CONTRACT.md: volume, dofs, descriptors and one entry per state of the path.

    Args:
        case: the cell and its path.
        picture: where to draw the cell, as PNG.

    Raises:
        BadInput: the cell cannot be meshed.
        PathNotConverged: a state has no equilibrium.
    """
    cell = build_any_cell(case, ("rve",), case.rve, MPI.COMM_SELF)
    material = exact_material(cell, case.rve, case.solver.cell.settings())
    if picture is not None:
        draw_cell(mesh_of(cell, case), picture)
    steps: list[dict[str, Any]] = []
    result: dict[str, Any] = {
        "title": case.title or case.source.stem,
        "physics": case.physics.value,
        "dimension": case.dimension,
        "volume": cell.volume,
        "dofs": cell.n_dofs,
        "descriptors": descriptors(cell),
        "steps": steps,
    }
    try:
        for step in homogenize(material, case.measure.to_vector(case.states)):
            steps.append(_entry(case, step))  # noqa: PERF401 - those before a failure are kept
    except PathFailure as failure:
        raise PathNotConverged(str(failure), result) from failure
    return result


def _entry(case: CellCase, step: HomogenizedStep) -> dict[str, Any]:
    measure = case.measure
    return {
        measure.gradient_name: measure.to_tensor(step.gradient).tolist(),
        measure.flux_name: measure.user_flux(step.flux).tolist(),
        **step.outputs,
        "tangent": measure.tangent_to_tensor(step.tangent).tolist(),
        "iterations": step.iterations,
    }
