"""The commands: exit codes, what they write, what they print, how fast they answer."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from solver.cli import BAD_INPUT, DONE, INTERRUPTED, NOT_CONVERGED, execute

ROOT = Path(__file__).parents[2]
LAMINATE = """\
physics: {physics}
dimension: 2
rve:
  geometry: {{generator: laminate, fraction: 0.25, normal: x}}
  element: quadrilateral
  phases:
    stiff: {{law: {law}}}
    soft: {{law: {soft}}}
path: {{{path}}}
"""


def fe2(*arguments: str, cwd: Path, ranks: int = 1) -> subprocess.CompletedProcess[str]:
    """`python -m solver` in a process of its own, under mpirun for more ranks than one."""
    command = [sys.executable, "-m", "solver", *arguments]
    if ranks > 1:
        command = ["mpirun", "-n", str(ranks), *command]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=240, check=False)


def test_help_answers_at_once(tmp_path: Path) -> None:
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        result = fe2("--help", cwd=tmp_path)
        seconds.append(time.perf_counter() - started)
        assert result.returncode == DONE
        for command in ("run", "check", "homogenize", "sample", "report", "schema", "new"):
            assert f"\n  {command} " in result.stdout
    assert min(seconds) < 1.0


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["--version"]) == DONE
    assert capsys.readouterr().out.startswith("fe2 ")


def test_no_command_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert execute([]) == DONE
    assert "homogenize" in capsys.readouterr().out


def test_bad_input_in_a_process_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "broken.yaml").write_text("physics: small_strain\ndimension: two\n", encoding="utf-8")
    result = fe2("run", "broken.yaml", cwd=tmp_path)
    assert result.returncode == BAD_INPUT
    assert result.stdout == ""
    assert result.stderr.splitlines() == ["broken.yaml:2: dimension: must be 2 or 3, not the text 'two'"]
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["broken.yaml"]


@pytest.mark.mpi
def test_bad_input_is_told_once_by_all_ranks(tmp_path: Path) -> None:
    (tmp_path / "broken.yaml").write_text("physics: small_strain\ndimension: two\n", encoding="utf-8")
    result = fe2("run", "broken.yaml", cwd=tmp_path, ranks=2)
    assert result.returncode == BAD_INPUT
    told = [line for line in result.stderr.splitlines() if "broken.yaml" in line]
    assert told == ["broken.yaml:2: dimension: must be 2 or 3, not the text 'two'"]
    assert "Traceback" not in result.stderr


@pytest.mark.mpi
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "a.yaml", "--fast"], "No such option"),
        (["report", "nowhere"], "no such folder"),
        (["new", "x/y"], "x/y"),
        (["homogenize", "thick.yaml"], "does not fit"),
    ],
    ids=["usage", "report", "new", "homogenize"],
)
def test_what_fails_on_one_rank_is_told_before_any_ends(arguments: list[str], words: str, tmp_path: Path) -> None:
    conductive, path = "conductive, k: 1", "temperature_gradient: [[1, 0]]"
    text = LAMINATE.format(physics="heat", law=conductive, soft=conductive, path=path)
    text = text.replace("laminate, fraction: 0.25, normal: x", "inclusion, volume_fraction: 0.9")
    text = text.replace("quadrilateral", "triangle")
    (tmp_path / "thick.yaml").write_text(text.replace("stiff", "matrix").replace("soft", "inclusion"), encoding="utf-8")
    result = fe2(*arguments, cwd=tmp_path, ranks=3)
    assert result.returncode == BAD_INPUT
    assert sum(words in line for line in result.stderr.splitlines()) == 1


def test_new_then_run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert execute(["new", "bracket"]) == DONE
    assert execute(["new", "bracket"]) == BAD_INPUT
    assert "exists already" in capsys.readouterr().err
    assert execute(["check", "bracket.yaml"]) == DONE
    assert execute(["run", "bracket.yaml", "--set", "load.steps=2", "--quiet"]) == DONE
    captured = capsys.readouterr()
    assert captured.err == ""
    run = json.loads((tmp_path / "runs" / "bracket" / "run.json").read_text(encoding="utf-8"))
    assert run["status"] == "done"
    assert run["progress"]["step"] == 2


def test_a_folder_that_is_no_run_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    execute(["new", "bracket"])
    precious = tmp_path / "thesis" / "chapter.tex"
    precious.parent.mkdir()
    precious.write_text("42", encoding="utf-8")
    capsys.readouterr()
    assert execute(["run", "bracket.yaml", "--out", "thesis"]) == BAD_INPUT
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert [entry.name for entry in precious.parent.iterdir()] == ["chapter.tex"]


def test_not_converged(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    execute(["new", "bracket"])
    changes = [
        "physics=finite_strain",
        "materials.composite={type: law, law: neo_hookean, E: 100, nu: 0.3}",
        "rves={}",
        "output={}",
        "boundary_conditions.1.displacement=[-8, null]",  # pushes the right side through the left one
        "load={steps: 1, adaptive: {min_step: 0.5}}",
    ]
    arguments = ["run", "bracket.yaml", "--quiet", "--out", "run"]
    for change in changes:
        arguments += ["--set", change]
    capsys.readouterr()
    assert execute(arguments) == NOT_CONVERGED
    said = capsys.readouterr().err
    assert "step 1" in said
    assert "Traceback" not in said
    assert json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))["status"] == "failed"


def test_interrupted(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("solver.case.schema.case_schema", interrupt)
    assert execute(["schema"]) == INTERRUPTED
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Traceback" not in captured.err


def test_plan_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    execute(["new", "bracket"])
    capsys.readouterr()
    assert execute(["check", "bracket.yaml", "--set", "load.adaptive.max_step=0.1"]) == DONE
    said = capsys.readouterr().out
    rows = {line[:24].strip(): line[24:].split() for line in said.splitlines()[1:7]}
    assert rows["macro elements"][0] == "16"
    assert rows["macro dofs"][0] == "54"
    assert rows["integration points"][0] == "64"
    assert rows["increments"][0] == "10"
    assert rows["RVE solves"][0] == f"{64 * 10 * 4:,}"


@pytest.mark.parametrize("command", [["check", "bracket.yaml"], ["run", "bracket.yaml", "--quiet"]])
def test_probe_outside_the_mesh(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    execute(["new", "bracket"])
    capsys.readouterr()
    assert execute([*command, "--set", "output.probes.0.point=[9, 9]"]) == BAD_INPUT
    (line,) = capsys.readouterr().err.splitlines()
    assert "output.probes.0" in line
    assert "outside" in line


def test_homogenize_conduction(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Conductivities 4 and 1, fractions 1/4 and 3/4: harmonic mean across the layers, arithmetic mean along them."""
    file = tmp_path / "cell.yaml"
    text = LAMINATE.format(
        physics="heat", law="conductive, k: 4", soft="conductive, k: 1", path="temperature_gradient: [[1, 0], [0, 2]]"
    )
    file.write_text(text, encoding="utf-8")
    out = tmp_path / "cell.json"
    assert execute(["homogenize", str(file), "--out", str(out)]) == DONE
    said = capsys.readouterr().out
    assert "  stiff  volume fraction 0.25\n" in said
    assert said.endswith(f"Written: {out}\n")
    result = json.loads(out.read_text(encoding="utf-8"))
    across, along = 1 / (0.25 / 4 + 0.75 / 1), 0.25 * 4 + 0.75 * 1
    assert result["volume"] == pytest.approx(1.0)
    assert result["descriptors"]["volume_fraction_stiff"] == pytest.approx(0.25)
    first, second = result["steps"]
    assert first["temperature_gradient"] == [1.0, 0.0]
    np.testing.assert_allclose(first["heat_flux"], [-across, 0.0], atol=1e-12)
    np.testing.assert_allclose(second["heat_flux"], [0.0, -2 * along], atol=1e-12)
    np.testing.assert_allclose(first["tangent"], [[across, 0.0], [0.0, along]], atol=1e-12)


