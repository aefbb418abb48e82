"""Program: pose macro problems, run them on these ranks, and leave what came out in a file for comparison.

Arguments: output file (.npz); optionally a file of an earlier run, to continue from its restart points.
"""

import gc
import pickle
import sys
from pathlib import Path

import numpy as np
from dolfinx.mesh import compute_midpoints, meshtags
from mpi4py import MPI

from materials.law_material import LawMaterial
from materials.measures import Measure, Physics
from solver.driver import NotConverged
from solver.macro_problem import MacroProblem
from solver.restart import RestartPoint, Rows
from tests.verification.cells import PLASTIC, SOFT, layers, make_cell
from tests.verification.macro_runs import Watch, grid, law, mesh_of, problem_of, run

CYCLE = ((0.0, 0.0), (1.0, 1.0), (2.0, -0.5))
RAMP = ((0.0, 0.0), (1.0, 1.0))
J2 = law("j2", E=250.0, nu=0.3, yield_stress=1.2, hardening=2.5)


def finite_strain() -> tuple[MacroProblem, int, tuple[tuple[float, float], ...]]:
    """Cut back and grown again."""
    material = law("neo_hookean", E=100.0, nu=0.3)
    problem = problem_of(mesh_of("cook_membrane", "quadrilateral", divisions=(6, 6)), Physics.FINITE_STRAIN, material)
    problem.prescribe("left", [0.0, 0.0])
    problem.load_boundary("right", [0.0, 200.0])
    return problem, 2, RAMP


def plastic_3d() -> tuple[MacroProblem, int, tuple[tuple[float, float], ...]]:
    """Hexahedra with mean dilatation, load reversal."""
    problem = problem_of(grid("hexahedron", 3, 0.05), Physics.SMALL_STRAIN, J2, bbar=True)
    problem.prescribe("left", [0.0, 0.0, 0.0])
    problem.prescribe("right", [0.01, 0.012, None])
    problem.load_body([0.0, -0.5, 0.0], constant=True)
    return problem, 8, CYCLE


def heat() -> tuple[MacroProblem, int, tuple[tuple[float, float], ...]]:
    """Linear."""
    problem = problem_of(grid("triangle", 5, 0.05), Physics.HEAT, law("conductive", k=2.0), 2)
    problem.prescribe("left", [300.0], constant=True)
    problem.load_boundary("right", [5.0])
    problem.load_body([1.5])
    return problem, 3, RAMP


def two_materials() -> tuple[MacroProblem, int, tuple[tuple[float, float], ...]]:
    """A stiff strip that not every rank has a part of."""
    macro = grid("triangle", 6)
    tdim = macro.mesh.topology.dim
    index_map = macro.mesh.topology.index_map(tdim)
    cells = np.arange(index_map.size_local + index_map.num_ghosts, dtype=np.int32)
    strip = compute_midpoints(macro.mesh, tdim, cells)[:, 0] < 0.2
    tags = meshtags(macro.mesh, tdim, cells, np.where(strip, 7, 8).astype(np.int32))
    macro = macro._replace(cell_tags=tags, regions={"strip": 7, "rest": 8})
    measure = Measure(Physics.SMALL_STRAIN, 2)
    materials = {"stiff": LawMaterial(law("elastic", E=1e4, nu=0.2), measure), "soft": LawMaterial(J2, measure)}
    problem = MacroProblem(macro, measure, 2, materials, {"strip": "stiff", "rest": "soft"})
    problem.prescribe("left", [0.0, 0.0])
    problem.load_boundary("right", [0.5, 0.3])
    return problem, 4, CYCLE


def two_scale() -> tuple[MacroProblem, int, tuple[tuple[float, float], ...]]:
    """Two elements: one of three ranks has none."""
    measure = Measure(Physics.SMALL_STRAIN, 2)
    cell = make_cell(measure, layers("x"), (PLASTIC, SOFT[measure.physics]), "quadrilateral", 1, bbar=True)
    problem = problem_of(mesh_of("rectangle", "quadrilateral", divisions=(2, 1)), measure.physics, cell)
    problem.prescribe("left", [0.0, 0.0])
    problem.prescribe("right", [0.02, 0.01])
    return problem, 4, CYCLE


POSED = {pose.__name__: pose for pose in (finite_strain, plastic_3d, heat, two_materials, two_scale)}


def gathered(problem_tables: dict[str, Rows], comm: MPI.Comm) -> dict[str, Rows]:
    """All rows, in the order of their ids, on every rank."""
    tables = {}
    for name, (ids, values) in problem_tables.items():
        parts = comm.allgather((ids, values))
        all_ids = np.concatenate([part[0] for part in parts])
        all_values = np.concatenate([part[1] for part in parts])
        order = np.argsort(all_ids)
        assert np.unique(all_ids).size == all_ids.size, name
        tables[name] = Rows(all_ids[order], all_values[order])
    return tables


def collected(problem: MacroProblem, watch: Watch, comm: MPI.Comm) -> dict[str, object]:
    """Whatever must not depend on the number of ranks."""
    middle = watch.points[(len(watch.points) - 1) // 2]
    return {
        "tables": gathered(problem.state(), comm),
        "reaction": problem.reaction("left"),
        "times": watch.times,
        "iterations": [len(record.iterations) for record in watch.records],
        "cuts": watch.cuts,
        "n_points": watch.records[-1].n_points,
        "n_rve": watch.records[-1].n_rve,
        "restart": RestartPoint(middle.progress, gathered(dict(middle.tables), comm)),
    }


def not_converged() -> str:
    """The message of a run that ends above the limit load."""
    perfect = law("j2", E=250.0, nu=0.3, yield_stress=1.2)
    problem = problem_of(grid("quadrilateral", 4), Physics.SMALL_STRAIN, perfect, bbar=True)
    problem.prescribe("left", [0.0, 0.0])
    problem.load_boundary("right", [0.0, 2.0])
    try:
        run(problem, 4, min_step=0.1)
    except NotConverged as error:
        return str(error)
    return "converged"


def main() -> None:
    """Run all, or continue all."""
    comm = MPI.COMM_WORLD
    earlier = pickle.loads(Path(sys.argv[2]).read_bytes()) if len(sys.argv) > 2 else None
    found: dict[str, object] = {}
    for name, pose in POSED.items():
        problem, steps, factor = pose()
        start = earlier[name]["restart"] if earlier is not None else None
        watch = run(problem, steps, factor, start=start)
        found[name] = collected(problem, watch, comm)
        del problem, watch
        gc.collect()
        comm.Barrier()
    messages = comm.allgather(not_converged())
    assert len(set(messages)) == 1, messages
    found["message"] = messages[0]
    if comm.rank == 0:
        Path(sys.argv[1]).write_bytes(pickle.dumps(found))


main()
