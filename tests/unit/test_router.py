"""Routing between an exact material and a surrogate, with a law for the one and a disturbed law for the other."""

from typing import Any

import numpy as np
import pytest
from mpi4py import MPI

from materials.interface import IntArray, Kind, Response, Status
from materials.judged import JudgedMaterial
from materials.law_material import LawMaterial
from materials.laws import LAWS
from materials.learning import Learning
from materials.measures import FloatArray, Measure, Physics
from materials.router import Router
from materials.trajectory import approach, follow

PLANE = Measure(Physics.SMALL_STRAIN, 2)
LARGE = Measure(Physics.FINITE_STRAIN, 2)
J2 = LAWS["j2"](E=70e3, nu=0.3, yield_stress=100.0, hardening=500.0)
NEO_HOOKEAN = LAWS["neo_hookean"](E=100.0, nu=0.3)


@pytest.fixture(autouse=True)
def _never_asked_whether_it_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("materials.routing_costs.TRIAL", 1000)


class Disturbed(LawMaterial, JudgedMaterial):
    """A law whose stress is off by a factor, trusted within a radius; beyond another one it has no answer."""

    def __init__(self, law: Any, measure: Measure, factor: float, radius: float, blind: float = np.inf):
        self._factor, self._radius, self._blind = factor, radius, blind
        super().__init__(law, measure)

    def evaluate(self, gradient: FloatArray, dt: float) -> Response:
        answer = super().evaluate(gradient, dt)
        flux = np.where(self._size()[:, None] > self._blind, np.nan, self._factor * answer.flux)
        return Response(flux, self._factor * answer.tangent, answer.status, {})

    def kinds(self) -> Any:
        return np.full(len(self.point_ids), Kind.SURROGATE, dtype=np.int8)

    def _size(self) -> FloatArray:
        return np.linalg.norm(self._gradient - self.measure.rest, axis=1)

    def trusted(self) -> Any:
        return self._size() <= self._radius

    def score(self) -> FloatArray:
        return self._size() / self._radius

    def estimate(self) -> FloatArray:
        return np.full(len(self.point_ids), abs(self._factor - 1.0))

    def error(self, flux: FloatArray, reference: FloatArray) -> FloatArray:
        scale = np.maximum(np.linalg.norm(reference, axis=1), 1e-3)
        return np.linalg.norm(flux - reference, axis=1) / scale


class Notebook:
    """A learner that writes down what it is told, and has a surrogate from the step that it is told on."""

    def __init__(self, model: Any, ready_at: int = 0):
        self._model, self._ready_at = model, ready_at
        self.version = 1 if ready_at == 0 else 0
        self.model = model if ready_at == 0 else None
        self.states: list[tuple[int, IntArray, FloatArray, FloatArray]] = []
        self.paths: list[tuple[int, IntArray, FloatArray, FloatArray]] = []
        self.errors: list[FloatArray] = []
        self.plan: FloatArray | None = None

    def record(self, step: int, dt: float, ids: IntArray, gradient: FloatArray, flux: FloatArray, tangent: Any) -> int:
        self.states.append((step, ids, gradient, flux))
        return len(ids)

    def record_paths(self, step: int, ids: IntArray, gradient: FloatArray, dt: Any, flux: Any, tangent: Any) -> int:
        self.paths.append((step, ids, gradient, flux))
        return len(ids)

    def due(self, step: int) -> bool:
        return step == self._ready_at

    def plan_ahead(self, step: int, gradient: FloatArray, growth: float) -> FloatArray | None:
        return self.plan

    def train(self, step: int) -> bool:
        self.version, self.model = self.version + 1, self._model
        return True

    def audited(self, step: int, ids: IntArray, errors: FloatArray) -> bool:
        self.errors.append(errors)
        return False

    def resume(self, step: int) -> None:
        pass

    def summary(self) -> dict[str, Any]:
        return {"states": len(self.states)}


