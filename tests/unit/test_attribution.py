"""Attribution: complete, exact where it is known in closed form, along the path where the family remembers."""

import numpy as np
import pytest

from materials.law_material import LawMaterial
from materials.laws import LAWS
from materials.measures import Measure, Physics
from surrogates.attribution import attribution, contributions
from surrogates.families.ann import DirectNetwork
from surrogates.family import Network, Samples
from surrogates.trajectories import follow, recut
from tests.unit.elastoplastic import PLANE, YIELD_STRESS, Elastoplastic, paths


def network(measure: Measure, count: int = 30, skip: float = 1.0) -> tuple[DirectNetwork, Samples]:
    """Random weights, and states."""
    random = np.random.default_rng(0)
    gradient = measure.rest + random.uniform(-0.2, 0.2, (count, measure.size))
    law = LAWS["conductive"](k=2.0) if measure.physics is Physics.HEAT else LAWS["neo_hookean"](E=100.0, nu=0.3)
    if measure.physics is Physics.SMALL_STRAIN:
        law = LAWS["elastic"](E=100.0, nu=0.3)
    material = LawMaterial(law, measure)
    material.bind(np.arange(count))
    samples = Samples(gradient, *material.evaluate(gradient, 1.0)[:2])
    family = DirectNetwork.untrained(measure, Network(hidden=(8, 8)), samples, 0)
    values = family.arrays()
    last = "weight_2"
    return family.updated({last: 10.0 * values[last], "skip": skip * values["skip"]}), samples  # type: ignore[return-value]


@pytest.mark.parametrize("measure", [Measure(physics, d) for physics in Physics for d in (2, 3)], ids=str)
def test_contributions_add_up_to_the_flux(measure: Measure) -> None:
    family, samples = network(measure)
    flux = measure.to_tensor(family.evaluate(samples.gradient)[0])
    rank = len(measure.index_pairs[0])
    total = contributions(family, samples).sum(axis=tuple(range(-rank, 0)))
    assert total == pytest.approx(flux, abs=1e-10 * np.abs(flux).max())
    assert attribution(family, samples)["residual"] < 1e-10


def test_a_linear_response_is_attributed_exactly() -> None:
    """σ_ij = C_ijkl ε_kl: the contribution of ε_kl is that product, half of it for each half of a shear."""
    stiffness = np.array([[3.0, 1.0, 0.2], [1.0, 4.0, 0.5], [0.2, 0.5, 2.0]])
    family, samples = network(PLANE)
    values = family.arrays() | {"weight_2": np.zeros((3, 8))}
    values["skip"] = stiffness * values["strain_scale"] / values["stress_scale"]
    strain = PLANE.to_tensor(samples.gradient)
    expected = np.einsum("ijkl,nkl->nijkl", PLANE.tangent_to_tensor(stiffness), strain)
    assert contributions(family.updated(values), samples) == pytest.approx(expected, abs=1e-14)


def test_an_input_that_is_not_looked_at_contributes_nothing() -> None:
    family, samples = network(PLANE, skip=0.0)
    first = family.arrays()["weight_0"].copy()
    first[:, 2] = 0.0
    found = np.array(attribution(family.updated({"weight_0": first}), samples)["contributions"])
    assert not found[:, :, 0, 1].any()
    assert not found[:, :, 1, 0].any()
    assert found[0, 0, 0, 0] > 0.01


def test_along_paths_of_a_family_that_remembers() -> None:
    samples = paths(count=3, steps=10)
    family = Elastoplastic()
    flux = PLANE.to_tensor(follow(family, samples)[0])
    total = contributions(family, samples).sum(axis=(-1, -2))
    # the tangent jumps where an increment begins to yield, which quadrature resolves to its spacing
    assert np.linalg.norm(total - flux) < 0.02 * np.linalg.norm(flux)
    assert attribution(family, samples)["residual"] == pytest.approx(
        np.linalg.norm(total - flux) / np.linalg.norm(flux)
    )


def test_what_a_path_went_through_is_remembered() -> None:
    """Stretch beyond yield, then shear: the stretch is left with what it contributed before."""
    stretch = 3.0 * YIELD_STRESS / 100.0
    gradient = np.array([[stretch, 0.0, 0.0], [stretch, 0.0, 0.01]])
    unknown = np.full((2, 3, 3), np.nan)
    samples = Samples(gradient, unknown[0], unknown, path=np.zeros(2, dtype=np.int64), dt=np.ones(2))
    first, second = contributions(Elastoplastic(), recut(PLANE, samples, 10))[9::10]
    assert (first[..., 0, 0] == second[..., 0, 0]).all()
    assert not first[..., 0, 1].any()
    assert second[0, 1, 0, 1] > 0.1 * YIELD_STRESS
