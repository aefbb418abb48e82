"""Energy networks with strong random weights, and what their tests compare by."""

import numpy as np
import pytest

from materials.law_material import LawMaterial
from materials.laws import LAWS
from materials.measures import FloatArray, Measure, Physics
from surrogates.families.energy import Convexity, EnergyNetwork, EnergyOptions
from surrogates.family import Samples
from surrogates.symmetry import GROUPS

CASES = [(physics, d, group) for physics in Physics for d in (2, 3) for group in GROUPS[d]]
EVERY = pytest.mark.parametrize(("physics", "d", "group"), CASES)
TOLERANCE = 1e-10


def states(measure: Measure, n: int, seed: int = 0) -> FloatArray:
    return measure.rest + 0.25 * np.random.default_rng(seed).uniform(-1.0, 1.0, (n, measure.size))


def network(
    measure: Measure, group: str, tilted: bool = False, convexity: Convexity = "none", hidden: tuple[int, ...] = (12, 9)
) -> EnergyNetwork:
    """Random weights, much stronger than those of an untrained network."""
    random = np.random.default_rng(4)
    gradient = states(measure, 30)
    tangent = random.normal(size=(30, measure.size, measure.size))
    samples = Samples(gradient, random.normal(size=gradient.shape), tangent @ tangent.swapaxes(1, 2))
    axes, _ = np.linalg.qr(random.normal(size=(measure.dimension,) * 2))
    material_axes = tuple(map(tuple, axes.tolist())) if tilted else ()
    options = EnergyOptions(symmetry=group, axes=material_axes, hidden=hidden, convexity=convexity)  # type: ignore[arg-type]
    made = EnergyNetwork.untrained(measure, options, samples, 0)
    if convexity == "none":
        return made.updated({"weight_out": 20.0 * made.values["weight_out"], "growth": 30.0 * made.values["growth"]})
    weights = {name: values for name, values in made.values.items() if name.startswith(("weight", "bias"))}
    return made.updated({name: random.normal(size=values.shape) for name, values in weights.items()})


def same(a: FloatArray, b: FloatArray) -> None:
    np.testing.assert_allclose(a, b, rtol=0.0, atol=TOLERANCE * np.abs(b).max())


def turned(measure: Measure, gradient: FloatArray, left: FloatArray, right: FloatArray) -> FloatArray:
    """Q F Rᵀ, Q ε Rᵀ, or Q g."""
    tensor = measure.to_tensor(gradient)
    return measure.to_vector(tensor @ left.T if measure.physics is Physics.HEAT else left @ tensor @ right.T)


def law_samples(measure: Measure, n: int, seed: int) -> Samples:
    """A neo-Hookean material at random states."""
    law = LawMaterial(LAWS["neo_hookean"](E=100.0, nu=0.3), measure)  # type: ignore[call-arg]
    law.bind(np.arange(n))
    gradient = states(measure, n, seed)
    answer = law.evaluate(gradient, 1.0)
    return Samples(gradient, answer.flux, answer.tangent)
