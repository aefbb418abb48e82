"""`fe2 sample`: the answers of the cell, the same on any number of ranks and after any interruption."""

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from materials.measures import Measure, Physics
from solver.case.loading import parse_case
from solver.case.schema import case_schema
from solver.cli import BAD_INPUT, DONE, NOT_CONVERGED, execute
from solver.sampled_cells import path_kinds
from solver.sampled_range import covering_range
from solver.sampling_journal import JournalFolder, PathResult
from surrogates.dataset import Dataset
from surrogates.paths import KINDS

ROOT = Path(__file__).parents[2]
CASE = """\
title: a laminate to learn
physics: {physics}
dimension: 2
mesh: {{generator: rectangle, divisions: [1, 1], element: quadrilateral}}
regions: {{all: layers}}
boundary_conditions:
  - {{boundary: left, {held}, constant: true}}
load: {{steps: 1}}
materials: {{layers: {{type: rve, rve: cell}}}}
rves:
  cell:
    geometry: {{generator: laminate, fraction: 0.3, normal: x, resolution: 3}}
    element: quadrilateral
    phases:
      stiff: {{law: {stiff}}}
      soft: {{law: {soft}}}
surrogates:
  net: {{rve: cell, family: ann, sampling: {{{sampling}}}}}
"""
PLASTIC = {
    "physics": "small_strain",
    "held": "displacement: [0, 0]",
    "stiff": "elastic, E: 1000, nu: 0.2",
    "soft": "j2, E: 100, nu: 0.3, yield_stress: 1, hardening: 10",
    "sampling": "paths: 9, steps: 4, range: 0.02",
}
RUBBER = {
    "physics": "finite_strain",
    "held": "displacement: [0, 0]",
    "stiff": "neo_hookean, E: 1000, nu: 0.3",
    "soft": "neo_hookean, E: 10, nu: 0.3",
    "sampling": "paths: 7, steps: 3, range: 0.3",
}
METAL = {
    "physics": "heat",
    "held": "temperature: 0",
    "stiff": "conductive, k: 3",
    "soft": "conductive, k: 1",
    "sampling": "paths: 6, steps: 2, range: 5.0",
}
EVERY = pytest.mark.parametrize("values", [PLASTIC, RUBBER, METAL], ids=lambda values: values["physics"])


def write_case(folder: Path, values: dict[str, str], name: str = "case.yaml") -> Path:
    path = folder / name
    path.write_text(CASE.format(**values), encoding="utf-8")
    return path


def sample(case: Path, out: Path, *changes: str) -> int:
    overrides = [word for change in changes for word in ("--set", change)]
    return execute(["sample", str(case), "--out", str(out), *overrides])


@EVERY
def test_states_are_those_of_homogenize(values: dict[str, str], tmp_path: Path) -> None:
    case = write_case(tmp_path, values)
    assert sample(case, tmp_path / "data.h5") == DONE
    dataset = Dataset.read(tmp_path / "data.h5")
    measure = dataset.measure
    read = parse_case(case.read_text(encoding="utf-8"), case)
    section = read.surrogates["net"].sampling
    assert (dataset.n_paths, dataset.n_states) == (section.paths, section.paths * section.steps)
    rve = read.model_dump(mode="json", exclude_none=True)["rves"]["cell"]
    for number in range(dataset.n_paths):
        chosen = dataset.path == number
        states = measure.to_tensor(dataset.gradient[chosen]).tolist()
        cell = {"physics": values["physics"], "dimension": 2, "rve": rve, "path": {measure.gradient_name: states}}
        (tmp_path / "cell.yaml").write_text(json.dumps(cell), encoding="utf-8")
        assert execute(["homogenize", str(tmp_path / "cell.yaml"), "--out", str(tmp_path / "out.json")]) == DONE
        steps = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))["steps"]
        flux, tangent = measure.user_flux(dataset.flux[chosen]), measure.tangent_to_tensor(dataset.tangent[chosen])
        for i, step in enumerate(steps):
            scale = np.abs(step["tangent"]).max()
            np.testing.assert_allclose(tangent[i], step["tangent"], rtol=0, atol=1e-11 * scale)
            np.testing.assert_allclose(flux[i], step[measure.flux_name], rtol=0, atol=1e-12 * scale)


