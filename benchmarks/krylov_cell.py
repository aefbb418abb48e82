"""Solving with the stiffness of a cell: direct factorisation against Krylov iterations with one reference factor.

Cells in three dimensions follow a path into the nonlinear range. At every linearisation the correction of
Newton's method (one right-hand side, to 1e-4) and the sensitivities (a block, to 1e-12) are solved for

- directly: one factorisation of the present stiffness by CHOLMOD and by MUMPS, and the solution;
- by GMRES, preconditioned with the factor of the cell at rest, which one factorisation gives to all cells of the kind;
- by GMRES, preconditioned with the factor of the first linearisation of the increment, and of the one before, which the
  solver of cells uses (rve/lagged_factorization.py).

Times are those of the processor, and medians over the linearisations of the path after the first one.

    OMP_NUM_THREADS=1 python3 benchmarks/krylov_cell.py [--resolutions 18 23 29] [--out FILE.json]
"""

import argparse
import json
import statistics
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from rve_update import with_cube
from scipy.sparse import csr_array

from materials.hardening import Hardening
from materials.laws.elastic import Elastic
from materials.laws.j2 import J2
from materials.laws.neo_hookean import NeoHookean
from materials.measures import FloatArray, Measure, Physics
from meshes.cells import Laminate, build_cell_mesh
from rve.assembly import Assembly
from rve.cell import Cell, build_cell
from rve.factorization import Factorization
from rve.gmres import gmres

LIMIT = 60
STEPS = 2
CORRECTION, EXACT = 1e-4, 1e-12


def build(law: str, resolution: int) -> Cell:
    """A soft matrix with a stiff cube, on hexahedra."""
    mesh = with_cube(build_cell_mesh(Laminate(fraction=0.5, normal="x", resolution=resolution), 3, "hexahedron"))
    if law == "j2":
        matrix = J2(E=70e3, nu=0.3, yield_stress=100.0, hardening=Hardening(H=500.0))
        return build_cell(mesh, {"matrix": matrix, "inclusion": Elastic(E=400e3, nu=0.2)}, measure(law), 1)
    laws = {"matrix": NeoHookean(E=10.0, nu=0.3), "inclusion": NeoHookean(E=100.0, nu=0.3)}
    return build_cell(mesh, laws, measure(law), 1)


def measure(law: str) -> Measure:
    """Small strain for plasticity, finite strain for rubber."""
    return Measure(Physics.SMALL_STRAIN if law == "j2" else Physics.FINITE_STRAIN, 3)


def direction(law: str) -> FloatArray:
    """Change of the macroscopic gradient in one increment."""
    if law == "j2":
        return 0.002 * np.linspace(1.0, -0.6, 6)
    return 0.05 * np.array([1.0, 0.5, 0.0, 0.0, -0.4, 0.2, 0.0, 0.0, -0.3])


