"""Cases that learn: what is refused at once, what the plan says, where a run keeps what it learned."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from solver.cli import BAD_INPUT, DONE, execute
from surrogates.dataset import Dataset
from surrogates.store import read_model, write_model

CASE = """\
physics: small_strain
dimension: 2
mesh: {generator: rectangle, size: [2, 1], divisions: [4, 4], element: quadrilateral, degree: 1}
regions: {all: composite}
boundary_conditions:
  - {boundary: left, displacement: [0, 0]}
  - {boundary: right, displacement: [0.02, 0.01]}
load: {end: 1.0, steps: 3}
materials:
  composite:
    type: adaptive
    rve: cell
    surrogate: net
    trust: {tolerance: 0.05, confidence: 0.8}
    retrain: {samples: 20, explore: 100}
    audit: {fraction: 0.2}
rves:
  cell:
    geometry: {generator: laminate, fraction: 0.4, normal: x, resolution: 2}
    element: quadrilateral
    phases:
      soft: {law: elastic, E: 100, nu: 0.3}
      stiff: {law: elastic, E: 300, nu: 0.25}
  other:
    geometry: {generator: laminate, fraction: 0.5, normal: y, resolution: 2}
    element: quadrilateral
    phases:
      soft: {law: elastic, E: 100, nu: 0.3}
      stiff: {law: elastic, E: 300, nu: 0.25}
surrogates:
  net: {rve: cell, family: gp, sampling: {paths: 20, steps: 3, range: 0.03}}
output: {fields: [displacement, kind, trust], reactions: [left]}
"""
J2 = "rves.cell.phases.soft={law: j2, E: 100, nu: 0.3, yield_stress: 1, hardening: 5}"


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that has learned, beside its case."""
    folder = tmp_path_factory.mktemp("learned")
    (folder / "case.yaml").write_text(CASE, encoding="utf-8")
    assert execute(["run", str(folder / "case.yaml"), "--out", str(folder / "run")]) == DONE
    return folder


def complaint(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> str:
    assert execute(arguments) == BAD_INPUT
    (line,) = capsys.readouterr().err.splitlines()
    return line


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("materials.composite.surrogate=nat", "unknown recipe 'nat'; did you mean 'net'"),
        ("materials.composite.rve=cel", "unknown cell 'cel'; did you mean 'cell'"),
        ("materials.composite.rve=other", "the recipe net is for the cell cell, the material has other"),
        ("materials.composite.trust.measure=ensemble", "set `ensemble` in surrogates.net"),
        ("materials.composite.trust.measure=size", "materials.composite.trust.measure"),
        ("materials.composite.trust.confidence=1", "must be less than 1"),
        ("materials.composite.trust.tolerance=-1", "must be at least 0"),
        ("materials.composite.retrain.reach=1", "must be greater than 1"),
        ("materials.composite.audit.fraction=2", "must be at most 1"),
        ("materials.composite.mode=offline", "materials.composite.mode"),
        ("materials.composite.trusts={}", "did you mean `trust`"),
        ("materials.composite.model=nowhere", "`fe2 train` makes one"),
        (J2, "family gp is for reversible response, but j2 of phase soft remembers"),
        ("surrogates.net.sampling.descriptors={fraction: [0.2, 0.4]}", "samples many cells"),
        ("output.fields=[trusts]", "did you mean 'trust'"),
    ],
)
def test_mistakes_are_told_in_one_line(
    change: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "case.yaml").write_text(CASE, encoding="utf-8")
    assert words in complaint(capsys, ["check", str(tmp_path / "case.yaml"), "--set", change])


def test_variance_is_for_processes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "case.yaml").write_text(CASE.replace("family: gp", "family: ann"), encoding="utf-8")
    change = ["--set", "materials.composite.trust.measure=variance"]
    assert "that is for family gp, or use distance" in complaint(
        capsys, ["check", str(tmp_path / "case.yaml"), *change]
    )