def router(
    law: Any, measure: Measure, model: tuple[float, ...], ready_at: int = 0, audit: bool = False
) -> tuple[Router, Notebook]:
    """A router over a law; `model` are factor, radius and blindness of its surrogate."""
    notebook = Notebook(model, ready_at)
    learning = Learning(
        MPI.COMM_SELF,
        notebook,
        lambda model: Disturbed(law, measure, *model),
        lambda ids, _: np.full(len(ids), audit),
    )
    return Router(lambda: LawMaterial(law, measure), learning, symmetric=True), notebook


def advance(material: Any, step: int, gradient: FloatArray) -> Response:
    """One increment whose iteration is a single evaluation."""
    material.foresee(gradient, 0.1)
    answer = material.evaluate(gradient, 0.1)
    while material.settle():
        answer = material.evaluate(gradient, 0.1)
    material.commit()
    material.learn(step)
    return answer


def strains(seed: int, points: int, steps: int, size: float) -> FloatArray:
    """Random walks in strain, (steps, points, 3)."""
    return np.cumsum(np.random.default_rng(seed).normal(0.0, size, (steps, points, 3)), axis=0)


def test_nothing_trusted_is_the_exact_material() -> None:
    routed, _ = router(J2, PLANE, (1.3, -1.0))
    exact = LawMaterial(J2, PLANE)
    for material in (routed, exact):
        material.bind(np.arange(7))
    for step, gradient in enumerate(strains(0, 7, 6, 1e-3), start=1):
        answer = advance(routed, step, gradient)
        expected = exact.evaluate(gradient, 0.1)
        exact.commit()
        assert (answer.flux == expected.flux).all()
        assert (answer.tangent == expected.tangent).all()
        assert (answer.outputs["stress_33"] == expected.outputs["stress_33"]).all()
        assert (routed.kinds() == exact.kinds()).all()


def test_everything_trusted_is_the_surrogate() -> None:
    routed, _ = router(J2, PLANE, (1.3, np.inf))
    surrogate = Disturbed(J2, PLANE, 1.3, np.inf)
    for material in (routed, surrogate):
        material.bind(np.arange(7))
    for step, gradient in enumerate(strains(0, 7, 6, 1e-3), start=1):
        answer = advance(routed, step, gradient)
        expected = surrogate.evaluate(gradient, 0.1)
        surrogate.commit()
        assert (answer.flux == expected.flux).all()
        assert (answer.tangent == expected.tangent).all()
        assert (routed.kinds() == Kind.SURROGATE).all()


@pytest.mark.parametrize(("law", "measure"), [(J2, PLANE), (NEO_HOOKEAN, LARGE)])
def test_no_untrusted_answer_is_accepted(law: Any, measure: Measure) -> None:
    radius = 1.5e-3
    routed, _ = router(law, measure, (1.3, radius))
    exact = LawMaterial(law, measure)
    for material in (routed, exact):
        material.bind(np.arange(40))
    walk = np.cumsum(np.random.default_rng(1).normal(0.0, 5e-4, (8, 40, measure.size)), axis=0) + measure.rest
    seen = set()
    for step, gradient in enumerate(walk, start=1):
        answer = advance(routed, step, gradient)
        expected = exact.evaluate(gradient, 0.1)
        exact.commit()
        far = np.linalg.norm(gradient - measure.rest, axis=1) > radius
        np.testing.assert_allclose(answer.flux[far], expected.flux[far], rtol=1e-9, atol=1e-9)
        assert (routed.kinds()[~far] == Kind.SURROGATE).all()
        assert (routed.kinds()[far] != Kind.SURROGATE).all()
        seen.add(int(far.sum()))
    assert len(seen) > 3


