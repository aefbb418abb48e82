"""What trust costs beside the surrogate, and what it is worth, in one run on one thread.

Cost: an increment asks every point twice whether it may be trusted, against about five evaluations of flux and tangent;
both sides alternate, the numbers are minima. In 2D the trained network of cases/models/fibre_energy at states on space-
filling paths, in 3D an energy network with random weights (the cost does not depend on them) of the isotropic and the
cubic group and none.

Worth: the network of the fibre cell is calibrated on 60 paths (420 states) that the cell itself answers, and judged on
150 others (1,050 states) and on the ends of 150 paths that go 1.5 to 2 times as far.

    OMP_NUM_THREADS=1 python3 benchmarks/trust_overhead.py [--points 6000] [--repeat 15] [--cost-only]
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from materials.interface import Status
from materials.laws.neo_hookean import NeoHookean
from materials.measures import FloatArray, Measure, Physics
from meshes.cells import Inclusion, build_cell_mesh
from rve.cell import build_cell
from rve.material import RveMaterial
from surrogates.families.energy import EnergyNetwork, EnergyOptions
from surrogates.family import Family, Samples
from surrogates.material import SurrogateMaterial
from surrogates.paths import draw_paths
from surrogates.store import Model, read_model, training_range
from surrogates.trusted import calibrated, trust_report

ROOT = Path(__file__).parents[1]
EVALUATIONS, QUESTIONS = 5, 2
"""Of each point in an increment."""
FIBRE = Measure(Physics.FINITE_STRAIN, 2)
RANGE, STEPS = 0.25, 7
"""Of the paths that the network of the fibre cell was sampled on."""


def paths(measure: Measure, count: int, seed: int, largest: float = RANGE) -> FloatArray:
    """Gradients (count, steps, g) of space-filling paths."""
    return draw_paths(measure, ["space_filling"], count, STEPS, largest, seed)


def cell_samples(gradient: FloatArray) -> Samples:
    """What the fibre cell of cases/cook_fibre_energy.yaml answers along paths (p, s, g)."""
    laws = {"matrix": NeoHookean(E=100.0, nu=0.3), "inclusion": NeoHookean(E=1000.0, nu=0.3)}
    mesh = build_cell_mesh(Inclusion(volume_fraction=0.3, resolution=8), 2, "triangle")
    material = RveMaterial(build_cell(mesh, laws, FIBRE, 2))
    p, steps, g = gradient.shape
    material.bind(np.arange(p))
    flux, tangent = np.empty((p, steps, g)), np.empty((p, steps, g, g))
    for step in range(steps):
        response = material.evaluate(np.ascontiguousarray(gradient[:, step]), 1.0)
        assert (response.status == Status.OK).all(), "a cell did not converge"
        material.commit()
        flux[:, step], tangent[:, step] = response.flux, response.tangent
    return Samples(*(array.reshape(p * steps, *array.shape[2:]) for array in (gradient, flux, tangent)))


def answered(family: Family, gradient: FloatArray) -> Samples:
    """The family itself for a reference: only its cost matters."""
    states = gradient.reshape(-1, gradient.shape[-1])
    return Samples(states, *family.evaluate(states))


def space_model(group: str) -> Model:
    """An energy network in 3D with random weights."""
    measure = Measure(Physics.FINITE_STRAIN, 3)
    states = paths(measure, 60, 0).reshape(-1, 9)
    stiffness = np.eye(9) + 0.5
    samples = Samples(states, (states - measure.rest) @ stiffness, np.tile(stiffness, (len(states), 1, 1)))
    options = EnergyOptions(symmetry=group)  # type: ignore[arg-type]  # one of its names
    return Model(EnergyNetwork.untrained(measure, options, samples, 0), *training_range(measure, states))


def cost(label: str, model: Model, points: int, repeat: int, table: Table) -> None:
    """One row: microseconds per point of an evaluation, of a question, and the share of an increment."""
    training, held_out, asked = (
        answered(model.family, paths(model.measure, count, seed)) for count, seed in ((60, 0), (60, 1), (150, 2))
    )
    judged = calibrated(model, training, held_out, "distance", 0.01, 0.95)
    assert judged.trust is not None
    assert judged.calibration is not None
    trust, threshold = judged.trust, judged.calibration.threshold
    gradient, state = np.resize(asked.gradient, (points, model.measure.size)), np.zeros((points, 0))
    material = SurrogateMaterial(model)
    material.bind(np.arange(points))
    evaluation, question = minima(
        (lambda: material.evaluate(gradient, 1.0), lambda: trust.within(gradient, state, threshold)), repeat
    )
    share = QUESTIONS * question / (EVALUATIONS * evaluation)
    trusted = np.mean(trust.within(gradient, state, threshold))
    cells = (evaluation / points * 1e6, question / points * 1e6)
    table.add_row(label, *(f"{value:.3f}" for value in cells), f"{100 * share:.1f} %", f"{100 * trusted:.1f} %")


def minima(sides: tuple[Callable[[], object], ...], repeat: int) -> list[float]:
    """Shortest time of each side in seconds, both alternating."""
    seconds: list[list[float]] = [[] for _ in sides]
    for _ in range(repeat + 1):
        for side, taken in zip(sides, seconds, strict=True):
            started = time.perf_counter()
            side()
            taken.append(time.perf_counter() - started)
    return [min(taken[1:]) for taken in seconds]  # the first compiles


def worth(console: Console) -> None:
    """The promise on the fibre cell: what the cell answers against what the network does."""
    model = read_model(ROOT / "cases" / "models" / "fibre_energy")
    training = answered(model.family, paths(FIBRE, 60, 0)[:42])
    judged = calibrated(model, training, cell_samples(paths(FIBRE, 60, 101)), "distance", 0.01, 0.95)
    assert judged.trust is not None
    assert judged.calibration is not None
    report = trust_report(judged, cell_samples(paths(FIBRE, 150, 102)))
    console.print(f"calibration: {judged.calibration._replace(curve=())}")
    console.print(f"in range: {report}")
    for reach in (1.5, 2.0):
        ends = np.ascontiguousarray(paths(FIBRE, 150, 103, reach * RANGE)[:, -1])
        trusted = judged.trust.within(ends, np.zeros((len(ends), 0)), judged.calibration.threshold)
        console.print(f"ends of paths {reach:g} times as far: {100 * np.mean(trusted):.1f} % of {len(ends)} trusted")


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description="What trust costs beside the surrogate, and what it is worth.")
    parser.add_argument("--points", type=int, default=6000)
    parser.add_argument("--repeat", type=int, default=15)
    parser.add_argument("--cost-only", action="store_true")
    arguments = parser.parse_args()
    console = Console()
    table = Table("network", "evaluation µs", "question µs", "2 questions / 5 evaluations (target ≤ 15 %)", "trusted")
    fibre = read_model(ROOT / "cases" / "models" / "fibre_energy")
    cost("fibre cell, 2D", fibre, arguments.points, arguments.repeat, table)
    for group in ("isotropic", "cubic", "none"):
        cost(f"{group}, 3D", space_model(group), arguments.points, arguments.repeat, table)
    console.print(table)
    if not arguments.cost_only:
        worth(console)


if __name__ == "__main__":
    main()
