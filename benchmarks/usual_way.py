"""FE² with this project against the usual way with DOLFINx, both in one run on one thread.

The usual way is `dolfinx_cell.py`: UFL forms and matrices made once, the periodic constraint by dolfinx_mpc, MUMPS LU,
Newton's method from the previous converged state, the tangent by one linear solve per unit gradient.

- Cell updates: one neo-Hookean cell with a stiff inclusion along a path to a gradient of 10 %, each state converged to
  the same residual, with its tangent.
- Increments: those of cases/plate_hole_j2.yaml in which 20 to 40 % of the cells yield. The macroscale is this project's
  on both sides, with the same mesh, increments and tolerances; only what answers at the points differs.

Both sides alternate, and the answers must agree to 1e-8. Times are medians over repetitions, in CPU seconds of the one
thread, since others may be at work on the machine.

    OMP_NUM_THREADS=1 python3 benchmarks/usual_way.py [--only updates increments] [--repeat 5] [--cell 8]
        [--substeps 1 4] [--scheme monolithic] [--out FILE.json]

`--cell` is the resolution of the plate's cell, `--substeps` into how many an increment of the case is divided,
`--scheme` that of our side. Needs dolfinx_mpc (python3-dolfinx-mpc on Debian, dolfinx_mpc on conda-forge).
"""

import argparse
import json
import statistics
from collections.abc import Mapping
from pathlib import Path
from time import process_time as clock
from typing import Any, NamedTuple

import numpy as np
from mpi4py import MPI
from rich.console import Console
from rich.table import Table

from benchmarks.dolfinx_cell import DolfinxCell, DolfinxCells, RadialReturn, elastic, neo_hookean
from materials.laws.neo_hookean import NeoHookean
from materials.measures import FloatArray, Measure, Physics
from meshes.cells import Inclusion, build_cell_mesh
from meshes.shape_gradients import default_quadrature_degree
from rve.cell import build_cell
from rve.material import RveMaterial
from rve.newton_settings import NewtonSettings
from solver.build import build, build_cell_of, build_mesh
from solver.case.case import Case
from solver.case.loading import load_case
from solver.driver import Driver
from solver.increments import Stepping
from solver.loading import LoadFactor
from solver.macro_problem import MacroProblem
from solver.records import IncrementRecord, IterationRecord

PLATE = Path(__file__).parents[1] / "cases" / "plate_hole_j2.yaml"
SAME = 1e-8
"""Largest relative difference of the answers."""
YIELDING = (0.2, 0.4)
"""Share of cells that yield in the increments that count."""
RESOLUTIONS = {"2,000 dofs": 14, "10,000 dofs": 32}
STEPS = 10


class Row(NamedTuple):
    """One line of the table: milliseconds or seconds of both sides."""

    what: str
    ours: float
    usual: float
    target: float
    unit: str
    details: dict[str, Any]

    @property
    def ratio(self) -> float:
        """How many times faster we are."""
        return self.usual / self.ours


def difference(answer: FloatArray, reference: FloatArray) -> float:
    """Largest difference relative to the largest component."""
    return float(np.abs(answer - reference).max() / np.abs(reference).max())


def check(what: str, found: float) -> None:
    """RuntimeError if the answers differ."""
    if not found <= SAME:
        raise RuntimeError(f"{what}: the answers differ by {found:.1e}, allowed is {SAME:.0e}")


# Cell updates --------------------------------------------------------------------------------------------------------