class Study:
    """One cell that follows the path, with the factors to compare."""

    def __init__(self, law: str, resolution: int) -> None:
        """Factorise at rest."""
        cell = self.cell = build(law, resolution)
        n, g = cell.n_dofs, cell.measure.size
        self.direct = Factorization(cell.pattern, True, g, Counter(), "cholmod")
        self.mumps = Factorization(cell.pattern, True, g, Counter(), "mumps")
        self.factors = {name: Factorization(cell.pattern, True, g, Counter()) for name in ("rest", "first", "previous")}
        self.assembly = Assembly(cell, self.direct.values)
        shape = (n, n)
        self.stiffness = csr_array((self.direct.values, cell.pattern.columns, cell.pattern.row_starts), shape=shape)
        self.committed = [np.tile(phase.law.initial_state(), (phase.n_points, 1)) for phase in cell.phases]
        self.trial = [state.copy() for state in self.committed]
        self.fluctuation = np.zeros(n)
        self.assemble(cell.measure.rest)
        self.factor("rest")
        self.rows: list[dict[str, float]] = []

    def assemble(self, gradient: FloatArray) -> None:
        """Linearise at the present fluctuation."""
        if not self.assembly.assemble(gradient, 1.0, self.fluctuation, self.committed, self.trial):
            raise RuntimeError(self.assembly.refusal)

    def factor(self, name: str) -> None:
        """Factorise the present stiffness under a name."""
        self.factors[name].values[:] = self.direct.values
        self.factors[name].refactor()

    def follow(self, law: str) -> None:
        """Newton's method along the path, with full steps."""
        gradient = self.cell.measure.rest.copy()
        for _ in range(STEPS):
            gradient += direction(law)
            for iteration in range(12):
                self.assemble(gradient)
                residual, reference = self.assembly.residual, self.assembly.absolute_force
                if iteration:
                    self.rows.append(self.compare())
                else:
                    self.factor("first")
                self.factor("previous")
                if np.abs(residual).max() < 1e-9 * reference.max():
                    break
                correction = np.zeros_like(residual)
                self.factors["previous"].solve(residual, correction)
                self.fluctuation -= correction
            for state, trial in zip(self.committed, self.trial, strict=True):
                state[:] = trial

    def compare(self) -> dict[str, float]:
        """Seconds and iterations of every way for the present linearisation."""
        block, single = self.assembly.force_sensitivity, self.assembly.residual[None]
        row = {"cholmod": seconds(self.direct.refactor)}
        self.mumps.values[:] = self.direct.values
        row["mumps"] = seconds(self.mumps.refactor)
        solutions = np.empty_like(block)
        row["solve"] = seconds(lambda: self.direct.solve(single[0], solutions[0]))
        row["block"] = seconds(lambda: self.direct.solve_block(block, solutions))
        for name in self.factors:
            for kind, sides, accuracy in (("solve", single, CORRECTION), ("block", block, EXACT)):
                start = time.process_time()
                found, iterations = self.iterate(name, sides, accuracy)
                row[f"{name} {kind}"] = time.process_time() - start
                row[f"{name} {kind} iterations"] = iterations if found else np.inf
        return row

    def iterate(self, name: str, sides: FloatArray, accuracy: float) -> tuple[bool, int]:
        """GMRES with one of the factors."""

        def precondition(vectors: FloatArray) -> FloatArray:
            images = np.empty_like(vectors)
            if len(vectors) == 1:
                self.factors[name].solve(vectors[0], images[0])
            else:
                self.factors[name].solve_block(vectors, images)
            return images

        def multiply(vectors: FloatArray) -> FloatArray:
            return np.array([self.stiffness @ vector for vector in vectors])

        return gmres(multiply, precondition, sides, precondition(sides), accuracy, LIMIT)


def seconds(action: Any) -> float:
    """Processor time of a call."""
    start = time.process_time()
    action()
    return time.process_time() - start


def measure_kind(law: str, resolution: int) -> dict[str, Any]:
    """Medians over the path of one cell."""
    study = Study(law, resolution)
    study.follow(law)
    medians = {name: statistics.median(row[name] for row in study.rows) for name in study.rows[0]}
    return {"law": law, "dofs": study.cell.n_dofs, "linearisations": len(study.rows), **medians}


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description="Direct factorisation against Krylov iterations with an old factor.")
    parser.add_argument("--resolutions", type=int, nargs="+", default=[18, 23, 29], help="hexahedra along an edge")
    parser.add_argument("--laws", nargs="+", default=["j2", "neo_hookean"], choices=["j2", "neo_hookean"])
    parser.add_argument("--out", help="write the numbers to this JSON file")
    arguments = parser.parse_args()
    rows = []
    table = Table(title="Milliseconds (iterations) of one linearisation, processor time, one thread")
    columns = ("law", "dofs", "CHOLMOD", "MUMPS", "solve", "block")
    krylov = [f"{factor} {kind}" for factor in ("rest", "first", "previous") for kind in ("solve", "block")]
    for column in (*columns, *krylov):
        table.add_column(column, justify="left" if column == "law" else "right")
    for law in arguments.laws:
        for resolution in arguments.resolutions:
            row = measure_kind(law, resolution)
            rows.append(row)
            direct = [f"{1e3 * row[name]:.0f}" for name in ("cholmod", "mumps", "solve", "block")]
            iterative = [f"{1e3 * row[name]:.0f} ({row[f'{name} iterations']:.0f})" for name in krylov]
            table.add_row(law, str(row["dofs"]), *direct, *iterative)
            print(law, row["dofs"], *direct, *iterative, flush=True)
    Console(width=160).print(table)
    if arguments.out:
        Path(arguments.out).write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
