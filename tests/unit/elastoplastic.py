"""Exact elastoplasticity as a family that remembers: what tests hold the code for such families to."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from materials.hardening import Hardening
from materials.law_material import LawMaterial
from materials.laws.j2 import J2
from materials.measures import FloatArray, Measure, Physics
from surrogates.family import HistoryFamily, Samples, Step
from surrogates.trajectories import follow

PLANE = Measure(Physics.SMALL_STRAIN, 2)
YIELD_STRESS, MODULUS = 1.0, 100.0


@dataclass(frozen=True, eq=False)
class Elastoplastic(HistoryFamily):
    """The law J2 in plane strain; `factor` times its flux and tangent."""

    name: ClassVar[str] = "elastoplastic"
    physics: ClassVar[tuple[Physics, ...]] = (Physics.SMALL_STRAIN,)
    symmetric: ClassVar[bool] = True
    conservative: ClassVar[bool] = False

    measure: Measure = PLANE
    factor: float = 1.0

    @property
    def state_size(self) -> int:
        return 7

    @classmethod
    def untrained(cls, measure: Measure, network: Any, samples: Samples, seed: int) -> Self:
        raise NotImplementedError

    def architecture(self) -> dict[str, Any]:
        return {}

    def arrays(self) -> dict[str, FloatArray]:
        return {}

    @classmethod
    def from_arrays(cls, measure: Measure, architecture: Mapping[str, Any], arrays: Mapping[str, Any]) -> Self:
        raise NotImplementedError

    def step(self, gradient: FloatArray, state: FloatArray, dt: float) -> Step:
        law = J2(E=MODULUS, nu=0.3, yield_stress=YIELD_STRESS, hardening=Hardening(H=0.1 * MODULUS))
        material = LawMaterial(law, PLANE)
        material.bind(np.arange(len(gradient)))
        material.restore({"plastic_strain": state[:, :6], "equivalent_plastic_strain": state[:, 6]})
        flux, tangent, *_ = material.evaluate(gradient, dt)
        material.commit()
        after = material.state()
        state = np.column_stack([after["plastic_strain"], after["equivalent_plastic_strain"]])
        return Step(self.factor * flux, self.factor * tangent, state)

    def dissipated(
        self, gradient_before: FloatArray, before: FloatArray, gradient: FloatArray, after: FloatArray
    ) -> FloatArray:
        """σ_y0 Δα: what hardening stores is not dissipated."""
        return self.factor * YIELD_STRESS * (after - before)[:, 6]


def paths(count: int = 5, steps: int = 12, size: float = 0.006, seed: int = 0) -> Samples:
    """Random walks, and what the law answers."""
    walk = np.random.default_rng(seed).normal(0.0, size, (count, steps, 3)).cumsum(axis=1)
    gradient = walk.reshape(-1, 3)
    path, dt = np.repeat(np.arange(count), steps), np.ones(count * steps)
    unknown = Samples(gradient, np.full_like(gradient, np.nan), np.full((count * steps, 3, 3), np.nan), None, path, dt)
    flux, tangent = follow(Elastoplastic(), unknown)
    return unknown._replace(flux=flux, tangent=tangent)