def cell_update(label: str, resolution: int, repeat: int) -> Row:
    """One cell along the path, on both sides."""
    measure = Measure(Physics.FINITE_STRAIN, 2)
    laws = {"matrix": NeoHookean(E=100.0, nu=0.3), "inclusion": NeoHookean(E=1000.0, nu=0.3)}
    mesh = build_cell_mesh(Inclusion(volume_fraction=0.3, resolution=resolution), 2, "triangle")
    ours = RveMaterial(build_cell(mesh, laws, measure, 2))
    usual = DolfinxCell(mesh, measure, 2, {name: neo_hookean(law) for name, law in laws.items()})
    stretch = np.array([0.1, 0.06, -0.03, -0.05])  # of F − I
    path = measure.rest + np.linspace(0.0, 1.0, STEPS + 1)[1:, None] * stretch

    seconds: dict[str, list[float]] = {"ours": [], "usual": []}
    worst = 0.0
    for _ in range(repeat + 1):
        spent = dict.fromkeys(seconds, 0.0)
        ours.bind(np.arange(1))
        usual.fluctuation.x.array[:] = 0.0
        usual.linearisations, before = 0, ours.statistics().get("cell_iterations", 0.0)
        for gradient in path:
            started = clock()
            response = ours.evaluate(gradient[None], 1.0)
            ours.commit()
            spent["ours"] += clock() - started
            tolerance = NewtonSettings().tolerance * float(ours.state()["reference_force"][0])
            started = clock()
            flux, tangent = usual.solve(gradient, tolerance)
            spent["usual"] += clock() - started
            worst = max(worst, difference(response.flux[0], flux), difference(response.tangent[0], tangent))
        for side, value in spent.items():
            seconds[side].append(1e3 * value / STEPS)
    check(label, worst)
    details = {
        "dofs": ours.cell.n_dofs,
        "difference": worst,
        "linearisations_ours": (ours.statistics()["cell_iterations"] - before) / STEPS,
        "linearisations_usual": usual.linearisations / STEPS,
    }
    mine, theirs = (statistics.median(values[1:]) for values in seconds.values())  # the first compiles
    return Row(f"neo-Hookean cell update, {label}", mine, theirs, 3.0, "ms", details)


# Increments ----------------------------------------------------------------------------------------------------------


class Watch:
    """Observes a run: seconds of its increments, and the share of cells that yielded in them."""

    def __init__(self) -> None:
        """Nothing seen yet."""
        self.seconds: list[float] = []
        self.yielding: list[float] = []
        self._hardened: FloatArray | float = 0.0

    def started(self, problem: MacroProblem, time: float, end: float) -> None:
        """The first increment begins."""
        self._began = clock()

    def iterated(self, record: IterationRecord) -> None:
        """Nothing to note."""

    def cut_back(self, step: int, time: float, reason: str) -> None:
        """Both sides must take the same increments."""
        raise RuntimeError(f"increment {step} was cut back: {reason}")

    def accepted(self, problem: MacroProblem, record: IncrementRecord) -> None:
        """Note the increment."""
        now = clock()
        self.seconds.append(now - self._began)
        (material,) = problem.materials.values()
        if isinstance(material, RveMaterial):
            hardened = material.state()["state_matrix"][:, :, -1].sum(axis=1)
            self.yielding.append(float(np.mean(hardened > self._hardened)))
            self._hardened = hardened
        self._began = clock()


class Run(NamedTuple):
    """A run of the plate."""

    watch: Watch
    problem: MacroProblem


def plate(resolution: int, substeps: int, increments: int, scheme: str = "nested") -> Case:
    """The first increments of the case, each of them divided into `substeps`."""
    nominal = load_case(PLATE).load
    end = increments * nominal.end / (nominal.steps * substeps)
    load, cell = [f"load.end={end}", f"load.steps={increments}"], f"rves.cell.geometry.resolution={resolution}"
    return load_case(PLATE, [*load, cell, f"solver.scheme={scheme}"])


def run_ours(case: Case) -> Run:
    """As `fe2 run` does it."""
    driver, watch = build(case, MPI.COMM_WORLD), Watch()
    driver.run([watch])
    return Run(watch, driver.problem)


def run_usual(case: Case, cell: DolfinxCell, state: RadialReturn, tolerance: float) -> Run:
    """With cells solved the usual way; `tolerance` is that of their residual."""
    macro = build_mesh(case, MPI.COMM_WORLD)
    bbar = case.macro_formulation(macro.mesh.topology.cell_name()) == "bbar"
    materials = dict.fromkeys(case.materials, DolfinxCells(cell, state, tolerance))
    problem = MacroProblem(macro, case.measure, case.mesh.degree, materials, case.regions, bbar=bbar)
    for condition in case.boundary_conditions:
        problem.prescribe(condition.boundary, condition.value, condition.constant)
    watch = Watch()
    Driver(problem, LoadFactor(case.load.factor_table), Stepping(case.load.end, case.load.steps)).run([watch])
    return Run(watch, problem)


