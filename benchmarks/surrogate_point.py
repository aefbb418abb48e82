"""One point of a surrogate against one update of the cell that it stands for, all families, in one run, one thread.

The cells have 10,000 dofs in 2D: a fibre composite at finite strain (neo-Hookean, five increments) for the families
without memory, an elastoplastic one (J2, ten increments) for those that remember. Their side is what a run pays:
`RveMaterial.evaluate`, flux and consistent tangent of a batch. The surrogates have the default architecture and the
symmetry of the cell; they are not trained, since their cost does not depend on the weights (`gp`: 300 states). Their
side is flux, tangent and new state of a batch, by the family alone and end to end by `SurrogateMaterial.evaluate`.
Times alternate between all sides; each side's number is its minimum.

    OMP_NUM_THREADS=1 python3 benchmarks/surrogate_point.py [--points 20000] [--cells 4] [--repeat 5] [--out FILE.json]
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

from materials.hardening import Hardening
from materials.law import Law
from materials.law_material import LawMaterial
from materials.laws.elastic import Elastic
from materials.laws.j2 import J2
from materials.laws.neo_hookean import NeoHookean
from materials.measures import FloatArray, Measure, Physics
from meshes.cells import Inclusion, build_cell_mesh
from rve.cell import build_cell
from rve.material import RveMaterial
from surrogates.families import FAMILIES
from surrogates.family import Family, Samples
from surrogates.material import SurrogateMaterial
from surrogates.store import Model, training_range

TARGET = 3e4
"""How much cheaper an energy network should be."""
RESOLUTION = 32
"""Of the cell: 10,000 dofs."""


class Problem(NamedTuple):
    """A cell, and the path that it is led along."""

    label: str
    measure: Measure
    laws: dict[str, Law]
    path: FloatArray
    """Growing, then unloading, from rest, (steps,), relative."""
    size: float
    """Of the gradients beyond rest."""


FINITE = Problem(
    "neo-Hookean, finite strain",
    Measure(Physics.FINITE_STRAIN, 2),
    {"matrix": NeoHookean(E=100.0, nu=0.3), "inclusion": NeoHookean(E=1000.0, nu=0.3)},
    np.linspace(0.2, 1.0, 5),
    0.15,
)
PLASTIC = Problem(
    "J2, small strain",
    Measure(Physics.SMALL_STRAIN, 2),
    {
        "matrix": J2(E=70e3, nu=0.3, yield_stress=100.0, hardening=Hardening(H=500.0)),
        "inclusion": Elastic(E=400e3, nu=0.2),
    },
    np.append(np.linspace(0.125, 1.0, 8), [0.8, 0.6]),
    0.004,
)


def build(problem: Problem, resolution: int) -> RveMaterial:
    """The cell of a problem."""
    mesh = build_cell_mesh(Inclusion(volume_fraction=0.3, resolution=resolution), 2, "triangle")
    return RveMaterial(build_cell(mesh, problem.laws, problem.measure, 2))


def gradients(problem: Problem, count: int) -> FloatArray:
    """The path in a random direction for each of `count` points, (steps, count, g)."""
    measure = problem.measure
    directions = np.random.default_rng(0).uniform(-1.0, 1.0, (count, measure.size))
    return measure.rest + problem.size * problem.path[:, None, None] * directions


def cell_seconds(material: RveMaterial, path: FloatArray) -> float:
    """Seconds per update, with all cells of the batch led along the path."""
    material.bind(np.arange(path.shape[1]))
    seconds = 0.0
    for gradient in path:
        start = time.perf_counter()
        response = material.evaluate(gradient, 1.0)
        seconds += time.perf_counter() - start
        if response.status.any():
            raise RuntimeError(material.failure(int(np.flatnonzero(response.status)[0])))
        material.commit()
    return seconds / (path.shape[0] * path.shape[1])


def samples(problem: Problem) -> Samples:
    """What the law of the matrix answers along the path, at 60 points."""
    path = gradients(problem, 60)
    law = LawMaterial(problem.laws["matrix"], problem.measure)
    law.bind(np.arange(path.shape[1]))
    answers = []
    for gradient in path:
        flux, tangent, *_ = law.evaluate(gradient, 1.0)
        law.commit()
        answers.append((gradient, flux, tangent))
    gradient, flux, tangent = (np.stack(parts, axis=1) for parts in zip(*answers, strict=True))
    number = np.repeat(np.arange(path.shape[1]), len(path))
    flat = (values.reshape(len(number), *values.shape[2:]) for values in (gradient, flux, tangent))
    return Samples(*flat, symmetry="square", path=number, dt=np.ones(len(number)))


def families(problem: Problem) -> dict[str, Family]:
    """Those that stand for such a cell, by name."""
    remembers, learned = problem is PLASTIC, samples(problem)
    return {
        name: family.untrained(problem.measure, family.network(), learned, 0)
        for name, family in FAMILIES.items()
        if family.remembers == remembers
    }


def point_sides(family: Family, problem: Problem, points: int) -> dict[str, Callable[[], Any]]:
    """The two ways to ask a surrogate, at states within the path."""
    path = gradients(problem, points)
    state = np.tile(family.initial_state(), (points, 1))
    for gradient in path[:-1]:
        state = family.step(gradient, state, 1.0).state
    last = path[-1]
    material = SurrogateMaterial(Model(family, *training_range(family.measure, last)))
    material.bind(np.arange(points))
    if family.state_size:
        material.restore({"state": state})
    return {"family": lambda: family.step(last, state, 1.0), "material": lambda: material.evaluate(last, 1.0)}


def seconds_of(action: Callable[[], Any]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def measure(problem: Problem, points: int, cells: int, repeat: int, resolution: int = RESOLUTION) -> dict[str, Any]:
    """Both sides for one cell, alternating."""
    material = build(problem, resolution)
    path = gradients(problem, cells)
    made = families(problem)
    sides = {name: point_sides(family, problem, points) for name, family in made.items()}
    update = np.inf
    best = {name: dict.fromkeys(ways, np.inf) for name, ways in sides.items()}
    cell_seconds(material, path)
    for _ in range(repeat):
        update = min(update, cell_seconds(material, path))
        for name, ways in sides.items():
            for way, action in ways.items():
                action()
                best[name][way] = min(best[name][way], *(seconds_of(action) for _ in range(3)))
    return {
        "cell": problem.label,
        "dofs": material.cell.n_dofs,
        "update_ms": 1e3 * update,
        "families": {
            name: {
                "point_us": 1e6 * times["family"] / points,
                "material_us": 1e6 * times["material"] / points,
                "cheaper": update * points / times["family"],
                "cheaper_end_to_end": update * points / times["material"],
            }
            for name, times in best.items()
        },
    }


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description="A point of each family of surrogates against an update of the cell.")
    parser.add_argument("--points", type=int, default=20_000, help="points in a batch of a surrogate")
    parser.add_argument("--cells", type=int, default=4, help="cells in a batch")
    parser.add_argument("--repeat", type=int, default=5, help="repetitions of which the minimum is taken")
    parser.add_argument("--out", help="write the numbers to this JSON file")
    arguments = parser.parse_args()
    rows = [measure(kind, arguments.points, arguments.cells, arguments.repeat) for kind in (FINITE, PLASTIC)]

    for row in rows:
        title = f"Cell: {row['cell']}, {row['dofs']:,} dofs in 2D, {row['update_ms']:.1f} ms per update, one thread"
        table = Table(title=title)
        for column in ("family", "µs per point", "cheaper by", "as a material: µs", "cheaper by"):
            table.add_column(column, justify="left" if column == "family" else "right")
        for name, numbers in row["families"].items():
            cheaper = f"{numbers['cheaper']:,.0f}" + (f" (target {TARGET:,.0f})" if name == "energy" else "")
            end_to_end = f"{numbers['cheaper_end_to_end']:,.0f}"
            table.add_row(name, f"{numbers['point_us']:.2f}", cheaper, f"{numbers['material_us']:.2f}", end_to_end)
        Console(width=120).print(table)
    if arguments.out:
        Path(arguments.out).write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
