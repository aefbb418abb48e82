"""A run of a few cells with a law, and everything it leaves behind."""

import csv
import io
import json
import logging
import signal
from pathlib import Path

import h5py
import numpy as np
import pytest
from mpi4py import MPI

from solver.build import build
from solver.case.case import Case
from solver.case.errors import BadInput
from solver.case.loading import load_case
from solver.driver import NotConverged
from solver.newton import Interrupted
from solver.records import IncrementRecord
from solver.results.history import COLUMNS
from solver.results.point_fields import PointFields
from solver.results.results import Results

CASE = """
title: Strip
physics: small_strain
dimension: 2
mesh: {generator: rectangle, size: [2, 1], divisions: [4, 2], element: quadrilateral, degree: 1}
regions: {all: metal}
boundary_conditions:
  - {boundary: left, displacement: [0, 0]}
  - {boundary: right, displacement: [0.02, null]}
load: {end: 2.0, steps: 4, factor: [[0, 0], [1, 1], [2, 0.2]]}
materials:
  metal: {type: law, law: j2, E: 1000, nu: 0.3, yield_stress: 5, hardening: 50}
output:
  probes: [{name: end, point: [2, 0.5]}, {name: mid, point: [1.0, 0.5], field: stress}]
  reactions: [left, right]
"""


def load(folder: Path, *overrides: str) -> Case:
    (folder / "strip.yaml").write_text(CASE)
    return load_case(folder / "strip.yaml", overrides)


def run(case: Case, out: Path, **options: object) -> Results:
    results = Results(case, MPI.COMM_SELF, out, stream=io.StringIO(), **options)
    with results.timing("build"):
        driver = build(case, MPI.COMM_SELF)
    results.run(driver)
    return results


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as stream:
        return list(csv.DictReader(stream))


def numbers(path: Path) -> np.ndarray:
    return np.array([[float(value) for value in row.values()] for row in rows(path)])


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    run(load(folder), folder / "out")
    return folder / "out"


def test_the_directory_holds_what_the_contract_names(finished):
    names = {path.relative_to(finished).as_posix() for path in finished.rglob("*") if path.is_file()}
    expected = {"case.yaml", "run.json", "history.csv", "iterations.csv", "probes.csv", "reactions.csv", "log.txt"}
    assert names == expected | {"fields.xdmf", "fields.h5", "checkpoint/restart.h5"}


def test_history_has_the_columns_of_the_contract_and_a_row_per_increment(finished):
    history = rows(finished / "history.csv")
    assert tuple(history[0]) == COLUMNS
    assert [row["step"] for row in history] == ["1", "2", "3", "4"]
    assert [float(row["time"]) for row in history] == pytest.approx([0.5, 1.0, 1.5, 2.0])
    assert [float(row["load_factor"]) for row in history] == pytest.approx([0.5, 1.0, 0.6, 0.2])
    assert {row["n_points"] for row in history} == {"32"}


def test_iterations_end_within_the_tolerance(finished):
    iterations = rows(finished / "iterations.csv")
    for row in rows(finished / "history.csv"):
        of_step = [it for it in iterations if it["step"] == row["step"]]
        assert len(of_step) == int(row["newton_iterations"])
        assert float(of_step[-1]["residual"]) < 1e-8


def test_run_json_tells_status_versions_and_times(finished):
    record = json.loads((finished / "run.json").read_text())
    assert record["status"] == "done"
    assert record["progress"]["time"] == 2.0
    assert record["ranks"] == 1
    assert {"fe2", "dolfinx", "petsc", "numpy", "numba"} <= set(record["versions"])
    assert {"build", "macro", "micro", "output"} <= set(record["timings"])
    history = numbers(finished / "history.csv")
    assert record["progress"]["newton_iterations"] == history[:, COLUMNS.index("newton_iterations")].sum()
    assert record["timings"]["macro"] == pytest.approx(history[:, COLUMNS.index("t_macro")].sum(), abs=2e-3)


