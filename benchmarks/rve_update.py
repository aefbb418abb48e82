"""Batched RVE updates against what any finite-element code has to do for them, on the same cell, in one run.

Ours: `RveMaterial.evaluate` for a batch of J2 cells along a path of ten increments: strain, return mapping, assembly,
Newton, factorisation, condensed tangent. The yardstick, per cell and increment, is what cannot be avoided on that mesh:

    N × (one DOLFINx matrix assembly + one MUMPS Cholesky refactorisation + one solve) + one solve with all gradients,

with N the linearisations that ours took. The assembly is the cheapest there is, linear elasticity with constant
coefficients: no law is evaluated in it. The elastic shortcut is off, since increments without a linearisation would
have nothing to be compared with; `increments.py` measures what it brings. Times are those of the processor, so that
what else runs on the machine matters little, and medians over repetitions that alternate between both sides.

    OMP_NUM_THREADS=1 python3 benchmarks/rve_update.py [--cells 6] [--repeat 3] [--out FILE.json]
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import ufl
from dolfinx import fem
from dolfinx.fem.petsc import assemble_matrix, create_matrix
from dolfinx.mesh import compute_midpoints, meshtags
from petsc4py import PETSc
from rich.console import Console
from rich.table import Table

from materials.hardening import Hardening
from materials.laws.elastic import Elastic
from materials.laws.j2 import J2
from materials.measures import FloatArray, Measure, Physics
from meshes.cells import CellGeometry, CellMesh, Inclusion, Laminate, build_cell_mesh
from rve.cell import Cell, build_cell
from rve.material import RveMaterial
from rve.newton_settings import NewtonSettings

STEPS = 10


class Kind(NamedTuple):
    """One row of the table."""

    label: str
    dimension: int
    geometry: CellGeometry
    element: str
    degree: int


KINDS = (
    Kind("2D P2, 2,000 dofs", 2, Inclusion(volume_fraction=0.3, resolution=14), "triangle", 2),
    Kind("2D P2, 10,000 dofs", 2, Inclusion(volume_fraction=0.3, resolution=32), "triangle", 2),
    Kind("hexahedra, 2,000 dofs", 3, Laminate(fraction=0.5, normal="x", resolution=9), "hexahedron", 1),
    Kind("hexahedra, 10,000 dofs", 3, Laminate(fraction=0.5, normal="x", resolution=15), "hexahedron", 1),
)
TINY = Kind("nine elements", 2, Laminate(fraction=0.5, normal="x", resolution=3), "quadrilateral", 1)


def build(kind: Kind) -> RveMaterial:
    """An elastoplastic matrix with a stiff elastic phase."""
    matrix = J2(E=70e3, nu=0.3, yield_stress=100.0, hardening=Hardening(H=500.0))
    stiff = Elastic(E=400e3, nu=0.2)
    mesh = build_cell_mesh(kind.geometry, kind.dimension, kind.element)
    if isinstance(kind.geometry, Laminate):
        mesh = with_cube(mesh)
    laws = {"matrix": matrix, "inclusion": stiff}
    cell = build_cell(mesh, laws, Measure(Physics.SMALL_STRAIN, kind.dimension), kind.degree)
    return RveMaterial(cell, NewtonSettings(elastic_shortcut=False))


def with_cube(mesh: CellMesh) -> CellMesh:
    """The same grid of quadrilaterals or hexahedra with a cube (square) in the middle instead of layers."""
    dimension = mesh.mesh.topology.dim
    cells = np.arange(mesh.mesh.topology.index_map(dimension).size_local, dtype=np.int32)
    middle = compute_midpoints(mesh.mesh, dimension, cells)[:, :dimension] - 0.5
    inside = (np.abs(middle) < 0.3).all(axis=1)
    tags = meshtags(mesh.mesh, dimension, cells, np.where(inside, 2, 1).astype(np.int32))
    return mesh._replace(cell_tags=tags, phases={"matrix": 1, "inclusion": 2})


def load_path(measure: Measure, n_cells: int) -> FloatArray:
    """Strains (steps, cells, g): eight increments of loading, two of unloading, a little different in each cell."""
    rng = np.random.default_rng(0)
    direction = np.linspace(1.0, -0.6, measure.size) + 0.2 * rng.uniform(-1.0, 1.0, (n_cells, measure.size))
    amplitude = 0.004 * np.concatenate([np.arange(1, 9) / 8.0, [0.8, 0.6]])
    return amplitude[:, None, None] * direction


class Run(NamedTuple):
    """One pass of the batch along the path."""

    seconds: float
    linearisations: int
    plastic_steps: int


def run_batch(material: RveMaterial, path: FloatArray) -> Run:
    """Follow the path with all cells; counts the increments in which every cell flows plastically."""
    n_cells = path.shape[1]
    material.bind(np.arange(n_cells))
    before = material.statistics().get("cell_iterations", 0)
    seconds, plastic_steps = 0.0, 0
    flow = plastic_flow(material)
    for gradient in path:
        start = time.process_time()
        response = material.evaluate(gradient, 1.0)
        material.commit()
        seconds += time.process_time() - start
        if response.status.any():
            raise RuntimeError(material.failure(int(np.flatnonzero(response.status)[0])))
        last, flow = flow, plastic_flow(material)
        plastic_steps += bool((flow > last).all())
    return Run(seconds, int(material.statistics()["cell_iterations"] - before), plastic_steps)


def plastic_flow(material: RveMaterial) -> FloatArray:
    """Equivalent plastic strain summed over each cell, (cells,)."""
    total = np.zeros(material.n_points)
    for phase in material.cell.phases:
        if isinstance(phase.law, J2):
            total += material.state()[f"state_{phase.name}"][:, :, -1].sum(axis=1)
    return total


class Yardstick:
    """The unavoidable parts, prepared once, so that each call is only the part itself."""

    def __init__(self, cell: Cell) -> None:
        """Take the mesh and the sparsity of `cell`."""
        space = cell.space
        u, v = ufl.TrialFunction(space), ufl.TestFunction(space)
        strain = ufl.sym(ufl.grad(u))
        stress = 2.0 * 27e3 * strain + 40e3 * ufl.tr(strain) * ufl.Identity(cell.measure.dimension)
        points = 2 * (space.ufl_element().degree - 1)
        degree = points if cell.mesh.mesh.topology.cell_name() in ("triangle", "tetrahedron") else 3
        dx = ufl.Measure("dx", domain=space.mesh, metadata={"quadrature_degree": degree})
        self._form = fem.form(ufl.inner(stress, ufl.sym(ufl.grad(v))) * dx)
        self._assembled = create_matrix(self._form)

        # A diagonally dominant matrix on the reduced, periodic sparsity: the cost does not depend on the numbers.
        n, g = cell.n_dofs, cell.measure.size
        rows = np.repeat(np.arange(n), np.diff(cell.pattern.row_starts))
        self._values = np.where(rows == cell.pattern.columns, float(n), -0.5)
        arrays = (cell.pattern.row_starts, cell.pattern.columns, self._values)
        self._matrix = PETSc.Mat().createAIJWithArrays((n, n), arrays, comm=PETSc.COMM_SELF)
        self._matrix.setOption(PETSc.Mat.Option.SPD, True)
        self._solver = PETSc.PC().create(PETSc.COMM_SELF)
        self._solver.setOperators(self._matrix)
        self._solver.setType(PETSc.PC.Type.CHOLESKY)
        self._solver.setFactorSolverType("mumps")
        self._solver.setUp()
        self._side, self._solution = self._matrix.createVecs()
        self._side.set(1.0)
        self._sides = PETSc.Mat().createDense((n, g), array=np.ones((n, g), order="F"), comm=PETSc.COMM_SELF)
        self._solutions = PETSc.Mat().createDense((n, g), array=np.ones((n, g), order="F"), comm=PETSc.COMM_SELF)

    def assemble(self) -> None:
        """One DOLFINx matrix assembly."""
        self._assembled.zeroEntries()
        assemble_matrix(self._assembled, self._form)
        self._assembled.assemble()

    def refactor(self) -> None:
        """One numerical factorisation; the analysis is kept."""
        self._matrix.stateIncrease()
        self._solver.setUp()

    def solve(self) -> None:
        """One right-hand side."""
        self._solver.apply(self._side, self._solution)

    def solve_block(self) -> None:
        """All unit gradients at once."""
        self._solver.matApply(self._sides, self._solutions)


def seconds_of(action: Callable[[], None], repeat: int = 5) -> float:
    """Median time of a call."""
    times = []
    for _ in range(repeat):
        start = time.process_time()
        action()
        times.append(time.process_time() - start)
    return statistics.median(times)


def measure_kind(kind: Kind, n_cells: int, repeat: int) -> dict[str, Any]:
    """Both sides for one kind of cell, alternating."""
    material = build(kind)
    cell = material.cell
    path = load_path(cell.measure, n_cells)
    yardstick = Yardstick(cell)
    run_batch(material, path)
    yardstick.assemble()
    ratios, ours, unavoidable = [], [], []
    updates = STEPS * n_cells
    for _ in range(repeat):
        run = run_batch(material, path)
        if 2 * run.plastic_steps < STEPS:
            raise RuntimeError(f"{kind.label}: plastic flow in {run.plastic_steps} of {STEPS} steps only")
        parts = {
            name: seconds_of(getattr(yardstick, name)) for name in ("assemble", "refactor", "solve", "solve_block")
        }
        once = parts["assemble"] + parts["refactor"] + parts["solve"]
        floor = run.linearisations * once + updates * parts["solve_block"]
        ratios.append(run.seconds / floor)
        ours.append(run.seconds / updates)
        unavoidable.append(floor / updates)
    return {
        "cell": kind.label,
        "dofs": cell.n_dofs,
        "linearisations_per_update": run.linearisations / updates,
        "plastic_steps": run.plastic_steps,
        "ratio": statistics.median(ratios),
        "ours_ms": 1e3 * statistics.median(ours),
        "unavoidable_ms": 1e3 * statistics.median(unavoidable),
        "parts_ms": {name: 1e3 * value for name, value in parts.items()},
        "kilobytes_per_cell": material.bytes_per_point / 1e3,
    }


def fixed_overhead(n_cells: int, repeat: int) -> float:
    """Seconds of one update of a cell of a few dofs: an upper bound of what does not scale with dofs."""
    material = build(TINY)
    path = load_path(material.measure, n_cells)
    run_batch(material, path)
    return statistics.median(run_batch(material, path).seconds for _ in range(repeat)) / (STEPS * n_cells)


def main() -> None:
    """Measure all kinds and print a table."""
    parser = argparse.ArgumentParser(description="RVE updates against what cannot be avoided.")
    parser.add_argument("--cells", type=int, default=6, help="cells in a batch")
    parser.add_argument("--repeat", type=int, default=5, help="repetitions of which the median is taken")
    parser.add_argument("--out", help="write the numbers to this JSON file")
    arguments = parser.parse_args()
    rows = [measure_kind(kind, arguments.cells, arguments.repeat) for kind in KINDS]
    overhead = fixed_overhead(20 * arguments.cells, arguments.repeat)

    table = Table(title="J2 cell updates along ten increments, one thread (target: ratio ≤ 0.7 in 2D, ≤ 0.55 in 3D)")
    for column in ("cell", "dofs", "N per update", "ours / unavoidable", "ours ms", "unavoidable ms", "kB per cell"):
        table.add_column(column, justify="left" if column == "cell" else "right")
    for row in rows:
        table.add_row(
            row["cell"],
            str(row["dofs"]),
            f"{row['linearisations_per_update']:.2f}",
            f"{row['ratio']:.2f}",
            f"{row['ours_ms']:.1f}",
            f"{row['unavoidable_ms']:.1f}",
            f"{row['kilobytes_per_cell']:.0f}",
        )
    Console(width=120).print(table)
    print(f"one update of a cell of a few dofs: {1e3 * overhead:.3f} ms (target: overhead below 0.3 ms)")
    if arguments.out:
        numbers = {"kinds": rows, "overhead_ms": 1e3 * overhead}
        Path(arguments.out).write_text(json.dumps(numbers, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
