"""Voxel cells: the Fourier solver against finite elements, same voxels, same tolerance, in one run.

A sphere of contrast 10 in a cube of n³ voxels. Finite elements are hexahedra of degree 1 with their direct solver, the
analysis of its pattern not counted; the Fourier solver takes one point per voxel (`reduced`), and for comparison the
eight of the elements (`full`), whose answers must be those of the elements. Measured is one converged update with its
condensed tangent:

- `elastic`: the least that elements can do, one factorisation and a block of solutions; for the Fourier solver the
  first update of a kind, nothing known beforehand. (Both know the answer of every further one without a linear system.)
- `plastic`: an increment of 25 % that follows one of plastic flow, in which nearly all of the matrix flows.

Times are those of the processor, one thread, so that other programs do not count.

    OMP_NUM_THREADS=1 python3 benchmarks/fft_cell.py [--voxels 32] [--dimension 3] [--repeat 5] [--repeat-elements 1]
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from materials.hardening import Hardening
from materials.interface import Response
from materials.law import Law
from materials.laws.elastic import Elastic
from materials.laws.j2 import J2
from materials.measures import FloatArray, Measure, Physics
from meshes.cells import Voxels, build_cell_mesh
from rve.cell import build_cell
from rve.material import RveMaterial
from rve.newton_settings import NewtonSettings
from rve.spectral.cell import build_spectral_cell
from rve.spectral.grid import Integration
from rve.spectral.material import SpectralMaterial

SETTINGS = NewtonSettings(tolerance=1e-8)
STRAIN = {
    2: 0.004 * np.array([[1.0, -0.5, 0.3]]),
    3: 0.004 * np.array([[1.0, -0.5, -0.4, 0.3, 0.2, 0.5]]),
}
"""By dimension."""
LAWS: dict[str, dict[str, Law]] = {
    "elastic": {"matrix": Elastic(E=70e3, nu=0.3), "inclusion": Elastic(E=700e3, nu=0.3)},
    "plastic": {
        "matrix": J2(E=70e3, nu=0.3, yield_stress=100.0, hardening=Hardening(H=500.0)),
        "inclusion": Elastic(E=700e3, nu=0.3),
    },
}
CellMaterial = RveMaterial | SpectralMaterial


class Update(NamedTuple):
    """One converged update with its tangent."""

    seconds: float
    response: Response
    flowing: float
    """Share of the matrix points whose plastic strain grew."""
    work: dict[str, float]
    """Counters of the update."""


def sphere(n: int, dimension: int) -> NDArray[np.int64]:
    """Labels of a cube with a sphere of diameter 0.7 in the middle, or of a square with a circle."""
    x = (np.indices((n,) * dimension) + 0.5) / n - 0.5
    return ((x**2).sum(axis=0) < 0.35**2).astype(np.int64)


def elements(n: int, dimension: int, laws: dict[str, Law]) -> RveMaterial:
    """Hexahedra on the voxels; nothing is factorised yet."""
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "labels.npy", sphere(n, dimension))
        element = {2: "quadrilateral", 3: "hexahedron"}[dimension]
        mesh = build_cell_mesh(Voxels(file=str(Path(folder) / "labels.npy")), dimension, element, tuple(laws))
    measure = Measure(Physics.SMALL_STRAIN, dimension)
    return RveMaterial(build_cell(mesh, laws, measure, 1), SETTINGS._replace(elastic_shortcut=False))


def grid(n: int, dimension: int, laws: dict[str, Law], integration: Integration) -> SpectralMaterial:
    """The same voxels without a mesh."""
    measure, size = Measure(Physics.SMALL_STRAIN, dimension), (1.0,) * dimension
    return SpectralMaterial(build_spectral_cell(sphere(n, dimension), laws, measure, size, integration), SETTINGS)


def update(material: CellMaterial, plastic: bool) -> Update:
    """One update of a new cell: from rest, or after an increment of plastic flow."""
    material.bind(np.zeros(1, dtype=np.int64))
    strain = STRAIN[material.measure.dimension]
    if plastic:
        evaluate(material, strain)
        material.commit()
    elif isinstance(material, RveMaterial):  # the pattern is analysed, the fluctuation known: one factorisation is left
        evaluate(material, 0.5 * strain)
    before, flow = material.statistics(), plastic_strain(material)
    start = time.process_time()
    response = evaluate(material, 1.25 * strain if plastic else strain)
    seconds = time.process_time() - start
    material.commit()
    work = {name: value - before.get(name, 0) for name, value in material.statistics().items()}
    grown = plastic_strain(material) > flow
    return Update(seconds, response, float(grown.mean()) if grown.size else 0.0, work)


def evaluate(material: CellMaterial, strain: FloatArray) -> Response:
    response = material.evaluate(strain, 1.0)
    if response.status.any():
        raise RuntimeError(material.failure(0))
    return response


def plastic_strain(material: CellMaterial) -> FloatArray:
    """Equivalent plastic strain of the points of the matrix."""
    state: FloatArray = material.state()["state_matrix"][0]
    return state[:, -1] if state.shape[1] else np.empty(0)


def difference(one: Response, other: Response) -> float:
    """Largest difference of flux and tangent, each relative to its largest component."""
    pairs = ((one.flux, other.flux), (one.tangent, other.tangent))
    return max(float(np.abs(a - b).max() / np.abs(b).max()) for a, b in pairs)


def measure(kind: str, n: int, dimension: int, repeat: int, repeat_elements: int) -> dict[str, Any]:
    """Both sides for one kind of cell."""
    laws, plastic = LAWS[kind], kind == "plastic"
    update(elements(4, dimension, laws), plastic)  # compile
    runs = {}
    for integration in Integration:
        update(grid(4, dimension, laws, integration), plastic)
        runs[f"fft, {integration}"] = [update(grid(n, dimension, laws, integration), plastic) for _ in range(repeat)]
    runs["fem"] = [update(elements(n, dimension, laws), plastic) for _ in range(repeat_elements)]
    seconds = {name: statistics.median(run.seconds for run in several) for name, several in runs.items()}
    last = {name: several[-1] for name, several in runs.items()}
    return {
        "kind": kind,
        "voxels": n,
        "dimension": dimension,
        "seconds": seconds,
        "ratio": {name: seconds["fem"] / value for name, value in seconds.items()},
        "flowing": {name: run.flowing for name, run in last.items()},
        "difference": {name: difference(run.response, last["fem"].response) for name, run in last.items()},
        "work": {name: run.work for name, run in last.items()},
    }


def main() -> None:
    """Measure both kinds and print a table."""
    parser = argparse.ArgumentParser(description="The Fourier solver against finite elements on the same voxels.")
    parser.add_argument("--voxels", type=int, default=32, help="voxels along an edge")
    parser.add_argument("--dimension", type=int, choices=(2, 3), default=3, help="of the cell")
    parser.add_argument("--repeat", type=int, default=5, help="repetitions of which the median is taken")
    parser.add_argument("--repeat-elements", type=int, default=1, help="the same for elements, which take minutes")
    parser.add_argument("--kinds", nargs="+", choices=tuple(LAWS), default=list(LAWS), help="laws of the matrix")
    parser.add_argument("--out", help="write the numbers to this JSON file")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    n, dimension = arguments.voxels, arguments.dimension
    repeats = arguments.repeat, arguments.repeat_elements
    rows = [measure(kind, n, dimension, *repeats) for kind in arguments.kinds]

    table = Table(
        title=f"One update with tangent, {n}^{dimension} voxels, contrast 10 (target at 32^3: fft ≥ 20 × faster)"
    )
    columns = ("cell", "method", "seconds", "fem / this", "flowing", "difference", "Newton", "CG iterations", "factors")
    for column in columns:
        table.add_column(column, justify="left" if column in ("cell", "method") else "right")
    for row in rows:
        for name, seconds in row["seconds"].items():
            work = row["work"][name]
            table.add_row(
                row["kind"],
                name,
                f"{seconds:.2f}",
                f"{row['ratio'][name]:.1f}",
                f"{100 * row['flowing'][name]:.0f} %",
                f"{row['difference'][name]:.1e}",
                f"{work.get('cell_iterations', 0):.0f}",
                f"{work.get('conjugate_gradient_iterations', 0):.0f}",
                f"{work.get('factorizations', 0):.0f}",
            )
    Console(width=140).print(table)
    if arguments.out:
        Path(arguments.out).write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