@pytest.mark.parametrize("command", [["check"], ["run", "--quiet", "--out", "elsewhere"]])
def test_a_model_must_know_where_it_is_trusted_as_the_case_asks(
    command: list[str],
    learned: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    model = learned / "run/models/composite/v001"
    arguments = [command[0], str(learned / "case.yaml"), *command[1:]]
    given = [*arguments, "--set", f"materials.composite.model={model}"]
    told = complaint(capsys, [*given, "--set", "materials.composite.trust.tolerance=0.01"])
    assert "calibrated otherwise (by distance, tolerance 0.05, confidence 0.8)" in told
    write_model(tmp_path / "bare", dataclasses.replace(read_model(model), trust=None, calibration=None))
    told = complaint(capsys, [*arguments, "--set", f"materials.composite.model={tmp_path / 'bare'}"])
    assert "no calibrated trust; train it again" in told


def test_the_plan_is_an_upper_bound(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "case.yaml").write_text(CASE, encoding="utf-8")
    assert execute(["check", str(tmp_path / "case.yaml")]) == DONE
    told = capsys.readouterr().out
    assert f"{64 * 3 * 4}  at most, 4 per point and increment, as if nothing were learned" in told
    assert "with an RVE at all points" in told
    assert "surrogate net where it is trusted" in told
    plain = ["--set", "materials.composite={type: rve, rve: cell}", "--set", "output={}"]
    assert execute(["check", str(tmp_path / "case.yaml"), *plain]) == DONE
    assert "at most" not in capsys.readouterr().out


def test_what_was_learned_is_in_the_folder_and_starts_another_run(
    learned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = learned / "run"
    record = json.loads((run / "run.json").read_text(encoding="utf-8"))["learning"]["composite"]
    assert Dataset.read(run / "data/composite.h5").n_states == record["states"]
    versions = [f"v{entry['version']:03d}" for entry in record["versions"]]
    assert sorted(path.name for path in (run / "models/composite").glob("v0*")) == versions
    start = [f"materials.composite.model={run}/models/composite/{versions[-1]}"]
    start += [f"materials.composite.data={run}/data/composite.h5"]
    arguments = [word for change in start for word in ("--set", change)]
    assert execute(["run", str(learned / "case.yaml"), "--out", str(tmp_path / "warm"), *arguments]) == DONE
    first = (tmp_path / "warm/history.csv").read_text(encoding="utf-8").splitlines()[1].split(",")
    assert int(first[7]) > 0.8 * int(first[5])  # the surrogate answers at most points from the first increment on
    reactions = [np.loadtxt(path / "reactions.csv", delimiter=",", skiprows=1) for path in (run, tmp_path / "warm")]
    np.testing.assert_allclose(reactions[1], reactions[0], atol=2e-3 * np.abs(reactions[0]).max())
    capsys.readouterr()
    for change in start:
        told = complaint(capsys, ["run", str(learned / "case.yaml"), "--out", str(run), "--quiet", "--set", change])
        assert "choose another --out" in told


def test_a_run_tells_what_it_learns(learned: Path) -> None:
    log = (learned / "run/log.txt").read_text(encoding="utf-8")
    for words in (
        "a surrogate is trained on",
        "version 1: a network trained anew",
        "audit of version 1",
        "% RVE points",
    ):
        assert words in log


def test_a_fresh_run_keeps_nothing_of_an_earlier_one(learned: Path, tmp_path: Path) -> None:
    out = tmp_path / "again"
    case = [str(learned / "case.yaml"), "--out", str(out), "--quiet"]
    assert execute(["run", *case]) == DONE
    (out / "models/own").mkdir()
    (out / "data/own.h5").write_text("mine", encoding="utf-8")
    assert execute(["run", *case, "--set", "materials.composite={type: rve, rve: cell}", "--set", "output={}"]) == DONE
    assert [path.name for path in (out / "models").iterdir()] == ["own"]
    assert [path.name for path in (out / "data").iterdir()] == ["own.h5"]


def test_a_run_is_repeated_until_nothing_is_beyond_trust(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The paths of the recipe end at a tenth of the strains of the run."""
    (tmp_path / "case.yaml").write_text(CASE.replace("range: 0.03", "range: 0.003"), encoding="utf-8")
    case, out = str(tmp_path / "case.yaml"), tmp_path / "out"
    arguments = ["run", case, "--out", str(out), "--set", "materials.composite.mode=iterate"]
    assert execute(arguments) == DONE
    assert capsys.readouterr().out.count("Done: ") == 1
    record = json.loads((out / "run.json").read_text(encoding="utf-8"))
    assert 2 <= record["pass"] <= 10
    assert len(record["learning"]["composite"]["versions"]) == record["pass"]
    log = (out / "log.txt").read_text(encoding="utf-8")
    assert "pass 1 ends with" in log
    assert f"pass {record['pass']} ends with no point beyond trust" in log
    history = np.genfromtxt(out / "history.csv", delimiter=",", names=True)
    assert (history["n_unseen"] == 0).all()
    assert (history["n_surrogate"] == history["n_points"]).all()
    exact = ["--set", "materials.composite={type: rve, rve: cell}", "--set", "output.fields=[displacement]"]
    assert execute(["run", case, "--out", str(tmp_path / "exact"), *exact]) == DONE
    reactions = [np.loadtxt(path / "reactions.csv", delimiter=",", skiprows=1) for path in (out, tmp_path / "exact")]
    np.testing.assert_allclose(reactions[0], reactions[1], atol=1e-3 * np.abs(reactions[1]).max())
    capsys.readouterr()
    assert "run it without --restart" in complaint(capsys, [*arguments, "--quiet", "--restart"])


def test_repetitions_end_with_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "case.yaml").write_text(CASE.replace("range: 0.03", "range: 0.003"), encoding="utf-8")
    changes = ["--set", "materials.composite.mode=iterate", "--set", "materials.composite.passes=1"]
    assert execute(["run", str(tmp_path / "case.yaml"), "--out", str(tmp_path / "out"), *changes]) == DONE
    assert "after 1 passes there are still" in capsys.readouterr().out