def usual_cell(case: Case) -> tuple[DolfinxCell, RadialReturn]:
    """The cell of the case with forms of its laws."""
    ((name, section),) = case.rves.items()
    mesh = build_cell_of(case, name, MPI.COMM_WORLD).mesh
    laws: Mapping[str, Any] = section.laws
    state = RadialReturn(laws["matrix"], mesh, "matrix", default_quadrature_degree("triangle", section.degree))
    fluxes = {"matrix": state.stress, "inclusion": elastic(laws["inclusion"])}
    return DolfinxCell(mesh, case.measure, section.degree, fluxes), state


def whole_increments(resolution: int, substeps: int, repeat: int, scheme: str) -> Row:
    """The increments of the plate that count, on both sides."""
    shares = run_ours(plate(resolution, substeps, 4 * substeps)).watch.yielding
    counted = [number for number, share in enumerate(shares) if YIELDING[0] <= share <= YIELDING[1]]
    if not counted:
        raise RuntimeError(f"in no increment {YIELDING} of the cells yield, but {shares}; try other --substeps")
    case = plate(resolution, substeps, counted[-1] + 1)
    cell, state = usual_cell(case)

    mine, theirs, worst = [], [], 0.0
    for _ in range(repeat):
        ours = run_ours(plate(resolution, substeps, case.load.steps, scheme))
        (material,) = ours.problem.materials.values()
        tolerance = NewtonSettings().tolerance * float(material.state()["reference_force"].max())
        usual = run_usual(case, cell, state, tolerance)
        mine.append(sum(ours.watch.seconds[number] for number in counted))
        theirs.append(sum(usual.watch.seconds[number] for number in counted))
        displacements = [run.problem.solution.x.array for run in (ours, usual)]
        worst = max(worst, difference(*displacements), difference(ours.problem.flux, usual.problem.flux))
    check("increments", worst)
    details = {
        "cells": int(ours.problem.point_ids.size),
        "dofs_of_a_cell": material.cell.n_dofs,
        "increments": [number + 1 for number in counted],
        "yielding": [shares[number] for number in counted],
        "difference": worst,
    }
    share = statistics.mean(details["yielding"])
    size = "steps of the case" if substeps == 1 else f"steps of the case / {substeps}"
    what = f"plate_hole_j2, {size}: {len(counted)} increment{'s' * (len(counted) > 1)}, {share:.0%} of cells yielding"
    return Row(what, statistics.median(mine), statistics.median(theirs), 10.0, "s", details)


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description="FE² against the usual way with DOLFINx.")
    parser.add_argument("--only", nargs="+", choices=("updates", "increments"), default=("updates", "increments"))
    parser.add_argument("--repeat", type=int, default=5, help="repetitions of which the median is taken")
    parser.add_argument("--cell", type=int, default=8, help="resolution of the plate's cell")
    parser.add_argument(
        "--substeps", type=int, nargs="+", default=(1, 4), help="increments in place of one of the case"
    )
    parser.add_argument("--scheme", choices=("nested", "monolithic"), default="monolithic", help="of our side")
    parser.add_argument("--out", help="write the numbers to this JSON file")
    arguments = parser.parse_args()
    rows = []
    if "updates" in arguments.only:
        rows += [cell_update(label, resolution, arguments.repeat) for label, resolution in RESOLUTIONS.items()]
    if "increments" in arguments.only:
        rows += [
            whole_increments(arguments.cell, substeps, arguments.repeat, arguments.scheme)
            for substeps in arguments.substeps
        ]

    table = Table(title="FE² against the usual way with DOLFINx, one thread")
    for column in ("what", "ours", "usual", "faster by", "target", "answers differ by"):
        table.add_column(column, justify="left" if column == "what" else "right")
    for row in rows:
        times = (f"{seconds:.3g} {row.unit}" for seconds in (row.ours, row.usual))
        table.add_row(row.what, *times, f"{row.ratio:.1f}", f"≥ {row.target:g}", f"{row.details['difference']:.0e}")
    Console(width=140).print(table)
    if arguments.out:
        numbers = [row._asdict() | {"ratio": row.ratio} for row in rows]
        Path(arguments.out).write_text(json.dumps(numbers, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