def test_the_resolved_case_runs_again_to_the_same_answer(finished, tmp_path):
    run(load_case(finished / "case.yaml"), tmp_path / "again")
    for name in ("probes.csv", "reactions.csv"):
        np.testing.assert_allclose(numbers(tmp_path / "again" / name), numbers(finished / name), rtol=1e-12, atol=1e-12)


def test_probes_see_the_prescribed_displacement_and_the_stress(finished):
    probes = rows(finished / "probes.csv")
    assert list(probes[0]) == ["step", "time", "end_x", "end_y", *(f"mid_{c}" for c in ("xx", "xy", "yx", "yy"))]
    assert [float(row["end_x"]) for row in probes] == pytest.approx([0.01, 0.02, 0.012, 0.004])
    for row in probes:
        assert float(row["mid_xy"]) == pytest.approx(float(row["mid_yx"]))


def test_reactions_balance(finished):
    reactions = rows(finished / "reactions.csv")
    assert list(reactions[0]) == ["step", "time", "left_x", "left_y", "right_x", "right_y"]
    for row in reactions:
        assert float(row["left_x"]) == pytest.approx(-float(row["right_x"]), rel=1e-7)
        assert abs(float(row["left_x"])) > 1.0


def test_fields_agree_with_reactions_and_probes(finished):
    """The stress averaged over the strip times its height is the force at its ends."""
    force = numbers(finished / "reactions.csv")[:, 4]
    with h5py.File(finished / "fields.h5") as file:
        assert [int(group.attrs["step"]) for group in file["steps"].values()] == [1, 2, 3, 4]
        for group, expected in zip(file["steps"].values(), force, strict=True):
            stress = group["cell/stress"][()].reshape(-1, 3, 3)
            assert stress[:, 0, 0].mean() == pytest.approx(expected, rel=1e-6)
            assert (np.abs(stress[:, 2, 2]) > 0).all()
        points = file["mesh/points"][()]
        displacement = file["steps/000002/node/displacement"][()]
        np.testing.assert_allclose(displacement[points[:, 0] == 2.0, 0], 0.02, atol=1e-14)
        assert displacement.shape == (15, 3)


