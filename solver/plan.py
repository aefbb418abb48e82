"""What a case will cost, before anything is solved: `fe2 check`."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import basix
import numpy as np
from dolfinx import fem
from mpi4py import MPI

from meshes.macro import MacroMesh
from meshes.shape_gradients import default_quadrature_degree
from solver.adaptive import check_trust
from solver.build import build_cell_of, build_mesh, check_names, load_model_of
from solver.case.case import Case
from solver.case.materials import AdaptiveMaterialSection, RveMaterialSection, SurrogateMaterialSection
from solver.cells import exact_material
from solver.results.point_location import PointOutsideMesh, locate
from solver.surrogate_training import check_recipe

EVALUATIONS_PER_INCREMENT = 4
"""Newton iterations of an increment that the estimate of RVE solves assumes."""


class MaterialPlan(NamedTuple):
    """What one material contributes."""

    name: str
    response: str
    """In words: the law, the cell, or the surrogate."""
    points: int
    """Integration points, all ranks."""
    bytes_per_point: int
    """State of one point, trial and committed."""
    rve_dofs: int | None
    """Admissible dofs of one RVE; None without an RVE."""
    rve_points: int | None
    """Integration points in one RVE; None without an RVE."""
    learns: bool = False
    """Whether a surrogate answers at a part of the points that nobody knows beforehand."""


@dataclass(frozen=True)
class Plan:
    """Sizes of a run."""

    element: str
    degree: int
    formulation: str
    cells: int
    dofs: int
    points: int
    ranks: int
    largest_rank_bytes: int
    """State memory of the rank that holds most."""
    increments: int
    """Nominal increments, more where `max_step` is smaller."""
    materials: tuple[MaterialPlan, ...]

    @property
    def learns(self) -> bool:
        """Whether memory and solves are upper bounds, since some material learns."""
        return any(material.learns for material in self.materials)

    @property
    def rve_solves(self) -> int:
        """Estimated RVE solves of the run, with an RVE at all points of materials that learn."""
        points = sum(material.points for material in self.materials if material.rve_dofs is not None)
        return points * self.increments * EVALUATIONS_PER_INCREMENT


def make_plan(case: Case, comm: MPI.Comm) -> Plan:
    """Mesh both scales and count; nothing is assembled or solved. Collective.

    Raises:
        BadInput: on all ranks, for what only the mesh can tell.
    """
    macro = build_mesh(case, comm)
    check_names(case, macro)
    _check_points(case, macro)
    element = macro.mesh.topology.cell_name()
    degree: int = case.mesh.degree
    quadrature_degree = case.mesh.quadrature_degree
    if quadrature_degree is None:
        quadrature_degree = default_quadrature_degree(element, degree)
    points_per_cell = _points_per_cell(macro, quadrature_degree)
    cells = _cells_by_material(case, macro)
    increments = max(case.load.steps, math.ceil(case.load.end / case.load.max_step * (1 - 1e-12)))
    materials = tuple(
        _material_plan(case, name, owned * points_per_cell, increments, comm) for name, owned in cells.items()
    )
    local = points_per_cell * sum(
        owned * plan.bytes_per_point for owned, plan in zip(cells.values(), materials, strict=True)
    )
    space = fem.functionspace(macro.mesh, ("Lagrange", degree))
    n_cells = macro.mesh.topology.index_map(macro.mesh.topology.dim).size_global
    return Plan(
        element=element,
        degree=degree,
        formulation=case.macro_formulation(element),
        cells=n_cells,
        dofs=space.dofmap.index_map.size_global * case.measure.block_size,
        points=n_cells * points_per_cell,
        ranks=comm.size,
        largest_rank_bytes=comm.allreduce(local, MPI.MAX),
        increments=increments,
        materials=materials,
    )


def _points_per_cell(macro: MacroMesh, quadrature_degree: int) -> int:
    _, weights = basix.make_quadrature(macro.mesh.basix_cell(), quadrature_degree)
    return len(weights)


def _cells_by_material(case: Case, macro: MacroMesh) -> dict[str, int]:
    """Owned cells of each material that a region uses."""
    owned = macro.mesh.topology.index_map(macro.mesh.topology.dim).size_local
    tags = macro.cell_tags.values[macro.cell_tags.indices < owned]
    counts = dict.fromkeys(case.regions.values(), 0)
    for region, material in case.regions.items():
        counts[material] += owned if region == "all" else int(np.count_nonzero(tags == macro.regions[region]))
    return counts


def _material_plan(case: Case, name: str, local_points: int, increments: int, comm: MPI.Comm) -> MaterialPlan:
    section = case.materials[name]
    points = comm.allreduce(local_points)
    if isinstance(section, RveMaterialSection | AdaptiveMaterialSection):
        cell = build_cell_of(case, section.rve, comm)
        micro_points = sum(phase.n_points for phase in cell.phases)
        rve = case.rves[section.rve]
        response = f"RVE {section.rve}, {'fft' if rve.method == 'fft' else case.cell_formulation(section.rve)}"
        size = exact_material(cell, rve, case.solver.cell.settings()).bytes_per_point
        learns = isinstance(section, AdaptiveMaterialSection)
        if isinstance(section, AdaptiveMaterialSection):
            check_recipe(case, section.surrogate)
            response += f", or surrogate {section.surrogate} where it is trusted"
            if section.model is not None:
                check_trust(case, name, load_model_of(case, name, comm))
            if cell.state_size > 0:
                size += increments * _remembered_bytes(case.measure.size)
        return MaterialPlan(name, response, points, size, cell.n_dofs, micro_points, learns)
    if isinstance(section, SurrogateMaterialSection):
        model = load_model_of(case, name, comm)
        response = f"surrogate {section.model or section.onnx}, {model.family.name}"
        return MaterialPlan(name, response, points, 0, None, None)
    (law,) = case.laws_of(name)
    return MaterialPlan(name, f"law {law.name}", points, 8 * 2 * law.state_size, None, None)


def _remembered_bytes(g: int) -> int:
    """Memory of one increment of the history of a point: gradient, flux and tangent with g gradient components."""
    return 8 * (2 * g + g**2)


def _check_points(case: Case, macro: MacroMesh) -> None:
    """Probes and localised points lie in the mesh."""
    wanted = [(("output", "probes", i, "point"), probe.point) for i, probe in enumerate(case.output.probes)]
    wanted += [(("output", "localize", i, "point"), entry.point) for i, entry in enumerate(case.output.localize)]
    for path, point in wanted:
        try:
            locate(macro.mesh, np.array(point))
        except PointOutsideMesh as error:
            raise case.bad_input(path, str(error)) from None