def test_homogenize_prints_without_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One phase twice: σ = λ tr ε 1 + 2μ ε, with σ33 = λ tr ε in plane strain."""
    file = tmp_path / "cell.yaml"
    law = "elastic, E: 1.0, nu: 0.25"  # λ = μ = 0.4
    text = LAMINATE.format(
        physics="small_strain", law=law, soft=law, path="strain: [[[1.0e-3, 5.0e-4], [5.0e-4, -3.0e-3]]]"
    )
    file.write_text(text, encoding="utf-8")
    assert execute(["homogenize", str(file)]) == DONE
    (step,) = json.loads(capsys.readouterr().out)["steps"]
    strain = np.array(step["strain"])
    np.testing.assert_allclose(step["stress"], 0.4 * np.trace(strain) * np.eye(2) + 0.8 * strain, atol=1e-15)
    assert step["stress_33"] == pytest.approx(0.4 * np.trace(strain))
    tangent = np.array(step["tangent"])
    assert tangent.shape == (2, 2, 2, 2)
    assert tangent[0, 1, 0, 1] == pytest.approx(0.4)


def test_homogenize_keeps_the_steps_before_a_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "cell.yaml"
    law = "neo_hookean, E: 1.0, nu: 0.25"
    text = LAMINATE.format(
        physics="finite_strain",
        law=law,
        soft="neo_hookean, E: 1.0e-9, nu: 0.0",
        path="deformation_gradient: [[[1.01, 0], [0, 1]], [[0.05, 0], [0, 1]]]",
    )
    file.write_text(text, encoding="utf-8")
    out = tmp_path / "cell.json"
    code = execute(["homogenize", str(file), "--out", str(out), "--set", "solver.cell.max_iterations=4"])
    said = capsys.readouterr().err
    steps = json.loads(out.read_text(encoding="utf-8"))["steps"]
    assert code == NOT_CONVERGED
    assert said.startswith("step 2 of the path")
    assert len(steps) == 1


def test_schema_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["schema"]) == DONE
    assert json.loads(capsys.readouterr().out)["title"] == "fe2 case file"
