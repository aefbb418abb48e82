"""From a recipe to a run: `fe2 sample`, `fe2 train`, `fe2 evaluate`, and a surrogate as a material."""

import csv
import itertools
import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from ruamel.yaml import YAML

from solver.cli import BAD_INPUT, DONE, execute
from surrogates.dataset import Dataset
from surrogates.ensemble import Ensemble
from surrogates.families.gp import GaussianProcess
from surrogates.store import read_model

ROOT = Path(__file__).parents[2]

CASE = """\
title: Strip
physics: finite_strain
dimension: 2
mesh: {generator: rectangle, size: [2, 1], divisions: [4, 2], element: triangle, degree: 2}
regions: {all: composite}
boundary_conditions:
  - {boundary: left, displacement: [0, 0]}
  - {boundary: right, displacement: [0.2, null]}
load: {steps: 2}
materials:
  composite: {type: rve, rve: cell}
rves:
  cell:
    geometry: {generator: laminate, fraction: 0.4, normal: x, resolution: 2}
    element: quadrilateral
    phases:
      soft: {law: neo_hookean, E: 100, nu: 0.3}
      stiff: {law: neo_hookean, E: 300, nu: 0.3}
surrogates:
  net:
    rve: cell
    family: ann
    network: {hidden: [12, 12]}
    sampling: {paths: 40, steps: 4, range: 0.25}
    training: {epochs: 60}
output:
  probes: [{name: end, point: [2, 0.5], field: displacement}]
"""

CONTRACT = {"states", "flux_error", "tangent_error", "checks", "points_per_second"}


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a case, a dataset and a trained model."""
    folder = tmp_path_factory.mktemp("surrogates")
    (folder / "strip.yaml").write_text(CASE, encoding="utf-8")
    case = str(folder / "strip.yaml")
    assert execute(["sample", case, "--out", str(folder / "data.h5"), "--quiet"]) == DONE
    arguments = ["train", case, "--data", str(folder / "data.h5"), "--out", str(folder / "model"), "--quiet"]
    assert execute(arguments) == DONE
    return folder


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def run(folder: Path, out: Path, *overrides: str) -> list[dict[str, str]]:
    words = [word for override in overrides for word in ("--set", override)]
    assert execute(["run", str(folder / "strip.yaml"), "--out", str(out), "--quiet", *words]) == DONE
    return rows(out / "history.csv")


SURROGATE = "materials.composite={type: surrogate, model: model}"


def complaint(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    assert execute(list(arguments)) == BAD_INPUT
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    return captured.err


def test_the_card_says_what_the_model_is(workshop: Path) -> None:
    card = json.loads((workshop / "model" / "card.json").read_text(encoding="utf-8"))
    dataset = Dataset.read(workshop / "data.h5")
    assert card["data"]["sha256"] == dataset.fingerprint
    assert card["data"]["cell_hash"] == dataset.provenance["cell_hash"]
    assert card["data"]["states"]["train"] == dataset.states_of("train").sum()
    assert card["errors"]["flux_error"]["rms"] < 0.01
    assert card["errors"]["tangent_error"]["rms"] < 0.02
    assert card["checks"]["objectivity"] < 1e-12
    assert card["training"]["settings"]["epochs"] == 60
    assert {"fe2", "numpy"} <= set(card["versions"])
    assert card["created"][:2] == "20"


def test_trust_is_calibrated_on_the_validation_split(workshop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Too few states for 95 % confidence, which the case may lower where an adaptive material uses the recipe."""
    case, data, out = (str(workshop / name) for name in ("strip.yaml", "data.h5", "judged"))
    validation = Dataset.read(workshop / "data.h5").samples("validation")
    found = read_model(workshop / "model").calibration
    assert found is not None
    assert found.states == len(validation.gradient) < 59
    assert found.threshold == -np.inf
    adaptive = "{type: adaptive, rve: cell, surrogate: net, trust: {tolerance: 0.05, confidence: 0.8}}"
    train = ["train", case, "--data", data, "--out", out, "--set", f"materials.composite={adaptive}"]
    capsys.readouterr()
    assert execute([*train, "--set", "surrogates.net.training.epochs=20"]) == DONE
    assert "trusted up to a score of" in capsys.readouterr().out
    model = read_model(workshop / "judged")
    assert model.trust is not None
    assert model.calibration is not None
    assert model.calibration[1:3] == (0.05, 0.8)
    assert execute(["evaluate", out, "--data", data, "--out", str(workshop / "judged.json")]) == DONE
    report = json.loads((workshop / "judged.json").read_text(encoding="utf-8"))["trust"]
    test = Dataset.read(workshop / "data.h5").samples("test")
    scores = model.trust.scores(test.gradient, np.zeros((len(test.gradient), 0)))
    assert report["trusted"] == np.mean(scores <= model.calibration.threshold) > 0.5
    assert report["states"] == len(test.gradient)


