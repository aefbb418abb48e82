"""Cells with `method: fft` in case files: what they answer, and what is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from solver.case.loading import load_case
from solver.case.resolved import dump_yaml, resolved
from solver.cli import BAD_INPUT, DONE, execute

CELL = """
physics: small_strain
dimension: 2
rve:
  geometry: {generator: voxels, file: labels.npy, size: [1, 2]}
  element: quadrilateral
  method: fft
  phases:
    matrix: {law: j2, E: 1000, nu: 0.3, yield_stress: 5, hardening: 20}
    fibre: {law: elastic, E: 10000, nu: 0.2}
path:
  strain: [[[4.0e-3, 1.0e-3], [1.0e-3, 0]], [[1.0e-2, 0], [0, -2.0e-3]], [[8.0e-3, 0], [0, -2.0e-3]]]
"""

PLATE = """
physics: small_strain
dimension: 2
mesh: {generator: rectangle, size: [2, 1], divisions: [2, 1], element: quadrilateral}
regions: {all: plate}
boundary_conditions:
  - {boundary: left, displacement: [0, 0]}
  - {boundary: right, displacement: [0.02, null]}
load: {steps: 2}
materials: {plate: {type: rve, rve: cell}}
rves:
  cell:
    geometry: {generator: laminate, fraction: 0.5, normal: y, resolution: 4}
    element: quadrilateral
    method: fft
    phases:
      soft: {law: j2, E: 1000, nu: 0.3, yield_stress: 5, hardening: 20}
      hard: {law: elastic, E: 3000, nu: 0.2}
output: {fields: [stress, von_mises], reactions: [left], localize: [{point: [1.9, 0.1]}]}
"""


def write(folder: Path, text: str, *replaced: tuple[str, str]) -> Path:
    np.save(folder / "labels.npy", np.random.default_rng(0).integers(0, 2, (5, 6)))
    for old, new in replaced:
        assert old in text
        text = text.replace(old, new)
    path = folder / "case.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def homogenized(folder: Path, *replaced: tuple[str, str]) -> dict[str, Any]:
    out = folder / "cell.json"
    assert execute(["homogenize", str(write(folder, CELL, *replaced)), "--out", str(out)]) == DONE
    found: dict[str, Any] = json.loads(out.read_text())
    return found


def test_full_integration_gives_the_json_of_finite_elements(tmp_path: Path) -> None:
    fft = homogenized(tmp_path, ("method: fft", "method: fft\n  integration: full"))
    fem = homogenized(tmp_path, ("method: fft", "formulation: standard"))
    assert fft["volume"] == pytest.approx(fem["volume"])
    assert fft["descriptors"]["volume_fraction_fibre"] == pytest.approx(fem["descriptors"]["volume_fraction_fibre"])
    for mine, other in zip(fft["steps"], fem["steps"], strict=True):
        for key in ("stress", "stress_33", "tangent"):
            scale = np.abs(other[key]).max()
            np.testing.assert_allclose(mine[key], other[key], rtol=0, atol=1e-8 * scale)


def test_a_cell_without_a_mesh_has_a_picture(tmp_path: Path) -> None:
    picture = tmp_path / "cell.png"
    arguments = [str(write(tmp_path, CELL)), "--out", str(tmp_path / "cell.json"), "--picture", str(picture)]
    assert execute(["homogenize", *arguments]) == DONE
    assert picture.stat().st_size > 1000


def test_a_run_gives_the_reactions_of_finite_elements(tmp_path: Path) -> None:
    # One layer of voxels has uniform fields, for which one point is as good as four.
    reactions = []
    for method in ("fft", "fem"):
        case = write(tmp_path, PLATE, ("method: fft", f"method: {method}"))
        assert execute(["run", str(case), "--out", str(tmp_path / method), "--quiet"]) == DONE
        reactions.append(np.genfromtxt(tmp_path / method / "reactions.csv", delimiter=",", names=True))
        assert any((tmp_path / method / "localization").iterdir())
    assert reactions[0].dtype.names == reactions[1].dtype.names
    for name in reactions[0].dtype.names or ():
        np.testing.assert_allclose(reactions[0][name], reactions[1][name], rtol=1e-7, atol=1e-7)


def test_the_plan_names_the_method(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["check", str(write(tmp_path, PLATE))]) == DONE
    assert "RVE cell, fft" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("old", "new", "key", "said"),
    [
        ("method: fft", "method: fft\n    boundary: linear", "boundary", "use periodic, or method fem"),
        ("method: fft", "method: fft\n    degree: 2", "degree", "the elements of method fft are voxels"),
        ("method: fft", "method: fft\n    formulation: bbar", "formulation", "does not lock"),
        ("method: fft", "method: fft\n    quadrature_degree: 2", "quadrature_degree", "integration"),
        ("method: fft", "method: fem\n    device: cuda", "device", "is for method fft"),
        ("method: fft", "method: fem\n    integration: full", "integration", "is for method fft"),
        ("method: fft", "method: fourier", "method", "fft"),
        ("element: quadrilateral\n    method", "element: triangle\n    method", "element", "use quadrilateral"),
        (
            "fraction: 0.5",
            "fraction: 0.3",
            "geometry",
            "a grid of 4 voxels across the layers cannot have",
        ),
        (
            "soft: {law: j2, E: 1000, nu: 0.3, yield_stress: 5, hardening: 20}",
            "soft: {law: damage, E: 1000, nu: 0.2, threshold: 1.0e-3, failure: 0.1}",
            "phases.soft.law",
            "not symmetric",
        ),
        (
            "{generator: laminate, fraction: 0.5, normal: y, resolution: 4}",
            "{generator: hexagonal, volume_fraction: 0.5, resolution: 4}",
            "geometry",
            "use the generator voxels or laminate, or method fem",
        ),
    ],
)
def test_what_does_not_go_with_the_method_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, key: str, said: str
) -> None:
    case = write(tmp_path, PLATE, (old, new))
    assert execute(["check", str(case)]) == BAD_INPUT
    (line,) = capsys.readouterr().err.splitlines()
    assert f"rves.cell.{key}: " in line
    assert said in line
    assert line.startswith(f"{case}:")


def test_a_device_that_is_not_there_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    case = write(tmp_path, PLATE, ("method: fft", "method: fft\n    device: cuda"))
    assert execute(["check", str(case)]) == BAD_INPUT
    (line,) = capsys.readouterr().err.splitlines()
    assert "rves.cell.device: torch finds no CUDA device on this machine; use cpu" in line


def test_the_resolved_case_says_the_method_and_runs_again(tmp_path: Path) -> None:
    case = load_case(write(tmp_path, PLATE))
    again = tmp_path / "again.yaml"
    again.write_text(dump_yaml(case), encoding="utf-8")
    cell = resolved(load_case(again))["rves"]["cell"]
    assert (cell["method"], cell["integration"], cell["device"]) == ("fft", "reduced", "cpu")
    assert cell == resolved(case)["rves"]["cell"]


def test_a_cell_of_finite_elements_is_described_as_before(tmp_path: Path) -> None:
    """Datasets and models that are older than the key belong to the same cell."""
    case = load_case(write(tmp_path, PLATE, ("    method: fft\n", "")))
    assert resolved(case)["rves"]["cell"].keys().isdisjoint({"method", "integration", "device"})
