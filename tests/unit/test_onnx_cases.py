"""ONNX files in cases: `fe2 export`, `{type: surrogate, onnx: …}`, and what is said of files that do not fit."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from materials.law_material import LawMaterial
from materials.laws import LAWS
from materials.measures import Measure, Physics
from solver.cli import BAD_INPUT, DONE, execute
from surrogates.families.ann import DirectNetwork
from surrogates.family import Network, Samples
from surrogates.store import Model, training_range, write_model

pytest.importorskip("onnx")
ROOT = Path(__file__).parents[2]
MEASURE = Measure(Physics.FINITE_STRAIN, 2)
CASE = """\
title: Strip
physics: finite_strain
dimension: 2
mesh: {generator: rectangle, size: [2, 1], divisions: [3, 2], element: triangle, degree: 2}
regions: {all: composite}
boundary_conditions:
  - {boundary: left, displacement: [0, 0]}
  - {boundary: right, displacement: [0.2, null]}
load: {steps: 2}
materials:
  composite: {type: surrogate, model: model}
output:
  probes: [{name: end, point: [2, 0.5], field: displacement}]
"""
CELL = """\
rves:
  cell:
    geometry: {generator: laminate, fraction: 0.4, normal: x, resolution: 2}
    element: quadrilateral
    phases:
      soft: {law: neo_hookean, E: 100, nu: 0.3}
      stiff: {law: neo_hookean, E: 300, nu: 0.3}
"""
ONNX = "materials.composite={type: surrogate, onnx: net.onnx}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A case, a model and its ONNX file."""
    law = LawMaterial(LAWS["neo_hookean"](E=100.0, nu=0.3), MEASURE)
    law.bind(np.arange(60))
    gradient = MEASURE.rest + np.random.default_rng(0).uniform(-0.2, 0.2, (60, 4))
    learned = Samples(gradient, *law.evaluate(gradient, 1.0)[:2])
    network = DirectNetwork.untrained(MEASURE, Network(hidden=(6,)), learned, 0)
    information = {"data": {"cell": {"phases": "of another laminate"}}}
    write_model(tmp_path / "model", Model(network, *training_range(MEASURE, gradient), information))
    (tmp_path / "strip.yaml").write_text(CASE, encoding="utf-8")
    assert execute(["export", str(tmp_path / "model"), "--onnx", str(tmp_path / "net.onnx")]) == DONE
    return tmp_path


def run(folder: Path, name: str, *overrides: str) -> tuple[dict[str, float], dict[str, float], dict[str, object]]:
    """Where the strip ends, the last row of the history, and the statistics."""
    words = [word for override in overrides for word in ("--set", override)]
    assert execute(["run", str(folder / "strip.yaml"), "--out", str(folder / name), "--quiet", *words]) == DONE
    return read(folder / name)


def read(directory: Path) -> tuple[dict[str, float], dict[str, float], dict[str, object]]:
    tables = []
    for table in ("probes.csv", "history.csv"):
        with (directory / table).open(encoding="utf-8") as file:
            last = list(csv.DictReader(file))[-1]
        tables.append({key: float(value) for key, value in last.items() if value})
    record = json.loads((directory / "run.json").read_text(encoding="utf-8"))
    return tables[0], tables[1], record["statistics"]["composite"]


def test_the_run_is_that_of_the_model_folder(folder: Path) -> None:
    end, history, statistics = run(folder, "model_run")
    assert end["end_y"] != 0.0
    for number, override in enumerate((ONNX, ONNX.replace("}", ", tangent: tangent, range: 0.3}"))):
        found, found_history, found_statistics = run(folder, f"onnx_run_{number}", override)
        assert found == pytest.approx(end, rel=1e-9, abs=1e-12)
        assert found_history["newton_iterations"] == history["newton_iterations"]
        assert found_history["n_surrogate"] == history["n_surrogate"]
        assert found_statistics["accepted_states"] == statistics["accepted_states"]  # type: ignore[index]
    resolved = (folder / "onnx_run_0" / "case.yaml").read_text(encoding="utf-8")
    assert str(folder / "net.onnx") in resolved


@pytest.mark.mpi
def test_two_ranks_give_the_same(folder: Path) -> None:
    end, _, _ = run(folder, "one", ONNX)
    command = ["mpirun", "-n", "2", sys.executable, "-m", "solver", "run", str(folder / "strip.yaml"), "--quiet"]
    subprocess.run([*command, "--out", str(folder / "two"), "--set", ONNX], cwd=ROOT, check=True, timeout=120)
    assert read(folder / "two")[0] == pytest.approx(end, rel=1e-9, abs=1e-12)


def test_check_names_the_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["check", str(folder / "strip.yaml"), "--set", ONNX]) == DONE
    assert "net.onnx" in capsys.readouterr().out


def test_a_model_of_another_cell_is_counted(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    _, _, statistics = run(folder, "without")
    assert "accepted_of_another_cell" not in statistics
    with (folder / "strip.yaml").open("a", encoding="utf-8") as file:
        file.write(CELL)
    _, _, statistics = run(folder, "with")
    assert statistics["accepted_of_another_cell"] == statistics["accepted_states"]
    assert "trained for another cell" in (folder / "with" / "log.txt").read_text(encoding="utf-8") + caplog.text


def complaint(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    assert execute(list(arguments)) == BAD_INPUT
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    return captured.err


@pytest.mark.parametrize(
    ("material", "expected"),
    [
        ("{type: surrogate}", "materials.composite: needs the key `model`, a model folder, or `onnx`, an ONNX file"),
        ("{type: surrogate, model: model, onnx: net.onnx}", "materials.composite.onnx: `model` and `onnx` exclude"),
        ("{type: surrogate, model: model, tangent: t}", "materials.composite.tangent: is for ONNX files"),
        ("{type: surrogate, onnx: other.onnx}", "materials.composite.onnx: "),
        ("{type: surrogate, onnx: net.onnx, input: {packing: voigt}, tangent: slope}", "has no output 'slope'"),
        ("{type: surrogate, onnx: net.onnx, input: {measure: strain}}", "strain is no input for finite_strain"),
        ("{type: surrogate, onnx: net.onnx, input: {packing: full}}", "materials.composite.input.packing"),
        ("{type: surrogate, onnx: net.onnx, input: {measure: green_lagrange_strain, packing: voigt}}", "name"),
    ],
)
def test_what_does_not_fit_is_said_in_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], material: str, expected: str
) -> None:
    arguments = ["run", str(folder / "strip.yaml"), "--out", str(folder / "out"), "--quiet"]
    assert expected in complaint(capsys, *arguments, "--set", f"materials.composite={material}")


def test_an_export_that_cannot_be_made_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no such folder" in complaint(capsys, "export", str(folder / "none"), "--onnx", str(folder / "a.onnx"))
    text = complaint(capsys, "export", str(folder / "model"), "--onnx", str(folder / "nowhere" / "a.onnx"))
    assert "--onnx must name a file" in text