@pytest.mark.parametrize("stop", [1, 3])
def test_a_restart_continues_to_the_same_answer(finished, tmp_path, stop):
    case = load(tmp_path)
    results = Results(case, MPI.COMM_SELF, tmp_path / "out", stream=io.StringIO())
    driver = build(case, MPI.COMM_SELF)
    stop_after(results, stop)
    with pytest.raises(Interrupted):
        results.run(driver)
    assert json.loads((tmp_path / "out/run.json").read_text())["status"] == "interrupted"
    assert len(rows(tmp_path / "out/history.csv")) == stop
    run(case, tmp_path / "out", restart=True)
    for name in ("probes.csv", "reactions.csv"):
        np.testing.assert_allclose(numbers(tmp_path / "out" / name), numbers(finished / name), rtol=1e-12, atol=1e-12)
    with h5py.File(tmp_path / "out/fields.h5") as file:
        assert list(file["steps"]) == ["000001", "000002", "000003", "000004"]
    record = json.loads((tmp_path / "out/run.json").read_text())
    assert record["status"] == "done"
    assert [restart["step"] for restart in record["restarts"]] == [stop]
    assert record["progress"]["newton_iterations"] == sum(
        int(row["newton_iterations"]) for row in rows(tmp_path / "out/history.csv")
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_the_run_with_a_restart_point(tmp_path, number):
    case = load(tmp_path, "output.checkpoint_every=0")
    results = Results(case, MPI.COMM_SELF, tmp_path / "out", stream=io.StringIO())
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    iterated = results.iterated

    def signalled(record):
        iterated(record)
        if record.step == 2 and record.iteration == 1:
            signal.raise_signal(number)

    results.iterated = signalled
    with pytest.raises(Interrupted):
        results.run(build(case, MPI.COMM_SELF))
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == handlers
    assert json.loads((tmp_path / "out/run.json").read_text())["progress"]["step"] == 1
    run(case, tmp_path / "out", restart=True)
    assert len(rows(tmp_path / "out/history.csv")) == 4


def test_rows_after_the_restart_point_are_dropped(tmp_path):
    """Killed two increments after the last restart point: the tables go back to it."""
    case = load(tmp_path, "output.checkpoint_every=2")
    results = Results(case, MPI.COMM_SELF, tmp_path / "out", stream=io.StringIO())
    driver = build(case, MPI.COMM_SELF)
    stop_after(results, 3, KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        results.run(driver)
    assert len(rows(tmp_path / "out/history.csv")) == 3
    assert json.loads((tmp_path / "out/run.json").read_text())["status"] == "failed"
    run(case, tmp_path / "out", restart=True)
    for name in ("history.csv", "probes.csv", "reactions.csv"):
        assert [row["step"] for row in rows(tmp_path / "out" / name)] == ["1", "2", "3", "4"]
    assert json.loads((tmp_path / "out/run.json").read_text())["restarts"][0]["step"] == 2


def test_a_changed_case_is_refused_and_a_changed_output_is_not(finished, tmp_path):
    case = load(tmp_path)
    results = Results(case, MPI.COMM_SELF, tmp_path / "out", stream=io.StringIO())
    stop_after(results, 2)
    with pytest.raises(Interrupted):
        results.run(build(case, MPI.COMM_SELF))
    with pytest.raises(BadInput, match=r"materials\.metal\.E: is 1001"):
        run(load(tmp_path, "materials.metal.E=1001"), tmp_path / "out", restart=True)
    changed = load(tmp_path, "output.every=4", "solver.macro.max_iterations=30", "title=Another")
    run(changed, tmp_path / "out", restart=True)
    np.testing.assert_allclose(
        numbers(tmp_path / "out/probes.csv"), numbers(finished / "probes.csv"), rtol=1e-9, atol=1e-9
    )


def test_a_run_that_fails_keeps_what_it_reached(tmp_path):
    overrides = (
        "solver.macro.max_iterations=1",
        "load.adaptive.min_step=0.4",
        "materials.metal.yield_stress=8",
        "output.every=100",
        "output.checkpoint_every=0",
    )
    case = load(tmp_path, *overrides)
    with pytest.raises(NotConverged):
        run(case, tmp_path / "out")
    record = json.loads((tmp_path / "out/run.json").read_text())
    assert record["status"] == "failed"
    assert record["message"].startswith("step ")
    assert len(rows(tmp_path / "out/history.csv")) == record["progress"]["step"] == 1
    with h5py.File(tmp_path / "out/fields.h5") as file:
        assert list(file["steps"]) == ["000001"]
    assert (tmp_path / "out/checkpoint/restart.h5").is_file()
    run(load(tmp_path, *overrides[1:]), tmp_path / "again")
    np.testing.assert_allclose(numbers(tmp_path / "out/probes.csv"), numbers(tmp_path / "again/probes.csv")[:1])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "output.probes.0.point=[2.5, 0.5]",
            r"output\.probes\.0\.point: the point \(2\.5, 0\.5\) lies outside.*\[0, 2\] × \[0, 1\]",
        ),
        ("output.reactions=[left, lft]", r"output\.reactions\.1: .*lft"),
    ],
)
def test_what_only_the_mesh_can_tell_is_bad_input_and_spares_earlier_results(tmp_path, override, message):
    run(load(tmp_path), tmp_path / "out")
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    with pytest.raises(BadInput, match=message):
        run(load(tmp_path, override), tmp_path / "out")
    after = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert after == before