def test_evaluate_writes_the_contract(workshop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = workshop / "result.json"
    capsys.readouterr()
    assert (
        execute(["evaluate", str(workshop / "model"), "--data", str(workshop / "data.h5"), "--out", str(out)]) == DONE
    )
    assert "flux error" in capsys.readouterr().out
    result = json.loads(out.read_text(encoding="utf-8"))
    assert set(result) >= CONTRACT
    assert result["split"] == "test"
    assert result["trained_on_this_dataset"]
    dataset = Dataset.read(workshop / "data.h5")
    samples = dataset.samples("test")
    assert result["states"] == len(samples.flux)
    flux, tangent = read_model(workshop / "model").family.evaluate(samples.gradient)
    rms = np.sqrt(np.sum((flux - samples.flux) ** 2) / np.sum(samples.flux**2))
    assert result["flux_error"]["rms"] == pytest.approx(rms, rel=1e-9)
    rms = np.sqrt(np.sum((tangent - samples.tangent) ** 2) / np.sum(samples.tangent**2))
    assert result["tangent_error"]["rms"] == pytest.approx(rms, rel=1e-9)
    assert np.sqrt(np.sum(np.square(result["flux_error"]["components"]))) == pytest.approx(
        result["flux_error"]["rms"], rel=1e-9
    )
    components = np.array(result["tangent_error"]["components"])
    assert components.shape == (2, 2, 2, 2)
    assert np.sqrt(np.sum(components**2)) == pytest.approx(result["tangent_error"]["rms"], rel=1e-9)
    assert result["errors_by_length"][-1]["length"] == max(entry["length"] for entry in result["errors_by_length"])
    assert result["attribution"]["residual"] < 1e-9
    for picture in (out.with_suffix(".png"), out.with_name("result-attribution.png")):
        assert picture.read_bytes()[:4] == b"\x89PNG"
        assert picture.stat().st_size > 15_000


def test_training_again_gives_the_same_weights(workshop: Path, tmp_path: Path) -> None:
    arguments = ["train", str(workshop / "strip.yaml"), "--data", str(workshop / "data.h5"), "--quiet"]
    few = ["--set", "surrogates.net.training.epochs=3"]
    for name in ("one", "two"):
        assert execute([*arguments, "--out", str(tmp_path / name), *few]) == DONE
    first, second = ((tmp_path / name / "weights.safetensors").read_bytes() for name in ("one", "two"))
    assert first == second


def test_progress_is_told_in_plain_lines(workshop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    arguments = ["train", str(workshop / "strip.yaml"), "--data", str(workshop / "data.h5")]
    few = ["--set", "surrogates.net.training.epochs=10"]
    assert execute([*arguments, "--out", str(tmp_path / "model"), *few]) == DONE
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("epoch    1 of at most 10  training ")
    assert lines[1].startswith("epoch   10 of at most 10")
    assert any(line.startswith("flux error on ") for line in lines)
    assert lines[-1] == f"Written: {tmp_path / 'model'}"


def test_warm_start(workshop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    case, data = str(workshop / "strip.yaml"), str(workshop / "data.h5")
    more = ["--set", "surrogates.net.training.from=model", "--set", "surrogates.net.training.epochs=1"]
    out = ["--out", str(tmp_path / "more"), "--quiet"]
    assert execute(["train", case, "--data", data, *out, *more]) == DONE
    first, second = (
        json.loads((folder / "card.json").read_text(encoding="utf-8"))["training"]["validation_loss"]
        for folder in (workshop / "model", tmp_path / "more")
    )
    assert second <= first * (1 + 1e-9)
    text = complaint(capsys, "train", case, "--data", data, *out, *more, "--set", "surrogates.net.network.hidden=[5]")
    assert "surrogates.net.training.from" in text
    assert "architecture" in text


def test_the_run_is_that_of_the_cells(workshop: Path, tmp_path: Path) -> None:
    history = run(workshop, tmp_path / "surrogate", SURROGATE)
    reference = run(workshop, tmp_path / "cells")
    for row, with_cells in zip(history, reference, strict=True):
        assert row["n_surrogate"] == row["n_points"] == with_cells["n_rve"]
        assert row["n_rve"] == "0"
        assert int(row["newton_iterations"]) <= int(with_cells["newton_iterations"]) + 1
    end, end_with_cells = (rows(tmp_path / name / "probes.csv")[-1] for name in ("surrogate", "cells"))
    assert float(end["end_y"]) == pytest.approx(float(end_with_cells["end_y"]), abs=2e-4)
    record = json.loads((tmp_path / "surrogate" / "run.json").read_text(encoding="utf-8"))
    points = int(history[0]["n_points"])
    assert record["statistics"]["composite"]["accepted_states"] == 2 * points
    with h5py.File(tmp_path / "surrogate" / "fields.h5") as file:
        names: list[str] = []
        file.visit(names.append)
    assert not any("von_mises" in name for name in names)
    assert execute(["report", str(tmp_path / "surrogate")]) == DONE


def test_newton_ends_quadratically(workshop: Path, tmp_path: Path) -> None:
    run(workshop, tmp_path / "out", SURROGATE, "load.steps=1")
    residuals = [float(row["residual"]) for row in rows(tmp_path / "out" / "iterations.csv")]
    assert residuals[-1] < 1e-8
    steep = [after / before**2 for before, after in itertools.pairwise(residuals) if after > 1e-12]
    assert max(steep[-2:]) < 50.0


def test_states_beyond_the_data_are_counted_and_warned_of(workshop: Path, tmp_path: Path) -> None:
    run(workshop, tmp_path / "out", SURROGATE, "boundary_conditions.1.displacement=[0.8, null]")
    record = json.loads((tmp_path / "out" / "run.json").read_text(encoding="utf-8"))
    assert record["statistics"]["composite"]["accepted_outside_training_range"] > 0
    log = (tmp_path / "out" / "log.txt").read_text(encoding="utf-8")
    assert log.count("outside the range it was trained for") == 1


@pytest.mark.mpi
def test_the_same_on_three_ranks(workshop: Path, tmp_path: Path) -> None:
    run(workshop, tmp_path / "one", SURROGATE)
    command = ["mpirun", "-n", "3", sys.executable, "-m", "solver", "run", str(workshop / "strip.yaml")]
    command += ["--out", str(tmp_path / "three"), "--quiet", "--set", SURROGATE]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == DONE, done.stderr
    one, three = (rows(tmp_path / name / "probes.csv")[-1] for name in ("one", "three"))
    for name, value in one.items():
        assert float(three[name]) == pytest.approx(float(value), rel=1e-9, abs=1e-12)


def test_check_knows_the_surrogate(workshop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert execute(["check", str(workshop / "strip.yaml"), "--set", SURROGATE]) == DONE
    assert "surrogate model, ann" in capsys.readouterr().out


WRONG_RECIPES = [
    ("surrogates.net.ensemble=0", "surrogates.net.ensemble: must be at least 1"),
    ("surrogates.net.training.from=nowhere", "nowhere: no such folder"),
    ("surrogates.net.training.freeze=1", "surrogates.net.training.freeze: there is no model to keep layers of"),
    ("surrogates.net.family=gp", "surrogates.net.network: family gp has no option hidden, it has kernel, states"),
    ("surrogates.net.training.epochs=0", "surrogates.net.training.epochs: must be at least 1"),
    ("surrogates.net.network.depth=3", "surrogates.net.network.depth: unknown key"),
    ("rves.cell.phases.stiff.E=301", "was sampled from another cell than rves.cell"),
]


@pytest.mark.parametrize(("override", "words"), WRONG_RECIPES, ids=[words for words, _ in WRONG_RECIPES])
def test_wrong_recipes(
    override: str, words: str, workshop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case, data = str(workshop / "strip.yaml"), str(workshop / "data.h5")
    text = complaint(capsys, "train", case, "--data", data, "--out", str(tmp_path / "m"), "--set", override)
    assert words in text
    assert "strip.yaml:" in text
    assert not (tmp_path / "m").exists()


def test_a_cell_that_remembers_is_refused(workshop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    metal = CASE.replace("finite_strain", "small_strain")
    metal = metal.replace("neo_hookean, E: 100, nu: 0.3", "j2, E: 100, nu: 0.3, yield_stress: 1, hardening: 5")
    metal = metal.replace("neo_hookean, E: 300", "elastic, E: 300")
    (tmp_path / "metal.yaml").write_text(metal, encoding="utf-8")
    arguments = ["--data", str(workshop / "data.h5"), "--out", str(tmp_path / "m")]
    text = complaint(capsys, "train", str(tmp_path / "metal.yaml"), *arguments)
    assert "surrogates.net.family: family ann is for reversible response, but j2 of phase soft remembers" in text


def test_a_gaussian_process_from_recipe_to_run(
    workshop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = CASE.replace("family: ann\n    network: {hidden: [12, 12]}", "family: gp")
    text = text.replace("    training: {epochs: 60}\n", "")
    (tmp_path / "strip.yaml").write_text(text, encoding="utf-8")
    arguments = ["train", str(tmp_path / "strip.yaml"), "--data", str(workshop / "data.h5")]
    capsys.readouterr()
    assert execute([*arguments, "--out", str(tmp_path / "model")]) == DONE
    assert capsys.readouterr().out.startswith("Fitted in ")
    card = json.loads((tmp_path / "model" / "card.json").read_text(encoding="utf-8"))
    assert card["family"] == "gp"
    assert card["architecture"] == {"kernel": "matern52", "sparse": False}
    assert card["errors"]["flux_error"]["rms"] < 0.03
    assert card["training"]["stopped"] == "fitted at once"
    family = read_model(tmp_path / "model").family
    assert isinstance(family, GaussianProcess)
    dataset = Dataset.read(workshop / "data.h5")
    known, unseen = (family.variance(dataset.samples(split).gradient) for split in ("train", "test"))
    assert np.sqrt(known.mean()) < 0.2 * np.sqrt(unseen.mean())
    history = run(tmp_path, tmp_path / "out", SURROGATE)
    assert all(int(row["newton_iterations"]) < 8 for row in history)
    for key in ("epochs=3", "from=model"):
        wrong = ["--out", str(tmp_path / "m"), "--set", f"surrogates.net.training.{key}"]
        name = key.split("=")[0]
        assert f"surrogates.net.training.{name}: family gp is fitted at once" in complaint(capsys, *arguments, *wrong)


def test_an_ensemble_from_recipe_to_run(workshop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    few = CASE.replace("family: ann", "family: ann\n    ensemble: 3").replace("epochs: 60", "epochs: 15")
    (tmp_path / "strip.yaml").write_text(few, encoding="utf-8")
    arguments = ["train", str(tmp_path / "strip.yaml"), "--data", str(workshop / "data.h5")]
    capsys.readouterr()
    assert execute([*arguments, "--out", str(tmp_path / "model")]) == DONE
    shown = capsys.readouterr().out
    assert "member 3 of 3  epoch " in shown
    assert "Trained 3 members" in shown
    card = json.loads((tmp_path / "model" / "card.json").read_text(encoding="utf-8"))
    assert card["family"] == "ensemble"
    assert card["architecture"] == {"family": "ann", "members": 3 * [{"hidden": [12, 12]}]}
    assert len({member["validation_loss"] for member in card["training"]["members"]}) == 3
    family = read_model(tmp_path / "model").family
    assert isinstance(family, Ensemble)
    gradient = Dataset.read(workshop / "data.h5").samples("train").gradient
    rest = family.measure.rest
    assert family.disagreement(gradient).mean() < 0.2 * family.disagreement(rest + 3.0 * (gradient - rest)).mean()
    history = run(tmp_path, tmp_path / "out", SURROGATE)
    assert all(int(row["newton_iterations"]) < 8 for row in history)
    again = [*arguments, "--out", str(tmp_path / "more"), "--quiet", "--set", "surrogates.net.training.from=model"]
    assert execute([*again, "--set", "surrogates.net.training.epochs=1"]) == DONE
    text = complaint(capsys, *again, "--set", "surrogates.net.ensemble=2")
    assert "surrogates.net.training.from: the model has the architecture" in text
    gp = ["--set", "surrogates.net={rve: cell, family: gp, ensemble: 2, sampling: {paths: 40, steps: 4, range: 0.25}}"]
    text = complaint(capsys, *arguments, "--out", str(tmp_path / "gp"), *gp)
    assert "surrogates.net.ensemble: family gp is fitted at once" in text


def test_wrong_files(workshop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    case, data, model = (str(workshop / name) for name in ("strip.yaml", "data.h5", "model"))
    out = ["--out", str(tmp_path / "m")]
    assert "no such file" in complaint(capsys, "train", case, "--data", "nowhere.h5", *out)
    assert "strip.yaml" in complaint(capsys, "train", case, "--data", case, *out)
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").touch()
    text = complaint(capsys, "train", case, "--data", data, "--out", str(tmp_path / "thesis"))
    assert "not a model" in text
    assert "no such folder" in complaint(capsys, "evaluate", "nowhere", "--data", data)
    assert "no such file" in complaint(capsys, "evaluate", model, "--data", "nowhere.h5")
    assert "--out must name a file" in complaint(capsys, "evaluate", model, "--data", data, "--out", str(tmp_path))
    assert complaint(capsys, "train", case, *out).startswith("fe2 train: Missing option '--data'")


def test_a_model_for_something_else(workshop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    heat = CASE.replace("finite_strain", "heat").replace("displacement: [0, 0]", "temperature: 0")
    heat = heat.replace("displacement: [0.2, null]", "temperature: 1").replace(
        "field: displacement", "field: temperature"
    )
    heat = heat.replace("neo_hookean, E: 100, nu: 0.3", "conductive, k: 1")
    heat = heat.replace("neo_hookean, E: 300, nu: 0.3", "conductive, k: 3")
    heat = heat.replace("{type: rve, rve: cell}", "{type: surrogate, model: model}")
    (tmp_path / "fin.yaml").write_text(heat, encoding="utf-8")
    shutil.copytree(workshop / "model", tmp_path / "model")
    text = complaint(capsys, "run", str(tmp_path / "fin.yaml"), "--out", str(tmp_path / "out"))
    assert "fin.yaml:11: materials.composite.model: the model is for finite_strain in dimension 2" in text
    text = complaint(
        capsys, "train", str(tmp_path / "fin.yaml"), "--data", str(workshop / "data.h5"), "--out", str(tmp_path / "m")
    )
    assert "fin.yaml:2: physics: the case is heat in dimension 2" in text


def test_a_damaged_model_in_a_case(workshop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "strip.yaml").write_text(CASE.replace("{type: rve, rve: cell}", "{type: surrogate, model: model}"))
    text = complaint(capsys, "check", str(tmp_path / "strip.yaml"))
    assert "strip.yaml:11: materials.composite.model: " in text
    assert "no such folder; `fe2 train` makes one" in text
    shutil.copytree(workshop / "model", tmp_path / "model")
    (tmp_path / "model" / "weights.safetensors").write_bytes(b"")
    text = complaint(capsys, "run", str(tmp_path / "strip.yaml"), "--out", str(tmp_path / "out"))
    assert "SHA-256" in text
    for field in ("von_mises", "stress_33"):
        text = complaint(capsys, "check", str(tmp_path / "strip.yaml"), "--set", f"output.fields=[{field}]")
        assert f"{field} needs the stress out of the plane" in text


@pytest.mark.slow
def test_the_commands_of_the_document_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """docs/surrogates.md as it is pasted, and the numbers that it claims."""
    text = (ROOT / "docs" / "surrogates.md").read_text(encoding="utf-8")
    commands = text.split("```sh\n")[1].split("```")[0].splitlines()
    assert [command.split()[1] for command in commands] == ["sample", "train", "evaluate", "run"]
    shutil.copytree(ROOT / "cases", tmp_path / "cases")
    monkeypatch.chdir(tmp_path)
    for command in commands:
        assert execute(shlex.split(command.replace("$PWD", str(tmp_path)))[1:]) == DONE, capsys.readouterr().err
    result = json.loads((tmp_path / "fibre.json").read_text(encoding="utf-8"))
    assert result["flux_error"]["rms"] < 0.0005
    assert result["tangent_error"]["rms"] < 0.002
    pinned = YAML(typ="safe").load((ROOT / "tests" / "cases" / "pinned.yaml").read_text(encoding="utf-8"))["cook_fibre"]
    tip = rows(tmp_path / "runs" / "surrogate" / "probes.csv")[-1]
    for axis in ("x", "y"):
        assert float(tip[f"tip_{axis}"]) == pytest.approx(pinned[f"tip_{axis}"], rel=2e-4)
    record = json.loads((tmp_path / "runs" / "surrogate" / "run.json").read_text(encoding="utf-8"))
    assert record["statistics"]["composite"]["accepted_outside_training_range"] == 0
