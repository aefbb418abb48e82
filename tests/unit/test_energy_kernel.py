"""The vectors, their softplus, and the fused kernel of the energy network."""

import itertools

import numpy as np
import pytest
from numba import types

from materials.compilation import kernel
from materials.measures import FloatArray, Measure, Physics
from surrogates import energy_kernel
from surrogates.lanes import LANES, add_weighted_gram, load, product, softplus, store
from surrogates.symmetry import Invariants, Symmetry

_F = types.float64[::1]
_N = types.int64


@kernel(types.void(_F, _F, _F, _F))
def softplus_of(x, value, slope, curvature):  # type: ignore[no-untyped-def]
    for i in range(0, x.size, LANES):
        a, b, c = softplus(load(x, i))
        store(value, i, a)
        store(slope, i, b)
        store(curvature, i, c)


@kernel(types.void(_F, _N, _F, _N, _N, _F))
def product_of(weights, rows, x, terms, columns, out):  # type: ignore[no-untyped-def]
    product(weights, 0, rows, x, 0, terms, columns, out, 0)


@kernel(types.void(_F, _F, _N, _N, _F))
def gram_of(q, x, terms, columns, out):  # type: ignore[no-untyped-def]
    add_weighted_gram(q, 0, x, 0, columns * LANES, terms, columns, out, 0)


def ulps(value: FloatArray, exact: np.ndarray) -> float:
    """Largest error in units of the last place; `exact` has more digits."""
    return float((np.abs(value - exact) / np.spacing(np.abs(exact).astype(float))).max())


def test_softplus_and_its_derivatives_are_right_to_two_units_of_the_last_place() -> None:
    assert np.finfo(np.longdouble).nmant > 60, "this test needs an extended precision to compare with"
    random = np.random.default_rng(0)
    small = 10.0 ** random.uniform(-300.0, 0.0, 40_000) * random.choice([-1.0, 1.0], 40_000)
    x = np.concatenate([np.linspace(-700.0, 700.0, 400_000), np.linspace(-3.0, 3.0, 400_000), small])
    value, slope, curvature = (np.empty_like(x) for _ in range(3))
    softplus_of(x, value, slope, curvature)
    exact = x.astype(np.longdouble)
    e = np.exp(-np.abs(exact))
    assert ulps(value, np.maximum(exact, 0.0) + np.log1p(e)) <= 2.0
    assert ulps(slope, np.where(exact > 0.0, 1.0, e) / (1.0 + e)) <= 2.0
    assert ulps(curvature, e / (1.0 + e) ** 2) <= 2.0


def test_softplus_has_its_limits_and_hands_on_what_is_no_number() -> None:
    x = np.array([-1e308, -800.0, 0.0, 800.0, 1e308, -np.inf, np.inf, np.nan])
    value, slope, curvature = (np.empty_like(x) for _ in range(3))
    softplus_of(x, value, slope, curvature)
    np.testing.assert_allclose(value[:7], [0.0, 0.0, np.log(2.0), 800.0, 1e308, 0.0, np.inf], atol=1e-300)
    np.testing.assert_allclose(slope[:7], [0.0, 0.0, 0.5, 1.0, 1.0, 0.0, 1.0], atol=1e-300)
    np.testing.assert_allclose(curvature[:7], [0.0, 0.0, 0.25, 0.0, 0.0, 0.0, 0.0], atol=1e-300)
    assert np.isnan([value[7], slope[7], curvature[7]]).all()


@pytest.mark.parametrize("columns", range(1, 11))
def test_products_of_vectors(columns: int) -> None:
    random = np.random.default_rng(columns)
    weights, x = random.normal(size=(12, 7)), random.normal(size=(7, columns, LANES))
    out = np.empty((12, columns, LANES))
    product_of(energy_kernel._panels(weights), 12, x.ravel(), 7, columns, out.reshape(-1))
    np.testing.assert_allclose(out, np.einsum("rt,tcl->rcl", weights, x), atol=1e-13)

    q, gram = random.normal(size=(7, LANES)), random.normal(size=(columns, columns, LANES))
    expected = gram + np.einsum("tl,tcl,tdl->cdl", q, x, x)
    gram_of(q.ravel(), x.ravel(), 7, columns, gram.reshape(-1))
    upper = np.triu_indices(columns)
    np.testing.assert_allclose(gram[upper], expected[upper], atol=1e-13)


def packed(group: str, widths: tuple[int, ...]) -> energy_kernel.PackedEnergy:
    invariants = Invariants(Measure(Physics.SMALL_STRAIN, 3), Symmetry(group))
    random = np.random.default_rng(0)
    weights = [random.normal(size=(b, a)) / 3.0 for a, b in itertools.pairwise((invariants.count, *widths))]
    biases = [random.normal(size=width) for width in widths]
    stiffness = random.normal(size=(6, 6))
    stiffness += stiffness.T
    return energy_kernel.pack(weights, biases, random.normal(size=widths[-1]), invariants.table, stiffness, False, 0.0)


@pytest.mark.parametrize("widths", [(1,), (32, 32), (5, 8, 3)])
@pytest.mark.parametrize("group", ["isotropic", "cubic", "none"])
def test_stress_and_stiffness_are_derivatives_of_the_energy_for_any_widths(group: str, widths: tuple[int, ...]) -> None:
    network = packed(group, widths)
    strain, step = np.random.default_rng(1).uniform(-1.0, 1.0, (11, 6)), 1e-5
    _, stress, stiffness = energy_kernel.evaluate(network, strain)
    for i in range(6):
        plus = energy_kernel.evaluate(network, strain + step * np.eye(6)[i])
        minus = energy_kernel.evaluate(network, strain - step * np.eye(6)[i])
        np.testing.assert_allclose((plus[0] - minus[0]) / (2 * step), stress[:, i], rtol=1e-7, atol=1e-7)
        np.testing.assert_allclose((plus[1] - minus[1]) / (2 * step), stiffness[:, :, i], rtol=1e-7, atol=1e-7)


def test_rest_is_exact_and_a_point_does_not_see_its_neighbours() -> None:
    network = packed("cubic", (32, 32))
    energy, stress, _ = energy_kernel.evaluate(network, np.zeros((3, 6)))
    assert not energy.any()
    assert not stress.any()
    strain = np.random.default_rng(2).normal(size=(2 * LANES + 3, 6))
    together = energy_kernel.evaluate(network, strain)
    for p in range(len(strain)):
        for alone, all_of_them in zip(energy_kernel.evaluate(network, strain[p : p + 1]), together, strict=True):
            np.testing.assert_array_equal(alone[0], all_of_them[p])


def test_no_points_are_no_trouble() -> None:
    assert energy_kernel.evaluate(packed("none", (4,)), np.zeros((0, 6)))[2].shape == (0, 6, 6)


def test_the_benchmark_compares_sides_that_agree() -> None:
    pytest.importorskip("torch")
    from benchmarks.energy_kernel import measure

    numbers = measure(points=200, repeat=1)
    assert min(numbers.values()) > 0.0
