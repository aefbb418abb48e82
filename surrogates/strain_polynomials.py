"""A packed strain as polynomials of its components: E, C = I + 2E, Cof C and det C."""

from collections.abc import Mapping

from materials.measures import SQRT2, Measure, Physics
from surrogates.polynomials import Polynomial, total

Tensor = Mapping[tuple[int, int], Polynomial]
"""Components of a tensor by their indices."""


def strain_components(dimension: int) -> Tensor:
    """The components of a Mandel vector."""
    pairs = Measure(Physics.SMALL_STRAIN, dimension).index_pairs
    components: dict[tuple[int, int], Polynomial] = {}
    for k, (i, j) in enumerate(pairs):
        components[i, j] = components[j, i] = Polynomial.variable(k, len(pairs), 1.0 if i == j else 1.0 / SQRT2)
    return components


def right_cauchy_green(dimension: int) -> Tensor:
    """C = I + 2E of a Mandel strain E."""
    strain = strain_components(dimension)
    one = Polynomial({(0,) * (dimension * (dimension + 1) // 2): 1.0})
    return {(i, j): e * 2.0 + one if i == j else e * 2.0 for (i, j), e in strain.items()}


def cofactor(tensor: Tensor) -> Tensor:
    """Cof A of a symmetric tensor A of three dimensions, det(A) A⁻¹."""
    components = {}
    for i in range(3):
        for j in range(3):
            (a, b), (c, d) = (((k + 1) % 3, (k + 2) % 3) for k in (i, j))
            components[i, j] = tensor[a, c] * tensor[b, d] + tensor[a, d] * tensor[b, c] * -1.0
    return components


def determinant_minus_one(dimension: int) -> Polynomial:
    """det(I + 2E) − 1 of a Mandel strain E, written so that no digits are lost at small strain."""
    c = right_cauchy_green(dimension)
    if dimension == 2:
        return (c[0, 0] * c[1, 1] + c[0, 1] * c[0, 1] * -1.0).without_constant()
    minors = cofactor(c)
    return total(c[0, j] * minors[0, j] for j in range(3)).without_constant()