def test_a_point_that_goes_to_and_fro_keeps_its_plastic_past() -> None:
    """Along a cycle the surrogate takes over at small strain; the exact answers are those of an uninterrupted law."""
    routed, _ = router(J2, PLANE, (1.0, 2e-3))
    exact = LawMaterial(J2, PLANE)
    for material in (routed, exact):
        material.bind(np.arange(3))
    direction = np.random.default_rng(2).normal(size=(3, 3))
    direction /= np.linalg.norm(direction, axis=1)[:, None]
    kinds = []
    for step, size in enumerate(6e-3 * np.sin(np.linspace(0.0, 4.0 * np.pi, 41)[1:]), start=1):
        answer = advance(routed, step, size * direction)
        expected = exact.evaluate(size * direction, 0.1)
        exact.commit()
        np.testing.assert_allclose(answer.flux, expected.flux, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(answer.tangent, expected.tangent, rtol=1e-12, atol=1e-9)
        kinds.append(int(routed.kinds()[0]))
    assert np.count_nonzero(np.diff(kinds)) >= 6
    assert routed.report()["costs"]["evaluations"]["recalled"] > 0


def test_points_beyond_trust_only_at_the_end_change_over_and_the_increment_is_solved_on() -> None:
    routed, _ = router(NEO_HOOKEAN, LARGE, (1.2, 0.1))
    routed.bind(np.arange(4))
    gradient = LARGE.rest + np.array([[0.05], [0.09], [0.11], [0.3]]) * np.array([1.0, 0.0, 0.0, 0.0])
    routed.foresee(np.tile(LARGE.rest, (4, 1)), 0.1)
    routed.evaluate(gradient, 0.1)
    assert (routed.kinds() == Kind.SURROGATE).all()
    assert routed.settle() == 2
    assert routed.settle() == 0
    answer = routed.evaluate(gradient, 0.1)
    exact = LawMaterial(NEO_HOOKEAN, LARGE)
    exact.bind(np.arange(4))
    expected = exact.evaluate(gradient, 0.1).flux
    np.testing.assert_allclose(answer.flux[2:], expected[2:], rtol=1e-12)
    np.testing.assert_allclose(answer.flux[:2], 1.2 * expected[:2], rtol=1e-12)


def test_after_three_rounds_every_point_is_exact() -> None:
    routed, _ = router(NEO_HOOKEAN, LARGE, (1.2, 0.1))
    routed.bind(np.arange(6))
    routed.foresee(np.tile(LARGE.rest, (6, 1)), 0.1)
    for moved in range(1, 5):
        gradient = np.tile(LARGE.rest, (6, 1))
        gradient[:moved, 0] += 0.2  # each time one more point drifts away
        routed.evaluate(gradient, 0.1)
        assert routed.settle() == (1 if moved < 4 else 3)
    assert (routed.kinds() != Kind.SURROGATE).all()


def test_a_surrogate_without_an_answer_is_not_asked_again() -> None:
    """It fails inside its trust: the attempt is rejected, and the next one does without it."""
    routed, _ = router(NEO_HOOKEAN, LARGE, (1.0, np.inf, 0.2))
    routed.bind(np.arange(2))
    gradient = LARGE.rest + np.array([[0.1], [0.3]]) * np.array([1.0, 0.0, 0.0, 0.0])
    routed.foresee(gradient, 0.1)
    assert not np.isfinite(routed.evaluate(gradient, 0.1).flux[1]).any()
    routed.revert()
    routed.foresee(gradient, 0.1)
    assert routed.kinds().tolist() == [Kind.SURROGATE, Kind.LAW]
    assert np.isfinite(routed.evaluate(gradient, 0.1).flux).all()


def test_it_starts_exact_hands_in_what_it_knows_and_changes_over() -> None:
    routed, notebook = router(J2, PLANE, (1.0, 2e-3), ready_at=2)
    routed.bind(np.arange(5))
    notebook.plan = 1e-3 * np.random.default_rng(3).normal(size=(3, 4, 3))
    walk = strains(4, 5, 4, 3e-4)
    for step, gradient in enumerate(walk[:2], start=1):
        advance(routed, step, gradient)
        assert (routed.kinds() == Kind.LAW).all() or step == 2
    own, explored = notebook.paths[1], notebook.paths[2]
    assert own[1].tolist() == [0, 1, 2, 3, 4]
    np.testing.assert_array_equal(own[2], walk[:2].transpose(1, 0, 2))
    assert explored[1].tolist() == [-1, -2, -3]
    exact = LawMaterial(J2, PLANE)
    expected = follow(exact, np.arange(3), notebook.plan, np.ones(4))
    np.testing.assert_array_equal(explored[3], expected.flux)
    advance(routed, 3, walk[2])
    assert (routed.kinds() == Kind.SURROGATE).any()


@pytest.mark.parametrize(("law", "measure"), [(J2, PLANE), (NEO_HOOKEAN, LARGE)])
def test_the_audit_measures_the_error_that_there_is(law: Any, measure: Measure) -> None:
    routed, notebook = router(law, measure, (1.05, np.inf), audit=True)
    routed.bind(np.arange(6))
    walk = np.cumsum(np.random.default_rng(5).normal(0.0, 1e-3, (5, 6, measure.size)), axis=0) + measure.rest
    for step, gradient in enumerate(walk, start=1):
        advance(routed, step, gradient)
    assert [len(errors) for errors in notebook.errors] == [6] * 5
    np.testing.assert_allclose(np.concatenate(notebook.errors), 0.05, rtol=1e-6)


@pytest.mark.parametrize(("law", "measure"), [(J2, PLANE), (NEO_HOOKEAN, LARGE)])
def test_a_restart_goes_on_with_the_same_answers(law: Any, measure: Measure) -> None:
    walk = np.cumsum(np.random.default_rng(6).normal(0.0, 4e-4, (8, 9, measure.size)), axis=0) + measure.rest
    one, _ = router(law, measure, (1.1, 2e-3))
    one.bind(np.arange(9))
    for step, gradient in enumerate(walk[:5], start=1):
        advance(one, step, gradient)
    other, _ = router(law, measure, (1.1, 2e-3))
    other.bind(np.arange(9))
    other.restore(one.state())
    assert (other.kinds() == one.kinds()).all()
    assert 0 < np.count_nonzero(one.kinds() == Kind.SURROGATE) < 9
    for step, gradient in enumerate(walk[5:], start=6):
        np.testing.assert_allclose(
            advance(other, step, gradient).flux, advance(one, step, gradient).flux, rtol=1e-10, atol=1e-10
        )


def test_a_look_at_the_exact_material_behind_a_point_finds_its_past_and_changes_nothing() -> None:
    looked_at, _ = router(J2, PLANE, (1.3, 2e-3))
    alone, _ = router(J2, PLANE, (1.3, 2e-3))
    exact = LawMaterial(J2, PLANE)
    for material in (looked_at, alone, exact):
        material.bind(np.arange(10, 15))
    for step, gradient in enumerate(strains(8, 5, 10, 7e-4), start=1):
        assert (advance(looked_at, step, gradient).flux == advance(alone, step, gradient).flux).all()
        exact.evaluate(gradient, 0.1)
        exact.commit()
        for point in range(step % 2, 5):  # not every time
            material, place = looked_at.exact_at(point)
            assert material.point_ids[place] == 10 + point
            for name, values in exact.state().items():
                np.testing.assert_allclose(material.state()[name][place], values[point], rtol=1e-12, atol=1e-15)
        assert np.any(looked_at.kinds() == Kind.SURROGATE) or step > 5
    assert exact.state()["equivalent_plastic_strain"].min() > 0.0


@pytest.mark.parametrize("law", [J2, NEO_HOOKEAN])
def test_a_look_where_the_exact_material_has_no_answer_says_so(law: Any) -> None:
    measure = PLANE if law is J2 else LARGE

    class Fragile(LawMaterial):
        def evaluate(self, gradient: FloatArray, dt: float) -> Response:
            answer = super().evaluate(gradient, dt)
            broken = np.abs(gradient - self.measure.rest).max(axis=1) > 0.05
            return answer._replace(status=np.where(broken, Status.FAILED, answer.status))

    _, notebook = router(law, measure, (1.0, np.inf))
    learning = Learning(MPI.COMM_SELF, notebook, lambda _: Disturbed(law, measure, 1.0, np.inf), lambda ids, _: ids < 0)
    routed = Router(lambda: Fragile(law, measure), learning, symmetric=True)
    routed.bind(np.arange(2))
    gradient = measure.rest + np.array([[0.01], [0.1]]) * np.eye(measure.size)[0]
    advance(routed, 1, gradient)
    assert routed.exact_at(0)[1] == 0
    with pytest.raises(ArithmeticError, match="its cell has no answer along the history"):
        routed.exact_at(1)


def test_routing_that_does_not_pay_is_given_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Every other increment leaves trust, and every answer is audited."""
    monkeypatch.setattr("materials.routing_costs.TRIAL", 5)
    routed, _ = router(J2, PLANE, (1.3, 2e-3), audit=True)
    exact = LawMaterial(J2, PLANE)
    for material in (routed, exact):
        material.bind(np.arange(4))
    answers = []
    for step in range(1, 13):
        gradient = np.tile([3e-3 if step % 2 else 1e-3, 0.0, 0.0], (4, 1))
        answers.append(advance(routed, step, gradient).flux)
        reference = exact.evaluate(gradient, 0.1).flux
        exact.commit()
    assert "does not pay" in caplog.text
    assert routed.report()["switched_off"]
    assert (routed.kinds() == Kind.LAW).all()
    np.testing.assert_allclose(answers[-1], reference, rtol=1e-12)


def test_a_restart_remembers_the_books_and_that_routing_was_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("materials.routing_costs.TRIAL", 5)
    walk = [np.tile([3e-3 if step % 2 else 1e-3, 0.0, 0.0], (4, 1)) for step in range(8)]
    one, _ = router(J2, PLANE, (1.3, 2e-3), audit=True)
    one.bind(np.arange(4))
    for step, gradient in enumerate(walk, start=1):
        advance(one, step, gradient)
        other, _ = router(J2, PLANE, (1.3, 2e-3), audit=True)
        other.bind(np.arange(4))
        other.restore(one.state())
        told, expected = other.report(), one.report()
        assert told["costs"] == expected["costs"]
        assert told["switched_off"] == expected["switched_off"]
        assert (other.kinds() == one.kinds()).all()
    assert one.report()["switched_off"]


def test_approach_takes_smaller_steps_where_one_fails() -> None:
    class Timid(LawMaterial):
        """Refuses steps that are too large."""

        def evaluate(self, gradient: FloatArray, dt: float) -> Response:
            before = getattr(self, "reached", np.tile(LARGE.rest, (len(gradient), 1)))
            answer = super().evaluate(gradient, dt)
            too_far = np.linalg.norm(gradient - before, axis=1) > 0.12
            return answer._replace(status=np.where(too_far, 1, answer.status).astype(np.int8))

        def commit(self) -> None:
            super().commit()
            self.reached = self._gradient.copy()

        def bind(self, point_ids: IntArray) -> None:
            super().bind(point_ids)
            self.reached = self._gradient.copy()

    target = LARGE.rest + np.array([[0.05], [0.4]]) * np.array([1.0, 0.0, 0.0, 0.0])
    found = approach(Timid(NEO_HOOKEAN, LARGE), np.arange(2), target)
    assert found.known.all()
    exact = LawMaterial(NEO_HOOKEAN, LARGE)
    exact.bind(np.arange(2))
    np.testing.assert_allclose(found.flux[:, 0], exact.evaluate(target, 1.0).flux, rtol=1e-12)