def test_a_folder_with_other_things_is_not_touched(tmp_path):
    case = load(tmp_path)
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis/chapter.tex").write_text("precious")
    with pytest.raises(BadInput, match="not a run"):
        Results(case, MPI.COMM_SELF, tmp_path / "thesis")
    with pytest.raises(BadInput, match="is a file"):
        Results(case, MPI.COMM_SELF, tmp_path / "strip.yaml")
    with pytest.raises(BadInput, match="no restart point"):
        Results(case, MPI.COMM_SELF, tmp_path / "nothing", restart=True)


def test_a_new_run_in_an_old_directory_starts_clean(tmp_path):
    run(load(tmp_path), tmp_path / "out")
    (tmp_path / "out/report.html").write_text("old")
    run(load(tmp_path, "load.steps=2", "load.factor=[[0, 0], [1, 1], [2, 0.2]]"), tmp_path / "out")
    assert not (tmp_path / "out/report.html").exists()
    assert len(rows(tmp_path / "out/history.csv")) == 2
    with h5py.File(tmp_path / "out/fields.h5") as file:
        assert len(file["steps"]) == 2


def test_plain_lines_say_how_far_it_is_and_where_results_are(tmp_path):
    stream = io.StringIO()
    results = Results(load(tmp_path), MPI.COMM_SELF, tmp_path / "out", stream=stream)
    results.run(build(load(tmp_path), MPI.COMM_SELF))
    lines = stream.getvalue().splitlines()
    assert sum(line.startswith("increment ") for line in lines) == 4
    assert "\x1b" not in stream.getvalue()
    assert str(tmp_path / "out") in stream.getvalue()
    assert "fe2 report" in stream.getvalue()
    assert (tmp_path / "out/log.txt").read_text().count("increment ") == 4


def test_quiet_shows_nothing_and_logging_is_left_as_it_was(tmp_path):
    before = {name: (logging.getLogger(name).level, logging.getLogger(name).handlers[:]) for name in ("solver", "rve")}
    stream = io.StringIO()
    results = Results(load(tmp_path), MPI.COMM_SELF, tmp_path / "out", stream=stream, quiet=True)
    results.run(build(load(tmp_path), MPI.COMM_SELF))
    assert stream.getvalue() == ""
    after = {name: (logging.getLogger(name).level, logging.getLogger(name).handlers[:]) for name in ("solver", "rve")}
    assert after == before


def test_point_fields_complete_tensors_out_of_the_plane(tmp_path):
    case = load(tmp_path, "physics=finite_strain", "materials.metal={type: law, law: neo_hookean, E: 100, nu: 0.3}")
    driver = build(case, MPI.COMM_SELF)
    driver.run()
    problem = driver.problem
    fields = PointFields(problem)
    F, P, sigma = (fields.values(name) for name in ("deformation_gradient", "first_piola_kirchhoff", "stress"))
    assert (F[:, 2, 2] == 1.0).all()
    np.testing.assert_array_equal(P[:, 2, 2], problem.outputs["stress_33"])
    np.testing.assert_allclose(sigma, np.swapaxes(sigma, 1, 2), atol=1e-10)
    # σ = (μ (b − 1) + λ ln J 1) / J, the closed form of this material
    mu, lmbda = 100 / 2.6, 100 * 0.3 / (1.3 * 0.4)
    J = np.linalg.det(F)[:, None, None]
    expected = (mu * (F @ np.swapaxes(F, 1, 2) - np.eye(3)) + lmbda * np.log(J) * np.eye(3)) / J
    np.testing.assert_allclose(sigma, expected, atol=1e-10)


def stop_after(results: Results, step: int, error: type[BaseException] = Interrupted) -> None:
    """Let `results` raise as if the user had pressed Ctrl-C right after `step` was recorded."""
    record = results.accepted

    def accepted(problem: object, increment: IncrementRecord) -> None:
        record(problem, increment)
        if increment.step == step:
            raise error("stopped by the test")

    results.accepted = accepted
