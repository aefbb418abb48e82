"""All material points of a rank: one batch per material, scattered into arrays over the points."""

import time
from collections.abc import Mapping
from typing import NamedTuple, Self

import numpy as np

from materials.interface import IntArray, Kind, Lesson, Material, Status
from materials.measures import FloatArray, Measure
from solver.restart import Rows


class PointFields(NamedTuple):
    """Values at the n owned points of a rank, in cell-major order."""

    gradient: FloatArray
    """(n, g)"""
    flux: FloatArray
    """(n, g)"""
    tangent: FloatArray
    """(n, g, g)"""
    outputs: dict[str, FloatArray]
    """Extra outputs, each (n,); NaN where the material of a point has no such output."""

    def tables(self, point_ids: IntArray) -> dict[str, Rows]:
        """The fields as tables for a restart point, by the global ids of the points."""
        tables = {name: Rows(point_ids, values) for name, values in self._arrays().items()}
        return tables | {f"output/{name}": Rows(point_ids, output) for name, output in self.outputs.items()}

    def picked(self, tables: Mapping[str, Rows], point_ids: IntArray) -> Self:
        """Fields like these from the rows of some points; KeyError if a table or a row is missing."""
        found = {
            name: np.ascontiguousarray(tables[name].pick(point_ids, name)).reshape(like.shape)
            for name, like in self._arrays().items()
        }
        outputs = {name: tables[f"output/{name}"].pick(point_ids, f"output/{name}") for name in self.outputs}
        return type(self)(**found, outputs=outputs)

    def _arrays(self) -> dict[str, FloatArray]:
        return {"gradient": self.gradient, "flux": self.flux, "tangent": self.tangent}


class PointAnswers(NamedTuple):
    """What the materials answered at the owned points of a rank."""

    fields: PointFields
    failed: IntArray
    """Local indices of the points without an answer."""
    provisional: int
    """How many answers are good enough to iterate with, but not to accept."""


