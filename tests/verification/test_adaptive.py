"""Runs that learn as they go, against the same run with a cell at every point: no answer that is not trusted counts."""

import dataclasses
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mpi4py import MPI

from materials.interface import Kind
from materials.judged import JudgedMaterial
from materials.law_material import LawMaterial
from materials.learning import Learning
from materials.measures import FloatArray, Measure, Physics
from materials.router import Router
from materials.trajectory import approach
from rve.material import RveMaterial
from solver.macro_problem import MacroProblem
from solver.newton import Interrupted
from solver.records import IncrementRecord, IterationRecord
from surrogates import learner
from surrogates.experience import SPLITS, Experience
from surrogates.families.energy import EnergyNetwork
from surrogates.retraining import Retrained, retrain
from surrogates.store import Model, read_model, write_model
from surrogates.trusted import calibrated
from tests.verification.adaptive_runs import (
    CASES,
    FULL,
    assert_equal,
    assert_same_decisions,
    learning,
    run,
    samples,
    table,
    trainings,
)
from tests.verification.cells import PLASTIC, SOFT, STIFF, TIGHT, layers, make_cell

FIXED = "materials.composite.retrain.every=0"
"""The model that is given stays as it is."""
TOLERANCE, CONFIDENCE = 0.01, 0.8
"""Of the trust of models that are given."""
STRICT = f"materials.composite.trust.tolerance={TOLERANCE}"


@pytest.fixture(autouse=True)
def _never_asked_whether_it_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("materials.routing_costs.TRIAL", 1000)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the runs of this module are."""
    return tmp_path_factory.mktemp("adaptive")


@pytest.fixture(scope="module")
def full(folder: Path) -> dict[str, Path]:
    """Runs with a cell at every point."""
    for name in CASES:
        run(name, folder / f"{name}_full", FULL)
    return {name: folder / f"{name}_full" for name in CASES}


@pytest.fixture(scope="module")
def cold(folder: Path) -> dict[str, Path]:
    """Runs that begin without a model."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("materials.routing_costs.TRIAL", 1000)
        for name in CASES:
            run(name, folder / name)
    return {name: folder / name for name in CASES}


@pytest.fixture(scope="module")
def honest(folder: Path) -> Model:
    """A model for the cell of the finite-strain case, calibrated for what its first increment explores."""
    finer = ("surrogates.net.network.hidden=[16]", "surrogates.net.training.epochs=60")
    run("finite_strain", folder / "honest", STRICT, *finer)
    return read_model(folder / "honest" / "models" / "composite" / "v001")


class Accepted:
    """Holds every accepted increment of a reversible material against its cell."""

    def __init__(self) -> None:
        self.error: list[float] = []
        """Relative error of the flux at the surrogate points of all increments."""
        self.difference: list[float] = []
        """That at the points of the cell."""
        self.score: list[float] = []
        """Scores of the surrogate points over the largest trusted one."""

    def started(self, problem: MacroProblem, time: float, end: float) -> None:
        """Nothing to keep."""

    def iterated(self, record: IterationRecord) -> None:
        """Nothing to keep."""

    def cut_back(self, step: int, time: float, reason: str) -> None:
        """Nothing to keep."""

    def accepted(self, problem: MacroProblem, record: IncrementRecord) -> None:
        """Ask a cell at every point."""
        router = problem.materials["composite"]
        assert isinstance(router, Router)
        past = router._points.past
        assert isinstance(router._exact.material, RveMaterial)
        exact = approach(RveMaterial(router._exact.material.cell, TIGHT), router.point_ids, past.gradient)
        assert exact.known.all()
        assert router._surrogate is not None
        error = router._surrogate.error(past.flux, exact.flux[:, 0])
        surrogate = router.kinds() == Kind.SURROGATE
        self.error.extend(error[surrogate])
        self.difference.extend(error[~surrogate])
        self.score.extend(router.annotation("trust")[surrogate])


