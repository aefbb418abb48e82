"""Polynomials in a few variables, as expressions to build invariants with and as tables to evaluate them from."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from materials.measures import FloatArray

FACTORS = 3
"""Most variables in one monomial of an invariant."""


class Polynomial:
    """Σ coefficient · Π x_i^e_i, from a mapping of exponents to coefficients."""

    def __init__(self, terms: Mapping[tuple[int, ...], float]) -> None:
        """Drop what is zero."""
        self.terms = {exponents: c for exponents, c in terms.items() if c != 0.0}

    @classmethod
    def variable(cls, index: int, size: int, factor: float = 1.0) -> "Polynomial":
        """`factor` times one of `size` variables."""
        return cls({tuple(int(i == index) for i in range(size)): factor})

    def __add__(self, other: "Polynomial") -> "Polynomial":
        terms = dict(self.terms)
        for exponents, c in other.terms.items():
            terms[exponents] = terms.get(exponents, 0.0) + c
        return Polynomial(terms)

    def __mul__(self, other: "Polynomial | float") -> "Polynomial":
        if isinstance(other, float):
            return Polynomial({exponents: c * other for exponents, c in self.terms.items()})
        terms: dict[tuple[int, ...], float] = {}
        for left, a in self.terms.items():
            for right, b in other.terms.items():
                exponents = tuple(i + j for i, j in zip(left, right, strict=True))
                terms[exponents] = terms.get(exponents, 0.0) + a * b
        return Polynomial(terms)

    def __pow__(self, exponent: int) -> "Polynomial":
        return self if exponent == 1 else self * self ** (exponent - 1)

    def without_constant(self) -> "Polynomial":
        """The polynomial less its value at the origin."""
        return Polynomial({exponents: c for exponents, c in self.terms.items() if any(exponents)})

    @property
    def degree(self) -> int:
        """The largest sum of exponents."""
        return max(sum(exponents) for exponents in self.terms)


def total(terms: Iterable[Polynomial]) -> Polynomial:
    """The sum of at least one polynomial."""
    first, *rest = terms
    return sum(rest, first)


@dataclass(frozen=True, eq=False)
class PolynomialTable:
    """m polynomials in v variables, monomial after monomial; t of them in all."""

    coefficients: FloatArray
    """(t,)"""
    owners: NDArray[np.int64]
    """Which polynomial a monomial belongs to, (t,)."""
    variables: NDArray[np.int64]
    """Which variables are its factors, (t, f); those left over have exponent 0."""
    exponents: NDArray[np.int64]
    """(t, f)"""
    count: int
    size: int

    def evaluate(self, x: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Values (n, m), first (n, m, v) and second derivatives (n, m, v, v) at `x` (n, v)."""
        values = np.zeros((len(x), self.count))
        first = np.zeros((*values.shape, self.size))
        second = np.zeros((*first.shape, self.size))
        slots = range(self.variables.shape[1])
        for t, c in enumerate(self.coefficients):
            owner = int(self.owners[t])
            variables: list[int] = self.variables[t].tolist()
            exponents: list[int] = self.exponents[t].tolist()
            f, df, d2f = (self._factors(x, variables, exponents, order) for order in range(3))
            values[:, owner] += c * f.prod(axis=1)
            for i in slots:
                if exponents[i] == 0:
                    continue
                others = np.delete(f, i, axis=1).prod(axis=1)
                first[:, owner, variables[i]] += c * df[:, i] * others
                second[:, owner, variables[i], variables[i]] += c * d2f[:, i] * others
                for j in slots:
                    if j != i and exponents[j] > 0:
                        mixed = c * df[:, i] * df[:, j] * np.delete(f, [i, j], axis=1).prod(axis=1)
                        second[:, owner, variables[i], variables[j]] += mixed
        return values, first, second

    @staticmethod
    def _factors(x: FloatArray, variables: list[int], exponents: list[int], order: int) -> FloatArray:
        """The derivative of each factor x^e, (n, f)."""
        falling = [math.prod(e - i for i in range(order)) for e in exponents]  # 1, e, e (e − 1)
        lowered = [max(e - order, 0) for e in exponents]
        return np.array(falling, dtype=float) * x[:, variables] ** np.array(lowered)


def table(polynomials: Sequence[Polynomial], size: int, most: int = FACTORS) -> PolynomialTable:
    """Write polynomials in `size` variables as a table of f = `most` factors.

    Raises:
        ValueError: a monomial has more than `most` variables.
    """
    rows = [(c, owner, e) for owner, polynomial in enumerate(polynomials) for e, c in polynomial.terms.items()]
    variables = np.zeros((len(rows), most), dtype=np.int64)
    exponents = np.zeros_like(variables)
    for row, (_, owner, powers) in enumerate(rows):
        present = [i for i, power in enumerate(powers) if power]
        if len(present) > most:
            raise ValueError(f"polynomial {owner} has a monomial of {len(present)} variables, at most {most} fit")
        variables[row, : len(present)] = present
        exponents[row, : len(present)] = [powers[i] for i in present]
    coefficients = np.array([c for c, _, _ in rows])
    owners = np.array([owner for _, owner, _ in rows], dtype=np.int64)
    return PolynomialTable(coefficients, owners, variables, exponents, len(polynomials), size)
