"""Transfer: hidden layers that are held stay as they are, and few states teach a network of one cell another."""

import numpy as np
import pytest

from materials.law_material import LawMaterial
from materials.laws import LAWS
from materials.measures import FloatArray, Measure, Physics
from surrogates.families.ann import DirectNetwork
from surrogates.families.energy import EnergyNetwork, EnergyOptions
from surrogates.family import Family, ModelError, Network, Samples
from surrogates.training import Training, train

PLANE = Measure(Physics.FINITE_STRAIN, 2)


def samples(count: int, seed: int, stiffness: float = 100.0) -> Samples:
    """W = w + 2 w² / E of a neo-Hookean energy w: another material for another E."""
    law = LawMaterial(LAWS["neo_hookean"](E=stiffness, nu=0.3), PLANE)
    gradient = PLANE.rest + np.random.default_rng(seed).uniform(-0.25, 0.25, (count, 4))

    def response(at: FloatArray) -> tuple[FloatArray, FloatArray]:
        law.bind(np.arange(len(at)))
        flux, tangent, *_ = law.evaluate(at, 1.0)
        return flux, tangent

    nodes, weights = np.polynomial.legendre.leggauss(12)
    way = gradient - PLANE.rest
    energy = sum(
        0.5 * weight * np.einsum("ng,ng->n", response(PLANE.rest + 0.5 * (1.0 + node) * way)[0], way)
        for node, weight in zip(nodes, weights, strict=True)
    )
    flux, tangent = response(gradient)
    factor = 1.0 + 4.0 * np.asarray(energy) / stiffness
    bent = 4.0 / stiffness * flux[:, :, None] * flux[:, None, :]
    return Samples(gradient, factor[:, None] * flux, factor[:, None, None] * tangent + bent)


def fresh(kind: str, learned: Samples) -> Family:
    if kind == "ann":
        return DirectNetwork.untrained(PLANE, Network(hidden=(12, 12)), learned, 1)
    return EnergyNetwork.untrained(PLANE, EnergyOptions(hidden=(12, 12), symmetry="isotropic"), learned, 1)


def error(family: Family, wanted: Samples) -> float:
    flux, _ = family.evaluate(wanted.gradient)
    return float(np.linalg.norm(flux - wanted.flux) / np.linalg.norm(wanted.flux))


@pytest.mark.parametrize("kind", ["ann", "energy"])
def test_hidden_layers_are_held(kind: str) -> None:
    learned = samples(30, 0)
    start = fresh(kind, learned)
    assert [set(layer) for layer in start.hidden_layers()] == [{f"weight_{k}", f"bias_{k}"} for k in range(2)]
    trained = train(start, learned, samples(10, 1), Training(epochs=2, freeze=1)).family
    before, after = start.arrays(), trained.arrays()
    assert all((before[name] == after[name]).all() for name in ("weight_0", "bias_0"))
    assert (before["weight_1"] != after["weight_1"]).any()
    with pytest.raises(ModelError, match=f"freeze is 3, but {kind} has 2 hidden layers"):
        train(start, learned, samples(10, 1), Training(freeze=3))


def test_few_states_of_another_cell() -> None:
    """Ten states tune a network of another material better than they teach one from scratch."""
    first, few, unseen = samples(120, 0), samples(10, 2, stiffness=130.0), samples(200, 3, stiffness=130.0)
    none = few.at(np.arange(0))
    start = train(fresh("ann", first), first, samples(30, 1), Training(epochs=30)).family
    scratch = train(fresh("ann", few), few, none, Training(epochs=20)).family
    tuned = train(start, few, none, Training(epochs=20, freeze=2)).family
    assert error(tuned, unseen) < 0.3 * error(scratch, unseen)
    assert error(tuned, unseen) < 0.3 * error(start, unseen)