# Limits of the tolerance ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["finite_strain", "plastic", "heat"])
def test_tolerance_0_is_a_cell_at_every_point_bit_for_bit(name: str, full: dict[str, Path], folder: Path) -> None:
    """Networks are trained, and never believed."""
    out = folder / f"{name}_0"
    run(name, out, "materials.composite.trust.tolerance=0")
    assert_equal(out, full[name], 0.0)
    history = table(out, "history")
    assert not history["n_surrogate"].any()
    assert history["n_retrained"].sum() >= 1


def test_tolerance_infinity_is_the_surrogate_bit_for_bit(honest: Model, folder: Path) -> None:
    """Far outside the range of the network, too."""
    assert honest.calibration is not None
    model, plain, routed = folder / "unbounded", folder / "plain", folder / "routed"
    calibration = honest.calibration._replace(tolerance=np.inf)
    write_model(model, dataclasses.replace(honest, calibration=calibration))
    run("finite_strain", plain, f"materials.composite={{type: surrogate, model: {model}}}")
    tolerant = (f"materials.composite.model={model}", "materials.composite.trust.tolerance=.inf", FIXED)
    run("finite_strain", routed, *tolerant)
    assert_equal(routed, plain, 0.0)
    assert not table(routed, "history")["n_rve"].any()
    audited = learning(routed)["versions"][0]["audit"]
    assert audited["answers"] > 0


# Surrogates that are wrong -------------------------------------------------------------------------------------------


def test_a_wrong_network_with_an_honest_calibration_is_never_used(
    honest: Model, full: dict[str, Path], folder: Path
) -> None:
    """It answers for a cell that is stiffer by 70 %."""
    family = honest.family
    assert isinstance(family, EnergyNetwork)
    stiffer = {name: 1.7 * family.arrays()[name] for name in ("energy_scale", "stiffness")}
    wrong = EnergyNetwork.from_arrays(honest.measure, family.architecture(), family.arrays() | stiffer)
    known = Experience(honest.measure, remembers=False).read(samples(folder / "honest"))
    learned, _, held_out = (known.truncated(1).samples(split) for split in SPLITS)
    model = calibrated(dataclasses.replace(honest, family=wrong), learned, held_out, "distance", TOLERANCE, CONFIDENCE)
    write_model(folder / "wrong_model", model)
    out = folder / "wrong"
    run("finite_strain", out, f"materials.composite.model={folder / 'wrong_model'}", FIXED, STRICT)
    assert_equal(out, full["finite_strain"], 1e-10)
    assert not table(out, "history")["n_surrogate"].any()