class MaterialPoints:
    """The materials of a problem, bound to the points that this rank owns.

    Args:
        measure: What gradient and flux are.
        materials: Materials by their name in the case; a rank holds all of them, also those without points here.
        indices: Local point indices of each material; together every point exactly once.
        point_ids: Global id of each owned point, (n,).
        coordinates: Where each of them lies, (n, d).
    """

    def __init__(
        self,
        measure: Measure,
        materials: Mapping[str, Material],
        indices: Mapping[str, IntArray],
        point_ids: IntArray,
        coordinates: FloatArray,
    ):
        covered = np.sort(np.concatenate([indices[name] for name in materials] or [np.empty(0, np.int64)]))
        if not np.array_equal(covered, np.arange(point_ids.size)):
            raise ValueError("every material point must belong to exactly one material")
        self.measure = measure
        self.materials = dict(materials)
        self.indices = dict(indices)
        self.point_ids = point_ids
        self.symmetric = all(material.symmetric for material in materials.values())
        self.seconds = {"micro": 0.0, "surrogate": 0.0, "law": 0.0}
        self._told: dict[tuple[str, str], float] = {}
        """Seconds that materials told of themselves so far, by material and part."""
        self._output_names = tuple(dict.fromkeys(name for material in materials.values() for name in material.outputs))
        self._status = np.zeros(point_ids.size, dtype=np.int8)
        for name, material in self.materials.items():
            if material.measure != measure:
                raise ValueError(f"material '{name}' answers in {material.measure}, the problem asks for {measure}")
            material.bind(point_ids[self.indices[name]])
            material.locate(coordinates[self.indices[name]])

    def at_rest(self) -> PointFields:
        """Fields of the undeformed state, with tangents not yet known (zero)."""
        n, g = self.point_ids.size, self.measure.size
        outputs: dict[str, FloatArray] = {name: np.full(n, np.nan) for name in self._output_names}
        return PointFields(np.tile(self.measure.rest, (n, 1)), np.zeros((n, g)), np.zeros((n, g, g)), outputs)

    def evaluate(self, gradient: FloatArray, dt: float) -> PointAnswers:
        """Answer of every material at `gradient` (n, g) after `dt`.

        A point whose answer is not finite counts as failed. Every material is called on every rank, in one order.
        """
        fields = self.at_rest()._replace(gradient=gradient)
        for name, material in self.materials.items():
            points = self.indices[name]
            started = time.perf_counter()
            response = material.evaluate(np.ascontiguousarray(gradient[points]), dt)
            self._spend(name, time.perf_counter() - started)
            fields.flux[points] = response.flux
            fields.tangent[points] = response.tangent
            for output, values in response.outputs.items():
                fields.outputs[output][points] = values
            self._status[points] = response.status
        finite = np.isfinite(fields.flux).all(axis=1) & np.isfinite(fields.tangent).all(axis=(1, 2))
        failed: IntArray = np.flatnonzero((self._status == Status.FAILED) | ~finite)
        return PointAnswers(fields, failed, int(np.count_nonzero(self._status == Status.PROVISIONAL)))

    def foresee(self, gradient: FloatArray, dt: float) -> None:
        """Tell every material where the increment is expected to end, at `gradient` (n, g)."""
        for name, material in self.materials.items():
            started = time.perf_counter()
            material.foresee(np.ascontiguousarray(gradient[self.indices[name]]), dt)
            self._spend(name, time.perf_counter() - started)

    def settle(self) -> int:
        """At how many points of all ranks another way to answer was chosen; see `Material.settle`. Collective."""
        moved = 0
        for name, material in self.materials.items():
            started = time.perf_counter()
            moved += material.settle()
            self._spend(name, time.perf_counter() - started)
        return moved

    def learn(self, step: int, growth: float) -> Lesson:
        """Let every material check and learn; what they did together. See `Material.learn`. Collective."""
        told = (material.learn(step, growth) for material in self.materials.values())
        lessons = [lesson for lesson in told if lesson is not None]
        errors = [lesson.audit_error for lesson in lessons if np.isfinite(lesson.audit_error)]
        return Lesson(
            sum(lesson.unseen for lesson in lessons),
            sum(lesson.samples for lesson in lessons),
            sum(lesson.retrained for lesson in lessons),
            max(errors, default=np.nan),
            max((lesson.flux_jump for lesson in lessons), default=0.0),
            sum(lesson.seconds for lesson in lessons),
        )

    @property
    def annotations(self) -> tuple[str, ...]:
        """What some material tells of its points beyond the response."""
        return tuple(dict.fromkeys(name for material in self.materials.values() for name in material.annotations))

    def annotation(self, name: str) -> FloatArray:
        """One of `annotations`, (n,); NaN where a material does not tell it."""
        values = np.full(self.point_ids.size, np.nan)
        for key, material in self.materials.items():
            if name in material.annotations:
                values[self.indices[key]] = material.annotation(name)
        return values

    def commit(self) -> None:
        """Commit every material."""
        for material in self.materials.values():
            material.commit()

    def revert(self) -> None:
        """Revert every material."""
        for material in self.materials.values():
            material.revert()

    def kinds(self) -> IntArray:
        """`Kind` of each point, (n,)."""
        kinds = np.zeros(self.point_ids.size, dtype=np.int64)
        for name, material in self.materials.items():
            kinds[self.indices[name]] = material.kinds()
        return kinds

    def failure(self, point: int) -> str:
        """What the material of a local point tried before its last evaluation failed."""
        if self._status[point] != Status.FAILED:
            return "flux or tangent is not a finite number"
        for name, material in self.materials.items():
            (place,) = np.nonzero(self.indices[name] == point)
            if place.size:
                return f"material '{name}': {material.failure(int(place[0]))}"
        raise IndexError(f"no material at local point {point}")

    def state(self) -> dict[str, Rows]:
        """Committed state of all materials, as tables `material/<name>/<state>`."""
        return {
            f"material/{name}/{key}": Rows(self.point_ids[self.indices[name]], np.asarray(values, dtype=float))
            for name, material in self.materials.items()
            for key, values in material.state().items()
        }

    def restore(self, tables: Mapping[str, Rows]) -> None:
        """Set the committed state of all materials from what `state` returned."""
        for name, material in self.materials.items():
            wanted = self.point_ids[self.indices[name]]
            names = {key: f"material/{name}/{key}" for key in material.state()}
            material.restore({key: tables[table].pick(wanted, table) for key, table in names.items()})

    def _spend(self, name: str, seconds: float) -> None:
        """Count the wall time of a call of a material, under the parts that it tells or by the kind of its points."""
        parts = self.materials[name].seconds()
        if parts is not None:
            for part, total in parts.items():
                self.seconds[part] += total - self._told.get((name, part), 0.0)
                self._told[name, part] = total
            return
        kinds = self.materials[name].kinds()
        part = "surrogate" if (kinds == Kind.SURROGATE).any() else "law"
        self.seconds["micro" if (kinds == Kind.RVE).any() else part] += seconds
