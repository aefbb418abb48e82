"""Learning during a run against full FE² with the same cells: time, answer, measured error.

Everything that learning takes counts: cells solved ahead, training, checking.

    OMP_NUM_THREADS=1 python3 benchmarks/adaptive.py cook            # 1,536 points, 20 increments, 2,000-dof cells
    OMP_NUM_THREADS=1 python3 benchmarks/adaptive.py cook --large    # 6,144 points
    OMP_NUM_THREADS=1 python3 benchmarks/adaptive.py plate           # elastoplastic, load–unload–reload, 1,792 points
    OMP_NUM_THREADS=1 python3 benchmarks/adaptive.py beyond          # a load that leaves what the model was trained on

Each is a run of a shipped case, refined, by `fe2 run` in a process of its own. `--full N` solves only the first N
increments of full FE² and multiplies its time by what is left (its increments cost nearly the same), for sizes whose
full run takes hours; answers are then compared at increment N. CPU seconds are compared as well as wall seconds, since
others may be at work on the machine. `--cell 8` takes cells of 800 instead of 2,000 dofs, whose full run takes minutes.
"""

import argparse
import csv
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

CASES = Path(__file__).parent.parent / "cases"
EXACT = "materials.composite={type: rve, rve: cell}"


class Run(NamedTuple):
    """What a run took and gave."""

    wall: float
    cpu: float
    history: list[dict[str, str]]
    answers: list[list[float]]
    """Values of its probe, or of its reaction, by increment."""
    learning: dict[str, Any]
    """What run.json tells of it."""


def run(case: str, folder: Path, table: str, *overrides: str) -> Run:
    """Run a case in a process of its own."""
    command = [sys.executable, "-m", "solver", "run", str(CASES / f"{case}.yaml"), "--out", str(folder), "--quiet"]
    for override in (*overrides, "output.fields=[displacement]", "output.every=1000"):
        command += ["--set", override]
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    after, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter() - began
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    with (folder / "history.csv").open() as file:
        history = list(csv.DictReader(file))
    with (folder / f"{table}.csv").open() as file:
        rows = list(csv.reader(file))[1:]
    learned = json.loads((folder / "run.json").read_text()).get("learning", {})
    answers = [[float(value) for value in row[2:4]] for row in rows]
    return Run(wall, cpu, history, answers, next(iter(learned.values()), {}))


def compare(name: str, full: Run, learned: Run, increments: int, component: int) -> None:
    """Print one line of figures."""
    solved = len(full.history)
    scale = increments / solved
    reference = [answer[component] for answer in full.answers]
    found = [answer[component] for answer in learned.answers[:solved]]
    largest = max(abs(value) for value in reference)
    error = max(abs(a - b) for a, b in zip(found, reference, strict=True)) / largest
    audits = [version["audit"] for version in learned.learning["versions"] if version["audit"]["answers"]]
    answers = sum(audit["answers"] for audit in audits)
    squares = sum(audit["answers"] * audit["rms"] ** 2 for audit in audits)
    exceeding = sum(audit["answers"] * audit["exceeding"] for audit in audits)
    points = int(learned.history[0]["n_points"])
    share = sum(int(row["n_rve"]) for row in learned.history) / (points * len(learned.history))
    newton = [sum(int(row["newton_iterations"]) for row in run.history[:solved]) for run in (full, learned)]
    compared = "all increments" if solved == increments else f"increments 1 to {solved} alone"
    told = f"full FE² of {solved} of {increments} increments" if solved < increments else "full FE² to the end"
    print(f"{name}: {points} points, {increments} increments; {told}")
    print(f"  faster, wall time      {scale * full.wall / learned.wall:.1f} ×")
    print(f"  faster, CPU time       {scale * full.cpu / learned.cpu:.1f} ×")
    print(f"  largest error          {100 * error:.3f} % of the largest value, over {compared}")
    print(f"  points left to cells   {100 * share:.1f} %")
    if answers:
        tolerance = audits[0]["tolerance"]
        print(
            f"  audit                  {100 * (squares / answers) ** 0.5:.3f} % rms of {answers} answers, "
            f"{100 * exceeding / answers:.2f} % of them above {100 * tolerance:g} %"
        )
    print(f"  pays from              {learned.learning['costs']['break_even_points']} points on")
    print(f"  Newton iterations      {newton[1]}, full FE² {newton[0]}", flush=True)


