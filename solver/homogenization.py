"""`fe2 homogenize`: one cell driven along a path, the answer as plain JSON data with full tensors."""

from pathlib import Path
from typing import Any

from meshes.cells import build_cell_mesh, morphology
from meshes.errors import MeshError
from rve.cell import build_cell
from rve.homogenize import HomogenizedStep, PathFailure, homogenize
from rve.material import RveMaterial
from solver.case.cell_case import CellCase
from solver.cell_picture import draw_cell


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
    material = build_cell_material(case)
    cell = material.cell
    if picture is not None:
        draw_cell(cell.mesh, picture)
    steps: list[dict[str, Any]] = []
    result: dict[str, Any] = {
        "title": case.title or case.source.stem,
        "physics": case.physics.value,
        "dimension": case.dimension,
        "volume": cell.volume,
        "dofs": cell.n_dofs,
        "descriptors": dict(cell.mesh.descriptors) | morphology(cell.mesh),
        "steps": steps,
    }
    try:
        for step in homogenize(material, case.measure.to_vector(case.states)):
            steps.append(_entry(case, step))  # noqa: PERF401 - those before a failure are kept
    except PathFailure as failure:
        raise PathNotConverged(str(failure), result) from failure
    return result


def build_cell_material(case: CellCase) -> RveMaterial:
    """The cell of a CELL.yaml as a material."""
    rve = case.rve
    laws = rve.laws
    try:
        generator = rve.geometry.build_generator(case.source.parent)
        mesh = build_cell_mesh(generator, case.dimension, rve.element, tuple(laws))
        bbar = case.formulation == "bbar"
        cell = build_cell(mesh, laws, case.measure, rve.degree, rve.boundary, bbar, rve.quadrature_degree)
    except MeshError as error:
        raise case.bad_input(("rve", "geometry"), str(error)) from None
    except ValueError as error:
        raise case.bad_input(("rve",), str(error)) from None
    return RveMaterial(cell, case.solver.cell.settings())


def _entry(case: CellCase, step: HomogenizedStep) -> dict[str, Any]:
    measure = case.measure
    return {
        measure.gradient_name: measure.to_tensor(step.gradient).tolist(),
        measure.flux_name: measure.user_flux(step.flux).tolist(),
        **step.outputs,
        "tangent": measure.tangent_to_tensor(step.tangent).tolist(),
        "iterations": step.iterations,
    }
