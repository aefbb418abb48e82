import numpy as np
import pytest

from materials.measures import FloatArray, Measure, Physics
from surrogates.polynomials import Polynomial, table
from surrogates.symmetry import GROUPS, Invariants, Symmetry, packed_rotation
from surrogates.symmetry_detection import detect

CASES = [(physics, d, group) for physics in Physics for d in (2, 3) for group in GROUPS[d]]


def tilted_axes(d: int) -> tuple[tuple[float, ...], ...]:
    axes, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(d, d)))
    return tuple(tuple(row) for row in axes.tolist())


def strains(measure: Measure, n: int) -> FloatArray:
    size = measure.dimension * (measure.dimension + 1) // 2
    size = measure.dimension if measure.physics is Physics.HEAT else size
    return np.random.default_rng(0).uniform(-1.0, 1.0, (n, size))


@pytest.mark.parametrize("convex", [False, True])
@pytest.mark.parametrize("tilted", [False, True])
@pytest.mark.parametrize(("physics", "d", "group"), CASES)
def test_invariants_do_not_change_with_the_group(
    physics: Physics, d: int, group: str, tilted: bool, convex: bool
) -> None:
    measure, symmetry = Measure(physics, d), Symmetry(group, tilted_axes(d) if tilted else ())
    invariants, strain = Invariants(measure, symmetry, convex), strains(measure, 20)
    values = invariants.evaluate(strain).values
    for q in symmetry.generators(d):
        np.testing.assert_allclose(q @ q.T, np.eye(d), atol=1e-14)
        turned = invariants.evaluate(strain @ packed_rotation(measure, q).T).values
        np.testing.assert_allclose(turned, values, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize(("physics", "d", "group"), CASES)
def test_invariants_separate_strains_that_the_group_does_not_join(physics: Physics, d: int, group: str) -> None:
    """The rank of their derivatives is that of all functions with the symmetry: v less the dimension of the group."""
    measure = Measure(physics, d)
    strain = strains(measure, 5)
    first = Invariants(measure, Symmetry(group)).evaluate(strain).first
    turning = {"isotropic": d * (d - 1) // 2, "transversely_isotropic": 1}.get(group, 0)
    if physics is Physics.HEAT and group == "isotropic":
        turning = d - 1  # turning about the vector itself does nothing
    assert {int(np.linalg.matrix_rank(at, tol=1e-8)) for at in first} == {strain.shape[1] - turning}


def test_square_invariants_tell_rows_of_fibres_from_their_diagonals() -> None:
    measure = Measure(Physics.SMALL_STRAIN, 2)
    quarter = packed_rotation(measure, np.array([[1.0, -1.0], [1.0, 1.0]]) / np.sqrt(2.0))
    strain = strains(measure, 1)
    for group, seen in (("isotropic", False), ("square", True)):
        invariants = Invariants(measure, Symmetry(group))
        change = invariants.evaluate(strain @ quarter.T).values - invariants.evaluate(strain).values
        assert (np.abs(change).max() > 1e-2) == seen


@pytest.mark.parametrize("tilted", [False, True])
@pytest.mark.parametrize(("physics", "d", "group"), CASES)
def test_derivatives_of_invariants(physics: Physics, d: int, group: str, tilted: bool) -> None:
    measure = Measure(physics, d)
    invariants = Invariants(measure, Symmetry(group, tilted_axes(d) if tilted else ()))
    strain, step = strains(measure, 6), 1e-5
    at = invariants.evaluate(strain)
    for i in range(strain.shape[1]):
        aside = step * np.eye(strain.shape[1])[i]
        plus, minus = invariants.evaluate(strain + aside), invariants.evaluate(strain - aside)
        np.testing.assert_allclose((plus.values - minus.values) / (2 * step), at.first[:, :, i], atol=1e-8)
        np.testing.assert_allclose((plus.first - minus.first) / (2 * step), at.second[:, :, :, i], atol=1e-8)


@pytest.mark.parametrize(("d", "group", "constants"), [
    (2, "isotropic", 2), (2, "hexagonal", 2), (2, "square", 3), (2, "orthotropic", 4), (2, "none", 6),
    (3, "isotropic", 2), (3, "cubic", 3), (3, "transversely_isotropic", 5), (3, "orthotropic", 9), (3, "none", 21),
])  # fmt: skip
def test_linear_elasticity_has_the_textbook_number_of_constants(d: int, group: str, constants: int) -> None:
    forms = Invariants(Measure(Physics.SMALL_STRAIN, d), Symmetry(group)).quadratic_forms()
    assert np.linalg.matrix_rank(forms.reshape(len(forms), -1)) == constants


@pytest.mark.parametrize(("physics", "d", "group"), CASES)
def test_a_group_is_detected_from_a_response_that_has_no_larger_one(physics: Physics, d: int, group: str) -> None:
    measure = Measure(physics, d)
    invariants = Invariants(measure, Symmetry(group))
    random = np.random.default_rng(3)
    strain = 0.3 * strains(measure, 200)
    at = invariants.evaluate(strain)
    count = at.values.shape[1]
    slope, bend = random.uniform(1.0, 2.0, count), random.uniform(0.0, 1.0, (count, count)) + 2.0 * np.eye(count)
    bend += bend.T
    slope[invariants.linear] = 0.0  # no stress at rest
    slopes = slope + at.values @ bend
    stress = np.einsum("nk,nkv->nv", slopes, at.first)
    stiffness = np.einsum("nk,nkvw->nvw", slopes, at.second)
    stiffness += np.einsum("kl,nkv,nlw->nvw", bend, at.first, at.first)
    assert detect(measure, strain, stress, stiffness).group == group


def test_a_stiffness_at_rest_is_enough_for_linear_elasticity() -> None:
    measure = Measure(Physics.SMALL_STRAIN, 2)
    stiffness = np.array([[[3.0, 1.0, 0.0], [1.0, 3.0, 0.0], [0.0, 0.0, 1.0]]])
    rest = np.zeros((1, 3))
    assert detect(measure, rest, rest, stiffness).group == "square"
    stiffness[0, 2, 2] = 2.0
    assert detect(measure, rest, rest, stiffness).group == "isotropic"


def test_a_transverse_axis_is_found_along_each_coordinate() -> None:
    measure = Measure(Physics.SMALL_STRAIN, 3)
    for axis in range(3):
        across = np.eye(3)[axis]
        long = measure.to_vector(np.outer(across, across))
        one = measure.to_vector(np.eye(3))
        stiffness = 2.0 * np.eye(6) + np.outer(one, one) + 5.0 * np.outer(long, long)
        found = detect(measure, np.zeros((1, 6)), np.zeros((1, 6)), stiffness[None])
        assert found.group == "transversely_isotropic"
        np.testing.assert_array_equal(found.matrix(3)[2], across)


def test_a_hexagonal_response_is_not_taken_for_isotropic_although_its_stiffness_at_rest_is() -> None:
    measure = Measure(Physics.SMALL_STRAIN, 2)
    a, b, c = (Polynomial.variable(i, 3) for i in range(3))
    x, y = (a + b * -1.0) * 0.5, c * float(1.0 / np.sqrt(2.0))
    threefold = x * x * x + x * y * y * -3.0  # Re (x + iy)³
    quadratic = a * a + b * b + c * c + (a + b) * (a + b)
    energy = table([quadratic + threefold], 3)
    strain = 0.3 * strains(measure, 200)
    _, stress, stiffness = energy.evaluate(strain)
    assert detect(measure, strain, stress[:, 0], stiffness[:, 0]).group == "hexagonal"
    _, stress, stiffness = table([quadratic], 3).evaluate(strain)
    assert detect(measure, strain, stress[:, 0], stiffness[:, 0]).group == "isotropic"


def test_impossible_symmetries_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown symmetry 'round'"):
        Symmetry("round")
    with pytest.raises(ValueError, match="orthonormal"):
        Symmetry("orthotropic", ((1.0, 0.0), (1.0, 1.0)))
    with pytest.raises(ValueError, match="does not exist in 2D"):
        Invariants(Measure(Physics.HEAT, 2), Symmetry("cubic"))
