"""A run as its observers see it: interrupted, counted, timed; and a case that becomes a run."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest
from mpi4py import MPI

from materials.interface import Kind
from materials.measures import Physics
from solver.build import build
from solver.case.errors import BadInput
from solver.case.loading import load_case
from solver.driver import Driver
from solver.increments import Stepping
from solver.loading import LoadFactor
from solver.macro_problem import MacroProblem
from solver.newton import Interrupted
from solver.records import IncrementRecord, IterationRecord
from solver.restart import RestartPoint
from tests.verification.macro_runs import Watch, law, mesh_of, problem_of

CASE = """
physics: small_strain
dimension: 2
mesh: {generator: rectangle, divisions: [4, 2], size: [2.0, 1.0], element: quadrilateral, degree: 1}
regions: {all: body}
boundary_conditions:
  - {boundary: left, displacement: [0, null]}
  - {boundary: bottom, displacement: [null, 0]}
  - {boundary: right, traction: [3.0, 0]}
load: {end: 2.0, steps: 4, factor: [[0, 0], [1, 1], [2, 0]]}
materials:
  body: {type: law, law: elastic, E: 100, nu: 0.25}
  layered: {type: rve, rve: cell}
rves:
  cell:
    geometry: {generator: laminate, fraction: 0.5, normal: x, resolution: 2}
    element: quadrilateral
    phases:
      first: {law: elastic, E: 100, nu: 0.25}
      second: {law: elastic, E: 100, nu: 0.25}
output: {reactions: [left]}
"""


def cook() -> MacroProblem:
    material = law("neo_hookean", E=100.0, nu=0.3)
    problem = problem_of(
        mesh_of("cook_membrane", "triangle", MPI.COMM_SELF, divisions=(3, 3)), Physics.FINITE_STRAIN, material
    )
    problem.prescribe("left", [0.0, 0.0])
    problem.load_boundary("right", [0.0, 10.0])
    return problem


class InterruptIn(Watch):
    """Sends SIGINT to this process in an iteration of a step."""

    def __init__(self, step: int, iteration: int):
        super().__init__()
        self.place = (step, iteration)

    def iterated(self, record: IterationRecord) -> None:
        """Keep it, and perhaps interrupt."""
        super().iterated(record)
        if (record.step, record.iteration) == self.place:
            os.kill(os.getpid(), signal.SIGINT)


def driver_of(problem: MacroProblem) -> Driver:
    return Driver(problem, LoadFactor(), Stepping(1.0, 4))


def test_interrupt_stops_at_the_last_accepted_increment_and_the_run_can_go_on() -> None:
    whole = cook()
    driver_of(whole).run()
    handler = signal.getsignal(signal.SIGINT)
    problem = cook()
    watch = InterruptIn(step=3, iteration=1)
    driver = driver_of(problem)
    with pytest.raises(Interrupted, match=r"step 3; the run is at time 0\.5"):
        driver.run([watch])
    assert signal.getsignal(signal.SIGINT) is handler
    assert watch.times == [0.25, 0.5]
    assert watch.iterations[-1].iteration == 1  # no further iteration was begun
    assert driver.progress == watch.records[-1].progress
    assert problem.load_factor == 0.5
    resumed = cook()
    driver_of(resumed).run([], RestartPoint(driver.progress, problem.state()))
    np.testing.assert_allclose(resumed.solution.x.array, whole.solution.x.array, rtol=0, atol=1e-9)


def test_observers_hear_of_every_iteration_and_increment_in_order() -> None:
    watch = Watch()
    driver_of(cook()).run([watch])
    assert [record.step for record in watch.records] == [1, 2, 3, 4]
    assert [record.load_factor for record in watch.records] == [0.25, 0.5, 0.75, 1.0]
    assert tuple(watch.iterations) == tuple(row for record in watch.records for row in record.iterations)
    for record in watch.records:
        assert [row.iteration for row in record.iterations] == list(range(record.newton_iterations))
        assert record.iterations[0].correction == 1.0  # the predictor is the whole increment
        assert record.iterations[-1].residual <= 1e-10
        assert record.n_points == 18
        assert record.n_rve == record.n_surrogate == record.cutbacks == 0


def test_parts_of_the_time_add_up_to_the_total() -> None:
    watch = Watch()
    driver_of(cook()).run([watch])
    for record in watch.records:
        parts = [record.seconds[part] for part in ("macro", "micro", "surrogate", "train")]
        assert record.seconds["total"] > 0.0
        assert sum(parts) == pytest.approx(record.seconds["total"])
        assert record.seconds["micro"] == 0.0


def case_file(folder: Path, text: str) -> Path:
    path = folder / "case.yaml"
    path.write_text(text)
    return path


def test_case_becomes_a_run_with_the_exact_answer(tmp_path: Path) -> None:
    driver = build(load_case(case_file(tmp_path, CASE)), MPI.COMM_SELF)
    watch = Watch()
    records: list[IncrementRecord] = watch.records
    driver.run([watch])
    assert watch.times == [0.5, 1.0, 1.5, 2.0]
    assert [record.load_factor for record in records] == [0.5, 1.0, 0.5, 0.0]
    np.testing.assert_allclose(driver.problem.solution.x.array, 0.0, atol=1e-14)
    half = build(load_case(case_file(tmp_path, CASE), ["load.end=1.5", "load.steps=3"]), MPI.COMM_SELF)
    half.run()
    # plane strain, free sides: ε_xx = σ (1 − ν²)/E
    right = half.problem.boundary_nodes("right")
    displacement = half.problem.solution.x.array.reshape(-1, 2)[right, 0]
    np.testing.assert_allclose(displacement, 2.0 * 1.5 * (1.0 - 0.25**2) / 100.0)
    np.testing.assert_allclose(half.problem.reaction("left"), [-1.5, 0.0], atol=1e-12)
    np.testing.assert_allclose(half.problem.outputs["stress_33"], 0.25 * 1.5)


def test_cell_of_a_case_answers_like_its_law_and_is_counted(tmp_path: Path) -> None:
    path = case_file(tmp_path, CASE)
    plain, layered = (
        build(load_case(path, [f"regions.all={name}", "load.end=1.5", "load.steps=3"]), MPI.COMM_SELF)
        for name in ("body", "layered")
    )
    watch = Watch()
    plain.run()
    layered.run([watch])
    np.testing.assert_allclose(layered.problem.solution.x.array, plain.problem.solution.x.array, rtol=0, atol=1e-11)
    assert watch.records[0].n_rve == watch.records[0].n_points == 32
    assert watch.records[0].seconds["micro"] > 0.0
    assert (layered.problem.kinds() == Kind.RVE).all()


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("regions={soft: body}", ["regions.soft", "no such region"]),
        ("boundary_conditions.2.boundary=lid", ["boundary_conditions.2.boundary", "'lid'", "right", "top"]),
        ("output.reactions=[lid]", ["output.reactions.0", "'lid'", "left"]),
        ("boundary_conditions.1.displacement=[0, null]", ["boundary_conditions", "nothing holds the body in y"]),
    ],
)
def test_what_only_the_mesh_can_tell_is_bad_input_with_its_line(
    tmp_path: Path, override: str, words: list[str]
) -> None:
    with pytest.raises(BadInput) as caught:
        build(load_case(case_file(tmp_path, CASE), [override]), MPI.COMM_SELF)
    text = str(caught.value)
    assert "case.yaml:" in text or "--set" in text
    for word in words:
        assert word in text
