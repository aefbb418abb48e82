"""Whole macroscopic increments of an elastoplastic plate: what the schemes for its cells bring.

The load of `cases/plate_hole_j2.yaml` (pull, unload, pull again) is applied by plain nested Newton, by nested Newton
with predictor, elastic shortcut and factors that serve more than one linearisation, and by the monolithic scheme with
all of them. Increments are sorted by the share of cells in which some point flows. Times are CPU seconds, macroscopic
part included: medians over alternating runs.

    OMP_NUM_THREADS=1 python3 benchmarks/increments.py [--cell 8] [--steps 48] [--repeat 5] [--out FILE.json]
"""

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from mpi4py import MPI
from rich.console import Console
from rich.table import Table

from materials.measures import FloatArray
from solver.build import build
from solver.case.loading import load_case
from solver.driver import Driver
from solver.macro_problem import MacroProblem
from solver.records import IncrementRecord, IterationRecord

CASE = Path(__file__).parent.parent / "cases" / "plate_hole_j2.yaml"
SCHEMES = {
    "plain nested": (
        "scheme=nested",
        "cell.predictor=false",
        "cell.elastic_shortcut=false",
        "cell.reuse_factor=false",
    ),
    "nested": ("scheme=nested",),
    "monolithic": ("scheme=monolithic",),
}
"""Settings under `solver` by name; the first is what the others are measured against."""
REGIMES = (("below 5 %", 0.0, 0.05, 8.0), ("about 30 %", 0.2, 0.4, 4.0), ("50 % and more", 0.5, 1.01, 2.5))
"""Name, least and largest share of cells that flow, target."""
COUNTS = (
    ("cell_updates", "cell updates"),
    ("cell_iterations", "linearisations"),
    ("cell_shortcuts", "shortcuts"),
    ("cell_provisional", "provisional answers"),
)
"""What is told of the cells, by its name in their statistics."""


class Watch:
    """Notes what each accepted increment took and gave."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.iterations: list[int] = []
        self.flowing: list[float] = []
        self.fluxes: list[FloatArray] = []
        self.cutbacks = 0
        self._since = 0.0
        self._plastic: FloatArray = np.zeros(0)

    def started(self, problem: MacroProblem, start: float, end: float) -> None:
        """At rest nothing has flowed."""
        self._plastic = plastic_strain(problem)
        self._since = time.process_time()

    def iterated(self, record: IterationRecord) -> None:
        """Only increments count."""

    def cut_back(self, step: int, until: float, reason: str) -> None:
        """Count it."""
        self.cutbacks += 1

    def accepted(self, problem: MacroProblem, record: IncrementRecord) -> None:
        """Note time, share of cells in which a point has flowed, and the answer."""
        self.seconds.append(time.process_time() - self._since)
        before, self._plastic = self._plastic, plastic_strain(problem)
        self.iterations.append(record.newton_iterations)
        self.flowing.append(float((self._plastic > before).any(axis=1).mean()))
        self.fluxes.append(problem.flux)
        self._since = time.process_time()


def plastic_strain(problem: MacroProblem) -> FloatArray:
    """Equivalent plastic strain of every micro point of every cell, (cells, points)."""
    state = problem.materials["composite"].state()["state_matrix"]
    return np.asarray(state[:, :, -1])


class Run(NamedTuple):
    """One run of the case."""

    watch: Watch
    statistics: dict[str, float]


def run(scheme: str, cell: int, steps: int) -> Run:
    """Run the case from the start."""
    settings = [f"solver.{setting}" for setting in SCHEMES[scheme]]
    tight = ["solver.macro.residual_tolerance=1e-10"]
    sizes = [f"rves.cell.geometry.resolution={cell}", f"load.steps={steps}"]
    driver: Driver = build(load_case(CASE, [*settings, *tight, *sizes]), MPI.COMM_SELF)
    watch = Watch()
    driver.run([watch])
    return Run(watch, driver.problem.materials["composite"].statistics())


def difference(run: Run, reference: Run) -> float:
    """Largest difference of a flux, relative to the largest."""
    ours, theirs = np.stack(run.watch.fluxes), np.stack(reference.watch.fluxes)
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


def main() -> None:
    """Run all schemes in turn and print a table."""
    parser = argparse.ArgumentParser(description="Schemes for whole increments.")
    parser.add_argument("--cell", type=int, default=8, help="resolution of the cells")
    parser.add_argument("--steps", type=int, default=48, help="increments")
    parser.add_argument("--repeat", type=int, default=5, help="runs of which the median is taken")
    parser.add_argument("--out", help="write the numbers to this JSON file")
    arguments = parser.parse_args()
    runs: dict[str, list[Run]] = {scheme: [] for scheme in SCHEMES}
    for _ in range(arguments.repeat):
        for scheme, found in runs.items():
            found.append(run(scheme, arguments.cell, arguments.steps))

    first = {scheme: found[0] for scheme, found in runs.items()}
    plain, *others = SCHEMES
    flowing = np.array(first[plain].watch.flowing)
    seconds = {
        scheme: np.array(
            [statistics.median(times) for times in zip(*(run.watch.seconds for run in found), strict=True)]
        )
        for scheme, found in runs.items()
    }
    rows: list[dict[str, Any]] = []
    for name, least, largest, target in REGIMES:
        inside = (flowing >= least) & (flowing < largest)
        if not inside.any():
            continue
        totals = {scheme: float(values[inside].sum()) for scheme, values in seconds.items()}
        ratios = {scheme: totals[plain] / totals[scheme] for scheme in others}
        rows.append({"flowing": name, "increments": int(inside.sum()), "faster": ratios, "target": target})
    errors = {scheme: difference(first[scheme], first[plain]) for scheme in others}

    table = Table(title="Increments of plate_hole_j2 against plain nested Newton, one thread")
    for column in ("cells that flow", "increments", *(f"{scheme}: times faster" for scheme in others), "target"):
        table.add_column(column, justify="right")
    for row in rows:
        faster = [f"{row['faster'][scheme]:.1f}" for scheme in others]
        table.add_row(row["flowing"], str(row["increments"]), *faster, f"{row['target']:g}")
    Console(width=120).print(table)
    for scheme, one in first.items():
        told = ", ".join(f"{one.statistics.get(key, 0):.0f} {label}" for key, label in COUNTS)
        iterations = sum(one.watch.iterations)
        print(f"{scheme}: {iterations} macroscopic iterations, {one.watch.cutbacks} cut-backs; {told}")
    for scheme, error in errors.items():
        print(f"{scheme}: largest difference of a flux from plain nested {error:.1e} of the largest")
    if arguments.out:
        numbers = {"regimes": rows, "errors": errors, "flowing": flowing.tolist()}
        Path(arguments.out).write_text(json.dumps(numbers, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