def test_what_a_dataset_knows(tmp_path: Path) -> None:
    case = write_case(tmp_path, PLASTIC)
    assert sample(case, tmp_path / "data.h5", "surrogates.net.sampling.seed=4") == DONE
    dataset = Dataset.read(tmp_path / "data.h5")
    assert dataset.descriptors["volume_fraction_stiff"] == pytest.approx(0.3)
    known = dataset.provenance
    assert known["seed"] == 4
    assert known["title"] == "a laminate to learn"
    assert known["identity"]["rve"]["phases"]["soft"]["yield_stress"] == 1.0
    assert known["identity"]["sampling"]["kind"] == ["proportional", "random_walk", "cyclic"]
    assert len(known["cell_hash"]) == len(known["case_hash"]) == 64
    assert {"fe2", "dolfinx", "numpy"} <= set(known["versions"])
    assert known["date"].endswith("+00:00")
    assert not list(tmp_path.glob("*.parts"))
    assert dataset.tangent_at_rest is not None
    # the elastic steps of the dataset have the tangent of the cell at rest
    distances = np.abs(dataset.tangent - dataset.tangent_at_rest).max(axis=(1, 2))
    assert distances.max() > 1.0

    assert sample(case, tmp_path / "other.h5", "surrogates.net.sampling.seed=5", "load.steps=2") == DONE
    other = Dataset.read(tmp_path / "other.h5")
    assert other.provenance["cell_hash"] == known["cell_hash"]
    assert other.provenance["case_hash"] != known["case_hash"]
    assert other.fingerprint != dataset.fingerprint
    changed = "rves.cell.geometry.fraction=0.31"
    assert sample(case, tmp_path / "third.h5", "surrogates.net.sampling.seed=4", changed) == DONE
    assert Dataset.read(tmp_path / "third.h5").provenance["cell_hash"] != known["cell_hash"]


@pytest.mark.parametrize("values", [PLASTIC, RUBBER], ids=lambda values: values["physics"])
def test_one_and_three_ranks_write_the_same_numbers(
    values: dict[str, str], run_ranks: Callable[..., str], tmp_path: Path
) -> None:
    case = write_case(tmp_path, values)
    assert sample(case, tmp_path / "one.h5") == DONE
    said = run_ranks(3, "solver", "sample", case, "--out", tmp_path / "three.h5")
    one, three = Dataset.read(tmp_path / "one.h5"), Dataset.read(tmp_path / "three.h5")
    for name in ("gradient", "flux", "tangent", "dt", "path", "step", "tangent_at_rest"):
        assert getattr(one, name).tobytes() == getattr(three, name).tobytes()
    assert one.split == three.split
    assert one.provenance["identity"] == three.provenance["identity"]
    assert said.count("Written: ") == 1
    assert said.count(f"{one.n_paths} of {one.n_paths} paths") == 1


def test_more_ranks_than_paths(run_ranks: Callable[..., str], tmp_path: Path) -> None:
    case = write_case(tmp_path, METAL)
    run_ranks(3, "solver", "sample", case, "--out", tmp_path / "data.h5", "--set", "surrogates.net.sampling.paths=1")
    assert Dataset.read(tmp_path / "data.h5").n_states == 2


def test_a_killed_sampling_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    case = write_case(tmp_path, RUBBER | {"sampling": "paths: 300, steps: 3, range: 0.2"})
    out = tmp_path / "data.h5"
    command = [sys.executable, "-m", "solver", "sample", str(case), "--out", str(out)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert "30 of 300 paths" in process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=60)
    process.stdout.close()
    assert not out.exists()

    folder = JournalFolder(out)
    (journal,) = folder.path.glob("*.journal")
    kept = len(list(folder.results()))
    assert 30 <= kept < 300
    journal.write_bytes(journal.read_bytes()[:-100])  # as if the kill had come while it wrote
    assert len(list(folder.results())) == kept - 1

    assert sample(case, out) == DONE
    assert capsys.readouterr().out.splitlines()[0] == f"{kept - 1} of 300 paths were finished before"
    assert not folder.path.exists()
    assert sample(case, tmp_path / "whole.h5") == DONE
    resumed, whole = Dataset.read(out), Dataset.read(tmp_path / "whole.h5")
    assert resumed.fingerprint == whole.fingerprint


def begin(case: Path, out: Path, numbers: range) -> None:
    """A sampling that was interrupted after some paths, whose answers are marked."""
    assert sample(case, out) == DONE
    dataset = Dataset.read(out)
    out.unlink()
    folder = JournalFolder(out)
    folder.create(dict(dataset.provenance["identity"]) | {"versions": dataset.provenance["versions"]})
    with folder.journal(0, 0) as journal:
        for number in numbers:
            chosen = dataset.path == number
            marked = 1e3 + dataset.flux[chosen]
            journal.add(PathResult(number, marked, dataset.tangent[chosen], 1.0, ""))