def cook(folder: Path, large: bool, cell: str, increments_of_full: int | None) -> None:
    """Cook's membrane, cold; then with the model of that run and another load."""
    divisions, increments = ("[32, 32]" if large else "[16, 16]"), 20
    size = (f"mesh.divisions={divisions}", f"load.steps={increments}", cell)
    last = increments if increments_of_full is None else increments_of_full
    end = (f"load.end={last / increments}", f"load.steps={last}", "load.factor=[[0, 0], [1, 1]]")
    learned = run("cook_fibre_adaptive", folder / "learned", "probes", *size)
    full = run("cook_fibre_adaptive", folder / "full", "probes", *size, *end, EXACT)
    compare("cook_fibre_adaptive, cold", full, learned, increments, 1)
    version = learned.learning["versions"][-1]["version"]
    model = folder / "learned" / "models" / "composite" / f"v{version:03d}"
    warm = (f"materials.composite.model={model}", "boundary_conditions.1.traction=[3.0, 13.0]")
    learned = run("cook_fibre_adaptive", folder / "warm", "probes", *size, *warm)
    full = run("cook_fibre_adaptive", folder / "full_warm", "probes", *size, *end, EXACT, warm[1])
    compare("the same with its model, another load", full, learned, increments, 1)


def plate(folder: Path, large: bool, cell: str, increments_of_full: int | None) -> None:
    """Plate with a hole, cold."""
    divisions, increments = ("[24, 32]" if large else "[12, 16]"), 24
    size = (f"mesh.divisions={divisions}", f"load.steps={increments}", cell)
    last = increments if increments_of_full is None else increments_of_full
    end = (f"load.end={3.0 * last / increments}", f"load.steps={last}")
    learned = run("plate_hole_adaptive", folder / "learned", "reactions", *size)
    full = run("plate_hole_adaptive", folder / "full", "reactions", *size, *end, EXACT)
    compare("plate_hole_adaptive, cold", full, learned, increments, 1)


def beyond(folder: Path) -> None:
    """A model that was trained on little meets three times the load: it must not be believed there."""
    size = ("mesh.divisions=[8, 8]", "load.steps=10")
    little = run("cook_fibre_adaptive", folder / "little", "probes", *size, "boundary_conditions.1.traction=[0, 6.0]")
    version = little.learning["versions"][-1]["version"]
    model = folder / "little" / "models" / "composite" / f"v{version:03d}"
    more = (f"materials.composite.model={model}", "materials.composite.retrain.every=0")
    load = "boundary_conditions.1.traction=[0, 24.0]"
    learned = run("cook_fibre_adaptive", folder / "beyond", "probes", *size, *more, load)
    full = run("cook_fibre_adaptive", folder / "full", "probes", *size, load, EXACT)
    compare("a load far beyond what was learned, no retraining", full, learned, 10, 1)


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("which", choices=("cook", "plate", "beyond"))
    parser.add_argument("--large", action="store_true", help="four times as many points")
    parser.add_argument("--full", type=int, default=None, metavar="N", help="increments of full FE² that are solved")
    parser.add_argument("--keep", type=Path, default=None, metavar="DIR", help="keep the run directories here")
    parser.add_argument("--cell", type=int, default=16, metavar="RESOLUTION", help="elements along an edge of the cell")
    arguments = parser.parse_args()
    cell = f"rves.cell.geometry.resolution={arguments.cell}"
    with TemporaryDirectory() as made:
        folder = made if arguments.keep is None else arguments.keep
        if arguments.which == "beyond":
            beyond(Path(folder))
        else:
            {"cook": cook, "plate": plate}[arguments.which](Path(folder), arguments.large, cell, arguments.full)


if __name__ == "__main__":
    main()
