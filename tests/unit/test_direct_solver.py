"""`solver.cell.direct_solver`: the same answer from every library, and a clear refusal of one that is not there."""

import json
from pathlib import Path

import numpy as np
import pytest

import solver.cells
from materials.measures import FloatArray
from solver.cli import BAD_INPUT, DONE, execute

CELL = """
physics: small_strain
dimension: 2
rve:
  geometry: {generator: laminate, fraction: 0.5, normal: y, resolution: 4}
  element: quadrilateral
  phases:
    soft: {law: j2, E: 1000, nu: 0.3, yield_stress: 5, hardening: 20}
    hard: {law: elastic, E: 3000, nu: 0.2}
path:
  strain: [[[1.0e-2, 0], [0, -2.0e-3]]]
solver: {cell: {direct_solver: NAME}}
"""


def case_with(folder: Path, name: str) -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(CELL.replace("NAME", name), encoding="utf-8")
    return path


def tangent(folder: Path, name: str) -> FloatArray:
    out = folder / f"{name}.json"
    assert execute(["homogenize", str(case_with(folder, name)), "--out", str(out)]) == DONE
    return np.array(json.loads(out.read_text(encoding="utf-8"))["steps"][-1]["tangent"])


def test_every_library_gives_the_same_tangent(tmp_path: Path) -> None:
    auto = tangent(tmp_path, "auto")
    for name in ("cholmod", "mumps"):
        assert np.abs(tangent(tmp_path, name) - auto).max() < 1e-9 * np.abs(auto).max()


def test_a_library_that_petsc_lacks_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(solver.cells, "is_available", lambda name: name in ("auto", "mumps"))
    path = case_with(tmp_path, "mkl_pardiso")
    assert execute(["homogenize", str(path)]) == BAD_INPUT
    assert capsys.readouterr().err.strip() == (
        f"{path}:12: solver.cell.direct_solver: PETSc has been built without mkl_pardiso on this machine; "
        "it has auto, mumps"
    )