@pytest.mark.parametrize("answer", [np.nan, -3.0])
def test_a_network_that_breaks_down_where_it_was_not_calibrated_is_not_used_there(
    answer: float, honest: Model, full: dict[str, Path], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run leaves the trust of the model, which learns nothing more."""
    true, (trust, calibration) = EnergyNetwork.evaluate, (honest.trust, honest.calibration)
    assert trust is not None
    assert calibration is not None
    broken_at = []

    def broken(family: EnergyNetwork, gradient: FloatArray) -> tuple[FloatArray, FloatArray]:
        flux, tangent = true(family, gradient)
        beyond = ~trust.within(gradient, np.zeros((len(gradient), 0)), calibration.threshold)
        broken_at.append(np.count_nonzero(beyond))
        flux[beyond] *= answer
        tangent[beyond] *= answer
        return flux, tangent

    monkeypatch.setattr(EnergyNetwork, "evaluate", broken)
    write_model(folder / "honest_model", honest)
    out, accepted = folder / f"broken_{answer}", Accepted()
    run("finite_strain", out, f"materials.composite.model={folder / 'honest_model'}", FIXED, STRICT, observer=accepted)
    assert sum(broken_at) > 0
    _assert_only_trusted(accepted)
    history = table(out, "history")
    assert history["n_surrogate"][0] > 0
    assert history["n_rve"][-1] > 0
    assert learning(out)["versions"][0]["audit"]["unanswered"] == 0
    assert_equal(out, full["finite_strain"], 5e-3)


def test_a_load_beyond_what_was_learned_is_carried_by_cells(honest: Model, folder: Path) -> None:
    """Both ways: there and back again, the model staying as it is."""
    write_model(folder / "warm_model", honest)
    back = "load.factor=[[0, 0], [0.6, 1.5], [1, 0.1]]"
    out, accepted = folder / "warm", Accepted()
    run(
        "finite_strain",
        out,
        f"materials.composite.model={folder / 'warm_model'}",
        FIXED,
        STRICT,
        back,
        observer=accepted,
    )
    run("finite_strain", folder / "warm_full", FULL, back)
    _assert_only_trusted(accepted)
    history = table(out, "history")
    rve = history["n_rve"]
    assert rve.max() > 0.7 * history["n_points"][0]
    assert rve[-1] < 0.5 * history["n_points"][0]
    assert not history["n_retrained"].any()
    assert_equal(out, folder / "warm_full", 5e-3)


def _assert_only_trusted(accepted: Accepted) -> None:
    """Cells answered exactly, and surrogates within their trust, at every increment."""
    assert max(accepted.difference) < 1e-9
    assert max(accepted.score) <= 1.0
    assert 0.0 < max(accepted.error) < 2.0 * TOLERANCE
    assert np.mean(np.array(accepted.error) > TOLERANCE) < 1.0 - CONFIDENCE


# Every physics -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(CASES))
def test_a_cold_start_ends_with_a_surrogate_and_the_answer_of_cells(
    name: str, full: dict[str, Path], cold: dict[str, Path]
) -> None:
    out = cold[name]
    history = table(out, "history")
    assert history["n_rve"][0] == history["n_points"][0]
    assert (history["n_rve"] + history["n_surrogate"] == history["n_points"]).all()
    assert history["n_surrogate"].sum() >= history["n_points"][0]
    assert history["n_retrained"].sum() >= 1
    assert_equal(out, full[name], 0.05)
    told = learning(out)
    assert told["states"] == history["n_samples"].sum()
    audits = [version["audit"] for version in told["versions"]]
    assert sum(audit["answers"] for audit in audits) > 0


@pytest.mark.parametrize("name", ["finite_strain", "plastic"])
def test_monolithic_cells_learn_the_same(name: str, cold: dict[str, Path], folder: Path) -> None:
    """Cells that answer provisionally while the driver iterates change iteration counts, and nothing else."""
    out = folder / f"{name}_monolithic"
    driver = run(name, out, "solver.scheme=monolithic")
    assert driver.problem.materials["composite"].statistics()["cell_provisional"] > 0
    assert_equal(out, cold[name], 1e-8)
    assert_same_decisions(out, cold[name], "newton_iterations")


# Interruption --------------------------------------------------------------------------------------------------------


class _Killed(Exception):
    """The end of a process, as far as its run directory can tell."""


@pytest.mark.parametrize("name", ["finite_strain", "plastic"])
@pytest.mark.parametrize("how", ["killed", "interrupted"])
def test_a_run_stopped_in_training_ends_like_one_that_was_not(
    how: str, name: str, cold: dict[str, Path], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed, it goes on from the increment before; interrupted, from the end of the one that was learned from."""
    steps, end = trainings(cold[name]), len(table(cold[name], "history")["step"])
    which = max(number for number, step in enumerate(steps, start=1) if 1 < step < end)
    begun = []

    def stopped(*arguments: Any) -> Retrained:
        begun.append(1)
        if len(begun) == which and how == "killed":
            raise _Killed
        if len(begun) == which:
            signal.raise_signal(signal.SIGINT)
        return retrain(*arguments)

    out = folder / f"{name}_{how}"
    monkeypatch.setattr(learner, "retrain", stopped)
    with pytest.raises((_Killed, Interrupted)):
        run(name, out)
    monkeypatch.setattr(learner, "retrain", retrain)
    assert len(begun) == which
    assert len(table(out, "history")["step"]) == steps[which - 1] - (how == "killed")
    run(name, out, restart=True)
    assert_equal(out, cold[name], 1e-8)
    assert_same_decisions(out, cold[name])


# There and back ------------------------------------------------------------------------------------------------------


class Elsewhere(LawMaterial, JudgedMaterial):
    """A law that stands for a cell, and is trusted while the strain is small."""

    radius = 8e-3

    def kinds(self) -> Any:
        return np.full(len(self.point_ids), Kind.SURROGATE, dtype=np.int8)

    def trusted(self) -> Any:
        return np.linalg.norm(self._gradient, axis=1) <= self.radius

    def score(self) -> FloatArray:
        return np.asarray(np.linalg.norm(self._gradient, axis=1) / self.radius)

    def estimate(self) -> FloatArray:
        return np.full(len(self.point_ids), np.nan)

    def error(self, flux: FloatArray, reference: FloatArray) -> FloatArray:
        return np.asarray(np.linalg.norm(flux - reference, axis=1))


class Given:
    """A learner with one model, which learns nothing."""

    version, model = 1, "law"

    def audited(self, *_: object) -> bool:
        return False


def test_switching_to_and_fro_leaves_the_cell_as_it_would_have_been() -> None:
    """Along cycles of growing size: flux, tangent and micro states are those of a cell that was never left."""
    measure = Measure(Physics.SMALL_STRAIN, 2)
    laws = (PLASTIC, STIFF[Physics.SMALL_STRAIN])
    given: Any = Given()
    learning = Learning(
        MPI.COMM_SELF,
        given,
        lambda _: Elsewhere(SOFT[Physics.SMALL_STRAIN], measure),
        lambda ids, _: np.zeros(len(ids), dtype=bool),
    )
    cell = make_cell(measure, layers("x"), laws, "quadrilateral", 1)
    routed = Router(lambda: RveMaterial(cell.cell, TIGHT), learning, symmetric=True, learns=False)
    for material in (routed, cell):
        material.bind(np.arange(4))
    direction = np.random.default_rng(8).normal(size=(4, 3))
    direction /= np.linalg.norm(direction, axis=1)[:, None]
    times = np.linspace(0.0, 6.0 * np.pi, 61)[1:]
    changes, compared, before = 0, 0, routed.kinds()
    for step, size in enumerate((0.006 + 0.001 * times) * np.sin(times), start=1):
        gradient = size * direction
        routed.foresee(gradient, 0.1)
        answer = routed.evaluate(gradient, 0.1)
        assert routed.settle() == 0
        expected = cell.evaluate(gradient, 0.1)
        for material in (routed, cell):
            material.commit()
        routed.learn(step)
        rows = np.flatnonzero(routed.kinds() == Kind.RVE)
        changes += np.count_nonzero(routed.kinds() != before)
        before = routed.kinds()
        compared += rows.size
        np.testing.assert_allclose(answer.flux[rows], expected.flux[rows], rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(answer.tangent[rows], expected.tangent[rows], rtol=1e-9, atol=1e-6)
        assert isinstance(routed._exact.material, RveMaterial)
        for name, values in routed._exact.material.state().items():
            truth = cell.state()[name][rows]
            np.testing.assert_allclose(values, truth, atol=1e-9 * np.abs(truth).max(initial=1.0), err_msg=name)
    assert changes >= 40
    assert compared >= 60
    plastic = cell.state()["state_first"][:, :, -1]
    assert plastic.max() > 1e-2


# Newton's method -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["finite_strain", "plastic"])
def test_newton_stays_quadratic_with_frozen_routes(
    name: str, full: dict[str, Path], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the routes are chosen, and again after each round in which points changed over."""
    moved: list[int] = []
    settle = Router.settle

    def counted(router: Router) -> int:
        moved.append(settle(router))
        return moved[-1]

    monkeypatch.setattr(Router, "settle", counted)
    run(name, folder / f"{name}_newton")
    found = table(folder / f"{name}_newton", "iterations")
    rounds = np.split(np.array(moved), 1 + np.flatnonzero(np.array(moved) == 0))[:-1]
    steps, alone = np.unique(found["step"]), int(table(full[name], "history")["newton_iterations"].max())
    assert len(rounds) == len(steps)
    judged = 0
    for step, changes in zip(steps, rounds, strict=True):
        residual = found["residual"][found["step"] == step]
        assert len(residual) <= (alone + 1) * len(changes)
        before, after = residual[-2:]
        judged += 1e-9 < before < 1e-3
        assert after <= max(200.0 * before**2, 1e-12)
    assert judged >= 2
