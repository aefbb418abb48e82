"""A run directory is the same whatever the number of ranks, and a restart may change that number."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

pytestmark = pytest.mark.slow

PROGRAM = Path(__file__).with_name("results_ranks.py")

CASE = """
physics: small_strain
dimension: 2
mesh: {generator: rectangle, size: [2, 1], divisions: [4, 2], element: triangle, degree: 2}
regions: {all: composite}
boundary_conditions:
  - {boundary: left, displacement: [0, 0]}
  - {boundary: right, displacement: [0.02, 0.01]}
load: {end: 1.0, steps: 3, factor: [[0, 0], [0.67, 1], [1, 0.5]]}
materials: {composite: {type: rve, rve: cell}}
rves:
  cell:
    geometry: {generator: laminate, fraction: 0.5, normal: x, resolution: 4}
    element: quadrilateral
    degree: 1
    boundary: periodic
    phases:
      a: {law: j2, E: 1000, nu: 0.3, yield_stress: 5, hardening: 50}
      b: {law: elastic, E: 5000, nu: 0.2}
solver: {macro: {residual_tolerance: 1.0e-12, correction_tolerance: 1.0e-10}, cell: {tolerance: 1.0e-13}}
output:
  # nodes that several cells, and on three ranks several ranks, share; and a stress probe on such a place
  probes: [{name: middle, point: [1, 0.5]}, {name: inner, point: [0.5, 0.5]}, {name: s, point: [1, 0.5], field: stress}]
  reactions: [left, right]
  localize: [{point: [1, 0.5]}, {point: [0.97, 0.3]}, {point: [0.52, 0.8], steps: [1, 3]}, {point: [1.48, 0.47]}]
"""


@pytest.fixture(scope="module")
def runs(run_ranks: Callable[..., str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Run directories by what was done: ranks, and where a run was stopped and taken up by other ranks."""
    folder = tmp_path_factory.mktemp("results")
    case = folder / "case.yaml"
    case.write_text(CASE)
    for n in (1, 2, 3):
        run_ranks(n, PROGRAM, case, folder / f"{n}", "whole", timeout=100.0)
    for first, second in ((1, 3), (3, 1)):
        out = folder / f"{first} then {second}"
        run_ranks(first, PROGRAM, case, out, "2", timeout=100.0)
        assert json.loads((out / "run.json").read_text())["status"] == "interrupted"
        run_ranks(second, PROGRAM, case, out, "restart", timeout=100.0)
    return {path.name: path for path in folder.iterdir() if path.is_dir()}


@pytest.mark.parametrize("how", ["2", "3", "1 then 3", "3 then 1"])
def test_tables_agree(runs: dict[str, Path], how: str) -> None:
    for name in ("probes.csv", "reactions.csv"):
        found, expected = read(runs[how] / name), read(runs["1"] / name)
        assert found.keys() == expected.keys()
        for column, values in expected.items():
            np.testing.assert_allclose(found[column], values, rtol=1e-9, atol=1e-9, err_msg=f"{name}: {column}")
    history, expected = read(runs[how] / "history.csv"), read(runs["1"] / "history.csv")
    for column in ("step", "time", "load_factor", "newton_iterations", "cutbacks", "n_points", "n_rve"):
        np.testing.assert_array_equal(history[column], expected[column])


@pytest.mark.parametrize("how", ["2", "3", "1 then 3", "3 then 1"])
@pytest.mark.parametrize(
    "name", ["fields", *(f"localization/point_{i}" for i in range(4)), "localization/largest_flux"]
)
def test_fields_agree_node_by_node_and_cell_by_cell(runs: dict[str, Path], how: str, name: str) -> None:
    with h5py.File(runs[how] / f"{name}.h5") as file, h5py.File(runs["1"] / f"{name}.h5") as reference:
        np.testing.assert_array_equal(file["mesh/cells"][()], reference["mesh/cells"][()])
        np.testing.assert_allclose(file["mesh/points"][()], reference["mesh/points"][()], atol=1e-14)
        assert file["mesh"].attrs["about"] == reference["mesh"].attrs["about"]
        assert list(file["steps"]) == list(reference["steps"])
        compared = 0
        for step in reference["steps"].values():
            for centre in ("node", "cell"):
                for field, values in step[centre].items():
                    found = file[step.name][centre][field][()]
                    np.testing.assert_allclose(found, values[()], rtol=1e-9, atol=1e-9, err_msg=field)
                    compared += 1
        assert compared >= 4


@pytest.mark.parametrize("how", ["1", "2", "3", "1 then 3", "3 then 1"])
def test_cells_are_drawn(runs: dict[str, Path], how: str) -> None:
    drawn = {path.name for path in (runs[how] / "localization").glob("*.png")}
    assert drawn == {"point_0.png", "point_1.png", "point_2_step_1.png", "point_2_step_3.png", "point_3.png"}
    with h5py.File(runs[how] / "localization/point_3.h5") as file:
        assert np.nanmax(file["steps/000002/cell/state_equivalent_plastic_strain"][()]) > 0.0


def test_the_run_was_demanding(runs: dict[str, Path]) -> None:
    assert read(runs["1"] / "history.csv")["newton_iterations"].max() >= 4
    assert np.abs(read(runs["1"] / "probes.csv")["middle_x"]).max() > 1e-3


def read(path: Path) -> dict[str, np.ndarray]:
    with path.open() as stream:
        rows = list(csv.DictReader(stream))
    return {name: np.array([float(row[name]) for row in rows]) for name in rows[0]}