def test_finished_paths_are_not_solved_again(run_ranks: Callable[..., str], tmp_path: Path) -> None:
    case, out = write_case(tmp_path, PLASTIC), tmp_path / "data.h5"
    begin(case, out, range(2, 5))
    said = run_ranks(2, "solver", "sample", case, "--out", out)
    assert "9 of 9 paths" in said
    dataset = Dataset.read(out)
    marked = dataset.flux.min(axis=1) > 500
    np.testing.assert_array_equal(marked, (dataset.path >= 2) & (dataset.path < 5))


def test_a_finished_dataset_is_not_made_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    case, out = write_case(tmp_path, METAL), tmp_path / "data.h5"
    assert sample(case, out) == DONE
    before = out.read_bytes()
    capsys.readouterr()
    assert sample(case, out) == DONE
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"{out} is complete already, nothing to do"
    assert said[1].startswith("12 states on 6 paths: ")
    assert out.read_bytes() == before


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("surrogates.net.sampling.paths=10", "sampling.paths is 10, was 9"),
        ("surrogates.net.sampling.kind=cyclic", "sampling.kind is ['cyclic'], was"),
        ("rves.cell.phases.soft.E=90", "rve.phases.soft.E is 90.0, was 100.0"),
        ("rves.cell.geometry.fraction=0.4", "rve.geometry.fraction is 0.4, was 0.3"),
        ("solver.cell.tolerance=1e-8", "solver.cell.tolerance is 1e-08, was 1e-10"),
    ],
)
def test_a_changed_recipe_is_refused(
    change: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case, out = write_case(tmp_path, PLASTIC), tmp_path / "data.h5"
    begin(case, out, range(3))
    capsys.readouterr()
    assert sample(case, out, change) == BAD_INPUT
    (said,) = capsys.readouterr().err.splitlines()
    assert words in said
    assert "remove the folder" in said
    assert sample(case, out) == DONE
    capsys.readouterr()
    assert sample(case, out, change) == BAD_INPUT
    (said,) = capsys.readouterr().err.splitlines()
    assert words in said
    assert "choose another name for --out" in said
    assert sample(case, out, "load.steps=3", "surrogates.net.network={hidden: [8]}") == DONE  # nothing to do with it


def test_failing_paths_are_kept_up_to_the_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    case, out = write_case(tmp_path, RUBBER), tmp_path / "data.h5"
    hard = ("surrogates.net.sampling.range=20.0", "surrogates.net.sampling.paths=12", "solver.cell.max_iterations=5")
    assert sample(case, out, *hard) == DONE
    said = capsys.readouterr().out
    dataset = Dataset.read(out)
    failures = dataset.provenance["failures"]
    assert 0 < len(failures) <= 12
    assert f"{len(failures)} ended early" in said
    assert failures[0]["reason"] in said
    for failure in failures:
        assert failure["reason"].startswith(f"step {failure['step']} of the path: ")
        assert np.count_nonzero(dataset.path == failure["path"]) == failure["step"] - 1
    complete = set(range(12)) - {failure["path"] for failure in failures}
    for number in complete:
        assert np.count_nonzero(dataset.path == number) == 3
    assert len(dataset.split) == 12


def test_no_state_at_all_is_not_converged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    case, out = write_case(tmp_path, RUBBER), tmp_path / "data.h5"
    hopeless = ("surrogates.net.sampling.range=9.0", "surrogates.net.sampling.steps=1", "solver.cell.max_iterations=1")
    assert sample(case, out, *hopeless) == NOT_CONVERGED
    (said,) = capsys.readouterr().err.splitlines()
    assert "no state of any path has an equilibrium; path " in said
    assert list(tmp_path.iterdir()) == [case]


def test_recipes_to_choose_from(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = CASE.format(**METAL)
    case, out = tmp_path / "case.yaml", tmp_path / "data.h5"

    def refused(*arguments: str) -> str:
        assert execute(["sample", str(case), "--out", str(out), *arguments]) == BAD_INPUT
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"{case}:")
        return line

    case.write_text(text[: text.index("surrogates:")], encoding="utf-8")
    assert "surrogates: the case has no recipe, add one" in refused()
    fine = "  fine: {rve: cell, family: ann, sampling: {paths: 3, steps: 1, range: 1.0}}\n"
    case.write_text(text + fine, encoding="utf-8")
    assert "the case has the recipes net, fine; choose one with --surrogate" in refused()
    assert "unknown recipe 'fin'; did you mean 'fine'? known: net, fine" in refused("--surrogate", "fin")
    assert execute(["sample", str(case), "--out", str(out), "--surrogate", "fine", "--quiet"]) == DONE
    assert capsys.readouterr().out == ""
    assert Dataset.read(out).n_states == 3


def test_where_to_write(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    case = write_case(tmp_path, METAL)
    assert sample(case, tmp_path / "no" / "data.h5") == BAD_INPUT
    assert "the folder" in capsys.readouterr().err
    assert sample(case, tmp_path) == BAD_INPUT
    assert "is a folder" in capsys.readouterr().err
    precious = tmp_path / "thesis.tex"
    precious.write_text("42", encoding="utf-8")
    assert sample(case, precious) == BAD_INPUT
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith(f"{precious}: is not a dataset")
    assert precious.read_text(encoding="utf-8") == "42"
    (tmp_path / "data.h5.parts").mkdir()
    (tmp_path / "data.h5.parts" / "letter.txt").write_text("dear", encoding="utf-8")
    assert sample(case, tmp_path / "data.h5") == BAD_INPUT
    assert (tmp_path / "data.h5.parts" / "letter.txt").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("range=0", "surrogates.net.sampling.range: must be greater than 0"),
        ("kind=zigzag", "surrogates.net.sampling.kind: must be proportional, random_walk, cyclic or space_filling"),
        ("split=[0.5, 0.2, 0.2]", "surrogates.net.sampling.split: the fractions sum up to 0.9, make it 1"),
        ("split=[0, 0.5, 0.5]", "surrogates.net.sampling.split: nothing is left for training"),
        ("split=[0.5, 0.5]", "surrogates.net.sampling.split"),
    ],
)
def test_mistakes_in_recipes(change: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    case = write_case(tmp_path, METAL)
    assert sample(case, tmp_path / "data.h5", f"surrogates.net.sampling.{change}") == BAD_INPUT
    (said,) = capsys.readouterr().err.splitlines()
    assert words in said


@pytest.mark.parametrize(
    ("values", "kinds"),
    [
        (PLASTIC, ("proportional", "random_walk", "cyclic")),
        (PLASTIC | {"soft": "elastic, E: 1, nu: 0"}, ("proportional",)),
        (RUBBER, ("space_filling",)),
        (METAL, ("proportional",)),
    ],
)
def test_kinds_by_physics_and_cell(values: dict[str, str], kinds: tuple[str, ...]) -> None:
    case = parse_case(CASE.format(**values), "case.yaml")
    assert path_kinds(case, case.surrogates["net"]) == kinds
    own: Any = parse_case(CASE.format(**values), "case.yaml", ["surrogates.net.sampling.kind=cyclic"])
    assert path_kinds(own, own.surrogates["net"]) == ("cyclic",)


def test_case_files_know_every_kind_of_path() -> None:
    kind = case_schema()["$defs"]["SamplingSection"]["properties"]["kind"]
    (choices,) = [member["enum"] for member in kind["anyOf"] if "enum" in member]
    assert choices == list(KINDS)
    assert set(KINDS) <= set(re.findall(r"^\| `(\w+)` \|", (ROOT / "docs" / "data.md").read_text(), re.MULTILINE))


def test_space_filling_data_differ_from_a_rotated_cell_only_by_the_rotation(tmp_path: Path) -> None:
    """Objectivity of the data: P(R U) = R P(U), and so U is all that a surrogate must see."""
    from mpi4py import MPI

    from rve.homogenize import homogenize
    from rve.material import RveMaterial
    from solver.build import build_cell_of

    case = write_case(tmp_path, RUBBER)
    assert sample(case, tmp_path / "data.h5") == DONE
    dataset = Dataset.read(tmp_path / "data.h5")
    assert dataset.measure.physics is Physics.FINITE_STRAIN
    read = parse_case(case.read_text(encoding="utf-8"), case)
    material = RveMaterial(build_cell_of(read, "cell", MPI.COMM_SELF))
    c, s = np.cos(0.7), np.sin(0.7)
    rotation, measure = np.array([[c, -s], [s, c]]), dataset.measure
    last = dataset.step == 3
    for gradient, flux in zip(dataset.gradient[last], dataset.flux[last], strict=True):
        turned = measure.to_vector(rotation @ measure.to_tensor(gradient))
        (step,) = homogenize(material, turned[np.newaxis])
        expected = rotation @ measure.to_tensor(flux)
        np.testing.assert_allclose(measure.to_tensor(step.flux), expected, atol=1e-9 * np.abs(expected).max())


def test_the_cell_hash_does_not_depend_on_numbering() -> None:
    from mpi4py import MPI

    from solver.build import build_cell_of
    from solver.fingerprints import cell_hash

    case = parse_case(CASE.format(**PLASTIC), "case.yaml")
    cell = build_cell_of(case, "cell", MPI.COMM_SELF)
    mesh, tags = cell.mesh.mesh, cell.mesh.cell_tags
    order = np.random.default_rng(0).permutation(len(tags.values))

    class Geometry:
        x = mesh.geometry.x + 1e-13
        dofmap = mesh.geometry.dofmap[order][:, ::-1]

    class Renumbered:
        geometry = Geometry

    class Tags:
        indices = np.arange(len(order))
        values = np.empty(len(order))

    Tags.values[tags.indices] = tags.values
    Tags.values = Tags.values[order]
    same = dataclasses.replace(cell, mesh=cell.mesh._replace(mesh=Renumbered, cell_tags=Tags))
    assert cell_hash(case, "cell", same) == cell_hash(case, "cell", cell)
    Tags.values = Tags.values[::-1]
    assert cell_hash(case, "cell", same) != cell_hash(case, "cell", cell)


LAWS = {
    "small_strain": "elastic, E: 100, nu: 0.3",
    "finite_strain": "neo_hookean, E: 100, nu: 0.3",
    "heat": "conductive, k: 2",
}


@pytest.mark.parametrize(
    ("values", "move", "expected"),
    [
        (PLASTIC, "displacement: [0.013, 0]", 0.0143),
        (RUBBER, "displacement: [0.2, 0]", 0.22),
        (RUBBER, "displacement: [-0.6, 0]", 0.6875),  # stretch 0.4 = 1 / (4 · 0.625)
        (METAL, "temperature: -3", 3.3),
    ],
    ids=["small", "tension", "compression", "heat"],
)
def test_range_from_a_run(
    values: dict[str, str], move: str, expected: float, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    physics = values["physics"]
    sides = f"  - {{boundary: right, {move}}}\nload:"
    if physics != "heat":  # a strip that cannot widen: F is diagonal and uniform
        sides = "  - {boundary: top, displacement: [null, 0]}\n" + sides
        sides = "  - {boundary: bottom, displacement: [null, 0]}\n" + sides
        values = values | {"held": "displacement: [0, null]"}
    case = tmp_path / "case.yaml"
    case.write_text(CASE.format(**values).replace("load:", sides, 1), encoding="utf-8")
    cheap = f"materials.layers={{type: law, law: {LAWS[physics]}}}"
    run = tmp_path / "cheap"
    assert execute(["run", str(case), "--out", str(run), "--quiet", "--set", cheap, "--set", "load.steps=8"]) == DONE
    out = tmp_path / "data.h5"
    assert execute(["sample", str(case), "--out", str(out), "--range-from", str(run)]) == DONE
    found = Dataset.read(out).provenance["identity"]["sampling"]["range"]
    assert expected * (1 - 1e-9) <= found <= 1.1 * expected
    assert float(f"{found:.1e}") == found

    other = RUBBER if physics == "heat" else METAL
    write_case(tmp_path, other, "other.yaml")
    capsys.readouterr()
    wrong = ["sample", str(tmp_path / "other.yaml"), "--out", str(tmp_path / "no.h5"), "--range-from", str(run)]
    assert execute(wrong) == BAD_INPUT
    (said,) = capsys.readouterr().err.splitlines()
    assert "its fields do not include the" in said


def test_range_of_a_rotation_is_that_of_its_stretch() -> None:
    rotation = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    turned = (rotation @ np.diag([1.1, 0.95, 1.0])).reshape(1, 9)
    assert covering_range(turned, Measure(Physics.FINITE_STRAIN, 2)) == pytest.approx(0.1)


def test_range_from_something_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    case = write_case(tmp_path, METAL)
    arguments = ["sample", str(case), "--out", str(tmp_path / "data.h5"), "--range-from"]
    assert execute([*arguments, str(tmp_path)]) == BAD_INPUT
    assert "is not a run directory" in capsys.readouterr().err
    (tmp_path / "run.json").write_text("{}", encoding="utf-8")
    assert execute([*arguments, str(tmp_path)]) == BAD_INPUT
    assert "fields.h5: cannot be read" in capsys.readouterr().err
    assert not (tmp_path / "data.h5").exists()
