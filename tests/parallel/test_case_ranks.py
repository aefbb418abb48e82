"""Every shipped case, made small, gives the same numbers on 1, 2 and 3 ranks."""

import csv
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import ROOT, RunRanks

TIGHT = (
    "solver.macro.residual_tolerance=1e-12",
    "solver.macro.correction_tolerance=1e-9",
    "solver.cell.tolerance=1e-13",
)
SMALLER = {
    "quickstart": ("mesh.divisions=[3, 3]", "load.steps=2", "rves.cell.geometry.resolution=4"),
    "cook_fibre": ("mesh.divisions=[2, 2]", "load.steps=2", "rves.cell.geometry.resolution=4"),
    "cook_fibre_adaptive": (
        "mesh.divisions=[2, 2]",
        "load.steps=4",
        "rves.cell.geometry.resolution=4",
        "materials.composite.retrain.explore=100",
        "surrogates.fibre.training.epochs=30",
    ),
    "plate_hole_adaptive": (
        "mesh.divisions=[2, 2]",
        "load.steps=6",
        "rves.cell.geometry.resolution=4",
        "materials.composite.retrain.explore=100",
        "surrogates.plastic.training.epochs=30",
    ),
    "plate_hole_j2": ("mesh.divisions=[2, 2]", "load.steps=6", "rves.cell.geometry.resolution=4"),
    "beam_3d": ("mesh.divisions=[3, 1, 1]", "load.steps=2", "mesh.degree=1", "rves.cell.geometry.resolution=2"),
    "heat_fin": ("mesh.divisions=[5, 2]",),
    "bar_polycrystal": ("mesh.divisions=[2, 2]", "rves.cell.geometry.resolution=6"),
    "block_voids": ("mesh.divisions=[2, 2]", "load.steps=1", "rves.cell.geometry.resolution=6", "rves.cell.degree=1"),
    "cube_grains": ("mesh.divisions=[1, 1, 3]", "rves.cell.geometry.resolution=4"),
    "panel_ellipse": ("mesh.divisions=[2, 2]", "rves.cell.geometry.resolution=5", "rves.cell.degree=1"),
    "plate_crosses": ("mesh.divisions=[2, 2]",),
    "strip_random": ("mesh.divisions=[2, 2]", "load.steps=1", "rves.cell.geometry.resolution=8"),
    "tow_hexagonal": ("mesh.divisions=[2, 2]", "load.steps=1", "rves.cell.geometry.resolution=4"),
    "wall_voxels": ("mesh.divisions=[2, 2]",),
}
CASES = sorted(path.stem for path in (ROOT / "cases").glob("*.yaml"))


def numbers(run: Path) -> dict[str, np.ndarray]:
    """Probes, reactions and the columns of the history that are not times."""
    tables = {}
    for name in ("probes", "reactions", "history"):
        with (run / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                for column, value in row.items():
                    if not column.startswith("t_") and column not in ("wall_time", "audit_error"):
                        tables.setdefault(f"{name}.{column}", []).append(float(value))
    return {name: np.array(values) for name, values in tables.items()}


@pytest.mark.parametrize("case", CASES)
def test_same_numbers_on_one_two_and_three_ranks(case: str, run_ranks: RunRanks, tmp_path: Path) -> None:
    sets = [part for value in (*TIGHT, *SMALLER.get(case, ())) for part in ("--set", value)]
    runs = []
    for n in (1, 2, 3):
        out = tmp_path / f"{n}"
        run_ranks(n, "solver", "run", ROOT / "cases" / f"{case}.yaml", "--out", out, *sets, timeout=300.0)
        runs.append(numbers(out))
    scales = {name: np.abs(values).max() for name, values in runs[0].items()}
    largest = {
        table: max(s for name, s in scales.items() if name.startswith(table)) for table in ("probes", "reactions")
    }
    for other in runs[1:]:
        assert other.keys() == runs[0].keys()
        for name, values in runs[0].items():
            # A component that vanishes by symmetry is judged by the largest one of its table.
            scale = largest.get(name.split(".")[0], 1.0)
            assert np.abs(other[name] - values).max() <= 1e-9 * scale, name
